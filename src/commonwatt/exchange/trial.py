"""Own mechanisms, tried on a few made-up slots, so that a broken promise shows before a day is simulated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np

from commonwatt.community.calendar import Slots, local_clock
from commonwatt.community.model import Community
from commonwatt.community.tariff import PriceFile, SlotPrices, rate_per_slot, slot_prices
from commonwatt.data.prices import PriceSeries, utility_prices
from commonwatt.errors import MarketError, PromiseBroken
from commonwatt.exchange.checking import active_stages
from commonwatt.exchange.corridor import MONDAY
from commonwatt.exchange.parties import limits
from commonwatt.market import Events, Frame, Limits, Orders, Positions
from commonwatt.market.interface import ADD
from commonwatt.records import BUY, SELL
from commonwatt.units import IntArray

_SLOTS: Final = 4
_WH: Final = 400


def tried(community: Community, folder: Path) -> Iterator[str]:
    """The names of the stages with a mechanism of one's own that cleared some slots, and kept its promises there.

    In the first more is wanted than there is, in the second less, in the third nobody sells, in the last nobody does
    anything. What asks for the plans of a whole day is not tried. Raises MarketError for the first that fails.
    """
    stages = [stage for side in active_stages(community, folder) for stage in side]
    own = [stage for stage in stages if ":" in community.market[stage.number].mechanism]
    own = [stage for stage in own if stage.mechanism.needs in _MADE]
    if not own:
        return
    slots, prices = _prices(community, folder)
    minutes = local_clock(slots, community.timezone).astype("datetime64[m]").astype(np.int64) % 1440
    members = len(community.members)
    frame = Frame(slots.starts, minutes, slots.hours, members, prices.ceiling, prices.floor, community.unit)
    allowed, wished = limits(community, prices), _wished(community)[:, : slots.count]
    for stage in own:
        name, made = community.market[stage.number].name, _MADE[stage.mechanism.needs]
        inputs = tuple(made(net, allowed, slots, place) for place, net in enumerate(wished.T))
        try:
            stage.mechanism.clear(frame, inputs, stage.parameters)
        except MarketError as error:
            raise MarketError(f"market.{name}, tried on made-up energy: {_told(error, community)}") from error
        yield name


def _told(error: MarketError, community: Community) -> str:
    if not isinstance(error, PromiseBroken):
        return str(error)
    if not error.trade:
        return error.alone
    price, limit = (community.told(error.trade[name]) for name in ("price", "limit"))
    whose = community.members[error.trade["member"]].id
    return f"{error.alone.removesuffix('.')}: {price} per kWh for {whose}, whose limit is {limit}."


def _prices(community: Community, folder: Path) -> tuple[Slots, SlotPrices]:
    """The first slots that the price files cover; without them, at noon of a Monday."""
    zone, seconds, tariff = community.timezone, community.slot_seconds, community.tariff
    rates = (tariff.retail, tariff.feed_in)
    files = [rate.path for rate in rates if isinstance(rate, PriceFile)]
    if not files:
        noon = int(np.datetime64(f"{MONDAY}T12:00", "s").astype(np.int64))
        slots = Slots(noon // seconds * seconds, _SLOTS, seconds)
        retail, feed_in = (rate_per_slot(rate, slots, zone) for rate in rates if not isinstance(rate, PriceFile))
        return slots, slot_prices(tariff, retail, feed_in)
    whole = [PriceSeries.open(folder / path, zone, community.currency).file.slots(seconds) for path in files]
    begin = max(slots.start for slots in whole)
    count = min(_SLOTS, *((slots.end - begin) // seconds for slots in whole))
    slots = Slots(begin, max(count, 1), seconds)
    return slots, utility_prices(tariff, folder, slots, zone, community.currency, community.unit)


def _wished(community: Community) -> IntArray:
    """What each member wishes in each slot, shape (members, slots) [Wh]. Who can generate sells; else every other."""
    members = community.members
    trades = np.array([member.role.trades for member in members])
    sells = np.array([bool(member.pv or member.battery) for member in members])
    if not sells.any() or sells[trades].all():
        sells = np.arange(len(members)) % 2 == 1
    buys = np.where(trades & ~sells, _WH + np.arange(len(members)), 0)
    offers = np.where(trades & sells, _WH // 2 + np.arange(len(members)), 0)
    return np.stack([2 * buys - offers, buys // 2 - 4 * offers, buys, 0 * buys], axis=1)


def _positions(net: IntArray, allowed: Limits, *_: object) -> Positions:
    return Positions(net, allowed.max_buy, allowed.min_sell)


def _orders(net: IntArray, allowed: Limits, *_: object) -> Orders:
    member = np.flatnonzero(net)
    buys = net[member] > 0
    limit = np.where(buys, allowed.max_buy[member], allowed.min_sell[member])
    return Orders(member, np.where(buys, BUY, SELL), np.abs(net[member]), limit)


def _events(net: IntArray, allowed: Limits, slots: Slots, place: int) -> Events:
    """All orders at the beginning of the slot, and until its end."""
    orders, start = _orders(net, allowed), int(slots.starts[place])
    number = np.arange(len(orders.wh))
    time = np.full_like(number, start)
    return Events(
        np.full_like(number, ADD), number, orders.member, orders.side, orders.wh, orders.limit, time,
        time + slots.seconds,
    )  # fmt: skip


_MADE: Final[Mapping[type, Callable[[IntArray, Limits, Slots, int], object]]] = {
    Positions: _positions,
    Orders: _orders,
    Events: _events,
}
"""By what a mechanism needs."""
