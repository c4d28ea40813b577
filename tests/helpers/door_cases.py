"""A node's HTTP side without a socket, and a client of it, in one event loop that runs while the client waits."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any

import httpx

from commonwatt.ledger.network.driver import Driver
from commonwatt.ledger.network.server import application


class Door:
    """Opened by `with`; requests come from a program on the same machine."""

    def __init__(self, driver: Driver, host: str = "127.0.0.1:8545") -> None:
        self._driver = driver
        transport = httpx.ASGITransport(application(driver), client=("127.0.0.1", 50_000))
        self._client = httpx.AsyncClient(transport=transport, base_url=f"http://{host}")

    def __enter__(self) -> Door:
        self._runner = asyncio.Runner()
        self._runner.run(self._driver.__aenter__())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._runner.run(self._client.aclose())
        self._runner.run(self._driver.__aexit__())
        self._runner.close()

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self._runner.run(self._client.post(path, **options))
