"""What meters are told of their homes, and homes tell of themselves: over HTTP, and by the broker's kept message."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiomqtt
import broker_cases
import httpx
import numpy as np
import pytest
from live_cases import Village
from pydantic_core import to_json

from commonwatt.errors import RecordError, StoreError
from commonwatt.exchange import rows
from commonwatt.exchange.founding import NO_METER
from commonwatt.exchange.told import MeterPlan, Told, by_meter, told
from commonwatt.service.api.app import application
from commonwatt.service.api.limits import Allowance
from commonwatt.service.api.settings import Settings
from commonwatt.service.broker import SECRET
from commonwatt.service.logins import Passwords
from commonwatt.service.mqtt import Gateway
from commonwatt.service.plans import Plans, plan_json, plan_told
from commonwatt.service.running import Running
from commonwatt.service.topics import PLAN, name, topic
from commonwatt.units import MAX_ORDER_WH

HOUR = 3600


class Door:
    """A living exchange before its gate, and its application."""

    def __init__(self, folder: Path) -> None:
        self.village = Village(folder)
        self.exchange, self.live, self.store = self.village.exchange, self.village.live, self.village.exchange.store
        self.gate = self.exchange.rules.events[0]
        self.first = int(self.exchange.rules.period.start)
        self.running = Running(self.live, lambda: self.gate.at - 1)
        self.passwords = Passwords.kept(folder / SECRET)
        app = application(self.running, Settings(per_address=Allowance(10_000, 100_000)), passwords=self.passwords)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://box")
        self.meters = [self.village.homes.meters[home].key.address for home in range(5)]

    def close_gate(self) -> None:
        self.village._declare(self.exchange.next_gate, self.gate.at - HOUR)  # type: ignore[arg-type]
        self.live.advance(self.gate.at)

    async def ask(self, home: int, word: str, *, by: int | None = None, **options: Any) -> httpx.Response:
        """A meter's question; by : of another one"""
        asking = name(self.meters[home if by is None else by])
        options = {"auth": (asking, self.passwords.of(asking)), **options}
        method = "PUT" if word == "outlook" else "GET"
        return await self.client.request(method, f"/v1/meters/{name(self.meters[home])}/{word}", **options)

    def expected(self, home: int) -> dict[str, Any]:
        """What a home has to be told of the slots whose gate has closed."""
        slots = [told(each) for _, each in sorted(self.exchange.committed.items())]
        columns = {key: [int(getattr(each, key)[home]) for each in slots] for key in ("bought", "sold", "cap")}
        return {"first": slots[0].slot, "seconds": HOUR, **columns}


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    found = Door(tmp_path)
    yield found
    found.running.close()
    found.village.simulation.close()


