"""What the embedded chain takes from py-evm, in the shapes of `node`.

Only this module, `reader` and those that make blocks import py-evm.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import rlp
from eth import EVM_RECURSION_LIMIT
from eth.abc import BlockAPI, BlockHeaderAPI, DatabaseAPI, ReceiptAPI, SignedTransactionAPI, TransactionDecoderAPI
from eth.chains.base import Chain
from eth.consensus.noproof import NoProofConsensus
from eth.constants import (
    BLANK_ROOT_HASH,
    GENESIS_PARENT_HASH,
    POST_MERGE_DIFFICULTY,
    POST_MERGE_MIX_HASH,
    POST_MERGE_NONCE,
)
from eth.db.backends.base import BaseAtomicDB
from eth.db.chain import ChainDB
from eth.db.schema import SchemaV1
from eth.exceptions import TransactionNotFound
from eth.vm.forks.cancun import CancunVM
from eth.vm.forks.cancun.blocks import CancunBlockHeader
from eth.vm.forks.cancun.headers import calc_excess_blob_gas_cancun
from eth.vm.forks.cancun.transactions import CancunTransactionBuilder
from eth.vm.forks.london.blocks import LondonBlockHeader
from eth.vm.forks.london.headers import calculate_expected_base_fee_per_gas
from eth_typing import Address, BlockNumber, Hash32
from eth_utils.exceptions import ValidationError

from commonwatt.errors import LedgerError, SignatureError
from commonwatt.ledger.chain import untrusted
from commonwatt.ledger.chain.rules import ChainState, least_gas, oversized
from commonwatt.ledger.chain.store import Store
from commonwatt.ledger.chain.trie import in_list, item, number, value_at, values_of
from commonwatt.ledger.node import Block, Log, Receipt
from commonwatt.ledger.wallet import created_address
from commonwatt.proof.keccak import keccak
from commonwatt.proof.keys import recover

# py-evm needs this depth for calls of calls; py_ecc, which it imports, asks for eight times as much. With that, JSON
# nested deep enough would run over the end of the machine's stack and end the process.
sys.setrecursionlimit(EVM_RECURSION_LIMIT)

GENESIS_KEY = b"commonwatt:genesis"
CHAIN_ID_KEY = b"commonwatt:chain-id"
EXTRA_DATA_BYTES = 4096
"""The most that a header's extra data holds."""
_OUTPUT_KEY = b"commonwatt:output:"
# Transactions with blobs (EIP-4844) and those that set an account's code (EIP-7702) have higher ones.
_MOST_TYPE = 2
# Of a transaction; the words of its access list are the most of them.
_MOST_ITEMS = 1 << 13


@dataclass(frozen=True)
class Genesis:
    """What a chain begins with: `balances` [wei] by address, the time of block 0, the limits that stay."""

    chain_id: int
    balances: Mapping[bytes, int] = field(default_factory=dict)
    timestamp: int = 0
    gas_limit: int = 100_000_000
    base_fee: int = 7
    extra_data: bytes = b""
    """Of block 0: a network's chain holds there what its members agreed on, by its hash."""

    @property
    def digest(self) -> bytes:
        """Tells two geneses apart, 32 bytes."""
        accounts = sorted(self.balances.items())
        numbers = (self.chain_id, accounts, self.timestamp, self.gas_limit, self.base_fee)
        return keccak(repr(numbers).encode() + self.extra_data)


@dataclass(frozen=True)
class Queued:
    """A transaction that waits for a block."""

    transaction: SignedTransactionAPI
    hash: bytes
    sender: Address
    cost: int
    """Wei that it may take from its sender at most."""
    raw: bytes


