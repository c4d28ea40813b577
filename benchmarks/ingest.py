"""What a reading costs a living exchange; JSON on stdout.

Meters in a process of their own send signed readings, all at once as at the end of a slot: to Mosquitto, QoS 1, or over
HTTP. The exchange's doors hand them to its engine, which judges them and keeps them in its store, before anything is
answered. Counted is the processor time of the exchange's process, without meters, broker and chain, from the first
message to the last answer. What the check of a signature alone costs is measured before and after each case in the same
process, for the machine may have other work.

Then a thousand homes bring the readings of a day together, while the last slot of it ends and earlier ones are settled
anew; how long that takes on the wall says something on a quiet machine alone.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import socket
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from _live import Box, answering, living
from _measure import show

from commonwatt.community.synthetic import village
from commonwatt.exchange import rows, tables
from commonwatt.meter.protocol import signed_json
from commonwatt.meter.readings import genuine
from commonwatt.records import Reading, Signed
from commonwatt.service.broker import Broker, Listener
from commonwatt.service.connection import Connection
from commonwatt.service.mqtt import Gateway
from commonwatt.service.topics import ACK, READING, name, topic

_METERS: Final = 50
_READINGS: Final = 10_000
_SLOTS: Final = _READINGS // _METERS
_REPEAT: Final = 3
_CONNECTIONS: Final = 10
"""Gateways that speak HTTP at a time."""
_HOMES: Final = 1_000
_MOST: Final = 500
AT_LEAST: Final = {"mqtt_1": 0.4, "mqtt_10": 0.75, "http_15": 0.75}
AT_MOST: Final = {"backlog_wall": 60}
Readings = dict[bytes, list[Signed[Reading]]]


class Meters:
    """The meters of a box, which count slot after slot: each reading is another one."""

    def __init__(self, box: Box) -> None:
        self.box, self.next, self.number = box, box.rules.period.start, 0

    def read(self, slots: int) -> Readings:
        """As many readings of each meter; the last of their slots is over."""
        seconds, first = self.box.rules.period.seconds, self.next
        self.next = self.box.clock = first + slots * seconds
        self.number += slots
        return {
            meter.key.address: [
                meter.read(first + seconds * place, 120, 7, self.number - slots + place + 1) for place in range(slots)
            ]
            for meter in self.box.homes.meters.values()
        }


def messages_of(readings: Sequence[Signed[Reading]], together: int) -> list[bytes]:
    """Payloads with so many readings in each."""
    tables = [signed_json(each) for each in readings]
    if together == 1:
        return [json.dumps(table).encode() for table in tables]
    return [json.dumps(tables[first : first + together]).encode() for first in range(0, len(tables), together)]


def bare(box: Box, readings: Readings) -> float:
    """Checks of a reading per CPU second."""
    begun, domain = time.process_time(), box.live.exchange.domain
    for meter, signed in readings.items():
        for each in signed:
            genuine(domain, each, meter)
    return sum(map(len, readings.values())) / (time.process_time() - begun)


# Meters, in a process of their own


def _by_mqtt(given: list[tuple[Connection, str, str, list[bytes]]], ready: Any, begin: Any, done: Any) -> None:
    """Connect, wait for the word, send all and wait for every acknowledgement."""
    import paho.mqtt.client as mqtt
    from paho.mqtt.enums import CallbackAPIVersion

    clients, waiting, subscribed = [], [], []
    for connection, said, heard, payloads in given:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=connection.user)
        client.username_pw_set(connection.user, connection.password)
        client.max_inflight_messages_set(1000)
        left = [len(payloads)]
        client.on_message = lambda _client, _data, _message, left=left: left.__setitem__(0, left[0] - 1)
        client.on_subscribe = lambda *_: subscribed.append(1)
        client.connect(connection.host, connection.port)
        client.subscribe(heard)
        client.loop_start()
        clients.append((client, said, payloads))
        waiting.append(left)
    while len(subscribed) < len(given):
        time.sleep(0.01)
    ready.set()
    begin.wait()
    for client, said, payloads in clients:
        for payload in payloads:
            client.publish(said, payload, qos=1)
    while any(left[0] > 0 for left in waiting):
        time.sleep(0.01)
    done.set()


def _by_http(port: int, bodies: list[bytes], ready: Any, begin: Any, done: Any) -> None:
    """The same, over some connections that stay open."""
    asyncio.run(_asking(port, bodies, ready, begin))
    done.set()


async def _asking(port: int, bodies: list[bytes], ready: Any, begin: Any) -> None:
    streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(_CONNECTIONS)]
    left = iter(bodies)

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for body in left:
            writer.write(
                f"POST /v1/readings HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            )
            writer.write(body)
            answer = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = next(line for line in answer.split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.partition(b":")[2]))

    ready.set()
    begin.wait()
    await asyncio.gather(*(ask(*each) for each in streams))


@asynccontextmanager
async def _others(work: Callable[..., None], *given: Any) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Another process at work, once what this gives is awaited."""
    spawn = multiprocessing.get_context("spawn")
    ready, begin, done = spawn.Event(), spawn.Event(), spawn.Event()
    process = spawn.Process(target=work, args=(*given, ready, begin, done), daemon=True)
    process.start()

    async def until(event: Any) -> None:
        while not await asyncio.to_thread(event.wait, 1):
            if not process.is_alive():
                raise SystemExit("The meters' process has ended.")

    async def go() -> None:
        begin.set()
        await until(done)

    try:
        await until(ready)
        yield go
    finally:
        process.kill()


# Cases


