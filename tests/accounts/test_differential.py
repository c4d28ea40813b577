"""The same random batches through the exchange's arithmetic and the contract: the same balances, to the unit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from profiles import dear

from commonwatt.accounts import netting
from commonwatt.errors import Reverted
from commonwatt.ledger.chain.embedded import EmbeddedChain, Genesis
from commonwatt.ledger.client.quorum import gate_of
from commonwatt.ledger.client.settlement import Enrolment, LedgerClient, Terms
from commonwatt.proof import Key, keccak, sign
from commonwatt.records import Post, Trades
from commonwatt.records.deltas import pack_deltas
from commonwatt.units import IntArray

OPERATOR = Key.derive(b"differential", "operator")
MEMBERS, SLOTS, SECONDS = 7, 96, 900
ORDERS, TRADES = [keccak(b"orders")] * SLOTS, [keccak(b"trades")] * SLOTS


class Both:
    """Seven members' balances, in Python and on the chain."""

    def __init__(self) -> None:
        self.chain = EmbeddedChain(None, Genesis(1, {OPERATOR.address: 10**24}))
        self.client = LedgerClient.deploy(
            self.chain, OPERATOR, operators=[OPERATOR.address], threshold=1, config=bytes(32),
            members=[Enrolment(keccak(bytes([n]))[:20], role=2) for n in range(MEMBERS)],
            terms=Terms(lane_unit=1, slot_seconds=SECONDS, window=0, grace=10**6), token=("Both", "BTH"), at=1,
        )  # fmt: skip
        self.balances: IntArray = np.array([10 ** (n + 2) for n in range(MEMBERS)], dtype=np.int64)
        self.client.deposit_for(range(MEMBERS), self.balances.tolist(), at=2)
        self.slot = SECONDS
        self._commit()

    def _commit(self) -> None:
        # The last slot's post was made after the next one had begun.
        self.slot = max(self.slot, (self.chain.head.timestamp // SECONDS + 1) * SECONDS)
        gate = sign(self.client.domain, gate_of(self.slot, ORDERS, TRADES), OPERATOR)
        self.client.commit(self.slot, ORDERS, TRADES, [gate.signature], at=self.chain.head.timestamp + 1)
        self.last = self.slot + SLOTS * SECONDS

    def settle(self, deltas: IntArray) -> None:
        """One batch. Raises Reverted when the contract refuses it."""
        if self.slot == self.last:
            self._commit()
        packed = pack_deltas(deltas)
        post = Post(self.slot, 0, ORDERS[0], bytes(32), keccak(packed))
        self.slot += SECONDS
        signature = sign(self.client.domain, post, OPERATOR).signature
        at = max(self.slot, self.chain.head.timestamp + 1)
        self.client.post(post, TRADES[0], packed, [signature], at=at)
        self.client.finalise(post, packed, at=at + 1)
        self.balances = self.balances + deltas


@pytest.fixture(scope="module")
def both() -> Any:
    return Both()


trade = st.tuples(
    st.integers(0, MEMBERS - 1), st.integers(0, MEMBERS - 1), st.integers(0, 10**6), st.integers(0, 10**6)
)


@dear(5)
@given(st.lists(trade.filter(lambda row: row[0] != row[1]), min_size=1, max_size=30))
def test_balances_agree_after_any_batch(both: Both, rows: list[tuple[int, int, int, int]]) -> None:
    trades = Trades(*(np.array(column, dtype=np.int64) for column in zip(*rows, strict=True)))
    free = both.client.free_balances()
    settled = netting.affordable(trades, free)
    credit = Trades(trades.buyer, trades.seller, settled, trades.price).credit(MEMBERS)
    both.settle(credit)
    assert both.client.balances().tolist() == both.balances.tolist()
    assert both.balances.min() >= 0


@dear(5)
@given(st.integers(0, MEMBERS - 1), st.integers(1, 10**6))
def test_what_a_member_cannot_pay_is_refused_by_both(both: Both, member: int, beyond: int) -> None:
    deltas = np.zeros(MEMBERS, dtype=np.int64)
    deltas[member] = -(both.balances[member] + beyond)
    deltas[member - 1] -= deltas[member]
    before = both.client.balances().tolist()
    if deltas[member] >= -(2**31):
        with pytest.raises(Reverted, match="InsufficientCollateral"):
            both.settle(deltas)
    assert both.client.balances().tolist() == before == both.balances.tolist()
