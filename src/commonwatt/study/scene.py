"""A community at a slot that is settled and not yet posted, for attacks on it: each has a chain of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from commonwatt.accounts.statements import statement_of, statement_tree
from commonwatt.community.model import Community
from commonwatt.errors import LedgerError
from commonwatt.exchange.checking import load
from commonwatt.exchange.events import Correction, Event
from commonwatt.exchange.excerpt import excerpt, placed, promised
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.outbox import Outbox, Outgoing, outgoing
from commonwatt.exchange.states import Posted, Settled
from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.client.disputes import DisputesClient
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.ledger.client.terms import Addresses
from commonwatt.market import Orders
from commonwatt.member.challenge import chain_of
from commonwatt.member.ends import between
from commonwatt.member.faults import DEMAND, Fault, faults
from commonwatt.member.page import read
from commonwatt.proof import Key, keccak, sign_basket
from commonwatt.records import Line, Mandate, Order, Post, Signed, Statement
from commonwatt.records.deltas import pack_deltas
from commonwatt.simulation.api import first_day
from commonwatt.simulation.homes import SigningHomes
from commonwatt.simulation.keys import Keys, simulated_keys
from commonwatt.simulation.simulation import Simulation
from commonwatt.units import IntArray


class Silent(Exchange):
    """An honest exchange that tells the ledger nothing from the first slot on in which somebody trades for money.

    revision : of that slot
    """

    def __init__(self, *arguments: Any, revision: int = 0) -> None:
        self._revision = revision
        self.posted: Posted | None = None
        super().__init__(*arguments)

    def stated(self, settled: Settled) -> tuple[Settled, Outgoing | None]:
        """See `Exchange`."""
        posted, message = super().stated(settled)
        if isinstance(posted, Posted) and posted.post.revision == self._revision and posted.account.settled.any():
            self.posted = posted
        return posted, message

    def tell(self, event: Event | Correction, message: Outgoing | None) -> None:
        """See `Exchange`."""
        if self.posted is None:
            super().tell(event, message)


class Hesitant(SigningHomes):
    """Homes whose agents order more at first, and then think better of it, so that each order replaces one."""

    @classmethod
    def of(cls, homes: SigningHomes) -> Hesitant:
        """The same homes, of that kind."""
        return cls(homes.rules, homes.world, homes.minds, homes.store, homes.keys, homes.domain)

    def signed(self, starts: Sequence[int], orders: Sequence[Orders]) -> tuple[tuple[Signed[Order], ...], ...]:
        """See `SigningHomes`."""
        return tuple(
            tuple(each for order in slot for each in self.hesitating(order)) for slot in super().signed(starts, orders)
        )

    def hesitating(self, order: Signed[Order]) -> tuple[Signed[Order], ...]:
        """What comes in the place of an order: a wish for more, and then the order."""
        record = order.record
        agents = {key.address: agent for key, agent in zip(self.keys.members, self.keys.agents, strict=True)}
        first = replace(record, nonce=record.nonce - 1, wh=min(2 * record.wh, record.wh + 100))
        return *sign_basket(self.domain, [first], agents[record.member]), order


@dataclass(frozen=True)
class Scene:
    """What the attackers have, and what the members have against them.

    client : with the key of an operator; honest : the slot as it should be posted; keys : everybody's
    """

    client: LedgerClient
    honest: Posted
    keys: Keys
    mandates: tuple[Signed[Mandate], ...]

    @property
    def now(self) -> int:
        """Time of the next block [unix s], after the slot."""
        return max(self.client.node.head.timestamp + 1, self.honest.post.slot + self.client.terms.slot_seconds + 1)

    @property
    def quorum(self) -> tuple[Key, ...]:
        """As many operators as must sign."""
        return self.keys.operators

    def meter_of(self, member: int) -> Key:
        """The key of the member's meter."""
        key = self.keys.meters[member]
        if key is None:
            raise LedgerError(f"Member {member} has no meter.")
        return key

    def post(self, false: Posted) -> None:
        """The quorum posts this, with its bond."""
        message, outbox = outgoing(false, self.client.domain, self.quorum), Outbox(self.client, self.quorum)
        outbox.stake(self.now)
        self.client.post(message.post, message.trades, message.deltas, message.signatures, at=self.now)

    def posted(self, post: Post) -> bool:
        """Whether the post is still there."""
        return self.client.posted(post.slot, post.revision) is not None

    def objected(
        self, false: Posted, member: int, newcomer: tuple[Key, Signed[Mandate]] | None = None, proof: str | None = None
    ) -> bool:
        """The quorum posts this, and a member looks at what it is shown; whether the post is deleted by what it proves.

        newcomer : key and mandate of a member that joined later
        proof : the function of the contract that is to do it; None = any
        """
        self.post(false)
        key, mandate = newcomer or (self.keys.members[member], self.mandates[member])
        shown = excerpt(false, member, mandate, self.client)
        line, ways = shown["content"]["slots"][0], shown["proofs"][str(false.post.slot)]
        told, committed = chain_of(false.post, member, self.client), self.honest.delivered.committed
        kept = promised(committed, member), placed(committed, member)
        self._challenge(key, faults(line, ways, member, mandate, told, false.post, *kept), proof)
        return not self.posted(false.post)

    def objected_together(self, shown: Mapping[int, Posted], proof: str) -> bool:
        """The quorum posts a slot, and members look at what they are shown together; whether the post is deleted.

        shown : by member, the same post; proof : the function of the contract that is to delete it
        """
        pages = []
        for member, posted in shown.items():
            mandate = self.mandates[member]
            document = excerpt(posted, member, mandate, self.client)
            line, ways = document["content"]["slots"][0], document["proofs"][str(posted.post.slot)]
            pages.append(read(line, ways, member, mandate, self.client.domain, posted.post))
        first, *_ = shown
        self.post(shown[first])
        self._challenge(self.keys.members[first], between(pages), proof)
        return not self.posted(shown[first].post)

    def _challenge(self, key: Key, found: Sequence[Fault], proof: str | None) -> None:
        """Prove these, until the post is gone."""
        for fault in found:
            if fault.function != DEMAND and proof in (None, fault.function) and self.posted(fault.post):
                DisputesClient(self.client).challenge(key, fault.function, fault.post, fault.arguments, at=self.now)

    def trader(self, *, buys: bool) -> int:
        """A member that paid for what it bought, or was paid for what it sold."""
        local = self.honest.account.local
        return int(local.argmax() if buys else local.argmin())


