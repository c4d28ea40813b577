"""The real services that a living exchange has beside it, each started for the tests that need it.

They come with Debian's packages; `tools/services` looks for them, or installs them where it may. A test whose service
is missing is left out, unless all are asked for (CI or COMMONWATT_ALL_TESTS in the environment): then it fails.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import httpx
import psycopg
import pytest
from node_processes import free_port

_SECONDS: Final = 120.0
"""How long a service may take to start, on a machine that has much else to do."""
_PROGRAMS: Final = ("/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin", "/opt/homebrew/sbin")


def program(name: str, folders: Sequence[str | Path] = ()) -> str:
    """The program of a service; the test that asks for a missing one is left out, or fails where none may be."""
    found = shutil.which(name, path=os.pathsep.join(map(str, [*folders, *_PROGRAMS])))
    if found is None:
        reason = f"{name} is not installed; `tools/services` says what is missing"
        if any(os.environ.get(name) for name in ("CI", "COMMONWATT_ALL_TESTS")):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


class Service(ABC):
    """A service in a folder of its own, which a user without rights can read; it can be killed and started again.

    user : whom it runs as where tests are run by root, for services that refuse root
    """

    crash, farewell = signal.SIGKILL, signal.SIGTERM

    def __init__(self, user: str | None = None) -> None:
        # Not among pytest's folders, which are root's alone; and short, for a socket's name may have 107 letters.
        self.folder = Path(tempfile.mkdtemp(prefix="cw-"))
        self.folder.chmod(0o755)
        self._user = user if user and os.geteuid() == 0 else None
        self._log = self.folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._ours(self.folder)

    @abstractmethod
    def _command(self) -> list[str]: ...

    @abstractmethod
    def _answers(self) -> bool: ...

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command(), stdout=log, stderr=log, user=self._user)
        deadline = time.monotonic() + _SECONDS
        while not self._answers():
            assert self._process.poll() is None, self._log.read_text(errors="replace")
            assert time.monotonic() < deadline, self._log.read_text(errors="replace")
            time.sleep(0.02)

    def kill(self) -> None:
        """End it without a word to anybody."""
        self._end(self.crash)

    def stop(self) -> None:
        """End it."""
        self._end(self.farewell)

    def remove(self) -> None:
        """End it and delete its folder."""
        self.stop()
        shutil.rmtree(self.folder)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(_SECONDS)
            self._process = None

    def _ours(self, file: Path) -> None:
        if self._user:
            entry = pwd.getpwnam(self._user)
            os.chown(file, entry.pw_uid, entry.pw_gid)


class Mosquitto(Service):
    """A broker whose sessions and retained messages outlive it. lines : more of its configuration"""

    def __init__(self, *lines: str) -> None:
        self._program = program("mosquitto")
        super().__init__("mosquitto")
        self.port = free_port()
        told = [f"listener {self.port} 127.0.0.1", *(lines or ["allow_anonymous true"])]
        told += ["persistence true", f"persistence_location {self.folder}/", "autosave_interval 1"]
        (self.folder / "mosquitto.conf").write_text("\n".join(told) + "\n", encoding="utf-8")

    def _command(self) -> list[str]:
        return [self._program, "-c", str(self.folder / "mosquitto.conf")]

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


class Postgres(Service):
    """A database server behind a socket in its folder. Who comes as `guarded` needs the password `hush`.

    Killed, it leaves its log to be read at the next start. What it was told stays with the system when it is killed,
    so it need not wait for the disk.
    """

    # Its processes are not one group, so a shutdown without a checkpoint: what clients and files see of a crash. The
    # polite one does not wait for clients to leave.
    crash, farewell = signal.SIGQUIT, signal.SIGINT

    def __init__(self) -> None:
        folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
        initdb, self._program = program("initdb", folders), program("postgres", folders)
        super().__init__("postgres")
        self._data = self.folder / "data"
        self._numbers = count(1)
        subprocess.run(
            [initdb, "-D", self._data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
            check=True, stdout=subprocess.DEVNULL, cwd=self.folder, user=self._user,
        )  # fmt: skip
        access = "local all guarded scram-sha-256\nlocal all all trust\n"
        (self._data / "pg_hba.conf").write_text(access, encoding="utf-8")

    def _command(self) -> list[str]:
        options = ["listen_addresses=", "fsync=off", "shared_buffers=16MB", f"unix_socket_directories={self.folder}"]
        return [self._program, "-D", str(self._data), *(word for option in options for word in ("-c", option))]

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Carry out a statement beside everybody, and return its rows."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def url(self, database: str, user: str = "postgres", password: str = "") -> str:
        """The address of a database."""
        return f"postgresql://{user}{password and f':{password}'}@/{database}?host={self.folder}"

    def new(self) -> str:
        """The name of a database that is made now, and empty."""
        name = f"store{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return name


class Prometheus(Service):
    """Asks a service on this machine for its figures each second. port : of the service"""

    def __init__(self, port: int) -> None:
        self._program = program("prometheus")
        super().__init__("prometheus")
        self._port = free_port()
        scrape = {"job_name": "commonwatt", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
        told = {"global": {"scrape_interval": "1s"}, "scrape_configs": [scrape]}  # YAML reads JSON
        (self.folder / "prometheus.yml").write_text(json.dumps(told), encoding="utf-8")

    def _command(self) -> list[str]:
        files = [f"--config.file={self.folder}/prometheus.yml", f"--storage.tsdb.path={self.folder}/data"]
        return [self._program, *files, f"--web.listen-address=127.0.0.1:{self._port}"]

    def _answers(self) -> bool:
        return self._ask("/-/ready") is not None

    def values(self, expression: str) -> list[Any]:
        """What it answers to a query: series with their values."""
        answer = self._ask(f"/api/v1/query?{urlencode({'query': expression})}")
        assert answer, expression
        found = json.loads(answer)
        return list(found["data"]["result"])

    def _ask(self, path: str) -> bytes | None:
        try:
            answer = httpx.get(f"http://127.0.0.1:{self._port}{path}", trust_env=False, timeout=_SECONDS)
        except httpx.HTTPError:
            return None
        return answer.content if answer.is_success else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    try:
        server.start()
        server.execute("CREATE ROLE guarded LOGIN SUPERUSER PASSWORD 'hush'")
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def mosquitto() -> Iterator[Mosquitto]:
    broker = Mosquitto()
    try:
        broker.start()
        yield broker
    finally:
        broker.remove()
