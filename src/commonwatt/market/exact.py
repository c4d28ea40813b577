"""Sums and products of integer arrays that are exact where 64 bits would not be enough."""

from __future__ import annotations

from typing import cast

from commonwatt.units import MAX_MONEY, IntArray

_HALF = 32
_PRICE_HALF = 20
"""Bits in the lower part of a price: with 2^40 as its bound, either part times an order stays below 2^53."""


def exact_sum(values: IntArray) -> int:
    """Sum without overflow; each half of the bits is added by itself.

    >>> import numpy as np
    >>> exact_sum(np.array([2**62, 2**62, 2**62]))
    13835058055282163712
    """
    return (int((values >> _HALF).sum()) << _HALF) + int((values & ((1 << _HALF) - 1)).sum())


def exact_dot(wh: IntArray, price: IntArray) -> int:
    """Sum of wh·price for energy and prices within the bounds of `units`, without overflow.

    >>> import numpy as np
    >>> exact_dot(np.array([10**9, 10**9]), np.array([10**12, 10**12]))
    2000000000000000000000
    """
    low = price & ((1 << _PRICE_HALF) - 1)
    return (exact_sum(wh * (price >> _PRICE_HALF)) << _PRICE_HALF) + exact_sum(wh * low)


def wide(bound: int, *arrays: IntArray) -> tuple[IntArray, ...]:
    """The arrays as they are, or with unbounded integers when a result may reach `bound` and leave 64 bits."""
    if bound <= MAX_MONEY:
        return arrays
    # numpy computes with Python's integers in the same expressions; only the type's name differs.
    return cast("tuple[IntArray, ...]", tuple(array.astype(object) for array in arrays))
