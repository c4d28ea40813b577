"""What two communities trade with each other in a slot: how much, at what price, and how it is shared.

Community A has more than it uses, community B less. A gateway is a member of both: it buys in A what it sells in B.
What A's members would have sold to the utility goes to it, what B's members would have bought from the utility comes
from it, each in proportion (largest remainder), as in the pools; what neighbours traded among themselves stays as it
is. So nobody is worse off than without. The trade is one more revision of the slot on either ledger, the last one. Pure
functions; energy is Wh, prices are units of money per kWh.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from commonwatt.accounts import netting
from commonwatt.errors import RecordError
from commonwatt.exchange import steps
from commonwatt.exchange.states import OF_COUPLING, Account, Delivered, Posted, Settled
from commonwatt.market import Frame, Limits
from commonwatt.market.agreements import joined
from commonwatt.records import ZERO_HASH, Mandate, Signed, Trades
from commonwatt.units import MAX_ORDER_WH, WH_PER_KWH, IntArray, largest_remainder


class Prices(NamedTuple):
    """What the gateway pays in A, and what it is paid in B [unit/kWh]."""

    a: int
    b: int


def prices(feed_in: int, retail: int, fee: int) -> Prices | None:
    """Half of what a kWh gains is A's, half B's; None where nothing is gained.

    feed_in : of A's utility, and retail : of B's [unit/kWh]; fee : what the gateway keeps >= 0 [unit/kWh]

    >>> prices(80_000, 320_000, 20_000)
    Prices(a=190000, b=210000)
    >>> prices(80_000, 100_000, 20_000)
    """
    gained = retail - fee - feed_in
    mine = feed_in + gained // 2
    return Prices(mine, mine + fee) if gained > 0 and mine >= 0 else None


@dataclass(frozen=True)
class Side:
    """One community at the end of a slot.

    settled : its last revision; gateway : the gateway's member index
    surplus : whether it is A, whose members sell to the gateway; in B they buy from it
    price : at which they do [unit/kWh]
    frame : of this one slot; limits : of the members' mandates
    free : what each member can spend, shape (members,) [unit]
    bond : what the post of the trade costs its operator when it is struck [unit]
    """

    settled: Settled
    gateway: int
    surplus: bool
    price: int
    frame: Frame
    limits: Limits
    free: IntArray
    bond: int

    @property
    def quantities(self) -> IntArray:
        """What each member would trade with the gateway instead of the utility, within its mandate and its money, shape
        (members,) [Wh] >= 0. Whose money ran out for what it bought from neighbours buys nothing more."""
        account, net = self.settled.account, self.settled.delivered.net
        done = replace(account.trades, wh=account.settled)
        left = steps.deviations(net, done, self.limits, self.frame)
        if self.surplus:
            wh = np.where(left.min_sell <= self.price, np.maximum(-left.net, 0), 0)
        else:
            wh = np.where(left.max_buy >= self.price, np.maximum(left.net, 0), 0)
            wh = np.minimum(wh, np.maximum(self.free, 0) * WH_PER_KWH // max(self.price, 1))
            wh[account.trades.buyer[account.settled < self._owed]] = 0
        wh[self.gateway] = 0
        return wh

    @property
    def _owed(self) -> IntArray:
        """What each trade came to before money ran out, shape (trades,) [Wh]."""
        agreed = self.settled.delivered.committed.cleared.trades
        delivered = netting.delivered(agreed, self.settled.delivered.net)
        return np.concatenate([delivered, self.settled.account.trades.wh[len(agreed) :]])

    @property
    def most(self) -> int:
        """The most that this community can trade with the other one [Wh]: what goes through its link to the grid, and
        what its members and the gateway can. No slot moves more money than half of the bond, which is what it costs to
        have the post struck when the other one is final."""
        limits, gateway = self.limits, self.gateway
        through = int(self.settled.delivered.net.sum())
        if self.surplus:
            willing, own = limits.max_buy[gateway] >= self.price, limits.buy_wh[gateway]
            money = min(self.bond // 2, int(self.free[gateway]))
        else:
            willing, own = limits.min_sell[gateway] <= self.price, limits.sell_wh[gateway]
            money = self.bond // 2
        link = max(self.sign * -through, 0)
        covered = money * WH_PER_KWH // max(self.price, 1)
        return min(link, int(self.quantities.sum()), int(own), covered, MAX_ORDER_WH) if willing else 0

    @property
    def sign(self) -> int:
        """Of the gateway's net energy: it takes in A and brings in B."""
        return 1 if self.surplus else -1


def energy(a: Side, b: Side) -> int:
    """What goes from A to B in the slot [Wh]: the gateway's meter on either side signs this figure."""
    return min(a.most, b.most)


def shares(side: Side, read: Delivered) -> IntArray:
    """What each member has of the trade, shape (members,) [Wh] >= 0.

    read : the same slot with the gateway's reading of the trade and no other
    Raises RecordError when this is not such a reading, or the price or the energy is not what the side can have.
    """
    floor, ceiling = int(side.frame.floor[0]), int(side.frame.ceiling[0])
    if not floor <= side.price <= ceiling:
        raise RecordError(f"At {side.price} the utility is better than the other community, at {floor} to {ceiling}.")
    if frozenset(range(len(read.net))) - read.missing != {side.gateway}:
        raise RecordError("A coupled revision has one more reading, the gateway's.")
    wh = int(read.net[side.gateway]) * side.sign
    if not 0 < wh <= side.most:
        raise RecordError(f"{wh} Wh cannot be traded with the other community, where {side.most} Wh can.")
    return largest_remainder(wh, side.quantities)


def couple(side: Side, read: Delivered, shared: IntArray) -> Settled:
    """The slot with the trade, as its next revision; the deltas of the revision are those of the trade alone.

    read, shared : see `shares`
    Raises SequenceError when the gateway's reading has no higher number than the one before.
    """
    account, gateway = side.settled.account, side.gateway
    delivered = steps.amend(side.settled.delivered, read, account.credit)
    members = np.flatnonzero(shared)
    other = np.full(len(members), gateway, dtype=np.int64)
    price = np.full(len(members), side.price, dtype=np.int64)
    ends = (other, members) if side.surplus else (members, other)
    trade = Trades(*ends, shared[members], price)
    trades, settled = joined(account.trades, trade), np.concatenate([account.settled, trade.wh])
    final = replace(trades, wh=settled)
    local = final.position(side.frame.members)
    stage = np.concatenate([account.stage, np.full(len(members), OF_COUPLING, dtype=np.int64)])
    credit = final.credit(side.frame.members)
    return Settled(delivered, (), Account(trades, stage, settled, local, delivered.net - local, credit))


def locked(coupled: Settled, mandates: Sequence[Signed[Mandate]], lock: bytes, until: int) -> Posted:
    """What the operators sign of it. lock : keccak of the gateway's key; until : its last second [unix s]

    Raises RecordError without either: then one side could become final alone.
    """
    if lock == ZERO_HASH or not until:
        raise RecordError("A trade with another community needs a lock and an end.")
    posted = steps.post(coupled, mandates)
    return replace(posted, post=replace(posted.post, lock=lock, until=until))
