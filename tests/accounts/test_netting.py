"""Trades to balances, for any trades: what was delivered, what can be paid, what the statements say."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.accounts.charges import charges
from commonwatt.accounts.netting import affordable, delivered
from commonwatt.accounts.statements import (
    Booked,
    by_member,
    empty_place,
    lines_of,
    place_of,
    statement_of,
    statement_tree,
)  # fmt: skip
from commonwatt.community.tariff import Flat, Levy, SlotPrices, Tariff, slot_prices
from commonwatt.errors import DataError
from commonwatt.market.agreements import joined
from commonwatt.proof import hash_struct, root_of, root_of_empty
from commonwatt.records import ZERO_HASH, Trade, Trades
from commonwatt.records.deltas import DELTA_MAX, DELTA_MIN
from commonwatt.units import MAX_PRICE, IntArray, payment, round_half_up

MEMBERS = 5
prices = st.integers(0, 400_000)
dear_prices = prices | st.integers(0, MAX_PRICE)


@st.composite
def trade_lists(draw: st.DrawFn, largest: int = 20_000) -> Trades:
    pairs = st.tuples(st.integers(0, MEMBERS - 1), st.integers(0, MEMBERS - 1)).filter(lambda ends: ends[0] != ends[1])
    rows = draw(st.lists(st.tuples(pairs, st.integers(1, largest), prices), max_size=15))
    columns = [(*ends, wh, price) for ends, wh, price in rows]
    return Trades(*np.array(columns, dtype=np.int64).reshape(-1, 4).T)


def of(trades: Trades, wh: IntArray) -> Trades:
    return Trades(trades.buyer, trades.seller, wh, trades.price)


def per_member(ends: IntArray, wh: IntArray) -> IntArray:
    return np.bincount(ends, weights=wh, minlength=MEMBERS).astype(np.int64)


nets = st.lists(st.integers(-30_000, 30_000), min_size=MEMBERS, max_size=MEMBERS).map(np.array)
moneys = st.lists(st.integers(-5, 3_000_000), min_size=MEMBERS, max_size=MEMBERS).map(np.array)


@given(trade_lists(), nets)
def test_no_buyer_settles_more_than_it_drew_and_no_seller_more_than_it_fed_in(trades: Trades, net: IntArray) -> None:
    wh = delivered(trades, net)
    assert ((wh >= 0) & (wh <= trades.wh)).all()
    assert (per_member(trades.buyer, wh) <= np.maximum(net, 0)).all()
    assert (per_member(trades.seller, wh) <= np.maximum(-net, 0)).all()


@given(trade_lists())
def test_what_was_delivered_as_agreed_settles_whole(trades: Trades) -> None:
    bought, sold = per_member(trades.buyer, trades.wh), per_member(trades.seller, trades.wh)
    one_sided = (bought == 0) | (sold == 0)
    if one_sided.all():
        assert (delivered(trades, bought - sold) == trades.wh).all()


@given(trade_lists(), nets)
def test_earlier_trades_are_served_first(trades: Trades, net: IntArray) -> None:
    """A seller that delivered in part serves its first trades whole, then one in part, then none."""
    buyers_drew = np.where(net < 0, net, 10**6)
    wh = delivered(trades, buyers_drew)
    for seller in range(MEMBERS):
        mine = [(w, t) for w, t, s in zip(wh, trades.wh, trades.seller, strict=True) if s == seller]
        cut = [place for place, (settled, agreed) in enumerate(mine) if settled < agreed]
        if cut and buyers_drew[seller] < 0 and not (np.isin(trades.buyer, np.flatnonzero(net < 0))).any():
            assert all(settled == 0 for settled, _ in mine[cut[0] + 1 :])


@given(trade_lists(), moneys)
def test_everybody_can_pay_what_settles(trades: Trades, free: IntArray) -> None:
    wh = affordable(trades, free)
    credit = of(trades, wh).credit(MEMBERS)
    assert ((wh >= 0) & (wh <= trades.wh)).all()
    assert (credit >= -np.maximum(free, 0)).all()
    assert credit.sum() == 0


@given(trade_lists(), moneys)
def test_who_can_pay_loses_nothing_unless_its_partner_cannot(trades: Trades, free: IntArray) -> None:
    credit = trades.credit(MEMBERS)
    if (credit >= -np.maximum(free, 0)).all():
        assert (affordable(trades, free) == trades.wh).all()
    rich = affordable(trades, np.full(MEMBERS, 10**12))
    assert (rich == trades.wh).all()


@given(trade_lists(largest=10**9), trade_lists(largest=10**9), moneys)
def test_what_has_been_cut_is_not_cut_again_for_later_trades(first: Trades, later: Trades, free: IntArray) -> None:
    """Shares of plants rest on it: what an owner lost before it took of its share, it loses once."""
    wh = affordable(first, free)
    assert (affordable(joined(of(first, wh), later), free)[: len(first)] == wh).all()


@given(trade_lists(largest=10**9))
def test_no_balance_changes_by_more_than_the_contract_can_read(trades: Trades) -> None:
    wh = affordable(trades, np.full(MEMBERS, 2**62))
    credit = of(trades, wh).credit(MEMBERS)
    assert credit.min(initial=0) >= DELTA_MIN
    assert credit.max(initial=0) <= DELTA_MAX


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(2, 4), st.integers(1, 10**6), dear_prices), max_size=12),
    st.lists(st.integers(0, 10**10) | st.integers(0, 10**4), min_size=MEMBERS, max_size=MEMBERS),
)
def test_who_pays_for_a_later_trade_was_not_cut_and_who_is_cut_for_a_full_balance_has_much(
    rows: list[tuple[int, int, int, int]], free: list[int]
) -> None:
    """What the contract takes for proof that a trade was not cut for want of money (`challengeCut`)."""
    trades = Trades(*np.array(rows, dtype=np.int64).reshape(-1, 4).T)
    settled = affordable(trades, np.array(free, dtype=np.int64))
    credit = Trades(trades.buyer, trades.seller, settled, trades.price).credit(MEMBERS)
    for number, (buyer, seller, wh, _) in enumerate(rows):
        later = [
            payment(int(settled[other]), price)
            for other, (its, _, _, price) in enumerate(rows)
            if other > number and its == buyer
        ]
        if any(later) and credit[seller] < 2**30:
            assert settled[number] == wh


def test_a_seller_may_spend_in_a_slot_what_it_earns_in_it() -> None:
    trades = Trades(*np.array([[0, 1, 1000, 200_000], [1, 2, 1000, 150_000]]).T)
    assert affordable(trades, np.array([200_000, 0, 0])).tolist() == [1000, 1000]
    # Without the buyer's money the chain falls: the seller has earned nothing to spend.
    assert affordable(trades, np.array([0, 0, 0])).tolist() == [0, 0]


def test_the_last_purchase_is_cut_first_and_only_as_far_as_needed() -> None:
    trades = Trades(*np.array([[0, 1, 1000, 200_000], [0, 2, 1000, 100_000]]).T)
    assert affordable(trades, np.array([250_000, 0, 0])).tolist() == [1000, 500]
    assert affordable(trades, np.array([100_000, 0, 0])).tolist() == [500, 0]


@pytest.mark.parametrize("wh", [1073, 1074, 1100, 1500, 2147, 5000, 10**6])
def test_what_is_beyond_a_delta_is_cut_once(wh: int) -> None:
    """Both ends of the only trade are beyond the range; 2 units each are what 1 Wh costs."""
    trades = Trades(*np.array([[0, 1, wh, 2_000_000_000]]).T)
    assert affordable(trades, np.full(2, 2**62)).tolist() == [min(wh, 1073)]


def test_a_seller_of_many_is_cut_no_further_than_needed() -> None:
    trades = Trades(*np.array([[0, 3, 1000, 1_000_000_000], [1, 3, 1000, 900_000_000], [2, 3, 1000, 800_000_000]]).T)
    assert affordable(trades, np.array([400_000_000, 2**62, 2**62, 0])).tolist() == [400, 1000, 1000]
    assert affordable(trades, np.full(4, 2**62)).tolist() == [1000, 1000, 309]


# Amounts that fill the range


@given(st.integers(0, 10**11), st.integers(0, 10**11), st.integers(0, 10**9), st.fractions(0, 1, max_denominator=10**6))
def test_a_month_of_a_plant_in_a_currency_of_small_unit_is_exact(
    retail: int, levy: int, wh: int, vat: Fraction
) -> None:
    """A price of a hundred thousand currency units a kWh and a thousand MWh in every slot, or any less."""
    slots = 5
    tariff = Tariff(Flat(retail), Flat(0), levy, (Levy("levy", levy),), "VAT", vat)
    level = np.full(slots, retail)
    grid = np.full((1, slots), wh)
    found = charges(
        tariff, SlotPrices(level, level, level, level, level), grid, np.zeros_like(grid), np.zeros_like(grid)
    )
    energy, fee = slots * payment(wh, retail), payment(slots * wh, levy)
    assert [int(found.energy[0]), int(found.fees["levy"][0])] == [energy, fee]
    assert int(found.vat[0]) == round_half_up(vat * (energy + fee))
    assert int(found.total[0]) == energy + fee + int(found.vat[0])


def test_amounts_beyond_what_is_counted_are_refused() -> None:
    level = np.full(20, 10**12)
    grid = np.full((1, 20), 10**9)
    with pytest.raises(DataError, match="An amount of money is beyond 9223372036854775807 of what it is counted in"):
        charges(Tariff(Flat(10**12), Flat(0)), SlotPrices(*[level] * 5), grid, 0 * grid, 0 * grid)


@pytest.mark.parametrize(
    "tariff",
    [
        Tariff(Flat(0), Flat(0), network_fee=10**12),
        Tariff(Flat(0), Flat(0), levies=(Levy("duty", 10**12, grid=False),)),
        Tariff(Flat(0), Flat(0), network_fee=6 * 10**11, vat=Fraction(99, 100)),
    ],
    ids=["network fee", "levy", "VAT"],
)
def test_fees_on_the_energy_of_many_days_never_wrap(tariff: Tariff) -> None:
    free = SlotPrices(*[np.zeros(15, dtype=np.int64)] * 5)
    taken = np.full((1, 15), 10**9)
    with pytest.raises(DataError, match="An amount of money is beyond"):
        str(charges(tariff, free, 0 * taken, taken, 0 * taken).total)
    some = charges(tariff, free, 0 * taken, taken // 10, 0 * taken)
    assert some.total[0] > 10**17


@given(trade_lists(), st.data())
def test_lines_are_in_order_and_their_sums_end_in_the_balance(trades: Trades, data: st.DataObject) -> None:
    settled = np.array([data.draw(st.integers(0, wh)) for wh in trades.wh.tolist()], dtype=np.int64)
    booked = [
        Booked(
            Trade(900, 0, number, buyer, seller, wh, price, bytes([1]) * 32, bytes([2]) * 32),
            bytes([number + 1]) * 32,
            part,
        )
        for number, (buyer, seller, wh, price, part) in enumerate(
            zip(*(c.tolist() for c in (trades.buyer, trades.seller, trades.wh, trades.price, settled)), strict=True)
        )
    ]
    final, statements = of(trades, settled), []
    for member, own in enumerate(by_member(booked, MEMBERS)):
        places = [place_of(each.trade, member) for each in own]
        assert places == sorted(set(places))
        assert len(own) == [*trades.buyer.tolist(), *trades.seller.tolist()].count(member)
        lines = lines_of(member, own)
        assert [line.trade for line in lines] == [each.hash for each in own]
        last = statement_of(lines, bytes([3]) * 32, ZERO_HASH)
        assert last.bought - last.sold == final.position(MEMBERS)[member]
        assert last.money == final.credit(MEMBERS)[member]
        assert (last.lines == ZERO_HASH) == (not own)
        statements.append(last)
    tree = statement_tree(statements)
    for member, last in enumerate(statements):
        assert root_of(hash_struct(last), member, tree.proof(member)) == tree.root
    for stranger in (MEMBERS, MEMBERS + 1, 10**6):
        place = empty_place(stranger, tree.depth)
        assert place >= MEMBERS
        assert root_of_empty(place, tree.proof(place)) == tree.root


flows = st.lists(st.integers(-20_000, 20_000), min_size=6, max_size=6)


@given(st.lists(flows, min_size=2, max_size=2), prices, prices, st.integers(0, 50_000), st.integers(0, 99))
def test_charges_are_the_sum_of_their_lines_and_of_each_slot(
    grid: list[list[int]], retail: int, feed_in: int, fee: int, vat: int
) -> None:
    tariff = Tariff(Flat(retail), Flat(feed_in), fee, (Levy("levy", 20_500),), "VAT", Fraction(vat, 100))
    prices = slot_prices(tariff, np.full(6, retail), np.full(6, feed_in))
    net, nothing = np.array(grid), np.zeros((2, 6), dtype=np.int64)
    found = charges(tariff, prices, net, nothing, nothing)
    for member, row in enumerate(grid):
        energy = sum(payment(wh, retail) for wh in row if wh > 0)
        levy = sum(wh for wh in row if wh > 0) * 20_500 // 1000
        tax = Fraction(vat, 100) * (energy + levy)
        assert found.energy[member] == energy
        assert found.feed_in[member] == sum(payment(wh, feed_in) for wh in row if wh < 0)
        assert abs(found.vat[member] - tax) <= Fraction(1, 2)
        assert found.total[member] == energy + found.feed_in[member] + levy + found.vat[member]
        assert found.fees["network fee"][member] == found.neighbours[member] == 0
