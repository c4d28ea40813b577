"""Speed of the embedded chain; JSON on stdout.

The chain is a file in the temporary directory. Signing is outside the clock, admission (nonce, balance,
signature) and the write to the file are inside. A settlement is post and finalise of one slot in which every
member's balance changes, two operators signing. Everything runs on one core.
"""

from __future__ import annotations

import resource
import tempfile
from pathlib import Path
from typing import cast

import numpy as np
from _measure import clocks, show

from commonwatt.exchange.access import may_read
from commonwatt.ledger.chain.embedded import EmbeddedChain, Genesis
from commonwatt.ledger.client.quorum import gate_of
from commonwatt.ledger.client.settlement import Enrolment, LedgerClient, Terms
from commonwatt.ledger.wallet import sign_transaction
from commonwatt.proof import Key, hash_struct, keccak, sign
from commonwatt.records import Post
from commonwatt.records.deltas import pack_deltas
from commonwatt.units import FloatArray

_KEYS = [Key.derive(b"benchmark", f"operator {number}") for number in range(2)]
_GENESIS = Genesis(1, {key.address: 10**24 for key in _KEYS})


def _clocks() -> FloatArray:
    """Wall clock and this process's processor time [s]."""
    return np.array(clocks())


def _both(figures: FloatArray, places: int) -> dict[str, float]:
    wall, cpu = figures.round(places).tolist()
    return {"wall": wall, "cpu": cpu}


def transfers(folder: Path, single: int = 500, full: int = 2_000) -> dict[str, object]:
    """Blocks per second with one transfer each, transfers per second of one block."""
    raw = [
        sign_transaction(_KEYS[0], chain_id=1, nonce=nonce, to=keccak(bytes([nonce % 250]))[:20], gas=21_000, value=1)
        for nonce in range(single + full)
    ]
    with EmbeddedChain(folder / "transfers.db", _GENESIS) as chain:
        started = _clocks()
        for number in range(single):
            chain.submit(raw[number])
            chain.seal(number + 1)
        blocks = single / (_clocks() - started)
        started = _clocks()
        for transaction in raw[single:]:
            chain.submit(transaction)
        block = chain.seal(single + 1)
        rate = full / (_clocks() - started)
    if len(block.transactions) != full:
        raise SystemExit(f"{len(block.transactions)} of {full} transfers are in the block")
    return {"single_transaction_blocks_per_second": _both(blocks, 1), "transfers_per_second": _both(rate, 1)}


def settlement(folder: Path, members: int, slots: int = 5) -> dict[str, object]:
    """Median seconds and gas of post and finalise, seconds of the steps around them."""
    rng = np.random.default_rng(members)
    enrolments = [Enrolment(keccak(number.to_bytes(4, "big"))[:20], role=2) for number in range(members)]
    terms = Terms(lane_unit=1, slot_seconds=900, window=3_600, grace=7_200)
    with EmbeddedChain(folder / f"settlement-{members}.db", _GENESIS) as chain:
        started = _clocks()
        client = LedgerClient.deploy(
            chain, _KEYS[0], operators=[key.address for key in _KEYS], threshold=2, config=bytes(32),
            members=enrolments, terms=terms, token=("Benchmark", "BEN"), at=1,
        )  # fmt: skip
        deployed = _clocks()
        issue = client.issue(10**6 * members)
        signed = [sign(client.token_domain, issue, key).signature for key in _KEYS]
        client.deposit_for(range(members), [10**6] * members, signatures=signed, at=2)
        deposited = _clocks()
        roots = [keccak(b"orders")] * 96, [keccak(b"trades")] * 96
        gate = [sign(client.domain, gate_of(900, *roots), key).signature for key in _KEYS]
        client.commit(900, *roots, gate, at=3)
        committed = _clocks()
        seconds, gas = [], []
        for slot in range(900, 900 * (slots + 1), 900):
            deltas = rng.integers(1, 1_000, members)
            deltas[: members // 2] *= -1
            deltas[-1] -= deltas.sum()
            packed = pack_deltas(deltas)
            post = Post(slot, 0, keccak(b"orders"), bytes(32), keccak(packed))
            signatures = [key.sign_digest(client.domain.digest(hash_struct(post))) for key in _KEYS]
            now = max(chain.head.timestamp, slot) + 900
            begun = _clocks()
            posted = client.post(post, keccak(b"trades"), packed, signatures, at=now)
            finalised = client.finalise(post, packed, at=now + 3_600)
            seconds.append(_clocks() - begun)
            gas.append(posted.gas_used + finalised.gas_used)
        begun = _clocks()
        client.free_balances()
        read = _clocks() - begun
        may = _may_read(client)
    return {
        "members": members,
        "settlement_seconds": _both(np.median(seconds, axis=0), 3),
        "settlement_gas": int(np.median(gas)),
        "deploy_seconds": _both(deployed - started, 3),
        "deposit_seconds": _both(deposited - deployed, 3),
        "commit_96_slots_seconds": _both(committed - deposited, 3),
        "free_balances_seconds": _both(read, 3),
        "may_read_ms": may,
    }


def _may_read(client: LedgerClient, blocks: int = 200) -> dict[str, float]:
    """Mean milliseconds of a question of the door to members' data, each after another block."""
    chain, taken = cast("EmbeddedChain", client.node), np.zeros(2)
    for number in range(blocks):
        chain.seal(chain.head.timestamp + 1)
        begun = _clocks()
        may_read(client, keccak(b"reader")[:20], number % client.member_count, "readings")
        taken += _clocks() - begun
    return _both(taken / blocks * 1000, 3)


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        figures = {
            **transfers(Path(name)),
            "settlements": [settlement(Path(name), members) for members in (40, 200, 1_000)],
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }
    show(figures, "py-evm", "coincurve")


if __name__ == "__main__":
    main()
