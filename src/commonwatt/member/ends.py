"""What is wrong between the two ends of a trade, found by who sees both: two members, or who watches for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from commonwatt.accounts.promise import Promise
from commonwatt.ledger.client.disputes import Cut
from commonwatt.member.faults import Fault, fault_of, left_out
from commonwatt.member.page import Page, ShownLine, Ways, hash_of
from commonwatt.records import Order, Post, Trade

_FULL: Final = 2**30
"""Who is credited less in a slot [lane unit] was not cut because a balance can move by no more."""
_Ends = dict[tuple[Post, int], Page]


def between(pages: Sequence[Page], promises: Iterable[Promise] = ()) -> list[Fault]:
    """Faults of trades of which the pages of both ends are there, or the commitment and the page of one.

    promises : trades that were committed, shown by whatever document
    """
    ends = {(page.post, page.member): page for page in pages}
    found: list[Fault] = []
    for page in ends.values():
        for line in page.trading:
            found += _of_trade(page, line, ends)
    found += [fault for promise in promises for page in ends.values() for fault in left_out(page, promise)]
    return found


def committed(page: Page, beside: Ways, commitment: bytes | None) -> list[Promise]:
    """The trades of which a page shows that they were committed. commitment : what the chain holds for the slot"""
    shown = zip(page.trading, beside.trades, strict=False)
    own = [(line.trade, way) for line, way in shown if line.trade and line.trade.slot == page.post.slot]
    found = [Promise(trade, way) for trade, way in own if way is not None]
    return [promise for promise in found if promise.under(page.post.orders, commitment)]


def _of_trade(page: Page, line: ShownLine, ends: _Ends) -> Iterator[Fault]:
    """What the other end of a line's trade shows."""
    trade = line.trade
    if trade is None or page.member not in (trade.buyer, trade.seller) or trade.slot != page.post.slot:
        return
    there = ends.get((page.post, trade.seller if page.member == trade.buyer else trade.buyer))
    if there is None or there is page:
        return
    if around := there.around(trade):
        says = f"trade {trade.number} has a line of one end alone"
        yield fault_of(page, says, "challengeMissing", trade, there.member == trade.seller, [line.leaf], (), *around)
    elif page.member == trade.buyer:
        other = next(each for each in there.trading if each.statement.trade == line.statement.trade)
        if line.added[0] + other.added[0] != 0:
            says = f"the two ends of trade {trade.number} settle {line.added[0]} Wh and {other.added[0]} Wh"
            yield fault_of(page, says, "challengeSides", line.pair, other.pair)
        else:
            yield from _cut(page, line, there, other, trade)


def _cut(buys: Page, line: ShownLine, sells: Page, other: ShownLine, trade: Trade) -> Iterator[Fault]:
    """A committed trade that settles less, though both meters counted all that was ordered and the buyer could pay."""
    drawn, fed, bought, sold = buys.reading, sells.reading, line.consent, other.consent
    if not (isinstance(bought, Order) and isinstance(sold, Order)) or drawn is None or fed is None:
        return
    last = sells.lines[-1].statement
    named = [line.statement.reading, last.reading] == [hash_of(drawn), hash_of(fed)]
    enough = buys.net >= bought.wh and -sells.net >= sold.wh and last.money < _FULL
    paid = (each for each in buys.trading if each.added[1] < 0)
    later = next(((each, at) for each in paid if (at := each.trade) and _is_later(at, trade)), None)
    if line.added[0] < trade.wh and named and enough and later:
        told = "both meters counted all that was ordered"
        says = f"trade {trade.number} settles {line.added[0]} of {trade.wh} Wh, and {told}"
        proof = Cut(trade, (*line.pair,), later[1], (*later[0].pair,), (*sells.ends,), bought, sold, drawn, fed)
        yield fault_of(buys, says, "challengeCut", proof)


def _is_later(other: Trade, trade: Trade) -> bool:
    """Whether money that runs out takes another purchase of the buyer's before this one."""
    return other.buyer == trade.buyer and other.number > trade.number
