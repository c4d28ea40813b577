"""From meter reading to block hash: one delivery of a run with everything that proves it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from commonwatt.exchange import tables
from commonwatt.exchange.proofs import SlotProof
from commonwatt.exchange.rows import stages_ahead
from commonwatt.proof import checksum_address
from commonwatt.units import payment

if TYPE_CHECKING:
    from commonwatt.ledger.client.settlement import LedgerClient
    from commonwatt.simulation.result import Result

Traced = list[tuple[str, str]]
"""A delivery, as (step, what happened)."""


@dataclass(frozen=True)
class _Delivery:
    """A settled trade, the slot that holds it, and the blocks of the slot's events by the event's name.

    ahead : whether it was agreed before delivery
    """

    result: Result
    trade: Any
    slot: SlotProof
    client: LedgerClient
    blocks: Mapping[str, int]
    ahead: bool


def trace(result: Result) -> Traced:
    """The way of the largest settled day-ahead trade, or else pool trade, as (step, what happened).

    Empty without trades or without a ledger.
    """
    delivery = _largest(result)
    if delivery is None:
        return []
    return [
        ("trade", _traded(delivery)),
        ("agreed", _agreed(delivery)),
        *([("committed", _committed(delivery))] if delivery.ahead else []),
        ("metered", _metered(delivery)),
        ("stated", _stated(delivery)),
        ("posted", f"statements root {_short(delivery.slot.post.statements)} in block {delivery.blocks['Posted']}"),
        ("settled", _settled(delivery)),
    ]


def _largest(result: Result) -> _Delivery | None:
    """A day-ahead trade passes every step; among them the largest, and of equals the first."""
    store, client = result.books.store, result.books.client
    names = ("settled", "stage", "slot", "number", "revision")
    settled = [row for row in store.last(tables.trades, names, result.rules.period) if row[0] > 0]
    if client is None or not settled:
        return None
    ahead = stages_ahead(store)
    _, stage, at, number, revision = min(settled, key=lambda row: (row[1] not in ahead, -row[0], row[2], row[3]))
    trade = next(t for t in store.rows(tables.trades, slot=at, revision=revision) if t.number == number)
    return _Delivery(
        result,
        trade,
        SlotProof.stored(store, at, result.books.mandates_at(at)),
        client,
        _blocks(client, at),
        stage in ahead,
    )


def _traded(delivery: _Delivery) -> str:
    result, trade = delivery.result, delivery.trade
    seller, buyer = (result.community.members[index].id for index in (trade.seller, trade.buyer))
    local = result.slots.filter(result.slots["slot"].dt.timestamp("ms") == trade.slot * 1000)["local"][0]
    per_currency = result.community.per_currency
    price, paid = (units / per_currency for units in (trade.price, payment(trade.settled, trade.price)))
    kwh = f"{trade.settled / 1000:.3f} kWh"
    return f"{seller} → {buyer}: {kwh} at {price:.4f} = {paid:.4f} {result.community.currency}, {local:%d %b %H:%M}"


def _agreed(delivery: _Delivery) -> str:
    by = "order" if delivery.ahead else "mandate"
    return f"by the seller's signed {by} {_short(delivery.trade.sell_order)}; trade {_short(delivery.trade.hash)}"


def _committed(delivery: _Delivery) -> str:
    block = delivery.client.node.block(delivery.blocks["Committed"])
    hours = (delivery.trade.slot - block.timestamp) / 3600
    return f"orders and trades roots in block {block.number}, {hours:.1f} h before delivery"


def _metered(delivery: _Delivery) -> str:
    store, trade = delivery.result.books.store, delivery.trade
    reading = next(r for r in store.rows(tables.readings, slot=trade.slot) if r.member == trade.seller)
    meter = checksum_address(reading.meter)[:14]
    return f"meter {meter}… signed reading no. {reading.sequence}: {reading.wh_out} Wh out"


def _stated(delivery: _Delivery) -> str:
    slot, trade = delivery.slot, delivery.trade
    lines = slot.lines(trade.seller)
    place = next(place for place, line in enumerate(lines) if line.trade == trade.hash)
    return f"line {place + 1} of {len(lines)} under the statement, {slot.tree.depth} hashes to the root"


def _settled(delivery: _Delivery) -> str:
    final = delivery.client.node.block(delivery.blocks["Finalised"])
    return f"block {final.number}, hash 0x{final.hash.hex()}"


def _blocks(client: LedgerClient, slot: int) -> dict[str, int]:
    """Number of the block of each event of a slot, by the event's name."""
    from commonwatt.ledger.client.abi import decode_event

    logs, word = client.node.logs(1, client.node.head.number, client.addresses.settlement), slot.to_bytes(32, "big")
    events = (event for log in logs if word in log.topics and (event := decode_event(log)))
    return {event.name: event.log.block for event in events if event.arguments.get("slot") == slot}


def _short(value: bytes) -> str:
    return f"0x{value.hex()[:12]}…"
