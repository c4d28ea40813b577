"""A member has erased what nobody needs any more, and what proofs need stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from asking_cases import HOUR, Asker, Doors

from commonwatt.accounts.document import hex_text
from commonwatt.exchange import tables
from commonwatt.exchange.counters import count
from commonwatt.exchange.store import put

DAY = "2026-06-15"


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[Doors]:
    found = Doors(tmp_path)
    found.whole_day()
    yield found
    found.close()


def kept(doors: Doors, member: int) -> tuple[int, ...]:
    """How many readings, plans and orders there are of a member."""
    store = doors.exchange.store
    return tuple(len(store.rows(table, member=member)) for table in (tables.readings, tables.planned, tables.orders))


def bill(doors: Doors) -> None:
    """Have the day's bills anchored."""
    period = doors.exchange.rules.period
    with doors.exchange.store.transaction() as connection:
        put(connection, tables.anchors, (period.start, period.end, bytes(32)))


def test_readings_go_when_they_are_billed_and_past_all_corrections_and_not_before(doors: Doors) -> None:
    _, _, orders = kept(doors, 1)
    others = [kept(doors, other) for other in (0, 2, 3, 4)]
    erased = []

    async def erase(ask: Asker) -> None:
        told = await ask.json("/v1/me/data", 1, method="DELETE")
        assert told["stays"]
        erased.append((told["plans"], told["readings"], kept(doors, 1)))

    doors.ask(erase)  # neither billed nor past
    bill(doors)
    doors.ask(erase)
    doors.now = doors.starts[-1] + HOUR + doors.live.slots.corrections + 1
    doors.ask(erase)
    assert erased == [(8, 0, (8, 0, orders)), (0, 0, (8, 0, orders)), (0, 8, (0, 0, orders))]
    assert [kept(doors, other) for other in (0, 2, 3, 4)] == others


def test_unbilled_readings_stay_however_old(doors: Doors) -> None:
    doors.now = doors.starts[-1] + 400 * 86_400

    async def test(ask: Asker) -> None:
        assert (await ask.json("/v1/me/data", 1, method="DELETE"))["readings"] == 0

    doors.ask(test)


def test_others_have_their_sheets_as_before_and_who_erased_is_told_why_it_has_none(doors: Doors) -> None:
    bill(doors)
    sheets = list[bytes]()

    async def before(ask: Asker) -> None:
        sheets.append((await ask(f"/v1/me/sheets/{DAY}", 2)).content)

    async def after(ask: Asker) -> None:
        await ask("/v1/me/data", 1, method="DELETE")
        sheets.append((await ask(f"/v1/me/sheets/{DAY}", 2)).content)
        gone = await ask(f"/v1/me/sheets/{DAY}", 1, status=404)
        assert "were erased" in gone.json()["detail"]
        old = await ask(f"/v1/me/slots/{doors.starts[0]}/excerpt", 2, status=404)
        assert "the sheet of its day has its proofs" in old.json()["detail"]

    doors.ask(before)
    doors.now = doors.starts[-1] + HOUR + doors.live.slots.corrections + 1
    doors.ask(after)
    assert sheets[0] == sheets[1]


def test_a_name_goes_at_once_and_is_asked_again_after_a_restart(doors: Doors) -> None:
    doors.village.roster.name(doors.members[1].address, "Family Roof", "Bus 7")

    async def test(ask: Asker) -> None:
        assert "Family Roof" in (await ask("/v1/me/data", 1)).text
        assert (await ask.json("/v1/me/data", 1, method="DELETE"))["name"] is True
        assert (await ask.json("/v1/me/data", 1, method="DELETE"))["name"] is False
        assert doors.live.roster.members[1].bus == "Bus 7"
        assert "Family Roof" not in (await ask("/v1/me/data", 1)).text + (await ask("/v1/me", 1)).text

    async def again(ask: Asker) -> None:
        assert "Family Roof" not in (await ask("/v1/me/data", 1)).text + (await ask("/v1/me", 1)).text

    doors.ask(test)
    doors.restart()
    doors.ask(again)


def test_what_is_handed_out_is_all_that_the_store_has(doors: Doors) -> None:
    meters = doors.live.roster.at(int(doors.now)).meters
    with doors.exchange.store.transaction() as connection:
        for meter in meters[:2]:
            put(connection, tables.devices, (hex_text(meter), 0, '{"of": "its device"}'))
    assert count(doors.exchange.store)

    async def test(ask: Asker) -> None:
        for member in range(5):
            told = await ask.json("/v1/me/data", member)
            store = doors.exchange.store
            for table in tables.metadata.sorted_tables:
                if "member" in table.columns:
                    assert len(told[table.name]) == len(store.rows(table, member=member)), table.name
            assert [row["meter"] for row in told["devices"]] == [
                hex_text(each) for each in meters[:2][member : member + 1]
            ]
            ends = [{row.buyer, row.seller} for row in store.rows(tables.trades)]
            assert len(told["trades"]) == sum(member in each for each in ends)

    doors.ask(test)
