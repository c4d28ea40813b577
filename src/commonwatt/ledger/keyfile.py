"""Files that hold one private key: a node's, a member's."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from commonwatt.errors import LedgerError, OutputError, SignatureError
from commonwatt.proof.keys import Key


def new_key() -> Key:
    """A key that nobody can guess."""
    return Key(secrets.token_bytes(32))


def read_key(path: Path) -> Key:
    """Read a key file. Raises LedgerError, also when others on this machine could have read it."""
    try:
        key = Key(bytes.fromhex(path.read_text("ascii").strip().removeprefix("0x")))
        mode = path.stat().st_mode
    except (OSError, ValueError, SignatureError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no private key of 64 hexadecimal digits"
        raise LedgerError(f"The key file {path} cannot be used: {reason}.") from None
    if os.name == "posix" and mode & stat.S_IROTH:
        raise LedgerError(f"Everybody on this machine can read the key file {path}; run: chmod 600 {path}")
    return key


def write_key(path: Path, key: Key) -> Path:
    """Write a key where only its owner can read it. Raises OutputError when the file is there already."""
    try:
        create(path, f"0x{key.secret.hex()}\n", 0o600)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}.") from None
    return path


def create(path: Path, text: str, mode: int) -> None:
    """Make a new file that has its mode from the first moment on."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
