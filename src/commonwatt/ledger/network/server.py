"""A node's HTTP side.

GET /node      who this is: its address, the hash of its chain's genesis, how it agrees
POST /gossip   envelopes of other nodes, see `wire`
and the verbs of `verbs`.
"""

from __future__ import annotations

import signal
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
from commonwatt.ledger.network.driver import Driver
from commonwatt.ledger.network.listening import config, listening
from commonwatt.ledger.network.wire import MAX_BODY_BYTES, WireError


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
