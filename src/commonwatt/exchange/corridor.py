"""What a community's tariff leaves for prices between neighbours, and market parameters that it leaves nothing for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from math import inf
from typing import Any, Final

from commonwatt.accounts.registers import Registers
from commonwatt.community.calendar import local_clock, local_days
from commonwatt.community.model import Community, Member
from commonwatt.community.tariff import PriceFile, rate_per_slot, slot_prices
from commonwatt.community.unit import SOMEBODY
from commonwatt.exchange.sharing import participants
from commonwatt.market import Frame, Mechanism
from commonwatt.units import WH_PER_KWH

MONDAY: Final = date(2024, 1, 8)
"""Of a week in which hardly any clock is changed."""


def in_vain(community: Community, mechanism: Mechanism[Any], parameters: Mapping[str, object]) -> dict[str, str]:
    """The parameters with which nothing can be traded on any day of the week, each with a sentence.

    Empty where a price comes from a file: what it may hold is not known. Raises MarketError when the mechanism fails.
    """
    most_kw = max(_most_kw(member, community.hours) for member in community.members or (SOMEBODY,))
    days = [dict(mechanism.in_vain(parameters, frame, most_kw)) for frame in week(community)]
    return {key: told for key, told in days[0].items() if all(key in day for day in days)} if days else {}


def week(community: Community) -> Iterator[Frame]:
    """The seven days of a week, Monday first; none where a price comes from a file. Of registers where these share."""
    tariff = community.tariff
    registers = Registers.of(community.members) if community.by == "registers" else None
    if isinstance(tariff.retail, PriceFile) or isinstance(tariff.feed_in, PriceFile):
        return
    for number in range(7):
        slots = local_days(MONDAY + timedelta(days=number), 1, community.timezone, community.slot_seconds)
        rates = (rate_per_slot(rate, slots, community.timezone) for rate in (tariff.retail, tariff.feed_in))
        prices = slot_prices(tariff, *rates)
        minutes = local_clock(slots, community.timezone).astype("datetime64[m]").astype("int64") % 1440
        members, unit = len(community.members), community.unit
        frame = Frame(slots.starts, minutes, slots.hours, members, prices.ceiling, prices.floor, unit)
        yield participants(frame, registers) if registers else frame


def _most_kw(member: Member, hours: float) -> float:
    """The most that a member can sell [kW], by its mandate and its devices; a meter file's column may hold anything."""
    pv, battery = member.pv, member.battery
    read = any(point.feeds for point in member.points) or (pv is not None and ":" not in pv.profile)
    roof = inf if read else pv.kwp if pv else 0.0
    return min(member.terms.sell_wh / (WH_PER_KWH * hours), roof + (battery.kw if battery else 0.0))
