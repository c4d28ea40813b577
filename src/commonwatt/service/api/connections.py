"""uvicorn's protocol of HTTP, which lets go of those who do not send, or do not read, such as pages that sleep.

And what comes before it where connections are encrypted: asyncio's own servers hold any number of those that never are.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter

from commonwatt.ledger.network.connections import Connection

MOST_HANDSHAKES = 128
"""Connections that are held at a time whose handshake is not over."""
HANDSHAKE_SECONDS = 10.0
"""How long one may take [s]."""


class HttpProtocol(Connection):
    """One client's, as at a node; there is room for all pages that may listen, and for others beside them.

    With its files the process stays below its usual 1 024.
    """

    most = 768


class Handshake(asyncio.Protocol):
    """A connection until it is encrypted; from then on it is that of `protocol`.

    When the house is full, the one that has waited longest makes room, of the address that holds the most.

    others : all that are at it, the oldest first
    """

    def __init__(self, protocol: HttpProtocol, tls: ssl.SSLContext, others: list[Handshake]) -> None:
        self._protocol, self._tls, self._others = protocol, tls, others
        self._early, self._lost = b"", False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client comes: somebody else goes when there is no room."""
        self.transport, self.host = transport, str((transport.get_extra_info("peername") or ("",))[0])
        transport.pause_reading()  # until the handshake reads
        self._others.append(self)
        self._task = asyncio.get_running_loop().create_task(self._shake_hands())
        if len(self._others) > MOST_HANDSHAKES:
            held = Counter(each.host for each in self._others)
            most = max(held.values())
            next(each for each in self._others if held[each.host] == most).let_go()

    def data_received(self, data: bytes) -> None:
        """The client's first words, which may come with the last ones of its handshake."""
        self._early += data

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The client is gone."""
        self._lost = True

    def let_go(self) -> None:
        """End it without a word."""
        self._others.remove(self)
        self.transport.abort()

    async def _shake_hands(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            encrypted = await loop.start_tls(
                self.transport, self, self._tls, server_side=True, ssl_handshake_timeout=HANDSHAKE_SECONDS
            )
        except OSError:  # no handshake, or none in time
            return
        finally:
            if self in self._others:
                self._others.remove(self)
        if self._lost or not isinstance(encrypted, asyncio.Transport):
            return
        encrypted.set_protocol(self._protocol)
        self._protocol.connection_made(encrypted)
        if self._early:
            self._protocol.data_received(self._early)
