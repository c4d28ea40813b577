"""A slot's states as types: Declared → Cleared → Committed → Delivered → Settled → Posted.

Each holds the one before it and what the step added, so a step cannot be handed a slot that is not ready for it.
Whether a post is final is for the chain to say, so there is no type that claims it. Where the laboratory runs
without signatures and ledger, the tuples of signed records are empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np

from commonwatt.accounts.registers import Shares
from commonwatt.market import Orders
from commonwatt.proof import Tree
from commonwatt.records import BUY, Clearing, Line, Order, Post, Reading, Signed, Statement, Trade, Trades
from commonwatt.units import WH_PER_KWH, IntArray

OF_PLANTS: Final = -1
"""In the place of a stage's number: what owners took of their plants."""
OF_COUPLING: Final = -2
"""The same: what was traded with another community."""


@dataclass(frozen=True)
class Wishes:
    """What homes bring to a gate for each of its slots that are still ahead.

    orders : for the laboratory, which believes them as they are
    signed : for an exchange, which believes signatures only
    planned : net energy at the meters, traded or not, which the wires must carry, shape (members, slots) [Wh]
    agreed : clearings, where agents agreed over the whole horizon before they ordered; else empty
    """

    orders: tuple[Orders, ...]
    signed: tuple[tuple[Signed[Order], ...], ...]
    planned: IntArray
    agreed: tuple[Clearing, ...]


@dataclass(frozen=True)
class Readings:
    """What the meters counted in a slot, as far as it came.

    net : for the laboratory, shape (members,) [Wh], positive = into the home
    signed : for an exchange, which believes signatures only; by member index, None where no reading came
    missing : for the laboratory, the members of whom no reading came
    generators : what the meters of generators counted beside them, by member index
    counted : where registers are shared, what each counted, shape (registers,) [Wh] >= 0
    """

    net: IntArray
    signed: tuple[Signed[Reading] | None, ...]
    missing: frozenset[int] = frozenset()
    generators: Mapping[int, Signed[Reading]] = field(default_factory=dict)
    counted: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


@dataclass(frozen=True)
class Witnessed:
    """What the generators' own meters counted in a slot, by member index; no trade settles by it.

    refused : why a reading is not believed, or that none came
    """

    believed: Mapping[int, Signed[Reading]] = field(default_factory=dict)
    refused: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Accepted:
    """The orders of a slot [start, unix s] that were accepted so far, by arrival: that is their place in its tree.

    members : index of each one's member
    last : place of the last one of a member and side, by (member index, side)
    """

    slot: int
    signed: tuple[Signed[Order], ...] = ()
    members: tuple[int, ...] = ()
    last: Mapping[tuple[int, int], int] = field(default_factory=dict)

    @cached_property
    def bound(self) -> IntArray:
        """The collateral that its last orders bind, shape (2, orders): member index, and how much [unit]."""
        bound = [(member, collateral(self.signed[place].record)) for (member, _), place in self.last.items()]
        return np.array(bound, dtype=np.int64).reshape(-1, 2).T


def collateral(order: Order) -> int:
    """What an order may cost [unit]."""
    return order.limit * order.wh // WH_PER_KWH if order.side == BUY else 0


@dataclass(frozen=True)
class Declared:
    """The orders of a slot [start, unix s] whose gate has closed.

    orders : those that count, by arrival: of each member and side at most one
    signed : all that were accepted, also those that another one replaced or cancelled, by arrival as in the slot's tree
    refused : (member, reason) of every order that was not accepted at the gate
    members : index of the member of each one of `signed`; places : where those of `orders` stand among them
    """

    slot: int
    orders: Orders
    signed: tuple[Signed[Order], ...]
    refused: tuple[tuple[int, str], ...]
    members: tuple[int, ...] = ()
    places: tuple[int, ...] = ()


@dataclass(frozen=True)
class Cleared:
    """What the stages ahead of delivery agreed.

    ahead : the clearing of each of these stages; they stay as they were cleared
    trades : the agreed trades that orders and wires carry, stage by stage
    stage : which stage of the market day made each trade, shape (trades,)
    feed_in_cap : most feed-in per home that the wires carry, shape (members,) [Wh]
    """

    declared: Declared
    ahead: tuple[Clearing, ...]
    trades: Trades
    stage: IntArray
    feed_in_cap: IntArray


@dataclass(frozen=True)
class Committed:
    """Trades as records, and the roots that are on the chain before delivery."""

    cleared: Cleared
    records: tuple[Trade, ...]
    orders: Tree
    trades: Tree


@dataclass(frozen=True)
class Missed(Committed):
    """A slot that began before anything was committed for it, because the exchange was away.

    Nothing of it can be posted, so nobody trades and everybody meets the utility.
    """


@dataclass(frozen=True)
class Delivered:
    """What the meters counted and the exchange believed. A home without a reading counts as nothing.

    net : shape (members,) [Wh], positive = into the home; 0 without a reading
    readings : by member index, None where there is none
    missing : the members without a reading
    revision : of the slot: 0 at its end, one more each time that it is settled anew with readings that came later
    moved : what earlier revisions have moved, shape (members,) or, where there are none, (1,) [unit]
    counted : where registers are shared, what each counted, shape (registers,) [Wh] >= 0; else empty
    kept : what rounding has kept from each in the slots before, same shape [millionths of a Wh]
    """

    committed: Committed
    net: IntArray
    readings: tuple[Signed[Reading] | None, ...]
    missing: frozenset[int] = frozenset()
    revision: int = 0
    moved: IntArray = field(default_factory=lambda: np.zeros(1, dtype=np.int64))
    counted: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    kept: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


@dataclass(frozen=True)
class Account:
    """The money of one slot, netted per member.

    trades : all trades, day-ahead first, then those of owners with their plants
    stage : which stage of the market day made each, OF_PLANTS or OF_COUPLING, shape (trades,)
    settled : Wh of each that the ledger settles, shape (trades,)
    local : settled local energy, shape (members,) [Wh], positive = bought
    grid : what is left to the utility, shape (members,) [Wh], positive = import
    credit : what each balance has moved by after all revisions, shape (members,) [unit]; its sum is zero
    shares : of the registers, where these are shared; what a member shared with itself is in no trade
    """

    trades: Trades
    stage: IntArray
    settled: IntArray
    local: IntArray
    grid: IntArray
    credit: IntArray
    shares: Shares = field(default_factory=Shares)


@dataclass(frozen=True)
class Settled:
    """A slot whose money is known. after : the clearing of each stage after delivery"""

    delivered: Delivered
    after: tuple[Clearing, ...]
    account: Account


@dataclass(frozen=True)
class Posted(Settled):
    """What the operators sign: a settled slot with its records, statements and their roots.

    lines, statements : by member index; a statement is None only where an operator passes a member over
    tree : of the statements
    deltas : packed; what this revision adds to what earlier ones have moved
    """

    records: tuple[Trade, ...]
    lines: tuple[tuple[Line, ...], ...]
    statements: tuple[Statement | None, ...]
    tree: Tree
    deltas: bytes
    post: Post
