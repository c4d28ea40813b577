"""How long a living exchange needs to start, after a day and after a year: `python benchmarks/live_start.py`.

JSON on stdout; with a year, some twenty minutes. Five homes of the village trade slot after slot of an hour, on a chain
of their own; then a process of its own opens store and ledger, as after a power cut, and brings what is due first. A
start reads what is open: what it takes must not grow with what is past.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from _measure import ROOT, clocks, show

HOMES, REPEAT = 5, 5
LAST = date(2026, 6, 15)
DAYS = {"day": 2, "year": 365}
AT_MOST = {"ratio": 1.5, "cpu": 5}
_LEFT = 6
"""Events that are still to come when the exchange is stopped."""


def main(days: dict[str, int]) -> None:
    """Measure and print."""
    found = {}
    with tempfile.TemporaryDirectory() as name:
        for what, number in days.items():
            folder = Path(name) / what
            print(f"running {number} days", file=sys.stderr)
            run(folder, number)
            found[what] = {"days": number, **started(folder, number), "bytes": sizes(folder)}
    ratio = found["year"]["behind_imports"] / found["day"]["behind_imports"]
    show({"homes": HOMES, "runs": REPEAT, **found, "ratio": float(f"{ratio:.3g}"), "at_most": AT_MOST}, "sqlalchemy")


def run(folder: Path, days: int) -> None:
    """So many days of the exchange, of which the last is not over."""
    from commonwatt.exchange.enrolled import Enrolled
    from commonwatt.simulation.simulation import Simulation

    with closing(Simulation(village(), ROOT / "examples", first_of(days), days, out=folder)) as simulation:
        exchange: Any = simulation.exchange
        roster = Enrolled(exchange.store, exchange.client, exchange.rules.community)
        roster.follow()
        while exchange.done + 1 < len(exchange.rules.events) - _LEFT:
            simulation.advance()
        roster.follow()


def started(folder: Path, days: int) -> dict[str, Any]:
    """The median start [CPU s]: of the whole process, and of what comes behind its imports. The first one, which closes
    a gate, is not among them."""
    order = [sys.executable, __file__, "--start", str(folder), str(days)]
    told = []
    for _ in range(REPEAT + 1):
        text = subprocess.run(order, check=True, capture_output=True, text=True).stdout
        told.append(json.loads(text))
    later = sorted(told[1:], key=lambda each: float(each["behind_imports"]))
    return dict(later[len(later) // 2])


def start(folder: Path, days: int) -> None:
    """Open store and ledger, and bring the first event."""
    from commonwatt.exchange.enrolled import Enrolled
    from commonwatt.exchange.exchange import Exchange
    from commonwatt.exchange.founding import open_ledger
    from commonwatt.exchange.live import Live
    from commonwatt.exchange.rows import last_time
    from commonwatt.exchange.store import Store
    from commonwatt.exchange.window import around
    from commonwatt.ledger.chain import embedded  # noqa: F401
    from commonwatt.simulation.keys import simulated_keys
    from commonwatt.simulation.simulation import parties

    imported, parts, community = clocks()[1], {}, village()
    first, files = first_of(days), ROOT / "examples"
    with closing(Store(folder / "exchange.sqlite")) as store:
        now = last_time(store)
        rules = around(community, files, store, now, first)
        keys = simulated_keys(community)
        operators = [key.address for key in keys.operators]
        quorum = keys.operators[: community.ledger.threshold]
        parts["store"] = clocks()[1]
        founded = open_ledger(store, rules, "embedded", folder, quorum, operators, parties(keys))
        parts["ledger"] = clocks()[1]
        roster = Enrolled(store, founded.client, community)
        roster.follow()
        parts["roster"] = clocks()[1]
        exchange = Exchange(rules, store, founded.client, quorum, roster)
        parts["exchange"] = clocks()[1]
        live = Live(exchange, roster, lambda at: around(community, files, store, at, first), wait=60)
        live.advance(now + 1)
        if live.behind:
            sys.exit(live.behind)
        parts["live"] = clocks()[1]
    before, spent = imported, {}
    for name, at in parts.items():
        spent[name], before = float(f"{at - before:.3g}"), at
    json.dump({"cpu": round(before, 3), "behind_imports": round(before - imported, 3), "parts": spent}, sys.stdout)


def first_of(days: int) -> date:
    """The first local day."""
    return LAST - timedelta(days=days - 1)


def village() -> Any:
    """The first homes of the village, with slots of an hour."""
    from commonwatt import load

    community = load(ROOT / "examples" / "village.toml")
    homes = dict(list(community.document["members"].items())[:HOMES])
    return community.with_({"members": homes, "community.slot": "1h"})


def sizes(folder: Path) -> dict[str, int]:
    """Of store and chain."""
    return {name: (folder / f"{name}.sqlite").stat().st_size for name in ("exchange", "ledger")}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--start"]:
        start(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main(DAYS)
