"""A node's HTTP side.

GET /node      who this is: its address, the hash of its chain's genesis, how it agrees
POST /gossip   envelopes of other nodes, see `wire`
and the verbs of `verbs`.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from commonwatt.errors import LedgerError
from commonwatt.ledger.network import verbs
from commonwatt.ledger.network.connections import Connection
from commonwatt.ledger.network.driver import Driver
from commonwatt.ledger.network.wire import MAX_BODY_BYTES, WireError
from commonwatt.ledger.rpc.serving import WebSocketProtocol

_WS_BYTES = 1 << 20
# Those that are taken before others make room for them; with these files a process stays below its usual 1 024.
_BACKLOG = 512


def application(driver: Driver, more: Sequence[BaseRoute] = ()) -> Starlette:
    """The node as a web application; it runs as long as the application does."""

    @asynccontextmanager
    async def running(_: Starlette) -> AsyncIterator[None]:
        async with driver:
            yield

    own = [Route("/node", _node(driver)), Route("/gossip", _gossip(driver), methods=["POST"])]
    return Starlette(routes=[*own, *verbs.routes(driver), *more], lifespan=running, middleware=[Middleware(_OneLength)])


class _OneLength:
    """An application that takes no request whose body has two lengths: a proxy may believe the other one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        names = {name for name, _ in scope.get("headers", ())}
        app = self._app
        if {b"content-length", b"transfer-encoding"} <= names:
            cause = "A request has a Content-Length or a Transfer-Encoding, not both."
            app = PlainTextResponse(cause, 400, {"connection": "close"})
        await app(scope, receive, send)


def serve(driver: Driver, host: str, port: int, more: Sequence[BaseRoute], started: Callable[[int], None]) -> None:
    """Run a node until it is interrupted or fails; `started` is told the port, which with port 0 the system chooses.

    Raises LedgerError: what it failed with, or that it cannot listen there.
    """
    try:
        listener = listening(host, port)
    except LedgerError:
        driver.machine.tree.close()
        raise
    started(listener.getsockname()[1])
    server = uvicorn.Server(config(application(driver, more)))

    def stop() -> None:
        server.should_exit = True

    driver.on_failure = stop
    # Once it has stopped, uvicorn raises the signal again for whoever handled it before.
    signal.signal(signal.SIGTERM, lambda *_: None)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    if driver.failure:
        raise driver.failure


def listening(host: str, port: int) -> socket.socket:
    """Where a node is asked; with port 0 the system chooses one. Raises LedgerError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        bound = socket.create_server((host, port), family=family)
    except OSError as error:
        raise LedgerError(f"The node cannot listen at {host}:{port}: {error.strerror}.") from None
    # With the protocol's number asyncio sends at once; without, an answer may wait 40 ms for an acknowledgement.
    return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=bound.detach())


def config(app: Starlette) -> uvicorn.Config:
    """How a node's application is served: so many connections, of so much, for so long. It runs, or nothing does."""
    return uvicorn.Config(
        app, log_config=None, log_level="error", access_log=False, lifespan="on", http=Connection, backlog=_BACKLOG,
        timeout_graceful_shutdown=3, server_header=False,
        ws=WebSocketProtocol, ws_max_size=_WS_BYTES, ws_per_message_deflate=False,
    )  # fmt: skip


def _node(driver: Driver) -> Callable[[Request], Awaitable[Response]]:
    async def answer(_: Request) -> Response:
        tree = driver.machine.tree
        return JSONResponse(
            {
                "address": f"0x{driver.address.hex()}",
                "genesis": f"0x{tree.genesis.hex()}",
                "consensus": tree.engine.name,
            }
        )

    return answer


def _gossip(driver: Driver) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        body = bytearray()
        try:
            async for part in request.stream():
                body += part
                if len(body) > MAX_BODY_BYTES:
                    return PlainTextResponse("The body is too long.", 413)
        except ClientDisconnect:
            return PlainTextResponse("The body did not arrive.", 408)
        try:
            return Response(await driver.gossip(bytes(body)), media_type="application/octet-stream")
        except WireError as error:
            return PlainTextResponse(str(error), 403)

    return answer
