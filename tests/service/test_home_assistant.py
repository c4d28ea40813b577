"""Home Assistant at the broker, with what a member has to log in there, and the totals that it is told."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiomqtt
import broker_cases
import pytest
from asking_cases import HOUR, Asker, Doors
from services import Mosquitto

from commonwatt.exchange import counters, tables
from commonwatt.exchange.counters import Totals, count, totals
from commonwatt.exchange.founding import NO_METER
from commonwatt.exchange.store import Store
from commonwatt.service import home_assistant
from commonwatt.service.mqtt import Counts, Gateway, Messages
from commonwatt.service.topics import AUTO, name, topic

PAGE = Path(__file__).parents[2] / "docs" / "meters.md"
HOME, OTHER, LATE = 1, 2, 3
REFUSED = 128
"""Of a subscription (MQTT 3.1.1, 3.9.3)."""


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[Doors]:
    found = Doors(tmp_path)
    yield found
    found.close()


def late(slot: int, home: int) -> int:
    """One home's readings come when its slots are settled without them, which is then done anew."""
    return 2 * HOUR if home == LATE and slot // HOUR % 2 else 0


def expected(store: Store) -> dict[int, list[int]]:
    """The totals of what counts in the last revision of each slot."""
    found: dict[int, list[int]] = {}
    revisions = {row.slot: row.revision for row in store.rows(tables.settled)}
    last = {(row.slot, row.member): row for row in store.rows(tables.readings) if row.revision >= 0}
    for row in last.values():
        own = found.setdefault(row.member, [0] * 4)
        own[0] += row.wh_in
        own[1] += row.wh_out
    for row in store.rows(tables.trades):
        if row.revision == revisions[row.slot]:
            found.setdefault(row.buyer, [0] * 4)[2] += row.settled
            found.setdefault(row.seller, [0] * 4)[3] += row.settled
    return found


@pytest.mark.parametrize("at_once", [1, 5, 1_000])
def test_totals_are_those_of_the_last_revisions_and_what_is_told_never_falls(
    at_once: int, doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counters, "_AT_ONCE", at_once)
    doors.whole_day(late)
    store = doors.exchange.store
    assert max(row.revision for row in store.rows(tables.settled)) > 0
    before: dict[int, Totals] = {}
    while count(store):
        now = totals(store)
        for member, told in before.items():
            assert all(a >= b for a, b in zip(now[member], told, strict=True))
        before = now
    sums: dict[int, list[int]] = {}
    for row in store.rows(tables.counters):
        sums.setdefault(row.member, []).append(row.wh)
        assert row.most >= row.wh
    assert sums == expected(store)
    assert sum(own[2] for own in sums.values()) == sum(own[3] for own in sums.values()) > 0
    assert not count(store)


def test_home_assistant_finds_its_home_and_no_other(doors: Doors) -> None:
    doors.whole_day()
    assert count(doors.exchange.store)
    meters = doors.live.roster.at(int(doors.now)).meters
    own, other = meters[HOME], meters[OTHER]
    broker = broker_cases.Running([own, other])

    async def test(_: Asker) -> None:
        gateway = Gateway(broker.exchange, doors.running.take, lambda: doors.now)
        async with broker_cases.serving(gateway), broker.meter(own).client() as client:
            telling = asyncio.create_task(home_assistant.run(doors.running, gateway))
            # As Home Assistant does, where its discovery has the prefix that the documentation says.
            await client.subscribe(f"cw/{name(own)}/homeassistant/device/+/config", qos=1)
            description = await next_message(client)
            parts = json.loads(str(description.payload, "utf-8"))["cmps"]
            wanted = counters_of(doors, HOME)
            for counter, wh in wanted.items():
                await client.subscribe(parts[counter]["state_topic"], qos=1)
                told = await next_message(client)
                assert (told.topic.value, told.retain, told.payload) == (parts[counter]["state_topic"], 1, b"%d" % wh)
            assert parts["auto"]["command_topic"] == topic(own, AUTO)
            for foreign in (f"cw/{name(other)}/homeassistant/device/+/config", "cw/+/total/+", "cw/+/homeassistant/#"):
                (granted,) = await client.subscribe(foreign, qos=1)
                assert granted == REFUSED
            telling.cancel()

    try:
        doors.ask(test)
    finally:
        broker.remove()


