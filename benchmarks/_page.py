"""Tables of docs/benchmarks.md from the files in benchmarks/results/: `python benchmarks/_page.py` writes them anew."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
BLOCK = re.compile(r"<!-- begin (\w+) -->\n(.*?)<!-- end -->\n", re.DOTALL)
MEASURED = ("auctions", "pools", "continuous", "bilateral", "schedule", "day", "sweep", "settle", "bills")
AGAINST = ROOT / "benchmarks" / "results" / "against.json"
# Ratios to commit feefd37: at most, or at least where more is better.
RATIOS = {
    "replay of a day, 100 homes": 0.18,
    "replay of a day, 1000 homes": 0.14,
    "day without writing bills, 100 homes": 0.55,
    "day without writing bills, 1000 homes": 0.48,
    "memory of a day, 100 homes": 1.1,
    "memory of a day, 1000 homes": 1.1,
    "writing bills, 100 homes": 0.5,
    "writing bills, 1000 homes": 0.4,
    "a bill, 100 homes": 0.6,
    "a bill, 1000 homes": 0.6,
    "verifying a bill, 100 homes": 1,
    "verifying a bill, 1000 homes": 1,
    "token transfers in full blocks, made": 2.4,
    "token transfers in full blocks, validated": 2.4,
    "ether transfers in full blocks, made": 2.3,
    "ether transfers in full blocks, validated": 2.3,
    "blocks with one transaction, made": 1.7,
    "blocks with one transaction, validated": 1.7,
    "catching up": 0.6,
    "memory of a node that catches up": 1.1,
    "settlement of 1000 members": 0.13,
}
SIZES = (100, 1_000, 10_000, 100_000, 1_000_000)
Figures = dict[str, Any]


def main() -> None:
    """Write every block of the page anew."""
    found = blocks()
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(
        BLOCK.sub(lambda at: f"<!-- begin {at[1]} -->\n{found[at[1]]}<!-- end -->\n", text), encoding="utf-8"
    )


def blocks() -> dict[str, str]:
    """What stands between the page's markers, by name."""
    auctions, pools, book, bilateral, schedule, day, sweep, settle, bills = map(read, MEASURED)
    return {
        "targets": targets(auctions, pools, book, bilateral, schedule, sweep),
        "machines": machines(),
        "orders": orders(auctions),
        "worth": worth(auctions),
        "ours": ours(auctions),
        "pools": pool_table(pools),
        "bilateral": bilateral_table(bilateral),
        "schedule": schedule_table(schedule),
        "day": day_table(day),
        "settle": settled(settle),
        "bills": bills_table(bills),
        "against": against(),
    }


