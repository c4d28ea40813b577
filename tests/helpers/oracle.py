"""The other chain: py-evm as it comes, with this chain's prices of precompiles, which imports blocks by executing them.

Nothing of the product's interpreter, accounts or tries is in it; what it shares with the product is the rule of the
dearer precompiles and the encoding of what comes in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import rlp
from eth.abc import BlockHeaderAPI, ReceiptAPI, StateAPI
from eth.chains.base import Chain
from eth.consensus.noproof import NoProofConsensus
from eth.constants import BLANK_ROOT_HASH, EMPTY_SHA3
from eth.db.atomic import AtomicDB
from eth.exceptions import VMError
from eth.rlp.accounts import Account
from eth.vm.chain_context import ChainContext
from eth.vm.forks.cancun import CancunVM
from eth.vm.forks.cancun.blocks import CancunBlock
from eth.vm.forks.cancun.computation import CancunComputation
from eth.vm.forks.cancun.state import CancunState
from eth.vm.forks.cancun.transactions import CancunTransactionBuilder
from eth_typing import Address, BlockNumber
from eth_utils.exceptions import ValidationError
from trie.hexary import HexaryTrie

from commonwatt.ledger.chain.evm import EXTRA_DATA_BYTES, Genesis
from commonwatt.ledger.chain.question import Answer, Override, Question, ask, override
from commonwatt.ledger.chain.rules import ChainComputation, Guard
from commonwatt.proof.keccak import keccak


class OracleComputation(CancunComputation):
    """py-evm's own interpreter."""

    _precompiles = ChainComputation.get_precompiles()


class OracleState(CancunState):
    """py-evm's own accounts; questions may be put to it, and no guard watches it."""

    computation_class = OracleComputation

    def watch(self, guard: Guard) -> None:
        """The guard is the product's."""


class OracleVM(CancunVM):
    """py-evm's own blocks; what each transaction of the last one did is kept."""

    _state_class = OracleState
    consensus_class = NoProofConsensus
    extra_data_max_bytes = EXTRA_DATA_BYTES

    def transaction_applied_hook(self, *told: Any) -> None:
        """A transaction has run: (index, transactions, header, header, computation, receipt)."""
        computation, receipt = told[4:]
        cast("Any", self.chaindb).applied.append(
            Applied(receipt, computation.output, type(computation.error).__name__ if computation.is_error else "")
        )


@dataclass(frozen=True)
class Applied:
    """What a transaction did: its receipt with the gas summed over the block, what came back, the kind of failure."""

    receipt: ReceiptAPI
    output: bytes
    error: str


