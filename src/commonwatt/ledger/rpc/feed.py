"""What is new on a chain since somebody last looked: filters that are polled, subscriptions that are pushed.

Nothing is stored for a reader but how far it has read, so that a slow one costs no memory. What is new is given block
by block and only as far as somebody takes it, so that whoever looks can stop, and go on from there the next time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from eth.abc import BlockHeaderAPI
from eth_bloom.bloom import BloomFilter

from commonwatt.ledger.chain.reader import Reader
from commonwatt.ledger.rpc.format import header_json, logs_json
from commonwatt.ledger.rpc.values import (
    FAILED,
    INVALID_PARAMS,
    LIMIT,
    NOT_FOUND,
    NOTHING_FINAL,
    RpcError,
    Where,
    address,
    block,
    hash32,
    hexed,
    listed,
    optional,
    table,
)

_ARRIVALS = 4096
_ALTERNATIVES = 1000
_TOPICS = 4


@dataclass(frozen=True)
class LogQuery:
    """Which events are wanted.

    addresses : of these contracts; empty: of any
    topics : by position, one of these; empty: any
    first, last : the blocks; None: not said
    hash : the block, instead
    """

    addresses: frozenset[bytes] = frozenset()
    topics: tuple[frozenset[bytes], ...] = ()
    first: Where | None = None
    last: Where | None = None
    hash: bytes | None = None
    blooms: tuple[tuple[int, ...], ...] = field(init=False)
    """Bits of the bloom filter, by alternatives that one must be of."""

    def __post_init__(self) -> None:
        wanted = [group for group in (self.addresses, *self.topics) if group]
        object.__setattr__(self, "blooms", tuple(tuple(map(_bloom, group)) for group in wanted))

    def may_be_in(self, bloom: int) -> bool:
        """False when a block's bloom filter excludes it."""
        return bool(bloom) and all(any(bloom & bits == bits for bits in group) for group in self.blooms)

    def matches(self, log: Any) -> bool:
        """Whether an event of the chain is wanted."""
        if len(log.topics) < len(self.topics) or (self.addresses and log.address not in self.addresses):
            return False
        pairs = zip(self.topics, log.topics, strict=False)
        return all(not group or topic.to_bytes(32, "big") in group for group, topic in pairs)

    def found(self, reader: Reader, header: BlockHeaderAPI, *, removed: bool = False) -> Iterator[dict[str, Any]]:
        """The wanted events of a block."""
        if self.may_be_in(header.bloom):
            yield from logs_json(reader, header, self.matches, removed=removed)


def log_query(value: object) -> LogQuery:
    """Parse a filter. Raises ValueError, as the parsers of `rpc_values`."""
    fields = table(value, {"address", "topics", "fromBlock", "toBlock", "blockHash"})
    if fields.get("blockHash") is not None and (fields.get("fromBlock") or fields.get("toBlock")):
        raise ValueError('has "blockHash" and also "fromBlock" or "toBlock"')
    return LogQuery(
        addresses=optional(fields, "address", lambda given: _alternatives(given, address), frozenset()),
        topics=optional(fields, "topics", _topics, ()),
        first=optional(fields, "fromBlock", _end, None),
        last=optional(fields, "toBlock", _end, None),
        hash=optional(fields, "blockHash", hash32, None),
    )


def _end(value: object) -> Where:
    """A block that a range begins or ends with. Raises RpcError for one that no block of this chain is."""
    where = block(value)
    if where.final:
        raise RpcError(NOT_FOUND, NOTHING_FINAL)
    return where


def _topics(value: object) -> tuple[frozenset[bytes], ...]:
    return tuple(frozenset() if given is None else _alternatives(given, hash32) for given in listed(value, _TOPICS))


def _alternatives(value: object, parse: Callable[[object], bytes]) -> frozenset[bytes]:
    if not isinstance(value, list):
        return frozenset([parse(value)])
    return frozenset(map(parse, listed(value, _ALTERNATIVES)))


def _bloom(item: bytes) -> int:
    return int(BloomFilter.from_iterable([item]))


def searched(query: LogQuery, reader: Reader, most: int, *, clipped: bool) -> Iterator[BlockHeaderAPI | None]:
    """Blocks that may hold wanted events, of those that a query names; None for each that does not. Raises RpcError.

    most : how many the query may name; it names the head when it names none
    clipped : whether the range may go beyond the head, as that of somebody who waits for blocks does
    """
    if query.hash is not None:
        yield reader.header(query.hash)
        return
    head = reader.header().block_number
    first, last = (_number(where, head) for where in (query.first, query.last))
    if first > last:
        raise RpcError(INVALID_PARAMS, f"The first block, {first}, is after the last, {last}.")
    if last > head and not clipped:
        raise RpcError(INVALID_PARAMS, f"block range extends beyond current head block: the head is {head}.")
    last = min(last, head)
    if last - first >= most:
        raise RpcError(LIMIT, f"These are {last - first + 1} blocks; ask for {most} at a time.")
    for number, bloom in reader.blooms(first, last):
        yield reader.header(number) if query.may_be_in(bloom) else None


def _number(where: Where | None, head: int) -> int:
    if where is None or where.at is None:
        return head
    if isinstance(where.at, bytes):
        raise RpcError(NOT_FOUND, 'A block of a range is a number; name one block by "blockHash".')
    return where.at


