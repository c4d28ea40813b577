"""How much of the past a simulation asks for: none where nothing is forecast, and else what there is."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from exchange_cases import AFTER, AHEAD, HEAD, MEMBERS, START, TARIFF, written

from commonwatt.errors import GapError
from commonwatt.report.findings import findings
from commonwatt.simulation.api import check, simulate
from commonwatt.units import IntArray

FIRST = datetime(2026, 6, 15)  # noqa: DTZ001  (local, as in the file)


def measured(folder: Path, market: str, begin: datetime, *, defaults: str = "", missing: range = range(0)) -> Path:
    """The small community, whose flat has measured itself from `begin` on."""
    hours = [hour for hour in range(24 * 30) if hour not in missing]
    rows = [f"{begin + timedelta(hours=hour):%Y-%m-%dT%H:%M},{2 + hour % 24}" for hour in hours]
    file = written(
        folder, (HEAD + TARIFF + market + MEMBERS).replace("[community]", '[community]\nprofiles = "mine.csv"')
        .replace('"simbench:H0-C", annual_kwh = 4000', '"flat"').replace("[defaults]", f"[defaults]\n{defaults}"),
    )  # fmt: skip
    (folder / "mine.csv").write_text("\n".join(["time,flat_kwh", *rows]) + "\n")
    return file


def traded(file: Path, days: int = 3) -> tuple[list[int], list[str], dict[str, IntArray]]:
    """What was agreed ahead on each day [Wh], what is said of the forecast, and all flows."""
    check(file, START, days)
    result = simulate(file, START, days, ledger="none")
    flows, said = result.arrays, [each for each in findings(result) if each.startswith("The forecast")]
    result.close()
    return flows["ahead"].clip(0).sum(axis=0).reshape(days, 24).sum(axis=1).tolist(), said, flows


@pytest.mark.parametrize(
    ("market", "defaults"),
    [(AFTER, ""), ("", ""), (AHEAD + AFTER, 'forecast = "perfect"')],
    ids=["after delivery", "no market", "perfect forecast"],
)
def test_where_nothing_is_forecast_the_file_begins_with_the_first_day(
    tmp_path: Path, market: str, defaults: str
) -> None:
    whole = traded(measured(tmp_path / "whole", market, FIRST - timedelta(days=12), defaults=defaults))
    short = traded(measured(tmp_path / "short", market, FIRST, defaults=defaults))
    assert short[:2] == whole[:2]
    assert short[1] == []
    assert bool(sum(short[0])) == ("fixed" in market)
    # The same hours of the same days were metered, so the same was settled.
    assert (short[2]["credit"] == whole[2]["credit"]).all()


def test_who_knows_what_will_happen_orders_what_it_will_need(tmp_path: Path) -> None:
    _, _, a = traded(measured(tmp_path, AHEAD, FIRST, defaults='forecast = "perfect"'))
    assert (a["ahead"].clip(0) <= a["net"].clip(0)).all()
    assert (a["ahead"].clip(max=0) >= a["net"].clip(max=0)).all()
    assert a["ahead"].any()


def test_the_first_days_rest_on_the_history_that_there_is_and_it_is_said(tmp_path: Path) -> None:
    ordered, said, _ = traded(measured(tmp_path / "none", AHEAD + AFTER, FIRST))
    assert ordered[0] == 0
    assert all(ordered[1:])
    assert said == [
        "The forecast: mine.csv begins with the period, and forecasts look back 8.5 days, so those of the first days "
        "rest on less. Where nothing was known, nothing was ordered ahead."
    ]
    ordered, said, _ = traded(measured(tmp_path / "some", AHEAD + AFTER, FIRST - timedelta(days=4)))
    assert all(ordered)
    assert "mine.csv begins 4.0 days before the period, and forecasts look back 8.5 days" in said[0]
    assert traded(measured(tmp_path / "all", AHEAD + AFTER, FIRST - timedelta(hours=205)))[1] == []


def test_a_gap_is_told_where_a_forecast_looks_and_nowhere_else(tmp_path: Path) -> None:
    begin, gap = FIRST - timedelta(days=14), range(24 * 10, 24 * 10 + 2)
    file = measured(tmp_path / "ahead", AHEAD, begin, missing=gap)
    for run in (check, simulate):
        with pytest.raises(GapError, match=r"lacks values for 2 of .* needs readings from 2026-06-06 11:00 on"):
            run(file, START, 1)
    after = measured(tmp_path / "after", AFTER, begin, missing=gap)
    assert traded(after)[1] == []
    late = measured(tmp_path / "late", AFTER, FIRST + timedelta(hours=3))
    with pytest.raises(GapError, match=r"lacks values for 3 of 24 slots, first at 2026-06-15 00:00 CEST; .* CEST\.$"):
        simulate(late, START, 1)


def test_a_gap_in_a_column_that_nobody_uses_stops_nothing(tmp_path: Path) -> None:
    alone = traded(measured(tmp_path / "alone", AHEAD + AFTER, FIRST - timedelta(days=12)))
    file = measured(tmp_path / "beside", AHEAD + AFTER, FIRST - timedelta(days=12))
    meters = tmp_path / "beside/mine.csv"
    head, *rows = meters.read_text().splitlines()
    # The attic is nobody's: it begins late, has gaps, and its last value is none that a meter could count.
    attic = ["" if place < 24 * 12 or place % 5 == 0 else "1" for place in range(len(rows))]
    earlier = f"{FIRST - timedelta(days=12, hours=1):%Y-%m-%dT%H:%M},,7"
    lines = [f"{row},{cell}" for row, cell in zip(rows, [*attic[:-1], "-1"], strict=True)]
    meters.write_text("\n".join([f"{head},attic_kwh", earlier, *lines]) + "\n")
    (tmp_path / "beside/shed.csv").write_text("time,shed_kwh\n2026-06-16T05:00,1\n2026-06-16T06:00,1\n")
    file.write_text(file.read_text().replace('"mine.csv"', '["mine.csv", "shed.csv"]'))
    beside = traded(file)
    assert beside[:2] == alone[:2]
    assert all((beside[2][name] == flow).all() for name, flow in alone[2].items())
