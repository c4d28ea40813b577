"""What operators owe a member: a receipt for each order they accept, and an answer to what it demands on the chain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from commonwatt.accounts.statements import line_tree
from commonwatt.exchange.proofs import PostedSlot
from commonwatt.exchange.states import Declared, Posted
from commonwatt.ledger.client.demands import Answer, Consent
from commonwatt.proof import Domain, Key, sign
from commonwatt.records import BUY, ZERO_HASH, Mandate, Order, Reading, Receipt, Signed, Statement

MOST_LINES: Final = 200
"""Lines of a part: a block of 10 M gas takes it, also where data has a floor price (EIP-7623), 27 800 gas a line."""
_NO_STATEMENT = Statement(0, 0, 0, ZERO_HASH, ZERO_HASH, ZERO_HASH)
_NO_ORDER = Order(bytes(20), "", BUY, 0, 0, 0, 0, 0)
_ALONE: Final[tuple[int, int, int, Sequence[bytes]]] = (0, 0, 0, ())
_NO_MANDATE = Mandate(bytes(20), bytes(20), "", 0, 0, 0, 0, 0, 0, 0)
_NO_READING = Signed(Reading(bytes(20), 0, 0, 0, 0), ZERO_HASH, b"")


def receipt(
    slot: int, position: int, order: bytes, domain: Domain, operators: Sequence[Key]
) -> tuple[Signed[Receipt], ...]:
    """Each operator's receipt for an accepted order [struct hash]: where it will stand among the slot's.

    With a quorum of them whoever holds them can demand the order on the chain.
    """
    return tuple(sign(domain, Receipt(order, slot, position), operator) for operator in operators)


def receipts(declared: Declared, domain: Domain, operators: Sequence[Key]) -> tuple[tuple[Signed[Receipt], ...], ...]:
    """`receipt` for each order of a slot whose gate has closed, for operators who did not see it arrive."""
    orders = enumerate(declared.signed)
    return tuple(receipt(declared.slot, place, order.hash, domain, operators) for place, order in orders)


def order_answer(posted: Posted, receipt: Receipt) -> tuple[bytes, ...]:
    """Siblings that show the order where its receipt says. Raises IndexError when there is no such place."""
    return posted.delivered.committed.orders.proof(receipt.position)


def answers(
    posted: Posted, member: int, mandate: Signed[Mandate], *, shown: int = 0, most_lines: int = MOST_LINES
) -> Iterator[Answer]:
    """What the exchange shows of a member in a post when that is demanded, in as many parts as it takes.

    mandate : the member's own
    shown : how many of its lines were shown already, as the chain has it
    most_lines : of a part
    """
    slot = PostedSlot(posted, mandate)
    statement, siblings, root = slot.statement(member), slot.siblings(member), slot.committed.root
    if statement is None:
        yield Answer(
            stated=False, statement=_NO_STATEMENT, siblings=siblings, position=0, lines=(), depth=0, border=(),
            last=True, trades=(), trades_root=root, committed=(), consents=(), reading=_NO_READING.record,
            reading_signature=b"",
        )  # fmt: skip
        return
    lines = slot.lines(member)
    tree, by_hash = line_tree(lines), {each.hash: each.trade for each in slot.own[member]}
    orders = {order.hash: order for order in posted.delivered.committed.cleared.declared.signed}
    agreed = len(slot.committed.levels[0])
    # Whoever brings all lines as if others followed leaves the last of them to be shown again.
    for start in range(min(shown, max(len(lines) - 1, 0)), max(len(lines), 1), most_lines):
        part = lines[start : start + most_lines]
        trades, last = [by_hash[line.trade] for line in part], start + len(part) == len(lines)
        reading = _reading(posted, member) if start == 0 else _NO_READING
        yield Answer(
            stated=True,
            statement=statement,
            siblings=siblings,
            position=start,
            lines=part,
            depth=tree.depth,
            border=tree.beside(range(start, 1 << tree.depth if last else start + len(part))) if lines else (),
            last=last,
            trades=trades,
            trades_root=root,
            committed=[slot.committed.proof(trade.number) if trade.number < agreed else () for trade in trades],
            consents=[_consent(orders.get(named), mandate) for named, _ in groupby(line.order for line in part)],
            reading=reading.record,
            reading_signature=reading.signature,
        )


def _reading(posted: Posted, member: int) -> Signed[Reading]:
    """The member's reading, or one without a signature."""
    readings = posted.delivered.readings
    return (readings[member] if member < len(readings) else None) or _NO_READING


def _consent(order: Signed[Order] | None, mandate: Signed[Mandate]) -> Consent:
    """An agent's order with the mandate that makes it one, the member's own order alone, or the mandate alone."""
    if order is None:
        return Consent(_NO_ORDER, b"", *_ALONE, mandate.record, mandate.signature)
    within = order.within
    if within is None:
        return Consent(order.record, order.signature, *_ALONE, _NO_MANDATE, b"")
    basket = (within.first, within.count, within.position, within.siblings)
    return Consent(order.record, order.signature, *basket, mandate.record, mandate.signature)
