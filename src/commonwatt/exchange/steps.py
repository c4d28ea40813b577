"""The exchange's steps of the way, as pure functions: no clock, file, socket or chance.

    clear → check → commit → believe → settle → post
                             amend   → settle → post    when readings come later

The step before them is `admission`. Energy is Wh, positive into the home; prices are units of money per kWh; a slot is
the unix time of its start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import starmap
from typing import Protocol

import numpy as np

from commonwatt.accounts import netting
from commonwatt.accounts.plants import Plant, taken
from commonwatt.accounts.registers import Registers
from commonwatt.accounts.statements import Booked, by_member, lines_of, salt_of, statement_of, statement_tree
from commonwatt.errors import RecordError, SequenceError
from commonwatt.exchange.states import (
    OF_PLANTS,
    Account,
    Cleared,
    Committed,
    Declared,
    Delivered,
    Missed,
    Posted,
    Settled,
    Witnessed,
)
from commonwatt.market import Events, Frame, Orders, Positions, as_events
from commonwatt.market.agreements import joined, left, ordered, within
from commonwatt.market.interface import Limits
from commonwatt.market.stage import ActiveStage
from commonwatt.meter import accept
from commonwatt.proof import Domain, Tree, hash_struct, keccak
from commonwatt.records import BUY, SELL, ZERO_HASH, Clearing, Mandate, Post, Reading, Signed, Trade, Trades
from commonwatt.records.deltas import pack_deltas
from commonwatt.units import MAX_ORDER_WH, FloatArray, IntArray


def clear(
    stages: Sequence[ActiveStage], frame: Frame, declared: Sequence[Declared], agreed: Sequence[Clearing] = ()
) -> tuple[Cleared, ...]:
    """Step 3. Who trades with whom at what price, for every slot of the horizon; each clearing proves itself.

    stages : those ahead of delivery; each clears what the ones before it left open of the same orders
    agreed : clearings of a first stage in which agents agreed before they ordered
    A trade that no admitted order carries falls away, and both ends meet the utility.
    """
    orders = [slot.orders for slot in declared]
    found: list[list[Clearing]] = [[] for _ in declared]
    carried: list[list[Trades]] = [[] for _ in declared]
    for stage in stages:
        clearings = agreed if stage.over_horizon else stage.clear(frame, _inputs(stage, orders))
        for slot, clearing in enumerate(clearings):
            trades = within(clearing.trades, ordered(orders[slot], frame.members))
            orders[slot] = left(orders[slot], trades, frame.members)
            found[slot].append(clearing)
            carried[slot].append(trades)
    return tuple(
        Cleared(
            declared[slot],
            tuple(found[slot]),
            joined(*carried[slot]),
            _made_by(stages, carried[slot]),
            np.full(frame.members, MAX_ORDER_WH, dtype=np.int64),
        )
        for slot in range(len(declared))
    )


def _made_by(stages: Sequence[ActiveStage], parts: Sequence[Trades]) -> IntArray:
    """Number of the stage that made each trade, where each stage made a part of them, shape (trades,)."""
    numbers = [stage.number for stage, part in zip(stages, parts, strict=True) for _ in range(len(part))]
    return np.array(numbers, dtype=np.int64)


def _inputs(stage: ActiveStage, orders: Sequence[Orders]) -> tuple[Orders | Events, ...]:
    """An order book sees the orders as they arrived. To every other design it is one who was first."""
    if stage.mechanism.needs is Events:
        return tuple(map(as_events, orders))
    return tuple(each.by_member for each in orders)


class Headroom(Protocol):
    """What the grid check needs to know of the grid: how much of each slot's feed-in it carries."""

    def feed_in_share(self, net: IntArray) -> FloatArray:
        """net : planned energy at the homes, shape (members, slots) [Wh]; returns shape (slots,) in [0, 1]."""
        ...


