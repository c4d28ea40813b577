"""Every clearing proves itself: the same checks for every mechanism, with the figures that show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol, TypeVar

import numpy as np

from commonwatt.devices.households import Households
from commonwatt.errors import MarketError, PromiseBroken
from commonwatt.market.exact import exact_sum
from commonwatt.market.interface import AMEND, BOUNDS, CANCEL, Events, Frame, Orders, Outcome, Positions
from commonwatt.records import BUY, SELL, Check, Clearing, Proof, Trades
from commonwatt.units import MAX_MONEY, MAX_ORDER_WH, MAX_PRICE, WH_PER_KWH, IntArray, payment, price_text

CLEARED = "cleared"
"""Name of the check that a slot without a clearing fails; its meaning says why."""
_MONEY: Final = "units of money"
"""What the meaning of a check begins with whose figure is money."""


class _Horizon(Protocol):
    """What a mechanism over the whole horizon clears: homes, with whatever lies between them."""

    @property
    def homes(self) -> Households: ...


H = TypeVar("H", bound=_Horizon)


def proved(
    name: str, frame: Frame, slot: int, given: Orders | Positions | Events, outcome: Outcome, *, rational: bool
) -> Clearing:
    """The outcome of one slot as a Clearing with its proof.

    Raises PromiseBroken when a check fails: such a result is not to be settled.
    """
    trades = outcome.trades
    formed = well_formed(trades, frame.members)
    # The other checks count by member, so a stranger among the trades must not reach them.
    insist(name, frame, slot, formed)
    bought, sold = declared(given, frame.members)
    local = trades.position(frame.members)
    grid = bought - sold - local
    checks = (
        formed,
        _balanced(bought, sold, grid),
        _within(trades, bought, sold, frame.members),
        _within_limits(trades, given, frame.members),
        paid(trades, frame.members),
        *([_rational(trades, int(frame.ceiling[slot]), int(frame.floor[slot]))] if rational else []),
    )
    for check in checks:
        insist(name, frame, slot, check, trades, given)
    start, proof = int(frame.starts[slot]), Proof(checks)
    return Clearing(name, start, trades, outcome.prices, grid, proof, outcome.diagnostics, outcome.kept)


def insist(
    name: str,
    frame: Frame,
    slot: int,
    check: Check,
    trades: Trades | None = None,
    given: Orders | Positions | Events | None = None,
) -> None:
    """Raise PromiseBroken unless the check holds. trades, given : as of `proved`, to name a trade that is off"""
    if check.holds:
        return
    told, meaning = f"{check.figure} {check.meaning}", check.meaning
    if meaning.startswith(_MONEY):
        told = f"{price_text(check.figure * frame.unit)} of the currency{meaning.removeprefix(_MONEY)}"
        meaning = f"an amount{meaning.removeprefix(_MONEY)}"
    off = None
    if check.name == "limits" and trades is not None and given is not None:
        max_buy, min_sell = limits(given, frame.members)
        off = _worst(trades, max_buy[trades.buyer], min_sell[trades.seller])
    elif check.name == "rational" and trades is not None:
        off = _worst(trades, *(np.full(len(trades), price[slot]) for price in (frame.ceiling, frame.floor)))
    raise PromiseBroken(name, int(frame.starts[slot]), check.name, meaning, check.figure, told, off)


def _worst(trades: Trades, most: IntArray, least: IntArray) -> dict[str, int]:
    """The trade with the price furthest beyond a limit: whose limit, price and limit [unit/kWh].

    most, least : what buyer and seller of each trade go to, each shape (trades,)
    """
    over, under = trades.price - most, least - trades.price
    buys = int(over.max()) >= int(under.max())
    place = int((over if buys else under).argmax())
    member, limit = (trades.buyer, most) if buys else (trades.seller, least)
    return {"member": int(member[place]), "price": int(trades.price[place]), "limit": int(limit[place])}


def uncleared(
    name: str, start: int, grid: IntArray, reason: str, figure: int = 1, trade: Mapping[str, int] | None = None
) -> Clearing:
    """A slot [start, unix s] that could not be cleared: nobody trades, everybody meets the utility.

    grid : what was wished, shape (members,) [Wh]; reason : a sentence, which the proof carries, with its figure
    trade : as of `PromiseBroken`, for the diagnostics
    """
    proof = Proof((Check(CLEARED, holds=False, figure=figure, meaning=reason),))
    return Clearing(name, start, Trades(), {}, grid, proof, dict(trade or {}))


def declared(given: Orders | Positions | Events, members: int) -> tuple[IntArray, IntArray]:
    """What each member declared to buy and to sell, each shape (members,) [Wh] >= 0."""
    bought, sold = np.zeros(members, dtype=np.int64), np.zeros(members, dtype=np.int64)
    if isinstance(given, Positions):
        return np.maximum(given.net, 0), np.maximum(-given.net, 0)
    if isinstance(given, Events):
        given = standing(given)
    np.add.at(bought, given.member, np.maximum(given.net, 0))
    np.add.at(sold, given.member, np.maximum(-given.net, 0))
    return bought, sold


def standing(events: Events) -> Orders:
    """Every order of a book at the largest energy and the furthest limit that it ever had."""
    orders: dict[int, tuple[int, int, int, int]] = {}
    columns = (events.kind, events.order, events.member, events.side, events.wh, events.limit)
    for kind, order, member, side, wh, limit in zip(*(column.tolist() for column in columns), strict=True):
        if kind == CANCEL:
            continue
        if kind == AMEND and order in orders:
            member, side, most, furthest = orders[order]
            better = max(limit, furthest) if side == BUY else min(limit, furthest)
            orders[order] = (member, side, max(wh, most), better)
        elif order not in orders:
            orders[order] = (member, side, wh, limit)
    return Orders(*np.array(list(orders.values()), dtype=np.int64).reshape(-1, 4).T)


def refuse_out_of_bounds(name: str, frame: Frame, inputs: tuple[Any, ...]) -> None:
    """Raise MarketError unless every quantity and price is within the stated bounds."""
    if len(inputs) != len(frame.starts):
        raise MarketError(f"{name} needs one input per slot: {len(frame.starts)} slots, {len(inputs)} given.")
    largest_price = max(map(int, np.abs(np.concatenate([frame.ceiling, frame.floor, [0]]))))
    for given in inputs:
        energy = given.net
        if (len(energy) and int(np.abs(energy).max()) > MAX_ORDER_WH) or largest_price > MAX_PRICE:
            raise MarketError(f"{name} was given a value out of bounds: {BOUNDS}.")
        if isinstance(given, Orders) and len(energy):
            if int(given.wh.min()) <= 0:
                raise MarketError(f"{name} was given an order without energy.")
            if int(given.limit.max()) > MAX_PRICE or int(given.limit.min()) < -MAX_PRICE:
                raise MarketError(f"{name} was given a limit out of bounds: {BOUNDS}.")
    # The bounds keep every product and total of up to nine thousand full orders below 2^63.
    if frame.members and frame.members * MAX_ORDER_WH > MAX_MONEY:
        raise MarketError(f"{name} cannot clear {frame.members} members: totals would overflow.")


def the_one(name: str, kind: type[H], frame: Frame, inputs: tuple[H, ...]) -> H:
    """The single input of a mechanism over the whole horizon. Raises MarketError when it is not of this frame."""
    if len(inputs) != 1:
        raise MarketError(f"{name} takes one {kind.__name__} for the whole horizon.")
    given, wanted = inputs[0].homes.shape, (frame.members, len(frame.starts))
    if given != wanted:
        raise MarketError(f"{name} was given {given} homes and slots for a frame of {wanted}.")
    return inputs[0]


def well_formed(trades: Trades, members: int) -> Check:
    """Each trade has energy and two different members."""
    ends = np.concatenate([trades.buyer, trades.seller])
    bad = int((trades.wh <= 0).sum() + (trades.buyer == trades.seller).sum())
    bad += int(((ends < 0) | (ends >= members)).sum())
    return Check("well-formed", bad == 0, bad, "trades without energy, with oneself, or of strangers")


def _balanced(bought: IntArray, sold: IntArray, grid: IntArray) -> Check:
    figure = exact_sum(bought) - exact_sum(sold) - exact_sum(grid)
    return Check("energy", figure == 0, figure, "Wh by which members and utility differ")


def _within(trades: Trades, bought: IntArray, sold: IntArray, members: int) -> Check:
    buys = np.bincount(trades.buyer, trades.wh, minlength=members).astype(np.int64)
    sells = np.bincount(trades.seller, trades.wh, minlength=members).astype(np.int64)
    excess = int(np.maximum(buys - bought, 0).sum() + np.maximum(sells - sold, 0).sum())
    return Check("declared", excess == 0, excess, "Wh traded beyond what was declared")


def _within_limits(trades: Trades, given: Orders | Positions | Events, members: int) -> Check:
    max_buy, min_sell = limits(given, members)
    over = np.maximum(trades.price - max_buy[trades.buyer], 0)
    under = np.maximum(min_sell[trades.seller] - trades.price, 0)
    worst = int(max(over.max(initial=0), under.max(initial=0)))
    return Check("limits", worst == 0, worst, f"{_MONEY} per kWh beyond a member's price limit")


def limits(given: Orders | Positions | Events, members: int) -> tuple[IntArray, IntArray]:
    """Highest buying and lowest selling limit of each member, each shape (members,) [unit/kWh]."""
    if isinstance(given, Positions):
        return given.max_buy, given.min_sell
    if isinstance(given, Events):
        given = standing(given)
    max_buy = np.full(members, -MAX_PRICE, dtype=np.int64)
    min_sell = np.full(members, MAX_PRICE, dtype=np.int64)
    buys = given.net > 0
    np.maximum.at(max_buy, given.member[buys], given.limit[buys])
    np.minimum.at(min_sell, given.member[~buys], given.limit[~buys])
    return max_buy, min_sell


def asked(trades: Trades, orders: Orders) -> Check:
    """At no price does a member trade more than its orders allow at that price, however many it has on a side."""
    excess = 0
    for side, end, sign in ((BUY, trades.buyer, -1), (SELL, trades.seller, 1)):
        own = orders.side == side
        member = np.concatenate([orders.member[own], end])
        price = sign * np.concatenate([orders.limit[own], trades.price])
        wh = np.concatenate([orders.wh[own], -trades.wh])
        # From each member's worst price on: what orders allow there, then what was traded there.
        rows = np.lexsort((-wh, price, member))
        room = np.append(0, np.cumsum(wh[rows]))
        before = room[np.searchsorted(member[rows], member[rows])]
        excess = max(excess, int((before - room[1:]).max(initial=0)))
    return Check("asked", excess == 0, excess, "Wh that a member trades beyond what its orders allow at that price")


def paid(trades: Trades, members: int) -> Check:
    """What the ones pay, the others receive, and no total left 64 bits."""
    credit = trades.credit(members)
    largest = max(abs(int(trades.price.max(initial=0))), abs(int(trades.price.min(initial=0))))
    # No total can leave 64 bits below this bound; above it, every payment is counted again.
    safe = largest * int(trades.wh.max(initial=0)) * max(1, len(trades)) <= MAX_MONEY
    figure = abs(exact_sum(credit)) if safe else _misstated(trades, credit)
    return Check("payments", figure == 0, figure, f"{_MONEY} by which payments and receipts differ")


def _misstated(trades: Trades, credit: IntArray) -> int:
    """Units of money by which the members' credits differ from what the trades come to, in unbounded integers."""
    exact = [0] * len(credit)
    columns = (trades.buyer, trades.seller, trades.wh, trades.price)
    for buyer, seller, wh, price in zip(*(column.tolist() for column in columns), strict=True):
        exact[buyer] -= payment(wh, price)
        exact[seller] += payment(wh, price)
    return sum(abs(right - written) for right, written in zip(exact, credit.tolist(), strict=True))


def _rational(trades: Trades, ceiling: int, floor: int) -> Check:
    loss = np.maximum(trades.price - ceiling, 0) + np.maximum(floor - trades.price, 0)
    worst = int((loss * trades.wh // WH_PER_KWH).max(initial=0)) + int(loss.max(initial=0))
    return Check("rational", worst == 0, worst, f"{_MONEY} that a member loses against the utility alone")
