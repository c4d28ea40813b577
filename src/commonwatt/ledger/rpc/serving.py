"""uvicorn's protocol of WebSockets, which lets go of those who do not read."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

from commonwatt.ledger.rpc.patience import Patient


class WebSocketProtocol(Patient, WebSocketsSansIOProtocol):
    """Ends a connection whose buffer has been full for too long."""

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
