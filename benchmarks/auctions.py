"""The same random orders through our auctions, two public simulators and a linear programme; JSON on stdout.

Times are process times [s], medians of some repetitions, so that a busy machine disturbs them little. Ours include the
checks that every clearing carries. The peers run in virtual environments of their own, made once under build/peers/;
where pip cannot install one, it is left out with a message.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from commonwatt.market import Frame, Mechanism, Orders
from commonwatt.market.coalition import COALITION
from commonwatt.market.pay_as_bid import PAY_AS_BID
from commonwatt.market.uniform import UNIFORM
from commonwatt.records import BUY

CEILING, FLOOR, SEED = 300_000, 80_000, 20260101
SIZES = (100, 1_000, 10_000, 100_000, 1_000_000)
HERE = Path(__file__).parent
BUILD = HERE.parent / "build" / "peers"
# Script, what pip installs for it, the most orders it is given, repetitions.
PEERS = {
    "assume pay_as_clear": ("assume_clearing.py", "assume-framework==0.6.0", 10_000, 5),
    "pymarket muda": ("pymarket_muda.py", "pymarket==0.7.6", 5_000, 3),
    "highs welfare": ("highs_welfare.py", "highspy==1.15.1", 10_000, 5),
}


def main() -> None:
    """Ours at all sizes, then each peer as far as it goes."""
    found: dict[str, Any] = {"seed": SEED, "ours": [], "peers": {}}
    for size in SIZES:
        found["ours"] += [ours(mechanism, size) for mechanism in (UNIFORM, PAY_AS_BID, COALITION)]
    for name, (script, package, most, repetitions) in PEERS.items():
        print(name, file=sys.stderr)
        python = environment(Path(script).stem, package)
        sizes = sorted({size for size in SIZES if size <= most} | {most})
        runs = [peer(python, script, size, repetitions) for size in sizes] if python else []
        found["peers"][name] = {"package": package, "runs": runs or "left out: pip could not install it"}
    json.dump(found, sys.stdout, indent=2)
    print()


def orders(size: int) -> Orders:
    """Half bids, half offers, one per member, 1 to 5 000 Wh, limits anywhere in the corridor."""
    rng = np.random.default_rng(SEED)
    side, wh = rng.integers(0, 2, size), rng.integers(1, 5_001, size)
    return Orders(np.arange(size), side, wh, rng.integers(FLOOR, CEILING + 1, size))


def ours(mechanism: Mechanism[Any], size: int) -> dict[str, Any]:
    """Median of five clearings with their proof."""
    frame = Frame(np.array([0]), np.array([0]), 0.25, size, np.array([CEILING]), np.array([FLOOR]))
    book, times = orders(size), []
    for _ in range(5):
        begin = time.process_time()
        (clearing,) = mechanism.clear(frame, (book,))
        times.append(time.process_time() - begin)
    figures = {key: clearing.diagnostics[key] for key in ("surplus", "gap") if key in clearing.diagnostics}
    trades = {"trades": len(clearing.trades), "traded_wh": int(clearing.trades.wh.sum())}
    return {"mechanism": mechanism.name, "orders": size, "seconds": statistics.median(times)} | trades | figures


def environment(name: str, package: str) -> Path | None:
    """The Python of a virtual environment with `package`, or None when pip cannot install it."""
    home = BUILD / name
    python, done = home / "bin" / "python", home / package
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package]
        if subprocess.run(pip, stdout=sys.stderr).returncode:
            print(f"{package} could not be installed and is left out.", file=sys.stderr)
            return None
        done.touch()
    return python


def peer(python: Path, script: str, size: int, repetitions: int) -> dict[str, Any]:
    """Median of some runs, each in a process of its own, on the same orders."""
    book = orders(size)
    rows = json.dumps(list(zip((book.side == BUY).tolist(), book.wh.tolist(), book.limit.tolist(), strict=True)))
    command = [str(python), str(HERE / "peers" / script)]
    runs = [
        json.loads(
            subprocess.run(command, input=rows, capture_output=True, text=True, check=True).stdout.splitlines()[-1]
        )
        for _ in range(repetitions)
    ]
    return runs[-1] | {"orders": size, "seconds": statistics.median(run["seconds"] for run in runs)}


if __name__ == "__main__":
    main()
