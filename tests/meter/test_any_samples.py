"""Whatever samples come, in whatever order: slots are what the registers say, and nothing is lost or made up."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from register_samples import EVER, MS, RULES, Shown, least, made

from commonwatt.meter.slots import (
    Made,
    Metered,
    Quarantined,
    Rules,
    State,
    Unassigned,
    advance,
)


@st.composite
def histories(draw: st.DrawFn) -> tuple[Rules, list[Shown]]:
    """Two registers that rise as a connection carries, seen at times close together and at times long apart."""
    rules = Rules(40_000, draw(st.sampled_from([60, 900, 3600])), draw(st.sampled_from([0, 7, -1800])))
    at, values = MS + draw(st.integers(0, 2_000_000)), [draw(st.integers(0, 10**9)), draw(st.integers(0, 10**6))]
    samples = []
    for _ in range(draw(st.integers(1, 60))):
        seen = [value if draw(st.integers(0, 9)) else None for value in values]
        samples.append(Shown(at, *seen))
        gap = draw(st.sampled_from([1, 10_000, 59_999, 60_000, 119_000, 120_000, 121_000, 1_800_000, 10_000_000]))
        at += gap
        values = [value + gap * draw(st.sampled_from([0, 1, 577, 40_000])) // 3600 for value in values]
    return rules, samples


def at_boundary(samples: Sequence[Shown], register: str, boundary: int) -> int | None:
    """What a register showed at a boundary [Wh], by its two neighbours alone; None where that is not known."""
    series = [(each.at, value) for each in samples if (value := getattr(each, register)) is not None]
    before = [each for each in series if each[0] <= boundary * 1000]
    after = [each for each in series if each[0] >= boundary * 1000]
    if not before or not after:
        return None
    (left, low), (right, high) = before[-1], after[0]
    if left == right:
        return int(low // 1000)
    if right - left > 120_000 and low != high:
        return None
    return int((low + Fraction((high - low) * (boundary * 1000 - left), right - left)) // 1000)


@given(histories())
def test_every_slot_is_what_its_neighbouring_samples_say_and_no_other_slot_is_made(
    drawn: tuple[Rules, list[Shown]],
) -> None:
    rules, samples = drawn
    first = (samples[0].at // 1000 - rules.offset) // rules.seconds * rules.seconds + rules.offset
    expected = []
    for slot in range(first, samples[-1].at // 1000 + 1, rules.seconds):
        ends = [
            [at_boundary(samples, f"{register}_mwh", boundary) for boundary in (slot, slot + rules.seconds)]
            for register in ("import", "export")
        ]
        if all(value is not None for pair in ends for value in pair):
            expected.append(Metered(slot, *(high - low for low, high in ends)))  # type: ignore[operator]
    assert list(made(samples, rules).slots) == expected


@given(histories())
def test_slots_and_what_no_slot_has_add_up_to_the_registers(drawn: tuple[Rules, list[Shown]]) -> None:
    rules, samples = drawn
    state, found = advance(State.of(rules), samples, rules, EVER)
    assert found.quarantined == ()
    if state.begin is None:
        assert found == Made()
        return
    for register, at_last in zip(("import", "export"), state.wh, strict=True):
        first = next(value for each in samples if (value := getattr(each, f"{register}_mwh")) is not None)
        assert at_last == at_boundary(samples, f"{register}_mwh", state.begin)
        name = {"import": "wh_in", "export": "wh_out"}[register]
        assert sum(getattr(each, name) for each in (*found.slots, *found.unassigned)) == at_last - first // 1000
    spans = [(slot.slot * 1000, (slot.slot + rules.seconds) * 1000) for slot in found.slots]
    spans = sorted(spans + [(each.begin, each.end) for each in found.unassigned])
    assert all(one[1] == two[0] for one, two in pairwise(spans))
    assert least(found) >= 0


@given(histories(), st.randoms(use_true_random=False), st.lists(st.integers(0, 60), max_size=8))
def test_in_whatever_order_and_portions_samples_come_slots_are_the_same(
    drawn: tuple[Rules, list[Shown]], random: Any, cuts: list[int]
) -> None:
    rules, samples = drawn
    state, found = advance(State.of(rules), samples, rules, EVER)
    portions = [samples[low:high] for low, high in zip([0, *sorted(cuts)], [*sorted(cuts), 60], strict=True)]
    kept = State.of(rules)
    slots: list[Metered] = []
    unassigned: list[Unassigned] = []
    for portion in portions:
        random.shuffle(portion)
        now = max((each.at for each in portion), default=MS)
        kept, part = advance(State.from_text(kept.as_text()), [*portion, *portion[:3]], rules, now)
        slots += part.slots
        unassigned += part.unassigned
        assert part.quarantined == ()
    kept, part = advance(kept, [], rules, EVER)
    assert kept == state
    assert (tuple(slots) + part.slots, tuple(unassigned) + part.unassigned) == (found.slots, found.unassigned)


JUNK = st.one_of(
    st.sampled_from([None, True, float("nan"), float("-inf"), "null", "", -1, 0, 2**53, 2**64, 10**18]),
    st.integers(-(10**12), 10**12),
)


@given(st.lists(st.tuples(st.integers(-(10**8), 10**8), JUNK, JUNK), max_size=30), st.integers(-(10**8), 10**8))
def test_no_sample_whatsoever_raises_or_makes_a_slot_of_less_than_nothing(
    drawn: list[tuple[int, Any, Any]], now: int
) -> None:
    samples = [Shown(MS + at, *values) for at, *values in drawn]
    state, found = advance(State.of(RULES), samples, RULES, MS + now)
    assert State.from_text(state.as_text()) == state
    assert least(found) >= 0
    believed = [
        (each.at, value) for each in samples for value in (each.import_mwh, each.export_mwh) if value is not None
    ]
    assert len(found.quarantined) <= len(believed)
    assert all(isinstance(each, Quarantined) and str(each).endswith("; it is set aside.") for each in found.quarantined)
