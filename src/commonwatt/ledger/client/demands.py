"""What a post rests on, demanded on the chain: the contract `Demands`, spoken to through any node.

A member to whom lines are not shown demands them, and whoever holds operators' receipts for an order demands that; a
post that is not answered in time is deleted, and half of its bond is credited to who asked. Methods that send raise
Reverted with the contract's custom error, or LedgerError. `at` is as in `settlement`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from commonwatt.errors import LedgerError
from commonwatt.ledger.client.abi import DEMANDS, Event, contract, decode_event
from commonwatt.ledger.client.disputes import plain
from commonwatt.ledger.client.quorum import ascending
from commonwatt.ledger.client.sending import Call
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.ledger.node import ZERO_ADDRESS
from commonwatt.ledger.node import Receipt as Receipted
from commonwatt.proof import Key, hash_struct, keccak
from commonwatt.records import Line, Mandate, Order, Post, Reading, Receipt, Signed, Statement, Trade
from commonwatt.records.schema import Record, schema

R = TypeVar("R", bound=Record)
_DEMANDED: Final = keccak(b"Demanded(uint64,uint32,uint32,uint256)")
_ANSWERED: Final = keccak(b"Answered(uint64,uint32,uint32)")
_IN_PART: Final = keccak(b"AnsweredInPart(uint64,uint32,uint32,uint256)")


@dataclass(frozen=True)
class Consent:
    """What shows that a member agreed to trade: an agent's order with the mandate, or one of both alone.

    Signatures are 65 bytes, empty where there is none; that of an agent's order is of the basket in which it stands, of
    which `first` to `siblings` are as in `records.Within`.
    """

    order: Order
    order_signature: bytes
    first: int
    count: int
    position: int
    siblings: Sequence[bytes]
    mandate: Mandate
    mandate_signature: bytes


@dataclass(frozen=True)
class Answer:
    """A part of what is shown of a member in a post; the fields are those of the contract's struct, which see."""

    stated: bool
    statement: Statement
    siblings: Sequence[bytes]
    position: int
    lines: Sequence[Line]
    depth: int
    border: Sequence[bytes]
    last: bool
    trades: Sequence[Trade]
    trades_root: bytes
    committed: Sequence[Sequence[bytes]]
    consents: Sequence[Consent]
    reading: Reading
    reading_signature: bytes

    @classmethod
    def decoded(cls, values: Sequence[Any]) -> Answer:
        """Of the values in a transaction's data."""
        stated, statement, siblings, position, lines, depth, border, last, trades, root, committed, *rest = values
        consents, reading, signature = rest
        return cls(
            stated, _record(Statement, statement), siblings, position, [_record(Line, line) for line in lines],
            depth, border, last, [_record(Trade, trade) for trade in trades], root, committed,
            [_consent(consent) for consent in consents], _record(Reading, reading), signature,
        )  # fmt: skip

    @property
    def next(self) -> int:
        """How many of the member's lines are shown with it."""
        return self.position + len(self.lines)


@dataclass(frozen=True)
class Demand:
    """What was demanded of a post.

    by : who asked [address]; until : last second for the answer [unix s]
    next : how many lines were shown; depth : of their tree
    stated : struct hash of the statement whose lines they are; zero = none were shown
    """

    by: bytes
    until: int
    answered: bool
    next: int
    depth: int
    stated: bytes


