"""What a node says of itself."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from commonwatt.plain import plain

_LINE: Final = 500


def entry(line: str, at: datetime) -> str:
    """A line of the log. What others wrote may stand in it, and must not look like a line of its own."""
    return f"{at:%H:%M:%S} {plain(line, _LINE)}"