class Heads:
    """How far somebody has followed the chain, across its reorganisations."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._seen = reader.header().hash

    def advance(self) -> Iterator[tuple[BlockHeaderAPI, bool]]:
        """Blocks that left the chain (true), newest first, then those that joined it; each is seen once it is given."""
        reader = self._reader
        while self._seen != reader.header().hash:
            seen = reader.header(self._seen)
            left = not reader.canonical(seen)
            following = seen if left else reader.header(seen.block_number + 1)
            self._seen = seen.parent_hash if left else following.hash
            yield following, left


class Arrivals:
    """Hashes of transactions in the order in which they were first seen waiting; the oldest are forgotten."""

    def __init__(self) -> None:
        self._last: deque[bytes] = deque(maxlen=_ARRIVALS)
        self._known: set[bytes] = set()
        self.count = 0

    def note(self, hashes: Iterable[bytes]) -> None:
        """Add those that are new."""
        for hash_ in hashes:
            if hash_ not in self._known:
                if len(self._last) == _ARRIVALS:
                    self._known.discard(self._last[0])
                self._last.append(hash_)
                self._known.add(hash_)
                self.count += 1

    def since(self, count: int) -> list[bytes]:
        """Those that came after the first `count`, as far as they are remembered."""
        fresh = min(self.count - count, len(self._last))
        return [self._last[index] for index in range(len(self._last) - fresh, len(self._last))]


class Watch(Protocol):
    """Somebody's place in what goes on."""

    def news(self) -> Iterator[Iterable[Any]]:
        """What happened since the last look, block by block; what is not taken is new the next time."""


class BlockWatch:
    """New blocks: their hashes, or their headers."""

    def __init__(self, reader: Reader, write: Callable[[BlockHeaderAPI], Any]) -> None:
        self._heads = Heads(reader)
        self._write = write

    def news(self) -> Iterator[Iterable[Any]]:
        """Of the blocks that joined the chain."""
        for header, left in self._heads.advance():
            yield () if left else (self._write(header),)


class LogWatch:
    """New events that a query wants; those of a block that left the chain come again, as removed."""

    def __init__(self, reader: Reader, query: LogQuery) -> None:
        self.query = query
        self._reader = reader
        self._heads = Heads(reader)

    def news(self) -> Iterator[Iterable[Any]]:
        """Of the blocks that left and joined the chain."""
        for header, left in self._heads.advance():
            inside = _within(header.block_number, self.query)
            yield self.query.found(self._reader, header, removed=left) if inside else ()


class PendingWatch:
    """Hashes of transactions that came to wait."""

    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        self._seen = arrivals.count

    def news(self) -> Iterator[Iterable[Any]]:
        """Since the last look."""
        fresh = self._arrivals.since(self._seen)
        self._seen = self._arrivals.count
        yield [hexed(hash_) for hash_ in fresh]


def subscription(kind: str, query: LogQuery, reader: Reader, arrivals: Arrivals) -> Watch:
    """The watch of a subscription. Raises ValueError for an unknown kind."""
    if kind == "newHeads":
        return BlockWatch(reader, header_json)
    if kind == "logs":
        return LogWatch(reader, query)
    if kind == "newPendingTransactions":
        return PendingWatch(arrivals)
    raise ValueError("is not a subscription: newHeads, logs or newPendingTransactions")


@dataclass
class _Filter:
    watch: Watch
    used: float


class Filters:
    """What somebody watches: a limited number, each forgotten when nobody asks for it.

    most : how many there may be
    seconds : how long one is kept without a question
    clock : any seconds that go forward
    name : makes ids, quantities that nobody can guess
    yields : whether the one that was not asked for longest gives way to one more
    """

    def __init__(
        self, most: int, seconds: float, clock: Callable[[], float], name: Callable[[], str], *, yields: bool = False
    ) -> None:
        self._most, self._seconds, self._clock, self._name, self._yields = most, seconds, clock, name, yields
        self._filters: dict[str, _Filter] = {}

    def add(self, watch: Watch) -> str:
        """The new filter's id. Raises RpcError when there are too many."""
        now = self._clock()
        self._filters = {name: each for name, each in self._filters.items() if each.used > now - self._seconds}
        if len(self._filters) >= self._most:
            if not self._yields:
                raise RpcError(LIMIT, f"There are {self._most} subscriptions already; end one.")
            del self._filters[min(self._filters, key=lambda name: self._filters[name].used)]
        name = self._name()
        self._filters[name] = _Filter(watch, now)
        return name

    def get(self, name: str) -> Watch:
        """A filter by its id. Raises RpcError when it is not there."""
        found = self._filters.get(name)
        if found is None or found.used <= self._clock() - self._seconds:
            raise RpcError(FAILED, "filter not found")
        found.used = self._clock()
        return found.watch

    def items(self) -> list[tuple[str, Watch]]:
        """All of them, by their ids."""
        return [(name, each.watch) for name, each in self._filters.items()]

    def remove(self, name: str) -> bool:
        """Forget a filter; False when it is not there."""
        return self._filters.pop(name, None) is not None


def _within(number: int, query: LogQuery) -> bool:
    first, last = (where.at if where else None for where in (query.first, query.last))
    return not (isinstance(first, int) and number < first) and not (isinstance(last, int) and number > last)
