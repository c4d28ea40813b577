"""A day that stops before a slot is posted, and what its members and the chain are told of the slot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from exchange_cases import HEAD, MEMBERS, START, TARIFF, written

from commonwatt.exchange.checking import load
from commonwatt.exchange.events import Correction, Event
from commonwatt.exchange.excerpt import excerpt, promised
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.outbox import Outgoing, outgoing
from commonwatt.exchange.states import Posted, Settled
from commonwatt.member.challenge import chain_of
from commonwatt.member.faults import Fault, faults
from commonwatt.member.page import Page, read
from commonwatt.simulation.api import first_day
from commonwatt.simulation.homes import SigningHomes
from commonwatt.simulation.simulation import Simulation
from commonwatt.study.scene import Hesitant

TEXT = (
    HEAD + TARIFF
    + '[market.day_ahead]\nmechanism = "uniform"\ngate = "12:00"\n[market.pool]\nmechanism = "sdr"\n'
    + '[ledger]\nwindow = "2h"\nanswer = "30min"\nbond = "1"\n' + MEMBERS
)  # fmt: skip
MOST_GAS = 400_000


LATE = TEXT + '[simulation]\nlate = "40 %"\n'
"""Of the same, with readings that come late, so that slots have a revision."""


class Stopping(Exchange):
    """An honest exchange that falls silent before the ledger at the first slot in which a home is `rich`.

    revision : of the slot in which it does
    """

    revision = 0
    stopped: Posted
    rich: int | None = None

    def stated(self, settled: Settled) -> tuple[Settled, Outgoing | None]:
        posted, message = super().stated(settled)
        assert isinstance(posted, Posted)
        self.stopped = posted
        self.rich = self._rich(posted) if posted.post.revision == self.revision else None
        return posted, message

    def tell(self, event: Event | Correction, message: Outgoing | None) -> None:
        if self.rich is None:
            super().tell(event, message)

    def _rich(self, posted: Posted) -> int | None:
        """A home in the middle that has an order's trade and one of the pool."""
        for member in range(1, self.rules.members - 1):
            if len({line.order for line in posted.lines[member]}) == 2:
                return member
        return None


class Correcting(Stopping):
    """The same, at a slot that is settled anew."""

    revision = 1


class Day(Simulation):
    """A day that stops at a slot in which a home has an order's trade and one of the pool."""

    exchange: Stopping
    homes: SigningHomes

    def __init__(self, *arguments: Any, engine: type[Stopping] = Stopping, **options: Any) -> None:
        super().__init__(*arguments, engine=engine, **options)
        self.homes = Hesitant.of(self.homes)

    @property
    def stopped(self) -> Posted:
        return self.exchange.stopped

    def until_rich(self) -> int:
        """Advance without telling the chain of that slot; returns the home's index."""
        while self.exchange.rich is None:
            self.advance()
        return self.exchange.rich


def opened(folder: Path, text: str = TEXT, engine: type[Stopping] = Stopping, **options: Any) -> Day:
    """The day of the community's first slots, in files of its own."""
    return Day(load(written(folder, text)), folder, first_day(START, 1)[0], 1, engine=engine, **options)


@pytest.fixture(scope="module", params=[0, 1], ids=["first", "revision"])
def struck(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Day, int]]:
    """A day, and a home in it, on whose chain every post of the slot is deleted again: of the first post, and of one
    that settles anew. At last the right one is taken.
    """
    folder = tmp_path_factory.mktemp("struck")
    day = opened(folder, LATE, Correcting) if request.param else opened(folder)
    member, post = day.until_rich(), day.stopped.post
    assert post.revision == request.param
    yield day, member
    publish(day, day.stopped)
    assert day.exchange.client.posted(post.slot, post.revision) is not None
    day.close()


# What a member sees of it, and what the chain says


def shown_to(day: Day, shown: Posted, member: int) -> dict[str, Any]:
    """The excerpt that the member gets."""
    return excerpt(shown, member, day.exchange.mandates[member], day.exchange.client)


def entry_of(day: Day, shown: Posted, member: int) -> tuple[Any, Any]:
    """What the excerpt has of the slot, and its proof."""
    document = shown_to(day, shown, member)
    (line,), (proof,) = document["content"]["slots"], document["proofs"].values()
    return line, proof


def page_of(day: Day, posted: Posted, member: int) -> Page:
    """What the member reads there."""
    return read(*entry_of(day, posted, member), member, day.exchange.mandates[member], day.exchange.domain, posted.post)


def look(day: Day, shown: Posted, honest: Posted, member: int) -> list[Fault]:
    """What a member finds that kept what it was shown at the gate."""
    chain = replace(chain_of(shown.post, member, day.exchange.client), deltas=shown.deltas)
    promises = promised(honest.delivered.committed, member)
    return faults(*entry_of(day, shown, member), member, day.exchange.mandates[member], chain, shown.post, promises)


def publish(day: Day, posted: Posted) -> int:
    """Post it a second after the head; returns the time for what follows."""
    message = outgoing(posted, day.exchange.domain, day.exchange.outbox.quorum)
    client = day.exchange.client
    at = max(client.node.head.timestamp + 1, posted.post.slot + 3601)
    day.exchange.outbox.stake(at)
    client.post(message.post, message.trades, message.deltas, message.signatures, at=at)
    return client.node.head.timestamp + 1


def purse(day: Day, member: int) -> Any:
    client, keys = day.exchange.client, day.homes.keys
    client.pay(keys.members[member].address, 10**18, at=client.node.head.timestamp + 1)
    return keys.members[member]
