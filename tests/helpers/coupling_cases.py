"""The two communities of the study, and a trade between them step by step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from commonwatt.exchange.gateway import Gateway, Ledgers
from commonwatt.exchange.swap import Plan, Step
from commonwatt.study.coupling.run import LASTS, TICK, TIMES, Bargain, bargain
from commonwatt.study.coupling.sides import Side
from commonwatt.study.coupling.study import START


@dataclass
class Pair:
    """Both communities, and what time it is on both chains [unix s]."""

    a: Side
    b: Side
    at: int = 0

    def __post_init__(self) -> None:
        self.at = max(side.chain.head.timestamp for side in (self.a, self.b)) + 1
        key_a, key_b = (side.keys.members[side.gateway] for side in (self.a, self.b))
        self.gateway = Gateway(Ledgers(self.a.client_of(key_a), self.b.client_of(key_b), TIMES), key_a)

    @property
    def ledgers(self) -> Ledgers:
        return self.gateway.ledgers

    def bargain(self, skip: int = 0) -> Bargain:
        """Of the first slot that both can trade in and have not; skip : so many of them"""
        found = (
            wanted
            for slot in self.a.exchange.rules.period.starts.tolist()
            if not any(side.coupler.obstacle(slot, self.at) for side in (self.a, self.b))
            and (wanted := bargain(self.a, self.b, slot))
        )
        return [next(found) for _ in range(skip + 1)][-1]

    def pass_time(self, seconds: int = TICK) -> None:
        self.at += seconds
        for side in (self.a, self.b):
            side.tick(self.at)

    def plan(self, wanted: Bargain, lasts: int = LASTS) -> Plan:
        until = self.at + lasts
        return self.ledgers.plan(wanted.slot, self.gateway.lock_of(wanted.slot, until), until)

    def post(self, side: Side, wanted: Bargain, plan: Plan) -> None:
        price, until = (wanted.price_a, plan.until_a) if side is self.a else (wanted.price_b, plan.until_b)
        side.post(side.offer(wanted.slot, wanted.wh, price, plan.lock, until), self.at)

    def begun(self, lasts: int = LASTS) -> tuple[Bargain, Plan]:
        """A trade that both have posted."""
        wanted = self.bargain()
        plan = self.plan(wanted, lasts)
        self.post(self.b, wanted, plan)
        self.pass_time(1)
        self.post(self.a, wanted, plan)
        return wanted, plan

    def wait_for(self, plan: Plan, step: Step) -> None:
        """Until this step of the trade is due."""
        for _ in range(100):
            if self.ledgers.step(plan, self.at) is step:
                return
            self.pass_time()
        raise AssertionError(f"{step} never came, but {self.ledgers.step(plan, self.at)}")


@contextmanager
def pair(out: Path | None = None) -> Iterator[Pair]:
    """Both communities after a day. out : folder that has one for each"""
    with ExitStack() as stack:
        sides: list[Side] = []
        for case, surplus in (("surplus", True), ("deficit", False)):
            folder = out / case if out else None
            sides.append(Side(f"{case}.toml", START, 1, surplus=surplus, out=folder))
            stack.callback(sides[-1].close)
        a, b = sides
        yield Pair(a, b)
