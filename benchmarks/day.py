"""One market day of 100 and of 1 000 homes, with and without ledger, each in a process of its own; JSON on stdout.

Of five runs the one with the median processor time is shown whole. Runs come one after the other, so that they do not
disturb each other.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from _measure import REPEAT, median, show

DAYS = ((100, "none"), (1000, "none"), (100, "embedded"), (1000, "embedded"))


def main() -> None:
    """Measure and print."""
    show({"days": [day(homes, ledger) for homes, ledger in DAYS], "help": median(tell)})


def day(homes: int, ledger: str) -> dict[str, Any]:
    """The median of some runs, by processor time."""
    command = [sys.executable, "-m", "commonwatt.cli", "bench", "day", "--homes", str(homes), "--ledger", ledger]
    print(" ".join(command[2:]), file=sys.stderr)
    runs = [
        subprocess.run([*command, "--json", "-"], stdout=subprocess.PIPE, text=True, check=True) for _ in range(REPEAT)
    ]
    figures = sorted((json.loads(run.stdout) for run in runs), key=lambda found: found["cpu_seconds"])
    return {"runs": REPEAT} | {
        key: value for key, value in figures[REPEAT // 2].items() if key not in ("machine", "date")
    }


def tell() -> None:
    """`commonwatt --help`; of its time only the wall clock's is this one's."""
    subprocess.run([sys.executable, "-m", "commonwatt.cli", "--help"], capture_output=True, check=True)


if __name__ == "__main__":
    main()
