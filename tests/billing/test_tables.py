"""The month for accountants agrees with the bills to the cent, and runs nothing in a spreadsheet."""

from __future__ import annotations

import csv
from decimal import Decimal
from io import StringIO

import bill_cases as cases
from hypothesis import given

from commonwatt.billing.lines import FED_IN, TAKEN, MemberBill
from commonwatt.billing.tables import COLUMNS, charges_csv, totals
from commonwatt.community.billing import Billing


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(text)))


def cents(rows: list[dict[str, str]], column: str) -> int:
    return int(100 * sum((Decimal(row[column]) for row in rows), Decimal(0)))


def test_a_prosumers_month_as_a_table() -> None:
    assert charges_csv([cases.usual()], "EUR").splitlines() == [
        "member,point,line,kWh,price,net,VAT,gross,creditor,document,month",
        f"huber,{cases.IMPORT},local energy,120.118,0.104064,12.50,2.50,15.00,"
        "Energiegemeinschaft Lindenhof,2026-0001,2026-10",
        "huber,,member fee,,,2.00,0.40,2.40,Energiegemeinschaft Lindenhof,2026-0001,2026-10",
        f"huber,{cases.IMPORT},point fee,,,0.50,0.10,0.60,Energiegemeinschaft Lindenhof,2026-0001,2026-10",
        f"huber,{cases.EXPORT},local feed-in,100.250,0.09,-9.02,0.00,-9.02,Jürgen Huber,2026-0002,2026-10",
    ]


def test_a_correction_says_so_and_names_its_month() -> None:
    rows = read(charges_csv([cases.long(1)], "EUR"))
    assert [(row["line"], row["month"], row["kWh"], row["net"]) for row in rows[:2]] == [
        ("local energy", "2026-10", "10.000", "1.10"),
        ("local energy, correction", "2026-07", "-0.250", "-0.03"),
    ]


@given(cases.months())
def test_lines_bills_and_documents_agree_to_the_cent(month: tuple[list[MemberBill], Billing]) -> None:
    bills, billing = month
    rows, sums = read(charges_csv(bills, "EUR")), totals(bills)
    assert cents(rows, "gross") == sum(bill.total for bill in bills) == sums.invoices - sums.credit_notes
    assert cents(rows, "net") + cents(rows, "VAT") == cents(rows, "gross") == sums.balance
    for number in {row["document"] for row in rows}:
        paper = next(each for bill in bills for each in bill.documents if each.number == number)
        own = [row for row in rows if row["document"] == number]
        assert (cents(own, "net"), cents(own, "VAT"), cents(own, "gross")) == (paper.net, paper.tax, paper.gross)
    income = {(each.creditor, each.member): each.gross for each in sums.incomes}
    assert income.get((billing.creditor.name, ""), 0) == sums.invoices
    assert sum(gross for (_, member), gross in income.items() if member) == sums.credit_notes
    local = [row for row in rows if row["line"].removesuffix(", correction") in (TAKEN, FED_IN)]
    assert cents(local, "net") == sums.rounding


@given(cases.months())
def test_no_cell_is_a_formula_and_every_one_can_be_read_back(month: tuple[list[MemberBill], Billing]) -> None:
    bills, _ = month
    rows = read(charges_csv(bills, "EUR"))
    lines = [line for bill in bills for line in bill.lines]
    for row, line in zip(rows, lines, strict=True):
        assert tuple(row) == COLUMNS
        for column in ("member", "point", "creditor", "document"):
            assert not row[column].startswith(("=", "+", "-", "@"))
        assert row["point"].removeprefix("'") == line.key.point.removeprefix("'")
        assert row["creditor"].removeprefix("'") == line.creditor.removeprefix("'")
        assert len(row["gross"].partition(".")[2]) == 2
        assert row["kWh"] == "" if line.wh is None else len(row["kWh"].partition(".")[2]) == 3


def test_a_month_without_bills_has_a_head_and_sums_of_nothing() -> None:
    assert charges_csv([], "EUR") == ",".join(COLUMNS) + "\n"
    assert (totals([]).balance, totals([]).rounding, totals([]).incomes) == (0, 0, ())
