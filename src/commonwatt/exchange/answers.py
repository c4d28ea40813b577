"""What operators owe a member: a receipt for each order they accept, and an answer to what it demands on the chain."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from commonwatt.exchange.proofs import PostedSlot
from commonwatt.exchange.states import Declared, Posted
from commonwatt.proof import Domain, Key, sign
from commonwatt.records import BUY, ZERO_HASH, Mandate, Order, Post, Reading, Receipt, Signed

_NO_POST = Post(0, 0, ZERO_HASH, ZERO_HASH, ZERO_HASH, ZERO_HASH)
_NO_ORDER = Order(bytes(20), "", BUY, 0, 0, 0, 0, 0)
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


def answer(posted: Posted, member: int, mandate: Signed[Mandate]) -> tuple[object, ...]:
    """The contract's struct Answer, its fields in order; records as they are. mandate : the member's own"""
    slot = PostedSlot(posted)
    first, lines = slot.around(member)
    own = [line for line in lines if line.member == member]
    trades = [line.trade for line in slot.own[member]]
    orders = {order.hash: order for order in posted.delivered.committed.cleared.declared.signed}
    agreed = len(slot.committed.levels[0])
    siblings = [slot.committed.proof(trade.number) if trade.number < agreed else () for trade in trades]
    consents = [
        _consent(orders.get(named), mandate)
        for named, _ in groupby(line.order for line in own if line.trade != ZERO_HASH)
    ]
    reading = posted.delivered.readings[member] or _NO_READING
    return (
        first, lines, len(slot.tree.levels) - 1, slot.tree.border(first, len(lines)), trades, slot.committed.root,
        siblings, consents, reading.record, reading.signature, slot.reading_tree.proof(member),
        _NO_POST, (),
    )  # fmt: skip


def _consent(order: Signed[Order] | None, mandate: Signed[Mandate]) -> tuple[object, ...]:
    """An agent's order with the mandate that makes it one, the member's own order alone, or the mandate alone."""
    if order is None:
        return (_NO_ORDER, b"", mandate.record, mandate.signature)
    if order.record.text:
        return (order.record, order.signature, _NO_MANDATE, b"")
    return (order.record, order.signature, mandate.record, mandate.signature)
