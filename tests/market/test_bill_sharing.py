"""One bill, shared over a window: the reference case, the exact balance, what may go wrong."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pool_cases import case

from commonwatt.errors import MarketError
from commonwatt.market.bill_sharing import alone, share_bill
from commonwatt.units import MAX_ORDER_WH, MAX_PRICE, payment


def array(values):
    return np.array(values, dtype=np.int64)


def test_reference_case():
    given, expected = case("bill-sharing")
    of = tuple(array(given[name]) for name in ("net_wh", "retail", "feed_in"))
    shared = share_bill(*of)
    assert (shared.buy, shared.sell) == (expected["buy"], expected["sell"])
    assert shared.bills.tolist() == expected["bills"]
    assert alone(*of).tolist() == expected["alone"]


@st.composite
def windows(draw, wh=50_000, lowest=-100_000):
    """(net, retail, feed_in); prices may be negative."""
    shape = draw(array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=8))
    net = draw(arrays(np.int64, shape, elements=st.integers(-wh, wh)))
    price = arrays(np.int64, shape[1], elements=st.integers(lowest, 400_000))
    return net, draw(price), draw(price)


def community_bill(net, retail, feed_in):
    slots = zip(net.sum(axis=0).tolist(), retail.tolist(), feed_in.tolist(), strict=True)
    bills = [(wh, retail if wh > 0 else feed_in) for wh, retail, feed_in in slots]
    return sum(payment(wh, price) if price >= 0 else -payment(wh, -price) for wh, price in bills)


@given(windows())
def test_members_bills_are_the_communitys_bill_to_the_micro_unit(window):
    shared = share_bill(*window)
    assert int(shared.bills.sum()) == community_bill(*window)


@given(windows())
def test_every_bill_is_energy_at_the_windows_prices(window):
    net = window[0]
    shared = share_bill(*window)
    bought, sold = np.maximum(net, 0).sum(axis=1).tolist(), np.maximum(-net, 0).sum(axis=1).tolist()
    for bill, plus, minus in zip(shared.bills.tolist(), bought, sold, strict=True):
        assert abs(bill - (plus * shared.buy - minus * shared.sell) / 1000) < 2


@given(windows(lowest=0), st.randoms(use_true_random=False))
def test_the_order_of_members_changes_ties_only(window, chance):
    net, retail, feed_in = window
    order = list(range(len(net)))
    chance.shuffle(order)
    first, second = share_bill(net, retail, feed_in), share_bill(net[order], retail, feed_in)
    assert (first.buy, first.sell) == (second.buy, second.sell)
    assert np.abs(second.bills - first.bills[order]).max(initial=0) <= 2


@given(windows(lowest=0))
def test_the_community_never_pays_more_than_its_members_alone(window):
    net, retail, feed_in = window
    dear, cheap = np.maximum(retail, feed_in), np.minimum(retail, feed_in)
    # Every payment of a member alone is rounded, so a slot and member may differ by one unit.
    assert share_bill(net, dear, cheap).bills.sum() <= alone(net, dear, cheap).sum() + net.size


def test_alone_is_every_slot_by_itself():
    found = alone(array([[1500, -700], [1, -1]]), array([333_333, 0]), array([0, 77_777]))
    assert found.tolist() == [499_999 - 54_443, 333 - 77]


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (2, 2)])
def test_nothing_used_costs_nothing(shape):
    prices = np.full(shape[1], 200_000)
    shared = share_bill(np.zeros(shape, dtype=np.int64), prices, prices)
    assert shared.bills.tolist() == [0] * shape[0]
    assert (shared.buy, shared.sell) == (Fraction(0), Fraction(0))


def test_the_largest_allowed():
    shared = share_bill(array([[MAX_ORDER_WH], [MAX_ORDER_WH]]), array([MAX_PRICE]), array([0]))
    assert shared.bills.tolist() == [10**18, 10**18]
    with pytest.raises(MarketError, match="beyond 2"):
        share_bill(np.full((10, 1), MAX_ORDER_WH), array([MAX_PRICE]), array([0]))
    with pytest.raises(MarketError, match="beyond 2"):
        alone(np.full((1, 10), MAX_ORDER_WH), np.full(10, MAX_PRICE), np.zeros(10, dtype=np.int64))


@pytest.mark.parametrize(
    ("net", "retail", "message"),
    [
        ([[1, 2]], [1], "shape"),
        ([1, 2], [1, 2], "shape"),
        ([[MAX_ORDER_WH + 1]], [1], "Wh for a member"),
        ([[-MAX_ORDER_WH - 1]], [1], "Wh for a member"),
        ([[1]], [MAX_PRICE + 1], "price beyond"),
    ],
)
def test_what_cannot_be_shared_is_refused(net, retail, message):
    with pytest.raises(MarketError, match=message):
        share_bill(array(net), array(retail), array([0] * len(retail)))
