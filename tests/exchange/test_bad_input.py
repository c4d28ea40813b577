"""What a person may get wrong, from the shell: one clear sentence, an exit code, and nothing good is harmed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from exchange_cases import COMMUNITY, SOURCE, START, Forks, written


class Said(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


Shell = Callable[..., Said]


@pytest.fixture(scope="module")
def shell(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """The command line, in a process of its own for each command."""
    said = tmp_path_factory.mktemp("shell") / "said"

    def run(*arguments: object) -> Said:
        code = forks({"shell": list(map(str, arguments)), "said": str(said)})["code"]
        return Said(code, said.with_suffix(".1").read_text(), said.with_suffix(".2").read_text())

    return run


@pytest.fixture(scope="module")
def refused(shell: Shell) -> Callable[..., str]:
    """What the command line says when it refuses; its exit code must be the first argument."""

    def run(code: int, *arguments: object) -> str:
        said = shell(*arguments)
        assert said.returncode == code, said
        assert "Traceback" not in said.stderr
        assert said.stdout == ""
        assert said.stderr.strip()
        return said.stderr

    return run


Refused = Callable[..., str]


def fingerprints(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished run, without what a reader that still has it open keeps beside its files."""
    beside = shutil.ignore_patterns("*-wal", "*-shm")
    return Path(shutil.copytree(finished, tmp_path / "out", ignore=beside))


BROKEN = {
    "broken TOML": (COMMUNITY.replace('name = "Five homes"', 'name = "Five homes'), "line 3"),
    "an unknown mechanism": (COMMUNITY.replace('"sdr"', '"sdrr"'), "There is no mechanism 'sdrr'; did you mean 'sdr'?"),
    "a parameter that the mechanism has not": (
        COMMUNITY.replace('price = "0.20"', 'prize = "0.20"'), "prize: is not a parameter of fixed",
    ),
    "a negative capacity": (COMMUNITY.replace("kwh = 5", "kwh = -5"), "members.sun.battery.kwh"),
    "a member twice": (COMMUNITY + 'sun = { load = "simbench:H0-A" }\n', "sun"),
    "an unknown profile": (COMMUNITY.replace("H0-L", "H0-Z"), "simbench:H0-Z"),
    "an unknown key": (COMMUNITY.replace("slot =", "slots ="), "community.slots"),
    "an unknown grid": (COMMUNITY + '[grid]\nnetwork = "simbench:rural9"\n', "rural9"),
    "a meter file that is not there": (
        COMMUNITY.replace("[community]", '[community]\nprofiles = "mine.csv"'), "there is no such file",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_a_wrong_community_file_is_told_what_is_wrong(refused: Refused, what: str, out: Path) -> None:
    text, sentence = BROKEN[what]
    file, before = written(out.parent / "wrong", text), fingerprints(out)
    said = refused(2, "simulate", file, "--out", out, "--fresh")
    assert sentence.lower() in said.lower()
    assert str(file) in said
    assert fingerprints(out) == before


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--start", "tomorrow"], "start: is a date such as 2026-06-15, not 'tomorrow'"),
        (["--start", "2026-02-30"], "start: is a date"),
        (["--start", "20260615"], "start: is a date"),
        (["--start", "2026-W25-1"], "start: is a date"),
        (["--start", "0001-01-01"], "start: is a day from 1971-01-01"),
        (["--start", "9999-12-31"], "start: is a day from 1971-01-01"),
        (["--days", "0"], "days: is from 1 to 36525, not 0"),
        (["--days", "1000000000"], "days: is from 1 to 36525"),
        (["--ledger", "paper"], "ledger: is embedded, none, or a node's URL such as http"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(refused: Refused, options: list[str], sentence: str, out: Path) -> None:
    before = fingerprints(out)
    assert sentence in refused(2, "simulate", written(out.parent), "--out", out, "--fresh", *options)
    assert fingerprints(out) == before


def meters(folder: Path, change: Callable[[list[str]], list[str]]) -> Path:
    """A community whose flat has measured itself, in a file with `change` made to its rows."""
    first = datetime(2026, 6, 1)  # noqa: DTZ001
    rows = [f"{first + timedelta(hours=hour):%Y-%m-%dT%H:%M},0.5" for hour in range(24 * 16)]
    file = written(
        folder, COMMUNITY.replace("[community]", '[community]\nprofiles = "mine.csv"').replace(
            '"simbench:H0-C", annual_kwh = 4000', '"flat"'
        ),
    )  # fmt: skip
    (folder / "mine.csv").write_text("\n".join(["time,flat_kwh", *change(rows)]) + "\n")
    return file


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda rows: rows[:200] + rows[203:],
            "on: the forecast of the first day looks back that far",
        ),
        (lambda rows: rows[: 24 * 14], "lacks values for 15 of"),
        (lambda rows: rows[24 * 14 + 10 :], "lacks values for 3 of 8 slots, first at 2026-06-15 07:00 CEST; the file"),
        (lambda rows: [*rows[:150], rows[150].replace("0.5", "lots"), *rows[151:]], "'lots'"),
        (lambda rows: [*rows[:150], rows[150].replace("0.5", "-0.5"), *rows[151:]], "is negative"),
    ],
    ids=["with a gap", "too short", "too late", "with words", "with negative values"],
)
def test_a_meter_file_is_never_silently_filled(
    refused: Refused, change: Callable[[list[str]], list[str]], sentence: str, out: Path
) -> None:
    before = fingerprints(out)
    said = refused(3, "simulate", meters(out.parent / "mine", change), "--out", out, "--fresh")
    assert sentence in said
    assert "mine.csv" in said
    assert fingerprints(out) == before  # --fresh drops a run only when the next one can begin


