"""The three ways to agree on this machine and on simulated time, as JSON.

    python benchmarks/consensus.py > consensus.json

`work` compares the search for nonces with a bare loop over the same hash, both in this process, in turns. All else is
a chain of headers in memory: what engines cost per block, how long blocks take, who seals how many of them.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

import numpy as np
from _measure import clocks, show

from commonwatt.ledger.network.consensus.hash_chain import HashChain
from commonwatt.ledger.network.consensus.interface import Consensus, Header, Turn
from commonwatt.ledger.network.consensus.miner import Miner
from commonwatt.ledger.network.consensus.poa import Poa
from commonwatt.ledger.network.consensus.pos import Pos, Rules
from commonwatt.ledger.network.consensus.pow import MAX_TARGET, Pow, attempt
from commonwatt.ledger.network.consensus.stake import Entry
from commonwatt.proof import Key, keccak
from commonwatt.study.compare.indices import gini

HASHES, ROUNDS = 400_000, 9
BLOCKS, SEEDS, PERIOD, RATE = 300, 50, 15, 1000.0
DRAWN = 10_000
TOKENS = (8, 5, 2, 1, 1)
COSTED = 500
KEYS = sorted((Key.derive(b"benchmark", f"member {number}") for number in range(50)), key=lambda key: key.address)


class Chain:
    """A `History` in memory; contracts are empty."""

    def __init__(self) -> None:
        self.head = Header(0, bytes(32), bytes(32), 0, bytes(20), bytes(32), b"", b"")
        self.headers = {self.head.hash: self.head}
        self.remembered: dict[bytes, bytes] = {}

    def header(self, hash: bytes) -> Header:  # noqa: A002
        return self.headers[hash]

    def words(self, hash: bytes, address: bytes, slots: Sequence[int]) -> list[int]:  # noqa: A002, ARG002
        return [0] * len(slots)

    def recall(self, name: bytes) -> bytes | None:
        return self.remembered.get(name)

    def remember(self, name: bytes, value: bytes) -> None:
        self.remembered[name] = value

    def blank(self, timestamp: int, coinbase: bytes, claim: bytes) -> Header:
        """A header after the head, without a seal."""
        number = self.head.number + 1
        unsealed = keccak(b"".join([self.head.hash, timestamp.to_bytes(8, "big"), coinbase, claim]))
        return Header(number, unsealed, self.head.hash, timestamp, coinbase, unsealed, claim, b"")

    def add(self, header: Header) -> None:
        self.head = self.headers[header.hash] = header


def turn_of(engine: Consensus, chain: Chain, member: bytes) -> Turn:
    """What a member who may seal next would seal."""
    turn = engine.turn(chain.head, chain, member, 0)
    if turn is None:
        raise ValueError("The member may not seal.")
    return turn


# Work


def bare_loop(unsealed: bytes, target: int) -> int | None:
    """What one would write first: hash, compare, next."""
    base, limit = sha256(unsealed).digest(), target.to_bytes(32, "big")
    for nonce in range(HASHES):
        if sha256(base + nonce.to_bytes(8, "big")).digest() <= limit:
            return nonce
    return None


def hash_rates() -> dict[str, Any]:
    """Hashes per second of processor time, medians; the ratio is the median of the rounds' ratios."""
    rates: dict[str, list[float]] = {"search": [], "bare_loop": []}
    runs: dict[str, Callable[[bytes], object]] = {
        "search": lambda unsealed: attempt(unsealed, 0, 0, HASHES),
        "bare_loop": lambda unsealed: bare_loop(unsealed, 0),
    }
    for number in range(ROUNDS):
        for name, run in runs.items():
            begun = time.process_time()
            run(keccak(number.to_bytes(8, "big")))
            rates[name].append(HASHES / (time.process_time() - begun))
    ratios = [ours / bare for ours, bare in zip(*rates.values(), strict=True)]
    medians = {name: round(statistics.median(found)) for name, found in rates.items()}
    return {**medians, "ratio": round(statistics.median(ratios), 3), "rounds": ROUNDS}


def interruption(times: int = 51) -> dict[str, Any]:
    """Milliseconds of wall clock until a worker has dropped one search and finished another, trivial one."""
    taken = []
    with Miner() as miner:
        for number in range(times):
            miner.search(keccak(b"vain"), bytes(32))
            time.sleep(0.02)
            begun = time.perf_counter()
            miner.search(keccak(number.to_bytes(8, "big")), b"\xff" * 32)
            miner.found(60)
            taken.append(1000 * (time.perf_counter() - begun))
    return {"median_ms": round(statistics.median(taken[1:]), 2), "slowest_ms": round(max(taken[1:]), 2)}


STEPS = {
    "steady": [RATE] * BLOCKS,
    "four times as many miners after 100 blocks": [RATE] * 100 + [4 * RATE] * 200,
    "a quarter of them after 100 blocks": [RATE] * 100 + [RATE / 4] * 200,
    "five times as many from block 100 to 200": [RATE] * 100 + [5 * RATE] * 100 + [RATE] * 100,
    "first target ten times too easy": [10 * RATE] * BLOCKS,
}


def block_times() -> dict[str, Any]:
    """Mean seconds per block over 300 blocks of simulated time; lowest, mean and highest of 50 seeds."""
    found = {}
    for name, rates in STEPS.items():
        means = [mean_block_time(rates, seed) for seed in range(SEEDS)]
        figures = {"lowest": min(means), "mean": statistics.mean(means), "highest": max(means)}
        found[name] = {what: round(value, 2) for what, value in figures.items()}
    return {"period": PERIOD, "blocks": BLOCKS, "seeds": SEEDS, "cases": found}


