"""What a member is shown, in its bills and in excerpts, holds nothing of another member but hashes of what nobody can
guess.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import Any

import pytest
from by_slot import by_day, proven, verify_bill
from exchange_cases import START, exchange_of, homes_of, short_days, written
from lies import posted_of, with_reading, with_trade
from stopped_days import LATE, Day, opened

from commonwatt.accounts.statements import line_tree, salt_of, statement_of, statement_tree
from commonwatt.exchange.checking import load
from commonwatt.exchange.excerpt import excerpt
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.outbox import Outgoing
from commonwatt.exchange.states import Posted, Settled
from commonwatt.member.document import whole
from commonwatt.proof import Key, Tree, hash_struct, keccak
from commonwatt.records import ZERO_HASH, Mandate, Signed, Statement
from commonwatt.records.schema import as_list
from commonwatt.simulation.result import Result
from commonwatt.simulation.simulation import Simulation
from commonwatt.study.scene import with_statement

Document = dict[str, Any]
EMPTY = [ZERO_HASH]
for _ in range(8):
    EMPTY.append(keccak(EMPTY[-1] + EMPTY[-1]))


class Recording(Exchange):
    """An exchange that keeps every post that it makes."""

    kept: list[Posted]

    def stated(self, settled: Settled) -> tuple[Settled, Outgoing | None]:
        posted, message = super().stated(settled)
        if isinstance(posted, Posted):
            self.kept = [*getattr(self, "kept", ()), posted]
        return posted, message


@dataclass(frozen=True)
class Shown:
    """A day with orders, a pool and readings that came late; everything that members are shown of it, and more."""

    result: Result
    posts: tuple[Posted, ...]
    bills: tuple[Document, ...]

    @property
    def mandates(self) -> Sequence[Signed[Mandate]]:
        return exchange_of(self.result).mandates

    @property
    def members(self) -> range:
        return range(len(self.mandates))

    @cached_property
    def documents(self) -> list[tuple[int, Document]]:
        """Every bill and every excerpt, each with the member that it is for."""
        client = exchange_of(self.result).client
        excerpts = [
            (member, excerpt(posted, member, self.mandates[member], client))
            for posted in self.posts
            for member in self.members
        ]
        return [*enumerate(self.bills), *excerpts]

    def plain(self, posted: Posted, member: int) -> tuple[Statement, bytes]:
        """A member's statement without its salt, as whoever knows all its energy and money can write it down."""
        statement = posted.statements[member]
        assert statement
        return replace(statement, salt=ZERO_HASH), statement.salt


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    folder = tmp_path_factory.mktemp("neighbours")
    with short_days():
        result = Simulation(
            load(written(folder, LATE)), folder, date.fromisoformat(START), 1, engine=Recording, out=folder / "out"
        ).run()
    engine = exchange_of(result)
    assert isinstance(engine, Recording)
    yield Shown(result, tuple(engine.kept), tuple(proven(result.books, result.bills)))
    result.close()


# What stands in a document, in so many words


def test_the_day_has_all_that_could_be_shown(shown: Shown) -> None:
    trades = [trade for bill in shown.bills for line in bill["content"]["slots"] for trade in line["trades"]]
    assert {trade["order"] is None for trade in trades} == {True, False}
    assert {posted.post.revision for posted in shown.posts} >= {0, 1}
    assert any(reading is None for posted in shown.posts for reading in posted.delivered.readings)
    client = exchange_of(shown.result).client
    for bill in shown.bills:
        assert verify_bill(json.loads(json.dumps(bill)), client)


def test_each_record_in_a_document_is_its_members_own(shown: Shown) -> None:
    for member, document in shown.documents:
        whole(by_day(document))
        mandate, content = shown.mandates[member].record, document["content"]
        assert content["member"]["account"] == content["mandate"]["member"] == f"0x{mandate.member.hex()}"
        for line in content["slots"]:
            assert line["reading"] is None or line["reading"]["meter"] == f"0x{meter_of(shown, member).address.hex()}"
            assert {order["member"] for order in line["orders"]} <= {content["member"]["account"]}
            for trade in line["trades"]:
                assert member in (trade["buyer"], trade["seller"])
                own = "buyOrder" if trade["buyer"] == member else "sellOrder"
                assert own not in trade
        for proof in document["proofs"].values():
            assert proof["stated"] is None
            assert proof["salt"] is None
            assert proof.keys() == {"revision", "salt", "siblings", "committed", "orders", "stated"}
            assert {each["order"]["member"] for each in proof["orders"]} <= {content["member"]["account"]}


def meter_of(shown: Shown, member: int) -> Key:
    key = homes_of(shown.result).keys.meters[member]
    assert key
    return key


# What a script finds


