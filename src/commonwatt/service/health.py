"""What is known of a process that is watched over, and when it is started again. No clock is read here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """What a process does now."""

    STARTING = "starting"
    """It runs and has not answered yet."""
    RUNNING = "running"
    """It answers."""
    SILENT = "silent"
    """It answered, and does not any more."""
    WAITING = "waiting"
    """It has ended and is started again after a pause."""
    STOPPED = "stopped"
    """Nobody wants it to run."""


@dataclass(frozen=True)
class Patience:
    """How long things may take [s].

    first, most : the pause before a process that has ended is started again; it doubles each time, up to the most
    steady : whoever has run for so long begins with the first pause again
    start : from the start to the first answer
    silence : from the last answer to the next one
    stop : from being told to end to the end
    """

    first: float = 0.25
    most: float = 30.0
    steady: float = 60.0
    start: float = 120.0
    silence: float = 120.0
    stop: float = 20.0


@dataclass(frozen=True)
class Told:
    """What whoever asks is told of a process.

    since : when the state began, by the clock of whoever watches [s]
    starts : how often it was started
    code : how it ended the last time: its exit code, or the negative number of a signal; None when it never did
    """

    name: str
    state: State
    since: float
    starts: int
    code: int | None


class Health:
    """One process. Times are seconds that only go forward."""

    def __init__(self, name: str, patience: Patience, now: float) -> None:
        self.patience = patience
        self.told = Told(name, State.STOPPED, now, 0, None)
        self._begun = self._heard = now
        self._pause = patience.first

    def started(self, now: float) -> None:
        """It runs."""
        self._begun = self._heard = now
        self._turn(State.STARTING, now, starts=self.told.starts + 1)

    def answered(self, now: float) -> None:
        """It was asked and has answered."""
        self._heard = now
        if self.told.state in (State.STARTING, State.SILENT):
            self._turn(State.RUNNING, now)

    def unheard(self, now: float) -> bool:
        """It was asked and has not answered. Returns whether that has been so for too long."""
        if self.told.state is State.STARTING:
            return now - self._begun > self.patience.start
        if self.told.state is State.RUNNING:
            self._turn(State.SILENT, now)
        return now - self._heard > self.patience.silence

    def ended(self, now: float, code: int) -> float:
        """It has ended, unasked. Returns for how long to wait before it is started again [s]."""
        if now - self._begun >= self.patience.steady:
            self._pause = self.patience.first
        pause, self._pause = self._pause, min(2 * self._pause, self.patience.most)
        self._turn(State.WAITING, now, code=code)
        return pause

    def stopped(self, now: float, code: int | None) -> None:
        """It has ended as it was told."""
        self._turn(State.STOPPED, now, code=self.told.code if code is None else code)

    def _turn(self, state: State, now: float, *, starts: int | None = None, code: int | None = None) -> None:
        told = self.told
        self.told = Told(
            told.name, state, now, told.starts if starts is None else starts, told.code if code is None else code
        )
