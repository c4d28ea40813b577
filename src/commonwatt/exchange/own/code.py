"""Agents and forecasters by name: those of the package, and one's own from a file beside community.toml.

    [defaults]
    agent = "my_agent.py:MINE"
    forecast = "my_forecast.py:MINE"

Such a file runs with the rights of whoever runs it, in a process of its own (`process`). What it answers is looked at
before it is used, and whatever is wrong with it is told in a sentence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np

from commonwatt.agents.strategies import STRATEGIES
from commonwatt.agents.strategy import Agent, Quotes, Situation, State, usable
from commonwatt.community.calendar import Slots
from commonwatt.community.fields import near
from commonwatt.data.times import local
from commonwatt.data.zone import zone_named
from commonwatt.errors import DataError, MarketError
from commonwatt.exchange.own.process import Process
from commonwatt.exchange.own.worker import AGENT, FORECASTER
from commonwatt.forecast import PERFECT, Forecaster, SeasonalNaive
from commonwatt.units import MAX_ORDER_WH, IntArray

FORECASTERS: Final[Mapping[str, Forecaster | None]] = {"last-week": SeasonalNaive(), PERFECT: None}
"""None stands for the truth, which the simulated world has."""
MOST_STATE: Final = 1 << 20
"""Letters of what an agent remembers."""


class OwnCode:
    """What the names in one community's file mean; holds the processes that run for it until it is closed.

    folder : of community.toml; seconds : of processor time that an answer may take
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        self.folder, self.seconds = folder, seconds
        self._processes: dict[str, Process] = {}

    def agent(self, name: str) -> Agent:
        """The agent of this name. Raises MarketError when there is none, with the reason."""
        process = self._named(name, AGENT, STRATEGIES)
        if process is None:
            return STRATEGIES[name]
        return Agent(process.found["name"], _OwnAgent(process), process.found["source"])

    def forecaster(self, name: str) -> Forecaster | None:
        """The forecaster of this name; None for the truth. Raises MarketError when there is none, with the reason."""
        process = self._named(name, FORECASTER, FORECASTERS)
        if process is None:
            return FORECASTERS[name]
        days = process.found["days"]
        if not isinstance(days, int) or not 0 <= days <= 366:
            raise MarketError(f"{process.path}: the history_days of '{process.name}' must be from 0 to 366, not {days}")
        return OwnForecaster(process, days)

    def close(self) -> None:
        """End all processes."""
        for process in self._processes.values():
            process.close()

    def __enter__(self) -> OwnCode:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def _named(self, name: str, kind: str, packaged: Mapping[str, object]) -> Process | None:
        """The process of "file.py:object"; None for what the package has."""
        what = kind.split()[1]
        if name in packaged:
            return None
        file, colon, attribute = name.partition(":")
        if not colon:
            known = "; there is " + ", ".join(f"'{each}'" for each in packaged) + ", or file.py:NAME of your own"
            raise MarketError(f"There is no {what} '{name}'{near(name, packaged) or known}.")
        path = self.folder / file
        if not path.is_file():
            raise MarketError(f"There is no file {path} to take the {what} '{attribute}' from.")
        if name not in self._processes:
            self._processes[name] = Process(path, attribute, self.seconds)
        found = self._processes[name].found["kind"]
        if found != kind:
            there = f"; it is of the type {found}" if found else ""
            raise MarketError(f"{path} has no {what} called '{attribute}'{there}.")
        return self._processes[name]


@dataclass(frozen=True)
class _OwnAgent:
    """The rule of an agent that answers from its process."""

    process: Process

    def __call__(self, home: Situation, state: State) -> tuple[Quotes, State]:
        """As of every `Agent`. Raises MarketError when the answer is none, or cannot be used."""
        answer, slots = self.process.ask({"situation": asdict(home), "state": dict(state)}), len(home.starts)
        if len(answer["state"]) > MOST_STATE:
            raise self._unusable(f"its state has {len(answer['state'])} letters, at most {MOST_STATE} are kept")
        columns = {name: _array(column) for name, column in answer["quotes"].items()}
        try:
            return usable(Quotes(**columns), slots), json.loads(answer["state"])
        except MarketError as error:
            raise self._unusable(str(error)) from None

    def _unusable(self, why: str) -> MarketError:
        return MarketError(f"{self.process.path}: '{self.process.name}' answers what cannot be used: {why}")


@dataclass(frozen=True)
class OwnForecaster:
    """A forecaster that answers from its process. history_days : as it says itself"""

    process: Process
    history_days: int

    @property
    def name(self) -> str:
        """The file and what it calls the forecaster."""
        return f"{self.process.path.name}:{self.process.name}"

    def predict(self, history: IntArray, past: Slots, horizon: Slots, timezone: str) -> IntArray:
        """See `Forecaster`; all series of one home. Numbers are rounded to whole Wh.

        Raises DataError when the answer is none, or cannot be used, with the place.
        """
        slots = {"past": asdict(past), "horizon": asdict(horizon), "timezone": timezone}
        try:
            answer = self.process.ask({"series": history, **slots})
        except MarketError as error:
            raise DataError(str(error)) from None
        return np.stack([self._usable(_array(each), horizon, timezone) for each in answer])

    def _usable(self, series: Any, horizon: Slots, timezone: str) -> IntArray:
        what = f"{self.process.path}: '{self.process.name}' forecasts"
        if series.shape not in ((1, horizon.count), (horizon.count,)) or series.dtype.kind not in "iuf":
            raise DataError(f"{what} {series.dtype} of shape {series.shape}, not numbers of shape (1, {horizon.count})")
        values = series.reshape(-1)
        wrong = np.flatnonzero(~((values >= 0) & (values <= MAX_ORDER_WH)))
        if len(wrong):
            when = local(int(horizon.starts[wrong[0]]), zone_named(timezone))
            raise DataError(f"{what} {values[wrong[0]]:g} Wh for {when}, not from 0 to {MAX_ORDER_WH}")
        return np.asarray(np.rint(values), dtype=np.int64)


def _array(given: Any) -> Any:
    """A column as it came; lists of different lengths are no column."""
    try:
        return np.asarray(given)
    except ValueError:
        return np.asarray(given, dtype=object)
