"""Registers become slots in the firmware: they add up, and what was not seen at a boundary is in none."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from firmware_cases import Errands, needs_micropython
from hypothesis import given
from hypothesis import strategies as st
from profiles import dear

pytestmark = needs_micropython

SECONDS, OFFSET, FIRST = 900, 300, 1_796_000_000
Sample = tuple[int, int, int]
# Between two samples: time [ms], and what both registers gain [mWh].
STEPS = st.tuples(st.integers(1, 120_000), st.integers(0, 900_000), st.integers(0, 900_000))


def samples_of(steps: list[Sample]) -> list[Sample]:
    columns = (itertools.accumulate(column) for column in zip((FIRST * 1000, 0, 0), *steps, strict=True))
    return list(zip(*columns, strict=True))


def slots(errands: Errands, samples: list[Sample], state: Any = None, seconds: int = SECONDS) -> list[list[int]]:
    """What a run of samples gives; its state is kept as `@slots`."""
    errands.ask("slots.Slots", seconds, OFFSET, state, keep="slots")
    found: list[list[int]] = errands.ask("cut", "@slots", samples)
    return found


@given(st.lists(STEPS, min_size=1, max_size=80), st.sampled_from([2, 60, 900]))
def test_slots_add_up_to_the_register_between_their_boundaries(
    errands: Errands, steps: list[Sample], seconds: int
) -> None:
    samples = samples_of(steps)
    found = slots(errands, samples, seconds=seconds)
    ends = [at for at in range(FIRST + 1, samples[-1][0] // 1000 + 1) if (at - OFFSET) % seconds == 0]
    assert [start for start, _, _ in found] == ends[:-1]
    for register in (1, 2):
        assert all(slot[register] >= 0 for slot in found)
        if found:
            passed = value_at(samples, ends[-1], register) - value_at(samples, ends[0], register)
            assert sum(slot[register] for slot in found) == passed


def value_at(samples: list[Sample], second: int, register: int) -> int:
    """The register [Wh] at a second, on the line between the samples around it."""
    for one, two in itertools.pairwise(samples):
        if one[0] < second * 1000 <= two[0]:
            gained = (two[register] - one[register]) * (second * 1000 - one[0]) // (two[0] - one[0])
            return (one[register] + gained) // 1000
    raise AssertionError(second)


@given(st.lists(STEPS, min_size=2, max_size=60), st.data())
@dear(2)
def test_a_reboot_between_samples_changes_nothing(errands: Errands, steps: list[Sample], data: st.DataObject) -> None:
    samples = samples_of(steps)
    cut = data.draw(st.integers(0, len(samples)))
    whole = slots(errands, samples)
    before = slots(errands, samples[:cut])
    assert before + slots(errands, samples[cut:], errands.ask("@slots.state")) == whole


def test_a_slot_whose_boundary_was_not_seen_is_left_out_with_both_neighbours(errands: Errands) -> None:
    start = FIRST - (FIRST - OFFSET) % SECONDS
    seen = [((start + second) * 1000, second * 10, 0) for second in range(-60, 5 * SECONDS + 60, 60)]
    missed = [sample for sample in seen if not start + 1790 <= sample[0] // 1000 <= start + 1990]
    assert [slot[0] - start for slot in slots(errands, seen)] == [SECONDS * slot for slot in range(5)]
    assert [slot[0] - start for slot in slots(errands, missed)] == [0, 2700, 3600]


@pytest.mark.parametrize(("gap", "count"), [(120_000, 1), (120_001, 0)])
def test_samples_two_minutes_apart_are_the_furthest_that_say_what_lay_between(
    errands: Errands, gap: int, count: int
) -> None:
    start = (FIRST - (FIRST - OFFSET) % SECONDS) * 1000
    times = [*range(start, start + 840_000, 60_000), start + 840_000, start + 840_000 + gap]
    assert len(slots(errands, [(start - 1, 0, 0), *((at, 0, 0) for at in times)])) == count


@given(st.lists(st.tuples(st.integers(-119_999, 400_000), st.integers(0, 9_000), st.integers(0, 9_000)), max_size=80))
def test_while_the_clock_jumps_by_less_than_two_minutes_no_slot_comes_twice_or_is_negative(
    errands: Errands, steps: list[Sample]
) -> None:
    samples = samples_of(steps)
    latest = itertools.accumulate((at for at, _, _ in samples), max)
    found = slots(
        errands, [sample for sample, at in zip(samples, latest, strict=True) if sample[0] > at - 120_000], seconds=60
    )
    starts = [start for start, _, _ in found]
    assert starts == sorted(set(starts))
    assert all(wh_in >= 0 and wh_out >= 0 for _, wh_in, wh_out in found)
    assert all(start % 60 == OFFSET % 60 for start in starts)


def test_slots_of_a_clock_that_was_wrong_come_again_when_it_is_put_right(errands: Errands) -> None:
    start = FIRST - (FIRST - OFFSET) % SECONDS
    seen = [(at * 1000, 0, 0) for at in range(start + 86_400 - 60, start + 86_400 + 2 * SECONDS + 60, 60)]
    right = [(at * 1000, 0, 0) for at in range(start - 60, start + 86_400 + 2 * SECONDS + 60, 60)]
    found = [slot[0] for slot in slots(errands, [*seen, *right])]
    assert found[:2] == [start + 86_400, start + 86_400 + SECONDS]
    assert found[2:] == list(range(start, start + 86_400 + 2 * SECONDS, SECONDS))


def test_what_was_made_before_is_not_made_again(errands: Errands) -> None:
    start = FIRST - (FIRST - OFFSET) % SECONDS
    samples = [((start + second) * 1000, second, 0) for second in range(-60, 3 * SECONDS + 60, 60)]
    errands.ask("slots.Slots", SECONDS, OFFSET, None, keep="slots")
    errands.ask("@slots.made", start + SECONDS)
    assert [slot[0] for slot in errands.ask("cut", "@slots", samples)] == [start + 2 * SECONDS]
