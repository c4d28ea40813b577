"""What other nodes may answer: packed bombs, bodies without end, drops of bytes, nonsense."""

from __future__ import annotations

import asyncio
import gzip
import resource
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from network_cases import GENESIS, MEMBERS, Rota

from commonwatt.errors import LedgerError
from commonwatt.ledger.network import client as fetching
from commonwatt.ledger.network.client import Client
from commonwatt.ledger.network.driver import _QUEUED_BYTES, Driver, _Link
from commonwatt.ledger.network.machine import Machine
from commonwatt.ledger.network.outbox import Outgoing
from commonwatt.ledger.network.tree import Tree
from commonwatt.ledger.network.wire import Wire, WireError
from commonwatt.proof import Key

PEER = Key.derive(b"fetch tests", "peer")
Parts = Callable[[], AsyncIterator[bytes]]


@asynccontextmanager
async def peer(parts: Parts) -> AsyncIterator[str]:
    """The URL of a peer that answers every request with these bytes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            async for part in parts():
                writer.write(part)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def says(head: str, body: bytes = b"") -> Parts:
    async def parts() -> AsyncIterator[bytes]:
        yield f"HTTP/1.1 200 OK\r\n{head}\r\n".encode() + body

    return parts


async def _endless() -> AsyncIterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n\r\n"
    while True:
        yield bytes(1 << 16)


async def _dripping() -> AsyncIterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n\r\n"
    while True:
        yield b" "
        await asyncio.sleep(0.02)


async def _dripping_headers() -> AsyncIterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nx: "
    while True:
        yield b"y"
        await asyncio.sleep(0.02)


async def _silent() -> AsyncIterator[bytes]:
    await asyncio.sleep(3600)
    yield b""


BOMB = gzip.compress(gzip.compress(bytes(64 << 20), mtime=0))
PACKED = [
    ("Content-Encoding: gzip\r\n", gzip.compress(b"{}", mtime=0)),
    ("Content-Encoding: gzip, gzip\r\n", BOMB),
    ("content-encoding: GZIP\r\n", BOMB),
    ("content-encoding: deflate\r\n", zlib.compress(bytes(1 << 20))),
    ("content-encoding: identity, gzip\r\n", BOMB),
    ("content-encoding: br\r\n", b"x"),
]


def fetched(parts: Parts, most: int = 4096) -> bytes:
    async def run() -> bytes:
        client = Client()
        try:
            async with peer(parts) as url:
                return await client.fetch("GET", url, most)
        finally:
            await client.close()

    return asyncio.run(run())


@pytest.mark.parametrize(("head", "body"), PACKED)
def test_a_packed_answer_is_refused(head: str, body: bytes) -> None:
    with pytest.raises(WireError, match="is packed"):
        fetched(says(f"{head}content-length: {len(body)}\r\n", body), 1 << 20)


def test_an_answer_without_end_is_read_to_the_bound_only() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(WireError, match="longer than 4096 bytes"):
        fetched(_endless)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + (64 << 10)  # in KiB


@pytest.mark.parametrize("parts", [_dripping, _dripping_headers, _silent])
def test_an_answer_that_comes_in_drops_is_waited_for_no_longer(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "TIMEOUT", 0.3)
    with pytest.raises(WireError, match="no answer came in time"):
        fetched(parts)


def test_a_long_answer_that_goes_on_coming_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "TIMEOUT", 1.0)
    monkeypatch.setattr(fetching, "SLOWEST", 1000)

    async def steady() -> AsyncIterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\ncontent-length: 40000\r\n\r\n"
        for _ in range(20):
            yield bytes(2000)
            await asyncio.sleep(0.1)

    assert len(fetched(steady, 40_000)) == 40_000


NONSENSE = [
    b"", b"[]", b"5", b"null", b'{"address": 5, "genesis": 6}', b'{"address": "0x", "genesis": "0xzz"}', b"\xff\xfe",
    b"[" * 4000, b'{"address": ["a"], "genesis": {}}', b"9" * 4090,
]  # fmt: skip


@pytest.mark.parametrize("body", NONSENSE)
def test_nonsense_about_a_node_is_told_in_one_sentence(body: bytes) -> None:
    async def run() -> None:
        async with driver() as own, peer(says(f"content-length: {len(body)}\r\n", body)) as url:
            await own.connect(url)

    with pytest.raises(LedgerError, match=r"There is no node at http://127\.0\.0\.1"):
        asyncio.run(run())


@pytest.mark.parametrize("url", ["http://[", "http://127.0.0.1:99999", "http://\0", "x", "http://" + "a" * 300, "//"])
def test_an_address_that_is_none_ends_no_loop(url: str) -> None:
    async def run() -> None:
        async with driver() as own:
            own._found_at[PEER.address] = url
            own.send([Outgoing(PEER.address, b"x")])
            task = own._links[PEER.address].task
            assert task
            while not any("does not take messages" in line for line in LOG):
                assert not task.done()
                await asyncio.sleep(0.01)

    LOG.clear()
    asyncio.run(run())


def test_what_waits_for_a_peer_that_takes_nothing_is_bounded() -> None:
    link = _Link()
    for number in range(100):
        link.put(bytes([number]) * (1 << 20))
    assert sum(map(len, link.queue)) == link.size <= _QUEUED_BYTES
    assert link.queue[-1][0] == 99  # the oldest ones are lost
    for _ in range(10_000):
        link.put(b"x")
    assert len(link.queue) <= 256
    while link.take():
        pass
    assert link.size == 0


LOG: list[str] = []


def driver() -> Driver:
    machine = Machine(Tree(None, GENESIS, Rota([MEMBERS[0].address])), None, LOG.append)
    return Driver(machine, Wire(MEMBERS[0], machine.tree.genesis), {PEER.address}, [], LOG.append)
