"""How far from the optimum a plan may be and still pass for it."""

from __future__ import annotations

from commonwatt.devices.households import Households
from commonwatt.units import MICRO, WH_PER_KWH


def near_enough(apart: float, scale: float, homes: Households, gap: int) -> bool:
    """Whether cost and bound differ by `gap` millionths at most, or by less than a Wh a home at the dearest price.

    Whole Wh cannot come nearer than the second in a market of a few hundred Wh: what rounding keeps from a seller may
    be missed by whoever values it most.
    """
    whole = homes.shape[0] * float(homes.dearest.max(initial=0.0)) / WH_PER_KWH
    return apart <= max(scale * gap / MICRO, whole, 1 / MICRO)
