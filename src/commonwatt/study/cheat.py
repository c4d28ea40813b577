"""A day on which the operator cheats twice, and what a home can do about it alone.

In one slot a home is charged more for one trade than was agreed and committed; in a later one its lines are kept back.
Both times the home's own data tell it, the chain deletes the post, the operator's bond pays, and the slot settles again
as it should. What the members have at the end is compared with the same day under an honest operator. The other ways to
cheat that the contracts know are tried after it, in `attacks`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from commonwatt.accounts.promise import Promise
from commonwatt.errors import LedgerError, Reverted
from commonwatt.exchange import steps
from commonwatt.exchange.checking import load
from commonwatt.exchange.events import Correction, Event, SlotEnd
from commonwatt.exchange.excerpt import excerpt, promised
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.outbox import Outgoing, outgoing
from commonwatt.exchange.states import Posted, Settled
from commonwatt.ledger.client.abi import decode_event, events
from commonwatt.ledger.client.demands import DemandsClient
from commonwatt.ledger.client.disputes import DisputesClient
from commonwatt.ledger.node import Receipt
from commonwatt.member.faults import Chain, Fault, faults
from commonwatt.proof import Key
from commonwatt.records import Trades
from commonwatt.simulation.api import first_day
from commonwatt.simulation.keys import simulated_keys
from commonwatt.simulation.simulation import Simulation
from commonwatt.study.attacks import Attack, attacks
from commonwatt.units import MICRO

START: Final = "2026-06-15"
_RAISED: Final = 50_000
"""What is charged too much in the first slot [micro-currency/kWh]."""


@dataclass(frozen=True)
class Step:
    """What somebody did and what came of it. gas : 0 where nothing was sent"""

    who: str
    says: str
    gas: int = 0


@dataclass(frozen=True)
class Cheated:
    """The day: its steps, and the members' balances [micro-currency] with and without the cheating."""

    members: tuple[str, ...]
    steps: tuple[Step, ...]
    balances: tuple[int, ...]
    honest: tuple[int, ...]
    rewards: int
    """What the bonds have paid the home [micro-currency]."""
    bond_lost: int
    """What they have cost the operator [micro-currency]."""
    attacks: tuple[Attack, ...]
    """Those of the day, and those on the contracts."""

    @property
    def all_stopped(self) -> bool:
        """Whether nobody lost anything by an attack."""
        return all(attack.stopped for attack in self.attacks)

    @property
    def settled_right(self) -> bool:
        """Whether every member has what the honest day gives it."""
        return self.balances == self.honest


