"""Where a node is asked, and how its application is served."""

from __future__ import annotations

import socket

import uvicorn
from starlette.applications import Starlette

from commonwatt.errors import LedgerError
from commonwatt.ledger.network.connections import Connection
from commonwatt.ledger.rpc.serving import WebSocketProtocol

_WS_BYTES = 1 << 20
# Those that are taken before others make room for them; with these files a process stays below its usual 1 024.
_BACKLOG = 512


def listening(host: str, port: int) -> socket.socket:
    """Where a node is asked; with port 0 the system chooses one. Raises LedgerError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        bound = socket.create_server((host, port), family=family)
    except OSError as error:
        raise LedgerError(f"The node cannot listen at {host}:{port}: {error.strerror}.") from None
    # With the protocol's number asyncio sends at once; without, an answer may wait 40 ms for an acknowledgement.
    return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=bound.detach())


def config(app: Starlette) -> uvicorn.Config:
    """How a node's application is served: so many connections, of so much, for so long. It runs, or nothing does."""
    return uvicorn.Config(
        app, log_config=None, log_level="error", access_log=False, lifespan="on", http=Connection, backlog=_BACKLOG,
        timeout_graceful_shutdown=3, server_header=False,
        ws=WebSocketProtocol, ws_max_size=_WS_BYTES, ws_per_message_deflate=False,
    )  # fmt: skip
