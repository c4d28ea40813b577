"""How far a run is, on one line: in a notebook's cell, which is clean afterwards, or on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from commonwatt.errors import ConfigError, Finding

Progress = Callable[[int, int], None]
"""Called with how much is done and of how much."""


@contextmanager
def told(progress: Progress | bool | None, task: str) -> Iterator[Progress]:
    """Who is to be told.

    progress : a function; True = a line, wherever this runs; None = a line in a notebook and nothing elsewhere
    Raises ConfigError for anything else.
    """
    if not callable(progress) and not isinstance(progress, bool | None):
        raise ConfigError("The request", [Finding("progress", "is True, False, None or a function of two numbers")])
    cell = None if progress is False else _cell()
    if callable(progress):
        yield progress
    elif cell:
        with _in_cell(cell, task) as report:
            yield report
    elif progress:
        with _on_terminal(task) as report:
            yield report
    else:
        yield lambda *_: None


def _cell() -> Callable[..., Any] | None:
    """How to show something in a notebook's cell; None outside of one."""
    notebook = sys.modules.get("IPython")
    if notebook is None or not hasattr(notebook.get_ipython(), "kernel"):
        return None
    display: Callable[..., Any] = import_module("IPython.display").display
    return display


@contextmanager
def _in_cell(display: Callable[..., Any], task: str) -> Iterator[Progress]:
    handle = display({"text/plain": f"{task}…"}, raw=True, display_id=True)
    report = _on_change(task, lambda line: handle.update({"text/plain": line}, raw=True))
    try:
        yield report
    finally:
        # An empty text would be a line.
        handle.update({"text/html": "", "text/plain": ""}, raw=True)


@contextmanager
def _on_terminal(task: str) -> Iterator[Progress]:
    try:
        yield _on_change(task, lambda line: print(f"\r{line}", end="", file=sys.stderr, flush=True))
    finally:
        print(f"\r{' ' * (len(task) + 8)}\r", end="", file=sys.stderr, flush=True)


def _on_change(task: str, show: Callable[[str], Any]) -> Progress:
    """Tells each percent once."""
    last = -1

    def report(done: int, total: int) -> None:
        nonlocal last
        percent = 100 * done // total if total else 0
        if percent != last:
            last = percent
            show(f"{task} {percent:3} %")

    return report
