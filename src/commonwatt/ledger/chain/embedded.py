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

from collections.abc import Sequence
from pathlib import Path

from eth.abc import BlockHeaderAPI

from commonwatt.errors import LedgerError
from commonwatt.ledger.chain.blocks import At
from commonwatt.ledger.chain.evm import Genesis, Queued, begin, decode, problem_of, refusal, unaffordable
from commonwatt.ledger.chain.execution import Execution
from commonwatt.ledger.chain.reader import Reader
from commonwatt.ledger.chain.rules import Guard, Unexecutable, unbounded
from commonwatt.ledger.chain.store import Store
from commonwatt.ledger.node import ZERO_ADDRESS, Block, Receipt

__all__ = ["EmbeddedChain", "Genesis"]


class EmbeddedChain(Reader):
    """A `Node` that seals its own blocks. Use it from one thread at a time.

    `path` None keeps the chain in memory. A new file needs a genesis; for an old one it may be left out, and
    is compared when given. `read_only` never changes it, and works beside the process that does: asking for
    `head` steps forward to that process's last block, everything else is answered for the head last asked for.
    `durable` keeps a sealed block through a power cut too, at the price of waiting for the disk each time.

    Raises LedgerError when the file cannot be opened, is foreign, damaged, or of another genesis.
    """

    def __init__(
        self,
        path: Path | None = None,
        genesis: Genesis | None = None,
        *,
        read_only: bool = False,
        durable: bool = False,
    ) -> None:
        name = str(path) if path else "the chain in memory"
        store = Store(path, read_only=read_only, durable=durable)
        try:
            begin(store, name, genesis)
            super().__init__(store, name)
            self._pending: list[Queued] = []
            self._waiting: dict[bytes, tuple[int, int]] = {}
            """By sender: how many transactions are queued, and what they may cost [wei]."""
            self._refused: dict[bytes, str] = {}
            self._sealed: dict[bytes, Receipt] = {}
            self.balance(ZERO_ADDRESS)  # the head's state must be there
        except BaseException:
            store.close()
            raise

    def seal(self, timestamp: int) -> Block:
        """Make a block of the queued transactions, as many as its gas limit takes, in their order.

        `timestamp` must be later than the head's. Raises LedgerError and leaves the chain at its head when
        the block cannot be made or kept; the queue is then empty.
        """
        self._check(timestamp)
        queue, self._pending, self._waiting = self._pending, [], {}
        for queued in self._make(queue, timestamp, unbounded):
            self._queue(queued)
        return self._head_block

    def seal_these(self, queue: Sequence[Queued], timestamp: int, guard: Guard = unbounded) -> tuple[Queued, ...]:
        """Make a block of transactions that wait elsewhere, as many as its gas limit takes, in this order.

        guard : called again and again meanwhile; the chain may be read then, and what it raises leaves no block
        Returns those that cannot be executed. Raises LedgerError as `seal` does.
        """
        self._check(timestamp)
        self._make(queue, timestamp, guard)
        return tuple(queued for queued in queue if queued.hash in self._refused)

    def _check(self, timestamp: int) -> None:
        if timestamp <= self._head.timestamp:
            raise LedgerError(
                f"Block {self._head.block_number + 1} cannot have the time {timestamp}:"
                f" its parent has {self._head.timestamp}."
            )

    def _make(self, queue: Sequence[Queued], timestamp: int, guard: Guard) -> list[Queued]:
        """Run a block and keep it; returns what did not fit. On failure the chain is as before."""
        try:
            with self._whole():
                header, left = self._execute(queue, timestamp, guard)
            self._store.commit()
            self._stand(header, tuple(self._sealed))
        except BaseException:
            self._store.discard()
            self._sealed = {}
            self.step()
            raise
        return left

    def _execute(self, queue: Sequence[Queued], timestamp: int, guard: Guard) -> tuple[BlockHeaderAPI, list[Queued]]:
        """Run a block and put it into the store; returns its header and what did not fit."""
        run = Execution(self._chain, self._head, timestamp=timestamp, guard=guard)
        self._refused, self._sealed = {}, {}
        for queued in queue:
            if not run.fits(queued):
                break
            try:
                run.apply(queued)
            except Unexecutable as error:  # `submit` let it in, but the base fee has risen since
                self._refused[queued.hash] = str(error)
        block = run.close()
        # Chain.persist_block would read the block back, and Chain.import_block would execute it again.
        self._chain.chaindb.persist_block(block)
        self._sealed = run.receipts(self._store, block.number, block.hash)
        return block.header, list(queue[len(run.done) + len(self._refused) :])

    def let_go(self) -> None:
        """Go on in memory, without the file; queued transactions stay."""
        self._store.let_go()

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
        waiting, cost = self._waiting.get(queued.sender, (0, 0))
        nonce = super().nonce(queued.sender) + waiting
        problem = problem_of(queued, self._chain_id, self._head.gas_limit, self._next_base_fee)
        problem = problem or unaffordable(queued, self.balance(queued.sender), nonce, cost)
        if problem:
            raise refusal(queued, problem)

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
        return self._sealed.get(transaction) or super().receipt(transaction)

    def nonce(self, address: bytes, at: At = None) -> int:
        """Number of the account's next transaction; of the head, queued ones counted."""
        waiting, _ = self._waiting.get(address, (0, 0)) if at is None else (0, 0)
        return super().nonce(address, at) + waiting