def run(door: Door, test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        async with door.client:
            await test()

    asyncio.run(whole())


def test_a_meter_is_told_what_its_home_bought_sold_and_may_feed_in(door: Door) -> None:
    async def test() -> None:
        before = (await door.ask(0, "plan")).json()
        assert before == {"first": door.first, "seconds": HOUR, "bought": [], "sold": [], "cap": []}
        door.close_gate()
        found = [(await door.ask(home, "plan")).json() for home in range(5)]
        assert found == [door.expected(home) for home in range(5)]
        bought, sold = (np.array([each[key] for each in found]) for key in ("bought", "sold"))
        assert bought.sum() == sold.sum() > 0
        assert door.live.plans() == {
            meter: plan_told(plan, HOUR) for meter, plan in zip(door.meters, found, strict=True)
        }
        # Of what has ended it is told when it asks for that, and by an exchange that was killed, too.
        door.village._deliver(door.first + 2 * HOUR, lambda _slot, _home: 0)
        door.village._arrive([signed for _, signed in door.village.on_the_way], door.first + 2 * HOUR)
        door.live.advance(door.first + 2 * HOUR)
        assert (await door.ask(1, "plan")).json() == door.expected(1)
        assert door.expected(1)["first"] == door.first + 2 * HOUR
        assert (await door.ask(1, "plan", params={"since": door.first})).json() == found[1]
        later = (await door.ask(1, "plan", params={"since": door.first + 7 * HOUR})).json()
        assert (later["first"], later["cap"]) == (door.first + 7 * HOUR, found[1]["cap"][7:])
        assert rows.read_told(door.store, 1, door.first, door.first + HOUR, 200)[0][1] == found[1]["bought"][0]

    run(door, test)


def test_a_home_says_what_it_plans_until_the_gate_closes(door: Door) -> None:
    async def test() -> None:
        async def say(net: list[int], first: int = door.first) -> int:
            return (await door.ask(2, "outlook", content=to_json({"first": first, "net": net}))).status_code

        assert [await say([100, -200, 300]), await say([100, -200, 300]), await say([7], door.first + HOUR)] == [
            204
        ] * 3
        net, said = rows.read_planned(door.store, door.exchange.rules.period, 5)
        assert (net[2, :4].tolist(), said.sum()) == ([100, 7, 300, 0], 3)
        assert [await say([1], door.first + 1), await say([1], door.first + 30 * 86_400)] == [409] * 2
        assert await say([1], 0) == 409
        door.live.advance(door.gate.at)
        late = await door.ask(2, "outlook", content=to_json({"first": door.first, "net": [1]}))
        assert (late.status_code, late.headers["content-type"]) == (409, "application/problem+json")
        assert "No gate is open for slot" in late.json()["detail"]
        assert rows.read_planned(door.store, door.exchange.rules.period, 5)[0][2, :4].tolist() == [100, 7, 300, 0]

    run(door, test)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422), (b"[]", 422), (b"{}", 422), (b'{"first": 1, "net": []}', 422), (b'{"first": 1.0, "net": [1]}', 422),
        (b'{"first": 1, "net": [NaN]}', 422), (b'{"first": 1, "net": ["1"]}', 422), (b'{"first": -1, "net": [1]}', 422),
        (to_json({"first": 1, "net": [MAX_ORDER_WH + 1]}), 422), (to_json({"first": 1, "net": [0] * 1_501}), 422),
        (b'{"first": 1, "net": [1], "more": 1}', 422), (b'{"first": 1, "net": [true]}', 422), (b" " * 1_100_000, 413),
    ],
)  # fmt: skip
def test_nonsense_is_answered_in_a_sentence_and_nothing_of_it_is_kept(door: Door, body: bytes, status: int) -> None:
    async def test() -> None:
        answer = await door.ask(0, "outlook", content=body)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        assert answer.json()["detail"].endswith(".")
        assert not rows.read_planned(door.store, door.exchange.rules.period, 5)[1].any()

    run(door, test)


def test_a_meter_asks_for_itself_alone(door: Door) -> None:
    async def test() -> None:
        own, stranger = name(door.meters[0]), name(bytes([7]) * 20)
        body = to_json({"first": door.first, "net": [1]})
        for word in ("plan", "outlook"):
            asked = [
                await door.ask(0, word, content=body, auth=None),
                await door.ask(0, word, content=body, auth=(own, "guessed")),
                await door.ask(0, word, content=body, auth=(own, door.passwords.of(name(door.meters[1])))),
                await door.ask(0, word, content=body, auth=("exchange", "")),
                await door.ask(0, word, content=body, auth=None, headers={"Authorization": "Basic ?"}),
                await door.ask(0, word, content=body, by=1),
            ]
            assert [each.status_code for each in asked] == [*[401] * 5, 403]
            assert asked[0].headers["www-authenticate"].startswith("Basic")
            unknown = await door.client.request(
                "PUT" if word == "outlook" else "GET", f"/v1/meters/{stranger}/{word}", content=body,
                auth=(stranger, door.passwords.of(stranger)),
            )  # fmt: skip
            strange = await door.client.request(
                "PUT" if word == "outlook" else "GET", f"/v1/meters/me/{word}", content=body,
                auth=(own, door.passwords.of(own)),
            )  # fmt: skip
            assert (unknown.status_code, strange.status_code) == (404, 404)
            for each in (*asked, unknown, strange):
                assert each.headers["content-type"] == "application/problem+json"
                assert each.json()["detail"].endswith(".")
        assert not rows.read_planned(door.store, door.exchange.rules.period, 5)[1].any()
        assert (await door.ask(0, "plan", params={"since": "now"})).status_code == 422

    run(door, test)


