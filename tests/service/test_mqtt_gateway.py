"""Readings come in and acknowledgements go out, whatever becomes of broker, messages and takers."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence

import aiomqtt
import pytest
from broker_cases import ALICE, BOB, CAROL, NOW, Running, Taker, reading, serving, until
from broker_cases import running as running

from commonwatt.errors import BrokerError, ConfigError, StoreError
from commonwatt.service import mqtt as mqtt_module
from commonwatt.service.logins import EXCHANGE
from commonwatt.service.mqtt import Gateway, Messages
from commonwatt.service.topics import name, topic


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_module, "_RECONNECT_SECONDS", 0.1)


def clock() -> float:
    return NOW + 0.9


async def answered(meter: aiomqtt.Client, address: bytes, numbers: Sequence[int]) -> list[bytes]:
    """What is acknowledged of readings that a meter sends."""
    await meter.subscribe(topic(address, "ack"))
    for number in numbers:
        await meter.publish(*reading(address, number), qos=1)
    return [await until(meter, topic(address, "ack")) for _ in numbers]


def acks(address: bytes, numbers: Sequence[int]) -> list[bytes]:
    return [b"ack of " + reading(address, number)[1] for number in numbers]


def test_each_reading_is_taken_once_and_acknowledged_to_its_meter(running: Running) -> None:
    taker = Taker()

    async def run() -> tuple[list[bytes], list[bytes], Gateway]:
        async with (
            serving(Gateway(running.exchange, taker, clock)) as gateway,
            running.meter(ALICE).client() as alice,
            running.meter(BOB).client() as bob,
        ):
            first, second = await asyncio.gather(answered(alice, ALICE, range(20)), answered(bob, BOB, range(20)))
            return first, second, gateway

    alice, bob, gateway = asyncio.run(run())
    assert (alice, bob) == (acks(ALICE, range(20)), acks(BOB, range(20)))
    expected = [(meter, reading(meter, number)[1]) for meter in (ALICE, BOB) for number in range(20)]
    assert sorted(taker.taken) == sorted(expected)
    assert (gateway.counts.messages, gateway.counts.acknowledged, gateway.counts.connections) == (40, 40, 1)


def test_what_waits_is_taken_together_and_never_more_than_a_thousand(running: Running) -> None:
    taker, gate = Taker(), asyncio.Event()

    async def slow(messages: Messages) -> Messages:
        await gate.wait()
        return await taker(messages)

    async def run() -> None:
        async with serving(Gateway(running.exchange, slow, clock)), running.meter(ALICE).client() as alice:
            await alice.subscribe(topic(ALICE, "ack"))
            await alice.publish(*reading(ALICE, 0), qos=1)
            await asyncio.sleep(0.3)
            for number in range(1, 2301):
                await alice.publish(*reading(ALICE, number))
            await alice.publish(*reading(ALICE, 2301), qos=1)
            await asyncio.sleep(0.5)
            gate.set()
            for _ in range(2302):
                await until(alice, topic(ALICE, "ack"))

    asyncio.run(run())
    assert max(taker.batches) == 1000
    assert taker.batches[0] == 1
    assert len(taker.batches) < 20
    assert [json.loads(payload)["sequence"] for _, payload in taker.taken] == list(range(2302))


def test_a_meter_that_joins_is_heard_without_a_new_connection(running: Running) -> None:
    async def run() -> tuple[list[bytes], int]:
        async with serving(Gateway(running.exchange, Taker(), clock)) as gateway:
            await running.access.join(CAROL)
            async with running.meter(CAROL).client() as carol:
                return await answered(carol, CAROL, [1]), gateway.counts.connections

    assert asyncio.run(run()) == (acks(CAROL, [1]), 1)


def test_a_broker_that_is_killed_comes_back_and_what_was_not_acknowledged_is_sent_again(running: Running) -> None:
    taker = Taker()

    async def run() -> tuple[list[bytes], int, bool]:
        gateway = Gateway(running.exchange, taker, clock)
        async with serving(gateway):
            async with running.meter(ALICE).client() as alice:
                before = await answered(alice, ALICE, range(3))
                running.broker.kill()
                with pytest.raises(aiomqtt.MqttError):
                    await until(alice, topic(ALICE, "ack"))
            while gateway.connected:
                await asyncio.sleep(0.01)
            with pytest.raises(BrokerError, match="is away"):
                await gateway.tell(ALICE, "demand", b"1")
            await asyncio.to_thread(running.broker.start)
            async with asyncio.timeout(60):
                await gateway.wait_connected()
            async with running.meter(ALICE).client() as alice:
                return before + await answered(alice, ALICE, range(3, 6)), gateway.counts.connections, gateway.connected

    found, connections, connected = asyncio.run(run())
    assert found == acks(ALICE, range(6))
    assert connected
    assert connections == 2
    assert [json.loads(payload)["sequence"] for _, payload in taker.taken] == list(range(6))


def test_what_came_while_the_exchange_was_away_waits_at_the_broker(running: Running) -> None:
    taker = Taker()

    async def run() -> bytes:
        async with serving(Gateway(running.exchange, taker, clock)):
            pass
        async with running.meter(ALICE).client() as alice:
            await alice.subscribe(topic(ALICE, "ack"))
            await alice.publish(*reading(ALICE, 7), qos=1)
            async with serving(Gateway(running.exchange, taker, clock)):
                return await until(alice, topic(ALICE, "ack"))

    assert [asyncio.run(run())] == acks(ALICE, [7])


def test_an_exchange_that_may_not_listen_is_no_connection_until_its_role_is_put_right(running: Running) -> None:
    deaf = {"command": "modifyRole", "rolename": EXCHANGE.name, "acls": []}

    async def run() -> tuple[bool, list[bytes]]:
        await running.access._do([deaf])
        gateway = Gateway(running.exchange, Taker(), clock)
        task = asyncio.create_task(gateway.run())
        await asyncio.sleep(0.5)
        early = gateway.connected
        await running.access.reconcile([ALICE, BOB])
        async with asyncio.timeout(60):
            await gateway.wait_connected()
        async with running.meter(ALICE).client() as alice:
            found = await answered(alice, ALICE, [1])
        task.cancel()
        return early, found

    assert asyncio.run(run()) == (False, acks(ALICE, [1]))


def test_the_loss_of_the_broker_is_told_once_and_without_the_password(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        gateway = Gateway(running.exchange, Taker(), clock)
        async with serving(gateway):
            running.broker.kill()
            while gateway.connected:
                await asyncio.sleep(0.01)
            await asyncio.sleep(1)

    with caplog.at_level(logging.WARNING):
        asyncio.run(run())
    told = [record.getMessage() for record in caplog.records]
    assert 1 <= len(told) <= 2
    assert all("cannot be used by exchange" in each for each in told)
    assert running.exchange.password not in caplog.text


@pytest.mark.parametrize("payload", [b"", b"\xff\x00", b"[" * 60_000, b'{"sequence": NaN}'])
def test_a_payload_that_nobody_can_read_is_handed_over_as_it_is(running: Running, payload: bytes) -> None:
    taker = Taker()

    async def run() -> list[bytes]:
        async with serving(Gateway(running.exchange, taker, clock)), running.meter(ALICE).client() as alice:
            await alice.publish(topic(ALICE, "reading"), payload, qos=1)
            await answered(alice, ALICE, [1])
            return [each for _, each in taker.taken]

    assert asyncio.run(run()) == [payload, reading(ALICE, 1)[1]]


def test_one_message_that_breaks_the_taker_holds_up_no_other(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    taken: Messages = []

    async def take(messages: Messages) -> Messages:
        await asyncio.sleep(0.2)
        for _, payload in messages:
            assert payload != b"poison"
        taken.extend(messages)
        return messages

    async def run() -> tuple[list[bytes], Gateway]:
        async with serving(Gateway(running.exchange, take, clock)) as gateway, running.meter(ALICE).client() as alice:
            await alice.subscribe(topic(ALICE, "ack"))
            for payload in (b"1", b"2", b"poison", b"3"):
                await alice.publish(topic(ALICE, "reading"), payload, qos=1)
            return [await until(alice, topic(ALICE, "ack")) for _ in range(3)], gateway

    found, gateway = asyncio.run(run())
    assert found == [b"1", b"2", b"3"]
    assert taken == [(ALICE, each) for each in found]
    assert gateway.counts.failed == 1
    assert f"A message of meter {name(ALICE)} cannot be taken." in caplog.text


def test_readings_that_cannot_be_stored_stay_without_an_answer_until_they_come_again(running: Running) -> None:
    full = True

    async def take(messages: Messages) -> Messages:
        if full:
            raise StoreError("The disk is full.")
        return messages

    async def run() -> tuple[bytes, int, int]:
        nonlocal full
        async with serving(Gateway(running.exchange, take, clock)) as gateway, running.meter(ALICE).client() as alice:
            await alice.subscribe(topic(ALICE, "ack"))
            await alice.publish(topic(ALICE, "reading"), b"1", qos=1)
            while not gateway.counts.failed:
                await asyncio.sleep(0.01)
            full = False
            await alice.publish(topic(ALICE, "reading"), b"1 again", qos=1)
            return await until(alice, topic(ALICE, "ack")), gateway.counts.failed, gateway.counts.acknowledged

    assert asyncio.run(run()) == (b"1 again", 1, 1)


def test_status_and_live_values_are_noticed_and_a_fault_there_stops_nothing(running: Running) -> None:
    noticed: list[tuple[bytes, str, bytes]] = []

    def notice(meter: bytes, word: str, payload: bytes) -> None:
        noticed.append((meter, word, payload))
        assert payload != b"bad"

    async def run() -> None:
        async with (
            serving(Gateway(running.exchange, Taker(), clock, notice)),
            running.meter(ALICE).client() as alice,
        ):
            for word, payload in (("live", b"bad"), ("live", b"230"), ("status", b"online")):
                await alice.publish(topic(ALICE, word), payload, qos=1)
            await answered(alice, ALICE, [1])

    asyncio.run(run())
    assert noticed == [(ALICE, "live", b"bad"), (ALICE, "live", b"230"), (ALICE, "status", b"online")]


def test_meters_are_told_the_time_unless_nothing_vouches_for_it(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_module, "_TIME_SECONDS", 0.05)
    now: float | None = None

    async def run() -> tuple[bytes, bool]:
        nonlocal now
        async with running.meter(ALICE).client() as alice:
            await alice.subscribe("cw/time")
            async with serving(Gateway(running.exchange, Taker(), lambda: now)):
                await asyncio.sleep(0.5)
                early = len(alice.messages)
                now = clock()
                first = await until(alice, "cw/time")
                await until(alice, "cw/time")
            async with running.meter(BOB).client() as bob:
                await bob.subscribe("cw/time")
                await asyncio.sleep(0.2)
                return first, not early and not len(bob.messages)

    told, fresh = asyncio.run(run())
    assert json.loads(told) == {"time": NOW}
    assert fresh


def test_a_meter_is_told_its_plan_and_finds_it_when_it_comes_back(running: Running) -> None:
    async def run() -> list[bytes]:
        async with serving(Gateway(running.exchange, Taker(), clock)) as gateway:
            await gateway.tell(ALICE, "plan", b"later", retain=True)
            async with running.meter(ALICE).client() as alice:
                await alice.subscribe(topic(ALICE, "#"), qos=1)
                found = [await until(alice, topic(ALICE, "plan"))]
                await gateway.tell(ALICE, "demand", b"now")
                return [*found, await until(alice, topic(ALICE, "demand"))]

    assert asyncio.run(run()) == [b"later", b"now"]


def test_without_its_packages_a_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, running: Running
) -> None:
    monkeypatch.setattr("commonwatt.service.connection.find_spec", lambda _: None)

    async def run() -> None:
        await Gateway(running.exchange, Taker(), clock).run()

    with pytest.raises(ConfigError, match=r'pip install "commonwatt\[live\]"'):
        asyncio.run(run())
