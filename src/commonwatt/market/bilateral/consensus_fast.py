"""The two inner loops of `consensus` once more, one home or route at a time, for numba's compiler.

The functions also run without numba, slowly, so that a test can compare them anywhere; sums run in another order than
numpy's, so results differ in the last digits.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from commonwatt.market.bilateral.consensus import Kernels
from commonwatt.units import FloatArray, IntArray


@cache
def compiled() -> Kernels:
    """The loops, compiled. Raises ImportError without numba (extra `fast`)."""
    numba = import_module("numba")
    global _excess
    _excess = numba.njit(inline="always")(_excess)
    return Kernels(_balance_with(numba.njit(balance_loop)), _flow_with(numba.njit(flow_loop)))


def loops() -> Kernels:
    """The same without numba."""
    return Kernels(_balance_with(balance_loop), _flow_with(flow_loop))


def _balance_with(loop: Any) -> Any:
    def balance(
        begin: FloatArray, end: FloatArray, length: FloatArray, weight: FloatArray, missing: FloatArray
    ) -> FloatArray:
        ways = begin.shape[2]
        price = np.empty(weight.size)
        flat = (np.ascontiguousarray(part).reshape(-1, ways) for part in (begin, end, length))
        loop(*flat, np.ascontiguousarray(weight).ravel(), np.ascontiguousarray(missing).ravel(), price)
        return price.reshape(weight.shape)

    return balance


def _flow_with(loop: Any) -> Any:
    def flow(
        before: FloatArray,
        level: FloatArray,
        at_seller: IntArray,
        at_buyer: IntArray,
        gamma: FloatArray,
        most: FloatArray,
        penalty: float,
    ) -> tuple[FloatArray, FloatArray]:
        after, sold = np.empty_like(before), np.zeros_like(level)
        loop(before, level, at_seller, at_buyer, gamma, most, 0.5 / penalty, after, sold)
        return after, sold

    return flow


def flow_loop(
    before: FloatArray,
    level: FloatArray,
    at_seller: IntArray,
    at_buyer: IntArray,
    gamma: FloatArray,
    most: FloatArray,
    half: float,
    after: FloatArray,
    sold: FloatArray,
) -> None:
    """The routes' step, and what each home and slot is expected to sell next."""
    for route in range(len(before)):
        seller, buyer = at_seller[route], at_buyer[route]
        wish = before[route] + (level[buyer] - level[seller] - gamma[route]) * half
        flow = min(max(wish, 0.0), most[route])
        after[route] = flow
        expected = 2 * flow - before[route]
        sold[seller] += expected
        sold[buyer] -= expected


def balance_loop(
    begin: FloatArray, end: FloatArray, length: FloatArray, weight: FloatArray, missing: FloatArray, price: FloatArray
) -> None:
    """As `bilateral_step.balance`: bisection over the sorted bends of each curve, then a straight line."""
    ways = begin.shape[1]
    bends = np.empty(2 * ways + 2)
    for cell in range(len(weight)):
        filled = 0
        for way in range(ways):
            for bend in (begin[cell, way], end[cell, way]):
                filled += 1
                place = filled
                while place > 1 and bends[place - 1] > bend:
                    bends[place] = bends[place - 1]
                    place -= 1
                bends[place] = bend
        bends[0], bends[filled + 1] = bends[1] - 1.0, bends[filled] + 1.0
        below, above = 0, filled + 1
        while above - below > 1:
            middle = (below + above) // 2
            if _excess(begin, end, length, cell, bends[middle], weight[cell], missing[cell]) <= 0:
                below = middle
            else:
                above = middle
        left, right = bends[below], bends[above]
        at_left = _excess(begin, end, length, cell, left, weight[cell], missing[cell])
        at_right = _excess(begin, end, length, cell, right, weight[cell], missing[cell])
        price[cell] = left - at_left * (right - left) / max(at_right - at_left, 1e-300)


def _excess(
    begin: FloatArray, end: FloatArray, length: FloatArray, cell: int, price: float, weight: float, missing: float
) -> float:
    total = weight * price - missing
    for way in range(begin.shape[1]):
        share = (price - begin[cell, way]) / (end[cell, way] - begin[cell, way])
        total += min(max(share, 0.0), 1.0) * length[cell, way]
    return total
