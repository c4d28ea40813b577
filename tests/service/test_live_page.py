"""docs/live.md as an installer goes through it: each command that it shows is run, on this machine's own name."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import aiomqtt
import pytest
from exchange_cases import SOURCE
from node_processes import free_port
from services import program

PAGE = Path(__file__).parents[2] / "docs" / "live.md"
PAUSE, PATIENCE = 5.0, 400.0


class Terminal:
    """A folder in which the page's commands are run, with the values that the page says to write down."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log, self.written = folder, folder / "serve.log", dict[str, str]()
        self.port, self.broker = free_port(), free_port()
        binary = folder / "bin"
        binary.mkdir()
        script = binary / "commonwatt"
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m commonwatt.cli "$@"\n', "ascii")
        script.chmod(0o755)
        self.environment = {**os.environ, "PYTHONPATH": SOURCE, "PATH": f"{binary}:{os.environ['PATH']}"}

    def run(self, command: str, *, good: bool = True) -> str:
        told = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self.mine(command)], cwd=self.folder, check=False,
            env={**self.environment, **self.written}, capture_output=True, text=True, timeout=600,
        )  # fmt: skip
        assert not good or told.returncode == 0, f"{command}\n{told.stdout}{told.stderr}"
        return told.stdout + told.stderr

    def mine(self, command: str) -> str:
        """The same on this machine."""
        return command.replace("box.local", "localhost").replace("8443", str(self.port))

    @contextmanager
    def serving(self, command: str) -> Iterator[None]:
        with (
            self.log.open("wb") as said,
            subprocess.Popen(
                shlex.split(self.mine(command)), cwd=self.folder, env=self.environment, stdout=said, stderr=said
            ) as process,
        ):
            try:
                self.until(lambda: "Its chain is at" in self.log.read_text("utf-8") or process.poll() is not None)
                assert process.poll() is None, self.log.read_text("utf-8")
                yield
            finally:
                process.send_signal(signal.SIGTERM)
                assert process.wait(120) == 0

    def client(self, user: str, password: str) -> aiomqtt.Client:
        """Of the box's broker."""
        trust = ssl.create_default_context(cafile=self.folder / "village" / "tls" / "authority.pem")
        return aiomqtt.Client(
            "localhost", self.broker, username=user, password=password, identifier=user, tls_context=trust
        )

    async def kept(self, user: str, password: str, topic: str) -> bytes:
        """What the broker keeps there."""
        async with asyncio.timeout(PATIENCE), self.client(user, password) as client:
            await client.subscribe(topic, qos=1)
            payload = (await anext(aiter(client.messages))).payload
            assert isinstance(payload, bytes)
            return payload

    @contextmanager
    def plug(self, user: str, password: str) -> Iterator[None]:
        """A device that says at the broker each second what it counted, and comes in as soon as it may."""
        over = threading.Event()

        async def say() -> None:
            async with self.client(user, password) as client:
                while not over.is_set():
                    energy = {"Total": round(time.time() % 10**6 / 1000, 6), "ExportActive": 0}
                    await client.publish("tele/cellar/SENSOR", json.dumps({"ENERGY": energy}), qos=1)
                    await asyncio.sleep(1)

        def go_on() -> None:
            while not over.is_set():
                with suppress(aiomqtt.MqttError):
                    asyncio.run(say())
                over.wait(1)

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    @staticmethod
    def until(true: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < deadline
            time.sleep(PAUSE)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    program("mosquitto")
    program("curl")
    # Not among pytest's folders, which are root's alone, for the broker gives up root.
    folder = Path(tempfile.mkdtemp(prefix="cw-"))
    folder.chmod(0o755)
    yield Terminal(folder)
    shutil.rmtree(folder)


def test_each_step_of_the_page_leads_to_the_next(terminal: Terminal) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    # The demo has a test of its own, and what is installed here is what is tested.
    demo, install, *steps = (block.strip() for block in blocks)
    assert demo.startswith("commonwatt live demo")
    assert 'pip install "commonwatt[live]"' in install
    made, looked, serve, healthy, keys, register, login, report, add, preview, slots, begin, end = steps
    terminal.run(made)
    _edited(terminal)
    terminal.run(looked)
    # Whether NTP keeps this machine's clock nobody knows.
    with terminal.serving(f"{serve} --trust-clock"):
        said = terminal.log.read_text("utf-8")
        found = re.search(r"Its chain is at (\S+), with the contract (0x\w{40})", said)
        assert found
        terminal.written |= {"CHAIN": found[1], "CONTRACT": found[2]}
        assert terminal.run(healthy) == '{"status":"ok"}'
        anna, meter = re.findall(r"0x[0-9a-fA-F]{40}", terminal.run(keys))
        terminal.written |= {"ANNA": anna, "METER": meter}
        terminal.run(register)
        own = dict(re.findall(r"(User|Password) (\S+)", terminal.run(login)))
        assert own["User"] == meter.lower()
        told = dict(re.findall(r"(Meter|User|Password) (\S+)", terminal.run(add)))
        terminal.written["CELLAR"] = told["Meter"]
        with terminal.plug(told["User"], told["Password"]):
            understood = terminal.run(preview.replace("120", "20"))
            assert "from ENERGY.Total" in understood
            assert "Missing" not in understood
            terminal.until(lambda: _settled(terminal, report, slots))
            terminal.until(lambda: "tasmota cellar: heard 20" in terminal.run("commonwatt meter list village"))
        for topic in ("homeassistant/device/+/config", "total/import"):
            assert asyncio.run(terminal.kept(own["User"], own["Password"], f"cw/{own['User']}/{topic}"))
        agent = terminal.run(begin)
        assert "You signed: Buy at most 2 000 Wh per 1 minute at up to 0.25 EUR/kWh." in agent
        assert "but not yet. This market clears after delivery" in agent
        shown = terminal.run(end)
        assert re.findall("0x[0-9a-f]{40}", shown) == re.findall("The agent (0x[0-9a-f]{40})", agent)
        assert "The box has no agent for you any more." in shown


def _settled(terminal: Terminal, report: str, slots: str) -> bool:
    """Whether the reading of the last slot is taken, and the slot settled by it; that in which one begins is missed."""
    said = terminal.run(report, good=False)
    taken = re.search(r"of slot (\d+) .* is (stored|duplicate)", said)
    assert taken or "in service since" in said or "is not enrolled here" in said  # before the exchange has heard of it
    if taken:
        terminal.written["SLOT"] = taken[1]
    return taken is not None and json.loads(terminal.run(slots))["state"] in ("posted", "final")


def _edited(terminal: Terminal) -> None:
    """What the installer edits: slots of a minute, and ports that are free here."""
    file = terminal.folder / "village" / "community.toml"
    text = file.read_text("utf-8")
    assert text.count('slot = "15min"') == text.count("8883") == 1
    text = text.replace('slot = "15min"', 'slot = "1min"').replace("8443", str(terminal.port))
    file.write_text(text.replace("8883", str(terminal.broker)), "utf-8")
