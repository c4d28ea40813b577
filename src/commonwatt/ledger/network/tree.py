"""All blocks that a node has validated, on whatever branch they stand, and which of them are the chain.

A block is executed before it is believed, and written with its state, its score and, when it becomes the head,
the switch of the canonical chain in one transaction of the file. The head is the block of the highest score;
of equal ones, the one with the lower hash.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import rlp
from eth.abc import BlockHeaderAPI, SignedTransactionAPI
from eth.db.chain import ChainDB
from eth.db.schema import SchemaV1
from eth_typing import Hash32

from commonwatt.errors import LedgerError
from commonwatt.ledger.chain.evm import Database, Genesis, Queued, begin, problem_of
from commonwatt.ledger.chain.execution import Execution
from commonwatt.ledger.chain.reader import Reader, UnknownBlock
from commonwatt.ledger.chain.rules import Unexecutable
from commonwatt.ledger.chain.store import Store
from commonwatt.ledger.network.block import (
    MAX_BLOCK_BYTES,
    InvalidBlock,
    Sealed,
    decode_block,
    encode_block,
    extra_data,
    reward_of,
    seen,
)
from commonwatt.ledger.network.consensus.interface import Consensus, Header, SealError, Turn
from commonwatt.ledger.node import ZERO_ADDRESS
from commonwatt.proof.keccak import keccak

MAX_DRIFT = 15
"""Seconds that a block's time may be ahead of a node's clock."""
_SCORE_KEY = b"commonwatt:score:"
_SEALED_KEY = b"commonwatt:sealed"
_ENGINE = b"engine's memory"
_NOTE_KEY = b"commonwatt:note:"
# The header beside the transactions, its extra data and all.
_HEADER_BYTES = 8192
_HEADERS_KEPT = 4096
_REFUSED_KEPT = 1024


class UnknownParent(LedgerError):
    """The block before a block is not here yet."""


class TooEarly(LedgerError):
    """A block's time has not come yet."""


@dataclass(frozen=True)
class Added:
    """A block that is new here.

    moved : whether it is the head now
    returned : raw transactions of blocks that left the chain and that its new part does not hold, oldest first
    senders : who sent a transaction in a block that joined or left the chain
    """

    block: Header
    moved: bool
    returned: tuple[bytes, ...] = ()
    senders: frozenset[bytes] = frozenset()


@dataclass(frozen=True)
class Draft:
    """A block that is complete but for its seal.

    writes : what the store must hold once it is sealed
    refused : candidates that cannot be executed
    """

    header: BlockHeaderAPI
    turn: Turn
    run: Execution
    writes: dict[bytes, bytes | None]
    refused: tuple[Queued, ...]

    @property
    def unsealed(self) -> bytes:
        """What the seal is for."""
        return bytes(self.header.hash)

    def encoded(self, sealed: BlockHeaderAPI) -> bytes:
        """The block as nodes send it, with its header that is sealed now."""
        paid = reward_of(sealed.block_number, self.turn.coinbase, self.turn.reward)
        return encode_block(rlp.encode(sealed), [queued.raw for queued in self.run.done], paid)


class Past:
    """The `History` that consensus engines read."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._headers: OrderedDict[bytes, Header] = OrderedDict()

    def header(self, hash: bytes) -> Header:  # noqa: A002
        """A header by its hash. Raises UnknownBlock."""
        found = self._headers.get(hash)
        if found is None:
            found = seen(self._tree.header(hash))
            self.keep(found)
        return found

    def keep(self, header: Header) -> None:
        """Remember a header of the file; the oldest ones are forgotten."""
        self._headers[header.hash] = header
        if len(self._headers) > _HEADERS_KEPT:
            self._headers.popitem(last=False)

    def words(self, hash: bytes, address: bytes, slots: Sequence[int]) -> list[int]:  # noqa: A002
        """Words of a contract's storage after a block."""
        return self._tree.storage(address, slots, at=hash)


