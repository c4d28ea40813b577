"""Tables of docs/consensus.md from benchmarks/results/consensus.json: `python benchmarks/_consensus_page.py`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "consensus.md"
RESULTS = ROOT / "benchmarks" / "results" / "consensus.json"
BLOCK = re.compile(r"<!-- begin (\w+) -->\n(.*?)<!-- end -->\n", re.DOTALL)
Figures = dict[str, Any]


def main() -> None:
    """Write every block of the page anew."""
    text, found = PAGE.read_text("utf-8"), blocks()
    PAGE.write_text(BLOCK.sub(lambda at: f"<!-- begin {at[1]} -->\n{found[at[1]]}<!-- end -->\n", text), "utf-8")


def blocks() -> dict[str, str]:
    """What stands between the page's markers, by name."""
    figures = json.loads(RESULTS.read_text("utf-8"))
    return {
        "machine": machine(figures),
        "costs": costs(figures["costs"]),
        "rates": rates(figures["work"]),
        "times": times(figures["work"]["block_times"]),
        "silence": silence(figures["authority"]),
        "shares": shares(figures["stake"]),
    }


def machine(figures: Figures) -> str:
    """Where and when."""
    where = figures["machine"]
    return f"{figures['date'][:10]}, {where['cpu']}, one core, Python {where['python']}\n"


def costs(runs: list[Figures]) -> str:
    """Processor time per block."""
    rows = [(f"`{run['way']}`", str(run["members"]), f"{run['seal_ms']:.2f}", f"{run['check_ms']:.2f}") for run in runs]
    return table(("way", "members", "to seal, ms", "to check, ms"), rows)


def rates(work: Figures) -> str:
    """The search beside a bare loop, and how soon it lets go."""
    found, dropped = work["hashes_per_second"], work["interruption"]
    rows = [
        ("`pow.attempt`, hashes per second", f"{found['search']:,}".replace(",", " ")),
        ("bare loop, hashes per second", f"{found['bare_loop']:,}".replace(",", " ")),
        (f"ratio, median of {found['rounds']} rounds in turns", f"{found['ratio']:.2f}"),
        ("a worker drops a search and ends the next, trivial one, ms of wall clock", f"{dropped['median_ms']:.0f}"),
    ]
    return table(("search", ""), rows)


def times(found: Figures) -> str:
    """Mean block times beside the period."""
    rows = [
        (
            name,
            *(f"{case[what]:.2f}" for what in ("lowest", "mean", "highest")),
            percent(furthest(case, found["period"])),
        )
        for name, case in found["cases"].items()
    ]
    head = f"{found['blocks']} blocks, period {found['period']} s, {found['seeds']} seeds"
    return table((head, "lowest mean", "mean", "highest mean", "furthest off"), rows)


def furthest(case: Figures, period: int) -> float:
    """Deviation of the seed that is furthest from the period, as a part of it."""
    return max(abs(float(case[what]) / period - 1) for what in ("lowest", "highest"))


def silence(runs: list[Figures]) -> str:
    """Seconds per block by the number of silent authorities."""
    most = max(run["silent"] for run in runs)
    rows = []
    for members in sorted({run["authorities"] for run in runs}):
        by_silent = {run["silent"]: f"{run['seconds']:.2f}" for run in runs if run["authorities"] == members}
        rows.append((str(members), *(by_silent.get(silent, "stands still") for silent in range(most + 1))))
    return table(("authorities", *(f"{silent} silent" for silent in range(most + 1))), rows)


def shares(stake: Figures) -> str:
    """Who sealed how much."""
    rows = [
        (
            f"`{case['draw']}`",
            *(str(case[name]) for name in ("alpha", "beta", "gamma")),
            " / ".join(f"{100 * share:.1f}" for share in case["shares"]),
            f"{case['gini']:.3f}",
        )
        for case in stake["cases"]
    ]
    held = " / ".join(f"{100 * tokens / sum(stake['tokens']):.1f}" for tokens in stake["tokens"])
    rows.insert(0, ("*tokens*", "", "", "", held, f"{stake['gini_of_tokens']:.3f}"))
    return table(("draw", "α", "β", "γ", "shares of five members, %", "Gini"), rows)


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table; all columns but the first to the right."""
    lines = [head, ("---", *["---:"] * (len(head) - 1)), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def percent(part: float) -> str:
    """A part of one."""
    return f"{100 * part:.1f} %"


if __name__ == "__main__":
    main()
