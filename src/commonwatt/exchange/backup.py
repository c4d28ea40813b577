"""A copy of an exchange's folder while it works, and the folder made of it again.

Store and chain are copied as they were at one instant: the chain is looked at, then the store, and when the chain went
on in between, both are looked at anew. What is restored is thus what a power cut at that instant would have left, from
which an exchange goes on by itself. Were the chain the later one, it would hold posts of slots that the store would
settle otherwise, with readings that meters have forgotten by then.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sqlite3
import stat
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from gzip import BadGzipFile
from pathlib import Path
from typing import Any, Final

from commonwatt.errors import OutputError, StoreError
from commonwatt.exchange.folder import EXCHANGE_FILE
from commonwatt.ledger.opening import LEDGER_FILE

FORMAT: Final = 1
_MANIFEST: Final = "backup.json"
_KEYS: Final = (".key", ".secret", ".token")
"""Whoever has files with such names can sign, or let meters in."""
_LEFT: Final = (".lock", ".log", ".pid", ".written", "-wal", "-shm", "-journal", "ports.json")
"""What belongs to the processes that work there: by the same ports a restored exchange would ask the other's chain."""
_BROKER: Final = "broker"
"""The broker's folder is made again from its secret and the members."""
_TRIES: Final = 50
_CHUNK: Final = 1 << 20
_DAMAGE: Final = (tarfile.TarError, BadGzipFile, EOFError, zlib.error, ValueError, KeyError, TypeError, AttributeError)


@dataclass(frozen=True)
class Backup:
    """What is in a backup.

    at : when it was made [unix s]; block : of the chain; None where the chain is elsewhere
    files : names within the folder; keys : of files with keys, which it has or not
    """

    at: int
    block: int | None
    files: tuple[str, ...]
    keys: tuple[str, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """Files with keys that it does not have."""
        return tuple(name for name in self.keys if name not in self.files)


def save(folder: Path, file: Path, now: int, *, with_keys: bool = False) -> Backup:
    """Copy an exchange's folder into `file`, a .tar.gz that only its owner can read, whether it works or not.

    Raises StoreError when the folder has no store in a file, or one that cannot be read; OutputError when the backup is
    there already or cannot be written.
    """
    if not (folder / EXCHANGE_FILE).is_file():
        raise StoreError(
            f"There is no {EXCHANGE_FILE} in {folder}. A store on a server is saved by pg_dump, and its chain with the "
            "exchange stopped."
        )
    if file.exists():
        raise OutputError(f"{file} is there already; name another file for the backup.")
    try:
        with tempfile.TemporaryDirectory(prefix=".backup-", dir=file.absolute().parent) as made:
            return _save(folder, file, Path(made), now, with_keys=with_keys)
    except sqlite3.Error as error:
        raise StoreError(f"{folder} cannot be saved: {error}.") from None
    except OSError as error:
        raise OutputError(f"{file} cannot be written: {error.strerror or error}.") from None


def _save(folder: Path, file: Path, made: Path, now: int, *, with_keys: bool) -> Backup:
    databases, others, keys = _listed(folder)
    copied = _copy_databases(folder, databases, made)
    taken = [*others, *(keys if with_keys else [])]
    for name in taken:
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(folder / name, made / name)
    names = [*copied, *taken]
    chain = next((name for name in copied if Path(name).name == LEDGER_FILE), None)
    block = _block(made / chain) if chain else None
    told = {"format": FORMAT, "at": now, "block": block, "keys": keys, "files": {n: _entry(made / n) for n in names}}
    (made / _MANIFEST).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    archive = made / "archive"
    with open(archive, "xb", opener=_private) as written:
        with tarfile.open(fileobj=written, mode="w:gz", compresslevel=6) as tar:
            for name in (_MANIFEST, *names):
                tar.add(made / name, name, recursive=False)
        written.flush()
        os.fsync(written.fileno())
    archive.rename(file)
    return Backup(now, block, tuple(names), tuple(keys))


def _listed(folder: Path) -> tuple[list[str], list[str], list[str]]:
    """Databases, files with keys, and the others, by their names within the folder. Links are left."""
    databases, keys, others = list[str](), list[str](), list[str]()
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != _BROKER and not name.startswith("."))
        for name in sorted(files):
            path = Path(parent, name)
            if name.endswith(_LEFT) or name.startswith(".") or not stat.S_ISREG(path.lstat().st_mode):
                continue
            kind = databases if name.endswith(".sqlite") else keys if name.endswith(_KEYS) else others
            kind.append(path.relative_to(folder).as_posix())
    return databases, others, keys


