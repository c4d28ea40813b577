"""The command line, run in the process of a test."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

from commonwatt.cli import main


class Said(NamedTuple):
    """How a command ended, and what it said on stdout and stderr."""

    code: int
    out: str
    err: str


Shell = Callable[..., Said]
"""Runs `commonwatt` with these arguments."""


@pytest.fixture
def said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory
) -> Shell:
    # What a test's bills were believed to be is no other test's business, nor this person's.
    monkeypatch.setenv("COMMONWATT_STATE", str(tmp_path_factory.mktemp("state")))

    def run(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["commonwatt", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        return Said(code, *capsys.readouterr())

    return run
