"""A living exchange for the benchmarks, whose clock they turn.

This process has the engine and the doors, as that of `commonwatt serve` has them; the chain is a process of its own.
Homes are those of a simulation, and live in this process, too: what they compute is never timed.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
from _measure import cpu_of
from fastapi import FastAPI

from commonwatt.exchange.folder import CHAIN
from commonwatt.exchange.founding import beginning
from commonwatt.exchange.loading import Loaded, load
from commonwatt.exchange.store import Store
from commonwatt.exchange.told import told
from commonwatt.ledger.network.operator import operator_token, operator_url
from commonwatt.ledger.remote import RemoteNode
from commonwatt.meter.protocol import STORED
from commonwatt.proof import checksum_address
from commonwatt.records import Order, Reading, Signed
from commonwatt.service.answering import Server, settings, take_turns
from commonwatt.service.api.app import application
from commonwatt.service.children import chain, free_port
from commonwatt.service.opening import Demo, Founders, Plan, open_live, plan
from commonwatt.service.running import Running
from commonwatt.simulation import world
from commonwatt.simulation.homes import SigningHomes
from commonwatt.simulation.keys import simulated_keys
from commonwatt.simulation.minds import Minds, history

START = date(2026, 6, 15)
_TOGETHER = 500
"""Records that come together, as in the longest list that a door takes."""


class Turned(Running):
    """A running exchange to which nothing is due before it is told so."""

    async def bring(self) -> bool:
        """All that is due now. Returns whether there may be more to do at once."""
        return await self._advance()


@dataclass
class Spent:
    """Seconds of processor time."""

    exchange: float = 0.0
    chain: float = 0.0


class Box:
    """A community on its own chain, founded and before its first gate.

    clock : the community's time [unix s]
    chain : number of the chain's process
    app : its application, once it answers over HTTP
    """

    def __init__(self, folder: Path, loaded: Loaded, planned: Plan, chain: int, url: str) -> None:
        self.loaded, self.folder, self.chain = loaded, folder, chain
        self.store, self.rules = planned.store, planned.rules
        token = operator_token(folder / CHAIN)
        self.live = open_live(planned, Founders.simulated(loaded), folder, url, token, demo=True)
        self.clock = self.rules.events[0].at - 2 * self.rules.period.seconds
        self.running = Turned(self.live, lambda: self.clock)
        self.app: FastAPI
        self.keys, minds = simulated_keys(loaded), Minds.of(loaded, folder)
        truth = world.build(self.rules, folder, history(self.rules, minds))
        self.own = Store(folder / "homes.sqlite")
        self.homes = SigningHomes(self.rules, truth, minds, self.own, self.keys, self.live.exchange.domain)

    def close(self) -> None:
        """End what runs, and let go of the files."""
        self.running.close()
        self.homes.minds.close()
        self.live.exchange.client.node.close()  # type: ignore[attr-defined]
        self.store.close()
        self.own.close()

    @contextmanager
    def spending(self) -> Iterator[Spent]:
        """What exchange and chain compute meanwhile."""
        spent, begun = Spent(), (process_time(), cpu_of(self.chain))
        yield spent
        spent.exchange, spent.chain = process_time() - begun[0], cpu_of(self.chain) - begun[1]

    # What homes say

    def wishes(self) -> list[Signed[Order]]:
        """The orders of all homes at the next gate."""
        gate = self.live.exchange.next_gate
        return [order for slot in self.homes.declare(gate, {}).signed for order in slot] if gate else []

    def readings(self, slot: int) -> list[Signed[Reading]]:
        """Of all homes, of a slot between its gate and its end; it is over when they come."""
        self.clock = slot + self.rules.period.seconds
        net = self.homes.deliver(told(self.live.exchange.committed[slot]))["net"]
        homes = frozenset(range(len(net)))
        return [each for each in self.homes.reported(slot, net, homes).signed if each is not None]

    async def order(self, orders: Sequence[Signed[Order]]) -> None:
        """Orders arrive, so many together as a door takes."""
        for first in range(0, len(orders), _TOGETHER):
            answers = await self.running.orders(orders[first : first + _TOGETHER])
            if refused := [each for each in answers if not isinstance(each, tuple)]:
                raise SystemExit(f"{len(refused)} orders are refused: {refused[0]}")

    async def report(self, readings: Sequence[Signed[Reading]]) -> None:
        """Readings arrive, likewise."""
        for first in range(0, len(readings), _TOGETHER):
            judged = await self.running.readings(readings[first : first + _TOGETHER])
            if refused := [each for each in judged if each.status != STORED]:
                raise SystemExit(f"{len(refused)} readings are not stored: {refused[0]}")

    async def bring(self) -> bool:
        """All that is due now, which has to succeed. Returns whether there may be more to do at once."""
        more = await self.running.bring()
        if self.live.behind:
            raise SystemExit(self.live.behind)
        return more


@asynccontextmanager
async def living(folder: Path, text: str, days: int = 1) -> AsyncIterator[Box]:
    """A box in a new folder. text : of the community's file"""
    take_turns()
    folder.mkdir()
    # A broker gives up root and then has to reach its folder below this one.
    folder.chmod(0o755)
    file = folder / "community.toml"
    file.write_text(text, encoding="utf-8")
    loaded, port = load(file), free_port()
    planned = plan(loaded, folder, folder, 0, START, Demo(START, 1, days))
    number, wei = beginning(loaded)
    operator = checksum_address(Founders.simulated(loaded).quorum[0].address)
    options = ["--new", f"{number}:{wei}", "--operator", operator, "--begin", str(planned.begin), "--settable"]
    command = chain(folder / CHAIN, port, options).command
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        try:
            with closing(RemoteNode(f"http://127.0.0.1:{port}", restarts=120)) as node:
                await asyncio.to_thread(lambda: node.head)
            with closing(await asyncio.to_thread(Box, folder, loaded, planned, process.pid, operator_url(port))) as box:
                yield box
        finally:
            process.terminate()


@asynccontextmanager
async def answering(box: Box) -> AsyncIterator[int]:
    """The doors of a box, at a port."""
    server = Server(box.loaded.live, box.folder)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
        box.app = application(box.running, settings(box.loaded.live, "127.0.0.1", port, demo=True))
        server.begin(box.app, box.running.feed.close)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield port
        finally:
            server.stop()
            await task


class Lag:
    """How late the event loop is meanwhile, looked at every 5 ms."""

    _PAUSE = 0.005

    def __init__(self) -> None:
        self._late: list[float] = []

    async def __aenter__(self) -> Lag:
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            begun = perf_counter()
            await asyncio.sleep(self._PAUSE)
            self._late.append(perf_counter() - begun - self._PAUSE)

    @property
    def p99(self) -> float:
        """[s]"""
        return float(np.percentile(self._late, 99))
