"""A living exchange at work with all that its operator looks at: broker, gateway, a process beside it, and figures."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import broker_cases
import uvicorn
from live_cases import RICH, Village
from node_processes import free_port

from commonwatt.ledger.network.listening import config, listening
from commonwatt.records import Reading, Signed
from commonwatt.service import metrics
from commonwatt.service.api.app import application
from commonwatt.service.children import Child, Program, healthy
from commonwatt.service.mqtt import Gateway
from commonwatt.service.running import Running

HOUR = 3600


class Box:
    """A living exchange whose first gate has closed, an hour into its first slot, by a clock that the test turns."""

    def __init__(self, folder: Path) -> None:
        self.village = Village(folder, RICH + '\n[ledger]\nwindow = "2h"\n')
        self.folder, self.live = folder / "out", self.village.live
        self.starts: list[int] = self.village.exchange.rules.period.starts.tolist()
        self.clock: float | None = self.starts[0] + HOUR
        self.live.advance(self.village.exchange.rules.events[0].at)
        self.running = Running(self.live, lambda: self.clock, speed=20)
        self.app = application(self.running)
        keys = [*self.village.exchange.outbox.quorum, *(meter.key for meter in self.village.homes.meters.values())]
        self.secrets = [key.secret.hex() for key in keys]

    def readings(self, place: int, number: int = 1) -> list[Signed[Reading]]:
        """Of all homes for a slot."""
        return [meter.read(self.starts[place], 300, 0, number) for meter in self.village.homes.meters.values()]

    def close(self) -> None:
        self.running.close()
        self.village.simulation.close()


@asynccontextmanager
async def operated(box: Box) -> AsyncIterator[int]:
    """The port of the box's interface, while broker, gateway, clock and a process beside them are at work."""
    broker, page = broker_cases.Running(), free_port()
    box.secrets += [broker.exchange.password, broker.broker.control().password]
    command = [sys.executable, "-m", "http.server", str(page), "--bind", "127.0.0.1", "--directory", str(broker.home)]
    child = Child(Program("page", command, healthy(f"http://127.0.0.1:{page}/")), lambda _: None)
    gateway = Gateway(broker.exchange, box.running.take, lambda: box.clock)
    metrics.add(box.app, metrics.Metrics(box.running, box.folder, gateway, [child]))
    server = uvicorn.Server(config(box.app))
    loops = [child.run(), box.running.keep_time(), box.running.figures.watch_loop()]
    with closing(listening("127.0.0.1", 0)) as listener:
        tasks = [asyncio.create_task(loop) for loop in loops]
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            async with broker_cases.serving(gateway):
                await child.ready()
                yield int(listener.getsockname()[1])
        finally:
            server.should_exit = True
            await serving
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            broker.remove()
