"""What Prometheus is told of a service: what it counted, and its state as it is when somebody asks.

The figures are for whoever runs the box, not for the public: `add` answers this machine alone unless told otherwise.
"""

from __future__ import annotations

import asyncio
import ipaddress
import platform
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from commonwatt.errors import CommonwattError
from commonwatt.exchange import rows
from commonwatt.exchange.folder import CHAIN, EXCHANGE_FILE
from commonwatt.ledger.node import Block
from commonwatt.ledger.opening import LEDGER_FILE
from commonwatt.service.api.problems import problem
from commonwatt.service.children import Child
from commonwatt.service.health import State
from commonwatt.service.mqtt import Gateway
from commonwatt.service.running import Running

PATH: Final = "/metrics"
LOOPBACK: Final = ("127.0.0.0/8", "::1/128")
_CHAIN_SECONDS: Final = 5.0
"""How long a scrape waits for the chain's head; Prometheus gives up after ten."""
_FORWARDED: Final = ("forwarded", "via", "x-forwarded-for", "x-real-ip")


@dataclass(frozen=True)
class _Asked:
    """What has to be waited for. head : None while the chain does not answer; counts : as `rows.count_slots`"""

    head: Block | None
    ended: int
    counts: tuple[int, int, int]


class Metrics(Collector):
    """The state of one service.

    folder : of its store and chain
    gateway : None where no meter speaks MQTT
    children : processes that it keeps running
    """

    def __init__(
        self, running: Running, folder: Path, gateway: Gateway | None = None, children: Sequence[Child] = ()
    ) -> None:
        self._running, self._folder, self._gateway, self._children = running, folder, gateway, tuple(children)
        self._asking: asyncio.Task[Block] | None = None
        self._asked: _Asked | None = None
        running.figures.registry.register(self)

    async def text(self) -> bytes:
        """Everything, as Prometheus reads it. Raises StoreError when the store is out of reach."""
        store = self._running.live.store
        ended, counts = await asyncio.to_thread(lambda: (rows.last_ended(store), rows.count_slots(store)))
        self._asked = _Asked(await self._head(), ended, counts)
        return generate_latest(self._running.figures.registry)

    async def _head(self) -> Block | None:
        """The chain's last block, for which the engine's thread has to be free; it is asked once, however many wait."""
        if self._asking is None:
            node = self._running.live.exchange.client.node
            self._asking = asyncio.create_task(self._running.ask(lambda: node.head))
        done, _ = await asyncio.wait([self._asking], timeout=_CHAIN_SECONDS)
        if not done:
            return None
        asked, self._asking = self._asking, None
        try:
            return await asked
        except CommonwattError:
            return None

    def collect(self) -> Iterator[Metric]:
        """The state's families; what has to be waited for is as `text` found it."""
        yield _gauge("build_info", "What runs.", 1, version=version("commonwatt"), python=platform.python_version())
        yield from self._exchange()
        if self._asked:
            yield from self._slots(self._asked)
            yield from self._chain(self._asked.head)
        if self._gateway:
            yield from _broker(self._gateway)
        yield from _processes(self._children)
        yield from self._disk()

    def _exchange(self) -> Iterator[Metric]:
        running, live = self._running, self._running.live
        yield _gauge("behind", "Whether the ledger cannot be told, or what was due failed.", bool(live.behind))
        yield _gauge("without_rules", "Whether there are no prices for the days that come.", bool(live.trouble))
        yield _gauge("demands_open", "Demands on the chain without an answer.", len(running.demands.open))
        yield _gauge("clock_vouched", "Whether something vouches for the clock.", running.vouched)
        queues = GaugeMetricFamily("commonwatt_queue_length", "Records that wait for the engine.", labels=["door"])
        queues.add_metric(["readings"], running.readings.waiting)
        queues.add_metric(["orders"], running.orders.waiting)
        yield queues

    def _slots(self, asked: _Asked) -> Iterator[Metric]:
        live, now = self._running.live, self._running.now()
        exchange, seconds = live.exchange, live.slots.seconds
        settled, corrections, missed = asked.counts
        yield _gauge("slot_seconds", "How long a slot is.", seconds)
        yield _gauge("slots_open", "Slots between their gate and their settlement.", len(exchange.committed))
        yield _gauge("slots_late", "Settled slots with readings that do not count yet.", live.late)
        yield _counter("slots_settled", "Slots that were settled.", settled)
        yield _counter("slots_missed", "Slots for which nothing was committed in time.", missed)
        yield _counter("corrections", "How often slots were settled anew.", corrections)
        gate, end = exchange.next_gate, exchange.next_end
        yield _gauge(
            "gate_overdue_seconds", "How long a gate waits to be closed.", _since(gate.at if gate else now, now)
        )
        yield _gauge(
            "slot_end_overdue_seconds",
            "How long the next slot to settle has been over.",
            _since(end.at if end else now, now),
        )
        if asked.ended >= 0:
            age = _since(asked.ended + seconds, now)
            yield _gauge("settled_age_seconds", "Since the end of the last slot that is settled.", age)

    def _chain(self, head: Block | None) -> Iterator[Metric]:
        pending = len(self._running.live.exchange.outbox.pending)
        yield _gauge("posts_pending", "Posts that are not final.", pending)
        yield _gauge("chain_up", "Whether the chain answers.", head is not None)
        if head is not None:
            yield _gauge("chain_block_number", "The chain's last block.", head.number)
            age = _since(head.timestamp, self._running.now())
            yield _gauge("chain_block_age_seconds", "Since the time of the chain's last block.", age)

    def _disk(self) -> Iterator[Metric]:
        yield _gauge("store_size_bytes", "Of the store's file with its log.", _size(self._folder, EXCHANGE_FILE))
        chain = _size(self._folder, LEDGER_FILE) or _size(self._folder / CHAIN, LEDGER_FILE)
        yield _gauge("chain_size_bytes", "Of the chain's file with its log.", chain)
        usage = shutil.disk_usage(self._folder)
        yield _gauge("disk_size_bytes", "Of the disk with the folder.", usage.total)
        yield _gauge("disk_free_bytes", "Free on the disk with the folder.", usage.free)


