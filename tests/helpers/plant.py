"""A plant that sells to many buyers in one slot, on a chain whose blocks take 10 million gas."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from ledger_cases import ETHER
from settlement_cases import ETHER_TERMS, SLOT, START

from commonwatt.exchange import steps
from commonwatt.exchange.outbox import outgoing
from commonwatt.exchange.states import Account, Cleared, Committed, Declared, Delivered, Posted, Settled
from commonwatt.ledger.chain.embedded import EmbeddedChain, Genesis
from commonwatt.ledger.client.quorum import gate_of
from commonwatt.ledger.client.settlement import Enrolment, LedgerClient
from commonwatt.market import Orders
from commonwatt.proof import Key, Tree, hash_struct, sign, sign_basket
from commonwatt.records import BUY, SELL, Mandate, Order, Reading, Signed, Trades

PLANT, TOWN = 0, 1
PRICE = 200_000
OPERATOR = Key.derive(b"plant", "operator")
MEMBERS = [Key.derive(b"plant", name) for name in ("plant", "town")]
METERS = [Key.derive(b"plant", f"meter {member}") for member in range(2)]
BLOCK_GAS = 10_000_000
MOST = 10**9


@dataclass(frozen=True)
class Sold:
    """What is on the chain: a final or pending slot with a line of the plant for each of its sales."""

    client: LedgerClient
    posted: Posted
    mandates: tuple[Signed[Mandate], ...]


@contextmanager
def selling(sales: int, ahead: int) -> Iterator[Sold]:
    """The plant sells 1 000 Wh so many times, the first `ahead` under its order and the others under its mandate."""
    balances = {key.address: 10_000 * ETHER for key in (OPERATOR, *MEMBERS)}
    with EmbeddedChain(None, Genesis(2024, balances, gas_limit=BLOCK_GAS)) as chain:
        client = LedgerClient.deploy(
            chain, OPERATOR, operators=[OPERATOR.address], threshold=1, config=bytes(32),
            members=[Enrolment(key.address, 1, meter.address) for key, meter in zip(MEMBERS, METERS, strict=True)],
            terms=replace(ETHER_TERMS, answer_time=1800), token=None, at=START,
        )  # fmt: skip
        client.deposit_for([TOWN], [MOST], at=START + 10)
        mandates = tuple(_mandate(client, key) for key in MEMBERS)
        posted = _posted(client, sales, ahead, mandates)
        committed = posted.delivered.committed
        roots = [committed.orders.root], [committed.trades.root]
        gate = sign(client.domain, gate_of(SLOT, *roots), OPERATOR)
        client.commit(SLOT, *roots, [gate.signature], at=START + 20)
        message = outgoing(posted, client.domain, [OPERATOR])
        client.post(message.post, message.trades, message.deltas, message.signatures, at=SLOT + 901)
        yield Sold(client, posted, mandates)


def _mandate(client: LedgerClient, key: Key) -> Signed[Mandate]:
    return sign(client.domain, Mandate(key.address, key.address, "", MOST, 0, MOST, MOST, 0, 2 * SLOT, 1), key)


def _posted(client: LedgerClient, sales: int, ahead: int, mandates: tuple[Signed[Mandate], ...]) -> Posted:
    wh = np.full(sales, 1000, dtype=np.int64)
    trades = Trades(np.full(sales, TOWN), np.full(sales, PLANT), wh, np.full(sales, PRICE, dtype=np.int64))
    agreed = trades.keep(np.arange(sales) < ahead)
    orders = tuple(
        each
        for key, side in zip(MEMBERS, (SELL, BUY), strict=True)
        for each in sign_basket(client.domain, [Order(key.address, "", side, ahead * 1000, PRICE, SLOT, SLOT, 1)], key)
    )
    columns = (np.array(each, dtype=np.int64) for each in ([0, 1], [SELL, BUY], [ahead * 1000] * 2, [PRICE] * 2))
    none, stage = np.zeros(0, dtype=np.int64), np.zeros(ahead, dtype=np.int64)
    cleared = Cleared(Declared(SLOT, Orders(*columns), orders, ()), (), agreed, stage, none)
    records = steps.trade_records(SLOT, agreed, [orders[1].hash] * ahead, [orders[0].hash] * ahead)
    trees = (Tree.of([each.hash for each in orders]), Tree.of([hash_struct(record) for record in records]))
    readings = tuple(
        sign(client.domain, Reading(meter.address, SLOT, counted * member, counted * (1 - member), 1), meter)
        for member, (meter, counted) in enumerate(zip(METERS, [sales * 1000] * 2, strict=True))
    )
    net = np.array([-1000 * sales, 1000 * sales], dtype=np.int64)
    delivered = Delivered(Committed(cleared, records, *trees), net, readings)
    account = Account(trades, np.zeros(sales, dtype=np.int64), wh, net, net * 0, trades.credit(2))
    return steps.post(Settled(delivered, (), account), mandates)
