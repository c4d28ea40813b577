"""Which chain a person or a program asks: at a URL, or in a file."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from commonwatt.errors import LedgerError
from commonwatt.ledger.node import Node
from commonwatt.proof.keys import Key

LEDGER_FILE: Final = "ledger.sqlite"
"""The name of a chain's file in the folder of a run, or of a chain of one machine."""
_PORTS = {"http": 80, "https": 443}


def open_to_read(ledger: str, reader: Key | None = None) -> AbstractContextManager[Node]:
    """A chain that is only asked: at a URL, or in a file. Raises LedgerError when there is none.

    reader : signs the requests to a URL
    """
    return _open(ledger, reader, read_only=True)


def open_to_write(ledger: str, reader: Key | None = None) -> AbstractContextManager[Node]:
    """A chain for one's own transactions. A file must not be in use by the exchange meanwhile, and not a node's."""
    return _open(ledger, reader, read_only=False)


def different(ledgers: Sequence[str]) -> tuple[str, ...]:
    """The ledgers without those that only spell an earlier one otherwise, so that none vouches for itself."""
    found: dict[object, str] = {}
    for ledger in ledgers:
        found.setdefault(_place(ledger), ledger)
    return tuple(found.values())


def _place(ledger: str) -> object:
    """The same for two spellings of one URL, and for two names of one file."""
    try:
        if "://" not in ledger:
            file = Path(ledger).stat()
            return file.st_dev, file.st_ino
        url = urlsplit(ledger)
        host = (url.hostname or "").removesuffix(".")
        return url.scheme, host, url.port or _PORTS.get(url.scheme), url.path.rstrip("/"), url.query
    except (OSError, ValueError):
        return ledger  # what is wrong with it is said when it is opened


def _open(ledger: str, reader: Key | None, *, read_only: bool) -> AbstractContextManager[Node]:
    if "://" in ledger:
        from commonwatt.ledger.remote import RemoteNode

        return closing(RemoteNode(ledger, reader=reader))
    from commonwatt.ledger.chain.embedded import EmbeddedChain

    if not Path(ledger).exists():
        raise LedgerError(f"There is no chain at {ledger}; name its file, or its node's URL, with --ledger.")
    chain = EmbeddedChain(Path(ledger), read_only=read_only)
    if not read_only and chain.header(0).extra_data:  # of a network, whose blocks are sealed
        chain.close()
        raise LedgerError(f"{ledger} is a node's chain, and only the node adds to it; name its URL with --ledger.")
    return closing(chain)
