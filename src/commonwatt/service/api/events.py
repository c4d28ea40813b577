"""Events as they happen, over a connection that stays open: server-sent events, as browsers read them."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Header, HTTPException
from fastapi.responses import Response, StreamingResponse
from starlette.types import Send

from commonwatt.service.api.callers import Caller, anyone
from commonwatt.service.api.problems import responses
from commonwatt.service.feed import Listener
from commonwatt.service.running import Running

HEARTBEAT: Final = 15.0
"""After so long without an event something is sent all the same [s], which shows both ends that the other is there."""
_LONGEST: Final = 300.0
"""How long a stream lasts [s]. Browsers then begin another where it ended, and are asked anew who they are."""
_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_ALIVE: Final = b":\n\n"
_UNKNOWN_TOO: Final[dict[str, Any]] = {"security": [{}]}
"""Who has not signed in is answered as well."""
_DESCRIBED: Final = {200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}, **responses(401, 503)}


def add(app: FastAPI, running: Running) -> None:
    """Add the route."""

    @app.get(
        "/v1/events", tags=["market"], response_class=Response, responses=_DESCRIBED, openapi_extra=_UNKNOWN_TOO,
        summary="What happens, as it happens.",
    )  # fmt: skip
    async def events(
        caller: Annotated[Caller | None, Depends(anyone)],
        last_event_id: Annotated[str, Header(max_length=60, description="What was heard last.")] = "",
    ) -> Response:
        """`hello` comes first, with `resumed`: whether all that was missed since `Last-Event-ID` follows; if not, ask
        anew for what is shown. `slots` tells everybody, at most once a second, of slots that have changed, each as
        `/v1/slots` has it. A member hears at once of its own `order` that was accepted, of what it agreed to at a
        `gate`, and of each `slot` and `correction` that is settled. A stream ends after five minutes: begin another.
        """
        account, member = (caller.account, caller.member) if caller else (b"", None)
        if why := running.feed.full(account):
            raise HTTPException(503, why)
        return _Stream(running, Listener(account, member), last_event_id)


class _Stream(StreamingResponse):
    """Sends what a listener hears. Whoever does not read is let go by `connections.HttpProtocol`."""

    media_type = "text/event-stream"

    def __init__(self, running: Running, listener: Listener, last: str) -> None:
        super().__init__((), headers=_HEADERS)
        self._running, self._listener, self._last = running, listener, last

    async def stream_response(self, send: Send) -> None:
        """See `StreamingResponse`."""
        feed, listener = self._running.feed, self._listener
        first = feed.join(listener, self._last, self._running.now())
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send(_body(b"".join(first)))
            await self._follow(send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            feed.leave(listener)

    async def _follow(self, send: Send) -> None:
        """Send what the listener hears, until it is let go or has listened for long enough."""
        loop = asyncio.get_running_loop()
        end = loop.time() + _LONGEST
        while (left := end - loop.time()) > 0:
            try:
                async with asyncio.timeout(min(HEARTBEAT, left)):
                    text = await self._listener.next()
            except TimeoutError:
                text = _ALIVE
            if self._listener.ended:
                return
            await send(_body(text))


def _body(text: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": text, "more_body": True}
