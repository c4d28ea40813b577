"""A process that does things in forks of itself, on order, and may kill them: one JSON per line in, one out.

It imports everything once, also what others import when they are first asked, and reads no data itself, so a fork is
ready at once and has no threads to miss. A day of its runs has eight slots.
An order is `shell`, the command line's arguments; its answer has what was said on stdout and stderr. Or it has `file`
and `out` of a simulation, and at most one of
  statement : die before the n-th SQL statement of either database
  after : be killed from outside after so many seconds
  call : [module, qualified name, n, "before" or "after"]: die at the n-th call of a function
  pause : a file that is made at the fifth event; the run goes on when it is gone
The answer says whether the fork was killed, its exit code, and how many seconds it lived. With `beside` what comes at
once is the order that waits for the fork.
"""

from __future__ import annotations

import functools
import gc
import importlib
import json
import os
import signal
import sqlite3
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy.ma  # noqa: F401
import rich.progress  # noqa: F401
from exchange_cases import START, short_days, snapshot, until

import commonwatt.cli
import commonwatt.ledger.chain.embedded
import commonwatt.ledger.client.settlement
import commonwatt.member.verify
import commonwatt.report.outputs
import commonwatt.report.screen
from commonwatt.errors import StoreError
from commonwatt.simulation.api import simulate


def main() -> None:
    # What a fork never frees it need not look through for garbage, which would copy every page of it.
    gc.freeze()
    with short_days():
        serve()


def serve() -> None:
    born: dict[int, float] = {}
    for line in sys.stdin:
        order = json.loads(line)
        child = order.get("wait") or os.fork()
        if not child:
            if "shell" in order:
                command(order["shell"], order["said"])
            live(order)
        born.setdefault(child, time.monotonic())
        if order.get("beside"):
            print(json.dumps({"wait": child}), flush=True)
            continue
        if "after" in order:
            time.sleep(order["after"])
            os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        answer = {"killed": code == -signal.SIGKILL, "code": code, "seconds": time.monotonic() - born.pop(child)}
        print(json.dumps(answer), flush=True)


def command(arguments: list[str], said: str) -> None:
    """The command line, as its own process would run it; what it says goes to two files."""
    for stream in (sys.stdout, sys.stderr):
        target = os.open(f"{said}.{stream.fileno()}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(target, stream.fileno())
    sys.argv = ["commonwatt", *arguments]
    code = 0
    try:
        commonwatt.cli.main()
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    os._exit(code)


def live(order: dict[str, Any]) -> None:
    """Run until the end or until death; what came out is written beside `out`, or into the file `said`."""
    out = Path(order["out"])
    into = Path(order.get("said", out.with_suffix(".json")))
    said: dict[str, Any]
    try:
        count = count_statements(order.get("statement"))
        if "call" in order:
            die_at_call(*order["call"])
        fresh, progress = order.get("fresh", False), pausing(order.get("pause"))
        result = simulate(order["file"], START, 1, out=out, fresh=fresh, progress=progress)
        said = {"statements": count(), **snapshot(result)}
        result.close()
        into.write_text(json.dumps(said))
        os._exit(0)
    except StoreError as error:
        into.write_text(json.dumps({"refused": str(error)}))
        os._exit(error.exit_code)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)


def pausing(file: str | None) -> Callable[[int, int], None]:
    def progress(done: int, _: int) -> None:
        if file and done == 5:
            Path(file).touch()
            until(lambda: not Path(file).exists())

    return progress


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def count_statements(last: int | None) -> Callable[[], int]:
    """Watch every database that is opened from now on; die before statement number `last`."""
    seen = 0

    def executed(_: str) -> None:
        nonlocal seen
        seen += 1
        if seen == last:
            die()

    connect = sqlite3.connect

    def watched(*arguments: Any, **named: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **named)
        connection.set_trace_callback(executed)
        return connection

    sqlite3.connect = sqlite3.dbapi2.connect = watched  # type: ignore[assignment]
    return lambda: seen


def die_at_call(module: str, name: str, number: int, when: str) -> None:
    owner: Any = importlib.import_module(module)
    *path, last = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    function, calls = getattr(owner, last), 0

    @functools.wraps(function)
    def watched(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if (calls, when) == (number, "before"):
            die()
        answer = function(*arguments, **named)
        if (calls, when) == (number, "after"):
            die()
        return answer

    raw = vars(owner).get(last)
    setattr(owner, last, staticmethod(watched) if isinstance(raw, classmethod | staticmethod) else watched)


if __name__ == "__main__":
    main()