class Database(BaseAtomicDB):
    """The store as py-evm wants it. Batches need nothing more: a block is one batch of the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.nodes = store.nodes

    def __getitem__(self, key: bytes) -> bytes:
        value = self._store.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._store.put(key, value)

    def __delitem__(self, key: bytes) -> None:
        self._store.put(key, None)

    def _exists(self, key: bytes) -> bool:
        return self._store.get(key) is not None

    @contextmanager
    def atomic_batch(self) -> Iterator[Any]:
        yield self


class Names(ChainDB):
    """Where blocks and what is in them are found. Lists are read as this chain's tries are."""

    def persist_block(
        self, block: BlockAPI, genesis_parent_hash: Hash32 = GENESIS_PARENT_HASH
    ) -> tuple[tuple[Hash32, ...], tuple[Hash32, ...]]:
        """Make a block the head; returns hashes of blocks that joined the chain and of those that left it.

        One that follows the head and pays no sealer, as an embedded chain's do, needs nothing to be looked for.
        """
        db, header, head = self.db, block.header, SchemaV1.make_canonical_head_hash_lookup_key()
        missing = (SchemaV1.make_header_chain_gaps_lookup_key(), SchemaV1.make_chain_gaps_lookup_key())
        before, after = (in_list(in_list(), item(end.to_bytes(32, "big"))) for end in (block.number, block.number + 1))
        follows = db.get(head) == header.parent_hash and all(db.get(name) == before for name in missing)
        if not follows or cast("Any", block).withdrawals:
            return super().persist_block(block, genesis_parent_hash)
        db[header.hash] = rlp.encode(header)
        self._set_hash_scores_to_db(db, header, self._get_score(db, header.parent_hash))
        self._add_block_number_to_hash_lookup(db, header)
        for index, transaction in enumerate(block.transactions):
            self._add_transaction_to_canonical_chain(db, transaction.hash, header, index)
        db[head] = header.hash
        for name in missing:
            db[name] = after
        return (header.hash,), ()

    @staticmethod
    def _get_block_data_from_root_hash(db: DatabaseAPI, block_root_hash: Hash32) -> Iterator[Any]:
        return values_of(db.get, block_root_hash)

    def get_transaction_by_index(
        self, block_number: BlockNumber, transaction_index: int, transaction_decoder: type[TransactionDecoderAPI]
    ) -> SignedTransactionAPI:
        """A transaction by its place. Raises TransactionNotFound."""
        root = self.get_canonical_block_header_by_number(block_number).transaction_root
        encoded = value_at(self.db.get, root, transaction_index)
        if not encoded:
            raise TransactionNotFound(f"No transaction is at index {transaction_index} of block {block_number}")
        return transaction_decoder.decode(encoded)

    @staticmethod
    def _add_transaction_to_canonical_chain(
        db: DatabaseAPI, transaction_hash: Hash32, block_header: BlockHeaderAPI, index: int
    ) -> None:
        place = in_list(number(block_header.block_number), number(index))
        db[SchemaV1.make_transaction_hash_to_block_lookup_key(transaction_hash)] = place


class _VM(CancunVM):
    _state_class = ChainState
    consensus_class = NoProofConsensus
    # The seal of a network's block and what its sealer claims.
    extra_data_max_bytes = EXTRA_DATA_BYTES


def chain_class(id_: int) -> type[Chain]:
    """py-evm keeps the chain id in the class."""

    class EthereumChain(Chain):
        chain_id = id_
        chaindb_class = Names
        vm_configuration = ((BlockNumber(0), _VM),)

    return EthereumChain


def begin(store: Store, name: str, genesis: Genesis | None) -> None:
    """Write block 0 into an empty file; check that another one begins with it."""
    digest = store.get(GENESIS_KEY)
    if digest is None:
        if genesis is None:
            raise LedgerError(f"{name} is empty; a new chain needs a genesis.")
        write_genesis(store, genesis)
    elif genesis is not None and genesis.digest != digest:
        raise LedgerError(f"{name} was begun with another genesis.")
    elif genesis is not None and genesis.chain_id != int.from_bytes(store.get(CHAIN_ID_KEY) or b"", "big"):
        raise LedgerError(f"{name} is damaged: it does not have the chain id of its genesis.")


