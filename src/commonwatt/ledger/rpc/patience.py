"""Connections of a server whose other side does not read are let go.

A server writes into a buffer that its other side empties. Whoever asks for much and reads nothing would have the server
hold it for ever: asyncio keeps such a connection even after it was closed.
"""

from __future__ import annotations

import asyncio

PATIENCE = 30.0
"""Seconds in which the other side must have taken what it asked for, but for some kilobytes."""


class Patient(asyncio.Protocol):
    """Before a protocol of uvicorn's: ends a connection whose buffer has been full for too long."""

    transport: asyncio.Transport
    _end: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        """The buffer is full."""
        super().pause_writing()
        self._end = asyncio.get_running_loop().call_later(PATIENCE, self.transport.abort)

    def resume_writing(self) -> None:
        """The other side has read."""
        self._forget()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self._forget()
        super().connection_lost(exc)

    def _forget(self) -> None:
        if self._end is not None:
            self._end.cancel()
            self._end = None
