"""Processes of the service's own: started, asked whether they answer, started again when they end or fall silent.

A child holds the other end of a pipe as its standard input, so one that watches it ends when this process is killed.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from asyncio.subprocess import PIPE, STDOUT, Process
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from commonwatt.errors import ChildError
from commonwatt.ledger.certificates import needed
from commonwatt.plain import plain
from commonwatt.service.health import Health, Patience, State, Told

_OFTEN, _SELDOM = 0.1, 5.0
"""Seconds between two questions: until a child answers, and then."""
_QUESTION: Final = 5.0
"""Seconds that an answer may take."""
_DRAIN: Final = 1.0
"""Seconds that are waited for the last words of a process that has ended."""
_LINE: Final = 500
_LAST_WORDS: Final = 5


@dataclass(frozen=True)
class Program:
    """What is run.

    name : what it is called in the log and in answers
    command : the program and its arguments
    answers : asks whether it does its work; raises no error for one that does not
    pid_file : where its number is written; None = nowhere
    """

    name: str
    command: Sequence[str]
    answers: Callable[[], Awaitable[bool]]
    patience: Patience = field(default_factory=Patience)
    pid_file: Path | None = None


class Child:
    """One process that is kept running while `run` is awaited.

    log : takes one line per event, and what the process says
    clock : seconds that only go forward
    """

    def __init__(
        self, program: Program, log: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.program = program
        self._log, self._clock = log, clock
        self._health = Health(program.name, program.patience, clock())
        self._answered = asyncio.Event()
        self._words: deque[str] = deque(maxlen=_LAST_WORDS)
        self._process: Process | None = None
        self._code: int | None = None
        self._word = b""

    @property
    def told(self) -> Told:
        """How it is."""
        return self._health.told

    @property
    def pid(self) -> int | None:
        """The number of the process; None while there is none."""
        return self._process.pid if self._process else None

    def say(self, word: bytes) -> None:
        """Say a line on its standard input, to each process of it from now on."""
        self._word = word
        if self._process and self._process.stdin:
            self._process.stdin.write(word)

    async def ready(self, seconds: float | None = None) -> None:
        """Wait until it answers. Raises ChildError when it does not in so many seconds, as long as it may take to start
        unless told otherwise."""
        limit = self.program.patience.start if seconds is None else seconds
        try:
            async with asyncio.timeout(limit):
                await self._answered.wait()
        except TimeoutError:
            words = " ".join(self._words) or "it has said nothing"
            sentence = f"The {self.program.name} does not answer after {limit:.0f} seconds; its last words: {words}"
            raise ChildError(self.program.name, f"{sentence.removesuffix('.')}.") from None

    async def run(self) -> None:
        """Keep it running until this is cancelled, which ends it in order."""
        try:
            while True:
                pause = await self._live()
                await asyncio.sleep(pause)
        finally:
            self._health.stopped(self._clock(), self._code)

    async def _live(self) -> float:
        """One life of the process. Returns the pause before the next one [s]."""
        name = self.program.name
        try:
            # Not of a terminal's own group, whose Ctrl-C would end it before whoever still needs it.
            process = await asyncio.create_subprocess_exec(
                *self.program.command, stdin=PIPE, stdout=PIPE, stderr=STDOUT, start_new_session=True
            )
        except OSError as error:
            self._words.append(f"{self.program.command[0]} cannot be started: {error.strerror}")
            self._log(f"{name}: {self._words[-1]}")
            self._health.started(self._clock())
            return self._health.ended(self._clock(), os.EX_UNAVAILABLE)
        self._process = process
        self.say(self._word)
        if self.program.pid_file:
            self.program.pid_file.write_text(f"{process.pid}\n", "ascii")
        self._health.started(self._clock())
        tasks = [asyncio.create_task(self._hear(process)), asyncio.create_task(self._ask(process))]
        try:
            code = await process.wait()
        finally:
            self._answered.clear()
            tasks[1].cancel()
            if process.returncode is None:  # nobody wants it any more
                await self._end(process)
            self._process, self._code = None, process.returncode
            # What it said last; another process may hold the pipe open.
            await asyncio.wait(tasks, timeout=_DRAIN)
            tasks[0].cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        pause = self._health.ended(self._clock(), code)
        self._log(f"{name}: ended ({_how(code)}); started again in {pause:g} s")
        return pause

    async def _hear(self, process: Process) -> None:
        """Pass on what it says."""
        assert process.stdout  # noqa: S101 (asked for above)
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:  # longer than the stream's limit
                continue
            if not line:
                return
            self._words.append(plain(line.decode(errors="replace").strip(), _LINE))
            self._log(f"{self.program.name}: {self._words[-1]}")

    async def _ask(self, process: Process) -> None:
        """Ask whether it answers; who does not for too long is killed, and started again as anybody who died."""
        while True:
            if await self._answers():
                self._health.answered(self._clock())
                self._answered.set()
            elif self._health.unheard(self._clock()):
                self._log(f"{self.program.name}: does not answer, and is killed")
                with suppress(ProcessLookupError):
                    process.kill()
                return
            await asyncio.sleep(_OFTEN if self.told.state in (State.STARTING, State.SILENT) else _SELDOM)

    async def _answers(self) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(_QUESTION):
                return await self.program.answers()
        return False

    async def _end(self, process: Process) -> None:
        """Tell it to end, and kill it when it does not, or hears nothing."""
        ending = asyncio.create_task(process.wait())
        with suppress(ProcessLookupError):
            if self.told.state is State.SILENT:
                process.kill()
            else:
                process.terminate()
        await asyncio.wait([ending], timeout=self.program.patience.stop)
        if not ending.done():
            with suppress(ProcessLookupError):
                process.kill()
        await ending


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return int(listener.getsockname()[1])


def chain(folder: Path, port: int, options: Sequence[str] = (), patience: Patience | None = None) -> Program:
    """The community's chain as a child: `commonwatt chain run`.

    port : where it answers, the same after each start, so that its URL stays
    options : further ones of that command
    """
    command = [sys.executable, "-m", "commonwatt.cli", "chain", "run", str(folder), "--port", str(port), "--attached"]
    answers, pid_file = healthy(f"http://127.0.0.1:{port}/healthz"), folder.with_suffix(".pid")
    return Program("chain", [*command, *options], answers, patience or Patience(), pid_file)


def healthy(url: str) -> Callable[[], Awaitable[bool]]:
    """A question to a child: whether it answers at its `url`."""

    async def ask() -> bool:
        import httpx

        async with httpx.AsyncClient(trust_env=False, timeout=_QUESTION, verify=needed(url)) as client:
            try:
                return (await client.get(url)).is_success
            except httpx.HTTPError:
                return False

    return ask
