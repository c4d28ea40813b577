"""What a reader of a run must not miss: wires that did not carry it, plans that were not found, prices of no use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np

from commonwatt.data.times import local
from commonwatt.data.zone import zone_named
from commonwatt.exchange import tables
from commonwatt.exchange.sharing import participants
from commonwatt.plain import many
from commonwatt.report.wires import overloads
from commonwatt.simulation.ordering import silences

_DAY = 86_400
_REASONS = 3
"""How many reasons are told in full."""

if TYPE_CHECKING:
    from commonwatt.simulation.result import Result


def findings(result: Result) -> list[str]:
    """The findings as sentences; empty when there is nothing to say."""
    meters, money = _unread(result), [*_refused(result), *_unpaid(result)]
    minds = [*_short(result), *silent(result), *_unasked(result)]
    return [*overloads(result), *meters, *minds, *_uncleared(result), *money, *_without_plan(result), *_in_vain(result)]


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


def _short(result: Result) -> Iterator[str]:
    """Forecasts of the first days that knew less of the past than they would look at."""
    world, period = result.simulated.world, result.period
    if world.first < world.wanted:
        wanted, known = (slots * period.seconds / _DAY for slots in (world.wanted, world.first))
        begins = f"{known:.1f} days before the period" if known else "with the period"
        files = " and ".join(each.path for each in result.community.profiles)
        yield (
            f"The forecast: {files} begins {begins}, and forecasts look back {wanted:.1f} days, so those of the first "
            "days rest on less. Where nothing was known, nothing was ordered ahead."
        )


def silent(result: Result) -> Iterator[str]:
    """Homes without orders at a gate because their forecast or their agent failed, each member's first reason."""
    members, zone = result.community.members, zone_named(result.community.timezone)
    for what, title in (("forecast", "The forecast"), ("agent", "The agents")):
        rows = [row for row in result.simulated.store.rows(silences) if row.what == what]
        gates = Counter(row.member for row in rows)
        first = {row.member: row for row in reversed(rows)}
        for member, count in gates.most_common(_REASONS):
            when, more = local(first[member].gate, zone), f", and at {count - 1} more" if count > 1 else ""
            yield f"{title}: {members[member].id} ordered nothing at the gate of {when}{more}: {first[member].reason}."
        if len(gates) > _REASONS:
            yield f"{title}: {many(len(gates) - _REASONS, 'other home')} ordered nothing at some gate either."


def _unasked(result: Result) -> Iterator[str]:
    """Agents that were never asked, because no stage takes orders before delivery."""
    ahead = [charter.ahead for charter in result.rules.charters]
    if result.simulated.minds.strategic and all(not stages or stages[0].over_horizon for stages in ahead):
        yield "The agents: none was asked, because no stage of the market takes orders before delivery."


def _uncleared(result: Result) -> Iterator[str]:
    """Slots that stayed without local trade because they could not be cleared, each of the commonest reasons once."""
    reasons = Counter(result.uncleared).most_common()
    for reason, slots in reasons[:_REASONS]:
        first = next(note for note in result.not_cleared if note["reason"] == reason)
        told = f"{reason.removesuffix('.')}; {'first' if slots > 1 else 'it is'} {_where(first, result)}."
        yield f"The market: {many(slots, 'slot')} without local trade: {told}"
    if others := sum(slots for _, slots in reasons[_REASONS:]):
        yield f"The market: {many(others, 'slot')} more without local trade, for other reasons; the journal has them."


def _where(note: dict[str, Any], result: Result) -> str:
    """The slot of a note on the community's clock and, where a price was too far, whose and which."""
    community = result.community
    when = datetime.fromtimestamp(note["slot"], ZoneInfo(community.timezone)).strftime("%Y-%m-%d %H:%M %Z")
    if "limit" not in note:
        return f"at {when}"
    price, limit = (community.told(note[name]) for name in ("price", "limit"))
    return f"at {when}, of {community.members[note['member']].id}: {price} per kWh, where its limit is {limit}"


def _refused(result: Result) -> Iterator[str]:
    """Orders that were not admitted, with some members' first reason; they matter where a stage clears ahead."""
    rows = result.exchange.store.rows(tables.refusals) if result.rules.ahead else []
    first: dict[int, str] = {}
    for row in rows:
        first.setdefault(row.member, row.reason)
    names = {member.index: f" of {member.id}" for member in result.community.members}
    told = [f"the first{names.get(member, '')}: {reason}" for member, reason in first.items()]
    if len(told) > _REASONS:
        told[_REASONS:] = [f"and those of {many(len(told) - _REASONS, 'other member')}"]
    if rows:
        yield f"The market: {many(len(rows), 'order')} refused; {'; '.join(told)}."


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
