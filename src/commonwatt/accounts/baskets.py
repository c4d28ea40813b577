"""The baskets of a sheet: each with its signature once, and the nodes that lead all of its orders there to its root.

Orders of one basket stand in many slots of a day, and the ways of each to the root would be most of what is shown of
them. In a sheet an order names its basket by its number among the sheet's `baskets`, and its `position` in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from commonwatt.accounts.document import hashes_text, hex_text, to_hashes
from commonwatt.errors import RecordError
from commonwatt.proof import hash_struct, led_by, places_beside
from commonwatt.records import Order, Signed
from commonwatt.records.schema import as_json, from_json

_BASKET: Final = ("signature", "first", "count", "beside")


@dataclass
class _Basket:
    """What is known of one: places that are shown, and nodes by height and place."""

    number: int
    first: int
    count: int
    places: set[int] = field(default_factory=set)
    nodes: dict[tuple[int, int], bytes] = field(default_factory=dict)


class Baskets:
    """The baskets of the orders of one member that a sheet shows: first all orders are added, then each is written."""

    def __init__(self) -> None:
        self._by_signature: dict[bytes, _Basket] = {}

    def add(self, signed: Signed[Order]) -> None:
        """Note an order that will be shown; one that was signed alone has no basket."""
        within = signed.within
        if within is None:
            return
        new = _Basket(len(self._by_signature), within.first, within.count)
        basket = self._by_signature.setdefault(signed.signature, new)
        basket.places.add(within.position)
        for height, node in enumerate(within.siblings):
            basket.nodes[height, (within.position >> height) ^ 1] = node

    def order(self, signed: Signed[Order]) -> dict[str, Any]:
        """The order, as a sheet writes it."""
        if signed.within is None:
            return {**as_json(signed.record), "signature": hex_text(signed.signature)}
        number = self._by_signature[signed.signature].number
        return {**as_json(signed.record), "basket": number, "position": signed.within.position}

    def as_json(self) -> list[dict[str, Any]]:
        """The baskets, in the order of their numbers."""
        return [
            {
                "signature": hex_text(signature),
                "first": each.first,
                "count": each.count,
                "beside": hashes_text(each.nodes[node] for node in places_beside(each.places, _depth(each.count))),
            }
            for signature, each in self._by_signature.items()
        ]


def _depth(count: int) -> int:
    return (count - 1).bit_length()


def with_ways(sheet: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The slots of a sheet, each order with its signature and its way to the root, as `accounts.orders` writes it.

    Raises RecordError when an order names no basket of the sheet, or what is shown of one leads nowhere.
    """
    baskets = sheet["baskets"]
    own: list[dict[int, bytes]] = [{} for _ in baskets]
    for line in sheet["slots"]:
        for order in line["orders"]:
            if (at := _place(order, len(baskets))) is not None:
                number, position = at
                record = {name: said for name, said in order.items() if name not in ("basket", "position")}
                struct_hash = hash_struct(from_json(Order, record))
                if own[number].setdefault(position, struct_hash) != struct_hash:
                    raise RecordError("Two orders stand at one place of a basket.")
    ways = [_ways(basket, hashes) for basket, hashes in zip(baskets, own, strict=True)]
    return [{**line, "orders": [_whole(order, baskets, ways) for order in line["orders"]]} for line in sheet["slots"]]


def _place(order: Any, baskets: int) -> tuple[int, int] | None:
    """Number of the order's basket, and its place there; None of one that was signed alone."""
    if not isinstance(order, Mapping):
        raise RecordError("An order is no table.")
    if "basket" not in order:
        return None
    number, position = order["basket"], order.get("position")
    if type(number) is int and type(position) is int and 0 <= number < baskets:
        return number, position
    raise RecordError("An order names no basket of its sheet, or no place in one.")


def _ways(basket: Any, hashes: Mapping[int, bytes]) -> Mapping[int, tuple[bytes, ...]]:
    if not isinstance(basket, Mapping) or sorted(basket) != sorted(_BASKET):
        raise RecordError(f"A basket is no table of {', '.join(_BASKET)}.")
    count = basket["count"]
    if type(count) is not int or not 0 < count < 1 << 32:
        raise RecordError("A basket does not say how many orders it has.")
    try:
        return led_by(hashes, _depth(count), to_hashes(basket["beside"]))[1]
    except ValueError as error:
        raise RecordError(f"The orders of a basket do not lead to its root: {error}.") from None


def _whole(order: Mapping[str, Any], baskets: Sequence[Any], ways: Sequence[Mapping[int, Any]]) -> dict[str, Any]:
    if "basket" not in order:
        return dict(order)
    number, position = order["basket"], order["position"]
    basket, siblings = baskets[number], [*map(hex_text, ways[number][position])]
    rest = {name: said for name, said in order.items() if name not in ("basket", "position")}
    where = {"first": basket["first"], "count": basket["count"], "position": position, "siblings": siblings}
    return {**rest, "signature": basket["signature"], "basket": where}
