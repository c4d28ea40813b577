"""The chain as a process of its own, as a live exchange has it; JSON on stdout.

The node is `commonwatt chain run` on a file in the temporary directory, asked over HTTP; it goes by the clock, and each
block waits for the disk. Seconds of the chain are what its process computed, those of the client what this one did; the
clock on the wall has pauses in it, as no block is ahead of it. A slot of a community without a challenge window is
posted and becomes final by two transactions, in which every member's balance changes, two operators signing.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
from _measure import cpu_of, memory_of, show

from commonwatt.ledger.chain.embedded import EmbeddedChain, Genesis
from commonwatt.ledger.client.quorum import gate_of
from commonwatt.ledger.client.settlement import Enrolment, LedgerClient, Terms
from commonwatt.ledger.remote import RemoteNode
from commonwatt.proof import Key, hash_struct, keccak, sign
from commonwatt.records import Post
from commonwatt.records.deltas import pack_deltas
from commonwatt.service.children import free_port

_KEYS = [Key.derive(b"benchmark", f"operator {number}") for number in range(2)]
_ROOTS = keccak(b"orders"), keccak(b"trades")


@contextmanager
def _running(folder: Path) -> Iterator[tuple[RemoteNode, int]]:
    """A node of a new chain, and the number of its process."""
    folder.mkdir()
    with EmbeddedChain(folder / "ledger.sqlite", Genesis(1, {key.address: 10**24 for key in _KEYS}, int(time.time()))):
        pass
    port = free_port()
    command = [sys.executable, "-m", "commonwatt.cli", "chain", "run", str(folder), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            with closing(RemoteNode(f"http://127.0.0.1:{port}", restarts=120)) as node:
                _ = node.head
                yield node, process.pid
        finally:
            process.terminate()


def _taken(pid: int, work: Callable[[], object]) -> dict[str, float]:
    """Seconds of the chain, of this client, and on the wall."""
    begun = cpu_of(pid), time.process_time(), time.monotonic()
    work()
    ended = cpu_of(pid), time.process_time(), time.monotonic()
    chain, client, wall = (round(after - before, 2) for before, after in zip(begun, ended, strict=True))
    return {"chain_cpu": chain, "client_cpu": client, "wall": wall}


def idle(folder: Path, seconds: float = 60.0) -> dict[str, float]:
    """What a chain takes to which nobody adds."""
    with _running(folder) as (_, pid):
        time.sleep(2)
        begun, size = cpu_of(pid), (folder / "ledger.sqlite").stat().st_size
        time.sleep(seconds)
        used = cpu_of(pid) - begun
        grown = (folder / "ledger.sqlite").stat().st_size - size
        return {"percent_of_a_core": round(100 * used / seconds, 2), "memory_mb": memory_of(pid), "bytes_grown": grown}


def settling(folder: Path, members: int, slots: int = 8) -> dict[str, object]:
    """A community is founded; slots are posted and final one by one, then as a backlog in one block."""
    rng = np.random.default_rng(members)
    enrolments = [Enrolment(keccak(number.to_bytes(4, "big"))[:20], role=2) for number in range(members)]
    terms = Terms(lane_unit=1, slot_seconds=1, window=0, grace=7_200, slot_offset=0)
    with _running(folder) as (node, pid):
        clients: list[LedgerClient] = []

        def found() -> None:
            client = LedgerClient.deploy(
                node, _KEYS[0], operators=[key.address for key in _KEYS], threshold=2, config=bytes(32),
                members=enrolments, terms=terms, token=("Benchmark", "BEN"), at=0,
            )  # fmt: skip
            issue = client.issue(10**6 * members)
            signed = [sign(client.token_domain, issue, key).signature for key in _KEYS]
            client.deposit_for(range(members), [10**6] * members, signatures=signed, at=0)
            client.sender.endow([each.account for each in enrolments], 0)
            clients.append(client)

        founding = _taken(pid, found)
        client = clients[0]
        first = int(time.time()) + 3
        roots = [_ROOTS[0]] * 2 * slots, [_ROOTS[1]] * 2 * slots
        gate = [sign(client.domain, gate_of(first, *roots), key).signature for key in _KEYS]
        client.commit(first, *roots, gate, at=0)
        time.sleep(max(0.0, first + 2 * slots + 1 - time.time()))
        posts = [_post(client, first + number, members, rng) for number in range(2 * slots)]

        def one_by_one() -> None:
            for post, deltas, signatures in posts[:slots]:
                client.post(post, _ROOTS[1], deltas, signatures, at=0)
                client.finalise(post, deltas, at=0)

        def backlog() -> None:
            client.post_all([(post, _ROOTS[1], deltas, signed) for post, deltas, signed in posts[slots:]], at=0)
            client.finalise_all([(post, deltas) for post, deltas, _ in posts[slots:]], at=0)

        single, together = _taken(pid, one_by_one), _taken(pid, backlog)
        postings = [client.posted(post.slot, 0) for post, _, _ in posts]
        if not all(posting and posting.final for posting in postings):
            raise SystemExit("a post is not final")
        return {
            "members": members,
            "founding": founding,
            "posted_and_final": {name: round(taken / slots, 3) for name, taken in single.items()},
            "posted_and_final_in_a_backlog": {name: round(taken / slots, 3) for name, taken in together.items()},
            "memory_mb": memory_of(pid),
        }


def _post(client: LedgerClient, slot: int, members: int, rng: np.random.Generator) -> tuple[Post, bytes, list[bytes]]:
    deltas = rng.integers(1, 1_000, members)
    deltas[: members // 2] *= -1
    deltas[-1] -= deltas.sum()
    packed = pack_deltas(deltas)
    post = Post(slot, 0, _ROOTS[0], bytes(32), keccak(packed))
    return post, packed, [key.sign_digest(client.domain.digest(hash_struct(post))) for key in _KEYS]


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures = {
            "idle": idle(folder / "idle"),
            "settlements": [settling(folder / f"of-{members}", members) for members in (44, 1_000)],
        }
    show(figures, "py-evm", "httpx", "uvicorn")


if __name__ == "__main__":
    main()
