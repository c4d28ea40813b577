"""What members, operators and everybody are answered is the same whether the store is a file or a PostgreSQL server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from asking_cases import HOUR, Doors
from services import Postgres

from commonwatt.exchange import personal, relays, tables
from commonwatt.exchange.demands import Demands, read_last, read_open
from commonwatt.exchange.personal import Place
from commonwatt.exchange.public import last_posts, public_slots, starts_after
from commonwatt.exchange.silence import settled_silences
from commonwatt.exchange.store import Store, add, put


def answers(doors: Doors) -> list[Any]:
    """What the store is asked for the doors."""
    exchange, found = doors.exchange, list[Any]()
    starts = starts_after(exchange, -1, 100)
    posts = last_posts(exchange, starts)
    found += [starts, posts, [each.as_json() for each in public_slots(exchange, starts, exchange.now, posts)]]
    found.append(settled_silences(exchange, exchange.now))
    for member in range(5):
        after: Place | None = Place(-1, -1)
        while after is not None:
            page = personal.orders(exchange, member, after, 3)
            found, after = [*found, page.entries], page.following
        found.append(personal.readings(exchange.store, member, Place(2**40, 2**40), 5))
        found.append(list(personal.everything(exchange.store, member, doors.members[member].address)))
    relays.follow(exchange.store, 1, trades=True)
    found += [relays.demand(exchange, 1, wh, exchange.now + 60, exchange.now).record for wh in (5, 6)]
    found += [relays.follows(exchange.store, 1), relays.standing(exchange.store, exchange.now)]
    with exchange.store.transaction() as connection:
        add(connection, tables.demands, [(7, starts[0], 0, 1, exchange.now, tables.OPEN, b"")])
    assert not Demands(exchange).advance(exchange.now)
    found += [read_open(exchange.store, exchange.now), read_last(exchange.store, 5)]
    period = exchange.rules.period
    with exchange.store.transaction() as connection:
        put(connection, tables.anchors, (period.start, period.end, bytes(32)))
    found.append(personal.erase(exchange, 1, exchange.now + 30 * 86_400))
    found.append([personal.is_erased(exchange.store, member, period) for member in range(5)])
    return found


def test_the_doors_are_answered_alike_by_a_file_and_by_a_server(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    doors = Doors(tmp_path)
    doors.whole_day(lambda slot, home: 0 if (slot // HOUR + home) % 3 else 1800 + HOUR * home)
    server = Store(postgres.url(postgres.new()))
    with server.transaction() as connection:
        for table in tables.metadata.sorted_tables:
            add(connection, table, [tuple(row) for row in doors.exchange.store.rows(table)])
    with monkeypatch.context() as patch:
        patch.setattr(doors.exchange, "store", server)
        on_server = answers(doors)
    assert on_server == answers(doors)
    assert on_server[-1] == [False, True, False, False, False]
    server.close()
    doors.close()
