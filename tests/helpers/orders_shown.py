"""How a bill shows orders, changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Bill = dict[str, Any]
Change = Callable[[Bill], None]


def ordered_slot(bill: Bill) -> Any:
    """The first slot that shows an order."""
    return next(line for line in bill["content"]["slots"] if line["orders"])


def _basket(name: str, change: Callable[[Any], Any]) -> Change:
    def changed(bill: Bill) -> None:
        basket = ordered_slot(bill)["orders"][0]["basket"]
        basket[name] = change(basket[name])

    return changed


def _no_basket(bill: Bill) -> None:
    del ordered_slot(bill)["orders"][0]["basket"]


def _other_signature(bill: Bill) -> None:
    order = ordered_slot(bill)["orders"][0]
    order["signature"] = (
        order["signature"][:10] + ("0" if order["signature"][10] != "0" else "1") + order["signature"][11:]
    )


def _more(bill: Bill) -> None:
    ordered_slot(bill)["orders"][0]["basket"]["orders"] = 1


def _more_of_an_order(bill: Bill) -> None:
    ordered_slot(bill)["orders"][0]["plant"] = 1


def _of_another_slot(bill: Bill) -> None:
    first, second, *_ = [line for line in bill["content"]["slots"] if line["orders"]]
    first["orders"] = second["orders"]


def _none(bill: Bill) -> None:
    ordered_slot(bill)["orders"] = []


def _another_place(place: Any) -> Change:
    def changed(bill: Bill) -> None:
        trades = ordered_slot(bill)["trades"]
        next(trade for trade in trades if trade["order"] is not None)["order"] = place

    return changed


def _as_if_without_order(bill: Bill) -> None:
    _another_place(None)(bill)


def _another_s_format(bill: Bill) -> None:
    bill["content"]["format"] = "commonwatt-bill/1"


FOREIGN, NO_PLACE = "The Basket with the order is signed by", "The basket has no such place for the order"
NAMELESS = "a trade names no order"
UNNAMED = "the orders that are shown are not those that the trades name"
FALSE: dict[str, tuple[Change, str]] = {
    "in another place of its basket": (_basket("position", lambda it: it ^ 1), FOREIGN),
    "beyond its basket": (_basket("position", lambda _: 1000), NO_PLACE),
    "in a basket of more": (_basket("count", lambda it: it + 1), f"{FOREIGN}|{NO_PLACE}"),
    "in a basket of one": (_basket("count", lambda _: 1), NO_PLACE),
    "in a basket that began before": (_basket("first", lambda it: it - 1), FOREIGN),
    "in a basket that begins later": (_basket("first", lambda it: it + 10**6), NO_PLACE),
    "whose siblings lead elsewhere": (_basket("siblings", lambda it: [*it[:-1], "0x" + "00" * 32]), FOREIGN),
    "with a sibling too few": (_basket("siblings", lambda it: it[1:]), NO_PLACE),
    "with half a sibling": (_basket("siblings", lambda it: [it[0][:34], *it[1:]]), "is not 0x and 64 digits"),
    "with a place of text": (_basket("position", str), "A basket is shown as no table of first, count, position"),
    "with more of its basket": (_more, "A basket is shown as no table of first, count, position, siblings"),
    "with more than it has": (_more_of_an_order, "The record Order has exactly these fields: member, "),
    "without its basket": (_no_basket, "The Order is signed by"),
    "with another signature": (_other_signature, f"{FOREIGN}|belongs to no key"),
    "of another slot": (_of_another_slot, "the statement does not lead to the posted ones"),
    "not shown": (_none, NAMELESS),
    "at a place that is none": (_another_place(9), NAMELESS),
    "at a place before the first": (_another_place(-1), NAMELESS),
    "at a place that is true": (_another_place(True), NAMELESS),  # noqa: FBT003
    "as if there was none": (_as_if_without_order, UNNAMED),
    "as in the format before": (_another_s_format, "its format is commonwatt-bill/1; the version of commonwatt that"),
}
"""Changes of the first order that a bill shows, and what is said of each when operators anchor it."""
