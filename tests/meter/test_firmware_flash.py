"""What a meter keeps: it survives a power cut at any point, and the ring of readings is bounded."""

from __future__ import annotations

from pathlib import Path

import pytest
from firmware_cases import Errands, needs_micropython
from hypothesis import given
from hypothesis import strategies as st

pytestmark = needs_micropython


@pytest.fixture
def flash(errands: Errands, tmp_path: Path) -> Path:
    errands.ask("flash.Flash", str(tmp_path), 5, keep="flash")
    return tmp_path


def waiting(errands: Errands) -> list[int]:
    found: list[int] = errands.ask("@flash.oldest", 100)
    return found


def test_readings_wait_in_the_order_of_their_numbers_and_the_oldest_go_first(errands: Errands, flash: Path) -> None:
    for number in range(1, 13):
        errands.ask("@flash.put", number, f'{{"sequence": {number}}}')
    assert waiting(errands) == [8, 9, 10, 11, 12]
    assert errands.ask("@flash.get", 9) == '{"sequence": 9}'
    assert sorted(path.name for path in (flash / "outbox").iterdir()) == ["10", "11", "12", "8", "9"]


def test_after_a_power_cut_the_same_readings_wait(errands: Errands, flash: Path) -> None:
    for number in (7, 9, 10):
        errands.ask("@flash.put", number, "{}")
    (flash / "outbox" / "11.new").write_bytes(b'{"sequ')
    errands.ask("flash.Flash", str(flash), 5, keep="flash")
    assert waiting(errands) == [7, 9, 10]
    errands.ask("@flash.put", 11, "{}")
    assert waiting(errands) == [7, 9, 10, 11]


@given(st.sets(st.integers(1, 9)), st.integers(0, 10), st.sets(st.integers(1, 12)))
def test_what_is_acknowledged_or_refused_waits_no_longer(
    errands: Errands, tmp_path_factory: pytest.TempPathFactory, numbers: set[int], upto: int, refused: set[int]
) -> None:
    folder = tmp_path_factory.mktemp("flash")
    errands.ask("flash.Flash", str(folder), 100, keep="flash")
    for number in sorted(numbers):
        errands.ask("@flash.put", number, "{}")
    errands.ask("@flash.drop", upto, sorted(refused))
    left = sorted(number for number in numbers if number > upto and number not in refused)
    assert waiting(errands) == left
    errands.ask("flash.Flash", str(folder), 100, keep="flash")
    assert waiting(errands) == left


def test_a_secret_is_made_once(errands: Errands, flash: Path) -> None:
    made = errands.ask("@flash.secret", "@os.urandom")
    assert (flash / "secret").read_bytes().hex() == made.removeprefix("0x")
    errands.ask("flash.Flash", str(flash), 5, keep="flash")
    assert errands.ask("@flash.secret", "@os.urandom") == made


def test_a_state_that_cannot_be_read_is_not_taken_for_none(errands: Errands, flash: Path) -> None:
    assert errands.ask("@flash.state") == {}
    errands.ask("@flash.save", {"sequence": 3})
    assert errands.ask("@flash.state") == {"sequence": 3}
    (flash / "state.json.new").write_bytes(b'{"sequence"')
    assert errands.ask("@flash.state") == {"sequence": 3}
    (flash / "state.json").write_bytes(b'{"sequence"')
    with pytest.raises(ValueError, match="JSON"):
        errands.ask("@flash.state")
