"""Requests to a node over HTTP: signed where it wants that, with an answer that ends, and patience in a restart."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import closing
from hmac import compare_digest
from typing import Final

from commonwatt.ledger.certificates import needed
from commonwatt.ledger.proving import CHALLENGE, PROOF, proof
from commonwatt.ledger.readers import HEADER, signed_header
from commonwatt.proof.keys import Key

_LONGEST: Final = 1 << 26
"""Bytes of an answer."""
_SLOWEST: Final = 10
"""Time-outs that an answer may take from its first byte to its last."""
_MESSAGE: Final = 300
"""Bytes of a node's reason for not answering that are told."""
_REFUSED: Final = 401
"""The status of an answer to somebody whom a node does not answer."""
_PAUSE: Final = 0.1
"""Seconds between two attempts to reach a node that restarts."""


class Asking:
    """The connection with a node.

    timeout : of one request [s]
    reader : signs each request, for a node that answers those only whom it knows
    token : opens an operator's door
    secret : what one's own node proves its answers with; "" = any answer is believed
    restarts : how long a node that does not answer is tried again, as one's own that is started anew [s]. A request may
        reach it twice then
    """

    def __init__(
        self,
        url: str,
        timeout: float,
        reader: Key | None,
        token: str,
        secret: str,
        restarts: float,
        sleep: Callable[[float], None],
    ) -> None:
        import httpx

        self.url, self._timeout, self._reader, self._restarts, self._sleep = url, timeout, reader, restarts, sleep
        self._secret, self._closed = secret, False
        # Not compressed, so that what is read is as long as what arrives.
        headers = {"accept-encoding": "identity"} | ({"authorization": f"Bearer {token}"} if token else {})
        self._http = httpx.Client(timeout=timeout, headers=headers, verify=needed(url))

    def close(self) -> None:
        """Close the connection; whoever asks after that, also again, is refused."""
        self._closed = True
        self._http.close()

    def post(self, body: object) -> bytes:
        """The bytes of the answer. Raises httpx.HTTPError, and ValueError for one that is too long, late or false."""
        import httpx

        end = time.monotonic() + self._restarts
        while not self._closed:
            try:
                return self._post(body)
            except (httpx.NetworkError, httpx.RemoteProtocolError):
                if time.monotonic() >= end:
                    raise
                self._sleep(_PAUSE)
        raise ValueError("the connection was closed")

    def _post(self, body: object) -> bytes:
        found, end = bytearray(), time.monotonic() + _SLOWEST * self._timeout
        request = self._http.build_request("POST", self.url, json=body)
        if self._reader:
            host = request.headers["host"]
            request.headers[HEADER] = signed_header(self._reader, host, request.content, int(time.time()))
        challenge = secrets.token_hex(16) if self._secret else ""
        if challenge:
            request.headers[CHALLENGE] = challenge
        with closing(self._http.send(request, stream=True)) as response:
            for part in response.iter_raw():
                found += part
                if len(found) > _LONGEST or time.monotonic() > end:
                    raise ValueError("its answer does not end")
        if response.status_code == _REFUSED:
            raise ValueError(found[:_MESSAGE].decode(errors="replace"))
        answer, proved = bytes(found), response.headers.get(PROOF, "")
        if challenge and not compare_digest(proof(self._secret, challenge, answer), proved):
            raise ValueError("another program answers in its place, which has to end")
        return answer
