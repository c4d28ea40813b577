"""Signed readings reach the exchange by the real broker, whatever is killed meanwhile, and each counts once."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import aiomqtt
import pytest
from broker_cases import Running, serving

from commonwatt.meter import SimulatedMeter
from commonwatt.meter.protocol import (
    STORED,
    Acknowledgement,
    DeviceOutbox,
    InService,
    Judgement,
    Known,
    SlotRules,
    acknowledge,
    judge,
    readings_of,
    signed_json,
)
from commonwatt.proof import Domain, Key
from commonwatt.records import Reading, Signed
from commonwatt.service.mqtt import Gateway, Messages
from commonwatt.service.topics import topic

DOMAIN = Domain(1, bytes(19) + b"\1")
METERS = [SimulatedMeter(Key.derive(b"test", f"meter {number}"), DOMAIN) for number in range(3)]
SLOT = 1_781_481_600
READINGS = 30
NOW = SLOT + READINGS * 900


class Inbox:
    """The exchange's side: readings that were judged, each stored one once, in memory."""

    def __init__(self) -> None:
        self.stored: list[Signed[Reading]] = []
        self._known: dict[tuple[bytes, int], Known] = {}

    async def take(self, messages: Messages) -> Messages:
        answers = []
        for meter, payload in messages:
            judged = [
                (each.record, self._judge(meter, each)) for each in readings_of(payload) if isinstance(each, Signed)
            ]
            if answer := acknowledge(judged, NOW):
                answers.append((meter, json.dumps(answer.as_json()).encode()))
        return answers

    def _judge(self, meter: bytes, signed: Signed[Reading]) -> Judgement:
        key = (signed.record.meter, signed.record.slot)
        known = (self._known[key],) if key in self._known else ()
        judgement = judge(DOMAIN, known, signed, NOW, InService(meter, 0), SlotRules())
        if judgement.status == STORED:
            self.stored.append(signed)
            self._known[key] = Known(signed.record.sequence, signed.hash)
        return judgement


class Device:
    """A meter that counts a slot each few milliseconds and keeps readings until they are acknowledged."""

    def __init__(self, running: Running, meter: SimulatedMeter) -> None:
        self._running, self._meter, self._address = running, meter, meter.key.address
        self.outbox = DeviceOutbox(self._address)
        self.counted = [meter.read(SLOT + 900 * number, 100 + number, 0, number + 1) for number in range(READINGS)]

    async def run(self) -> None:
        counting = asyncio.create_task(self._count())
        while not counting.done() or self.outbox.waiting:
            with suppress(aiomqtt.MqttError, TimeoutError):
                await self._connected(counting)
            await asyncio.sleep(0.05)

    async def _count(self) -> None:
        for signed in self.counted:
            self.outbox = self.outbox.add(signed)
            await asyncio.sleep(0.05)

    async def _connected(self, counting: asyncio.Task[None]) -> None:
        """One connection; without an answer for a second another one is made."""
        async with self._running.meter(self._address).client() as client:
            await client.subscribe(topic(self._address, "ack"))
            self.outbox = self.outbox.connected()
            while not counting.done() or self.outbox.waiting:
                self.outbox, message = self.outbox.send(0)
                if message:
                    payload = json.dumps([signed_json(each) for each in message])
                    await client.publish(topic(self._address, "reading"), payload)
                if not self.outbox.waiting:
                    await asyncio.sleep(0.01)
                    continue
                async with asyncio.timeout(1):
                    answer = (await anext(client.messages)).payload
                assert isinstance(answer, bytes)
                self.outbox = self.outbox.acknowledged(Acknowledgement.from_payload(answer))


@pytest.mark.parametrize("what", ["nothing", "the broker", "the exchange"])
def test_each_reading_is_stored_once_and_forgotten_by_its_meter(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("commonwatt.service.mqtt._RECONNECT_SECONDS", 0.1)
    running, inbox = Running([meter.key.address for meter in METERS]), Inbox()

    async def run() -> list[Device]:
        devices = [Device(running, meter) for meter in METERS]
        working = asyncio.gather(*(device.run() for device in devices))
        if what == "the exchange":
            for _ in range(3):
                async with serving(Gateway(running.exchange, inbox.take, lambda: NOW)):
                    await asyncio.sleep(0.3)
                await asyncio.sleep(0.3)
        async with serving(Gateway(running.exchange, inbox.take, lambda: NOW)), asyncio.timeout(120):
            if what == "the broker":
                for _ in range(3):
                    await asyncio.sleep(0.4)
                    running.broker.kill()
                    await asyncio.sleep(0.2)
                    await asyncio.to_thread(running.broker.start)
            await working
        return devices

    try:
        devices = asyncio.run(run())
    finally:
        running.remove()
    assert [device.outbox.waiting for device in devices] == [()] * len(METERS)
    counted = [signed.signature for device in devices for signed in device.counted]
    assert sorted(signed.signature for signed in inbox.stored) == sorted(counted)
