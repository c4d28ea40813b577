"""What the client needs of an Ethereum node, embedded or remote.

Amounts are wei, times are unix seconds UTC, addresses are 20 bytes and hashes 32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from commonwatt.errors import LedgerError

ZERO_ADDRESS = bytes(20)
ON_DEMAND, SETTABLE = "/on-demand", "/settable"
"""How a node of this program ends its name: where a block comes when a transaction waits, and when it is told to."""


class CallReverted(LedgerError):
    """A call reverted; `data` is what the contract gave back (selector and arguments of a custom error)."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        super().__init__(f"The contract reverted with 0x{data.hex()}.")


@dataclass(frozen=True)
class Log:
    """One event as the chain keeps it; `topics[0]` is the hash of the event's signature."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes
    block: int
    transaction: bytes


@dataclass(frozen=True)
class Block:
    """A sealed block."""

    number: int
    hash: bytes
    parent: bytes
    timestamp: int
    state_root: bytes
    gas_limit: int
    gas_used: int
    base_fee: int
    """Wei per gas that this block's transactions paid at least."""
    transactions: tuple[bytes, ...]
    """Hashes in order of execution."""


@dataclass(frozen=True)
class Transaction:
    """A transaction in a block."""

    hash: bytes
    sender: bytes
    to: bytes
    """Receiver; empty when the transaction creates a contract."""
    nonce: int
    value: int
    gas: int
    data: bytes
    block: int
    index: int


@dataclass(frozen=True)
class Receipt:
    """What became of a transaction."""

    transaction: bytes
    block: int
    index: int
    success: bool
    gas_used: int
    contract: bytes
    """Address of the contract that it created; empty when it created none."""
    logs: tuple[Log, ...]
    output: bytes
    """What a failed transaction gave back (empty: out of gas, or not known to this node)."""


class Node(Protocol):
    """An Ethereum node. Every method raises LedgerError when the node cannot answer."""

    @property
    def chain_id(self) -> int:
        """The number that every transaction of this chain is signed for."""

    @property
    def head(self) -> Block:
        """The last block."""

    @property
    def settable(self) -> bool:
        """Whether blocks get the time that `confirm` is given; otherwise the chain goes by its own clock."""

    def now(self, at: int) -> int:
        """What time it is on the chain [unix s]: `at` where it is settable, else one that no later block is before."""

    @property
    def tip(self) -> int:
        """What the chain's validators want above the base fee [wei per gas]."""

    def block(self, number: int) -> Block:
        """A block by its number."""

    def submit(self, raw: bytes) -> bytes:
        """Queue a signed transaction; returns its hash.

        Raises LedgerError that names the cause: nonce, balance, signature, chain id, gas or fee.
        """

    def confirm(self, transactions: Sequence[bytes], timestamp: int) -> tuple[Receipt, ...]:
        """Receipts of submitted transactions, once they are in a block.

        A settable chain seals a block at `timestamp`, or one second after its head when that is later; others are
        waited for, and their clock counts.
        """

    def receipt(self, transaction: bytes) -> Receipt | None:
        """The receipt; None while no block holds the transaction."""

    def transaction(self, transaction: bytes) -> Transaction | None:
        """The transaction by its hash; None while no block holds it."""

    def call(self, to: bytes, data: bytes, sender: bytes = ZERO_ADDRESS) -> bytes:
        """Run a view of a contract on the head's state; changes nothing.

        Raises CallReverted with the contract's data.
        """

    def nonce(self, address: bytes) -> int:
        """Number of the account's next transaction, queued ones counted."""

    def balance(self, address: bytes) -> int:
        """Ether of an account [wei]."""

    def code(self, address: bytes) -> bytes:
        """Code of a contract; empty for any other account."""

    def storage(self, address: bytes, slots: Sequence[int]) -> list[int]:
        """Words of a contract's storage, as unsigned integers."""

    def logs(self, first: int, last: int, address: bytes | None = None, topic: bytes | None = None) -> list[Log]:
        """Events of the blocks `first` to `last`, both included, oldest first.

        `address` and `topic` (hash of an event's signature) narrow them down.
        """
