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
