"""Relays are told what was bought for them, or what their owners want, by a real broker; nobody commands another's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, nullcontext, suppress
from itertools import permutations
from pathlib import Path
from typing import Any

import aiomqtt
import broker_cases
import pytest
from asking_cases import HOUR, Asker, Doors

from commonwatt.exchange import relays, tables
from commonwatt.exchange.personal import erase
from commonwatt.exchange.told import told
from commonwatt.meter.delivery import Delivery, RelayStatus
from commonwatt.proof import Key, verify
from commonwatt.records import Signed
from commonwatt.records.schema import from_json, to_bytes
from commonwatt.service.mqtt import Gateway
from commonwatt.service.topics import DEMAND, topic
from commonwatt.units import MAX_ORDER_WH

OWNER = 0
STATUS = {
    "online": True, "relay": True, "fault": "", "demand": 7, "mwh": 12, "waiting": 0,
    "reports": [{"number": 6, "mwh": 3, "reason": "replaced"}],
}  # fmt: skip


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[Doors]:
    found = Doors(tmp_path)
    yield found
    found.close()


@pytest.fixture
def broker(doors: Doors) -> Iterator[broker_cases.Running]:
    made = broker_cases.Running([meter(doors, home).address for home in range(5)])
    yield made
    made.remove()


def meter(doors: Doors, home: int) -> Key:
    return doors.village.homes.meters[home].key


@asynccontextmanager
async def telling(doors: Doors, broker: broker_cases.Running, *, connected: bool = True) -> AsyncIterator[Gateway]:
    """The exchange tells relays meanwhile, once its gateway runs."""
    running = doors.running
    gateway = Gateway(broker.exchange, running.take, running.known, running.notice)
    async with broker_cases.serving(gateway) if connected else nullcontext():
        task = asyncio.create_task(running.relays.run(gateway))
        await asyncio.sleep(0)  # it begins
        assert running.relays.reachable
        yield gateway
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def listening(doors: Doors, broker: broker_cases.Running, home: int) -> AsyncIterator[aiomqtt.Client]:
    """A home's meter, which hears what is demanded of it."""
    async with broker.meter(meter(doors, home).address).client() as client:
        await client.subscribe(topic(meter(doors, home).address, DEMAND), qos=1)
        yield client


async def heard(doors: Doors, client: aiomqtt.Client, home: int) -> Delivery:
    """What is demanded next of a home's meter, as an operator signed it."""
    given = json.loads(await broker_cases.until(client, topic(meter(doors, home).address, DEMAND)))
    signature, record = to_bytes(given.pop("signature"), 65), from_json(Delivery, given)
    verify(doors.exchange.domain, Signed(record, b"", signature), doors.operator.address)
    assert record.meter == meter(doors, home).address
    return record


def test_an_owner_demands_of_its_own_relay_and_sees_what_became_of_it(
    doors: Doors, broker: broker_cases.Running
) -> None:
    async def test(ask: Asker) -> None:
        until = int(doors.now) + HOUR
        async with telling(doors, broker), listening(doors, broker, OWNER) as client:
            first = await ask.json("/v1/me/demands", OWNER, method="POST", json={"wh": 500, "until": until})
            assert first == {"number": first["number"], "mwh": 500_000, "until": until, "sent": True}
            second = await ask.json("/v1/me/demands", OWNER, method="POST", json={"wh": 0, "until": until})
            assert second["number"] > first["number"] >= int(doors.now) * 1000
            # The first one may have been told twice: when it came, and with all that stood when the broker did.
            found = [await heard(doors, client, OWNER)]
            while found[-1].number < second["number"]:
                found.append(await heard(doors, client, OWNER))
            assert {(each.number, each.mwh, each.until) for each in found} == {
                (first["number"], 500_000, until),
                (second["number"], 0, until),
            }
            own = topic(meter(doors, OWNER).address, "")
            await client.publish(f"{own}status", json.dumps(STATUS), qos=1, retain=True)
            await client.publish(f"{own}live", json.dumps({"V": 230.5, "I": None, "W": -40, "time": None}), qos=1)
            await client.publish(f"{own}status", b"[" * 3000, qos=1)
            async with asyncio.timeout(60):
                while not (said := doors.running.relays.said.get(meter(doors, OWNER).address)) or not said.flow:
                    await asyncio.sleep(0.01)
        (told_of,) = (await ask.json("/v1/relays", OWNER))["relays"]
        assert told_of == {
            "meter": f"0x{meter(doors, OWNER).address.hex()}", "member": OWNER, "trades": False, "online": True,
            "closed": True, "fault": "", "demand": 7, "mwh": 12, "reports": STATUS["reports"], "volts": 230.5,
            "amperes": None, "watts": -40, "heardAt": int(doors.now),
        }  # fmt: skip
        (other,) = (await ask.json("/v1/relays", 1))["relays"]
        assert (other["member"], other["closed"], other["heardAt"]) == (1, None, None)
        assert [each["closed"] for each in (await ask.json("/v1/relays", "operator"))["relays"]] == [True] + [None] * 4
        assert (await ask.json("/v1/relays", "stranger"))["relays"] == []

    doors.ask(test)


