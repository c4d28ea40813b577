"""What is written in the form of an Austrian energy community is read back as it was, to the Wh."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from profiles import dear

from commonwatt.community.calendar import Slots, local_days
from commonwatt.data.reports import QUANTITIES, read_reports
from commonwatt.data.reports.form import FormColumn, write_form

VIENNA = "Europe/Vienna"
POINTS = ("AT0099900000000000000000000000001", "home-07", "Wohnung 3")
# The clocks go forward on the first, back on the second; an exchange may have begun at any time of the third.
DAYS = [local_days(date(2026, *day), 1, VIENNA, seconds) for day in ((3, 29), (10, 25)) for seconds in (900, 3600)]
DAYS.append(Slots(DAYS[-1].start + 15 * 3600, 8, 900))
values = st.one_of(st.none(), st.integers(0, 90_000), st.just(0))


@dear(3)
@given(st.data(), st.sampled_from(DAYS), st.lists(st.sampled_from(QUANTITIES), min_size=1, max_size=5, unique=True))
def test_what_is_written_is_read(data: st.DataObject, slots: Slots, quantities: list[str]) -> None:
    columns = []
    for point in POINTS:
        for quantity in quantities:
            given_ = data.draw(st.lists(values, min_size=slots.count, max_size=slots.count))
            wh = np.array([each or 0 for each in given_], dtype=np.int64)
            there = np.array([each is not None for each in given_])
            columns.append(FormColumn(point, "whoever", quantity, wh, there))  # type: ignore[arg-type]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "form.csv"
        write_form(path, columns, slots, ZoneInfo(VIENNA))
        report = read_reports([path], slots, VIENNA)
    assert report.points == POINTS
    assert all(not file.left_out for file in report.files)
    for column in columns:
        energy, place = report.energy[column.quantity], report.points.index(column.point)
        assert energy.wh[place].tolist() == column.wh.tolist()
        assert energy.there[place].tolist() == column.there.tolist()
