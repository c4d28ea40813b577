"""The firmware as a process, the real broker, and an exchange that believes signatures alone: nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from firmware_cases import needs_micropython
from firmware_runs import STRANGER, Home, hearing, until
from services import Mosquitto

pytestmark = needs_micropython


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    running = Mosquitto()
    running.start()
    yield running
    running.remove()


@pytest.fixture
def home(firmware: Path, tmp_path: Path, broker: Mosquitto) -> Iterator[Home]:
    meter = Home(firmware, tmp_path / "meter", broker.port)
    meter.start()
    yield meter
    meter.cut()


def test_through_a_dead_broker_and_a_power_cut_every_reading_arrives_and_each_number_counts_once(
    broker: Mosquitto, home: Home
) -> None:
    async def run() -> None:
        async with hearing(broker.port) as exchange:
            await until(lambda: len(exchange.readings) >= 2, home)
            exchange.acknowledging = False
            heard, messages = len(exchange.readings), exchange.messages
            # The same again and again, and nothing newer beyond what one message takes.
            await until(lambda: len(exchange.readings) > heard and exchange.messages > messages + 2, home)
            broker.kill()
            last = max(home.waiting)
            await until(lambda: max(home.waiting) >= last + 2, home)
            home.cut()
            kept = home.waiting
            assert len(kept) >= 3
            home.start()
            broker.start()
            exchange.acknowledging = True
            await until(lambda: len(exchange.readings) >= max(kept) + 3 and len(home.waiting) <= 1, home)
            assert kept <= set(exchange.readings)
            assert sorted(exchange.readings) == list(range(1, len(exchange.readings) + 1))
            slots = [exchange.readings[number].slot for number in sorted(exchange.readings)]
            assert slots == sorted(set(slots))
            assert all(slot % 2 == 0 for slot in slots)
            assert sum(reading.wh_in for reading in exchange.readings.values()) > 0
            assert sum(reading.wh_out for reading in exchange.readings.values()) > 0

    asyncio.run(run())


def test_a_demand_of_an_operator_is_obeyed_and_nothing_else_disturbs_the_meter(broker: Mosquitto, home: Home) -> None:
    async def run() -> None:
        async with hearing(broker.port) as exchange:
            await until(lambda: exchange.readings, home)
            assert not exchange.status[-1]["relay"]
            for topic in ("demand", "ack"):
                for payload in (
                    b"",
                    b"\xff\xfe",
                    b"{}",
                    b"[1]",
                    b"7",
                    b"null",
                    b'{"upto": "x", "time": 1}',
                    b"[" * 3000,
                ):
                    await exchange.send(topic, payload)
            await exchange.send("demand", b" " * 10_000)
            await until(lambda: "longer than a meter takes" in home.console, home)
            await exchange.demand(1, 800, key=STRANGER)
            await until(lambda: "no operator signed it" in home.console, home)
            await exchange.demand(1, 800)
            await until(lambda: exchange.status[-1]["reports"], home)
            assert [status["relay"] for status in exchange.status if status.get("demand") == 1][-2:] == [True, False]
            (report,) = exchange.status[-1]["reports"]
            assert (report["number"], report["reason"]) == (1, "delivered")
            assert report["mwh"] >= 800
            heard = len(exchange.readings)
            await until(lambda: len(exchange.readings) > heard, home)

    asyncio.run(run())


def test_a_meter_that_is_gone_is_shown_as_offline_and_finds_the_demand_that_came_meanwhile(
    broker: Mosquitto, home: Home
) -> None:
    async def run() -> None:
        async with hearing(broker.port) as exchange:
            await until(lambda: exchange.live and exchange.status, home)
            assert exchange.status[-1]["online"]
            assert 200 < exchange.live[-1]["V"] < 260
            home.cut()
            await until(lambda: not exchange.status[-1]["online"], home)
            await exchange.demand(1, 500)
            home.start()
            await until(lambda: exchange.status[-1].get("reports"), home)
            assert exchange.status[-1]["reports"][0]["reason"] == "delivered"

    asyncio.run(run())
