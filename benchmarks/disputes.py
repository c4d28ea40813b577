"""How long a member needs to find a fault in a slot of 10 000 trades; JSON on stdout.

One home is charged a micro-unit too much in the sum of its last trade. What it is shown of the slot is made
outside the clock; reading it, checking signatures and ways to the roots and finding the fault are inside. Then the same
for every member, as an auditor would who is shown everything.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import starmap
from operator import itemgetter
from typing import Any

import numpy as np
from _measure import clocks, show

from commonwatt.accounts.document import signed_json
from commonwatt.accounts.orders import under_orders
from commonwatt.accounts.statements import (
    Booked,
    by_member,
    lines_of,
    place_of,
    salt_of,
    statement_of,
    statement_tree,
)  # fmt: skip
from commonwatt.exchange.proofs import PostedSlot
from commonwatt.exchange.states import Account, Cleared, Committed, Declared, Delivered, Posted
from commonwatt.market.interface import Orders
from commonwatt.member.faults import Chain, faults
from commonwatt.proof import Domain, Key, Tree, hash_struct, keccak, sign, sign_basket
from commonwatt.records import BUY, SELL, Mandate, Order, Post, Reading, Signed, Trade, Trades
from commonwatt.records.deltas import pack_deltas
from commonwatt.records.schema import as_json
from commonwatt.units import payment

MEMBERS, TRADES, SLOT = 200, 10_000, 1_800_000_000
DOMAIN = Domain(1, bytes([7]) * 20)
PRICE = 200_000


class Case:
    """A slot of random trades between half of the members and the other half."""

    def __init__(self) -> None:
        rng = np.random.default_rng(2026)
        pairs = rng.permutation(MEMBERS // 2 * (MEMBERS // 2))[:TRADES]
        buyers, sellers = pairs // (MEMBERS // 2), MEMBERS // 2 + pairs % (MEMBERS // 2)
        wh = rng.integers(1, 50, TRADES)
        self.keys = [Key.derive(b"disputes", str(member)) for member in range(MEMBERS)]
        self.mandates = [
            sign(DOMAIN, Mandate(key.address, key.address, "", 300_000, 80_000, 10**6, 10**6, 0, 2 * SLOT, 1), key)
            for key in self.keys
        ]
        net = np.bincount(buyers, wh, MEMBERS).astype(int) - np.bincount(sellers, wh, MEMBERS).astype(int)
        self.orders = [self._order(member, int(amount)) for member, amount in enumerate(net)]
        self.readings = [self._reading(member, int(amount)) for member, amount in enumerate(net)]
        rows = zip(buyers.tolist(), sellers.tolist(), wh.tolist(), strict=True)
        self.trades = [
            Trade(SLOT, 0, number, buyer, seller, amount, PRICE, self.orders[buyer].hash, self.orders[seller].hash)
            for number, (buyer, seller, amount) in enumerate(rows)
        ]
        self.booked = [Booked(trade, hash_struct(trade), trade.wh) for trade in self.trades]
        self.committed = Tree.of([each.hash for each in self.booked])
        orders = {order.hash: order for order in self.orders}
        own: list[list[tuple[Any, dict[str, Any]]]] = [[] for _ in range(MEMBERS)]
        for trade in self.trades:
            given = {**as_json(trade), "settledWh": trade.wh, "payment": payment(trade.wh, PRICE)}
            for member in (trade.buyer, trade.seller):
                own[member].append((place_of(trade, member), given))
        self.shown = [
            under_orders(
                [(place[0], line) for place, line in sorted(lines, key=itemgetter(0))],
                orders.get,
                member,
                self.mandates[member].hash,
            )
            for member, lines in enumerate(own)
        ]

    def _order(self, member: int, net: int) -> Signed[Order]:
        side, limit = (BUY, 300_000) if net > 0 else (SELL, 80_000)
        order = Order(self.keys[member].address, "", side, abs(net), limit, SLOT, SLOT, member)
        (signed,) = sign_basket(DOMAIN, [order], self.keys[member])
        return signed

    def _reading(self, member: int, net: int) -> Signed[Reading]:
        key = self.keys[member]
        return sign(DOMAIN, Reading(key.address, SLOT, max(net, 0), max(-net, 0), 1), key)

    def posted(self, victim: int | None) -> tuple[Posted, Chain]:
        """The slot, with one wrong sum of the victim's if there is one."""
        lines = [*starmap(lines_of, enumerate(by_member(self.booked, MEMBERS)))]
        if victim is not None:
            *before, last = lines[victim]
            lines[victim] = (*before, replace(last, money=last.money - 1))
        statements = tuple(
            statement_of(own, reading.hash, salt_of(reading.signature, SLOT, 0))
            for own, reading in zip(lines, self.readings, strict=True)
        )
        deltas, tree = pack_deltas(np.array([each.money for each in statements])), statement_tree(statements)
        orders, none = Tree.of([order.hash for order in self.orders]), np.zeros(0, dtype=np.int64)
        declared = Declared(SLOT, Orders(none, none, none, none), tuple(self.orders), (), tuple(range(MEMBERS)))
        trades = Trades(none, none, none, none)
        cleared = Cleared(declared, (), trades, none, none)
        delivered = Delivered(
            Committed(cleared, tuple(self.trades), orders, self.committed), none, tuple(self.readings)
        )
        settled = np.array([each.settled for each in self.booked])
        account = Account(trades, none, settled, none, none, none)
        post = Post(SLOT, 0, orders.root, tree.root, keccak(deltas))
        posted = Posted(delivered, (), account, tuple(self.trades), tuple(lines), statements, tree, deltas, post)
        return posted, Chain(DOMAIN, keccak(orders.root + self.committed.root), deltas)

    def look(self, posted: Posted, chain: Chain, member: int, proof: dict[str, Any]) -> list[str]:
        """Names of the proofs that the member finds."""
        line = {"slot": SLOT, "reading": signed_json(self.readings[member]), **self.shown[member]}
        found = faults(line, proof, member, self.mandates[member], chain, posted.post)
        return [fault.function for fault in found]

    def proof(self, posted: Posted, member: int) -> dict[str, Any]:
        """What the member is shown."""
        return PostedSlot(posted, self.mandates[member]).of(member)


def main() -> None:
    """Measure and print."""
    case, victim = Case(), 17
    posted, chain = case.posted(victim)
    proof = case.proof(posted, victim)
    case.look(posted, chain, victim, proof)
    begun = np.array(clocks())
    found = case.look(posted, chain, victim, proof)
    one = np.array(clocks()) - begun
    proofs = [case.proof(posted, member) for member in range(MEMBERS)]
    begun = np.array(clocks())
    all_found = [case.look(posted, chain, member, proofs[member]) for member in range(MEMBERS)]
    everyone = np.array(clocks()) - begun
    if found != ["challengeSum"] or [member for member, names in enumerate(all_found) if "challengeSum" in names] != [
        victim
    ]:
        raise SystemExit(f"found {found}, and {[n for n in all_found if n]}")
    show(
        {
            "members": MEMBERS, "trades": TRADES, "lines_of_the_member": len(case.shown[victim]["trades"]),
            "one_member_seconds": dict(zip(("wall", "cpu"), one.round(4).tolist(), strict=True)),
            "all_members_seconds": dict(zip(("wall", "cpu"), everyone.round(3).tolist(), strict=True)),
        },
        "coincurve",
    )  # fmt: skip


if __name__ == "__main__":
    main()
