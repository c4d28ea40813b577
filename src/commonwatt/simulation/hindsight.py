"""The forecast that knows what will happen: what a market is worth without errors of forecasts, or with a given one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from commonwatt.community.calendar import Slots
from commonwatt.errors import DataError
from commonwatt.simulation.world import World
from commonwatt.units import IntArray


@dataclass(frozen=True)
class Hindsight:
    """A `Forecaster` for the laboratory only: it looks the future up in the world that is simulated.

    error : relative size of a forecast's error; each home's values of a day are off by one factor, drawn from a normal
        distribution with this standard deviation and cut at zero
    seed : of the draws; the same seed gives the same errors
    """

    world: World
    error: float = 0.0
    seed: int = 0

    @property
    def history_days(self) -> int:
        """A day, by which load and generation are told apart."""
        return 1

    def predict(self, history: IntArray, past: Slots, horizon: Slots, timezone: str) -> IntArray:  # noqa: ARG002
        """See `Forecaster`. Raises DataError when the history is not the beginning of what is simulated."""
        slots = self.world.slots
        seen, first = ((other.start - slots.start) // slots.seconds for other in (past, horizon))
        for place, series in enumerate((self.world.load, self.world.generation)):
            if np.array_equal(series[:, seen : seen + past.count], history):
                coming = series[:, first : first + horizon.count]
                return self._disturbed(coming, [self.seed, place, horizon.start]) if self.error else coming
        raise DataError("Hindsight knows one simulated world only, and this history is from another.")

    def _disturbed(self, series: IntArray, seeds: list[int]) -> IntArray:
        factor = 1 + self.error * np.random.default_rng(seeds).standard_normal((len(series), 1))
        return np.rint(series * np.maximum(factor, 0)).astype(np.int64)
