"""An Ethereum chain inside the process: py-evm with the Cancun rules, kept in one SQLite file.

Blocks are sealed when the caller says so and carry the time that the caller names; nothing here reads a clock.
A block is executed once, validated as py-evm validates an imported one, and written in one transaction
together with its state, so the file always ends with a whole block.

Fees follow EIP-1559 and are next to nothing: the base fee begins at 7 wei per gas, stays there while blocks are
at most half full (below 8 wei the rule's eighth rounds to zero) and rises by an eighth for a full block.
The gas limit stays as in the genesis. There is no EIP-4788 beacon contract, because there is no beacon chain.

Importing this module takes about a second; `commonwatt.ledger.node` does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from eth.abc import BlockHeaderAPI, ComputationAPI, ReceiptAPI, StateAPI
from eth.exceptions import HeaderNotFound, PyEVMError, Revert, TransactionNotFound
from eth.vm.message import Message
from eth_bloom.bloom import BloomFilter
from eth_typing import Address, BlockNumber, Hash32
from eth_utils.exceptions import ValidationError
from trie.exceptions import MissingTrieNode
from trie.hexary import HexaryTrie

from commonwatt.errors import LedgerError
from commonwatt.ledger.evm import (
    CHAIN_ID_KEY,
    GENESIS_KEY,
    Database,
    Genesis,
    Queued,
    block_of,
    chain_class,
    decode,
    logs_of,
    read_receipts,
    receipt_of,
    write_genesis,
)
from commonwatt.ledger.node import ZERO_ADDRESS, Block, CallReverted, Log, Receipt, Transaction
from commonwatt.ledger.store import Store

__all__ = ["EmbeddedChain", "Genesis"]

_OUTPUT_KEY = b"commonwatt:output:"


class EmbeddedChain:
    """A `Node` that seals its own blocks. Use it from one thread at a time.

    `path` None keeps the chain in memory. A new file needs a genesis; for an old one it may be left out, and
    is compared when given. `read_only` never changes it, and works beside the process that does: asking for
    `head` steps forward to that process's last block, everything else is answered for the head last asked for.

    Raises LedgerError when the file cannot be opened, is foreign, damaged, or of another genesis.
    """

    def __init__(self, path: Path | None = None, genesis: Genesis | None = None, *, read_only: bool = False) -> None:
        self._name = str(path) if path else "the chain in memory"
        self._store = Store(path, read_only=read_only)
        try:
            self._open(genesis)
        except BaseException:
            self._store.close()
            raise

    def _open(self, genesis: Genesis | None) -> None:
        digest = self._store.get(GENESIS_KEY)
        if digest is None:
            if genesis is None:
                raise LedgerError(f"{self._name} is empty; a new chain needs a genesis.")
            write_genesis(self._store, genesis)
        elif genesis is not None and genesis.digest != digest:
            raise LedgerError(f"{self._name} was begun with another genesis.")
        self._chain_id = int.from_bytes(self._store.get(CHAIN_ID_KEY) or b"", "big")
        self._chain = chain_class(self._chain_id)(Database(self._store))
        self._pending: list[Queued] = []
        self._waiting: dict[bytes, tuple[int, int]] = {}
        """By sender: how many transactions are queued, and what they may cost [wei]."""
        self._refused: dict[bytes, str] = {}
        self._sealed: dict[bytes, Receipt] = {}
        self._load_head()
        with self._whole():
            self._state.get_balance(Address(ZERO_ADDRESS))  # the head's state must be there

    # The chain

    @property
    def chain_id(self) -> int:
        """The number that every transaction of this chain is signed for."""
        return self._chain_id

    @property
    def head(self) -> Block:
        """The last block; of a chain open for reading, the last one that its writer has finished."""
        if self._store.read_only:
            self._load_head()
        return self._head_block

    def block(self, number: int) -> Block:
        """A block by its number. Raises LedgerError when there is none."""
        with self._whole():
            return self._block(self._header(number))

    def seal(self, timestamp: int) -> Block:
        """Make a block of the queued transactions, as many as its gas limit takes, in their order.

        `timestamp` must be later than the head's. Raises LedgerError and leaves the chain at its head when
        the block cannot be made or kept; the queue is then empty.
        """
        if timestamp <= self._head.timestamp:
            raise LedgerError(
                f"Block {self._head.block_number + 1} cannot have the time {timestamp}:"
                f" its parent has {self._head.timestamp}."
            )
        queue, self._pending, self._waiting = self._pending, [], {}
        try:
            with self._whole():
                left = self._execute(queue, timestamp)
            self._store.commit()
        except BaseException:
            self._store.discard()
            self._sealed = {}
            raise
        finally:
            self._load_head()
            # py-evm's tries share one cache whose entries hold on to the tries of old blocks.
            HexaryTrie._cached_create_node_to_db_mapping.cache_clear()
        for queued in left:
            self._queue(queued)
        return self._head_block

    def _execute(self, queue: Sequence[Queued], timestamp: int) -> list[Queued]:
        """Run a block and put it into the store; returns what did not fit."""
        header = self._chain.create_header_from_parent(
            self._head, timestamp=timestamp, gas_limit=self._head.gas_limit, coinbase=ZERO_ADDRESS
        )
        vm: Any = self._chain.get_vm(header)
        self._refused, self._sealed = {}, {}
        done: list[Queued] = []
        receipts: list[ReceiptAPI] = []
        computations: list[ComputationAPI] = []
        for queued in queue:
            if header.gas_used + queued.transaction.gas > header.gas_limit:
                break
            try:
                receipt, computation = vm.apply_transaction(header, queued.transaction)
            except ValidationError as error:  # `submit` let it in, but the base fee has risen since
                self._refused[queued.hash] = str(error)
                continue
            header = vm.add_receipt_to_header(header, receipt)
            done.append(queued)
            receipts.append(receipt)
            computations.append(computation)
        transactions = [queued.transaction for queued in done]
        filled = vm.set_block_transactions_and_withdrawals(vm.get_block(), header, transactions, receipts)
        block = vm.mine_block(filled).block  # ends the state and validates the block
        # Chain.persist_block would read the block back, and Chain.import_block would execute it again.
        self._chain.chaindb.persist_block(block)
        used = 0
        for index, (queued, receipt, computation) in enumerate(zip(done, receipts, computations, strict=True)):
            output = computation.output if computation.is_error else b""
            if output:
                self._store.put(_OUTPUT_KEY + queued.hash, output)
            self._sealed[queued.hash] = receipt_of(
                queued.transaction, queued.hash, receipt, (block.number, index), used, output
            )
            used = receipt.gas_used
        return list(queue[len(done) + len(self._refused) :])

    def close(self) -> None:
        """Let go of the file; queued transactions are lost."""
        self._store.close()

    def __enter__(self) -> EmbeddedChain:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Transactions

    def submit(self, raw: bytes) -> bytes:
        """Queue a signed transaction for the next block; returns its hash.

        Raises LedgerError that names the cause when it could not be executed.
        """
        with self._whole():
            queued = decode(raw)
            self._admit(queued)
        self._queue(queued)
        return queued.hash

    def _queue(self, queued: Queued) -> None:
        count, cost = self._waiting.get(queued.sender, (0, 0))
        self._waiting[queued.sender] = (count + 1, cost + queued.cost)
        self._pending.append(queued)

    def _admit(self, queued: Queued) -> None:
        """Everything that py-evm checks when it executes, and the chain id, which it does not check."""
        transaction, sender = queued.transaction, queued.sender
        waiting, cost = self._waiting.get(sender, (0, 0))
        nonce = self._state.get_nonce(sender) + waiting
        cost += queued.cost
        balance = self._state.get_balance(sender)
        base_fee = self._next_base_fee
        if transaction.chain_id != self._chain_id:
            problem = f"it is signed for chain {transaction.chain_id}, this is chain {self._chain_id}"
        elif transaction.nonce != nonce:
            problem = f"its nonce is {transaction.nonce}, the account's next one is {nonce}"
        elif transaction.gas < transaction.intrinsic_gas:
            problem = f"its gas of {transaction.gas} is below the {transaction.intrinsic_gas} it needs at least"
        elif transaction.gas > self._head.gas_limit:
            problem = f"its gas of {transaction.gas} is above a block's {self._head.gas_limit}"
        elif transaction.max_priority_fee_per_gas > transaction.max_fee_per_gas:
            problem = "its tip is above its highest fee"
        elif transaction.max_fee_per_gas < base_fee:
            problem = f"its highest fee of {transaction.max_fee_per_gas} wei is below the base fee of {base_fee}"
        elif cost > balance:
            problem = f"the account holds {balance} wei and its queued transactions may cost {cost}"
        else:
            return
        raise LedgerError(f"The transaction of 0x{sender.hex()} is refused: {problem}.")

    def confirm(self, transactions: Sequence[bytes], timestamp: int) -> tuple[Receipt, ...]:
        """Seal blocks at `timestamp`, or one second after the head when that is later, until these are in.

        Raises LedgerError for a transaction that was never submitted or was refused by a block.
        """
        found: dict[bytes, Receipt] = {}
        while True:
            for transaction in transactions:
                receipt = None if transaction in found else self.receipt(transaction)
                if receipt:
                    found[transaction] = receipt
                if transaction in self._refused:
                    raise LedgerError(f"Transaction 0x{transaction.hex()}: {self._refused[transaction]}.")
            missing = [transaction for transaction in transactions if transaction not in found]
            if not missing:
                return tuple(found[transaction] for transaction in transactions)
            queued = {other.hash for other in self._pending}
            if not queued.issuperset(missing):
                raise LedgerError(f"Transaction 0x{missing[0].hex()} was not submitted to this chain.")
            self.seal(max(timestamp, self._head.timestamp + 1))

    def receipt(self, transaction: bytes) -> Receipt | None:
        """The receipt; None while no block holds the transaction."""
        if transaction in self._sealed:
            return self._sealed[transaction]
        with self._whole():
            try:
                number, index = self._chain.get_canonical_transaction_index(Hash32(transaction))
            except TransactionNotFound:
                return None
            return self._stored_receipt(transaction, number, index)

    def _stored_receipt(self, transaction: bytes, number: int, index: int) -> Receipt:
        receipt = self._chain.get_transaction_receipt_by_index(BlockNumber(number), index)
        used = 0
        if index:
            used = self._chain.get_transaction_receipt_by_index(BlockNumber(number), index - 1).gas_used
        signed = self._chain.get_canonical_transaction_by_index(BlockNumber(number), index)
        output = self._store.get(_OUTPUT_KEY + transaction) or b""
        return receipt_of(signed, transaction, receipt, (number, index), used, output)

    def transaction(self, transaction: bytes) -> Transaction | None:
        """The transaction by its hash; None while no block holds it."""
        with self._whole():
            try:
                number, index = self._chain.get_canonical_transaction_index(Hash32(transaction))
            except TransactionNotFound:
                return None
            signed = self._chain.get_canonical_transaction_by_index(number, index)
            return Transaction(
                hash=transaction, sender=signed.sender, to=signed.to, nonce=signed.nonce, value=signed.value,
                gas=signed.gas, data=signed.data, block=number, index=index,
            )  # fmt: skip

    # The state of the head

    def call(self, to: bytes, data: bytes, sender: bytes = ZERO_ADDRESS) -> bytes:
        """Run a view of a contract on the head's state, at the head's time; changes nothing.

        Raises CallReverted with the contract's data, LedgerError when it fails in another way.
        """
        with self._whole():
            state = self._state
            message = Message(
                gas=self._head.gas_limit, to=Address(to), sender=Address(sender), value=0, data=data,
                code=state.get_code(Address(to)),
            )  # fmt: skip
            context = state.get_transaction_context_class()(gas_price=0, origin=Address(sender))
            snapshot = state.snapshot()
            try:
                computation = state.computation_class.apply_message(state, message, context)
            finally:
                state.revert(snapshot)
        if computation.is_success:
            return computation.output
        if isinstance(computation.error, Revert):
            raise CallReverted(computation.output)
        raise LedgerError(f"The call of 0x{to.hex()} failed: {computation.error!r}.")

    def nonce(self, address: bytes) -> int:
        """Number of the account's next transaction, queued ones counted."""
        with self._whole():
            waiting, _ = self._waiting.get(address, (0, 0))
            return self._state.get_nonce(Address(address)) + waiting

    def balance(self, address: bytes) -> int:
        """Ether of an account [wei]."""
        with self._whole():
            return self._state.get_balance(Address(address))

    def code(self, address: bytes) -> bytes:
        """Code of a contract; empty for any other account."""
        with self._whole():
            return self._state.get_code(Address(address))

    def storage(self, address: bytes, slots: Sequence[int]) -> list[int]:
        """Words of a contract's storage, as unsigned integers."""
        with self._whole():
            return [self._state.get_storage(Address(address), slot) for slot in slots]

    def logs(self, first: int, last: int, address: bytes | None = None, topic: bytes | None = None) -> list[Log]:
        """Events of the blocks `first` to `last`, both included, oldest first.

        Blocks whose bloom filter excludes `address` or `topic` are passed over.
        """
        wanted = [item for item in (address, topic) if item is not None]
        found: list[Log] = []
        with self._whole():
            for number in range(first, min(last, self.head.number) + 1):
                header = self._header(number)
                if not header.bloom or any(item not in BloomFilter(header.bloom) for item in wanted):
                    continue
                hashes = self._chain.chaindb.get_block_transaction_hashes(header)
                receipts = read_receipts(self._chain, header)
                for hash_, receipt in zip(hashes, receipts, strict=True):
                    found += [
                        log
                        for log in logs_of(receipt, number, hash_)
                        if address in (None, log.address) and topic in (None, *log.topics[:1])
                    ]
        return found

    # Inside

    @cached_property
    def _state(self) -> StateAPI:
        vm: Any = self._chain.get_vm(self._head)
        return cast("StateAPI", vm.state)

    def _load_head(self) -> None:
        with self._whole():
            head = self._chain.get_canonical_head()
            self.__dict__.pop("_state", None)
            self._head = head
            self._head_block = self._block(head)
            following = self._chain.create_header_from_parent(head, timestamp=head.timestamp + 1)
            self._next_base_fee = following.base_fee_per_gas or 0

    def _header(self, number: int) -> BlockHeaderAPI:
        try:
            return self._chain.get_canonical_block_header_by_number(BlockNumber(number))
        except (HeaderNotFound, ValidationError):
            raise LedgerError(f"{self._name} has no block {number}.") from None

    def _block(self, header: BlockHeaderAPI) -> Block:
        return block_of(header, self._chain.chaindb.get_block_transaction_hashes(header))

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Any part of the chain that is not there means a damaged file."""
        try:
            yield
        except (PyEVMError, MissingTrieNode) as error:
            raise LedgerError(f"{self._name} is damaged: {error}.") from error
