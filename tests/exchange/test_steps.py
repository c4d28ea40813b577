"""The pure steps: what the exchange believes and refuses, and what holds for any forecast."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from exchange_cases import written
from hypothesis import given
from hypothesis import strategies as st
from order_cases import AGENTS, COMMUNITY, DOMAIN, FREE, HOUR, MANDATES, METERS, NOW, SLOT, WALLETS, order

from commonwatt.accounts import netting
from commonwatt.accounts.charges import charges
from commonwatt.accounts.plants import Plant
from commonwatt.agents.planning import Outlook, declare
from commonwatt.community.calendar import Slots
from commonwatt.community.model import Battery, Community
from commonwatt.community.tariff import Flat, Tariff, slot_prices
from commonwatt.devices import Fleet
from commonwatt.errors import CommonwattError, RecordError, SequenceError, SignatureError
from commonwatt.exchange import steps
from commonwatt.exchange.admission import admit
from commonwatt.exchange.checking import load
from commonwatt.exchange.parties import filed
from commonwatt.exchange.states import Accepted, Cleared, Committed, Declared, Delivered
from commonwatt.forecast.expectation import Forecast
from commonwatt.market import Frame, Orders, find
from commonwatt.market.interface import Limits
from commonwatt.market.stage import ActiveStage
from commonwatt.meter import SimulatedMeter
from commonwatt.proof import Domain, Tree, sign
from commonwatt.records import BUY, SELL, Mandate, Reading, Signed, Trades
from commonwatt.simulation.homes import deliver, sign_orders
from commonwatt.simulation.keys import Keys, mandates, simulated_keys
from commonwatt.units import MAX_ORDER_WH, FloatArray, IntArray, payments

# Mandates


@pytest.fixture(scope="module")
def community(tmp_path_factory: pytest.TempPathFactory) -> Community:
    return load(written(tmp_path_factory.mktemp("community")))


@pytest.fixture(scope="module")
def keys(community: Community) -> Keys:
    return simulated_keys(community)


@pytest.fixture(scope="module")
def papers(community: Community, keys: Keys) -> tuple[Signed[Mandate], ...]:
    bounds = Limits(*(np.full(5, value) for value in (300_000, 80_000, 50_000, 50_000)))
    return mandates(community, keys, bounds, DOMAIN, NOW, NOW + 10**6)


def test_mandates_are_filed_by_the_members_account(
    papers: tuple[Signed[Mandate], ...], community: Community, keys: Keys
) -> None:
    found = filed(papers, community, DOMAIN)
    assert list(found) == [key.address for key in keys.members]
    assert [index for index, _ in found.values()] == [0, 1, 2, 3, 4]
    assert [mandate for _, mandate in found.values()] == [paper.record for paper in papers]


def test_a_forged_mandate_is_not_filed(papers: tuple[Signed[Mandate], ...], community: Community, keys: Keys) -> None:
    paper = papers[2].record
    for bad, reason in (
        (sign(DOMAIN, paper, keys.agents[2]), "is signed by"),
        (sign(DOMAIN, paper, keys.operator), "is signed by"),
        (sign(DOMAIN, paper, keys.members[1]), "is signed by"),
        (sign(Domain(8, DOMAIN.contract), paper, keys.members[2]), "is signed by"),
        (forged_mandate(papers[2], max_buy=paper.max_buy + 1), "is signed by"),
        (forged_mandate(papers[2], agent=keys.operator.address), "is signed by"),
        (forged_mandate(papers[2], text=paper.text + " "), "is signed by"),
        (replace(papers[2], signature=bytes(65)), "65 bytes r, s, v with v 27 or 28"),
    ):
        with pytest.raises(SignatureError, match=reason):
            filed([*papers[:2], bad, *papers[3:]], community, DOMAIN)


def forged_mandate(signed: Signed[Mandate], **changes: Any) -> Signed[Mandate]:
    return Signed(replace(signed.record, **changes), signed.hash, signed.signature)


def test_a_mandate_whose_words_are_not_its_numbers_is_not_filed_even_when_it_is_signed(
    papers: tuple[Signed[Mandate], ...], community: Community, keys: Keys
) -> None:
    paper = papers[2].record
    for changes in (
        {"max_buy": paper.max_buy + 1}, {"min_sell": 0}, {"buy_wh": 10**6}, {"sell_wh": 0}, {"text": ""},
        {"agent": keys.operator.address}, {"text": paper.text.replace("50 000", "500")},
    ):  # fmt: skip
        misled = sign(DOMAIN, replace(paper, **changes), keys.members[2])
        with pytest.raises(RecordError, match="words of the mandate do not say what its numbers say"):
            filed([*papers[:2], misled, *papers[3:]], community, DOMAIN)
    backwards = sign(DOMAIN, replace(paper, valid_until=paper.valid_from), keys.members[2])
    with pytest.raises(RecordError, match="ends before it begins"):
        filed([backwards], community, DOMAIN)


# Readings


def committed() -> Committed:
    declared, _ = admit(
        Accepted(SLOT), [order(0), order(1, side=SELL, limit=90_000)], MANDATES, DOMAIN, COMMUNITY, NOW, FREE
    )
    (cleared,) = steps.check(steps.clear([], frame_of(2), [declared]), None, np.array([[1000], [-1000]]))
    return steps.commit(cleared)


def frame_of(members: int) -> Frame:
    """One hour at SLOT."""
    return Frame(np.array([SLOT]), np.array([0]), 1.0, members, np.array([300_000]), np.array([80_000]))


def readings() -> list[Signed[Reading]]:
    return [
        SimulatedMeter(METERS[member], DOMAIN).read(SLOT, max(net, 0), max(-net, 0), 5)
        for member, net in enumerate((900, -700))
    ]


ADDRESSES = [key.address for key in METERS[:2]]


def test_good_readings_are_believed() -> None:
    delivered = steps.believe(committed(), readings(), ADDRESSES, DOMAIN)
    assert delivered.net.tolist() == [900, -700]


@pytest.mark.parametrize(
    ("bad", "error", "reason"),
    [
        (SimulatedMeter(METERS[1], DOMAIN).read(SLOT, 0, 700, 0), SequenceError, "sent reading number 0 again"),
        (SimulatedMeter(METERS[1], DOMAIN).read(SLOT - HOUR, 0, 700, 5), RecordError, "reports slot"),
        (SimulatedMeter(METERS[0], DOMAIN).read(SLOT, 0, 700, 5), SignatureError, "is signed by"),
        (SimulatedMeter(METERS[1], Domain(8, b"")).read(SLOT, 0, 700, 5), SignatureError, "is signed by"),
        (SimulatedMeter(METERS[1], DOMAIN).read(SLOT, 0, MAX_ORDER_WH + 1, 5), RecordError, "reports more than"),
        (replace(readings()[1], signature=b""), SignatureError, "65 bytes"),
    ],
)
def test_a_reading_is_refused_with_its_reason_and_the_slot_goes_on_with_the_right_one(
    bad: Signed[Reading], error: type[CommonwattError], reason: str
) -> None:
    slot, good = committed(), readings()
    with pytest.raises(error, match=reason):
        steps.believe(slot, [good[0], bad], ADDRESSES, DOMAIN)
    assert steps.believe(slot, good, ADDRESSES, DOMAIN).net.tolist() == [900, -700]


# The wires


class HalfWires:
    """They carry half of what is fed in, and note what they were asked to carry."""

    def feed_in_share(self, net: IntArray) -> FloatArray:
        self.net = net
        return np.full(net.shape[1], 0.5)


def test_the_plan_that_the_wires_must_carry_is_not_cut_by_the_mandates() -> None:
    bounds = replace(BOUNDS, buy_wh=np.full(HOMES, 100), sell_wh=np.array([0, 0, 100, 50_000]))
    load, made = np.array([[9000], [9000], [0], [0]]), np.array([[0], [0], [20_000], [20_000]])
    fleet = Fleet.of([None] * HOMES, 1.0)
    plan = declare(outlook(load, made, fleet), bounds)
    assert plan.orders[0].net.tolist() == [100, 100, -100, -20_000]
    assert plan.net.tolist() == [[9000], [9000], [-20_000], [-20_000]]


def test_a_home_that_may_not_sell_is_capped_by_its_plan_and_not_to_nothing() -> None:
    # Homes 1 and 2 plan to feed in 3000 Wh each; home 1 may not sell, so only home 2 has an order and a trade.
    planned = np.array([[2000], [-3000], [-3000]])
    signed = [order(0, wh=2000), order(2, side=SELL, wh=3000, limit=90_000)]
    declared, _ = admit(Accepted(SLOT), signed, MANDATES, DOMAIN, COMMUNITY, NOW, FREE)
    wires = HalfWires()
    agreed = steps.clear([ActiveStage(0, find("fixed"), {"price": "0.2"})], frame_of(3), [declared])
    (cleared,) = steps.check(agreed, wires, planned)
    assert wires.net.tolist() == planned.tolist()
    assert cleared.feed_in_cap.tolist() == [0, 1500, 1500]
    assert cleared.trades.wh.tolist() == [1000]
    fleet = Fleet.of([None] * 3, 1.0)
    load, made = np.array([2000, 0, 0]), np.array([0, 3000, 1000])
    flows, _ = deliver(fleet, np.zeros(3), load, made, np.zeros(3, dtype=np.int64), cleared.feed_in_cap)
    assert flows["net"].tolist() == [2000, -1500, -1000]
    assert flows["curtailed"].tolist() == [0, 1500, 0]


def test_wires_that_carry_everything_cap_nothing() -> None:
    (cleared,) = steps.check([committed().cleared], None, np.array([[1000], [-1000]]))
    assert (cleared.feed_in_cap == MAX_ORDER_WH).all()


# Any forecast

HOMES = 4
TARIFF = Tariff(Flat(300_000), Flat(80_000), network_fee=20_000, vat=Fraction(19, 100))
FLEET = Fleet.of([Battery(5, 2.5), None, Battery(8, 4), None], 1.0)
BOUNDS = Limits(*(np.full(HOMES, value) for value in (400_000, 0, 50_000, 50_000)))


def outlook(load: IntArray, made: IntArray, fleet: Fleet = FLEET, ceiling: int = 280_000) -> Outlook:
    """One slot before which the batteries are empty."""
    prices = np.array([ceiling]), np.array([80_000])
    return Outlook(Forecast(load, made), fleet, fleet.low, *prices, 1.0)


one_home = st.lists(st.integers(0, 20_000), min_size=3, max_size=3)
table = st.lists(one_home, min_size=HOMES, max_size=HOMES).map(lambda rows: np.array(rows, dtype=np.int64))


@given(table, table, table, table, st.integers(80_000, 330_000), st.booleans(), st.lists(st.integers(0, 10**6)))
def test_nobody_is_worse_off_than_with_the_utility_alone_whatever_was_forecast(
    load: IntArray, generation: IntArray, load_expected: IntArray, made_expected: IntArray,
    price: int, pool: bool, poor: list[int],
) -> None:  # fmt: skip
    """From wish to account through the pure steps; the truth has nothing to do with what was expected."""
    starts = Slots(SLOT, 3, HOUR).starts
    prices = slot_prices(TARIFF, np.full(3, 300_000), np.full(3, 80_000))
    frame = Frame(starts, np.zeros(3, dtype=np.int64), 1.0, HOMES, prices.ceiling, prices.floor)
    expected = Forecast(load_expected, made_expected)
    plan = declare(Outlook(expected, FLEET, FLEET.start, prices.ceiling, prices.floor, 1.0), BOUNDS)
    declared = [Declared(int(slot), wish, (), ()) for slot, wish in zip(starts, plan.orders, strict=True)]
    ahead = [ActiveStage(0, find("fixed"), {"price": f"{price / 10**6:.6f}"})]
    after = [ActiveStage(1, find("sdr"), {})] if pool else []
    free = np.array([poor[n] if n < len(poor) else 10**9 for n in range(HOMES)])
    soc, found, trades = FLEET.start, [], np.zeros(HOMES, dtype=np.int64)
    for place, cleared in enumerate(steps.check(steps.clear(ahead, frame, declared), None, plan.net)):
        none = np.zeros(HOMES, dtype=np.int64)
        flows, soc = deliver(FLEET, soc, load[:, place], generation[:, place], none, cleared.feed_in_cap)
        net = flows["net"]
        assert (flows["load"] - flows["generation"] + flows["charge"] - flows["discharge"] == net).all()
        delivered = Delivered(Committed(cleared, (), Tree.of([]), Tree.of([])), net, ())
        account = steps.settle(delivered, after, frame.part(slice(place, place + 1)), BOUNDS, free).account
        assert (account.local + account.grid == net).all()
        assert (account.local * np.sign(net) >= 0).all()
        assert (account.grid * np.sign(net) >= 0).all()
        assert account.local.sum() == account.credit.sum() == 0
        assert (account.credit >= -free).all()
        assert (account.settled <= account.trades.wh).all()
        np.add.at(trades, account.trades.seller, 1)
        found.append((net, account.local, account.grid, account.credit))
        free = free + account.credit
    metered, local, grid, credit = (np.array(rows).T for rows in zip(*found, strict=True))
    with_market = charges(TARIFF, prices, grid, local, credit)
    alone = charges(TARIFF, prices, metered, np.zeros_like(metered), np.zeros_like(metered))
    # A seller loses less than a micro-unit per trade and one per slot, where payments are rounded down. A buyer pays
    # at most half a micro-unit per kWh more, by which the ceiling may be rounded up, and VAT is rounded once.
    allowed = trades + 3 + np.maximum(local, 0).sum(axis=1) // 1000 + 2
    assert (with_market.total - alone.total <= allowed).all()


SELLER, PLANT = 2, 3
bought_ahead = st.lists(
    st.tuples(st.integers(0, 1), st.integers(1, 50), st.integers(80_000, 300_000)), min_size=1, max_size=3
)


@given(bought_ahead, st.lists(st.integers(0, 100), min_size=4, max_size=4), st.integers(0, 5_000), st.booleans())
def test_who_was_cut_for_want_of_money_pays_for_nothing_later(
    rows: list[tuple[int, int, int]], counted: list[int], money: int, owned: bool
) -> None:
    """`challengeCut` rests on it: two homes buy ahead of a third, then in the pool, or before it from their plant."""
    columns = np.array([(buyer, SELLER, wh, price) for buyer, wh, price in rows], dtype=np.int64).reshape(-1, 4).T
    agreed, none = Trades(*columns), np.zeros(0, dtype=np.int64)
    net = np.array(counted) * [1, 1, -1, -1]
    declared = Declared(SLOT, Orders(*[none] * 4), (), ())
    cleared = Cleared(declared, (), agreed, np.zeros(len(rows), dtype=np.int64), none)
    delivered = Delivered(Committed(cleared, (), Tree.of([]), Tree.of([])), net, ())
    plants = [Plant(PLANT, "plant", np.array([0, 1]), np.array([1, 2]))] if owned else []
    free = np.array([money, 10**9, 0, 0])
    pool = [ActiveStage(1, find("sdr"), {})]
    account = steps.settle(delivered, pool, frame_of(4), BOUNDS, free, plants).account
    paid = payments(account.settled, account.trades.price)
    for place, wh in enumerate(netting.delivered(agreed, net).tolist()):
        later = account.trades.buyer[place + 1 :] == agreed.buyer[place]
        assert account.settled[place] == wh or not paid[place + 1 :][later].any()


def test_a_home_that_may_not_trade_orders_nothing() -> None:
    bounds = replace(BOUNDS, buy_wh=np.array([0, 50_000, 0, 50_000]), sell_wh=np.array([0, 50_000, 50_000, 0]))
    load = np.array([[9000], [9000], [0], [0]])
    made = np.array([[0], [0], [20_000], [20_000]])
    (orders,) = declare(outlook(load, made), bounds).orders
    assert orders.member.tolist() == [1, 2]
    assert orders.side.tolist() == [BUY, SELL]


def test_no_order_is_placed_where_fees_eat_more_than_the_utility_s_price() -> None:
    load, made = np.array([[9000], [9000], [0], [0]]), np.array([[0], [0], [20_000], [20_000]])
    (orders,) = declare(outlook(load, made, ceiling=-10_000), BOUNDS).orders
    assert orders.side.tolist() == [SELL, SELL]
    sign_orders([SLOT], [orders], [key.address for key in WALLETS], AGENTS, DOMAIN)
