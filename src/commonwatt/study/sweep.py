"""The same days with other values: every combination of some values of a community, in one table."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any, Final, Literal, cast

import numpy as np
import polars as pl

from commonwatt.community.overrides import plain
from commonwatt.errors import CommonwattError, ConfigError, DataError, Finding, MarketError
from commonwatt.exchange.arguments import maybe_path, short, whole, writing
from commonwatt.exchange.loading import Loaded, load
from commonwatt.proof import keccak
from commonwatt.report.metrics import figures
from commonwatt.report.progress import Progress, told
from commonwatt.simulation.api import Described, first_day, run, unknown_ledger
from commonwatt.simulation.kept import Asked
from commonwatt.simulation.result import Result
from commonwatt.units import WH_PER_KWH

Values = Sequence[object] | Mapping[str, object]
Rows = Literal["run", "home"]

FIGURES: Final = {
    "load_wh": pl.Int64,
    "generation_wh": pl.Int64,
    "curtailed_wh": pl.Int64,
    "charge_wh": pl.Int64,
    "discharge_wh": pl.Int64,
    "local_wh": pl.Int64,
    "import_wh": pl.Int64,
    "export_wh": pl.Int64,
    "peak_import_kw": pl.Float64,
    "trades": pl.Int64,
    "uncleared": pl.Int64,
    "local_share": pl.Float64,
    "self_consumption": pl.Float64,
    "self_sufficiency": pl.Float64,
    "bill": pl.Float64,
    "bill_without_market": pl.Float64,
    "saving": pl.Float64,
    "least_saving": pl.Float64,
}
"""Of each run, over all its homes and slots."""


@dataclass(frozen=True)
class _Task:
    """One run. labels : what stands in the columns of the keys; folder : None keeps it in memory"""

    labels: tuple[object, ...]
    asked: Asked
    folder: Path | None
    rows: Rows


def sweep(
    community: Described,
    values: Mapping[str, Values],
    *,
    start: str | date | Sequence[str | date],
    days: int = 1,
    rows: Rows = "run",
    ledger: str = "none",
    out: str | Path | None = None,
    workers: int = 1,
    progress: Progress | bool | None = None,
) -> pl.DataFrame:
    """Run every combination of some values, from every first day, and put the figures of all runs into one table.

    community : as for `simulate`
    values : for each dotted key, as of `Loaded.with_`, the values to try; where these are given by name, as a mapping,
        the table has the names
    start : the first local day, or several of them; each run has `days` days
    rows : "run" = a row for each run, over all homes; "home" = a row for each run and home
    ledger : as for `simulate`
    out : folder with a folder for the store of each run, which `commonwatt.open` reads, and the table as sweep.csv and
        sweep.parquet. What is interrupted goes on there, and runs that are there are not made again
    workers : how many processes share the runs
    progress : as for `simulate`, by runs
    Returns the keys as columns, then `start`, `days`, `error`, with `out` the run's folder, and its figures. A run that
    is not possible, because a file does not cover its days, say, has its reason in `error` and no figures.
    Raises ConfigError with everything that is wrong with any variant, before the first run; and when none is possible,
    the reason of the first.

    >>> table = sweep("examples/five-homes.toml", {"members.*.battery.kwh": [0, 10]}, start="2026-05-11")
    >>> table.select("members.*.battery.kwh", table["self_sufficiency"].round(6)).rows()
    [(0, 0.411629), (10, 0.452467)]
    """
    folder = maybe_path("out", out)
    tasks = _tasks(load(community), values, start, days, rows, ledger, folder, workers)
    found: list[tuple[str | None, list[dict[str, Any]]]] = [(None, [])] * len(tasks)
    with told(progress, "runs") as report:
        made = _together(tasks, workers) if workers > 1 else enumerate(map(_made, tasks))
        for done, (place, each) in enumerate(made, 1):
            found[place] = each
            report(done, len(tasks))
    errors = [error for error, _ in found]
    if all(errors):
        raise DataError(str(errors[0]))
    table = _table(list(values), tasks, found, rows, with_folder=folder is not None)
    if folder:
        with writing(folder):
            table.write_csv(folder / "sweep.csv")
            table.write_parquet(folder / "sweep.parquet")
    return table


def _tasks(
    community: Loaded,
    values: Mapping[str, Values],
    start: str | date | Sequence[str | date],
    days: int,
    rows: Rows,
    ledger: str,
    out: Path | None,
    workers: int,
) -> list[_Task]:
    """All runs, day by day. Raises ConfigError with everything that is wrong."""
    findings = unknown_ledger(ledger)
    if (whole(workers) or 0) < 1:
        findings.append(Finding("workers", f"are a whole number, at least 1, not {short(workers)}"))
    if not isinstance(cast("object", rows), str) or rows not in ("run", "home"):
        findings.append(Finding("rows", f'are those of each "run" or "home", not {short(rows)}'))
    first_days, days = _first_days(start, days, findings)
    if not isinstance(cast("object", values), Mapping):
        told = f'are lists by dotted key, {{"tariff.feed_in": ["0.05"]}}, not {short(values)}'
        findings.append(Finding("values", told))
        values = {}
    choices = [_choices(key, tried, findings) for key, tried in values.items()]
    if findings:
        raise ConfigError("The request", findings)
    variants = _variants(community, list(values), choices)
    runs = [(labels, Asked(changed, day, days, ledger)) for day in first_days for labels, changed in variants]
    return [_Task(labels, asked, out / _name(asked, labels) if out else None, rows) for labels, asked in runs]


def _first_days(start: str | date | Sequence[str | date], days: int, findings: list[Finding]) -> tuple[list[date], int]:
    """The first day of each run, each once, and how many days it has."""
    several = not isinstance(start, str | date) and hasattr(start, "__iter__")
    starts = cast("list[str | date]", list(start) if several else [start])  # type: ignore[arg-type]
    found = []
    for each in starts or [""]:
        day, count, wrong = first_day(each, days)
        findings += [finding for finding in wrong if finding not in findings]
        if day in found and not wrong:
            findings.append(Finding("start", f"has {day} twice"))
        found.append(day)
    return found, count


def _variants(
    community: Loaded, keys: Sequence[str], choices: Sequence[Sequence[tuple[object, object]]]
) -> list[tuple[tuple[object, ...], Loaded]]:
    """The community under every combination, with what stands in the table for it. Raises ConfigError for all."""
    variants = list[tuple[tuple[object, ...], Loaded]]()
    findings = list[Finding]()
    for combination in product(*choices):
        labels = tuple(label for label, _ in combination)
        try:
            changed = community.with_(dict(zip(keys, (value for _, value in combination), strict=True)))
            variants.append((labels, changed))
        except ConfigError as error:
            findings += [finding for finding in error.findings if finding not in findings]
    if findings:
        raise ConfigError(f"{community.source} with these values", findings)
    return variants


def _choices(key: str, tried: Values, findings: list[Finding]) -> list[tuple[object, object]]:
    """What to try for a key: what stands in the table, and the value."""
    given: object = tried
    if isinstance(given, str | bytes) or not hasattr(given, "__iter__"):
        findings.append(Finding(key, f"needs a list of values, or values by name, not {short(given)}"))
        return []
    if isinstance(given, Mapping):
        choices: list[tuple[object, object]] = list(given.items())
    else:
        choices = [(_label(value), value) for value in cast("Sequence[object]", given)]
    labels = [label for label, _ in choices]
    if not choices:
        findings.append(Finding(key, "needs at least one value"))
    elif twice := next((label for label in labels if labels.count(label) > 1), None):
        findings.append(Finding(key, f"has {twice!r} twice"))
    return choices


def _label(value: object) -> object:
    """The value as one of a column: a number, a text, a day, or a table as JSON."""
    told = plain(value)
    return told if told is None or isinstance(told, bool | int | float | str | date) else json.dumps(told, default=str)


def _name(asked: Asked, labels: tuple[object, ...]) -> str:
    """The folder of a run, the same for the same run under the same names."""
    what = (asked.community.whole.hex(), asked.days, asked.ledger, labels)
    return f"{asked.start.isoformat()}-{keccak(repr(what).encode())[:6].hex()}"


def _together(tasks: Sequence[_Task], workers: int) -> Iterator[tuple[int, tuple[str | None, list[dict[str, Any]]]]]:
    """The runs by several processes, each with its place, as they end."""
    if multiprocessing.parent_process() is not None:
        raise CommonwattError(_UNGUARDED)
    with ProcessPoolExecutor(min(workers, len(tasks)), multiprocessing.get_context("spawn")) as pool:
        waiting = {pool.submit(_made, task): place for place, task in enumerate(tasks)}
        try:
            for each in as_completed(waiting):
                yield waiting[each], each.result()
        except BrokenProcessPool:
            raise CommonwattError(_UNGUARDED) from None
        finally:
            pool.shutdown(cancel_futures=True)


_UNGUARDED: Final = (
    'A process of the sweep ended before its work was done; in a script, workers need the call below "if __name__ == '
    "'__main__':\", because each reads the script first."
)


def _made(task: _Task) -> tuple[str | None, list[dict[str, Any]]]:
    """The figures of one run, or why there are none."""
    try:
        result = run(task.asked, task.folder)
    except (ConfigError, DataError, MarketError) as error:
        return str(error), []
    try:
        return None, result.homes.to_dicts() if task.rows == "home" else [_figures(result)]
    finally:
        result.close()


def _figures(result: Result) -> dict[str, Any]:
    homes, slots, found = result.homes, result.slots, figures(result)
    hours = result.period.hours
    sums = {name: int(slots[name].sum()) for name in FIGURES if name in slots.columns}
    imported = np.maximum(result.arrays["flowed"].sum(axis=0), 0)
    return {
        **sums,
        "peak_import_kw": float(imported.max()) / WH_PER_KWH / hours,
        "trades": found.trades,
        "uncleared": len(result.uncleared),
        "local_share": found.local_share,
        "self_consumption": found.self_consumption,
        "self_sufficiency": found.self_sufficiency,
        **{name: float(homes[name].sum()) for name in ("bill", "bill_without_market", "saving")},
        "least_saving": float(cast("float", homes["saving"].min())),
    }


def _table(
    keys: Sequence[str],
    tasks: Sequence[_Task],
    found: Sequence[tuple[str | None, list[dict[str, Any]]]],
    rows: Rows,
    *,
    with_folder: bool,
) -> pl.DataFrame:
    counted = [max(len(each), 1) for _, each in found]
    repeated = [task for task, count in zip(tasks, counted, strict=True) for _ in range(count)]
    columns = [_column(key, [task.labels[place] for task in repeated]) for place, key in enumerate(keys)]
    columns.append(pl.Series("start", [task.asked.start for task in repeated], dtype=pl.Date))
    columns.append(pl.Series("days", [task.asked.days for task in repeated], dtype=pl.Int64))
    reasons = [error for (error, _), count in zip(found, counted, strict=True) for _ in range(count)]
    columns.append(pl.Series("error", reasons, dtype=pl.String))
    if with_folder:
        names = [
            task.folder.name if task.folder and error is None else None
            for task, error in zip(repeated, reasons, strict=True)
        ]
        columns.append(pl.Series("run", names, dtype=pl.String))
    filled = [row for _, each in found for row in (each or [{}])]
    some = next(row for row in filled if row)
    schema = FIGURES if rows == "run" else dict.fromkeys(some)
    figures_ = pl.DataFrame(
        [{name: row.get(name) for name in schema} for row in filled],
        schema=FIGURES if rows == "run" else None,
        infer_schema_length=None,
    )
    return pl.DataFrame(columns).hstack(figures_)


def _column(key: str, labels: Sequence[object]) -> pl.Series:
    """Numbers of one kind and texts as they are; what is mixed, as texts."""
    kinds = {type(label) for label in labels if label is not None}
    if kinds == {int, float}:
        labels = [None if label is None else float(cast("float", label)) for label in labels]
    elif len(kinds) > 1:
        labels = [None if label is None else str(label) for label in labels]
    return pl.Series(key, labels)