def secrets(shown: Shown, member: int) -> dict[str, set[bytes]]:
    """What is a member's own: nobody else's document has it in it, wherever and between whatever it stands."""
    mandate, keys = shown.mandates[member], homes_of(shown.result).keys
    found: dict[str, set[bytes]] = {
        "account": {mandate.record.member, mandate.record.agent, keys.agents[member].address},
        "meter": {meter_of(shown, member).address},
        "mandate": {mandate.hash, mandate.signature},
        "reading": set(), "statement": set(), "lines": set(), "order": set(), "salt": set(),
    }  # fmt: skip
    for posted in shown.posts:
        statement, reading = posted.statements[member], posted.delivered.readings[member]
        assert statement
        tree = line_tree(posted.lines[member])
        found["statement"] |= {hash_struct(statement)}
        found["salt"] |= {statement.salt}
        found["lines"] |= {node for level in tree.levels for node in level} | {*map(hash_struct, posted.lines[member])}
        found["reading"] |= {reading.hash, reading.signature} if reading else set()
        declared = posted.delivered.committed.cleared.declared
        for owner, order in zip(declared.members, declared.signed, strict=True):
            found["order"] |= {order.hash, order.signature} if owner == member else set()
    return {what: values - {ZERO_HASH} for what, values in found.items()}


def consents(document: Document) -> set[bytes]:
    """Struct hashes of the orders or mandates under which others agreed to the member's own trades."""
    trades = [trade for line in document["content"]["slots"] for trade in line["trades"]]
    return {bytes.fromhex(trade[end][2:]) for trade in trades for end in ("buyOrder", "sellOrder") if end in trade}


def found_in(document: Document, values: set[bytes]) -> set[bytes]:
    """Those of the values that stand in the document, but for the consent of who is at the other end of a trade."""
    text = json.dumps(by_day(document)).lower()
    return {value for value in values - consents(document) if value.hex() in text}


def test_a_script_finds_nothing_of_another_member(shown: Shown) -> None:
    own = [secrets(shown, member) for member in shown.members]
    assert all(values for what in own for kind, values in what.items() if kind not in ("lines", "order"))
    for member, document in shown.documents:
        for other in shown.members:
            if other != member:
                found = {what: found_in(document, values) for what, values in own[other].items()}
                assert not any(found.values()), found


def test_the_script_finds_what_is_there(shown: Shown) -> None:
    """What a document has of its own member, and of another if a neighbour's statement stood there."""
    own = [secrets(shown, member) for member in shown.members]
    for member, bill in enumerate(shown.bills):
        told = {what for what, each in own[member].items() if found_in(bill, each)}
        assert told >= {"account", "meter", "mandate", "reading"}
    bill, other = json.loads(json.dumps(shown.bills[1])), shown.posts[-1].statements[2]
    assert other
    bill["proofs"][str(shown.posts[-1].post.slot)]["neighbour"] = as_list(other)
    assert {what for what, each in own[2].items() if found_in(bill, each)} >= {"salt"}


def test_a_script_finds_no_trade_among_others(shown: Shown) -> None:
    """Those that were committed stand there as leaves alone, which are hashes of their hashes."""
    beside = 0
    for member, document in shown.documents:
        for posted in shown.posts:
            for trade in posted.records:
                if member not in (trade.buyer, trade.seller):
                    assert not found_in(document, {hash_struct(trade)})
                    beside += bool(found_in(document, {keccak(hash_struct(trade))}))
    assert beside > 0


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Day, int]]:
    day = opened(tmp_path_factory.mktemp("changes"), LATE)
    yield day, day.until_rich()
    day.close()


def differing(day: Day, one: Posted, other: Posted, member: int) -> set[str]:
    """In what the two excerpts of a member differ: `content`, or the parts of the proof."""
    mandate, client = day.exchange.mandates[member], day.exchange.client
    before, after = (excerpt(each, member, mandate, client) for each in (one, other))
    (proof,), (changed,) = before["proofs"].values(), after["proofs"].values()
    assert len(proof["siblings"]) == len(changed["siblings"])
    parts = {name for name in proof if proof[name] != changed[name]}
    return parts | ({"content"} if before["content"] != after["content"] else set())


def test_what_the_meters_of_others_count_changes_nothing_but_hashes(stopped: tuple[Day, int]) -> None:
    day, member = stopped
    for other, reading in enumerate(day.stopped.delivered.readings):
        if other != member and reading:
            changed = posted_of(day, with_reading(day, day.stopped, other, wh_in=12_345, wh_out=321))
            silent = [None if each == other else kept for each, kept in enumerate(day.stopped.delivered.readings)]
            delivered = replace(day.stopped.delivered, readings=tuple(silent))
            for one in (changed, posted_of(day, replace(day.stopped, delivered=delivered))):
                assert differing(day, day.stopped, one, member) == {"siblings"}
                assert "content" in differing(day, day.stopped, one, other)


def test_what_others_trade_changes_nothing_but_hashes(stopped: tuple[Day, int]) -> None:
    day, _ = stopped
    trade = day.stopped.records[-1]
    changed = with_trade(day, day.stopped, trade.number, 7, price=trade.price + 5)
    for member in range(day.rules.members):
        own = {"content"} if member in (trade.buyer, trade.seller) else set()
        assert differing(day, day.stopped, changed, member) == {"siblings"} | own


# What somebody finds who tries


