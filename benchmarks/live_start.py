"""How long a living exchange needs to start, after a day and after a year: `python benchmarks/live_start.py`.

JSON on stdout. The village of 44 homes trades for two days, in quarter hours, on a chain of its own; then a process of
its own opens store and ledger, as after a power cut, and brings what is due first. Of the year the last days are these,
and the store has the first of them again and again before it, so that it is as large as that of a year. A start reads
what is open: what it takes must not grow with what is past.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from _measure import ROOT, clocks, show

REPEAT = 5
LAST = date(2026, 6, 15)
LIVED = 2
DAYS = {"day": LIVED, "year": 365}
AT_MOST = {"ratio": 1.5, "cpu": 5}
_LEFT = 6
"""Events that are still to come when the exchange is stopped."""
_DAY = 86_400
_TIMES = {"slot", "at", "gate", "first", "expiry", "time", "posted_at"}
_NUMBERED = {"posts", "journal"}
"""Tables whose rows are numbered through."""


def main(days: dict[str, int]) -> None:
    """Measure and print."""
    found = {}
    with tempfile.TemporaryDirectory() as name:
        for what, number in days.items():
            folder = Path(name) / what
            if number == LIVED:
                run(folder, number)
            else:
                shutil.copytree(Path(name) / "day", folder)
                lengthen(folder, number - LIVED)
            found[what] = {"days": number, **started(folder, number), "bytes": sizes(folder)}
    ratio = found["year"]["behind_imports"] / found["day"]["behind_imports"]
    show({"homes": 44, "runs": REPEAT, **found, "ratio": float(f"{ratio:.3g}"), "at_most": AT_MOST}, "sqlalchemy")


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


def lengthen(folder: Path, more: int) -> None:
    """Put so many days before those of a store, each like the first of them; the chain stays as it is."""
    from commonwatt.exchange import tables

    with closing(sqlite3.connect(folder / "exchange.sqlite")) as database, database:
        ((first,),) = database.execute("SELECT min(slot) FROM settled")
        for table in tables.metadata.sorted_tables:
            names = [column.name for column in table.columns]
            since = next((name for name in ("slot", "time") if name in names), None)
            if since is None:
                continue
            ((rows,),) = database.execute(f"SELECT count(*) FROM {table.name}")  # noqa: S608 (names are our own)
            shifts = {name: ":back" for name in names if name in _TIMES}
            shifts |= {"number": ":less"} if table.name in _NUMBERED else {}
            columns = ", ".join(f'"{name}" - {shifts[name]}' if name in shifts else f'"{name}"' for name in names)
            for back in range(1, more + 1):
                database.execute(
                    f"INSERT INTO {table.name} SELECT {columns} FROM {table.name} "  # noqa: S608
                    f"WHERE {since} >= :first AND {since} < :first + :day",
                    {"back": back * _DAY, "less": back * rows, "first": first, "day": _DAY},
                )


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
    """The village of the examples."""
    from commonwatt import load

    return load(ROOT / "examples" / "village.toml")


def sizes(folder: Path) -> dict[str, int]:
    """Of store and chain."""
    return {name: (folder / f"{name}.sqlite").stat().st_size for name in ("exchange", "ledger")}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--start"]:
        start(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main(DAYS)
