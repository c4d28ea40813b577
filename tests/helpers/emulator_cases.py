"""A living exchange at a port, whose clock a test turns, and the command that plays its homes."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import broker_cases
import uvicorn
from exchange_cases import START, begin, exchange_of, homes_of, until
from live_cases import RICH
from node_processes import free_port

from commonwatt.exchange import rows, tables
from commonwatt.exchange.enrolled import Enrolled
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.live import Live
from commonwatt.service.api.app import application
from commonwatt.service.api.limits import Allowance
from commonwatt.service.api.settings import Settings
from commonwatt.service.broker import SECRET
from commonwatt.service.logins import Passwords
from commonwatt.service.mqtt import Gateway
from commonwatt.service.plans import Plans
from commonwatt.service.running import Running

T = TypeVar("T")
HOUR = 3600
FAST = 36_000.0
"""Speed that is announced, so that homes look at the clock often."""
FOR_EVER = 10**9
"""So long a slot waits for its readings."""


class Served:
    """A living exchange; it knows a broker, or is asked over HTTP alone."""

    def __init__(self, folder: Path, text: str = RICH, *, broker: bool) -> None:
        self.simulation = begin(folder, text)
        founded = exchange_of(self.simulation)
        self.homes, self.file = homes_of(self.simulation), folder / "community.toml"
        roster = Enrolled(founded.store, founded.client, founded.rules.community)
        roster.follow()
        self.exchange = Exchange(founded.rules, founded.store, founded.client, founded.outbox.quorum, roster)
        self.live = Live(self.exchange, roster, lambda _: founded.rules, FOR_EVER)
        self.gate = founded.rules.events[0]
        self.clock = self.gate.at - 3 * HOUR
        self.running = Running(self.live, lambda: self.clock, FAST)
        meters = [meter.key.address for meter in self.homes.meters.values()]
        self.broker = broker_cases.Running(meters) if broker else None
        self.secret = (self.broker.home if self.broker else folder) / SECRET
        self.passwords = Passwords.kept(self.secret)
        settings = Settings(per_address=Allowance(10_000, 100_000))
        self.app = application(self.running, settings, passwords=self.passwords)
        self.port = free_port()
        self._server = uvicorn.Server(uvicorn.Config(self.app, port=self.port, log_level="error", lifespan="off"))
        self._loop: asyncio.AbstractEventLoop
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self) -> None:
        self._loop, beside = asyncio.get_running_loop(), list[asyncio.Task[None]]()
        if self.broker:
            gateway = Gateway(self.broker.exchange, self.running.take, lambda: self.clock)
            works = [gateway.run(), Plans(self.running, gateway).run(), *self.beside()]
            beside = [self._loop.create_task(each) for each in works]
        await self._server.serve()
        for each in beside:
            each.cancel()
        await asyncio.gather(*beside, return_exceptions=True)

    def beside(self) -> list[Coroutine[Any, Any, None]]:
        """What else runs with the broker."""
        return []

    def __enter__(self) -> Self:
        self._thread.start()
        until(lambda: self._server.started, 120)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._server.should_exit = True
        self._thread.join()
        self.running.close()
        self.simulation.close()
        if self.broker:
            self.broker.remove()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, function: Callable[..., T], *args: Any) -> T:
        return asyncio.run_coroutine_threadsafe(self.running.ask(function, *args), self._loop).result(300)

    def play(self, meanwhile: Callable[[int | None], None]) -> None:
        """The whole day: nothing is due before all homes have spoken.

        meanwhile : called again and again, with the number of the slot whose readings are waited for; None = the gate
        """
        period = self.exchange.rules.period
        self.clock = self.gate.at - HOUR
        self._wait(self._have_planned, lambda: meanwhile(None))
        self._advance(self.gate.at)
        for number, slot in enumerate(period.starts.tolist()):
            self.clock = slot + HOUR
            self._wait(partial(self._have_reported, slot), partial(meanwhile, number))
            self._advance(slot + HOUR)
        self._advance(period.end + 10 * HOUR)

    def _advance(self, clock: int) -> None:
        self.clock = clock
        self.ask(self.live.advance, clock)

    def _wait(self, true: Callable[[], bool], meanwhile: Callable[[], None]) -> None:
        def look() -> bool:
            meanwhile()
            return true()

        until(look, 600)

    def _have_reported(self, slot: int) -> bool:
        return not self.ask(self.live.missing, slot)

    def _have_planned(self) -> bool:
        _, said = self.ask(rows.read_planned, self.exchange.store, self.exchange.rules.period, 5)
        return bool(said.all())

    @property
    def orders(self) -> int:
        """How many orders have come."""
        return len(self.ask(self.exchange.store.rows, tables.orders))

    def settled(self) -> dict[str, Any]:
        """What the day came to."""
        return settled(self.exchange)


def settled(exchange: Exchange) -> dict[str, Any]:
    """Balances, and of each slot and member what was metered and where it went."""
    exchange.outbox.finalise_due()
    columns = ("slot", "revision", "member", "net", "ahead", "after", "grid", "credit")
    return {
        "balances": exchange.client.balances().tolist(),
        "accounts": exchange.store.columns(tables.accounts, columns),
    }


class Emulator:
    """The command, which can be killed and started again."""

    def __init__(self, served: Served, folder: Path, *more: str) -> None:
        self.figures = folder / "homes.json"
        broker = ["--broker", f"127.0.0.1:{served.broker.broker.listener.port}"] if served.broker else []
        self._command = [
            *(sys.executable, "-m", "commonwatt.cli", "meter", "emulate", str(served.file), served.url),
            *("--start", START, "--dir", str(folder / "homes"), "--secret", str(served.secret)),
            *("--json", str(self.figures), *broker, *more),
        ]
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def lives(self, _: int | None = None) -> None:
        """Fails, with what the command said, where it has ended."""
        assert self._process.poll() is None, self.end()

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def end(self) -> tuple[int, str, dict[str, int]]:
        """Exit code, what it said on stderr, and its figures, once it has ended."""
        _, said = self._process.communicate(timeout=600)
        figures = json.loads(self.figures.read_text()) if self.figures.exists() else {}
        return self._process.returncode, said, figures
