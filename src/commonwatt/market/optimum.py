"""How much a clearing leaves on the table: its welfare against the central optimum of the same declarations.

The welfare of local trade is what it is worth to buyers less what it is worth to sellers, by their own limits, where
the utility is always there instead: a buyer values energy at min(limit, ceiling), a seller at max(limit, floor).

    W = Σ_i (value of what i bought) − Σ_i (cost of what i sold)        [Wh · unit/kWh]

A member with several orders uses its best ones first. Prices are transfers and do not count.

The optimum of one slot is the merit order: dearest demand meets cheapest supply until they no longer agree. Nothing
couples the slots, so the optimum of a horizon is the sum. `by_solver` finds the same by linear programming (HiGHS,
extra `solve`); tests hold them against each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from commonwatt.errors import MarketError
from commonwatt.market.exact import exact_dot
from commonwatt.market.interface import Events, Frame, Orders, Positions
from commonwatt.market.pool import pair
from commonwatt.market.proving import standing
from commonwatt.records import Clearing
from commonwatt.units import IntArray

Given = Orders | Positions | Events


@dataclass(frozen=True)
class _Side:
    """One side's offers, the best first; columns of shape (offers,). `value` is signed: of sellers negative."""

    member: IntArray
    wh: IntArray
    value: IntArray

    def fill(self, total: int) -> IntArray:
        """How much of each offer is used when `total` [Wh] is, the best first."""
        before: IntArray = np.cumsum(self.wh) - self.wh
        return np.minimum(np.maximum(total - before, 0), self.wh)

    def without(self, member: int) -> _Side:
        return self._where(self.member != member)

    def of(self, member: int) -> _Side:
        return self._where(self.member == member)

    def _where(self, mask: Any) -> _Side:
        return _Side(self.member[mask], self.wh[mask], self.value[mask])


def welfare(frame: Frame, given: Given, clearing: Clearing) -> int:
    """Welfare of a clearing's trades [nano-currency], exact.

    given : what was declared for the clearing's slot
    """
    buys, sells = _sides(frame, _slot(frame, clearing), given)
    trades = clearing.trades
    return _used_best_first(buys, trades.buyer, trades.wh) + _used_best_first(sells, trades.seller, trades.wh)


def optimum(frame: Frame, slot: int, given: Given) -> int:
    """Most welfare that any trades between different members can reach in one slot [nano-currency], exact."""
    buys, sells = _sides(frame, slot, given)
    bought, sold = _merit_order(buys, sells)
    trader = _trades_with_itself(frame.members, buys, sells, bought, sold)
    if trader is None:
        return _worth(buys, bought) + _worth(sells, sold)
    # Nobody trades with itself: then the best is that all trade with this one member (the optimum is concave, so
    # it lies on the border where every trade has this member on one side).
    parts = ((buys.of(trader), sells.without(trader)), (buys.without(trader), sells.of(trader)))
    return sum(_worth(b, wh) + _worth(s, sold) for b, s in parts for wh, sold in [_merit_order(b, s)])


def gap(frame: Frame, inputs: Sequence[Given], clearings: Sequence[Clearing]) -> float:
    """Share of the optimal welfare that the clearings of a horizon miss: (W* − W) / W*, 0.0 where W* = W = 0.

    Above 1 a clearing is worse than no trade. Of a continuous order book, W* is what hindsight would have reached.
    """
    reached = sum(welfare(frame, given, clearing) for given, clearing in zip(inputs, clearings, strict=True))
    slots = [_slot(frame, clearing) for clearing in clearings]
    best = sum(optimum(frame, slot, given) for slot, given in zip(slots, inputs, strict=True))
    if best == 0:
        return 0.0 if reached == 0 else float("inf")
    return (best - reached) / best


def by_solver(frame: Frame, inputs: Sequence[Given]) -> float:
    """The optimum of all slots of the frame as one linear programme [nano-currency].

    max Σ value·q  s.t. 0 <= q <= wh, Σ bought = Σ sold in each slot, and for each member bought + sold <= Σ sold of
    the slot: exactly then its energy can be paired with others'.
    """
    columns = [_sides(frame, slot, given) for slot, given in enumerate(inputs)]
    wh = np.concatenate([side.wh for sides in columns for side in sides] or [np.zeros(0, dtype=np.int64)])
    value = np.concatenate([side.value for sides in columns for side in sides] or [np.zeros(0, dtype=np.int64)])
    if not len(wh):
        return 0.0
    energy, price = float(wh.max()), max(1.0, float(np.abs(value).max()))
    return _solve(value / price, wh / energy, _constraints(columns)) * energy * price


def _slot(frame: Frame, clearing: Clearing) -> int:
    found = np.flatnonzero(frame.starts == clearing.slot)
    if not len(found):
        raise MarketError(f"There is no slot {clearing.slot} in the frame that the clearing is compared in.")
    return int(found[0])


