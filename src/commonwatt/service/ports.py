"""The ports of an exchange's processes, which they keep whenever they are started."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from commonwatt.exchange.folder import write_private
from commonwatt.service.children import free_port

_FILE: Final = "ports.json"


def ports(out: Path) -> dict[str, int]:
    """The ports that processes of the exchange in a folder have, whenever they are started."""
    try:
        known = json.loads((out / _FILE).read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    named = known.items() if isinstance(known, dict) else ()
    return {name: port for name, port in named if isinstance(port, int)}


def port_of(out: Path, name: str) -> int:
    """The one of a process; chosen where it has none."""
    known = ports(out)
    if name not in known:
        known[name] = free_port()
        write_private(out / _FILE, json.dumps(known) + "\n")
    return known[name]
