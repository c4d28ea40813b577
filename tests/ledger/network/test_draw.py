"""Draws by stake against theory and against a simulation that shares nothing with them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from consensus_cases import NETWORK, Chain, header_of, stake_members
from hypothesis import given
from hypothesis import strategies as st
from ledger_cases import SOAK

from commonwatt.ledger.network.consensus.draw import (
    DRAWS,
    ONE,
    Terms,
    minus_log2,
    proportional,
    ranking,
    uniform,
    weights,
)
from commonwatt.ledger.network.consensus.pos import Pos, Rules
from commonwatt.proof import keccak
from commonwatt.units import FloatArray

DRAWN = 10_000 if SOAK else 2_500
STAKES = [(3, 1), (5, 3, 2), (8, 5, 2, 1, 1)]


def expected(tokens: tuple[int, ...], draw: str) -> list[Fraction]:
    """Chances of the members without age and reputation.

    The paper's: U/W is uniform on [0, 1/W], and member k has the lowest when it is at t and all others are above:
    the integral over t from 0 to 1/max W of W_k · product over j ≠ k of (1 - W_j t).
    """
    if draw == "proportional":
        return [Fraction(held, sum(tokens)) for held in tokens]
    chances = []
    for member, held in enumerate(tokens):
        product = [Fraction(held)]  # coefficients of a polynomial in t
        for other in tokens[:member] + tokens[member + 1 :]:
            longer, nothing = [*product, Fraction(0)], Fraction(0)
            product = [a - other * b for a, b in zip(longer, [nothing, *product], strict=True)]
        end = Fraction(1, max(tokens))
        chances.append(sum((c * end ** (power + 1) / (power + 1) for power, c in enumerate(product)), Fraction(0)))
    return chances


def chance_of_first(tokens: tuple[int, ...], draw: str) -> list[float]:
    """Shares of the first rank in draws whose seeds follow from each other."""
    members = {bytes([number]) * 20: Terms(held, 0, 0) for number, held in enumerate(tokens)}
    weight, seed, won = weights(members, 1, 0, 0), NETWORK, Counter[bytes]()
    for _ in range(DRAWN):
        seed = keccak(seed)
        won[ranking(seed, weight, DRAWS[draw])[0]] += 1
    return [won[member] / DRAWN for member in members]


def test_theory_of_two_members() -> None:
    assert expected((3, 1), "paper") == [Fraction(5, 6), Fraction(1, 6)]
    assert [sum(expected(tokens, "paper")) for tokens in STAKES] == [1] * 3


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("tokens", STAKES)
def test_shares_by_tokens_alone_are_those_of_theory(tokens: tuple[int, ...], draw: str) -> None:
    for share, chance in zip(chance_of_first(tokens, draw), expected(tokens, draw), strict=True):
        assert abs(share - chance) <= 3 * math.sqrt(chance * (1 - chance) / DRAWN)


def engine_s_shares(tokens: Sequence[int], blocks: int, **rules: Any) -> list[float]:
    """Shares of the blocks when the one drawn first always seals; seals themselves are left out."""
    members, own = stake_members(tokens, 1 << 14)
    engine = Pos(Rules(NETWORK, members, **rules), own)
    chain, won = Chain(), Counter[bytes]()
    for _ in range(blocks):
        first = engine.standing(chain.head, chain).order[0]
        turn = engine.turn(chain.head, chain, first, 0)
        assert turn is not None
        chain.add(header_of(chain.head, turn.at, first, turn.claim))
        won[first] += 1
    return [won[member] / blocks for member in members]


def simulated(
    tokens: tuple[int, int, int], factors: tuple[int, int, int], window: int, draw: str, blocks: int, runs: int
) -> FloatArray:
    """Shares in many runs side by side, in floating point with numpy's generator, shape (runs, members)."""
    rng, members = np.random.default_rng(11), len(tokens)
    held = np.array(tokens) / sum(tokens)
    last = np.full((runs, members), -1)
    history = np.full((runs, blocks), -1)
    recent = np.zeros((runs, members))
    rows = np.arange(runs)
    for block in range(blocks):
        age = np.minimum(np.where(last < 0, block, block - 1 - last), min(block, window)).astype(float)
        terms = [np.broadcast_to(held, age.shape)]
        terms += [column / np.maximum(1, column.sum(axis=1, keepdims=True)) for column in (age, recent)]
        weight = sum(factor * term for factor, term in zip(factors, terms, strict=True))
        u = rng.random((runs, members))
        with np.errstate(divide="ignore"):
            winner = (weight / u).argmax(axis=1) if draw == "paper" else (-np.log(u) / weight).argmin(axis=1)
        history[:, block] = winner
        last[rows, winner] = block
        recent[rows, winner] += 1
        if block >= window:
            recent[rows, history[:, block - window]] -= 1
    return np.stack([(history == member).mean(axis=1) for member in range(members)], axis=1)


