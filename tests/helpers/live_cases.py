"""Homes that bring a living exchange what they would bring a simulation."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from exchange_cases import COMMUNITY, begin, exchange_of, homes_of, short_days

from commonwatt.exchange.agreement import HomeForecast, plan_of
from commonwatt.exchange.enrolled import Enrolled
from commonwatt.exchange.events import Correction, Event, GateClosure
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.live import Live, Said
from commonwatt.exchange.states import Wishes
from commonwatt.exchange.told import all_told, told
from commonwatt.meter.protocol import DUPLICATE, STORED
from commonwatt.records import Reading, Signed

WAIT, STEP = 120, 300
RICH = COMMUNITY.replace('collateral = "0.05"', 'collateral = "20"')


class Village:
    """Homes that bring a living exchange what they would bring a simulation, over a line that doubles and delays.

    slots : of the day
    """

    def __init__(self, folder: Path, text: str = RICH, seed: int = 1, slots: int = 8) -> None:
        self.slots, self.now = slots, 0
        self.folder, self.text, self.chance = folder, text, random.Random(seed)  # noqa: S311
        self.said: list[Event | Correction] = []
        self.on_the_way: list[tuple[int, Signed[Reading]]] = []
        self.open()

    def open(self) -> None:
        with short_days(slots=self.slots):
            self.simulation = begin(self.folder, self.text)
        founded = exchange_of(self.simulation)
        self.homes = homes_of(self.simulation)
        self.roster = Enrolled(founded.store, founded.client, founded.rules.community)
        self.roster.follow()
        self.exchange = Exchange(
            founded.rules, founded.store, founded.client, founded.outbox.quorum, self.roster, founded.watch
        )
        self.live = Live(self.exchange, self.roster, lambda _: founded.rules, WAIT)

    def run(
        self,
        delay: Callable[[int, int], int],
        kill: Callable[[], bool] = lambda: False,
        since: int = 0,
        until: int | None = None,
    ) -> None:
        """delay : how late a reading of a slot and home is [s]; since, until : when it goes on and rests [unix s]"""
        rules = self.exchange.rules
        first, last = rules.events[0].at, rules.period.end + 10 * 3600
        declared: GateClosure | None = None
        for now in range(max(first - 7200, since), last if until is None else until, STEP):
            self.now = now
            gate = self.exchange.next_gate
            if gate and gate != declared and gate.at - rules.period.seconds <= now:
                self._declare(gate, now)
                declared = gate
            arrived = [signed for at, signed in self.on_the_way if at <= now]
            self.on_the_way = [each for each in self.on_the_way if each[0] > now]
            self._arrive(arrived, now)
            if kill():
                self.simulation.close()
                self.open()
            self.said += self.live.advance(now)
            self._deliver(now, delay)

    def _declare(self, gate: GateClosure, now: int) -> None:
        wishes = self._agreed(gate, now) or self.homes.declare(gate, all_told(self.exchange.committed))
        orders = [order for slot in wishes.signed for order in slot]
        self.chance.shuffle(orders)
        assert all(isinstance(each, tuple) for each in self.live.orders(orders, now))
        for member, nets in enumerate(wishes.planned.tolist()):
            self.live.plan(member, dict(zip(gate.ahead.starts.tolist(), nets, strict=True)))
        with self.exchange.store.transaction() as connection:
            self.homes.keep_plans(gate.slots, connection)

    def _agreed(self, gate: GateClosure, now: int) -> Wishes | None:
        """What homes wish when they have agreed at the exchange; None where they do not."""
        if not self.exchange.rules.charter_at(gate.slots.start).horizon:
            return None
        outlook, _ = self.homes.outlook(gate, all_told(self.exchange.committed))
        said = [
            Said(meter.key.address, gate.slots.start, HomeForecast.of(outlook, home))
            for home, meter in self.homes.meters.items()
        ]
        self.chance.shuffle(said)
        assert not any(self.live.outlooks(said))
        agreement = self.live.horizon.due(now)
        assert agreement
        self.live.horizon.agreed(agreement, agreement.plan())
        proposals = {home: self.live.proposal(meter.key.address) for home, meter in self.homes.meters.items()}
        return self.homes.wishes(gate.slots, plan_of(proposals, len(outlook.soc), gate.slots.count))

    def _deliver(self, now: int, delay: Callable[[int, int], int]) -> None:
        """What happened behind the meters of the slots that are over, and is on its way now."""
        seconds = self.exchange.rules.period.seconds
        last = self.homes.delivered or -1
        for slot, committed in sorted(self.exchange.committed.items()):
            if last < slot <= now - seconds:
                flows = self.homes.deliver(told(committed))
                for home, signed in enumerate(self.homes.reported(slot, flows["net"], frozenset(range(5))).signed):
                    assert signed
                    at = slot + seconds + delay(slot, home)
                    self.on_the_way += [(at, signed)] * (1 + self.chance.randrange(2))
                with self.exchange.store.transaction() as connection:
                    self.homes.keep_flows(slot, flows, connection)
        self.chance.shuffle(self.on_the_way)

    def _arrive(self, arrived: list[Signed[Reading]], now: int) -> None:
        for place in range(0, len(arrived), 7):
            judged = self.live.readings(arrived[place : place + 7], now)
            assert {each.status for each in judged} <= {STORED, DUPLICATE}
