"""A new network's files: genesis.json and the keys of its first nodes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from commonwatt.errors import OutputError
from commonwatt.ledger.keyfile import create, write_key
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
        create(folder / GENESIS_FILE, text, 0o644)
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
