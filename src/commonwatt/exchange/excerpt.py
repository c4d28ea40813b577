"""What a member is shown before any bill: at the gate its trades, and of a posted slot what it needs to challenge it.

An excerpt has the form of a bill without charges (docs/bill.md): `content` with `ledger`, `member`, `mandate` and one
entry of `slots`, and `proofs` of that slot.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

from commonwatt.accounts.document import EXCERPT, mandate_json, signed_json
from commonwatt.accounts.orders import under_orders
from commonwatt.accounts.promise import Placed, Promise
from commonwatt.accounts.statements import place_of
from commonwatt.exchange.proofs import PostedSlot, replacing
from commonwatt.exchange.sheets import ledger_of
from commonwatt.exchange.states import Committed, Posted
from commonwatt.records import Mandate, Signed
from commonwatt.records.schema import as_json
from commonwatt.units import payment

if TYPE_CHECKING:
    from commonwatt.ledger.client.settlement import LedgerClient


def promised(committed: Committed, member: int) -> dict[int, Promise]:
    """What a member is shown at the gate of its trades of a slot, by number."""
    return {
        trade.number: Promise(trade, committed.trades.proof(trade.number))
        for trade in committed.records
        if member in (trade.buyer, trade.seller)
    }


def placed(committed: Committed, member: int) -> list[Placed]:
    """What a member is shown at the gate of its orders that replaced or cancelled others."""
    declared, tree = committed.cleared.declared, committed.orders
    places = replacing(declared).get(member, [])
    return [Placed(declared.signed[place].record, place, tree.proof(place)) for place in places]


def excerpt(posted: Posted, member: int, mandate: Signed[Mandate], client: LedgerClient) -> dict[str, Any]:
    """Everything that the exchange holds of the member's slot. mandate : the member's own"""
    declared = posted.delivered.committed.cleared.declared
    orders = {order.hash: order for order in declared.signed}
    readings = posted.delivered.readings
    reading = readings[member] if member < len(readings) else None
    own = []
    for trade, settled in zip(posted.records, posted.account.settled.tolist(), strict=True):
        if member in (trade.buyer, trade.seller):
            line = {**as_json(trade), "settledWh": settled, "payment": payment(settled, trade.price)}
            own.append((place_of(trade, member), line))
    listed = [(place[0], line) for place, line in sorted(own, key=itemgetter(0))]
    slot = posted.post.slot
    return {
        "content": {
            "format": EXCERPT,
            "ledger": ledger_of(client),
            "member": {"index": member, "account": f"0x{mandate.record.member.hex()}"},
            "mandate": mandate_json(mandate),
            "slots": [
                {
                    "slot": slot,
                    "reading": signed_json(reading) if reading else None,
                    **under_orders(listed, orders.get, member, mandate.hash),
                }
            ],
        },
        "proofs": {str(slot): PostedSlot(posted, mandate).of(member)},
    }
