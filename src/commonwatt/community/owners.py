"""Plants that belong to several members: what community.toml says of their owners."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fractions import Fraction
from math import gcd, isfinite
from typing import TYPE_CHECKING, Final

from commonwatt.community.model import PV, Member, Owner, Terms
from commonwatt.community.roles import Role
from commonwatt.errors import Finding
from commonwatt.units import MICRO

if TYPE_CHECKING:
    from commonwatt.community.schema import PlantTable

_MOST: Final = 1_000_000


def weights(value: object) -> dict[str, int]:
    """Owners' shares as whole numbers in lowest terms, by name, from numbers in any proportion.

    Raises ValueError, a sentence without its subject.
    """
    if not isinstance(value, dict):
        raise ValueError("must be a table with a share for each owner, such as { anna = 2, ben = 1 }")
    if not value:
        raise ValueError("must name at least one owner, such as { anna = 2, ben = 1 }")
    parts = {name: _part(name, share) for name, share in value.items()}
    divisor = gcd(*parts.values())
    return {name: part // divisor for name, part in parts.items()}


def _part(name: str, share: object) -> int:
    """A share in millionths."""
    number = isinstance(share, int | float) and not isinstance(share, bool) and isfinite(share)
    if not number or not isinstance(share, int | float) or not 0 < share <= _MOST:
        raise ValueError(f"gives '{name}' {share!r}; a share is a number, more than 0 and at most {_MOST}")
    part = Fraction(str(share)) * MICRO
    if part.denominator != 1:
        raise ValueError(f"gives '{name}' {share!r}; at most six digits may stand behind the point")
    return int(part)


def findings(name: str, table: PlantTable, plants: Collection[str], members: Collection[str]) -> list[Finding]:
    """A name that is taken, and owners who cannot be one. plants, members : all names in the file"""
    path = f"plants.{name}"
    found = [Finding(path, "is the name of a member already; a plant needs its own")] if name in members else []
    for owner in table.owners:
        if owner in plants and owner not in members:
            found.append(Finding(f"{path}.owners", f"names '{owner}', which is a plant; owners are members"))
        elif owner not in members:
            found.append(Finding(f"{path}.owners", f"names '{owner}', who is no member"))
    return found


def plant(index: int, name: str, table: PlantTable, members: Mapping[str, Member]) -> Member:
    """The plant as a member that uses nothing, buys nothing and takes any price. members : its owners among them"""
    owners = [Owner(members[owner].index, weight) for owner, weight in table.owners.items()]
    return Member(
        index=index,
        id=name,
        load=None,
        pv=PV(table.pv.profile, table.pv.kwp),
        terms=Terms(min_sell=0, buy_wh=0, sell_wh=table.sell_wh),
        bus=table.bus,
        collateral=table.collateral,
        wallet=table.wallet,
        meter=table.meter,
        role=Role.PROSUMER,
        owners=tuple(sorted(owners)),
        forecast=table.forecast,
    )