def test_what_was_demanded_while_the_broker_was_away_is_told_when_it_is_back(
    doors: Doors, broker: broker_cases.Running
) -> None:
    async def test(ask: Asker) -> None:
        async with listening(doors, broker, OWNER) as client, telling(doors, broker, connected=False) as gateway:
            body = {"wh": 5, "until": int(doors.now) + HOUR}
            sent = await ask.json("/v1/me/demands", OWNER, method="POST", json=body)
            assert not sent["sent"]
            async with broker_cases.serving(gateway):
                found = await heard(doors, client, OWNER)
            assert (found.number, found.mwh) == (sent["number"], 5_000)

    doors.ask(test)


def test_a_relay_that_follows_trades_is_told_what_was_bought_once_it_is_there_without_a_fault(
    doors: Doors, broker: broker_cases.Running
) -> None:
    exchange, gate = doors.exchange, doors.exchange.next_gate
    assert gate
    doors.village._declare(gate, gate.at - HOUR)
    doors.live.advance(gate.at)
    bought = {slot: told(each).bought.tolist() for slot, each in exchange.committed.items()}
    start, home, other = next(
        (slot, home, other)
        for slot in bought
        for home, other in permutations(range(5), 2)
        if slot + HOUR in bought and bought[slot][home] and bought[slot + HOUR][home] and bought[slot + HOUR][other]
    )

    async def begins(ask: Asker) -> None:
        await ask("/v1/me/relay", home, status=204, method="PUT", json={"trades": True})
        await ask("/v1/me/relay", other, status=204, method="PUT", json={"trades": True})
        await ask("/v1/me/relay", other, status=204, method="PUT", json={"trades": False})
        doors.now = start + 0.5
        async with telling(doors, broker), listening(doors, broker, home) as client:
            status = f"{topic(meter(doors, home).address, '')}status"
            # Who demands of a relay at fault would take the fault for seen.
            for said in (STATUS | {"fault": "over-current"}, {"online": False}):
                await client.publish(status, json.dumps(said), qos=1)
            async with asyncio.timeout(60):
                while RelayStatus(online=False) not in [each.status for each in doors.running.relays.said.values()]:
                    await asyncio.sleep(0.01)
            assert doors.live.store.rows(tables.deliveries) == []
            await client.publish(status, json.dumps(STATUS), qos=1, retain=True)
            found = await heard(doors, client, home)
            assert (found.mwh, found.until) == (bought[start][home] * 1000, start + HOUR)
            doors.now = start + HOUR
            while found.until == start + HOUR:
                found = await heard(doors, client, home)
            assert (found.mwh, found.until) == (bought[start + HOUR][home] * 1000, start + 2 * HOUR)
        assert [each["trades"] for each in (await ask.json("/v1/relays", home))["relays"]] == [True]

    async def again(_: Asker) -> None:
        doors.now = start + HOUR + 60
        async with listening(doors, broker, home) as client, telling(doors, broker):
            assert (await heard(doors, client, home)).until == start + 2 * HOUR

    doors.ask(begins)
    rows = doors.live.store.rows(tables.deliveries)
    assert [(row.member, row.slot) for row in rows] == [(home, start + HOUR)]
    doors.restart()
    doors.ask(again)
    assert doors.live.store.rows(tables.deliveries) == rows


def test_a_demand_that_cannot_be_is_refused_and_none_comes_of_it(doors: Doors) -> None:
    now = int(doors.now)
    bodies: list[Any] = [
        {"wh": 1, "until": now},
        {"wh": 1, "until": now + 86_401},
        {"wh": -1, "until": now + 60},
        {"wh": MAX_ORDER_WH + 1, "until": now + 60},
        {"wh": 1.5, "until": now + 60},
        {"wh": "1", "until": now + 60},
        {"wh": 1, "until": now + 60, "meter": "0x" + "11" * 20},
        {"wh": 1},
    ]

    async def test(ask: Asker) -> None:
        good = {"wh": 1, "until": now + 60}
        await ask("/v1/me/demands", OWNER, status=409, method="POST", json=good)
        doors.running.relays._gateway = Gateway.__new__(Gateway)
        for body in bodies:
            await ask("/v1/me/demands", OWNER, status=422, method="POST", json=body)
        doors.running._clock = lambda: None
        await ask("/v1/me/demands", OWNER, status=503, method="POST", json=good)

    doors.ask(test)
    assert doors.live.store.rows(tables.deliveries) == []


def test_numbers_rise_also_in_a_store_of_before_and_what_is_replaced_is_forgotten(doors: Doors) -> None:
    now, exchange, store = int(doors.now), doors.exchange, doors.live.store
    first, second, other = (
        relays.demand(exchange, member, 10 + place, now + 60 + place, now).record
        for place, member in enumerate((OWNER, OWNER, 1))
    )
    assert first.number < second.number < other.number
    assert [each.record for each in relays.standing(store, now)] == [second, other]
    assert [row.number for row in store.rows(tables.deliveries)] == [second.number, other.number]
    assert relays.standing(store, now + 62) == []
    with store.transaction() as connection:
        connection.execute(tables.deliveries.delete())
    later = relays.demand(exchange, OWNER, 1, now + 70, now + 1).record
    assert later.number > other.number
    # A newer one that is over leaves no older one in its place.
    relays.demand(exchange, OWNER, 1, now + 20, now + 2)
    assert relays.standing(store, now + 21) == []
    erase(exchange, OWNER, now + 21)
    assert store.rows(tables.deliveries) == []
