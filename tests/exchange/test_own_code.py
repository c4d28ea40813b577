"""Agents and forecasters from files of one's own: what they are told and answer, and what is done when they fail.

Their processes are real, and so are those that never answer.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from agent_cases import BAD_AGENTS, BATTERY, FORECASTERS, MEMORY, results, situation

from commonwatt.agents import Quotes, Results, Situation, Storage
from commonwatt.agents.strategies import STRATEGIES
from commonwatt.community.calendar import Slots
from commonwatt.errors import DataError, MarketError
from commonwatt.exchange.own import process
from commonwatt.exchange.own.code import OwnCode, OwnForecaster

ECHO = """
import json
from dataclasses import asdict
import numpy as np
from commonwatt.agents import Agent, Quotes

def rule(home, state):
    kinds = {name: str(getattr(value, "dtype", type(value).__name__)) for name, value in vars(home).items()}
    told = json.loads(json.dumps(asdict(home), default=np.ndarray.tolist))
    return Quotes(*[0 * home.net] * 4), {"told": json.dumps(told), "kinds": kinds, "before": dict(state)}

ECHO = Agent("echo", rule)
"""
FILES = {
    "bad.py": BAD_AGENTS,
    "echo.py": ECHO,
    "memory.py": MEMORY,
    "sky.py": FORECASTERS,
    "broken.py": "import no\n",
}
HOME = situation(np.array([500, -700, 0, 200]))


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnCode]:
    folder = tmp_path_factory.mktemp("own")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    with OwnCode(folder, 1) as opened:
        yield opened


def test_an_agent_is_told_all_that_its_home_knows(code: OwnCode) -> None:
    past = results(HOME, STRATEGIES["truthful"].rule(HOME, {})[0], np.array([5, 0, 0, 0]), np.zeros(4, dtype=int), 7.5)
    home = replace(HOME, battery=BATTERY, past=past, seed=2**64 - 1)
    agent = code.agent("echo.py:ECHO")
    _, state = agent.rule(home, {"been": [1, 2]})
    assert state["before"] == {"been": [1, 2]}
    arrays = {name for name, kind in state["kinds"].items() if kind == "int64"}
    assert arrays == {each.name for each in fields(Situation) if each.type == "IntArray"}
    assert (state["kinds"]["battery"], state["kinds"]["past"]) == (Storage.__name__, Results.__name__)
    again, _ = code.agent("echo.py:ECHO").rule(home, {})
    assert not again.buy_wh.any()
    assert f'"seed": {2**64 - 1}' in state["told"]
    assert '"paid": [7.5, NaN, NaN, NaN]' in state["told"]


def test_an_agent_remembers_what_it_is_given_and_nothing_else(code: OwnCode) -> None:
    agent = code.agent("memory.py:PATIENT")
    first, state = agent.rule(HOME, {})
    assert (agent.name, agent.source, state) == ("patient", "an example", {"share": 0.5, "gates": 1})
    assert first.sell_limit.tolist() == [0, 300_000, 0, 0]
    unsold = results(HOME, first, np.zeros(4, dtype=int), np.zeros(4, dtype=int), np.nan)
    second, state = agent.rule(replace(HOME, past=unsold), state)
    assert state == {"share": 0.4, "gates": 2}
    assert second.sell_limit.tolist() == [0, 260_000, 0, 0]
    assert agent.rule(HOME, {})[1] == {"share": 0.5, "gates": 1}


UNUSABLE = "bad.py: 'ANY' answers what cannot be used: its "
FAULTS = {
    "raises": "bad.py: 'ANY' cannot be run: KeyError: 'weather' (line 18)",
    "loops": "bad.py: 'ANY' did not answer within 1 s",
    "dies": "bad.py: the process of 'ANY' ended by itself, with code 3",
    "leaves": "bad.py: 'ANY' cannot be run: SystemExit: 4 (line 22)",
    "none": "it answers with None in the place of Quotes and a state",
    "no state": "its state is None in the place of a dict",
    "short": UNUSABLE + "buy_wh has the shape (3,), not (4,)",
    "nan": UNUSABLE + "buy_limit holds nan, but must hold whole numbers from 0 to 1000000000000",
    "half": UNUSABLE + "sell_limit holds 500000.5, but must hold whole numbers",
    "minus": UNUSABLE + "buy_wh holds -501, but must hold whole numbers from 0 to 1000000000",
    "words": UNUSABLE + "sell_wh does not hold numbers",
    "ragged": UNUSABLE + "sell_wh has the shape (2,), not (4,)",
    "file": "its state cannot be kept as JSON: builtin_function_or_method is not JSON",
    "no number": "its state cannot be kept as JSON: Out of range float values",
    "deep": "its state is nested 62 deep, at most 50 are kept",
    "endless": "cannot be run: RecursionError: maximum recursion depth exceeded",
    "much": UNUSABLE + "state has 2000012 letters, at most 1048576 are kept",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_agent_that_fails_is_told_in_a_sentence_and_answers_again(code: OwnCode, fault: str) -> None:
    agent = code.agent("bad.py:ANY")
    with pytest.raises(MarketError) as caught:
        agent.rule(HOME, {"fault": fault})
    assert FAULTS[fault] in str(caught.value)
    assert str(code.folder) in str(caught.value)
    quotes, _ = agent.rule(HOME, {"fault": "greedy"})
    assert quotes.buy_wh.tolist() == [60_500, 60_000, 60_000, 60_200]


def test_what_it_prints_goes_to_stderr(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.py").write_text(BAD_AGENTS)
    with OwnCode(tmp_path, 1) as code:
        code.agent("bad.py:GREEDY").rule(HOME, {})
        said = capfd.readouterr()
    assert (said.out, said.err) == ("", "why\n")


def test_who_waits_for_something_else_is_not_waited_for(code: OwnCode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "PATIENCE", 0.5)
    with pytest.raises(MarketError, match="'ANY' did not answer within 1 s"):
        code.agent("bad.py:ANY").rule(HOME, {"fault": "sleeps"})


def test_a_file_that_never_ends_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "LOADING_TIME", 1.0)
    (tmp_path / "never.py").write_text("while True:\n    pass\n")
    with OwnCode(tmp_path, 1) as code, pytest.raises(MarketError, match=r"never.py: 'IT' did not answer within 1 s"):
        code.agent("never.py:IT")


def test_a_process_that_somebody_ends_is_begun_anew_and_none_is_left_behind(tmp_path: Path) -> None:
    (tmp_path / "memory.py").write_text(MEMORY)
    with OwnCode(tmp_path, 1) as code:
        agent = code.agent("memory.py:PATIENT")
        (running,) = code._processes.values()
        assert running._process
        os.kill(running._process.pid, signal.SIGTERM)
        with pytest.raises(MarketError, match=f"ended by itself, with code {-signal.SIGTERM}"):
            agent.rule(HOME, {})
        assert agent.rule(HOME, {})[1]["gates"] == 1
        number = running._process.pid
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("zipp", "There is no agent 'zipp'; did you mean 'zip'?."),
        ("mine.py", "There is no agent 'mine.py'; there is 'truthful', 'zero-intelligence', 'zip', or file.py:NAME of"),
        ("mine.py:MINE", "mine.py to take the agent 'MINE' from."),
        ("bad.py:MINE", "bad.py has no agent called 'MINE'."),
        ("bad.py:NUMBER", "bad.py has no agent called 'NUMBER'; it is of the type int."),
        ("sky.py:YESTERDAY", "sky.py has no agent called 'YESTERDAY'; it is of the type a forecaster."),
        ("broken.py:MINE", "broken.py: 'MINE' cannot be run: ModuleNotFoundError: No module named 'no' (line 1)"),
    ],
)
def test_an_agent_that_is_not_there_is_told(code: OwnCode, name: str, sentence: str) -> None:
    with pytest.raises(MarketError) as caught:
        code.agent(name)
    assert sentence in str(caught.value)


PAST, COMING = Slots(1_781_308_800, 48, 3600), Slots(1_781_481_600, 36, 3600)
SERIES = np.arange(2 * 48).reshape(2, 48)


def own(code: OwnCode, name: str) -> OwnForecaster:
    found = code.forecaster(f"sky.py:{name}")
    assert isinstance(found, OwnForecaster)
    return found


def test_a_forecaster_of_ones_own_is_asked_as_any_other(code: OwnCode) -> None:
    found = own(code, "YESTERDAY")
    predicted = found.predict(SERIES, PAST, COMING, "Europe/Berlin")
    assert found.history_days == 2
    assert predicted.tolist() == np.hstack([SERIES[:, 24:], SERIES[:, 24:36]]).tolist()
    assert predicted.dtype == np.int64


UNFORESEEN = [
    "sky.py: 'ANY' forecasts nan Wh for 2026-06-15 22:00 CEST, not from 0 to 1000000000",
    "sky.py: 'ANY' cannot be run: ValueError: no sun today (line 17)",
    "sky.py: 'ANY' forecasts -25 Wh for 2026-06-15 02:00 CEST, not from 0 to 1000000000",
    "sky.py: 'ANY' forecasts float64 of shape (1, 38), not numbers of shape (1, 39)",
    "sky.py: 'ANY' forecasts 1e+300 Wh for 2026-06-15 02:00 CEST",
    "sky.py: 'ANY' forecasts <U5 of shape (1, 41), not numbers of shape (1, 41)",
    "sky.py: 'ANY' forecasts object of shape (), not numbers of shape (1, 42)",
    "sky.py: 'ANY' did not answer within 1 s",
]


@pytest.mark.parametrize("fault", range(len(UNFORESEEN)))
def test_a_forecast_that_cannot_be_used_is_told_with_its_place(code: OwnCode, fault: int) -> None:
    with pytest.raises(DataError) as caught:
        own(code, "ANY").predict(SERIES, PAST, replace(COMING, count=36 + fault), "Europe/Berlin")
    assert f"{code.folder}/{UNFORESEEN[fault]}" in str(caught.value)


def test_a_forecaster_says_from_which_past_it_predicts(code: OwnCode) -> None:
    with pytest.raises(MarketError, match="the history_days of 'FAR' must be from 0 to 366, not 4000"):
        code.forecaster("sky.py:FAR")


def test_quotes_of_nobody_are_no_orders(code: OwnCode) -> None:
    """What a home orders for no slot at all."""
    none = situation(np.zeros(0, dtype=np.int64))
    quotes, _ = code.agent("memory.py:PATIENT").rule(none, {})
    assert all(getattr(quotes, each.name).shape == (0,) for each in fields(Quotes))
