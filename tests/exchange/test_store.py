"""The store on each database it can be on: the same questions to all of them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from exchange_cases import SOURCE, until
from services import Postgres

from commonwatt.community.calendar import Slots
from commonwatt.errors import StoreError
from commonwatt.exchange import tables
from commonwatt.exchange.rows import read_coupled
from commonwatt.exchange.store import VERSION, Store, add, drop, note, put, set_values

Target = Path | str


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Target:
    if request.param == "sqlite":
        return tmp_path / "store.sqlite"
    server: Postgres = request.getfixturevalue("postgres")
    return server.url(server.new())


READINGS = [
    (900 * slot, member, slot, 0, 5000, 100 + member, 7, b"m" * 20, b"h" * 32, b"s" * 65)
    for slot in (2, 1)
    for member in (1, 0)
]
"""By slot, member, sequence, revision, arrival, energy in and out, meter, hash, signature; not in the key's order."""


@pytest.fixture
def store(target: Target) -> Iterator[Store]:
    made = Store(target)
    yield made
    made.close()


def fill(store: Store) -> None:
    with store.transaction() as connection:
        set_values(connection, {"version": VERSION, "start": "2026-06-15"})
        add(connection, tables.readings, READINGS)


def told(target: Target, *, read_only: bool = False) -> str:
    """Why a store cannot be opened."""
    with pytest.raises(StoreError) as refused:
        Store(target, read_only=read_only)
    return str(refused.value)


