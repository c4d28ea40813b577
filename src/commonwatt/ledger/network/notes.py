"""What a node's file holds beside its blocks: values by name, each with a check, so that a damaged one counts as none.

Most of it could be found again from the blocks, by walking to the genesis: notes save the walk.
"""

from __future__ import annotations

from commonwatt.ledger.chain.store import Store
from commonwatt.proof.keccak import keccak

_KEY = b"commonwatt:checked:"
_CHECK_BYTES = 8


class Notes:
    """The notes of one file."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._new: dict[bytes, bytes] = {}

    def get(self, name: bytes) -> bytes | None:
        """The note; None when there is none, or it is damaged."""
        if name in self._new:
            return self._new[name]
        found = self._store.get(_KEY + name)
        if found is None or found[:_CHECK_BYTES] != _check(name, found[_CHECK_BYTES:]):
            return None
        return found[_CHECK_BYTES:]

    def put(self, name: bytes, value: bytes) -> None:
        """Note something; it is in the file after the next `save` and the store's commit."""
        self._new[name] = value

    def save(self) -> bool:
        """Put what is new into the store; whether there was anything."""
        new, self._new = self._new, {}
        for name, value in new.items():
            self._store.put(_KEY + name, _check(name, value) + value)
        return bool(new)


def _check(name: bytes, value: bytes) -> bytes:
    return keccak(len(name).to_bytes(4, "big") + name + value)[:_CHECK_BYTES]