class Tree(Reader):
    """A node's file. Use it from one thread at a time.

    Raises LedgerError when the file cannot be opened, is foreign, damaged, or of another genesis.
    """

    def __init__(self, path: Path | None, genesis: Genesis, engine: Consensus) -> None:
        name = str(path) if path else "the chain in memory"
        # Whoever must not seal a height twice may not forget after a power cut that it has.
        store = Store(path, durable=engine.exclusive)
        try:
            begin(store, name, genesis)
            super().__init__(store, name)
            self.engine = engine
            self.past = Past(self)
            self.genesis = self.header(0).hash
            self._refused: OrderedDict[bytes, str] = OrderedDict()
            self._db = Database(store)
            self.score(self._head.hash)
            self.balance(ZERO_ADDRESS)  # the head's state must be there
            engine.recall(self.note(_ENGINE))
        except BaseException:
            store.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._store.close()

    # Blocks from elsewhere

    def add(self, raw: bytes, now: int) -> Added | None:
        """Validate a block, execute it and keep it; None when it is here already.

        Raises InvalidBlock, UnknownParent, TooEarly; LedgerError when the file cannot be read or written.
        """
        sealed = decode_block(raw)
        if self.knows(sealed.seen.hash):
            return None
        try:
            with self._whole():
                self._check(sealed, now)
                run = self._execute(sealed)
                return self._keep(sealed.header, sealed.seen, run)
        except InvalidBlock as error:
            if error.lasting:
                self._refuse(sealed.seen.hash, str(error))
            raise
        finally:
            self._store.discard()
            self.remember()

    def _check(self, sealed: Sealed, now: int) -> None:
        """All that can be told without executing the block, the cheapest first."""
        header = sealed.seen
        for hash_, what in ((header.hash, "it was refused before"), (header.parent, "its parent was refused")):
            if hash_ in self._refused:
                raise InvalidBlock(f"{what}: {self._refused[hash_]}")
        if not self.knows(header.parent):
            raise UnknownParent(f"The parent of block {header.number}, 0x{header.parent.hex()}, is not here.")
        parent = self.past.header(header.parent)
        if header.number != parent.number + 1:
            raise InvalidBlock(f"its number is {header.number}, its parent's {parent.number}")
        if header.timestamp <= parent.timestamp:
            raise InvalidBlock(f"its time {header.timestamp} is not after its parent's {parent.timestamp}")
        if header.timestamp > now + MAX_DRIFT:
            raise TooEarly(f"The time of block {header.number} is {header.timestamp - now} seconds ahead.")
        try:
            self.engine.check(header, self.past)
        except SealError as error:
            raise InvalidBlock(str(error).rstrip(".")) from error
        if sealed.withdrawals != reward_of(header.number, header.coinbase, self.engine.reward(header)):
            raise InvalidBlock("it does not pay its sealer what it must")

    def _execute(self, sealed: Sealed) -> Execution:
        """Run the block and compare every field of its header."""
        parent, header = self.header(sealed.seen.parent), sealed.header
        run = Execution(
            self._chain, parent, timestamp=header.timestamp, coinbase=header.coinbase, extra_data=header.extra_data
        )
        try:
            for queued in sealed.transactions:
                problem = problem_of(queued, self._chain_id, header.gas_limit, 0)
                if problem or not run.fits(queued):
                    raise InvalidBlock(
                        f"transaction 0x{queued.hash.hex()} cannot be in it: {problem or 'no gas is left'}"
                    )
                run.apply(queued)
            made = run.close(sealed.withdrawals).header
        except Unexecutable as error:
            raise InvalidBlock(f"it breaks the rules of the EVM: {error}") from error
        for field in header._meta.field_names:
            if getattr(made, field) != getattr(header, field):
                raise InvalidBlock(f"its {field.replace('_', ' ')} is not what its parent and transactions give")
        return run

    def _refuse(self, hash_: bytes, reason: str) -> None:
        self._refused[hash_] = reason
        if len(self._refused) > _REFUSED_KEPT:
            self._refused.popitem(last=False)

    # Blocks of one's own

    def draft(self, turn: Turn, timestamp: int, candidates: Iterable[Queued], passed: set[bytes]) -> Draft:
        """The block after the head: of `candidates` as many as fit.

        A sender whose transaction is not taken is put into `passed`, so that `candidates` may leave out its next.
        """
        run = Execution(
            self._chain, self._head, timestamp=timestamp, coinbase=turn.coinbase, extra_data=extra_data(turn.claim)
        )
        room = MAX_BLOCK_BYTES - _HEADER_BYTES
        refused: list[Queued] = []
        try:
            with self._whole():
                for queued in candidates:
                    if queued.sender in passed:
                        continue
                    if not run.fits(queued) or len(queued.raw) > room:
                        passed.add(queued.sender)
                        continue
                    try:
                        run.apply(queued)
                        room -= len(queued.raw)
                    except Unexecutable:
                        passed.add(queued.sender)
                        refused.append(queued)
                header = run.close(reward_of(self._head.block_number + 1, turn.coinbase, turn.reward)).header
        except Unexecutable:
            if not run.done:
                raise
            self._store.discard()  # whichever of them it was, the next block is made without them
            empty = self.draft(turn, timestamp, (), passed)
            return replace(empty, refused=(*refused, *run.done))
        finally:
            writes = self._store.take()
        return Draft(header, turn, run, writes, tuple(refused))

    def seal(self, draft: Draft, seal: bytes) -> Added:
        """Keep a draft that is sealed now. Raises InvalidBlock when the engine does not take the seal."""
        header = draft.header.copy(extra_data=extra_data(draft.turn.claim, seal))
        try:
            block = seen(header)
            self.engine.check(block, self.past)
            self._store.put(_SEALED_KEY, block.number.to_bytes(8, "big"))
            for key, value in draft.writes.items():
                self._store.put(key, value)
            with self._whole():
                return self._keep(header, block, draft.run)
        except SealError as error:
            raise InvalidBlock(str(error).rstrip(".")) from error
        finally:
            self._store.discard()

    @property
    def sealed(self) -> int:
        """Number of the last block that this node sealed; 0 before the first."""
        return int.from_bytes(self._store.get(_SEALED_KEY) or b"", "big")

    # What the node remembers beside its blocks

    def note(self, name: bytes) -> bytes:
        """What was kept under a name; empty when nothing was. Raises LedgerError when it is damaged."""
        found = self._store.get(_NOTE_KEY + name) or keccak(b"")
        if keccak(found[32:]) != found[:32]:
            raise LedgerError(f"{self._name} is damaged: its {name.decode()} is not what its hash says.")
        return found[32:]

    def keep_note(self, name: bytes, value: bytes) -> None:
        """Keep something under a name, across restarts."""
        if value != self.note(name):
            self._store.put(_NOTE_KEY + name, keccak(value) + value)
            self._store.commit()

    def remember(self) -> None:
        """Keep what the engine knows beside the chain."""
        self.keep_note(_ENGINE, self.engine.memory())

    # The chain among the blocks

    def knows(self, hash_: bytes) -> bool:
        """Whether a block is here, validated."""
        return self._store.get(_SCORE_KEY + hash_) is not None or hash_ == self.genesis

    def score(self, hash_: bytes) -> int:
        """Sum of the weights from block 1 to a known block. Raises UnknownBlock."""
        if hash_ == self.genesis:
            return 0
        score = self._store.get(_SCORE_KEY + hash_)
        if score is None:
            raise UnknownBlock(f"{self._name} has no score of block 0x{hash_.hex()}.")
        return int.from_bytes(score, "big")

    def encoded(self, hash_: bytes) -> bytes:
        """A known block as nodes send it. Raises UnknownBlock."""
        return encoded(self, self.header(hash_))

    def after(self, known: Sequence[bytes], count: int, size: int) -> list[bytes]:
        """Encoded blocks of the chain after the first of the hashes that lies on it, or after the genesis.

        At most `count`, and at most `size` bytes unless the first alone is longer.
        """
        number = next((found for hash_ in known if (found := self._number_on_chain(hash_)) is not None), 0)
        blocks: list[bytes] = []
        for following in range(number + 1, min(number + count, self._head.block_number) + 1):
            raw = self.encoded(self.header(following).hash)
            size -= len(raw)
            if blocks and size < 0:
                break
            blocks.append(raw)
        return blocks

    def locator(self) -> list[bytes]:
        """Hashes of the chain, newest first, with growing steps back to the genesis."""
        numbers, step, number = [], 1, int(self._head.block_number)
        while number > 0:
            numbers.append(number)
            step *= 2 if len(numbers) > 8 else 1
            number -= step
        return [self.header(number).hash for number in (*numbers, 0)]

    def _number_on_chain(self, hash_: bytes) -> int | None:
        if not self.knows(hash_):
            return None
        header = self.header(hash_)
        return int(header.block_number) if self.canonical(header) else None

    def _keep(self, header: BlockHeaderAPI, block: Header, run: Execution) -> Added:
        """Write a block whose state the store holds; switch the chain to it when it is the best."""
        score = self.score(block.parent) + self.engine.weight(block, self.past)
        self._store.put(block.hash, rlp.encode(header))
        self._store.put(_SCORE_KEY + block.hash, score.to_bytes((score.bit_length() + 7) // 8, "big"))
        run.receipts(self._store, block.number, block.hash)
        added = Added(block, moved=False)
        if (score, -int.from_bytes(block.hash, "big")) > self._rank():
            added = self._switch(header, block, run.done)
        self._store.commit()
        self.past.keep(block)
        if added.moved:
            self.step()
        return added

    def _rank(self) -> tuple[int, int]:
        return self.score(self._head.hash), -int.from_bytes(self._head.hash, "big")

    def _switch(self, header: BlockHeaderAPI, block: Header, inside: Sequence[Queued]) -> Added:
        """Make a block with these transactions the head: names of the left branch go, those of the new one come."""
        joined, left = self._branches(header)
        gone: dict[bytes, bytes] = {}
        senders: set[bytes] = set()
        for each in left:
            self._store.put(SchemaV1.make_block_number_to_hash_lookup_key(each.block_number), None)
            for signed in self.transactions(each):
                gone[signed.hash] = signed.encode()
                senders.add(signed.sender)
                ChainDB._remove_transaction_from_canonical_chain(self._db, signed.hash)
        for each in joined:
            ChainDB._add_block_number_to_hash_lookup(self._db, each)
            # Those of the block itself need not be read back and their signatures not be checked again.
            known: Sequence[Queued | SignedTransactionAPI] = inside if each is header else self.transactions(each)
            for index, new in enumerate(known):
                gone.pop(new.hash, None)
                senders.add(new.sender)
                ChainDB._add_transaction_to_canonical_chain(self._db, Hash32(new.hash), each, index)
        self._store.put(SchemaV1.make_canonical_head_hash_lookup_key(), block.hash)
        return Added(block, moved=True, returned=tuple(gone.values()), senders=frozenset(senders))

    def _branches(self, head: BlockHeaderAPI) -> tuple[list[BlockHeaderAPI], list[BlockHeaderAPI]]:
        """Blocks that join the chain when `head` becomes its head, and those that leave it; both oldest first."""
        joined = [head]
        while not self.canonical(parent := self.header(joined[-1].parent_hash)):
            joined.append(parent)
        left = [self.header(number) for number in range(parent.block_number + 1, self._head.block_number + 1)]
        return joined[::-1], left


def encoded(reader: Reader, header: BlockHeaderAPI) -> bytes:
    """A block of a file as nodes send it."""
    raw = [transaction.encode() for transaction in reader.transactions(header)]
    return encode_block(rlp.encode(header), raw, reader.withdrawals(header))