def read(name: str) -> Figures:
    """The results of one benchmark."""
    return dict(json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8")))


def targets(
    auctions: Figures, pools: Figures, book: Figures, bilateral: Figures, schedule: Figures, sweep: Figures
) -> str:
    """Each number to reach beside what was measured."""
    stages = [stage for kind in ("pools_any_price", "pools_with_limits") for stage in pools[kind].values()]
    rows: list[tuple[str, float, float]] = [
        ("`uniform`, 10 000 orders", 0.01, of(auctions, "uniform", 10_000)),
        ("`uniform`, 1 000 000 orders", 1, of(auctions, "uniform", 1_000_000)),
        ("`fixed`, 100 000 members", 0.5, of(auctions, "fixed", 100_000)),
        ("`coalition`, 100 000 members", 0.5, of(auctions, "coalition", 100_000)),
        ("slowest pool, 1 000 000 members, prices and shares", 0.2, max(stage["shares"]["cpu"] for stage in stages)),
        ("slowest pool, 1 000 000 members, trades and proof", 1, max(stage["proved"]["cpu"] for stage in stages)),
    ]
    for homes, graph, plain, compiled in ((100, "full", 60, 10), (1000, "nearest", 120, 20)):
        name = f"`bilateral`, {homes} homes, {graph}"
        rows += [
            (f"{name}, {way}", limit, max(case["seconds"]["cpu"] for case in markets(bilateral, homes, fast)))
            for way, limit, fast in (("numpy", plain, False), ("compiled", compiled, True))
        ]
    rows += [(f"`schedule`, {run['feeder']}", 60, run["seconds"]["cpu"]) for run in schedule["feeders"]]
    lines = [(what, f"≤ {limit:g} s", f"{seconds(value)} s", said(value <= limit)) for what, limit, value in rows]
    for way, least in (("python", 300_000), ("compiled", 2_000_000)):
        rate = book[way]["events_per_second"]
        name = f"`continuous`, order events per second, {way}"
        lines.append((name, f"≥ {grouped(least)}", grouped(rate), said(rate >= least)))
    name, limit = f"a sweep of {sweep['combinations']} runs, against these singly", sweep["at_most"]
    lines.append((name, f"≤ {limit:g} times", f"{sweep['ratio']:.2f} times", said(sweep["ratio"] <= limit)))
    return table(("what", "to reach", "measured", ""), lines)


def of(auctions: Figures, name: str, size: int) -> float:
    """Processor time of one of our mechanisms [s]."""
    return float(
        next(run for run in auctions["ours"] if (run["mechanism"], run["orders"]) == (name, size))["seconds"]["cpu"]
    )


def markets(bilateral: Figures, homes: int, compiled: bool) -> list[Figures]:
    """Its runs, by preference."""
    return [case for case in bilateral["markets"] if (case["homes"], case["compiled"]) == (homes, compiled)]


def machines() -> str:
    """Where, when and on which commit each file was measured."""
    rows = []
    for name in MEASURED:
        found = read(name)
        where, versions = found["machine"], found["versions"]
        rows.append(
            (
                f"`{name}.json`",
                found["date"][:10],
                found["commit"][:12],
                "–".join(dict.fromkeys(map(str, (min(runs(found)), max(runs(found)))))),
                f"{where['cpu']}, {where['cores']} cores, {where['system']}, Python {where['python']}",
                ", ".join(f"{package} {version}" for package, version in versions.items() if version),
            )
        )
    return table(("results", "date", "commit", "runs", "machine", "versions"), rows)


def runs(found: object) -> list[int]:
    """How many runs each median in some results is of."""
    if isinstance(found, dict):
        return [found["runs"]] if "runs" in found else [count for part in found.values() for count in runs(part)]
    return [count for part in found for count in runs(part)] if isinstance(found, list) else []


def orders(auctions: Figures) -> str:
    """Seconds of all programs on the same orders."""
    programs = [("`uniform`", {run["orders"]: run for run in auctions["ours"] if run["mechanism"] == "uniform"})]
    programs += [(name, by_size(runs)) for name, runs in auctions["peers"].items()]
    head = ("orders", *(title(*program) for program in programs))
    rows = [
        (grouped(size), *(seconds(found[size]["seconds"]["cpu"]) if size in found else "–" for _, found in programs))
        for size in SIZES
    ]
    return table(head, rows)


def title(name: str, of_sizes: dict[int, Figures]) -> str:
    """The program with its version."""
    return " ".join([name, *sorted({run["version"] for run in of_sizes.values() if "version" in run})])


def by_size(found: object) -> dict[int, Figures]:
    """Runs of another program by number of orders; nothing when it was left out."""
    return {run["orders"]: run for run in found} if isinstance(found, list) else {}


def worth(auctions: Figures, size: int = 10_000) -> str:
    """What each program made of the same orders."""
    ours_ = next(run for run in auctions["ours"] if (run["mechanism"], run["orders"]) == ("uniform", size))
    best = ours_["surplus"]
    rows = [("`uniform`", kwh(ours_["traded_wh"]), percent(1.0))]
    for name, found in auctions["peers"].items():
        run = by_size(found).get(size)
        rows.append((name, kwh(run["bought_wh"]), percent(run["surplus"] / best)) if run else (name, "left out", "–"))
    return table((f"{grouped(size)} orders", "kWh traded", "of the surplus of `uniform`"), rows)


def ours(auctions: Figures) -> str:
    """Seconds of all our mechanisms for orders."""
    names = list(dict.fromkeys(run["mechanism"] for run in auctions["ours"]))
    rows = [(grouped(size), *(seconds(of(auctions, name, size)) for name in names)) for size in SIZES]
    return table(("orders", *(f"`{name}`" for name in names)), rows)


def pool_table(pools: Figures) -> str:
    """Seconds of the pools, at any price and with limits."""
    rows = []
    for kind, meaning in (("pools_any_price", "any price"), ("pools_with_limits", "each its limit")):
        for name, stage in pools[kind].items():
            rows.append((f"`{name}`", meaning, *(seconds(stage[at]["cpu"]) for at in ("shares", "trades", "proved"))))
    return table(("pool", "members take", "prices and shares", "with trades", "with the proof"), rows)


def bilateral_table(bilateral: Figures) -> str:
    """Ours in both ways and Clarabel on the same homes and routes."""
    rows = []
    for central in bilateral["centrally"]:
        same = [
            case
            for case in bilateral["markets"]
            if all(case[key] == central[key] for key in ("homes", "graph", "preference"))
        ]
        by_way = {case["compiled"]: case for case in same}
        first = by_way[False]
        times = [seconds(by_way[way]["seconds"]["cpu"]) if way in by_way else "–" for way in (False, True)]
        rows.append(
            (
                f"{central['homes']}, {central['graph']}, {central['preference']}",
                grouped(first["routes"]),
                *times,
                seconds(central["seconds"]["cpu"]),
                percent(first["gap"], 3),
                percent(first["cost"] / central["cost"] - 1, 3),
            )
        )
    head = (
        "homes, graph, preference",
        "routes",
        "numpy",
        "compiled",
        "Clarabel",
        "certified gap",
        "above Clarabel's cost",
    )
    return table(head, rows)


def schedule_table(schedule: Figures) -> str:
    """Ours and Clarabel on the same feeders, and how far voltages go."""
    head = (
        "feeder",
        "buses",
        "homes",
        "seconds",
        "Clarabel",
        "certified gap",
        "above Clarabel's cost",
        "lowest, highest voltage",
    )
    rows = [
        (
            f"`{run['feeder']}`",
            str(run["buses"]),
            str(run["homes"]),
            seconds(run["seconds"]["cpu"]),
            seconds(run["centrally"]["seconds"]["cpu"]),
            percent(run["gap"], 3),
            percent(run["cost"] / run["centrally"]["cost"] - 1, 3),
            f"{run['lowest_voltage']:.4f}, {run['highest_voltage']:.4f}",
        )
        for run in schedule["feeders"]
    ]
    return table(head, rows)


def day_table(day: Figures) -> str:
    """Whole market days."""
    rows = [
        (
            grouped(run["homes"]),
            run["ledger"],
            seconds(run["cpu_seconds"]),
            f"{run['rss_mb']:.0f}",
            grouped(run["trades"]),
        )
        for run in day["days"]
    ]
    return table(("homes", "ledger", "processor time", "memory, MB", "trades"), rows)


def against() -> str:
    """This commit beside another one, and the ratios to reach."""
    if not AGAINST.exists():
        return "Nothing has been measured against another commit yet.\n"
    found = read("against")
    rows = []
    for figure in found["figures"]:
        base, now = (seconds(statistics.median(figure[side])) for side in ("base", "now"))
        limit, sign = RATIOS.get(figure["name"]), "≥" if figure["rate"] else "≤"
        reached = limit is not None and (figure["ratio"] >= limit if figure["rate"] else figure["ratio"] <= limit)
        goal = ("–", "") if limit is None else (f"{sign} {limit:g}", said(reached))
        rows.append((figure["name"], figure["unit"], base, now, f"{figure['ratio']:.3g}", *goal))
    where = found["machine"]
    told = (
        f"{found['date'][:10]}, commit {found['commit'][:12]} against {found['against'][:12]}, medians of"
        f" {found['runs']} runs each on {where['cpu']}, {where['cores']} cores, Python {where['python']}:\n\n"
    )
    return told + table(("what", "unit", "against", "now", "ratio", "to reach", ""), rows)


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table; all columns but the first to the right."""
    lines = [head, ("---", *["---:"] * (len(head) - 1)), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def seconds(value: float) -> str:
    """Three digits that count."""
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def grouped(value: int) -> str:
    """An integer in groups of three."""
    return f"{value:,}".replace(",", " ")


def kwh(wh: int) -> str:
    """Energy with one decimal [kWh]."""
    return f"{wh / 1000:.1f}"


def percent(part: float, places: int = 2) -> str:
    """A part of one."""
    return f"{part:.{places}%}".replace("%", " %")


def settled(found: Figures) -> str:
    """A month after the fact beside what was to be reached."""
    most, members = found["at_most"], found["members"]
    cases: list[tuple[str, float, float, str]] = [
        (
            f"{members} members, without a ledger, report to bills",
            most["unledgered"],
            found["without_ledger_seconds"]["cpu"],
            "CPU s",
        ),
        (
            f"{members} members, with the chain of the books",
            most["ledgered"],
            found["on_account_seconds"]["cpu"],
            "CPU s",
        ),
        ("verifying a bill", most["verify"], found["verify_one_seconds"]["cpu"], "CPU s"),
        ("largest bill, compressed", most["bytes"] / 1000, found["bill_bytes_compressed"] / 1000, "kB"),
        ("a register against G.03 or P.01, a slot", most["slot"], found["largest_wh_in_a_slot"], "Wh"),
        ("a register against G.03 or P.01, the month", most["month"], found["largest_wh_over_the_month"], "Wh"),
    ]
    rows = [
        (what, f"≤ {limit:g} {unit}", f"{value:.3g} {unit}", said(value <= limit)) for what, limit, value, unit in cases
    ]
    return table(("what", "to reach", "measured", ""), rows)


def bills_table(found: Figures) -> str:
    """A month with proofs beside what was to be reached."""
    most, lines = found["at_most"], []
    for month in ("october", "june"):
        measured, name = found[month], f"{month.capitalize()}, {found['homes']} homes"
        for how in ("gzip", "xz"):
            size = measured["bytes_of_the_largest"][how]
            row = (f"≤ {most['bytes'] / 1000:g} kB", f"{size / 1000:.0f} kB", said(size <= most["bytes"]))
            lines.append((f"{name}: largest bill with its proofs, {how}", *row))
        cpu = measured["verify_seconds"]["cpu"]
        row = (f"≤ {most['verify']:g} CPU s", f"{cpu:.3g} CPU s", said(cpu <= most["verify"]))
        lines.append((f"{name}: verifying it, {grouped(measured['lines_of_the_largest'])} lines", *row))
        lines.append((f"{name}: the run", "–", f"{measured['run_seconds']['cpu']:.3g} CPU s", ""))
    return table(("what", "to reach", "measured", ""), lines)


def said(holds: bool) -> str:
    """Whether a number is reached."""
    return "reached" if holds else "**not reached**"


if __name__ == "__main__":
    main()
