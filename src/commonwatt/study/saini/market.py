"""The market of Saini et al. 2023: their rule through our mechanism `fixed`, and Tables 5 and 6.

Energy is Wh, money micro-rupee, prices micro-rupee/kWh.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from commonwatt.market import Frame, Orders, find
from commonwatt.records import BUY, SELL, Clearing
from commonwatt.study.saini.case import Case, Deal, Slot, kwh_text
from commonwatt.units import WH_PER_KWH, round_half_up

MILLI = 1_000


@dataclass(frozen=True)
class TradeRow:
    """A row of Table 5: as printed and as we clear it; `exact` is our payment before truncation to 3 decimals."""

    printed: Deal
    ours: Deal
    exact: int


@dataclass(frozen=True)
class PairRow:
    """A cell of Table 6 [Wh]."""

    seller: str
    buyer: str
    printed: int
    ours: int


@dataclass(frozen=True)
class Reading:
    """One reading of "fill": how many rows of Table 5 it gives, and which it gives that are not there."""

    fill: str
    demand: str
    rows_as_printed: int
    others: tuple[Deal, ...]


@dataclass(frozen=True)
class Refusal:
    """An offer that the rules keep out."""

    hour: str
    seller: str
    wh: int
    reason: str


@dataclass(frozen=True)
class SlotProof:
    """What the mechanism proved of one hour: the figure of each check by name; 0 is right."""

    hour: str
    holds: bool
    figures: Mapping[str, int]


def clear(case: Case, slots: Sequence[Slot], **parameters: object) -> tuple[Clearing, ...]:
    """The slots cleared by `fixed` with the paper's rule, `parameters` overriding.

    The price ceiling is the day's average grid price: the paper prints no hourly one, and sets its price against
    the average. Members put no limit of their own.
    """
    index = {member: number for number, member in enumerate(case.members)}
    ceiling = np.full(len(slots), case.average, dtype=np.int64)
    clock = [int(slot.hour[:2]) * 60 + int(slot.hour[3:]) for slot in slots]
    starts = np.array([slot.start for slot in slots], dtype=np.int64)
    frame = Frame(starts, np.array(clock), case.hours, len(case.members), ceiling, np.zeros_like(ceiling))
    inputs = tuple(_orders(slot, index, case.average) for slot in slots)
    return find("fixed").clear(frame, inputs, {**case.rule, **parameters})


def deals(case: Case, slots: Sequence[Slot], clearings: Sequence[Clearing]) -> tuple[Deal, ...]:
    """The trades in the order in which the rule makes them, with exact payments."""
    return tuple(
        Deal(slot.hour, case.members[seller], case.members[buyer], wh, money)
        for slot, clearing in zip(slots, clearings, strict=True)
        for seller, buyer, wh, money in _rows(clearing)
    )


def truncated(money: int) -> int:
    """Money cut to three decimals of a rupee, as Table 5 does [micro-rupee].

    >>> truncated(1_148_700)
    1148000
    """
    return money // MILLI * MILLI


def rounded(money: int) -> int:
    """Money rounded to three decimals of a rupee, as Table 5 does not [micro-rupee]."""
    return round_half_up(Fraction(money, MILLI)) * MILLI


def table5(case: Case, ours: Iterable[Deal]) -> tuple[TradeRow, ...]:
    """Every printed row beside ours; a row that only one side has stands beside 0 Wh."""
    mine, printed = {deal.key: deal for deal in ours}, {deal.key: deal for deal in case.printed.deals}
    rows = []
    for key in dict.fromkeys([*printed, *mine]):
        nothing = Deal(*key, 0, 0)
        exact = mine.get(key, nothing)
        rows.append(TradeRow(printed.get(key, nothing), replace(exact, money=truncated(exact.money)), exact.money))
    return tuple(rows)


def table6(case: Case, ours: Iterable[Deal]) -> tuple[PairRow, ...]:
    """Daily energy of each pair, printed beside the sum of our trades."""
    totals = dict.fromkeys(case.printed.pairs, 0)
    for deal in ours:
        totals[deal.seller, deal.buyer] += deal.wh
    return tuple(PairRow(*pair, printed, totals[pair]) for pair, printed in case.printed.pairs.items())


def readings(case: Case) -> tuple[Reading, ...]:
    """The two readings of "partial or full" and where they part: section 4.2 does not say which holds."""
    hour, member, demand = case.full_only
    wanting = tuple(
        replace(slot, demand={**slot.demand, member: demand}) if slot.hour == hour else slot for slot in case.slots
    )
    printed = {(deal.key, deal.wh) for deal in case.printed.deals}
    result = []
    for fill, slots in (("partial", case.slots), ("full", wanting), ("partial", wanting)):
        found = deals(case, slots, clear(case, slots, fill=fill))
        others = tuple(deal for deal in found if (deal.key, deal.wh) not in printed)
        wanted = next(slot.demand[member] for slot in slots if slot.hour == hour)
        wish = f"{member} wants {kwh_text(wanted)} kWh at {hour}"
        result.append(Reading(fill, wish, len(found) - len(others), others))
    return tuple(result)


def refusals(case: Case) -> tuple[Refusal, ...]:
    """The offers that the window or the least excess keeps out (section 4.2, items 3 and 5)."""
    first, last = case.window
    offers = [(slot.hour, seller, wh) for slot in case.slots for seller, wh in slot.surplus.items() if wh]
    early = {hour for hour, _, _ in offers if not first <= hour < last}
    outside = [Refusal(*offer, f"starts outside {first} to {last}") for offer in offers if offer[0] in early]
    least_wh = case.min_excess_kw * case.hours * WH_PER_KWH
    small = [offer for offer in offers if offer[0] not in early and offer[2] < least_wh]
    return (*outside, *(Refusal(*offer, f"below {case.min_excess_kw} kW") for offer in small))


def _orders(slot: Slot, index: Mapping[str, int], limit: int) -> Orders:
    sells = [(index[user], SELL, wh, 0) for user, wh in slot.surplus.items() if wh]
    buys = [(index[user], BUY, wh, limit) for user, wh in slot.demand.items() if wh]
    return Orders(*np.array(sells + buys, dtype=np.int64).reshape(-1, 4).T)


def _rows(clearing: Clearing) -> Iterable[tuple[int, int, int, int]]:
    trades = clearing.trades
    columns = (trades.seller, trades.buyer, trades.wh, trades.payments)
    return zip(*(column.tolist() for column in columns), strict=True)


def slot_proof(slot: Slot, clearing: Clearing) -> SlotProof:
    """What the mechanism proved of this slot."""
    return SlotProof(slot.hour, clearing.proof.holds, {check.name: check.figure for check in clearing.proof.checks})
