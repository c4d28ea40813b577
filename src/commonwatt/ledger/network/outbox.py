"""Messages on their way out of a machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from commonwatt.ledger.network.locations import Location
from commonwatt.ledger.network.messages import Hello, Message, Transactions, encode

BATCH_BYTES = 256 << 10
"""Transactions and blocks are sent in messages of about this length."""
_BATCH = 512
"""The most transactions of a message that is sent."""


@dataclass(frozen=True)
class Outgoing:
    """A message for a peer."""

    peer: bytes
    payload: bytes


class Outbox:
    """What a machine says until its driver takes it away."""

    def __init__(self) -> None:
        self._out: list[Outgoing] = []

    def send(self, message: Message, peers: Iterable[bytes]) -> None:
        """A message for each of these peers."""
        payload = encode(message)
        self._out += [Outgoing(peer, payload) for peer in peers]

    def share(
        self, raws: Sequence[bytes], peers: Sequence[bytes], bears: Callable[[bytes, Message, int], bool]
    ) -> None:
        """Raw transactions for each of these peers, as far as it `bears` a message of so many bytes."""
        for batch in _batches(raws):
            message = Transactions(batch)
            payload = encode(message)
            self._out += [Outgoing(peer, payload) for peer in peers if bears(peer, message, len(payload))]

    def tell(self, locations: tuple[Location, ...], peers: Iterable[bytes]) -> None:
        """Where nodes can be reached, if there is anything to say of that."""
        if locations:
            self.send(Hello(locations), peers)

    def take(self) -> list[Outgoing]:
        """All that is to be sent now."""
        taken, self._out = self._out, []
        return taken


def _batches(raws: Sequence[bytes]) -> Iterator[tuple[bytes, ...]]:
    batch: list[bytes] = []
    size = 0
    for raw in raws:
        if batch and (size + len(raw) > BATCH_BYTES or len(batch) == _BATCH):
            yield tuple(batch)
            batch, size = [], 0
        batch.append(raw)
        size += len(raw)
    if batch:
        yield tuple(batch)
