"""What a reading costs the exchange that comes by MQTT or by HTTP; JSON on stdout.

Meters in a process of their own send signed readings, all at once as at the end of a slot: to Mosquitto, QoS 1, or to
the interface, over a few connections that stay open. The doors hand them over to a living exchange in its thread, which
judges them and has them in its store (SQLite, synchronous FULL) before they are acknowledged. The clock is the
processor time of the exchange's process, without meters and broker, from the first message to the last acknowledgement.
What the check of a signature alone costs is measured before and after each case in the same process, for the machine
may have other work.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import multiprocessing
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any, Final

from _measure import show

from commonwatt.community.synthetic import village
from commonwatt.exchange import tables
from commonwatt.exchange.checking import load
from commonwatt.exchange.enrolled import Enrolled
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.live import Live
from commonwatt.meter.protocol import signed_json
from commonwatt.meter.readings import genuine
from commonwatt.proof import Domain
from commonwatt.records import Reading, Signed
from commonwatt.service.api.app import application
from commonwatt.service.broker import Broker, Listener
from commonwatt.service.connection import Connection
from commonwatt.service.mqtt import Gateway
from commonwatt.service.running import Running
from commonwatt.service.topics import ACK, READING, name, topic
from commonwatt.simulation.homes import SigningHomes
from commonwatt.simulation.simulation import Simulation

_HOMES: Final = 50
_READINGS: Final = 10_000
_START: Final = date(2026, 6, 15)
_AFTER: Final = 3 * 86_400
_REPEAT: Final = 3
_CONNECTIONS: Final = 4

Sent = dict[bytes, list[Signed[Reading]]]
"""By meter [address]."""


@contextmanager
def exchange(folder: Path) -> Iterator[tuple[Running, Sent, Domain]]:
    """A living exchange of a made-up village, three days after its first slot, and what its meters have counted."""
    folder.mkdir()
    file = folder / "community.toml"
    file.write_text(village(_HOMES), encoding="utf-8")
    simulation = Simulation(load(file), folder, _START, 1, out=folder / "out")
    founded, homes = simulation.exchange, simulation.homes
    assert isinstance(founded, Exchange)  # noqa: S101
    assert isinstance(homes, SigningHomes)  # noqa: S101
    roster = Enrolled(founded.store, founded.client, founded.rules.community)
    roster.follow()
    opened = Exchange(founded.rules, founded.store, founded.client, founded.outbox.quorum, roster)
    first = founded.rules.period.start
    running = Running(Live(opened, roster, lambda _: founded.rules, 0), lambda: first + _AFTER)
    try:
        yield running, signed_readings(homes.meters.values(), first), founded.domain
    finally:
        running.close()
        simulation.close()


def signed_readings(meters: Any, first: int) -> Sent:
    """As many readings of each meter, one for each slot from `first` [unix s] on."""
    count = _READINGS // _HOMES
    return {
        meter.key.address: [meter.read(first + 900 * number, 120, 7, number + 1) for number in range(count)]
        for meter in meters
    }


def messages_of(readings: Sequence[Signed[Reading]], together: int) -> list[bytes]:
    """The payloads of one meter, with so many readings in each."""
    tables = [signed_json(each) for each in readings]
    if together == 1:
        return [json.dumps(table).encode() for table in tables]
    rest = iter(tables)
    return [json.dumps(group).encode() for group in iter(lambda: list(islice(rest, together)), [])]


def bare(readings: Sent, domain: Domain) -> float:
    """Checks of a reading per CPU second."""
    begun = time.process_time()
    for meter, signed in readings.items():
        for each in signed:
            genuine(domain, each, meter)
    return _READINGS / (time.process_time() - begun)


def _send(given: list[tuple[Connection, str, str, list[bytes]]], ready: Any, begin: Any, done: Any) -> None:
    """Meters connect, wait for the word, send all they have and wait for every acknowledgement."""
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


def _post(port: int, bodies: list[bytes], ready: Any, begin: Any, done: Any) -> None:
    """Gateways of meters wait for the word and send all they have, one request after the other on each connection."""
    ready.set()
    begin.wait()

    def one(own: list[bytes]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        for body in own:
            connection.request("POST", "/v1/readings", body, {"Content-Type": "application/json"})
            answer = json.loads(connection.getresponse().read())
            if any(each["status"] != "stored" for each in answer["results"]):
                raise SystemExit(str(answer["results"]))
        connection.close()

    threads = [threading.Thread(target=one, args=(bodies[place::_CONNECTIONS],)) for place in range(_CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done.set()


Door = Callable[[Running], Any]


def ingest(folder: Path, door: Door, send: Callable[..., None], sent: Callable[[Sent], list[Any]]) -> dict[str, Any]:
    """One case. door : opens what readings come in by; send, sent : what meters do in their process, and with what"""
    with exchange(folder / f"{time.monotonic_ns()}") as (running, readings, domain):
        spawn = multiprocessing.get_context("spawn")
        ready, begin, done = spawn.Event(), spawn.Event(), spawn.Event()
        meters = spawn.Process(target=send, args=(*sent(readings), ready, begin, done), daemon=True)
        meters.start()
        before = bare(readings, domain)

        async def run() -> float:
            async with door(running):
                await asyncio.to_thread(ready.wait)
                begun = time.process_time()
                begin.set()
                await asyncio.to_thread(done.wait)
                taken = time.process_time() - begun
            meters.kill()
            return taken

        seconds = asyncio.run(run())
        share = _READINGS / seconds / statistics.mean([before, bare(readings, domain)])
        stored = len(running.live.store.columns(tables.readings, ("sequence",)))
    if stored != _READINGS:
        raise SystemExit(f"{stored} of {_READINGS} readings were stored: some were dropped.")
    per_second = round(_READINGS / seconds)
    return {"cpu_seconds": round(seconds, 3), "per_cpu_second": per_second, "share_of_bare": round(share, 3)}


def by_mqtt(broker: Broker) -> Door:
    """The gateway of the broker."""

    @asynccontextmanager
    async def door(running: Running) -> AsyncIterator[None]:
        gateway = Gateway(broker.connection(), running.take, lambda: None)
        task = asyncio.create_task(gateway.run())
        await gateway.wait_connected()
        yield
        task.cancel()

    return door


def by_http(listener: socket.socket) -> Door:
    """The interface."""
    import uvicorn

    @asynccontextmanager
    async def door(running: Running) -> AsyncIterator[None]:
        server = uvicorn.Server(uvicorn.Config(application(running), log_level="error", access_log=False))
        task: Awaitable[None] = asyncio.create_task(server.serve(sockets=[listener.dup()]))
        while not server.started:
            await asyncio.sleep(0.01)
        yield
        server.should_exit = True
        await task

    return door


def bodies_of(readings: Sent, together: int) -> list[bytes]:
    """Requests with so many readings in each, of all meters."""
    tables_ = [json.dumps(signed_json(each)) for own in zip(*readings.values(), strict=True) for each in own]
    groups = iter(tables_)
    return [f"[{','.join(group)}]".encode() for group in iter(lambda: list(islice(groups, together)), [])]


def middle(cases: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The case with the median share."""
    return sorted(cases, key=lambda case: case["share_of_bare"])[len(cases) // 2]


def _client(broker: Broker, meter: bytes, payloads: list[bytes]) -> tuple[Connection, str, str, list[bytes]]:
    return broker.connection(name(meter)), topic(meter, READING), topic(meter, ACK), payloads


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="cw-") as name_of_folder:
        folder = Path(name_of_folder)
        # Mosquitto gives up root and then has to reach its folder below this one.
        folder.chmod(0o755)
        with exchange(folder / "meters") as (_, readings, domain):
            checks = round(bare(readings, domain))
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        broker = Broker(folder / "broker", Listener("127.0.0.1", port))
        broker.prepare(readings)
        broker.start()

        def by_meter(together: int) -> Callable[[Sent], list[Any]]:
            def sent(readings: Sent) -> list[Any]:
                return [[_client(broker, meter, messages_of(own, together)) for meter, own in readings.items()]]

            return sent

        def together_in(requests: int) -> Callable[[Sent], list[Any]]:
            return lambda readings: [port, bodies_of(readings, requests)]

        def case(door: Door, send: Callable[..., None], sent: Callable[[Sent], list[Any]]) -> dict[str, Any]:
            return middle([ingest(folder, door, send, sent) for _ in range(_REPEAT)])

        try:
            cases = {
                f"mqtt_{together}_a_message": case(by_mqtt(broker), _send, by_meter(together)) for together in (1, 10)
            }
        finally:
            broker.kill()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            cases |= {
                f"http_{together}_a_request": case(by_http(listener), _post, together_in(together))
                for together in (1, 15)
            }
        show(
            {"readings": _READINGS, "runs": _REPEAT, "bare_checks_per_cpu_second": checks, **cases}, "gmqtt", "fastapi"
        )


if __name__ == "__main__":
    main()
