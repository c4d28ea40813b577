"""A living exchange whose doors are asked by members, operators, strangers and nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from visitor_cases import STRANGER, Visited

from commonwatt.proof import Key
from commonwatt.service.api.app import application
from commonwatt.service.hosted import FOLDER, Hosted
from commonwatt.service.running import Running

HOUR = 3600
Test = Callable[["Asker"], Coroutine[Any, Any, None]]


class Doors(Visited):
    """As `Visited`; bills : the folder of bills, if there is one"""

    def __init__(self, folder: Path, bills: Path | None = None, **settings: Any) -> None:
        self.bills = bills
        super().__init__(folder, **settings)
        self.now = self.exchange.rules.events[0].at - HOUR // 2

    def open(self) -> None:
        """See `Visited`."""
        self.exchange, self.live = self.village.exchange, self.village.live
        self.starts = self.exchange.rules.period.starts.tolist()
        self.running = Running(self.live, lambda: self.now, speed=20)
        self.hosted = Hosted(self.live, self.village.folder / FOLDER)
        self.app = application(self.running, self.settings, self.bills, hosted=self.hosted)

    def whole_day(self, delay: Callable[[int, int], int] = lambda _slot, _home: 0) -> None:
        """Let the day pass. delay : how late a reading of a slot and home is [s]"""
        self.village.run(delay)
        self.now = self.exchange.now

    def key(self, who: object) -> Key:
        """Of a member, by number, of the operator or of a stranger."""
        if isinstance(who, int):
            return self.members[who]
        return self.operator if who == "operator" else STRANGER

    def ask(self, test: Test) -> None:
        """Run a test that asks in many a name."""

        async def whole() -> None:
            async with self.client() as client:
                await test(Asker(self, client))

        asyncio.run(whole())


class Asker:
    """Asks in the name of somebody: a member, by number, "operator", "stranger", or None."""

    def __init__(self, doors: Doors, client: httpx.AsyncClient) -> None:
        self.doors, self.client = doors, client
        self._tokens = dict[object, str]()

    async def headers(self, who: object) -> dict[str, str]:
        """What proves who asks."""
        if who is None:
            return {}
        if who not in self._tokens:
            sessions, account = self.doors.app.state.entry.sessions, self.doors.key(who).address
            begin = partial(sessions.begin, account, int(self.doors.wall), stranger=False)
            self._tokens[who], _ = await self.doors.running.ask(begin)
        return {"Authorization": f"Bearer {self._tokens[who]}"}

    async def __call__(
        self, path: str, who: object = None, status: int = 200, method: str = "GET", **more: Any
    ) -> httpx.Response:
        """What is answered, which has this status."""
        headers = {**more.pop("headers", {}), **await self.headers(who)}
        answer = await self.client.request(method, path, headers=headers, **more)
        assert answer.status_code == status, (path, answer.status_code, answer.text)
        if status >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["detail"].endswith(".")
        return answer

    async def json(self, path: str, who: object = None, **more: Any) -> Any:
        """What is answered, read."""
        return (await self(path, who, **more)).json()
