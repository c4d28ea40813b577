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
from commonwatt.exchange.arguments import maybe_path, short, whole
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
    unsaid = ledger is None or (isinstance(ledger, str) and not ledger)
    chosen = begun.ledger.kind if unsaid else cast("str", ledger)
    folder = maybe_path("out", out)
    problems = unknown_ledger(chosen)
    if not isinstance(cast("object", fresh), bool):
        problems.append(Finding("fresh", f"is True or False, not {short(fresh)}"))
    first, days, wrong = first_day(start, days)
    if not isinstance(cast("object", then), Mapping | None):
        problems.append(
            Finding("then", f'has charters by their first day, {{"2026-06-17": "new.toml"}}, not {short(then)}')
        )
        then = None
    later = [(first_day(day, 1), each) for day, each in (then or {}).items()]
    wrong += [Finding("then", each.message) for (_, _, found), _ in later for each in found]
    if problems or wrong:
        raise ConfigError("The request", [*problems, *wrong])
    charters = sorted(((day, as_it_is(each)) for (day, *_), each in later), key=lambda each: each[0])
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
    first, days, wrong = first_day(start, days)
    if wrong:
        raise ConfigError("The request", wrong)
    rules = Rules.of(community, folder, first, days)
    with closing(Minds.of(community, folder)) as minds:
        world.build(rules, folder, history(rules, minds))
    return community


def first_day(start: str | date, days: int) -> tuple[date, int, list[Finding]]:
    """The first local day of a request and its number of days, and what is wrong with them."""
    count, problems = whole(days), list[Finding]()
    if count is None or not 1 <= count <= _MOST_DAYS:
        kind = "a whole number " if count is None else ""
        problems.append(Finding("days", f"is {kind}from 1 to {_MOST_DAYS}, not {short(days)}"))
    try:
        if not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", str(start)):
            raise ValueError(start)
        first = date.fromisoformat(str(start))
    except ValueError:
        wrong = start if isinstance(start, str) else short(start)
        return _EARLIEST, 1, [*problems, Finding("start", f"is a date such as 2026-06-15, not '{wrong}'")]
    if not _EARLIEST <= first <= _LATEST:
        problems.append(Finding("start", f"is a day from {_EARLIEST} to {_LATEST}, not {first}"))
    return first, count or 1, problems


def unknown_ledger(kind: object) -> list[Finding]:
    """What is wrong with where a run is to settle."""
    if isinstance(kind, str) and is_ledger(kind):
        return []
    return [Finding("ledger", f"is {LEDGERS}, not {short(kind)}")]
