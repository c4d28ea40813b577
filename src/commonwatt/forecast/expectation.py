"""What each home expects of the slots to come."""

from __future__ import annotations

from dataclasses import dataclass

from commonwatt.community.calendar import Slots
from commonwatt.forecast import Forecaster
from commonwatt.units import IntArray


@dataclass(frozen=True)
class Forecast:
    """What each home expects to use and to make, each shape (homes, slots) [Wh] >= 0."""

    load: IntArray
    generation: IntArray

    def parted(self, first: int) -> tuple[Forecast, Forecast]:
        """The `first` slots, and the rest."""
        before, after = ((self.load[:, some], self.generation[:, some]) for some in (slice(first), slice(first, None)))
        return Forecast(*before), Forecast(*after)


def forecast(
    forecaster: Forecaster, load: IntArray, generation: IntArray, past: Slots, horizon: Slots, timezone: str
) -> Forecast:
    """Step 1. load, generation : each home's own history, shape (homes, past.count) [Wh]."""
    return Forecast(
        forecaster.predict(load, past, horizon, timezone), forecaster.predict(generation, past, horizon, timezone)
    )
