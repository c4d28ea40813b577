"""The community's contracts, spoken to through any node.

Money is in lane units (see `Terms`), slots and times are unix seconds UTC. `at` is the time of the block that an
embedded chain seals for the transaction; a remote node goes by its own clock.
Every method that sends raises Reverted with the contract's custom error, or LedgerError.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from commonwatt.errors import LedgerError, Reverted
from commonwatt.ledger.client.abi import COMMUNITY, DEMANDS, DISPUTES, SETTLEMENT, TOKEN, contract, revert
from commonwatt.ledger.client.finalising import Applied, Publication, alone, fields, finalising, publishing
from commonwatt.ledger.client.posts import Posts
from commonwatt.ledger.client.quorum import ascending, gate_of, mint
from commonwatt.ledger.client.sending import Call, Sender
from commonwatt.ledger.client.terms import Addresses, Enrolment, Posting, Terms
from commonwatt.ledger.client.unit import lanes, unit_of
from commonwatt.ledger.node import ZERO_ADDRESS, CallReverted, Node, Receipt
from commonwatt.ledger.wallet import created_address
from commonwatt.proof import Domain, Key, keccak, sign
from commonwatt.records import ZERO_HASH, Anchor, Mint, Post
from commonwatt.records.schema import Record
from commonwatt.units import IntArray

__all__ = ["Addresses", "Enrolment", "LedgerClient", "Posting", "Terms"]

# Members per transaction of a long list: about 10 M gas, below the 16.8 M that Ethereum allows (EIP-7825).
_BATCH = 100
_LANE_BYTES = 8
_LANES = 4
_MOST_MEMBERS = 100_000
_WITHDRAWAL_REQUESTED = keccak(b"WithdrawalRequested(uint32,uint64,uint64)")
_WITHDRAWN = keccak(b"Withdrawn(uint32,uint64)")


class LedgerClient:
    """A community's contracts, with the key that pays for and signs the transactions (an operator's)."""

    def __init__(self, node: Node, key: Key, addresses: Addresses) -> None:
        self.node = node
        self.key = key
        self.sender = Sender(node, key)
        self.addresses = addresses
        self.domain = Domain(node.chain_id, addresses.settlement)
        """What the operators' signatures of a Post or Anchor, and the members' of their orders, are bound to."""
        self.token_domain = Domain(node.chain_id, addresses.token)
        """What the operators' signatures of a Mint are bound to."""
        self._free: tuple[bytes, IntArray] | None = None
        self._requested: IntArray | None = None
        self._requested_at = 0
        self._posts = Posts(node, addresses.settlement)
        self._answers: dict[tuple[object, ...], tuple[Any, ...]] = {}
        """What contracts answered at the block `_answers_at`: the bills of a period ask the same again and again."""
        self._answers_at = b""

    @classmethod
    def deploy(
        cls,
        node: Node,
        key: Key,
        *,
        operators: Sequence[bytes],
        threshold: int,
        config: bytes,
        members: Sequence[Enrolment],
        terms: Terms,
        token: tuple[str, str] | None,
        by_registers: bool = False,
        at: int,
    ) -> LedgerClient:
        """Create a community's contracts and register its members; `key` is one of the operators.

        config : hash of the canonical community file
        token : name and symbol of the community's money; None for an ether community
        by_registers : whether import and export count apart
        """
        nonce = node.nonce(key.address)
        registrations = -(-len(members) // _BATCH)
        community = created_address(key.address, nonce)
        money = created_address(key.address, nonce + 1 + registrations) if token else ZERO_ADDRESS
        settlement, disputes, demands = (
            created_address(key.address, nonce + 1 + registrations + bool(token) + place) for place in range(3)
        )
        create = contract(COMMUNITY).creation(operators, threshold, config)
        calls = [Call(b"", create, "create", len(operators) - 1), *_registrations(community, members)]
        if token:
            calls.append(Call(b"", contract(TOKEN).creation(community, *token), "create"))
        fixed = (
            terms.lane_unit, terms.slot_seconds, terms.slot_offset, terms.window, terms.grace, terms.answer_time,
            terms.corrections, terms.bond, disputes, demands,
        )  # fmt: skip
        calls.append(Call(b"", contract(SETTLEMENT).creation(community, money, fixed), "create"))
        judges = contract(DISPUTES).creation(settlement, by_registers), contract(DEMANDS).creation(settlement)
        calls += [Call(b"", judge, "create") for judge in judges]
        client = cls(node, key, Addresses(community, settlement, money))
        client.sender.send(calls, at, "the creation of the community")
        return client

    # What operators do

    def register(self, members: Sequence[Enrolment], *, at: int) -> None:
        """Register more members; they are numbered on from the last one."""
        self.sender.send(list(_registrations(self.addresses.community, members)), at, "the registration of members")

    def issue(self, lanes: int) -> Mint:
        """What operators sign in `token_domain`, so that this client can pay in `lanes` lane units for members."""
        return Mint(self.key.address, lanes * self.terms.lane_unit, self.view(TOKEN, "mints")[0])

    def deposit_for(
        self, members: Sequence[int], lanes: Sequence[int], *, at: int, signatures: Sequence[bytes] | None = None
    ) -> None:
        """Pay in for members, by their numbers.

        Ether comes from the client's own account. Tokens are minted for it: the operators have the members'
        money outside the chain.

        signatures : of enough operators over `issue(sum(lanes))`, 65 bytes each, in any order; None = this client's
            key is enough. An ether community needs none.
        """
        calls = self._paid_from_outside(sum(lanes), signatures)
        for part in _parts(len(members)):
            data = self._settlement("depositFor", members[part], lanes[part])
            value = 0 if self.addresses.token != ZERO_ADDRESS else sum(lanes[part]) * self.terms.lane_unit
            calls.append(Call(self.addresses.settlement, data, "depositFor", len(members[part]), value))
        self.sender.send(calls, at, "the deposit")

    def commit(
        self,
        first_slot: int,
        orders: Sequence[bytes],
        trades: Sequence[bytes],
        signatures: Sequence[bytes],
        *,
        at: int,
    ) -> Receipt:
        """Bind the operators to the roots of orders and trades of consecutive slots, before the first one starts.

        signatures : of enough operators over `gate_of(first_slot, orders, trades)` in this client's `domain`
        """
        signed = self._ascending(gate_of(first_slot, orders, trades), signatures)
        data = self._settlement("commit", first_slot, orders, trades, signed)
        return self._send_one(data, "commit", len(orders), len(signed), at, f"the commitment of slot {first_slot}")

    def post(self, post: Post, trades: bytes, deltas: bytes, signatures: Sequence[bytes], *, at: int) -> Receipt:
        """Publish what a slot costs and earns each member, signed by enough operators.

        trades : root of the trades, as committed
        deltas : see `records.deltas.pack_deltas`
        signatures : over `post` in this client's `domain`, 65 bytes each, in any order
        """
        return self.post_all([(post, trades, deltas, signatures)], at=at)[0]

    def post_all(self, posts: Sequence[Publication], *, at: int) -> tuple[Receipt, ...]:
        """Publish several, in one block where they fit. Raises for the first that fails; the others take effect."""
        calls = [publishing(self.domain, each) for each in posts]
        return self.sender.send(calls, at, f"the post of {_name(posts[0][0])}")

    def finalise(self, post: Post, deltas: bytes, *, at: int, key: bytes = ZERO_HASH) -> Receipt:
        """Apply a post after its window. Anybody may. key : opens the post's lock, 32 bytes"""
        call = alone(self.addresses.settlement, post, deltas, key)
        return self.sender.send([call], at, f"the settlement of {_name(post)}")[0]

    def finalise_all(self, posts: Applied, *, at: int) -> tuple[Receipt, ...]:
        """Apply posts without locks after their windows, in one block where they fit, and in few transactions."""
        doing, settlement = f"the settlement of {_name(posts[0][0])}", self.addresses.settlement
        try:
            return self.sender.send(finalising(settlement, posts), at, doing)
        except Reverted:
            if len(posts) == 1:
                raise
            # For one that fails, because somebody has just demanded something of it, the others need not wait.
            return self.sender.send([alone(settlement, *post) for post in posts], at, doing)

    def anchor(self, period: Anchor, signatures: Sequence[bytes], *, at: int) -> Receipt:
        """Fix the bills of a period, signed by enough operators; no other root for the same period can follow.

        signatures : over `period` in this client's `domain`, 65 bytes each, in any order
        """
        data = self._settlement("anchor", fields(period), self._ascending(period, signatures))
        return self._send_one(data, "anchor", 0, len(signatures), at, "the anchor of the bills")

    def place_bond(self, lanes: int, *, at: int, signatures: Sequence[bytes] | None = None) -> None:
        """Stake on the posts that this client's key will send. The money comes as for `deposit_for`."""
        value = 0 if self.addresses.token != ZERO_ADDRESS else lanes * self.terms.lane_unit
        staked = Call(self.addresses.settlement, self._settlement("placeBond", lanes), value=value)
        self.sender.send([*self._paid_from_outside(lanes, signatures), staked], at, "the bond")

    def pay(self, account: bytes, wei: int, *, at: int) -> Receipt:
        """Send ether from the client's account, so that a member can pay for its own transactions [wei]."""
        return self.sender.send([Call(account, b"", value=wei)], at, "the payment")[0]

    # What members do, each with its own key

    def request_withdrawal(self, member: Key, lanes: int, *, at: int) -> Receipt:
        """Ask for some of the member's free balance; it stops being free at once."""
        call = Call(self.addresses.settlement, self._settlement("requestWithdrawal", lanes))
        return self.sender.send([call], at, "the request to withdraw", member)[0]

    def claim_withdrawal(self, member: Key, *, at: int) -> Receipt:
        """Pay the member what it asked for, once every post made before the request is final or expired."""
        call = Call(self.addresses.settlement, self._settlement("claimWithdrawal"))
        return self.sender.send([call], at, "the withdrawal", member)[0]

    # What any key does with another contract of the community

    def send(
        self, key: Key, to: bytes, data: bytes, doing: str, *, at: int, value: int = 0, kind: str = "", items: int = 0
    ) -> Receipt:
        """Send a transaction [value in wei] to the address `to`; empty creates a contract.

        doing : what it is for, in the sentence that tells of a failure
        kind, items : what its gas goes by, see `_GAS`
        """
        return self.sender.send([Call(to, data, kind, items, value)], at, doing, key)[0]

    # What anybody may read

    @cached_property
    def terms(self) -> Terms:
        """What was fixed when Settlement was created."""
        names = ("laneUnit", "slotSeconds", "window", "grace", "slotOffset", "answerTime", "bond", "corrections")
        return Terms(*(self.view(SETTLEMENT, name)[0] for name in names))

    @cached_property
    def unit(self) -> int:
        """What one lane unit is worth [micro-currency]. Raises LedgerError when the contract counts otherwise."""
        return unit_of(self)

    @cached_property
    def disputes(self) -> bytes:
        """The contract that judges proofs of faults [address]."""
        return bytes(self.view(SETTLEMENT, "disputes")[0])

    @cached_property
    def by_registers(self) -> bool:
        """Whether import and export count apart."""
        function = contract(DISPUTES).functions["byRegisters"]
        return bool(function.outputs.decode(self.node.call(self.disputes, function.encode()))[0])

    @cached_property
    def demands(self) -> bytes:
        """The contract that judges answers to what was demanded [address]."""
        return bytes(self.view(SETTLEMENT, "demands")[0])

    @property
    def member_count(self) -> int:
        """How many members are registered. Raises LedgerError for more than any community has."""
        count = int(self.view(COMMUNITY, "memberCount")[0])
        if count > _MOST_MEMBERS:
            raise LedgerError(f"The node says that the community has {count} members; none has above {_MOST_MEMBERS}.")
        return count

    def member_of(self, account: bytes) -> int:
        """Number of the member with this account. Raises Reverted NotAMember."""
        return int(self.view(COMMUNITY, "memberOf", account)[0])

    def home_of_meter(self, meter: bytes, slot: int) -> int:
        """Number of the member whose home this meter [address] measured when the slot began. Raises Reverted
        UnknownMeter."""
        return int(self.view(COMMUNITY, "homeOfMeterAt", meter, slot)[0])

    def balances(self) -> IntArray:
        """Balance of every member, shape (members,) [lane units], requested withdrawals included.

        Read word by word from storage, four members each, so that a thousand members take milliseconds.
        Raises LedgerError when a balance is above 2^63 - 1.
        """
        count = self.member_count
        first = contract(SETTLEMENT).storage["_book"]
        words = self.node.storage(self.addresses.settlement, range(first, first + -(-count // _LANES)))
        packed = b"".join(word.to_bytes(_LANES * _LANE_BYTES, "big") for word in words)
        return lanes(packed[: count * _LANE_BYTES], "balance")

    def requested(self) -> IntArray:
        """What every member has asked to withdraw, shape (members,) [lane units].

        The storage of all members is read only when an event since the last call says that something changed.
        """
        head = self.node.head.number
        count = self.member_count
        changed = self._requested is None or len(self._requested) != count
        for topic in (_WITHDRAWAL_REQUESTED, _WITHDRAWN):
            settlement = self.addresses.settlement
            changed = changed or bool(self.node.logs(self._requested_at + 1, head, settlement, topic))
        self._requested_at = head
        if self._requested is None or changed:
            place = contract(SETTLEMENT).storage["requested"].to_bytes(32, "big")
            keys = [keccak(member.to_bytes(32, "big") + place) for member in range(count)]
            words = self.node.storage(self.addresses.settlement, [int.from_bytes(key, "big") for key in keys])
            # The word holds the lanes in its low 64 bits and the time of the request above them.
            packed = b"".join(word.to_bytes(32, "big")[-_LANE_BYTES:] for word in words)
            self._requested = lanes(packed, "requested withdrawal")
        return self._requested.copy()

    def free_balances(self) -> IntArray:
        """What every member's orders may cost, shape (members,) [lane units]; read anew once there is another block."""
        head = self.node.head.hash
        if self._free is None or self._free[0] != head:
            self._free = head, np.maximum(self.balances() - self.requested(), 0)
        return self._free[1].copy()

    def commitment(self, slot: int) -> bytes | None:
        """What is committed for a slot, keccak(orders ‖ trades); None when nothing is."""
        (found,) = self.view(SETTLEMENT, "commitments", slot)
        return None if found == ZERO_HASH else bytes(found)

    def posted(self, slot: int, revision: int) -> Posting | None:
        """The latest post of a revision, expired or not; None when there is none."""
        digest, posted_at, held_until, final, _ = self.view(SETTLEMENT, "posted", slot, revision)
        return None if digest == ZERO_HASH else Posting(digest, posted_at, final, held_until)

    def posted_deltas(self, slot: int, revision: int) -> bytes | None:
        """The packed deltas of the latest post of a revision, expired or not, out of the transaction that posted it.

        None when there is no post, or when the transaction's data does not hold them, since a contract made the call.
        What is returned has the hash that the chain announced.
        """
        return self._posts.deltas(slot, revision)

    def announced(self, slot: int, revision: int) -> Post | None:
        """The latest post of a revision as its event tells it; None when there was none."""
        return self._posts.announced(slot, revision)

    def locked(self, since: int = 0) -> list[Post]:
        """The latest post of each revision, where it has a lock, of those that came since then [unix s] at least, of
        whichever slot."""
        return self._posts.locked(since)

    def bond_of(self, operator: bytes) -> tuple[int, int]:
        """What an operator [address] has staked [lane units], and how many of its posts are open."""
        lanes, posts = self.view(SETTLEMENT, "bonds", operator)
        return int(lanes), int(posts)

    def anchored(self, start: int, until: int) -> bytes | None:
        """Root of the bills of the period from `start` to `until` [unix s]; None when none is anchored."""
        (bills,) = self.view(SETTLEMENT, "anchored", start, until)
        return None if bills == ZERO_HASH else bytes(bills)

    def view(self, name: str, view: str, *values: object) -> tuple[Any, ...]:
        """What a view of the community's contract `name` gives. Raises Reverted."""
        head = self.node.head.hash
        if head != self._answers_at:
            self._answers, self._answers_at = {}, head
        question = name, view, *values
        if question not in self._answers:
            self._answers[question] = self._ask(name, view, *values)
        return self._answers[question]

    # Inside

    def _ascending(self, record: Record, signatures: Sequence[bytes]) -> list[bytes]:
        """The signatures in the order that the contract asks for: by the signers' addresses."""
        return ascending(self.domain, record, signatures)

    def _paid_from_outside(self, lanes: int, signatures: Sequence[bytes] | None) -> list[Call]:
        """Mint the tokens of a payment and let Settlement take them; an ether community needs neither."""
        if self.addresses.token == ZERO_ADDRESS:
            return []
        issue, domain = self.issue(lanes), self.token_domain
        if signatures is None:
            signatures = [sign(domain, issue, self.key).signature]
        approve = contract(TOKEN).functions["approve"].encode(self.addresses.settlement, issue.amount)
        minted = Call(self.addresses.token, mint(domain, issue, signatures), "mint", signatures=len(signatures))
        return [minted, Call(self.addresses.token, approve)]

    def _settlement(self, function: str, *values: object) -> bytes:
        return contract(SETTLEMENT).functions[function].encode(*values)

    def _ask(self, name: str, view: str, *values: object) -> tuple[Any, ...]:
        function = contract(name).functions[view]
        to = {COMMUNITY: self.addresses.community, TOKEN: self.addresses.token}.get(name, self.addresses.settlement)
        try:
            return function.outputs.decode(self.node.call(to, function.encode(*values)))
        except CallReverted as error:
            raise revert(error.data, f"the question {view}") from error

    def _send_one(self, data: bytes, kind: str, items: int, signatures: int, at: int, doing: str) -> Receipt:
        call = Call(self.addresses.settlement, data, kind, items, signatures=signatures)
        return self.sender.send([call], at, doing)[0]


def _registrations(community: bytes, members: Sequence[Enrolment]) -> Iterator[Call]:
    for part in _parts(len(members)):
        batch = members[part]
        accounts, meters = [member.account for member in batch], [member.meter for member in batch]
        data = contract(COMMUNITY).functions["register"].encode(accounts, meters, [member.role for member in batch])
        yield Call(community, data, "register", len(batch))


def _parts(length: int) -> Iterator[slice]:
    return (slice(first, min(first + _BATCH, length)) for first in range(0, length, _BATCH))


def _name(post: Post) -> str:
    return f"slot {post.slot}, revision {post.revision}"
