"""What is demanded of posts on the ledger is answered from store and ledger alone, after any restart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from live_cases import RICH, WAIT, Village

from commonwatt.errors import NodeError
from commonwatt.exchange import tables
from commonwatt.exchange.answers import receipt, receipts
from commonwatt.exchange.demands import Demanded, Demands, read_last
from commonwatt.exchange.tables import ANSWERED, NOBODY, OPEN, VOID
from commonwatt.ledger.client.demands import DemandsClient
from commonwatt.member.answered import shown_by
from commonwatt.records import Receipt, Signed

HOUR = 3600
SILENT = 3
"""The home of which no reading comes."""
NOWHERE = NodeError("http://127.0.0.1:1", "The node at http://127.0.0.1:1 does not answer.")


class Asked:
    """A living exchange that has posted its first slot, without the reading of one home, and members who demand."""

    def __init__(self, folder: Path) -> None:
        self.village = Village(folder, RICH + '\n[ledger]\nwindow = "2h"\nanswer = "1h"\n')
        exchange, live = self.village.exchange, self.village.live
        gate, meters = exchange.next_gate, self.village.homes.meters
        assert gate
        self.slot = int(exchange.rules.period.start)
        self.village._declare(gate, gate.at - HOUR)
        live.advance(gate.at)
        self.declared = exchange.committed[self.slot].cleared.declared
        live.readings(
            [meter.read(self.slot, 300, 0, 1) for home, meter in meters.items() if home != SILENT], self.slot + HOUR
        )
        self.now = self.slot + HOUR + WAIT
        live.advance(self.now)
        self.open()

    def open(self) -> None:
        self.demands = Demands(self.village.exchange)

    def restart(self) -> None:
        self.village.simulation.close()
        self.village.open()
        self.open()

    @property
    def chain(self) -> DemandsClient:
        return DemandsClient(self.village.exchange.client)

    def demand(self, member: int) -> None:
        post = self.village.exchange.recalled(self.slot, 0).post
        self.chain.demand(self.village.homes.keys.members[member], post, member, at=self.now)

    def receipts(self, place: int) -> tuple[Signed[Receipt], ...]:
        exchange = self.village.exchange
        return receipts(self.declared, exchange.domain, exchange.outbox.quorum)[place]

    def demand_order(self, given: tuple[Signed[Receipt], ...]) -> None:
        post = self.village.exchange.recalled(self.slot, 0).post
        self.chain.demand_order(self.village.homes.keys.members[0], post, given, at=self.now)

    def answer(self) -> None:
        while self.demands.advance(self.now):
            pass

    def states(self) -> dict[int, int]:
        return {each.member: each.state for each in read_last(self.village.exchange.store, 9)}


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[Asked]:
    made = Asked(tmp_path)
    yield made
    made.village.simulation.close()


def test_lines_and_orders_that_are_demanded_are_shown_whoever_has_no_reading(asked: Asked) -> None:
    assert not asked.demands.advance(asked.now)
    asked.demand(0)
    asked.demand(SILENT)
    asked.demand_order(asked.receipts(1))
    # One at a time, so that what is due meanwhile does not wait for all of them.
    assert asked.demands.advance(asked.now)
    assert [each.state for each in read_last(asked.village.exchange.store, 9)] == [OPEN, OPEN, ANSWERED]
    asked.answer()
    assert asked.states() == {0: ANSWERED, SILENT: ANSWERED, NOBODY: ANSWERED}
    assert (list(asked.demands.open), asked.demands.why) == ([], {})
    post = asked.village.exchange.recalled(asked.slot, 0).post
    for member in (0, SILENT):
        line, proof = shown_by(post, member, asked.chain.answered(post, member))
        assert (line["reading"] is None) == (member == SILENT)
        assert proof["stated"]
    # The post becomes final as if nobody had asked.
    asked.village.live.advance(asked.now + 4 * HOUR)
    assert asked.village.exchange.outbox.final_at(asked.slot, 0) is not None


def test_what_was_demanded_while_the_exchange_was_away_is_answered_and_the_past_is_not_read_again(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked.demand(0)
    asked.answer()
    known = asked.village.exchange.client.node.head.number
    asked.demand(1)
    asked.restart()
    node, read = asked.village.exchange.client.node, list[int]()
    logs = node.logs

    def noted(first: int, last: int, address: bytes | None = None, topic: bytes | None = None) -> Any:
        if address == asked.chain.address:
            read.append(first)
        return logs(first, last, address, topic)

    monkeypatch.setattr(node, "logs", noted)
    asked.answer()
    assert asked.states() == {0: ANSWERED, 1: ANSWERED}
    assert min(read) == known + 1


def test_while_the_chain_is_away_nothing_is_lost(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    asked.demand(0)

    def away(*_: object, **_more: object) -> None:
        raise NOWHERE

    with monkeypatch.context() as patch:
        patch.setattr(asked.village.exchange.client.node, "logs", away)
        assert not asked.demands.advance(asked.now)
    with monkeypatch.context() as patch:
        patch.setattr(asked.village.exchange.client.node, "confirm", away)
        assert not asked.demands.advance(asked.now)
    # It may be on its way: what has come there meanwhile is not sent again.
    asked.demands.advance(asked.now)
    assert asked.states() == {0: ANSWERED}


def test_what_cannot_be_answered_is_told_and_keeps_nobody_else_from_an_answer(asked: Asked) -> None:
    exchange, order = asked.village.exchange, asked.declared.signed[2].hash
    asked.demand_order(receipt(asked.slot, 3, order, exchange.domain, exchange.outbox.quorum))
    asked.demand(1)
    asked.answer()
    (stuck,) = asked.demands.open
    assert (stuck.member, stuck.order) == (NOBODY, order)
    assert asked.demands.why == {stuck.number: f"The operators' receipts name another place for {stuck.name}."}
    assert asked.states() == {NOBODY: OPEN, 1: ANSWERED}


def test_what_could_not_be_answered_is_tried_again(asked: Asked) -> None:
    store, orders, order = asked.village.exchange.store, tables.orders, asked.declared.signed[2].hash

    def rename(old: bytes, new: bytes) -> None:
        mine = orders.update().where(orders.c.slot == asked.slot, orders.c.hash == old)
        with store.transaction() as connection:
            connection.execute(mine.values(hash=new))

    asked.demand(1)
    rename(order, bytes(32))
    asked.answer()
    (stuck,) = asked.demands.open
    assert "are not those that were posted" in asked.demands.why[stuck.number]
    rename(bytes(32), order)
    asked.answer()
    assert asked.demands.open == [stuck]
    asked.now += 60
    asked.answer()
    assert asked.states() == {1: ANSWERED}
    assert asked.demands.why == {}


def test_what_was_not_answered_in_time_waits_no_longer(asked: Asked) -> None:
    asked.demand(0)
    asked.now += HOUR + 10
    asked.answer()
    assert list(asked.demands.open) == []
    assert asked.states() == {0: OPEN}
    post = asked.village.exchange.recalled(asked.slot, 0).post
    asked.chain.lapse(asked.village.homes.keys.members[0], post, 0, at=asked.now)
    # What is posted again can be asked again.
    asked.village.exchange.tell_again()
    asked.demand(0)
    asked.answer()
    found = read_last(asked.village.exchange.store, 9)
    assert [each.state for each in found] == [ANSWERED, OPEN]


def test_a_demand_of_a_post_that_was_struck_is_void(asked: Asked) -> None:
    asked.demand(0)
    asked.now += HOUR // 2
    asked.demand(1)
    post = asked.village.exchange.recalled(asked.slot, 0).post
    asked.now += HOUR // 2 + 10
    asked.chain.lapse(asked.village.homes.keys.members[0], post, 0, at=asked.now)
    asked.answer()
    assert asked.states() == {0: OPEN, 1: VOID}
    assert list(asked.demands.open) == []


def test_a_demand_is_named_in_a_sentence() -> None:
    lines = Demanded(1, 900, 0, 7, 4000, OPEN, b"")
    order = Demanded(2, 900, 1, NOBODY, 4000, OPEN, b"\x01" * 32)
    assert lines.name == "the lines of member 7 in slot 900, revision 0"
    assert order.name == f"order 0x{'01' * 32} in slot 900, revision 1"
