"""Statements on tables of the store, as text for the driver of either database.

Rows go through the driver as they are, tuples in and tuples out: SQLAlchemy would copy each. So a statement is
compiled once per table, and its values are marked by position.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from sqlalchemy import ColumnElement, Select, Table, bindparam, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import ClauseElement

from commonwatt.exchange import tables

# Both have `on_conflict_do_update`, of one shape, which SQLAlchemy's own insert has not.
_INSERTS: Final[dict[str, Callable[[Table], sqlite.Insert | postgresql.Insert]]] = {
    "sqlite": sqlite.insert,
    "postgresql": postgresql.insert,
}
_DIALECTS: Final[dict[str, Dialect]] = {
    "sqlite": sqlite.dialect(),
    "postgresql": PGDialect_psycopg(paramstyle="format"),  # type: ignore[no-untyped-call]
}


@lru_cache(maxsize=256)
def insertion(table: Table, dialect: str, *, replacing: bool = False) -> str:
    """Insert a row, its values in the order of the table's columns; `replacing` the one with its key."""
    statement = _INSERTS[dialect](table).values({column.name: bindparam(column.name) for column in table.columns})
    if replacing:
        rest = {column.name: statement.excluded[column.name] for column in table.columns if not column.primary_key}
        statement = statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=rest)
    return _text(statement, dialect)


@lru_cache(maxsize=256)
def copying(table: Table) -> str:
    """What a server calls taking many rows at once, in the order of the table's columns."""
    preparer = _DIALECTS["postgresql"].identifier_preparer
    columns = ", ".join(preparer.format_column(column) for column in table.columns)
    return f"COPY {preparer.format_table(table)} ({columns}) FROM STDIN"


@lru_cache(maxsize=256)
def selection(table: Table, names: tuple[str, ...], equal: tuple[str, ...], dialect: str, *, within: bool) -> str:
    """These columns of all rows in which the columns `equal` have the values marked, in the order of the key.

    within : of slots from the first value after these and before the second
    """
    query = _ordered(table, names).where(*(table.c[name] == bindparam(name) for name in equal))
    return _text(query.where(*_within(table)) if within else query, dialect)


@lru_cache(maxsize=256)
def selection_of_last(table: Table, names: tuple[str, ...], either: tuple[str, ...], dialect: str) -> str:
    """These columns of a table that is kept by slot and revision: of each settled slot from the first value marked and
    before the second, its last revision's, where one of the columns `either` has the value marked for it."""
    settled = tables.settled
    is_last = (settled.c.slot == table.c.slot) & (settled.c.revision == table.c.revision)
    query = _ordered(table, names).join_from(settled, table, is_last).where(*_within(settled))
    return _text(query.where(or_(*(table.c[name] == bindparam(name) for name in either))) if either else query, dialect)


def _ordered(table: Table, names: tuple[str, ...]) -> Select[tuple[object, ...]]:
    return select(*(table.c[name] for name in names)).order_by(*table.primary_key.columns)


def _within(table: Table) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return table.c.slot >= bindparam("begin"), table.c.slot < bindparam("end")


def _text(statement: ClauseElement, dialect: str) -> str:
    return str(statement.compile(dialect=_DIALECTS[dialect]))
