"""What a member is shown at the gate of what was committed, so that it can tell when something else is posted."""

from __future__ import annotations

from dataclasses import dataclass

from commonwatt.proof import hash_struct, keccak, root_of
from commonwatt.records import Order, Trade


@dataclass(frozen=True)
class Promise:
    """A trade that a member was shown at the gate, and its siblings to the root of all that were committed."""

    record: Trade
    siblings: tuple[bytes, ...]

    @property
    def trade(self) -> bytes:
        """Struct hash of the trade."""
        return hash_struct(self.record)

    @property
    def root(self) -> bytes:
        """Of the committed trades, if the trade is one of them."""
        return root_of(self.trade, self.record.number, self.siblings)

    def under(self, orders: bytes, commitment: bytes | None) -> bool:
        """Whether the trade was committed. orders : root of the slot's; commitment : what the chain holds for it"""
        return commitment == keccak(orders + self.root)


@dataclass(frozen=True)
class Placed:
    """An order of the member's own, its place among the committed orders of the slot, and siblings to their root."""

    order: Order
    position: int
    siblings: tuple[bytes, ...]
