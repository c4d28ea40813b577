"""Step 2 at the exchange: an order is accepted or refused as it arrives, and has its place in the slot's tree at once.

Pure functions, as in `steps`; energy is Wh, prices are units of money per kWh.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from commonwatt.community.model import Community
from commonwatt.community.wording import check_order, signer_of
from commonwatt.errors import RecordError, SignatureError
from commonwatt.exchange.states import Accepted, Declared, collateral
from commonwatt.market import Limits, Orders
from commonwatt.proof import Domain, verify_order
from commonwatt.records import BUY, SELL, Mandate, Order, Signed
from commonwatt.units import MAX_ORDER_WH, MAX_PRICE, IntArray

MOST_ORDERS: Final = 100
"""Orders of a member for one slot that replace others."""


class Open:
    """A slot while orders arrive: what `Accepted` has, and the collateral that is free.

    free : that no order binds, shape (members,) [unit]; what is accepted is taken from this very array
    """

    def __init__(self, accepted: Accepted, free: IntArray) -> None:
        self.slot, self.free = accepted.slot, free
        self.signed, self.members, self.last = [*accepted.signed], [*accepted.members], {**accepted.last}

    @property
    def accepted(self) -> Accepted:
        """What was accepted so far."""
        return Accepted(self.slot, tuple(self.signed), tuple(self.members), self.last)

    def take(
        self,
        signed: Signed[Order],
        mandates: Mapping[bytes, tuple[int, Mandate]],
        domain: Domain,
        community: Community,
        now: int,
    ) -> int:
        """One more order, in the place behind those before it.

        Believed is what the member's agent signed within the mandate, in a basket, or the member itself in words that
        say what the numbers say; and only up to the free collateral. A higher nonce replaces the member's order for
        the slot and side, or with 0 Wh cancels it: that one keeps its place, binds no collateral, and takes part in
        nothing.

        mandates : by member address: (member index, mandate); its own signature was checked when it was filed
        now : [unix s]
        Returns the place. Raises RecordError with the reason when the order is refused; then nothing has changed.
        """
        order = signed.record
        index, mandate = mandates.get(order.member, (-1, None))
        if mandate is None:
            raise RecordError("the member is not known here")
        if community.members[index].owners:
            raise RecordError("a plant of several owners sells what its meter has counted, and orders nothing")
        try:
            struct_hash = verify_order(domain, signed, signer_of(order, mandate))
        except SignatureError as error:
            raise SignatureError(f"{error} The member itself signs an order in words, its agent one without.") from None
        _fits(order, self.slot, now, community)
        if order.text:
            check_order(order, community.currency, community.timezone, community.slot_seconds, community.unit)
        else:
            _within_mandate(order, mandate, community)
        place = self.last.get((index, order.side))
        before = None if place is None else self.signed[place].record
        _succeeds(order, before)
        if before and self.members.count(index) >= MOST_ORDERS:
            raise RecordError(f"the member has ordered {MOST_ORDERS} times for this slot; no more are taken")
        cost, freed = collateral(order), collateral(before) if before else 0
        spare = max(int(self.free[index]), 0) + freed
        if cost > spare:
            told = community.told
            raise RecordError(f"it may cost {told(cost)}, but only {told(spare)} of collateral is free")
        self.free[index] += freed - cost
        self.last[index, order.side] = len(self.signed)
        self.signed.append(signed if signed.hash == struct_hash else replace(signed, hash=struct_hash))
        self.members.append(index)
        return len(self.signed) - 1

    def place_of(self, order: bytes) -> int | None:
        """Where the order with this struct hash stands; None when it was not accepted."""
        return next((place for place, each in enumerate(self.signed) if each.hash == order), None)


def admit(
    accepted: Accepted,
    signed: Iterable[Signed[Order]],
    mandates: Mapping[bytes, tuple[int, Mandate]],
    domain: Domain,
    community: Community,
    now: int,
    free: IntArray,
) -> tuple[Declared, IntArray]:
    """Gate closure of a slot at `now` [unix s]: what was accepted, with what comes at the last moment, one by one.

    free : as of `Open`, but left as it is
    Returns the slot, and the collateral that is left. A refused order harms nobody else, not even those of its basket.
    The rest is as for `Open.take`.
    """
    opened, refused = Open(accepted, free.copy()), []
    for order in signed:
        try:
            opened.take(order, mandates, domain, community, now)
        except RecordError as error:
            refused.append((mandates.get(order.record.member, (-1, None))[0], str(error)))
    return _closed(opened.accepted, mandates, tuple(refused), now), opened.free


def unsigned(slot: int, orders: Orders, bounds: Limits, community: Community) -> Declared:
    """Gate closure of a slot where nobody signs: the orders within the members' mandates, the others with the reason.

    bounds : of the mandates
    """
    most = np.where(orders.side == BUY, bounds.buy_wh[orders.member], bounds.sell_wh[orders.member])
    dear = (orders.side == BUY) & (orders.limit > bounds.max_buy[orders.member])
    cheap = (orders.side == SELL) & (orders.limit < bounds.min_sell[orders.member])
    beyond = (orders.wh > most) | dear | cheap
    if not beyond.any():
        return Declared(slot, orders, (), ())
    columns, refused = (orders.member, orders.side, orders.wh, orders.limit), []
    for member, side, wh, limit in zip(*(column[beyond].tolist() for column in columns), strict=True):
        allowed = (bounds.max_buy, bounds.min_sell, bounds.buy_wh, bounds.sell_wh)
        try:
            _within(side, wh, limit, [int(each[member]) for each in allowed], community)
        except RecordError as error:
            refused.append((member, str(error)))
    return Declared(slot, Orders(*(column[~beyond] for column in columns)), (), tuple(refused))


def bound(accepted: Iterable[Accepted], members: int) -> IntArray:
    """Collateral that the last orders of these slots bind, shape (members,) [unit]."""
    found = np.zeros(members, dtype=np.int64)
    for slot in accepted:
        np.add.at(found, *slot.bound)
    return found


def ordered(slots: Sequence[Accepted], members: int) -> IntArray:
    """What the last orders of slots take through the meters, shape (members, slots) [Wh], positive = into the home."""
    found = np.zeros((members, len(slots)), dtype=np.int64)
    for place, slot in enumerate(slots):
        for (member, side), which in slot.last.items():
            wh = slot.signed[which].record.wh
            found[member, place] += wh if side == BUY else -wh
    return found


def counting(slot: int, members: Sequence[int], signed: Sequence[Signed[Order]], places: Sequence[int]) -> Declared:
    """The slot whose orders at these places count; the other ones only stand in its tree."""
    records = [signed[place].record for place in places]
    table = [(members[place], o.side, o.wh, o.limit) for place, o in zip(places, records, strict=True)]
    columns = np.array(table, dtype=np.int64).reshape(-1, 4).T
    return Declared(slot, Orders(*columns), tuple(signed), (), tuple(members), tuple(places))


def _closed(
    accepted: Accepted,
    mandates: Mapping[bytes, tuple[int, Mandate]],
    refused: tuple[tuple[int, str], ...],
    now: int,
) -> Declared:
    """Of each member and side counts the last order, unless it cancels or is void by now, as that of a member that was
    suspended since, or of an account that was replaced."""
    last = {place: accepted.signed[place].record for place in sorted(accepted.last.values())}
    places = [place for place, order in last.items() if order.wh and order.expiry > now and order.member in mandates]
    return replace(counting(accepted.slot, accepted.members, accepted.signed, places), refused=refused)


def _fits(order: Order, slot: int, now: int, community: Community) -> None:
    """What holds for every order, whoever signs it."""
    if order.slot != slot or order.side not in (BUY, SELL):
        raise RecordError("the order is for another slot or side")
    if order.limit and not order.wh:
        raise RecordError("an order of 0 Wh cancels, and has the limit 0")
    if order.wh > MAX_ORDER_WH:
        raise RecordError(f"the order is for {order.wh} Wh, the most that can be counted is {MAX_ORDER_WH}")
    if order.limit > MAX_PRICE:
        _refuse_limit(order.limit, f"is above the highest that can be counted, {community.told(MAX_PRICE)}", community)
    if order.expiry <= now:
        raise RecordError("the order has expired")


def _within_mandate(order: Order, mandate: Mandate, community: Community) -> None:
    if not mandate.valid_from <= order.slot < mandate.valid_until:  # as the contract asks
        raise RecordError("the mandate does not hold when the slot begins")
    allowed = (mandate.max_buy, mandate.min_sell, mandate.buy_wh, mandate.sell_wh)
    _within(order.side, order.wh, order.limit, allowed, community)


def _within(side: int, wh: int, limit: int, allowed: Sequence[int], community: Community) -> None:
    """allowed : by the mandate, in the order of `Limits`"""
    max_buy, min_sell, buy_wh, sell_wh = allowed
    most = buy_wh if side == BUY else sell_wh
    if wh > most:
        raise RecordError(f"the order is for {wh} Wh, the mandate allows at most {most} here")
    if side == BUY and limit > max_buy:
        _refuse_limit(limit, f"is above what the mandate allows, {community.told(max_buy)}", community)
    if wh and side == SELL and limit < min_sell:
        _refuse_limit(limit, f"is below what the mandate allows, {community.told(min_sell)}", community)


def _succeeds(order: Order, before: Order | None) -> None:
    """An order replaces or cancels the one before it."""
    if before and order.nonce <= before.nonce:
        raise RecordError(f"its nonce {order.nonce} is not above {before.nonce}, that of the order before it")
    if not order.wh and not (before and before.wh):
        raise RecordError("it is for 0 Wh, and there is no order for this slot and side to cancel")


def _refuse_limit(limit: int, why: str, community: Community) -> None:
    raise RecordError(f"the order's limit, {community.told(limit)} per kWh, {why}")
