"""States to rows of the store; `rows` is the way back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Final

import numpy as np
from sqlalchemy import Connection, bindparam, func, select, update

from commonwatt.community.calendar import Slots
from commonwatt.exchange import tables
from commonwatt.exchange.agreement import HomeForecast
from commonwatt.exchange.outbox import Outgoing
from commonwatt.exchange.states import OF_COUPLING, Accepted, Committed, Declared, Missed, Posted, Settled, Witnessed
from commonwatt.exchange.store import add, drop, following, note, put, put_all
from commonwatt.market.proving import CLEARED
from commonwatt.market.stage import ActiveStage
from commonwatt.proof import hash_struct
from commonwatt.records import ZERO_HASH, Clearing, Mandate, Order, Post, Reading, Signed, Trade, Trades, Within
from commonwatt.units import IntArray

_ALONE: Final = Within(0, 0, 0, ())


def write_mandates(connection: Connection, mandates: Sequence[Signed[Mandate]]) -> None:
    """The mandates with which members begin, by their number."""
    for number, signed in enumerate(mandates):
        write_mandate(connection, number, signed, since=0)


def write_mandate(connection: Connection, member: int, signed: Signed[Mandate], since: int) -> None:
    """A member's mandate, which holds from the slot `since` [unix s] on."""
    m, c = signed.record, tables.mandates.c
    before = select(func.count()).select_from(tables.mandates).where(c.member == member)
    numbers = (m.nonce, since, m.max_buy, m.min_sell, m.buy_wh, m.sell_wh, m.valid_from, m.valid_until)
    texts = (m.member, m.agent, signed.hash, signed.signature, m.text)
    add(connection, tables.mandates, [(member, connection.execute(before).scalar_one(), *numbers, *texts)])


def end_service(connection: Connection, meter: bytes, at: int) -> None:
    """A meter [address] is out of service from `at` [unix s] on."""
    c = tables.service.c
    connection.execute(update(tables.service).where(c.meter == meter, c.until == 0).values(until=at))


def write_gate(
    connection: Connection,
    at: int,
    committed: Sequence[Committed],
    ahead: Sequence[ActiveStage],
) -> None:
    """All that gate closure at `at` [unix s] decided for its slots.

    ahead : the stages ahead of delivery
    """
    refused, starts = 0, [slot.cleared.declared.slot for slot in committed if not isinstance(slot, Missed)]
    first = min(starts, default=0)
    for slot in committed:
        cleared, declared = slot.cleared, slot.cleared.declared
        start = declared.slot
        _close_orders(connection, declared, at)
        add(
            connection,
            tables.refusals,
            [(start, place, member, reason) for place, (member, reason) in enumerate(declared.refused)],
        )
        refused += len(declared.refused)
        add(connection, tables.clearings, map(_clearing_row, cleared.ahead, ahead))
        add(connection, tables.caps, [(start, cleared.feed_in_cap.tobytes())])
        roots = (b"", b"") if isinstance(slot, Missed) else (slot.orders.root, slot.trades.root)
        add(connection, tables.commitments, [(start, at, first, *roots)])
        add(
            connection,
            tables.trades,
            _trade_rows(start, cleared.trades, cleared.stage, cleared.trades.wh, slot.records),
        )
    trades = sum(len(slot.cleared.trades) for slot in committed)
    entry = {"slots": len(committed), "trades": trades, "refused": refused}
    if late := sum(isinstance(slot, Missed) for slot in committed):
        entry["missed"] = late
    failed = [found for slot in committed for found in _uncleared(slot.cleared.ahead)]
    note(connection, at, [("gate closed", entry), *failed])


def write_orders(connection: Connection, accepted: Accepted, first: int, at: int) -> None:
    """Those orders of a slot that were accepted at `at` [unix s], from place `first` on. Which count, its gate says."""
    places = range(first, len(accepted.signed))
    rows = (_order_row(place, accepted.members[place], accepted.signed[place], at, counts=True) for place in places)
    add(connection, tables.orders, rows)