def check(cleared: Sequence[Cleared], wires: Headroom | None, planned: IntArray) -> tuple[Cleared, ...]:
    """Step 4. Where the wires cannot carry the planned feed-in, cap it and the trades that depend on it.

    planned : net energy of all homes, whether they trade it or not, shape (homes, slots) [Wh]
    In such a slot every home may feed in the same share of what it planned, and no more if the sun surprises it. What
    nobody planned in other slots is not limited: that is for the inverters' own protection.
    """
    shares = wires.feed_in_share(planned) if wires else np.ones(len(cleared))
    return tuple(_capped(slot, planned[:, place], float(shares[place])) for place, slot in enumerate(cleared))


def _capped(cleared: Cleared, planned: IntArray, share: float) -> Cleared:
    if share >= 1:
        return cleared
    trades = cleared.trades
    cap = np.floor(np.maximum(-planned, 0) * share).astype(np.int64)
    wh = np.floor(trades.wh * share).astype(np.int64)
    carried = Trades(trades.buyer, trades.seller, wh, trades.price).keep(wh > 0)
    return replace(cleared, trades=carried, stage=cleared.stage[wh > 0], feed_in_cap=cap)


def commit(cleared: Cleared) -> Committed:
    """Step 5. The roots of a slot's orders and trades, for the chain before delivery."""
    declared, signed = cleared.declared, cleared.declared.signed
    by_side = {(declared.members[place], signed[place].record.side): signed[place].hash for place in declared.places}
    records = trade_records(
        declared.slot,
        cleared.trades,
        [by_side.get((buyer, BUY), ZERO_HASH) for buyer in cleared.trades.buyer.tolist()],
        [by_side.get((seller, SELL), ZERO_HASH) for seller in cleared.trades.seller.tolist()],
    )
    hashes = [hash_struct(record) for record in records]
    return Committed(cleared, records, Tree.of([order.hash for order in signed]), Tree.of(hashes))


def missed(slot: int, members: int) -> Missed:
    """In the place of step 5: a slot that began before its gate closed."""
    none = np.zeros(0, dtype=np.int64)
    cap = np.full(members, MAX_ORDER_WH, dtype=np.int64)
    cleared = Cleared(Declared(slot, Orders(*[none] * 4), (), ()), (), Trades(*[none] * 4), none, cap)
    return Missed(cleared, (), Tree.of([]), Tree.of([]))


def trade_records(
    slot: int,
    trades: Trades,
    buy_orders: Sequence[bytes],
    sell_orders: Sequence[bytes],
    first: int = 0,
    revision: int = 0,
) -> tuple[Trade, ...]:
    """Trades as records, numbered from `first`; with the struct hash of each end's order or mandate."""
    columns = (trades.buyer, trades.seller, trades.wh, trades.price)
    rows = zip(*(column.tolist() for column in columns), buy_orders, sell_orders, strict=True)
    return tuple(Trade(slot, revision, first + number, *row) for number, row in enumerate(rows))


def believe(
    committed: Committed,
    readings: Sequence[Signed[Reading] | None],
    meters: Sequence[bytes],
    domain: Domain,
) -> Delivered:
    """Step 6, at the exchange: every reading's signature, meter and slot. They are numbered from 1 on.

    readings : by member index, None where none came: nothing is estimated
    meters : address by member index
    Raises SignatureError, SequenceError or RecordError; nothing is taken from a refused reading.
    """
    slot = committed.cleared.declared.slot
    net = [
        0 if reading is None else accept(domain, reading, meter, slot)
        for reading, meter in zip(readings, meters, strict=True)
    ]
    missing = frozenset(member for member, reading in enumerate(readings) if reading is None)
    return Delivered(committed, np.array(net, dtype=np.int64), tuple(readings), missing)


def by_registers(delivered: Delivered, counted: IntArray, registers: Registers) -> Delivered:
    """What was delivered, with what each register counted. counted : shape (registers,) [Wh] >= 0

    Raises RecordError when a member's registers do not add up to the reading that its meter signed.
    """
    members = len(delivered.net)
    sums = zip(registers.drawn(counted, members).tolist(), registers.fed(counted, members).tolist(), strict=True)
    for member, (reading, own) in enumerate(zip(delivered.readings, sums, strict=True)):
        signed = (reading.record.wh_in, reading.record.wh_out) if reading else (0, 0)
        if signed != own:
            slot = delivered.committed.cleared.declared.slot
            raise RecordError(
                f"Slot {slot}: the registers of member {member} counted {own[0]} Wh in and {own[1]} Wh out, and its "
                f"meter signed {signed[0]} and {signed[1]}."
            )
    return replace(delivered, counted=counted)