def mean_block_time(rates: Sequence[float], seed: int) -> float:
    rng, chain, clock = np.random.default_rng(seed), Chain(), 0.0
    engine = Pow(period=PERIOD, first_target=MAX_TARGET // int(RATE * PERIOD))
    for rate in rates:
        turn = engine.turn(chain.head, chain, bytes(20), 0)
        clock += rng.exponential((1 << 256) / (int.from_bytes(turn.claim, "big") + 1) / rate)
        chain.add(chain.blank(max(turn.at, int(clock)), turn.coinbase, turn.claim))
    return chain.head.timestamp / len(rates)


# Authority


def silence() -> list[dict[str, Any]]:
    """Seconds per block with some of the authorities silent, as long as a majority is left."""
    found = []
    for members in (3, 4, 5, 7):
        for silent in range(members - members // 2):
            engine, chain = Poa([key.address for key in KEYS[:members]]), Chain()
            for _ in range(DRAWN // 10):
                turns = (engine.turn(chain.head, chain, key.address, 0) for key in KEYS[silent:members])
                turn = min((turn for turn in turns if turn), key=lambda turn: turn.at)
                chain.add(chain.blank(turn.at, turn.coinbase, turn.claim))
            found.append(
                {"authorities": members, "silent": silent, "seconds": round(chain.head.timestamp / (DRAWN // 10), 2)}
            )
    return found


# Stake


def by_stake(members: int, tokens: Sequence[int], length: int, **rules: Any) -> Pos:
    """An engine that can seal for every member."""
    chains = [HashChain.derive(key, length=length) for key in KEYS[:members]]
    rows = zip(KEYS, chains, tokens, strict=False)
    return Pos(Rules(bytes(32), {key.address: Entry(own.tip, held) for key, own, held in rows}, **rules), chains)


def concentration() -> dict[str, Any]:
    """Shares of 10 000 blocks and their Gini coefficient: 0 = all the same, 1 - 1/members = one seals all."""
    found = []
    for draw in ("proportional", "paper"):
        for factors in ((1, 0, 0), (1, 0, 1), (1, 1, 0), (1, 1, 1), (1, 3, 0), (0, 1, 0)):
            rules: dict[str, Any] = dict(zip(("alpha", "beta", "gamma"), factors, strict=True))
            engine, chain, won = by_stake(5, TOKENS, 1 << 14, draw=draw, **rules), Chain(), Counter[bytes]()
            for _ in range(DRAWN):
                first = engine.standing(chain.head, chain).order[0]
                turn = turn_of(engine, chain, first)
                chain.add(chain.blank(turn.at, first, turn.claim))
                won[first] += 1
            shares = [won[key.address] / DRAWN for key in KEYS[:5]]
            found.append({"draw": draw, **rules, "shares": shares, "gini": round(gini(np.array(shares)) or 0.0, 4)})
    held = np.array(TOKENS, dtype=float)
    return {"tokens": TOKENS, "blocks": DRAWN, "gini_of_tokens": round(gini(held) or 0.0, 4), "cases": found}


# Costs


def costs() -> list[dict[str, Any]]:
    """Milliseconds of processor time per block: to seal it (search left out) and to check it."""
    found = []
    for members in (4, 10, 50):
        held = [1 + number % 7 for number in range(members)]
        engines: list[Consensus] = [Poa([key.address for key in KEYS[:members]])]
        engines += [Pow(first_target=MAX_TARGET)] if members == 4 else []
        engines.append(by_stake(members, held, 1024, alpha=2, beta=1, gamma=1))
        readers: list[Consensus] = [Poa([key.address for key in KEYS[:members]])]
        readers += [Pow(first_target=MAX_TARGET)] if members == 4 else []
        readers.append(by_stake(members, held, 1024, alpha=2, beta=1, gamma=1))
        for engine, reader in zip(engines, readers, strict=True):
            found.append({"way": engine.name, "members": members, **cost(engine, reader, KEYS[:members])})
    return found


def cost(engine: Consensus, reader: Consensus, keys: Sequence[Key]) -> dict[str, float]:
    chain, sealing, checking = Chain(), 0.0, 0.0
    for _ in range(COSTED):
        turns = [(turn.at, key) for key in keys if (turn := engine.turn(chain.head, chain, key.address, 0))]
        key = min(turns, key=lambda turn: turn[0])[1]
        begun = clocks()[1]
        turn = turn_of(engine, chain, key.address)
        # A period late, so that the work stays as easy as it was.
        blank = chain.blank(turn.at + PERIOD, turn.coinbase, turn.claim)
        seal = engine.seal(blank.unsealed, turn, key)
        sealed = clocks()[1]
        seal = seal or attempt(blank.unsealed, int.from_bytes(turn.claim, "big"), 0, 1 << 40) or b""
        header = replace(blank, seal=seal, hash=keccak(blank.unsealed + seal))
        checked = clocks()[1]
        reader.check(header, chain)
        reader.weight(header, chain)
        sealing, checking = sealing + sealed - begun, checking + clocks()[1] - checked
        chain.add(header)
    return {"seal_ms": round(1000 * sealing / COSTED, 3), "check_ms": round(1000 * checking / COSTED, 3)}


def main() -> None:
    """Print all figures with machine and date."""
    work = {"hashes_per_second": hash_rates(), "interruption": interruption(), "block_times": block_times()}
    show({"work": work, "authority": silence(), "stake": concentration(), "costs": costs()})


if __name__ == "__main__":
    main()
