"""Two chains side by side: the product's, in two nodes, and py-evm's. Whatever differs between them is raised."""

# ruff: noqa: ARG002 - the simplest engine needs less than the protocol gives it.
from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import rlp
from eth.abc import BlockHeaderAPI
from eth.vm.forks.cancun.blocks import CancunBlock
from eth_typing import Address
from oracle import Oracle, gas_of, state_nodes

from commonwatt.ledger.chain.evm import Database, Genesis, decode
from commonwatt.ledger.chain.execution import Execution
from commonwatt.ledger.chain.question import Override, Question
from commonwatt.ledger.chain.rules import Unexecutable
from commonwatt.ledger.network.block import encode_block, extra_data
from commonwatt.ledger.network.consensus.interface import Header, History, Turn
from commonwatt.ledger.network.tree import Tree
from commonwatt.proof import Key


class Difference(AssertionError):
    """The two chains do not do the same."""


@dataclass(frozen=True)
class Anyone:
    """The engine of tests about execution: anybody may seal at any time. paid : reward of each block [Gwei]"""

    paid: int = 0
    name: str = "anyone"
    exclusive: bool = False

    def sealers(self, block: Header, history: History) -> Collection[bytes]:
        return ()

    def turn(self, parent: Header, history: History, member: bytes, now: int) -> Turn | None:
        return Turn(parent.timestamp + 1, b"", member, self.paid)

    def check(self, header: Header, history: History) -> None:
        pass

    def weight(self, header: Header, history: History) -> int:
        return 1

    def reward(self, header: Header) -> int:
        return self.paid

    def seal(self, unsealed: bytes, turn: Turn, key: Key) -> bytes | None:
        return b""


def same(what: str, ours: object, theirs: object) -> None:
    """Raise Difference unless both are equal."""
    if ours != theirs:
        raise Difference(f"{what}: {ours!r} instead of {theirs!r}")


class Twins:
    """A chain of the product whose blocks py-evm executes too.

    paid : reward of each block [Gwei]
    """

    def __init__(self, genesis: Genesis, paid: int = 0) -> None:
        self.maker, self.taker = (Tree(None, genesis, Anyone(paid)) for _ in range(2))
        self.theirs = Oracle.begun(genesis)
        self._paid = paid
        same_headers(self.maker.header(), self.theirs.head)

    def seal(
        self,
        raws: Sequence[bytes],
        coinbase: bytes = bytes(20),
        after: int = 1,
        dropped: Sequence[bytes] = (),
        rival: Sequence[bytes] = (),
    ) -> None:
        """Make a block of transactions, all of which must fit; let the others execute it and compare.

        after : seconds since the block before
        dropped : of a draft that is made before and dropped
        rival : of a block that the other node seals at the same height
        """
        turn = Turn(self.maker.head.timestamp + after, b"", coinbase, self._paid)
        queued = [decode(raw) for raw in raws]
        if dropped:
            self.maker.draft(turn, turn.at, map(decode, dropped), set())
        if rival:
            self.taker.seal(self.taker.draft(turn, turn.at, map(decode, rival), set()), b"")
        draft = self.maker.draft(turn, turn.at, queued, set())
        self.maker.seal(draft, b"")
        raw = draft.encoded(self.maker.header())
        made = self.theirs.add(raw)
        same_headers(self.maker.header(), made)
        self._compare()
        same("the block's bytes", raw, rlp.encode(rlp.decode(raw, sedes=CancunBlock)))
        same("the block as it is read back", self.maker.encoded(made.hash), raw)
        same("transactions of the block", len(self.maker.transactions(self.maker.header())), len(queued))
        try:
            self.taker.add(raw, turn.at)
        except Exception as error:
            raise Difference(f"another node does not take the block: {error}") from error
        if not rival:
            same("the head of another node", self.taker.head, self.maker.head)

    def refuse(self, bad: bytes, good: bytes) -> str:
        """Make a block of one transaction beside one that cannot be executed; why that one cannot."""
        maker, now = self.maker, self.maker.head.timestamp + 1
        run = Execution(maker._chain, maker.header(), timestamp=now, extra_data=extra_data(b"", b""))
        reason = ""
        try:
            run.apply(decode(bad))
        except Unexecutable as error:
            reason = str(error)
        same("why a transaction is refused", reason, self.theirs.refusal(bad, now))
        run.apply(decode(good))
        raw = encode_block(rlp.encode(run.close().header), [good], [])
        maker._store.discard()
        for node in (maker, self.taker):
            node.add(raw, now)
        same_headers(maker.header(), self.theirs.add(raw))
        return reason

    def _compare(self) -> None:
        header, applied = self.maker.header(), self.theirs.applied
        receipts = self.maker.receipts(header)
        same("gas of transactions", list(gas_of(receipts)), list(gas_of([each.receipt for each in applied])))
        for hash_, ours, theirs in zip(self.maker.hashes(header), receipts, applied, strict=True):
            same("receipt", ours, theirs.receipt)
            kept = self.maker.receipt(hash_)
            same("what a transaction gave back", kept and kept.output, theirs.output if theirs.error else b"")

    def ask(self, question: Question, overrides: Mapping[bytes, Override] | None = None) -> None:
        """Put the same question to both heads, to ours with a guard and without."""
        theirs = self.theirs.ask(question, overrides)
        same("answer", self.maker.ask(question, overrides=overrides), theirs)
        same("answer under a guard", self.maker.ask(question, guard=lambda: None, overrides=overrides), theirs)

    def read(self, address: bytes, slots: Sequence[int]) -> None:
        """Compare what both hold of an account, and its proof."""
        state, who = self.theirs.state(), Address(address)
        same("balance", self.maker.balance(address), state.get_balance(who))
        same("nonce", self.maker.nonce(address), state.get_nonce(who))
        same("code", self.maker.code(address), state.get_code(who))
        same("storage", self.maker.storage(address, slots), [state.get_storage(who, slot) for slot in slots])
        proof = self.maker.proof(address, slots)
        path, words = self.theirs.proof(address, slots)
        same("proof of an account", proof.path, path)
        same("proofs of words", [nodes for _, _, nodes in proof.words], words)

    def whole(self) -> None:
        """Compare all that the files hold of the head's state: what is only in memory would be missing later."""
        root = self.theirs.head.state_root
        theirs = state_nodes(self.theirs.chain.chaindb.db.__getitem__, root)
        for node in (self.maker, self.taker):
            try:
                ours = state_nodes(Database(node._store).__getitem__, root)
            except KeyError as error:
                raise Difference(f"the file has no node {error}") from error
            same("entries of the state", ours, theirs)


def same_headers(ours: BlockHeaderAPI, theirs: BlockHeaderAPI) -> None:
    """Compare every field."""
    fields: Any = ours
    for name in fields._meta.field_names:
        same(name.replace("_", " "), getattr(ours, name), getattr(theirs, name))
    same("hash", ours.hash, theirs.hash)
