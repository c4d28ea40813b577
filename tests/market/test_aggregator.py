import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from commonwatt.errors import MarketError
from commonwatt.market.schedule.aggregator import Aggregator, Coupling

CASE = Path(__file__).parent / "cases/schedule-aggregator"
SCALE = 10**9


def case() -> Iterator[dict[str, Any]]:
    return (json.loads((CASE / name).read_text(encoding="utf-8")) for name in ("input.json", "expected.json"))


def step(coupling: Coupling, curvature: int, others: int) -> int:
    """An agent's own step, cut towards zero as integers of a contract are."""
    value = coupling.penalty * (coupling.total - others) - coupling.multiplier
    return (abs(value) // (curvature + coupling.penalty)) * (1 if value >= 0 else -1)


def test_the_aggregator_of_the_public_code() -> None:
    given, expected = case()
    of_x, of_z = given.pop("curvatures")
    aggregator: Aggregator[int, Coupling] = Aggregator([0, 1], Coupling(**given))
    residuals, z = [], 0
    while not aggregator.state.solved:
        now = aggregator.iteration
        x = step(aggregator.state, of_x, z)
        aggregator.submit(0, x, now)
        z = step(aggregator.state, of_z, aggregator.values[0])
        aggregator.submit(1, z, now)
        assert aggregator.state.primal is not None
        residuals.append(aggregator.state.primal)
    assert len(residuals) == expected["iterations"]
    assert residuals[:2] == expected["first_residuals"]
    assert residuals[-1] == expected["last_residual"]
    assert all(abs(2 * after - before) <= 2 for before, after in pairwise(residuals))
    assert x / SCALE == pytest.approx(expected["x"], abs=5e-4)
    assert z / SCALE == pytest.approx(expected["z"], abs=5e-4)


def aggregator() -> Aggregator[int, Coupling]:
    return Aggregator([0, 1, 2], Coupling(total=9, penalty=1, tolerance=1))


def test_a_round_ends_when_nobody_is_missing() -> None:
    market = aggregator()
    market.submit(2, 3, 1)
    market.submit(0, 3, 1)
    assert (set(market.waiting), market.iteration, market.state.primal) == ({1}, 1, None)
    market.submit(1, 2, 1)
    assert (set(market.waiting), market.iteration, market.state.primal) == ({0, 1, 2}, 2, 1)
    assert market.state.multiplier == -1


@pytest.mark.parametrize(
    ("member", "iteration", "sentence"),
    [
        (7, 1, "Member 7 is not on the aggregator's list"),
        (1, 2, "sent a value for round 2; this is round 1"),
        (0, 1, "Member 0 has sent its value in round 1 already"),
    ],
)
def test_what_is_not_asked_for_is_refused_and_changes_nothing(member: int, iteration: int, sentence: str) -> None:
    market = aggregator()
    market.submit(0, 3, 1)
    with pytest.raises(MarketError, match=sentence):
        market.submit(member, 3, iteration)
    assert market.values == {0: 3}


def test_nothing_is_taken_when_all_is_solved() -> None:
    market = aggregator()
    for iteration in (1, 2):
        for member in range(3):
            market.submit(member, 3, iteration)
    assert market.state.solved
    with pytest.raises(MarketError, match="is solved"):
        market.submit(0, 3, 3)
