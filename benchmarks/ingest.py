"""What a reading costs the exchange that comes by MQTT; JSON on stdout.

Meters in a process of their own send signed readings to Mosquitto, QoS 1, all at once as at the end of a slot. The
exchange's gateway hands them over in batches; each is read and judged by the device protocol, and a batch is one
transaction of SQLite (WAL, synchronous FULL) in a thread, before its acknowledgements go out. The clock is the
processor time of the gateway's process, without meters and broker, from the first message to the last acknowledgement.
What the check of a signature alone costs is measured before and after each case in the same process, for the machine
may have other work.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import socket
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

from _measure import show

from commonwatt.errors import RecordError
from commonwatt.meter import SimulatedMeter
from commonwatt.meter.protocol import STORED, InService, SlotRules, acknowledge, judge, readings_of, signed_json
from commonwatt.meter.readings import genuine
from commonwatt.proof import Domain, Key
from commonwatt.records import Reading, Signed
from commonwatt.service.broker import Broker, Listener
from commonwatt.service.connection import Connection
from commonwatt.service.mqtt import Gateway, Messages
from commonwatt.service.topics import ACK, READING, name, topic

_DOMAIN: Final = Domain(1, bytes(19) + b"\1")
_METERS: Final = [SimulatedMeter(Key.derive(b"benchmark", f"meter {number}"), _DOMAIN) for number in range(50)]
_READINGS: Final = 10_000
_SLOT: Final = 1_781_481_600
_NOW: Final = _SLOT + 3 * 86_400
_RULES: Final = SlotRules()
_REPEAT: Final = 3


def signed_readings() -> dict[bytes, list[Signed[Reading]]]:
    """As many readings of each meter, one for each slot."""
    count = _READINGS // len(_METERS)
    return {
        meter.key.address: [meter.read(_SLOT + 900 * number, 120, 7, number + 1) for number in range(count)]
        for meter in _METERS
    }


def messages_of(readings: Sequence[Signed[Reading]], together: int) -> list[bytes]:
    """The payloads of one meter, with so many readings in each."""
    tables = [signed_json(each) for each in readings]
    if together == 1:
        return [json.dumps(table).encode() for table in tables]
    rest = iter(tables)
    return [json.dumps(group).encode() for group in iter(lambda: list(islice(rest, together)), [])]


class Store:
    """Checks readings and keeps them, as an exchange does; path : of the database"""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.execute(
            "CREATE TABLE readings (meter BLOB, slot INTEGER, sequence INTEGER, wh_in INTEGER, wh_out INTEGER,"
            " hash BLOB, signature BLOB, PRIMARY KEY (meter, slot, sequence)) WITHOUT ROWID"
        )
        self.batches = 0

    async def take(self, messages: Messages) -> Messages:
        """Judge and keep readings, and answer each message."""
        return await asyncio.to_thread(self._take, messages)

    def close(self) -> int:
        """Let go of the database, and return how many readings it has."""
        ((stored,),) = self._database.execute("SELECT count(*) FROM readings")
        self._database.close()
        return int(stored)

    def _take(self, messages: Messages) -> Messages:
        rows, answers = [], []
        for meter, payload in messages:
            judged = []
            for signed in readings_of(payload):
                if isinstance(signed, RecordError):
                    continue
                reading = signed.record
                judgement = judge(_DOMAIN, (), signed, _NOW, InService(meter, 0), _RULES)
                judged.append((reading, judgement))
                if judgement.status == STORED:
                    row = (meter, reading.slot, reading.sequence, reading.wh_in, reading.wh_out)
                    rows.append((*row, signed.hash, signed.signature))
            if answer := acknowledge(judged, _NOW):
                answers.append((meter, json.dumps(answer.as_json()).encode()))
        self._database.execute("BEGIN")
        self._database.executemany("INSERT OR IGNORE INTO readings VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        self._database.execute("COMMIT")
        self.batches += 1
        return answers


def bare(readings: dict[bytes, list[Signed[Reading]]]) -> float:
    """Checks of a reading per CPU second."""
    begun = time.process_time()
    for meter, signed in readings.items():
        for each in signed:
            genuine(_DOMAIN, each, meter)
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


def ingest(broker: Broker, folder: Path, readings: dict[bytes, list[Signed[Reading]]], together: int) -> dict[str, Any]:
    """One case: so many readings in a message."""
    store = Store(folder / f"{time.monotonic_ns()}.db")
    senders = [
        (broker.connection(name(meter)), topic(meter, READING), topic(meter, ACK), messages_of(signed, together))
        for meter, signed in readings.items()
    ]
    spawn = multiprocessing.get_context("spawn")
    ready, begin, done = spawn.Event(), spawn.Event(), spawn.Event()
    meters = spawn.Process(target=_send, args=(senders, ready, begin, done), daemon=True)
    meters.start()
    before = bare(readings)

    async def run() -> float:
        gateway = Gateway(broker.connection(), store.take, lambda: None)
        task = asyncio.create_task(gateway.run())
        await gateway.wait_connected()
        await asyncio.to_thread(ready.wait)
        begun = time.process_time()
        begin.set()
        await asyncio.to_thread(done.wait)
        taken = time.process_time() - begun
        meters.kill()
        task.cancel()
        return taken

    seconds = asyncio.run(run())
    share = _READINGS / seconds / statistics.mean([before, bare(readings)])
    if (stored := store.close()) != _READINGS:
        raise SystemExit(f"{stored} of {_READINGS} readings were stored: the broker dropped some.")
    return {
        "cpu_seconds": round(seconds, 3), "per_cpu_second": round(_READINGS / seconds),
        "share_of_bare": round(share, 3), "batches": store.batches,
    }  # fmt: skip


def middle(cases: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The case with the median share."""
    return sorted(cases, key=lambda case: case["share_of_bare"])[len(cases) // 2]


def main() -> None:
    """Measure and print."""
    readings = signed_readings()
    with tempfile.TemporaryDirectory(prefix="cw-") as name_of_folder:
        folder = Path(name_of_folder)
        # Mosquitto gives up root and then has to reach its folder below this one.
        folder.chmod(0o755)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        broker = Broker(folder / "broker", Listener("127.0.0.1", port))
        broker.prepare(readings)
        broker.start()
        try:
            cases = {
                f"mqtt_{together}_a_message": middle(
                    [ingest(broker, folder, readings, together) for _ in range(_REPEAT)]
                )
                for together in (1, 10)
            }
        finally:
            broker.kill()
        figures = {"readings": _READINGS, "runs": _REPEAT, "bare_checks_per_cpu_second": round(bare(readings)), **cases}
        show(figures, "gmqtt")


if __name__ == "__main__":
    main()
