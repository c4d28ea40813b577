"""A living exchange behind its doors over HTTP, and who asks there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
from fastapi import HTTPException, Request
from live_cases import Village

from commonwatt.proof import Key
from commonwatt.service.api.app import application
from commonwatt.service.api.callers import Caller, anyone, signed_in
from commonwatt.service.running import Running

HOUR = 3600
STRANGER = Key.derive(b"doors", "stranger")
OPERATOR = "operator"


class Doors:
    """A village whose clock the test turns. Who asks is named in a header: a member's number, or a word."""

    def __init__(self, folder: Path, bills: Path | None = None) -> None:
        self.village, self.bills = Village(folder), bills
        self.clock: float | None = self.village.exchange.rules.period.starts[0] - 24 * HOUR
        self.serve()

    def serve(self) -> None:
        """Open the doors to the village as it is."""
        self.exchange, self.live = self.village.exchange, self.village.live
        self.starts = self.exchange.rules.period.starts.tolist()
        self.running = Running(self.live, lambda: self.clock, speed=20)
        self.app = application(self.running, self.bills)
        self.app.dependency_overrides[anyone] = self._anyone
        self.app.dependency_overrides[signed_in] = self._signed_in

    def whole_day(self, delay: Callable[[int, int], int] = lambda _slot, _home: 0) -> None:
        """Let the day pass."""
        self.village.run(delay)
        self.clock = self.exchange.now

    def restart(self) -> None:
        """End, as a killed process does, and begin again from what is stored."""
        self.running.close()
        self.village.simulation.close()
        self.village.open()
        self.serve()

    def close(self) -> None:
        self.running.close()
        self.village.simulation.close()

    def account(self, member: int) -> bytes:
        return self.live.roster.at(int(self.clock or 0)).mandates[member].record.member

    def caller(self, who: str) -> Caller:
        if who.isdigit():
            return Caller(self.account(int(who)), int(who), operator=False)
        return Caller(STRANGER.address, None, operator=who == OPERATOR)

    def _anyone(self, request: Request) -> Caller | None:
        who = request.headers.get("who", "")
        return self.caller(who) if who else None

    def _signed_in(self, request: Request) -> Caller:
        found = self._anyone(request)
        if found is None:
            raise HTTPException(401, "Sign in first.")
        return found

    def ask(self, test: Callable[[Asker], Coroutine[Any, Any, None]]) -> None:
        async def whole() -> None:
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(self.app), base_url="http://box", timeout=60
            ) as client:
                await test(Asker(client))

        asyncio.run(whole())


class Asker:
    """Asks in the name of somebody."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def __call__(
        self, path: str, who: object = "", status: int = 200, method: str = "GET", **more: Any
    ) -> httpx.Response:
        headers = {**more.pop("headers", {}), **({"who": str(who)} if who != "" else {})}
        answer = await self.client.request(method, path, headers=headers, **more)
        assert answer.status_code == status, (path, answer.status_code, answer.text)
        if status >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["detail"].endswith(".")
        return answer