class Oracle:
    """The chain that begins with block 0 of a genesis, or of a file."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.applied: list[Applied] = []
        self._asked: StateAPI | None = None
        cast("Any", chain.chaindb).applied = self.applied

    @classmethod
    def begun(cls, genesis: Genesis) -> Oracle:
        """With py-evm's own block 0."""
        accounts = {
            Address(address): {"balance": balance, "nonce": 0, "code": b"", "storage": {}}
            for address, balance in genesis.balances.items()
        }
        params = {
            "difficulty": 0, "gas_limit": genesis.gas_limit, "timestamp": genesis.timestamp,
            "base_fee_per_gas": genesis.base_fee, "extra_data": genesis.extra_data,
        }  # fmt: skip
        made = _chain_class(genesis.chain_id).from_genesis(AtomicDB(), cast("Any", params), cast("Any", accounts))
        return cls(cast("Chain", made))

    @classmethod
    def copied(cls, chain_id: int, header: BlockHeaderAPI, entries: Mapping[bytes, bytes]) -> Oracle:
        """With block 0 of another chain. entries : the nodes of its state"""
        database = AtomicDB()
        for key, value in entries.items():
            database[key] = value
        return cls(cast("Chain", _chain_class(chain_id).from_genesis_header(database, header)))

    @property
    def head(self) -> BlockHeaderAPI:
        """The header of the last block that was imported."""
        return self.chain.get_canonical_head()

    def add(self, raw: bytes) -> BlockHeaderAPI:
        """Execute a block; returns the header that py-evm gives it, which may be another one than it has."""
        block = rlp.decode(raw, sedes=CancunBlock)
        self.applied.clear()
        self._asked = None
        made = self.chain.import_block(block, perform_validation=False)
        return made.imported_block.header

    def refusal(self, raw: bytes, timestamp: int) -> str:
        """Why py-evm does not execute a transaction in a block after the head; empty when it does."""
        header = self.chain.create_header_from_parent(self.head, timestamp=timestamp, gas_limit=self.head.gas_limit)
        try:
            self.chain.get_vm(header).apply_transaction(header, CancunTransactionBuilder.decode(raw))
        except (ValidationError, VMError) as error:
            return str(error).splitlines()[0].rstrip(".")
        return ""

    def state(self) -> StateAPI:
        """The state after the head, as questions see it: in the head's own block."""
        head, chaindb = self.head, self.chain.chaindb
        before = OracleVM.get_prev_hashes(head.parent_hash, chaindb)
        return OracleVM.build_state(chaindb.db, head, ChainContext(self.chain.chain_id), before or ())

    def ask(self, question: Question, overrides: Mapping[bytes, Override] | None = None) -> Answer:
        """Run a question on the head's state, or on what it takes that to be."""
        if overrides:
            state = self.state()
            override(state, overrides)
            return ask(state, question)
        self._asked = self._asked or self.state()
        return ask(self._asked, question)

    def proof(self, address: bytes, slots: Sequence[int]) -> tuple[tuple[bytes, ...], list[tuple[bytes, ...]]]:
        """Nodes that lead to an account, and from its storage root to each slot, by py-trie."""
        path, leaf = self._path(self.head.state_root, address)
        root = rlp.decode(leaf, sedes=Account).storage_root if leaf else Account().storage_root
        return path, [self._path(root, slot.to_bytes(32, "big"))[0] for slot in slots]

    def _path(self, root: bytes, key: bytes) -> tuple[tuple[bytes, ...], bytes]:
        trie: Any = HexaryTrie(cast("Any", self.chain.chaindb.db), root)
        nodes = [rlp.encode(node) for node in trie.get_proof(keccak(key))]
        return tuple(node for index, node in enumerate(nodes) if index == 0 or len(node) >= 32), trie[keccak(key)]


def gas_of(receipts: Sequence[ReceiptAPI]) -> Iterator[int]:
    """Gas of each transaction, from the sums that receipts hold."""
    for before, after in pairwise([0, *(receipt.gas_used for receipt in receipts)]):
        yield after - before


def state_nodes(read: Callable[[bytes], bytes], root: bytes) -> dict[bytes, bytes]:
    """What a file must hold of a state: nodes of its tries, and codes, by hash. Raises KeyError when one is missing."""
    found: dict[bytes, bytes] = {}
    for value in _walked(read, root, found):
        account = rlp.decode(value, sedes=Account)
        found |= {hash_: read(hash_) for hash_ in {account.code_hash} - {EMPTY_SHA3}}
        for _ in _walked(read, account.storage_root, found):
            pass
    return found


def _walked(read: Callable[[bytes], bytes], root: bytes, found: dict[bytes, bytes]) -> Iterator[bytes]:
    """The values of a trie; its nodes are put into `found`."""
    waiting: list[Any] = [root] if root != BLANK_ROOT_HASH else []
    while waiting:
        node = waiting.pop()
        if isinstance(node, bytes):
            found[node] = read(node)
            node = rlp.decode(found[node])
        if len(node) == 17:
            waiting += [child for child in node[:16] if child]
        elif node[0][0] & 0x20:
            yield node[1]
        else:
            waiting.append(node[1])


def _chain_class(id_: int) -> type[Chain]:
    class OracleChain(Chain):
        chain_id = id_
        vm_configuration = ((BlockNumber(0), OracleVM),)

    return OracleChain
