"""The meter's firmware under the unix port of MicroPython, asked errand by errand or run as a whole."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
MICROPYTHON = Path(sys.executable).with_name("micropython")
needs_micropython = pytest.mark.skipif(
    not MICROPYTHON.exists(), reason="the unix port of MicroPython is on PyPI for x86-64 Linux alone"
)


@pytest.fixture(scope="session")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that is copied onto a meter."""
    folder = tmp_path_factory.mktemp("firmware")
    build = [sys.executable, str(ROOT / "tools" / "build_firmware.py"), str(folder)]
    subprocess.run(build, check=True, capture_output=True)
    return folder


class Errands:
    """One MicroPython with the firmware in it, started once: it takes longer than most of what it is asked."""

    def __init__(self, firmware: Path) -> None:
        self._process = subprocess.Popen(
            [str(MICROPYTHON), str(ROOT / "tests" / "meter" / "errands.upy")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"MICROPYPATH": f"{firmware}:.frozen"},
        )

    def ask(self, call: str, *arguments: Any, keep: str = "") -> Any:
        """What a function of the firmware returns; a refusal of its own is a ValueError with its text.

        call : `module.function`, or `@name.method` of what was kept under that name
        """
        asked = {"call": call, "args": _told(arguments)} | ({"as": keep} if keep else {})
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        while not (line := self._process.stdout.readline()).startswith("{"):
            assert line, "MicroPython ended"
        answer = json.loads(line)
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer["result"]

    def end(self) -> None:
        """End it."""
        self._process.communicate()


@pytest.fixture(scope="session")
def errands(firmware: Path) -> Iterator[Errands]:
    """The firmware, ready to be asked."""
    running = Errands(firmware)
    yield running
    running.end()


def _told(value: Any) -> Any:
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    if isinstance(value, list | tuple):
        return [_told(each) for each in value]
    return value