@pytest.mark.parametrize("draw", DRAWS)
def test_shares_with_age_and_reputation_are_those_of_a_simulation(draw: str) -> None:
    tokens, factors, window, blocks = (5, 3, 2), (2, 2, 1), 20, DRAWN
    shares = engine_s_shares(tokens, blocks, alpha=2, beta=2, gamma=1, window=window, draw=draw)
    runs = simulated(tokens, factors, window, draw, blocks, 40)
    mean, sigma = runs.mean(axis=0), runs.std(axis=0, ddof=1)
    assert np.abs(shares - mean).max() > 0  # it is another chance
    # The mean itself is uncertain by a 40th of the variance.
    assert (np.abs(shares - mean) <= 3 * sigma * math.sqrt(1 + 1 / 40)).all()


def test_age_evens_out_and_the_paper_s_draw_does_not() -> None:
    tokens = (8, 1, 1)
    by_tokens = engine_s_shares(tokens, 1000)[0]
    assert engine_s_shares(tokens, 1000, beta=2)[0] < by_tokens < engine_s_shares(tokens, 1000, draw="paper")[0]


U = st.integers(1, 1 << 256)


@given(U)
def test_the_logarithm_is_right_to_fifteen_digits(u: int) -> None:
    exact = 256 - math.log2(u)
    assert minus_log2(u) / ONE == pytest.approx(exact, rel=1e-13, abs=1e-12)
    assert 0 <= minus_log2(u) <= 256 * ONE


@given(U, U)
def test_the_logarithm_falls(u: int, v: int) -> None:
    assert (minus_log2(u) <= minus_log2(v)) >= (u >= v)


@given(
    st.dictionaries(st.binary(min_size=20, max_size=20), st.integers(0, 1 << 64), min_size=1, max_size=8), st.binary()
)
def test_a_ranking_holds_everybody_once_and_those_without_weight_last(weight: dict[bytes, int], seed: bytes) -> None:
    for draw in DRAWS.values():
        order = ranking(seed, weight, draw)
        assert sorted(order) == sorted(weight)
        held = [weight[member] > 0 for member in order]
        assert held == sorted(held, reverse=True)
        assert ranking(seed, dict(reversed(weight.items())), draw) == order


@given(st.lists(st.tuples(*[st.integers(0, 1 << 64)] * 3), min_size=1, max_size=8), st.tuples(*[st.integers(0, 9)] * 3))
def test_weights_sum_to_the_factors_of_the_terms_that_are_not_empty(
    rows: list[tuple[int, int, int]], factors: tuple[int, int, int]
) -> None:
    terms = {bytes([number]): Terms(*row) for number, row in enumerate(rows)}
    found = weights(terms, *factors)
    whole = sum(factor for factor, column in zip(factors, zip(*rows, strict=True), strict=True) if sum(column))
    assert whole * ONE - 3 * len(rows) <= sum(found.values()) <= whole * ONE


def test_the_lottery_is_over_0_to_1() -> None:
    drawn = [uniform(keccak(bytes([number % 256, number // 256])), b"") / (1 << 256) for number in range(2000)]
    assert min(drawn) > 0
    assert max(drawn) <= 1
    assert np.mean(drawn) == pytest.approx(0.5, abs=0.02)
    assert proportional(1 << 256, 1) == 0
