"""One market day of 100 and of 1 000 homes, with and without ledger, each in a process of its own; JSON on stdout."""

from __future__ import annotations

import json
import subprocess
import sys
import time

RUNS = ((100, "none"), (1000, "none"), (100, "embedded"), (1000, "embedded"))


def main() -> None:
    """Run them one after the other, so that they do not disturb each other."""
    figures = []
    for homes, ledger in RUNS:
        command = [sys.executable, "-m", "commonwatt.cli", "bench", "day", "--homes", str(homes), "--ledger", ledger]
        print(" ".join(command[2:]), file=sys.stderr)
        run = subprocess.run([*command, "--json", "-"], capture_output=True, text=True, check=True)
        figures.append(json.loads(run.stdout))
    json.dump({"days": figures, "help_seconds": help_seconds()}, sys.stdout, indent=2)
    print()


def help_seconds() -> float:
    """Wall time of `commonwatt --help`, the best of five [s]."""
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-m", "commonwatt.cli", "--help"], capture_output=True, check=True)
        times.append(time.perf_counter() - begin)
    return round(min(times), 3)


if __name__ == "__main__":
    main()
