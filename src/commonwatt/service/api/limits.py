"""How much of the interface one may use: how often, by a token bucket, and how long a body may be."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from commonwatt.service.api.problems import answer

_MOST_KEPT: Final = 10_000
"""Of whom it is kept how often they asked; the one who has not asked for longest is forgotten."""
_ROUNDING: Final = 1e-6
"""So much of a request may be missing: whoever waited exactly as long as was said is let in."""
_UNIT: Final = 20_000
"""So many bytes cost as much as another request."""
_ORDINARY: Final = 16_384
"""The longest body of what names no other [bytes]."""


@dataclass(frozen=True)
class Allowance:
    """rate : requests in a second, in the long run; burst : how many may come at once"""

    rate: float
    burst: int


class Buckets:
    """Counts how often each asks. Times are seconds that only go forward."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._kept: dict[Hashable, tuple[float, float]] = {}

    def take(self, who: Hashable, now: float, cost: int = 1) -> int:
        """0 when this one may ask, at this cost; else the seconds to wait, and nothing is taken."""
        rate, burst = self._allowance.rate, self._allowance.burst
        left, since = self._kept.pop(who, (float(burst), now))
        left, cost = min(burst, left + (now - since) * rate), min(cost, burst)
        enough = left >= cost - _ROUNDING
        self._kept[who] = (max(left - cost, 0.0) if enough else left), now
        if len(self._kept) > _MOST_KEPT:
            self._kept.pop(next(iter(self._kept)))
        return 0 if enough else max(1, math.ceil((cost - left) / rate))


class Limits:
    """Middleware that answers who asks too often (429) or sends too much (413), before anybody else looks at it.

    longest : of a path's bodies [bytes]; others are ordinary ones
    """

    def __init__(
        self, app: ASGIApp, allowance: Allowance, longest: Mapping[str, int], ticks: Callable[[], float]
    ) -> None:
        self._app, self._longest, self._ticks = app, longest, ticks
        self._buckets = Buckets(allowance)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._longest.get(scope["path"], _ORDINARY)
        length = _length(Headers(scope=scope), most)
        wait = self._buckets.take(address(scope), self._ticks(), 1 + min(length, most) // _UNIT)
        if wait:
            await answer(too_often(wait))(scope, receive, send)
        elif length > most:
            await answer(_too_long(most))(scope, receive, send)
        else:
            await self._app(scope, _counted(receive, most), send)


def _length(headers: Headers, most: int) -> int:
    """What a request says of its body's length; as much as it may have where it comes in pieces [bytes]."""
    told = headers.get("content-length", "")
    return int(told[:20]) if told.isdecimal() else most if "transfer-encoding" in headers else 0


def address(scope: Scope) -> Hashable:
    """Whose request it is. A network of IPv6 is one, as each in it has as many addresses as it likes."""
    host = (scope.get("client") or ("",))[0]
    try:
        found = ip_address(host)
    except ValueError:  # a socket of the machine's own, or a test
        return host
    if isinstance(found, IPv6Address):
        return found.ipv4_mapped or int(found) >> 64
    return found


def _counted(receive: Receive, most: int) -> Receive:
    """What receives a body, as far as it is not too long."""
    size = 0

    async def counted() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > most:
            raise _too_long(most)
        return message

    return counted


def too_often(wait: int) -> HTTPException:
    """What to tell whoever has to wait [s]."""
    return HTTPException(429, f"You ask too often; ask again in {wait} s.", {"Retry-After": str(wait)})


def _too_long(most: int) -> HTTPException:
    return HTTPException(413, f"A body here has at most {most} bytes.")