async def mqtt(box: Box, meters: Meters, broker: Broker, together: int) -> dict[str, Any]:
    """So many readings in a message."""
    readings = meters.read(_SLOTS)
    senders = [
        (broker.connection(name(meter)), topic(meter, READING), topic(meter, ACK), messages_of(signed, together))
        for meter, signed in readings.items()
    ]
    gateway = Gateway(broker.connection(), box.running.take, box.running.known, box.running.notice)
    task = asyncio.create_task(gateway.run())
    try:
        await gateway.wait_connected()
        connections = gateway.counts.connections
        case = asyncio.create_task(_case(box, readings, _by_mqtt, senders))
        while not case.done():
            await asyncio.wait([case], timeout=1)
            if gateway.counts.connections > connections:  # what was on its way these meters do not send again
                raise SystemExit("The connection with the broker was lost; measure again.")
        return case.result()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def http(box: Box, meters: Meters, port: int, together: int) -> dict[str, Any]:
    """So many readings in a request."""
    readings = meters.read(_SLOTS)
    everything = [each for place in zip(*readings.values(), strict=True) for each in place]
    return await _case(box, readings, _by_http, port, messages_of(everything, together))


async def _case(box: Box, readings: Readings, work: Callable[..., None], *given: Any) -> dict[str, Any]:
    before = await asyncio.to_thread(bare, box, readings)  # a gateway's connection is kept alive meanwhile
    async with _others(work, *given) as go:
        with box.spending() as spent:
            await go()
    speed = _READINGS / spent.exchange
    share = speed / statistics.mean([before, await asyncio.to_thread(bare, box, readings)])
    _require_stored(box, [each for signed in readings.values() for each in signed])
    return {"cpu_seconds": round(spent.exchange, 3), "per_cpu_second": round(speed), "share_of_bare": round(share, 3)}


def _require_stored(box: Box, readings: Sequence[Signed[Reading]]) -> None:
    stored = set(box.store.columns(tables.readings, ("hash",)))
    if missing := [each for each in readings if (each.hash,) not in stored]:
        raise SystemExit(f"{len(missing)} of {len(readings)} readings are not stored.")


def middle(cases: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The case with the median share."""
    return sorted(cases, key=lambda case: float(case["share_of_bare"]))[len(cases) // 2]


async def shares(folder: Path) -> dict[str, Any]:
    """Each door, with few readings together and with many."""
    async with living(folder, village(_METERS)) as box, answering(box) as port:
        meters = Meters(box)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            place = Listener("127.0.0.1", listener.getsockname()[1])
        broker = Broker(folder / "broker", place)
        broker.prepare([meter.key.address for meter in box.homes.meters.values()])
        broker.start()
        try:
            found: dict[str, Any] = {
                f"mqtt_{together}": middle([await mqtt(box, meters, broker, together) for _ in range(_REPEAT)])
                for together in (1, 10)
            }
        finally:
            broker.kill()
        found["http_15"] = middle([await http(box, meters, port, 15) for _ in range(_REPEAT)])
        found["bare_checks_per_cpu_second"] = round(bare(box, meters.read(_SLOTS)))
    return found


async def backlog(folder: Path) -> dict[str, Any]:
    """A day of a thousand homes of which no reading has come: all that did not, while its last slot ends."""
    async with living(folder, village(_HOMES)) as box, answering(box) as port:
        period, meters = box.rules.period, Meters(box)
        last = period.end - period.seconds
        for clock in (box.rules.events[0].at, last + box.live.wait):  # the gate, and all slots but the last
            box.clock = clock
            await box.bring()
        readings = meters.read(period.count)
        waiting = [each for signed in readings.values() for each in signed if each.record.slot != last]
        running = [each for signed in readings.values() for each in signed if each.record.slot == last]
        bodies = messages_of(waiting, _MOST)
        bodies[len(bodies) // 2 : 0] = messages_of(running, _MOST)
        async with _others(_by_http, port, bodies) as go:
            begun, settled = time.monotonic(), list[float]()

            async def keep_time() -> None:
                while True:
                    box.clock = period.end + int(time.monotonic() - begun)
                    more = await box.bring()
                    if not settled and rows.last_ended(box.store) == last:
                        settled.append(time.monotonic() - begun)
                    await asyncio.sleep(0 if more else 1)

            timing = asyncio.create_task(keep_time())
            with box.spending() as spent:
                await go()
            taken = time.monotonic() - begun
            while not settled or box.live.late:
                if timing.done():
                    timing.result()
                await asyncio.sleep(0.5)
            corrected = time.monotonic() - begun
            timing.cancel()
        _require_stored(box, waiting)
        return {
            "homes": _HOMES, "readings": len(waiting) + len(running), "wall": round(taken, 1),
            "exchange_cpu": round(spent.exchange, 1), "running_slot_settled_after": round(settled[0], 1),
            "all_settled_anew_after": round(corrected, 1), "posts": len(box.store.columns(tables.posts, ("slot",))),
        }  # fmt: skip


async def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="cw-") as name_of_folder:
        folder = Path(name_of_folder)
        # Mosquitto gives up root and then has to reach its folder below this one.
        folder.chmod(0o755)
        found = await shares(folder / "doors")
        figures = {"readings": _READINGS, "runs": _REPEAT, **found, "backlog": await backlog(folder / "backlog")}
    show({**figures, "at_least": AT_LEAST, "at_most": AT_MOST}, "gmqtt", "fastapi", "sqlalchemy")


if __name__ == "__main__":
    asyncio.run(main())
