"""The process in which a file of one's own runs: JSON in, JSON out, a line each. `process` is the other end.

    python -m commonwatt.exchange.own.worker FILE NAME SECONDS SECONDS

The first line out says what the file calls NAME; then each question has its answer. Whatever the code prints goes to
stderr. Its processor time is bounded, first for the loading and then for each answer: the system ends the process.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from commonwatt.agents.strategy import Agent, Quotes, Results, Situation, Storage
from commonwatt.community.calendar import Slots
from commonwatt.exchange.own.telling import reason

AGENT, FORECASTER = "an agent", "a forecaster"
DEEPEST = 50
"""How deep lists and tables of a state may lie in each other."""
Answer = Callable[[Any], Any]


def main(file: str, name: str, loading: str, answering: str) -> None:
    """Load, then answer until there are no more questions."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever interrupts the other end ends this one, too
    path = Path(file)

    def say(seconds: float, do: Callable[[], Any]) -> Any:
        _limit(seconds)
        try:
            said, kept = do()
            line = json.dumps({"said": said}, default=_plain)
        except BaseException as error:  # sys.exit, too
            line, kept = json.dumps({"failed": reason(path, error)}), None
        _limit(0)
        print(line, file=out, flush=True)
        return kept

    answer = say(float(loading), lambda: _known(_loaded(path, name)))
    for line in sys.stdin if answer else ():
        say(float(answering), partial(_answered, answer, line))


def _answered(answer: Answer, line: str) -> tuple[Any, None]:
    return answer(json.loads(line)), None


def _limit(seconds: float) -> None:
    """Let the system end this process when it has used so much more processor time [s]; 0 = any."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _loaded(path: Path, name: str) -> object:
    spec = importlib.util.spec_from_file_location(f"commonwatt_own_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError("it is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # where dataclasses look up the types of their fields
    spec.loader.exec_module(module)
    return getattr(module, name, None)


def _known(found: object) -> tuple[dict[str, Any], Answer | None]:
    """What it is, and how it answers."""
    if isinstance(found, Agent):
        return {"kind": AGENT, "name": found.name, "source": found.source}, _agent(found)
    if hasattr(found, "predict") and hasattr(found, "history_days"):
        return {"kind": FORECASTER, "days": found.history_days}, _forecaster(found)
    return {"kind": "" if found is None else type(found).__name__}, None


def _agent(agent: Agent) -> Answer:
    def answer(question: Mapping[str, Any]) -> dict[str, Any]:
        given = agent.rule(_situation(question["situation"]), question["state"])
        if not (isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], Quotes)):
            raise TypeError(f"it answers with {_called(given)} in the place of Quotes and a state")
        quotes, state = given
        if not isinstance(state, Mapping):
            raise TypeError(f"its state is {_called(state)} in the place of a dict")
        if (deep := _depth(state)) > DEEPEST:
            raise TypeError(f"its state is nested {deep} deep, at most {DEEPEST} are kept")
        columns = {column.name: getattr(quotes, column.name) for column in fields(Quotes)}
        try:
            return {"quotes": columns, "state": json.dumps(dict(state), allow_nan=False, default=_plain)}
        except (TypeError, ValueError) as error:
            raise TypeError(f"its state cannot be kept as JSON: {error}") from error

    return answer


def _forecaster(found: Any) -> Answer:
    def answer(question: Mapping[str, Any]) -> list[Any]:
        past, horizon = (Slots(**question[name]) for name in ("past", "horizon"))
        return [
            found.predict(np.array([series], dtype=np.int64), past, horizon, question["timezone"])
            for series in question["series"]
        ]

    return answer


def _situation(given: Mapping[str, Any]) -> Situation:
    battery, past = given["battery"], given["past"]
    if past:
        past = Results(**{**_arrays(Results, past), "quotes": Quotes(**_arrays(Quotes, past["quotes"]))})
    return Situation(
        **{**_arrays(Situation, given), "battery": Storage(**battery) if battery else None, "past": past or None}
    )


def _arrays(kind: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a dataclass that are arrays as arrays, the others as they are."""
    types = {column.name: column.type for column in fields(kind)}
    dtypes = {"IntArray": np.int64, "FloatArray": np.float64}
    return {
        name: np.array(value, dtype=dtypes[str(types[name])]) if types[name] in dtypes else value
        for name, value in given.items()
    }


def _plain(value: Any) -> Any:
    """What JSON has no word for: arrays and numbers of numpy."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not JSON")


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return 1 + max(map(_depth, inner), default=0)


def _called(value: object) -> str:
    return "None" if value is None else f"a value of the type {type(value).__name__}"


if __name__ == "__main__":
    main(*sys.argv[1:])
