"""The day with a dishonest operator."""

from __future__ import annotations

from commonwatt.study.cheat import Step, run, summary


def test_the_home_finds_both_lies_is_paid_and_the_day_ends_as_an_honest_one() -> None:
    told: list[Step] = []
    found = run(told.append)
    assert tuple(told) == found.steps
    assert found.settled_right
    assert (found.rewards, found.bond_lost) == (1_500_000, 3_000_000)
    assert [step.who for step in found.steps].count("chain") == 2
    assert any("challengeCommitted" in step.says for step in found.steps)
    assert any("AnswerPending" in step.says for step in found.steps)
    assert 0 < max(step.gas for step in found.steps) <= 400_000
    assert "the same as on an honest day" in summary(found)
    assert f"{len(found.attacks)} of {len(found.attacks)} attacks were stopped" in summary(found)
    assert [attack.by for attack in found.attacks].count("operator") == 5
    assert found.all_stopped
    # Nobody but the operator has paid for it.
    assert sum(found.balances) == sum(found.honest)
