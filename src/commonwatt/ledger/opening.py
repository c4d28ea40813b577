"""Which chain a person or a program asks: at a URL, or in a file."""

from __future__ import annotations

from contextlib import AbstractContextManager, closing
from pathlib import Path

from commonwatt.errors import LedgerError
from commonwatt.ledger.node import Node


def open_to_read(ledger: str) -> AbstractContextManager[Node]:
    """A chain that is only asked: at a URL, or in a file. Raises LedgerError when there is none."""
    return _open(ledger, read_only=True)


def open_to_write(ledger: str) -> AbstractContextManager[Node]:
    """A chain for one's own transactions. A file must not be in use by the exchange meanwhile."""
    return _open(ledger, read_only=False)


def _open(ledger: str, *, read_only: bool) -> AbstractContextManager[Node]:
    if "://" in ledger:
        from commonwatt.ledger.remote import RemoteNode

        return closing(RemoteNode(ledger))
    from commonwatt.ledger.chain.embedded import EmbeddedChain

    if not Path(ledger).exists():
        raise LedgerError(f"There is no chain at {ledger}; name its file, or its node's URL, with --ledger.")
    return closing(EmbeddedChain(Path(ledger), read_only=read_only))
