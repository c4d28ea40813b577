"""What was answered on the chain to a demand, in the form of an excerpt, so that it is judged as one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

from commonwatt.accounts.document import hashes_text, hex_text, signed_json
from commonwatt.accounts.orders import under_orders
from commonwatt.errors import LedgerError
from commonwatt.ledger.client.demands import Answer, Consent
from commonwatt.proof import hash_struct, places_beside
from commonwatt.records import Line, Mandate, Order, Post, Signed, Trade, Within
from commonwatt.records.schema import as_json, as_list


def mandate_in(parts: Sequence[Answer]) -> Signed[Mandate] | None:
    """The mandate under which the member traded; None when no line needs one. The chain has checked it."""
    consents = (consent for part in parts for consent in part.consents if consent.mandate_signature)
    return next(
        (Signed(each.mandate, hash_struct(each.mandate), each.mandate_signature) for each in consents), None
    )


def shown_by(post: Post, member: int, parts: Sequence[Answer]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A slot's entry and its proof, as an excerpt of the slot has them.

    parts : of one whole answer, in order
    Raises LedgerError when they are none that the contract has accepted, but a node's invention.
    """
    try:
        return _shown_by(post, member, parts)
    except (LookupError, ValueError):
        raise LedgerError("The node shows another answer than the contract can have accepted.") from None


def _shown_by(post: Post, member: int, parts: Sequence[Answer]) -> tuple[dict[str, Any], dict[str, Any]]:
    first, lines = parts[0], [row for part in parts for row in _rows(part)]
    shown = {place: row for place, *row in lines}
    rows = [shown[place] for place in range(len(shown))]
    sums = [(0, 0, 0), *((line.bought, line.sold, line.money) for line, *_ in rows)]
    moved = [tuple(new - old for old, new in zip(*each, strict=True)) for each in pairwise(sums)]
    orders = {order.hash: order for order in (_order(consent) for _, _, _, consent in rows) if order}
    mandate = mandate_in(parts)
    listed = [
        (line.order, {**as_json(trade), "settledWh": abs(bought - sold), "payment": abs(money)})
        for (line, trade, _, _), (bought, sold, money) in zip(rows, moved, strict=True)
    ]
    reading = Signed(first.reading, b"", first.reading_signature)
    entry = {
        "slot": post.slot,
        "reading": signed_json(reading) if first.reading_signature else None,
        **under_orders(listed, orders.get, member, mandate.hash if mandate else b""),
    }
    ways = {trade.number: way for _, trade, way, consent in rows if consent.order_signature}
    proof = {
        "revision": post.revision,
        "salt": hex_text(first.statement.salt) if first.stated else None,
        "siblings": hashes_text(first.siblings),
        "committed": _together(ways) if ways else None,
        "orders": [],
        "stated": False,
    }
    if first.stated:
        stated = {"sums": as_list(first.statement)[:-1], "lines": [as_list(line) for line, *_ in rows]}
        proof["stated"] = stated
    return entry, proof


def _rows(part: Answer) -> Iterator[tuple[int, Line, Trade, Sequence[bytes], Consent]]:
    """Each line of a part with its place, its trade, that one's way to the committed ones, and its consent."""
    run = accumulate((one.order != other.order for one, other in pairwise(part.lines)), initial=0)
    consents = [part.consents[number] for _, number in zip(part.lines, run, strict=False)]
    places = range(part.position, part.next)
    yield from zip(places, part.lines, part.trades, part.committed, consents, strict=True)


def _together(ways: Mapping[int, Sequence[bytes]]) -> dict[str, Any]:
    """Ways of several trades to one root, by number, as documents write them."""
    depth = len(next(iter(ways.values())))
    nodes = {(height, number >> height ^ 1): way[height] for number, way in ways.items() for height in range(depth)}
    return {"depth": depth, "beside": hashes_text(nodes[each] for each in places_beside(ways, depth))}


def _order(consent: Consent) -> Signed[Order] | None:
    if not consent.order_signature:
        return None
    within = Within(consent.first, consent.count, consent.position, tuple(consent.siblings))
    in_words = bool(consent.order.text)
    order_hash = hash_struct(consent.order)
    return Signed(consent.order, order_hash, consent.order_signature, None if in_words else within)
