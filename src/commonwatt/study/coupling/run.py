"""One trade between two communities, tick by tick, with what goes wrong in its scenario."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from commonwatt.exchange.coupler import Offer
from commonwatt.exchange.coupling import energy, prices
from commonwatt.exchange.gateway import Gateway, Ledgers
from commonwatt.exchange.swap import ENDED, Plan, Step, Times
from commonwatt.study.coupling.scenarios import Scenario
from commonwatt.study.coupling.sides import Side
from commonwatt.units import IntArray, payments

TICK: Final = 300
TIMES: Final = Times(margin=4 * TICK, delay=60)
LASTS: Final = 15 * TICK
"""From the offer until B's post ends [s]."""
FEE: Final = 20_000
"""What the gateway keeps of a kWh [micro-currency]."""


@dataclass(frozen=True)
class Bargain:
    """What is offered in both communities for a slot."""

    slot: int
    wh: int
    price_a: int
    price_b: int


@dataclass(frozen=True)
class Run:
    """What came of one trade. Money in lane units, by member: what its balance moved by.

    steps : what was due, each once in a row
    gateway_a, gateway_b : the gateway's balances afterwards
    saved_a, saved_b : what the members have more than with their utilities
    """

    scenario: str
    bargain: Bargain
    final_a: bool
    final_b: bool
    moved_a: IntArray
    moved_b: IntArray
    gateway_a: int
    gateway_b: int
    saved_a: int
    saved_b: int
    steps: tuple[Step, ...]

    @property
    def half(self) -> bool:
        """Whether one post is final and the other is not."""
        return self.final_a != self.final_b


def bargain(a: Side, b: Side, slot: int) -> Bargain | None:
    """What A can sell to B in a slot, and for how much; None where nothing is to be had."""
    agreed = prices(a.limit(slot), b.limit(slot), FEE)
    if agreed is None:
        return None
    wh = energy(a.coupler.side(slot, agreed.a), b.coupler.side(slot, agreed.b))
    return Bargain(slot, wh, *agreed) if wh else None


@dataclass
class _Process:
    """The gateway's process: what it knows is gone when it is killed, and is found again on the chains."""

    begin: Callable[[], Gateway]
    gateway: Gateway | None
    back: int = 0

    def alive(self, tick: int) -> Gateway | None:
        if self.gateway is None and tick >= self.back:
            self.gateway = self.begin()
        return self.gateway

    def kill(self, tick: int, away: int) -> None:
        self.gateway, self.back = None, tick + away


@dataclass
class Trade:
    """One trade on its way. at : when it begins [unix s], after both chains' last blocks"""

    a: Side
    b: Side
    bargain: Bargain
    scenario: Scenario
    at: int
    steps: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._process = _Process(self._begin, self._begin())
        watcher = self.a.keys.members[0], self.b.keys.members[0]
        self._anybody = Ledgers(self.a.client_of(watcher[0]), self.b.client_of(watcher[1]), TIMES)
        self._plan: Plan | None = None
        self._killed = False
        self._shown_at: int | None = None
        self._posted = {"a": 0, "b": 0}
        self._demanded = False

    def _begin(self) -> Gateway:
        key_a, key_b = (side.keys.members[side.gateway] for side in (self.a, self.b))
        return Gateway(Ledgers(self.a.client_of(key_a), self.b.client_of(key_b), TIMES), key_a)

    def play(self) -> Run:
        """Until it has ended on both chains."""
        before = self.a.balances(), self.b.balances()
        for tick, at in enumerate(self._ticks()):
            self._watch(at)
            step = self._anybody.step(self._plan, at) if self._plan else Step.POST_B
            self._note(step, tick)
            if step in ENDED:
                break
            gateway = self._process.alive(tick)
            if gateway and self._dies(step, tick, gateway, at):
                gateway = None
            if gateway:
                self._offer(gateway, at)
                gateway.go_on(at)
            self._operators(step, at)
            if self._shown_at is not None and tick >= self._shown_at + self.scenario.asleep:
                self._anybody.go_on(at)
        return self._told(*before)

    def _ticks(self) -> Iterator[int]:
        """Longer than any trade takes, whenever it is offered."""
        for at in range(self.at, self.at + 3 * LASTS, TICK):
            self.a.tick(at)
            self.b.tick(at)
            yield at

    def _note(self, step: Step, tick: int) -> None:
        if step not in self.steps[-1:]:
            self.steps.append(step)
        if step is Step.APPLY and self._shown_at is None:
            self._shown_at = tick

    def _dies(self, step: Step, tick: int, gateway: Gateway, at: int) -> bool:
        """The gateway's process is killed at its step, once."""
        scenario = self.scenario
        if self._killed or step is not scenario.killed:
            return False
        if scenario.after:
            gateway.go_on(at)
        self._killed = True
        self._process.kill(tick, scenario.away)
        return True

    def _offer(self, gateway: Gateway, at: int) -> None:
        """The gateway offers the trade to both communities, once."""
        if self._plan is None:
            until = at + LASTS
            self._plan = gateway.ledgers.plan(self.bargain.slot, gateway.lock_of(self.bargain.slot, until), until)

    def _operators(self, step: Step, at: int) -> None:
        """Whose turn it is posts what was offered."""
        plan, wanted = self._plan, self.bargain
        if plan is None or step not in (Step.POST_A, Step.POST_B):
            return
        name = "a" if step is Step.POST_A else "b"
        side, price, until = (
            (self.a, wanted.price_a, plan.until_a) if name == "a" else (self.b, wanted.price_b, plan.until_b)
        )
        first = self._posted[name] == 0
        if name in self.scenario.silent or not (first or self.scenario.again):
            return
        self._posted[name] += 1
        offer: Offer = side.offer(wanted.slot, wanted.wh, price, plan.lock, until)
        side.post(offer, at, false=first and name == self.scenario.false)
        if name == self.scenario.demands and not self._demanded:
            side.demand(at, answered=self.scenario.answered)
            self._demanded = True

    def _watch(self, at: int) -> None:
        """Members look at what was posted."""
        for side in (self.a, self.b):
            side.object_to(at)
            side.lapse(at)

    def _told(self, before_a: IntArray, before_b: IntArray) -> Run:
        a, b = self.a, self.b
        final_a, final_b = a.is_final(self.bargain.slot), b.is_final(self.bargain.slot)
        for side in (a, b):
            side.coupler.keep(side.chain.head.timestamp)
        moved_a, moved_b = a.balances() - before_a, b.balances() - before_b
        wanted = self.bargain
        return Run(
            self.scenario.name,
            wanted,
            final_a,
            final_b,
            moved_a,
            moved_b,
            int(a.balances()[a.gateway]),
            int(b.balances()[b.gateway]),
            _saved(a, wanted.slot, moved_a),
            _saved(b, wanted.slot, moved_b),
            tuple(self.steps),
        )


def _saved(side: Side, slot: int, moved: IntArray) -> int:
    """What a community's members have of a trade beyond what the utility would have paid or asked for it."""
    shares = side.coupler.shares_of(slot)
    utility = payments(shares, side.limit(slot))
    others = np.arange(len(moved)) != side.gateway
    return int(moved[others].sum()) - (1 if side.coupler.surplus else -1) * int(utility.sum())
