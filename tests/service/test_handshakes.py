"""Whoever comes to the TLS port and ends no handshake is bounded in number and time, and no hindrance to others."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from commonwatt.community.living import LiveChoice
from commonwatt.service.answering import Server
from commonwatt.service.api import connections
from commonwatt.service.certificates import ensure

LATE = 120.0
"""Seconds after which a test has failed; what it waits for comes much earlier."""


class Box:
    """A server behind a certificate, in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        made = ensure(folder, "Village", ("box.local",), datetime.now(UTC))
        self._server = Server(LiveChoice(certificate=str(made.certificate), key=str(made.key)), folder)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = int(self._listener.getsockname()[1])
        self._trust = ssl.create_default_context(cafile=made.authority)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve(sockets=[self._listener])))
        self._thread.start()

    def connected(self, source: str = "127.0.0.1") -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), LATE, (source, 0))

    def asked(self) -> str:
        url = f"https://127.0.0.1:{self.port}/healthz"
        return str(httpx.get(url, verify=self._trust, trust_env=False, timeout=LATE).json()["status"])

    def at_once(self) -> bytes:
        """What is answered to a request that comes in one piece with the last words of the handshake."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = self._trust.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
        with self.connected() as line:
            while True:
                try:
                    client.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    line.sendall(outgoing.read())
                    incoming.write(line.recv(1 << 16))
            client.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            line.sendall(outgoing.read())
            while data := line.recv(1 << 16):
                incoming.write(data)
        return client.read()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    box = Box(tmp_path)
    yield box
    box.stop()


def gone(line: socket.socket) -> bool:
    """Whether the box has let go of it; waits until it has."""
    try:
        return line.recv(1) == b""
    except ConnectionError:
        return True


def waits(line: socket.socket) -> bool:
    """Whether the box still holds it."""
    line.settimeout(0.05)
    try:
        line.recv(1)
    except TimeoutError:
        return True
    except ConnectionError:
        pass
    return False


def test_a_request_is_answered_also_where_it_comes_with_the_end_of_the_handshake(box: Box) -> None:
    assert box.asked() == "starting"
    answer = box.at_once()
    assert answer.startswith(b"HTTP/1.1 200")


def test_who_does_not_begin_is_let_go_after_a_while(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HANDSHAKE_SECONDS", 0.3)
    with box.connected() as silent, box.connected() as half:
        half.sendall(b"\x16\x03\x01\x02")  # how a client's hello begins
        assert gone(silent)
        assert gone(half)
    with box.connected() as other:
        other.sendall(b"GET / HTTP/1.1\r\n\r\n")
        while other.recv(100):  # an alert, and the end
            pass
    assert box.asked() == "starting"


def test_of_too_many_those_go_that_waited_longest_of_the_address_that_holds_most(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MOST_HANDSHAKES", 20)
    monkeypatch.setattr(connections, "HANDSHAKE_SECONDS", LATE)
    with ExitStack() as held:
        other = held.enter_context(box.connected("127.0.0.2"))
        silent = [held.enter_context(box.connected()) for _ in range(50)]
        assert all(map(gone, silent[:30]))
        assert box.asked() == "starting"
        assert waits(other)
        assert all(map(waits, silent[-15:]))
