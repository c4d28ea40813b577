"""Another driver than the simulation, to which every order and reading comes as a message of its own, in any order."""

from __future__ import annotations

import asyncio
import json
import random
from functools import partial
from pathlib import Path
from typing import Any

from exchange_cases import COMMUNITY, START, begin, exchange_of, homes_of, short_days, snapshot, written

from commonwatt.accounts.document import signed_json
from commonwatt.exchange.events import GateClosure, SlotEnd
from commonwatt.exchange.states import Readings, Wishes
from commonwatt.proof import hash_struct
from commonwatt.records import Order, Reading, Signed
from commonwatt.records.schema import from_json, to_bytes
from commonwatt.simulation.api import simulate
from commonwatt.simulation.result import Result
from commonwatt.simulation.simulation import Simulation


def received(kind: type[Any], message: str) -> Signed[Any]:
    given = json.loads(message)
    signature = to_bytes(given.pop("signature"), 65)
    record = from_json(kind, given)
    return Signed(record, hash_struct(record), signature)


class Service:
    """Waits for messages, and brings the exchange each event when all that is expected for it is there."""

    def __init__(self, simulation: Simulation) -> None:
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
        wishes = self.homes.declare(event, self.exchange.committed)
        self._post([json.dumps(signed_json(order)) for slot in wishes.signed for order in slot])
        orders = [received(Order, await self.inbox.get()) for slot in wishes.signed for _ in slot]
        signed = tuple(
            tuple(order for order in orders if order.record.slot == slot) for slot in event.day.starts.tolist()
        )
        told = Wishes((), signed, wishes.planned, ())
        self.exchange.close_gate(event, told, partial(self.homes.keep_plans, event))

    async def _slot(self, event: SlotEnd) -> None:
        slot = event.at - self.exchange.rules.period.seconds
        flows = self.homes.deliver(self.exchange.committed[slot], event.place)
        counted = self.homes.read(slot, flows["net"], event.place).signed
        came = [reading for reading in counted if reading]
        self._post([json.dumps(signed_json(reading)) for reading in came])
        readings = [received(Reading, await self.inbox.get()) for _ in came]
        by_meter = {reading.record.meter: reading for reading in readings}
        told = Readings(flows["net"] * 0, tuple(by_meter[meter] for meter in self.exchange.meters))
        self.exchange.end_slot(event, told, partial(self.homes.keep_flows, slot, flows))

    def _post(self, messages: list[str]) -> None:
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
