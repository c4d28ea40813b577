"""What the exchange demands of its members' relays: what they bought ahead of delivery, or what their owners want.

Each demand has a higher number than all before it, and is in the store before anybody hears of it. The newest one of a
meter counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from typing import Final

from sqlalchemy import func, or_, select

from commonwatt.errors import RecordError
from commonwatt.exchange import tables
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.founding import NO_METER
from commonwatt.exchange.states import Missed
from commonwatt.exchange.store import Store, add, put
from commonwatt.exchange.told import told
from commonwatt.meter.delivery import Delivery
from commonwatt.proof import hash_struct, sign
from commonwatt.records import Signed
from commonwatt.units import MAX_ORDER_WH

LONGEST: Final = 86_400
"""How far ahead a demand of an owner may end [s]."""
_OWNER: Final = 0
"""In the place of the slot whose trades a demand is for."""


def follows(store: Store, member: int) -> bool:
    """Whether a member's relay lets through in each slot what the member bought ahead of delivery."""
    return any(row.trades for row in store.rows(tables.relays, member=member))


def follow(store: Store, member: int, *, trades: bool) -> None:
    """Have it so, or not."""
    with store.transaction() as connection:
        put(connection, tables.relays, (member, int(trades)))


def demand(exchange: Exchange, member: int, wh: int, until: int, now: int) -> Signed[Delivery]:
    """What a member demands of its own relay at `now` [unix s]: `wh` until then [unix s]; 0 opens it.

    Raises RecordError when that cannot be, or where the member has no meter in service.
    """
    if not 0 <= wh <= MAX_ORDER_WH:
        raise RecordError(f"A relay lets through 0 to {MAX_ORDER_WH} Wh, not {wh}.")
    if not now < until <= now + LONGEST:
        raise RecordError(f"A demand ends within a day, from {now + 1} to {now + LONGEST} (unix seconds), not {until}.")
    meter = exchange.roster.at(now).meters[member]
    if meter == NO_METER:
        raise RecordError("No meter of yours is in service, so no relay can be told.")
    (signed,) = _demanded(exchange, [(member, meter, _OWNER, wh, until)], now)
    return signed


def demand_bought(exchange: Exchange, ready: Set[bytes], now: int) -> None:
    """Demand what was bought ahead for the slot that runs at `now` [unix s], of relays that follow trades; once.

    ready : meters [addresses] that are there and have no fault. Of others nothing is demanded, for a relay takes a
        newer demand as the word of somebody who has seen its fault
    """
    period = exchange.rules.period
    slot = now - (now - period.start) % period.seconds
    committed = exchange.committed.get(slot)
    if committed is None or isinstance(committed, Missed):
        return
    store, bought, meters = exchange.store, told(committed).bought.tolist(), exchange.meters_of(slot)
    done = {row.member for row in store.rows(tables.deliveries, slot=slot)}
    wanted = [row.member for row in store.rows(tables.relays, trades=1) if row.member not in done]
    _demanded(
        exchange,
        [
            (member, meters[member], slot, bought[member], slot + period.seconds)
            for member in wanted
            if member < len(bought) and bought[member] and meters[member] in ready
        ],
        now,
    )


def standing(store: Store, now: int) -> list[Signed[Delivery]]:
    """The newest demand of each meter, where it is not over at `now` [unix s]."""
    c = tables.deliveries.c
    newest = select(func.max(c.number)).group_by(c.meter)
    found = store.ask(select(tables.deliveries).where(c.number.in_(newest), c.until > now))
    records = [(Delivery(row.meter, row.number, row.mwh, row.until), row.signature) for row in found]
    return [Signed(record, hash_struct(record), signature) for record, signature in records]


def _demanded(
    exchange: Exchange, wanted: Iterable[tuple[int, bytes, int, int, int]], now: int
) -> Sequence[Signed[Delivery]]:
    """Demands of what is wanted (member, meter, slot, Wh, until), signed and stored."""
    store, key = exchange.store, exchange.outbox.quorum[0]
    # In milliseconds since 1970, so that a store restored from an older one gives no number again.
    first = max((store.most(tables.deliveries, "number") or 0) + 1, now * 1000)
    rows, signed = [], []
    for number, (member, meter, slot, wh, until) in enumerate(wanted, first):
        signed.append(sign(exchange.domain, Delivery(meter, number, wh * 1000, until), key))
        rows.append((number, member, slot, wh * 1000, until, meter, signed[-1].signature))
    if rows:
        # Whose place they take: all of the meter's but what was bought for the slot that runs, which is demanded once.
        c = tables.deliveries.c
        done = c.meter.in_([each.record.meter for each in signed]), or_(c.slot == _OWNER, c.until <= now)
        with store.transaction() as connection:
            connection.execute(tables.deliveries.delete().where(*done))
            add(connection, tables.deliveries, rows)
    return signed
