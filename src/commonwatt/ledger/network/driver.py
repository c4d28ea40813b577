"""A machine in the real world: the clock, HTTP to other nodes, the worker that searches for seals.

Each peer has a queue. What is in it is posted to where the peer was found, or handed out in the answer to the peer's
own next request when it was found nowhere, so that a node behind a router may take part too. A message that cannot be
delivered is lost; the next status makes up for it. Nodes are looked for at the URLs that the operator named and at the
addresses that they signed themselves (`locations`).
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast

from commonwatt.errors import LedgerError
from commonwatt.ledger.chain.rules import Guard, unbounded
from commonwatt.ledger.network.client import Client
from commonwatt.ledger.network.machine import Log, Machine
from commonwatt.ledger.network.messages import MAX_MESSAGE_BYTES
from commonwatt.ledger.network.outbox import Outgoing
from commonwatt.ledger.network.sealing import Search
from commonwatt.ledger.network.wire import MAX_BODY_BYTES, Wire, WireError, pack, unpack
from commonwatt.ledger.rpc.slices import in_slices
from commonwatt.proof.keys import checksum_address
from commonwatt.records import strict_json

if TYPE_CHECKING:
    from commonwatt.ledger.network.consensus.miner import Miner

T = TypeVar("T")

_TICK = 0.2
_RECONNECT = 5.0
# Messages for a peer that does not take them, and what they hold at most.
_QUEUED = 256
_QUEUED_BYTES = 8 << 20
_NODE_BYTES = 4096
_AT_ONCE = 16


class _Link:
    """Messages for one peer."""

    def __init__(self) -> None:
        self.queue: deque[bytes] = deque()
        self.size = 0
        self.ready = asyncio.Event()
        self.lost = False
        self.task: asyncio.Task[None] | None = None

    def put(self, payload: bytes) -> None:
        """Another message; the oldest ones are lost when there are too many."""
        self.queue.append(payload)
        self.size += len(payload)
        self.ready.set()
        while len(self.queue) > _QUEUED or self.size > _QUEUED_BYTES:
            self._pop()

    def take(self) -> list[bytes]:
        """The messages of one request."""
        taken: list[bytes] = []
        size = 0
        while self.queue and (not taken or size + len(self.queue[0]) < MAX_MESSAGE_BYTES):
            taken.append(self._pop())
            size += len(taken[-1]) + 256
        return taken

    def _pop(self) -> bytes:
        payload = self.queue.popleft()
        self.size -= len(payload)
        return payload


class Driver:
    """Runs one node on an event loop.

    What changes its chain or its peers is done one thing after the other (`alone`). A block takes long to execute: in
    between, others are answered from the chain as it was before, and transactions are taken.

    allowed : addresses of the nodes that may take part
    urls : where to look for nodes at the start, and again when they are lost
    """

    def __init__(
        self, machine: Machine, wire: Wire, allowed: Iterable[bytes], urls: Iterable[str], log: Log,
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.machine = machine
        self.machine.allowed = set(allowed)
        self.urls = list(dict.fromkeys(url.rstrip("/") for url in urls))
        self.failure: LedgerError | None = None
        self.on_failure: Callable[[], None] = lambda: None
        self._wire = wire
        self._log = log
        self._clock = clock
        self._links: dict[bytes, _Link] = {}
        self._found_at: dict[bytes, str] = {}
        self._more = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._miner: Miner | None = None
        self._searching: Search | None = None
        self._turn = asyncio.Lock()

    @property
    def now(self) -> int:
        """Unix seconds."""
        return int(self._clock())

    @property
    def address(self) -> bytes:
        """By which other nodes know this one."""
        return self._wire.address

    async def __aenter__(self) -> Driver:
        self._client = Client()
        self._tasks = [asyncio.create_task(loop()) for loop in (self._ticks, self._works, self._connects)]
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = self._tasks + [link.task for link in self._links.values() if link.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.close()
        if self._miner:
            self._miner.close()
        async with self._turn:
            self.machine.tree.close()

    async def alone(self, work: Callable[[], T]) -> T:
        """Do something with the machine while nothing else changes it, and send what it says to that."""

        def watched(rest: Guard) -> T:
            tree.guard = rest
            try:
                return work()
            finally:
                tree.guard = unbounded

        tree = self.machine.tree
        async with self._turn:
            steps = in_slices(watched, unbounded)
            try:
                while True:
                    next(steps)
                    await asyncio.sleep(0)
            except StopIteration as done:
                self.send(self.machine.sent())
                return cast("T", done.value)
            finally:
                steps.close()

    # What others ask

    async def gossip(self, body: bytes) -> bytes:
        """Envelopes of a peer in, envelopes for it out. Raises WireError."""
        sender = await self._open(body)
        if sender is None:
            return pack([])
        return self._pack(sender, self._link(sender).take())

    async def _open(self, body: bytes) -> bytes | None:
        senders = set()
        for envelope in unpack(body):
            sender, payload = self._wire.open(envelope, self.machine.nodes, self._clock())
            senders.add(sender)
            heard = True
            with self._fatal():
                heard, messages = await self.alone(partial(self._hear, sender, payload))
                self.send(messages)
            if not heard:
                raise WireError(f"0x{sender.hex()} is not listened to for a while.")
        self._more.set()
        return senders.pop() if len(senders) == 1 else None

    def _hear(self, sender: bytes, payload: bytes) -> tuple[bool, list[Outgoing]]:
        """A message of a peer: whether it is listened to, and what the machine says to that."""
        said = self.machine.join(sender, self.now)
        heard = sender in self.machine.peers.connected
        return heard, said + (self.machine.receive(sender, payload, self.now) if heard else [])

    # What the node says

    def send(self, messages: Iterable[Outgoing]) -> None:
        """Put messages on their way."""
        for message in messages:
            self._link(message.peer).put(message.payload)

    def submit(self, raw: bytes) -> bytes:
        """A transaction of a user of this node; returns its hash. Raises LedgerError that names the cause."""
        hash_ = self.machine.submit(raw, self.now)
        self.send(self.machine.sent())
        return hash_

    async def connect(self, url: str) -> bytes:
        """Find out who is at a URL, connect, and look there from now on; returns its address. Raises LedgerError."""
        url = url.rstrip("/")
        address = await self._find(url)
        if url not in self.urls:
            self.urls.append(url)
        await self._meet(address, url)
        return address

    async def _meet(self, address: bytes, url: str) -> None:
        self._found_at[address] = url
        with self._fatal():
            self.send(await self.alone(lambda: self.machine.join(address, self.now)))
        self._link(address).ready.set()

    async def _find(self, url: str) -> bytes:
        """Address of the node at a URL. Raises LedgerError when there is none of this network."""
        try:
            found = strict_json.loads(await self._client.fetch("GET", f"{url}/node", _NODE_BYTES), _NODE_BYTES)
            address, genesis = (bytes.fromhex(found[name][2:]) for name in ("address", "genesis"))
        except (WireError, ValueError, LookupError, TypeError) as error:
            raise LedgerError(f"There is no node at {url}: {error or type(error).__name__}.") from None
        if genesis != self.machine.tree.genesis:
            raise LedgerError(f"The node at {url} is of a chain with another genesis.")
        if address == self.address:
            raise LedgerError(f"The node at {url} is this node.")
        if address not in self.machine.nodes:
            raise LedgerError(f"The node at {url}, {checksum_address(address)}, does not belong to this network.")
        return address

    # Loops

    async def _ticks(self) -> None:
        while True:
            with self._fatal():
                await self.alone(self._seek)
                self.send(await self.alone(lambda: self.machine.tick(self.now)))
            self._more.set()
            await asyncio.sleep(_TICK)

    async def _works(self) -> None:
        """Validate what waits, block by block, and let others have the loop between two blocks."""
        while True:
            await self._more.wait()
            self._more.clear()
            while self.machine.busy and not self.failure:
                with self._fatal():
                    self.send(await self.alone(lambda: self.machine.work(self.now)))
                await asyncio.sleep(0)
            with self._fatal():
                await self.alone(self._seek)

    async def _connects(self) -> None:
        """Look for nodes that are not heard, a few at a time, each every few seconds."""
        tried: dict[str, float] = {}
        complained: set[str] = set()

        async def attempt(url: str) -> None:
            tried[url] = time.monotonic()
            try:
                if url in self.urls:
                    await self.connect(url)
                else:
                    await self._visit(url)
                complained.discard(url)
            except LedgerError as error:
                if url not in complained:
                    self._log(str(error))
                    complained.add(url)

        while True:
            wanted = self._wanted()
            for forgotten in tried.keys() - wanted:
                del tried[forgotten]
                complained.discard(forgotten)
            due = [url for url in wanted if time.monotonic() - tried.get(url, -_RECONNECT) >= _RECONNECT]
            due.sort(key=lambda url: tried.get(url, 0.0))
            await asyncio.gather(*(attempt(url) for url in due[:_AT_ONCE]))
            await asyncio.sleep(_TICK)

    async def _visit(self, url: str) -> None:
        """Connect to the node at a URL that some node named: only that node itself may have. Raises LedgerError."""
        node = await self._find(url)
        if self.machine.locations.url(node) != url:
            raise LedgerError(f"At {url} is {checksum_address(node)}, which did not name it.")
        await self._meet(node, url)

    def _wanted(self) -> set[str]:
        """Where to look: for nodes that are not heard, and for those that spoke first and were not found yet."""
        machine = self.machine
        heard = set(machine.peers.heard(self.now))
        reached = {node for node in heard if node in self._found_at}
        places = {machine.locations.url(node) for node in machine.nodes - reached} - {""}
        return places | (set(self.urls) - {self._found_at[node] for node in reached})

    async def _posts(self, peer: bytes, link: _Link) -> None:
        while True:
            await link.ready.wait()
            link.ready.clear()
            while (url := self._found_at.get(peer)) and (payloads := link.take()):
                try:
                    await self._post(url, peer, payloads)
                    link.lost = False
                except WireError as error:
                    if not link.lost:
                        self._log(f"peer {checksum_address(peer)[:10]} at {url} does not take messages: {error}")
                    link.lost = True
                    # Perhaps it has moved: it must be found again before more is sent.
                    self._found_at.pop(peer, None)

    async def _post(self, url: str, peer: bytes, payloads: list[bytes]) -> None:
        await self._open(await self._client.fetch("POST", f"{url}/gossip", MAX_BODY_BYTES, self._pack(peer, payloads)))

    # Seals that are searched for

    def _seek(self) -> None:
        """Let the worker search for what the machine wants now, and take what it has found."""
        if self._miner and (found := self._miner.found()):
            self.machine.found(*found, self.now)
        if self.machine.search is self._searching:
            return
        self._searching = self.machine.search
        if self._searching is None:
            if self._miner:
                self._miner.stop()
            return
        if self._miner is None:
            from commonwatt.ledger.network.consensus.miner import Miner

            self._miner = Miner()
        draft = self._searching.draft
        self._miner.search(draft.unsealed, draft.turn.claim)

    # Inside

    @contextmanager
    def _fatal(self) -> Iterator[None]:
        """A node stops when its file cannot be read or written, and rather than go on after a fault of its own."""
        try:
            yield
        except Exception as error:
            if not isinstance(error, LedgerError):
                traceback.print_exc()
                error = LedgerError(f"The node met a fault of its own and stops: {error!r}.")
            self.failure = self.failure or error
            self.on_failure()

    def _link(self, peer: bytes) -> _Link:
        link = self._links.get(peer)
        if link is None:
            link = self._links[peer] = _Link()
            link.task = asyncio.create_task(self._posts(peer, link))
        return link

    def _pack(self, peer: bytes, payloads: list[bytes]) -> bytes:
        return pack([self._wire.wrap(peer, payload, self._clock()) for payload in payloads])
