"""Integers for energy and money, with every rounding direction stated.

Energy is Wh, positive into the home. Money is whole units of a community, each a power of ten of micro-currency
(`Community.unit`); a unit is one micro-currency unless a community says or needs otherwise, so that 0.32 EUR/kWh is
320 000. A price is units per kWh.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import NDArray

from commonwatt.errors import DataError

MICRO: Final = 1_000_000
WH_PER_KWH: Final = 1_000
MAX_ORDER_WH: Final = 10**9
"""Largest energy of one order [Wh]."""
MAX_PRICE: Final = 10**12
"""Largest price [unit/kWh]; a million of the currency per kWh where a unit is one micro-currency."""
MAX_MONEY: Final = 2**63 - 1
UNITS: Final = tuple(10**digits for digits in range(7))
"""What a unit of money can be worth [micro-currency]: a millionth of the currency, up to one of it."""
_PLACES: Final = (
    (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"),
    (3, "BHD IQD JOD KWD LYD OMR TND"),
    (4, "CLF UYW"),
)
"""Decimals of the currencies that have not two (ISO 4217)."""
_LONGEST_AMOUNT: Final = 24
"""Characters of an amount of money in a text."""

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def micro(amount: str, least: int = -MAX_PRICE, most: int = MAX_PRICE) -> int:
    """Exact micro-currency from a decimal text in plain notation, the only way that money is read from a text.

    >>> micro("0.32")
    320000

    Raises ValueError, a sentence without its subject, when the text is no decimal number, is longer than 24 characters,
    has more than six decimals, or is not between `least` and `most` [micro-currency].
    """
    found = re.fullmatch(r"(-?)([0-9]+)(?:\.([0-9]+))?", amount[: _LONGEST_AMOUNT + 1])
    if found is None:
        raise ValueError(f"'{amount[:40]}' is not a decimal number, such as \"0.32\"")
    sign, whole, part = found[1], found[2], found[3] or ""
    if len(amount) > _LONGEST_AMOUNT or len(part) > 6:
        raise ValueError(f"'{amount[:40]}' has too many digits; at most six may stand behind the point")
    value = int(f"{sign}{whole}{part:0<6}")
    if value < least:
        near_zero = {0: "must not be below zero", 1: "must be more than 0"}.get(least)
        bound = f"is {amount}, less than {decimal_text(least, 0)}"
        raise ValueError(f"{near_zero}, but is {amount}" if near_zero else bound)
    if value > most:
        raise ValueError(f"'{amount}' is too high; the highest is {most // MICRO}")
    return value


def in_units(amount: int, unit: int) -> int:
    """`amount` in units of `unit`, both in micro-currency, exactly.

    >>> in_units(3_000_000_000, 10_000)
    300000

    Raises ValueError, a sentence without its subject, when it is no whole number of units.
    """
    units, rest = divmod(amount, unit)
    if rest:
        raise ValueError(f"is {price_text(amount)}, no multiple of {price_text(unit)}, in which money is counted here")
    return units


def decimal_text(amount: int, places: int = 6) -> str:
    """Decimal text of a micro-amount, half away from zero at `places`.

    >>> decimal_text(320000), decimal_text(-1234567, 2)
    ('0.320000', '-1.23')
    """
    quotient = round_half_up(Fraction(abs(amount), 10 ** (6 - places)))
    whole, part = divmod(quotient, 10**places)
    sign = "-" if amount < 0 and quotient else ""
    return f"{sign}{whole}.{part:0{places}d}" if places else f"{sign}{whole}"


def price_text(amount: int) -> str:
    """Decimal text of a micro-amount with two places at least, and no more than it needs.

    >>> price_text(320000), price_text(5000000), price_text(-81300)
    ('0.32', '5.00', '-0.0813')
    """
    whole, _, decimals = decimal_text(amount).partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"


def minor_unit(currency: str) -> int:
    """The least that is paid in a currency, such as a cent [micro-currency], by ISO 4217; a hundredth of any other.

    >>> minor_unit("EUR"), minor_unit("JPY"), minor_unit("KWD")
    (10000, 1000000, 1000)
    """
    return MICRO // int(10 ** _places(currency))


def paid_text(amount: int, currency: str) -> str:
    """Decimal text of a micro-amount with as many places as the currency has, half away from zero.

    >>> paid_text(1234567, "EUR"), paid_text(-1234567, "VND"), paid_text(1234567, "KWD")
    ('1.23', '-1', '1.235')
    """
    return decimal_text(amount, _places(currency))


def _places(currency: str) -> int:
    return next((places for places, names in _PLACES if currency in names.split()), 2)


def payment(wh: int, price: int) -> int:
    """Money for `wh` at `price`, each of either sign, rounded towards zero: |wh·price| // 1000.

    Payer and payee use the same figure, so a payment never creates or destroys money; and what is paid for a kWh at a
    price below zero is what would be paid for it at the same price above.
    The Settlement contract rounds in the same way.

    >>> payment(547, 2_100_000), payment(1, -67_001), payment(-1, -67_001)
    (1148700, -67, 67)
    """
    magnitude = abs(wh * price) // WH_PER_KWH
    return magnitude if wh * price >= 0 else -magnitude


def payments(wh: IntArray, price: IntArray | int) -> IntArray:
    """Money for energies >= 0 at prices of either sign, each rounded towards zero as `payment` does; the shapes are
    broadcast.

    Energy is taken apart into kWh and the rest, so that no product leaves 64 bits before it is divided.

    >>> payments(np.array([10**9, 547, 1]), np.array([10**12, 2_100_000, -67_001])).tolist()
    [1000000000000000000, 1148700, -67]
    """
    kwh, rest = np.divmod(wh, WH_PER_KWH)
    magnitude = np.abs(price)
    return np.asarray(np.sign(price) * (kwh * magnitude + rest * magnitude // WH_PER_KWH))


def totals(amounts: IntArray) -> IntArray:
    """Sums over the last axis, shape (..., n) in and (...) out; money never wraps.

    >>> totals(np.array([[2**62, -(2**62), 5]])).tolist()
    [5]

    Raises DataError when a sum does not fit into 64 bits.
    """
    largest = max(abs(int(amounts.max(initial=0))), abs(int(amounts.min(initial=0))))
    if largest * amounts.shape[-1] <= MAX_MONEY:
        return np.asarray(amounts.sum(axis=-1))
    return money(amounts.astype(object).sum(axis=-1))


def money(exact: object) -> IntArray:
    """Exact amounts, Python integers of any size, as an array of the same shape.

    >>> money([3, -(2**40)]).tolist()
    [3, -1099511627776]

    Raises DataError when one does not fit into 64 bits.
    """
    amounts = np.asarray(exact, dtype=object)
    if (np.abs(amounts) > MAX_MONEY).any():
        raise DataError(
            f"An amount of money is beyond {MAX_MONEY} of what it is counted in: these energies, prices or days are "
            "too many."
        )
    return amounts.astype(np.int64)


def round_half_up(value: Fraction) -> int:
    """Nearest integer, halves upwards."""
    return int((2 * value.numerator + value.denominator) // (2 * value.denominator))


def rounded(value: Fraction) -> int:
    """Nearest integer, halves away from zero: what is owed rounds as what is owing does.

    >>> rounded(Fraction(5, 2)), rounded(Fraction(-5, 2))
    (3, -3)
    """
    nearest = round_half_up(abs(value))
    return nearest if value >= 0 else -nearest


def wh_from_kw(kw: FloatArray, hours: float) -> IntArray:
    """Integer Wh from average power, shape (..., slots) in [kW] and out [Wh].

    The running total is rounded, not each slot, so the total over any prefix is within half a Wh
    of the exact energy.
    """
    running = np.rint(np.cumsum(kw, axis=-1) * (hours * WH_PER_KWH)).astype(np.int64)
    return np.diff(running, axis=-1, prepend=0)


def largest_remainder(total: int, weights: IntArray) -> IntArray:
    """Split `total` >= 0 in proportion to `weights` >= 0 [same integer unit as `total`], exactly.

    Floors first, then one unit each to the largest remainders; equal remainders go to the lower index.
    A share never exceeds its weight when `total` <= sum of weights.

    >>> largest_remainder(10, np.array([1, 1, 1])).tolist()
    [4, 3, 3]
    """
    whole = int(weights.sum())
    if whole == 0 or total == 0:
        return np.zeros_like(weights)
    if total == whole:
        return weights.copy()
    if total * int(weights.max()) <= MAX_MONEY:
        product = weights * np.int64(total)
        shares, remainders = product // whole, product % whole
    else:
        exact = [divmod(int(weight) * total, whole) for weight in weights]
        shares = np.array([share for share, _ in exact], dtype=np.int64)
        remainders = np.array([rest for _, rest in exact], dtype=object)
    if missing := total - int(shares.sum()):
        # The remainder that is just large enough, found without sorting a million of them.
        least = np.partition(remainders, len(remainders) - missing)[len(remainders) - missing]
        above = remainders > least
        shares[above] += 1
        shares[np.flatnonzero(remainders == least)[: missing - int(above.sum())]] += 1
    return shares


def carried_remainder(total: int, weights: IntArray, kept: IntArray) -> tuple[IntArray, IntArray]:
    """As `largest_remainder`, slot after slot: units go to whom rounding has kept most from, so that sums stay true.

    kept : what earlier splits have kept from each, in millionths of a unit; below 0 where they gave too much
    Returns the shares, each less than a unit from its exact value, and what is kept from each now.

    >>> first, kept = carried_remainder(1, np.array([1, 1]), np.array([0, 0]))
    >>> first.tolist(), kept.tolist(), carried_remainder(1, np.array([1, 1]), kept)[0].tolist()
    ([1, 0], [-500000, 500000], [0, 1])
    """
    whole = int(weights.sum())
    if whole == 0 or total in (0, whole):
        return largest_remainder(total, weights), kept
    exact = [divmod(int(weight) * total, whole) for weight in weights]
    shares = np.array([share for share, _ in exact], dtype=np.int64)
    claims = np.array([rest * MICRO // whole for _, rest in exact], dtype=np.int64) + kept
    some = np.array([rest > 0 for _, rest in exact])
    first = np.argsort(np.where(some, -claims, MAX_MONEY), kind="stable")[: total - int(shares.sum())]
    shares[first] += 1
    given = np.zeros_like(claims)
    given[first] = MICRO
    return shares, claims - given


def split(amount: int, weights: IntArray) -> IntArray:
    """Shares of an amount of either sign in proportion to `weights` >= 0, as `largest_remainder`.

    >>> split(-10, np.array([1, 1, 1])).tolist()
    [-4, -3, -3]
    """
    shares = largest_remainder(abs(amount), weights)
    return shares if amount >= 0 else -shares
