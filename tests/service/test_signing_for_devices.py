"""Devices that cannot sign, at an exchange's real broker: their messages become signed readings and settled slots."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import aiomqtt
import httpx
import pytest
from emulator_cases import HOUR, Served
from exchange_cases import until
from telegram_cases import answered, minutes, notified, p1

from commonwatt.exchange import tables
from commonwatt.exchange.personal import Place, readings
from commonwatt.exchange.rows import box_signed
from commonwatt.ledger.keyfile import write_key
from commonwatt.meter.protocol import signed_json
from commonwatt.meter.slots import RESET
from commonwatt.meter.telegrams import Settings
from commonwatt.proof import sign
from commonwatt.records import Reading
from commonwatt.service import devices, listening, serving, signing
from commonwatt.service.access import Access
from commonwatt.service.connection import Connection
from commonwatt.service.devices import Device
from commonwatt.service.logins import LISTENER
from commonwatt.service.signing import Signing, Watch
from commonwatt.service.topics import name, topic

PLUG, CLAMP = "cellar", "shellypro3em-0123456789ab"
SENSOR, NOTIFY, ANSWER = f"tele/{PLUG}/SENSOR", f"{CLAMP}/events/rpc", f"commonwatt/{CLAMP}/rpc"


class Boxed(Served):
    """An exchange that has the keys of its homes' meters: the first has a Tasmota plug, the second a Shelly clamp, and
    the third a P1 port at a serial line, whose other end is `line`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, broker=True)
        self.box = folder / "box"
        self.keys = [self.homes.meters[member].key for member in range(5)]
        self.line, port = os.openpty()
        self.put(0, Device(b"", "tasmota", Settings(topic=PLUG)))
        self.put(1, Device(b"", "shelly", Settings(topic=CLAMP)))
        self.put(2, Device(b"", "dsmr", place=os.ttyname(port)))

    def put(self, member: int, device: Device) -> None:
        """A device's file, with the key of the member's meter."""
        place = self.box / devices.FOLDER
        place.mkdir(parents=True, exist_ok=True)
        file = place / f"{name(self.keys[member].address)}.toml"
        if not file.exists():
            write_key(file.with_suffix(".key"), self.keys[member])
        devices._write(file, device)

    def beside(self) -> list[Coroutine[Any, Any, None]]:
        assert self.broker
        access = Access(self.broker.broker.control(), self.broker.passwords)
        self.work = Signing(self.running, self.box, self.broker.broker.connection(LISTENER))
        return [serving._let_in(access, self.running, self.work), self.signing()]

    async def signing(self) -> None:
        """Go on, and begin anew from the store where `restart` has ended it."""
        while True:
            self.task = asyncio.create_task(self.work.run())
            await asyncio.gather(self.task, return_exceptions=True)
            self.running.watches.clear()
            assert self.broker
            self.work = Signing(self.running, self.box, self.broker.broker.connection(LISTENER))

    def restart(self) -> None:
        before = self.task
        self._loop.call_soon_threadsafe(before.cancel)
        until(lambda: self.task is not before)
        self.ready()

    def watch(self, member: int) -> Watch:
        until(lambda: self.keys[member].address in self.running.watches)
        return self.running.watches[self.keys[member].address]

    def login(self, member: int) -> Connection:
        assert self.broker
        return self.broker.meter(self.keys[member].address)

    def say(self, member: int, at: float, where: str, payload: bytes, *, retain: bool = False) -> None:
        """Have a device say something at a time [unix s]."""
        self.clock = int(at)

        async def publish() -> None:
            async with self.login(member).client() as client:
                await client.publish(where, payload, qos=1, retain=retain)

        asyncio.run(publish())

    def counts(self, member: int, at: float, where: str, payload: bytes) -> None:
        """The same, of which a sample is made."""
        self.say(member, at, where, payload)
        until(lambda: self.watch(member).kept.heard == int(at) * 1000)

    def ready(self) -> None:
        """Wait until all are listened to, and may come."""

        def come() -> bool:
            try:
                for member in range(2):
                    self.say(member, self.clock, "nowhere", b"")
            except aiomqtt.MqttError:
                return False
            return not any(self.watch(member).trouble for member in range(2))

        until(come, 120)

    def counted(self, member: int, slot: int) -> list[tuple[int, int]]:
        """What the member's readings of a slot say came in and went out [Wh]."""
        found = self.ask(readings, self.exchange.store, member, Place(0, 0), 100).entries
        return [(each["whIn"], each["whOut"]) for each in found if each["slot"] == slot]


@pytest.fixture(scope="module")
def boxed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boxed]:
    with pytest.MonkeyPatch.context() as patch:
        for module, pause in ((signing, "_PAUSE"), (listening, "_AGAIN_SECONDS"), (serving, "_ROSTER_SECONDS")):
            patch.setattr(module, pause, 0.02)
        with Boxed(tmp_path_factory.mktemp("boxed")) as found:
            found.ask(found.live.advance, found.gate.at)
            found.ready()
            yield found


