"""MicroPython's own unix port, where there is one: it reads a line and answers with a line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


class Micropython:
    """A program of files of this project, in MicroPython; `ask` gives it a value and returns its answer, as JSON."""

    def __init__(self, script: Path, *arguments: Path) -> None:
        command = [str(micropython()), str(script), *map(str, arguments)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, value: object) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(value) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "MicroPython ended; its traceback is above."
        return json.loads(answer)

    def end(self) -> None:
        self._process.communicate()


def micropython() -> Path:
    """The interpreter beside this one; without it the test is left out."""
    path = Path(sys.executable).parent / "micropython"
    if path.exists():
        return path
    reason = "MicroPython's unix port is missing; PyPI has it for Linux on x86-64."
    if os.environ.get("COMMONWATT_ALL_TESTS") or os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