def _close_orders(connection: Connection, declared: Declared, at: int) -> None:
    """The orders of a slot whose gate closed at `at` [unix s], where the store does not hold them; and which count."""
    table, places = tables.orders, frozenset(declared.places)
    its = (table.c.slot == declared.slot, table.c.position == bindparam("where"))
    known = connection.execute(select(func.count()).select_from(table).where(its[0])).scalar_one()
    void = [place for place in range(known) if place not in places]
    if void:
        connection.execute(update(table).where(*its).values(counts=0), [{"where": place} for place in void])
    arrived = [(place, declared.members[place], declared.signed[place]) for place in range(known, len(declared.signed))]
    add(connection, table, (_order_row(*each, at, counts=each[0] in places) for each in arrived))
    if not declared.signed:
        add(connection, table, _unsigned_rows(declared, at))


def write_missed(connection: Connection, begun: Sequence[int], left: Slots, at: int) -> None:
    """A gate closed at `at` [unix s] of which the ledger was not told before these slots [starts, unix s] began.

    left : the other slots of the gate
    """
    commitments, c = tables.commitments, tables.commitments.c
    for slot in begun:
        connection.execute(update(commitments).where(c.slot == slot).values(orders=b"", trades=b""))
        drop(connection, tables.trades, slot=slot)
        drop(connection, tables.clearings, slot=slot)
    later = (c.slot >= left.start, c.slot < left.end)
    connection.execute(update(commitments).where(*later).values(first=left.start))
    note(connection, at, [("not committed in time", {"slots": len(begun), "first": begun[0]})])


def write_slot(
    connection: Connection,
    at: int,
    settled: Settled,
    message: Outgoing | None,
    after: Sequence[ActiveStage],
    witnessed: Witnessed,
) -> None:
    """All that the end of a slot, at `at` [unix s], brought.

    message : what the ledger is told of it; after : the stages after delivery
    witnessed : what generators' own meters counted beside it
    """
    delivered, account = settled.delivered, settled.account
    agreed = delivered.committed.cleared.trades
    # Day-ahead trades stand in the store since the gate.
    _write_settled(connection, at, settled, message, after, first=len(agreed))
    _note_cuts(connection, _slot(settled), account.settled[: len(agreed)], agreed.wh)
    unread = _write_witnessed(connection, _slot(settled), witnessed)
    note(connection, at, [("slot settled", _told(settled)), *_uncleared(settled.after), *unread])


def write_correction(
    connection: Connection,
    at: int,
    settled: Settled,
    message: Outgoing | None,
    after: Sequence[ActiveStage],
) -> None:
    """A later revision of a slot, made at `at` [unix s]; the rest as for `write_slot`."""
    slot = _slot(settled)
    for stage in after:
        drop(connection, tables.clearings, slot=slot, stage=stage.number)
    if OF_COUPLING not in settled.account.stage:  # then nothing became of a trade with another community
        drop(connection, tables.couplings, slot=slot, revision=settled.delivered.revision)
    _write_settled(connection, at, settled, message, after, first=0)
    told = {"revision": settled.delivered.revision, "missing": len(settled.delivered.missing), **_told(settled)}
    note(connection, at, [("slot corrected", told), *_uncleared(settled.after)])


def _slot(settled: Settled) -> int:
    return settled.delivered.committed.cleared.declared.slot


def _told(settled: Settled) -> dict[str, object]:
    account = settled.account
    return {"slot": _slot(settled), "trades": len(account.trades), "grid_wh": int(account.grid.sum())}