def write_genesis(store: Store, genesis: Genesis) -> None:
    """Block 0, its state and what tells this chain from another."""
    accounts = {
        Address(address): {"balance": balance, "nonce": 0, "code": b"", "storage": {}}
        for address, balance in genesis.balances.items()
    }
    params = {
        "difficulty": 0, "gas_limit": genesis.gas_limit, "timestamp": genesis.timestamp,
        "base_fee_per_gas": genesis.base_fee, "extra_data": genesis.extra_data,
    }  # fmt: skip
    chain_class(genesis.chain_id).from_genesis(Database(store), cast("Any", params), cast("Any", accounts))
    store.put(GENESIS_KEY, genesis.digest)
    store.put(CHAIN_ID_KEY, genesis.chain_id.to_bytes(32, "big"))
    store.commit()


def decode(raw: bytes) -> Queued:
    """A raw transaction with its sender. Raises LedgerError."""
    if raw and _MOST_TYPE < raw[0] < 0x80:
        raise LedgerError(f"This chain carries no transactions of type {raw[0]} (transaction type not supported).")
    try:
        untrusted.decode(raw[raw[:1] < b"\xc0" :], _MOST_ITEMS)  # behind the type's byte, when there is one
        transaction = CancunTransactionBuilder.decode(raw)
        signed = keccak(transaction.get_message_for_signing())
        r, s = transaction.r.to_bytes(32, "big"), transaction.s.to_bytes(32, "big")
        sender = Address(recover(signed, r + s + bytes([27 + transaction.y_parity])))
        vars(transaction)["sender"] = sender  # where py-evm keeps it once it has recovered it, ten times as slowly
        cost = transaction.gas * transaction.max_fee_per_gas + transaction.value
        return Queued(transaction, keccak(raw), sender, cost, raw)
    except LedgerError:
        raise
    except SignatureError as error:
        raise LedgerError(f"The transaction is refused: {error}") from error
    except Exception as error:  # rlp and py-evm raise many kinds for bytes that are no transaction
        raise LedgerError(f"This is not a signed Ethereum transaction: {error}.") from error


def problem_of(queued: Queued, chain_id: int, gas_limit: int, base_fee: int) -> str | None:
    """Why a transaction can be in no block of this chain now, whatever its sender's account holds.

    These are py-evm's checks when it executes, and the chain id, which it does not check. What stands in brackets are
    the words of other clients, which wallets look for.
    """
    transaction = queued.transaction
    if transaction.chain_id is None:
        return "it is signed for no chain (EIP-155) and could be replayed"
    if transaction.chain_id != chain_id:
        return f"it is signed for chain {transaction.chain_id}, this is chain {chain_id} (invalid sender)"
    try:
        transaction.validate()
    except ValidationError as error:
        return str(error).rstrip(".")
    least = least_gas(transaction)
    if transaction.gas < least:
        return f"its gas of {transaction.gas} is below the {least} it needs at least (intrinsic gas too low)"
    if transaction.gas > gas_limit:
        return f"its gas of {transaction.gas} is above a block's {gas_limit} (exceeds block gas limit)"
    if transaction.max_priority_fee_per_gas > transaction.max_fee_per_gas:
        return "its tip is above its highest fee (max priority fee per gas higher than max fee per gas)"
    if transaction.max_fee_per_gas < base_fee:
        return (
            f"its highest fee of {transaction.max_fee_per_gas} wei is below the base fee of {base_fee}"
            " (max fee per gas less than block base fee)"
        )
    return oversized(transaction.to, transaction.data)


def unaffordable(queued: Queued, balance: int, nonce: int, waiting: int) -> str | None:
    """Why the sender's account does not allow a transaction.

    balance : what the account holds [wei]
    nonce : the next one, queued transactions counted
    waiting : what those may cost [wei]
    """
    if queued.transaction.nonce != nonce:
        # Wallets look for these words, and for "insufficient funds", to explain them in their own.
        side = "low" if queued.transaction.nonce < nonce else "high"
        return f"its nonce is {queued.transaction.nonce}, the account's next one is {nonce} (nonce too {side})"
    if waiting + queued.cost > balance:
        cost = waiting + queued.cost
        return f"insufficient funds, the account holds {balance} wei and its queued transactions may cost {cost}"
    return None