class DemandsClient:
    """What is demanded of a community's operators."""

    def __init__(self, ledger: LedgerClient) -> None:
        self.ledger = ledger
        self.address = ledger.demands

    def demand(self, member: Key, post: Post, index: int, *, at: int) -> Receipted:
        """Ask for all that was posted about the member with this index, within the window.

        member : key of its account, or of one that holds its grant to watch
        """
        return self._send(member, "demand", post, index, doing="the demand", at=at, kind="demand")

    def answer(self, post: Post, index: int, parts: Iterable[Answer], *, at: int) -> tuple[Receipted, ...]:
        """Show what was demanded and was not shown yet, part by part."""
        function = contract(DEMANDS).functions["answer"]
        calls = [
            Call(self.address, function.encode(*map(plain, (post, index, part))), "answer", len(part.lines))
            for part in parts
        ]
        return self.ledger.sender.send(calls, at, "the answer")

    def lapse(self, key: Key, post: Post, index: int, *, at: int) -> Receipted:
        """Have a post deleted that was not answered in time."""
        return self._send(key, "lapse", post, index, doing="the lapse of the demand", at=at, kind="challenge")

    def demand_order(self, key: Key, post: Post, receipts: Sequence[Signed[Receipt]], *, at: int) -> Receipted:
        """Ask where an order is that enough operators gave their receipts for; within the window."""
        receipt = receipts[0].record
        signatures = ascending(self.ledger.domain, receipt, [each.signature for each in receipts])
        return self._send(key, "demandOrder", post, receipt, signatures, doing="the demand", at=at, kind="demand")

    def answer_order(self, post: Post, receipt: Receipt, siblings: Sequence[bytes], *, at: int) -> Receipted:
        """Show the order where its receipt says."""
        key = self.ledger.key
        return self._send(key, "answerOrder", post, receipt, siblings, doing="the answer", at=at, kind="demand")

    def lapse_order(self, key: Key, post: Post, receipt: Receipt, *, at: int) -> Receipted:
        """Have a post deleted without an order that was accepted."""
        return self._send(key, "lapseOrder", post, receipt, doing="the lapse of the demand", at=at, kind="challenge")

    def demanded(self) -> list[dict[str, Any]]:
        """Every demand there was: slot, revision, member, and until when it could be answered [unix s]."""
        return [dict(event.arguments) for event in self._told(_DEMANDED)]

    def told(self, first: int, last: int) -> list[Event]:
        """What was demanded and answered in the blocks `first` to `last`, both included, oldest first."""
        logs = self.ledger.node.logs(first, last, self.address)
        return [event for log in logs if (event := decode_event(log))]

    def demand_of(self, post: Post, subject: int | Receipt) -> Demand | None:
        """What a member, by its number, or who watches for it demanded of the post as it stands, or who holds receipts
        for an order; None when nothing was."""
        posting = self.ledger.posted(post.slot, post.revision)
        if posting is None:
            return None
        place = subject.to_bytes(32, "big") if isinstance(subject, int) else hash_struct(subject)
        key = self._view("keyOf", posting.digest, posting.posted_at, place)[0]
        demand = Demand(*self._view("demands", key))
        return demand if demand.by != ZERO_ADDRESS else None

    def _view(self, view: str, *values: object) -> tuple[Any, ...]:
        function = contract(DEMANDS).functions[view]
        return function.outputs.decode(self.ledger.node.call(self.address, function.encode(*values)))

    def answered(self, post: Post, index: int) -> list[Answer]:
        """What was answered of the post about a member, part by part; a part that was shown again is left out.

        Raises LedgerError when an answer is not in its transaction's data, since a contract gave it, or is there in the
        form of another release.
        """
        place = post.slot, post.revision, index
        told = sorted(self._told(_IN_PART) + self._told(_ANSWERED), key=lambda event: event.log.block)
        own = [each.log for each in told if tuple(each.arguments[n] for n in ("slot", "revision", "member")) == place]
        function, found = contract(DEMANDS).functions["answer"], []
        for transaction in (self.ledger.node.transaction(log.transaction) for log in own):
            if transaction is None or transaction.to != self.address:
                raise LedgerError("A contract gave the answer: what it shows is not in a transaction's data.")
            if transaction.data[:4] != function.selector:
                raise LedgerError("The answer has the form of another release, and only that one can read it.")
            given, member, answer = function.inputs.decode(transaction.data[4:])
            # Of an earlier post of the slot, which was deleted, another answer may be there.
            if (given, member) == (plain(post), index):
                found.append(Answer.decoded(answer))
        return _in_a_row(found)

    def _told(self, topic: bytes) -> list[Event]:
        node = self.ledger.node
        logs = node.logs(1, node.head.number, self.address, topic)
        return [event for log in logs if (event := decode_event(log))]

    def _send(self, key: Key, function: str, *values: object, doing: str, at: int, kind: str) -> Receipted:
        data = contract(DEMANDS).functions[function].encode(*map(plain, values))
        return self.ledger.send(key, self.address, data, doing, at=at, kind=kind)


def _record(kind: type[R], values: Sequence[Any]) -> R:
    """A record of the values of the contract's struct, in which addresses are text."""
    columns = zip(schema(kind), values, strict=True)
    return kind(*(bytes.fromhex(each[2:]) if column.type == "address" else each for column, each in columns))


def _consent(values: Sequence[Any]) -> Consent:
    order, signature, first, count, position, siblings, mandate, by_member = values
    basket = (first, count, position, siblings)
    return Consent(_record(Order, order), signature, *basket, _record(Mandate, mandate), by_member)


def _in_a_row(parts: Sequence[Answer]) -> list[Answer]:
    """The parts that lead from the first line to the last: each begins where the lines before it have been shown.

    parts : in the order in which they came; those of another statement than the last one's are left out
    Raises LedgerError when one is missing.
    """
    row: list[Answer] = []
    same = [part for part in parts if (part.statement, part.depth) == (parts[-1].statement, parts[-1].depth)]
    for part in sorted(same, key=lambda each: (each.last, each.position, each.next)):
        if part.position > (row[-1].next if row else 0):
            raise LedgerError("The node shows another answer than the contract can have accepted.")
        row.append(part)
    return row
