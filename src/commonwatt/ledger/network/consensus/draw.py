"""Who may seal next by stake: weights and draws, in integers, so that every machine finds the same.

Source: Vangulick, Cornélusse, Ernst (PSCC 2018), known here from a review's description only: W = αE + βA + γR with
E voting tokens, A the age of a node's last block, R its reputation, and the node of the highest W/U seals, U uniform.
How the terms are scaled to [0, 1] is ours: each is a member's share of the sum over all members.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from commonwatt.proof.keccak import keccak

ONE = 1 << 64
"""A weight of 1."""
_FULL = 256
_MANTISSA = 128


@dataclass(frozen=True)
class Terms:
    """What a member's weight comes from.

    tokens : voting tokens
    age : blocks since its last one
    blocks : blocks of its own among the last ones
    """

    tokens: int
    age: int
    blocks: int


def weights(terms: Mapping[bytes, Terms], alpha: int, beta: int, gamma: int) -> dict[bytes, int]:
    """Each member's weight in units of 1 / `ONE`: α·E/ΣE + β·A/ΣA + γ·R/ΣR; a sum of 0 leaves its term out."""
    tokens, ages, blocks = (
        max(1, sum(column)) for column in zip(*((t.tokens, t.age, t.blocks) for t in terms.values()), strict=True)
    )
    return {
        member: alpha * ONE * each.tokens // tokens
        + beta * ONE * each.age // ages
        + gamma * ONE * each.blocks // blocks
        for member, each in terms.items()
    }


def uniform(seed: bytes, member: bytes) -> int:
    """U of a member, a multiple of 2^-256 in (0, 1], as the integer U · 2^256."""
    return int.from_bytes(keccak(seed + member), "big") + 1


def by_paper(u: int, weight: int) -> int:
    """U / W: whoever has the lowest has the highest W / U, and seals first.

    Not proportional: with two members of weights W1 >= W2 the first is drawn with 1 - W2 / (2 W1).
    """
    return u // weight


def proportional(u: int, weight: int) -> int:
    """-log2(U) / W, exponentially distributed with the rate W: the lowest of them is drawn in proportion to W."""
    return (minus_log2(u) << _MANTISSA) // weight


DRAWS: Mapping[str, Callable[[int, int], int]] = {"paper": by_paper, "proportional": proportional}


def ranking(seed: bytes, weight: Mapping[bytes, int], draw: Callable[[int, int], int]) -> tuple[bytes, ...]:
    """Members in the order in which they may seal; those without weight last, equal ones by their address."""

    def key(member: bytes) -> tuple[bool, int, bytes]:
        u = uniform(seed, member)
        return (False, draw(u, weight[member]), member) if weight[member] else (True, u, member)

    return tuple(sorted(weight, key=key))


def minus_log2(u: int) -> int:
    """-log2(u / 2^256) in units of 2^-64, by squaring: the same bits on every machine, unlike a libm's.

    >>> minus_log2(1 << 255) == ONE
    True
    >>> round(minus_log2((1 << 256) // 3) / ONE, 12)  # log2(3)
    1.584962500721
    """
    whole = u.bit_length() - 1
    mantissa = u << _MANTISSA >> whole  # in [1, 2)
    bits = 0
    for _ in range(64):
        mantissa = mantissa * mantissa >> _MANTISSA
        bit = mantissa >> _MANTISSA + 1
        mantissa >>= bit
        bits = bits << 1 | bit
    return (_FULL - whole) * ONE - bits
