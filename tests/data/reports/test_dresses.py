"""A report is the same in whatever form it is written, and its energy is kept."""

from __future__ import annotations

from datetime import date
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from report_files import OTHER, POINT, VIENNA, Columns, Dress, dressed, write

from commonwatt.community.calendar import Slots, local_days
from commonwatt.data.reports import Quality, filled, read_all, read_reports, write_filled

FLAGS = {"L1": Quality.MEASURED, "L2": Quality.SUBSTITUTED, "L3": Quality.ESTIMATED}
# The clocks go forward on the first, back on the second.
DAYS = [local_days(date(2026, *day), 1, VIENNA) for day in ((3, 29), (10, 25), (10, 1))]
austrian = st.builds(
    Dress,
    workbook=st.booleans(),
    times=st.sampled_from(["text", "zoned", "apart"]),
    flags=st.booleans(),
    words=st.integers(0, 1),
    order=st.permutations(range(5)).map(tuple),
    separator=st.sampled_from([";", "\t"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "cp1252", "utf-16"]),
).filter(lambda dress: dress.times != "apart")
portal = st.builds(
    Dress,
    austrian=st.sampled_from([False]),
    workbook=st.booleans(),
    times=st.sampled_from(["text", "zoned", "apart", "date"]),
    labels=st.sampled_from(["begin", "end", "both"]),
    flags=st.booleans(),
    unit=st.sampled_from(["kWh", "Wh", "kW"]),
    backwards=st.booleans(),
    words=st.integers(0, 3),
    separator=st.sampled_from([";", ",", "\t"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "cp1252", "utf-16"]),
)


@st.composite
def reports(draw: st.DrawFn) -> tuple[Slots, Columns]:
    """Some quantities of two points over a day, with gaps."""
    slots = draw(st.sampled_from(DAYS))
    keys = draw(
        st.lists(
            st.tuples(st.sampled_from([POINT, OTHER]), st.sampled_from(["import", "export", "G.02", "G.03", "P.01"])),
            min_size=1,
            max_size=4,
            unique=True,
        )
    )
    value = st.tuples(st.integers(0, 2_000_000), st.sampled_from([*FLAGS]))
    columns: dict[tuple[str, str], list[tuple[int, str] | None]] = {}
    for key in keys:
        # The last falls to nothing, or a series might rise as a register does.
        some = draw(st.lists(st.none() | value, min_size=1, max_size=12))
        columns[key] = [*islice(cycle(some), slots.count - 1), (0, "L1")]
    return slots, columns


def assert_read(slots: Slots, columns: Columns, dress: Dress, path: Path) -> None:
    write(path, dressed(columns, slots, dress), dress)
    asked = "end" if dress.labels == "end" else "begin"
    report = read_reports([path], slots, VIENNA, labels=asked)  # type: ignore[arg-type]
    assert set(report.points) == {point for point, _ in columns}
    for quantity, energy in report.energy.items():
        for place, point in enumerate(report.points):
            column = columns.get((point, quantity), [None] * slots.count)
            assert energy.known[place] == ((point, quantity) in columns)
            assert energy.there[place].tolist() == [each is not None for each in column]
            assert energy.mwh[place].tolist() == [each[0] if each else 0 for each in column]
            unstated = Quality.UNSTATED
            flags = [(FLAGS[each[1]] if dress.flags else unstated) if each else Quality.NONE for each in column]
            assert energy.quality[place].tolist() == flags
    assert report.findings == ()
    for energy in report.energy.values():
        assert (np.abs(1000 * energy.wh - energy.mwh) < 1000).all()
        drift = 1000 * energy.wh.cumsum(axis=1) - energy.mwh.cumsum(axis=1)
        assert (np.abs(drift) <= 500).all()


@given(case=reports(), dress=austrian)
def test_the_austrian_form_is_read_in_any_dress(case: tuple[Slots, Columns], dress: Dress) -> None:
    with TemporaryDirectory() as folder:
        assert_read(*case, dress, Path(folder) / ("report.xlsx" if dress.workbook else "report.csv"))


@given(case=reports(), dress=portal)
def test_a_portal_s_export_is_read_in_any_dress(case: tuple[Slots, Columns], dress: Dress) -> None:
    with TemporaryDirectory() as folder:
        assert_read(*case, dress, Path(folder) / ("export.xlsx" if dress.workbook else "export.csv"))


@given(case=reports(), dress=austrian, most=st.integers(0, 8).map(lambda slots: 900 * slots))
def test_what_is_filled_is_told_from_what_was_read(case: tuple[Slots, Columns], dress: Dress, most: int) -> None:
    slots, columns = case
    with TemporaryDirectory() as folder:
        path = write(
            Path(folder) / f"report.{'xlsx' if dress.workbook else 'csv'}", dressed(columns, slots, dress), dress
        )
        before = read_all([path], 900, VIENNA)
        assert before.slots == slots
        after = filled(before, "interpolate", most)
        write_filled(after, Path(folder) / "filled.csv")
        again = read_reports([Path(folder) / "filled.csv"], slots, VIENNA)
    for quantity, old in before.energy.items():
        new, read = after.energy[quantity], again.energy[quantity]
        added = new.there & ~old.there
        assert ((new.quality == Quality.FILLED) == added).all()
        assert (new.mwh[old.there] == old.mwh[old.there]).all()
        assert (new.wh[old.there] == old.wh[old.there]).all()
        assert (np.abs(1000 * new.wh - new.mwh) < 1000).all()
        if quantity not in ("import", "export"):
            assert not added.any()
        assert (read.mwh == new.mwh).all()
        assert (read.there == new.there).all()
        assert (read.quality == new.quality).all()
    assert again.points == before.points
    assert all(
        gap.slots * 900 > most or gap.start == slots.start
        for gap in after.gaps()
        if gap.quantity in ("import", "export")
    )
