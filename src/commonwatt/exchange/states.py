"""A slot's states as types: Declared → Cleared → Committed → Delivered → Posted.

Each holds the one before it and what the step added, so a step cannot be handed a slot that is not ready for it.
Whether a post is settled is for the chain to say, so there is no type that claims it. Where the laboratory runs
without signatures and ledger, the tuples of signed records are empty.
"""

from __future__ import annotations

from dataclasses import dataclass

from commonwatt.market import Orders
from commonwatt.proof import Tree
from commonwatt.records import Clearing, Order, Post, Reading, Signed, Statement, Trade, Trades
from commonwatt.units import IntArray


@dataclass(frozen=True)
class Declared:
    """The admitted orders of a slot [start, unix s].

    refused : (member, reason) of every order that was not admitted
    """

    slot: int
    orders: Orders
    signed: tuple[Signed[Order], ...]
    refused: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class Cleared:
    """What the stages ahead of delivery agreed.

    ahead : the clearing of each of these stages; they stay as they were cleared
    trades : the agreed trades that orders and wires carry, stage by stage
    stage : which stage of the market day made each trade, shape (trades,)
    target : what each home's battery holds its meter at as far as it can, shape (members,) [Wh]
    feed_in_cap : most feed-in per home that the wires carry, shape (members,) [Wh]
    """

    declared: Declared
    ahead: tuple[Clearing, ...]
    trades: Trades
    stage: IntArray
    target: IntArray
    feed_in_cap: IntArray


@dataclass(frozen=True)
class Committed:
    """Trades as records, and the roots that are on the chain before delivery."""

    cleared: Cleared
    records: tuple[Trade, ...]
    orders: Tree
    trades: Tree


@dataclass(frozen=True)
class Flows:
    """What happened behind and at each meter in one slot, each shape (members,) [Wh], all but `net` >= 0.

    net = load − generation + curtailed + charge − discharge, positive = into the home
    """

    load: IntArray
    generation: IntArray
    charge: IntArray
    discharge: IntArray
    curtailed: IntArray
    net: IntArray


@dataclass(frozen=True)
class Delivered:
    """What the meters counted and the exchange believed. net : shape (members,) [Wh], positive = into the home."""

    committed: Committed
    net: IntArray
    readings: tuple[Signed[Reading], ...]


@dataclass(frozen=True)
class Account:
    """The money of one slot, netted per member.

    trades : all trades, day-ahead first; stage : which stage of the market day made each, shape (trades,)
    settled : Wh of each that the ledger settles, shape (trades,)
    local : settled local energy, shape (members,) [Wh], positive = bought
    grid : what is left to the utility, shape (members,) [Wh], positive = import
    credit : change of each balance, shape (members,) [micro-currency]; its sum is zero
    """

    trades: Trades
    stage: IntArray
    settled: IntArray
    local: IntArray
    grid: IntArray
    credit: IntArray


@dataclass(frozen=True)
class Posted:
    """What the operators sign: the account, its statements and their roots.

    after : the clearing of each stage after delivery
    """

    delivered: Delivered
    after: tuple[Clearing, ...]
    account: Account
    records: tuple[Trade, ...]
    statements: tuple[Statement, ...]
    tree: Tree
    deltas: bytes
    post: Post
