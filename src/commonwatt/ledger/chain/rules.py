"""What this chain's rules add to those of Cancun, and how one of its transactions is run.

Gas bounds how long a block takes, and Ethereum's prices are made for compiled clients. Three precompiles cost far more
time in Python than their gas bears, so on this chain they cost more gas. The one for blobs, which this chain does not
carry, is not there. Both belong to the rules that every node executes blocks by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any, cast

from eth.abc import ComputationAPI, MessageAPI, SignedTransactionAPI, StateAPI, TransactionContextAPI
from eth.vm.forks.berlin.transactions import calculate_txn_intrinsic_gas_berlin
from eth.vm.forks.byzantium.opcodes import ensure_no_static
from eth.vm.forks.cancun.computation import CancunComputation
from eth.vm.forks.cancun.logic import selfdestruct_eip6780
from eth.vm.forks.cancun.state import CancunState
from eth.vm.forks.shanghai.constants import INITCODE_WORD_COST, MAX_INITCODE_SIZE
from eth.vm.forks.tangerine_whistle.constants import GAS_SELFDESTRUCT_EIP150
from eth.vm.interrupt import EVMMissingData
from eth.vm.opcode import as_opcode
from eth_typing import Address
from trie.exceptions import MissingTrieNode

from commonwatt.errors import LedgerError
from commonwatt.ledger.chain.linear import leave_behind, pop_ints
from commonwatt.ledger.chain.program import RUN, Code, run
from commonwatt.ledger.chain.state import Accounts

Precompile = Callable[[ComputationAPI], ComputationAPI]
Guard = Callable[[], None]
"""Called again and again while code runs; what it raises ends the run."""

_SELFDESTRUCT = 0xFF
_PAIR_BYTES = 192
# Ethereum's price by number of the precompile, and how many times as much it is here. Sources: EIP-1108, EIP-152.
_DEARER: dict[int, tuple[Callable[[bytes], int], int]] = {
    7: (lambda _: 6_000, 20),
    8: (lambda data: 45_000 + 34_000 * (len(data) // _PAIR_BYTES), 50),
    9: (lambda data: int.from_bytes(data[:4], "big"), 100),
}
_POINT_EVALUATION = Address((10).to_bytes(20, "big"))
"""EIP-4844's, for blobs; py-evm takes seconds to read what it needs."""


def unbounded() -> None:
    """The guard of code that may run for as long as its gas lasts."""


class Unexecutable(LedgerError):
    """The chain's rules forbid a transaction, or a block."""


def _dearer(precompile: Precompile, price: Callable[[bytes], int], factor: int) -> Precompile:
    def run(computation: ComputationAPI) -> ComputationAPI:
        more = (factor - 1) * price(computation.msg.data_as_bytes)
        computation.consume_gas(more, reason="what the precompile costs more on this chain")
        return precompile(computation)

    return run


def _precompiles() -> dict[Address, Precompile]:
    found = dict(CancunComputation.get_precompiles())
    del found[_POINT_EVALUATION]
    for number, dearer in _DEARER.items():
        address = Address(number.to_bytes(20, "big"))
        found[address] = _dearer(found[address], *dearer)
    return found


class ChainComputation(CancunComputation):
    """Code that runs by this chain's prices, in blocks."""

    _precompiles = _precompiles()

    def __init__(self, state: StateAPI, message: MessageAPI, transaction_context: TransactionContextAPI) -> None:
        super().__init__(state, message, transaction_context)
        self.code = Code(message.code)
        self._touched: set[Address] = set()

    @classmethod
    def apply_message(
        cls, state: StateAPI, message: MessageAPI, transaction_context: Any, parent_computation: Any = None
    ) -> ComputationAPI:
        """Run a call, once the state's guard lets it."""
        cast("ChainState", state).guard()
        return super().apply_message(state, message, transaction_context, parent_computation)

    @cached_property
    def stack_pop_ints(self) -> Callable[[int], tuple[int, ...]]:
        """Take integers off the stack, as many as it is told."""
        return partial(pop_ints, cast("Any", self._stack).values)

    def extend_memory(self, start_position: int, size: int) -> None:
        """Let the memory grow, for gas, when it does not hold this part."""
        if start_position + size > len(self._memory):
            super().extend_memory(start_position, size)

    def memory_read_bytes(self, start_position: int, size: int) -> bytes:
        """A part of the memory, copied once."""
        return bytes(self._memory.read(start_position, size))

    def add_child_computation(self, child_computation: ComputationAPI) -> None:
        """A call has ended."""
        super().add_child_computation(child_computation)
        leave_behind(self, child_computation, self._touched)


ChainComputation.opcodes = {
    **CancunComputation.opcodes,
    RUN: cast("Any", run),
    # py-evm's warns each time that it is deprecated: where warnings are errors, a node would execute other blocks.
    _SELFDESTRUCT: as_opcode(ensure_no_static(selfdestruct_eip6780), "SELFDESTRUCT", GAS_SELFDESTRUCT_EIP150),
}


class ChainState(CancunState):
    """A state that a transaction leaves as it was when it cannot be executed."""

    account_db_class = Accounts
    computation_class = ChainComputation
    guard: Guard = staticmethod(unbounded)

    def watch(self, guard: Guard) -> None:
        """Run code under a guard from now on."""
        self.guard = guard

    def apply_transaction(self, transaction: SignedTransactionAPI) -> ComputationAPI:
        """Run a transaction; whatever stops it, nothing has changed then."""
        snapshot = self.snapshot()
        try:
            computation = super().apply_transaction(transaction)
        except BaseException:
            self.revert(snapshot)
            self.clear_transient_storage()
            raise
        self.commit(snapshot)
        return computation


def least_gas(transaction: SignedTransactionAPI) -> int:
    """Gas that a transaction needs before any code runs, with what its init code costs (EIP-3860)."""
    words = -(-len(transaction.data) // 32) if not transaction.to else 0
    return calculate_txn_intrinsic_gas_berlin(transaction) + INITCODE_WORD_COST * words


def oversized(to: bytes, data: bytes) -> str | None:
    """Why no contract can be created from this code (EIP-3860)."""
    if to or len(data) <= MAX_INITCODE_SIZE:
        return None
    return f"max initcode size exceeded: code size {len(data)}, limit {MAX_INITCODE_SIZE}"


@contextmanager
def executing() -> Iterator[None]:
    """Turn whatever py-evm raises for a transaction or block that cannot be executed into Unexecutable.

    A part of the state that is missing is no fault of the transaction, nor is a machine that has no memory left.
    """
    try:
        yield
    except (LedgerError, EVMMissingData, MissingTrieNode, MemoryError, RecursionError):
        raise
    except Exception as error:  # ValidationError, VMError, and what a fault of the library may raise
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
        raise Unexecutable(reason) from error
