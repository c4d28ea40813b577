"""Commands of Commonwatt as processes of their own that start at once: each is a fork of one that has imported a node.

Importing is nearly all that a short life costs. What a command does, and how it ends, is as if the shell had started
it; warnings are errors. As a program this file is that process: an order per line in, an answer per line out.
  start, log : fork, and run the command line with what it says added to a file; answers its number
  wait : the number of a fork; answers its exit code, null while it lives
"""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

SOURCE = str(Path(__file__).parents[2] / "src")


class Commands:
    """The process that forks."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", __file__], env={**os.environ, "PYTHONPATH": SOURCE},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def start(self, arguments: Sequence[str], log: Path) -> Command:
        """Run the command line; what it says is added to a file that is there."""
        return Command(self, int(self.ask({"start": arguments, "log": str(log)})))

    def ask(self, order: dict[str, Any]) -> Any:
        """What the process answers to an order."""
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps(order), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """End the process; it takes with it what still runs."""
        self._process.communicate()
        assert self._process.returncode == 0


class Command:
    """A command that was started, with what is used of `subprocess.Popen`."""

    def __init__(self, commands: Commands, pid: int) -> None:
        self._commands, self.pid = commands, pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._commands.ask({"wait": self.pid})
        return self.returncode

    def wait(self, timeout: float = float("inf")) -> int:
        end = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("commonwatt", timeout)
            time.sleep(0.01)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def __enter__(self) -> Command:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.wait()


def _serve() -> None:
    import commonwatt.cli
    import commonwatt.ledger.network.running  # most of what a node needs

    gc.freeze()  # what all forks share is nothing to look through for each of them
    running: set[int] = set()
    for line in sys.stdin:
        order = json.loads(line)
        answer: int | None = None
        if "start" in order:
            answer = os.fork()
            if not answer:
                _say_to(order["log"])
                os._exit(_run(commonwatt.cli.main, order["start"]))
            running.add(answer)
        else:
            pid, status = os.waitpid(order["wait"], os.WNOHANG)
            if pid:
                running.remove(pid)
                answer = os.waitstatus_to_exitcode(status)
        print(json.dumps(answer), flush=True)
    for pid in running:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _say_to(log: str) -> None:
    """Stand where a command of the shell would: nothing to read, and a file for what is said."""
    for number, way, flags in ((0, os.devnull, os.O_RDONLY), (1, log, os.O_WRONLY | os.O_APPEND)):
        target = os.open(way, flags)
        os.dup2(target, number)
        os.close(target)
    os.dup2(1, 2)


def _run(main: Callable[[], None], arguments: list[str]) -> int:
    """The command line's exit code; what it left open is found and said as at an interpreter's end."""
    sys.argv = ["commonwatt", *arguments]
    code = 0
    try:
        main()
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
        code = 1
    gc.collect()
    sys.stdout.flush()
    return code


if __name__ == "__main__":
    _serve()
