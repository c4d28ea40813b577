"""Where a chain's blocks and transactions are found by number and by hash: all of it follows from the blocks."""

from __future__ import annotations

from eth.abc import BlockHeaderAPI
from eth.db.schema import SchemaV1
from eth_typing import Hash32

from commonwatt.ledger.chain.evm import Database, Names
from commonwatt.ledger.chain.reader import Reader
from commonwatt.ledger.chain.store import Store

_BLOCKS, _TRANSACTIONS = b"block-number-to-hash:", b"transaction-hash-to-block:"
"""How py-evm's names of the entries begin."""


class Index:
    """The entries of one file, as a writer keeps them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._db = Database(store)

    def is_whole(self, head: int, transactions: int | None) -> bool:
        """Whether there are as many entries as a chain of this height with so many transactions has."""
        found = (self._store.count(_BLOCKS), self._store.count(_TRANSACTIONS))
        return found == (head + 1, transactions)

    def rebuild(self, reader: Reader, head: BlockHeaderAPI) -> int:
        """Make all entries anew, from the head back to the genesis; returns the number of transactions."""
        for key in self._store.keys(_BLOCKS) + self._store.keys(_TRANSACTIONS):
            self._store.put(key, None)
        count, header = 0, head
        while True:
            hashes = reader.transaction_hashes(header)
            self.add(header, hashes)
            count += len(hashes)
            if not header.block_number:
                return count
            header = reader.header(header.parent_hash)

    def add(self, header: BlockHeaderAPI, transactions: tuple[bytes, ...]) -> None:
        """A block joins the chain."""
        Names._add_block_number_to_hash_lookup(self._db, header)
        for index, hash_ in enumerate(transactions):
            Names._add_transaction_to_canonical_chain(self._db, Hash32(hash_), header, index)

    def remove(self, header: BlockHeaderAPI, transactions: tuple[bytes, ...]) -> None:
        """A block leaves it."""
        self._store.put(SchemaV1.make_block_number_to_hash_lookup_key(header.block_number), None)
        for hash_ in transactions:
            Names._remove_transaction_from_canonical_chain(self._db, Hash32(hash_))
