"""From files to bills: who owes what, corrections on the next bill, and nothing from what was not understood."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from month_cases import (
    COMMUNITY,
    DECEMBER,
    IMPORTS,
    NOVEMBER,
    OCTOBER,
    October,
    community,
    counted,
    hours,
    settled,
    write_export,
)
from profiles import dear

from commonwatt.billing.archive import Archive
from commonwatt.billing.lines import FED_IN, TAKEN, Key
from commonwatt.billing.month import Month
from commonwatt.billing.run import Billed, understand
from commonwatt.billing.tables import charges_csv, totals
from commonwatt.errors import CommonwattError, ConfigError, DataError, StoreError
from commonwatt.units import IntArray

COLUMNS = {"net": "net", "VAT": "vat", "gross": "gross"}


def shares(billed: Billed) -> dict[str, dict[str, int]]:
    """Wh of local energy by member and kind of line."""
    found: dict[str, dict[str, int]] = {}
    for bill in billed.issued.bills:
        for line in bill.lines:
            if line.wh is not None:
                own = found.setdefault(bill.member, {})
                own[line.key.kind] = own.get(line.key.kind, 0) + line.wh
    return found


def by_the_law(values: dict[str, IntArray]) -> dict[str, float]:
    """Each register's month, quarter hour by quarter hour, reckoned without the package."""
    needed = sum(values[name] for name in IMPORTS)
    offered = values["B2"] + values["P2"]
    local = np.minimum(needed, offered)
    of = {name: needed if name in IMPORTS else offered for name in values}
    return {name: float((local * wh / np.maximum(of[name], 1)).sum()) for name, wh in values.items()}


def test_every_register_gets_what_the_law_gives_it(tmp_path: Path, october_by: October) -> None:
    values = counted(OCTOBER, 1)
    billed = october_by()
    due = by_the_law(values)
    lines = {line.key.point: line for bill in billed.issued.bills for line in bill.lines if line.wh is not None}
    assert {name: abs(lines[name].wh or 0) for name in due} == pytest.approx(due, abs=3)
    assert sum(lines[name].wh or 0 for name in IMPORTS) == sum(lines[name].wh or 0 for name in ("B2", "P2"))
    for line in lines.values():
        assert line.price == 110_700
        assert abs(line.net) == round((line.wh or 0) * 0.01107)


def test_one_bill_per_member_whatever_its_points(tmp_path: Path, october_by: October) -> None:
    billed = october_by()
    bills = {bill.member: bill for bill in billed.issued.bills}
    assert list(bills) == ["anna", "ben", "cleo", "plant"]
    assert [line.key for line in bills["cleo"].lines] == [
        Key("cleo", "local energy", "C1"),
        Key("cleo", "local energy", "C2"),
        Key("cleo", "member fee", ""),
        Key("cleo", "point fee", "C1"),
        Key("cleo", "point fee", "C2"),
    ]
    assert [document.title for document in bills["ben"].documents] == ["Invoice", "Credit note"]
    # The plant is a business: its credit note has VAT; the community is not, its invoice has none.
    invoice, credit = bills["plant"].documents
    assert (invoice.tax, credit.tax) == (0, -round(-credit.net * 0.2))
    numbers = [document.number for bill in billed.issued.bills for document in bill.documents]
    assert numbers == [f"2026-{number:04}" for number in range(1, 7)]


