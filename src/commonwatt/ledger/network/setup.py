"""A new network's files: genesis.json and the keys of its first nodes."""

from __future__ import annotations

import json
import os
import secrets
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from commonwatt.errors import LedgerError, OutputError, SignatureError
from commonwatt.ledger.network.consensus.hash_chain import LENGTH, HashChain
from commonwatt.ledger.network.genesis import parse
from commonwatt.proof.keys import Key, checksum_address

GENESIS_FILE = "genesis.json"


def new_network(folder: Path, document: Mapping[str, Any], keys: Sequence[Key]) -> list[Path]:
    """Write genesis.json and one key file per key into a folder; returns the key files.

    Raises ConfigError for a document that is none, OutputError when a file is there already or cannot be written.
    """
    text = json.dumps(document, indent=2) + "\n"
    parse(text)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _create(folder / GENESIS_FILE, text, 0o644)
    except OSError as error:
        raise OutputError(f"{folder / GENESIS_FILE} cannot be written: {error.strerror}.") from None
    return [write_key(folder / f"node-{number}.key", key) for number, key in enumerate(keys, 1)]


def consensus_table(kind: str, period: int, keys: Sequence[Key], **more: Any) -> dict[str, Any]:
    """A consensus table, with the defaults but for `more`; members of a network by stake begin with equal tokens."""
    table: dict[str, Any] = {"kind": kind, "period": period, **more}
    if kind == "pos":
        length = table.setdefault("secrets", LENGTH)
        tips = {checksum_address(key.address): HashChain.derive(key, length=length).tip for key in keys}
        table["stakes"] = {address: {"tip": f"0x{tip.hex()}", "tokens": 100} for address, tip in tips.items()}
    return table


def new_key() -> Key:
    """A key that nobody can guess."""
    return Key(secrets.token_bytes(32))


def write_key(path: Path, key: Key) -> Path:
    """Write a key where only its owner can read it. Raises OutputError when the file is there already."""
    try:
        _create(path, f"0x{key.secret.hex()}\n", 0o600)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}.") from None
    return path


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


def _create(path: Path, text: str, mode: int) -> None:
    """Make a new file that has its mode from the first moment on."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