def test_a_whole_meter_file_is_taken(shell: Shell, tmp_path: Path) -> None:
    done = shell("simulate", meters(tmp_path, lambda rows: rows), "--ledger", "none", "--json", "-")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)


def test_a_folder_that_cannot_be_written_is_told(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "below", "/proc/nowhere"):
        said = refused(7, "simulate", written(tmp_path), "--out", out)
        assert f"{out} cannot be used as a folder for the run" in said
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_that_holds_another_run_is_left_alone(refused: Refused, out: Path) -> None:
    before = fingerprints(out)
    other = written(out.parent / "other", COMMUNITY.replace("kwp = 8", "kwp = 9"))
    for arguments in ([other], [written(out.parent), "--days", 2], [written(out.parent), "--ledger", "none"]):
        said = refused(7, "simulate", *arguments, "--out", out)
        assert "holds another run (2026-06-15, 1 days, ledger embedded" in said
    assert fingerprints(out) == before


def _garbage(file: Path) -> None:
    file.write_bytes(b"This is no database. " * 500)


def _half(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def _overwritten(file: Path) -> None:
    content = bytearray(file.read_bytes())
    for place in range(4096, len(content), 4096):
        content[place : place + 4096] = b"\xa5" * len(content[place : place + 4096])
    file.write_bytes(content)


def _somebody_s(file: Path) -> None:
    file.unlink()
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE bookmarks (address)")
    database.close()


@pytest.mark.parametrize("name", ["exchange.sqlite", "ledger.sqlite"])
@pytest.mark.parametrize("damage", [_garbage, _half, _overwritten, _somebody_s], ids=lambda damage: damage.__name__[1:])
def test_a_damaged_file_is_named_and_not_touched(
    shell: Shell, out: Path, name: str, damage: Callable[[Path], None]
) -> None:
    damage(out / name)
    before = fingerprints(out)
    done = shell("simulate", written(out.parent), "--out", out)
    assert done.returncode in (6, 7), (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    assert name in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert fingerprints(out) == before


def test_a_damaged_run_can_be_begun_anew(shell: Shell, out: Path) -> None:
    _half(out / "ledger.sqlite")
    _garbage(out / "exchange.sqlite")
    done = shell("simulate", written(out.parent), "--out", out, "--fresh", "--json", "-")
    assert done.returncode == 0, done.stderr


def test_verify_says_in_one_sentence_that_a_bill_is_proved(shell: Shell, out: Path) -> None:
    before = fingerprints(out)
    done = shell("verify", out / "bills" / "0.json")
    assert done.returncode == 0, done.stderr
    taken = "under contracts that were taken from the document itself"
    assert done.stdout.startswith(f"0.json is proved by the chain {taken}: sun receives ")
    assert before.items() <= fingerprints(out).items()


def _one_digit(bill: Path) -> None:
    content = json.loads(bill.read_text())
    content["content"]["charges"][0]["wh"] += 1
    bill.write_text(json.dumps(content))


def _one_digit_of_a_day(bill: Path) -> None:
    content = json.loads(bill.read_text())
    content["days"][0]["sheet"]["slots"][4]["grid"]["wh"] += 1
    bill.write_text(json.dumps(content))


def _no_json(bill: Path) -> None:
    bill.write_text("Dear customer,")


def _bytes(bill: Path) -> None:
    bill.write_bytes(b"\xff\xfe\x00")


def _list(bill: Path) -> None:
    bill.write_text("[1, 2]")


def _without_ledger(bill: Path) -> None:
    content = json.loads(bill.read_text())
    content["content"]["ledger"] = None
    bill.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_one_digit, "at least one figure in it was changed"),
        (
            _one_digit_of_a_day,
            "not the one that the bill names: it is another, or at least one figure in it was changed",
        ),
        (_no_json, "is no bill and no excerpt of one"),
        (_bytes, "is no bill and no excerpt of one"),
        (_list, "is no bill and no excerpt of one"),
        (_without_ledger, "is no bill and no excerpt of one"),
        (Path.unlink, "cannot be read: No such file or directory"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_bill_that_proves_nothing_is_told_so(
    refused: Refused, out: Path, change: Callable[[Path], None], sentence: str
) -> None:
    bill = out / "bills" / "0.json"
    change(bill)
    said = refused(8, "verify", bill)
    assert sentence in said
    assert len(said.strip().splitlines()) == 1


def test_a_bill_nested_on_purpose_ends_in_a_sentence_too(out: Path) -> None:
    bill = out / "bills" / "0.json"
    bill.write_text("[" * 200_000)
    # Really a new process: how deep Python may recurse depends on what was imported before.
    done = subprocess.run(
        [sys.executable, "-m", "commonwatt.cli", "verify", str(bill)],
        env={**os.environ, "PYTHONPATH": SOURCE}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 8
    assert "is no bill and no excerpt of one: it is nested more than 64 deep" in done.stderr


def test_a_missing_ledger_is_told_and_not_made(refused: Refused, out: Path) -> None:
    (out / "ledger.sqlite").unlink()
    assert "There is no chain at" in refused(6, "verify", out / "bills" / "0.json")
    assert "ledger.sqlite is missing" in refused(7, "simulate", written(out.parent), "--out", out)
    assert not (out / "ledger.sqlite").exists()


def test_a_finished_run_is_read_and_not_run_again(shell: Shell, out: Path) -> None:
    with sqlite3.connect(out / "exchange.sqlite") as file:
        journal = file.execute("SELECT * FROM journal").fetchall()
    file.close()
    done = shell("simulate", written(out.parent), "--start", START, "--out", out, "--json", "-")
    assert done.returncode == 0, done.stderr
    with sqlite3.connect(out / "exchange.sqlite") as file:
        assert file.execute("SELECT * FROM journal").fetchall() == journal
    file.close()