def test_a_resent_day_is_on_the_next_bill(tmp_path: Path, october_by: October) -> None:
    values = counted(OCTOBER, 1)
    first = october_by()
    day = slice(96, 120)
    values["A1"] = values["A1"].copy()
    values["A1"][day] += 200
    resent = [write_export(tmp_path / "b.csv", OCTOBER, {"A1": values["A1"]}, day)]
    again = settled(tmp_path, OCTOBER, resent)
    assert again.issued == first.issued
    assert not again.new
    assert {each.revision for each in again.revised} == {1}
    assert sum(int((each.credit[1] - each.credit[0]).sum()) for each in again.revised) == 0
    assert again.contents == first.contents
    assert again.sheets == first.sheets
    twice = settled(tmp_path, OCTOBER, resent)
    assert twice.revised == ()

    november = settled(tmp_path, NOVEMBER, [write_export(tmp_path / "c.csv", NOVEMBER, counted(NOVEMBER, 2))])
    carried = [line for bill in november.issued.bills for line in bill.lines if line.corrects]
    assert {line.month for line in carried} == {OCTOBER}
    due = by_the_law(values)
    billed_so_far = {
        name: sum(
            line.wh or 0
            for each in (first, november)
            for bill in each.issued.bills
            for line in bill.lines
            if (line.month, line.key.point) == (OCTOBER, name)
        )
        for name in due
    }
    assert billed_so_far == pytest.approx(due, abs=4)
    taken, fed = (sum(line.wh or 0 for line in carried if line.key.kind == kind) for kind in (TAKEN, FED_IN))
    assert taken == fed > 0
    # Once it is billed, it is not billed again.
    december = settled(tmp_path, DECEMBER, [write_export(tmp_path / "d.csv", DECEMBER, counted(DECEMBER, 3))])
    assert not [line for bill in december.issued.bills for line in bill.lines if line.corrects]


@dear(25)
@given(st.integers(0, 2**32), st.integers(1, 2000), st.integers(0, 700))
def test_what_members_pay_each_other_adds_up(seed: int, most: int, hour: int) -> None:
    with TemporaryDirectory() as folder:
        adds_up(Path(folder), seed, most, hour)


def adds_up(folder: Path, seed: int, most: int, hour: int) -> None:
    """Of October with a day that is sent again, and of November."""
    values = counted(OCTOBER, seed, most)
    text = COMMUNITY.replace('"0.1107"', f'"{0.07 + seed % 1000 / 10_000:.4f}"')
    first = settled(folder, OCTOBER, [write_export(folder / "a.csv", OCTOBER, values)], text)
    values["P2"] = values["P2"].copy()
    values["P2"][hour : hour + 24] = 0
    settled(
        folder, OCTOBER, [write_export(folder / "b.csv", OCTOBER, {"P2": values["P2"]}, slice(hour, hour + 24))], text
    )
    second = settled(folder, NOVEMBER, [write_export(folder / "c.csv", NOVEMBER, counted(NOVEMBER, seed, most))], text)
    for billed in (first, second):
        lines = [line for bill in billed.issued.bills for line in bill.lines]
        energy = [line for line in lines if line.wh is not None]
        taken, fed = (sum(line.wh or 0 for line in energy if line.key.kind == kind) for kind in (TAKEN, FED_IN))
        assert taken == fed
        # Each line is rounded by half a cent at most.
        assert abs(sum(line.net for line in energy)) <= len(energy) / 2
        sums = totals(billed.issued.bills)
        table = list(csv.DictReader(io.StringIO(charges_csv(billed.issued.bills, "EUR"))))
        written = {name: sum(round(float(row[name]) * 100) for row in table) for name in ("net", "VAT", "gross")}
        assert written["gross"] == sum(bill.total for bill in billed.issued.bills) == sums.invoices - sums.credit_notes
        assert written == {name: sum(getattr(line, of) for line in lines) for name, of in COLUMNS.items()}
        for bill in billed.issued.bills:
            assert bill.total == sum(document.gross for document in bill.documents)


def test_members_come_and_go_in_mid_month(tmp_path: Path) -> None:
    text = COMMUNITY.replace(
        'anna.points = [{ import = "A1" }]',
        'anna = { points = [{ import = "A1" }], periods = [{ until = 2026-10-10 }, { from = 2026-10-20 }] }',
    )
    values = counted(OCTOBER, 1)
    billed = settled(tmp_path, OCTOBER, [write_export(tmp_path / "a.csv", OCTOBER, values)], text)
    assert any("while anna is no member; it is left out" in note for note in billed.understood.notes)
    away = slice(10 * 24, 19 * 24)
    values["A1"] = values["A1"].copy()
    values["A1"][away] = 0
    due = by_the_law(values)
    assert shares(billed)["anna"]["local energy"] == pytest.approx(due["A1"], abs=3)
    assert shares(billed)["plant"]["local feed-in"] == pytest.approx(due["P2"], abs=3)