def slot_of(boxed: Boxed, number: int) -> int:
    """Each test has slots of its own."""
    return int(boxed.exchange.rules.period.start) + number * HOUR


def plug(brought: float, taken: float = 1.25) -> bytes:
    return json.dumps({"Time": "2026-06-15T00:00:00", "ENERGY": {"Total": brought, "ExportActive": taken}}).encode()


def clamp(at: float, brought: float, taken: float = 0.0) -> bytes:
    return notified({"ts": at, "emdata:0": {"total_act": brought, "total_act_ret": taken}})


def test_what_a_device_counts_is_signed_and_settles_its_members_slot(boxed: Boxed) -> None:
    slot = slot_of(boxed, 0)
    boxed.counts(0, slot - 10, SENSOR, plug(5.0, 1.0))
    boxed.counts(0, slot + 10, SENSOR, plug(5.02, 1.0))
    boxed.counts(0, slot + HOUR - 10, SENSOR, plug(5.9, 1.25))
    boxed.counts(0, slot + HOUR + 10, SENSOR, plug(5.92, 1.25))
    boxed.clock = slot + HOUR + 60
    until(lambda: boxed.counted(0, slot) == [(900, 250)])
    (row,) = boxed.ask(boxed.exchange.store.rows, tables.readings)
    reading = Reading(boxed.keys[0].address, slot, 900, 250, row.sequence)
    assert row.signature == sign(boxed.exchange.domain, reading, boxed.keys[0]).signature
    # With the others' readings the slot is settled by it, and the store says who signed.
    others = [boxed.homes.meters[member].read(slot, 100, 0, 1) for member in range(1, 5)]
    boxed.ask(boxed.live.readings, others, boxed.clock)
    boxed.ask(boxed.live.advance, boxed.clock)
    assert boxed.exchange.store.columns(tables.accounts, ("net",), slot=slot, member=0) == [(650,)]
    assert box_signed(boxed.exchange.store, boxed.exchange.rules.period)[0] == [boxed.keys[0].address]


def test_a_device_writes_to_its_own_topics_alone_and_what_the_broker_kept_does_not_count(boxed: Boxed) -> None:
    slot = slot_of(boxed, 2)
    boxed.counts(0, slot, SENSOR, plug(7.0))
    boxed.say(1, slot + 30, SENSOR, plug(7.5))  # another's topic
    boxed.counts(0, slot + 40, SENSOR, plug(7.01))
    assert 7.5 not in _totals(boxed)
    boxed.say(0, slot + 50, SENSOR, plug(7.02), retain=True)
    boxed.restart()  # to whom listens anew the broker says what it kept
    boxed.counts(0, slot + 60, SENSOR, plug(7.03))
    assert _totals(boxed) == [7.03]


def test_a_device_brings_no_readings_itself(boxed: Boxed) -> None:
    slot = slot_of(boxed, 3)
    own = boxed.homes.meters[0].read(slot_of(boxed, 0), 1, 0, 10**9)  # which would be a correction
    before = boxed.ask(boxed.exchange.store.rows, tables.readings)
    boxed.say(0, slot + 60, topic(boxed.keys[0].address, "reading"), json.dumps(signed_json(own)).encode())
    boxed.counts(0, slot + 70, SENSOR, plug(7.1))
    assert boxed.ask(boxed.exchange.store.rows, tables.readings) == before


def _totals(boxed: Boxed) -> list[float]:
    """What of the plug was heard."""
    return [json.loads(each.payload)["ENERGY"]["Total"] for each in boxed.watch(0).shown if each.topic == SENSOR]


def test_a_restart_in_mid_slot_loses_nothing(boxed: Boxed) -> None:
    slot = slot_of(boxed, 4)
    for at in range(slot - 30, slot + 91, 30):
        boxed.counts(0, at, SENSOR, plug(8.0 + (at - slot) / 1000))
    boxed.restart()
    boxed.counts(0, slot + HOUR - 30, SENSOR, plug(9.0))
    boxed.restart()
    boxed.counts(0, slot + HOUR + 30, SENSOR, plug(9.1))
    boxed.clock = slot + HOUR + 60
    until(lambda: boxed.counted(0, slot) == [(1050, 0)])


