"""Proof of work: whoever finds a nonce may seal, and the chain with the most work is the true one.

The work is for the hash of the whole header, which holds the root of the transactions: changing any of them voids it.
A seal is a nonce of 8 bytes with

    sha256(sha256(unsealed) ‖ nonce) <= target,

and the claim is the target. After every block but the first it is adjusted to the time that the block took:

    target' = target · 2^((min(dt, 8·period) - period) / (10·period)),   dt = seconds from its parent.

The exponents of successive blocks add up, so the block times must average the period but for ten periods per doubling
of the hash rate (and rounding): what one block takes too long, the next ones take back. The bound of 8 periods, which a
steady hash rate meets once in 3 000 blocks, keeps a night without miners from making the work worthless. It is the
relative form of the exponential rule of Bitcoin Cash (ASERT); the powers of two are its integer approximation.
"""

from __future__ import annotations

from collections.abc import Collection
from hashlib import sha256
from typing import ClassVar

from commonwatt.ledger.network.consensus.interface import Header, History, SealError, Turn, check_time
from commonwatt.proof.keys import Key

MAX_TARGET = (1 << 256) - 1
NONCE_BYTES = 8
_SLOWEST = 8
_DAMPING = 10
_TAIL_BYTES = 2
_TAILS = tuple(tail.to_bytes(_TAIL_BYTES, "big") for tail in range(1 << 8 * _TAIL_BYTES))


class Pow:
    """The engine of one node.

    period : seconds between blocks that the target is steered to, at least 2: times are whole seconds and must rise
    first_target : of blocks 1 and 2; a hash is below it with probability (first_target + 1) / 2^256
    reward : of each block [Gwei]
    """

    name: ClassVar[str] = "pow"
    exclusive: ClassVar[bool] = False

    def __init__(self, *, period: int = 15, first_target: int = MAX_TARGET >> 20, reward: int = 0) -> None:
        self._period, self._first_target, self._reward = period, first_target, reward

    def sealers(self, block: Header, history: History) -> Collection[bytes]:  # noqa: ARG002
        """Anybody may."""
        return ()

    def turn(self, parent: Header, history: History, member: bytes, now: int) -> Turn:  # noqa: ARG002
        """Anybody, any time."""
        claim = self._target(parent, history).to_bytes(32, "big")
        return Turn(parent.timestamp + 1, claim, member, self._reward)

    def check(self, header: Header, history: History) -> None:
        """Time, target and work. Raises SealError."""
        parent = history.header(header.parent)
        check_time(header, parent.timestamp + 1)
        target = self._target(parent, history)
        if header.claim != target.to_bytes(32, "big"):
            raise SealError(f"its target is 0x{header.claim.hex()}, not 0x{target:064x}")
        if len(header.seal) != NONCE_BYTES:
            raise SealError(f"its nonce has {len(header.seal)} bytes, not {NONCE_BYTES}")
        if sha256(_base(header.unsealed) + header.seal).digest() > header.claim:
            raise SealError("its nonce does not meet the target")

    def weight(self, header: Header, history: History) -> int:  # noqa: ARG002
        """Hashes that a block of its target takes on average."""
        return (1 << 256) // (int.from_bytes(header.claim, "big") + 1)

    def reward(self, header: Header) -> int:  # noqa: ARG002
        """The same for each block."""
        return self._reward

    def seal(self, unsealed: bytes, turn: Turn, key: Key) -> bytes | None:  # noqa: ARG002
        """None: a nonce is searched for, by `miner.Miner`."""
        return None

    def _target(self, parent: Header, history: History) -> int:
        """What the block after `parent` must meet."""
        if parent.number < 2:  # block 0 may be much older than the network
            return self._first_target
        taken = parent.timestamp - history.header(parent.parent).timestamp
        return adjusted(int.from_bytes(parent.claim, "big"), taken, self._period)


def adjusted(target: int, taken: int, period: int) -> int:
    """The target after a block that took `taken` seconds.

    >>> hex(adjusted(0x1000, 70, 10))  # six periods more than wanted, of ten to a doubling
    '0x1840'
    >>> adjusted(1000, 10, 10)
    1000
    """
    exponent = ((min(taken, _SLOWEST * period) - period) << 16) // (_DAMPING * period)
    doublings, fraction = exponent >> 16, exponent & 0xFFFF
    # 2^(fraction / 2^16) · 2^16, right to 0.013 %: a cubic with the coefficients of ASERT.
    power = (195_766_423_245_049 * fraction + 971_821_376 * fraction**2 + 5_127 * fraction**3 + (1 << 47)) >> 48
    scaled = target * ((1 << 16) + power)
    return max(1, min(scaled << doublings if doublings > 0 else scaled >> -doublings, MAX_TARGET << 16) >> 16)


def attempt(unsealed: bytes, target: int, start: int, count: int) -> bytes | None:
    """The first good nonce among `start`, ..., `start + count - 1`; None when none of them is.

    The hash of what the nonces share, the block and the nonce's upper bytes, is taken once per 65 536 of them.
    """
    base, limit = sha256(_base(unsealed)), target.to_bytes(32, "big")
    end = min(start + count, 1 << 8 * NONCE_BYTES)
    while start < end:
        upper, first = divmod(start, len(_TAILS))
        head = upper.to_bytes(NONCE_BYTES - _TAIL_BYTES, "big")
        shared = base.copy()
        shared.update(head)
        tails = _TAILS[first : first + end - start]
        fork = shared.copy
        for tail in tails:
            hasher = fork()
            hasher.update(tail)
            if hasher.digest() <= limit:
                return head + tail
        start += len(tails)
    return None


def _base(unsealed: bytes) -> bytes:
    return sha256(unsealed).digest()
