"""What a page says, in the cases that matter to who reads it."""

from __future__ import annotations

from dataclasses import replace

import bill_cases as cases
import pytest

from commonwatt.billing import words
from commonwatt.billing.lines import FED_IN, MEMBER_FEE, TAKEN, Amount, Key, MemberBill
from commonwatt.billing.sheet import Compared, Sheet
from commonwatt.community.billing import STATUSES, Party, Vat


def of(cents: int, party: Party) -> Sheet:
    """A page on which a member owes an amount, or receives it below 0."""
    key = Key("huber", MEMBER_FEE if cents > 0 else FED_IN, "")
    untaxed = replace(cases.BILLING, creditor=replace(cases.CREDITOR, vat=Vat()))
    return cases.sheet(
        cases.made(party, [(key, cases.OCTOBER, Amount(0, cents), False)], untaxed), party=party, billing=untaxed
    )


@pytest.mark.parametrize(
    ("sheet", "sentence"),
    [
        (
            of(332, cases.HUBER),
            "3.32 EUR will be collected from your account DE89 3704 0044 0532 0130 00 on 28 November 2026, by SEPA "
            "direct debit under your mandate M-2026-001 (creditor identifier AT61ZZZ01234567890).",
        ),
        (
            of(332, replace(cases.HUBER, mandate=None)),
            "Please pay 3.32 EUR by 28 November 2026 to IBAN AT61 1904 3002 3457 3201, BIC BKAUATWW, with the "
            "reference 2026-0001.",
        ),
        (
            of(-520, cases.HUBER),
            "You receive 5.20 EUR by 28 November 2026 on your account DE89 3704 0044 0532 0130 00.",
        ),
        (
            of(-520, replace(cases.HUBER, iban=None)),
            "You receive 5.20 EUR by 28 November 2026: please tell Energiegemeinschaft Lindenhof your IBAN.",
        ),
        (cases.sheet(MemberBill("huber", ())), "There is nothing to pay and nothing to receive."),
    ],
)
def test_the_sentence_that_matters_most(sheet: Sheet, sentence: str) -> None:
    assert words.balance(sheet) == sentence


def test_without_an_account_of_the_creditor_the_page_names_who_to_pay() -> None:
    sheet = of(332, cases.HUBER)
    bare = replace(sheet, billing=replace(sheet.billing, creditor=replace(cases.CREDITOR, iban=None)))
    assert words.balance(bare) == "Please pay 3.32 EUR to Energiegemeinschaft Lindenhof by 28 November 2026."


def test_two_documents_lead_to_the_balance_and_one_needs_no_sum() -> None:
    assert words.account(cases.sheet()) == (
        ("Invoice 2026-0001", "18.00"),
        ("Credit note 2026-0002", "−9.02"),
        ("To pay", "8.98 EUR"),
    )
    assert words.account(of(5, cases.HUBER)) == ()


def test_a_credit_note_is_told_from_its_issuers_side() -> None:
    sheet = cases.sheet()
    told = words.document(sheet, sheet.bill.documents[1])
    assert told.heading == "Credit note no. 2026-0002"
    assert told.facts == "14 November 2026, due 28 November 2026, from Jürgen Huber to Energiegemeinschaft Lindenhof"
    assert told.rows == (("To the community", cases.EXPORT, "100.250", "0.09", "9.02", "0.00", "9.02"),)
    assert told.sums == ("9.02", "0.00", "9.02")
    assert told.notes == (
        STATUSES["small business"],
        "Self-billing: Energiegemeinschaft Lindenhof makes this out for Jürgen Huber.",
    )


def test_a_correction_names_its_month_and_a_fee_has_no_energy() -> None:
    amounts = [
        (Key("huber", TAKEN, cases.IMPORT), cases.SEPTEMBER, Amount(-1250, -13, None), True),
        (Key("huber", MEMBER_FEE, ""), cases.OCTOBER, Amount(0, 200), False),
    ]
    sheet = cases.sheet(cases.made(cases.HUBER, amounts))
    told = words.document(sheet, sheet.bill.documents[0])
    assert told.rows == (
        (
            "From the community, September 2026, corrects 2026-0007",
            cases.IMPORT,
            "−1.250",
            "–",
            "−0.13",
            "−0.03",
            "−0.16",
        ),
        ("Membership fee", "–", "–", "–", "2.00", "0.40", "2.40"),
    )
    assert told.notes == ("What corrects a document is the difference to what that one, and those after it, said.",)
    assert words.head(sheet.bill.documents[0], "EUR")[4:] == ("Net EUR", "VAT 20 %", "Gross EUR")


def test_an_invoice_that_corrections_turned_says_who_owes() -> None:
    amounts = [(Key("huber", TAKEN, ""), cases.SEPTEMBER, Amount(-1000, -100), True)]
    sheet = cases.sheet(cases.made(cases.HUBER, amounts))
    assert words.document(sheet, sheet.bill.documents[0]).notes[0] == (
        "The sum is below zero: Energiegemeinschaft Lindenhof owes it to Jürgen Huber."
    )


@pytest.mark.parametrize(
    ("alone", "shared", "verdict"),
    [
        (20_000_000, 10_000_000, "With the community you are 1.02 EUR better off than alone."),
        (20_000_000, 15_000_000, "With the community you are 3.98 EUR worse off than alone."),
        (20_000_000, 11_020_000, "The community made no difference."),
    ],
)
def test_the_comparison_adds_this_bill_and_may_be_against_the_community(alone: int, shared: int, verdict: str) -> None:
    sheet = replace(cases.sheet(), compared=(Compared("utility: energy", alone, shared),))
    found = words.comparison(sheet)
    assert found is not None
    assert found.verdict == verdict
    assert [row[0] for row in found.rows] == ["Utility: energy", "This bill, without corrections", "In all"]
    assert words.comparison(replace(sheet, compared=())) is None


def test_the_comparison_leaves_corrections_of_other_months_out() -> None:
    amounts = [
        (Key("huber", TAKEN, ""), cases.OCTOBER, Amount(1000, 100), False),
        (Key("huber", TAKEN, ""), cases.SEPTEMBER, Amount(1000, 900), True),
    ]
    found = words.comparison(cases.sheet(cases.made(cases.HUBER, amounts)))
    assert found is not None
    assert found.rows[-2] == ("This bill, without corrections", "0.00", "1.20")


def test_readings() -> None:
    sheet = cases.sheet()
    assert words.readings(sheet) == "Readings: 2974 measured, 6 substituted."
    assert words.readings(replace(sheet, readings=())) == "There are no readings."


def test_energy_in_out_and_shared() -> None:
    assert words.energy(cases.sheet()) == (
        ("From the grid", "345.000", ""),
        ("of it shared", "124.000", "36 %"),
        ("To the grid", "34.200", ""),
        ("of it shared", "22.800", "67 %"),
    )
    assert words.energy(replace(cases.sheet(), days=()))[1] == ("of it shared", "0.000", "")


def test_a_member_whose_name_a_shell_would_split_is_quoted() -> None:
    sheet = replace(cases.sheet(), bill=MemberBill("a b", ()))
    assert words.check(sheet)[2][0] == "commonwatt show 'a b.json'"
    assert words.check(replace(sheet, file="_3.json"))[2] == (
        "commonwatt show _3.json",
        "commonwatt verify _3.json --ledger NODE --card CARD",
    )
