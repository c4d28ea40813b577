"""How a served exchange answers over HTTP: its names, its certificate, and its end."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import uvicorn
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from commonwatt.community.living import LiveChoice
from commonwatt.service.api.connections import Handshake, HttpProtocol

if TYPE_CHECKING:
    from commonwatt.service.api.settings import Settings


def settings(live: LiveChoice, host: str, port: int, *, demo: bool) -> Settings:
    """How the interface is reached: where it listens, and by the names that the file has."""
    from commonwatt.service.api.limits import Allowance
    from commonwatt.service.api.settings import Settings

    secure = live.certificate is not None
    usual = 443 if secure else 80
    hosts = dict.fromkeys((*live.names, "localhost", host))
    domains = tuple(each if port == usual else f"{each}:{port}" for each in hosts)
    # At a proxy before it there may be another port.
    known = tuple(dict.fromkeys((*domains, *live.names)))
    if demo:  # all homes of a day that is played fast ask from one address
        return Settings(known, secure, per_address=Allowance(rate=10_000, burst=100_000))
    return Settings(known, secure)


def take_turns() -> None:
    """Have pages wait no longer than a millisecond for the engine, which computes in a thread beside the doors."""
    sys.setswitchinterval(0.001)


class Server(uvicorn.Server):
    """Answers from the first moment on: `/healthz` that the exchange starts, and everything else once it has begun.

    Signals are for who runs it. folder : of the files that `live` names
    """

    def __init__(self, live: LiveChoice, folder: Path) -> None:
        self._app: ASGIApp | None = None
        self._begun, self._ending = asyncio.Event(), list[Callable[[], None]]()
        self._tls: ssl.SSLContext | None = None
        self._handshakes = list[Handshake]()
        files: dict[str, Any] = {}
        if live.certificate and live.key:
            files = {"ssl_certfile": folder / live.certificate, "ssl_keyfile": folder / live.key}
        super().__init__(
            uvicorn.Config(
                self._answer, interface="asgi3", http=cast("type[asyncio.Protocol]", self._protocol), log_config=None,
                log_level="error", access_log=False, lifespan="off", server_header=False,
                timeout_graceful_shutdown=3, **files,
            )
        )  # fmt: skip

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen. Handshakes are made here, for asyncio holds any number of those that do not end."""
        self._tls, self.config.ssl = self.config.ssl, None
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End all connections."""
        for each in list(self._handshakes):
            each.let_go()
        await super().shutdown(sockets)

    def _protocol(self, **known: Any) -> asyncio.Protocol:
        protocol = HttpProtocol(**known)
        return Handshake(protocol, self._tls, self._handshakes) if self._tls else protocol

    def begin(self, app: ASGIApp, ending: Callable[[], None]) -> None:
        """The exchange is at work, and the application answers. ending : called before connections are waited for"""
        self._app = app
        self._ending.append(ending)
        self._begun.set()

    def stop(self) -> None:
        """End in order."""
        for each in self._ending:
            each()
        self.should_exit = True

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is None and scope["path"] == "/healthz":
            await JSONResponse({"status": "starting"})(scope, receive, send)
            return
        await self._begun.wait()
        assert self._app  # noqa: S101 (it has begun)
        await self._app(scope, receive, send)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None."""
        yield

    @contextmanager
    def ended_by_signals(self) -> Iterator[None]:
        """Meanwhile SIGTERM and SIGINT end it in order."""
        loop, signals = asyncio.get_running_loop(), (signal.SIGTERM, signal.SIGINT)
        for each in signals:
            loop.add_signal_handler(each, self.stop)
        try:
            yield
        finally:
            for each in signals:
                loop.remove_signal_handler(each)
