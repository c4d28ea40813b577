"""The tables of a run as files, for a spreadsheet (CSV) or for polars, pandas, DuckDB (Parquet)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from commonwatt.report.wires import wires_table

if TYPE_CHECKING:
    import polars as pl

    from commonwatt.simulation.result import Result

Format = Literal["csv", "parquet"]
TABLES: Final = ("homes", "lines", "slots", "flows", "trades")


def write_tables(result: Result, folder: Path, formats: Sequence[Format] = ("csv", "parquet")) -> list[Path]:
    """Write every table in every format into `folder`, which is made if need be; returns the paths.

    Where the wires are known, the table `wires` says what the metered energy did to them.

    Energy is Wh, money and prices are currency units, times are UTC; in CSV they read 2026-06-14T22:00:00Z, and the
    community's own clock, in the column `local`, has no zone.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    paths = []
    tables: dict[str, pl.DataFrame | None] = {name: getattr(result, name) for name in TABLES}
    for name, table in {**tables, "wires": wires_table(result)}.items():
        if table is None:
            continue
        for kind in formats:
            path = folder / f"{name}.{kind}"
            if kind == "csv":
                local = [column for column in ("local",) if column in table.columns]
                texts = {column: table[column].dt.strftime("%Y-%m-%dT%H:%M:%S") for column in local}
                if "slot" in table.columns:
                    texts["slot"] = table["slot"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
                table.with_columns(**texts).write_csv(path)
            else:
                table.write_parquet(path)
            paths.append(path)
    return paths
