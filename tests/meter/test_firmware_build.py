"""What is copied onto a meter: every file is MicroPython, and the installer's page names every key."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from firmware_cases import ROOT, Errands, needs_micropython

from commonwatt.proof import Key, keccak

SOURCES = sorted((ROOT / "firmware").glob("*.py"))


def test_the_controller_is_that_of_the_package_and_all_files_are_there(firmware: Path) -> None:
    ours = ROOT / "src" / "commonwatt" / "meter" / "controller.py"
    assert (firmware / "controller.py").read_bytes() == ours.read_bytes()
    names = {path.name for path in SOURCES} | {"controller.py", "table.bin"}
    assert {path.name for path in firmware.iterdir()} == names


def test_the_table_holds_the_multiples_that_keys_are(firmware: Path) -> None:
    table = (firmware / "table.bin").read_bytes()
    assert len(table) == 64 * 15 * 64
    for window, digit in ((0, 1), (0, 15), (1, 1), (31, 7), (63, 15)):
        place = (window * 15 + digit - 1) * 64
        secret = (digit << (4 * window)).to_bytes(32, "big")
        assert keccak(table[place : place + 64])[12:] == Key(secret).address


def test_the_build_says_what_it_made(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "tools" / "build_firmware.py"), str(tmp_path / "made")]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    files = list((tmp_path / "made").iterdir())
    assert (
        told == f"{tmp_path / 'made'} holds {len(files)} files, {sum(file.stat().st_size for file in files)} bytes.\n"
    )


@needs_micropython
@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_every_file_is_micropython(errands: Errands, path: Path) -> None:
    assert errands.ask("compiles", str(path)) is None


def test_the_installers_page_names_every_key() -> None:
    page = (ROOT / "docs" / "firmware.md").read_text("utf-8")
    code = "".join(path.read_text("utf-8") for path in SOURCES)
    keys = set(re.findall(r'(?:config|broker|wired)(?:\.get\(|\[)"(\w+)"', code))
    assert {"separator", "operators", "broker", "host", "sda", "keep"} <= keys
    assert [key for key in sorted(keys) if f"`{key}`" not in page] == []


@needs_micropython
@pytest.mark.parametrize(("low", "opened", "closed"), [(False, 0, 1), (True, 1, 0)])
def test_a_relay_is_open_from_the_first_moment(errands: Errands, low: bool, opened: int, closed: int) -> None:
    errands.ask("new_list", keep="told")
    errands.ask("wire", "@told", keep="pins")
    errands.ask("board.Relay", 7, low, keep="wired")
    errands.ask("@wired.set", 1)
    errands.ask("@wired.set", 0)
    assert errands.ask("levels", "@pins", 7) == [opened, closed, opened]


@needs_micropython
def test_the_boards_clock_is_where_certificates_are_valid_before_it_connects(errands: Errands) -> None:
    errands.ask("new_list", keep="told")
    errands.ask("wire", "@told", keep="pins")
    errands.ask("board.start", {"wifi": {"network": "home", "password": "of the home"}, "written": 1_796_080_167})
    date, on, network = errands.ask("same", "@told")
    assert date == [2026, 11, 30, 0, 23, 9, 27, 0]
    assert on
    assert network == ["home", "of the home"]
