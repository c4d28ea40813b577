"""A member's bill: every slot, every line, and what is needed to prove each against the chain alone.

A bill is plain JSON. Its `content` says what happened and what is owed; keccak of the canonical content is a leaf of
the tree of bills whose root the operators anchor on the chain. Its `proofs` lead each local line to the statements
root of a settled post. Amounts are integers in micro-currency; docs/bill.md explains every field.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from commonwatt.accounts.charges import Charges
from commonwatt.accounts.statements import place_of
from commonwatt.community.tariff import Tariff
from commonwatt.exchange import store as tables
from commonwatt.exchange.proofs import prover
from commonwatt.proof import Tree, keccak
from commonwatt.records import Order, Reading, Signed, Trade
from commonwatt.records.schema import as_json
from commonwatt.units import WH_PER_KWH

if TYPE_CHECKING:
    from commonwatt.ledger.client.settlement import LedgerClient
    from commonwatt.simulation.result import Result

FORMAT: Final = "commonwatt-bill/1"


def canonical(content: Mapping[str, object]) -> bytes:
    """The bytes that are hashed: JSON with sorted keys and no spaces."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def content_hash(content: Mapping[str, object]) -> bytes:
    """Hash of a bill's content, 32 bytes."""
    return keccak(canonical(content))


def bills(result: Result) -> list[dict[str, Any]]:
    """The content of every member's bill, by member index."""
    sim = result.simulation
    lines: list[list[dict[str, Any]]] = [[] for _ in result.community.members]
    for slot_lines in _slots(result):
        for member, line in enumerate(slot_lines):
            lines[member].append(line)
    client = sim.outbox.client if sim.outbox else None
    ledger = ledger_of(client) if client else None
    common = {
        "format": FORMAT,
        "community": result.community.name,
        "currency": result.community.currency,
        "timezone": result.community.timezone,
        "period": {"from": result.period.start, "until": result.period.end},
        "ledger": ledger,
        "tariff": tariff_terms(result.community.tariff),
    }
    return [
        {
            **common,
            "member": {
                "index": member.index,
                "id": member.id,
                "account": _hex(sim.mandates[member.index].record.member) if client else None,
            },
            "mandate": signed_json(sim.mandates[member.index]) if client else None,
            "slots": lines[member.index],
            "charges": charge_lines(result.charges, member.index),
            "total": int(result.charges.total[member.index]),
            "withoutMarket": int(result.charges_without_market.total[member.index]),
        }
        for member in result.community.members
    ]


def tariff_terms(tariff: Tariff) -> dict[str, Any]:
    """The terms that turn energy into charges; prices per slot are on the slots' lines."""
    levies = [
        {"name": levy.name, "price": levy.price, "grid": levy.grid, "local": levy.local} for levy in tariff.levies
    ]
    vat = {"name": tariff.vat_name, "rate": str(tariff.vat)}
    return {"networkFee": tariff.network_fee, "levies": levies, "vat": vat}


def charge_lines(charges: Charges, member: int) -> list[dict[str, Any]]:
    """The lines of a bill's last page, positive = the member owes."""
    lines = [
        ("energy from the utility", charges.grid_wh, charges.energy),
        ("energy fed in", charges.feed_in_wh, charges.feed_in),
        ("neighbours", charges.local_wh, charges.neighbours),
        *((name, None, amount) for name, amount in charges.fees.items()),
        ("VAT", None, charges.vat),
    ]
    return [
        {"name": name, **({} if wh is None else {"wh": int(wh[member])}), "amount": int(amount[member])}
        for name, wh, amount in lines
    ]


