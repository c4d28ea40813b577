"""What a run was asked to be, in its own store: a finished one is read again from its folder alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from importlib.machinery import all_suffixes
from pathlib import Path
from typing import Any, Final

from commonwatt.errors import ConfigError, StoreError
from commonwatt.exchange.folder import EXCHANGE_FILE
from commonwatt.exchange.loading import Loaded
from commonwatt.exchange.store import Store, set_values
from commonwatt.plain import many

_ASKED: Final = "asked"
_FINISHED: Final = "finished"
_DAY: Final = "$day"


@dataclass(frozen=True)
class Asked:
    """What a run is of.

    start : first local day; ledger : as of `founding`
    then : later charters, each with the first local day for which it holds, in the order of time
    """

    community: Loaded
    start: date
    days: int
    ledger: str
    then: tuple[tuple[date, Loaded], ...] = ()


def keep(store: Store, asked: Asked) -> None:
    """Note in the store what its run is of."""
    files = [(asked.start, asked.community), *asked.then]
    told = [
        {"from": day.isoformat(), "tables": each.document, "folder": str(each.folder.resolve()), "source": each.source}
        for day, each in files
    ]
    with store.transaction() as connection:
        set_values(connection, {_ASKED: json.dumps(told, default=_written)})


def finish(store: Store) -> None:
    """Note in the store that its run has come to its end."""
    with store.transaction() as connection:
        set_values(connection, {_FINISHED: "yes"})


def asked(out: Path, folder: Path | None = None) -> Asked:
    """What the finished run in the folder `out` is of.

    folder : where the files that the community names are now; None = where they were. A mechanism of one's own is run
        to read the run, so its folder must be named: a run that somebody else made brings no code along
    Raises StoreError when there is none, when it is not finished, or when one of those files is not as it was.
    """
    file = out / EXCHANGE_FILE
    try:
        there = file.is_file()
    except OSError as error:  # such as a name that is too long
        raise StoreError(f"{out} cannot be read: {error.strerror}.") from None
    if not there:
        raise StoreError(f"{out} holds no run{_beside(out)}; `commonwatt.simulate` makes one with out={str(out)!r}.")
    store = Store(file)
    try:
        values = store.values()
    finally:
        store.close()
    if "start" not in values or _ASKED not in values:
        raise StoreError(f"{out} does not say what its run is of; read it as it was made, with commonwatt.simulate.")
    told = json.loads(values[_ASKED], object_hook=_read)
    if _FINISHED not in values:
        source, request = told[0]["source"], f"{values['start']!r}, {values['days']}, ledger={values['ledger']!r}"
        raise StoreError(
            f"{out} holds a run of {source} that is not finished; go on with commonwatt.simulate(COMMUNITY, {request}, "
            f"out={str(out)!r})."
        )
    tables = [each["tables"] for each in told]
    if folder is None and (own := sorted(set(_own_code(tables)))):
        raise StoreError(
            f"{out} holds a run with code of its own, {', '.join(own)}, which runs when it is read; if you trust it, "
            f"name its folder: commonwatt.open({str(out)!r}, folder={told[0]['folder']!r})."
        )
    try:
        found = []
        for each in told:
            where = folder or Path(each["folder"])
            found.append((date.fromisoformat(each["from"]), Loaded.of(each["tables"], where, each["source"])))
    except ConfigError as error:
        raise StoreError(f"{out} cannot be read without the files of its community. {error}") from error
    # Where there is a ledger, which later charters hold is for it to say.
    digests = [community.whole.hex() for _, community in found]
    if not " ".join(digests).startswith(values["community"]):
        raise StoreError(
            f"{out} holds a run of {told[0]['source']}, but a file which that names is no longer as it was in "
            f"{folder or told[0]['folder']}; put it back, or run anew."
        )
    (start, community), *then = found
    return Asked(community, start, int(values["days"]), values["ledger"], tuple(then))


def _written(day: object) -> dict[str, str]:
    """A local day, which TOML has and JSON has not."""
    if isinstance(day, date):
        return {_DAY: day.isoformat()}
    raise TypeError(type(day).__name__)


def _read(table: dict[str, Any]) -> object:
    return date.fromisoformat(table[_DAY]) if [*table] == [_DAY] else table


def _own_code(value: object) -> Iterator[str]:
    """The files with code that are named somewhere in the tables, each as file.py:NAME."""
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _own_code(each)
    elif isinstance(value, str):
        file, colon, _ = value.partition(":")
        if colon and file.endswith(tuple(all_suffixes())):
            yield file


def _beside(out: Path) -> str:
    """What is there instead: runs one folder further down."""
    runs = sorted(file.parent.name for file in out.glob(f"*/{EXCHANGE_FILE}"))
    return f" itself, but {many(len(runs), 'folder')} with one, such as {runs[0]!r}" if runs else ""
