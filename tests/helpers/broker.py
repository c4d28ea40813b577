"""Mosquitto on a free port: the real broker, which can be killed and started again."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/sbin")
needs_broker = pytest.mark.skipif(MOSQUITTO is None, reason="the broker Mosquitto is not installed")


class Broker:
    """One broker whose sessions and retained messages outlive it, as those of a box do.

    folder : for its files; Mosquitto gives up root for a user of its own, so everybody may write there
    lines : more of its configuration; without any, who connects need not say who it is
    """

    def __init__(self, folder: Path, *lines: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)
        self.port = _free_port()
        self._log = folder / "broker.log"
        self._file = folder / "mosquitto.conf"
        told = [f"listener {self.port} 127.0.0.1", *(lines or ["allow_anonymous true"])]
        told += ["persistence true", f"persistence_location {folder}/", "autosave_interval 1", "log_type all"]
        self._file.write_text("\n".join(told) + "\n", encoding="utf-8")
        self._file.chmod(0o644)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it listens."""
        assert MOSQUITTO is not None
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([MOSQUITTO, "-c", str(self._file)], stdout=log, stderr=log)
        deadline = time.monotonic() + 120
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert self._process.poll() is None, self._log.read_text(errors="replace")
                assert time.monotonic() < deadline, self._log.read_text(errors="replace")
                time.sleep(0.05)

    def kill(self) -> None:
        """Kill it without a word, as a power cut does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
