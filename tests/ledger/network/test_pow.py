"""Work: what it is for, how its amount is steered, and the worker that does it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from consensus_cases import KEYS, Chain, Node, hashed, header_of, refusal
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.errors import LedgerError
from commonwatt.ledger.network.consensus.miner import Miner
from commonwatt.ledger.network.consensus.pow import MAX_TARGET, Pow, adjusted, attempt
from commonwatt.study.saini import chain as saini_chain
from commonwatt.study.saini.case import read_case

EASY = MAX_TARGET >> 10
IMPOSSIBLE = bytes(32)
PERIOD = 15


def meets(unsealed: bytes, nonce: bytes, target: int) -> bool:
    return int.from_bytes(sha256(sha256(unsealed).digest() + nonce).digest(), "big") <= target


@given(st.binary(min_size=32, max_size=32), st.integers(0, 1 << 20))
def test_an_attempt_finds_the_first_good_nonce(unsealed: bytes, start: int) -> None:
    found = attempt(unsealed, EASY, start, 20_000)
    assert found is not None
    count = int.from_bytes(found, "big") - start
    tried = ((start + number).to_bytes(8, "big") for number in range(count + 1))
    assert [meets(unsealed, nonce, EASY) for nonce in tried] == [False] * count + [True]


def test_an_attempt_tries_as_many_as_it_is_told() -> None:
    found = attempt(b"\1" * 32, MAX_TARGET >> 16, 0, 1 << 24)
    assert found is not None
    place = int.from_bytes(found, "big")
    assert attempt(b"\1" * 32, MAX_TARGET >> 16, 0, place) is None
    assert attempt(b"\1" * 32, MAX_TARGET >> 16, 0, place + 1) == found
    assert attempt(b"\1" * 32, MAX_TARGET >> 16, place, 1) == found
    assert attempt(b"\1" * 32, 0, (1 << 64) - 10, 100) is None


def test_changing_the_transactions_voids_the_work() -> None:
    chain, node = Chain(), Node(KEYS[0], Pow(first_target=MAX_TARGET >> 16))
    header = node.make(chain, body=b"ten transactions")
    assert refusal(node.engine, header, chain) is None
    assert refusal(node.engine, hashed(header, b"nine transactions"), chain) == "its nonce does not meet the target"


def test_the_paper_s_scheme_does_not_protect_the_transactions() -> None:
    for chain in read_case().chains.values():
        forged, relinked = saini_chain.relink(saini_chain.rewrite(chain, 2, 1_000_000.0))
        assert relinked
        assert saini_chain.published_faults(forged) == ()  # no work was done


def simulate(rates: list[float], seed: int) -> list[int]:
    """Times of blocks when the network tries rates[n] hashes a second at block n."""
    rng, chain, engine = np.random.default_rng(seed), Chain(), Pow(period=PERIOD, first_target=MAX_TARGET // 15_000)
    clock, times = float(chain.head.timestamp), [chain.head.timestamp]
    for rate in rates:
        turn = engine.turn(chain.head, chain, KEYS[0].address, 0)
        clock += rng.exponential((1 << 256) / (int.from_bytes(turn.claim, "big") + 1) / rate)
        header = chain.add(header_of(chain.head, max(turn.at, int(clock)), turn.coinbase, turn.claim))
        times.append(header.timestamp)
    return times


STEPS = {
    "steady": [1000.0] * 300,
    "four times as many": [1000.0] * 100 + [4000.0] * 200,
    "a quarter": [1000.0] * 100 + [250.0] * 200,
    "there and back": [1000.0] * 100 + [5000.0] * 100 + [1000.0] * 100,
    "first target far off": [10_000.0] * 300,
}


@pytest.mark.parametrize("case", STEPS)
def test_300_blocks_take_300_periods(case: str) -> None:
    for seed in range(10):
        times = simulate(STEPS[case], seed)
        assert (times[-1] - times[0]) / 300 == pytest.approx(PERIOD, rel=0.15)


def test_a_night_without_miners_makes_the_work_no_cheaper_than_a_slow_block() -> None:
    chain, engine = Chain(), Pow(period=PERIOD)
    targets = []
    for taken in (PERIOD, PERIOD, 8 * PERIOD, PERIOD, 40_000, PERIOD):
        turn = engine.turn(chain.head, chain, KEYS[0].address, 0)
        targets.append(int.from_bytes(turn.claim, "big"))
        chain.add(header_of(chain.head, chain.head.timestamp + taken, turn.coinbase, turn.claim))
    assert [round(later / earlier, 3) for earlier, later in pairwise(targets)] == [1, 1, 1.625, 1, 1.625]


def test_how_old_the_genesis_is_says_nothing_about_the_work() -> None:
    chain, engine = Chain(), Pow(period=PERIOD, first_target=EASY)
    chain.add(header_of(chain.head, chain.head.timestamp + 10**7, bytes(20), EASY.to_bytes(32, "big")))
    assert engine.turn(chain.head, chain, KEYS[0].address, 0).claim == EASY.to_bytes(32, "big")


@given(st.integers(1, MAX_TARGET), st.integers(1, 1000))
def test_the_target_follows_powers_of_two(target: int, taken: int) -> None:
    after = adjusted(target, taken, PERIOD)
    exact = target * 2.0 ** ((min(taken, 8 * PERIOD) - PERIOD) / (10 * PERIOD))
    assert 1 <= after <= MAX_TARGET
    wanted = min(max(exact, 1), MAX_TARGET)
    # Two parts in ten thousand from the approximation, and one from rounding down.
    assert abs(after - wanted) <= 2e-4 * wanted + 1


def test_the_weight_is_the_expected_number_of_hashes() -> None:
    chain, engine = Chain(), Pow()
    claims = [target.to_bytes(32, "big") for target in (MAX_TARGET, (1 << 256) // 1000 - 1, 1, 0)]
    weights = [engine.weight(header_of(chain.head, 1, bytes(20), claim), chain) for claim in claims]
    assert weights == [1, 1000, 1 << 255, 1 << 256]


def test_another_target_and_another_nonce_are_refused() -> None:
    chain, node = Chain(), Node(KEYS[0], Pow(first_target=EASY))
    cheap = node.make(chain, claim=b"\xff" * 32)
    assert "its target is" in (refusal(node.engine, cheap, chain) or "")
    header = header_of(chain.head, chain.head.timestamp + 1, bytes(20), EASY.to_bytes(32, "big"), bytes(9))
    assert refusal(node.engine, header, chain) == "its nonce has 9 bytes, not 8"


def test_a_worker_finds_seals_that_the_engine_takes() -> None:
    chain, engine = Chain(), Pow(first_target=EASY)
    turn = engine.turn(chain.head, chain, KEYS[0].address, 0)
    blank = header_of(chain.head, turn.at, turn.coinbase, turn.claim)
    assert engine.seal(blank.unsealed, turn, KEYS[0]) is None
    with Miner() as miner:
        miner.search(blank.unsealed, turn.claim)
        found = miner.found(60)
        assert found is not None
        assert found[0] == blank.unsealed
        assert refusal(engine, header_of(chain.head, turn.at, turn.coinbase, turn.claim, found[1]), chain) is None
        assert miner.found() is None


def test_a_worker_drops_a_search_for_a_new_one() -> None:
    with Miner() as miner:
        miner.search(b"\1" * 32, IMPOSSIBLE)
        miner.search(b"\2" * 32, b"\xff" * 32)
        assert miner.found(60) == (b"\2" * 32, bytes(8))
        miner.search(b"\3" * 32, b"\xff" * 32)
        miner.connection.poll(60)  # it is found, and overtaken
        miner.stop()
        assert miner.found(0.2) is None


def test_a_worker_that_was_killed_is_reported() -> None:
    with Miner() as miner:
        miner.search(b"\1" * 32, IMPOSSIBLE)
        assert miner._process.pid
        os.kill(miner._process.pid, signal.SIGKILL)
        with pytest.raises(LedgerError, match="was ended"):
            miner.found(60)


ORPHAN = """
import os, signal
from commonwatt.ledger.network.consensus.miner import Miner
if __name__ == "__main__":
    miner = Miner()
    miner.search(b"1" * 32, bytes(32))
    print("searching", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_worker_ends_with_its_parent(tmp_path: Path) -> None:
    script = tmp_path / "orphan.py"
    script.write_text(ORPHAN)
    # The worker has the script's standard output too: the pipe ends when both have ended.
    run = subprocess.run([sys.executable, str(script)], stdout=subprocess.PIPE, timeout=120)
    assert (run.returncode, run.stdout) == (-signal.SIGKILL, b"searching\n")
