"""Blocks, transactions and receipts of a chain, read from its file.

The canonical chain is what py-evm's own entries say (head, block by number, transaction by hash); whoever writes
blocks keeps them. Transactions and receipts of a block are found by its header, so a block beside the canonical chain
can be read by its hash as long as the file has it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from eth.abc import BlockHeaderAPI, ReceiptAPI, SignedTransactionAPI, WithdrawalAPI
from eth.db.schema import SchemaV1
from eth.exceptions import HeaderNotFound, PyEVMError, TransactionNotFound
from eth.vm.forks.cancun.transactions import CancunTransactionBuilder
from eth_bloom.bloom import BloomFilter
from eth_typing import BlockNumber, Hash32
from eth_utils.exceptions import ValidationError
from rlp.exceptions import RLPException
from trie.exceptions import MissingTrieNode

from commonwatt.errors import LedgerError
from commonwatt.ledger.chain.evm import (
    CHAIN_ID_KEY,
    Database,
    base_fee_after,
    block_of,
    chain_class,
    decode,
    logs_of,
    output_key,
    read_receipts,
    receipt_of,
)
from commonwatt.ledger.chain.store import Store
from commonwatt.ledger.chain.trie import value_at, values_of
from commonwatt.ledger.node import Block, Log, Receipt, Transaction
from commonwatt.proof.keccak import keccak

At = int | bytes | None
"""A block: by its number on the canonical chain, by its hash, or None for the head."""

_HEAD = SchemaV1.make_canonical_head_hash_lookup_key()
_BLOCKS_KEPT = 8
# In an encoded header: the list's length, two hashes, an address, three hashes, the length of the bloom filter, itself.
_BLOOM = slice(192, 448)


class UnknownBlock(LedgerError):
    """The file has no such block."""


class DamagedIndex(LedgerError):
    """An entry that leads to a block or a transaction of the chain is missing or wrong."""


class Blocks:
    """What a chain's blocks hold. Use it from one thread at a time.

    `name` is what errors call the chain. Every method raises LedgerError when a part that must be there is not.
    """

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name
        self._chain_id = int.from_bytes(store.get(CHAIN_ID_KEY) or b"", "big")
        self._chain = chain_class(self._chain_id)(Database(store))
        self._outcomes: OrderedDict[bytes, tuple[tuple[bytes, ...], tuple[ReceiptAPI, ...]]] = OrderedDict()
        self.step()

    def step(self) -> None:
        """Go on to the head that the file names now."""
        with self._whole():
            head = self._chain.get_canonical_head()
            self._stand(head, self._chain.chaindb.get_block_transaction_hashes(head))

    def _stand(self, head: BlockHeaderAPI, transactions: tuple[bytes, ...]) -> None:
        """Go on to a head with the hashes of its transactions."""
        self._head = head
        self._head_block = block_of(head, transactions)
        self._next_base_fee = self.base_fee_after(head)

    @property
    def name(self) -> str:
        """What errors call the chain."""
        return self._name

    @property
    def chain_id(self) -> int:
        """The number that every transaction of this chain is signed for."""
        return self._chain_id

    @property
    def head(self) -> Block:
        """The last block; of a file open for reading, the last one that its writer has finished."""
        if self._store.read_only and self._store.get(_HEAD) != self._head.hash:
            self.step()
        return self._head_block

    @property
    def tip(self) -> int:
        """Nothing: whoever seals takes transactions without a tip."""
        return 0

    @property
    def next_base_fee(self) -> int:
        """Wei per gas that the block after the head will ask for."""
        return self._next_base_fee

    def base_fee_after(self, header: BlockHeaderAPI) -> int:
        """Wei per gas that a block after this one asks for."""
        return base_fee_after(header)

    def header(self, at: At = None) -> BlockHeaderAPI:
        """A whole header. Raises UnknownBlock."""
        if at is None or at == self._head.hash:
            return self._head
        with self._whole():
            try:
                if isinstance(at, bytes):
                    return self._chain.get_block_header_by_hash(Hash32(at))
                if 0 <= at <= self._head.block_number:
                    return self._numbered(at)
            except (HeaderNotFound, ValidationError):
                pass
        raise UnknownBlock(f"{self._name} has no block {f'0x{at.hex()}' if isinstance(at, bytes) else at}.")

    def _numbered(self, number: int) -> BlockHeaderAPI:
        """The canonical block of this number, which must be there."""
        try:
            header = self._chain.get_canonical_block_header_by_number(BlockNumber(number))
        except (HeaderNotFound, RLPException) as error:
            raise self._misled(f"block {number}") from error
        if header.block_number != number:
            raise self._misled(f"block {number}")
        return header

    def canonical(self, header: BlockHeaderAPI) -> bool:
        """Whether a block lies on the canonical chain."""
        try:
            return header.hash == self._head.hash or self.header(header.block_number).hash == header.hash
        except UnknownBlock:
            return False

    def block(self, at: At) -> Block:
        """A block. Raises UnknownBlock."""
        with self._whole():
            header = self.header(at)
            return block_of(header, self.transaction_hashes(header))

    def transactions(self, header: BlockHeaderAPI) -> tuple[SignedTransactionAPI, ...]:
        """A block's transactions in order of execution."""
        with self._whole():
            return tuple(self._chain.chaindb.get_block_transactions(header, CancunTransactionBuilder))

    def raw_transactions(self, header: BlockHeaderAPI) -> list[bytes]:
        """A block's transactions as they were signed, in order of execution."""
        with self._whole():
            return list(values_of(self._store.get, header.transaction_root))

    def transaction_hashes(self, header: BlockHeaderAPI) -> tuple[bytes, ...]:
        """Hashes of a block's transactions in order of execution."""
        with self._whole():
            return self._chain.chaindb.get_block_transaction_hashes(header)

    def withdrawals(self, header: BlockHeaderAPI) -> tuple[WithdrawalAPI, ...]:
        """What a block pays to its sealer (EIP-4895)."""
        with self._whole():
            return tuple(self._chain.chaindb.get_block_withdrawals(header))

    def receipts(self, header: BlockHeaderAPI) -> tuple[ReceiptAPI, ...]:
        """A block's receipts as the chain keeps them, with the gas summed over the block."""
        return self._outcome(header)[1]

    def hashes(self, header: BlockHeaderAPI) -> tuple[bytes, ...]:
        """The same as `transaction_hashes`, kept with the receipts."""
        return self._outcome(header)[0]

    def _outcome(self, header: BlockHeaderAPI) -> tuple[tuple[bytes, ...], tuple[ReceiptAPI, ...]]:
        kept = self._outcomes.get(header.hash)
        if kept is None:
            with self._whole():
                kept = self.transaction_hashes(header), read_receipts(self._chain, header)
                self._outcomes[header.hash] = kept
            if len(self._outcomes) > _BLOCKS_KEPT:
                self._outcomes.popitem(last=False)
        return kept

    def place(self, transaction: bytes) -> tuple[int, int] | None:
        """Number of the canonical block that holds a transaction, and its index there; None when none does."""
        found = self.placed(transaction)
        return found[:2] if found else None

    def placed(self, transaction: bytes) -> tuple[int, int, bytes] | None:
        """What `place` tells, and the transaction as it was signed."""
        with self._whole():
            try:
                number, index = self._chain.get_canonical_transaction_index(Hash32(transaction))
                header = self._chain.get_canonical_block_header_by_number(number)
            except TransactionNotFound:
                return None
            except (HeaderNotFound, RLPException) as error:
                raise self._misled(f"transaction 0x{transaction.hex()}") from error
            raw = value_at(self._store.get, header.transaction_root, index)
        if keccak(raw) != transaction:
            raise self._misled(f"transaction 0x{transaction.hex()}")
        return number, index, raw

    def _misled(self, what: str) -> DamagedIndex:
        return DamagedIndex(f"{self._name} is damaged: its index does not lead to {what}.")

    def receipt(self, transaction: bytes) -> Receipt | None:
        """The receipt; None while no block holds the transaction."""
        found = self.placed(transaction)
        return self.receipt_in(self.header(found[0]), found[1], decode(found[2]).transaction) if found else None

    def receipt_in(self, header: BlockHeaderAPI, index: int, signed: SignedTransactionAPI) -> Receipt:
        """The receipt of a transaction whose place is known."""
        receipts, hash_ = self.receipts(header), signed.hash
        used = receipts[index - 1].gas_used if index else 0
        output = self._store.get(output_key(header.hash, hash_)) or b""
        return receipt_of(signed, hash_, receipts[index], (header.block_number, index), used, output)

    def transaction(self, transaction: bytes) -> Transaction | None:
        """The transaction by its hash; None while no block holds it."""
        found = self.placed(transaction)
        if found is None:
            return None
        number, index, raw = found
        queued = decode(raw)
        signed = queued.transaction
        return Transaction(
            hash=transaction, sender=queued.sender, to=signed.to, nonce=signed.nonce, value=signed.value,
            gas=signed.gas, data=signed.data, block=number, index=index,
        )  # fmt: skip

    def logs(self, first: int, last: int, address: bytes | None = None, topic: bytes | None = None) -> list[Log]:
        """Events of the canonical blocks `first` to `last`, both included, oldest first.

        Blocks whose bloom filter excludes `address` or `topic` are passed over.
        """
        wanted = int(BloomFilter.from_iterable(item for item in (address, topic) if item is not None))
        found: list[Log] = []
        with self._whole():
            for number, bloom in self.blooms(first, min(last, self.head.number)):
                if not bloom or bloom & wanted != wanted:
                    continue
                header = self.header(number)
                for hash_, receipt in zip(self.hashes(header), self.receipts(header), strict=True):
                    found += [
                        log
                        for log in logs_of(receipt, number, hash_)
                        if address in (None, log.address) and topic in (None, *log.topics[:1])
                    ]
        return found

    def blooms(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Numbers and bloom filters of canonical blocks, cut out of their headers, as decoding them takes long."""
        for number in range(first, last + 1):
            hash_ = self._store.get(SchemaV1.make_block_number_to_hash_lookup_key(BlockNumber(number)))
            header = self._store.get(hash_[1:]) if hash_ else None  # behind the length of the encoded hash
            if header is None:
                raise UnknownBlock(f"{self._name} has no block {number}.")
            yield number, int.from_bytes(header[_BLOOM], "big")

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Any part of the chain that is not there or cannot be read means a damaged file.

        Whoever runs transactions here turns what py-evm raises for them into errors of their own.
        """
        try:
            yield
        except (PyEVMError, MissingTrieNode, RLPException, ValidationError) as error:
            raise LedgerError(f"{self._name} is damaged: {error}.") from error
