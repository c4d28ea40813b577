"""Metering points of a member: each has a register for what it took from the grid, one for what it fed in, or both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from commonwatt.community.calendar import Slots, local_clock
from commonwatt.community.table import Name, Table
from commonwatt.errors import Finding

if TYPE_CHECKING:
    from commonwatt.community.model import Member


@dataclass(frozen=True)
class Point:
    """A metering point. draws, feeds : names of its registers of import and of export; None where it has none"""

    draws: str | None
    feeds: str | None


@dataclass(frozen=True)
class Span:
    """Local days from `first` to `last`, both included; None = without an end on that side."""

    first: date | None = None
    last: date | None = None

    def __contains__(self, day: object) -> bool:
        if not isinstance(day, date):
            return False
        return (self.first is None or self.first <= day) and (self.last is None or day <= self.last)

    def meets(self, other: Span) -> bool:
        """Whether they have a day in common."""
        before = self.last is not None and other.first is not None and self.last < other.first
        behind = other.last is not None and self.first is not None and other.last < self.first
        return not (before or behind)


class PointTable(Table):
    """At least one of the two."""

    import_: Annotated[Name | None, Field(alias="import")] = None
    export: Name | None = None

    @model_validator(mode="after")
    def _counts_something(self) -> PointTable:
        if self.import_ is None and self.export is None:
            raise ValueError('counts nothing; write { import = "…" }, { export = "…" } or both')
        return self


class SpanTable(Table):
    """A time of membership."""

    from_: Annotated[date | None, Field(alias="from")] = None
    until: date | None = None


def points_of(tables: Sequence[PointTable] | None) -> tuple[Point, ...]:
    """The metering points that a member's table names."""
    return tuple(Point(table.import_, table.export) for table in tables or ())


def spans_of(from_: date | None, until: date | None, periods: Sequence[SpanTable] | None) -> tuple[Span, ...]:
    """When a member is one; nothing = always."""
    if periods:
        return tuple(Span(each.from_, each.until) for each in periods)
    return (Span(from_, until),) if from_ or until else ()


def present(members: Sequence[Member], slots: Slots, timezone: str) -> NDArray[np.bool_]:
    """Whether each is a member, slot by slot, by the local day at the slot's start; shape (members, slots)."""
    days, place = np.unique(local_clock(slots, timezone).astype("datetime64[D]"), return_inverse=True)
    on = [[member.on(day) for day in days.tolist()] for member in members]
    return np.array(on, dtype=np.bool_).reshape(len(members), len(days))[:, place]


def findings(members: Sequence[Member], by: str) -> Iterator[Finding]:
    """No register counts for two at one time, no membership ends before it begins, and registers that share are there.

    by : what the community trades by, "net" or "registers"
    """
    seen: dict[str, Member] = {}
    for member in members:
        yield from _spans(member)
        if by == "registers" and member.role.trades and not member.points:
            yield Finding(f"{member.path}.points", 'is missing: [market] by = "registers" shares what registers count')
        for name in (name for point in member.points for name in (point.draws, point.feeds) if name):
            other = seen.setdefault(name, member)
            if other is member and sum(name in (p.draws, p.feeds) for p in member.points) > 1:
                yield Finding(f"{member.path}.points", f"name '{name}' more than once")
            elif other is not member and _together(member, other):
                text = f"name '{name}', which is {other.id}'s at the same time; each register counts for one member"
                yield Finding(f"{member.path}.points", text)


def _spans(member: Member) -> Iterator[Finding]:
    for span in member.spans:
        if span.first and span.last and span.last < span.first:
            yield Finding(f"{member.path}.until", f"is {span.last}, before its first day, {span.first}")
    for place, span in enumerate(member.spans):
        if any(span.meets(later) for later in member.spans[place + 1 :]):
            yield Finding(f"{member.path}.periods", "have a day in common; each ends before the next begins")
            return


def _together(one: Member, other: Member) -> bool:
    return any(a.meets(b) for a in one.spans or (Span(),) for b in other.spans or (Span(),))
