"""Work that is counted, so that no busy machine makes it more."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def calls_of(run: Callable[[], object]) -> int:
    """Calls of functions and returns from them, Python's own among them, while something runs."""
    count = 0

    def watch(*_: Any) -> None:
        nonlocal count
        count += 1

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        run()
    finally:
        sys.setprofile(before)
    return count
