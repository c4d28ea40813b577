"""What is wrong with a posted slot, found from what one member is shown of it, and the proof of it for the chain.

`verify` tells a person that a bill does not hold; here each fault becomes a call of the contract `Disputes`, which
deletes the post as long as it is not final. What is not shown, or does not lead to the posted roots, proves nothing:
that is demanded on the chain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby, pairwise
from typing import Any, Final

from commonwatt.accounts.promise import Placed, Promise
from commonwatt.accounts.statements import place_of
from commonwatt.errors import RecordError, VerificationError
from commonwatt.member.page import Page, ShownLine, Ways, hash_of, leads, post_of, read, require_committed, ways
from commonwatt.proof import Domain, hash_struct, root_of, root_of_empty
from commonwatt.records import BUY, SELL, ZERO_HASH, Mandate, Order, Post, Trade
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

    domain : what records are signed for; deltas : as posted; unit : what a lane unit is worth [micro-currency]
    earlier : of a later revision, the one before, which is final; None = not asked for
    before : of a later revision, all before it from 0 on, each with its deltas as posted; empty = not asked for
    registered_at : since when the member belongs to the community [unix s]
    measures : whether a meter [address] measured the member's home when the slot began
    """

    domain: Domain
    commitment: bytes | None
    deltas: bytes
    unit: int = 1
    earlier: Post | None = None
    registered_at: int = 0
    measures: Callable[[bytes], bool] = lambda _: True
    before: tuple[tuple[Post, bytes], ...] = ()


def faults(
    shown: Mapping[str, Any],
    proof: Mapping[str, Any],
    member: int,
    mandate: Mandate,
    chain: Chain,
    promises: Mapping[int, Promise] | None = None,
    orders: Sequence[Placed] = (),
) -> list[Fault]:
    """Every fault of the slot that `shown` and `proof` of a bill or an excerpt prove, or else what has to be demanded.

    mandate : the member's; promises, orders : what it was shown at the gate of its trades, and of its orders that
        replaced or cancelled others
    Raises VerificationError when not even the post can be read.
    """
    try:
        post = post_of(proof)
    except (VerificationError, RecordError) as error:
        raise VerificationError(f"There is no post to challenge: {error}") from None
    try:
        page, beside = read(shown, proof, member, mandate, chain.domain), ways(proof)
    except (VerificationError, RecordError) as error:
        says = f"Slot {post.slot}: what was posted is not shown whole ({str(error).rstrip('.')})"
        return [Fault(post, says, DEMAND)]
    found = [*proved(page, chain, promises or {}, orders), *_of_another_reading(page, beside)]
    return found or list(_not_shown(page, beside, chain))


def proved(page: Page, chain: Chain, promises: Mapping[int, Promise], orders: Sequence[Placed] = ()) -> list[Fault]:
    """Every fault of a page that the chain believes at once."""
    checks = (
        _in_order(page), _passed_over(page, chain), _of_each_line(page), _filled(page), _at_the_end(page, chain),
        _as_promised(page, promises, chain), _left_out(page, promises, chain), _replaced(page, orders),
    )  # fmt: skip
    return [fault for check in checks for fault in check]


def _in_order(page: Page) -> Iterator[Fault]:
    """Lines side by side that are in a wrong order."""
    for first, second in pairwise(page.leaves):
        low, high = first.statement, second.statement
        if low.member == high.member:
            wrong = high.index != low.index + 1 or low.trade == ZERO_HASH or high.reading != low.reading
            wrong = wrong or high.order < low.order
        else:
            wrong = high.member < low.member or high.index != 0
        if wrong:
            yield fault_of(page, "lines stand in a wrong order", "challengeSequence", first, second)
    for one, other in pairwise(page.lines):
        trades = [each.trade for each in (one, other) if each.trade]
        same = len(trades) == 2 and one.statement.order == other.statement.order
        if same and place_of(trades[1], page.member) <= place_of(trades[0], page.member):
            says = "a trade stands twice or in a wrong order"
            yield fault_of(page, says, "challengeTradeSequence", one.leaf, other.leaf, *trades)


def _passed_over(page: Page, chain: Chain) -> Iterator[Fault]:
    """A member without a line, or a first line of all that goes on from one that nobody sees."""
    first = page.leaves[0]
    if first.position == 0 and first.statement.index != 0:
        yield fault_of(page, "the sums of all begin with a line that is not there", "challengeGap", [first])
    if page.lines:
        return
    ends, moves = list(page.leaves), _moved(page.member, chain.deltas)
    if chain.registered_at < page.post.slot:
        yield fault_of(page, "the member was passed over", "challengeGap", ends)
    if moves:
        says = f"the balance moves by {decimal_text(moves * chain.unit)}, and no line says why"
        yield fault_of(page, says, "challengeUnstated", ends, chain.deltas, page.member)


