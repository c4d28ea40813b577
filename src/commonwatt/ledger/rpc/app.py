"""JSON-RPC over HTTP and WebSocket: routes for a Starlette application.

POST a request to the path, or open a WebSocket there. A page of another site that a member happens to look at can
do neither: the Host header must be one of the node's names (a page cannot choose it, even when its own name is
made to point here), the Origin header, when there is one, must be allowed, and a body must say that it is JSON,
which a page may not say to a foreign host without asking first. Extensions of a browser, such as wallets, are no pages.

What is answered and not read yet is bounded for all together, and so is what one answer keeps others waiting for.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from commonwatt.ledger.readers import HEADER, NotAReader, Readers
from commonwatt.ledger.rpc.feed import Filters
from commonwatt.ledger.rpc.service import Service

LOCAL = ("localhost", "127.0.0.1", "[::1]")
EXTENSIONS = ("chrome-extension://", "moz-extension://")
_BODY_SECONDS = 10.0
_NEWS_SECONDS = 0.1
_CONNECTIONS = 64
# Requests amid their work.
_LONG = 4
# News that are written before others are let in between.
_MESSAGES = 64
# What all answers that are not read yet may hold, in answers of the greatest length; short ones do not count.
_UNREAD = 2
_SHORT = 1 << 16
_BUSY = "Others have not read their long answers yet; ask again later."
# WebSocket close code: the request goes against the rules.
_POLICY = 1008
# The node has too much to do; try again later.
_LATER = 1013


@dataclass(frozen=True)
class Access:
    """Who may ask.

    hosts : names by which the node is called, without port; None: any, for a node behind a proxy that checks them
    origins : pages that may ask from a browser, such as https://example.org; none by default, but for extensions
    readers : whose keys may read; None: whoever can reach the node
    """

    hosts: Collection[str] | None = LOCAL
    origins: Collection[str] = ()
    readers: Readers | None = None

    def problem(self, headers: Headers) -> str | None:
        """Why a request is not looked at."""
        host = headers.get("host", "")
        if self.hosts is not None and _name(host) not in self.hosts:
            return f"This node is not called by that name; its operator adds one with --name {_name(host)[:100]}."
        origin = headers.get("origin")
        if origin is not None and origin not in self.origins and not origin.startswith(EXTENSIONS):
            return f"Pages of that origin may not ask this node; its operator adds one with --origin {origin[:100]}."
        return None


@dataclass(eq=False)
class _Guest:
    """An open WebSocket: whose it is, when it last asked, and what tells it to leave.

    reader : whose key signed for it [address]; empty where whoever can reach the node may read
    """

    host: str
    reader: bytes
    heard: float
    leave: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class _Door:
    """The service with its open WebSockets and what it has answered.

    unread : bytes of long answers that were not read yet
    turn : who holds it may compute, one at a time, so that long work leaves room for short questions
    long : how many requests may be amid their work at a time, as each holds what it has found
    """

    service: Service
    access: Access
    guests: list[_Guest] = field(default_factory=list)
    unread: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    long: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_LONG))

    async def answer(self, request: bytes, connection: Filters | None = None) -> bytes | None:
        """The answer to a request. The first step is made at once, the others in turn with those of other requests."""
        steps = self.service.steps(request, connection)
        try:
            next(steps)
            async with self.long:
                while True:
                    async with self.turn:
                        await asyncio.sleep(0)
                        next(steps)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        finally:
            steps.close()

    @contextmanager
    def held(self, answer: bytes) -> Iterator[bool]:
        """An answer on its way; false when there is no room for it."""
        size = len(answer) if len(answer) > _SHORT else 0
        room = self.unread + size <= _UNREAD * self.service.limits.response
        self.unread += size if room else 0
        try:
            yield room
        finally:
            self.unread -= size if room else 0

    def may_stay(self, guest: _Guest) -> bool:
        """Whether a WebSocket's reader may still read: the chain may have changed since it came."""
        return self.access.readers is None or self.access.readers.may(guest.reader)

    def enter(self, host: str, reader: bytes) -> _Guest:
        """A new WebSocket; when there are too many, one of the host that has most of them must leave, the quietest."""
        if len(self.guests) >= _CONNECTIONS:
            crowd, _ = Counter(guest.host for guest in self.guests).most_common(1)[0]
            quiet = min((guest for guest in self.guests if guest.host == crowd), key=lambda guest: guest.heard)
            quiet.leave.set()
            self.guests.remove(quiet)
        self.guests.append(_Guest(host, reader, asyncio.get_running_loop().time()))
        return self.guests[-1]


