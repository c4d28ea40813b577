"""uvicorn's protocols, which let go of those who do not read.

A server writes into a buffer that its other side empties. Whoever asks for much and reads nothing would have the node
hold it for ever: asyncio keeps such a connection even after it was closed.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

PATIENCE = 30.0
"""Seconds in which the other side must have taken what it asked for, but for some kilobytes."""


class _Reading:
    """Ends a connection whose buffer has been full for too long."""

    transport: Any
    _end: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        """The buffer is full."""
        super().pause_writing()  # type: ignore[misc]
        self._end = asyncio.get_running_loop().call_later(PATIENCE, self.transport.abort)

    def resume_writing(self) -> None:
        """The other side has read."""
        self._forget()
        super().resume_writing()  # type: ignore[misc]

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self._forget()
        super().connection_lost(exc)  # type: ignore[misc]

    def _forget(self) -> None:
        if self._end is not None:
            self._end.cancel()
            self._end = None


class HttpProtocol(_Reading, H11Protocol):
    """HTTP."""


class WebSocketProtocol(_Reading, WebSocketsSansIOProtocol):
    """WebSocket."""

    async def send(self, message: Any) -> None:
        """Send, and come back once the other side has taken it, so that whoever sends knows what is still held."""
        await super().send(message)
        await self.writable.wait()

    def shutdown(self) -> None:
        """The server ends; a connection that is closing already only goes."""
        try:
            super().shutdown()
        except InvalidState:
            self.transport.abort()
