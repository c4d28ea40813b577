"""The delivery controller in both interpreters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from micropython_cases import Micropython

from commonwatt.meter import controller

Script = list[list[Any]]
Play = Callable[[Script], Any]
Told = Callable[[Script], list[list[Any]]]
# 230 V and 2 A: 460 W, so 127.8 mWh a second.
ON = (230_000, 2_000)
DAY = 86_400_000


@pytest.fixture(scope="session")
def in_micropython() -> Iterator[Play]:
    """The controller in MicroPython."""
    program = Micropython(Path(__file__).parent / "controller_play.py", Path(controller.__file__).parent)
    yield program.ask
    program.end()


def seconds(first: int, last: int, *figures: Any) -> Script:
    """A sample a second, from `first` to `last`."""
    return [["step", second * 1000, *(figures or ON)] for second in range(first, last + 1)]
