"""Connections that do not send or do not read: they are let go, and everybody else is served."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from commonwatt.ledger.network import connections, server
from commonwatt.ledger.network.listening import config

LONG = 24 << 20
LATE = 60.0
"""Seconds after which a test has failed; what it waits for comes much earlier."""


async def _long(_: Request) -> Response:
    return Response(bytes(LONG))


async def _echo(request: Request) -> Response:
    try:
        return PlainTextResponse(str(len(await request.body())))
    except ClientDisconnect:
        return PlainTextResponse("", 408)


class Served:
    """An application served as a node's, on a free port."""

    def __init__(self) -> None:
        app = Starlette(
            routes=[Route("/", _echo, methods=["GET", "POST"]), Route("/long", _long)],
            middleware=[Middleware(server._OneLength)],
        )
        self._server = uvicorn.Server(config(app))
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(listener.getsockname()[1])
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]})
        self._thread.start()

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), LATE, (source, 0))

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()


@pytest.fixture
def served() -> Iterator[Served]:
    served = Served()
    yield served
    served.stop()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "PATIENCE", 0.5)


HALVES = {
    "nothing": b"",
    "half a line": b"GET / HT",
    "half a header": b"GET / HTTP/1.1\r\nhost: x\r\nx-long: " + b"y" * 1000,
    "no body": b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 500\r\n\r\n",
    "half a body": b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 500\r\n\r\n" + bytes(499),
    "half a chunk": b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nff\r\nabc",
    "one answered, then half": b"GET / HTTP/1.1\r\nhost: x\r\n\r\nGET",
}
WHOLE = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.mark.parametrize("half", HALVES)
def test_a_house_full_of_half_requests_has_room_for_an_honest_one(served: Served, half: str) -> None:
    with ExitStack() as stack, httpx.Client(trust_env=False, timeout=LATE) as client:
        for _ in range(connections.MOST + 40):
            stack.enter_context(served.connect()).sendall(HALVES[half])
        # Each time by a connection that comes last: those of the house may still be let in, and make an idle one leave.
        for _ in range(3):
            answer = client.post(
                f"http://127.0.0.1:{served.port}/", content=bytes(100), headers={"connection": "close"}
            )
            assert (answer.status_code, answer.text) == (200, "100")


def test_a_house_full_of_those_who_do_not_read_has_room_for_an_honest_one(served: Served) -> None:
    with ExitStack() as stack, httpx.Client(trust_env=False, timeout=LATE) as client:
        for _ in range(8):
            stack.enter_context(served.connect()).sendall(b"GET /long HTTP/1.1\r\nhost: x\r\n\r\n")
        for _ in range(connections.MOST):
            stack.enter_context(served.connect()).sendall(b"GET")
        assert client.get(f"http://127.0.0.1:{served.port}/").status_code == 200


def test_one_address_that_holds_the_most_makes_room(served: Served) -> None:
    with ExitStack() as stack:
        quiet = stack.enter_context(served.connect("127.0.0.2"))
        for _ in range(connections.MOST + 40):
            stack.enter_context(served.connect())
        fresh = stack.enter_context(served.connect())
        for each in (quiet, fresh):
            each.sendall(WHOLE)
            assert each.recv(1000).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("dripping", [False, True])
@pytest.mark.usefixtures("hasty")
def test_a_request_that_does_not_arrive_is_waited_for_no_longer(served: Served, half: str, dripping: bool) -> None:
    with served.connect() as half_sent:
        half_sent.sendall(HALVES[half])
        half_sent.settimeout(0.05)
        begun = time.monotonic()
        gone = False
        while not gone:
            assert time.monotonic() < begun + LATE
            try:
                gone = not half_sent.recv(1000)
                if dripping and half in ("half a header", "half a chunk"):
                    half_sent.sendall(b"z")
            except TimeoutError:
                continue
            except OSError:
                gone = True


@pytest.mark.usefixtures("hasty")
def test_who_does_not_read_is_let_go_and_who_reads_slowly_is_not(served: Served) -> None:
    with served.connect() as deaf, served.connect() as slow:
        for each in (deaf, slow):
            each.sendall(b"GET /long HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        read = 0
        while part := slow.recv(1 << 20):
            read += len(part)
            time.sleep(0.1)
        assert read > LONG
        assert _read(deaf) < LONG


def test_answers_that_nobody_reads_have_their_share_of_memory(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST_UNREAD", 2 * LONG)
    with ExitStack() as stack, httpx.Client(trust_env=False, timeout=LATE) as client:
        deaf = [stack.enter_context(served.connect()) for _ in range(6)]
        for each in deaf:
            each.sendall(b"GET /long HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            assert each.recv(1, socket.MSG_PEEK)
        assert client.get(f"http://127.0.0.1:{served.port}/").status_code == 200
        read = [_read(each) > LONG for each in deaf]
        assert read == [False] * 4 + [True] * 2


def _read(connection: socket.socket) -> int:
    got = 0
    with suppress(OSError):
        while part := connection.recv(1 << 20):
            got += len(part)
    return got


LENGTHS = [
    b"content-length: 5\r\ntransfer-encoding: chunked\r\n",
    b"transfer-encoding: chunked\r\ncontent-length: 0\r\n",
    b"Content-Length: 5\r\nTransfer-Encoding: CHUNKED\r\n",
    b"content-length: 5\r\ncontent-length: 6\r\n",
]


@pytest.mark.parametrize("lengths", LENGTHS)
def test_a_body_of_two_lengths_is_refused_and_the_connection_closed(served: Served, lengths: bytes) -> None:
    with served.connect() as smuggler:
        smuggler.sendall(
            b"POST / HTTP/1.1\r\nhost: x\r\n" + lengths + b"\r\n0\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n"
        )
        answer = b""
        with suppress(ConnectionError):
            while part := smuggler.recv(1000):
                answer += part
        assert answer.startswith(b"HTTP/1.1 400")
        assert answer.count(b"HTTP/1.1") == 1
