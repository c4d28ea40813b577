"""From registers to slots: nothing is guessed, nothing is lost, and what cannot be true is set aside."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from register_samples import ALONE, EVER, MS, RULES, SLOT, Shown, made, minutely, reasons, shown

from commonwatt.errors import DataError
from commonwatt.meter.slots import (
    MOST_MWH,
    MOST_WAITING,
    Made,
    Metered,
    State,
    Unassigned,
    advance,
    replace_meter,
)


def test_a_slot_is_the_difference_of_the_registers_at_its_two_boundaries() -> None:
    found = made([shown(0, 5_000_999, 100_000), shown(60, 5_040_000, 100_500), *minutely(15, 16, 5_700_499)])
    assert found.slots == ()
    steady = [shown(minute * 60, 5_000_999 + minute * 40_000, 100_000 + minute * 1_500) for minute in range(31)]
    # Rounded down at each boundary, so that what a slot loses the next one has: 5000.999, 5600.999, 6200.999.
    assert made(steady) == Made((Metered(SLOT, 600, 22), Metered(SLOT + 900, 600, 23)))


def test_between_two_samples_a_register_rises_in_a_straight_line() -> None:
    around = [
        shown(-30, 1_000_000),
        shown(90, 1_120_000),
        *[shown(second, 1_120_000) for second in range(150, 850, 60)],
    ]
    end = [shown(870, 1_150_000), shown(930, 1_210_000)]
    # At the first boundary 1 030 Wh, at the second 1 180.
    assert made([*around, *end], ALONE).slots == (Metered(SLOT, 150, 0),)


@pytest.mark.parametrize(("apart", "known"), [(120, True), (121, False)])
def test_samples_more_than_two_minutes_apart_do_not_say_what_stood_between_them(apart: int, known: bool) -> None:
    steady = minutely(-20, 14)
    last = steady[-1]
    found = made([*steady, Shown(last.at + apart * 1000, last.import_mwh + 6000, 7000)])
    assert [slot.slot for slot in found.slots] == [SLOT - 900, SLOT][: 1 + known]


def test_what_was_counted_while_nobody_looked_is_one_sum_and_no_slot() -> None:
    away = [*minutely(-1, 3), *minutely(48, 61, 9_000_000)]
    found = made(away)
    # From 1 050 Wh at the first boundary to 9 600 at that after twelve minutes; before it, 50 Wh of no whole slot.
    before = Unassigned(MS - 60_000, MS, 50, 0)
    assert found == Made((), (before, Unassigned(MS, MS + 3_600_000, 8_550, 0)))
    later = made([*away, *minutely(62, 75, 9_700_000)])
    assert later.slots == (Metered(SLOT + 3600, 750, 0),)
    assert later.unassigned == found.unassigned


def test_a_register_that_stands_after_a_silence_as_before_it_stood_so_all_the_time() -> None:
    quiet = [shown(0, 500, 7000), shown(3600, 500, 7000)]
    assert made(quiet).slots == tuple(Metered(SLOT + 900 * place, 0, 0) for place in range(4))
    # One that sends nothing until it changes again, beside one that does.
    import_alone = [replace(each, export_mwh=None) for each in minutely(0, 60)]
    night = made([*import_alone, shown(0, None, 7000), shown(3600, None, 7000)])
    assert night.slots == tuple(Metered(SLOT + 900 * place, 750, 0) for place in range(4))
    assert made([*import_alone, shown(0, None, 7000)]) == Made()
    # Of more than a week only the newest slots are made, and the rest is one sum.
    year = made([shown(0, 500, 7000), shown(365 * 86_400, 500, 7000)])
    assert len(year.slots) == MOST_WAITING - 1
    assert year.unassigned == (Unassigned(MS, (SLOT + 365 * 86_400 - 900 * (MOST_WAITING - 1)) * 1000, 0, 0),)


def test_a_value_at_a_boundary_is_known_whatever_lies_before_it() -> None:
    found = made([shown(0, 0), shown(900, 100_000), shown(1800, 250_999), shown(2000, 300_000)], ALONE)
    assert found.slots == (Metered(SLOT, 100, 0), Metered(SLOT + 900, 150, 0))


def test_a_slot_waits_for_the_register_that_comes_later() -> None:
    state, found = advance(State.of(RULES), [replace(each, export_mwh=None) for each in minutely(0, 40)], RULES, EVER)
    assert found == Made()
    exports = [shown(60 * minute + 30, None, 90_000 + 1000 * minute) for minute in range(-1, 20)]
    state, found = advance(state, exports, RULES, EVER)
    assert found == Made((Metered(SLOT, 750, 15),), (Unassigned(MS - 30_000, MS, 0, 0),))
    assert advance(state, [shown(1801, None, 200_000)], RULES, EVER)[1].slots == ()


def test_a_register_waits_for_the_other_for_a_week() -> None:
    state, _ = advance(State.of(RULES), [replace(each, export_mwh=None) for each in minutely(0, 15 * 800)], RULES, EVER)
    assert len(state.series[0].boundaries) == MOST_WAITING
    found = advance(state, [shown(0, None, 0), shown(900 * 800, None, 0)], RULES, EVER)[1]
    assert len(found.slots) == MOST_WAITING - 1
    assert [each.wh_in for each in found.unassigned] == [750 * (801 - MOST_WAITING)]


def test_a_meter_with_one_register_counts_nothing_in_the_other() -> None:
    samples = minutely(0, 15)
    assert made(samples, ALONE).slots == (Metered(SLOT, 750, 0),)
    feeding = replace(RULES, registers=("export",))
    assert made([replace(each, export_mwh=each.import_mwh) for each in samples], feeding).slots == (
        Metered(SLOT, 0, 750),
    )


def test_slots_stand_where_the_community_has_them() -> None:
    rules = replace(RULES, seconds=3600, offset=-1800)
    assert made(minutely(-40, 40), rules).slots == (Metered(SLOT - 1800, 3000, 0),)


IMPOSSIBLE = [
    (float("nan"), "nan", "is no whole number"),
    (float("inf"), "inf", "is no whole number"),
    ("1100000", "'1100000'", "is no whole number"),
    (True, "True", "is no whole number"),
    (1_100_000.0, "1100000.0", "is no whole number"),
    (-1, -1, "is below zero"),
    (MOST_MWH + 1, MOST_MWH + 1, "is more than a register shows"),
    (2**64, 2**64, "is more than a register shows"),
    (0, 0, "is zero after a higher value"),
    (900, 900, "is little after much, as if it counted from zero again"),
    (1_349_999, 1_349_999, "is lower than before"),
    (
        1_350_000 + 40_000 * 70_000 // 3600 + 1001,
        2_128_778,
        "is more than the connection carries since the value before",
    ),
]


@pytest.mark.parametrize(("value", "kept", "reason"), IMPOSSIBLE)
def test_a_sample_with_a_value_that_cannot_be_is_set_aside_and_changes_nothing_else(
    value: Any, kept: object, reason: str
) -> None:
    good = minutely(0, 31)
    found = made([*good[:8], shown(8 * 60, value, 7000), *good[9:]])
    assert reasons(found) == [
        ("import", kept, reason),
        ("export", 7000, "stands beside a value of the other register that cannot be"),
    ]
    assert [each.at for each in found.quarantined] == [MS + 480_000] * 2
    assert str(found.quarantined[0]).startswith(f"The import register shows {kept} mWh, which ")
    assert replace(found, quarantined=()) == made([*good[:8], *good[9:]])


def test_what_the_connection_can_just_carry_is_believed() -> None:
    good = minutely(0, 7)
    carried = 1_350_000 + 40_000 * 70_000 // 3600 + 1000
    found = made([*good, shown(480, carried, 7000), shown(1000, carried, 7000)])
    assert found.quarantined == ()
    assert found.slots == (Metered(SLOT, carried // 1000 - 1000, 0),)


def test_after_a_reset_every_value_is_set_aside_until_somebody_says_what_happened() -> None:
    state, _ = advance(State.of(RULES), minutely(0, 10), RULES, EVER)
    new = [replace(each, export_mwh=9_999) for each in minutely(11, 31, 2_000)]
    again, found = advance(state, new, RULES, EVER)
    assert [each.reason for each in found.quarantined if each.register == "import"] == [
        "is little after much, as if it counted from zero again"
    ] * 21
    assert found.slots == ()
    replaced, _ = replace_meter(again, RULES, MS + 650_000, (2_000, 9_999), (1_540_000, 7000))
    found = advance(replaced, new, RULES, EVER)[1]
    assert found.quarantined == ()
    # The old one counted 540 Wh, and the new one 200 until minute 15 and 950 until minute 30.
    assert found.slots == (Metered(SLOT, 740, 0), Metered(SLOT + 900, 750, 0))


def test_a_meter_may_be_replaced_without_a_last_value_of_the_old_one() -> None:
    state, _ = advance(State.of(ALONE), minutely(0, 10), ALONE, EVER)
    state, found = replace_meter(state, ALONE, MS + 630_000, (50,))
    assert found == Made()
    near = advance(state, minutely(11, 16, 50), ALONE, EVER)[1]
    assert near.slots == (Metered(SLOT, 700, 0),)
    # From then on it is a meter like any other.
    quiet = [*minutely(11, 16, 50), shown(2700, 250_050)]
    assert [slot.wh_in for slot in advance(state, quiet, ALONE, EVER)[1].slots] == [700, 50, 0]
    # A silence between the two is none in which nothing can have been counted.
    far = advance(state, minutely(17, 31, 50), ALONE, EVER)[1]
    assert far == Made((), (Unassigned(MS, MS + 1_800_000, 1150, 0),))


def test_a_new_meter_that_has_counted_nothing_yet_says_so_for_the_time_since_the_old_one_ended() -> None:
    state, _ = advance(State.of(ALONE), minutely(0, 10), ALONE, EVER)
    state, _ = replace_meter(state, ALONE, MS + 600_000, (50,), (1_500_000,))
    found = advance(state, [shown(1800, 50)], ALONE, EVER)[1]
    assert found.slots == (Metered(SLOT, 500, 0), Metered(SLOT + 900, 0, 0))


def test_what_an_old_meter_is_said_to_have_shown_is_doubted_too() -> None:
    state, _ = advance(State.of(ALONE), minutely(0, 10), ALONE, EVER)
    state, found = replace_meter(state, ALONE, MS + 630_000, (50,), (900_000_000,))
    assert reasons(found) == [("import", 900_000_000, "is more than the connection carries since the value before")]
    assert advance(state, minutely(11, 16, 50), ALONE, EVER)[1].slots == (Metered(SLOT, 700, 0),)


def test_a_meter_is_replaced_after_what_it_counted_and_with_all_its_registers() -> None:
    state, _ = advance(State.of(RULES), minutely(0, 10), RULES, EVER)
    with pytest.raises(DataError, match="before the last sample that was counted; name a later instant"):
        replace_meter(state, RULES, MS + 599_999, (0, 0))
    for starts, ended in [((0,), None), ((0, 0), (1,)), ((0, -1), None), ((0, 0), ()), ((0, 0), (1, 2**60))]:
        with pytest.raises(DataError, match=r"one value \[mWh\] for each of its registers: import, export"):
            replace_meter(state, RULES, MS + 700_000, starts, ended)


def test_samples_are_put_in_order_while_they_are_held_and_late_ones_are_set_aside() -> None:
    state, found = advance(State.of(ALONE), [shown(20, 1020), shown(5, 1005), shown(20, 1020)], ALONE, MS + 25_000)
    assert len(state.held) == 1
    state, found = advance(state, [shown(19, 1019), shown(21, 1021)], ALONE, MS + 40_000)
    assert found.quarantined == ()
    assert state.series[0].mwh == 1021
    state, found = advance(state, [shown(20.5, 1020)], ALONE, MS + 41_000)
    assert reasons(found) == [("import", 1020, "comes after newer ones were counted")]


def test_what_is_set_aside_is_told_by_time() -> None:
    found = made([shown(60, 1_000_000), shown(180, 10), shown(240, -1), shown(120, "x"), shown(300, MOST_MWH)], ALONE)
    assert reasons(found) == [
        ("import", "'x'", "is no whole number"),
        ("import", 10, "is little after much, as if it counted from zero again"),
        ("import", -1, "is below zero"),
        ("import", MOST_MWH, "is more than the connection carries since the value before"),
    ]


def test_the_same_sample_again_is_no_news_and_another_value_at_its_instant_is_set_aside() -> None:
    state, _ = advance(State.of(ALONE), minutely(0, 3), ALONE, EVER)
    assert advance(state, minutely(3, 3, 1_150_000), ALONE, EVER) == (state, Made())
    after, found = advance(state, [shown(180, 1_150_001)], ALONE, EVER)
    assert after == state
    assert reasons(found) == [("import", 1_150_001, "is another value than that of the same instant")]


def test_a_sample_of_the_future_is_set_aside_and_one_a_little_ahead_waits() -> None:
    now = MS + 60_000
    state, found = advance(State.of(ALONE), [shown(0, 1000), shown(180, 1010), shown(180.001, 1011)], ALONE, now)
    assert reasons(found) == [("import", 1011, "is of an instant in the future")]
    assert state.series[0].mwh == 1000
    assert advance(state, [shown(100, 1005)], ALONE, EVER)[0].series[0].mwh == 1010


def test_a_state_goes_on_from_its_text_and_a_damaged_one_is_refused() -> None:
    state, _ = advance(State.of(RULES), minutely(0, 20), RULES, MS + 1_210_000)
    assert State.from_text(state.as_text()) == state
    for text in ("", "{}", "null", state.as_text()[:-1], state.as_text().replace(f'"at":{MS + 1_200_000}', '"at":1.5')):
        with pytest.raises(DataError, match="cannot be read; begin it anew"):
            State.from_text(text)
    with pytest.raises(DataError, match="is of others than it has now"):
        advance(state, [], ALONE, EVER)