def routes(service: Service, access: Access | None = None, path: str = "/") -> list[BaseRoute]:
    """HTTP and WebSocket at `path`, and /healthz and /metrics for programs that watch over the node."""
    door = _Door(service, access or Access())
    return [
        *_asked(door, path),
        Route("/healthz", _watched(door, JSONResponse)),
        Route("/metrics", _watched(door, _metrics)),
    ]


def asking(service: Service, access: Access, path: str) -> list[BaseRoute]:
    """HTTP and WebSocket at `path` alone."""
    return _asked(_Door(service, access), path)


def _asked(door: _Door, path: str) -> list[BaseRoute]:
    return [Route(path, _http(door), methods=["POST", "OPTIONS"]), WebSocketRoute(path, _websocket(door))]


def application(service: Service, access: Access | None = None) -> Starlette:
    """JSON-RPC alone, as an application."""
    return Starlette(routes=routes(service, access))


def _figures(door: _Door) -> dict[str, int]:
    """What tells whether a node is well: where its chain ends [unix s], how many blocks it is behind, whom it hears."""
    backend = door.service.backend
    head, sync = backend.reader.head, backend.syncing
    behind = sync.highest - sync.current if sync else 0
    return {
        "block": head.number, "time": head.timestamp, "behind": behind, "peers": backend.peers,
        "waiting": len(backend.waiting()),
    }  # fmt: skip


def _watched(door: _Door, write: Callable[[dict[str, int]], Response]) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        problem = door.access.problem(request.headers)
        if problem:
            return PlainTextResponse(problem, 403)
        try:
            _check_reader(door.access, request, b"")
        except NotAReader as error:
            return PlainTextResponse(str(error), 401)
        return write(_figures(door))

    return answer


def _metrics(figures: dict[str, int]) -> Response:
    """As Prometheus reads them."""
    lines = [f"# TYPE commonwatt_{name} gauge\ncommonwatt_{name} {value}\n" for name, value in figures.items()]
    return PlainTextResponse("".join(lines))


def _http(door: _Door) -> Callable[[Request], Awaitable[Response]]:
    service, access = door.service, door.access

    async def answer(request: Request) -> Response:
        problem = access.problem(request.headers)
        if problem:
            return PlainTextResponse(problem, 403)
        shared = _shared(request.headers)
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=shared)
        if "content-length" in request.headers and "transfer-encoding" in request.headers:
            # Two programs in a row could take different parts of it for the next request.
            return PlainTextResponse("A request has a Content-Length or a Transfer-Encoding, not both.", 400, shared)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return PlainTextResponse("The content type must be application/json.", 415, shared)
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                body = await _body(request, service.limits.request)
        except (TimeoutError, ClientDisconnect):
            return PlainTextResponse("The request took too long to arrive.", 408, shared)
        if body is None:
            return PlainTextResponse(f"A request has {service.limits.request} bytes at most.", 413, shared)
        try:
            _check_reader(access, request, body)
        except NotAReader as error:
            return PlainTextResponse(str(error), 401, shared)
        found = await door.answer(body)
        if found is None:
            return Response(status_code=204, headers=shared)
        return _written(door, found, shared)

    return answer


