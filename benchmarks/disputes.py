"""How long a member needs to find a fault in a slot of 10 000 trades; JSON on stdout.

One home is charged a micro-unit too much in the sum of its last trade. What it is shown of the slot is made
outside the clock; reading it, checking signatures and ways to the roots and finding the fault are inside. Then the same
for every member, as an auditor would who is shown everything.
"""

from __future__ import annotations

from dataclasses import replace
from operator import itemgetter
from typing import Any

import numpy as np
from _measure import clocks, show

from commonwatt.accounts.document import signed_json
from commonwatt.accounts.orders import under_orders
from commonwatt.accounts.statements import Line, place_of, statements
from commonwatt.exchange.proofs import SlotProof
from commonwatt.exchange.states import Declared
from commonwatt.market.interface import Orders
from commonwatt.member.faults import Chain, faults
from commonwatt.proof import Domain, Key, Tree, hash_struct, keccak, sign, sign_basket
from commonwatt.records import BUY, SELL, Mandate, Order, Post, Reading, Signed, Trade
from commonwatt.records.deltas import pack_deltas
from commonwatt.records.schema import as_json, as_list
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
        self.lines = [Line(trade, hash_struct(trade), trade.wh) for trade in self.trades]
        self.committed = Tree.of([line.hash for line in self.lines])
        orders = {order.hash: order for order in self.orders}
        own: list[list[tuple[Any, dict[str, Any]]]] = [[] for _ in range(MEMBERS)]
        for trade in self.trades:
            given = {**as_json(trade), "settledWh": trade.wh, "payment": payment(trade.wh, PRICE)}
            for member in (trade.buyer, trade.seller):
                own[member].append((place_of(trade, member), given))
        self.shown = [
            under_orders([(place[0], line) for place, line in sorted(lines, key=itemgetter(0))], orders.get)
            for lines in own
        ]

    def _order(self, member: int, net: int) -> Signed[Order]:
        side, limit = (BUY, 300_000) if net > 0 else (SELL, 80_000)
        order = Order(self.keys[member].address, "", side, abs(net), limit, SLOT, SLOT, member)
        (signed,) = sign_basket(DOMAIN, [order], self.keys[member])
        return signed

    def _reading(self, member: int, net: int) -> Signed[Reading]:
        key = self.keys[member]
        return sign(DOMAIN, Reading(key.address, SLOT, max(net, 0), max(-net, 0), 1), key)

    def posted(self, victim: int | None) -> tuple[SlotProof, Chain]:
        """The slot, with one wrong sum of the victim's if there is one."""
        leaves = list(statements(SLOT, 0, self.lines, [reading.hash for reading in self.readings]))
        if victim is not None:
            place = max(index for index, leaf in enumerate(leaves) if leaf.member == victim)
            leaves[place] = replace(leaves[place], money=leaves[place].money - 1)
        money = np.zeros(MEMBERS, dtype=np.int64)
        for leaf in leaves[:-1]:
            money[leaf.member] = leaf.money
        deltas, tree = pack_deltas(money), Tree.of([hash_struct(leaf) for leaf in leaves])
        orders = Tree.of([order.hash for order in self.orders]).root
        readings = [reading.hash for reading in self.readings]
        post = Post(SLOT, 0, orders, Tree.of(readings).root, tree.root, keccak(deltas))
        declared = Declared(
            SLOT, Orders(*np.zeros((4, 0), dtype=np.int64)), tuple(self.orders), (), tuple(range(MEMBERS))
        )
        slot = SlotProof(post, tree, readings, self.committed, self.lines, declared)
        self.leaves = leaves
        return slot, Chain(DOMAIN, keccak(orders + self.committed.root), deltas)

    def look(self, chain: Chain, member: int, proof: dict[str, Any]) -> list[str]:
        """Names of the proofs that the member finds."""
        line = {"slot": SLOT, "reading": signed_json(self.readings[member]), **self.shown[member]}
        return [fault.function for fault in faults(line, proof, member, self.mandates[member].record, chain)]

    def proof(self, slot: SlotProof, member: int) -> dict[str, Any]:
        """What the member is shown, with the leaves as they were posted."""
        proof = slot.of(member)
        lines = proof["lines"]
        lines["leaves"] = [as_list(self.leaves[lines["first"] + place]) for place in range(len(lines["leaves"]))]
        return proof


def main() -> None:
    """Measure and print."""
    case, victim = Case(), 17
    slot, chain = case.posted(victim)
    proof = case.proof(slot, victim)
    case.look(chain, victim, proof)
    begun = np.array(clocks())
    found = case.look(chain, victim, proof)
    one = np.array(clocks()) - begun
    proofs = [case.proof(slot, member) for member in range(MEMBERS)]
    begun = np.array(clocks())
    all_found = [case.look(chain, member, proofs[member]) for member in range(MEMBERS)]
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
