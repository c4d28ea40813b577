"""Topics between meters and exchange: `cw/<address>/<word>`, the address as 0x and 40 small hexadecimal digits.

A meter says `reading`, `live` and `status`, and `auto` to switch automatic trade; the exchange says `ack`, `plan`,
`demand`, `auto/state`, and below `total` and `homeassistant` what Home Assistant is told; to all of them `cw/time`.
"""

from __future__ import annotations

import re
from typing import Final

READING: Final = "reading"
LIVE: Final = "live"
STATUS: Final = "status"
AUTO: Final = "auto"
FROM_METER: Final = (READING, LIVE, STATUS, AUTO)
ACK: Final = "ack"
PLAN: Final = "plan"
DEMAND: Final = "demand"
AUTO_STATE: Final = "auto/state"
TOTAL: Final = "total"
DISCOVERY: Final = "homeassistant"
TO_METER: Final = (ACK, PLAN, DEMAND, AUTO_STATE, f"{TOTAL}/+", f"{DISCOVERY}/#")
TIME: Final = "cw/time"

_NAME: Final = re.compile("0x[0-9a-f]{40}")
_TOPIC: Final = re.compile(f"cw/0x([0-9a-f]{{40}})/({'|'.join(FROM_METER)})")


def name(meter: bytes) -> str:
    """What the broker calls a meter: its address, 20 bytes, in text.

    >>> name(bytes(19) + b"\\1")
    '0x0000000000000000000000000000000000000001'
    """
    return f"0x{meter.hex()}"


def named(text: str) -> bytes | None:
    """The meter that `name` made this of; None for any other text."""
    return bytes.fromhex(text[2:]) if _NAME.fullmatch(text) else None


def topic(meter: bytes, word: str) -> str:
    """Where a meter says something, or is told it."""
    return f"cw/{name(meter)}/{word}"


def said_by(text: str) -> tuple[bytes, str] | None:
    """The meter and the word of a topic that a meter writes; None for any other."""
    found = _TOPIC.fullmatch(text)
    return (bytes.fromhex(found[1]), found[2]) if found else None
