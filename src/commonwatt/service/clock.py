"""The time that a living exchange goes by."""

from __future__ import annotations

import math
import time
from collections.abc import Callable


class DemoClock:
    """A clock of a day that is played, faster than the one on the wall.

    begin : when it starts [unix s]; speed : how many of its seconds pass in one
    until : it stops there [unix s], and goes on from there when it is let
    monotonic : seconds that only go forward
    """

    def __init__(self, begin: float, speed: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._begin, self._speed, self._monotonic = begin, speed, monotonic
        self._since, self._until = monotonic(), math.inf

    def __call__(self) -> float:
        """The time [unix s]."""
        return min(self._begin + (self._monotonic() - self._since) * self._speed, self._until)

    def hold(self, until: float) -> None:
        """Go no further than this [unix s], nor back before the time that it is."""
        self._begin, self._since = self(), self._monotonic()
        self._until = max(until, self._begin)
