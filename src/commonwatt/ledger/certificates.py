"""By which authorities a node at an https URL is known: they are read once, and not at all for http."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl


@cache
def authorities() -> ssl.SSLContext:
    """Those that this machine trusts. Reading them takes a client longer than all else that it begins with."""
    import httpx

    return httpx.create_ssl_context()


def needed(url: str) -> ssl.SSLContext | bool:
    """What httpx's `verify` is for a client of this URL alone; over plain http nothing is certified."""
    return False if url.lower().startswith("http://") else authorities()
