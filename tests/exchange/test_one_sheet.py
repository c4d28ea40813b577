"""The sheet of one member alone is byte for byte the one of its bill, and little of others is read for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from changing_cases import Changing

from commonwatt.exchange import tables
from commonwatt.exchange.books import Books
from commonwatt.exchange.sheets import day_files
from commonwatt.exchange.store import Store
from commonwatt.simulation.result import Result


def require_alone(books: Books) -> None:
    for day, of_day in books.days():
        whole = [b"".join(parts) for parts in zip(*day_files(day, of_day), strict=True)]
        alone = [
            b"".join(part for (part,) in day_files(day, replace(of_day, only=member))) for member in range(len(whole))
        ]
        assert alone == whole
        assert len({*whole}) == len(whole)


def test_of_a_usual_day(run: Result) -> None:
    require_alone(run.books)


def test_of_plants_and_their_owners(shared_day: Result) -> None:
    require_alone(shared_day.books)


def test_where_mandates_meters_and_accounts_were_replaced_and_somebody_joined(tmp_path: Path) -> None:
    found = Changing(tmp_path)
    found.change()
    found.run(found.end)
    rules = found.rules.with_members(found.roster.members)
    require_alone(Books(rules, found.store, found.roster, found.client))
    found.close()


def test_orders_trades_and_readings_of_others_are_not_read(run: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    ((day, books),) = run.books.days()
    member = 0
    with noted(monkeypatch) as read:
        for _part in day_files(day, replace(books, only=member)):
            pass
    own = books.store.columns(tables.readings, ("slot",), books.period, member=member)
    assert read["readings"] == len(own) == books.period.count
    with noted(monkeypatch) as everybodys:
        for _part in day_files(day, books):
            pass
    assert read["orders"] < everybodys["orders"] / 2
    assert read["orders"] > 0


@contextmanager
def noted(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """How many rows `Store.columns` finds in each table."""
    found: dict[str, int] = {}
    right = Store.columns

    def columns(self: Store, table: object, *given: object, **equal: object) -> list[tuple[object, ...]]:
        rows = right(self, table, *given, **equal)  # type: ignore[arg-type]
        name = table.name  # type: ignore[attr-defined]
        found[name] = found.get(name, 0) + len(rows)
        return rows

    with monkeypatch.context() as patch:
        patch.setattr(Store, "columns", columns)
        yield found