def _of_each_line(page: Page) -> Iterator[Fault]:
    """What one line says against the trade and the consent that it names."""
    for line in page.lines:
        statement, trade = line.statement, line.trade
        if statement.reading == ZERO_HASH and (statement.wh or statement.money):
            yield fault_of(page, "a line without a reading moves something", "challengeUnread", line.leaf)
        if trade is None:
            if (statement.index, statement.wh, statement.money, statement.order) != (0, 0, 0, ZERO_HASH):
                yield fault_of(page, "a line without a trade moves something", "challengeEmptyLine", line.leaf)
            continue
        buys = trade.buyer == page.member
        own = buys != (trade.seller == page.member)
        agreed = statement.order == (trade.buy_order if buys else trade.sell_order)
        if trade.slot != page.post.slot or not own or not agreed:
            yield fault_of(page, "a trade of others, or of another slot", "challengeTrade", line.leaf, trade)
            continue
        yield from _beyond_consent(page, line, trade)
        wh, money = line.added
        bought = wh if buys else -wh
        paid = payment(bought, trade.price) if bought >= 0 else 0
        if not 0 <= bought <= trade.wh or money != (-paid if buys else paid):
            yield fault_of(page, "sums that do not follow from the trade", "challengeSum", line.pair, trade)
        if wh and page.reading and hash_of(page.reading) == statement.reading and wh * page.net <= 0:
            says = f"a home {'buys' if wh > 0 else 'sells'}, and its meter counted {page.net} Wh"
            yield fault_of(page, says, "challengeDirection", line.pair, page.reading)


def _beyond_consent(page: Page, line: ShownLine, trade: Trade) -> Iterator[Fault]:
    buys = trade.buyer == page.member
    if isinstance(line.consent, Order):
        order = line.consent
        beyond = trade.price > order.limit if buys else trade.price < order.limit
        other = order.slot != page.post.slot or order.side != (BUY if buys else SELL)
        if beyond or other:
            says = "a trade under an order for another slot or side"
            says = says if other else f"a price of {trade.price} under an order with the limit {order.limit}"
            yield fault_of(page, says, "challengeOrder", line.leaf, trade, order)
    elif line.consent:
        mandate = line.consent
        limit = mandate.max_buy if buys else mandate.min_sell
        beyond = trade.price > limit if buys else trade.price < limit
        if beyond or not mandate.valid_from <= page.post.slot < mandate.valid_until:
            says = "a trade under a mandate outside its time"
            says = f"a price of {trade.price} under a mandate with the limit {limit}" if beyond else says
            yield fault_of(page, says, "challengeMandate", line.leaf, trade, mandate)


def _filled(page: Page) -> Iterator[Fault]:
    """More energy under one consent than it allows: lines under the same one stand together, purchases first."""
    for _, same in groupby(page.trading, key=lambda line: (line.statement.order, _buys(page, line))):
        run = list(same)
        first, last, consent = run[0], run[-1], run[0].consent
        wh = abs(sum(line.added[0] for line in run))
        buys = _buys(page, first)
        if isinstance(consent, Order):
            most, function = consent.wh, "challengeOrderFill"
        elif consent:
            most, function = consent.buy_wh if buys else consent.sell_wh, "challengeMandateFill"
        else:
            continue
        if wh > most:
            says = f"{wh} Wh under a consent for {most} Wh"
            yield fault_of(page, says, function, [*first.pair, last.leaf], consent)


def _buys(page: Page, line: ShownLine) -> bool:
    return line.trade is not None and line.trade.buyer == page.member


def _at_the_end(page: Page, chain: Chain) -> Iterator[Fault]:
    """The last sums against the balance and the meter."""
    if not page.lines:
        return
    last, delta = page.lines[-1].statement, _moved(page.member, chain.deltas)
    moved = delta + sum(_moved(page.member, deltas) for _, deltas in chain.before)
    if chain.before and moved != last.money:
        moves, sums = (decimal_text(lanes * chain.unit) for lanes in (moved, last.money))
        says = f"all revisions moved the balance by {moves}, the lines add up to {sums}"
        posts, deltas = ([each[part] for each in chain.before] for part in (0, 1))
        yield fault_of(page, says, "challengeMoves", page.ends, chain.deltas, posts, deltas)
    then = _before(page, chain)
    if then is not None and delta != last.money - then:
        moves, sums = (decimal_text(lanes * chain.unit) for lanes in (delta, last.money - then))
        says = f"the balance moves by {moves}, the lines add up to {sums}"
        if page.post.revision == 0:
            yield fault_of(page, says, "challengeDelta", page.ends, chain.deltas)
        else:
            yield fault_of(page, says, "challengeRevision", page.ends, chain.deltas, *(page.earlier or ()))
    if page.reading is None or hash_of(page.reading) != last.reading:
        return
    other, strange = page.reading.slot != page.post.slot, not chain.measures(page.reading.meter)
    if other or strange or not min(page.net, 0) <= last.wh <= max(page.net, 0):
        says = f"{last.wh} Wh of local energy, and the meter counted {page.net} Wh"
        says = "the reading is of a meter that did not measure this home then" if strange else says
        says = "the reading is of another slot" if other else says
        yield fault_of(page, says, "challengeDelivery", page.ends, page.reading)


