"""The registers of all members, where local energy is shared by what each register counted.

A meter counts what its home took and what it fed in apart, and both may move within one slot. The law of several
countries allocates by metering point (docs/mechanisms/sharing-key.md): the import register has its part of the local
energy, the export register supplies it, and nothing is netted between them. To a pool each register is a participant of
its own: those of import can only buy, those of export only sell (`exchange.sharing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from commonwatt.community.model import Member
from commonwatt.units import IntArray


@dataclass(frozen=True, eq=False)
class Registers:
    """Those of import first, then those of export; each by member and point. Arrays have the shape (registers,).

    owner : member index; names : as the meter files have them
    importing : how many are registers of import
    """

    owner: IntArray
    names: tuple[str, ...]
    importing: int

    @classmethod
    def of(cls, members: Sequence[Member]) -> Registers:
        """The registers of all points of the members."""
        draws = [(member.index, point.draws) for member in members for point in member.points if point.draws]
        feeds = [(member.index, point.feeds) for member in members for point in member.points if point.feeds]
        both = [*draws, *feeds]
        owner = np.array([index for index, _ in both], dtype=np.int64)
        return cls(owner, tuple(name for _, name in both), len(draws))

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def sign(self) -> IntArray:
        """1 for import, -1 for export."""
        return np.where(np.arange(len(self)) < self.importing, 1, -1)

    def drawn(self, of_registers: IntArray, members: int) -> IntArray:
        """Sums of the import registers by member, shape (members, ...). of_registers : shape (registers, ...)"""
        return self._sums(of_registers, slice(None, self.importing), members)

    def fed(self, of_registers: IntArray, members: int) -> IntArray:
        """Sums of the export registers by member, shape (members, ...)."""
        return self._sums(of_registers, slice(self.importing, None), members)

    def _sums(self, of_registers: IntArray, part: slice, members: int) -> IntArray:
        sums = np.zeros((members, *of_registers.shape[1:]), dtype=np.int64)
        np.add.at(sums, self.owner[part], of_registers[part])
        return sums

    def before(self, counted: IntArray) -> IntArray:
        """What the member's registers of the same direction before each one counted, shape (registers,) [Wh]."""
        begins = np.flatnonzero((np.diff(self.owner, prepend=-1) != 0) | (np.arange(len(self)) == self.importing))
        sums = np.cumsum(counted) - counted
        return sums - np.repeat(sums[begins], np.diff(begins, append=len(self)))

    def net(self, counted: IntArray, members: int) -> IntArray:
        """Energy through the members' meters, shape (members,) [Wh], positive = into the home."""
        return self.drawn(counted, members) - self.fed(counted, members)


@dataclass(frozen=True, eq=False)
class Shares:
    """What registers counted and shared in a slot, each shape (registers,) and >= 0; empty where members trade on net.

    counted : [Wh]; shared : of it, with neighbours or with the member's own other registers [Wh]
    worth : of the shared energy, Wh times price, exactly: owed by an import register, to an export register [unit/1000]
    kept : what rounding has kept from each after this slot [millionths of a Wh], below 0 where it gave too much
    """

    counted: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    shared: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    worth: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    kept: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