def test_a_broker_of_the_home_s_own_fetches_it_with_the_lines_of_the_page(doors: Doors) -> None:
    doors.whole_day()
    assert count(doors.exchange.store)
    meter = doors.live.roster.at(int(doors.now)).meters[HOME]
    said: list[bytes] = []
    box = broker_cases.Running([meter])

    async def test(_: Asker) -> None:
        gateway = Gateway(box.exchange, doors.running.take, lambda: doors.now, lambda *heard: said.extend(heard[2:]))
        with bridged(box, meter) as port:
            async with broker_cases.serving(gateway), aiomqtt.Client("127.0.0.1", port) as home:
                telling = asyncio.create_task(home_assistant.run(doors.running, gateway))
                await home.subscribe("homeassistant/device/+/config", qos=1)
                parts = json.loads(str((await next_message(home)).payload, "utf-8"))["cmps"]
                await home.subscribe(parts["import"]["state_topic"], qos=1)
                assert (await next_message(home)).payload == b"%d" % counters_of(doors, HOME)["import"]
                await home.publish(parts["auto"]["command_topic"], parts["auto"]["payload_on"], qos=1)
                async with asyncio.timeout(60):
                    while said != [b"ON"]:
                        await asyncio.sleep(0.05)
                telling.cancel()

    try:
        doors.ask(test)
    finally:
        box.remove()


@contextmanager
def bridged(box: broker_cases.Running, meter: bytes) -> Iterator[int]:
    """The port of a Mosquitto that fetches from a box what the page says."""
    login = box.meter(meter)
    (lines,) = re.findall("```text\n(topic .*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    found = Mosquitto(
        "allow_anonymous true", "connection box", f"address {login.host}:{login.port}", f"remote_username {login.user}",
        f"remote_password {login.password}", f"remote_clientid {login.user}", "restart_timeout 1",
        re.sub("0x[0-9a-f]{40}", name(meter), lines),
    )  # fmt: skip
    try:
        found.start()
        yield found.port
    finally:
        found.remove()


async def next_message(client: aiomqtt.Client) -> aiomqtt.Message:
    async with asyncio.timeout(60):
        return await anext(aiter(client.messages))


def counters_of(doors: Doors, home: int) -> dict[str, int]:
    """What is not zero of a home's totals."""
    names: Any = ("import", "export", "bought", "sold")
    return {each: wh for each, wh in zip(names, expected(doors.exchange.store)[home], strict=True) if wh}


class Kept(Gateway):
    """A gateway whose broker keeps what it is told to."""

    def __init__(self) -> None:
        self.counts, self.kept = Counts(connections=1), dict[tuple[bytes, str], bytes]()

    async def wait_connected(self) -> None:
        """See `Gateway`."""

    async def tell_all(self, messages: Messages, word: str, *, retain: bool = False) -> None:
        """See `Gateway`."""
        for meter, payload in messages:
            assert retain
            self.kept[meter, word] = payload


def test_the_broker_keeps_nothing_of_a_meter_that_has_left(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    doors.whole_day()
    assert count(doors.exchange.store)
    present = doors.live.roster.at(int(doors.now))
    gone, stays = present.meters[HOME], present.meters[OTHER]
    left = replace(present, meters=tuple(NO_METER if each == gone else each for each in present.meters))
    gateway = Kept()

    async def kept(true: Any) -> None:
        async with asyncio.timeout(60):
            while not true():
                await asyncio.sleep(0.02)

    async def test(_: Asker) -> None:
        monkeypatch.setattr(home_assistant, "_PAUSE", 0.01)
        telling = asyncio.create_task(home_assistant.run(doors.running, gateway))
        await kept(lambda: len(gateway.kept) > 5)
        assert all(gateway.kept.values())
        monkeypatch.setattr(doors.live.roster, "at", lambda _: left)
        await kept(lambda: not any(payload for (meter, _), payload in gateway.kept.items() if meter == gone))
        assert all(payload for (meter, _), payload in gateway.kept.items() if meter == stays)
        telling.cancel()

    doors.ask(test)
