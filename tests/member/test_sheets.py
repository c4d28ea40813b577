"""Bills of sheets over a midnight: swapped, left out, added up wrongly, packed, without what they name, and alone."""

from __future__ import annotations

import copy
import gzip
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from by_slot import Bill, by_slot
from dishonest import anchor
from exchange_cases import begin, exchange_of, homes_of, short_days
from false_sheets import ALONE, DAYS, FORGED, ROOF
from shell import Shell

from commonwatt.accounts.document import FORMAT, anchored, content_hash, hex_text
from commonwatt.errors import CommonwattError, VerificationError
from commonwatt.exchange.bills import bills, proven
from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.member import document
from commonwatt.member.beside import bills_near, card_beside
from commonwatt.member.document import read, whole
from commonwatt.member.summary import summary
from commonwatt.member.terms import Terms
from commonwatt.member.verify import open_and_verify, verify_bill
from commonwatt.simulation.result import Result

Open = Callable[[list[Bill]], LedgerClient]


@dataclass(frozen=True)
class Evening:
    """Twelve slots from 15 o'clock on, whose bills nobody anchored. ledger : the chain's file"""

    bills: list[Bill]
    totals: list[int]
    run: Any
    ledger: Path


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory) -> Evening:
    folder = tmp_path_factory.mktemp("evening")
    with short_days(first=15, slots=12):
        simulation = begin(folder, days=2)
    while simulation.advance():
        pass
    exchange = exchange_of(simulation)
    exchange.outbox.finalise_due()
    found = list(proven(exchange.books, anchored(bills(exchange.books))))
    result = Result(exchange, homes_of(simulation), simulation.close)
    totals = result.charges.total.tolist()
    simulation.close()
    return Evening(json.loads(json.dumps(found)), totals, result, folder / "out" / "ledger.sqlite")


@pytest.fixture
def told(evening: Evening, tmp_path: Path) -> Iterator[Open]:
    """Anchors the contents of bills, and puts their anchors into them."""
    shutil.copy(evening.ledger, tmp_path / "ledger.sqlite")
    honest = evening.run.exchange.client
    operator = evening.run.simulated.keys.operator
    with EmbeddedChain(tmp_path / "ledger.sqlite") as chain:
        client = LedgerClient(chain, operator, honest.addresses)

        def telling(given: list[Bill]) -> LedgerClient:
            for bill, own in zip(given, anchor(client, operator, [bill["content"] for bill in given]), strict=True):
                bill["anchor"] = own
            return client

        yield telling


@pytest.fixture
def own(evening: Evening) -> list[Bill]:
    return copy.deepcopy(evening.bills)


def test_a_bill_over_midnight_has_a_sheet_for_each_day_and_verifies(
    evening: Evening, own: list[Bill], told: Open
) -> None:
    client = told(own)
    for bill, total in zip(own, evening.totals, strict=True):
        content = bill["content"]
        assert content["format"] == FORMAT
        assert [sheet["day"] for sheet in content["sheets"]] == DAYS
        assert [len(day["sheet"]["slots"]) for day in bill["days"]] == [9, 3]
        assert [sheet["hash"] for sheet in content["sheets"]] == [
            hex_text(content_hash(day["sheet"])) for day in bill["days"]
        ]
        found = verify_bill(bill, client)
        assert (found.total, found.slots, found.unseen, found.day) == (total, 12, 0, "")
        Terms(evening.run.community, Path()).check(by_slot(bill)["content"])


def test_a_bill_without_its_sheets_says_what_was_not_looked_at(evening: Evening, own: list[Bill], told: Open) -> None:
    client = told(own)
    for bill, total in zip(own, evening.totals, strict=True):
        del bill["days"]
        found = verify_bill(bill, client)
        assert (found.total, found.slots, found.lines, found.unseen) == (total, 0, 0, 2)
        Terms(evening.run.community, Path()).check(document.slotwise(bill)["content"])
    own[ROOF]["content"]["sheets"][0]["sums"]["energy"] += 1
    with pytest.raises(VerificationError, match="is not what was anchored"):
        verify_bill(own[ROOF], client)


def test_a_sheet_verifies_before_there_is_any_bill(evening: Evening, own: list[Bill], told: Open) -> None:
    elsewhere = told([{"content": {**bill["content"], "total": 0}} for bill in own])
    for bill in own:
        for number, day in enumerate(bill["days"]):
            found = verify_bill(day, elsewhere)
            assert (found.day, found.total, found.slots) == (DAYS[number], None, [9, 3][number])


@pytest.mark.parametrize("name", FORGED)
def test_false_sheets_are_found_out_even_when_operators_anchor_the_bill(own: list[Bill], told: Open, name: str) -> None:
    change, sentence = FORGED[name]
    change(own)
    client = told(own)
    with pytest.raises(VerificationError, match=sentence) as caught:
        verify_bill(own[ROOF], client)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a day left out", "a day twice", "another charge", "another total"])
