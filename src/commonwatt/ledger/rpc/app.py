"""JSON-RPC over HTTP and WebSocket: routes for a Starlette application.

POST a request to the path, or open a WebSocket there. A page of another site that a member happens to look at can
do neither: the Host header must be one of the node's names (a page cannot choose it, even when its own name is
made to point here), the Origin header, when there is one, must be allowed, and a body must say that it is JSON,
which a page may not say to a foreign host without asking first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from commonwatt.ledger.rpc.readers import HEADER, NotAReader, Readers
from commonwatt.ledger.rpc.service import Service

LOCAL = ("localhost", "127.0.0.1", "[::1]")
_BODY_SECONDS = 10.0
_NEWS_SECONDS = 0.1
_SEND_SECONDS = 10.0
_CONNECTIONS = 64
# WebSocket close code: the request goes against the rules.
_POLICY = 1008


@dataclass(frozen=True)
class Access:
    """Who may ask.

    hosts : names by which the node is called, without port; None: any, for a node behind a proxy that checks them
    origins : pages that may ask from a browser, such as https://example.org; none by default
    readers : whose keys may read; None: whoever can reach the node
    """

    hosts: Collection[str] | None = LOCAL
    origins: Collection[str] = ()
    readers: Readers | None = None

    def problem(self, headers: Headers) -> str | None:
        """Why a request is not looked at."""
        host = headers.get("host", "")
        if self.hosts is not None and _name(host) not in self.hosts:
            return "This node is not called by that name; see its setting for hosts."
        origin = headers.get("origin")
        if origin is not None and origin not in self.origins:
            return "Pages of that origin may not ask this node; see its setting for origins."
        return None


@dataclass
class _Sockets:
    """The service with its open WebSockets."""

    service: Service
    access: Access
    open: set[WebSocket] = field(default_factory=set)


def routes(service: Service, access: Access | None = None, path: str = "/") -> list[BaseRoute]:
    """HTTP and WebSocket at `path`."""
    sockets = _Sockets(service, access or Access())
    return [
        Route(path, _http(sockets), methods=["POST", "OPTIONS"]),
        WebSocketRoute(path, _websocket(sockets)),
    ]


def application(service: Service, access: Access | None = None) -> Starlette:
    """JSON-RPC alone, as an application."""
    return Starlette(routes=routes(service, access))


def _http(sockets: _Sockets) -> Callable[[Request], Awaitable[Response]]:
    service, access = sockets.service, sockets.access

    async def answer(request: Request) -> Response:
        problem = access.problem(request.headers)
        if problem:
            return PlainTextResponse(problem, 403)
        shared = _shared(request.headers)
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=shared)
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
        found = service.handle(body)
        if found is None:
            return Response(status_code=204, headers=shared)
        return Response(found, media_type="application/json", headers=shared)

    return answer


def _websocket(sockets: _Sockets) -> Callable[[WebSocket], Awaitable[None]]:
    async def serve(socket: WebSocket) -> None:
        try:
            _check_reader(sockets.access, socket, b"")
        except NotAReader:
            await socket.close(_POLICY)
            return
        if sockets.access.problem(socket.headers) or len(sockets.open) >= _CONNECTIONS:
            await socket.close(_POLICY)
            return
        await socket.accept()
        sockets.open.add(socket)
        try:
            await _talk(socket, sockets.service)
        finally:
            sockets.open.discard(socket)

    return serve


async def _talk(socket: WebSocket, service: Service) -> None:
    """Answer requests and push news until either side ends it."""
    connection = service.connection()

    async def send(message: bytes) -> None:
        # A reader that does not take what it asked for is let go.
        async with asyncio.timeout(_SEND_SECONDS):
            await socket.send_text(message.decode())

    async def push() -> None:
        while True:
            await asyncio.sleep(_NEWS_SECONDS)
            for message in service.news(connection):
                await send(message)

    async def answer() -> None:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            request = message.get("text") or message.get("bytes") or b""
            found = service.handle(request.encode() if isinstance(request, str) else request, connection)
            if found is not None:
                await send(found)

    tasks = [asyncio.ensure_future(push()), asyncio.ensure_future(answer())]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            # The other side is gone, or too slow.
            with suppress(WebSocketDisconnect, TimeoutError, RuntimeError):
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(RuntimeError, WebSocketDisconnect):
            await socket.close()


async def _body(request: Request, most: int) -> bytes | None:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            return None
    return bytes(body)


def _check_reader(access: Access, request: HTTPConnection, body: bytes) -> None:
    if access.readers is not None:
        access.readers.check(request.headers.get(HEADER), request.headers.get("host", ""), body)


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