def test_who_has_left_gets_what_is_corrected_later(tmp_path: Path, october_by: October) -> None:
    values = counted(OCTOBER, 1)
    october_by()
    values["A1"] = values["A1"] // 2
    settled(tmp_path, OCTOBER, [write_export(tmp_path / "b.csv", OCTOBER, {"A1": values["A1"]})])
    gone = COMMUNITY.replace('anna.points = [{ import = "A1" }]\n', "")
    november = {name: wh for name, wh in counted(NOVEMBER, 2).items() if name != "A1"}
    billed = settled(tmp_path, NOVEMBER, [write_export(tmp_path / "c.csv", NOVEMBER, november)], gone)
    (anna,) = (bill for bill in billed.issued.bills if bill.member == "anna")
    assert [(line.month, line.corrects) for line in anna.lines] == [(OCTOBER, "2026-0001")]
    assert anna.total < 0


def test_the_file_of_a_settled_month_counts(tmp_path: Path, october_by: October) -> None:
    first = october_by()
    dearer = COMMUNITY.replace('"0.1107"', '"0.1500"')
    again = settled(tmp_path, OCTOBER, [], dearer)
    assert again.issued == first.issued
    assert again.revised == ()
    assert any("what changed since does not count" in note for note in again.understood.notes)


def test_a_killed_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = counted(OCTOBER, 1)
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    export = write_export(tmp_path / "a.csv", OCTOBER, values)
    whole = settled(tmp_path / "whole", OCTOBER, [export])

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("commonwatt.billing.archive.Shelf.issue", killed)
        with pytest.raises(Killed):
            settled(tmp_path / "cut", OCTOBER, [export])
    again = settled(tmp_path / "cut", OCTOBER, [export])
    assert again.issued == whole.issued
    assert len(Archive(tmp_path / "cut/books").shelf(OCTOBER).deliveries()) == 1


def test_files_that_the_books_cannot_keep_are_refused(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    rows = (f"{datetime.fromtimestamp(int(hour), UTC):%Y-%m-%dT%H:%MZ},0.2" for hour in hours(OCTOBER))
    (tmp_path / "prices.csv").write_text("\n".join(["time,price [EUR/kWh]", *rows]) + "\n")
    text = COMMUNITY.replace('retail = "0.2450"', 'retail = { file = "../prices.csv" }')
    files = [write_export(tmp_path / "a.csv", OCTOBER, counted(OCTOBER, 1))]
    told = "../prices.csv is not beside the community's file"
    refused(tmp_path / "below", OCTOBER, files, ConfigError, told, text)


def test_a_file_that_is_not_there_is_told(tmp_path: Path, october_by: October) -> None:
    october_by()
    refused(tmp_path, OCTOBER, [tmp_path / "none.csv"], DataError, "none.csv")


def test_books_of_another_community_are_refused(tmp_path: Path, october_by: October) -> None:
    october_by()
    text = COMMUNITY.replace('name = "Hill"', 'name = "Dale"')
    files = [write_export(tmp_path / "c.csv", NOVEMBER, counted(NOVEMBER, 2))]
    told = "is Dale, and the books in"
    refused(tmp_path, NOVEMBER, files, ConfigError, told, text)
    refused(tmp_path, OCTOBER, [], ConfigError, told, text)


def without(values: dict[str, IntArray]) -> dict[str, IntArray]:
    return {name: wh for name, wh in values.items() if name != "C2"}


def with_a_stranger(values: dict[str, IntArray]) -> dict[str, IntArray]:
    return {**values, "X9": values["A1"]}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (without, "No file has the import register of C2, a point of cleo."),
        (with_a_stranger, "counts metering point X9, which no member of Hill has; add it to the points of its member"),
    ],
)
def test_registers_that_do_not_fit_are_told(
    tmp_path: Path, change: Callable[[dict[str, IntArray]], dict[str, IntArray]], told: str
) -> None:
    files = [write_export(tmp_path / "a.csv", OCTOBER, change(counted(OCTOBER, 1)))]
    refused(tmp_path, OCTOBER, files, DataError, told)


