"""What really happens in a simulated community: load and generation of every slot of the period."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from commonwatt.accounts.registers import Registers
from commonwatt.community.calendar import Slots
from commonwatt.community.model import Community
from commonwatt.community.points import present
from commonwatt.data import MeterFile, annual_kwh, read_meter_files, read_profiles
from commonwatt.data.meterfile import open_meters
from commonwatt.errors import DataError, GapError
from commonwatt.exchange.events import gate_of
from commonwatt.exchange.rules import Rules
from commonwatt.units import FloatArray, IntArray, wh_from_kw


@dataclass(frozen=True)
class World:
    """The truth of a simulated period.

    slots : the period and, before it, the history that the first forecast needs
    first : place of the period's first slot in `slots`
    load, generation : shape (homes, slots) [Wh] >= 0; nothing while a home is no member
    counted : by the registers of members' points, shape (registers, slots) [Wh] >= 0
    wanted : slots of history that forecasts would look at; there may be fewer
    """

    slots: Slots
    first: int
    load: IntArray
    generation: IntArray
    counted: IntArray
    wanted: int = 0

    def place(self, instant: int) -> int:
        """Place in `slots` of the slot that is on at `instant` [unix s]."""
        return (instant - self.slots.start) // self.slots.seconds


def build(rules: Rules, folder: Path, history_days: int) -> World:
    """Read what happens at the homes in the period of `rules`.

    folder : of community.toml, for the files it names
    history_days : whole days of history before the gate of the first day; a meter that begins later gives fewer
    Raises DataError when there are no members, or a file does not cover the period or lacks values since it begins.
    """
    community, period, seconds = rules.community, rules.period, rules.community.slot_seconds
    if not community.members:
        raise DataError("The community's file names no members, so there is nobody to simulate; serve it, or add some.")
    # Agents decide one slot before the gate.
    begin = gate_of(community, rules.start) - seconds - history_days * 86_400 if history_days else period.start
    wanted = lead = -(-(period.start - begin) // seconds)
    if lead:
        lead = min(lead, max(period.start - _known_from(community, folder), 0) // seconds)
    slots = Slots(period.start - lead * seconds, lead + period.count, seconds)
    own = _own_meters(community, folder, slots, lead)
    # How far forecasts look back says nothing of the period: rounding begins anew there.
    load, generation = (_wh(kw, slots, lead) for kw in _power(community, own, slots))
    registers = Registers.of(community.members)
    counted = _wh(_counted(registers, own, slots), slots, lead)
    load += registers.drawn(counted, len(load))
    generation += registers.fed(counted, len(load))
    there = present(community.members, slots, community.timezone)
    load, generation, counted = load * there, generation * there, counted * there[registers.owner]
    return World(slots, lead, load, generation, counted, wanted)


def _wh(kw: FloatArray, slots: Slots, first: int) -> IntArray:
    """Energy of power, each shape (..., slots) [Wh]; rounded from the first slot on, and from place `first` anew."""
    return np.concatenate([wh_from_kw(part, slots.hours) for part in (kw[..., :first], kw[..., first:])], axis=-1)


def _known_from(community: Community, folder: Path) -> int:
    """From when on every meter that somebody uses has readings [unix s]; packaged profiles have no beginning."""
    zone, seconds = community.timezone, community.slot_seconds
    files = open_meters(community.profiles, folder, zone, seconds, community.own_columns)
    return max((meters.begin for meters in files), default=0)


def _counted(registers: Registers, own: MeterFile, slots: Slots) -> FloatArray:
    """What goes through each register, shape (registers, slots) [kW]. Raises DataError where the file has none."""
    try:
        return np.array([own.named(name) for name in registers.names]).reshape(len(registers), slots.count)
    except ValueError:
        known = {*own.columns, *own.headers}
        missing = next(name for name in registers.names if name not in known)
        raise DataError(
            f"There is no column '{missing}', a register of a member's points, in the community's own meter file; name "
            "the file that has it as profiles of [community], or settle what meters counted with commonwatt settle."
        ) from None


def _power(community: Community, own: MeterFile, slots: Slots) -> tuple[FloatArray, FloatArray]:
    """Load and generation of every home, each shape (homes, slots) [kW]; of what points count, nothing."""
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
    try:
        return read_meter_files(community.profiles, folder, slots, community.timezone, community.own_columns)
    except GapError as error:
        if not lead:
            raise
        opened = datetime.fromtimestamp(slots.start, ZoneInfo(community.timezone))
        raise GapError(f"{error} The simulation needs readings from {opened:%Y-%m-%d %H:%M} on: the forecast of the "
                        "first day looks back that far.") from None  # fmt: skip
