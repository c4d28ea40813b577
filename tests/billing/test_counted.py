"""What a grid company is told of a month: by registers or on net, all is shared or residual, as the bills say."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from exchange_cases import short_days, written
from register_cases import EXPORTS, HEAD, IMPORTS, KEY, MEMBERS, SHARED, START, drawn_by_lot, meters

from commonwatt.billing.counted import counted
from commonwatt.data.reports import read_reports
from commonwatt.data.reports.form import write_form
from commonwatt.exchange.bills import proven
from commonwatt.member.document import slotwise
from commonwatt.simulation.api import simulate


@pytest.mark.parametrize("by", ["registers", "net"])
def test_all_of_it_is_shared_or_meets_the_utility_and_is_read_back(tmp_path: Path, by: str) -> None:
    values = drawn_by_lot(7)
    with short_days(8, 8):
        meters(tmp_path, values)
        text = HEAD + (SHARED if by == "registers" else "") + KEY + MEMBERS
        result = simulate(written(tmp_path, text), START, 1, ledger="none")
    contents = [slotwise(bill)["content"] for bill in proven(result.books, result.bills)]
    every = [each for content in contents for each in counted(content)]
    for content in contents:
        for direction in ("import", "export"):
            own = [each for each in counted(content) if each.direction == direction]
            assert sum(each.residual.sum() for each in own) == sum(day["sums"][direction] for day in content["sheets"])
    shared = {way: sum(each.shared.sum() for each in every if each.direction == way) for way in ("import", "export")}
    assert shared["import"] == shared["export"] > 0
    assert all(((each.shared >= 0) & (each.residual >= 0)).all() for each in every)
    if by == "registers":
        assert {each.point for each in every} == {*IMPORTS, *EXPORTS}
        registers = result.rules.registers
        assert registers
        told = {each.point: each.wh for each in every}
        for name, wh in zip(registers.names, result.books.shares["counted"], strict=True):
            assert np.array_equal(told[name], wh)
    else:
        assert {each.point for each in every} == {"anna", "ben", "cleo", "plant"}
    columns = [column for each in every for column in each.columns()]
    write_form(tmp_path / "form.csv", columns, result.period, ZoneInfo("Europe/Vienna"))
    report = read_reports([tmp_path / "form.csv"], result.period, "Europe/Vienna")
    for column in columns:
        read = report.energy[column.quantity]
        assert np.array_equal(read.wh[report.points.index(column.point)], column.wh)
    result.close()