def refused(
    folder: Path, month: Month, files: list[Path], error: type[CommonwattError], told: str, text: str = COMMUNITY
) -> None:
    """Nothing is kept of what is refused."""
    before = sorted(folder.rglob("books/**/*"))
    with pytest.raises(error) as raised:
        understand(community(folder, text), month, files, Archive(folder / "books"), None)
    assert told in str(raised.value)
    assert sorted(folder.rglob("books/**/*")) == before


def test_all_gaps_are_told_at_once(tmp_path: Path) -> None:
    values = counted(OCTOBER, 1)
    some = {name: wh for name, wh in values.items() if name not in ("A1", "P2")}
    part = {name: values[name] for name in ("A1", "P2")}
    files = [
        write_export(tmp_path / "a.csv", OCTOBER, some),
        write_export(tmp_path / "b.csv", OCTOBER, part, slice(0, 100)),
        write_export(tmp_path / "c.csv", OCTOBER, part, slice(103, None)),
    ]
    told = "2 gaps, left empty: 2026-10-05 04:00 CEST to 2026-10-05 07:00 CEST, 3 slots: A1 import, P2 export."
    refused(tmp_path, OCTOBER, files, DataError, told)


def test_a_column_of_nobody_in_which_nothing_is_counted_stops_nothing(tmp_path: Path) -> None:
    values = counted(OCTOBER, 1)
    export = write_export(tmp_path / "a.csv", OCTOBER, values)
    alone = settled(tmp_path, OCTOBER, [export])
    head, *rows = export.read_text().splitlines()
    beside = tmp_path / "beside"
    beside.mkdir()
    # Nothing of X9; and of A1, a point of a member, a quantity with gaps that the member does not have.
    lines = [f"{row};;{'' if place % 7 else '0,1'}" for place, row in enumerate(rows)]
    export.write_text("\n".join([f"{head};X9 import [kWh];A1 export [kWh]", *lines]) + "\n")
    assert settled(beside, OCTOBER, [export]).issued.bills == alone.issued.bills


def test_a_report_of_another_month(tmp_path: Path) -> None:
    files = [write_export(tmp_path / "a.csv", OCTOBER, counted(OCTOBER, 1))]
    refused(tmp_path, NOVEMBER, files, DataError, "a.csv")


def test_a_closed_year_stays_as_it_is(tmp_path: Path, october_by: October) -> None:
    values = counted(OCTOBER, 1)
    october_by()
    closed = COMMUNITY.replace('vat = "small business"', 'vat = "small business"\nclosed = 2026-12-31')
    files = [write_export(tmp_path / "b.csv", OCTOBER, {"A1": values["A1"] + 1})]
    refused(tmp_path, OCTOBER, files, DataError, "2026-10 is closed: [billing] closed = 2026-12-31", closed)
    # What was delivered before can be looked at all the same.
    assert settled(tmp_path, OCTOBER, [], closed).revised == ()


def test_nobody_to_bill(tmp_path: Path) -> None:
    file = [write_export(tmp_path / "a.csv", OCTOBER, counted(OCTOBER, 1))]
    start, rest = COMMUNITY.split("[billing]")
    refused(
        tmp_path, OCTOBER, file, ConfigError, "billing: is missing", start + "[members]" + rest.split("[members]")[1]
    )
    refused(tmp_path, OCTOBER, [], DataError, "There are no readings of 2026-10 yet")


def test_damaged_books_are_told(tmp_path: Path, october_by: October) -> None:
    october_by()
    issued = tmp_path / "books/2026-10/issued.json"
    issued.write_text(issued.read_text()[:-9])
    with pytest.raises(StoreError, match=r"issued\.json cannot be read"):
        settled(tmp_path, OCTOBER, [])
