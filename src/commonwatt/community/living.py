"""[live] of community.toml: where a living exchange is reached, and how long it waits and keeps. No vote needs it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

OFF: Final = "none"
_DAY: Final = 86_400
_HIGHEST: Final = 65_535


@dataclass(frozen=True)
class LiveChoice:
    """How a community is served.

    address : where members are answered, host and port
    names : by which they reach it, beside that host
    broker : where meters find the exchange's broker, host and port; "none" where there is none
    certificate, key : of the server, PEM files beside community.toml; None only for this machine alone
    database : None = a file; else the URL of a PostgreSQL server
    readings_wait : how long after its end a slot waits for readings [s]
    bill_after : how long after a month its bills are made [s]
    keep : how long days that are billed stay in the database [s]
    """

    address: str = "127.0.0.1:8080"
    names: tuple[str, ...] = ()
    broker: str = "127.0.0.1:1883"
    certificate: str | None = None
    key: str | None = None
    database: str | None = None
    readings_wait: int = 120
    bill_after: int = 5 * _DAY
    keep: int = 400 * _DAY


def endpoint(text: str) -> tuple[str, int]:
    """Host and port of an address such as 127.0.0.1:8080, or [::1]:8080. Raises ValueError.

    >>> endpoint("[::1]:8080")
    ('::1', 8080)
    """
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([0-9A-Za-z.-]{1,253})):([0-9]{1,5})", text)
    if found is None or int(found[3]) > _HIGHEST:
        raise ValueError(f'must be a host and a port, such as "127.0.0.1:8080", not "{text}"')
    return found[1] or found[2], int(found[3])
