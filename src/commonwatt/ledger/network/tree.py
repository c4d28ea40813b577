"""All blocks that a node has validated, on whatever branch they stand, and which of them are the chain.

A block is executed before it is believed, and written with its state, its score and, when it becomes the head,
the switch of the canonical chain in one transaction of the file. The head is the block of the highest score;
of equal ones, the one with the lower hash.

What follows from the blocks (scores, the index, what the engine remembers) is never believed when it is damaged or
missing, but found again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import rlp
from eth.abc import BlockHeaderAPI
from eth.db.schema import SchemaV1

from commonwatt.errors import LedgerError
from commonwatt.ledger.chain.evm import Genesis, Queued, begin, decode, problem_of
from commonwatt.ledger.chain.execution import Execution
from commonwatt.ledger.chain.reader import Reader
from commonwatt.ledger.chain.rules import Guard, Unexecutable, unbounded
from commonwatt.ledger.chain.store import Store
from commonwatt.ledger.network.block import (
    MAX_BLOCK_BYTES,
    InvalidBlock,
    Sealed,
    decode_body,
    decode_header,
    encode_block,
    extra_data,
    reward_of,
    seen,
)
from commonwatt.ledger.network.consensus.interface import Consensus, Header, SealError, Turn
from commonwatt.ledger.network.kept import Kept, private
from commonwatt.ledger.node import ZERO_ADDRESS

MAX_DRIFT = 15
"""Seconds that a block's time may be ahead of a node's clock."""
FAR = 60 + MAX_DRIFT
"""Seconds ahead that no block of an honest peer is, whose clock differs by no more than `wire.WINDOW`."""
_SEALED_KEY = b"commonwatt:sealed"
# The header beside the transactions, its extra data and all.
_HEADER_BYTES = 8192
_REFUSED_KEPT = 1024


class UnknownParent(LedgerError):
    """The block before a block is not here yet."""


class TooEarly(LedgerError):
    """A block's time has not come yet."""


@dataclass(frozen=True)
class Added:
    """A block that is new here.

    moved : whether it is the head now
    returned : transactions of blocks that left the chain and that its new part does not hold, oldest first
    senders : who sent a transaction in a block that joined or left the chain
    """

    block: Header
    moved: bool
    returned: tuple[Queued, ...] = ()
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