def restated(
    posted: Posted, member: int, lines: Sequence[Line], moved: IntArray | None = None, **changes: Any
) -> Posted:
    """A slot with other lines of a member, and a statement that says what the last one does.

    moved : other changes of the balances [lane unit]; changes : of the statement's fields
    """
    own = posted.statements[member]
    if own is None:
        raise LedgerError(f"Member {member} has no statement.")
    shown, statement = list(posted.lines), statement_of(lines, own.reading, own.salt)
    shown[member] = tuple(lines)
    return with_statement(replace(posted, lines=tuple(shown)), member, replace(statement, **changes), moved)


def with_statement(posted: Posted, member: int, statement: Statement | None, moved: IntArray | None = None) -> Posted:
    """A slot with another statement of a member, or none, and other changes of the balances [lane unit]."""
    statements = [*posted.statements, *[None] * (member + 1 - len(posted.statements))]
    statements[member] = statement
    tree = statement_tree(statements)
    deltas = posted.deltas if moved is None else pack_deltas(moved)
    post = replace(posted.post, statements=tree.root, deltas=keccak(deltas))
    return replace(posted, statements=tuple(statements), tree=tree, deltas=deltas, post=post)


class Stage:
    """The scene as often as it is wanted, each time on a fresh copy of the chain's file."""

    def __init__(self, community: Community, folder: Path, start: str, out: Path, revision: int) -> None:
        first, *_ = first_day(start, 1)

        def engine(*arguments: Any) -> Exchange:
            return Silent(*arguments, revision=revision)

        day = Simulation(community, folder, first, 1, engine=engine, out=out)
        exchange = day.exchange
        if not isinstance(exchange, Silent):
            raise LedgerError("An operator can only cheat where there is a ledger.")
        if isinstance(day.homes, SigningHomes):
            day.homes = Hesitant.of(day.homes)
        while exchange.posted is None:
            day.advance()
        self._honest, self._mandates, self._key = exchange.posted, exchange.mandates, exchange.client.key
        self._addresses: Addresses = exchange.client.addresses
        day.close()
        self._out, self._keys, self._number = out, simulated_keys(community), 0

    @contextmanager
    def scene(self) -> Iterator[Scene]:
        """One more."""
        self._number += 1
        file = Path(shutil.copy(self._out / "ledger.sqlite", self._out / f"{self._number}.sqlite"))
        with EmbeddedChain(file) as chain:
            client = LedgerClient(chain, self._key, self._addresses)
            yield Scene(client, self._honest, self._keys, self._mandates)


@contextmanager
def stages(case: str, start: str) -> Iterator[tuple[Stage, Stage]]:
    """A slot of a packaged case that is posted for the first time, and one that is settled anew."""
    with ExitStack() as stack:
        file = Path(stack.enter_context(as_file(files("commonwatt.study") / "cases" / case)))
        community, out = load(file), Path(stack.enter_context(TemporaryDirectory()))
        first, anew = (Stage(community, file.parent, start, out / str(revision), revision) for revision in (0, 1))
        yield first, anew
