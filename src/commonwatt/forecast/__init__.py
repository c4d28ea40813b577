"""Tomorrow's load and generation. Pure: history in, prediction out."""

from commonwatt.forecast.seasonal import Forecaster, SeasonalNaive

__all__ = ["Forecaster", "SeasonalNaive"]