def elsewhere(code: str, target: Target) -> str:
    """What another process prints that has `target` and Store."""
    begin = f"from pathlib import Path, PosixPath\nfrom commonwatt.exchange.store import Store\ntarget = {target!r}\n"
    done = subprocess.run(
        [sys.executable, "-c", begin + code], env={**os.environ, "PYTHONPATH": SOURCE},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_rows_come_back_in_the_order_of_their_key(store: Store) -> None:
    fill(store)
    assert store.columns(tables.readings, ("slot", "member", "hash")) == [
        (slot, member, b"h" * 32) for slot in (900, 1800) for member in (0, 1)
    ]
    assert store.columns(tables.readings, ("sequence", "wh_in"), slot=1800, member=1) == [(2, 101)]
    assert [tuple(row) for row in store.rows(tables.readings, slot=900)] == sorted(READINGS)[:2]
    assert store.values() == {"version": VERSION, "start": "2026-06-15"}


def test_integers_have_64_bits_and_true_is_one(store: Store) -> None:
    largest, signed = 2**63 - 1, -(2**63)
    row = (4102444800, 0, False, True, signed, signed, largest, b"m", b"\0\xff", b"")
    with store.transaction() as connection:
        add(connection, tables.readings, [row])
        put(connection, tables.caps, (4102444800, b"\0"))
    (found,) = store.rows(tables.readings, revision=True)
    assert tuple(found) == (4102444800, 0, 0, 1, signed, signed, largest, b"m", b"\0\xff", b"")
    assert store.columns(tables.readings, ("wh_out",), sequence=False) == [(largest,)]
    assert store.columns(tables.readings, ("wh_out",), sequence=True) == []


def test_a_row_is_put_in_the_place_of_the_one_with_its_key(store: Store) -> None:
    for event in (3, 4):
        with store.transaction() as connection:
            put(connection, tables.settled, (0, event))
            set_values(connection, {"start": str(event), "days": "1"})
            put(connection, tables.registers, (900, 0, *(bytes([event]) for _ in range(4))))
    assert store.columns(tables.settled, ("slot", "revision")) == [(0, 4)]
    assert store.values() == {"start": "4", "days": "1"}
    assert store.columns(tables.registers, ("slot", "counted", "kept")) == [(900, b"\4", b"\4")]


def test_a_key_that_is_there_already_is_an_error_and_nothing_is_written(store: Store) -> None:
    fill(store)
    fresh = (2700, 0, *READINGS[0][2:])
    twice = r"cannot be used as an exchange's store: .*(UNIQUE|unique)"
    with pytest.raises(StoreError, match=twice), store.transaction() as connection:
        add(connection, tables.readings, [fresh, READINGS[0]])
    assert store.columns(tables.readings, ("slot",), slot=2700) == []
    with store.transaction() as connection:
        add(connection, tables.readings, [fresh])
    assert store.columns(tables.readings, ("slot",), slot=2700) == [(2700,)]


def test_rows_are_dropped_and_notes_go_on_where_they_ended(store: Store) -> None:
    fill(store)
    with store.transaction() as connection:
        drop(connection, tables.readings, slot=900, member=True)
        note(connection, 1000, [("gate closed", {"slots": 1}), ("slot not cleared", {})])
        note(connection, 1010, [("slot corrected", {})])
    assert [row.member for row in store.rows(tables.readings, slot=900)] == [0]
    names = ("number", "time", "what", "detail")
    assert store.columns(tables.journal, names) == [
        (0, 1000, "gate closed", '{"slots": 1}'),
        (1, 1000, "slot not cleared", "{}"),
        (2, 1010, "slot corrected", "{}"),
    ]


def test_of_each_slot_only_the_last_revision_is_asked_for(store: Store) -> None:
    def trade(slot: int, revision: int, price: int) -> tuple[object, ...]:
        return (slot, revision, 0, 1, 0, 1, 50, 50, price, b"", b"", b"")

    with store.transaction() as connection:
        for slot, last in ((900, 0), (1800, 1), (2700, 0)):
            put(connection, tables.settled, (slot, last))
            add(connection, tables.trades, [trade(slot, revision, slot + revision) for revision in range(2)])
    day = Slots(900, 2, 900)
    assert store.last(tables.trades, ("slot", "price"), day) == [(900, 900), (1800, 1801)]
    assert store.columns(tables.trades, ("price",), day, revision=0) == [(900,), (1800,)]
    assert store.most(tables.settled, "slot") == 2700
    assert store.most(tables.readings, "slot") is None


def test_nothing_of_a_transaction_that_fails_stays(store: Store) -> None:
    def interrupted() -> None:
        with store.transaction() as connection:
            add(connection, tables.readings, READINGS)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert store.rows(tables.readings) == []


def test_a_store_is_found_again_as_it_was(target: Target) -> None:
    first = Store(target)
    fill(first)
    first.close()
    again = Store(target)
    assert [tuple(row) for row in again.rows(tables.readings)] == sorted(READINGS)
    again.close()


def test_what_was_closed_is_read_still_and_written_no_more(target: Target) -> None:
    """Its lock may be somebody else's by then."""
    first = Store(target)
    fill(first)
    first.close()
    second = Store(target)
    with pytest.raises(StoreError, match="was closed here; open it again"), first.transaction():
        raise AssertionError
    assert first.values() == second.values()
    first.close()
    assert "is open in this process" in told(target)
    second.close()


def test_there_is_one_writer(target: Target, store: Store) -> None:
    fill(store)
    assert "is open in this process; close what has it open, such as an earlier run, first." in told(target)
    refused = elsewhere("try: Store(target)\nexcept Exception as error: print(type(error).__name__, error)", target)
    assert refused.startswith("StoreError")
    assert refused.endswith("is open in another process, which must stop first.")
    with store.transaction() as connection:
        drop(connection, tables.readings, slot=900)
    store.close()
    assert elsewhere("store = Store(target)\nprint(store.values()['start'])\nstore.close()", target) == "2026-06-15"


def test_a_writer_that_is_killed_lets_go_and_loses_nothing_it_committed(target: Target) -> None:
    code = """
import os, signal
from commonwatt.exchange import tables
from commonwatt.exchange.store import put
store = Store(target)
for event in range(5):
    with store.transaction() as connection:
        put(connection, tables.settled, (0, event))
with store.transaction() as connection:
    put(connection, tables.settled, (0, 5))
    print("ready", flush=True)
    os.read(0, 1)
"""
    begin = f"from pathlib import Path, PosixPath\nfrom commonwatt.exchange.store import Store\ntarget = {target!r}\n"
    process = subprocess.Popen(
        [sys.executable, "-c", begin + code], env={**os.environ, "PYTHONPATH": SOURCE},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        reader = Store(target, read_only=True)
        assert reader.columns(tables.settled, ("revision",)) == [(4,)]
        assert "is open in another process" in told(target)
        process.kill()
    # A server notices that its client is gone, but not at once.
    until(lambda: opens(target))
    assert reader.columns(tables.settled, ("revision",)) == [(4,)]
    reader.close()


def opens(target: Target) -> bool:
    try:
        Store(target).close()
    except StoreError as error:
        if "is open in another process" in str(error):
            return False
        raise
    return True


def test_a_reader_sees_what_was_committed_and_never_writes(target: Target, store: Store) -> None:
    reader = Store(target, read_only=True)
    assert reader.rows(tables.readings) == []
    with store.transaction() as connection:
        add(connection, tables.readings, READINGS)
        assert reader.rows(tables.readings) == []
        assert elsewhere("print(len(Store(target, read_only=True).values()))", target) == "0"
    assert len(reader.rows(tables.readings)) == len(READINGS)
    with pytest.raises(StoreError, match="is open for reading only"), reader.transaction():
        raise AssertionError
    # Neither does the connection itself write, whatever it is told.
    with pytest.raises(StoreError, match=r"read-?only"), reader._reading() as connection:
        connection.execute(tables.settled.delete())
    reader.close()


def test_threads_read_beside_the_one_that_writes_and_writers_take_turns(store: Store) -> None:
    fill(store)
    inside, seen = threading.Barrier(2, timeout=60), list[int]()

    def write(slot: int) -> None:
        with store.transaction() as connection:
            add(connection, tables.readings, [(slot, 0, *READINGS[0][2:])])
            if slot == 2700:
                inside.wait()
                inside.wait()

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(write, 2700)
        inside.wait()
        second = threads.submit(write, 3600)
        seen.append(len(store.rows(tables.readings)))
        inside.wait()
        first.result(60)
        second.result(60)
    assert seen == [len(READINGS)]
    assert [slot for (slot,) in store.columns(tables.readings, ("slot",), member=0)] == [900, 1800, 2700, 3600]


def test_what_is_let_go_is_read_from_memory(target: Target) -> None:
    store = Store(target)
    fill(store)
    store.let_go()
    other = Store(target)
    with other.transaction() as connection:
        drop(connection, tables.readings, slot=900)
    other.close()
    assert [tuple(row) for row in store.rows(tables.readings)] == sorted(READINGS)
    with store.transaction() as connection:
        put(connection, tables.settled, (0, 1))
    assert store.columns(tables.settled, ("revision",)) == [(1,)]
    store.let_go()
    store.close()
    with pytest.raises(StoreError, match="The run is closed"):
        store.values()


def test_another_version_is_named_and_left_as_it_is(target: Target) -> None:
    store = Store(target)
    with store.transaction() as connection:
        set_values(connection, {"version": "5"})
    store.close()
    for read_only in (False, True):
        assert told(target, read_only=read_only).endswith("was written by another version (5) of Commonwatt.")


def test_a_store_that_is_not_there_is_not_made_by_a_reader(target: Target) -> None:
    said = told(target, read_only=True)
    assert said.startswith("There is no store at ") or said.endswith("is not an exchange's store.")
    Store(target).close()
    Store(target, read_only=True).close()


def test_a_trade_with_another_community_is_read_until_it_is_a_revision(store: Store) -> None:
    def trade(slot: int, revision: int) -> tuple[object, ...]:
        return (slot, revision, 5, 4, True, 200_000, 9, 6000, b"m", b"h", b"s", b"w", b"l")

    with store.transaction() as connection:
        add(connection, tables.settled, [(900, 0), (1800, 1), (2700, 0)])
        for row in (trade(1800, 1), trade(900, 1), trade(3600, 1)):
            put(connection, tables.couplings, row)
    (found,) = read_coupled(store)
    assert tuple(found) == trade(900, 1)
    assert (found.surplus, found.lock) == (1, b"l")
