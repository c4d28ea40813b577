"""Figures of docs/chain.md and docs/json-rpc.md from benchmarks/results/: `python benchmarks/_chain_page.py`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "docs" / "chain.md", ROOT / "docs" / "json-rpc.md")
BLOCK = re.compile(r"<!-- begin (\w+) -->\n(.*?)<!-- end -->\n", re.DOTALL)
Figures = dict[str, Any]


def main() -> None:
    """Write every block of the pages anew."""
    found = blocks()
    for page in PAGES:
        text = page.read_text("utf-8")
        page.write_text(BLOCK.sub(lambda at: f"<!-- begin {at[1]} -->\n{found[at[1]]}<!-- end -->\n", text), "utf-8")


def blocks() -> dict[str, str]:
    """What stands between the pages' markers, by name."""
    network, rpc, process = read("network"), read("rpc"), read("chain_process")
    return {
        "network": rates(network),
        "latecomer": latecomer(network["catching_up"]),
        "receipts": receipts(rpc),
        "own": own(process),
    }


def read(name: str) -> Figures:
    """The results of one benchmark."""
    return dict(json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text("utf-8")))


def rates(found: Figures) -> str:
    """Blocks and transfers per second."""
    lines = [f"{found['date'][:10]}, {where(found)}:\n\n", "| per second | made | validated |\n| --- | ---: | ---: |\n"]
    for what, name in (
        ("blocks with one transfer each", "single_transaction_blocks_per_second"),
        (f"transfers in full blocks of {found['transfers_in_a_full_block']}", "transfers_per_second_in_full_blocks"),
        ("transfers of the community's token in full blocks", "token_transfers_per_second_in_full_blocks"),
    ):
        made, validated = (f"{found[name][way]['cpu']:.0f}" for way in ("made", "validated"))
        lines.append(f"| {what} | {made} | {validated} |\n")
    return "".join(lines)


def latecomer(found: Figures) -> str:
    """A long chain that is fetched."""
    memory = max(found["memory_mb_every_1000_blocks"])
    return (
        f"A latecomer fetches and executes {grouped(found['blocks'])} blocks with one transfer each in "
        f"{found['seconds']['cpu']:.0f} s of CPU;\nits memory stays at {memory} MB, its file has "
        f"{found['file_mb']:.0f} MB.\n"
    )


def receipts(found: Figures) -> str:
    """From sending a transfer to its receipt."""
    lines = ["| transfer to receipt, ms | transfers | median | 99 % within |\n| --- | ---: | ---: | ---: |\n"]
    period = found["transaction_to_receipt_on_a_node"]["period_s"]
    for what, name in (
        ("embedded chain, which seals at once", "transaction_to_receipt"),
        (f"node that seals a block every {period} s", "transaction_to_receipt_on_a_node"),
    ):
        case = found[name]
        lines.append(f"| {what} | {grouped(case['transfers'])} | {case['p50_ms']:.0f} | {case['p99_ms']:.0f} |\n")
    return "".join([*lines, f"\n{found['date'][:10]}, {where(found)}.\n"])


def own(found: Figures) -> str:
    """What the chain of one machine takes."""
    idle, lines = found["idle"], ["| CPU seconds of the chain | founding | a slot posted and final | of a backlog |\n"]
    lines.append("| --- | ---: | ---: | ---: |\n")
    for case in found["settlements"]:
        taken = (case[name]["chain_cpu"] for name in ("founding", "posted_and_final", "posted_and_final_in_a_backlog"))
        lines.append(f"| {grouped(case['members'])} members | {' | '.join(f'{each:.2g}' for each in taken)} |\n")
    told = f"Idle it takes {idle['percent_of_a_core']:.2g} % of a core and {idle['memory_mb']} MB"
    grown = f"its file grows by {idle['bytes_grown']} bytes"
    return "".join([*lines, f"\n{told}; {grown}.\n{found['date'][:10]}, {where(found)}.\n"])


def where(found: Figures) -> str:
    """The machine."""
    machine = found["machine"]
    return f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}"


def grouped(number: int) -> str:
    """A number with spaces between thousands."""
    return f"{number:,}".replace(",", " ")


if __name__ == "__main__":
    main()
