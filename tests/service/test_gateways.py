"""Readings come to a living exchange by HTTP and by MQTT, through a real broker, and each counts once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiomqtt
import broker_cases
import httpx
import pytest
from live_cases import WAIT, Village
from pydantic_core import from_json, to_json

from commonwatt.accounts.orders import order_json
from commonwatt.errors import StoreError
from commonwatt.exchange import tables
from commonwatt.meter.protocol import signed_json
from commonwatt.records import Order, Reading, Signed
from commonwatt.service.api.app import application
from commonwatt.service.api.records import MOST
from commonwatt.service.mqtt import Gateway
from commonwatt.service.running import Running
from commonwatt.service.topics import ACK, READING, topic

HOUR = 3600


class Box:
    """A living exchange at work, whose clock the test turns."""

    def __init__(self, folder: Path, *, closed: bool = True) -> None:
        self.village = Village(folder)
        self.exchange, self.homes = self.village.exchange, self.village.homes
        self.starts = self.exchange.rules.period.starts.tolist()
        self.clock: float | None = self.starts[0] + HOUR
        if closed:
            self.village.live.advance(self.exchange.rules.events[0].at)
        self.running = Running(self.village.live, lambda: self.clock, speed=20)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(application(self.running)), base_url="http://box")

    def reading(self, home: int, place: int, number: int = 1, wh: int = 300) -> Signed[Reading]:
        return self.homes.meters[home].read(self.starts[place], wh, 0, number)

    async def post(self, readings: list[Any]) -> list[dict[str, str]]:
        answer = await self.client.post("/v1/readings", content=to_json(readings))
        assert answer.status_code == 200, answer.text
        results: list[dict[str, str]] = answer.json()["results"]
        return results


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    found = Box(tmp_path)
    yield found
    found.running.close()
    found.village.simulation.close()


def run(box: Box, test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        async with box.client:
            await test()

    asyncio.run(whole())


def test_each_reading_of_a_request_is_judged_by_itself(box: Box) -> None:
    async def test() -> None:
        good = [signed_json(box.reading(home, 0)) for home in range(4)]
        forged = {**good[1], "whIn": 299}
        strange = {"meter": "me"}
        said = await box.post([*good, forged, strange, good[0], signed_json(box.reading(4, 2))])
        assert [each["status"] for each in said] == [*["stored"] * 4, "refused", "refused", "duplicate", "refused"]
        assert all(each.get("why", "").endswith(".") for each in said if each["status"] == "refused")
        assert len(box.exchange.store.rows(tables.readings)) == 4

    run(box, test)


def test_many_who_come_at_once_are_each_told_their_own(box: Box) -> None:
    async def test() -> None:
        box.clock = box.starts[3] + HOUR
        asked = [(home, place) for home in range(5) for place in range(3)]
        answers = await asyncio.gather(*(box.post([signed_json(box.reading(*each))]) for each in asked * 2))
        told = [answer[0]["status"] for answer in answers]
        assert sorted(told) == ["duplicate"] * 15 + ["stored"] * 15
        assert len(box.exchange.store.rows(tables.readings)) == 15

    run(box, test)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422), (b"{", 422), (b"[]", 422), (b"null", 422), (b"[NaN]", 422), (b"7" * 1_100_000, 413),
        (to_json([{}] * (MOST + 1)), 422),
    ],
)  # fmt: skip
def test_what_is_no_list_of_readings_is_answered_in_one_sentence(box: Box, body: bytes, status: int) -> None:
    async def test() -> None:
        answer = await box.client.post("/v1/readings", content=body)
        if answer.status_code == 200:  # a list whose readings are none
            assert {each["status"] for each in answer.json()["results"]} == {"refused"}
            return
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"].endswith(".")
        assert not box.exchange.store.rows(tables.readings)

    run(box, test)


def test_nothing_is_answered_that_could_not_be_stored(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        reading = signed_json(box.reading(0, 0))
        with monkeypatch.context() as patch:
            patch.setattr(box.exchange.store, "transaction", _full)
            answer = await box.client.post("/v1/readings", content=to_json([reading]))
        assert (answer.status_code, answer.json()["detail"]) == (503, "The disk is full.")
        assert await box.post([reading]) == [{"status": "stored"}]

    run(box, test)


def _full() -> None:
    raise StoreError("The disk is full.")


def test_while_nothing_vouches_for_the_time_readings_are_taken_and_nothing_is_due(box: Box) -> None:
    async def test() -> None:
        await box.post([signed_json(box.reading(0, 0))])
        box.clock = None
        keeping = asyncio.create_task(box.running.keep_time())
        assert await box.post([signed_json(box.reading(home, 0)) for home in range(1, 5)]) == [{"status": "stored"}] * 4
        # Whether a later slot is over nobody can say, so its reading may come again and is not acknowledged.
        later = box.reading(0, 3, 2)
        assert await box.running.take([(later.record.meter, to_json(signed_json(later)))]) == [
            (later.record.meter, to_json({"upto": 0, "refused": [], "time": 0}))
        ]
        order = Order(bytes(20), "", 0, 1, 1, box.starts[3], box.starts[3], 1)
        (refused,) = await _ordered(box, [order_json(Signed(order, bytes(32), bytes(65)))])
        assert "does not know the time" in refused["why"]
        assert box.exchange.next_end
        assert box.exchange.next_end.slot == box.starts[0]
        box.clock = box.starts[0] + HOUR + WAIT
        await _until(lambda: box.exchange.next_end is not None and box.exchange.next_end.slot == box.starts[1])
        keeping.cancel()

    run(box, test)


def test_what_is_no_order_is_refused(box: Box) -> None:
    async def test() -> None:
        for each in await _ordered(box, [{"side": 7}, None, [], {"signature": "0x"}]):
            assert each["status"] == "refused"
            assert each["why"].endswith(".")

    run(box, test)


def test_an_order_is_told_why_it_is_refused_and_the_same_again_has_the_same_receipts(tmp_path: Path) -> None:
    box = Box(tmp_path, closed=False)

    async def test() -> None:
        gate = box.exchange.next_gate
        assert gate
        box.clock = gate.at - HOUR
        signed = [order for slot in box.homes.declare(gate, {}).signed for order in slot]
        given = [order_json(order) for order in signed]
        forged = {**given[0], "wh": given[0]["wh"] + 1}
        first, second = await asyncio.gather(_ordered(box, [*given, forged]), _ordered(box, given))
        assert [each["status"] for each in first] == [*["accepted"] * len(given), "refused"]
        assert "is signed by" in first[-1]["why"]
        assert first[:-1] == second
        kept = {(row.slot, row.position, f"0x{row.hash.hex()}") for row in box.exchange.store.rows(tables.orders)}
        assert kept == {(each["slot"], each["position"], each["order"]) for said in second for each in said["receipts"]}
        box.clock = gate.at
        assert "the gate of its slot closed" in (await _ordered(box, given[:1]))[0]["why"]

    run(box, test)
    box.running.close()
    box.village.simulation.close()


async def _ordered(box: Box, orders: list[Any]) -> list[Any]:
    answer = await box.client.post("/v1/orders", content=to_json(orders))
    assert answer.status_code == 200, answer.text
    results: list[Any] = answer.json()["results"]
    return results


def test_meters_of_a_broker_are_acknowledged_once_their_readings_count(box: Box) -> None:
    """One of them says what another signed, and one sends again what it sent; the broker dies meanwhile."""
    meters = [box.homes.meters[home].key.address for home in range(5)]
    broker = broker_cases.Running(meters)

    async def test() -> None:
        box.clock = box.starts[2] + HOUR
        async with broker_cases.serving(Gateway(broker.exchange, box.running.take, lambda: box.clock)):
            for home in range(4):
                own = [signed_json(box.reading(home, place, place + 1)) for place in range(3)]
                upto = await _said(broker, meters[home], [own[:2], own])
                assert upto == 3
                if home == 1:
                    broker.broker.kill()
                    broker.broker.start()
            stolen = [signed_json(box.reading(4, 0))]
            assert await _said(broker, meters[3], [stolen, [signed_json(box.reading(3, 2, 3))]]) == 3
        kept = {(row.member, row.sequence) for row in box.exchange.store.rows(tables.readings)}
        assert kept == {(home, number) for home in range(4) for number in (1, 2, 3)}

    try:
        run(box, test)
    finally:
        broker.remove()


async def _said(broker: broker_cases.Running, meter: bytes, messages: list[list[Any]]) -> int:
    """What is acknowledged last of what a meter says, which says it again until it is answered."""
    connection, upto = broker.meter(meter), 0
    client = aiomqtt.Client(
        connection.host, connection.port, username=connection.user, password=connection.password, timeout=60
    )
    async with client:
        await client.subscribe(topic(meter, ACK), qos=1)
        for message in messages:
            wanted = max((each["sequence"] for each in message if each["meter"] == f"0x{meter.hex()}"), default=0)
            while upto < wanted:
                await client.publish(topic(meter, READING), to_json(message), qos=1)
                with suppress(TimeoutError):
                    upto = from_json(await broker_cases.until(client, topic(meter, ACK), 5))["upto"]
            if not wanted:
                await client.publish(topic(meter, READING), to_json(message), qos=1)
    return upto


async def _until(true: Callable[[], bool]) -> None:
    for _ in range(3_000):
        if true():
            return
        await asyncio.sleep(0.02)
    raise AssertionError


def test_what_whoever_signs_has_to_know_is_public(tmp_path: Path) -> None:
    box = Box(tmp_path, closed=False)

    async def test() -> None:
        gate = box.exchange.next_gate
        assert gate
        box.clock = gate.at - 7
        told = (await box.client.get("/v1/community")).json()
        domain = box.exchange.domain
        assert (told["chainId"], told["settlement"]) == (domain.chain_id, f"0x{domain.contract.hex()}")
        assert (told["slotSeconds"], told["slotOffset"], told["now"]) == (HOUR, 0, gate.at - 7)
        assert told["nextGate"] == {"at": gate.at, "firstSlot": box.starts[0], "slots": 8}
        well = await box.client.get("/healthz")
        assert (well.status_code, well.json()) == (200, {"status": "ok"})
        box.village.live.behind = "The node does not answer."
        gone = await box.client.get("/healthz")
        assert (gone.status_code, gone.json()["detail"]) == (503, "The node does not answer.")

    run(box, test)
    box.running.close()
    box.village.simulation.close()


def test_the_interface_says_what_it_takes(box: Box) -> None:
    async def test() -> None:
        described = (await box.client.get("/v1/openapi.json")).json()
        operation = described["paths"]["/v1/readings"]["post"]
        assert set(operation["responses"]) == {"200", "413", "422", "429", "503"}
        order = described["paths"]["/v1/orders"]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert set(order["items"]["required"]) < set(order["items"]["properties"])
        reading = operation["requestBody"]["content"]["application/json"]["schema"]["items"]
        assert sorted(reading["required"]) == sorted(reading["properties"])
        assert reading["required"] == list(signed_json(box.reading(0, 0)))
        assert "Problem" in described["components"]["schemas"]

    run(box, test)
