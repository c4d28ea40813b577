"""What a living exchange computes, how late its event loop is, and how soon an order is told; JSON on stdout.

The exchange is this process, its chain another one, as `commonwatt serve` has them. Homes' readings are there when a
slot ends, and their orders when the gate closes; what homes compute is not timed. Pages are connections of a third
process, each of a member that has signed in; they hear of each of its orders, and once a second of slots. How long
something takes on the wall says something on a quiet machine alone.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from _live import START, Box, Lag, answering, living
from _measure import ROOT, cpu_of, memory_of, show

from commonwatt.accounts.orders import order_json
from commonwatt.community.synthetic import village
from commonwatt.proof import sign_basket
from commonwatt.records import BUY, Order, Signed
from commonwatt.service.children import free_port

HOMES: Final = 1_000
SLOTS: Final = 8
PAGES, RATE, SECONDS = 200, 100, 20
IDLE: Final = 60
_LAST: Final = 2**52
"""A nonce above those of homes' own orders."""
AT_MOST: Final = {
    "slot": {"exchange_cpu": 0.4, "chain_cpu": 0.6}, "gate": {"exchange_cpu": 3.0}, "lag": {"ratio": 3.0},
    "pages": {"p99_ms": 100.0, "cores": 0.5},
    "idle": {"memory_mb": 300, "percent_of_a_core": 3.0, "chain_bytes_grown": 0, "disk_bytes_a_day": 6_000_000},
}  # fmt: skip


async def busy(folder: Path) -> dict[str, Any]:
    """1 000 homes: pages before the first gate, with few orders and with all of them; the gate; and slots."""
    found: dict[str, Any] = {"homes": HOMES}
    async with living(folder, village(HOMES)) as box:
        async with Lag() as idle:
            await asyncio.sleep(10)
        found["lag_ms_idle"] = _ms(idle.p99)
        orders = box.wishes()
        async with answering(box) as port:
            found["pages"] = {"few_orders": await _pages(box, port, 1)}
            with box.spending() as spent:
                await box.order(orders)
            found["orders"] = {"count": len(orders), "exchange_cpu": round(spent.exchange, 2)}
            found["pages"]["all_orders"] = await _pages(box, port, _LAST)
        gate = box.live.exchange.next_gate
        assert gate  # noqa: S101 (it has not closed)
        box.clock = gate.at
        async with Lag() as lag:
            with box.spending() as spent:
                await box.bring()
        found["gate"] = {**_told(spent.exchange, spent.chain), "slots": gate.slots.count, "lag_ms": _ms(lag.p99)}
        found["slot"] = await _slots(box)
    found["lag_ratio"] = round(max(found["gate"]["lag_ms"], found["slot"]["lag_ms"]) / found["lag_ms_idle"], 2)
    return found


async def _slots(box: Box) -> dict[str, Any]:
    """Slots end, whose readings are there: the mean of each, without the first."""
    ends, reports = [], []
    async with Lag() as lag:
        for slot in box.rules.period.starts.tolist()[: SLOTS + 1]:
            readings = await asyncio.to_thread(box.readings, slot)
            with box.spending() as reported:
                await box.report(readings)
            with box.spending() as ended:
                await box.bring()
            if not box.live.exchange.outbox.final_at(slot, 0):
                raise SystemExit(f"Slot {slot} is not final.")
            ends.append(ended)
            reports.append(reported.exchange)
    exchange, chain = (statistics.mean(getattr(each, whose) for each in ends[1:]) for whose in ("exchange", "chain"))
    return {
        **_told(exchange, chain), "slots": SLOTS, "readings_cpu": round(statistics.mean(reports[1:]), 3),
        "lag_ms": _ms(lag.p99),
    }  # fmt: skip


def _told(exchange: float, chain: float) -> dict[str, float]:
    return {"exchange_cpu": round(exchange, 3), "chain_cpu": round(chain, 3)}


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 2)


# Pages


async def _pages(box: Box, port: int, nonce: int) -> dict[str, Any]:
    """Pages are open and orders come; nonce : of the orders."""
    sessions = box.app.state.entry.sessions
    members = [key.address for key in box.keys.members[:PAGES]]
    tokens = [(await box.running.ask(sessions.begin, each, int(time.time()), stranger=False))[0] for each in members]
    orders = [
        (f"0x{each.hash.hex()}", json.dumps([order_json(each)]).encode())
        for each in (_order(box, place, nonce) for place in range(RATE * SECONDS))
    ]
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    visitors = spawn.Process(target=_visit, args=(port, tokens, orders, there), daemon=True)
    visitors.start()
    there.close()
    try:
        await asyncio.to_thread(here.recv)  # all pages are open
        telling = asyncio.create_task(_change(box))
        with box.spending() as spent:
            here.send(None)
            late = await asyncio.to_thread(here.recv)
        telling.cancel()
    finally:
        visitors.kill()
    if len(late) != len(orders):
        raise SystemExit(f"{len(orders) - len(late)} of {len(orders)} orders were not told.")
    return {
        "pages": PAGES, "orders_a_second": RATE, "cores": round(spent.exchange / SECONDS, 3),
        "p50_ms": _ms(float(np.percentile(late, 50))), "p99_ms": _ms(float(np.percentile(late, 99))),
    }  # fmt: skip


