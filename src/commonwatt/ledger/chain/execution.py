"""A block in the making: transactions are run one by one, then the block is closed and validated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from eth.abc import BlockAPI, BlockHeaderAPI, ComputationAPI, ReceiptAPI, WithdrawalAPI
from eth.chains.base import Chain
from trie.hexary import HexaryTrie

from commonwatt.ledger.chain.evm import Queued, output_key, receipt_of
from commonwatt.ledger.chain.rules import ChainState, Guard, executing, unbounded
from commonwatt.ledger.chain.store import Store
from commonwatt.ledger.node import ZERO_ADDRESS, Receipt


class Execution:
    """Runs the block after `parent`. The gas limit stays the parent's.

    guard : called between transactions, and again and again within them
    `apply` and `close` raise Unexecutable for what the rules forbid.
    """

    def __init__(
        self,
        chain: Chain,
        parent: BlockHeaderAPI,
        *,
        timestamp: int,
        coinbase: bytes = ZERO_ADDRESS,
        extra_data: bytes = b"",
        guard: Guard = unbounded,
    ) -> None:
        self._header = chain.create_header_from_parent(
            parent, timestamp=timestamp, gas_limit=parent.gas_limit, coinbase=coinbase, extra_data=extra_data
        )
        self._vm: Any = chain.get_vm(self._header)
        self._guard = guard
        if guard is not unbounded:
            cast("ChainState", self._vm.state).watch(guard)
        self._receipts: list[ReceiptAPI] = []
        self._computations: list[ComputationAPI] = []
        self.done: list[Queued] = []

    def fits(self, queued: Queued) -> bool:
        """Whether the gas that is left suffices for a transaction, however much it uses."""
        return bool(self._header.gas_used + queued.transaction.gas <= self._header.gas_limit)

    def apply(self, queued: Queued) -> None:
        """Run the next transaction; one that cannot be in the block changes nothing."""
        self._guard()
        with executing():
            receipt, computation = self._vm.apply_transaction(self._header, queued.transaction)
        self._header = self._vm.add_receipt_to_header(self._header, receipt)
        self.done.append(queued)
        self._receipts.append(receipt)
        self._computations.append(computation)

    def close(self, withdrawals: Sequence[WithdrawalAPI] = ()) -> BlockAPI:
        """End the state and validate the block. Its state, transactions and receipts are then in the store."""
        transactions = [queued.transaction for queued in self.done]
        with executing():
            self._vm.apply_all_withdrawals(withdrawals)
            filled = self._vm.set_block_transactions_and_withdrawals(
                self._vm.get_block(), self._header, transactions, self._receipts, withdrawals
            )
            block = self._vm.mine_block(filled).block
        # py-evm's tries share one cache whose entries hold on to the tries of old blocks.
        HexaryTrie._cached_create_node_to_db_mapping.cache_clear()
        return cast("BlockAPI", block)

    def receipts(self, store: Store, number: int, hash_: bytes) -> dict[bytes, Receipt]:
        """Receipts by transaction, once the block has its hash; what failed transactions gave back is stored."""
        found, used = {}, 0
        for index, queued in enumerate(self.done):
            receipt, computation = self._receipts[index], self._computations[index]
            output = computation.output if computation.is_error else b""
            if output:
                store.put(output_key(hash_, queued.hash), output)
            place = (number, index)
            found[queued.hash] = receipt_of(queued.transaction, queued.hash, receipt, place, used, output)
            used = receipt.gas_used
        return found
