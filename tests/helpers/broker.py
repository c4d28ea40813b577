"""Mosquitto on a free port: the real broker, which can be killed and started again."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/sbin")
DYNAMIC_SECURITY = next(Path("/usr/lib").glob("*/mosquitto_dynamic_security.so"), None)
needs_broker = pytest.mark.skipif(MOSQUITTO is None, reason="the broker Mosquitto is not installed")


class Broker:
    """One broker whose sessions and retained messages outlive it, as those of a box do.

    folder : where its files are; not among pytest's, which are root's alone, for Mosquitto gives up root
    guard : behind TLS with the files broker.pem, broker.key and ca.pem of the folder, and for those alone whom its
    users.json names to the plugin dynamic-security
    """

    def __init__(self, *, guard: bool = False) -> None:
        self.folder = folder = Path(tempfile.mkdtemp(prefix="cw-"))
        folder.chmod(0o777)
        self.port = _free_port()
        self._log = folder / "broker.log"
        self._file = folder / "mosquitto.conf"
        told = [f"listener {self.port} 127.0.0.1", f"allow_anonymous {str(not guard).lower()}"]
        if guard:
            told += [f"cafile {folder}/ca.pem", f"certfile {folder}/broker.pem", f"keyfile {folder}/broker.key"]
            told += [f"plugin {DYNAMIC_SECURITY}", f"plugin_opt_config_file {folder}/users.json"]
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

    def remove(self) -> None:
        """End it and delete its folder."""
        self.kill()
        shutil.rmtree(self.folder)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
