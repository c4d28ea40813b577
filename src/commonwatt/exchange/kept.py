"""Days that are over and done, out of the store and into Parquet files: one for each local day and table.

Such a day is billed, its bills are anchored, and nothing of it can be corrected. Its orders, trades, readings and
accounts go; what the ledger was told of it, posts and commitments, stays in the store.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import Column, LargeBinary, Table, Text

from commonwatt.community.calendar import Slots, days_between
from commonwatt.errors import StoreError
from commonwatt.exchange import rows, tables
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.files import private
from commonwatt.exchange.store import Store, set_values

if TYPE_CHECKING:
    import polars as pl

TABLES: Final = (
    tables.orders, tables.planned, tables.refusals, tables.clearings, tables.trades, tables.readings,
    tables.generators, tables.accounts, tables.registers, tables.caps,
)  # fmt: skip
"""Those whose rows go."""


def keep_day(exchange: Exchange, folder: Path, keep: int, now: int) -> bool:
    """Take the oldest local day out of the store whose end is `keep` [s] or more before `now` [unix s], if it is done.

    folder : has a folder for each month, such as 2026-06. The store's file gets no smaller: what comes takes the room.
    Returns whether there was such a day. Raises StoreError when a file does not hold what was written.
    """
    day = _due(exchange, keep, now)
    if day is None:
        return False
    store = exchange.store
    timezone = exchange.rules.community.timezone
    written = [_write(store, table, day, _file(folder, table, day, timezone)) for table in TABLES]
    with store.transaction() as connection:
        for table, count in zip(TABLES, written, strict=True):
            gone = connection.execute(table.delete().where(table.c.slot >= day.start, table.c.slot < day.end)).rowcount
            if gone != count:
                raise StoreError(f"Rows of '{table.name}' came while they were taken out of the store; all stay there.")
        set_values(connection, {rows.KEPT_UNTIL: str(day.end)})
    return True


def read(folder: Path, table: str, month: str) -> pl.DataFrame:
    """The rows of a table of a month, such as 2026-06, that were taken out of the store.

    Raises StoreError when there are none.
    """
    import polars as pl

    files = sorted((folder / month).glob(f"{table}-??.parquet"))
    if not files:
        raise StoreError(f"{folder / month} has no rows of '{table}'.")
    return pl.concat([pl.read_parquet(file) for file in files])


def _due(exchange: Exchange, keep: int, now: int) -> Slots | None:
    """The oldest day that is in the store, if it may go."""
    store, community = exchange.store, exchange.rules.community
    start = rows.kept_until(store) or rows.first_ended(store)
    if start is None:
        return None
    _, _, end = next(days_between(start, start + 2 * 86_400, community.timezone))
    last = max(keep, community.ledger.corrections)
    if now < end + last or not any(begins <= start and end <= until for begins, until in _anchored(exchange)):
        return None
    return Slots(start, (end - start) // community.slot_seconds, community.slot_seconds)


def _anchored(exchange: Exchange) -> Iterator[tuple[int, int]]:
    """The periods whose bills the ledger has."""
    for start, until in exchange.store.columns(tables.anchors, ("start", "until")):
        if exchange.client.anchored(start, until) is not None:
            yield start, until


def _file(folder: Path, table: Table, day: Slots, timezone: str) -> Path:
    local = datetime.fromtimestamp(day.start, ZoneInfo(timezone))
    return folder / f"{local:%Y-%m}" / f"{table.name}-{local:%d}.parquet"


def _write(store: Store, table: Table, day: Slots, file: Path) -> int:
    """Put the table's rows of a day into a file that is there when it is whole; returns how many there are."""
    import polars as pl

    columns = list(table.columns)
    found = store.columns(table, [column.name for column in columns], day)
    frame = pl.DataFrame(found, {column.name: _type(column) for column in columns}, orient="row")
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = private(file.with_suffix(".part"))
    frame.write_parquet(part, compression="zstd")
    with part.open("r+b") as written:
        os.fsync(written.fileno())
    if not pl.read_parquet(part).equals(frame):
        raise StoreError(f"{part} does not hold what was written; the store keeps these rows.")
    part.replace(file)
    return frame.height


def _type(column: Column[Any]) -> type[pl.DataType]:
    import polars as pl

    if isinstance(column.type, LargeBinary):
        return pl.Binary
    return pl.String if isinstance(column.type, Text) else pl.Int64