def _write_settled(
    connection: Connection,
    at: int,
    settled: Settled,
    message: Outgoing | None,
    after: Sequence[ActiveStage],
    *,
    first: int,
) -> None:
    """A revision of a slot. first : number of the first trade that the store does not hold yet"""
    delivered, account = settled.delivered, settled.account
    cleared, revision = delivered.committed.cleared, delivered.revision
    slot, agreed = cleared.declared.slot, len(cleared.trades)
    ahead = Trades(
        cleared.trades.buyer, cleared.trades.seller, account.settled[:agreed], cleared.trades.price
    ).position(len(delivered.net))
    columns = (delivered.net, ahead, account.local - ahead, account.grid, account.credit)
    values = enumerate(zip(*(column.tolist() for column in columns), strict=True))
    missing = delivered.missing
    put(connection, tables.settled, (slot, revision))
    add(connection, tables.accounts, [(slot, revision, member, member not in missing, *row) for member, row in values])
    if len(delivered.counted):
        shares = account.shares
        blobs = [each.tobytes() for each in (shares.counted, shares.shared, shares.worth, shares.kept)]
        add(connection, tables.registers, [(slot, revision, *blobs)])
    _count_readings(connection, slot, delivered.readings, revision, at)
    add(connection, tables.clearings, map(_clearing_row, settled.after, after))
    new = account.trades.keep(np.arange(len(account.trades)) >= first)
    posted = settled if isinstance(settled, Posted) else None
    records = posted.records[first:] if posted else ()
    rows = _trade_rows(slot, new, account.stage[first:], account.settled[first:], records, first, revision)
    add(connection, tables.trades, rows)
    if posted and message:
        post, leaves = posted.post, b"".join(posted.tree.levels[0])
        number = following(connection, tables.posts, "number")
        row = (
            slot, revision, at, number, post.orders, message.trades, post.statements, message.deltas,
            b"".join(message.signatures), leaves,
        )  # fmt: skip
        add(connection, tables.posts, [row])


def _count_readings(
    connection: Connection, slot: int, readings: Sequence[Signed[Reading] | None], revision: int, at: int
) -> None:
    """From this revision on these readings count, by member, where they do not yet; those that waited for it, too."""
    came = [(member, signed) for member, signed in enumerate(readings) if signed]
    if not came:
        return
    table = tables.readings
    known = {row.hash: row.revision for row in connection.execute(select(table).where(table.c.slot == slot))}
    add(connection, table, _reading_rows([each for each in came if each[1].hash not in known], revision, at))
    waited = [(member, signed) for member, signed in came if known.get(signed.hash) == tables.WAITING]
    if waited:
        its = (table.c.slot == slot, table.c.member == bindparam("whose"), table.c.sequence == bindparam("numbered"))
        places = [{"whose": member, "numbered": signed.record.sequence} for member, signed in waited]
        connection.execute(update(table).where(*its).values(revision=revision), places)


def write_signatures(connection: Connection, post: Post, signatures: Sequence[bytes]) -> None:
    """All that operators signed of a post which the ledger was told."""
    its = (tables.posts.c.slot == post.slot, tables.posts.c.revision == post.revision)
    connection.execute(update(tables.posts).where(*its).values(signatures=b"".join(signatures)))


def write_readings(connection: Connection, readings: Iterable[tuple[int, Signed[Reading]]], at: int) -> None:
    """Members' readings that were believed when they came, at `at` [unix s]; each waits until its slot is settled with
    it."""
    add(connection, tables.readings, _reading_rows(readings, tables.WAITING, at))


def write_planned(connection: Connection, member: int, nets: Mapping[int, int]) -> None:
    """What a member plans to take through its meter, by slot [Wh], positive = into the home."""
    put_all(connection, tables.planned, [(slot, member, net) for slot, net in nets.items()])


def write_forecast(connection: Connection, member: int, first: int, said: HomeForecast) -> None:
    """What a member forecasts of the slots of the gate whose first one is `first` [start, unix s]."""
    put(connection, tables.forecasts, (first, member, json.dumps(asdict(said))))


def drop_forecasts(connection: Connection, first: int) -> None:
    """Forget what members forecast of these slots, whose gate has closed."""
    drop(connection, tables.forecasts, slot=first)