def amend(earlier: Delivered, late: Delivered, credit: IntArray, registers: Registers | None = None) -> Delivered:
    """Step 6 once more: the next revision of a slot, with readings that came after its end.

    earlier : the last revision; late : the same slot with these readings alone
    credit : what the revisions so far have moved, shape (members,) [unit]
    registers : where these are shared
    A reading that a meter numbered higher takes the place of the one that counted. Raises SequenceError for one that is
    not, RecordError when there is none.
    """
    slot, came = earlier.committed.cleared.declared.slot, frozenset(range(len(late.net))) - late.missing
    if not came:
        raise RecordError(f"There is no reading to correct slot {slot} with.")
    for member in sorted(came - earlier.missing):
        old, new = (each.readings[member] if each.readings else None for each in (earlier, late))
        if not (old and new and new.record.sequence > old.record.sequence):
            raise SequenceError(
                f"A reading of member {member} for slot {slot} counts already; only a higher number corrects it."
            )
    readings = tuple(new or old for new, old in zip(late.readings, earlier.readings, strict=True))
    anew = np.isin(np.arange(len(late.net)), list(came))
    net, counted = np.where(anew, late.net, earlier.net), earlier.counted
    if registers is not None:
        counted = np.where(anew[registers.owner], late.counted, earlier.counted)
    missing, revision = earlier.missing - came, earlier.revision + 1
    return Delivered(earlier.committed, net, readings, missing, revision, credit, counted)


def resent(earlier: Delivered, late: Delivered, credit: IntArray) -> Delivered:
    """Step 6 once more where nobody signs: all that was counted in the slot is another, as its sender says.

    credit : as of `amend`
    """
    return replace(late, committed=earlier.committed, revision=earlier.revision + 1, moved=credit)


def witnessed(
    readings: Mapping[int, Signed[Reading]], meters: Mapping[int, bytes], slot: int, domain: Domain
) -> Witnessed:
    """Step 6 beside it: what the generators' own meters counted. What is not believed harms nothing else.

    readings, meters : by member index
    """
    believed, refused = dict[int, Signed[Reading]](), dict[int, str]()
    for member, meter in meters.items():
        if member not in readings:
            refused[member] = "no reading came"
            continue
        try:
            accept(domain, readings[member], meter, slot)
        except RecordError as error:
            refused[member] = str(error)
        else:
            believed[member] = readings[member]
    return Witnessed(believed, refused)


def settle(
    delivered: Delivered,
    stages: Sequence[ActiveStage],
    frame: Frame,
    bounds: Limits,
    free: IntArray,
    plants: Sequence[Plant] = (),
) -> Settled:
    """Step 7. What was delivered beside the day-ahead trades goes from plants to their owners, then to the pools, what
    is left to the utility.

    stages : those after delivery; each shares what the ones before it left
    frame : of this one slot; free : collateral, shape (members,) [unit]
    plants : those that belong to other members, who pay nothing; others pay what the utility does, or more
    A day-ahead trade settles as far as it was delivered; the rest, like all that was not foreseen, is a deviation.
    Of a later revision, what the earlier ones have moved is there to be spent, or has to be given back.
    """
    cleared = delivered.committed.cleared
    agreed, pools = cleared.trades, list[Clearing]()
    stages, plants = ((), ()) if isinstance(delivered.committed, Missed) else (stages, plants)
    trades = Trades(agreed.buyer, agreed.seller, netting.delivered(agreed, delivered.net), agreed.price)
    own = Trades()
    if plants:
        # First cut what an owner cannot pay for, so that it takes of its share instead. The cut below spares it then.
        paid = netting.affordable(trades, free - delivered.moved)
        cut, trades = trades.buyer[paid < trades.wh], replace(trades, wh=paid)
        own = taken(plants, delivered.net, deviations(delivered.net, trades, bounds, frame).net)
        trades, bounds = joined(trades, own), _in_pools(bounds, plants, int(frame.floor[0]), cut)
    for stage in stages:
        (pool,) = stage.clear(frame, (deviations(delivered.net, trades, bounds, frame),))
        pools.append(pool)
        trades = joined(trades, pool.trades)
    made_by = _made_by(stages, [pool.trades for pool in pools])
    settled = netting.affordable(trades, free - delivered.moved)
    final = Trades(trades.buyer, trades.seller, settled, trades.price)
    wh = np.concatenate([agreed.wh, trades.wh[len(agreed) :]])
    local = final.position(frame.members)
    account = Account(
        Trades(trades.buyer, trades.seller, wh, trades.price),
        np.concatenate([cleared.stage, np.full(len(own), OF_PLANTS, dtype=np.int64), made_by]),
        settled,
        local,
        delivered.net - local,
        final.credit(frame.members),
    )
    return Settled(delivered, tuple(pools), account)


