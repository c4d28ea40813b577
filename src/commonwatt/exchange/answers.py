"""What operators owe a member: a receipt for each order they accept, and an answer to what it demands on the chain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from commonwatt.exchange.proofs import PostedSlot, SlotProof
from commonwatt.exchange.states import Declared, Posted
from commonwatt.ledger.client.demands import Answer, Consent
from commonwatt.proof import Domain, Key, sign
from commonwatt.records import BUY, ZERO_HASH, Mandate, Order, Post, Reading, Receipt, Signed

MOST_LINES: Final = 200
"""Lines of a part: a block of 10 M gas takes it, also where data has a floor price (EIP-7623), 33 000 gas a line."""
_NO_POST = Post(0, 0, ZERO_HASH, ZERO_HASH, ZERO_HASH, ZERO_HASH)
_NO_ORDER = Order(bytes(20), "", BUY, 0, 0, 0, 0, 0)
_ALONE: Final[tuple[int, int, int, Sequence[bytes]]] = (0, 0, 0, ())
_NO_MANDATE = Mandate(bytes(20), bytes(20), "", 0, 0, 0, 0, 0, 0, 0)
_NO_READING = Signed(Reading(bytes(20), 0, 0, 0, 0), ZERO_HASH, b"")
_NOTHING_READ: Final[tuple[Reading, bytes, Sequence[bytes]]] = (_NO_READING.record, b"", ())


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
    posted: Posted,
    member: int,
    mandate: Signed[Mandate],
    earlier: SlotProof | None = None,
    *,
    shown: int = 0,
    most_lines: int = MOST_LINES,
) -> Iterator[Answer]:
    """What the exchange shows of a member in a post when that is demanded, in as many parts as it takes.

    mandate : the member's own; earlier : the revision before, of a later one
    shown : position of the first line that was not shown yet, as the chain has it; 0 = none was
    most_lines : of a part
    """
    slot = PostedSlot(posted)
    first, around = slot.around(member)
    begin = shown - first if shown else int(around[0].member < member)
    end = len(around) - 1
    by_hash = {line.hash: line.trade for line in slot.own[member]} if member < len(slot.own) else {}
    orders = {order.hash: order for order in posted.delivered.committed.cleared.declared.signed}
    agreed, depth = len(slot.committed.levels[0]), len(slot.tree.levels) - 1
    for start in range(begin, max(end, begin + 1), most_lines):
        stop = min(start + most_lines, end)
        last, before = stop == end, max(start - 1, 0)
        lines = around[before : stop + last]
        trading = [line for line in around[start:stop] if line.trade != ZERO_HASH]
        trades = [by_hash[line.trade] for line in trading]
        committed = [slot.committed.proof(trade.number) if trade.number < agreed else () for trade in trades]
        consents = [_consent(orders.get(named), mandate) for named, _ in groupby(line.order for line in trading)]
        reading = _reading(posted, slot, member) if start == begin and not shown else _NOTHING_READ
        then = (earlier.post, earlier.ends(member)) if earlier and last else (_NO_POST, ())
        position, root = first + before, slot.committed.root
        border = slot.tree.border(position, len(lines))
        yield Answer(position, lines, depth, border, trades, root, committed, consents, *reading, *then)


def _reading(posted: Posted, slot: PostedSlot, member: int) -> tuple[Reading, bytes, Sequence[bytes]]:
    """The member's reading and its way to the readings' root."""
    if member >= len(posted.delivered.readings):
        return _NOTHING_READ
    reading = posted.delivered.readings[member] or _NO_READING
    return reading.record, reading.signature, slot.reading_tree.proof(member)


def _consent(order: Signed[Order] | None, mandate: Signed[Mandate]) -> Consent:
    """An agent's order with the mandate that makes it one, the member's own order alone, or the mandate alone."""
    if order is None:
        return Consent(_NO_ORDER, b"", *_ALONE, mandate.record, mandate.signature)
    within = order.within
    if within is None:
        return Consent(order.record, order.signature, *_ALONE, _NO_MANDATE, b"")
    basket = (within.first, within.count, within.position, within.siblings)
    return Consent(order.record, order.signature, *basket, mandate.record, mandate.signature)
