"""What was answered on the chain to a demand, in the form of an excerpt, so that it is judged as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

from commonwatt.accounts.document import hex_text, leaves_json, signed_json
from commonwatt.accounts.orders import under_orders
from commonwatt.errors import LedgerError
from commonwatt.ledger.client.demands import Answer, Consent
from commonwatt.ledger.client.disputes import Leaf
from commonwatt.proof import border_of, hash_struct, proofs_of
from commonwatt.records import ZERO_HASH, Mandate, Order, Post, Signed, Within
from commonwatt.records.schema import as_json


def mandate_in(parts: Sequence[Answer]) -> Mandate | None:
    """The mandate under which the member traded; None when no line needs one. The chain has checked it."""
    consents = (consent for part in parts for consent in part.consents if consent.mandate_signature)
    return next((consent.mandate for consent in consents), None)


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
    leaves = {leaf.position: leaf for part in parts for leaf in _leaves(part)}
    around = [leaves[position] for position in sorted(leaves)]
    consents = [consent for part in parts for consent in _by_trade(part, member)]
    trades = [trade for part in parts for trade in part.trades]
    ways = [way for part in parts for way in part.committed]
    own = [leaf for leaf in around if leaf.statement.member == member]
    moved = [(0, 0), *((leaf.statement.wh, leaf.statement.money) for leaf in own)]
    added = [(abs(wh - last[0]), abs(money - last[1])) for last, (wh, money) in pairwise(moved)]
    first, last = parts[0], parts[-1]
    orders = {order.hash: order for order in map(_order, consents) if order}
    listed = [
        (hash_struct(consent.order), {**as_json(trade), "settledWh": wh, "payment": money})
        for trade, consent, (wh, money) in zip(trades, consents, added, strict=False)
    ]
    reading = Signed(first.reading, b"", first.reading_signature)
    shown = {
        "slot": post.slot,
        "reading": signed_json(reading) if first.reading_signature else None,
        **under_orders(listed, orders.get),
    }
    proof = {
        "post": as_json(post),
        "lines": _json(around),
        "trades": hex_text(first.trades_root),
        "committed": [
            [*map(hex_text, way)] if consent.order_signature else None
            for way, consent in zip(ways, consents, strict=True)
        ],
        "reading": [*map(hex_text, first.reading_siblings)],
        "orders": [],
    }
    if last.earlier_ends:
        proof["earlier"] = {"post": as_json(last.earlier), "ends": _json(last.earlier_ends)}
    return shown, proof


def _leaves(part: Answer) -> list[Leaf]:
    _, ways = proofs_of([hash_struct(line) for line in part.statements], part.position, part.depth, part.border)
    lines = zip(part.statements, ways, strict=True)
    return [Leaf(line, place, way) for place, (line, way) in enumerate(lines, part.position)]


def _by_trade(part: Answer, member: int) -> list[Consent]:
    """The consent behind each trade of a part: one for each run of lines under the same order."""
    own = [line for line in part.statements if line.member == member and line.trade != ZERO_HASH]
    fresh = own[len(own) - len(part.trades) :]
    run = accumulate((one.order != other.order for one, other in pairwise(fresh)), initial=0)
    return [part.consents[number] for _, number in zip(fresh, run, strict=False)]


def _order(consent: Consent) -> Signed[Order] | None:
    if not consent.order_signature:
        return None
    within = Within(consent.first, consent.count, consent.position, tuple(consent.siblings))
    in_words = bool(consent.order.text)
    order_hash = hash_struct(consent.order)
    return Signed(consent.order, order_hash, consent.order_signature, None if in_words else within)


def _json(leaves: Sequence[Leaf]) -> Mapping[str, Any]:
    """Leaves that stand side by side."""
    first, last = leaves[0], leaves[-1]
    border = border_of(first.position, first.siblings, last.position, last.siblings)
    return leaves_json([leaf.statement for leaf in leaves], first.position, len(first.siblings), border)
