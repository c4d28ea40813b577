"""A chain's file, proved from its genesis: every block is executed again and compared."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from eth.abc import BlockHeaderAPI

from commonwatt.errors import LedgerError, VerificationError
from commonwatt.ledger.chain.evm import GENESIS_KEY
from commonwatt.ledger.chain.reader import Reader
from commonwatt.ledger.chain.store import Store
from commonwatt.ledger.network.consensus.interface import SNAPSHOT
from commonwatt.ledger.network.genesis import Agreement
from commonwatt.ledger.network.index import Index
from commonwatt.ledger.network.kept import SCORE
from commonwatt.ledger.network.notes import Notes
from commonwatt.ledger.network.tree import Tree, encoded
from commonwatt.ledger.node import Receipt

_HEALED = "a node that opens the file finds it again."


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
        store.hold()  # the node may go on meanwhile
        if store.get(GENESIS_KEY) != agreement.chain.digest:
            raise VerificationError(f"{path} was begun with another genesis.")
        reader = Reader(store, str(path))
        with tempfile.TemporaryDirectory() as folder:
            tree = Tree(Path(folder) / "again.sqlite", agreement.chain, agreement.engine())
            try:
                found = _execute(reader, tree, str(path), progress)
                _compare(store, tree, str(path), found)
                return found
            finally:
                tree.close()
    finally:
        store.close()


def _execute(reader: Reader, tree: Tree, name: str, progress: Callable[[int, int], None]) -> Verified:
    last, count = reader.head, 0
    headers = _headers(reader, last.number)
    for number, header in enumerate(headers, 1):
        try:
            added = tree.add(encoded(reader, header), header.timestamp)
        except LedgerError as error:
            raise VerificationError(f"Block {number} of {name} is not valid: {str(error).rstrip('.')}.") from error
        if added is None or added.block.hash != header.hash or not added.moved:
            raise VerificationError(f"Block {number} of {name} is not the block after {number - 1}.")
        for hash_ in tree.transaction_hashes(header):
            if _receipt(reader, hash_) != tree.receipt(hash_):
                raise VerificationError(f"Transaction 0x{hash_.hex()} of {name} is not found where it is.")
            count += 1
        progress(number, last.number)
    if tree.head.hash != last.hash:
        raise VerificationError(f"The head of {name} is not its last block.")
    return Verified(last.number, count, last.hash, tree.score(last.hash))


def _headers(reader: Reader, last: int) -> Iterator[BlockHeaderAPI]:
    for number in range(1, last + 1):
        try:
            yield reader.header(number)
        except LedgerError as error:
            raise VerificationError(f"{str(error).rstrip('.')}; {_HEALED}") from error


def _receipt(reader: Reader, transaction: bytes) -> Receipt | None:
    try:
        return reader.receipt(transaction)
    except LedgerError:
        return None


def _compare(store: Store, tree: Tree, name: str, found: Verified) -> None:
    """What a node would find again from the blocks, against what the file says."""
    if not Index(store).is_whole(found.blocks, found.transactions):
        raise VerificationError(f"The index of {name} has entries too few or too many; {_HEALED}")
    notes = Notes(store)
    for number in range(1, found.blocks + 1):
        hash_ = tree.header(number).hash
        if notes.get(SCORE + hash_) != tree.notes.get(SCORE + hash_):
            raise VerificationError(f"The score of block {number} of {name} is wrong or missing; {_HEALED}")
        noted = notes.get(SNAPSHOT + hash_)
        if noted is not None and noted != tree.notes.get(SNAPSHOT + hash_):
            raise VerificationError(f"What {name} says of the sealers after block {number} is wrong; {_HEALED}")
