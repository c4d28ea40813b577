"""The same random orders through our mechanisms for orders, two public simulators and two solvers; JSON on stdout.

Ours include the checks that every clearing carries. Each other program runs in a process of its own on the same
orders, and what it needs before it can clear is not timed. The simulators' virtual environments are made once under
build/peers/; where pip cannot install one, it is left out with a message. The solvers are those of the extra `solve`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from _measure import REPEAT, show, timed

from commonwatt.market import MECHANISMS, Frame, Orders
from commonwatt.records import BUY

CEILING, FLOOR, SEED = 300_000, 80_000, 20260101
SIZES = (100, 1_000, 10_000, 100_000, 1_000_000)
OURS: dict[str, dict[str, object]] = {
    "uniform": {}, "pay-as-bid": {}, "coalition": {}, "fixed": {"price": "0.19"}, "listings": {}
}  # fmt: skip
HERE = Path(__file__).parent
BUILD = HERE.parent / "build" / "peers"
# Script, what pip installs for it (nothing: it is here), the sizes it is given.
PEERS: dict[str, tuple[str, str | None, tuple[int, ...]]] = {
    "assume pay_as_clear": ("assume_clearing.py", "assume-framework==0.6.0", SIZES[:3]),
    "pymarket muda": ("pymarket_muda.py", "pymarket==0.7.6", SIZES[:3]),
    "HiGHS": ("highs_welfare.py", None, SIZES[:3]),
    "Clarabel": ("clarabel_welfare.py", None, SIZES[:4]),
}


def main() -> None:
    """Ours at all sizes, then each other program as far as it goes."""
    found: dict[str, Any] = {"seed": SEED, "ours": [], "peers": {}}
    for name in OURS:
        print(name, file=sys.stderr)
        found["ours"] += [ours(name, size) for size in SIZES]
    for name, (script, package, sizes) in PEERS.items():
        print(name, file=sys.stderr)
        python = environment(Path(script).stem, package) if package else Path(sys.executable)
        runs = [peer(python, script, size) for size in sizes] if python else []
        found["peers"][name] = runs or "left out: pip could not install it"
    show(found)


def orders(size: int) -> Orders:
    """Half bids, half offers, one per member, 1 to 5 000 Wh, limits anywhere in the corridor."""
    rng = np.random.default_rng(SEED)
    side, wh = rng.integers(0, 2, size), rng.integers(1, 5_001, size)
    return Orders(np.arange(size), side, wh, rng.integers(FLOOR, CEILING + 1, size))


def ours(name: str, size: int) -> dict[str, Any]:
    """Clearings with their proof."""
    frame = Frame(np.array([0]), np.array([0]), 0.25, size, np.array([CEILING]), np.array([FLOOR]))
    book = orders(size)
    seconds, (clearing,) = timed(lambda: (book,), lambda given: MECHANISMS[name].clear(frame, given, OURS[name]))
    figures = {key: clearing.diagnostics[key] for key in ("surplus", "gap") if key in clearing.diagnostics}
    trades = {"trades": len(clearing.trades), "traded_wh": int(clearing.trades.wh.sum())}
    return {"mechanism": name, "orders": size, "seconds": seconds} | trades | figures


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


def peer(python: Path, script: str, size: int) -> dict[str, Any]:
    """Another program's medians and what traded, on the same orders."""
    book = orders(size)
    rows = list(zip((book.side == BUY).tolist(), book.wh.tolist(), book.limit.tolist(), strict=True))
    run = subprocess.run(
        [str(python), str(HERE / "peers" / script)],
        input=json.dumps([rows, REPEAT]),
        env={**os.environ, "PYTHONPATH": str(HERE)},
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return dict(json.loads(run.stdout.splitlines()[-1]))


if __name__ == "__main__":
    main()