class Tree(Kept):
    """A node's file. Use it from one thread at a time.

    Raises LedgerError when the file cannot be opened, is foreign, damaged, or of another genesis.
    """

    def __init__(self, path: Path | None, genesis: Genesis, engine: Consensus) -> None:
        name = str(path) if path else "the chain in memory"
        # Whoever must not seal a height twice may not forget after a power cut that it has.
        store = Store(private(path), durable=engine.exclusive)
        try:
            begin(store, name, genesis)
            super().__init__(store, name, engine)
            self._refused: OrderedDict[bytes, str] = OrderedDict()
            self.guard: Guard = unbounded
            """Called again and again while blocks are executed. Nothing may be changed here meanwhile."""
            self.balance(ZERO_ADDRESS)  # the head's state must be there
            self.notes.save()
            store.commit()
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
        header = decode_header(raw)
        if self.knows(header.hash):
            return None
        block = seen(header)
        try:
            with self._whole():
                self._check(block, now)
                sealed = decode_body(raw, header, block)
                run = self._execute(sealed)
                return self._keep(sealed.header, sealed.seen, run)
        except InvalidBlock as error:
            if error.lasting:
                self._refuse(block.hash, str(error))
            raise
        finally:
            self._end()

    def _check(self, header: Header, now: int) -> None:
        """All that the header tells, the cheapest first."""
        for hash_, what in ((header.hash, "it was refused before"), (header.parent, "its parent was refused")):
            if hash_ in self._refused:
                raise InvalidBlock(f"{what}: {self._refused[hash_]}")
        if header.timestamp > now + FAR:
            raise InvalidBlock(f"its time is {header.timestamp - now} seconds ahead", lasting=False)
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

    def _execute(self, sealed: Sealed) -> Execution:
        """Run the block and compare every field of its header."""
        reward = self.engine.reward(sealed.seen)
        if sealed.withdrawals != reward_of(sealed.seen.number, sealed.seen.coinbase, reward):
            raise InvalidBlock("it does not pay its sealer what it must")
        parent, header = self.header(sealed.seen.parent), sealed.header
        run = Execution(
            self._chain, parent, timestamp=header.timestamp, coinbase=header.coinbase, extra_data=header.extra_data,
            guard=self.guard,
        )  # fmt: skip
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
            self._chain, self._head, timestamp=timestamp, coinbase=turn.coinbase, extra_data=extra_data(turn.claim),
            guard=self.guard,
        )  # fmt: skip
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
            self._end()

    @property
    def sealed(self) -> int:
        """Number of the last block that this node sealed; 0 before the first."""
        return int.from_bytes(self._store.get(_SEALED_KEY) or b"", "big")

    def keep_note(self, name: bytes, value: bytes) -> None:
        """Keep something beside the blocks, across restarts."""
        if value != self.notes.get(name):
            self.notes.put(name, value)
            self._end()

    # The chain among the blocks

    def _end(self) -> None:
        """After a block that was kept or refused: what is noted stays, all else is forgotten."""
        self._store.discard()
        if self.notes.save():
            self._store.commit()

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
        self._note_score(block.hash, score)
        run.receipts(self._store, block.number, block.hash)
        added = Added(block, moved=False)
        if (score, -int.from_bytes(block.hash, "big")) > self._rank():
            added = self._switch(header, block, run.done)
        self.notes.save()
        self._store.commit()
        self.past.keep(block)
        if added.moved:
            self._stand(header, tuple(queued.hash for queued in run.done))
        return added

    def _rank(self) -> tuple[int, int]:
        return self.score(self._head.hash), -int.from_bytes(self._head.hash, "big")

    def _switch(self, header: BlockHeaderAPI, block: Header, inside: Sequence[Queued]) -> Added:
        """Make a block with these transactions the head: names of the left branch go, those of the new one come."""
        joined, left = self._branches(header)
        gone: dict[bytes, Queued] = {}
        senders: set[bytes] = set()
        count = self._indexed() or 0
        for each in left:
            hashes = self.transaction_hashes(each)
            gone |= zip(hashes, self._queued(each), strict=True)
            self._index.remove(each, hashes)
            count -= len(hashes)
        senders.update(queued.sender for queued in gone.values())
        for each in joined:
            # Those of the block itself need not be read back.
            known = inside if each is header else self._queued(each)
            hashes = tuple(new.hash for new in known)
            senders.update(new.sender for new in known)
            for hash_ in hashes:
                gone.pop(hash_, None)
            self._index.add(each, hashes)
            count += len(hashes)
        self._note_indexed(count)
        self._store.put(SchemaV1.make_canonical_head_hash_lookup_key(), block.hash)
        return Added(block, moved=True, returned=tuple(gone.values()), senders=frozenset(senders))

    def _queued(self, header: BlockHeaderAPI) -> list[Queued]:
        return [decode(raw) for raw in self.raw_transactions(header)]

    def _branches(self, head: BlockHeaderAPI) -> tuple[list[BlockHeaderAPI], list[BlockHeaderAPI]]:
        """Blocks that join the chain when `head` becomes its head, and those that leave it; both oldest first."""
        joined = [head]
        while not self.canonical(parent := self.header(joined[-1].parent_hash)):
            joined.append(parent)
        left = [self.header(number) for number in range(parent.block_number + 1, self._head.block_number + 1)]
        return joined[::-1], left


def encoded(reader: Reader, header: BlockHeaderAPI) -> bytes:
    """A block of a file as nodes send it."""
    return encode_block(rlp.encode(header), reader.raw_transactions(header), reader.withdrawals(header))
