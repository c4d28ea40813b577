"""A page is read once and strictly, and what one reader cannot see the other cannot either."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from exchange_cases import exchange_of

from commonwatt.errors import CommonwattError, RecordError, VerificationError
from commonwatt.ledger.client.disputes import Leaf
from commonwatt.member.challenge import challenge
from commonwatt.member.document import read, whole
from commonwatt.member.faults import Chain, proved
from commonwatt.member.page import Agreed, Page, ShownLine, post_of
from commonwatt.member.trust import Pins
from commonwatt.member.verify import open_and_verify, verify_bill
from commonwatt.proof import Domain, hash_struct
from commonwatt.records import ZERO_HASH, Mandate, Post, Reading, Statement, Trade
from commonwatt.records.schema import as_json, from_json, to_bytes
from commonwatt.simulation.result import Result

Bill = dict[str, Any]
MEMBER, SLOT, PRICE = 3, 1_781_474_400, 200_000
MANDATE = Mandate(bytes(20), bytes(20), "", 300_000, 0, 100, 100, 0, 2**40, 0)


def page(settled: list[int]) -> Page:
    """A member that buys so much in each of its trades, all under its mandate."""
    reading = Reading(bytes(20), SLOT, 10**6, 0, 1)
    consent, lines, agreed = hash_struct(MANDATE), list[ShownLine](), list[Agreed]()
    wh = money = 0
    for number, energy in enumerate(settled):
        trade = Trade(SLOT, 0, number, MEMBER, 1, 60, PRICE, consent, ZERO_HASH)
        paid = energy * PRICE // 1000
        wh, money = wh + energy, money - paid
        statement = Statement(SLOT, 0, MEMBER, number, wh, money, hash_struct(trade), consent, hash_struct(reading))
        before = lines[-1].leaf if lines else None
        lines.append(ShownLine(Leaf(statement, number, ()), before, trade, MANDATE))
        agreed.append(Agreed(trade, hash_struct(trade), energy, paid, None))
    post = Post(SLOT, 1, ZERO_HASH, ZERO_HASH, ZERO_HASH, ZERO_HASH)
    behind = Leaf(Statement(SLOT, 0, MEMBER + 1, 0, 0, 0, ZERO_HASH, ZERO_HASH, ZERO_HASH), len(settled), ())
    leaves = (*(line.leaf for line in lines), behind)
    return Page(post, MEMBER, MANDATE, leaves, tuple(lines), tuple(agreed), reading)


@pytest.mark.parametrize(
    ("settled", "found"),
    [([60, 40], []), ([60, 41], ["challengeMandateFill"]), ([60, 0, 41], ["challengeMandateFill"]), ([0, 0, 0], [])],
)
def test_a_trade_of_nothing_does_not_divide_what_a_mandate_allows(settled: list[int], found: list[str]) -> None:
    chain = Chain(Domain(1, bytes(20)), None, b"")
    assert [fault.function for fault in proved(page(settled), chain, {})] == found


@pytest.mark.parametrize(
    "given",
    [None, [], "x", {}, {"meter": 1}, as_json(MANDATE), {**as_json(Reading(bytes(20), 0, 0, 0, 0)), "more": 1}],
    ids=repr,
)
def test_a_record_has_its_fields_and_no_others(given: Any) -> None:
    with pytest.raises(RecordError, match="A Reading has other fields"):
        from_json(Reading, given)


@pytest.mark.parametrize(
    "given", [None, 1, "", "0x", "0x0", "0X00", "0x0G", "0xAB", "0x00\n", "００", ["0x00"], "0x0000"]
)
def test_bytes_have_one_form(given: Any) -> None:
    assert to_bytes("0xab", 1) == b"\xab"
    with pytest.raises(RecordError, match="is not 0x and 2 digits"):
        to_bytes(given, 1)


def test_every_record_is_read_as_it_was_written() -> None:
    for record in (MANDATE, Reading(b"\x01" * 20, 1, 2, 3, 4), Post(1, 2, b"a" * 32, b"b" * 32, b"c" * 32, b"d" * 32)):
        assert from_json(type(record), json.loads(json.dumps(as_json(record)))) == record


def test_a_post_that_fits_no_field_is_none() -> None:
    proof = dict.fromkeys(("lines", "trades", "committed", "reading", "orders"))
    post = as_json(Post(SLOT, 0, ZERO_HASH, ZERO_HASH, ZERO_HASH, ZERO_HASH))
    assert post_of({**proof, "post": post}).slot == SLOT
    for change in ({"slot": -1}, {"slot": 2**64}, {"revision": True}, {"orders": 1}):
        with pytest.raises(RecordError):
            post_of({**proof, "post": {**post, **change}})
    with pytest.raises(VerificationError, match="the proof is not a table of"):
        post_of({**proof, "post": post, "total": 1})


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
    assert exchange_of(run).outbox
    bill = copy.deepcopy(bills[1])
    _more(*path)(bill)
    with pytest.raises(VerificationError):
        verify_bill(bill, exchange_of(run).client)
    if path[:1] != ("proofs",) and path not in ((("content", "mandate")), ("content", "slots", 0, "reading")):
        with pytest.raises(VerificationError, match="is not a table of"):
            whole(bill)


def _twice(text: str) -> str:
    return text.replace('"total": ', '"total": 1, "total": ', 1)


def _total_first(text: str) -> str:
    return text.replace('"withoutMarket"', '"total": 1, "withoutMarket"', 1)


def _in_proofs(text: str) -> str:
    return text.replace('"first": ', '"first": 7, "first": ', 1)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_twice, "'total' stands there twice"),
        (_total_first, "'total' stands there twice"),
        (_in_proofs, "'first' stands there twice"),
        (lambda text: text.replace('"currency": "EUR"', '"currency": "VND", "currency": "EUR"'), "'currency' stands"),
        (lambda text: text.replace('"total": ', '"total": 0.0, "x": ', 1), "0.0 is no whole number"),
        (lambda text: text.replace('"total": ', '"total": NaN, "x": ', 1), "NaN is no number"),
        (lambda text: text.replace('"total": ', f'"total": {"9" * 99}, "x": ', 1), "more than 78 digits"),
        (lambda text: text[:-1] + ', "total": 1}', "the document is not a table of content, anchor, proofs"),
        (lambda text: text + text, "it is no JSON"),
        (lambda text: "[" * 99 + text, "nested more than 64 deep"),
        (lambda text: text.replace('"slot": ', '"slot": -', 1), "a slot's start is no time"),
        (lambda _: '{"content": {}}', "the document is not a table"),
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
    assert read(file) == json.loads(honest)


def test_an_excerpt_is_no_bill(finished: Path, tmp_path: Path) -> None:
    bill = json.loads((finished / "bills" / "1.json").read_text("utf-8"))
    content = {name: bill["content"][name] for name in ("format", "ledger", "member", "mandate", "slots")}
    del content["member"]["id"]
    content["slots"] = [
        {name: line[name] for name in ("slot", "reading", "orders", "trades")} for line in content["slots"]
    ]
    file = tmp_path / "excerpt.json"
    file.write_text(json.dumps({"content": content, "proofs": bill["proofs"]}), "utf-8")
    with pytest.raises(CommonwattError, match="This is no bill: nothing of it is anchored"):
        open_and_verify(file, [str(finished / "ledger.sqlite")])
