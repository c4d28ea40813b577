"""From meter reading to block hash: one delivery of a run with everything that proves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commonwatt.exchange import store as tables
from commonwatt.exchange.proofs import Slot
from commonwatt.exchange.rows import stages_ahead
from commonwatt.proof import checksum_address
from commonwatt.units import MICRO, payment

if TYPE_CHECKING:
    from commonwatt.ledger.client.settlement import LedgerClient
    from commonwatt.simulation.result import Result


def trace(result: Result) -> list[tuple[str, str]]:
    """The way of the largest settled day-ahead trade, or else pool trade, as (step, what happened).

    Empty without trades or without a ledger.
    """
    store, client = result.books.store, result.books.client
    if client is None:
        return []
    rows = store.columns(tables.trades, ("settled", "stage", "slot", "number"))
    settled = [row for row in rows if row[0] > 0]
    if not settled:
        return []
    # A day-ahead trade passes every step; among them the largest, and of equals the first.
    ahead = stages_ahead(store)
    _, _, at, number = min(settled, key=lambda row: (row[1] >= ahead, -row[0], row[2], row[3]))
    slot = Slot.stored(store, at)
    trade = next(t for t in store.rows(tables.trades, slot=at) if t.number == number)
    seller, buyer = (result.community.members[index] for index in (trade.seller, trade.buyer))
    reading = next(r for r in store.rows(tables.readings, slot=at) if r.member == trade.seller)
    statement = next(s for s in slot.statements(trade.seller) if s.trade == trade.hash)
    position = slot.first[trade.seller] + statement.index
    blocks = _blocks(client, at)
    final = client.node.block(blocks["Finalised"])
    currency = result.community.currency
    kwh = trade.settled / 1000
    price = trade.price / MICRO
    paid = payment(trade.settled, trade.price) / MICRO
    local = result.slots.filter(result.slots["slot"].dt.timestamp("ms") == at * 1000)["local"][0]
    agreed = f"{'order' if trade.stage < ahead else 'mandate'} {_short(trade.sell_order)}"
    meter = checksum_address(result.books.meters[trade.seller])[:14]
    lines = [
        (
            "trade",
            f"{seller.id} → {buyer.id}: {kwh:.3f} kWh at {price:.4f} = {paid:.4f} {currency}, {local:%d %b %H:%M}",
        ),
        ("agreed", f"by the seller's signed {agreed}; trade {_short(trade.hash)}"),
        ("metered", f"meter {meter}… signed reading no. {reading.sequence}: {reading.wh_out} Wh out"),
        (
            "stated",
            f"leaf {position} of {len(slot.tree.levels[0])}, {len(slot.tree.proof(position))} hashes to the root",
        ),
        ("posted", f"statements root {_short(slot.post.statements)} in block {blocks['Posted']}"),
        ("settled", f"block {final.number}, hash 0x{final.hash.hex()}"),
    ]
    if trade.stage < ahead:
        block = client.node.block(blocks["Committed"])
        hours = (at - block.timestamp) / 3600
        lines.insert(
            2, ("committed", f"orders and trades roots in block {block.number}, {hours:.1f} h before delivery")
        )
    return lines


def _blocks(client: LedgerClient, slot: int) -> dict[str, int]:
    """Number of the block of each event of a slot, by the event's name."""
    from commonwatt.ledger.client.abi import decode_event

    logs = client.node.logs(1, client.node.head.number, client.addresses.settlement)
    events = (event for log in logs if (event := decode_event(log)))
    return {event.name: event.log.block for event in events if event.arguments.get("slot") == slot}


def _short(value: bytes) -> str:
    return f"0x{value.hex()[:12]}…"
