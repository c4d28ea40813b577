"""Batteries of all homes at once, in whole Wh at their terminals so that every Wh is accounted for.

The dispatch holds the meter at a target as far as the battery can: charge from what is more than wanted there,
discharge into what is less. A target of zero is self-consumption, which never trades with the grid by itself.
State of charge s [Wh], charge c and discharge d at the terminals:

    s' = s + η_c·c − d/η_d,   s_min <= s' <= s_max,   0 <= c, d <= P·Δt
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from commonwatt.community.model import Battery
from commonwatt.units import WH_PER_KWH, FloatArray, IntArray


@dataclass(frozen=True)
class Fleet:
    """The homes' batteries as columns, each shape (homes,); a home without one has no capacity.

    power : most energy in or out per slot at the terminals [Wh]
    low, high, start : state of charge [Wh]
    charging, discharging : efficiencies in (0, 1]
    """

    power: IntArray
    low: FloatArray
    high: FloatArray
    start: FloatArray
    charging: FloatArray
    discharging: FloatArray

    @classmethod
    def of(cls, batteries: Sequence[Battery | None], hours: float) -> Fleet:
        """The fleet of these homes for slots of `hours` [h]."""
        none = Battery(kwh=0.0, kw=0.0)
        rows = [battery or none for battery in batteries]
        capacity = np.array([b.kwh for b in rows], dtype=float) * WH_PER_KWH
        return cls(
            power=np.array([int(b.kw * hours * WH_PER_KWH) for b in rows], dtype=np.int64),
            low=capacity * [b.soc_min for b in rows],
            high=capacity * [b.soc_max for b in rows],
            start=capacity * [b.soc_start for b in rows],
            charging=np.array([b.charge_efficiency for b in rows], dtype=float),
            discharging=np.array([b.discharge_efficiency for b in rows], dtype=float),
        )


@dataclass(frozen=True)
class Step:
    """One slot of all batteries: charge and discharge at the terminals [Wh], state of charge after it [Wh]."""

    charge: IntArray
    discharge: IntArray
    soc: FloatArray

    @property
    def net(self) -> IntArray:
        """Into the batteries, shape (homes,) [Wh]."""
        return self.charge - self.discharge


def step(fleet: Fleet, soc: FloatArray, net_load: IntArray) -> Step:
    """Charge from surplus or discharge into deficit for one slot.

    soc : state of charge before, shape (homes,) [Wh]
    net_load : load minus generation minus the target at the meter, shape (homes,) [Wh], positive = deficit
    """
    room = np.floor(np.maximum(fleet.high - soc, 0.0) / fleet.charging).astype(np.int64)
    stored = np.floor(np.maximum(soc - fleet.low, 0.0) * fleet.discharging).astype(np.int64)
    charge = np.minimum(np.minimum(np.maximum(-net_load, 0), fleet.power), room)
    discharge = np.minimum(np.minimum(np.maximum(net_load, 0), fleet.power), stored)
    return Step(charge, discharge, soc + fleet.charging * charge - discharge / fleet.discharging)


def plan(fleet: Fleet, soc: FloatArray, net_load: IntArray) -> tuple[IntArray, FloatArray]:
    """Net energy beside the target if the homes met this net load, and the state of charge after it.

    net_load : load minus generation minus target, shape (homes, slots) [Wh]
    Returns shapes (homes, slots) [Wh], positive = into the home, and (homes,) [Wh].
    """
    net = np.empty_like(net_load)
    for slot in range(net_load.shape[1]):
        taken = step(fleet, soc, net_load[:, slot])
        net[:, slot] = net_load[:, slot] + taken.net
        soc = taken.soc
    return net, soc


def curtail(net: IntArray, generation: IntArray, cap: IntArray) -> IntArray:
    """Generation to hold back so that no home feeds in more than its cap, shape (homes,) [Wh] >= 0.

    net : energy at the meter without curtailment, positive = into the home
    cap : most feed-in allowed [Wh]; a home cannot hold back more than it generates
    """
    held_back: IntArray = np.minimum(np.maximum(-net - cap, 0), generation)
    return held_back
