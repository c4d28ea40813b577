"""A dishonest operator, who holds every key of its own: it changes what the exchange holds and tells the chain that."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from by_slot import anchored, contents, proven
from exchange_cases import exchange_of

from commonwatt.accounts.document import Anchored
from commonwatt.exchange import ledger_rows, tables
from commonwatt.exchange.events import GateClosure
from commonwatt.exchange.outbox import Outbox
from commonwatt.exchange.proofs import SlotProof
from commonwatt.exchange.store import Store
from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.proof import Key, Tree, hash_struct, keccak, sign_basket
from commonwatt.records import ZERO_HASH, Anchor, Order, Post, Statement, Trade
from commonwatt.records.deltas import pack_deltas
from commonwatt.records.schema import Record
from commonwatt.simulation.homes import SigningHomes
from commonwatt.simulation.result import Result

Bill = dict[str, Any]
DAY_AHEAD, REAL_TIME = 0, 1
"""Numbers of the stages."""


def signed(client: LedgerClient, record: Record, key: Key) -> bytes:
    return key.sign_digest(client.domain.digest(hash_struct(record)))


def anchor(client: LedgerClient, operator: Key, given: list[Bill]) -> list[dict[str, Any]]:
    """Put the root of these bills on the chain, for the period that the first one names; returns each one's anchor.

    given : contents, by slot or not
    """
    tree = anchored(given).tree
    period = next(content["period"] for content in given if content)
    record = Anchor(period["from"], period["until"], tree.root)
    client.anchor(record, [signed(client, record, operator)], at=client.node.head.timestamp + 1)
    return [
        {"root": _hex(tree.root), "index": index, "siblings": [_hex(sibling) for sibling in tree.proof(index)]}
        for index in range(len(given))
    ]


class Dishonest:
    """An honest day in a folder of its own: change the store, then `tell` the chain, then ask for the bills.

    run : the honest day; unanchored : its files
    chain : file of a chain that knows the contracts and nothing of the day, or not all of it
    """

    def __init__(self, run: Result, unanchored: Path, chain: Path, folder: Path) -> None:
        shutil.copy(unanchored / "exchange.sqlite", folder / "exchange.sqlite")
        shutil.copy(chain, folder / "ledger.sqlite")
        honest = exchange_of(run)
        assert isinstance(run.simulated, SigningHomes)
        self.run, self.keys = run, run.simulated.keys
        self.store = Store(folder / "exchange.sqlite")
        self.chain = EmbeddedChain(folder / "ledger.sqlite")
        self.client = LedgerClient(self.chain, honest.client.key, honest.client.addresses)
        self.exchange = copy.copy(honest)
        self.exchange.store, self.exchange.client = self.store, self.client
        self.exchange.outbox = Outbox(self.client, honest.outbox.quorum)
        self._slots: dict[int, SlotProof] = {}

    def close(self) -> None:
        self.store.close()
        self.chain.close()

    # What the exchange holds

    def write(self, statement: str, *values: object) -> None:
        with self.store.transaction() as connection:
            connection.exec_driver_sql(statement, values)

    def trade(self, **equal: int) -> Any:
        """The first trade with these values that settled in part, and not the poor member's."""
        rows = self.store.rows(tables.trades, **equal)
        return next(row for row in rows if row.settled > 50 and row.buyer != 4)

    def order(self, slot: int, member: int, side: int) -> Any:
        (row,) = self.store.rows(tables.orders, slot=slot, member=member, side=side)
        return row

    def change_trade(self, row: Any, **changes: Any) -> None:
        """Other values for a trade, with its right hash."""
        names = ("slot", "revision", "number", "buyer", "seller", "wh", "price", "buy_order", "sell_order")
        record = Trade(*(changes.get(name, getattr(row, name)) for name in names))
        values = {**changes, "hash": hash_struct(record)}
        self.write(
            f"UPDATE trades SET {', '.join(f'{name} = ?' for name in values)} WHERE slot = ? AND number = ?",  # noqa: S608
            *values.values(), row.slot, row.number,
        )  # fmt: skip

    def change_order(self, row: Any, key: Key, **changes: Any) -> bytes:
        """Other values for an order, in a basket signed by `key`; returns its hash."""
        account = self.exchange.mandates[row.member].record.member
        fields = ("text", "side", "wh", "limit", "slot", "expiry", "nonce")
        record = Order(account, *(changes.get(name, getattr(row, name)) for name in fields))
        (order,) = sign_basket(self.client.domain, [record], key)
        assert order.within is not None
        basket = {"first": order.within.first, "count": 1, "place": 0, "siblings": b""}
        values = {**changes, **basket, "hash": order.hash, "signature": order.signature}
        names = ", ".join(f'"{name}" = ?' for name in values)
        self.write(
            f"UPDATE orders SET {names} WHERE slot = ? AND member = ? AND side = ?",  # noqa: S608
            *values.values(), row.slot, row.member, row.side,
        )  # fmt: skip
        return order.hash

    def slot(self, at: int) -> SlotProof:
        """What proves the slot; the bills are proved by this very object."""
        if at not in self._slots:
            self._slots[at] = SlotProof.stored(self.store, at, self.exchange.mandates)
        return self._slots[at]

    def recommit(self, at: int) -> None:
        """At the gate already: the roots of the slot's orders and trades as they are now."""
        orders = Tree.of([order.hash for order in self.store.rows(tables.orders, slot=at)]).root
        rows = self.store.rows(tables.trades, slot=at)
        trades = Tree.of([row.hash for row in rows if row.stage == DAY_AHEAD]).root
        for table in ("commitments", "posts"):
            self.write(f"UPDATE {table} SET orders = ?, trades = ? WHERE slot = ?", orders, trades, at)  # noqa: S608

    def restate(self, at: int, hidden: Mapping[int, Statement] | None = None) -> None:
        """Statements, deltas and account of the slot from its trades, as an honest exchange would make them.

        hidden : by member, statements behind the empty place that move balances as well, and that nobody is shown
        """
        slot, hidden = self.slot(at), hidden or {}
        own = [statement for member in range(len(slot.own)) if (statement := slot.statement(member))]
        slot.tree = Tree.of([*map(hash_struct, own), ZERO_HASH, *map(hash_struct, hidden.values())])
        money = np.array([statement.money for statement in own])
        for member, statement in hidden.items():
            money[member] += statement.money
        for member, statement in enumerate(own):
            local = statement.bought - statement.sold
            self.write(
                "UPDATE accounts SET ahead = ?, after = 0, grid = net - ?, credit = ? WHERE slot = ? AND member = ?",
                local, local, statement.money, at, member,
            )  # fmt: skip
        self.change_post(at, statements=slot.tree.root, deltas=pack_deltas(money))
        self.write("UPDATE posts SET leaves = ? WHERE slot = ?", b"".join(slot.tree.levels[0]), at)

    def change_post(self, at: int, **changes: bytes) -> None:
        """Other roots or deltas in the slot's post."""
        names = ", ".join(f"{name} = ?" for name in changes)
        self.write(f"UPDATE posts SET {names} WHERE slot = ?", *changes.values(), at)  # noqa: S608
        (row,) = self.store.rows(tables.posts, slot=at)
        self.slot(at).post = Post(at, 0, row.orders, row.statements, keccak(row.deltas))

    # What it tells

    def tell(self, without: tuple[int, ...] = ()) -> None:
        """The whole day as the store has it, with the operator's signature to every post, but for some slots."""
        outbox = self.exchange.outbox
        seconds = self.exchange.rules.period.seconds
        messages = {message.post.slot: message for _, message in ledger_rows.read_posts(self.store)}
        for event in self.exchange.rules.events:
            outbox.finalise_due(event.at)
            if isinstance(event, GateClosure):
                roots = ledger_rows.read_commitments(self.store, event.slots)
                if self.client.commitment(event.slots.start) is None:
                    outbox.commit(event.slots.start, [r[0] for r in roots], [r[1] for r in roots], event.at + 1)
                continue
            message = messages[event.at - seconds]
            if message.post.slot not in without and self.client.posted(message.post.slot, 0) is None:
                signature = signed(self.client, message.post, self.keys.operator)
                outbox.post(replace(message, signatures=(signature,)), event.at + 1)
                outbox.finalise_due(event.at + 1)
        outbox.finalise_due()

    def correct(self, post: Post, deltas: bytes, *, finalise: bool = True) -> None:
        """One more post of a slot, such as a later revision."""
        at = max(self.client.node.head.timestamp, post.slot + self.exchange.rules.period.seconds) + 1
        (row,) = self.store.rows(tables.posts, slot=post.slot)
        self.client.post(post, row.trades, deltas, [signed(self.client, post, self.keys.operator)], at=at)
        if finalise:
            self.client.finalise(post, deltas, at=at + self.client.terms.window)

    def bills(self, story: Callable[[list[Bill]], None] | None = None) -> list[Bill]:
        """Every bill, anchored, with its proofs. story : changes the contents before they are anchored."""
        result = Result(self.exchange, self.run.simulated, self.close)
        honest = contents(result.books)
        if story:
            story(honest)
        anchors = anchor(self.client, self.keys.operator, honest)
        found = list(proven(result.books, Anchored(tuple(honest), Tree.of([]))))
        for member, bill in enumerate(found):
            assert bill["anchor"] == anchors[member]
            bill["proofs"] |= {str(at): slot.of(member) for at, slot in self._slots.items()}
        return found


def _hex(value: bytes) -> str:
    return f"0x{value.hex()}"
