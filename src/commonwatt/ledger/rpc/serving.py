"""uvicorn's protocol of WebSockets, which lets go of those who do not read.

A server writes into a buffer that its other side empties. Whoever asks for much and reads nothing would have the node
hold it for ever: asyncio keeps such a connection even after it was closed.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

PATIENCE = 30.0
"""Seconds in which the other side must have taken what it asked for, but for some kilobytes."""


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """Ends a connection whose buffer has been full for too long."""

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
