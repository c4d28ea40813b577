"""The delivery controller: what is demanded goes through and no more, and every case runs in MicroPython too."""

from __future__ import annotations

from typing import Any

import pytest
from controller_cases import DAY, ON, Script, Told, seconds
from controller_play import play

from commonwatt.meter import controller
from commonwatt.meter.controller import Controller, reconnect_in


@pytest.fixture(params=["CPython", "MicroPython"])
def told(request: pytest.FixtureRequest) -> Told:
    """What the controller says to each step of a script, in one of the two."""
    if request.param == "MicroPython":
        run = request.getfixturevalue("in_micropython")
    else:
        run = lambda script: play(controller, script)  # noqa: E731
    return lambda script: [line[0] for line in run(script)]


def test_the_relay_closes_for_a_demand_and_opens_when_it_is_delivered(told: Told) -> None:
    said = told([*seconds(0, 0, 230_000, 0), ["demand", 1, 1000, DAY], *seconds(1, 12)])
    assert said[2] == [["relay", True]]
    # Eight seconds make 1022 mWh, seven 894.
    assert said[10] == [["relay", False], ["report", 1, 1022, "delivered"]]
    assert [each for place, each in enumerate(said) if place not in (2, 10)] == [[]] * 12


def test_without_a_demand_nothing_is_switched_whatever_the_sensor_shows(told: Told) -> None:
    assert told([*seconds(0, 2), *seconds(3, 9, 400_000, 90_000), *seconds(10, 20, None, None)]) == [[]] * 21


def test_a_demand_ends_at_its_time_with_what_it_delivered_until_then(told: Told) -> None:
    said = told([["demand", 1, 1000, 4000], *seconds(0, 6)])
    assert said[1] == [["relay", True]]
    assert said[5] == [["relay", False], ["report", 1, 511, "expired"]]
    assert said[6:] == [[], []]


def test_a_demand_whose_time_is_over_closes_no_relay(told: Told) -> None:
    assert told([*seconds(9, 9), ["demand", 1, 1000, 9000], *seconds(10, 11)])[2:] == [
        [["report", 1, 0, "expired"]],
        [],
    ]


def test_the_same_demand_again_delivers_nothing_twice(told: Told) -> None:
    again = ["demand", 1, 300, DAY]
    said = told([again, *seconds(0, 1), again, *seconds(2, 3), again, *seconds(4, 6)])
    assert [line for line in said if line] == [
        [["relay", True]],
        [["relay", False], ["report", 1, 383, "delivered"]],
        [["report", 1, 383, "delivered"]],
    ]


def test_a_newer_demand_takes_the_place_of_the_one_before_while_the_relay_stays_closed(told: Told) -> None:
    said = told([["demand", 1, 1000, DAY], *seconds(0, 2), ["demand", 3, 200, DAY], *seconds(3, 5)])
    assert said[4] == [["report", 1, 255, "replaced"]]
    assert said[5:7] == [[], [["relay", False], ["report", 3, 255, "delivered"]]]


def test_a_newer_demand_for_nothing_opens_the_relay_at_once(told: Told) -> None:
    said = told([["demand", 1, 1000, DAY], *seconds(0, 2), ["demand", 2, 0, DAY], *seconds(3, 4)])
    assert said[4:] == [[["report", 1, 255, "replaced"], ["relay", False], ["report", 2, 0, "delivered"]], [], []]


@pytest.mark.parametrize(
    ("demand", "why"),
    [
        ([1, 5, DAY], "Demand 1 is older than demand 2, which has taken its place."),
        ([2, 6, DAY], "Demand 2 was for 5 mWh and cannot become one for 6 mWh."),
        ([3, -1, DAY], "A demand is for 0 to 1000000000000 mWh, not -1."),
        ([3, 10**12 + 1, DAY], "A demand is for 0 to 1000000000000 mWh, not 1000000000001."),
        ([0, 5, DAY], "A demand has a number from 1 on, an energy and an end, all of them integers."),
        ([3, "nan", DAY], "A demand has a number from 1 on, an energy and an end, all of them integers."),
        ([True, 5, DAY], "A demand has a number from 1 on, an energy and an end, all of them integers."),
        ([3, 5, None], "A demand has a number from 1 on, an energy and an end, all of them integers."),
    ],
)
def test_a_demand_that_cannot_be_is_refused_and_the_one_before_goes_on(told: Told, demand: list[Any], why: str) -> None:
    said = told([["demand", 2, 5, DAY], *seconds(0, 0), ["demand", *demand], *seconds(1, 1)])
    assert said[2] == [["refused", demand[0], why]]
    assert said[3] == [["relay", False], ["report", 2, 127, "delivered"]]


