"""Programs on the same machine, and nobody else."""

from __future__ import annotations

from typing import Final

from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

HOST: Final = "127.0.0.1"
"""Where programs on the same machine ask."""
_LOOPBACK = {HOST, "::1"}
_POLICY = 1008


def is_local(request: HTTPConnection) -> bool:
    """Whether a request comes from this machine."""
    return request.client is not None and request.client.host in _LOOPBACK


class LocalOnly:
    """An application that answers programs on this machine only."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or is_local(HTTPConnection(scope)):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocketClose(_POLICY)(scope, receive, send)
        else:
            await PlainTextResponse("Only programs on this machine are answered.", 403)(scope, receive, send)