def test_a_meter_hears_of_its_own_slots_alone() -> None:
    first, second = (bytes([number]) * 20 for number in (1, 2))
    column = np.array([5, 6])
    slots = [Told(HOUR * number, column + number, column * 0, column * 10) for number in range(3)]
    # The first member has another meter from the second slot on; a third one has joined since the gate.
    meters = [(first, NO_METER), (second, NO_METER), (second, NO_METER, bytes([3]) * 20)]
    assert by_meter(zip(slots, meters, strict=True)) == {
        first: MeterPlan(0, (5,), (0,), (50,)),
        second: MeterPlan(HOUR, (6, 7), (0, 0), (50, 50)),
    }


@pytest.mark.parametrize(
    "change",
    [
        {"first": "0"}, {"first": True}, {"seconds": 900}, {"bought": [1]}, {"cap": [1, -1]}, {"sold": [1, 1.0]},
        {"sold": [0, MAX_ORDER_WH + 1]}, {"more": 1}, {"cap": None},
    ],
)  # fmt: skip
def test_a_plan_that_is_none_is_not_believed(change: dict[str, Any]) -> None:
    plan = MeterPlan(HOUR, (1, 2), (0, 0), (10, 20))
    assert plan_told(plan_json(plan, HOUR), HOUR) == plan
    with pytest.raises(RecordError, match="A plan"):
        plan_told({**plan_json(plan, HOUR), **change}, HOUR)


def test_the_broker_keeps_what_a_meter_is_told_and_is_told_again_when_it_lost_it(door: Door) -> None:
    broker = broker_cases.Running(door.meters)

    async def heard() -> Any:
        connection, where = broker.meter(door.meters[1]), topic(door.meters[1], PLAN)
        for _ in range(60):
            with suppress(aiomqtt.MqttError, TimeoutError):
                async with connection.client() as client:
                    await client.subscribe(where, qos=1)
                    return json.loads(await broker_cases.until(client, where, 2))
            await asyncio.sleep(0.1)
        raise AssertionError

    async def test() -> None:
        door.close_gate()
        async with broker_cases.serving(Gateway(broker.exchange, door.running.take, lambda: door.gate.at)) as gateway:
            telling = asyncio.create_task(Plans(door.running, gateway).run())
            assert await heard() == door.expected(1)
            broker.broker.kill()
            (broker.broker.folder / "mosquitto.db").unlink(missing_ok=True)
            await asyncio.to_thread(broker.broker.start)
            assert await heard() == door.expected(1)
            telling.cancel()

    try:
        run(door, test)
    finally:
        broker.remove()


def test_a_store_that_is_away_is_told_in_the_log_once(
    door: Door, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    away, plans, looks = ["The store is away.", "The store is full."], door.live.plans, list[str]()
    broker = broker_cases.Running(door.meters)

    def failing() -> Any:
        looks.append(away[len(looks) > 2])
        if len(looks) > 5:
            return plans()
        raise StoreError(looks[-1])

    def told() -> list[str]:
        own = [each.getMessage() for each in caplog.records if each.name == "commonwatt.service.plans"]
        return [each.removeprefix("Meters cannot be told what is agreed for them: ") for each in own]

    async def test() -> None:
        async with broker_cases.serving(Gateway(broker.exchange, door.running.take, lambda: door.gate.at)) as gateway:
            telling = asyncio.create_task(Plans(door.running, gateway).run())
            async with asyncio.timeout(60):
                while len(looks) < 6:
                    await asyncio.sleep(0.01)
            telling.cancel()

    monkeypatch.setattr(door.live, "plans", failing)
    try:
        run(door, test)
    finally:
        broker.remove()
    assert told() == away