def _written(door: _Door, answer: bytes, headers: dict[str, str]) -> Response:
    """An answer; a long one goes out in parts, each when the one before it was read."""
    if len(answer) <= _SHORT:
        return Response(answer, media_type="application/json", headers=headers)
    with door.held(answer) as room:
        if not room:
            return PlainTextResponse(_BUSY, 503, headers)

    async def parts() -> AsyncIterator[bytes]:
        with door.held(answer):
            for start in range(0, len(answer), _SHORT):
                yield answer[start : start + _SHORT]

    headers = headers | {"Content-Length": str(len(answer))}
    return StreamingResponse(parts(), media_type="application/json", headers=headers)


def _websocket(door: _Door) -> Callable[[WebSocket], Awaitable[None]]:
    async def serve(socket: WebSocket) -> None:
        try:
            reader = _check_reader(door.access, socket, b"")
        except NotAReader:
            await socket.close(_POLICY)
            return
        if door.access.problem(socket.headers):
            await socket.close(_POLICY)
            return
        guest = door.enter(socket.client.host if socket.client else "", reader)
        try:
            await socket.accept()
            await _talk(socket, door, guest)
        finally:
            if guest in door.guests:
                door.guests.remove(guest)

    return serve


async def _talk(socket: WebSocket, door: _Door, guest: _Guest) -> None:
    """Answer requests and push news until either side ends it."""
    connection = door.service.connection()
    writing = asyncio.Lock()

    async def send(message: bytes) -> None:
        async with writing:
            await socket.send_text(message.decode())

    async def push() -> None:
        while True:
            await asyncio.sleep(_NEWS_SECONDS)
            if not door.may_stay(guest):
                await socket.close(_POLICY)
                return
            news = door.service.news(connection)
            more = True
            while more:
                async with door.turn:
                    await asyncio.sleep(0)
                    messages, more = _some(news)
                for message in messages:
                    await send(message)

    async def answer(request: bytes) -> bool:
        """Whether there is room for the answer. What was answered is not kept while the next request is awaited."""
        found = await door.answer(request, connection)
        if found is None:
            return True
        with door.held(found) as room:
            await (send(found) if room else socket.close(_LATER, _BUSY))
            return room

    async def listen() -> None:
        room = True
        while room:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if not door.may_stay(guest):
                await socket.close(_POLICY)
                return
            guest.heard = asyncio.get_running_loop().time()
            request = message.get("text") or message.get("bytes") or b""
            room = await answer(request.encode() if isinstance(request, str) else request)

    tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(each) for each in (push(), listen(), guest.leave.wait())]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            # The other side is gone, or does not read.
            with suppress(WebSocketDisconnect, RuntimeError):
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(RuntimeError, WebSocketDisconnect):
            await socket.close()


def _some(news: Iterator[bytes | None]) -> tuple[list[bytes], bool]:
    """The next messages, as far as one look at a block gives them, and whether there may be more."""
    found: list[bytes] = []
    for message in news:
        if message is None:
            return found, True
        found.append(message)
        if len(found) >= _MESSAGES:
            return found, True
    return found, False


async def _body(request: Request, most: int) -> bytes | None:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            return None
    return bytes(body)


def _check_reader(access: Access, request: HTTPConnection, body: bytes) -> bytes:
    """Address of the reader; empty where whoever can reach the node may read. Raises NotAReader."""
    if access.readers is None:
        return b""
    return access.readers.check(request.headers.get(HEADER), request.headers.get("host", ""), body)


def _shared(headers: Headers) -> dict[str, str]:
    """What tells a browser that the page of an allowed origin may see the answer."""
    origin = headers.get("origin")
    if origin is None:
        return {}
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": "POST",
        "Access-Control-Allow-Headers": f"content-type, {HEADER}",
        "Vary": "Origin",
    }


def _name(host: str) -> str:
    """A Host header without its port."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()
