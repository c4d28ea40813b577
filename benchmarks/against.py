"""This commit against another one: `python benchmarks/against.py REF`; JSON on stdout, progress on stderr.

Both are run in turns by the same interpreter, for machines have good and bad hours: what counts is the ratio. Times are
processor time, child processes counted. With `--quick` all is small, to see that it runs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from _measure import ROOT, show

SIDE = Path(__file__).with_name("_side.py")
ROUNDS = 3


@dataclass
class Figure:
    """Something measured on both sides. rate : whether more is better"""

    name: str
    unit: str
    rate: bool = False
    base: list[float] = field(default_factory=list)
    now: list[float] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """With the ratios of the medians and of the best, now to base."""
        best = max if self.rate else min
        return {
            "name": self.name, "unit": self.unit, "rate": self.rate, "base": self.base, "now": self.now,
            "ratio": _ratio(statistics.median(self.now), statistics.median(self.base)),
            "of_the_best": _ratio(best(self.now), best(self.base)),
        }  # fmt: skip


def _ratio(now: float, base: float) -> float:
    return float(f"{now / base:.3g}")


class Sides:
    """Sources of two commits, and where each keeps what it has made."""

    def __init__(self, base: Path, folder: Path, rounds: int) -> None:
        self.roots = {"base": base, "now": ROOT}
        self.folder, self.rounds = folder, rounds

    def run(self, side: str, *command: str | Path) -> dict[str, Any]:
        """What a command prints as JSON, run with one side's sources."""
        root = self.roots[side]
        told = " ".join(Path(part).name for part in map(str, command))
        print(f"{side}: {told}", file=sys.stderr)
        paths = os.pathsep.join(map(str, (root / "src", root / "benchmarks")))
        done = subprocess.run(
            [sys.executable, *map(str, command)], stdout=subprocess.PIPE, text=True, check=True, cwd=self.folder,
            env={**os.environ, "PYTHONPATH": paths, "PYTHONSAFEPATH": "1"},
        )  # fmt: skip
        return dict(json.loads(done.stdout))

    def in_turns(self, *command: str | Path, of_base: bool = False) -> Iterator[tuple[str, dict[str, Any]]]:
        """Base and now, round by round. A `{side}` in the command becomes the side, or base when it is that of base."""
        for _ in range(self.rounds):
            for side in self.roots:
                filled = [str(part).replace("{side}", "base" if of_base else side) for part in command]
                yield side, self.run(side, *filled)


def measured(sides: Sides, homes: Sequence[int], members: int, part: int) -> list[Figure]:
    """All that is measured. part : one of so many parts of what nodes usually do"""
    found: list[Figure] = []
    for count in homes:
        found += days(sides, count)
    rates = {
        f"{kind} {way}": Figure(f"{name}, {way}", "per second", rate=True)
        for kind, name in (
            ("token", "token transfers in full blocks"),
            ("ether", "ether transfers in full blocks"),
            ("single", "blocks with one transaction"),
        )
        for way in ("made", "validated")
    }
    _collect(sides.in_turns(SIDE, "nodes", str(part)), rates)
    late = {"seconds": Figure("catching up", "s"), "memory": Figure("memory of a node that catches up", "MB")}
    _collect(sides.in_turns(SIDE, "latecomer", str(part)), late)
    settled = {
        "seconds": Figure(f"settlement of {members} members", "s"),
        "gas": Figure(f"gas of a settlement of {members} members", "gas"),
    }
    _collect(sides.in_turns(SIDE, "settlement", str(members)), settled)
    return [*found, *rates.values(), *late.values(), *settled.values()]


def days(sides: Sides, homes: int) -> list[Figure]:
    """A market day: run, replayed, and its bills."""
    day = Figure(f"day without writing bills, {homes} homes", "s")
    memory = Figure(f"memory of a day, {homes} homes", "MB")
    _collect(sides.in_turns(SIDE, "day", str(homes)), {"cpu_seconds": day, "rss_mb": memory})
    folder = sides.folder / f"{{side}}-{homes}"
    for side in sides.roots:
        Path(str(folder).replace("{side}", side)).mkdir()
        sides.run(side, SIDE, "store", str(folder).replace("{side}", side), str(homes))
    replay = {"seconds": Figure(f"replay of a day, {homes} homes", "s")}
    _collect(sides.in_turns(SIDE, "replay", folder, of_base=True), replay)
    bills = {
        "seconds": Figure(f"writing bills, {homes} homes", "s"),
        "bytes": Figure(f"a bill, {homes} homes", "bytes"),
        "verifying": Figure(f"verifying a bill, {homes} homes", "s"),
    }
    _collect(sides.in_turns(SIDE, "bills", folder, str(homes)), bills)
    return [*replay.values(), day, memory, *bills.values()]


def _collect(runs: Iterator[tuple[str, dict[str, Any]]], figures: dict[str, Figure]) -> None:
    for side, found in runs:
        for key, figure in figures.items():
            getattr(figure, side).append(found[key])


@contextmanager
def worktree(ref: str) -> Iterator[tuple[Path, str]]:
    """The sources of a commit in a temporary folder, and its whole name."""
    commit = _git("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "base"
        _git("worktree", "add", "--detach", "--quiet", str(root), commit)
        try:
            yield root, commit
        finally:
            _git("worktree", "remove", "--force", str(root))


def _git(*words: str) -> str:
    try:
        return subprocess.run(["git", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    except subprocess.CalledProcessError:
        raise SystemExit(f"git {' '.join(words)} failed: this has to be a repository that has the commit.") from None


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="This commit against another one, in turns.")
    parser.add_argument("ref", help="the other commit")
    parser.add_argument("--quick", action="store_true", help="little of everything, once")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often each is run")
    asked = parser.parse_args()
    with worktree(asked.ref) as (base, commit), tempfile.TemporaryDirectory() as folder:
        sides = Sides(base, Path(folder), 1 if asked.quick else asked.rounds)
        figures = measured(sides, (5, 8), 40, 100) if asked.quick else measured(sides, (100, 1000), 1000, 1)
    told = [each.as_json() for each in figures]
    show({"against": commit, "quick": asked.quick, "runs": sides.rounds, "figures": told}, "py-evm", "coincurve")


if __name__ == "__main__":
    main()
