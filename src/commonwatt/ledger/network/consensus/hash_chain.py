"""Hash chains: secrets that are fixed long before they are known.

A chain begins with a secret; each further value is the hash of the one before, and the last one, the tip, is made
public. Its owner reveals the values backwards. Whoever knows the tip can check each of them, nobody can guess the next,
and the owner cannot choose: there is one.
"""

from __future__ import annotations

from commonwatt.proof.keccak import keccak
from commonwatt.proof.keys import Key

LENGTH = 1 << 20
"""Blocks that a chain lasts for: half a year of a member with a block each 15 seconds. Made in about a second."""
_STEP = 64


class HashChain:
    """A member's chain.

    secret : 32 bytes that nobody else knows
    length : how many secrets it holds
    """

    def __init__(self, secret: bytes, length: int = LENGTH) -> None:
        self.length = length
        value = secret
        self._kept: list[bytes] = []
        """Every `_STEP`th value; those between are computed anew when they are asked for."""
        for index in range(length):
            if index % _STEP == 0:
                self._kept.append(value)
            value = keccak(value)
        self.tip = value

    @classmethod
    def derive(cls, key: Key, number: int = 0, length: int = LENGTH) -> HashChain:
        """The chain `number` of a member, from its key alone."""
        return cls(keccak(key.secret + b"hash chain" + number.to_bytes(8, "big")), length)

    def secret(self, revealed: int) -> bytes | None:
        """The secret to reveal next when `revealed` of them are known; None when none is left."""
        index = self.length - 1 - revealed
        if index < 0:
            return None
        value = self._kept[index // _STEP]
        for _ in range(index % _STEP):
            value = keccak(value)
        return value
