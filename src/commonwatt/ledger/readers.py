"""Who may read: a header of a request, signed with the reader's key.

The signature is the one that any wallet gives (EIP-191, `personal_sign`), over a text that names the node, the time
and the body, so that a signature that was overheard is of no use for another question, node or hour, nor twice.
"""

from __future__ import annotations

from collections.abc import Callable

from commonwatt.errors import LedgerError, SignatureError
from commonwatt.proof.keccak import keccak
from commonwatt.proof.keys import Key, checksum_address, recover

HEADER = "x-commonwatt-reader"
_WINDOW = 60
"""Seconds that a signature's time may differ from the node's."""


class NotAReader(LedgerError):
    """The request is not signed by somebody who may read."""


def signed_header(key: Key, host: str, body: bytes, now: int) -> str:
    """The header's value: time and signature.

    host : the request's Host header
    body : the request's body; empty for a WebSocket, whose handshake is signed
    """
    return f"{now} 0x{key.sign_digest(_digest(host, body, now)).hex()}"


class Readers:
    """Checks that a request comes from an address of which `may` holds now, and comes once."""

    def __init__(self, may: Callable[[bytes], bool], clock: Callable[[], float]) -> None:
        self.may = may
        self._clock = clock
        self._seen: dict[bytes, int] = {}
        """Signatures of the last minutes, with their times. Only those of readers come here, so they are few."""

    def check(self, header: str | None, host: str, body: bytes) -> bytes:
        """Address of the reader. Raises NotAReader."""
        if not header:
            raise NotAReader(f"This node answers known readers only; sign the request in the header {HEADER}.")
        time, signature = _parsed(header)
        now = int(self._clock())
        if abs(now - time) > _WINDOW:
            raise NotAReader(f"The signature's time {time} is not within {_WINDOW} seconds of the node's, {now}.")
        try:
            reader = recover(_digest(host, body, time), signature)
        except SignatureError as error:
            raise NotAReader(str(error)) from None
        if not self.may(reader):
            raise NotAReader(
                f"{checksum_address(reader)} is not a reader of this node, or the signature is for other data."
            )
        self._seen = {seen: at for seen, at in self._seen.items() if at >= now - _WINDOW}
        if signature in self._seen:
            raise NotAReader("This signature was used before.")
        self._seen[signature] = time
        return reader


def _parsed(header: str) -> tuple[int, bytes]:
    time, _, signature = header.partition(" ")
    try:
        if not (time.isascii() and time.isdigit() and len(time) <= 12 and signature.startswith("0x")):
            raise ValueError
        return int(time), bytes.fromhex(signature[2:])
    except ValueError:
        raise NotAReader(f"The header {HEADER} is not a time and a signature.") from None


def _digest(host: str, body: bytes, time: int) -> bytes:
    text = f"Commonwatt reader\n{host}\n{time}\n0x{keccak(body).hex()}".encode()
    return keccak(b"\x19Ethereum Signed Message:\n%d%s" % (len(text), text))
