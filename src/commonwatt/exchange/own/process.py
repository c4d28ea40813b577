"""A process that runs a file of one's own, and what is done when it fails, falls silent or ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Timer
from typing import Any, Final

import numpy as np

from commonwatt.errors import MarketError

LOADING_TIME: Final = 60.0
"""How much processor time a file may take until what it defines is there [s]."""
PATIENCE: Final = 6.0
"""How many times as long by the clock as in processor time: for a busy machine, and for code that only waits."""


class Process:
    """What the file `path` calls `name`, in a process of its own, which is begun anew when it has ended.

    seconds : of processor time for an answer; by the clock PATIENCE times as many
    Raises MarketError when it cannot be loaded, with the reason.
    """

    def __init__(self, path: Path, name: str, seconds: float) -> None:
        self.path, self.name, self.seconds = path, name, seconds
        self._process: subprocess.Popen[str] | None = None
        self.found = self._begin()

    def ask(self, question: Mapping[str, Any]) -> Any:
        """Its answer, as JSON has it; a question may hold arrays. Raises MarketError, with the reason, for none."""
        if self._process is None:
            self._begin()
        return self._heard(json.dumps(question, default=np.ndarray.tolist), self.seconds)

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with suppress(BrokenPipeError):  # of a question that nobody heard
                    if pipe:
                        pipe.close()

    def _begin(self) -> Any:
        # As this process finds modules, with sets in one order always, and with nothing from the folder it is in.
        paths = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", "-m", "commonwatt.exchange.own.worker",
             str(self.path), self.name, str(LOADING_TIME), str(self.seconds)],
            env={**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": "0"},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8",
        )  # fmt: skip
        try:
            return self._heard(None, LOADING_TIME)
        except BaseException:
            self.close()
            raise

    def _heard(self, question: str | None, seconds: float) -> Any:
        """The next line that the process says, to a question if there is one."""
        process = self._process
        assert process  # noqa: S101
        late: list[float] = []

        def give_up() -> None:
            late.append(seconds)
            process.kill()

        timer = Timer(PATIENCE * seconds, give_up)
        timer.daemon = True
        timer.start()
        try:
            line = self._exchanged(process, question)
        except BaseException:
            self.close()
            raise
        finally:
            timer.cancel()
        if not line:
            code = process.wait()
            self.close()
            if late or code == -getattr(signal, "SIGPROF", 0):
                raise MarketError(f"{self.path}: '{self.name}' did not answer within {seconds:g} s")
            raise MarketError(f"{self.path}: the process of '{self.name}' ended by itself, with code {code}")
        answer = json.loads(line)
        if "failed" in answer:
            raise MarketError(f"{self.path}: '{self.name}' cannot be run: {answer['failed']}")
        return answer["said"]

    def _exchanged(self, process: subprocess.Popen[str], question: str | None) -> str:
        """Empty when the process has ended."""
        assert process.stdin  # noqa: S101
        assert process.stdout  # noqa: S101
        try:
            if question is not None:
                print(question, file=process.stdin, flush=True)
            return process.stdout.readline()
        except BrokenPipeError:
            return ""