class DishonestExchange(Exchange):
    """An honest exchange, but for two slots in which a false post goes to the chain first.

    say : told of each step; members : the homes' own keys, with which they object
    played : what was tried, with what became of it
    """

    def __init__(
        self, *arguments: Any, say: Callable[[Step], None], members: Sequence[Key], played: list[Attack]
    ) -> None:
        super().__init__(*arguments)
        self.disputes, self.demands = DisputesClient(self.client), DemandsClient(self.client)
        self._say, self._members, self._played = say, members, played
        self._posted: Posted | None = None
        self._tricks = [
            ("a dearer price than was agreed and committed", self._overcharge),
            ("lines that the member is not shown", self._withhold),
        ]

    def stated(self, settled: Settled) -> tuple[Settled, Outgoing | None]:
        """See `Exchange`."""
        stated, message = super().stated(settled)
        self._posted = stated if isinstance(stated, Posted) else None
        return stated, message

    def tell(self, event: Event | Correction, message: Outgoing | None) -> None:
        """See `Exchange`; twice a false post comes before the honest one."""
        posted = self._posted
        victim = _victim(posted) if isinstance(event, SlotEnd) and posted and self._tricks else None
        if posted and victim:
            name, trick = self._tricks.pop(0)
            trick(posted, *victim, event.at + 1)
            gone = self.client.posted(posted.post.slot, posted.post.revision) is None
            self._played.append(Attack(name, "operator", gone))
        super().tell(event, message)
        if posted and victim:
            self._say(Step("operator", f"posts the slot of {self._clock(posted.post.slot)} again, as it was agreed"))

    def _overcharge(self, honest: Posted, number: int, member: int, at: int) -> None:
        """One home pays more for one trade, and the post is consistent in itself."""
        name, trade = self._name(member), honest.records[number]
        false = self._with_price(honest, number, trade.price + _RAISED)
        receipt = self._publish(false, at)
        agreed, charged = (price / MICRO for price in (trade.price, trade.price + _RAISED))
        told = f"{charged:.2f} instead of {agreed:.2f} for {name}'s trade {number}"
        self._say(Step("operator", f"posts the slot of {self._clock(trade.slot)} with {told}", receipt.gas_used))
        found = self._look(false, member, promised(honest.delivered.committed, member))
        for fault in found:
            self._say(Step(name, f"sees in its own data: {fault.says}"))
        receipt = self.disputes.challenge(
            self._members[member], found[0].function, false.post, found[0].arguments, at=at + 1
        )
        self._say(Step(name, f"proves it on the chain by {found[0].function}", receipt.gas_used))
        self._say_struck(receipt, name)

    def _withhold(self, honest: Posted, number: int, member: int, at: int) -> None:
        """The home is not shown its lines of a post."""
        name = self._name(member)
        false = self._with_price(honest, number, honest.records[number].price + _RAISED)
        receipt = self._publish(false, at)
        self._say(
            Step(
                "operator",
                f"posts the slot of {self._clock(false.post.slot)} and shows {name} nothing of it",
                receipt.gas_used,
            )
        )
        key = self._members[member]
        receipt = self.demands.demand(key, false.post, member, at=at + 1)
        until = self.demands.demanded()[-1]["until"]
        self._say(Step(name, "demands its lines on the chain", receipt.gas_used))
        try:
            self.demands.lapse(key, false.post, member, at=at + 2)
        except Reverted as early:
            self._say(Step(name, f"has to wait for the answer: {early.name}"))
        receipt = self.demands.lapse(key, false.post, member, at=until + 1)
        self._say(Step(name, "has no answer in time and lets the post lapse", receipt.gas_used))
        self._say_struck(receipt, name)

    # What each of them does

    def _publish(self, false: Posted, at: int) -> Receipt:
        message = outgoing(false, self.domain, self.outbox.quorum)
        self.outbox.stake(at)
        return self.client.post(message.post, message.trades, message.deltas, message.signatures, at=at)

    def _look(self, posted: Posted, member: int, promises: Mapping[int, Promise]) -> list[Fault]:
        """What the home finds in what it is shown, with what it was promised at the gate."""
        shown = excerpt(posted, member, self.mandates[member], self.client)
        slot = posted.post.slot
        (line,), proof = shown["content"]["slots"], shown["proofs"][str(slot)]
        chain = Chain(self.domain, self.client.commitment(slot), self.client.posted_deltas(slot, 0) or b"")
        return faults(line, proof, member, self.mandates[member], chain, posted.post, promises)

    def _with_price(self, posted: Posted, number: int, price: int) -> Posted:
        """The same slot with another price for one trade; sums, deltas and roots follow."""
        committed = posted.delivered.committed
        records = list(committed.records)
        records[number] = replace(records[number], price=price)
        trades = posted.account.trades
        prices = trades.price.copy()
        prices[number] = price
        settled = Trades(trades.buyer, trades.seller, posted.account.settled, prices)
        account = replace(
            posted.account,
            trades=Trades(trades.buyer, trades.seller, trades.wh, prices),
            credit=settled.credit(self.rules.members),
        )
        delivered = replace(posted.delivered, committed=replace(committed, records=tuple(records)))
        settled_falsely = Settled(delivered, posted.after, account)
        return steps.post(settled_falsely, self.mandates)

    def _say_struck(self, receipt: Receipt, name: str) -> None:
        struck = next(event for event in events(receipt) if event.name == "Struck")
        reward = struck.arguments["reward"] / MICRO
        currency = self.rules.community.currency
        self._say(Step("chain", f"deletes the post; the operator's bond pays {name} {reward:.2f} {currency}"))

    def _clock(self, slot: int) -> str:
        return f"{datetime.fromtimestamp(slot, ZoneInfo(self.rules.community.timezone)):%H:%M}"

    def _name(self, member: int) -> str:
        return self.rules.community.members[member].id


def _victim(posted: Posted) -> tuple[int, int] | None:
    """Number of the largest day-ahead trade that was delivered, and its buyer; None in a slot without one."""
    agreed = len(posted.delivered.committed.records)
    settled = posted.account.settled[:agreed]
    if not agreed or not settled.max():
        return None
    number = int(np.argmax(settled))
    return number, posted.records[number].buyer


def run(tell: Callable[[Step], None] | None = None) -> Cheated:
    """Play both days, and the attacks. tell : called with each step as it is done"""
    with as_file(files("commonwatt.study") / "cases" / "cheat.toml") as file:
        community = load(file)
        folder = Path(file).parent
        steps_, played = list[Step](), list[Attack]()

        def say(step: Step) -> None:
            steps_.append(step)
            if tell:
                tell(step)

        first, *_ = first_day(START, 1)
        expected, _ = _played(Simulation(community, folder, first, 1))
        engine = partial(DishonestExchange, say=say, members=simulated_keys(community).members, played=played)
        balances, struck = _played(Simulation(community, folder, first, 1, engine=engine))
    for attack in attacks(START):
        played.append(attack)
        say(Step(attack.by, f"tries: {attack.attack}; {'stopped' if attack.stopped else 'NOT STOPPED'}"))
    names = tuple(member.id for member in community.members)
    lost = len(struck) * community.ledger.bond
    return Cheated(names, tuple(steps_), balances, expected, sum(struck), lost, tuple(played))


def summary(found: Cheated) -> str:
    """What it all came to."""
    same = "the same as" if found.settled_right else "NOT the same as"
    return (
        f"At the end every member's balance is {same} on an honest day; the bonds have cost the operator "
        f"{found.bond_lost / MICRO:.2f} and paid the home {found.rewards / MICRO:.2f}. "
        f"{sum(attack.stopped for attack in found.attacks)} of {len(found.attacks)} attacks were stopped."
    )


def _played(day: Simulation) -> tuple[tuple[int, ...], list[int]]:
    """What each member has at the end of the day, and what each deleted post has paid [micro-currency]."""
    client = day.run().books.client
    if client is None:
        raise LedgerError("An operator can only cheat where there is a ledger.")
    logs = client.node.logs(1, client.node.head.number, client.addresses.settlement)
    found = [event for log in logs if (event := decode_event(log)) and event.name == "Struck"]
    balances = tuple(client.balances().tolist())
    day.close()
    return balances, [event.arguments["reward"] for event in found]
