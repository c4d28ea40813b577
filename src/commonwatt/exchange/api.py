"""The one function for notebooks and scripts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

from commonwatt.errors import ConfigError, Finding
from commonwatt.exchange.checking import load
from commonwatt.exchange.result import Result
from commonwatt.exchange.simulation import EXCHANGE_FILE, LEDGER_FILE, LEDGERS, Simulation


def simulate(
    file: str | Path,
    start: str | date,
    days: int = 1,
    *,
    ledger: str | None = None,
    out: str | Path | None = None,
    fresh: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Simulate the community of `file` for `days` local days from `start` (a date, or text such as "2026-06-15").

    ledger : "embedded" or "none"; None takes what the file says
    out : folder for the exchange's store and the ledger. A run that was interrupted goes on there; a finished one is
        read. None keeps both in memory.
    fresh : begin anew in `out`, dropping the run that is there
    progress : called with the number of events done and of all events

    Raises ConfigError, DataError or StoreError, each with one sentence that says what to do.
    """
    community = load(file)
    chosen = ledger or community.ledger.kind
    folder = Path(out) if out else None
    problems = [
        *([] if chosen in LEDGERS else [Finding("ledger", f"is one of {', '.join(LEDGERS)}, not '{chosen}'")]),
        *([] if days >= 1 else [Finding("days", f"is at least 1, not {days}")]),
    ]
    try:
        first = date.fromisoformat(start) if isinstance(start, str) else start
    except ValueError:
        problems.append(Finding("start", f"is a date such as 2026-06-15, not '{start}'"))
    if problems:
        raise ConfigError("The request", problems)
    if folder and fresh:
        for name in (EXCHANGE_FILE, LEDGER_FILE):
            for leftover in folder.glob(f"{name}*"):
                leftover.unlink()
    return Simulation(community, Path(file).parent, first, days, ledger=chosen, out=folder).run(progress)
