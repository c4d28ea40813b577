"""A block in the making: transactions are run one by one, then the block is closed and validated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from eth.abc import BlockAPI, BlockHeaderAPI, ComputationAPI, ReceiptAPI, WithdrawalAPI
from eth.chains.base import Chain
from eth.vm.forks.byzantium.constants import (
    EIP658_TRANSACTION_STATUS_CODE_FAILURE,
    EIP658_TRANSACTION_STATUS_CODE_SUCCESS,
)
from eth.vm.forks.cancun.blocks import CancunBlockHeader

from commonwatt.ledger.chain import trie
from commonwatt.ledger.chain.evm import Queued, encode_receipt, header_after, output_key, receipt_of
from commonwatt.ledger.chain.rules import ChainState, Guard, Unexecutable, executing, unbounded
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
        self._parent = parent
        self._header = header_after(parent, timestamp, coinbase, extra_data)
        self._vm: Any = chain.get_vm(self._header)
        self._guard = guard
        if guard is not unbounded:
            cast("ChainState", self._vm.state).watch(guard)
        self._used = self._bloom = 0
        """Gas of all transactions so far, and the bloom filter of their events."""
        self._receipts: list[ReceiptAPI] = []
        self._computations: list[ComputationAPI] = []
        self.done: list[Queued] = []

    def fits(self, queued: Queued) -> bool:
        """Whether the gas that is left suffices for a transaction, however much it uses."""
        return self._used + queued.transaction.gas <= self._header.gas_limit

    def apply(self, queued: Queued) -> None:
        """Run the next transaction; one that cannot be in the block changes nothing."""
        self._guard()
        if not self.fits(queued):
            raise Unexecutable(f"Transaction exceeds gas limit: {self._header.gas_limit - self._used} is left")
        transaction, state = queued.transaction, self._vm.state
        with executing():
            state.lock_changes()
            computation = state.apply_transaction(transaction)
            failed = computation.is_error
            receipt = transaction.make_receipt(
                EIP658_TRANSACTION_STATUS_CODE_FAILURE if failed else EIP658_TRANSACTION_STATUS_CODE_SUCCESS,
                self._used + self._vm.finalize_gas_used(transaction, computation),
                computation.get_log_entries(),
            )
        self._used = receipt.gas_used
        self._bloom |= receipt.bloom
        self.done.append(queued)
        self._receipts.append(receipt)
        self._computations.append(computation)

    def close(self, withdrawals: Sequence[WithdrawalAPI] = ()) -> BlockAPI:
        """End the state and validate the block. Its state, transactions and receipts are then in the store."""
        with executing():
            self._vm.apply_all_withdrawals(withdrawals)
            fields: dict[str, Any] = cast("Any", self._header.as_dict()) | {
                "transaction_root": self._keep([queued.raw for queued in self.done]),
                "receipt_root": self._keep([encode_receipt(receipt) for receipt in self._receipts]),
                "withdrawals_root": self._keep([withdrawal.encode() for withdrawal in withdrawals]),
                "bloom": self._bloom,
                "gas_used": self._used,
            }
            self._vm.state.persist()
            fields["state_root"] = self._vm.state.state_root
            header = CancunBlockHeader(**fields)
            self._vm.validate_header(header, self._parent)
            transactions = [queued.transaction for queued in self.done]
            return cast("BlockAPI", self._vm.get_block_class()(header, transactions, (), withdrawals))

    def _keep(self, values: Sequence[bytes]) -> bytes:
        """Put a list into the store; returns the root of its trie."""
        root, nodes = trie.listed(tuple(values))
        self._vm.chaindb.persist_trie_data_dict(nodes)
        return root

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
