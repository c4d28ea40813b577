"""What the exchange tells the ledger, exactly once.

Every message is keyed by (slot, revision) or by its root, and the chain is asked before anything is sent. So after a
crash the messages of the last event can all be sent again, and only those that are missing take effect.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from commonwatt.community.calendar import Slots
from commonwatt.errors import LedgerError, Reverted
from commonwatt.exchange.states import Posted
from commonwatt.ledger.node import ZERO_ADDRESS
from commonwatt.proof import Domain, Key, hash_struct, keccak, recover
from commonwatt.records import Anchor, Post, Receipt, Signed
from commonwatt.records.deltas import unpack_deltas
from commonwatt.records.schema import Record
from commonwatt.units import IntArray

if TYPE_CHECKING:
    from commonwatt.ledger.client.settlement import LedgerClient
    from commonwatt.ledger.client.terms import Posting

_AT_ONCE: Final = 50
"""Posts that are sent together; a node's pool holds no more than 64 transactions of one sender."""

_BROUGHT: Final = 2_000
"""Records of which it is remembered what operators elsewhere have signed, some days of a community's."""


@dataclass(frozen=True)
class Outgoing:
    """A post with all that the contract wants to see. credit : shape (members,) [lane unit]."""

    post: Post
    trades: bytes
    deltas: bytes
    signatures: tuple[bytes, ...]

    @property
    def credit(self) -> IntArray:
        """Change of each balance, shape (members,) [lane unit]."""
        return unpack_deltas(self.deltas)


def signatures(domain: Domain, record: Record, quorum: Sequence[Key]) -> tuple[bytes, ...]:
    """Each operator's signature over a record, 65 bytes."""
    digest = domain.digest(hash_struct(record))
    return tuple(operator.sign_digest(digest) for operator in quorum)


def outgoing(posted: Posted, domain: Domain, quorum: Sequence[Key]) -> Outgoing:
    """The post of a slot, signed by a quorum of operators."""
    root = posted.delivered.committed.trades.root
    return Outgoing(posted.post, root, posted.deltas, signatures(domain, posted.post, quorum))


def minted(client: LedgerClient, lanes: int, quorum: Sequence[Key]) -> tuple[bytes, ...] | None:
    """The quorum's signatures for `lanes` lane units of tokens; None where ether is the currency."""
    if client.addresses.token == ZERO_ADDRESS:
        return None
    return signatures(client.token_domain, client.issue(lanes), quorum)


