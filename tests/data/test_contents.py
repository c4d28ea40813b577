"""What a file of one's own holds is told before it is used, every gap of it at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.community.calendar import Slots
from commonwatt.data.contents import Contents, Gap
from commonwatt.data.meterfile import Meters
from commonwatt.data.prices import PriceSeries
from commonwatt.errors import GapError

ROWS = 24
FIRST = datetime(2026, 10, 24, 22, tzinfo=UTC)
START = int(FIRST.timestamp())


def written(path: Path, columns: dict[str, list[str]], leave_out: frozenset[int] = frozenset()) -> Path:
    lines = [",".join(["time", *columns])]
    for row in range(ROWS):
        if row not in leave_out:
            time = f"{FIRST + timedelta(minutes=15 * row):%Y-%m-%dT%H:%MZ}"
            lines.append(",".join([time, *(values[row] for values in columns.values())]))
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def meters(path: Path) -> Contents:
    return Contents.of_meters(Meters.open(path, "Europe/Vienna", 900))


def at(row: int) -> int:
    return START + 900 * row


def test_a_whole_file_is_told_over_the_change_of_clocks(tmp_path: Path) -> None:
    found = meters(written(tmp_path / "m.csv", {"anna [kWh]": ["0.1"] * ROWS, "ben_kw": ["2"] * ROWS}))
    period = "2026-10-25 00:00 CEST to 2026-10-25 05:00 CET"
    assert str(found) == f"{tmp_path / 'm.csv'}: 2 meters, 15 min, {period}, no gaps"
    assert found.names == ("anna", "ben")
    assert found.as_json()["from"] == "2026-10-25T00:00:00+02:00"


def test_the_same_gap_of_several_columns_is_one(tmp_path: Path) -> None:
    values = ["0.1"] * 6 + [""] * 2 + ["0.1"] * (ROWS - 8)
    columns = {"anna [kWh]": values, "ben_kw": [*values[:-1], ""]}
    found = meters(written(tmp_path / "m.csv", columns, frozenset({12})))
    assert found.gaps == (
        Gap(at(6), at(8), ("anna [kWh]", "ben_kw")),
        Gap(at(12), at(13), ("anna [kWh]", "ben_kw")),
        Gap(at(23), at(24), ("ben_kw",)),
    )
    assert str(found).endswith(
        "3 gaps: 2026-10-25 01:30 CEST to 2026-10-25 02:00 CEST; 2026-10-25 02:00 CET to 2026-10-25 02:15 CET; "
        "2026-10-25 04:45 CET to 2026-10-25 05:00 CET in ben_kw"
    )


def test_of_many_gaps_some_are_told(tmp_path: Path) -> None:
    found = meters(written(tmp_path / "m.csv", {"anna [kWh]": ["0.1", ""] * (ROWS // 2)}))
    assert len(found.gaps) == ROWS // 2
    assert str(found).endswith("; and 7 more")


def test_a_register_that_was_not_read_loses_the_energy_on_both_sides(tmp_path: Path) -> None:
    stands = [str(1000 + row) for row in range(ROWS)]
    stands[5] = ""
    found = meters(written(tmp_path / "m.csv", {"anna meter reading [kWh]": stands}))
    assert found.gaps == (Gap(at(4), at(6), ("anna meter reading [kWh]",)),)
    assert found.end == at(ROWS - 1)


def test_prices_are_told_too(tmp_path: Path) -> None:
    file = written(tmp_path / "p.csv", {"price [EUR/MWh]": ["80"] * ROWS}, frozenset({4, 5}))
    found = Contents.of_prices(PriceSeries.open(file, "Europe/Vienna", "EUR"))
    assert str(found) == (
        f"{file}: prices, 15 min, 2026-10-25 00:00 CEST to 2026-10-25 05:00 CET, "
        "1 gap: 2026-10-25 01:00 CEST to 2026-10-25 01:30 CEST"
    )


@given(missing=st.sets(st.integers(1, ROWS - 2), max_size=5), empty=st.sets(st.integers(1, ROWS - 2)))
def test_gaps_are_the_slots_that_cannot_be_read(tmp_path_factory: object, missing: set[int], empty: set[int]) -> None:
    folder: Path = tmp_path_factory.mktemp("gaps")  # type: ignore[attr-defined]
    values = ["" if row in empty else "0.1" for row in range(ROWS)]
    file = written(folder / "m.csv", {"anna [kWh]": values}, frozenset(missing))
    opened = Meters.open(file, "Europe/Vienna", 900)
    found = Contents.of_meters(opened)
    lacking = {row for gap in found.gaps for row in range((gap.begin - START) // 900, (gap.end - START) // 900)}
    assert lacking == missing | empty
    for row in range(ROWS):
        try:
            assert np.isfinite(opened.on_slots(Slots(at(row), 1, 900))).all()
            assert row not in lacking
        except GapError:
            assert row in lacking
