"""The study of two communities as JSON and on a terminal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from commonwatt.study.coupling.run import FEE, Run
from commonwatt.study.coupling.study import Study
from commonwatt.units import WH_PER_KWH

if TYPE_CHECKING:
    from rich.console import RenderableType


def as_json(study: Study) -> dict[str, Any]:
    """Everything; money in micro-currency, `moved_a` and `moved_b` by member, the gateway with them."""
    return {
        "seed": study.seed,
        "fee": FEE,
        "halves": study.halves,
        "both": len(study.both),
        "paid_in_a": study.paid_in_a,
        "paid_in_b": study.paid_in_b,
        "saved_a": sum(run.saved_a for run in study.runs),
        "saved_b": sum(run.saved_b for run in study.runs),
        "runs": [_run(study, number, run) for number, run in enumerate(study.runs, 1)],
    }


def _run(study: Study, number: int, run: Run) -> dict[str, Any]:
    return {
        "run": number,
        "scenario": run.scenario,
        "slot": run.bargain.slot,
        "wh": run.bargain.wh,
        "price_a": run.bargain.price_a,
        "price_b": run.bargain.price_b,
        "final_a": run.final_a,
        "final_b": run.final_b,
        "moved_a": dict(zip(study.names_a, run.moved_a.tolist(), strict=True)),
        "moved_b": dict(zip(study.names_b, run.moved_b.tolist(), strict=True)),
        "gateway_a": run.gateway_a,
        "gateway_b": run.gateway_b,
        "saved_a": run.saved_a,
        "saved_b": run.saved_b,
        "steps": [step.name.lower() for step in run.steps],
    }


def render(study: Study) -> RenderableType:
    """A table of the runs, and what both have of it."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("slot")
    table.add_column("scenario", ratio=1)
    for name in ("kWh", "final", "A saves", "B saves", "gateway in A", "in B"):
        table.add_column(name, justify="right")
    for each in study.runs:
        money = (each.saved_a, each.saved_b, each.gateway_a, each.gateway_b)
        figures = [f"{amount / study.per_currency:.3f}" for amount in money]
        ends = "HALF" if each.half else "both" if each.final_a else "neither"
        slot = datetime.fromtimestamp(each.bargain.slot, UTC)
        table.add_row(f"{slot:%d %H:%M}", each.scenario, f"{each.bargain.wh / WH_PER_KWH:.3f}", ends, *figures)
    return Group(table, Text(summary(study)))


def summary(study: Study) -> str:
    """What it all came to."""
    wh = sum(each.bargain.wh for each in study.both)
    saved = [sum(getattr(each, name) for each in study.both) / study.per_currency for name in ("saved_a", "saved_b")]
    return (
        f"Of {len(study.runs)} trades {len(study.both)} became final on both ledgers and "
        f"{len(study.runs) - len(study.both) - study.halves} on neither; {study.halves} were half. "
        f"{wh / WH_PER_KWH:.3f} kWh went from A to B, which saves A's members {saved[0]:.2f} and B's {saved[1]:.2f} "
        f"{study.currency} against their utilities alone."
    )
