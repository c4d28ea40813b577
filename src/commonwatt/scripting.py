"""The door for notebooks and scripts: what they run is in memory when they get it, and no file stays open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from commonwatt.exchange.arguments import as_path, maybe_path, writing
from commonwatt.report.finished import Finished
from commonwatt.report.outputs import write_outputs
from commonwatt.report.progress import Progress, told
from commonwatt.simulation import api, kept
from commonwatt.simulation.api import Described
from commonwatt.simulation.result import Result
from commonwatt.study.compare import comparison
from commonwatt.study.compare.comparison import Comparison


def simulate(
    community: Described,
    start: str | date,
    days: int = 1,
    *,
    ledger: str | None = None,
    out: str | Path | None = None,
    fresh: bool = False,
    then: Mapping[str, Described] | None = None,
    progress: Progress | bool | None = None,
) -> Finished:
    """Simulate a community for `days` local days from `start` (a date, or text such as "2026-06-15").

    community : a file, tables as TOML would give them, or what `load` made of either
    ledger : "embedded", "none" or the URL of a development node; None takes what the community says
    out : folder for what `commonwatt simulate --out` writes: report, tables, bills, store and ledger. A run that was
        interrupted goes on there, a finished one is read; `commonwatt.open` needs nothing but this folder. None keeps
        everything in memory
    fresh : begin anew in `out`, dropping the run that is there
    then : later charters by the first local day for which they hold, such as "2026-06-17"
    progress : True shows how far it is; a function is called with the number of events done and of all events. None
        shows it in a notebook alone

    Raises ConfigError, DataError, StoreError or NotAdopted, each with one sentence that says what to do.
    """
    with told(progress, "market day") as report:
        live = api.simulate(community, start, days, ledger=ledger, out=out, fresh=fresh, then=then, progress=report)
        return _finished(live, maybe_path("out", out))


def open(  # noqa: A001
    out: str | Path, *, folder: str | Path | None = None
) -> Finished:
    """The finished run in the folder `out`, without its community's file and what else was asked.

    folder : where the files are that the community names, such as its meter file; None = where they were. With a
        mechanism of your own it must be named, because that code is run
    Raises StoreError when there is no run, when it is not finished, or when one of those files has changed since.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as out:
    ...     made = simulate("examples/five-homes.toml", "2026-05-11", ledger="none", out=out)
    ...     open(out).homes.equals(made.homes)
    True
    """
    path = as_path("out", out)
    return _finished(api.run(kept.asked(path, maybe_path("folder", folder)), path), None)


def compare(
    community: Described,
    start: str | date,
    days: int = 1,
    mechanisms: Sequence[str] | str = "all",
    *,
    out: str | Path | None = None,
    progress: Progress | bool | None = None,
) -> Comparison:
    """Run every market design on the same days of a community.

    community : as for `simulate`
    mechanisms : "all", or names such as "sdr", "uniform+sdr", "my_market.py:MINE" and "fixed:price=0.2"
    out : folder for what `commonwatt compare --out` writes: the page with its plots, and the table as CSV
    progress : as for `simulate`, of all designs together
    Raises ConfigError or DataError for what the caller can mend; what cannot run in this community is left out.

    >>> found = compare("examples/five-homes.toml", "2026-05-11", mechanisms="fixed,sdr")
    >>> found
    <Comparison Five homes, 1 day from 2026-05-11: fixed, sdr>
    >>> found.table["design", "phase"].rows()
    [('utility only', ''), ('fixed', 'ahead'), ('sdr', 'after')]
    """
    written = maybe_path("out", out)
    with told(progress, "designs") as report:
        found = comparison.compare(community, start, days, mechanisms, report)
    if written:
        from commonwatt.study.compare.report import write_comparison

        with writing(written):
            write_comparison(found, written)
    return found


def _finished(live: Result, out: Path | None) -> Finished:
    """The run in memory; what `out` gets is written first."""
    try:
        if out:
            with writing(out):
                write_outputs(live, out)
        return Finished.of(live)
    except BaseException:
        live.close()
        raise