@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        ((264_501, 2_000), "over-voltage"),
        ((230_000, 16_001), "over-current"),
        ((230_000, 16_001, 460_000), "over-current"),
        ((264_501, None, 460_000), "over-voltage"),
    ],
)
def test_too_much_voltage_or_current_opens_the_relay_at_the_first_sample(
    told: Told, figures: tuple[Any, ...], reason: str
) -> None:
    said = told([["demand", 1, 10**6, DAY], *seconds(0, 1), *seconds(2, 2, *figures), *seconds(3, 9)])
    assert said[3][0] == ["relay", False]
    assert said[3][1][::3] == ["report", reason]
    assert said[4:] == [[]] * 7


def test_as_much_as_the_limits_say_is_carried(told: Told) -> None:
    assert told([["demand", 1, 10**9, DAY], *seconds(0, 5, 264_500, 16_000)])[2:] == [[]] * 5


@pytest.mark.parametrize(
    "figures",
    [
        (None, 2_000),
        (230_000, None),
        ("nan", 2_000),
        (230_000, "nan"),
        (-230_000, 2_000),
        (230_000, -2_000),
        (500_001, 2_000),
        (230_000, 200_001),
        (230_000, True),
        ("230000", 2_000),
        (230_000, 2_000, "nan"),
        (230_000, 2_000, 50_000_001),
        (None, None, -500_001),
        (230_000, 2_000.0),
    ],
)
def test_a_sensor_without_figures_is_a_fault_at_the_third_sample(told: Told, figures: tuple[Any, ...]) -> None:
    script = [["demand", 1, 10**6, DAY], *seconds(0, 2), *seconds(3, 4, *figures), *seconds(5, 5)]
    assert told([*script, *seconds(6, 7, *figures)])[4:] == [[]] * 5
    # Until then the last power is taken to go on: five seconds and three.
    said = told([*script, *seconds(6, 8, *figures), *seconds(9, 9)])
    assert said[9:] == [[["relay", False], ["report", 1, 1022, "sensor fault"]], []]


def test_a_demand_can_be_fulfilled_while_the_sensor_is_silent(told: Told) -> None:
    said = told([["demand", 1, 300, DAY], *seconds(0, 1), *seconds(2, 3, None, None)])
    assert said[3:] == [[], [["relay", False], ["report", 1, 383, "delivered"]]]


def test_power_that_the_sensor_measures_itself_is_what_counts(told: Told) -> None:
    said = told([["demand", 1, 100, DAY], *seconds(0, 9, 230_000, 2_000, 180_000)])
    assert said[3] == [["relay", False], ["report", 1, 100, "delivered"]]
    assert told([["demand", 1, 100, DAY], *seconds(0, 9, None, None, 180_000)]) == said


def test_noise_around_zero_is_no_energy_and_no_fault(told: Told) -> None:
    said = told([["demand", 1, 1, DAY], *seconds(0, 50, 230_000, -2)])
    assert said == [[], [["relay", True]], *[[]] * 50]


def test_no_power_for_a_minute_is_a_load_that_is_not_there(told: Told) -> None:
    idle = [["demand", 1, 10**6, DAY], *seconds(0, 10), *seconds(11, 69, 230_000, 0)]
    assert told([*idle, *seconds(70, 70), *seconds(71, 129, 230_000, 0)])[2:] == [[]] * 129
    said = told([*idle, *seconds(70, 80, 230_000, 0)])
    # The mean with the sample after them counts half a second more than ten.
    assert said[71:] == [[["relay", False], ["report", 1, 1341, "no load"]], *[[]] * 10]


