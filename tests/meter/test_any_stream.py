"""Whatever comes to the delivery controller: no more goes through than was demanded, and MicroPython says the same."""

from __future__ import annotations

from controller_cases import Play, Script
from controller_play import play
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.meter import controller
from commonwatt.meter.controller import COUNTS_PER_MWH, Controller, Limits


@st.composite
def streams(draw: st.DrawFn) -> tuple[int, list[tuple[int, int, int]]]:
    """A demand [mWh], and samples of loads that jump, at times as a device has that also signs: (t, mV, mA)."""
    samples, now = [], draw(st.integers(0, 10**9))
    for _ in range(draw(st.integers(2, 60))):
        samples.append((now, draw(st.integers(0, 264_500)), draw(st.integers(0, 16_000))))
        now += draw(st.sampled_from([1, 20, 200, 1000, 3000, 10_000]))
    return draw(st.integers(1, 100_000)), samples


@given(streams())
def test_the_relay_opens_never_short_of_a_demand_and_over_it_by_less_than_one_sample(
    drawn: tuple[int, list[tuple[int, int, int]]],
) -> None:
    mwh, samples = drawn
    box = Controller(Limits(idle_ms=10**9, stuck_ms=0))
    box.demand(1, mwh, samples[-1][0] + 1)
    exact, before, closed = 0, None, False
    for at, mv, ma in samples:
        one = 0
        if closed and before is not None:
            # Twice the area of the trapezoid, in nJ, as integers of any size.
            one = (at - before[0]) * ((before[1] if before[2] else mv * ma) + mv * ma)
        exact += one
        events = box.step(at, mv, ma)
        assert box.state()["counted"] == exact
        if ("relay", False) in events:
            assert mwh * COUNTS_PER_MWH <= exact < mwh * COUNTS_PER_MWH + one
            assert events[1] == ("report", 1, exact // COUNTS_PER_MWH, "delivered")
            return
        before, closed = (at, mv * ma, closed), box.relay
        assert closed
        assert exact < mwh * COUNTS_PER_MWH


FIGURES = st.one_of(st.integers(-600, 270_000), st.sampled_from([None, "nan", 10**6, 230_000, 2_000, 0]))
STEPS = st.one_of(
    st.tuples(st.just("step"), st.integers(0, 400_000), FIGURES, FIGURES).map(list),
    st.tuples(st.just("step"), st.integers(0, 400_000), FIGURES, FIGURES, FIGURES).map(list),
    st.tuples(st.just("good"), st.integers(0, 20_000), st.integers(0, 16_000)).map(list),
    st.tuples(st.just("demand"), st.integers(0, 5), st.integers(-1, 10_000), st.integers(0, 500_000)).map(list),
    st.sampled_from([["acknowledge"], ["keep"], ["restart"]]),
)


def on_time(steps: Script) -> Script:
    """The same with good samples one after the other, as most are."""
    now, script = 0, []
    for step in steps:
        if step[0] == "good":
            now += step[1]
            script.append(["step", now, 230_000, step[2]])
        else:
            script.append(step)
    return script


@given(st.lists(STEPS, max_size=80).map(on_time))
def test_micropython_says_of_any_stream_what_cpython_says(in_micropython: Play, script: Script) -> None:
    assert in_micropython(script) == play(controller, script)


@given(st.lists(STEPS, max_size=80).map(on_time))
def test_whatever_comes_the_relay_is_closed_for_an_open_demand_without_a_fault_only(script: Script) -> None:
    for _, relay, mwh, _, (number, demanded, counted, ended, fault) in play(controller, script):
        assert not relay or (number and not ended and not fault and counted < demanded * COUNTS_PER_MWH)
        assert mwh == counted // COUNTS_PER_MWH
