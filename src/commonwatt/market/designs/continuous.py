"""`continuous`: an order book that trades whenever two orders meet, by price, then time.

Source: the continuous double auction of exchanges, from knowledge of the field; no paper of ours gives its rules in
full, so they are stated in `orderbook`. Each slot has a book of its own. What remains in it at gate closure meets
the utility. A limit beyond the utility's price is taken as that price, or refused, by the switch `outside`.
Ties: price, then time; payments are rounded down to a unit of money.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Literal, cast

import numpy as np

from commonwatt.errors import MarketError
from commonwatt.market.interface import ADD, CANCEL, Events, Frame, Orders, Outcome, Parameters
from commonwatt.market.mechanism import Mechanism
from commonwatt.market.orderbook import book_fast as orderbook_fast
from commonwatt.market.orderbook.book import ANYBODY, Book
from commonwatt.market.orderbook.result import BookResult, Reason
from commonwatt.market.proving import insist, proved, refuse_out_of_bounds
from commonwatt.records import BUY, Check, Clearing, Proof
from commonwatt.units import MAX_MONEY, MAX_PRICE, IntArray

COMPILED_FROM = 1_000_000
"""Number of events from which compiling the book, some seconds, is worth its time."""


class ContinuousParameters(Parameters):
    """Parameters of `continuous`.

    outside : what happens to a limit that is better for the others than the utility's price: "clamp" takes it as
        that price; "refuse" refuses every limit beyond the utility's prices, on either side
    """

    outside: Literal["clamp", "refuse"] = "clamp"


def rule(frame: Frame, inputs: tuple[Events, ...], parameters: ContinuousParameters) -> tuple[Outcome, ...]:
    """Run the book of each slot by itself."""
    if len(inputs) != len(frame.starts):
        raise MarketError(f"continuous needs one input per slot: {len(frame.starts)} slots, {len(inputs)} given.")
    bounds = zip(inputs, frame.ceiling.tolist(), frame.floor.tolist(), strict=True)
    return tuple(_slot(events, frame.members, ceiling, floor, parameters.outside) for events, ceiling, floor in bounds)


def run_book(
    events: Events,
    members: int = ANYBODY,
    lowest: int = -MAX_PRICE,
    highest: int = MAX_PRICE,
    *,
    compiled: bool | None = None,
) -> BookResult:
    """What the book makes of `events`: a reason for each refusal, every fill, and every order as it stands at the end.

    members : number of members; lowest, highest : limits that the book admits [unit/kWh]
    compiled : whether to run the compiled book, whose result is the same; None = when numba is there and it pays
    """
    if compiled is None:
        compiled = len(events.kind) >= COMPILED_FROM and find_spec("numba") is not None
    if compiled:
        return orderbook_fast.play(events, members, lowest, highest)
    book = Book(members, lowest, highest)
    codes = list(map(book.apply, *(column.tolist() for column in columns(events))))
    return book.result(np.array(codes, dtype=np.int64))


def columns(events: Events) -> tuple[IntArray, ...]:
    """The columns in the order in which `Book.apply` takes them."""
    e = events
    return e.kind, e.order, e.member, e.side, e.wh, e.limit, e.time, e.expiry


def as_events(orders: Orders, time: int = 0) -> Events:
    """The orders of a slot as additions to its book: all at `time` [unix s], in the order of the rows, without expiry.

    >>> events = as_events(Orders(*np.array([[4, 7], [0, 1], [500, 300], [90_000, 80_000]])))
    >>> run_book(events).fills.trades.wh.tolist()
    [300]
    """
    rows = len(orders.wh)
    kind, number = np.full(rows, ADD, dtype=np.int64), np.arange(rows, dtype=np.int64)
    arrival, never = np.full(rows, time, dtype=np.int64), np.full(rows, MAX_MONEY, dtype=np.int64)
    return Events(kind, number, orders.member, orders.side, orders.wh, orders.limit, arrival, never)


def from_log(rows: Iterable[tuple[int, int, int, int, int, int, int, int]]) -> Events:
    """Events from a log: (kind, order, member, side, wh, limit, time, expiry) each, in order of arrival."""
    return Events(*np.array(list(rows), dtype=np.int64).reshape(-1, 8).T.copy())


def clamp(events: Events, ceiling: int, floor: int) -> Events:
    """No limit to buy above the ceiling, none to sell below the floor; what is out of all bounds is still refused."""
    within = np.where(events.side == BUY, np.minimum(events.limit, ceiling), np.maximum(events.limit, floor))
    return replace(events, limit=np.where(np.abs(events.limit) <= MAX_PRICE, within, events.limit))


def _slot(events: Events, members: int, ceiling: int, floor: int, outside: str) -> Outcome:
    if outside == "clamp":
        events = clamp(events, ceiling, floor)
        result = run_book(events, members)
    else:
        result = run_book(events, members, floor, ceiling)
    return Outcome(result.fills.trades, _prices(result), _figures(result), _Run(events, result))


def _prices(result: BookResult) -> dict[str, int]:
    """Price of the last trade, and the mean per kWh, rounded down."""
    trades = result.fills.trades
    if not len(trades):
        return {}
    value = sum(wh * price for wh, price in zip(trades.wh.tolist(), trades.price.tolist(), strict=True))
    return {"average": value // int(trades.wh.sum()), "last": int(trades.price[-1])}


def _figures(result: BookResult) -> dict[str, int | float | str]:
    """How many events were refused and why, and what became of the energy that did not trade."""
    codes, counts = np.unique(result.rejections, return_counts=True)
    why = {Reason(code): count for code, count in zip(codes.tolist(), counts.tolist(), strict=True)}
    accepted = why.pop(Reason.NONE, 0)
    resting = result.resting
    untraded = {
        f"{name}_wh": int(result.orders.left[result.orders.state == state].sum())
        for name, state in (("cancelled", Reason.CANCELLED), ("expired", Reason.EXPIRED))
    }
    return {
        "accepted": accepted,
        "refused": sum(why.values()),
        **{f"refused_{reason.name.lower()}": count for reason, count in why.items()},
        "bids_left_wh": int(resting.wh[resting.side == BUY].sum()),
        "offers_left_wh": int(resting.wh[resting.side != BUY].sum()),
        **untraded,
    }


@dataclass(frozen=True)
class _Run:
    """The evidence of one slot: the events as the book took them, and what it made of them."""

    events: Events
    result: BookResult


def _proof(
    name: str, frame: Frame, _: tuple[Events, ...], outcomes: tuple[Outcome, ...], __: ContinuousParameters
) -> tuple[Clearing, ...]:
    """Each slot proved against the accepted events alone; what was cancelled or expired nobody declares any more."""
    shown = [_declared(run.events, run.result) for run in (cast(_Run, outcome.evidence) for outcome in outcomes)]
    refuse_out_of_bounds(name, frame, tuple(given for given, _ in shown))
    clearings = []
    for slot, (outcome, (given, checks)) in enumerate(zip(outcomes, shown, strict=True)):
        for check in checks:
            insist(name, frame, slot, check)
        clearing = proved(name, frame, slot, given, outcome, rational=True)
        clearings.append(replace(clearing, proof=Proof(clearing.proof.checks + checks)))
    return tuple(clearings)


def _declared(events: Events, result: BookResult) -> tuple[Orders, tuple[Check, ...]]:
    """What each order traded or still wants, at the furthest limit that it ever had; and that the book lost nothing."""
    held, fills = result.orders, result.fills
    puts = (result.rejections == Reason.NONE) & (events.kind != CANCEL)
    row = np.searchsorted(held.order, events.order[puts])
    most, traded = np.zeros_like(held.wh), np.zeros_like(held.wh)
    np.maximum.at(most, row, events.wh[puts])
    for end in (fills.maker, fills.taker):
        np.add.at(traded, np.searchsorted(held.order, end), fills.wh)
    furthest = np.full_like(held.limit, MAX_PRICE)
    np.minimum.at(furthest, row, np.where(events.side == BUY, -events.limit, events.limit)[puts])
    wh = traded + np.where(held.state == Reason.NONE, held.left, 0)
    excess, lost = int(np.maximum(traded - most, 0).sum()), int(np.abs(held.wh - held.left - traded).sum())
    checks = (
        Check("orders", excess == 0, excess, "Wh that orders trade beyond what they ever declared"),
        Check("book", lost == 0, lost, "Wh by which orders and their trades differ"),
    )
    kept = wh > 0
    limit = np.where(held.side == BUY, -furthest, furthest)
    return Orders(held.member[kept], held.side[kept], wh[kept], limit[kept]), checks


CONTINUOUS = Mechanism(
    "continuous",
    "ahead",
    Events,
    ContinuousParameters,
    rule,
    "Continuous double auction, rules in market.orderbook",
    proof=_proof,
)