def _in_pools(bounds: Limits, plants: Sequence[Plant], price: int, cut: IntArray) -> Limits:
    """The limits, where plants take no less than `price` [unit/kWh], and members who were `cut` buy nothing.

    cut : member indices. What a cut leaves would pay for a few Wh that are cheaper, and money that runs out takes a
        member's last purchases first: who pays for a later one could have paid for this (`challengeCut`).
    """
    min_sell, selling = bounds.min_sell.copy(), [plant.index for plant in plants]
    min_sell[selling] = np.maximum(min_sell[selling], price)
    buy_wh = bounds.buy_wh.copy()
    buy_wh[cut] = 0
    return replace(bounds, min_sell=min_sell, buy_wh=buy_wh)


def deviations(net: IntArray, settled: Trades, bounds: Limits, frame: Frame) -> Positions:
    """Metered minus settled energy, as far as the mandates' energy limits leave room."""
    position = settled.position(frame.members)
    room_to_buy = np.maximum(bounds.buy_wh - np.maximum(position, 0), 0)
    room_to_sell = np.maximum(bounds.sell_wh - np.maximum(-position, 0), 0)
    return Positions(np.clip(net - position, -room_to_sell, room_to_buy), bounds.max_buy, bounds.min_sell)


def post(settled: Settled, mandates: Sequence[Signed[Mandate]]) -> Posted:
    """Step 7. The slot's statements and roots, ready for the operators' signatures.

    mandates : by member index: under these, not under orders, members trade in the pool
    What was committed before delivery keeps its records in every revision; the pool's are of this one.
    """
    delivered, account = settled.delivered, settled.account
    committed = delivered.committed
    slot, agreed, revision = committed.cleared.declared.slot, len(committed.records), delivered.revision
    pool = account.trades.keep(np.arange(len(account.trades)) >= agreed)
    records = committed.records + trade_records(
        slot,
        pool,
        [mandates[buyer].hash for buyer in pool.buyer.tolist()],
        [mandates[seller].hash for seller in pool.seller.tolist()],
        first=agreed,
        revision=revision,
    )
    hashes = [hash_struct(record) for record in records]
    booked = [Booked(*each) for each in zip(records, hashes, account.settled.tolist(), strict=True)]
    lines = tuple(starmap(lines_of, enumerate(by_member(booked, len(delivered.readings)))))
    statements = tuple(
        statement_of(own, *read_by(reading, mandate, slot, revision))
        for own, reading, mandate in zip(lines, delivered.readings, mandates, strict=True)
    )
    tree = statement_tree(statements)
    deltas = pack_deltas(account.credit - delivered.moved)
    document = Post(slot, revision, committed.orders.root, tree.root, keccak(deltas))
    return Posted(delivered, settled.after, account, records, lines, statements, tree, deltas, document)


def read_by(reading: Signed[Reading] | None, mandate: Signed[Mandate], slot: int, revision: int) -> tuple[bytes, bytes]:
    """What a member's statement has of its reading: the struct hash, zero where none came, and the salt."""
    return reading.hash if reading else ZERO_HASH, salt_of((reading or mandate).signature, slot, revision)
