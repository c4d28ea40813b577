"""What a reader of a run must not miss: wires that did not carry it, plans that were not found, prices of no use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from commonwatt.plain import many
from commonwatt.report.wires import overloads

_REASONS = 3
"""How many reasons are told in full."""

if TYPE_CHECKING:
    from commonwatt.simulation.result import Result


def findings(result: Result) -> list[str]:
    """The findings as sentences; empty when there is nothing to say."""
    return [*overloads(result), *_uncleared(result), *_without_plan(result), *_in_vain(result)]


def _uncleared(result: Result) -> Iterator[str]:
    """Slots that stayed without local trade because they could not be cleared, each of the commonest reasons once."""
    reasons = Counter(result.uncleared).most_common()
    for reason, slots in reasons[:_REASONS]:
        yield f"The market: {many(slots, 'slot')} without local trade: {reason}"
    if others := sum(slots for _, slots in reasons[_REASONS:]):
        yield f"The market: {many(others, 'slot')} more without local trade, for other reasons; the journal has them."


def _without_plan(result: Result) -> Iterator[str]:
    """Slots in which a market over the whole day found nothing that all can live with, or nothing that all prefer."""
    told = result.diagnostics("ahead")
    lost = sum(found.get("converged") == 0 for found in told)
    barred = sum(0 < found.get("routes", 0) == found.get("barred") for found in told)
    if lost or barred:
        name = result.rules.ahead[0].mechanism.name
    if lost:
        yield f"The market: {name} found no plan for {lost} slots; there everyone met the utility."
    if barred:
        yield f"The market: in {barred} slots the preferences of {name} left any two neighbours nothing to gain."


def _in_vain(result: Result) -> Iterator[str]:
    """Stages that traded nothing, with the parameters that left them nothing to trade."""
    rules, traded = result.rules, set(result.trades["stage"].unique())
    for stage in (*rules.ahead, *rules.after):
        name = result.community.market[stage.number].name
        if name in traded:
            continue
        for key, told in stage.mechanism.in_vain(stage.parameters, rules.frame):
            yield f"The market: nothing was traded in {name}, {key}: {told}."
