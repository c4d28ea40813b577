"""What a bill says of energy, slot by slot, as a grid company counts it: all, what was shared, what the utility has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from commonwatt.accounts.document import MEASURED, NOT_MEASURED, met
from commonwatt.billing.tables import harmless
from commonwatt.data.reports.form import FormColumn
from commonwatt.data.reports.report import Quantity
from commonwatt.units import IntArray

_QUANTITIES: Final[dict[str, tuple[Quantity, Quantity]]] = {"import": ("import", "G.03"), "export": ("export", "P.01")}
"""By direction: of all of it, and of what the community shared, or left."""


@dataclass(frozen=True, eq=False)
class Counted:
    """What a point counted in one direction. Arrays have the shape (slots,).

    point : the register as the community's file names it; where members trade on net the member's id
    direction : "import", from the grid, or "export"
    wh : all of it; shared : of it, within the community; the rest met the utility; each >= 0 [Wh]
    metered : how, by slot, as of `accounts.document.metered`
    """

    point: str
    member: str
    direction: str
    wh: IntArray
    shared: IntArray
    metered: tuple[str, ...]

    @property
    def residual(self) -> IntArray:
        """What met the utility [Wh]."""
        return self.wh - self.shared

    def columns(self) -> Iterator[FormColumn]:
        """The two columns of it in the report of an Austrian energy community; nothing where it was not measured."""
        there = np.array([each != NOT_MEASURED for each in self.metered])
        whole, part = _QUANTITIES[self.direction]
        point, name = harmless(self.point), harmless(self.member)
        yield FormColumn(point, name, whole, self.wh, there)
        yield FormColumn(point, name, part, self.shared if part == "G.03" else self.residual, there)


def counted(content: Mapping[str, Any]) -> list[Counted]:
    """Of a bill's content with its slots; where nothing ever went out, there is no "export"."""
    slots, member = content["slots"], content["member"]
    metered = tuple(line.get("metered", MEASURED) for line in slots)
    found: dict[tuple[str, str], tuple[IntArray, IntArray]] = {}
    for place, line in enumerate(slots):
        for point, direction, wh, shared in _registers(line, member):
            if wh or direction == "import":
                none = np.zeros((2, len(slots)), dtype=np.int64)
                all_of_it, part = found.setdefault((point, direction), (none[0], none[1]))
                all_of_it[place], part[place] = wh, shared
    return [Counted(point, member["id"], direction, *both, metered) for (point, direction), both in found.items()]


def _registers(line: Mapping[str, Any], member: Mapping[str, Any]) -> Iterator[tuple[str, str, int, int]]:
    """Of each register of a slot's line, or of both directions of its net: point, direction, all, shared [Wh]."""
    if "registers" in line:
        for each in line["registers"]:
            yield each["name"], each["direction"], each["wh"], each["shared"]
        return
    said = met(line, member["index"])
    yield member["id"], "import", said.drawn + said.taken, said.taken
    yield member["id"], "export", said.fed + said.given, said.given
