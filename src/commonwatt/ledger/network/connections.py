"""Connections of a node's HTTP side: whoever does not send, or does not read, is let go.

A connection waits for its client while a request is not here as a whole, and while an answer is not read. Waiting is
bounded; and when the house is full, the one that has waited longest makes room, of the address that holds the most.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from h11 import Request
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST = 256
"""Connections that are held at a time."""
PATIENCE = 20.0
"""Seconds in which a request arrives as a whole, or `LEAST` of an answer is read."""
LEAST = 64 << 10
"""Bytes."""
MOST_UNREAD = 256 << 20
"""Bytes of answers that wait to be read, of all connections."""


class Connection(H11Protocol):
    """One client's."""

    most = MOST
    """Connections of the server that are held at a time."""
    since = 0.0
    """When it began to wait for its client, on the loop's clock."""
    _unread: int | None = None
    """Bytes that the client had not read at `since`; None when it reads as fast as it is answered."""
    _timer: asyncio.TimerHandle

    @property
    def host(self) -> str:
        """The client's address."""
        return self.client[0] if self.client else ""

    @property
    def waits(self) -> bool:
        """Whether it is the client's turn."""
        cycle = self.cycle
        return self._unread is not None or cycle is None or cycle.response_complete or cycle.more_body

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client comes: somebody else goes when there is no room."""
        super().connection_made(transport)
        self._wait()
        self._timer = self.loop.call_at(self.since + PATIENCE, self._look)
        if len(self.connections) > self.most:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._timer.cancel()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: Request) -> None:
        """From here on another protocol has the connection."""
        self._timer.cancel()
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        """An answer is written; the next request is awaited."""
        if self._unread is None:
            self._wait()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """The client reads more slowly than it is answered."""
        super().pause_writing()
        self._unread = self.transport.get_write_buffer_size()
        self._wait()
        self._free_memory()

    def resume_writing(self) -> None:
        """The client has read nearly everything."""
        super().resume_writing()
        self._unread = None
        self._wait()

    def _wait(self) -> None:
        self.since = self.loop.time()

    def _look(self) -> None:
        """Let go of a client that has kept the node waiting."""
        now = self.loop.time()
        if self._unread is not None and (size := self.transport.get_write_buffer_size()) <= self._unread - LEAST:
            self._unread, self.since = size, now
        if self.waits and self.since + PATIENCE <= now:
            self._let_go()
        else:
            self._timer = self.loop.call_at((self.since if self.waits else now) + PATIENCE, self._look)

    def _make_room(self) -> None:
        own = self._all()
        held = Counter(each.host for each in own)
        idle = [each for each in own if each.waits and each is not self]
        min(idle, key=lambda each: (-held[each.host], each.since), default=self)._let_go()

    def _free_memory(self) -> None:
        """Let go of those who do not read what they asked for, of the address that holds the most, when it is much."""
        unread = {each: each.transport.get_write_buffer_size() for each in self._all() if each._unread is not None}
        held: Counter[str] = Counter()
        for each, size in unread.items():
            held[each.host] += size
        while held.total() > MOST_UNREAD:
            late = min(unread, key=lambda each: (-held[each.host], each.since))
            held[late.host] -= unread.pop(late)
            late._let_go()

    def _all(self) -> list[Connection]:
        return [each for each in self.connections if isinstance(each, Connection)]

    def _let_go(self) -> None:
        self.connections.discard(self)
        self.transport.abort()
