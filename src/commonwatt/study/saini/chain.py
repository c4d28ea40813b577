"""The chain that the paper published, checked hash by hash; why its work protects nothing; the smallest repair.

Rules as printed in figure A3 (Saini et al. 2023): a block's hash is the SHA-256 of its JSON with sorted keys, the
next block carries it as `previous_hash`, and a proof is the smallest n >= 1 for which SHA-256 of the decimal text of
n² − (previous proof)² starts with the hexadecimal digits 0000. The figure breaks off where validation begins, so
"the chain is valid" is read here as: every `previous_hash` and every proof is right.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from itertools import count, pairwise
from typing import Final

from commonwatt.study.saini.case import Block

Chain = Sequence[Block]

ZEROS: Final = b"\0\0"
"""The four hexadecimal zeros of figure A3; comparing bytes skips the text form."""


@dataclass(frozen=True)
class Published:
    """One published chain: its blocks after the first, how many of their links and proofs are right, the proofs."""

    figure: str
    blocks: int
    links: int
    proofs_right: int
    proofs: tuple[int, ...]
    faults: tuple[str, ...]


@dataclass(frozen=True)
class Forgery:
    """One amount rewritten in an early block of a published chain.

    faults_at_once : what the published rules say about the rewritten block alone
    relinked : `previous_hash` values recomputed afterwards, one hash each
    attempts : hashes spent on proofs to make the published rules accept it
    faults : what the published rules then say
    """

    figure: str
    block: int
    before: float
    after: float
    faults_at_once: tuple[str, ...]
    relinked: int
    attempts: int
    faults: tuple[str, ...]


@dataclass(frozen=True)
class Repair:
    """The same rewriting when a nonce belongs to its block's content.

    attempts_published, attempts : hashes spent on proofs to build the chain, by the paper's rule and by ours
    faults : what our rule says about the same relinked forgery
    attempts_to_forge : hashes spent on proofs until our rule accepts it
    """

    attempts_published: int
    attempts: int
    faults: tuple[str, ...]
    attempts_to_forge: int


def block_hash(block: Block) -> str:
    """SHA-256 of the block's JSON with sorted keys, hexadecimal (figure A3, line 46)."""
    return sha256(json.dumps(block, sort_keys=True).encode()).hexdigest()


def published_proof_holds(proof: int, previous: int) -> bool:
    """Whether a proof is good after the previous block's (figure A3, line 39). Nothing of the block enters."""
    return sha256(str(proof**2 - previous**2).encode()).digest()[:2] == ZEROS


@cache
def published_proof(previous: int) -> int:
    """The smallest good proof; also the number of hashes that finding it takes."""
    square = previous**2
    return next(n for n in count(1) if sha256(b"%d" % (n * n - square)).digest()[:2] == ZEROS)


def published_faults(chain: Chain) -> tuple[str, ...]:
    """Every fault that the published rules find, as sentences."""
    return (*_link_faults(chain), *_published_proof_faults(chain))


def check(figure: str, chain: Chain) -> Published:
    """Verify a published chain, and that each proof is the smallest one."""
    smallest = [published_proof(previous["proof"]) == block["proof"] for previous, block in pairwise(chain)]
    return Published(
        figure,
        blocks=len(chain) - 1,
        links=len(chain) - 1 - len(list(_link_faults(chain))),
        proofs_right=sum(smallest),
        proofs=tuple(block["proof"] for block in chain[1:]),
        faults=published_faults(chain),
    )


def rewrite(chain: Chain, index: int, amount: float) -> list[Block]:
    """The chain with another amount in the first transaction of the block `index`, and nothing else changed."""
    forged = copy.deepcopy(list(chain))
    block = next(block for block in forged if block["index"] == index)
    block["transactions"][0]["amount"] = amount
    return forged


def relink(chain: Chain) -> tuple[list[Block], int]:
    """The chain with every `previous_hash` made right, and how many had to change; proofs stay as they are."""
    linked, changed = copy.deepcopy(list(chain)), 0
    for previous, block in pairwise(linked):
        right = block_hash(previous)
        changed += block["previous_hash"] != right
        block["previous_hash"] = right
    return linked, changed


def forge(figure: str, chain: Chain, index: int, amount: float) -> Forgery:
    """Rewrite an amount, recompute the links, spend no work, and ask the published rules."""
    rewritten = rewrite(chain, index, amount)
    forged, relinked = relink(rewritten)
    before = next(block for block in chain if block["index"] == index)["transactions"][0]["amount"]
    broken = [previous["proof"] for previous, block in pairwise(forged) if not _follows(previous, block)]
    attempts = sum(map(published_proof, broken))
    at_once, faults = published_faults(rewritten), published_faults(forged)
    return Forgery(figure, index, before, amount, at_once, relinked, attempts, faults)


def bound_proof_holds(block: Block) -> bool:
    """Whether the proof is good for this very content: SHA-256 of "content hash:n" starts with 0000."""
    return sha256(f"{_content_hash(block)}:{block['proof']}".encode()).digest()[:2] == ZEROS


def bound_faults(chain: Chain) -> tuple[str, ...]:
    """Every fault that the repaired rules find, as sentences; the first block carries no work, as published."""
    broken = [block["index"] for block in chain[1:] if not bound_proof_holds(block)]
    return (*_link_faults(chain), *(f"block {index}: the proof is not for this content" for index in broken))


def mine(chain: Chain) -> tuple[list[Block], int]:
    """The chain with right links and bound proofs, and the hashes spent on proofs; good proofs are kept."""
    mined, attempts = copy.deepcopy(list(chain)), 0
    for previous, block in pairwise(mined):
        block["previous_hash"] = block_hash(previous)
        if not bound_proof_holds(block):
            prefix = f"{_content_hash(block)}:".encode()
            block["proof"] = next(n for n in count(1) if sha256(b"%b%d" % (prefix, n)).digest()[:2] == ZEROS)
            attempts += block["proof"]
    return mined, attempts


def repair(chain: Chain, index: int, amount: float) -> Repair:
    """Build the chain with bound proofs, forge it in the same way, and count what the forger must spend."""
    ours, attempts = mine(chain)
    forged, _ = relink(rewrite(ours, index, amount))
    _, again = mine(forged)
    published = sum(published_proof(previous["proof"]) for previous, _ in pairwise(chain))
    return Repair(published, attempts, bound_faults(forged), again)


def _content_hash(block: Block) -> str:
    return block_hash({key: value for key, value in block.items() if key != "proof"})


def _follows(previous: Block, block: Block) -> bool:
    return published_proof_holds(block["proof"], previous["proof"])


def _link_faults(chain: Chain) -> Iterator[str]:
    for previous, block in pairwise(chain):
        if block["previous_hash"] != block_hash(previous):
            yield f"block {block['index']}: previous_hash is not the hash of block {previous['index']}"


def _published_proof_faults(chain: Chain) -> Iterator[str]:
    for previous, block in pairwise(chain):
        if not _follows(previous, block):
            yield f"block {block['index']}: the proof does not follow from the previous one"
