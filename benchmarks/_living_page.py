"""Tables of docs/operating.md from benchmarks/results of a living exchange: `python benchmarks/_living_page.py`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "operating.md"
RESULTS = ROOT / "benchmarks" / "results"
BLOCK = re.compile(r"<!-- begin (\w+) -->\n(.*?)<!-- end -->\n", re.DOTALL)
Figures = dict[str, Any]


def main() -> None:
    """Write every block of the page anew."""
    text, found = PAGE.read_text("utf-8"), blocks()
    PAGE.write_text(BLOCK.sub(lambda at: f"<!-- begin {at[1]} -->\n{found[at[1]]}<!-- end -->\n", text), "utf-8")


def blocks() -> dict[str, str]:
    """What stands between the page's markers, by name."""
    live, starts, ingest, demand = (results(name) for name in ("live", "live_start", "ingest", "demand"))
    where = live["machine"]
    return {
        "machine": f"{live['date'][:10]}, {where['cpu']}, {where['cores']} cores, Python {where['python']}\n",
        "village": table(village(live["idle"], starts)),
        "large": table(large(live)),
        "readings": table(readings(ingest)),
        "soon": table(soon(live["pages"], demand["milliseconds"])),
    }


def results(name: str) -> Figures:
    """What a benchmark has measured."""
    found: Figures = json.loads((RESULTS / f"{name}.json").read_text("utf-8"))
    return found


def village(idle: Figures, starts: Figures) -> list[tuple[str, str]]:
    """A box for 44 homes."""
    return [
        ("44 homes, nobody says anything", ""),
        ("memory of all processes, MB", f"{idle['memory_mb']:.0f}"),
        ("of a core, %", f"{idle['percent_of_a_core']:.1f}"),
        ("its chain grows by, bytes", f"{idle['chain_bytes_grown']}"),
        ("disk that a day of trade takes, MB", f"{idle['disk_bytes_a_day'] / 1e6:.1f}"),
        ("`serve` until `/healthz` is ok, s", f"{idle['healthy']['wall']:.1f}"),
        ("a start after two days, processor seconds", f"{starts['day']['cpu']:.1f}"),
        ("a start after a year, processor seconds", f"{starts['year']['cpu']:.1f}"),
    ]


def large(live: Figures) -> list[tuple[str, str]]:
    """A box for a thousand homes."""
    gate, slot, orders = live["gate"], live["slot"], live["orders"]
    return [
        (f"{grouped(live['homes'])} homes, processor seconds", ""),
        (
            f"the day's {grouped(orders['count'])} orders, admitted as they come",
            f"{orders['exchange_cpu']:.1f}",
        ),
        (f"a gate of {gate['slots']} slots: exchange", f"{gate['exchange_cpu']:.2f}"),
        ("a gate: chain", f"{gate['chain_cpu']:.2f}"),
        ("a slot's readings: exchange", f"{slot['readings_cpu']:.2f}"),
        ("a slot's end, posted and final: exchange", f"{slot['exchange_cpu']:.2f}"),
        ("a slot's end: chain", f"{slot['chain_cpu']:.2f}"),
        ("meanwhile the event loop is late, p99, × the idle one's", f"{live['lag_ratio']:.1f}"),
    ]


def readings(ingest: Figures) -> list[tuple[str, str]]:
    """How many readings are taken, and a day's backlog."""
    rows = [("readings per processor second, and as a share of bare signature checks", "")]
    for name, what in (
        ("mqtt_1", "MQTT, one in a message"),
        ("mqtt_10", "MQTT, ten in a message"),
        ("http_15", "HTTP, fifteen in a request"),
    ):
        found = ingest[name]
        rows.append((what, f"{grouped(found['per_cpu_second'])} ({found['share_of_bare']:.2f})"))
    backlog = ingest["backlog"]
    rows += [
        (f"a day's backlog of {grouped(backlog['homes'])} homes is taken in, s", f"{backlog['wall']:.0f}"),
        ("the running slot is settled after, s", f"{backlog['running_slot_settled_after']:.0f}"),
        ("all of them are settled anew after, s", f"{backlog['all_settled_anew_after']:.0f}"),
    ]
    return rows


def soon(pages: Figures, demand: Figures) -> list[tuple[str, str]]:
    """How soon something is told."""
    few, many = pages["few_orders"], pages["all_orders"]
    rows = [(f"{few['pages']} pages open, {few['orders_a_second']} orders a second", "")]
    for what, found in (("an empty book", few), ("the day's orders there", many)):
        rows += [
            (f"order to event, {what}, ms: median, p99", f"{found['p50_ms']:.0f}, {found['p99_ms']:.0f}"),
            (f"of a core, {what}, %", f"{100 * found['cores']:.0f}"),
        ]
    close = demand["close"]
    return [*rows, ("demand to relay, ms: median, p99", f"{close['p50']:.0f}, {close['p99']:.0f}")]


def grouped(number: int) -> str:
    """With a space before each three digits."""
    return f"{number:,}".replace(",", " ")


def table(rows: list[tuple[str, str]]) -> str:
    """A Markdown table, whose first row is its head."""
    (head, *rest) = rows
    return "".join(f"| {' | '.join(line)} |\n" for line in [head, ("---", "---:"), *rest])


if __name__ == "__main__":
    main()
