"""How documents and messages write an order: with its own signature, or with that of the basket in which it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from commonwatt.accounts.document import hex_text, signed_json
from commonwatt.errors import RecordError
from commonwatt.proof import hash_struct
from commonwatt.records import Order, Signed, Within
from commonwatt.records.schema import from_json, to_bytes

_BASKET: Final = ("first", "count", "position", "siblings")


def order_json(signed: Signed[Order]) -> dict[str, Any]:
    """An order with its signature and, where that is a basket's, its place there."""
    within = signed.within
    if within is None:
        return signed_json(signed)
    siblings = [*map(hex_text, within.siblings)]
    basket = {"first": within.first, "count": within.count, "position": within.position, "siblings": siblings}
    return {**signed_json(signed), "basket": basket}


def order_of(given: Any) -> Signed[Order]:
    """The order that `order_json` made this of; nothing is said of its signature. Raises RecordError."""
    if not isinstance(given, Mapping) or "signature" not in given:
        raise RecordError("An order is shown without its signature.")
    rest = dict(given)
    signature, basket = to_bytes(rest.pop("signature"), 65), rest.pop("basket", None)
    order = from_json(Order, rest)
    return Signed(order, hash_struct(order), signature, None if basket is None else _within(basket))


CONSENTS: Final = {"buyer": "buyOrder", "seller": "sellOrder"}
"""What a trade has of each end's consent."""


def under_orders(
    trades: Iterable[tuple[bytes, dict[str, Any]]],
    known: Callable[[bytes], Signed[Order] | None],
    member: int,
    mandate: bytes,
    written: Callable[[Signed[Order]], dict[str, Any]] = order_json,
) -> dict[str, Any]:
    """What a member's slot shows of its `trades`, and of the `orders` under which they are, each order once.

    The struct hash of the member's own order or mandate is left out of a trade: what is shown beside it has it.

    trades : each with the struct hash of the member's order or mandate
    known : the order with a struct hash; None for a mandate's
    mandate : struct hash of the member's
    written : how an order is written
    """
    places, orders, listed = dict[bytes, int | None](), list[dict[str, Any]](), list[dict[str, Any]]()
    for consent, trade in trades:
        if consent not in places:
            order = known(consent)
            places[consent] = len(orders) if order else None
            orders += [written(order)] if order else []
        shown = consent if places[consent] is not None else mandate
        own = [name for end, name in CONSENTS.items() if trade[end] == member and trade[name] == hex_text(shown)]
        listed.append({**{name: value for name, value in trade.items() if name not in own}, "order": places[consent]})
    return {"orders": orders, "trades": listed}


def _within(given: Any) -> Within:
    whole = isinstance(given, Mapping) and sorted(given) == sorted(_BASKET) and isinstance(given["siblings"], list)
    if not whole or not all(type(given[name]) is int for name in _BASKET[:3]):
        raise RecordError(f"A basket is shown as no table of {', '.join(_BASKET)}.")
    first, count, position, siblings = (given[name] for name in _BASKET)
    return Within(first, count, position, tuple(to_bytes(each, 32) for each in siblings))
