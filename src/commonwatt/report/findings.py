"""What a reader of a run must not miss: wires that did not carry it, plans that were not found, prices of no use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from commonwatt.exchange import store as tables
from commonwatt.exchange.sharing import participants
from commonwatt.plain import many
from commonwatt.report.wires import overloads

_REASONS = 3
"""How many reasons are told in full."""

if TYPE_CHECKING:
    from commonwatt.simulation.result import Result


def findings(result: Result) -> list[str]:
    """The findings as sentences; empty when there is nothing to say."""
    meters, money = _unread(result), [*_refused(result), *_unpaid(result)]
    return [*overloads(result), *meters, *_uncleared(result), *money, *_without_plan(result), *_in_vain(result)]


def _unread(result: Result) -> Iterator[str]:
    """Readings that never came, and slots that were settled anew with readings that came late."""
    arrays = result.arrays
    trading = [member.index for member in result.community.members if member.role.trades]
    missing = np.zeros_like(arrays["measured"], dtype=bool)
    missing[trading] = arrays["measured"][trading] == 0
    if never := int(missing.sum()):
        kwh = sum((arrays[f"{way}_utility"][missing]).sum() for way in ("from", "to")) / 1000
        yield f"The meters: {many(never, 'reading')} never came; {kwh:.1f} kWh of these homes are on no bill."
    if corrected := int((arrays["revision"] > 0).any(axis=0).sum()):
        yield f"The meters: readings that came late settled {many(corrected, 'slot')} anew."


def _uncleared(result: Result) -> Iterator[str]:
    """Slots that stayed without local trade because they could not be cleared, each of the commonest reasons once."""
    reasons = Counter(result.uncleared).most_common()
    for reason, slots in reasons[:_REASONS]:
        yield f"The market: {many(slots, 'slot')} without local trade: {reason}"
    if others := sum(slots for _, slots in reasons[_REASONS:]):
        yield f"The market: {many(others, 'slot')} more without local trade, for other reasons; the journal has them."


def _refused(result: Result) -> Iterator[str]:
    """Orders that were not admitted, with the first reason; they matter where a stage clears ahead."""
    rows = result.exchange.store.rows(tables.refusals)
    if rows and result.rules.ahead:
        known = rows[0].member >= 0
        whose = f" of {result.community.members[rows[0].member].id}" if known else ""
        yield f"The market: {many(len(rows), 'order')} refused; the first{whose}: {rows[0].reason}."


def _unpaid(result: Result) -> Iterator[str]:
    """Energy that was shared out after delivery, and that its buyers could not pay."""
    after = [result.rules.market[stage.number].name for stage in result.rules.after]
    shared = result.trades.filter(result.trades["stage"].is_in(after))
    if lost := int((shared["wh"] - shared["settled_wh"]).sum()):
        yield (
            f"The market: {lost / 1000:.1f} kWh for neighbours went to the utility instead, because the free "
            "collateral of those who would have bought them did not cover it."
        )


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
    for part in rules.parts:
        for stage in (*part.charter.ahead, *part.charter.after):
            name = rules.market[stage.number].name
            if name in traded:
                continue
            frame = rules.frame.part(part.places)
            sharing = participants(frame, rules.registers) if rules.registers else frame
            for key, told in stage.mechanism.in_vain(stage.parameters, sharing):
                yield f"The market: nothing was traded in {name}, {key}: {told}."
