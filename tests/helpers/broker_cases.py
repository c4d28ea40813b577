"""The exchange's broker on a free port, meters that speak to it, and what takes their readings."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiomqtt
import pytest
from node_processes import free_port
from services import program

from commonwatt.service.access import Access
from commonwatt.service.broker import SECRET, Broker, Listener
from commonwatt.service.connection import Connection
from commonwatt.service.logins import Passwords
from commonwatt.service.mqtt import Gateway, Messages
from commonwatt.service.topics import name, topic

ALICE, BOB, CAROL = (bytes([number]) * 20 for number in (0xA1, 0xB2, 0xC3))
NOW = 1_781_481_600


class Running:
    """A broker that knows some meters, in a folder that its user may enter."""

    def __init__(self, meters: Collection[bytes] = (), tls: tuple[Path, Path, Path] | None = None) -> None:
        program("mosquitto")
        # Not among pytest's folders, which are root's alone, for Mosquitto gives up root.
        self.home = Path(tempfile.mkdtemp(prefix="cw-"))
        self.home.chmod(0o755)
        self.authority: Path | None
        self.authority, certificate, key = tls or (None, None, None)
        listener = Listener("127.0.0.1", free_port(), certificate, key)
        self.broker = Broker(self.home / "broker", listener)
        self.broker.prepare(meters)
        self.broker.start()

    @property
    def passwords(self) -> Passwords:
        return Passwords.kept(self.home / SECRET)

    @property
    def exchange(self) -> Connection:
        return self.broker.connection(authority=self.authority)

    @property
    def access(self) -> Access:
        return Access(self.broker.control(self.authority), self.passwords)

    def meter(self, meter: bytes) -> Connection:
        return self.broker.connection(name(meter), self.authority)

    def remove(self) -> None:
        self.broker.kill()
        shutil.rmtree(self.home)


@pytest.fixture
def running() -> Iterator[Running]:
    """A broker that knows Alice's and Bob's meter."""
    made = Running([ALICE, BOB])
    try:
        yield made
    finally:
        made.remove()


class Taker:
    """Takes readings as the exchange does: what is new is kept, and all of it acknowledged."""

    def __init__(self) -> None:
        self.taken: Messages = []
        self.batches: list[int] = []

    async def __call__(self, messages: Messages) -> Messages:
        self.batches.append(len(messages))
        self.taken += messages
        return [(meter, b"ack of " + payload) for meter, payload in messages]


@asynccontextmanager
async def serving(gateway: Gateway) -> AsyncIterator[Gateway]:
    """A gateway that runs meanwhile, from when it is connected."""
    task = asyncio.create_task(gateway.run())
    try:
        async with asyncio.timeout(60):
            await gateway.wait_connected()
        yield gateway
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(client: aiomqtt.Client, wanted: str, seconds: float = 60) -> bytes:
    """The payload of the next message on a topic."""
    async with asyncio.timeout(seconds):
        async for message in client.messages:
            if message.topic.value == wanted:
                assert isinstance(message.payload, bytes)
                return message.payload
    raise AssertionError


def reading(meter: bytes, number: int) -> tuple[str, bytes]:
    """Where a meter says a reading, and a text that stands for it."""
    return topic(meter, "reading"), json.dumps({"sequence": number}).encode()