def refusal(queued: Queued, problem: str) -> LedgerError:
    """The error that tells a transaction's sender why it is not taken."""
    return LedgerError(f"The transaction of 0x{queued.sender.hex()} is refused: {problem}.")


def output_key(block: bytes, transaction: bytes) -> bytes:
    """Where the store keeps what a failed transaction gave back, which no receipt holds."""
    return _OUTPUT_KEY + block + transaction


def block_of(header: BlockHeaderAPI, transactions: tuple[bytes, ...]) -> Block:
    """A header and the hashes of its transactions."""
    return Block(
        number=header.block_number,
        hash=header.hash,
        parent=header.parent_hash,
        timestamp=header.timestamp,
        state_root=header.state_root,
        gas_limit=header.gas_limit,
        gas_used=header.gas_used,
        base_fee=header.base_fee_per_gas or 0,
        transactions=transactions,
    )


def header_after(parent: BlockHeaderAPI, timestamp: int, coinbase: bytes, extra_data: bytes) -> CancunBlockHeader:
    """The header that a block after this one begins with, on the state that its parent left."""
    return CancunBlockHeader(
        difficulty=POST_MERGE_DIFFICULTY,
        block_number=BlockNumber(parent.block_number + 1),
        gas_limit=parent.gas_limit,
        timestamp=timestamp,
        coinbase=Address(coinbase),
        parent_hash=parent.hash,
        state_root=parent.state_root,
        extra_data=extra_data,
        mix_hash=POST_MERGE_MIX_HASH,
        nonce=POST_MERGE_NONCE,
        base_fee_per_gas=base_fee_after(parent),
        excess_blob_gas=calc_excess_blob_gas_cancun(parent),
        parent_beacon_block_root=BLANK_ROOT_HASH,
    )


def base_fee_after(header: BlockHeaderAPI) -> int:
    """Wei per gas that a block after this one asks for."""
    return calculate_expected_base_fee_per_gas(cast("LondonBlockHeader", header))


def encode_receipt(receipt: ReceiptAPI) -> bytes:
    """A receipt as it stands in its block's list (EIP-658, EIP-2718), in a fifth of the time of py-evm."""
    logs = b"".join(
        in_list(item(log.address), in_list(*[item(topic.to_bytes(32, "big")) for topic in log.topics]), item(log.data))
        for log in receipt.logs
    )
    type_id = cast("Any", receipt).type_id
    kind = bytes([type_id]) if type_id else b""
    bloom = item(receipt.bloom.to_bytes(256, "big"))
    return kind + in_list(item(receipt.state_root), number(receipt.gas_used), bloom, in_list(logs))


def read_receipts(chain: Chain, header: BlockHeaderAPI) -> tuple[ReceiptAPI, ...]:
    """All receipts of a block."""
    builder: Any = CancunVM.get_receipt_builder()
    return tuple(builder.decode(encoded) for encoded in values_of(chain.chaindb.db.get, header.receipt_root))


def receipt_of(
    signed: SignedTransactionAPI,
    hash_: bytes,
    receipt: ReceiptAPI,
    place: tuple[int, int],
    used_before: int,
    output: bytes,
) -> Receipt:
    """A receipt at (block, index); the chain keeps gas summed over the block, `used_before` is taken off."""
    created = b""
    if not signed.to and receipt.state_root:
        created = created_address(signed.sender, signed.nonce)
    return Receipt(
        transaction=hash_, block=place[0], index=place[1], success=bool(receipt.state_root),
        gas_used=receipt.gas_used - used_before, contract=created,
        logs=tuple(logs_of(receipt, place[0], hash_)), output=output,
    )  # fmt: skip


def logs_of(receipt: ReceiptAPI, number: int, hash_: bytes) -> list[Log]:
    """The events of a receipt."""
    return [
        Log(log.address, tuple(topic.to_bytes(32, "big") for topic in log.topics), log.data, number, hash_)
        for log in receipt.logs
    ]
