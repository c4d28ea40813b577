"""The one function for notebooks and scripts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Final

from commonwatt.community.model import LEDGERS, Community, is_ledger
from commonwatt.errors import ConfigError, Finding
from commonwatt.exchange.checking import load, read_whole
from commonwatt.exchange.founding import refuse_registers
from commonwatt.exchange.rules import Rules, Then
from commonwatt.forecast import SeasonalNaive
from commonwatt.simulation import world
from commonwatt.simulation.result import Result
from commonwatt.simulation.simulation import Simulation

_EARLIEST: Final = date(1971, 1, 1)
"""Unix time is not negative, nor is that of the history before the first day."""
_LATEST: Final = date(2199, 12, 31)
_MOST_DAYS: Final = 36_525


def simulate(
    file: str | Path,
    start: str | date,
    days: int = 1,
    *,
    ledger: str | None = None,
    out: str | Path | None = None,
    fresh: bool = False,
    then: Mapping[str, str | Path] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Simulate the community of `file` for `days` local days from `start` (a date, or text such as "2026-06-15").

    ledger : "embedded", "none" or the URL of a development node; None takes what the file says
    out : folder for the exchange's store and the ledger. A run that was interrupted goes on there; a finished one is
        read. None keeps both in memory.
    fresh : begin anew in `out`, dropping the run that is there
    then : files of later charters by the first local day for which they hold, such as "2026-06-17"; each may have other
        prices and another market. The members of a new run vote on them; those of a run that goes on must have
    progress : called with the number of events done and of all events

    Raises ConfigError, DataError, StoreError or NotAdopted, each with one sentence that says what to do.
    """
    community = load(file)
    chosen = ledger or community.ledger.kind
    folder = Path(out) if out else None
    problems = [] if is_ledger(chosen) else [Finding("ledger", f"is {LEDGERS}, not '{chosen}'")]
    first, wrong = first_day(start, days)
    later = [(first_day(day, 1), Path(path)) for day, path in (then or {}).items()]
    wrong += [Finding("then", each.message) for (_, found), _ in later for each in found]
    if problems or wrong:
        raise ConfigError("The request", [*problems, *wrong])
    charters = sorted((Then(day, load(path), path.parent) for (day, _), path in later), key=lambda each: each.day)
    simulation = Simulation(
        community, Path(file).parent, first, days, ledger=chosen, out=folder, fresh=fresh, then=charters
    )
    try:
        return simulation.run(progress)
    except BaseException:
        simulation.close()
        raise


def check(file: str | Path, start: str | date | None = None, days: int = 1) -> Community:
    """The community of `file`, when a simulation of `days` local days from `start` finds all that it reads.

    start : None looks at all days that the community's own files cover
    Raises ConfigError or DataError, with the words of `simulate`.
    """
    community, folder = load(file), Path(file).parent
    if start is None and days != 1:
        raise ConfigError("The request", [Finding("days", "are counted from start, which is missing")])
    if start is None:
        read_whole(community, folder)
        return community
    first, wrong = first_day(start, days)
    if wrong:
        raise ConfigError("The request", wrong)
    refuse_registers(community, community.ledger.kind)
    world.build(Rules.of(community, folder, first, days), folder, SeasonalNaive().history_days)
    return community


def first_day(start: str | date, days: int) -> tuple[date, list[Finding]]:
    """The first local day of a request, and what is wrong with it or with the number of days."""
    problems = [] if 1 <= days <= _MOST_DAYS else [Finding("days", f"is from 1 to {_MOST_DAYS}, not {days}")]
    try:
        if isinstance(start, str) and not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", start):
            raise ValueError(start)
        first = date.fromisoformat(start) if isinstance(start, str) else start
    except ValueError:
        return _EARLIEST, [*problems, Finding("start", f"is a date such as 2026-06-15, not '{start}'")]
    if not _EARLIEST <= first <= _LATEST:
        problems.append(Finding("start", f"is a day from {_EARLIEST} to {_LATEST}, not {first}"))
    return first, problems