Salts = Callable[[Shown, Posted, int], Sequence[bytes]]


def unsalted(shown: Shown, posted: Posted, member: int) -> Sequence[bytes]:
    """None, and what could be taken for one: what others may know of a member, and no signature of its."""
    mandate, meter = shown.mandates[member], meter_of(shown, member).address
    statement = posted.statements[member]
    assert statement
    known = [
        b"", bytes(65), mandate.record.member, mandate.record.agent, meter, mandate.hash, statement.reading,
        statement.lines, member.to_bytes(4, "big"), hash_struct(replace(statement, salt=ZERO_HASH)),
        posted.post.orders, keccak(mandate.record.member), keccak(meter),
    ]  # fmt: skip
    if posted.delivered.readings[member]:
        known.append(mandate.signature)  # which is on the chain once a demand was answered
    slot, revision = posted.post.slot, posted.post.revision
    plain = [each.rjust(32, b"\0")[-32:] for each in known]
    return [*plain, *(keccak(each) for each in known), *(salt_of(each, slot, revision) for each in known)]


def right(shown: Shown, posted: Posted, member: int) -> Sequence[bytes]:
    """The salt, which only the member's own signature gives."""
    _, salt = shown.plain(posted, member)
    return [salt]


def found_by_trying(shown: Shown, posted: Posted, own: int, siblings: Sequence[bytes], salts: Salts) -> set[int]:
    """Whose statements are found among a member's siblings by trying, with all their energy and money known.

    A sibling higher up is opened by all statements below it together.
    """
    hashes: dict[int, list[bytes]] = {}
    for member in shown.members:
        plain, _ = shown.plain(posted, member)
        hashes[member] = [hash_struct(replace(plain, salt=salt)) for salt in salts(shown, posted, member)]
    found: set[int] = set()
    for number in range(max(map(len, hashes.values()))):
        row = [hashes[member][min(number, len(hashes[member]) - 1)] for member in shown.members]
        levels = Tree.of([*row, ZERO_HASH]).levels
        for height, sibling in enumerate(siblings):
            place = own >> height ^ 1
            if place < len(levels[height]) and levels[height][place] == sibling != EMPTY[height]:
                found |= {each for each in shown.members if each >> height == place}
    return found


def siblings_of(document: Document, slot: int) -> list[bytes]:
    row = bytes.fromhex(document["proofs"][str(slot)]["siblings"][2:])
    return [row[at : at + 32] for at in range(0, len(row), 32)]


def test_no_sibling_is_opened_by_trying(shown: Shown) -> None:
    client = exchange_of(shown.result).client
    tried = 0
    for posted in shown.posts:
        for member in shown.members:
            document = excerpt(posted, member, shown.mandates[member], client)
            siblings = siblings_of(document, posted.post.slot)
            assert found_by_trying(shown, posted, member, siblings, unsalted) == set()
            # Who had the signatures would find everybody.
            assert found_by_trying(shown, posted, member, siblings, right) == {*shown.members} - {member}
            tried += len(siblings)
    last = {posted.post.slot: posted for posted in shown.posts}
    for member, bill in enumerate(shown.bills):
        for slot, posted in last.items():
            assert found_by_trying(shown, posted, member, siblings_of(bill, slot), unsalted) == set()
    assert tried > 100


def of_the_meter(shown: Shown, posted: Posted, member: int) -> bytes:
    """A salt of what others may know."""
    return salt_of(meter_of(shown, member).address, posted.post.slot, posted.post.revision)


@pytest.mark.parametrize("missing", [None, of_the_meter])
def test_without_the_salt_every_neighbour_is_found(
    shown: Shown, missing: Callable[[Shown, Posted, int], bytes] | None
) -> None:
    client, bare = exchange_of(shown.result).client, shown.posts[-1]
    for member in shown.members:
        plain, _ = shown.plain(bare, member)
        salt = missing(shown, bare, member) if missing else ZERO_HASH
        bare = with_statement(bare, member, replace(plain, salt=salt))
    for member in shown.members:
        document = excerpt(bare, member, shown.mandates[member], client)
        found = found_by_trying(shown, shown.posts[-1], member, siblings_of(document, bare.post.slot), unsalted)
        assert found == {*shown.members} - {member}


def test_a_salt_is_of_one_slot_and_one_revision(shown: Shown) -> None:
    salts = [statement.salt for posted in shown.posts for statement in posted.statements if statement]
    assert len({*salts}) == len(salts)


def test_who_had_no_reading_and_no_trade_is_hidden_by_its_mandate(shown: Shown) -> None:
    """The statement of such a home is the same for all, and so would its place be."""
    nothing, places = statement_of((), ZERO_HASH, ZERO_HASH), list[bytes]()
    for posted in shown.posts:
        for member, reading in enumerate(posted.delivered.readings):
            if reading is None and not posted.lines[member]:
                assert shown.plain(posted, member)[0] == nothing
                places.append(posted.tree.levels[0][member])
    assert len({*places}) == len(places) > 1
    assert statement_tree([nothing]).levels[0][0] not in places
