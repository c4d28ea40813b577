"""Payment orders hold to the official schemas, whatever members are called, and lose no cent without saying so."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from importlib.resources import files
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import bill_cases as cases
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.billing.latin import latin
from commonwatt.billing.lines import FED_IN, TAKEN, Amount, Key, MemberBill
from commonwatt.billing.sepa import DEBITS, MOST, TRANSFERS, direct_debits, obstacle_to_debit, transfers
from commonwatt.community.billing import Billing, Party

if TYPE_CHECKING:
    from xmlschema import XMLSchema


@pytest.fixture(scope="module")
def schemas() -> dict[str, XMLSchema]:
    from xmlschema import XMLSchema

    return {form: XMLSchema(str(files("sepaxml").joinpath("schemas", f"{form}.xsd"))) for form in (DEBITS, TRANSFERS)}


def leaves(xml: str, name: str) -> list[str]:
    root = ElementTree.fromstring(xml)  # noqa: S314  (our own output)
    return [element.text or "" for element in root.iter() if element.tag.rpartition("}")[2] == name]


def owing(cents: int, member: str = "huber", party: Party = cases.HUBER) -> MemberBill:
    """A bill of one amount, without VAT; below 0 the member receives."""
    key = Key(member, TAKEN if cents > 0 else FED_IN, cases.IMPORT)
    untaxed = replace(cases.BILLING, creditor=replace(cases.CREDITOR, vat=cases.HUBER.vat))
    return cases.made(party, [(key, cases.OCTOBER, Amount(1000, cents, None), False)], untaxed)


def test_a_member_who_owes_is_debited_once_for_all_its_documents(schemas: dict[str, XMLSchema]) -> None:
    batch = direct_debits([cases.usual()], cases.BILLING, "EUR")
    schemas[DEBITS].validate(batch.xml)
    assert (batch.count, batch.cents, batch.left_out) == (1, 898, ())
    for name, value in (
        ("InstdAmt", "8.98"),
        ("EndToEndId", "2026-0001+2026-0002"),
        ("MndtId", "M-2026-001"),
        ("DtOfSgntr", "2026-09-01"),
        ("ReqdColltnDt", "2026-11-28"),
        ("Ustrd", "2026-0001 2026-0002 Energiegemeinschaft Lindenhof"),
    ):
        assert leaves(batch.xml, name) == [value]
    assert leaves(batch.xml, "IBAN") == [cases.AUSTRIAN, cases.GERMAN]
    assert leaves(batch.xml, "CtrlSum") == ["8.98", "8.98"]
    assert "AT61ZZZ01234567890" in leaves(batch.xml, "Id")
    assert "Juergen Huber" in leaves(batch.xml, "Nm")


def test_a_member_who_receives_is_paid_without_a_mandate(schemas: dict[str, XMLSchema]) -> None:
    batch = transfers([owing(-902, party=replace(cases.HUBER, mandate=None, bic="COBADEFFXXX"))], cases.BILLING, "EUR")
    schemas[TRANSFERS].validate(batch.xml)
    assert (batch.count, batch.cents, batch.left_out) == (1, 902, ())
    assert leaves(batch.xml, "InstdAmt") == ["9.02"]
    assert leaves(batch.xml, "IBAN") == [cases.AUSTRIAN, cases.GERMAN]
    assert leaves(batch.xml, "BICFI") == ["BKAUATWW", "COBADEFFXXX"]
    assert leaves(batch.xml, "Dt") == ["2026-11-28"]


def test_each_day_is_a_group_with_its_own_sum(schemas: dict[str, XMLSchema]) -> None:
    other = owing(250, "wagner")
    later = replace(other, documents=tuple(replace(each, due=date(2026, 12, 5)) for each in other.documents))
    batch = direct_debits([owing(100), later, owing(30, "gruber")], cases.BILLING, "EUR")
    schemas[DEBITS].validate(batch.xml)
    assert leaves(batch.xml, "CtrlSum") == ["3.80", "1.30", "2.50"]
    assert leaves(batch.xml, "NbOfTxs") == ["3", "2", "1"]
    assert leaves(batch.xml, "ReqdColltnDt") == ["2026-11-28", "2026-12-05"]


@pytest.mark.parametrize(
    ("party", "reason"),
    [
        (replace(cases.HUBER, iban=None), "huber has no iban, so that its 5.00 EUR are in no file for the bank."),
        (replace(cases.HUBER, mandate=None), "huber has no mandate, so that its 5.00 EUR are in no file for the bank."),
        (
            replace(cases.HUBER, mandate_date=None),
            "huber has no mandate_date, so that its 5.00 EUR are in no file for the bank.",
        ),
    ],
)
def test_who_cannot_be_debited_is_named_with_amount_and_reason(party: Party, reason: str) -> None:
    batch = direct_debits([owing(500, party=party)], cases.BILLING, "EUR")
    assert (batch.xml, batch.count, batch.left_out) == ("", 0, (reason,))


def test_nothing_to_pay_and_too_much_to_pay_are_told() -> None:
    nothing = cases.made(cases.HUBER, [(Key("huber", TAKEN, ""), cases.OCTOBER, Amount(0, 0), False)])
    assert direct_debits([nothing], cases.BILLING, "EUR").left_out == (
        "huber has nothing to pay and nothing to receive.",
    )
    assert transfers([nothing], cases.BILLING, "EUR").left_out == ()
    assert direct_debits([owing(MOST)], cases.BILLING, "EUR").count == 1
    assert "above 999999999.99" in direct_debits([owing(MOST + 1)], cases.BILLING, "EUR").left_out[0]


def test_a_member_without_documents_is_told_too() -> None:
    assert direct_debits([MemberBill("gruber", ())], cases.BILLING, "EUR").left_out == (
        "gruber has nothing to pay and nothing to receive.",
    )


def test_what_the_creditor_lacks_is_said_once() -> None:
    bills, bare = (
        [owing(500), owing(600, "wagner")],
        replace(cases.BILLING, creditor=replace(cases.CREDITOR, iban=None)),
    )
    assert direct_debits(bills, replace(cases.BILLING, creditor_id=None), "EUR").left_out == (
        "No file of direct debits is written: [billing] has no creditor_id, "
        "without which no bank collects by direct debit.",
    )
    assert transfers([owing(-5)], bare, "EUR").left_out == (
        "No file of transfers is written: [billing] has no iban, the account of the creditor.",
    )
    assert direct_debits(bills, cases.BILLING, "CHF").left_out == (
        "No file of direct debits is written: SEPA carries euro alone, and the community's money is CHF.",
    )


@given(cases.months())
def test_random_months_hold_to_the_schemas_and_every_cent_is_paid_or_told(
    schemas: dict[str, XMLSchema], month: tuple[list[MemberBill], Billing]
) -> None:
    bills, billing = month
    for form, make, sign in ((DEBITS, direct_debits, 1), (TRANSFERS, transfers, -1)):
        batch, again = make(bills, billing, "EUR"), make(bills, billing, "EUR")
        assert batch == again
        due = [bill for bill in bills if sign * bill.total > 0]
        if form == DEBITS:
            possible = [bill for bill in due if not obstacle_to_debit(bill.party, billing, "EUR")]
        else:
            possible = [bill for bill in due if bill.party.iban]
        assert batch.cents == sum(sign * bill.total for bill in possible)
        assert batch.count == len(possible)
        for bill in due:
            assert (bill in possible) != any(told.startswith(f"{bill.member} ") for told in batch.left_out)
        if batch.xml:
            schemas[form].validate(batch.xml)
            for name in ("Nm", "Ustrd", "EndToEndId", "MsgId", "PmtInfId"):
                for text in leaves(batch.xml, name):
                    assert re.fullmatch(r"[a-zA-Z0-9/\-?:().,'+ ]+", text)
                    assert "//" not in f"/{text}/"
            names = leaves(batch.xml, "EndToEndId")
            assert len(names) == len(set(names))


def test_other_bills_make_another_message_number() -> None:
    first, second = (direct_debits([owing(cents)], cases.BILLING, "EUR") for cents in (100, 101))
    assert leaves(first.xml, "MsgId") != leaves(second.xml, "MsgId")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Müller & Söhne", "Mueller + Soehne"),
        ("Ødegård", "Odegard"),
        ("Łódź Ştefan Čiž", "Lodz Stefan Ciz"),
        ("Þórður Æsir", "Thordur Aesir"),
        ("Straße", "Strasse"),
        ("Παπαδόπουλος", "Papadopoulos"),
        ("Петър Щерев", "Petar Shterev"),
        ("Ελλάς\u00a0ΑΕ", "Ellas AE"),
        ("//a//b//", "a/b"),
        ("/ /a / /", "a"),
        ("山田", ".."),
        ("ﬁ²½", "fi21.2"),
        ("", "."),
    ],
)
def test_names_in_the_letters_of_banks(text: str, written: str) -> None:
    assert latin(text, 70) == written


@given(st.text(max_size=200), st.integers(1, 140))
def test_any_text_can_be_written(text: str, longest: int) -> None:
    written = latin(text, longest)
    assert re.fullmatch(r"[a-zA-Z0-9/\-?:().,'+ ]+", written)
    assert len(written) <= longest
    assert "//" not in f"/{written}/"
    assert latin(written, longest) == written
