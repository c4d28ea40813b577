"""What really happens in a simulated community: load and generation of every slot of the period."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from commonwatt.community.calendar import Slots
from commonwatt.community.model import Community
from commonwatt.data import MeterFile, annual_kwh, read_meter_file, read_profiles
from commonwatt.data.meterfile import Meters
from commonwatt.errors import GapError
from commonwatt.exchange.events import gate_of
from commonwatt.exchange.rules import Rules
from commonwatt.units import FloatArray, IntArray, wh_from_kw


@dataclass(frozen=True)
class World:
    """The truth of a simulated period.

    slots : the period and, before it, the history that the first forecast needs
    first : place of the period's first slot in `slots`
    load, generation : shape (homes, slots) [Wh] >= 0
    wanted : slots of history that forecasts would look at; there may be fewer
    """

    slots: Slots
    first: int
    load: IntArray
    generation: IntArray
    wanted: int = 0

    def place(self, instant: int) -> int:
        """Place in `slots` of the first slot that begins at `instant` [unix s] or later."""
        return -(-(instant - self.slots.start) // self.slots.seconds)


def build(rules: Rules, folder: Path, history_days: int) -> World:
    """Read what happens at the homes in the period of `rules`.

    folder : of community.toml, for the files it names
    history_days : whole days of history before the gate of the first day; a meter file that begins later gives fewer
    Raises DataError when a file does not cover the period, or lacks values since it begins.
    """
    community, period, seconds = rules.community, rules.period, rules.community.slot_seconds
    begin = gate_of(community, rules.start) - history_days * 86_400 if history_days else period.start
    wanted = lead = -(-(period.start - begin) // seconds)
    if community.profiles and lead:
        known = Meters.open(folder / community.profiles, community.timezone, seconds).file.starts[0]
        lead = min(lead, max(period.start - int(known), 0) // seconds)
    slots = Slots(period.start - lead * seconds, lead + period.count, seconds)
    loads, generations = _power(community, folder, slots, lead)
    return World(slots, lead, wh_from_kw(loads, slots.hours), wh_from_kw(generations, slots.hours), wanted)


def _power(community: Community, folder: Path, slots: Slots, lead: int) -> tuple[FloatArray, FloatArray]:
    """Load and generation of every home, each shape (homes, slots) [kW]. lead : slots before the period"""
    own = _own_meters(community, folder, slots, lead)
    loads, generations = np.zeros((2, len(community.members), slots.count))
    every = [load for member in community.members for load in member.loads]
    packaged = {load.profile for load in every} | {member.pv.profile for member in community.members if member.pv}
    names = sorted(name for name in packaged if ":" in name)
    series = dict(zip(names, read_profiles(names, slots, community.timezone), strict=True)) if names else {}
    measured = [load.profile for load in every if load.annual_kwh is None and ":" in load.profile]
    size = dict(zip(measured, annual_kwh(measured), strict=True)) if measured else {}
    for member in community.members:
        for load in member.loads:
            if ":" in load.profile:
                scale = size[load.profile] if load.annual_kwh is None else load.annual_kwh
                loads[member.index] += series[load.profile] * scale
            else:
                loads[member.index] += own.named(load.profile)
        if pv := member.pv:
            generations[member.index] = series[pv.profile] * pv.kwp if ":" in pv.profile else own.named(pv.profile)
    return loads, generations


def _own_meters(community: Community, folder: Path, slots: Slots, lead: int) -> MeterFile:
    if community.profiles is None:
        return MeterFile((), (), np.empty((0, slots.count)))
    try:
        return read_meter_file(folder / community.profiles, slots, community.timezone)
    except GapError as error:
        if not lead:
            raise
        opened = datetime.fromtimestamp(slots.start, ZoneInfo(community.timezone))
        raise GapError(f"{error} The simulation needs readings from {opened:%Y-%m-%d %H:%M} on: the forecast of the "
                        "first day looks back that far.") from None  # fmt: skip
