"""What a node fetches from others over HTTP: so many bytes at most, as they stand, and no longer than they come."""

from __future__ import annotations

import asyncio

import httpx

from commonwatt.ledger.certificates import authorities
from commonwatt.ledger.network.wire import WireError

CONNECT, TIMEOUT = 10.0, 60.0
"""Seconds until a node that is there takes a connection, and for an exchange, since it may execute a full block first;
one more for each `SLOWEST` bytes."""
SLOWEST = 32 << 10


class Client:
    """Connections to other nodes."""

    def __init__(self) -> None:
        timeout = httpx.Timeout(None, connect=CONNECT)
        self._http = httpx.AsyncClient(timeout=timeout, trust_env=False, verify=authorities())

    async def fetch(self, method: str, url: str, most: int, content: bytes = b"") -> bytes:
        """The body of the answer, `most` bytes at most. Raises WireError when there is no good one."""
        try:
            async with asyncio.timeout(TIMEOUT + len(content) / SLOWEST) as limit:
                return await self._exchange(method, url, most, content, limit)
        except TimeoutError:
            raise WireError("no answer came in time") from None
        except WireError:
            raise
        except Exception as error:  # httpx raises many kinds for addresses that are none
            raise WireError(str(error) or type(error).__name__) from None

    async def close(self) -> None:
        """Let go of all connections."""
        await self._http.aclose()

    async def _exchange(self, method: str, url: str, most: int, content: bytes, limit: asyncio.Timeout) -> bytes:
        body, deadline = bytearray(), limit.when() or 0.0
        headers = {"accept-encoding": "identity"}
        async with self._http.stream(method, url, content=content, headers=headers) as answer:
            # A few packed bytes can be gigabytes.
            if answer.headers.get("content-encoding", "identity").lower() != "identity":
                raise WireError("its answer is packed, which nobody asked for")
            async for part in answer.aiter_raw():
                body += part
                if len(body) > most:
                    raise WireError(f"its answer is longer than {most} bytes")
                limit.reschedule(deadline + len(body) / SLOWEST)
        if answer.status_code != httpx.codes.OK:
            raise WireError(body[:200].decode(errors="replace") or f"its answer has the status {answer.status_code}")
        return bytes(body)