def test_figures_that_never_change_while_power_flows_are_a_sensor_that_stands_still(told: Told) -> None:
    said = told([["demand", 1, 10**6, DAY], *seconds(0, 70)])
    assert [line[-1][-1] for line in said if line] == [True, "sensor stuck"]
    assert said[62][0] == ["relay", False]
    moving = [["step", second * 1000, 230_000 + second % 60 // 59, 2_000] for second in range(200)]
    assert [line for line in told([["demand", 1, 10**6, DAY], *moving]) if line] == [[["relay", True]]]


def test_the_time_without_power_begins_when_the_relay_closes(told: Told) -> None:
    script = [*seconds(0, 100, 230_000, 0), ["demand", 1, 100, DAY], *seconds(101, 150, 230_000, 0), *seconds(151, 153)]
    assert [line for line in told(script) if line] == [
        [["relay", True]],
        [["relay", False], ["report", 1, 191, "delivered"]],
    ]


def test_figures_of_an_earlier_demand_do_not_make_the_sensor_stand_still(told: Told) -> None:
    script = [["demand", 1, 1000, DAY], *seconds(0, 20), *seconds(21, 99, 230_000, 0), ["demand", 2, 1000, DAY]]
    assert told([*script, *seconds(100, 108)])[-1] == [["relay", False], ["report", 2, 1022, "delivered"]]


def test_a_load_that_draws_nothing_for_long_is_no_sensor_that_stands_still(told: Told) -> None:
    patient: Script = [["limits", {"idle_ms": 90_000}], ["demand", 1, 1000, DAY]]
    assert told([*patient, *seconds(0, 0), *seconds(1, 90, 230_000, 0)])[-1] == [
        ["relay", False],
        ["report", 1, 0, "no load"],
    ]


def test_one_sample_without_figures_does_not_hide_a_sensor_that_stands_still(told: Told) -> None:
    said = told([["demand", 1, 10**6, DAY], *seconds(0, 30), *seconds(31, 31, None, None), *seconds(32, 61)])
    assert said[-1][-1][-1] == "sensor stuck"


def test_the_relay_closes_on_a_good_sample_only(told: Told) -> None:
    said = told([["demand", 1, 10**6, DAY], *seconds(0, 1, None, None), *seconds(2, 2)])
    assert said == [[], [], [], [["relay", True]]]


def test_a_sensor_has_three_samples_again_after_its_fault_was_acknowledged(told: Told) -> None:
    silent = [["demand", 1, 10**6, DAY], *seconds(0, 0), *seconds(1, 3, None, None), ["acknowledge"]]
    said = told([*silent, *seconds(4, 6, None, None)])
    assert said[4:] == [
        [["relay", False], ["report", 1, 0, "sensor fault"]],
        [],
        [],
        [],
        [["report", 1, 0, "sensor fault"]],
    ]


def test_samples_too_far_apart_are_a_fault_but_the_length_of_a_signature_is_not(told: Told) -> None:
    demand = ["demand", 1, 10**6, DAY]
    assert told([demand, ["step", 0, *ON], ["step", 3_000, *ON], ["step", 13_000, *ON]])[2:] == [[], []]
    said = told([demand, ["step", 0, *ON], ["step", 10_001, *ON]])
    assert said[2] == [["relay", False], ["report", 1, 1277, "samples too far apart"]]


def test_time_that_goes_back_is_a_sample_without_figures(told: Told) -> None:
    back = [["demand", 1, 10**6, 10**9], ["step", 5_000, *ON], ["step", 6_000, *ON], ["step", 1_000, *ON]]
    assert told([*back, ["step", 2_000, *ON]])[3:] == [[], []]
    said = told([*back, ["step", 900, *ON], ["step", 800, *ON]])
    assert said[5] == [["relay", False], ["report", 1, 127, "sensor fault"]]


def test_a_fault_stays_until_it_is_acknowledged_and_the_demand_then_goes_on(told: Told) -> None:
    faulty = [["demand", 1, 700, DAY], *seconds(0, 2), *seconds(3, 3, 230_000, 17_000)]
    said = told([*faulty, *seconds(4, 9), ["demand", 1, 700, DAY], *seconds(10, 11)])
    assert said[4] == [["relay", False], ["report", 1, 862, "over-current"], ["report", 1, 862, "delivered"]]
    said = told([["demand", 1, 2000, DAY], *faulty[1:], *seconds(4, 9), ["acknowledge"], *seconds(10, 20)])
    assert [line for line in said if line] == [
        [["relay", True]],
        [["relay", False], ["report", 1, 862, "over-current"]],
        [["relay", True]],
        [["relay", False], ["report", 1, 2012, "delivered"]],
    ]


def test_a_newer_demand_does_not_close_the_relay_over_a_fault(told: Told) -> None:
    faulty = [["demand", 1, 10**6, DAY], *seconds(0, 1), *seconds(2, 2, 270_000, 2_000)]
    said = told([*faulty, ["demand", 2, 100, 20_000], *seconds(3, 20)])
    assert said[4][0][::3] == ["report", "replaced"]
    assert said[5:] == [*[[]] * 17, [["report", 2, 0, "expired"]]]


def test_a_fault_that_shows_before_the_relay_closes_keeps_it_open(told: Told) -> None:
    said = told([["demand", 1, 1000, DAY], *seconds(0, 5, 270_000, 0)])
    assert said == [[], [["report", 1, 0, "over-voltage"]], *[[]] * 5]


def test_after_a_restart_the_relay_stays_open_until_the_demand_comes_again_and_delivers_only_the_rest(
    told: Told,
) -> None:
    before = [["demand", 7, 1000, DAY], *seconds(0, 4), ["keep"], *seconds(5, 5), ["restart"]]
    after = [*seconds(0, 3), ["demand", 7, 1000, DAY], *seconds(4, 12)]
    said = told([*before, *after])
    assert said[len(before) : len(before) + 5] == [[]] * 5
    assert [line for line in said[len(before) :] if line] == [
        [["relay", True]],
        [["relay", False], ["report", 7, 1022, "delivered"]],
    ]


@pytest.mark.parametrize("ending", [2000, DAY])
def test_after_a_restart_what_is_over_is_reported_and_not_delivered_again(told: Told, ending: int) -> None:
    script = [["demand", 7, 300, ending], *seconds(0, 4), ["keep"], ["restart"], *seconds(0, 1)]
    said = told([*script, ["demand", 7, 300, ending + DAY], *seconds(2, 9)])
    assert said[len(script)] == [
        ["report", 7, 255 if ending == 2000 else 383, "expired" if ending == 2000 else "delivered"]
    ]
    assert said[len(script) + 1 :] == [[]] * 8


def test_a_fault_outlives_a_restart(told: Told) -> None:
    script = [["demand", 1, 10**6, DAY], *seconds(0, 1), *seconds(2, 2, 270_000, 1), ["keep"], ["restart"]]
    demand = ["demand", 1, 10**6, DAY]
    assert told([*script, demand, *seconds(0, 5)])[len(script) :] == [[]] * 7
    said = told([*script, demand, *seconds(0, 5), ["acknowledge"], *seconds(6, 6)])
    assert said[-1] == [["relay", True]]


def damaged(**changes: object) -> dict[str, object]:
    return {**Controller().state(), **changes}


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ({}, "is not the state"),
        (damaged(more=1), "is not the state"),
        (damaged(number=None), "in the place of an integer"),
        (damaged(counted=1.5), "in the place of an integer"),
        (damaged(mwh=True), "in the place of an integer"),
        (damaged(number=-1), "impossible number"),
        (damaged(mwh=10**12 + 1), "impossible number"),
        (damaged(ended="perhaps"), "unknown end"),
        (damaged(ended=7), "unknown end"),
        (damaged(fault="bad luck"), "unknown fault"),
    ],
)
def test_a_damaged_state_is_refused_and_changes_nothing(state: dict[str, object], why: str) -> None:
    box = Controller()
    box.demand(4, 500, DAY)
    box.step(0, *ON)
    with pytest.raises(ValueError, match=why):
        box.restore(state)
    assert (box.number, box.mwh, box.relay) == (4, 500, True)


def test_a_device_tries_again_every_five_seconds() -> None:
    assert [reconnect_in(now, 1000) for now in (1000, 1001, 5999, 6000, 90_000)] == [5000, 4999, 1, 0, 0]
    assert reconnect_in(0, None) == 0
    assert reconnect_in(0, 500) == 0
