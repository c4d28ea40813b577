"""Work that calls a guard again and again, such as code that runs, done in slices with others let in between.

It has a thread of its own, which goes on only while whoever wants its result waits for it, so that nothing ever happens
at the same time. What it looks at must bear that others look at it between two slices.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from typing import TypeVar

T = TypeVar("T")

SLICE = 0.01
"""Seconds until others are let in between."""
# Bytes; 1 024 calls within each other take a quarter of it.
_STACK = 4 << 20
_STARTING = threading.Lock()


class _Unwanted(BaseException):
    """Nobody waits for the result any more."""


class _Slices:
    """Two threads, of which one waits for the other."""

    def __init__(self) -> None:
        self._go, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self._until = 0.0
        self.wanted = True

    def forward(self) -> None:
        """Let the work go on for a slice."""
        self._until = time.monotonic() + SLICE
        self._go.release()
        self._done.acquire()

    def begin(self) -> None:
        """The work waits for its first slice."""
        self._go.acquire()

    def rest(self) -> None:
        """The work waits for the next slice, when this one is over."""
        if time.monotonic() > self._until:
            self._done.release()
            self._go.acquire()
            if not self.wanted:
                raise _Unwanted

    def end(self) -> None:
        """The work is done."""
        self._done.release()


def in_slices(work: Callable[[Callable[[], None]], T], guard: Callable[[], None]) -> Generator[None, None, T]:
    """Steps that come to what `work` returns or raises.

    work : is given a function to call again and again, which calls `guard` and waits when a slice is over
    """
    slices = _Slices()
    result: list[T] = []
    failure: list[BaseException] = []

    def watched() -> None:
        guard()
        slices.rest()

    def run() -> None:
        slices.begin()
        try:
            result.append(work(watched))
        except BaseException as error:  # whatever it is, who waits for the result is told
            failure.append(error)
        finally:
            slices.end()

    _start(run)
    try:
        while True:
            slices.forward()
            if failure:
                raise failure.pop()
            if result:
                return result[0]
            yield
    except GeneratorExit:
        slices.wanted = False
        slices.forward()
        raise


def _start(run: Callable[[], None]) -> None:
    with _STARTING:  # the size is that of all threads that are started
        before = threading.stack_size(_STACK)
        try:
            threading.Thread(target=run, daemon=True).start()
        finally:
            threading.stack_size(before)