class Outbox:
    """The exchange's side of the ledger.

    quorum : keys of as many operators as must sign, or of those among them that are here
    threshold : how many must sign, where some of them sign elsewhere; 0 = the keys here are enough
    pending : posts that are not final yet, oldest first, but for those that a demand holds
    unsigned : those of them that the ledger is not told yet, since too few operators have signed
    locked : posts that become final with a key alone, which whoever has it brings
    """

    def __init__(
        self,
        client: LedgerClient,
        quorum: Sequence[Key],
        pending: Sequence[Outgoing] = (),
        threshold: int = 0,
    ) -> None:
        self.client, self.quorum, self.threshold = client, tuple(quorum), threshold
        self.pending = list(pending)
        self.unsigned: list[Outgoing] = []
        self._brought: dict[bytes, dict[bytes, bytes]] = {}
        """Signatures of operators elsewhere, by digest and signer."""
        self.receipted: dict[int, dict[bytes, list[bytes]]] = {}
        """Their receipts for the orders of a slot, by operator, in the orders' places."""
        self.unanchored: Anchor | None = None
        """A period whose root of bills too few operators have signed."""
        self.locked: list[Outgoing] = []
        self._held: list[tuple[Outgoing, int]] | None = None
        """Posts that are sent together later, each with its time; None while each is sent at once."""
        self._first_due = 0
        """None of them can be applied before [unix s]; what holds a post only grows."""

    def free(self) -> IntArray:
        """What each member's orders may cost, shape (members,) [lane unit]: free balance less pending debits."""
        free = self.client.free_balances()
        for waiting in [*self.pending, *self.waiting()]:
            credit = waiting.credit  # of those who were members then
            free[: len(credit)] += np.minimum(credit, 0)
        return np.maximum(free, 0)

    def waiting(self) -> Iterator[Outgoing]:
        """Locked posts that wait for their key; what is final is in the balances."""
        now = self.client.node.head.timestamp if self.locked else 0
        for message in self.locked:
            posting = self.client.posted(message.post.slot, message.post.revision)
            waits = posting and not posting.final and posting.digest == self._digest(message)
            if waits and now <= message.post.until:
                yield message

    def _digest(self, message: Outgoing) -> bytes:
        return self.client.domain.digest(hash_struct(message.post))

    def signers(self, record: Record, own: Sequence[bytes] | None = None) -> dict[bytes, bytes]:
        """Who has signed a record so far: signatures by the operator's address. own : made here; None = they are now"""
        digest = self.client.domain.digest(hash_struct(record))
        made = [operator.sign_digest(digest) for operator in self.quorum] if own is None else own
        return {recover(digest, each): each for each in made} | self._brought.get(digest, {})

    def bring(self, record: Record, signature: bytes) -> None:
        """Take an operator's signature [65 bytes] that was made elsewhere."""
        digest = self.client.domain.digest(hash_struct(record))
        self._brought.setdefault(digest, {})[recover(digest, signature)] = signature
        while len(self._brought) > _BROUGHT:
            del self._brought[next(iter(self._brought))]

    def signed(self, record: Record, own: Sequence[bytes] | None = None) -> tuple[bytes, ...] | None:
        """The signatures of as many operators as must sign; None while too few have signed. own : as for `signers`"""
        if not self.threshold:
            return signatures(self.client.domain, record, self.quorum) if own is None else tuple(own)
        signers = self.signers(record, own).items()
        found = tuple(signature for each, signature in signers if self.client.view("Community", "isOperator", each)[0])
        return found[: self.threshold] if len(found) >= self.threshold else None

    def receipts(self, slot: int, position: int, order: bytes) -> tuple[Signed[Receipt], ...]:
        """The operators' receipts for an order [struct hash] in its place; of those elsewhere, as far as they came."""
        record = Receipt(order, slot, position)
        others = list(self.receipted.get(slot, {}).values())  # at once, as whoever reads is beside the engine
        given = (each[position] for each in others if position < len(each))
        signed = (*signatures(self.client.domain, record, self.quorum), *given)
        return tuple(Signed(record, hash_struct(record), each) for each in signed)

    def completed(self) -> list[Outgoing]:
        """Posts that too few had signed, and enough have by now, with all these signatures."""
        found = list[Outgoing]()
        for each in self.unsigned:
            if signed := self.signed(each.post, each.signatures):
                found.append(replace(each, signatures=signed))
                self.pending = [found[-1] if one.post == each.post else one for one in self.pending]
        return found

    def commit(self, first_slot: int, orders: Sequence[bytes], trades: Sequence[bytes], at: int) -> bool:
        """Bind the exchange to the day's orders and trades. Returns whether it is bound: not while too few operators
        have signed.

        Raises LedgerError when others are committed.
        """
        committed = self.client.commitment(first_slot)
        if committed is None:
            from commonwatt.ledger.client.quorum import gate_of

            signed = self.signed(gate_of(first_slot, orders, trades))
            if signed is None:
                return False
            self.client.commit(first_slot, orders, trades, signed, at=at)
        elif committed != keccak(orders[0] + trades[0]):
            raise LedgerError(f"The chain holds another commitment for slot {first_slot} than the exchange's file.")
        return True

    def post(self, message: Outgoing, at: int) -> None:
        """Publish a settled slot, once more if the post has expired; none where there are no members. While too few
        operators have signed, it waits.

        Raises LedgerError when the chain holds another post under its key.
        """
        if not message.deltas:
            return
        if self._held is None:
            self._wait_for(self._publish([message], at))
        else:
            self._held.append((message, at))
            self._wait_for([message])

    def _wait_for(self, messages: Iterable[Outgoing]) -> None:
        """Posts that are to be applied, each once, however often it is told."""
        known = {(each.post.slot, each.post.revision) for each in self.pending}
        self.pending += [each for each in messages if (each.post.slot, each.post.revision) not in known]

    @contextmanager
    def together(self) -> Iterator[None]:
        """A backlog: what is posted meanwhile is sent at the end, in as few blocks as it fits, and nothing is applied
        before. Whoever is stopped in between sends it again, as after a crash."""
        self._held = []
        try:
            yield
        except BaseException:
            self._held = None
            raise
        held, self._held = self._held, None
        for first in range(0, len(held), _AT_ONCE):
            messages, times = zip(*held[first : first + _AT_ONCE], strict=True)
            waiting = self._publish(messages, max(times))
            self.pending = [each for each in self.pending if each not in messages or each in waiting]
        if held:
            self.finalise_due(held[-1][1])

    def _publish(self, messages: Sequence[Outgoing], at: int) -> list[Outgoing]:
        """Send those of the posts that are not there; returns those that are not final."""
        missing, waiting = list[Outgoing](), list[Outgoing]()
        self._untell(messages)
        for message in messages:
            posting = self.client.posted(message.post.slot, message.post.revision)
            if posting is None or self._expired(posting, at):
                missing.append(message)
            elif posting.digest != self._digest(message):
                raise LedgerError(f"The chain holds another post of slot {message.post.slot} than the exchange's file.")
            elif posting.final:
                continue
            waiting.append(message)
        if missing:
            self._send(missing, at)
        return waiting

    def stake(self, at: int, more: int = 1) -> None:
        """What so many more open posts need and is not there yet."""
        if bond := self.client.terms.bond:
            lanes, posts = self.client.bond_of(self.client.key.address)
            if (missing := bond * (posts + more) - lanes) > 0:
                self.client.place_bond(missing, at=at, signatures=minted(self.client, missing, self.quorum))

    def finalise_due(self, at: int | None = None) -> None:
        """Apply every pending post whose window has passed at `at` [unix s], or all of them when `at` is None.

        Where the chain goes by its own clock, that counts instead.
        Each is applied soon after its own window, however late it is now, because a post expires after its grace; one
        that a demand holds, when it no longer does. One that has expired is posted again. Of a backlog, as many as can
        be are applied in one block. One that was struck stays pending, and nothing is done about it.
        """
        if self._held is not None:
            return
        if self.pending and not self.client.node.settable:
            at = self.client.node.now(0)
        while self.pending and (at is None or self._first_due <= at):
            message = self.pending[0]
            posting = self.client.posted(message.post.slot, message.post.revision)
            if posting is None or message in self.unsigned:
                # Struck, cleared away after it expired, or to be signed once more: the others do not wait for it.
                self.pending.sort(key=lambda each: not self._waits(each))
                if self.pending[0] is message:
                    return
                continue
            self._first_due = due = self._due(posting)
            if at is not None and due > at:
                if not posting.held_until:
                    return
                # What a demand holds waits behind those that are due before, so that they do not expire over it. Any
                # order will do: of what waits only the debits were counted.
                self.pending.sort(key=lambda each: self._waits(each) or math.inf)
                if self.pending[0] is message:
                    return
                self._first_due = 0
            elif posting.final:
                self.pending.pop(0)
            elif self._expired(posting, due):
                self._send([message], due)
            else:
                self._finalise(due, due if at is None else min(at, due + self.client.terms.grace))

    def _finalise(self, due: int, until: int) -> None:
        """Apply the first pending post, which is due, and in the same block those behind it that are due until then."""
        together = [self.pending[0]]
        for message in self.pending[1:]:
            posting = self.client.posted(message.post.slot, message.post.revision)
            later = None if posting is None or posting.final or self._expired(posting, due) else self._due(posting)
            if later is None or later > until:
                self._first_due = later if posting and later and not posting.held_until else 0
                break
            # It expires after its own grace, however long a demand held the one before.
            together, due, until = [*together, message], max(due, later), min(until, later + self.client.terms.grace)
        try:
            self.client.finalise_all([(message.post, message.deltas) for message in together], at=due)
        except Reverted:
            # Anybody may apply a post, or demand something of it. What is so now is looked at again.
            postings = [self.client.posted(message.post.slot, message.post.revision) for message in together]
            if all(posting and not posting.final and self._due(posting) <= due for posting in postings):
                raise
            self._first_due = 0
            return
        del self.pending[: len(together)]

    def final_at(self, slot: int, revision: int) -> int | None:
        """From when a post could be applied, if it was [unix s]; None when it is not final."""
        posting = self.client.posted(slot, revision)
        return self._due(posting) if posting and posting.final else None

    def stands(self, slot: int, revision: int, at: int) -> bool:
        """Whether a post of the revision is final or may still become so at `at` [unix s]."""
        posting = self.client.posted(slot, revision)
        return posting is not None and not self._expired(posting, at)

    def open_until(self, slots: Slots) -> int:
        """When the last window of these slots' posts that wait has passed [unix s]; 0 when none can become final any
        more."""
        waiting = (each for each in self.pending if slots.start <= each.post.slot < slots.end)
        return max(map(self._waits, waiting), default=0)

    def _send(self, messages: Sequence[Outgoing], at: int) -> None:
        self._untell(messages)
        self.unsigned += [each for each in messages if self.signed(each.post, each.signatures) is None]
        messages = [each for each in messages if each not in self.unsigned]
        if not messages:
            return
        self.stake(at, len(messages))
        posts = [(each.post, each.trades, each.deltas, each.signatures) for each in messages]
        if len(posts) == 1:
            self.client.post(*posts[0], at=at)
            return
        try:
            self.client.post_all(posts, at=at)
        except Reverted:
            # What keeps one of them back keeps no other.
            for message in messages:
                posting = self.client.posted(message.post.slot, message.post.revision)
                if posting is None or self._expired(posting, at):
                    self._send([message], at)

    def _untell(self, messages: Sequence[Outgoing]) -> None:
        """Whether enough have signed these is looked at anew; by now they may have more signatures."""
        posts = [each.post for each in messages]
        self.unsigned = [each for each in self.unsigned if each.post not in posts]

    def _due(self, posting: Posting) -> int:
        """From when a post can be applied [unix s]."""
        return max(posting.posted_at + self.client.terms.window, posting.held_until)

    def _waits(self, message: Outgoing) -> int:
        """From when a post that waits can be applied [unix s]; 0 when it is not there, or waits for signatures."""
        posting = self.client.posted(message.post.slot, message.post.revision)
        return self._due(posting) if posting and message not in self.unsigned else 0

    def _expired(self, posting: Posting, at: int) -> bool:
        """Whether the block that comes next, at `at` [unix s] or later, is too late to apply a post."""
        node = self.client.node
        next_block = max(node.now(at), node.head.timestamp + 1)
        return not posting.final and next_block > self._due(posting) + self.client.terms.grace

    def anchor(self, period: Anchor, at: int) -> None:
        """Fix the root of a period's bills. Raises LedgerError when the chain holds other bills of the period, or while
        too few operators have signed."""
        held = self.client.anchored(period.start, period.until)
        if held is None:
            if (signed := self.signed(period)) is None:
                self.unanchored = period
                raise LedgerError("Too few operators have signed the root of the bills; the others are waited for.")
            self.unanchored = None
            self.client.anchor(period, signed, at=at)
        elif held != period.bills:
            raise LedgerError("The chain holds other bills of this period than the exchange's file.")
