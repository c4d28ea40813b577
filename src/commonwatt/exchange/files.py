"""Files that are their owner's alone, and who works on them."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path


def private(file: Path) -> Path:
    """The file, made empty where it is missing, such that only its owner can read it.

    One that is there is not opened: when a process closes a file, it loses what locks it has on it (POSIX).
    """
    with suppress(FileExistsError):
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    return file


def write_whole(file: Path, content: bytes) -> Path:
    """Write a file that only its owner can read, whole or not at all."""
    part = file.with_name(f"{file.name}.part")
    part.unlink(missing_ok=True)  # others may be able to read what is there
    private(part).write_bytes(content)
    return part.replace(file)


def lock(file: Path, wait: float = 0) -> sqlite3.Connection | None:
    """Hold this lock until what is returned is closed; None where somebody else has it for longer than `wait` [s].

    SQLite's own lock, on an empty file that stays: it works on every system, and no killed process leaves it behind.
    Raises OSError when the file cannot be made.
    """
    held = sqlite3.connect(private(file), timeout=wait, isolation_level=None, check_same_thread=False)
    try:
        held.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error:
        held.close()
        return None
    return held
