"""Another driver than the simulation, to which every order and reading comes as a message of its own, in any order."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exchange_cases import COMMUNITY, START, begin, exchange_of, homes_of, short_days, snapshot, written

from commonwatt.accounts.document import signed_json
from commonwatt.accounts.orders import order_json, order_of
from commonwatt.errors import RecordError
from commonwatt.exchange import tables
from commonwatt.exchange.events import GateClosure, SlotEnd
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.states import Readings, Wishes
from commonwatt.exchange.told import all_told, told
from commonwatt.proof import hash_struct, sign_basket, verify
from commonwatt.records import Order, Reading, Receipt, Signed
from commonwatt.records.schema import from_json, to_bytes
from commonwatt.simulation.api import simulate
from commonwatt.simulation.homes import SigningHomes
from commonwatt.simulation.result import Result
from commonwatt.simulation.simulation import Simulation


def received(message: str) -> Signed[Reading]:
    given = json.loads(message)
    signature = to_bytes(given.pop("signature"), 65)
    record = from_json(Reading, given)
    return Signed(record, hash_struct(record), signature)


class Service:
    """Waits for messages, and brings the exchange each event when all that is expected for it is there.

    at_once : orders come in any order, and each is accepted or refused, with its receipt, as it comes
    """

    def __init__(self, simulation: Simulation, *, at_once: bool = False) -> None:
        self.at_once, self.receipts, self.refused = at_once, list[Receipt](), 0
        self.simulation, self.exchange, self.homes = simulation, exchange_of(simulation), homes_of(simulation)
        self.inbox: asyncio.Queue[str] = asyncio.Queue()

    async def run(self) -> Result:
        while event := self.exchange.next:
            if isinstance(event, GateClosure):
                await self._gate(event)
            else:
                await self._slot(event)
        result = Result(self.exchange, self.homes, self.simulation.close)
        self.exchange.anchor(result.bills.tree.root)
        return result

    async def _gate(self, event: GateClosure) -> None:
        wishes = self.homes.declare(event, all_told(self.exchange.committed))
        self._post([json.dumps(order_json(order)) for slot in wishes.signed for order in slot], shuffled=self.at_once)
        orders = [order_of(json.loads(await self.inbox.get())) for slot in wishes.signed for _ in slot]
        signed = tuple(
            tuple(order for order in orders if order.record.slot == slot) for slot in event.slots.starts.tolist()
        )
        if self.at_once:
            for order in orders:
                self._accept(order, event.at - 1)
            signed = tuple(() for _ in signed)
        brought = Wishes((), signed, wishes.planned, ())
        self.exchange.close_gate(event, brought, partial(self.homes.keep_plans, event.slots))

    def _accept(self, order: Signed[Order], at: int) -> None:
        try:
            given = self.exchange.accept(order, at)
        except RecordError:
            self.refused += 1
            return
        for receipt in given:
            verify(self.exchange.domain, receipt, self.homes.keys.operator.address)
        self.receipts += [receipt.record for receipt in given]

    async def _slot(self, event: SlotEnd) -> None:
        slot = event.slot
        flows = self.homes.deliver(told(self.exchange.committed[slot]))
        counted = self.homes.read(slot, flows["net"]).signed
        came = [reading for reading in counted if reading]
        self._post([json.dumps(signed_json(reading)) for reading in came])
        readings = [received(await self.inbox.get()) for _ in came]
        by_meter = {reading.record.meter: reading for reading in readings}
        brought = Readings(flows["net"] * 0, tuple(by_meter[meter] for meter in self.exchange.meters_of(slot)))
        self.exchange.end_slot(event, brought, partial(self.homes.keep_flows, slot, flows))

    def _post(self, messages: list[str], *, shuffled: bool = True) -> None:
        if shuffled:
            random.Random(len(messages)).shuffle(messages)  # noqa: S311
        for message in messages:
            self.inbox.put_nowait(message)


def test_a_driver_by_messages_ends_with_the_same_chain_and_the_same_bills(tmp_path: Path) -> None:
    with short_days():
        simulated = simulate(written(tmp_path / "simulated", COMMUNITY), START, 1)
        served = asyncio.run(Service(begin(tmp_path / "served", COMMUNITY)).run())
    assert snapshot(served) == snapshot(simulated)
    for result in (simulated, served):
        result.close()


def test_orders_that_come_in_any_order_move_the_same_money_and_keep_the_places_that_were_promised(
    tmp_path: Path,
) -> None:
    # Whose money does not last for all orders has it bound by those that come first.
    rich = COMMUNITY.replace('collateral = "0.05"', 'collateral = "20"')
    with short_days():
        simulated = simulate(written(tmp_path / "simulated", rich), START, 1)
        service = Service(begin(tmp_path / "served", rich), at_once=True)
        served = asyncio.run(service.run())
    one, other = snapshot(served), snapshot(simulated)
    assert one["balances"] == other["balances"]
    assert one["head"] != other["head"]
    for table in (tables.accounts, tables.readings):
        assert served.exchange.store.rows(table) == simulated.exchange.store.rows(table)
    kept = [(row.slot, row.position, row.hash) for row in served.exchange.store.rows(tables.orders)]
    assert kept == sorted((receipt.slot, receipt.position, receipt.order) for receipt in service.receipts)
    assert service.refused == 0
    assert exchange_of(served).accepted == {}
    for result in (simulated, served):
        result.close()


def sign_alone(exchange: Exchange, homes: SigningHomes, order: Order) -> Signed[Order]:
    """The order in a basket of its own."""
    agent = next(key for key, wallet in zip(homes.keys.agents, homes.keys.members, strict=True)
                 if wallet.address == order.member)  # fmt: skip
    return sign_basket(exchange.domain, [order], agent)[0]


def test_orders_that_were_accepted_are_there_after_a_restart_in_their_places(tmp_path: Path) -> None:
    rich = COMMUNITY.replace('collateral = "0.05"', 'collateral = "20"')
    with short_days():
        simulation = begin(tmp_path, rich)
        exchange, closure = exchange_of(simulation), simulation.exchange.next
        assert isinstance(closure, GateClosure)
        signed = [order for slot in homes_of(simulation).declare(closure, {}).signed for order in slot]
        random.Random(5).shuffle(signed)  # noqa: S311
        answers = exchange.accept_all([*signed, signed[0], replace(signed[1], signature=bytes(65))], closure.at - 60)
        receipts = [answer[0].record for answer in answers if not isinstance(answer, RecordError)]
        assert len(receipts) == len(signed) + 1
        assert receipts[len(signed)] == receipts[0]
        before = exchange.accepted
        simulation.close()
        simulation = begin(tmp_path, rich)
        exchange = exchange_of(simulation)
    assert exchange.accepted == before
    exchange.close_gate(closure, Wishes((), tuple(() for _ in closure.ahead.starts), np.zeros((5, 8), np.int64), ()))
    kept = {(row.slot, row.position, row.hash) for row in exchange.store.rows(tables.orders)}
    assert kept == {(receipt.slot, receipt.position, receipt.order) for receipt in receipts}
    simulation.close()


def test_an_order_is_accepted_until_its_gate_closes(tmp_path: Path) -> None:
    with short_days():
        simulation = begin(tmp_path, COMMUNITY)
    exchange, homes = exchange_of(simulation), homes_of(simulation)
    closure = exchange.next
    assert isinstance(closure, GateClosure)
    wishes = homes.declare(closure, {})
    first, *rest = [order for slot in wishes.signed for order in slot]
    stranger = replace(first, record=replace(first.record, slot=first.record.slot + 1))
    shapeless: Any = {"slot": [first.record.slot]}
    for bad, at, reason in (
        (replace(first, record=replace(first.record, **shapeless)), closure.at - 1, "Order.slot is uint64"),
        (first, closure.at, "the gate of its slot closed at"),
        (first, closure.at + 10**6, "the gate of its slot closed at"),
        (stranger, closure.at - 1, "no slot of this period begins then"),
        (replace(first, signature=rest[0].signature), closure.at - 1, "is signed by"),
    ):
        with pytest.raises(RecordError, match=reason):
            exchange.accept(bad, at)
    assert exchange.accepted == {}
    (receipt,) = exchange.accept(first, closure.at - 1)
    assert (receipt.record.order, receipt.record.position) == (first.hash, 0)
    replayed = f"its nonce {first.record.nonce} is not above {first.record.nonce}"
    # Whose answer was lost asks again, and has the same receipt.
    assert exchange.accept(first, closure.at - 1) == (receipt,)
    other = order_of(order_json(sign_alone(exchange, homes, replace(first.record, wh=first.record.wh + 1))))
    with pytest.raises(RecordError, match=replayed):
        exchange.accept(other, closure.at - 1)
    # What was accepted stands before what comes with the gate, where it is refused as a replay.
    exchange.close_gate(closure, wishes)
    (refused,) = exchange.store.rows(tables.refusals, slot=first.record.slot, number=0)
    assert replayed in refused.reason
    with pytest.raises(RecordError, match="the gate of its slot closed at"):
        exchange.accept(rest[0], closure.at - 1)
    simulation.close()
