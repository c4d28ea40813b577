"""A simulated period of a community, from its file or from its tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any, Final, cast

from commonwatt.community.model import LEDGERS, is_ledger
from commonwatt.errors import ConfigError, Finding
from commonwatt.exchange.checking import read_whole
from commonwatt.exchange.loading import Loaded, as_it_is, load
from commonwatt.exchange.rules import Rules, Then
from commonwatt.simulation import world
from commonwatt.simulation.kept import Asked, finish, keep
from commonwatt.simulation.minds import Minds, history
from commonwatt.simulation.result import Result
from commonwatt.simulation.simulation import Simulation

_EARLIEST: Final = date(1971, 1, 1)
"""Unix time is not negative, nor is that of the history before the first day."""
_LATEST: Final = date(2199, 12, 31)
_MOST_DAYS: Final = 36_525


Described = str | Path | Mapping[str, Any] | Loaded
"""A community's file, its tables as TOML would give them, or what `load` made of them."""


def simulate(
    community: Described,
    start: str | date,
    days: int = 1,
    *,
    ledger: str | None = None,
    out: str | Path | None = None,
    fresh: bool = False,
    then: Mapping[str, Described] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Simulate a community for `days` local days from `start` (a date, or text such as "2026-06-15").

    ledger : "embedded", "none" or the URL of a development node; None takes what the file says
    out : folder for the exchange's store and the ledger. A run that was interrupted goes on there; a finished one is
        read. None keeps both in memory.
    fresh : begin anew in `out`, dropping the run that is there
    then : later charters, as files or otherwise, by the first local day for which they hold, such as "2026-06-17";
        each may have other prices and another market. The members of a new run vote on them; those of a run that goes
        on must have
    progress : called with the number of events done and of all events

    Raises ConfigError, DataError, StoreError or NotAdopted, each with one sentence that says what to do.
    """
    begun = as_it_is(community)
    chosen = ledger or begun.ledger.kind
    folder = Path(out) if out else None
    problems = [] if is_ledger(chosen) else [Finding("ledger", f"is {LEDGERS}, not '{chosen}'")]
    first, wrong = first_day(start, days)
    later = [(first_day(day, 1), each) for day, each in (then or {}).items()]
    wrong += [Finding("then", each.message) for (_, found), _ in later for each in found]
    if problems or wrong:
        raise ConfigError("The request", [*problems, *wrong])
    charters = sorted(((day, as_it_is(each)) for (day, _), each in later), key=lambda each: each[0])
    return run(Asked(begun, first, days, chosen, tuple(charters)), folder, fresh=fresh, progress=progress)


def run(
    asked: Asked, out: Path | None, *, fresh: bool = False, progress: Callable[[int, int], None] | None = None
) -> Result:
    """The run that is asked for; `out` keeps what it was, so that `kept.asked` reads it again."""
    then = [Then(day, each, each.folder) for day, each in asked.then]
    community, ledger = asked.community, asked.ledger
    simulation = Simulation(
        community, community.folder, asked.start, asked.days, ledger=ledger, out=out, fresh=fresh, then=then
    )
    try:
        keep(simulation.store, asked)
        result = simulation.run(progress)
        finish(simulation.store)
    except BaseException:
        simulation.close()
        raise
    return result


def check(file: Described, start: str | date | None = None, days: int = 1) -> Loaded:
    """The community, when a simulation of `days` local days from `start` finds all that it reads.

    start : None looks at all days that the community's own files cover
    Raises ConfigError or DataError, with the words of `simulate`.
    """
    community = load(file)
    folder = community.folder
    if start is None and days != 1:
        raise ConfigError("The request", [Finding("days", "are counted from start, which is missing")])
    if start is None:
        read_whole(community, folder)
        return community
    first, wrong = first_day(start, days)
    if wrong:
        raise ConfigError("The request", wrong)
    rules = Rules.of(community, folder, first, days)
    with closing(Minds.of(community, folder)) as minds:
        world.build(rules, folder, history(rules, minds))
    return community


def first_day(start: str | date, days: int) -> tuple[date, list[Finding]]:
    """The first local day of a request, and what is wrong with it or with the number of days."""
    counted = isinstance(cast("object", days), int) and 1 <= days <= _MOST_DAYS
    problems = [] if counted else [Finding("days", f"is from 1 to {_MOST_DAYS}, not {days!r}")]
    try:
        if not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", str(start)):
            raise ValueError(start)
        first = date.fromisoformat(str(start))
    except ValueError:
        return _EARLIEST, [*problems, Finding("start", f"is a date such as 2026-06-15, not '{start}'")]
    if not _EARLIEST <= first <= _LATEST:
        problems.append(Finding("start", f"is a day from {_EARLIEST} to {_LATEST}, not {first}"))
    return first, problems
