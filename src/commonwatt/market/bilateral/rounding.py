"""Flows in kW to trades in whole Wh: no home trades more or less for it than the Wh that it is rounded by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from commonwatt.market.bilateral.routes import Routes
from commonwatt.units import WH_PER_KWH, FloatArray, IntArray

SWEEPS = 12


def whole(routes: Routes, flow: FloatArray, hours: float) -> IntArray:
    """Whole Wh, shape (routes,), and no Wh both ways.

    Every seller's total is within a Wh of what it was, and every buyer's as far as routes allow.
    """
    exact = flow * (hours * WH_PER_KWH)
    until = np.rint(np.cumsum(exact)).astype(np.int64)
    wh = _evened(routes, until - np.concatenate([[0], until[:-1]]), exact)
    at, there = _find(routes, routes.slot, routes.buyer, routes.seller)
    back = np.where(there, wh[at], 0)
    trimmed: IntArray = wh - np.minimum(wh, back)
    return trimmed


def _evened(routes: Routes, wh: IntArray, exact: FloatArray) -> IntArray:
    """Sellers whose running total was rounded give what one buyer has too much to one that has too little."""
    members, slots = _members(routes), int(routes.slot.max(initial=0)) + 1
    cell = routes.slot * members + routes.buyer
    # Running totals of buyers end each slot as those of sellers do, so what some have too much others lack.
    until = np.rint(np.cumsum(np.bincount(cell, exact, slots * members))).astype(np.int64)
    wanted = np.diff(until, prepend=0)
    wh = wh.copy()
    for sweep in range(SWEEPS):
        over = np.bincount(cell, wh, slots * members).astype(np.int64) - wanted
        giving = np.flatnonzero((over[cell] > 0) & (wh > 0))
        # The largest trade of a buyer with too much goes to the buyer of the same rank among those with too little.
        giving = giving[np.lexsort((wh[giving], cell[giving]))]
        giving = giving[np.diff(cell[giving], append=-1) != 0]
        taking = np.flatnonzero(over < 0)
        if not len(giving) or not len(taking):
            break
        first, count = (np.searchsorted(taking // members, np.arange(slots), side=side) for side in ("left", "right"))
        slot = routes.slot[giving]
        count = (count - first)[slot]
        rank = np.arange(len(giving)) - np.searchsorted(slot, slot)
        giving, rank, count = (column[count > 0] for column in (giving, rank, count))
        slot = routes.slot[giving]
        rank, fresh = (rank + sweep) % np.maximum(count, 1), rank < count
        taker = taking[first[slot] + rank]
        at, there = _find(routes, slot, routes.seller[giving], taker % members)
        moved = np.where(there & fresh, np.minimum(np.minimum(over[cell[giving]], wh[giving]), -over[taker]), 0)
        np.subtract.at(wh, giving, moved)
        np.add.at(wh, at, moved)
    return wh


def _find(routes: Routes, slot: IntArray, seller: IntArray, buyer: IntArray) -> tuple[IntArray, NDArray[np.bool_]]:
    """Where the routes from these sellers to these buyers are, and whether they are there at all."""
    members = _members(routes)
    key = (routes.slot * members + routes.seller) * members + routes.buyer
    sought = (slot * members + seller) * members + buyer
    at = np.minimum(np.searchsorted(key, sought), max(len(key) - 1, 0))
    return at, key[at] == sought if len(key) else np.zeros(len(sought), dtype=bool)


def _members(routes: Routes) -> int:
    return int(max(routes.seller.max(initial=0), routes.buyer.max(initial=0))) + 1