def _sides(frame: Frame, slot: int, given: Given) -> tuple[_Side, _Side]:
    """Buyers and sellers, the best value first; ties by lower member index, then by lower order row."""
    if isinstance(given, Events):
        given = standing(given)
    if isinstance(given, Positions):
        member, limit = np.arange(len(given.net)), np.where(given.net > 0, given.max_buy, given.min_sell)
    else:
        member, limit = given.member, given.limit
    ceiling, floor = int(frame.ceiling[slot]), int(frame.floor[slot])
    buy, sell = np.flatnonzero(given.net > 0), np.flatnonzero(given.net < 0)
    return (
        _best_first(member[buy], given.net[buy], np.minimum(limit[buy], ceiling)),
        _best_first(member[sell], -given.net[sell], -np.maximum(limit[sell], floor)),
    )


def _best_first(member: IntArray, wh: IntArray, value: IntArray) -> _Side:
    order = np.lexsort((member, -value))
    return _Side(member[order], wh[order], value[order])


def _merit_order(buys: _Side, sells: _Side) -> tuple[IntArray, IntArray]:
    """Used energy of each offer when dearest demand meets cheapest supply as long as they gain by it."""
    most = min(int(buys.wh.sum()), int(sells.wh.sum()))
    buy, sell, wh = pair(buys.fill(most), sells.fill(most))
    traded = int(wh[buys.value[buy] + sells.value[sell] > 0].sum())
    return buys.fill(traded), sells.fill(traded)


def _trades_with_itself(members: int, buys: _Side, sells: _Side, bought: IntArray, sold: IntArray) -> int | None:
    """A member that would have to trade with itself: it buys and sells more than all trades together; or None."""
    energy = np.zeros(members, dtype=np.int64)
    np.add.at(energy, buys.member, bought)
    np.add.at(energy, sells.member, sold)
    most = int(energy.argmax()) if members else 0
    return most if members and energy[most] > int(sold.sum()) else None


def _worth(side: _Side, used: IntArray) -> int:
    return exact_dot(used, side.value)


def _used_best_first(side: _Side, trader: IntArray, wh: IntArray) -> int:
    """Worth of one side of the trades: each member fills its own offers, the best first."""
    by_member = np.argsort(side.member, kind="stable")
    member, offered = side.member[by_member], side.wh[by_member]
    size = max(int(member.max(initial=-1)), int(trader.max(initial=-1))) + 1
    total, declared = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    np.add.at(total, trader, wh)
    np.add.at(declared, member, offered)
    if (total > declared).any():
        raise MarketError("A clearing trades more than was declared in what it is compared with.")
    before = np.cumsum(offered) - offered
    own = before - (np.cumsum(declared) - declared)[member]
    return exact_dot(np.clip(total[member] - own, 0, offered), side.value[by_member])


def _constraints(columns: Sequence[tuple[_Side, _Side]]) -> list[tuple[IntArray, Any, bool]]:
    """Rows (columns, coefficients, equality) of the programme; every right-hand side is zero."""
    rows: list[tuple[IntArray, Any, bool]] = []
    first = 0
    for buys, sells in columns:
        member = np.concatenate([buys.member, sells.member])
        selling = np.concatenate([np.zeros(len(buys.member)), np.ones(len(sells.member))])
        index = first + np.arange(len(member))
        rows.append((index, 1.0 - 2.0 * selling, True))
        rows += [(index, (member == m) - selling, False) for m in np.intersect1d(buys.member, sells.member)]
        first += len(member)
    return rows


def _solve(value: Any, upper: Any, rows: list[tuple[IntArray, Any, bool]]) -> float:
    """Largest value·q with 0 <= q <= upper and the rows at zero, or below it where no equality."""
    highspy = _highs()
    solver = highspy.Highs()
    solver.silent()
    # A row per slot leaves nothing to simplify, and looking for it takes thirty times as long as solving.
    solver.setOptionValue("presolve", "off")
    count, none = len(value), np.zeros(0)
    solver.addCols(count, -value, np.zeros(count), upper, 0, np.zeros(0, dtype=np.int32), np.zeros(0, np.int32), none)
    for index, coefficients, equality in rows:
        kept = np.flatnonzero(coefficients)
        low = 0.0 if equality else -highspy.kHighsInf
        solver.addRow(low, 0.0, len(kept), index[kept].astype(np.int32), coefficients[kept].astype(np.float64))
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        raise MarketError(f"The solver found no optimum: {solver.modelStatusToString(solver.getModelStatus())}.")
    return -float(solver.getObjectiveValue())


def _highs() -> Any:
    try:
        return import_module("highspy")
    except ImportError:
        raise MarketError("The solver HiGHS is not installed: pip install 'commonwatt[solve]'.") from None
