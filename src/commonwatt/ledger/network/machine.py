"""A node without its wires: messages and the time go in, messages come out.

Whoever drives the machine gives it what arrives (`receive`), the time once a second or so (`tick`), and calls
`work` as long as it is `busy`; it sends what these return. Nothing here reads a clock or opens a socket, so many
machines run in one test on a simulated network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from commonwatt.errors import LedgerError
from commonwatt.ledger.chain.evm import decode as decode_transaction
from commonwatt.ledger.network.block import InvalidBlock, decode_header, seen
from commonwatt.ledger.network.consensus.interface import Header
from commonwatt.ledger.network.locations import Locations
from commonwatt.ledger.network.messages import (
    MAX_BLOCKS,
    MAX_LOCATIONS,
    Blocks,
    GetBlocks,
    Hello,
    Message,
    MessageError,
    NewBlock,
    Status,
    Transactions,
    decode,
)
from commonwatt.ledger.network.outbox import BATCH_BYTES, Outbox, Outgoing
from commonwatt.ledger.network.peers import Patience, Peers, Sync
from commonwatt.ledger.network.pool import Pool
from commonwatt.ledger.network.sealing import Sealed, Sealer, Search
from commonwatt.ledger.network.tree import Added, TooEarly, Tree, UnknownParent
from commonwatt.proof.keccak import keccak
from commonwatt.proof.keys import Key, checksum_address

STATUS_EVERY = 5
"""Seconds between two messages that tell peers where the chain ends."""
POOL_EVERY = 30
"""Seconds between two messages that hold what waits in the pool, for whoever missed it."""
# What a block that comes too early takes from what its sender may say: each is a line of the log.
_EARLY = 100

Log = Callable[[str], None]


class Machine:
    """One node. `key` is the member that seals; `log` takes one line per event."""

    def __init__(self, tree: Tree, key: Key | None, log: Log, patience: Patience | None = None) -> None:
        self.tree = tree
        self.pool = Pool(tree.chain_id, tree.head.gas_limit)
        self.peers = Peers(patience or Patience())
        self.sealer = Sealer(tree, self.pool, key)
        self.locations = Locations(tree)
        self.allowed: set[bytes] = set()
        """Nodes that are listened to, beside those that may seal."""
        self.sealing = True
        """Whether the node seals by itself when its turn comes."""
        self._log = log
        self._sync: Sync | None = None
        self._requests = 0
        self._now = self._told = self._shared = 0
        self._out = Outbox()

    # Peers

    def join(self, peer: bytes, now: int) -> list[Outgoing]:
        """Connect a peer and tell it where the chain ends; one that is banned stays out."""
        if self.peers.join(peer, now):
            self._log(f"peer {_name(peer)} joined")
            self._out.tell(self.locations.all[:MAX_LOCATIONS], [peer])
            self._out.send(self.status(), [peer])
            self._share([queued.raw for queued in self.pool.waiting()], [peer], now)
        return self._out.take()

    def leave(self, peer: bytes) -> None:
        """Disconnect a peer."""
        if self.peers.leave(peer):
            self._log(f"peer {_name(peer)} left")
            self._forget_sync(peer)

    def receive(self, peer: bytes, payload: bytes, now: int) -> list[Outgoing]:
        """A message of a connected peer, whose signature the wire has checked."""
        known = self.peers.connected.get(peer)
        if known is None:
            return []
        try:
            message = decode(payload)
            if known.says(message, len(payload), now):
                self._handle(peer, message, now)
            else:
                self._drop(peer, "it floods", now)
        except MessageError as error:
            self._drop(peer, f"it sent {error}", now)
        except InvalidBlock as error:
            self._drop(peer, f"its block is refused: {error}", now)
        return self._out.take()

    def _handle(self, peer: bytes, message: Message, now: int) -> None:
        match message:
            case Hello():
                self._out.tell(self.locations.learn(message.locations, self.nodes, now), self._others(peer))
            case Status():
                self.peers.connected[peer].status = message
                self._follow(now)
            case NewBlock():
                self._take_block(peer, message.raw, now)
            case Transactions():
                self._take_transactions(peer, message.raw, now)
            case GetBlocks():
                self.peers.connected[peer].wants = message
                self._serve(peer, now)
            case Blocks():
                self._take_answer(peer, message, now)

    @property
    def nodes(self) -> frozenset[bytes]:
        """Nodes that are listened to: those allowed, and those that the chain lets seal."""
        head = self.tree.past.header(self.tree.head.hash)
        return frozenset(self.allowed).union(self.tree.engine.sealers(head, self.tree.past))

    def _serve(self, peer: bytes, now: int) -> None:
        """Answer the peer's last request, unless it has had too much of late."""
        known = self.peers.connected[peer]
        if known.wants is None or known.service.have(now) < 0:
            return
        wants, known.wants = known.wants, None
        blocks = tuple(self.tree.after(wants.known, MAX_BLOCKS, BATCH_BYTES))
        known.service.spend(1 + len(wants.known) // 4 + len(blocks) + sum(map(len, blocks)) // 1024, now)
        self._out.send(Blocks(wants.request, blocks, self.status()), [peer])

    def sent(self) -> list[Outgoing]:
        """What `submit`, `produce` and `found` want to send."""
        return self._out.take()

    def status(self) -> Status:
        """Where this node's chain ends."""
        head = self.tree.head
        return Status(head.hash, head.number, self.tree.score(head.hash))

    # Time

    def tick(self, now: int) -> list[Outgoing]:
        """Time has come to `now`."""
        if now < self._now - STATUS_EVERY:
            self._set_back(now)
        self._now = now
        if self._sync and not self._sync.queue and now > self._sync.asked + self._sync.within:
            self._give_up(self._sync.peer, "did not answer", now)
        self._follow(now)
        for peer in self.peers.connected:
            self._serve(peer, now)
        heard = any(peer.status for peer in self.peers.connected.values())
        if self.sealer.ready(now, heard=heard, catching_up=self._sync is not None) and self.sealing:
            self.produce(now)
        if now - self._told >= STATUS_EVERY:
            self._told = now
            self._out.send(self.status(), self.peers.connected)
        if now - self._shared >= POOL_EVERY:
            self._shared = now
            self.pool.expire(now)
            self._out.tell(self.locations.own, self.peers.connected)
            raws = [queued.raw for queued in self.pool.waiting()]
            # Peers bear more than an eighth of a full pool at a time, so each time another eighth goes first.
            first = len(raws) * (now // POOL_EVERY % 8) // 8
            self._share(raws[first:] + raws[:first], list(self.peers.connected), now)
        return self._out.take()

    def _set_back(self, now: int) -> None:
        """The clock was set right: nothing waits for a time that it showed before."""
        self._told = self._shared = 0
        self._sync = None
        self.peers.set_back(now)

    @property
    def busy(self) -> bool:
        """Whether blocks wait to be validated."""
        return bool(self._sync and self._sync.queue)

    @property
    def highest(self) -> int | None:
        """Number of the last block of the peer whose chain is being fetched; None when none is."""
        peer = self.peers.connected.get(self._sync.peer) if self._sync else None
        return peer.status.number if peer and peer.status else None

    def work(self, now: int) -> list[Outgoing]:
        """Validate one of the blocks that wait."""
        sync = self._sync
        if sync and sync.queue:
            try:
                self._take_next(sync, now)
            except InvalidBlock as error:
                self._drop(sync.peer, f"its block is refused: {error}", now)
            except UnknownParent:
                self._drop(sync.peer, "its blocks do not follow each other", now)
            except TooEarly as error:
                self._give_up(sync.peer, f"is ahead of this node's clock: {error}", now)
        return self._out.take()

    # Transactions

    def submit(self, raw: bytes, now: int) -> bytes:
        """Take a transaction of a user of this node; returns its hash. It is sent with the next messages.

        Raises LedgerError that names the cause when it is refused.
        """
        queued = decode_transaction(raw)
        self.pool.add(queued, self.account, self.tree.next_base_fee, now)
        self._share([raw], list(self.peers.connected), now)
        return queued.hash

    def account(self, address: bytes) -> tuple[int, int]:
        """Next nonce and balance [wei] after the head."""
        return self.tree.nonce(address), self.tree.balance(address)

    def _take_transactions(self, peer: bytes, raws: tuple[bytes, ...], now: int) -> None:
        new = []
        for raw in raws:
            if keccak(raw) in self.pool:
                continue
            try:
                queued = decode_transaction(raw)
            except LedgerError as error:
                self._drop(peer, f"it sent a transaction that is none: {error}", now)
                break
            try:
                self.pool.add(queued, self.account, self.tree.next_base_fee, now)
                new.append(raw)
            except LedgerError:  # another node's pool may hold what this one has no use for
                continue
        self._share(new, self._others(peer), now)

    # Blocks

    @property
    def search(self) -> Search | None:
        """Set while a worker should look for a seal; it changes when another one is wanted."""
        return self.sealer.search

    def produce(self, now: int) -> Header | None:
        """Seal the next block when it is this node's turn, or begin to search for its seal."""
        return self._announce(lambda: self.sealer.produce(now), now)

    def found(self, unsealed: bytes, seal: bytes, now: int) -> Header | None:
        """A seal that was searched for; one that came too late is passed over."""
        return self._announce(lambda: self.sealer.found(unsealed, seal), now)

    def _announce(self, seal: Callable[[], Sealed | None], now: int) -> Header | None:
        try:
            sealed = seal()
        except InvalidBlock as error:
            self._log(f"this node's own block is refused: {error}")
            return None
        if sealed is None:
            return None
        self._log(f"sealed block {_label(sealed.added.block)} with transactions: {sealed.transactions}")
        self._settle(sealed.added, now)
        self._out.send(NewBlock(sealed.raw), self.peers.connected)
        return sealed.added.block

    def _take_block(self, peer: bytes, raw: bytes, now: int) -> None:
        try:
            added = self.tree.add(raw, now)
        except UnknownParent:
            if self._sync is None and self.peers.connected[peer].resting <= now:
                self._ask(peer, now)
            return
        except TooEarly as error:
            self.peers.connected[peer].speech.spend(_EARLY, now)
            self._log(f"a block from {_name(peer)} must wait: {error}")
            return
        if added:
            self._log(f"took block {_label(added.block)} from {_name(peer)}")
            self._settle(added, now)
            self._out.send(NewBlock(raw), self._others(peer))

    def _settle(self, added: Added, now: int) -> None:
        """The pool after a block: what it holds goes, what its branch does not hold comes back."""
        if added.moved:
            self.sealer.search = None
            self.pool.settle(added.senders, self.account)
            if added.returned:
                back = [queued.raw for queued in self.pool.put_back(added.returned, self.account, now)]
                self._log(f"the chain changed to block {_label(added.block)}; {len(back)} transactions wait again")
                self._share(back, list(self.peers.connected), now)

    # Catching up

    def follow(self, now: int) -> list[Outgoing]:
        """Ask for the best chain of the peers now, not with the next tick."""
        self._follow(now)
        return self._out.take()

    def _follow(self, now: int) -> None:
        """Ask the peer that claims the best chain for it, when it is better than this one."""
        best = None if self._sync else self.peers.best(now)
        if best is None:
            return
        peer, claim = best
        mine = self.status()
        if self.tree.knows(claim.head):
            self._believe(peer, claim, now)
        elif (-claim.score, claim.head) < (-mine.score, mine.head):
            self._ask(peer, now)

    def _ask(self, peer: bytes, now: int, before: Sync | None = None) -> None:
        """Ask a peer for its chain, from where its answer `before` ended."""
        self._requests += 1
        sync = self._sync = self.peers.begin(peer, self._requests, now)
        known = self.tree.locator()
        if before and before.last:
            sync.last, sync.highest, sync.left = before.last, before.highest, before.left
            known.insert(0, before.last.hash)
        self._out.send(GetBlocks(self._requests, tuple(known)), [peer])

    def _take_answer(self, peer: bytes, answer: Blocks, now: int) -> None:
        sync = self._sync
        if sync is None or (sync.peer, sync.request) != (peer, answer.request) or sync.claimed:
            return  # it comes too late
        self.peers.connected[peer].status = sync.claimed = answer.status
        self.peers.connected[peer].speech.left = self.peers.patience.burst
        sync.answered(now)
        sync.queue.extend(answer.blocks)
        if not sync.queue:
            self._end_answer(sync, answer.status, now)

    def _take_next(self, sync: Sync, now: int) -> None:
        raw = sync.queue.popleft()
        added = self.tree.add(raw, now)
        block = added.block if added else seen(decode_header(raw))
        sync.progress |= added is not None or block.number > sync.highest
        sync.last, sync.highest = block, max(sync.highest, block.number)
        if added:
            self._settle(added, now)
        if added and added.moved:
            sync.gained()
            self.peers.connected[sync.peer].failures = 0
            self.sealer.caught(block, now)
        if not sync.queue and sync.claimed:
            self._end_answer(sync, sync.claimed, now)

    def _end_answer(self, sync: Sync, claim: Status, now: int) -> None:
        """All blocks of an answer are here: it is the whole branch, or there is more, or the peer lied."""
        self._sync = None
        if self.tree.knows(claim.head):
            if self._believe(sync.peer, claim, now) and sync.last:
                self._log(f"caught up with {_name(sync.peer)} at block {claim.number}")
                self._out.send(self.status(), self._others(sync.peer))
            self._follow(now)
        elif sync.progress and sync.left < 0:
            self._give_up(sync.peer, f"claims block {claim.number} and sends what is of no use", now)
        elif sync.progress:
            self._ask(sync.peer, now, sync)
        else:
            self._drop(sync.peer, f"it claims block {claim.number} and does not send it", now)

    def _give_up(self, peer: bytes, reason: str, now: int) -> None:
        """Fetch a chain no longer from a peer that does not bring it, and ask others for a while."""
        self._log(f"peer {_name(peer)} {reason}")
        self.peers.connected[peer].fail(now, self.peers.patience)
        self._forget_sync(peer)

    def _believe(self, peer: bytes, claim: Status, now: int) -> bool:
        """Compare what a peer says of a block that is here; drop the peer when it is not so."""
        number, score = self.tree.header(claim.head).block_number, self.tree.score(claim.head)
        if (claim.number, claim.score) != (number, score):
            self._drop(peer, f"it lies about its head: block {number} has the score {score}, not {claim.score}", now)
            return False
        return True

    # Sending

    def _share(self, raws: Sequence[bytes], peers: Sequence[bytes], now: int) -> None:
        """Transactions for peers that bear them now; the others hear of them when the pool is shared again."""
        connected = self.peers.connected
        self._out.share(raws, peers, lambda peer, message, size: connected[peer].bears(message, size, now))

    def _drop(self, peer: bytes, reason: str, now: int) -> None:
        self._log(f"dropped peer {_name(peer)} for {self.peers.patience.ban} s: {reason.rstrip('.')}")
        self.peers.ban(peer, now)
        self._forget_sync(peer)

    def _forget_sync(self, peer: bytes) -> None:
        if self._sync and self._sync.peer == peer:
            self._sync = None

    def _others(self, peer: bytes) -> list[bytes]:
        return [other for other in self.peers.connected if other != peer]


def _name(peer: bytes) -> str:
    return checksum_address(peer)[:10]


def _label(block: Header) -> str:
    return f"{block.number} (0x{block.hash.hex()[:8]})"
