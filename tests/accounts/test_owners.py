"""Who takes what of a plant that belongs to several, and what of its money is whose: for any energies and weights."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.accounts.plants import Division, Parts, Plant, divide, plants_of, shares, taken
from commonwatt.community.model import Member, Owner
from commonwatt.units import IntArray

HOMES, PLANTS = 5, 2
ALL = HOMES + PLANTS
energies = st.integers(0, 50_000)
weights = st.one_of(st.integers(1, 9), st.integers(1, 10**12))


@st.composite
def houses(draw: st.DrawFn) -> tuple[Plant, ...]:
    found = []
    for number in range(PLANTS):
        owners = sorted(draw(st.sets(st.integers(0, HOMES - 1), min_size=1)))
        parts = [draw(weights) for _ in owners]
        found.append(Plant(HOMES + number, f"plant-{number}", np.array(owners), np.array(parts)))
    return tuple(found)


nets = st.tuples(
    st.lists(st.integers(-50_000, 50_000), min_size=HOMES, max_size=HOMES),
    st.lists(st.integers(-50_000, 50), min_size=PLANTS, max_size=PLANTS),
).map(lambda parts: np.array([*parts[0], *parts[1]]))


def by(ends: IntArray, wh: IntArray) -> IntArray:
    return np.bincount(ends, weights=wh, minlength=ALL).astype(np.int64)


@given(houses(), nets, nets)
def test_nobody_takes_more_than_its_share_its_need_or_what_is_left(
    plants: tuple[Plant, ...], net: IntArray, other: IntArray
) -> None:
    left = np.where(net > 0, np.clip(other, 0, net), np.clip(other, net, 0))
    trades = taken(plants, net, left)
    assert (trades.wh > 0).all()
    assert not trades.price.any()
    assert (by(trades.buyer, trades.wh) <= np.maximum(left, 0)).all()
    assert (by(trades.seller, trades.wh) <= np.maximum(-left, 0)).all()
    for plant in plants:
        mine = trades.keep(trades.seller == plant.index)
        share = np.zeros(ALL, dtype=np.int64)
        share[plant.owners] = shares(plant, np.maximum(-net[[plant.index]], 0))[:, 0]
        assert (by(mine.buyer, mine.wh) <= share).all()


@given(houses(), nets)
def test_who_needs_its_whole_share_takes_it(plants: tuple[Plant, ...], net: IntArray) -> None:
    net[:HOMES] = 10**6
    trades = taken(plants, net, net)
    assert trades.wh.sum() == np.maximum(-net[HOMES:], 0).sum()
    for plant in plants:
        fed = max(-int(net[plant.index]), 0)
        for owner, weight in zip(plant.owners.tolist(), plant.weights.tolist(), strict=True):
            wh = trades.wh[(trades.buyer == owner) & (trades.seller == plant.index)].sum()
            assert abs(int(wh) * plant.whole - fed * weight) < plant.whole


@given(st.lists(st.tuples(weights, energies), min_size=1, max_size=4), energies, st.permutations(range(4)))
def test_names_and_the_order_in_the_file_do_not_matter(
    owners: list[tuple[int, int]], fed: int, order: list[int]
) -> None:
    """Owners stand by their index, in whatever order and under whatever names the file has them."""
    net = np.array([*(need for _, need in owners), -fed])
    own = [Owner(member, weight) for member, (weight, _) in enumerate(owners)]
    shuffled = tuple(sorted(own[place] for place in order if place < len(own)))
    homes = [Member(member, f"home-{member}", None) for member in range(len(own))]
    found = []
    for name, listed in (("a", tuple(own)), ("z", shuffled)):
        plants = plants_of([*homes, Member(len(own), name, None, owners=listed)])
        found.append(taken(plants, net, net).wh.tolist())
    assert found[0] == found[1]


@st.composite
def divisions(draw: st.DrawFn) -> tuple[Division, Parts, int]:
    """A division of three slots, what owners have of it, and what the plant owes before."""
    plant = draw(houses())[0]
    fed = np.array(draw(st.lists(energies, min_size=3, max_size=3)))
    share = shares(plant, fed)
    took = np.array([[draw(st.integers(0, int(wh))) for wh in row] for row in share])
    sold = fed - took.sum(axis=0)
    money, paid = st.integers(0, 10**12), st.integers(-(10**12), 0)
    local, utility = (np.array([draw(each) if wh else 0 for wh in sold]) for each in (money, st.one_of(money, paid)))
    costs = draw(st.integers(-(10**9), 10**9))
    owes = costs - int(local.sum() + utility.sum())
    division = divide(plant, fed, took, local, utility)
    return division, Parts.of(plant, division.left, owes), owes


@given(divisions())
def test_all_of_the_money_goes_to_the_owners(case: tuple[Division, Parts, int]) -> None:
    division, parts, owes = case
    assert (division.share.sum(axis=0) == division.fed).all()
    assert (division.earnings.sum(axis=0) == division.earned).all()
    assert (division.earnings * np.sign(division.earned) >= 0).all()
    assert not division.earnings[division.unused == 0].any()
    assert parts.owed.sum() == owes
    moved = parts.moved(ALL)
    assert moved.sum() == 0
    assert moved[division.plant.index] == -owes
    assert (parts.costs * np.sign(parts.costs.sum()) >= 0).all()


@given(divisions())
def test_of_what_lies_on_the_ledger_nobody_has_more_than_it_earned(case: tuple[Division, Parts, int]) -> None:
    """Where the utility was never paid; else nobody has more than without that, and all of it is somebody's."""
    division, parts, _ = case
    if (division.earned >= 0).all() and (parts.costs >= 0).all():
        assert (parts.on_ledger[division.unused.sum(axis=1) == 0] == 0).all()
    assert (parts.on_ledger >= 0).all()


