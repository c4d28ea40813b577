"""What a chain's file holds, read at any block that it knows: its blocks, as in `blocks`, and the state after each.

The state of a block is found by its header, also of one beside the canonical chain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import rlp
from eth.abc import BlockHeaderAPI, StateAPI
from eth.rlp.accounts import Account
from eth.vm.chain_context import ChainContext
from eth_typing import Address

from commonwatt.errors import LedgerError
from commonwatt.ledger.chain.blocks import At, Blocks
from commonwatt.ledger.chain.evm import header_after
from commonwatt.ledger.chain.question import Answer, Override, Question, QuestionVM, ask, estimate, override
from commonwatt.ledger.chain.rules import Guard
from commonwatt.ledger.chain.trie import Trie
from commonwatt.ledger.node import ZERO_ADDRESS, CallReverted
from commonwatt.proof.keccak import keccak

# A state remembers every account and contract that it was asked for; after so many questions a new one is begun.
_QUESTIONS = 4096


@dataclass(frozen=True)
class Proof:
    """An account after a block, zeros when there is none, with encoded nodes from the root down.

    words : slot, its word, and the nodes that lead to it from `storage_root`
    """

    nonce: int
    balance: int
    code_hash: bytes
    storage_root: bytes
    path: tuple[bytes, ...]
    words: tuple[tuple[int, int, tuple[bytes, ...]], ...]


class Reader(Blocks):
    """The read side of a chain. Use it from one thread at a time.

    `name` is what errors call the chain. Every method raises LedgerError when a part that must be there is not.
    """

    settable = True
    """Whoever adds a block names its time."""

    def now(self, at: int) -> int:
        """The time that the caller names [unix s]."""
        return at

    def _stand(self, head: BlockHeaderAPI, transactions: tuple[bytes, ...]) -> None:
        super()._stand(head, transactions)
        self._kept: dict[int | None, StateAPI] = {}
        """The head's state, and that of the block after it at the time last asked for."""
        self._questions = 0

    def call(self, to: bytes, data: bytes, sender: bytes = ZERO_ADDRESS, at: At = None) -> bytes:
        """Run a view of a contract on a block's state, at that block's time; changes nothing.

        Raises CallReverted with the contract's data, LedgerError when it fails in another way.
        """
        answer = self.ask(Question(self.header(at).gas_limit, to, sender, data), at)
        if answer.reverted:
            raise CallReverted(answer.output)
        if answer.error:
            raise LedgerError(f"The call of 0x{to.hex()} failed: {answer.error}.")
        return answer.output

    def ask(
        self,
        question: Question,
        at: At = None,
        guard: Guard | None = None,
        overrides: Mapping[bytes, Override] | None = None,
        following: int | None = None,
    ) -> Answer:
        """Run a transaction on a block's state that comes into no block; see `question.ask`.

        following : as the block after that one would run it, at this time [unix s]
        """
        with self._state(self.header(at), overrides, following) as state:
            return ask(state, question, guard)

    def estimate(
        self,
        question: Question,
        at: At = None,
        guard: Guard | None = None,
        overrides: Mapping[bytes, Override] | None = None,
        following: int | None = None,
    ) -> int:
        """Gas that suffices for a transaction; see `question.estimate`, and `ask` for `following`."""
        with self._state(self.header(at), overrides, following) as state:
            return estimate(state, question, guard)

    def nonce(self, address: bytes, at: At = None) -> int:
        """Number of the account's next transaction."""
        with self._state(self.header(at)) as state:
            return state.get_nonce(Address(address))

    def balance(self, address: bytes, at: At = None) -> int:
        """Ether of an account [wei]."""
        with self._state(self.header(at)) as state:
            return state.get_balance(Address(address))

    def code(self, address: bytes, at: At = None) -> bytes:
        """Code of a contract; empty for any other account."""
        with self._state(self.header(at)) as state:
            return state.get_code(Address(address))

    def storage(self, address: bytes, slots: Sequence[int], at: At = None) -> list[int]:
        """Words of a contract's storage, as unsigned integers."""
        with self._state(self.header(at)) as state:
            return [state.get_storage(Address(address), slot) for slot in slots]

    def proof(self, address: bytes, slots: Sequence[int], at: At = None) -> Proof:
        """An account and words of its storage, with the nodes that lead to them from the block's state root.

        Source: EIP-1186, https://eips.ethereum.org/EIPS/eip-1186
        """
        header = self.header(at)
        with self._whole():
            path, leaf = self._path(header.state_root, address)
            account = rlp.decode(leaf, sedes=Account) if leaf else Account()
            words = [
                (slot, rlp.decode(word, sedes=rlp.sedes.big_endian_int) if word else 0, nodes)
                for slot in slots
                for nodes, word in [self._path(account.storage_root, slot.to_bytes(32, "big"))]
            ]
        return Proof(account.nonce, account.balance, account.code_hash, account.storage_root, path, tuple(words))

    def _path(self, root: bytes, key: bytes) -> tuple[tuple[bytes, ...], bytes]:
        """The trie's nodes from the root towards a key, encoded, and the value there; empty when it holds none."""
        trie, hashed = Trie(self._store.nodes, root), keccak(key)
        return trie.proof(hashed), trie.get(hashed)

    @contextmanager
    def _state(
        self,
        header: BlockHeaderAPI,
        overrides: Mapping[bytes, Override] | None = None,
        following: int | None = None,
    ) -> Iterator[StateAPI]:
        """The state after a block, or as the next one at the time `following` begins with it.

        The head's are kept from one question to the next, and lent to one at a time.
        """
        with self._whole():
            if overrides or header.hash != self._head.hash:
                state = self._new_state(header, following)
                override(state, overrides or {})
                yield state
                return
            self._questions += 1
            kept = self._kept.pop(following, None)
            if kept is None or self._questions > _QUESTIONS:
                kept, self._questions = self._new_state(header, following), 0
            yield kept
            if header.hash == self._head.hash:
                self._kept = {None: self._kept[None]} if None in self._kept else {}
                self._kept[following] = kept

    def _new_state(self, header: BlockHeaderAPI, following: int | None = None) -> StateAPI:
        if following is not None:
            header = header_after(header, following, header.coinbase, b"")
        chaindb = self._chain.chaindb
        before = QuestionVM.get_prev_hashes(header.parent_hash, chaindb)
        return QuestionVM.build_state(chaindb.db, header, ChainContext(self._chain_id), before or ())