def test_the_minutes_of_a_silence_are_asked_for_and_its_slots_filled(boxed: Boxed) -> None:
    slot = slot_of(boxed, 6)
    boxed.counts(1, slot - 60, NOTIFY, clamp(slot - 60, 1000.0))
    boxed.counts(1, slot, NOTIFY, clamp(slot, 1006.0))
    boxed.restart()
    back = slot + 2 * HOUR + 60

    async def answer() -> None:
        """As the device does that counts 6 Wh each minute."""
        async with boxed.login(1).client() as client:
            await client.subscribe(f"{CLAMP}/rpc", qos=1)
            await client.publish(NOTIFY, clamp(back, 1006.0 + 6 * (back - slot) / 60), qos=1)
            first = back
            while first > slot + 60:
                asked = json.loads((await anext(client.messages)).payload)
                first, last = asked["params"]["ts"], asked["params"]["end_ts"]
                assert asked["method"] == "EMData.GetData"
                counts = [6.0] * ((last - first) // 60)
                await client.publish(ANSWER, answered(minutes(first, counts, [0.0] * len(counts))), qos=1)

    boxed.clock = back
    asyncio.run(asyncio.wait_for(answer(), 120))
    until(lambda: boxed.watch(1).watched.filled > 0)
    boxed.clock = back + 30
    until(lambda: boxed.counted(1, slot) == boxed.counted(1, slot + HOUR) == [(360, 0)])


def test_registers_that_were_set_back_are_told_and_count_again_when_an_operator_says_so(boxed: Boxed) -> None:
    slot, token = slot_of(boxed, 10), _operator(boxed)
    assert boxed.watch(0).kept.aside == ()
    boxed.counts(0, slot, SENSOR, plug(20.0))
    for at in (60, 90):
        boxed.counts(0, slot + at, SENSOR, plug(0.1 + at / 10_000))
    boxed.clock = slot + 120
    until(lambda: boxed.watch(0).kept.refused == 4)  # both registers of two samples
    (own,) = _asked(boxed, token, "/v1/operators/quarantine")["devices"]
    assert (own["meter"], own["refused"]) == (name(boxed.keys[0].address), 4)
    assert own["last"][0] == {"at": (slot + 60) * 1000, "register": "import", "value": "106000", "why": RESET}
    devices.begin_anew(boxed.box, boxed.keys[0].address, boxed.clock)
    until(lambda: boxed.watch(0).device.anew == boxed.clock)
    boxed.ready()
    for at, total in ((HOUR - 30, 0.5), (HOUR + 30, 0.6), (2 * HOUR - 30, 1.5), (2 * HOUR + 30, 1.6)):
        boxed.counts(0, slot + at, SENSOR, plug(total))
    boxed.clock = slot + 2 * HOUR + 60
    until(lambda: boxed.counted(0, slot + HOUR) == [(1000, 0)])
    assert boxed.counted(0, slot) == []
    assert _asked(boxed, token, "/v1/operators/quarantine")["devices"] == []


def test_operators_see_how_each_device_is_understood(boxed: Boxed) -> None:
    slot = slot_of(boxed, 13)
    boxed.restart()
    for at in range(0, 61, 30):
        boxed.counts(0, slot + at, SENSOR, plug(30 + at / 1000))
    boxed.say(0, slot + 70, SENSOR, b"no JSON")
    until(lambda: bool(boxed.watch(0).watched.complaint))
    told = _asked(boxed, _operator(boxed), "/v1/operators/devices")["devices"]
    own = next(each for each in told if each["meter"] == name(boxed.keys[0].address))
    assert (own["driver"], own["where"], own["heardAt"], own["trouble"]) == ("tasmota", PLUG, slot + 60, None)
    assert (own["importFrom"], own["unit"], own["seconds"]) == ("ENERGY.Total", "kWh", 30)
    assert own["last"] == {"at": (slot + 60) * 1000, "importMwh": 30_060_000, "exportMwh": 1_250_000, "powerMw": None}
    assert own["missing"] == []
    assert own["notUnderstood"] == "The message is no JSON: 'no JSON'."


def test_a_p1_port_at_a_serial_line_is_read(boxed: Boxed) -> None:
    slot = slot_of(boxed, 15)
    boxed.clock = slot
    until(lambda: not boxed.watch(2).trouble or bool(os.write(boxed.line, b"\n")), 60)
    os.write(boxed.line, p1("000010.500", "000001.250", time=""))
    until(lambda: boxed.watch(2).kept.heard == slot * 1000)
    boxed.clock = slot + 20
    until(lambda: boxed.watch(2).kept.state.series[0].mwh == 10_500_000)


def _operator(boxed: Boxed) -> str:
    operator = boxed.exchange.outbox.quorum[0].address
    sessions = boxed.app.state.entry.sessions
    token, _ = boxed.ask(lambda: sessions.begin(operator, int(boxed.app.state.entry.settings.clock()), stranger=False))
    return str(token)


def _asked(boxed: Boxed, token: str, place: str) -> Any:
    answer = httpx.get(boxed.url + place, headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=120)
    assert answer.status_code == 200, answer.text
    return answer.json()
