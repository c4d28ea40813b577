"""What was answered on the chain to a demand, in the form of an excerpt, so that it is judged as one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, pairwise, starmap
from typing import Any, NamedTuple

from commonwatt.accounts.document import hashes_text, hex_text, signed_json
from commonwatt.accounts.orders import under_orders
from commonwatt.errors import LedgerError
from commonwatt.ledger.client.demands import Answer, Consent
from commonwatt.proof import hash_struct, places_beside
from commonwatt.records import ZERO_HASH, Line, Mandate, Order, Post, Signed, Trade, Within
from commonwatt.records.schema import as_json, as_list


def mandate_in(parts: Sequence[Answer]) -> Signed[Mandate] | None:
    """The mandate under which the member traded; None when no line needs one. The chain has checked it."""
    consents = (consent for part in parts for consent in part.consents if consent.mandate_signature)
    return next((Signed(each.mandate, hash_struct(each.mandate), each.mandate_signature) for each in consents), None)


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
    first, shown = parts[0], {row.place: row for part in parts for row in _rows(part)}
    rows = [shown[place] for place in range(len(shown))]
    sums = [(0, 0, 0), *((row.line.bought, row.line.sold, row.line.money) for row in rows)]
    orders = {order.hash: order for row in rows if (order := _order(row.consent))}
    mandate, listed = mandate_in(parts), list[tuple[bytes, dict[str, Any]]]()
    for row, (then, now) in zip(rows, pairwise(sums), strict=True):
        bought, sold, money = (after - before for before, after in zip(then, now, strict=True))
        trade = {**as_json(row.trade), "settledWh": abs(bought - sold), "payment": abs(money)}
        listed.append((row.line.order, trade))
    reading = Signed(first.reading, b"", first.reading_signature)
    entry = {
        "slot": post.slot,
        "reading": signed_json(reading) if first.reading_signature else None,
        **under_orders(listed, orders.get, member, mandate.hash if mandate else ZERO_HASH),
    }
    ways = {row.trade.number: row.way for row in rows if row.consent.order_signature}
    stated = {"sums": as_list(first.statement)[:-1], "lines": [as_list(row.line) for row in rows]}
    proof: dict[str, Any] = {
        "revision": post.revision,
        "salt": hex_text(first.statement.salt) if first.stated else None,
        "siblings": hashes_text(first.siblings),
        "committed": _together(ways) if ways else None,
        "orders": [],
        "stated": stated if first.stated else False,
    }
    return entry, proof


class _Row(NamedTuple):
    """A line as it was answered: its trade, that one's way to the committed ones, and its consent."""

    place: int
    line: Line
    trade: Trade
    way: Sequence[bytes]
    consent: Consent


def _rows(part: Answer) -> Iterator[_Row]:
    """The lines of a part: it has one consent for each run of them under the same order."""
    run = accumulate((one.order != other.order for one, other in pairwise(part.lines)), initial=0)
    consents = [part.consents[number] for _, number in zip(part.lines, run, strict=False)]
    columns = zip(range(part.position, part.next), part.lines, part.trades, part.committed, consents, strict=True)
    return starmap(_Row, columns)


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
