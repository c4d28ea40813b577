"""A chain's file, proved from its genesis: every block is executed again and compared."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from commonwatt.errors import LedgerError, VerificationError
from commonwatt.ledger.chain.evm import GENESIS_KEY
from commonwatt.ledger.chain.reader import Reader
from commonwatt.ledger.chain.store import Store
from commonwatt.ledger.network.genesis import Agreement
from commonwatt.ledger.network.tree import Tree, encoded


@dataclass(frozen=True)
class Verified:
    """What was proved."""

    blocks: int
    transactions: int
    head: bytes
    score: int


def verify(path: Path, agreement: Agreement, progress: Callable[[int, int], None] = lambda *_: None) -> Verified:
    """Execute a file's chain from the genesis on and compare every block, receipt and name.

    Raises VerificationError that names the first block that is wrong, LedgerError when the file cannot be read.
    """
    store = Store(path, read_only=True)
    try:
        if store.get(GENESIS_KEY) != agreement.chain.digest:
            raise VerificationError(f"{path} was begun with another genesis.")
        reader = Reader(store, str(path))
        with tempfile.TemporaryDirectory() as folder:
            tree = Tree(Path(folder) / "again.sqlite", agreement.chain, agreement.engine())
            try:
                return _execute(reader, tree, str(path), progress)
            finally:
                tree.close()
    finally:
        store.close()


def _execute(reader: Reader, tree: Tree, name: str, progress: Callable[[int, int], None]) -> Verified:
    last, count = reader.head, 0
    for number in range(1, last.number + 1):
        header = reader.header(number)
        try:
            added = tree.add(encoded(reader, header), header.timestamp)
        except LedgerError as error:
            raise VerificationError(f"Block {number} of {name} is not valid: {str(error).rstrip('.')}.") from error
        if added is None or added.block.hash != header.hash or not added.moved:
            raise VerificationError(f"Block {number} of {name} is not the block after {number - 1}.")
        receipts = reader.receipts(header)
        for index, signed in enumerate(reader.transactions(header)):
            if reader.place(signed.hash) != (number, index) or len(receipts) <= index:
                raise VerificationError(f"Transaction 0x{signed.hash.hex()} of {name} is not found where it is.")
            count += 1
        progress(number, last.number)
    if tree.head.hash != last.hash:
        raise VerificationError(f"The head of {name} is not its last block.")
    return Verified(last.number, count, last.hash, tree.score(last.hash))