def _write_witnessed(
    connection: Connection, slot: int, witnessed: Witnessed
) -> Iterator[tuple[str, dict[str, object]]]:
    """What the generators' own meters counted. Returns entries of the journal for what is not believed."""
    rows = [
        (slot, member, signed.record.wh_in, signed.record.wh_out, signed.record.sequence, signed.hash, signed.signature)
        for member, signed in witnessed.believed.items()
    ]
    add(connection, tables.generators, rows)
    for member, reason in witnessed.refused.items():
        yield "generator not read", {"slot": slot, "member": member, "reason": reason}


def _uncleared(clearings: Iterable[Clearing]) -> Iterator[tuple[str, dict[str, object]]]:
    """Entries of the journal for slots that stayed without local trade, each with the reason."""
    for clearing in clearings:
        for check in clearing.proof.checks:
            if check.name == CLEARED and not check.holds:
                told = {"mechanism": clearing.mechanism, "reason": check.meaning, "figure": check.figure}
                yield "not cleared", {"slot": clearing.slot, **told, **clearing.diagnostics}


def _note_cuts(connection: Connection, slot: int, settled: IntArray, agreed: IntArray) -> None:
    """Day-ahead trades stand in the store since the gate; now it is known how much of each was delivered and paid."""
    changed = np.flatnonzero(settled != agreed).tolist()
    if changed:
        trades = tables.trades
        which = (trades.c.slot == slot) & (trades.c.revision == 0) & (trades.c.number == bindparam("of"))
        cut = update(trades).where(which).values(settled=bindparam("to"))
        connection.execute(cut, [{"to": int(settled[number]), "of": number} for number in changed])


def _order_row(place: int, member: int, signed: Signed[Order], at: int, *, counts: bool) -> tuple[object, ...]:
    o, within = signed.record, signed.within or _ALONE
    numbers = (at, member, o.side, o.wh, o.limit, o.expiry, o.nonce, counts)
    basket = (within.first, within.count, within.position)
    blobs = (o.member, signed.hash, signed.signature, b"".join(within.siblings))
    return (o.slot, place, *numbers, *basket, *blobs, o.text)


def _unsigned_rows(declared: Declared, at: int) -> Iterator[tuple[object, ...]]:
    columns = (declared.orders.member, declared.orders.side, declared.orders.wh, declared.orders.limit)
    for place, row in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
        yield (declared.slot, place, at, *row, declared.slot, 0, True, 0, 0, 0, b"", b"", b"", b"", "")


def _reading_rows(
    readings: Iterable[tuple[int, Signed[Reading]]], revision: int, at: int
) -> Iterator[tuple[object, ...]]:
    for member, signed in readings:
        r = signed.record
        yield (r.slot, member, r.sequence, revision, at, r.wh_in, r.wh_out, r.meter, signed.hash, signed.signature)


def _clearing_row(clearing: Clearing, stage: ActiveStage) -> tuple[object, ...]:
    proof = [
        {"name": c.name, "holds": c.holds, "figure": c.figure, "meaning": c.meaning} for c in clearing.proof.checks
    ]
    texts = (json.dumps(dict(clearing.prices)), json.dumps(proof), json.dumps(dict(clearing.diagnostics)))
    return (clearing.slot, stage.number, clearing.mechanism, *texts)


def _trade_rows(
    slot: int,
    trades: Trades,
    stage: IntArray,
    settled: IntArray,
    records: Sequence[Trade],
    first: int = 0,
    revision: int = 0,
) -> Iterator[tuple[object, ...]]:
    columns = (stage, trades.buyer, trades.seller, trades.wh, settled, trades.price)
    for place, row in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
        ends = (ZERO_HASH, ZERO_HASH, ZERO_HASH)
        if records:
            ends = (records[place].buy_order, records[place].sell_order, hash_struct(records[place]))
        yield (slot, revision, first + place, *row, *ends)
