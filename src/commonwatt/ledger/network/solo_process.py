"""A node that seals on demand as a process: its file, its clock, its doors, run until it is told to end."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hmac import compare_digest
from pathlib import Path
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from commonwatt.errors import LedgerError
from commonwatt.ledger.chain.embedded import EmbeddedChain, Genesis
from commonwatt.ledger.chain.evm import GENESIS_KEY
from commonwatt.ledger.chain.store import Store
from commonwatt.ledger.network.access import HOST, LocalOnly
from commonwatt.ledger.network.finished import status
from commonwatt.ledger.network.listening import config, listening
from commonwatt.ledger.network.log import entry
from commonwatt.ledger.network.operator import HOLD, OPERATOR, operator_token
from commonwatt.ledger.network.solo import SoloNode, operator_methods
from commonwatt.ledger.proving import CHALLENGE, PROOF, proof
from commonwatt.ledger.rpc.app import LOCAL, Access, asking, routes
from commonwatt.ledger.rpc.service import Service

_GATHER: Final = 0.05
"""Seconds without a further transaction after which a block is made of those that came."""
_LONGEST: Final = 1.0
"""Seconds until one is made though they keep coming."""
_POLICY: Final = 1008


@dataclass(frozen=True)
class Solo:
    """What an operator decides.

    file : the chain; begun with `genesis` where it is not there yet
    settable : blocks come when the operator's door is told to; for simulated days
    attached : the process ends with the one that holds the other end of its standard input
    names : by which wallets call the node, beside those of this machine
    origins : pages that may ask from a browser
    """

    file: Path
    port: int
    genesis: Genesis | None = None
    settable: bool = False
    attached: bool = False
    names: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()


def run(setting: Solo, say: Callable[[str], None]) -> None:
    """Answer and seal until it is interrupted, or its parent has ended. Raises LedgerError when it cannot go on."""

    def log(line: str) -> None:
        say(entry(line, datetime.now(UTC)))

    with opened(setting.file, setting.genesis) as chain:
        node = SoloNode(chain, time.time, settable=setting.settable)
        process = Process(node, log, attached=setting.attached)
        listener = listening(HOST, setting.port)
        middleware = [Middleware(LocalOnly)]
        if setting.settable:
            middleware.append(Middleware(_TokenOnly, token=operator_token(setting.file.parent)))
        elif setting.attached:
            middleware.append(Middleware(_Proving, secret=operator_token(setting.file.parent)))
        app = Starlette(routes=_doors(node, setting), lifespan=process.running, middleware=middleware)
        server = uvicorn.Server(config(app))
        process.server = server
        url, head = f"http://{HOST}:{listener.getsockname()[1]}", chain.head
        log(f"{url} seals chain {chain.chain_id} on demand, block {head.number} (0x{head.hash.hex()[:8]})")
        # For a signal before uvicorn handles it, and for the same one, which it raises again once it has stopped.
        signal.signal(signal.SIGTERM, lambda *_: process.stop())
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listener])
        if process.failure:
            raise process.failure
    log("stopped")


def opened(file: Path, genesis: Genesis | None) -> EmbeddedChain:
    """The chain in a file for writing; begun where it is not yet. A block that is sealed stays through a power cut."""
    if not file.exists() and genesis is None:
        raise LedgerError(f"There is no chain at {file}; say whose it will be with --community and --operator.")
    return EmbeddedChain(file, None if _begun(file) else genesis, durable=True)


def _begun(file: Path) -> bool:
    """Whether a file has its block 0; whoever made it may have been killed before."""
    if not file.exists():
        return False
    store = Store(file)
    try:
        return store.get(GENESIS_KEY) is not None
    finally:
        store.close()


def _doors(node: SoloNode, setting: Solo) -> list[BaseRoute]:
    """The wallets' door, and the operator's where the node is settable."""
    access = Access(hosts=(*LOCAL, *setting.names), origins=setting.origins)
    doors = [Route("/status", status(node.reader, access)), *routes(Service(node), access)]
    return doors + (asking(Service(node, table=operator_methods(node)), access, OPERATOR) if setting.settable else [])


class _TokenOnly:
    """An application whose operator's door is open to who has the token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._expected = app, f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        closed = scope["type"] in ("http", "websocket") and scope["path"] == OPERATOR
        if not closed or compare_digest(Headers(scope=scope).get("authorization", "").encode(), self._expected):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocketClose(_POLICY)(scope, receive, send)
        else:
            await PlainTextResponse("The operator's door opens with its token alone", 401)(scope, receive, send)


class _Proving:
    """An application whose answers, where that is asked for, prove that they come from who has the secret."""

    def __init__(self, app: ASGIApp, secret: str) -> None:
        self._app, self._secret = app, secret

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        challenge = Headers(scope=scope).get(CHALLENGE) if scope["type"] == "http" else None
        if challenge is None:
            await self._app(scope, receive, send)
            return
        begin, body = dict[str, Any](), bytearray()

        async def prove(message: Message) -> None:
            """Pass the answer on as a whole."""
            begin.update(message if message["type"] == "http.response.start" else {})
            body.extend(message.get("body", b""))
            if message["type"] == "http.response.body" and not message.get("more_body"):
                header = (PROOF.encode(), proof(self._secret, challenge, bytes(body)).encode())
                await send({**begin, "headers": [*begin["headers"], header]})
                await send({"type": "http.response.body", "body": bytes(body)})

        await self._app(scope, receive, prove)


class Process:
    """What goes on beside the answers: sealing, and the watch over the parent."""

    def __init__(self, node: SoloNode, log: Callable[[str], None], *, attached: bool) -> None:
        self._node, self._log, self._attached = node, log, attached
        self.server: uvicorn.Server | None = None
        self.failure: Exception | None = None

    @asynccontextmanager
    async def running(self, _: Starlette) -> AsyncIterator[None]:
        """As long as the application runs."""
        loops = [self._watches()] if self._attached else []
        loops += [] if self._node.settable else [self._seals()]
        tasks = [asyncio.create_task(loop) for loop in loops]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def stop(self) -> None:
        """End in order."""
        if self.server:
            self.server.should_exit = True

    async def _watches(self) -> None:
        """Hear the holder of the other end of the standard input; stop when that is closed, as when it is killed."""
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while word := await reader.readline():
            self._node.held = word == HOLD
            self._node.arrived()
        self.stop()

    async def _seals(self) -> None:
        """Make blocks of what comes."""
        node, came = self._node, asyncio.Event()
        node.arrived = came.set
        while True:
            await came.wait()
            came.clear()
            while node.ready:
                await self._gather()
                if self._node.held:
                    break
                try:
                    await self._seal()
                except Exception as error:  # whatever it is, a node that seals nothing must not look as if it did
                    self.failure = error
                    self.stop()
                    return

    async def _gather(self) -> None:
        """Wait for those that come together, and until a block would not be ahead of the clock."""
        loop, seen = asyncio.get_running_loop(), -1
        end = loop.time() + _LONGEST
        while seen != self._node.arrivals and loop.time() < end:
            seen = self._node.arrivals
            await asyncio.sleep(_GATHER)
        await asyncio.sleep(self._node.early)

    async def _seal(self) -> None:
        steps = self._node.seal()
        try:
            while True:
                next(steps)
                await asyncio.sleep(0)
        except StopIteration as done:
            block = done.value
            self._log(f"sealed block {block.number} (0x{block.hash.hex()[:8]}) with {len(block.transactions)}")
        finally:
            steps.close()