def _slots(result: Result) -> Iterator[list[dict[str, Any]]]:
    """For each slot, the line of every member."""
    sim, prices = result.simulation, result.prices_micro
    readings = _by_slot(sim.store.columns(tables.readings, ("slot", "wh_in", "wh_out", "sequence", "signature")))
    names = ("slot", "revision", "number", "buyer", "seller", "wh", "price", "buy_order", "sell_order", "settled")
    trades = _by_slot(sim.store.columns(tables.trades, names))
    orders = _orders(result)
    grid = result.arrays["grid"]
    meters = [meter.key.address for meter in sim.meters] if sim.outbox else []
    for place, slot in enumerate(result.period.starts.tolist()):
        own: list[list[tuple[Any, dict[str, Any]]]] = [[] for _ in result.community.members]
        for row in trades.get(slot, ()):
            record, settled = Trade(slot, *row[:-1]), row[-1]
            line = {**as_json(record), "settledWh": settled, "payment": settled * record.price // WH_PER_KWH}
            for member, order in ((record.buyer, record.buy_order), (record.seller, record.sell_order)):
                own[member].append((place_of(record, member), {**line, "order": orders.get(order)}))
        retail, feed_in = int(prices.retail[place]), int(prices.feed_in[place])
        counted = readings.get(slot)
        yield [
            {
                "slot": slot,
                "reading": _reading(meters[member], slot, counted[member]) if counted else None,
                "trades": [line for _, line in sorted(own[member], key=itemgetter(0))],
                "prices": {"retail": retail, "feedIn": feed_in},
                "grid": {"wh": wh, "amount": grid_amount(wh, retail, feed_in)},
            }
            for member, wh in enumerate(grid[:, place].tolist())
        ]


def grid_amount(wh: int, retail: int, feed_in: int) -> int:
    """What a member owes the utility for a slot [micro-currency]: positive for import, negative for feed-in."""
    return wh * retail // WH_PER_KWH if wh >= 0 else -(-wh * feed_in // WH_PER_KWH)


def _orders(result: Result) -> dict[bytes, dict[str, Any]]:
    """Every signed order by its struct hash, as JSON with its signature."""
    sim = result.simulation
    names = ("hash", "member", "side", "wh", "limit", "slot", "expiry", "nonce", "signature")
    accounts = [signed.record.member for signed in sim.mandates]
    return {
        order_hash: {**as_json(Order(accounts[member], *values)), "signature": _hex(signature)}
        for order_hash, member, *values, signature in sim.store.columns(tables.orders, names)
        if order_hash
    }


def _reading(meter: bytes, slot: int, row: Sequence[Any]) -> dict[str, Any]:
    wh_in, wh_out, sequence, signature = row
    return {**as_json(Reading(meter, slot, wh_in, wh_out, sequence)), "signature": _hex(signature)}


def ledger_of(client: LedgerClient) -> dict[str, Any]:
    """Where the community's contracts are, as bills and excerpts name them."""
    community, settlement = client.addresses.community, client.addresses.settlement
    return {"chainId": client.node.chain_id, "community": _hex(community), "settlement": _hex(settlement)}


def signed_json(signed: Signed[Any]) -> dict[str, Any]:
    """A record with its signature."""
    return {**as_json(signed.record), "signature": _hex(signed.signature)}


def _by_slot(rows: Sequence[tuple[Any, ...]]) -> dict[int, list[tuple[Any, ...]]]:
    grouped: dict[int, list[tuple[Any, ...]]] = {}
    for slot, *rest in rows:
        grouped.setdefault(slot, []).append(tuple(rest))
    return grouped


@dataclass(frozen=True)
class Anchored:
    """All bills of a period and the tree whose root is on the chain."""

    contents: tuple[dict[str, Any], ...]
    tree: Tree


def anchored(contents: Sequence[dict[str, Any]]) -> Anchored:
    """The bills with their tree."""
    return Anchored(tuple(contents), Tree.of([content_hash(content) for content in contents]))


def proven(result: Result, bundle: Anchored) -> Iterator[dict[str, Any]]:
    """Every bill with its proofs, in the order of members; one at a time, because proofs are large."""
    slot_proofs = prover(result.simulation.store)
    for member, content in enumerate(bundle.contents):
        yield {
            "content": content,
            "anchor": {
                "root": _hex(bundle.tree.root),
                "index": member,
                "siblings": [_hex(sibling) for sibling in bundle.tree.proof(member)],
            },
            "proofs": {str(slot): slot_proofs(slot).of(member) for slot in result.period.starts.tolist()},
        }


def _hex(value: bytes) -> str:
    return f"0x{value.hex()}"
