"""Time zones by name."""

from __future__ import annotations

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from commonwatt.errors import DataError


def zone_named(name: str) -> ZoneInfo:
    """The time zone called `name`, an IANA name.

    Raises DataError when there is none.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise DataError(f"There is no time zone '{name}'; use a name such as Europe/Berlin.") from None
