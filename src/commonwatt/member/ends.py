"""What is wrong between the two ends of a trade, found by who sees both: two members, or who watches for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from commonwatt.accounts.promise import Promise
from commonwatt.ledger.client.disputes import Cut
from commonwatt.member.faults import Fault, fault_of, left_out
from commonwatt.member.page import Agreed, Page, ShownLine, Ways, hash_of
from commonwatt.records import Order, Post, Trade

_FULL: Final = 2**30
"""Who is credited less in a slot [lane unit] was not cut because a balance can move by no more."""
_Ends = dict[tuple[Post, int], Page]


def between(pages: Sequence[Page], promises: Iterable[Promise] = (), *, by_registers: bool = False) -> list[Fault]:
    """Faults of trades of which the pages of both ends are there, or the commitment and the page of one.

    promises : trades that were committed, shown by whatever document
    by_registers : whether import and export count apart
    """
    ends = {(page.post, page.member): page for page in pages}
    found: list[Fault] = []
    for page in ends.values():
        for line in page.lines:
            found += _of_trade(page, line, ends, by_registers=by_registers)
    found += [fault for promise in promises for page in ends.values() for fault in left_out(page, promise)]
    return found


def committed(trades: Iterable[Agreed], beside: Ways, post: Post, commitment: bytes | None) -> list[Promise]:
    """Those of the trades that were committed, as is shown beside them, whatever became of them in the post.

    commitment : what the chain holds for the slot
    """
    own = [each.trade for each in trades if each.trade.slot == post.slot]
    found = [Promise(trade, beside.committed[trade.number]) for trade in own if trade.number in beside.committed]
    return [promise for promise in found if promise.under(post.orders, commitment)]


def _of_trade(page: Page, line: ShownLine, ends: _Ends, *, by_registers: bool) -> Iterator[Fault]:
    """What the other end of a line's trade shows."""
    trade = line.trade
    if page.member not in (trade.buyer, trade.seller) or trade.slot != page.post.slot:
        return
    other = trade.seller if page.member == trade.buyer else trade.buyer
    there = ends.get((page.post, other))
    if there is None or there is page:
        return
    if there.statement is None:
        says = f"trade {trade.number} is with member {other}, who has no statement"
        yield fault_of(page, says, "challengeAbsent", page.stated, page.leaf(line), trade, there.siblings)
    elif missing := there.missing(trade):
        says, here = f"trade {trade.number} has a line of one end alone", (page.leaf(line),)
        yield fault_of(page, says, "challengeMissing", replace(missing, counterpart=(page.stated,), booked=here))
    elif page.member == trade.buyer:
        end = next(each for each in there.lines if each.line.trade == line.line.trade)
        if line.wh + end.wh != 0:
            says = f"the two ends of trade {trade.number} settle {line.wh} Wh and {end.wh} Wh"
            sides = page.stated, page.pair(line), there.stated, there.pair(end)
            yield fault_of(page, says, "challengeSides", *sides)
        else:
            yield from _cut(page, line, there, end, by_registers=by_registers)


def _cut(buys: Page, line: ShownLine, sells: Page, other: ShownLine, *, by_registers: bool) -> Iterator[Fault]:
    """A committed trade that settles less, though both meters counted all that was ordered and the buyer could pay."""
    drawn, fed, bought, sold, trade = buys.reading, sells.reading, line.consent, other.consent, line.trade
    if not (isinstance(bought, Order) and isinstance(sold, Order)) or drawn is None or fed is None:
        return
    buyer, seller = buys.stated, sells.stated
    named = [buyer.statement.reading, seller.statement.reading] == [hash_of(drawn), hash_of(fed)]
    counted = (drawn.wh_in, fed.wh_out) if by_registers else (buys.net, -sells.net)
    enough = counted[0] >= bought.wh and counted[1] >= sold.wh and seller.statement.money < _FULL
    later = next((each for each in buys.lines if each.added[2] < 0 and _is_later(each.trade, trade)), None)
    if line.wh < trade.wh and named and enough and later:
        says = f"trade {trade.number} settles {line.wh} of {trade.wh} Wh, and both meters counted all that was ordered"
        lines = (*buys.pair(line),), later.trade, (*buys.pair(later),)
        proof = Cut(trade, buyer, *lines, seller, bought, sold, drawn, fed)
        yield fault_of(buys, says, "challengeCut", proof)


def _is_later(other: Trade, trade: Trade) -> bool:
    """Whether money that runs out takes another purchase of the buyer's before this one."""
    return other.buyer == trade.buyer and other.number > trade.number
