"""Every attack on the contracts is carried out, and stopped by what happened."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from commonwatt.study import attacks as played
from commonwatt.study.attacks import attacks
from commonwatt.study.cheat import START
from commonwatt.study.scene import Stage, stages


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[Stage, Stage]]:
    with stages("attacks.toml", START) as found:
        yield found


def test_every_attack_is_stopped() -> None:
    found = list(attacks(START))
    assert len({each.attack for each in found}) == len(found) == 16
    assert {each.by for each in found} == {"quorum", "operator", "seller", "accomplice"}
    assert [each.attack for each in found if not each.stopped] == []


def test_an_honest_post_is_not_deleted_so_that_stopped_means_something(both: tuple[Stage, Stage]) -> None:
    for stage in both:
        for member in range(5):
            with stage.scene() as scene:
                assert not scene.objected(scene.honest, member)
                assert scene.posted(scene.honest.post)


def test_an_attack_that_the_member_does_not_look_at_succeeds(
    both: tuple[Stage, Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("commonwatt.study.scene.faults", lambda *_: [])
    monkeypatch.setattr("commonwatt.study.attacks.Contracts", lambda *_: None)
    for attack, stage in ((played._other_sums, both[0]), (played._newcomer_in_a_revision, both[1])):
        with stage.scene() as scene:
            assert not attack(scene)
            posted = scene.client.announced(scene.honest.post.slot, scene.honest.post.revision)
            assert posted is not None
            assert scene.posted(posted)
    with both[0].scene() as scene:
        assert not played._back_door(scene)
