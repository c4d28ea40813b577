"""A page is read once and strictly, and what one reader cannot see the other cannot either."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from by_slot import as_before, by_day, verify_bill
from exchange_cases import exchange_of

from commonwatt.accounts.document import EXCERPT
from commonwatt.accounts.statements import Booked, lines_of, statement_of
from commonwatt.errors import CommonwattError, RecordError, VerificationError
from commonwatt.member.challenge import challenge
from commonwatt.member.document import read, read_whole, whole
from commonwatt.member.faults import Chain, proved
from commonwatt.member.page import Agreed, Page, ShownLine, revision_of
from commonwatt.member.trust import Pins
from commonwatt.member.verify import open_and_verify
from commonwatt.proof import Domain, hash_struct
from commonwatt.records import ZERO_HASH, Mandate, Post, Reading, Statement, Trade
from commonwatt.records.schema import as_json, from_json, to_bytes
from commonwatt.simulation.result import Result

Bill = dict[str, Any]
MEMBER, SLOT, PRICE = 3, 1_781_474_400, 200_000
MANDATE = Mandate(bytes(20), bytes(20), "", 300_000, 0, 100, 100, 0, 2**40, 0)
POST = Post(SLOT, 1, ZERO_HASH, ZERO_HASH, ZERO_HASH)


def page(settled: list[int]) -> Page:
    """A member that buys so much in each of its trades, all under its mandate."""
    reading, consent = Reading(bytes(20), SLOT, 10**6, 0, 1), hash_struct(MANDATE)
    trades = [Trade(SLOT, 0, number, MEMBER, 1, 60, PRICE, consent, ZERO_HASH) for number in range(len(settled))]
    booked = [Booked(trade, hash_struct(trade), energy) for trade, energy in zip(trades, settled, strict=True)]
    lines, shown, before = lines_of(MEMBER, booked), list[ShownLine](), (0, 0, 0)
    for number, (line, trade) in enumerate(zip(lines, trades, strict=True)):
        sums = line.bought, line.sold, line.money
        added = (sums[0] - before[0], sums[1] - before[1], sums[2] - before[2])
        shown.append(ShownLine(line, number, added, trade, MANDATE))
        before = sums
    agreed = tuple(Agreed(each.trade, each.hash, each.settled, 0, None) for each in booked)
    statement = statement_of(lines, hash_struct(reading), ZERO_HASH)
    return Page(POST, MEMBER, MANDATE, statement, (), tuple(shown), agreed, reading)


@pytest.mark.parametrize(
    ("settled", "found"),
    [([60, 40], []), ([60, 41], ["challengeMandateFill"]), ([60, 0, 41], ["challengeMandateFill"]), ([0, 0, 0], [])],
)
def test_a_trade_of_nothing_does_not_divide_what_a_mandate_allows(settled: list[int], found: list[str]) -> None:
    chain = Chain(Domain(1, bytes(20)), None, b"", before=None)
    assert [fault.function for fault in proved(page(settled), chain, {})] == found


@pytest.mark.parametrize(
    "given",
    [None, [], "x", {}, {"meter": 1}, as_json(MANDATE), {**as_json(Reading(bytes(20), 0, 0, 0, 0)), "more": 1}],
    ids=repr,
)
def test_a_record_has_its_fields_and_no_others(given: Any) -> None:
    with pytest.raises(
        RecordError, match="The record Reading has exactly these fields: meter, slot, whIn, whOut, sequence"
    ):
        from_json(Reading, given)


@pytest.mark.parametrize(
    "given", [None, 1, "", "0x", "0x0", "0X00", "0x0G", "0xAB", "0x00\n", "００", ["0x00"], "0x0000"]
)
def test_bytes_have_one_form(given: Any) -> None:
    assert to_bytes("0xab", 1) == b"\xab"
    with pytest.raises(RecordError, match="is not 0x and 2 digits"):
        to_bytes(given, 1)


def test_every_record_is_read_as_it_was_written() -> None:
    for record in (MANDATE, Reading(b"\x01" * 20, 1, 2, 3, 4), Post(1, 2, b"a" * 32, b"b" * 32, b"c" * 32)):
        assert from_json(type(record), json.loads(json.dumps(as_json(record)))) == record


@pytest.mark.parametrize(
    ("bought", "sold", "right"), [(900, 80, True), (901, 80, False), (900, 81, False), (0, 0, True)]
)
def test_registers_are_compared_apart(bought: int, sold: int, right: bool) -> None:
    """A home that draws and feeds in within a slot buys what the one register counted, and sells what the other did."""
    reading = Reading(bytes(20), SLOT, 900, 80, 1)
    statement = Statement(bought, sold, 0, hash_struct(reading), ZERO_HASH, ZERO_HASH)
    shown = Page(POST, MEMBER, MANDATE, statement, (), (), (), reading)
    chain = Chain(Domain(1, bytes(20)), None, b"", before=None, by_registers=True)
    says = [fault.says for fault in proved(shown, chain, {}) if fault.function == "challengeDelivery"]
    told = f"Slot {SLOT}: {bought} Wh bought and {sold} Wh sold, and the registers counted 900 Wh and 80 Wh"
    assert says == ([] if right else [told])


def test_a_home_by_registers_may_trade_both_ways() -> None:
    """What it sells while its meter draws more is a fault by net alone."""
    reading, consent = Reading(bytes(20), SLOT, 900, 80, 1), hash_struct(MANDATE)
    trade = Trade(SLOT, 0, 0, 1, MEMBER, 60, PRICE, ZERO_HASH, consent)
    (line,) = lines_of(MEMBER, [Booked(trade, hash_struct(trade), 60)])
    statement = statement_of([line], hash_struct(reading), ZERO_HASH)
    own = ShownLine(line, 0, (0, 60, line.money), trade, MANDATE)
    shown = Page(POST, MEMBER, MANDATE, statement, (), (own,), (), reading)
    for by_registers, found in ((True, []), (False, ["challengeDirection", "challengeDelivery"])):
        chain = Chain(Domain(1, bytes(20)), None, b"", before=None, by_registers=by_registers)
        assert [fault.function for fault in proved(shown, chain, {})] == found


@pytest.mark.parametrize("sells", [False, True])
def test_a_home_whose_meter_counted_as_much_in_as_out_trades_nothing(sells: bool) -> None:
    reading, consent, ends = Reading(bytes(20), SLOT, 700, 700, 1), hash_struct(MANDATE), (MEMBER, 1)
    buyer, seller = ends[::-1] if sells else ends
    trade = Trade(SLOT, 0, 0, buyer, seller, 60, PRICE, consent, consent)
    (line,) = lines_of(MEMBER, [Booked(trade, hash_struct(trade), 1)])
    own = ShownLine(line, 0, (line.bought, line.sold, line.money), trade, MANDATE)
    shown = Page(POST, MEMBER, MANDATE, statement_of([line], hash_struct(reading), ZERO_HASH), (), (own,), (), reading)
    found = proved(shown, Chain(Domain(1, bytes(20)), None, b"", before=None), {})
    assert [fault.function for fault in found] == ["challengeDirection", "challengeDelivery"]
    assert found[0].says == f"Slot {SLOT}: a home {'sells' if sells else 'buys'}, and its meter counted 0 Wh"


def test_the_revision_that_a_proof_names_is_a_number_of_one() -> None:
    proof: dict[str, Any] = dict.fromkeys(("salt", "siblings", "committed", "orders", "stated"))
    assert revision_of({**proof, "revision": 7}) == 7
    for wrong, sentence in (
        (-1, "is no number of one"),
        (2**32, "is no number of one"),
        (True, "a whole number is missing"),
        (None, "a whole number is missing"),
        ("0", "a whole number is missing"),
    ):
        with pytest.raises(VerificationError, match=sentence):
            revision_of({**proof, "revision": wrong})
    others: list[Any] = [{**proof}, {**proof, "revision": 0, "post": {}}, None, [], 7]
    for other in others:
        with pytest.raises(VerificationError, match="the proof is not a table of revision, salt, siblings"):
            revision_of(other)


# Documents


def _more(*path: str | int) -> Callable[[Bill], None]:
    def change(bill: Bill) -> None:
        holder: Any = bill
        for step in path:
            holder = holder[step]
        holder["total "] = 1

    return change


@pytest.mark.parametrize(
    "path",
    [
        (), ("anchor",), ("content",), ("content", "ledger"), ("content", "member"), ("content", "mandate"),
        ("content", "period"), ("content", "tariff"), ("content", "tariff", "vat"), ("content", "tariff", "levies", 0),
        ("content", "slots", 0), ("content", "slots", 0, "prices"), ("content", "slots", 0, "grid"),
        ("content", "slots", 0, "reading"), ("proofs",),
    ],
    ids=lambda path: ".".join(map(str, path)) or "document",
)  # fmt: skip
def test_nothing_stands_in_a_bill_that_nobody_reads(
    bills: list[Bill], path: tuple[str | int, ...], run: Result
) -> None:
    """As bills were before there were sheets."""
    assert exchange_of(run).outbox
    bill = as_before(copy.deepcopy(bills[1]))
    _more(*path)(bill)
    with pytest.raises(VerificationError):
        verify_bill(bill, exchange_of(run).client)
    if path[:1] != ("proofs",) and path not in ((("content", "mandate")), ("content", "slots", 0, "reading")):
        with pytest.raises(VerificationError, match="is not a table of"):
            whole(bill)


SHEET = ("days", 0, "sheet")


@pytest.mark.parametrize(
    "path",
    [
        (), ("anchor",), ("content",), ("content", "ledger"), ("content", "member"), ("content", "period"),
        ("content", "tariff"), ("content", "sheets", 0), ("content", "sheets", 0, "sums"),
        ("content", "sheets", 0, "sums", "alone"), ("days", 0), SHEET, (*SHEET, "ledger"), (*SHEET, "member"),
        (*SHEET, "period"), (*SHEET, "tariff"), (*SHEET, "tariff", "vat"), (*SHEET, "sums"), (*SHEET, "slots", 0),
        (*SHEET, "slots", 0, "prices"), (*SHEET, "slots", 0, "grid"),
    ],
    ids=lambda path: ".".join(map(str, path)) or "document",
)  # fmt: skip
def test_nothing_stands_in_a_bill_of_sheets_that_nobody_reads(bills: list[Bill], path: tuple[str | int, ...]) -> None:
    bill = by_day(copy.deepcopy(bills[1]))
    whole(bill)
    _more(*path)(bill)
    with pytest.raises(VerificationError, match="is not a table of"):
        whole(bill)


def _twice(text: str) -> str:
    return text.replace('"total": ', '"total": 1, "total": ', 1)


def _total_first(text: str) -> str:
    return text.replace('"withoutMarket"', '"total": 1, "withoutMarket"', 1)


def _in_proofs(text: str) -> str:
    return text.replace('"salt": ', '"salt": 7, "salt": ', 1)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_twice, "'total' stands there twice"),
        (_total_first, "'total' stands there twice"),
        (_in_proofs, "'salt' stands there twice"),
        (lambda text: text.replace('"currency": "EUR"', '"currency": "VND", "currency": "EUR"'), "'currency' stands"),
        (lambda text: text.replace('"total": ', '"total": 0.0, "x": ', 1), "0.0 is no whole number"),
        (lambda text: text.replace('"total": ', '"total": NaN, "x": ', 1), "NaN is no number"),
        (lambda text: text.replace('"total": ', f'"total": {"9" * 99}, "x": ', 1), "more than 78 digits"),
        (lambda text: text[:-1] + ', "total": 1}', "the document is not a table of content, anchor, days"),
        (lambda text: text + text, "it is no JSON"),
        (lambda text: "[" * 99 + text, "nested more than 64 deep"),
        (lambda text: text.replace('"slot": ', '"slot": -', 1), "a slot's start is no time"),
        (lambda _: '{"content": {}}', "the format is none of"),
        (lambda _: '{"sheet": {}}', "the day is not a table"),
        (lambda _: "", "it is empty"),
    ],
)
def test_a_file_that_two_readers_would_read_differently_proves_nothing(
    finished: Path, tmp_path: Path, change: Callable[[str], str], sentence: str
) -> None:
    honest, file = (finished / "bills" / "1.json").read_text("utf-8").strip(), tmp_path / "changed.json"
    file.write_text(change(honest), "utf-8")
    assert file.read_text("utf-8") != honest
    ledger = str(finished / "ledger.sqlite")
    for look in (lambda: open_and_verify(file, [ledger]), lambda: challenge([file], ledger, Pins())):
        with pytest.raises(VerificationError, match=sentence) as caught:
            look()
        assert len(str(caught.value)) < 600


def test_a_bill_with_a_mark_at_its_beginning_is_a_bill(finished: Path, tmp_path: Path) -> None:
    honest, file = (finished / "bills" / "1.json").read_bytes(), tmp_path / "marked.json"
    file.write_bytes(b"\xef\xbb\xbf" + honest)
    assert read_whole(file) == json.loads(honest)


def test_an_excerpt_is_no_bill(finished: Path, tmp_path: Path) -> None:
    bill = read(finished / "bills" / "1.json")
    content = {name: bill["content"][name] for name in ("format", "ledger", "member", "mandate", "slots")}
    content["format"] = EXCERPT
    del content["member"]["id"]
    content["slots"] = [
        {name: line[name] for name in ("slot", "reading", "orders", "trades")} for line in content["slots"]
    ]
    file = tmp_path / "excerpt.json"
    file.write_text(json.dumps({"content": content, "proofs": bill["proofs"]}), "utf-8")
    with pytest.raises(CommonwattError, match="This is no bill: nothing of it is anchored"):
        open_and_verify(file, [str(finished / "ledger.sqlite")])


def _named(name: str) -> Callable[[Bill], None]:
    def change(bill: Bill) -> None:
        bill["content"]["format"] = name

    return change


def _without_anchor(bill: Bill) -> None:
    del bill["anchor"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_without_anchor, "it is a bill without its anchor"),
        (_named(EXCERPT), "it is an excerpt with an anchor"),
        *(
            (
                _named(f"commonwatt-{kind}/{number}"),
                f"its format is commonwatt-{kind}/{number}; the version of commonwatt",
            )
            for kind in ("bill", "slot")
            for number in (1, 2, 9)
        ),
        (_named("commonwatt-bill/x"), "the format is none of commonwatt-bill/4, commonwatt-slot/3"),
        (_named("x" * 9999), "the format is none of commonwatt-bill/4, commonwatt-slot/3"),
        (lambda bill: bill.update(content=[]), "the format is none of commonwatt-bill/4, commonwatt-slot/3"),
        (lambda bill: bill["content"].update(format={}), "the format is none of commonwatt-bill/4, commonwatt-slot/3"),
    ],
)
def test_a_document_of_another_format_is_refused_in_a_sentence(
    bills: list[Bill], change: Callable[[Bill], None], sentence: str
) -> None:
    bill = copy.deepcopy(bills[1])
    change(bill)
    with pytest.raises(VerificationError, match=sentence) as caught:
        whole(bill)
    assert len(str(caught.value)) < 200