def _moved(member: int, deltas: bytes) -> int:
    """What a post moves for a member [lane unit]."""
    moved = unpack_deltas(deltas)
    return int(moved[member]) if member < len(moved) else 0


def _before(page: Page, chain: Chain) -> int | None:
    """What the revision before came to for the member [lane unit]: nothing before the first; None = not shown."""
    if page.post.revision == 0:
        return 0
    if page.earlier is None or page.earlier[0] != chain.earlier:
        return None
    last = page.earlier[1][0].statement
    return last.money if last.member == page.member else 0


def _of_another_reading(page: Page, beside: Ways) -> Iterator[Fault]:
    """The posted readings hold another one of the member than its line names."""
    for line in page.lines[-1:]:
        named = line.statement.reading
        for held in {hash_of(page.reading), ZERO_HASH} - {named}:
            if _stands(page, held, beside):
                says = "the lines name another reading than the one that was posted"
                yield fault_of(page, says, "challengeReading", line.leaf, held, beside.reading)


def _stands(page: Page, reading: bytes, beside: Ways) -> bool:
    """Whether the posted readings hold this one in the member's place; zero = none."""
    found = root_of_empty if reading == ZERO_HASH else partial(root_of, reading)
    return found(page.member, beside.reading) == page.post.readings


def _as_promised(page: Page, promises: Mapping[int, Promise], chain: Chain) -> Iterator[Fault]:
    """Another trade than the one that was committed under its number."""
    for line in page.lines:
        promise = promises.get(line.trade.number) if line.trade else None
        if line.trade is None or promise is None or promise.trade == line.statement.trade:
            continue
        if promise.under(page.post.orders, chain.commitment):
            says = f"trade {line.trade.number} is not the one that was committed before delivery"
            proof = (line.leaf, line.trade, promise.root, promise.trade, promise.siblings)
            yield fault_of(page, says, "challengeCommitted", *proof)


def _left_out(page: Page, promises: Mapping[int, Promise], chain: Chain) -> Iterator[Fault]:
    for promise in promises.values():
        if promise.under(page.post.orders, chain.commitment):
            yield from left_out(page, promise)


def _replaced(page: Page, orders: Sequence[Placed]) -> Iterator[Fault]:
    """A trade under an order that the member had replaced or cancelled."""
    for line in page.trading:
        order = line.consent
        if not isinstance(order, Order):
            continue
        for later in (*page.orders, *orders):
            same = (later.order.slot, later.order.side) == (order.slot, order.side)
            there = leads(hash_struct(later.order), later.position, later.siblings, page.post.orders)
            if same and later.order.nonce > order.nonce and there:
                says = f"a trade under order {order.nonce}, which order {later.order.nonce} replaced or cancelled"
                proof = (line.leaf, order, later.order, later.position, later.siblings)
                yield fault_of(page, says, "challengeReplaced", *proof)
                break


def _not_shown(page: Page, beside: Ways, chain: Chain) -> Iterator[Fault]:
    """What has to be shown before the chain can judge it."""
    try:
        require_committed(page, beside, chain.commitment)
    except (VerificationError, RecordError):
        yield fault_of(page, "it is not shown that the trades were committed before delivery", DEMAND)
    for line in page.lines[-1:]:
        named = line.statement.reading
        if named not in (ZERO_HASH, hash_of(page.reading)):
            yield fault_of(page, "the reading that its lines name is not shown", DEMAND)
        elif not _stands(page, named, beside):
            yield fault_of(page, "it is not shown that the reading is among those that were posted", DEMAND)
    if chain.earlier and _before(page, chain) is None:
        yield fault_of(page, "what the revision before had of the member is not shown", DEMAND)


def left_out(page: Page, promise: Promise) -> Iterator[Fault]:
    """A trade that was committed, and of which the member at one of its ends has no line."""
    trade = promise.record
    own = trade.slot == page.post.slot and (trade.buyer == page.member) != (trade.seller == page.member)
    if own and (around := page.around(trade)):
        says = f"trade {trade.number}, which was committed before delivery, is left out"
        yield fault_of(
            page, says, "challengeMissing", trade, trade.seller == page.member, (), promise.siblings, *around
        )


def fault_of(page: Page, says: str, function: str, *arguments: object) -> Fault:
    """What is wrong with the post of a page. arguments : of the contract's function, after the post"""
    return Fault(page.post, f"Slot {page.post.slot}: {says}", function, arguments)
