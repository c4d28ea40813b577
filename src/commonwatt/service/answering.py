"""How a served exchange answers over HTTP: its names, its certificate, and its end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import uvicorn
from fastapi import FastAPI

from commonwatt.community.living import LiveChoice
from commonwatt.service.api.connections import HttpProtocol
from commonwatt.service.api.limits import Allowance
from commonwatt.service.api.settings import Settings

_DEMO: Final = Allowance(rate=10_000, burst=100_000)
"""All homes of a day that is played fast ask from one address."""


def settings(live: LiveChoice, host: str, port: int, *, demo: bool) -> Settings:
    """How the interface is reached: where it listens, and by the names that the file has."""
    secure = live.certificate is not None
    usual = 443 if secure else 80
    hosts = dict.fromkeys((*live.names, "localhost", host))
    domains = tuple(each if port == usual else f"{each}:{port}" for each in hosts)
    # At a proxy before it there may be another port.
    known = tuple(dict.fromkeys((*domains, *live.names)))
    return Settings(known, secure, per_address=_DEMO) if demo else Settings(known, secure)


class Server(uvicorn.Server):
    """Leaves signals to who runs it.

    folder : of the files that `live` names; ending : called before connections are waited for
    """

    def __init__(self, app: FastAPI, live: LiveChoice, folder: Path, ending: Callable[[], None]) -> None:
        self._ending = ending
        files: dict[str, Any] = {}
        if live.certificate and live.key:
            files = {"ssl_certfile": folder / live.certificate, "ssl_keyfile": folder / live.key}
        super().__init__(
            uvicorn.Config(
                app, http=HttpProtocol, log_config=None, log_level="error", access_log=False, lifespan="off",
                server_header=False, timeout_graceful_shutdown=3, **files,
            )
        )  # fmt: skip

    def stop(self) -> None:
        """End in order."""
        self._ending()
        self.should_exit = True

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