@given(st.lists(st.tuples(energies, energies, st.integers(0, 10**9), st.integers(-(10**9), 10**9)), max_size=4))
def test_what_neighbours_paid_is_the_owners_whole_whatever_the_utility_was_paid(
    slots: list[tuple[int, int, int, int]],
) -> None:
    plant = Plant(2, "roof", np.array([0, 1]), np.array([2, 1]))
    rows = [(fed + 1, min(took, (fed + 1) // 3), local, utility) for fed, took, local, utility in slots]
    fed, took, local, utility = (np.array([row[place] for row in rows], dtype=np.int64) for place in range(4))
    division = divide(plant, fed, np.stack([0 * took, took]), local, utility)
    parts = Parts.of(plant, division.left, 0)
    assert parts.on_ledger.sum() == local.sum()
    received = local + np.maximum(utility, 0)
    most = [-(-received * division.unused[owner] // np.maximum(fed - took, 1)) for owner in (0, 1)]
    assert all(parts.on_ledger[owner] <= most[owner].sum() for owner in (0, 1))


def test_a_windy_noon_costs_the_owners() -> None:
    plant = Plant(3, "roof", np.array([0, 1]), np.array([2, 1]))
    # Of 900 Wh each slot nobody takes any; at noon neighbours pay 30 for some, and the utility is paid 60 for the rest.
    local, utility = np.array([30, 90]), np.array([-60, 0])
    division = divide(plant, np.array([900, 900]), np.zeros((2, 2), dtype=np.int64), local, utility)
    parts = Parts.of(plant, division.left, -60)
    assert division.earnings.tolist() == [[-20, 60], [-10, 30]]
    assert parts.on_ledger.tolist() == [80, 40]
    assert parts.owed.tolist() == [-40, -20]


def test_a_feed_in_of_a_morning() -> None:
    plant = Plant(3, "roof", np.array([0, 1, 2]), np.array([2, 1, 1]))
    net = np.array([100, 900, 0, -1_002])
    trades = taken([plant], net, net)
    assert trades.buyer.tolist() == [0, 1]
    assert trades.wh.tolist() == [100, 251]  # of 501, 251 and 250: the remainder goes to the lower index
    took = np.array([[100], [251], [0]])
    local, utility = np.array([90]), np.array([11])
    division = divide(plant, np.array([1_002]), took, local, utility)
    parts = Parts.of(plant, division.left, -101)
    assert division.unused.tolist() == [[401], [0], [250]]
    assert division.earnings.tolist() == [[62], [0], [39]]
    assert parts.on_ledger.tolist() == [55, 0, 35]
    assert not parts.costs.any()


@given(divisions(), st.integers(0, 3))
def test_what_is_left_of_days_adds_up(case: tuple[Division, Parts, int], cut: int) -> None:
    division, parts, owes = case
    days = division.part(slice(0, cut)).left + division.part(slice(cut, 3)).left
    again = Parts.of(division.plant, days, owes)
    for name in ("costs", "on_ledger", "owed"):
        assert np.array_equal(getattr(again, name), getattr(parts, name))
