"""Tomorrow's load and generation. Pure: history in, prediction out."""

from commonwatt.forecast.seasonal import Forecaster, SeasonalNaive

PERFECT = "perfect"
"""The name of the forecast that knows what will happen; only a simulation can have it."""

__all__ = ["PERFECT", "Forecaster", "SeasonalNaive"]
