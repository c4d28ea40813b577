"""Payment orders for the creditor's bank: direct debits from members who owe, transfers to those who receive.

The forms are pain.008.001.08 and pain.001.001.09 of ISO 20022, as the European Payments Council's implementation
guidelines of 2023 narrow them: euro, the Latin letters of the SEPA character set, one shared payer of charges. Same
bills, same file, with the same message number, by which a bank refuses to carry it out twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from hashlib import sha256
from typing import Final
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from commonwatt.billing.latin import latin
from commonwatt.billing.lines import MemberBill, cents_text
from commonwatt.community.billing import Billing, Party

DEBITS: Final = "pain.008.001.08"
TRANSFERS: Final = "pain.001.001.09"
_EURO: Final = "EUR"
MOST: Final = 99_999_999_999
"""Largest amount of one payment [cents]."""
_REFERENCE, _NAME, _TEXT = 35, 70, 140
"""Room for letters in references, names and remittance texts."""


@dataclass(frozen=True)
class Batch:
    """A file for the bank.

    xml : its text, empty where nothing can be in it
    count, cents : payments in it and their sum
    left_out : a sentence for each member that is not in it, or one for all where no file can be written
    """

    xml: str
    count: int
    cents: int
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class _Payment:
    """A member's.

    cents : > 0; reference : end to end; text : for the member's account statement
    made : day of its bill; due : when it is carried out
    """

    party: Party
    cents: int
    reference: str
    text: str
    made: date
    due: date


def direct_debits(bills: Sequence[MemberBill], billing: Billing, currency: str) -> Batch:
    """Collect from every member who owes on the day it is due, by its mandate. Bills of 0 are told here."""
    found = _batch(DEBITS, [bill for bill in bills if bill.total > 0], billing, currency)
    none = [f"{bill.member} has nothing to pay and nothing to receive." for bill in bills if not bill.total]
    return replace(found, left_out=(*found.left_out, *none))


def transfers(bills: Sequence[MemberBill], billing: Billing, currency: str) -> Batch:
    """Pay every member who receives, on the day it is due."""
    return _batch(TRANSFERS, [bill for bill in bills if bill.total < 0], billing, currency)


def obstacle_to_debit(party: Party, billing: Billing, currency: str) -> str:
    """Why nothing is collected from a member, as the end of a sentence that begins with it; empty where it can be."""
    if obstacle := _obstacle(DEBITS, billing, currency):
        return f"cannot be debited: {obstacle}"
    if party.iban is None:
        return "has no iban"
    if party.mandate is None or party.mandate_date is None:
        return "has no mandate" if party.mandate is None else "has no mandate_date"
    return ""


def _obstacle(form: str, billing: Billing, currency: str) -> str:
    """What keeps the whole file from being written, as a sentence."""
    if currency != _EURO:
        return f"SEPA carries euro alone, and the community's money is {currency}."
    if billing.creditor.iban is None:
        return "[billing] has no iban, the account of the creditor."
    if form == DEBITS and billing.creditor_id is None:
        return "[billing] has no creditor_id, without which no bank collects by direct debit."
    return ""


def _batch(form: str, owed: Sequence[MemberBill], billing: Billing, currency: str) -> Batch:
    """Every payment that can be made, and why the others cannot."""
    if owed and (obstacle := _obstacle(form, billing, currency)):
        kind = "direct debits" if form == DEBITS else "transfers"
        return Batch("", 0, 0, (f"No file of {kind} is written: {obstacle}",))
    payments, left_out = [], []
    for bill in owed:
        party = bill.party
        if form == DEBITS:
            reason = obstacle_to_debit(party, billing, currency)
        else:
            reason = "has no iban" if party.iban is None else ""
        if not reason and abs(bill.total) > MOST:
            reason = f"has an amount above {cents_text(MOST, _EURO)}, the most that SEPA carries at once"
        if reason:
            amount = f"{cents_text(abs(bill.total), currency)} {currency}"
            left_out.append(f"{bill.member} {reason}, so that its {amount} are in no file for the bank.")
        else:
            payments.append(_payment(bill, billing))
    xml = _message(form, payments, billing) if payments else ""
    return Batch(xml, len(payments), _sum(payments), tuple(left_out))


def _payment(bill: MemberBill, billing: Billing) -> _Payment:
    numbers = [document.number for document in bill.documents]
    joined = "+".join(numbers)
    reference = _identifier(joined if len(joined) <= _REFERENCE else numbers[0])
    words = latin(f"{' '.join(numbers)} {billing.creditor.name}", _TEXT)
    latest = max(bill.documents, key=lambda document: document.due)
    return _Payment(bill.party, abs(bill.total), reference, words, latest.issued, latest.due)


def _message(form: str, payments: Sequence[_Payment], billing: Billing) -> str:
    """The whole file: a group for each day."""
    groups = sorted({payment.due for payment in payments})
    body = [
        (day, [_debit(each) if form == DEBITS else _transfer(each) for each in payments if each.due == day])
        for day in groups
    ]
    content = b"".join(ElementTree.tostring(each) for _, found in body for each in found)
    name = f"{'DD' if form == DEBITS else 'CT'}-{groups[0]:%Y%m%d}-{sha256(content).hexdigest()[:16]}"
    document = Element("Document", xmlns=f"urn:iso:std:iso:20022:tech:xsd:{form}")
    root = SubElement(document, "CstmrDrctDbtInitn" if form == DEBITS else "CstmrCdtTrfInitn")
    header = SubElement(root, "GrpHdr")
    _text(header, "MsgId", name)
    # The bank wants a time of making: a fixed one, so that the same bills make the same file.
    _text(header, "CreDtTm", f"{max(each.made for each in payments).isoformat()}T00:00:00")
    _sums(header, payments)
    _text(header, "InitgPty/Nm", latin(billing.creditor.name, _NAME))
    for place, (day, found) in enumerate(body, start=1):
        group = SubElement(root, "PmtInf")
        _text(group, "PmtInfId", f"{name}-{place}")
        _text(group, "PmtMtd", "DD" if form == DEBITS else "TRF")
        _text(group, "BtchBookg", "true")
        _sums(group, [each for each in payments if each.due == day])
        (_debit_terms if form == DEBITS else _transfer_terms)(group, day, billing)
        group.extend(found)
    ElementTree.indent(document)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(document, "unicode")}\n'


def _debit_terms(group: Element, day: date, billing: Billing) -> None:
    """On which day, by which scheme and to whom a group is collected."""
    _text(group, "PmtTpInf/SvcLvl/Cd", "SEPA")
    _text(group, "PmtTpInf/LclInstrm/Cd", "CORE")
    # Since 2016 the first collection of a mandate may be named recurrent as well.
    _text(group, "PmtTpInf/SeqTp", "RCUR")
    _text(group, "ReqdColltnDt", day.isoformat())
    _account(group, "Cdtr", billing.creditor)
    _text(group, "ChrgBr", "SLEV")
    _text(group, "CdtrSchmeId/Id/PrvtId/Othr/Id", billing.creditor_id or "")
    _text(group, "CdtrSchmeId/Id/PrvtId/Othr/SchmeNm/Prtry", "SEPA")


def _transfer_terms(group: Element, day: date, billing: Billing) -> None:
    """On which day and from whom a group is paid."""
    _text(group, "PmtTpInf/SvcLvl/Cd", "SEPA")
    _text(group, "ReqdExctnDt/Dt", day.isoformat())
    _account(group, "Dbtr", billing.creditor)
    _text(group, "ChrgBr", "SLEV")


def _debit(payment: _Payment) -> Element:
    found = Element("DrctDbtTxInf")
    _text(found, "PmtId/EndToEndId", payment.reference)
    _text(found, "InstdAmt", cents_text(payment.cents, _EURO)).set("Ccy", _EURO)
    _text(found, "DrctDbtTx/MndtRltdInf/MndtId", _identifier(payment.party.mandate or ""))
    _text(found, "DrctDbtTx/MndtRltdInf/DtOfSgntr", f"{payment.party.mandate_date}")
    _bank(found, "DbtrAgt", payment.party)
    _holder(found, "Dbtr", payment.party)
    _text(found, "RmtInf/Ustrd", payment.text)
    return found


def _transfer(payment: _Payment) -> Element:
    found = Element("CdtTrfTxInf")
    _text(found, "PmtId/EndToEndId", payment.reference)
    _text(found, "Amt/InstdAmt", cents_text(payment.cents, _EURO)).set("Ccy", _EURO)
    if payment.party.bic:
        _bank(found, "CdtrAgt", payment.party)
    _holder(found, "Cdtr", payment.party)
    _text(found, "RmtInf/Ustrd", payment.text)
    return found


def _account(parent: Element, role: str, party: Party) -> None:
    """A party, its account, and then its bank."""
    _holder(parent, role, party)
    _bank(parent, f"{role}Agt", party)


def _holder(parent: Element, role: str, party: Party) -> None:
    _text(parent, f"{role}/Nm", latin(party.name, _NAME))
    _text(parent, f"{role}Acct/Id/IBAN", party.iban or "")


def _bank(parent: Element, role: str, party: Party) -> None:
    if party.bic:
        _text(parent, f"{role}/FinInstnId/BICFI", party.bic)
    else:
        _text(parent, f"{role}/FinInstnId/Othr/Id", "NOTPROVIDED")


def _sums(parent: Element, payments: Sequence[_Payment]) -> None:
    _text(parent, "NbOfTxs", str(len(payments)))
    _text(parent, "CtrlSum", cents_text(_sum(payments), _EURO))


def _sum(payments: Iterable[_Payment]) -> int:
    return sum(payment.cents for payment in payments)


def _text(parent: Element, path: str, content: str) -> Element:
    """Write a leaf, within the elements of its path: those that stand there already, and new ones."""
    *within, leaf = path.split("/")
    for name in within:
        last = parent[-1] if len(parent) else None
        parent = last if last is not None and last.tag == name else SubElement(parent, name)
    found = SubElement(parent, leaf)
    found.text = content
    return found


def _identifier(text: str) -> str:
    return latin(text, _REFERENCE)
