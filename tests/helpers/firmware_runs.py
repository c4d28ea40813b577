"""The firmware as a process with a folder for its flash, and an exchange that hears it through a broker."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiomqtt
from firmware_cases import MICROPYTHON

from commonwatt.meter.delivery import Delivery
from commonwatt.proof import Domain, Key, sign, verify
from commonwatt.records import Reading, Signed
from commonwatt.records.schema import as_json, from_json, to_bytes

DOMAIN = Domain(9, b"\x09" * 20)
METER, OPERATOR, STRANGER = (Key.derive(b"tests", name) for name in ("meter", "operator", "stranger"))
BASE = f"cw/0x{METER.address.hex()}"
# On a busy machine; each wait ends as soon as what it waits for is there.
PATIENCE_S = 240


class Home:
    """A meter in a folder of its own, whose power can go at any time."""

    def __init__(self, firmware: Path, folder: Path, port: int, **broker: Any) -> None:
        self._main, self._folder = firmware / "main.py", folder
        folder.mkdir()
        (folder / "secret").write_bytes(METER.secret)
        config = {
            "separator": DOMAIN.separator.hex(),
            "operators": [OPERATOR.address.hex()],
            "slot_seconds": 2,
            "live_ms": 500,
            "resend_ms": 2000,
            "broker": {"host": "127.0.0.1", "port": port, **broker},
            "simulated": {"ma": [40_000, -25_000]},
        }
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Switch it on."""
        with (self._folder / "console").open("ab") as console:
            self._process = subprocess.Popen(
                [str(MICROPYTHON), str(self._main)], cwd=self._folder, stdout=console, stderr=console
            )

    def cut(self) -> None:
        """Take its power."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(60)
            self._process = None

    @property
    def ended(self) -> bool:
        """Whether it gave up by itself."""
        return self._process is not None and self._process.poll() is not None

    @property
    def waiting(self) -> set[int]:
        """The numbers of the readings that nobody acknowledged."""
        folder = self._folder / "outbox"
        return {int(path.name) for path in folder.iterdir() if "." not in path.name} if folder.exists() else set()

    @property
    def console(self) -> str:
        """What it printed."""
        return (self._folder / "console").read_text(errors="replace")


class Exchange:
    """Hears a meter, checks every signature, and acknowledges what it has without a gap."""

    def __init__(self, port: int, **how: Any) -> None:
        self._port, self._how = port, how
        self.acknowledging = True
        self.readings: dict[int, Reading] = {}
        self.messages = 0
        self.status: list[dict[str, Any]] = []
        self.live: list[dict[str, Any]] = []
        self._client: aiomqtt.Client | None = None

    async def run(self) -> None:
        """Listen, and again whenever the broker is gone."""
        while True:
            with suppress(aiomqtt.MqttError):
                async with aiomqtt.Client("127.0.0.1", self._port, **self._how) as client:
                    await client.subscribe("cw/#", qos=1)
                    self._client = client
                    clock = asyncio.create_task(self._tell_time(client))
                    try:
                        async for message in client.messages:
                            await self._take(str(message.topic), bytes(message.payload))
                    finally:
                        self._client = None
                        clock.cancel()
            await asyncio.sleep(0.2)

    async def send(self, topic: str, payload: Any) -> None:
        """Publish to the meter."""
        assert self._client is not None
        await self._client.publish(f"{BASE}/{topic}", payload, qos=1)

    async def demand(self, number: int, mwh: int, key: Key = OPERATOR) -> None:
        """Demand energy within the next hour."""
        signed = sign(DOMAIN, Delivery(METER.address, number, mwh, int(time.time()) + 3600), key)
        text = json.dumps({**as_json(signed.record), "signature": "0x" + signed.signature.hex()})
        await self.send("demand", text)

    async def _tell_time(self, client: aiomqtt.Client) -> None:
        with suppress(aiomqtt.MqttError):
            while True:
                await client.publish("cw/time", json.dumps({"time": int(time.time())}))
                await asyncio.sleep(0.5)

    async def _take(self, topic: str, payload: bytes) -> None:
        if topic == f"{BASE}/status":
            self.status.append(json.loads(payload))
        elif topic == f"{BASE}/live":
            self.live.append(json.loads(payload))
        elif topic == f"{BASE}/reading":
            self.messages += 1
            for given in json.loads(payload):
                signature = to_bytes(given.pop("signature"), 65)
                reading = from_json(Reading, given)
                verify(DOMAIN, Signed(reading, b"", signature), METER.address)
                assert self.readings.setdefault(reading.sequence, reading) == reading
            if self.acknowledging:
                await self.acknowledge()

    async def acknowledge(self) -> None:
        """Name the last number up to which none is missing."""
        upto = next(number for number in range(1, 10**6) if number not in self.readings) - 1
        await self.send("ack", json.dumps({"upto": upto, "refused": [], "time": int(time.time())}))


@asynccontextmanager
async def hearing(port: int, **how: Any) -> AsyncIterator[Exchange]:
    """An exchange at work; what goes wrong in it ends the test."""
    exchange = Exchange(port, **how)
    task = asyncio.create_task(exchange.run())
    try:
        yield exchange
    finally:
        failed = task.done()
        task.cancel()
        if failed:
            task.result()
        with suppress(asyncio.CancelledError):
            await task


async def until(true: Callable[[], object], home: Home) -> None:
    """Wait for something to be true."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, home.console
        assert not home.ended, home.console
        await asyncio.sleep(0.05)
