"""What is asked for on the shell and cannot be: one sentence before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from shell import Shell

FIVE_HOMES = Path(__file__).parents[1] / "examples" / "five-homes.toml"
Refused = Callable[..., str]
"""(exit code, *arguments) to what stands on stderr."""


@pytest.fixture
def refused(said: Shell) -> Refused:
    def run(code: int, *arguments: object) -> str:
        told = said(*arguments)
        assert (told.code, told.out) == (code, ""), told
        return told.err

    return run


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("bench", "day", "--homes", "0"), "homes: is 1 or more, not 0"),
        (("bench", "day", "--homes", "-1"), "homes: is 1 or more, not -1"),
        (("clear", "fixed", "x.csv", "--param", "price"), "--param: is given as key=value, not 'price'"),
        (("clear", "fixed", "x.csv", "--param", "=1"), "--param: is given as key=value, not '=1'"),
        (("clear", "fixed", "x.csv", "--param", "price=1", "--param", "price=2"), "--param price: is given twice"),
        (("bench", "day", "--homes", "1.9"), "homes: is a whole number, not '1.9'"),
        (("simulate", FIVE_HOMES, "--days", "1.5"), "days: is a whole number, not '1.5'"),
        (("compare", FIVE_HOMES, "--days", "1.5"), "days: is a whole number, not '1.5'"),
        (("simulate", FIVE_HOMES, "--days", "-1"), "days: is from 1 to 36525, not -1"),
    ],
)
def test_numbers_are_not_rounded(refused: Refused, arguments: tuple[object, ...], sentence: str) -> None:
    assert sentence in refused(2, *arguments)


@pytest.mark.parametrize(
    "command", [("simulate", FIVE_HOMES), ("demo",), ("study", "saini"), ("bench", "day"), ("data",)]
)
def test_figures_that_cannot_be_written_stop_a_run_before_it(
    refused: Refused, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: tuple[object, ...]
) -> None:
    monkeypatch.setattr("commonwatt.simulation.api.simulate", lambda *_, **__: pytest.fail("it was run"))
    assert refused(9, *command, "--json", tmp_path / "no" / "x.json").endswith(
        "cannot be written: No such file or directory.\n"
    )
    assert "cannot be written: Is a directory." in refused(9, *command, "--json", tmp_path)


def test_asking_leaves_no_file_and_harms_none(refused: Refused, tmp_path: Path) -> None:
    kept, new = tmp_path / "kept.json", tmp_path / "new.json"
    kept.write_text("{}")
    for path in (kept, new):
        refused(2, "bench", "day", "--homes", "0", "--json", path)
    assert kept.read_text() == "{}"
    assert not new.exists()


def test_outputs_that_cannot_be_written_end_in_a_sentence(
    refused: Refused, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path / "report.html"))

    monkeypatch.setattr("commonwatt.report.outputs.write_outputs", full)
    said = refused(9, "simulate", FIVE_HOMES, "--ledger", "none", "--out", tmp_path / "out")
    assert said.splitlines()[-1] == f"{tmp_path / 'report.html'} cannot be used: No space left on device."


def test_an_interrupted_run_says_that_it_goes_on(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("commonwatt.simulation.api.simulate", interrupted)
    assert refused(130, "simulate", FIVE_HOMES).endswith("Interrupted; a run with --out goes on from here.\n")
