"""The pool: order by nonce and tip, replacement, limits, what gives way."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from network_cases import ALICE, BOB, ETHER, GENESIS, transfer

from commonwatt.errors import LedgerError
from commonwatt.ledger.chain.evm import decode
from commonwatt.ledger.network.pool import Limits, Pool
from commonwatt.proof import Key

KEYS = [Key.derive(b"pool tests", str(number)) for number in range(4)]


class Case:
    """A pool over accounts that hold an ether each."""

    def __init__(self, **limits: int) -> None:
        self.pool = Pool(GENESIS.chain_id, GENESIS.gas_limit, Limits(**limits))
        self.nonces: dict[bytes, int] = defaultdict(int)
        self.balance = ETHER
        self.now = 0

    def account(self, address: bytes) -> tuple[int, int]:
        return self.nonces[address], self.balance

    def add(self, raw: bytes, base_fee: int = 7) -> bytes:
        queued = decode(raw)
        self.pool.add(queued, self.account, base_fee, self.now)
        return queued.hash

    def best(self, base_fee: int = 7) -> list[tuple[bytes, int]]:
        found = self.pool.best(base_fee, set())
        return [(queued.sender, queued.transaction.nonce) for queued in found]


def test_a_gap_waits_until_it_is_filled() -> None:
    case = Case()
    case.add(transfer(0))
    case.add(transfer(2))
    assert case.best() == [(ALICE.address, 0)]
    assert case.pool.next_nonce(ALICE.address, 0) == 1
    case.add(transfer(1))
    assert case.best() == [(ALICE.address, nonce) for nonce in (0, 1, 2)]
    assert case.pool.next_nonce(ALICE.address, 0) == 3


def test_the_highest_tip_goes_first_then_the_first_that_came() -> None:
    case = Case()
    for key, tip in ((KEYS[0], 5), (KEYS[1], 9), (KEYS[2], 5), (KEYS[3], 0)):
        case.add(transfer(0, key=key, tip=tip))
    case.add(transfer(1, key=KEYS[3], tip=100))  # behind its own first one
    order = [(KEYS[1], 0), (KEYS[0], 0), (KEYS[2], 0), (KEYS[3], 0), (KEYS[3], 1)]
    assert case.best() == [(key.address, nonce) for key, nonce in order]


def test_a_tip_counts_as_far_as_the_highest_fee_lets_it() -> None:
    case = Case()
    case.add(transfer(0, key=KEYS[0], tip=50, max_fee=100))
    case.add(transfer(0, key=KEYS[1], tip=40, max_fee=1000))
    assert [sender for sender, _ in case.best(base_fee=7)] == [KEYS[0].address, KEYS[1].address]
    assert [sender for sender, _ in case.best(base_fee=90)] == [KEYS[1].address, KEYS[0].address]
    assert [sender for sender, _ in case.best(base_fee=101)] == [KEYS[1].address]


def test_a_sender_that_is_passed_over_is_not_offered_again() -> None:
    case = Case()
    for nonce in range(3):
        case.add(transfer(nonce))
    case.add(transfer(0, key=BOB))
    passed: set[bytes] = set()
    offered = []
    for queued in case.pool.best(7, passed):
        offered.append(queued.sender)
        passed.add(queued.sender)
    assert offered == [ALICE.address, BOB.address]


@pytest.mark.parametrize(
    ("raw", "cause"),
    [
        (transfer(3), "nonce is 3, the account's next one is 5"),
        (transfer(5 + 64), "nonce is 69, too far from the account's next one, 5"),
        (transfer(5, chain_id=1), "signed for chain 1, this is chain 2024"),
        (transfer(5, gas=20_999), "below the 21000"),
        (transfer(5, gas=10_000_001), "above a block's 10000000"),
        (transfer(5, max_fee=6), "below the base fee of 7"),
        (transfer(5, max_fee=9, tip=10), "tip is above"),
        (transfer(5, wei=ETHER), "the account holds 1000000000000000000 wei"),
        (transfer(5, gas=9_000_000, data=bytes(131_072)), "more than 131072"),
    ],
)
def test_what_cannot_wait_is_refused_with_its_cause(raw: bytes, cause: str) -> None:
    case = Case()
    case.nonces[ALICE.address] = 5
    with pytest.raises(LedgerError, match=f"is refused: .*{cause}"):
        case.add(raw)
    assert len(case.pool) == case.pool.size == 0


def test_waiting_transactions_share_the_balance() -> None:
    case = Case()
    case.add(transfer(0, wei=ETHER // 2))
    with pytest.raises(LedgerError, match="its queued transactions may cost"):
        case.add(transfer(1, wei=ETHER // 2))
    case.add(transfer(0, wei=0, max_fee=2 * 10**9))  # the replacement frees what it replaces
    case.add(transfer(1, wei=ETHER // 2))


def test_a_replacement_offers_a_tenth_more() -> None:
    case = Case()
    first = case.add(transfer(0, max_fee=100, tip=10))
    for fee, tip, least in ((109, 11, "highest fee must be at least 110"), (110, 10, "tip must be at least 11")):
        with pytest.raises(LedgerError, match=f"another one with nonce 0 waits, and to replace it the {least} wei"):
            case.add(transfer(0, wei=2, max_fee=fee, tip=tip))
    with pytest.raises(LedgerError, match="it waits already"):
        case.add(transfer(0, max_fee=100, tip=10))
    second = case.add(transfer(0, max_fee=110, tip=11))
    assert first not in case.pool
    assert second in case.pool
    assert len(case.pool) == 1


def test_one_sender_has_its_limit() -> None:
    case = Case(per_sender=3)
    for nonce in range(3):
        case.add(transfer(nonce))
    case.nonces[ALICE.address] = 1
    with pytest.raises(LedgerError, match="3 transactions of this account wait already"):
        case.add(transfer(3))
    case.add(transfer(2, max_fee=2 * 10**9))


def test_when_it_is_full_the_lowest_offer_gives_way() -> None:
    case = Case(count=3)
    offers = [case.add(transfer(0, key=key, tip=tip)) for key, tip in zip(KEYS[:3], (5, 3, 4), strict=True)]
    with pytest.raises(LedgerError, match="the pool is full and all that waits there offers as much"):
        case.add(transfer(0, key=KEYS[3], tip=3))  # no more than what waits: the last that came gives way
    case.add(transfer(0, key=KEYS[3], tip=4))
    assert [hash_ in case.pool for hash_ in offers] == [True, False, True]


def test_what_waits_behind_a_gap_gives_way_before_what_does_not() -> None:
    case = Case(count=2)
    behind = case.add(transfer(1, key=KEYS[0], tip=1000))
    case.add(transfer(0, key=KEYS[1]))
    case.add(transfer(0, key=KEYS[2]))
    assert behind not in case.pool


def test_a_refused_replacement_leaves_what_it_would_have_replaced() -> None:
    case = Case(size=2 * len(transfer(0)))
    case.add(transfer(0, key=KEYS[0], tip=10))
    old = case.add(transfer(0, key=KEYS[1]))
    with pytest.raises(LedgerError, match="the pool is full"):
        case.add(transfer(0, key=KEYS[1], max_fee=2 * 10**9, data=bytes(500), gas=50_000))
    assert old in case.pool
    assert len(case.pool) == 2


def test_a_block_takes_its_transactions_away() -> None:
    case = Case()
    hashes = [case.add(transfer(nonce)) for nonce in range(3)]
    case.nonces[ALICE.address] = 2
    case.pool.settle([ALICE.address, BOB.address], case.account)
    assert [hash_ in case.pool for hash_ in hashes] == [False, False, True]


def test_what_waits_too_long_is_forgotten() -> None:
    case = Case(lifetime=100)
    case.add(transfer(0))
    case.now = 60
    case.add(transfer(1))
    case.pool.expire(100)
    assert len(case.pool) == 2
    case.pool.expire(101)
    assert [queued.transaction.nonce for queued in case.pool.waiting()] == [1]


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 6), st.integers(0, 5), st.integers(0, 200), st.booleans()),
        max_size=40,
    )
)
def test_limits_hold_and_the_order_can_be_executed(arrivals: list[tuple[int, int, int, int, bool]]) -> None:
    cases = [Case(count=6, size=1500, per_sender=4) for _ in range(2)]
    for who, nonce, tip, length, mined in arrivals:
        raw = transfer(nonce, key=KEYS[who], tip=tip, data=bytes(length), gas=100_000)
        for case in cases:
            with suppress(LedgerError):
                case.add(raw)
            if mined:
                case.nonces[KEYS[who].address] = case.pool.next_nonce(KEYS[who].address, case.nonces[KEYS[who].address])
                case.pool.settle([KEYS[who].address], case.account)
    one, other = cases
    assert [queued.hash for queued in one.pool.waiting()] == [queued.hash for queued in other.pool.waiting()]
    waiting = one.pool.waiting()
    assert len(waiting) == len(one.pool) <= 6
    assert sum(len(queued.raw) for queued in waiting) == one.pool.size <= 1500
    expected = dict(one.nonces)
    for sender, nonce in one.best():
        assert nonce == expected.get(sender, 0)
        expected[sender] = nonce + 1
    for key in KEYS:
        assert one.pool.next_nonce(key.address, one.nonces[key.address]) == expected.get(key.address, 0)
