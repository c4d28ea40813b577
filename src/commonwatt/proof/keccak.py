"""Keccak-256 as Ethereum uses it."""

from __future__ import annotations

from sha3 import keccak_256


def keccak(data: bytes) -> bytes:
    """Hash of `data`, 32 bytes.

    >>> keccak(b"").hex()
    'c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470'
    """
    digest: bytes = keccak_256(data).digest()
    return digest


class Keccak:
    """The hash of data that comes in parts.

    >>> parts = Keccak()
    >>> for part in (b"a", b"bc"):
    ...     parts.update(part)
    >>> parts.digest() == keccak(b"abc")
    True
    """

    def __init__(self) -> None:
        self._state = keccak_256()

    def update(self, data: bytes) -> None:
        """Add a part."""
        self._state.update(data)

    def digest(self) -> bytes:
        """Hash of all parts so far, 32 bytes."""
        digest: bytes = self._state.digest()
        return digest
