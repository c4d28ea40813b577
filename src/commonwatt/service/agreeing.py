"""Homes agree over the horizon in a process of its own: that takes seconds, in which the engine has other things to do.

    python -m commonwatt.service.agreeing

An `Agreement` comes in, and what is agreed goes out, both pickled: the two ends are one program. Whatever an operator's
own mechanism prints goes to stderr.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import sys
from asyncio.subprocess import PIPE
from typing import Final

from commonwatt.agents.planning import Plan
from commonwatt.errors import ChildError
from commonwatt.exchange.agreement import Agreement
from commonwatt.plain import plain

_NICE: Final = 5
"""Whoever takes readings and orders comes first."""


async def agreed_apart(agreement: Agreement) -> Plan:
    """What homes agree. Raises ChildError when the process ends without an answer; cancelled, it ends the process."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", __name__, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    try:
        said, words = await process.communicate(pickle.dumps(agreement))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        last = plain(words.decode(errors="replace").strip().rpartition("\n")[2])
        raise ChildError("agreement", f"Its process has ended with exit code {process.returncode}: {last}")
    plan: Plan = pickle.loads(said)  # noqa: S301 (what this very program says)
    return plan


def main() -> None:
    """Answer the agreement that comes in."""
    os.nice(_NICE)
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)
        agreement: Agreement = pickle.load(sys.stdin.buffer)  # noqa: S301 (what this very program says)
        pickle.dump(agreement.plan(), out)


if __name__ == "__main__":
    main()
