"""One of two communities after its days have passed: its exchange, its side of the trades, and who watches there."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

from commonwatt.community.calendar import Slots
from commonwatt.errors import LedgerError, RecordError
from commonwatt.exchange import rows
from commonwatt.exchange.answers import answers
from commonwatt.exchange.checking import load
from commonwatt.exchange.coupler import Coupler, Offer
from commonwatt.exchange.excerpt import excerpt
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.outbox import outgoing
from commonwatt.exchange.states import Posted
from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.client.demands import DemandsClient
from commonwatt.ledger.client.disputes import DisputesClient
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.member.challenge import chain_of
from commonwatt.member.faults import DEMAND, faults
from commonwatt.meter import SimulatedMeter
from commonwatt.proof import Key
from commonwatt.records import Post, Reading, Signed
from commonwatt.simulation.keys import simulated_keys
from commonwatt.simulation.simulation import Simulation
from commonwatt.study.scene import restated
from commonwatt.units import IntArray

GATEWAY: Final = "gateway"
_LIE: Final = 1_000
"""What a false statement keeps from a member [lane unit]."""


class Side:
    """A community of the packaged cases, with its chain.

    surplus : whether it is A; out : folder for store and chain, where it is found again; None keeps both in memory
    """

    def __init__(self, case: str, start: date, days: int, *, surplus: bool, out: Path | None = None) -> None:
        with as_file(files("commonwatt.study") / "cases" / case) as file:
            self.community = load(file)
            day = Simulation(self.community, Path(file).parent, start, days, out=out)
        while day.advance():
            pass
        if not isinstance(day.exchange, Exchange) or not isinstance(day.node, EmbeddedChain):
            raise LedgerError("Two communities need two chains of their own.")
        self.day, self.exchange, self.chain = day, day.exchange, day.node
        self.exchange.outbox.finalise_due()
        self.keys = simulated_keys(self.community)
        self.names = tuple(member.id for member in self.community.members)
        self.gateway = self.names.index(GATEWAY)
        self.coupler = Coupler(self.exchange, self.gateway, surplus=surplus)
        self.false: Posted | None = None
        """What the operators posted and should not have."""
        self._right: Posted | None = None

    # What is known of a slot

    def limit(self, slot: int) -> int:
        """What the utility pays in A, or asks in B [unit/kWh]."""
        frame = self.exchange.frame_of(Slots(slot, 1, self.exchange.rules.period.seconds))
        return int(frame.floor[0] if self.coupler.surplus else frame.ceiling[0])

    def offer(self, slot: int, wh: int, price: int, lock: bytes, until: int) -> Offer:
        """What the gateway brings here, with its own meter's reading of the link."""
        meter = self.keys.meters[self.gateway]
        if meter is None:
            raise LedgerError("The gateway has no meter.")
        ways = (wh, 0) if self.coupler.surplus else (0, wh)
        # Its meter has numbered a reading for each slot of the days, and numbers on.
        number = self.exchange.rules.period.count + self.exchange.rules.place(slot) + 1
        reading: Signed[Reading] = SimulatedMeter(meter, self.exchange.domain).read(slot, *ways, number)
        return Offer(price, reading, lock, until)

    def client_of(self, member: Key) -> LedgerClient:
        """The ledger, as a member sees it and sends to it."""
        return LedgerClient(self.chain, member, self.exchange.client.addresses)

    def balances(self) -> IntArray:
        """What each member has, shape (members,) [lane unit]."""
        return self.exchange.client.balances()

    def is_final(self, slot: int) -> bool:
        """Whether the chain has applied a trade of the slot, whoever posted what."""
        revision = 1 + (rows.revision_of(self.exchange.store, slot) or 0)
        posting = self.exchange.client.posted(slot, revision)
        return posting is not None and posting.final

    # What happens here

    def tick(self, at: int) -> None:
        """Time passes on the chain, whether or not somebody sends something."""
        if at > self.chain.head.timestamp:
            self.chain.seal(at)

    def post(self, offer: Offer, at: int, *, false: bool = False) -> None:
        """The operators post the trade, or a false one in its place."""
        if not false:
            self._right = self.coupler.post(offer, at)
            return
        right, _ = self.coupler.posted(offer)
        member = self._trader(right)
        statement = right.statements[member]
        if statement is None:
            raise RecordError("Who traded has a statement.")
        lie = restated(right, member, right.lines[member], money=statement.money - _LIE)
        self.false = replace(lie, post=replace(lie.post, lock=offer.lock, until=offer.until))
        message = outgoing(self.false, self.exchange.domain, self.exchange.outbox.quorum)
        self.exchange.outbox.stake(at)
        self.exchange.client.post(message.post, message.trades, message.deltas, message.signatures, at=at)

    def object_to(self, at: int) -> None:
        """A member looks at what it is shown of the false post and has it deleted."""
        if self.false is None:
            return
        false, member, client = self.false, self._trader(self.false), self.exchange.client
        mandate = self.exchange.mandates[member]
        shown = excerpt(false, member, mandate, client)
        line, ways = shown["content"]["slots"][0], shown["proofs"][str(false.post.slot)]
        found = faults(line, ways, member, mandate, chain_of(false.post, member, client), false.post, {}, ())
        fault = next(each for each in found if each.function != DEMAND)
        DisputesClient(client).challenge(self.keys.members[member], fault.function, fault.post, fault.arguments, at=at)
        self.false = None

    def demand(self, at: int, *, answered: bool) -> None:
        """A member asks for its lines of the trade, and is shown them or not."""
        if self._right is None:
            return
        post, member, demands = self._right.post, self._trader(self._right), DemandsClient(self.exchange.client)
        demands.demand(self.keys.members[member], post, member, at=at)
        if answered:
            demands.answer(post, member, answers(self._right, member, self.exchange.mandates[member]), at=at)

    def lapse(self, at: int) -> None:
        """A member that waited for its lines in vain has the post deleted."""
        if self._right is None or not self._stands(self._right.post):
            return
        member, demands = self._trader(self._right), DemandsClient(self.exchange.client)
        asked = demands.demand_of(self._right.post, member)
        if asked and not asked.answered and at > asked.until:
            demands.lapse(self.keys.members[member], self._right.post, member, at=at)

    def _stands(self, post: Post) -> bool:
        posting = self.exchange.client.posted(post.slot, post.revision)
        return posting is not None and not posting.final

    def _trader(self, posted: Posted) -> int:
        """A member, not the gateway, that has a line of the trade with the other community."""
        last = posted.records[-1]
        return last.seller if self.coupler.surplus else last.buyer

    def close(self) -> None:
        """Release the chain."""
        self.day.close()