def _order(box: Box, place: int, nonce: int) -> Signed[Order]:
    """One order of some member's agent; it replaces what that one ordered before."""
    period, member = box.rules.period, place % PAGES
    slot = int(period.starts[place // PAGES])
    order = Order(
        member=box.keys.members[member].address, slot=slot, side=BUY, wh=10, limit=100_000,
        nonce=nonce, expiry=slot, text="",
    )  # fmt: skip
    return sign_basket(box.live.exchange.domain, [order], box.keys.agents[member])[0]


async def _change(box: Box) -> None:
    """Something changes for everybody, again and again."""
    while True:
        box.running.feed.changed([box.rules.period.start])
        await asyncio.sleep(0.5)


def _visit(port: int, tokens: list[str], orders: list[tuple[str, bytes]], told: Any) -> None:
    """The pages, and those that order, at so many orders a second: how late each was told [s]."""
    asyncio.run(_visiting(port, tokens, orders, told))


async def _visiting(port: int, tokens: list[str], orders: list[tuple[str, bytes]], told: Any) -> None:
    sent, late = dict[str, float](), list[float]()
    all_told = asyncio.Event()

    async def listen(reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            if line.startswith(b'data: {"order"'):
                late.append(time.perf_counter() - sent[json.loads(line[6:])["order"]])
                if len(late) == len(orders):
                    all_told.set()

    async def ask(body: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"POST /v1/orders HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = await reader.read()
        writer.close()
        if b'"accepted"' not in answer:
            raise SystemExit(f"An order is not accepted: {answer.decode(errors='replace')}")

    pages = []
    for token in tokens:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"GET /v1/events HTTP/1.1\r\nHost: localhost:{port}\r\nAuthorization: Bearer {token}\r\n\r\n"
        writer.write(head.encode())
        await reader.readuntil(b"event: hello")
        pages.append((asyncio.create_task(listen(reader)), writer))
    told.send(None)
    await asyncio.to_thread(told.recv)
    begun, asking = time.perf_counter(), []
    for place, (name, body) in enumerate(orders):
        await asyncio.sleep(max(0.0, begun + place / RATE - time.perf_counter()))
        sent[name] = time.perf_counter()
        asking.append(asyncio.create_task(ask(body)))
    await asyncio.gather(*asking)
    async with asyncio.timeout(60):
        await all_told.wait()
    told.send(late)
    await asyncio.to_thread(told.recv)


# Nothing to do


async def a_day(folder: Path) -> dict[str, int]:
    """What a day of the village leaves on the disk [bytes]."""
    text = (ROOT / "examples" / "village.toml").read_text("utf-8")
    async with living(folder, text) as box:
        before = _sizes(folder)
        await box.order(box.wishes())
        gate = box.live.exchange.next_gate
        assert gate  # noqa: S101 (it has not closed)
        box.clock = gate.at
        await box.bring()
        for slot in box.rules.period.starts.tolist():
            await box.report(box.readings(slot))
            await box.bring()
        after = _sizes(folder)
    return {name: after[name] - before[name] for name in after}


def _sizes(folder: Path) -> dict[str, int]:
    """Of the exchange's store and of its chain, without what their journals keep room for [bytes]."""
    files = {"exchange": folder / "exchange.sqlite", "chain": folder / "chain" / "ledger.sqlite"}
    return {name: _size(file) for name, file in files.items()}


def _size(file: Path) -> int:
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
        ((pages,),), ((size,),) = (database.execute(f"PRAGMA page_{what}") for what in ("count", "size"))
        return int(pages * size)


def idle(folder: Path) -> dict[str, Any]:
    """`commonwatt serve` of the village, to which nobody says anything: memory and time of all its processes."""
    with _served(folder) as (pid, begun):
        pids = [pid, *_children(pid)]
        time.sleep(10)
        used, size = sum(map(cpu_of, pids)), _sizes(folder)["chain"]
        time.sleep(IDLE)
        share = 100 * (sum(map(cpu_of, pids)) - used) / IDLE
        return {
            "healthy": begun,
            "memory_mb": sum(map(memory_of, pids)),
            "processes": len(pids),
            "percent_of_a_core": round(share, 2),
            "chain_bytes_grown": _sizes(folder)["chain"] - size,
        }


@contextmanager
def _served(folder: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """The number of the process, once it is healthy, and how long that took."""
    port, begun = free_port(), time.monotonic()
    options = ["--dir", str(folder), "--port", str(port), "--demo-clock", "1", "--start", START.isoformat()]
    command = [sys.executable, "-m", "commonwatt.cli", "serve", str(ROOT / "examples" / "village.toml"), *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            while _health(port) != "ok":
                if process.poll() is not None:
                    raise SystemExit("The exchange has ended.")
                time.sleep(0.05)
            wall = time.monotonic() - begun
            cpu = sum(map(cpu_of, [process.pid, *_children(process.pid)]))
            yield process.pid, {"wall": round(wall, 2), "cpu": round(cpu, 2)}
        finally:
            process.terminate()


def _health(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as answer:
            return str(json.load(answer)["status"])
    except OSError:
        return ""


def _children(pid: int) -> list[int]:
    """The processes that a process has started."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text("ascii").split()]


async def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        found = await busy(folder / "busy")
        grown = await a_day(folder / "day")
        found["idle"] = {**idle(folder / "idle"), "disk_bytes_a_day": sum(grown.values()), "disk": grown}
    show({**found, "at_most": AT_MOST}, "py-evm", "fastapi", "uvicorn", "sqlalchemy")


if __name__ == "__main__":
    asyncio.run(main())
