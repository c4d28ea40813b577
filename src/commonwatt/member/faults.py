"""What is wrong with a posted slot, found from what one member is shown of it, and the proof of it for the chain.

`verify` tells a person that a bill does not hold; here each fault becomes a call of the contract `Disputes`, which
deletes the post as long as it is not final. What is not shown, or does not lead to the posted roots, proves nothing:
that is demanded on the chain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import Any, Final

from commonwatt.accounts.promise import Placed, Promise
from commonwatt.accounts.statements import place_of
from commonwatt.errors import RecordError, VerificationError
from commonwatt.member.page import Page, ShownLine, Ways, hash_of, leads, read, require_committed, ways
from commonwatt.proof import Domain, hash_struct
from commonwatt.records import BUY, SELL, ZERO_HASH, Mandate, Order, Post, Signed, Trade
from commonwatt.records.deltas import unpack_deltas
from commonwatt.units import decimal_text, payment

DEMAND: Final = "demand"
"""Of a fault that cannot be proved from what was shown."""


@dataclass(frozen=True)
class Fault:
    """One fault of a post.

    says : a sentence for a person
    function, arguments : of the contract, after the post; `DEMAND` when the operators have to show more
    """

    post: Post
    says: str
    function: str
    arguments: tuple[object, ...] = ()


@dataclass(frozen=True)
class Chain:
    """What the chain says of the slot.

    domain : what records are signed for; unit : what a lane unit is worth [micro-currency]
    deltas : as posted; None where the chain does not show them
    registered_at : since when the member belongs to the community [unix s]
    measures : whether a meter [address] measured the member's home when the slot began
    before : all revisions before it from 0 on, each with its deltas as posted; None = not asked for, or not shown
    by_registers : whether import and export count apart
    members : how many there are; None = not asked for
    """

    domain: Domain
    commitment: bytes | None
    deltas: bytes | None
    unit: int = 1
    registered_at: int = 0
    measures: Callable[[bytes], bool] = lambda _: True
    before: tuple[tuple[Post, bytes], ...] | None = ()
    by_registers: bool = False
    members: int | None = None


def faults(
    shown: Mapping[str, Any],
    proof: Mapping[str, Any],
    member: int,
    mandate: Signed[Mandate],
    chain: Chain,
    post: Post,
    promises: Mapping[int, Promise] | None = None,
    orders: Sequence[Placed] = (),
) -> list[Fault]:
    """Every fault of the slot that `shown` and `proof` of a bill or an excerpt prove, or else what has to be demanded.

    mandate : the member's; post : as the chain announced it
    promises, orders : what the member was shown at the gate of its trades, and of its orders that replaced or cancelled
        others
    """
    try:
        page = read(shown, proof, member, mandate, chain.domain, post)
        beside = ways(page.trades, proof)
    except (VerificationError, RecordError) as error:
        says = f"Slot {post.slot}: what was posted is not shown whole ({str(error).rstrip('.')})"
        return [Fault(post, says, DEMAND)]
    return proved(page, chain, promises or {}, orders) or list(_not_shown(page, beside, chain))


def proved(page: Page, chain: Chain, promises: Mapping[int, Promise], orders: Sequence[Placed] = ()) -> list[Fault]:
    """Every fault of a page that the chain believes at once."""
    if page.statement is None:
        return list(_passed_over(page, chain))
    checks = (
        _in_order(page), _of_each_line(page, chain), _filled(page), _of_the_statement(page, chain),
        _as_promised(page, promises, chain), _left_out(page, promises, chain), _replaced(page, orders),
    )  # fmt: skip
    return [fault for check in checks for fault in check]


def _passed_over(page: Page, chain: Chain) -> Iterator[Fault]:
    """A member without a statement."""
    if chain.deltas is None:
        return
    moves = _moved(page.member, chain.deltas)
    if chain.registered_at < page.post.slot or moves:
        told = f"the balance moves by {decimal_text(moves * chain.unit)}, and no statement says why"
        says = told if moves else "the member was passed over"
        yield fault_of(page, says, "challengeUnstated", page.member, page.siblings, chain.deltas)


def _in_order(page: Page) -> Iterator[Fault]:
    """Lines side by side that are in a wrong order."""
    for one, other in pairwise(page.lines):
        leaves = page.leaf(one), page.leaf(other)
        if other.line.order < one.line.order:
            yield fault_of(page, "lines stand in a wrong order", "challengeSequence", page.stated, *leaves)
        elif other.line.order == one.line.order and _place(page, other) <= _place(page, one):
            says, trades = "a trade stands twice or in a wrong order", (one.trade, other.trade)
            yield fault_of(page, says, "challengeTradeSequence", page.stated, *leaves, *trades)


def _place(page: Page, line: ShownLine) -> tuple[bool, int]:
    """Where a line stands among those of one order."""
    _, sells, number = place_of(line.trade, page.member)
    return sells, number


def _of_each_line(page: Page, chain: Chain) -> Iterator[Fault]:
    """What one line says against the trade and the consent that it names."""
    for line in page.lines:
        trade, buys = line.trade, line.trade.buyer == page.member
        own = buys != (trade.seller == page.member)
        nobody = chain.members is not None and (trade.seller if buys else trade.buyer) >= chain.members
        agreed = line.line.order == (trade.buy_order if buys else trade.sell_order)
        if trade.slot != page.post.slot or not own or nobody or not agreed:
            says = "a trade with nobody" if nobody else "a trade of others, or of another slot"
            yield fault_of(page, says, "challengeTrade", page.stated, page.leaf(line), trade)
            continue
        yield from _beyond_consent(page, line, trade)
        bought, sold, money = line.added
        wh, other = (bought, sold) if buys else (sold, bought)
        paid = payment(wh, trade.price) if wh >= 0 else 0
        if other or not 0 <= wh <= trade.wh or money != (-paid if buys else paid):
            says = "sums that do not follow from the trade"
            yield fault_of(page, says, "challengeSum", page.stated, page.pair(line), trade)
        against = not chain.by_registers and _is_read(page) and line.wh and line.wh * page.net <= 0
        if against:
            says = f"a home {'buys' if line.wh > 0 else 'sells'}, and its meter counted {page.net} Wh"
            yield fault_of(page, says, "challengeDirection", page.stated, page.pair(line), page.reading)


def _is_read(page: Page) -> bool:
    """Whether the statement is of the reading that is shown."""
    return page.reading is not None and page.stated.statement.reading == hash_of(page.reading)


def _beyond_consent(page: Page, line: ShownLine, trade: Trade) -> Iterator[Fault]:
    buys = trade.buyer == page.member
    if isinstance(line.consent, Order):
        order = line.consent
        beyond = trade.price > order.limit if buys else trade.price < order.limit
        other = order.slot != page.post.slot or order.side != (BUY if buys else SELL)
        if beyond or other:
            says = "a trade under an order for another slot or side"
            says = says if other else f"a price of {trade.price} under an order with the limit {order.limit}"
            yield fault_of(page, says, "challengeOrder", page.stated, page.leaf(line), trade, order)
    else:
        mandate = line.consent
        limit = mandate.max_buy if buys else mandate.min_sell
        beyond = trade.price > limit if buys else trade.price < limit
        if beyond or not mandate.valid_from <= page.post.slot < mandate.valid_until:
            says = "a trade under a mandate outside its time"
            says = f"a price of {trade.price} under a mandate with the limit {limit}" if beyond else says
            yield fault_of(page, says, "challengeMandate", page.stated, page.leaf(line), trade, mandate)


def _filled(page: Page) -> Iterator[Fault]:
    """More energy under one consent than it allows: lines under the same one stand together, purchases first."""
    for (_, buys), same in groupby(page.lines, key=lambda line: (line.line.order, line.trade.buyer == page.member)):
        run = list(same)
        first, last, consent = run[0], run[-1], run[0].consent
        wh = sum(line.added[0 if buys else 1] for line in run)
        if isinstance(consent, Order):
            most, function = consent.wh, "challengeOrderFill"
        else:
            most, function = consent.buy_wh if buys else consent.sell_wh, "challengeMandateFill"
        if wh > most:
            says, lines = f"{wh} Wh under a consent for {most} Wh", [*page.pair(first), page.leaf(last)]
            yield fault_of(page, says, function, page.stated, lines, consent)


def _of_the_statement(page: Page, chain: Chain) -> Iterator[Fault]:
    """The statement against the last line, the balance and the meter."""
    statement = page.stated.statement
    sums = statement.bought, statement.sold, statement.money
    last = page.lines[-1:]
    if sums != next(((each.line.bought, each.line.sold, each.line.money) for each in last), (0, 0, 0)):
        says, behind = "a statement with other sums than its last line", page.behind(len(page.lines))
        yield fault_of(page, says, "challengeTotal", page.stated, [page.leaf(each) for each in last], behind)
    if statement.reading == ZERO_HASH and any(sums):
        yield fault_of(page, "a statement without a reading moves something", "challengeUnread", page.stated)
    if chain.deltas is not None and chain.before is not None:
        moved = _moved(page.member, chain.deltas) + sum(_moved(page.member, deltas) for _, deltas in chain.before)
        if moved != statement.money:
            moves, stated = (decimal_text(lanes * chain.unit) for lanes in (moved, statement.money))
            says = f"the balance moves by {moves}, the lines add up to {stated}"
            says = f"all revisions moved the balance by {moves}, the lines add up to {stated}" if chain.before else says
            posts, deltas = ([each[part] for each in chain.before] for part in (0, 1))
            yield fault_of(page, says, "challengeDelta", page.stated, chain.deltas, posts, deltas)
    if page.reading is None or not _is_read(page):
        return
    other, strange = page.reading.slot != page.post.slot, not chain.measures(page.reading.meter)
    if other or strange or not _is_delivered(page, chain):
        wh = statement.bought - statement.sold
        says = f"{wh} Wh of local energy, and the meter counted {page.net} Wh"
        if chain.by_registers:
            counted = f"{page.reading.wh_in} Wh and {page.reading.wh_out} Wh"
            says = f"{statement.bought} Wh bought and {statement.sold} Wh sold, and the registers counted {counted}"
        says = "the reading is of a meter that did not measure this home then" if strange else says
        says = "the reading is of another slot" if other else says
        yield fault_of(page, says, "challengeDelivery", page.stated, page.reading)


def _is_delivered(page: Page, chain: Chain) -> bool:
    """Whether the meter counted the local energy."""
    statement, reading = page.stated.statement, page.reading
    if reading is None:
        return False
    if chain.by_registers:
        return statement.bought <= reading.wh_in and statement.sold <= reading.wh_out
    return min(page.net, 0) <= statement.bought - statement.sold <= max(page.net, 0)


def _moved(member: int, deltas: bytes) -> int:
    """What a post moves for a member [lane unit]."""
    moved = unpack_deltas(deltas)
    return int(moved[member]) if member < len(moved) else 0


def _as_promised(page: Page, promises: Mapping[int, Promise], chain: Chain) -> Iterator[Fault]:
    """Another trade than the one that was committed under its number."""
    for line in page.lines:
        promise = promises.get(line.trade.number)
        if promise is None or promise.trade == line.line.trade:
            continue
        if promise.under(page.post.orders, chain.commitment):
            says = f"trade {line.trade.number} is not the one that was committed before delivery"
            proof = (page.leaf(line), line.trade, promise.root, promise.trade, promise.siblings)
            yield fault_of(page, says, "challengeCommitted", page.stated, *proof)


def _left_out(page: Page, promises: Mapping[int, Promise], chain: Chain) -> Iterator[Fault]:
    for promise in promises.values():
        if promise.under(page.post.orders, chain.commitment):
            yield from left_out(page, promise)


def _replaced(page: Page, orders: Sequence[Placed]) -> Iterator[Fault]:
    """A trade under an order that the member had replaced or cancelled."""
    for line in page.lines:
        order = line.consent
        if not isinstance(order, Order):
            continue
        for later in (*page.orders, *orders):
            same = (later.order.slot, later.order.side) == (order.slot, order.side)
            there = leads(hash_struct(later.order), later.position, later.siblings, page.post.orders)
            if same and later.order.nonce > order.nonce and there:
                says = f"a trade under order {order.nonce}, which order {later.order.nonce} replaced or cancelled"
                proof = (page.leaf(line), order, later.order, later.position, later.siblings)
                yield fault_of(page, says, "challengeReplaced", page.stated, *proof)
                break


def _not_shown(page: Page, beside: Ways, chain: Chain) -> Iterator[Fault]:
    """What has to be shown before the chain can judge it."""
    try:
        require_committed(page, beside, chain.commitment)
    except (VerificationError, RecordError):
        yield fault_of(page, "it is not shown that the trades were committed before delivery", DEMAND)
    if page.statement and page.statement.reading not in (ZERO_HASH, hash_of(page.reading)):
        yield fault_of(page, "the reading that its statement names is not shown", DEMAND)


def left_out(page: Page, promise: Promise) -> Iterator[Fault]:
    """A trade that was committed, and of which the member at one of its ends has no line."""
    trade = promise.record
    own = trade.slot == page.post.slot and (trade.buyer == page.member) != (trade.seller == page.member)
    missing = page.missing(trade) if own else None
    if missing:
        says = f"trade {trade.number}, which was committed before delivery, is left out"
        yield fault_of(page, says, "challengeMissing", replace(missing, committed=promise.siblings))


def fault_of(page: Page, says: str, function: str, *arguments: object) -> Fault:
    """What is wrong with the post of a page. arguments : of the contract's function, after the post"""
    return Fault(page.post, f"Slot {page.post.slot}: {says}", function, arguments)