def add(app: FastAPI, metrics: Metrics, networks: Iterable[str] = LOOPBACK) -> None:
    """Let the application answer `GET /metrics`, to these networks alone.

    A request that says that a proxy passed it on is refused wherever it comes from, for the proxy may stand on this
    machine and speak for anybody. One that does not say so has to close this path itself.
    """
    allowed = [ipaddress.ip_network(network) for network in networks]

    @app.get(PATH, include_in_schema=False)
    async def metrics_(request: Request) -> Response:
        if any(name in request.headers for name in _FORWARDED) or not _within(request, allowed):
            return problem(404, "Not Found")
        return Response(await metrics.text(), media_type=CONTENT_TYPE_LATEST)


def _within(request: Request, allowed: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    try:
        address = ipaddress.ip_address(request.client.host if request.client else "")
    except ValueError:
        return False
    return any(address in network for network in allowed)


def _broker(gateway: Gateway) -> Iterator[Metric]:
    counts = gateway.counts
    messages = CounterMetricFamily("commonwatt_mqtt_messages", "Messages that came by MQTT.", labels=["result"])
    messages.add_metric(["taken"], counts.messages - counts.failed)
    messages.add_metric(["failed"], counts.failed)
    messages.add_metric(["foreign"], counts.foreign)
    messages.add_metric(["dropped"], counts.dropped)
    yield _gauge("broker_connected", "Whether the broker is there.", gateway.connected)
    yield messages
    yield _counter("mqtt_acknowledgements", "Acknowledgements to meters.", counts.acknowledged)
    yield _counter("broker_connections", "Connections that were made with the broker.", counts.connections)


def _processes(children: Sequence[Child]) -> Iterator[Metric]:
    up = GaugeMetricFamily("commonwatt_child_up", "Whether a process of the service answers.", labels=["child"])
    starts = CounterMetricFamily("commonwatt_child_starts", "How often it was started.", labels=["child"])
    for child in children:
        up.add_metric([child.told.name], child.told.state is State.RUNNING)
        starts.add_metric([child.told.name], child.told.starts)
    yield from (up, starts)


def _gauge(name: str, meaning: str, value: float, **labels: str) -> Metric:
    family = GaugeMetricFamily(f"commonwatt_{name}", meaning, labels=list(labels))
    family.add_metric(list(labels.values()), value)
    return family


def _counter(name: str, meaning: str, value: int) -> Metric:
    return CounterMetricFamily(f"commonwatt_{name}", meaning, value=value)


def _since(then: int, now: int) -> int:
    return max(now - then, 0)


def _size(folder: Path, name: str) -> int:
    """Of a database with what SQLite keeps beside it [bytes]; 0 where it is elsewhere."""
    return sum(file.stat().st_size for part in ("", "-wal") if (file := folder / f"{name}{part}").is_file())
