"""When a process that is watched over is started again, and what is told of it."""

from __future__ import annotations

from commonwatt.service.health import Health, Patience, State, Told

PATIENCE = Patience(first=1, most=5, steady=60, start=30, silence=20)


def test_pauses_double_up_to_the_most_and_begin_anew_after_a_steady_life() -> None:
    health, now = Health("chain", PATIENCE, 0), 0.0
    assert health.told == Told("chain", State.STOPPED, 0, 0, None)
    pauses = []
    for lived in (1, 59, 2, 3, 4, 60, 1):
        health.started(now)
        now += lived
        pauses.append(health.ended(now, -9))
    assert pauses == [1, 2, 4, 5, 5, 1, 2]
    assert health.told == Told("chain", State.WAITING, now, 7, -9)


def test_who_has_not_answered_since_its_start_for_too_long_is_given_up() -> None:
    health = Health("chain", PATIENCE, 0)
    health.started(10)
    assert [health.unheard(now) for now in (10, 40, 41)] == [False, False, True]
    assert (health.told.state, health.told.since) == (State.STARTING, 10)


def test_who_falls_silent_is_told_of_at_once_and_given_up_later() -> None:
    health = Health("chain", PATIENCE, 0)
    health.started(0)
    health.answered(5)
    assert (health.told.state, health.told.since) == (State.RUNNING, 5)
    assert not health.unheard(15)
    assert (health.told.state, health.told.since) == (State.SILENT, 15)
    health.answered(20)
    assert (health.told.state, health.told.since) == (State.RUNNING, 20)
    assert [health.unheard(now) for now in (30, 40, 41)] == [False, False, True]


def test_who_was_stopped_is_not_counted_as_dead() -> None:
    health = Health("chain", PATIENCE, 0)
    health.stopped(1, None)
    assert health.told == Told("chain", State.STOPPED, 1, 0, None)
    health.started(2)
    health.stopped(3, 0)
    assert health.told == Told("chain", State.STOPPED, 3, 1, 0)
