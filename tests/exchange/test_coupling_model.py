"""Both or neither, whatever happens in which order; and each rule is needed."""

from __future__ import annotations

from itertools import product

import pytest
from coupling_model import Model, Setting

from commonwatt.exchange.swap import Rule

BOTH, NEITHER = (True, True), (False, False)
SIDES = "", "a", "b"


@pytest.mark.parametrize(("faulty", "demanded"), list(product(SIDES, SIDES)))
def test_both_or_neither_whichever_post_is_at_fault(faulty: str, demanded: str) -> None:
    ends, states = Model(Setting(faulty=faulty, demanded=demanded)).outcomes()
    assert ends == {BOTH, NEITHER}
    assert states > 400


@pytest.mark.parametrize(
    "setting", [Setting(empty="a"), Setting(empty="b"), Setting(same_lock=False), Setting(longer=1)]
)
def test_what_can_come_to_half_is_not_begun(setting: Setting) -> None:
    assert Model(setting).outcomes()[0] == {NEITHER}


NEEDED = {
    Rule.SAME_LOCK: Setting(same_lock=False),
    Rule.A_LASTS: Setting(longer=0),
    Rule.WINDOWS: Setting(faulty="a"),
    Rule.ANSWERED: Setting(demanded="a"),
    Rule.COVERED: Setting(empty="a"),
    Rule.IN_TIME: Setting(),
}


@pytest.mark.parametrize("rule", list(Rule))
def test_each_rule_left_out_gives_a_half(rule: Rule) -> None:
    kept, _ = Model(NEEDED[rule]).outcomes()
    assert kept <= {BOTH, NEITHER}
    left_out, _ = Model(NEEDED[rule], without={rule}).outcomes()
    assert left_out - {BOTH, NEITHER}


def test_a_window_of_b_matters_as_much() -> None:
    """B's transaction fails where its window is open, and the key is out."""
    ends, _ = Model(Setting(), without={Rule.WINDOWS}).outcomes()
    assert (True, False) in ends


@pytest.mark.parametrize(
    ("setting", "half"),
    [
        (Setting(awake=False), (False, True)),
        (Setting(withdrawing=True), (False, True)),
        (Setting(faulty="a", late=True), (False, True)),
        (Setting(faulty="b", late=True), (True, False)),
    ],
)
def test_what_no_rule_of_the_gateway_stops(setting: Setting, half: tuple[bool, bool]) -> None:
    """Somebody in A sleeps; money can leave while a post waits; a fault is proved when the window is over."""
    assert Model(setting).outcomes()[0] == {BOTH, NEITHER, half}