def test_some_of_it_is_found_out_without_the_sheets(own: list[Bill], told: Open, name: str) -> None:
    change, sentence = FORGED[name]
    change(own)
    client = told(own)
    with pytest.raises(VerificationError, match=sentence):
        verify_bill({part: said for part, said in own[ROOF].items() if part != "days"}, client)


@pytest.mark.parametrize("name", ALONE)
def test_a_false_sheet_alone_is_refused(evening: Evening, own: list[Bill], told: Open, name: str) -> None:
    change, sentence = ALONE[name]
    client = told(own)
    day = copy.deepcopy(own[ROOF]["days"][0])
    change(day)
    with pytest.raises(VerificationError, match=sentence):
        verify_bill(day, client)


# Files


@pytest.fixture
def files(own: list[Bill], told: Open, tmp_path: Path) -> Path:
    """A folder with the chain's file, in which the bills are anchored, and bills/roof.json."""
    client = told(own)
    client.node.close()  # type: ignore[attr-defined]
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / "roof.json").write_text(json.dumps(own[ROOF]), "utf-8")
    return tmp_path


@pytest.mark.parametrize("name", ["roof.json.gz", "roof.bill"])
def test_a_packed_bill_is_a_bill_whatever_its_name(files: Path, name: str) -> None:
    plain, packed = files / "bills" / "roof.json", files / "bills" / name
    text = plain.read_bytes()
    # In several parts behind each other, as gzip allows.
    packed.write_bytes(gzip.compress(text[:5000]) + gzip.compress(text[5000:]))
    assert read(packed) == read(plain)
    assert summary(packed) == summary(plain)
    assert open_and_verify(packed, [str(files / "ledger.sqlite")])[0].slots == 12


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda packed: packed[:-300], "it is packed, and breaks off or is damaged"),
        (lambda packed: packed[:3000] + b"\x00\xff" * 50 + packed[3100:], "it is packed, and breaks off or is damaged"),
        (lambda packed: packed[:2], "it is packed, and breaks off or is damaged"),
        (lambda _: gzip.compress(b"[" * 10**6), "unpacked more than 64 times as long"),
        (lambda _: gzip.compress(gzip.compress(b"{}")), "is no bill and no excerpt"),
        (lambda _: gzip.compress(b"7"), "is no bill and no excerpt"),
    ],
)
def test_what_is_packed_and_no_bill_is_said_so(files: Path, change: Callable[[bytes], bytes], sentence: str) -> None:
    file = files / "bills" / "roof.json.gz"
    file.write_bytes(change(gzip.compress((files / "bills" / "roof.json").read_bytes())))
    for look in (lambda: open_and_verify(file, [str(files / "ledger.sqlite")]), lambda: summary(file)):
        with pytest.raises(VerificationError, match=sentence):
            look()


def test_what_lies_beside_a_packed_bill_is_found(files: Path, said: Shell) -> None:
    packed, card = files / "bills" / "roof.json.gz", files / "cards" / "roof.json"
    packed.write_bytes(gzip.compress((files / "bills" / "roof.json").read_bytes()))
    card.parent.mkdir()
    card.write_text("{}", "utf-8")
    assert card_beside(packed) == card.resolve()
    assert "in 12 slots lead to settled posts" in said("verify", packed, "--no-remember").out
    (files / "bills" / "roof.json").unlink()
    assert bills_near(files) == bills_near(files / "roof.html") == [packed.resolve()]
    wrong = said("show", files / "ledger.sqlite").err
    assert "roof.json.gz" in wrong


def test_the_shell_says_what_it_looked_at(files: Path, own: list[Bill], said: Shell) -> None:
    alone, bare = files / "bills" / "day.json", files / "bills" / "bare.json"
    alone.write_text(json.dumps(own[ROOF]["days"][1]), "utf-8")
    bare.write_text(json.dumps({part: own[ROOF][part] for part in ("content", "anchor")}), "utf-8")
    told = said("verify", files / "bills" / "roof.json")
    assert "in 12 slots lead to settled posts" in told.out
    told = said("verify", bare)
    assert told.code == 0
    assert "roof receives" in told.out
    assert "as the sums of 2 sheets give it. The sheets were not shown or looked at." in told.out
    assert json.loads(said("verify", bare, "--json", "-").out)["unseen"] == 2
    told = said("verify", alone)
    assert told.code == 0
    assert "roof has its sheet of 2026-06-16" in told.out
    assert "It is no bill: nothing of it is anchored yet" in told.out
    assert json.loads(said("verify", alone, "--json", "-").out)["total"] is None
    assert "no bill but a day's sheet" in said("show", alone).err
    assert "without its sheets" in said("show", bare).err
    for file in (alone, files / "bills" / "roof.json"):
        assert said("challenge", file).code == 0


def test_a_document_is_one_of_those_that_there_are(own: list[Bill]) -> None:
    documents: tuple[Any, ...] = (None, [], {}, {"sheet": None}, {"sheet": {}, "proofs": {}})
    for given in (*documents, {"content": own[0]["content"]}):
        with pytest.raises(CommonwattError):
            whole(given)
