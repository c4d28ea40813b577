"""A trade between two communities on their two chains: what stands, and what its gateway or anybody does next.

All that is known of a trade is read from the two chains, and the gateway's keys follow from its own. So whoever was
stopped goes on from there. `at` is the time of the block on chains whose time is set [unix s], as in
`ledger.client.settlement`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from commonwatt.errors import LedgerError, Reverted
from commonwatt.exchange.swap import ENDED, Plan, Standing, Step, Times, next_step
from commonwatt.ledger.client.locks import is_demanded, key_of, lacks_the_key_alone
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.proof import Key, hash_struct, keccak
from commonwatt.records import Post
from commonwatt.records.deltas import unpack_deltas


@dataclass(frozen=True)
class Ledgers:
    """Both ledgers, as somebody with an account on each sees them. a : where the gateway pays; b : where it is paid"""

    a: LedgerClient
    b: LedgerClient
    times: Times

    def plan(self, slot: int, lock: bytes, until_b: int) -> Plan:
        """Of a trade that B's operators post with this end [unix s]."""
        return Plan.of(slot, lock, until_b, (self.a.terms.window, self.b.terms.window), self.times)

    def open(self, at: int) -> Iterator[Plan]:
        """Of the trades that B's chain tells of and of which something may still come, oldest first."""
        now = self.b.node.now(at)
        for post in self.b.locked(_earliest(self.b, now - self.times.margin)):
            if now <= post.until + self.times.margin:
                yield self.plan(post.slot, post.lock, post.until)

    def step(self, plan: Plan, at: int) -> Step:
        """What is due of a trade."""
        a, b = _standing(self.a, plan, at), _standing(self.b, plan, at)
        return next_step(plan, a, b, self.b.node.now(at), self.times)

    def apply_a(self, plan: Plan, at: int) -> None:
        """Apply A's post with the key that B's chain shows. Anybody may. Raises LedgerError where it shows none."""
        key = key_of(self.b, plan.lock, plan.slot)
        if key is None:
            raise LedgerError("B's chain shows no key for this lock yet: A's post can be applied when B's is.")
        _apply(self.a, plan, key, at)

    def go_on(self, at: int) -> None:
        """What anybody does who watches both chains: apply A's posts of which B's chain shows the key."""
        for plan in self.open(at):
            if self.step(plan, at) is Step.APPLY:
                with suppress(Reverted):  # somebody else was first, or what stands now is looked at the next time
                    self.apply_a(plan, at)


@dataclass(frozen=True)
class Gateway:
    """The member of both communities that buys in one what it sells in the other. key : from which its keys follow"""

    ledgers: Ledgers
    key: Key

    def key_of(self, slot: int, until: int) -> bytes:
        """The key of one trade, 32 bytes; another attempt has another end, and another key. until : B's [unix s]"""
        trade = slot.to_bytes(8, "big") + until.to_bytes(8, "big")
        both = self.ledgers.a.domain.separator + self.ledgers.b.domain.separator
        return keccak(b"commonwatt coupling" + self.key.secret + both + trade)

    def lock_of(self, slot: int, until: int) -> bytes:
        """What the operators of both communities put into their posts."""
        return keccak(self.key_of(slot, until))

    def go_on(self, at: int) -> dict[int, Step]:
        """Do what is due of its trades. Returns by slot what was due of those that have not ended."""
        due = {}
        for plan in self.ledgers.open(at):
            key, step = self.key_of(plan.slot, plan.until_b), self.ledgers.step(plan, at)
            if keccak(key) != plan.lock or step in ENDED:
                continue
            if step is Step.REVEAL and not self._as_agreed(plan):
                step = Step.WAIT
            due[plan.slot] = step
            with suppress(Reverted):  # as above: one trade keeps back no other
                if step is Step.REVEAL:
                    _apply(self.ledgers.b, plan, key, at)
                elif step is Step.APPLY:
                    self.ledgers.apply_a(plan, at)
        return due

    def _as_agreed(self, plan: Plan) -> bool:
        """Whether the key opens one post on either ledger, and the gateway has no less in B than it pays in A."""
        moved = 0
        for client in (self.ledgers.a, self.ledgers.b):
            waiting = client.locked(_earliest(client, client.node.head.timestamp))
            opened = [post for post in waiting if post.lock == plan.lock]
            deltas = [client.posted_deltas(post.slot, post.revision) for post in opened]
            if len(opened) != 1 or deltas[0] is None:
                return False
            moved += int(unpack_deltas(deltas[0])[client.member_of(client.key.address)])
        return moved >= 0


def _earliest(client: LedgerClient, now: int) -> int:
    """Since when [unix s] posts came that may still be applied at `now`, of slots of then or of any before."""
    terms = client.terms
    return now - (terms.slot_seconds + terms.corrections + 2 * terms.window + terms.answer_time + terms.grace)


def _found(client: LedgerClient, plan: Plan) -> Post | None:
    return next((post for post in client.locked(plan.slot) if (post.slot, post.lock) == (plan.slot, plan.lock)), None)


def _standing(client: LedgerClient, plan: Plan, at: int) -> Standing | None:
    """The post of the trade, unless it was struck, or expired and was cleared away."""
    post = _found(client, plan)
    posting = client.posted(post.slot, post.revision) if post else None
    if post is None or posting is None or posting.digest != client.domain.digest(hash_struct(post)):
        return None
    terms = client.terms
    first = max(posting.posted_at + terms.window, posting.held_until)
    last = min(first + terms.grace, post.until or first + terms.grace)
    deltas = client.posted_deltas(post.slot, post.revision)
    found = Standing(post.lock, client.node.now(at), first, last, covered=False, final=posting.final)
    if posting.final or deltas is None or not found.due:
        return found
    covered = lacks_the_key_alone(client, post, deltas)
    return replace(found, covered=covered, demanded=is_demanded(client, post, posting))


def _apply(client: LedgerClient, plan: Plan, key: bytes, at: int) -> None:
    """Apply the locked post. Raises Reverted where the contract does not."""
    post = _found(client, plan)
    deltas = client.posted_deltas(post.slot, post.revision) if post else None
    if post is None or deltas is None:
        raise LedgerError("The chain does not show the post that this lock keeps.")
    client.finalise(post, deltas, at=at, key=key)
