"""How much two communities trade, at what price, and whose it is: in integers, exactly, and nobody is worse off."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.errors import RecordError
from commonwatt.exchange import steps
from commonwatt.exchange.coupling import Side, couple, energy, prices, shares
from commonwatt.exchange.states import OF_COUPLING, Account, Committed, Delivered, Settled
from commonwatt.market import Frame, Limits
from commonwatt.proof import Tree
from commonwatt.records import Trades
from commonwatt.units import MAX_ORDER_WH, IntArray, payments

SLOT, FLOOR, CEILING, PRICE, GATEWAY = 7_200, 80_000, 320_000, 190_000, 0
MEMBERS = 5


def column(*values: int) -> IntArray:
    return np.array(values, dtype=np.int64)


def side(net: list[int], *, surplus: bool, price: int = PRICE, bond: int = 10**12, money: int = 10**12) -> Side:
    """A community whose members left all of `net` to the utility; member 0 is the gateway."""
    wh = column(0, *net)
    nothing = steps.missed(SLOT, len(wh))
    committed = Committed(nothing.cleared, (), Tree.of([]), Tree.of([]))
    delivered = Delivered(committed, wh, (None,) * len(wh))
    none = column()
    account = Account(Trades(none, none, none, none), none, none, wh * 0, wh, wh * 0)
    most = np.full(len(wh), MAX_ORDER_WH, dtype=np.int64)
    limits = Limits(wh * 0 + CEILING, wh * 0 + FLOOR, most, most)
    frame = Frame(column(SLOT), column(0), 1.0, len(wh), column(CEILING), column(FLOOR))
    return Side(Settled(delivered, (), account), GATEWAY, surplus, price, frame, limits, wh * 0 + money, bond)


def read(of: Side, wh: int) -> Delivered:
    """The gateway's reading of so much through the link; unsigned, since nothing here looks at signatures."""
    members = len(of.free)
    net = np.zeros(members, dtype=np.int64)
    net[GATEWAY] = wh * of.sign
    missing = frozenset(range(members)) - {GATEWAY}
    return Delivered(of.settled.delivered.committed, net, (None,) * members, missing)


def coupled(of: Side, wh: int) -> tuple[Settled, IntArray]:
    """The revision, where the gateway's reading before it never came."""
    earlier = replace(of.settled.delivered, missing=frozenset({GATEWAY}))
    of = replace(of, settled=replace(of.settled, delivered=earlier))
    shared = shares(of, read(of, wh))
    return couple(of, read(of, wh), shared), shared


energies = st.lists(st.integers(-60_000, 60_000), min_size=MEMBERS, max_size=MEMBERS)


@given(energies, energies, st.integers(FLOOR, CEILING), st.integers(0, 10**7), st.integers(0, 10**8))
def test_what_one_side_gives_the_other_takes_and_nobody_is_worse_off(
    here: list[int], there: list[int], price: int, money: int, bond: int
) -> None:
    a = side(here, surplus=True, price=price, money=money, bond=bond)
    b = side(there, surplus=False, price=price, money=money, bond=bond)
    wh = energy(a, b)
    assert 0 <= wh <= max(-sum(here), 0)
    assert wh <= max(sum(there), 0)
    for each, net in ((a, here), (b, there)) if wh else ():
        settled, shared = coupled(each, wh)
        moved = settled.account.credit
        assert int(shared.sum()) == wh
        assert int(moved.sum()) == 0
        assert int(moved[GATEWAY]) * each.sign <= 0
        assert abs(int(moved[GATEWAY])) <= bond // 2
        assert (moved >= -each.free).all()
        # Whoever has no part in it moves nothing; the others have a share of what they left to the utility.
        own = column(0, *net) * -each.sign
        assert (shared <= np.maximum(own, 0)).all()
        assert (moved[1:][shared[1:] == 0] == 0).all()
        if each.surplus:
            assert (moved[1:] >= payments(shared, FLOOR)[1:]).all()
        else:
            assert (-moved[1:] <= payments(shared, CEILING)[1:]).all()
        assert set(settled.account.stage.tolist()) == {OF_COUPLING}


@given(st.lists(st.integers(0, 60_000), min_size=2, max_size=40), st.integers(1, 2_000_000))
def test_shares_are_in_proportion_to_a_watt_hour(supply: list[int], wanted: int) -> None:
    a = side([-each for each in supply], surplus=True)
    wh = min(wanted, a.most)
    if wh:
        _, shared = coupled(a, wh)
        for share, own in zip(shared[1:].tolist(), supply, strict=True):
            assert abs(share * sum(supply) - own * wh) < sum(supply)


@given(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6), st.integers(0, 10**6))
def test_a_price_is_between_both_utilities_and_leaves_the_fee(feed_in: int, retail: int, fee: int) -> None:
    agreed = prices(feed_in, retail, fee)
    if agreed is None:
        assert retail - fee <= feed_in or feed_in < 0
        return
    assert agreed.b - agreed.a == fee
    assert feed_in <= agreed.a
    assert agreed.b <= retail
    assert 0 <= (retail - agreed.b) - (agreed.a - feed_in) <= 1


def test_who_does_not_want_the_price_has_no_part_in_it() -> None:
    a = side([-1_000, -1_000], surplus=True)
    dear = replace(a, limits=replace(a.limits, min_sell=column(FLOOR, PRICE + 1, PRICE)))
    assert dear.quantities.tolist() == [0, 0, 1_000]
    b = side([1_000, 1_000], surplus=False)
    cheap = replace(b, limits=replace(b.limits, max_buy=column(CEILING, PRICE, PRICE - 1)))
    assert cheap.quantities.tolist() == [0, 1_000, 0]
    unwilling = replace(a, limits=replace(a.limits, max_buy=column(PRICE - 1, CEILING, CEILING)))
    assert unwilling.most == 0
    unwilling = replace(b, limits=replace(b.limits, min_sell=column(PRICE + 1, FLOOR, FLOOR)))
    assert unwilling.most == 0


def test_what_is_used_behind_the_link_is_not_sold_over_it() -> None:
    """Where neighbours do not trade all, the link carries the difference."""
    assert side([-1_000, 400], surplus=True).most == 600
    assert side([-1_000, 400], surplus=False).most == 0


def test_a_buyer_whose_money_ran_out_buys_nothing_more() -> None:
    b = side([500, 500, -200], surplus=False)
    trade = Trades(column(1), column(3), column(200), column(PRICE))
    account = replace(
        b.settled.account, trades=trade, settled=column(150), stage=column(0), local=column(0, 150, 0, -150)
    )
    b = replace(b, settled=replace(b.settled, account=account))
    assert b.quantities.tolist() == [0, 0, 500, 0]


def test_without_a_bond_nothing_is_traded() -> None:
    assert side([-1_000], surplus=True, bond=0).most == 0


def test_only_the_gateways_reading_makes_a_trade() -> None:
    a = side([-1_000, -1_000], surplus=True)
    another = replace(read(a, 500), missing=frozenset({GATEWAY, 2}))
    with pytest.raises(RecordError, match="the gateway's"):
        shares(a, another)
