"""What a member is to its community, and what its role lets it have."""

from __future__ import annotations

from collections.abc import Collection
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from commonwatt.errors import Finding

if TYPE_CHECKING:
    from commonwatt.community.schema import MemberTable


class Role(IntEnum):
    """The contract's enumeration `Members.Role`; what each may do stands in docs/community-contract.md."""

    CONSUMER = 1
    PROSUMER = 2
    STORAGE = 3
    OPERATOR = 4
    GRID_COMPANY = 5
    REGULATOR = 6
    SERVICE_PROVIDER = 7

    @property
    def word(self) -> str:
        """As the file has it, such as "grid-company"."""
        return self.name.lower().replace("_", "-")

    @property
    def trades(self) -> bool:
        """Whether it has a meter and takes part in the market."""
        return self <= Role.STORAGE


WORDS: Final = {role.word: role for role in Role}
_NEEDED: Final = {Role.CONSUMER: "load", Role.PROSUMER: "pv", Role.STORAGE: "battery"}
_OF_A_METER: Final = (
    "load",
    "annual_kwh",
    "heat_pump",
    "pv",
    "battery",
    "mandate",
    "bus",
    "meter",
    "agent",
    "forecast",
)
_FOREIGN: Final = {
    Role.CONSUMER: ("pv",),
    Role.PROSUMER: (),
    Role.STORAGE: ("load", "annual_kwh", "heat_pump", "pv"),
    **{role: _OF_A_METER for role in Role if not role.trades},
}
_WHY: Final = {
    Role.CONSUMER: "who generates is a prosumer",
    Role.STORAGE: "it has a battery and nothing else",
    **{role: "it has no meter and takes no part in the market" for role in Role if not role.trades},
}


def role_of(table: MemberTable) -> Role:
    """What the file says; else a home with PV is a prosumer and any other a consumer."""
    if table.role is not None:
        return WORDS[table.role]
    feeds_in = table.pv or any(point.export for point in table.points or ())
    return Role.PROSUMER if feeds_in else Role.CONSUMER


def foreign(role: object) -> tuple[str, ...]:
    """The keys of a member for which a role, as the file has it, has no use."""
    return _FOREIGN[WORDS[role]] if isinstance(role, str) and role in WORDS else ()


def findings(path: str, table: MemberTable, own: Collection[str]) -> list[Finding]:
    """What a member lacks for its role, or has beside it. Who says no role is a home, and has a load.

    path : of its table in the file; own : the keys that it says itself
    """
    role = role_of(table)
    found = [
        Finding(f"{path}.{key}", f"does not go with the role {role.word}: {_WHY[role]}")
        for key in foreign(table.role)
        if key in own
    ]
    if table.points:
        return found + [
            Finding(f"{path}.{key}", "does not go with points: what they count is read, not simulated")
            for key in ("load", "annual_kwh", "heat_pump", "pv", "battery")
            if key in own
        ]
    needed = _NEEDED.get(role) if table.role else "load"
    if needed and getattr(table, needed) is None:
        found.append(Finding(f"{path}.{needed}", f"is missing: {type(table).model_fields[needed].description}"))
    elif table.load is None and not found:
        found = [
            Finding(f"{path}.{key}", "comes with a load, which is missing")
            for key in ("annual_kwh", "heat_pump")
            if key in own
        ]
    return found