def _copy_databases(folder: Path, names: list[str], made: Path) -> list[str]:
    """Copy them as they were at one instant. Returns the names of those that are there."""
    for _ in range(_TRIES):
        with ExitStack() as stack:
            watches = {name: stack.enter_context(closing(_reading(folder / name))) for name in names}
            before = {name: _version(watch) for name, watch in watches.items()}
            # The store last: see above.
            held = {name: _held(stack, folder / name) for name in sorted(names, key=lambda name: name == EXCHANGE_FILE)}
            steady = all(_version(watches[name]) == before[name] for name in names if name != EXCHANGE_FILE)
            if not steady or _listed(folder)[0] != names:
                names = _listed(folder)[0]
                continue
            for name, source in held.items():
                (made / name).parent.mkdir(parents=True, exist_ok=True)
                with closing(sqlite3.connect(made / name)) as target:
                    source.backup(target)
            return list(held)
    raise StoreError(f"{folder} cannot be saved: its chain goes on too fast; try again.")


def _reading(file: Path) -> sqlite3.Connection:
    found = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    if found.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        found.close()
        raise StoreError(f"{file} is just being made, or is no exchange's; try again.")
    return found


def _version(watch: sqlite3.Connection) -> Any:
    """Another one after each change that somebody else has made."""
    return watch.execute("PRAGMA data_version").fetchone()


def _held(stack: ExitStack, file: Path) -> sqlite3.Connection:
    """The database as it is now, whatever its writer does meanwhile."""
    held = stack.enter_context(closing(_reading(file)))
    held.execute("BEGIN")
    held.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return held


def _block(chain: Path) -> int | None:
    from commonwatt.errors import LedgerError
    from commonwatt.ledger.opening import open_to_read

    try:
        with open_to_read(str(chain)) as node:
            return node.head.number
    except LedgerError:  # not begun yet
        return None


def _entry(file: Path) -> dict[str, Any]:
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256")
    return {"sha256": digest.hexdigest(), "mode": stat.S_IMODE(file.stat().st_mode)}


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def restore(file: Path, folder: Path) -> Backup:
    """Make an exchange's folder again; it is there whole, or not at all.

    Raises StoreError for what is no backup or is damaged, OutputError when the folder is not empty or cannot be made.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder} is not empty; name another folder for the exchange.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".restored-", dir=folder.absolute().parent) as made:
            found = _unpacked(file, Path(made) / "whole")
            if folder.exists():
                folder.rmdir()
            (Path(made) / "whole").rename(folder)
    except _DAMAGE:
        raise StoreError(f"{file} is no backup of an exchange, or is damaged.") from None
    except OSError as error:
        raise OutputError(f"{error.filename or file} cannot be used: {error.strerror or error}.") from None
    return found


def _unpacked(file: Path, folder: Path) -> Backup:
    """Only what the manifest names is written, and only as it was."""
    folder.mkdir(mode=0o700)
    with tarfile.open(file, "r:gz") as tar:
        entries = _regular(tar)
        name, content = next(entries, ("", iter(())))
        if name != _MANIFEST:
            raise ValueError(name)
        told = json.loads(b"".join(content))
        if told["format"] != FORMAT:
            raise StoreError(f"{file} was written by another version of Commonwatt.")
        missing = dict(told["files"])
        for name, content in entries:
            entry = missing.pop(name)
            _write(folder / _within(name), content, entry["sha256"], int(entry["mode"]))
    if missing:
        raise ValueError(missing)
    return Backup(int(told["at"]), told["block"], tuple(told["files"]), tuple(told["keys"]))


def _regular(tar: tarfile.TarFile) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Names and contents, in their order."""
    for member in tar:
        opened = tar.extractfile(member) if member.isreg() else None
        if opened is None:
            raise ValueError(member.name)
        yield member.name, iter(partial(opened.read, _CHUNK), b"")


def _within(name: str) -> str:
    """The name, which leads out of no folder."""
    if not all(re.fullmatch(r"[^./\\\0][^/\\\0]*", part) for part in name.split("/")):
        raise ValueError(name)
    return name


def _write(file: Path, content: Iterator[bytes], sha256: str, mode: int) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with open(file, "xb", opener=_private) as written:
        for chunk in content:
            digest.update(chunk)
            written.write(chunk)
        written.flush()
        os.fsync(written.fileno())
    if digest.hexdigest() != sha256:
        raise ValueError(file.name)
    file.chmod(mode & 0o700)


def when(backup: Backup) -> str:
    """When it was made, for a sentence."""
    return f"{datetime.fromtimestamp(backup.at, UTC):%Y-%m-%d %H:%M} UTC"
