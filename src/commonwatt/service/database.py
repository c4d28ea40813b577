"""A PostgreSQL server for the store of a day that is played: its files in a folder of their own, and no port.

PostgreSQL refuses root: started by root, it runs as the user `postgres`, whose files these then are.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from commonwatt.errors import ConfigError, Finding, StoreError
from commonwatt.service.children import Program
from commonwatt.service.health import Patience

_USER: Final = "postgres"
_PROGRAMS: Final = Path("/usr/lib/postgresql")
"""Where Debian has them, by version."""
_OPTIONS: Final = ("listen_addresses=", "shared_buffers=16MB", "logging_collector=off")


class Database:
    """A server in a folder, which it makes when it is not there.

    place : folder of its socket, whose name may have no more than a hundred letters; who enters it needs no password

    Raises ConfigError when PostgreSQL is not installed, StoreError when the folder cannot be used.
    """

    def __init__(self, folder: Path, place: Path) -> None:
        self.folder, self.place = folder.resolve(), place
        self.url = f"postgresql://{_USER}@/postgres?host={place}"
        rooted = os.geteuid() == 0
        # Ends with whoever started it, also where that is killed.
        self._begin = [_found("setpriv"), "--pdeathsig=QUIT"]
        self._begin += [f"--reuid={_USER}", f"--regid={_USER}", "--init-groups"] if rooted else []
        self._server = _found("postgres")
        try:
            if rooted:
                shutil.chown(place, _USER, _USER)
                above = self.folder.parent  # its user has to come through, and sees nothing there
                above.chmod(above.stat().st_mode | stat.S_IXOTH)
            if not self.folder.exists():
                self._make(owner=_USER if rooted else None)
        except (OSError, LookupError) as error:
            raise StoreError(f"{folder} cannot be used as a database's folder: {error}.") from None

    def program(self, pid_file: Path) -> Program:
        """What runs it."""
        options = [word for option in (*_OPTIONS, f"unix_socket_directories={self.place}") for word in ("-c", option)]
        command = [*self._begin, self._server, "-D", str(self.folder), *options]
        return Program("database", command, self._answers, Patience(most=1.0), pid_file)

    def _make(self, owner: str | None) -> None:
        """Its files, which are there as a whole or not at all."""
        new = self.folder.with_name(f"{self.folder.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        if owner:
            shutil.chown(new, owner, owner)
        options = ["-U", _USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"]
        made = subprocess.run(  # noqa: S603
            [*self._begin, _found("initdb"), "-D", str(new), *options],
            capture_output=True, text=True, errors="replace", cwd="/", check=False,
        )  # fmt: skip
        if made.returncode:
            words = " ".join(made.stderr.split()) or f"initdb ended with {made.returncode}"
            raise StoreError(f"{self.folder} cannot be made as a database's folder: {words}")
        new.replace(self.folder)

    async def _answers(self) -> bool:
        import psycopg

        try:
            async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as connection:
                await connection.execute("SELECT 1")
        except psycopg.Error:
            return False
        return True


@contextmanager
def short_place() -> Iterator[Path]:
    """A folder for a socket, meanwhile: short, and closed to others."""
    with tempfile.TemporaryDirectory(prefix="cw-") as name:
        yield Path(name)


def _found(name: str) -> str:
    folders = sorted(_PROGRAMS.glob("*/bin"), key=lambda each: _version(each.parent.name), reverse=True)
    path = os.pathsep.join(map(str, [*folders, os.environ.get("PATH", "")]))
    found = shutil.which(name, path=path)
    if found is None:
        message = f"needs {name} of PostgreSQL, which is not installed; on Debian: apt install postgresql"
        raise ConfigError("The request", [Finding("database", message)])
    return found


def _version(name: str) -> int:
    return int(name) if name.isdigit() else 0
