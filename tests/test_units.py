from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.units import (
    MAX_MONEY,
    MAX_ORDER_WH,
    MAX_PRICE,
    MICRO,
    carried_remainder,
    decimal_text,
    largest_remainder,
    micro,
    payment,
    payments,
    round_half_up,
    rounded,
    split,
    wh_from_kw,
)


@given(st.integers(-(10**15), 10**15))
def test_money_survives_text(amount: int) -> None:
    assert micro(decimal_text(amount), -MAX_MONEY, MAX_MONEY) == amount


@pytest.mark.parametrize(
    "text",
    [
        "0.0000001",
        "x",
        "",
        "nan",
        "inf",
        "1e-9",
        "1e400000000",
        "0." + "3" * 40,
        "9" * 5000,
        "+1",
        " 1",
        "1_0",
        "٣",
        ".5",
    ],
)
def test_what_is_no_exact_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"decimal number|too many digits"):
        micro(text)


@pytest.mark.parametrize(
    ("text", "bounds", "sentence"),
    [
        ("1000000.000001", (), "too high; the highest is 1000000"),
        ("-1000000.000001", (), "less than -1000000"),
        ("-0.1", (0,), "must not be below zero, but is -0.1"),
    ],
)
def test_money_has_bounds(text: str, bounds: tuple[int, ...], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        micro(text, *bounds)


@pytest.mark.parametrize(
    ("amount", "places", "text"), [(-4, 2, "0.00"), (5_000, 2, "0.01"), (-5_000, 2, "-0.01"), (1_999_999, 0, "2")]
)
def test_text_rounds_half_away_from_zero_and_knows_no_minus_zero(amount: int, places: int, text: str) -> None:
    assert decimal_text(amount, places) == text


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_payment_is_rounded_towards_zero_for_both_ends(wh: int, price: int) -> None:
    exact = Fraction(wh * price, 1000)
    assert exact - 1 < payment(wh, price) <= exact
    assert payment(-wh, price) == -payment(wh, price)


@given(st.fractions(min_value=-1000, max_value=1000))
def test_halves_go_up(value: Fraction) -> None:
    assert value - Fraction(1, 2) < round_half_up(value) <= value + Fraction(1, 2)


@given(st.lists(st.floats(0, 50), min_size=1, max_size=200), st.sampled_from([0.25, 0.5, 1.0]))
def test_whole_wh_never_drift_from_the_exact_energy(kw: list[float], hours: float) -> None:
    wh = wh_from_kw(np.array(kw), hours)
    drift = np.cumsum(wh) - np.cumsum(np.array(kw)) * hours * 1000
    assert np.abs(drift).max() <= 0.5 + 1e-6


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=50), st.data())
def test_shares_are_exact_and_within_one_unit_of_proportion(weights: list[int], data: st.DataObject) -> None:
    whole = sum(weights)
    total = data.draw(st.integers(0, whole))
    shares = largest_remainder(total, np.array(weights, dtype=np.int64)).tolist()
    assert sum(shares) == (total if whole else 0)
    for share, weight in zip(shares, weights, strict=True):
        assert share <= weight
        assert abs(share - Fraction(total * weight, whole or 1)) < 1


@given(st.integers(-MAX_ORDER_WH, MAX_ORDER_WH), st.integers(-MAX_PRICE, MAX_PRICE))
def test_a_payment_rounds_towards_zero_whatever_the_signs(wh: int, price: int) -> None:
    exact = Fraction(wh * price, 1000)
    paid = payment(wh, price)
    assert abs(paid) <= abs(exact) < abs(paid) + 1
    assert paid * exact >= 0
    assert payment(-wh, price) == payment(wh, -price) == -paid
    assert payments(np.array([abs(wh)]), np.array([price])).tolist() == [payment(abs(wh), price)]
    assert payments(np.array([abs(wh)]), price).tolist() == [payment(abs(wh), price)]


@given(st.fractions(-(10**12), 10**12))
def test_the_nearest_integer_is_as_near_below_zero(value: Fraction) -> None:
    assert abs(rounded(value) - value) <= Fraction(1, 2)
    assert rounded(-value) == -rounded(value)


@given(st.integers(-(10**15), 10**15), st.lists(st.integers(0, 10**9), min_size=1, max_size=8))
def test_an_amount_of_either_sign_is_split_whole(amount: int, weights: list[int]) -> None:
    shares = split(amount, np.array(weights))
    assert shares.sum() == (amount if sum(weights) else 0)
    assert (shares * np.sign(amount) >= 0).all()
    assert split(-amount, np.array(weights)).tolist() == (-shares).tolist()


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=8), st.data())
def test_a_carried_remainder_is_exact_in_each_slot_and_true_over_time(weights: list[int], data: st.DataObject) -> None:
    kept, given_, due = np.zeros(len(weights), dtype=np.int64), [0] * len(weights), [Fraction(0)] * len(weights)
    slots = data.draw(st.lists(st.lists(st.integers(0, 1), min_size=len(weights), max_size=len(weights)), max_size=30))
    for open_ in slots:
        now = np.array(weights) * np.array(open_)
        whole = int(now.sum())
        total = data.draw(st.integers(0, whole))
        shares, kept = carried_remainder(total, now, kept)
        assert shares.sum() == (total if whole else 0)
        for place, (share, weight) in enumerate(zip(shares.tolist(), now.tolist(), strict=True)):
            exact = Fraction(total * weight, whole or 1)
            assert abs(share - exact) < 1
            assert share <= weight
            given_[place], due[place] = given_[place] + share, due[place] + exact
    # What is kept is what is due and was not given, to a millionth of a Wh in each slot.
    for wh, exact, rest in zip(given_, due, kept.tolist(), strict=True):
        assert abs(exact - wh - Fraction(rest, MICRO)) <= Fraction(len(slots), MICRO)


@given(st.lists(st.integers(1, 10**6), min_size=2, max_size=8), st.integers(1, 200), st.data())
def test_rounding_does_not_add_up_over_slots_that_are_alike(
    weights: list[int], slots: int, data: st.DataObject
) -> None:
    total = data.draw(st.integers(0, sum(weights)))
    kept, sums = np.zeros(len(weights), dtype=np.int64), np.zeros(len(weights), dtype=np.int64)
    for _ in range(slots):
        shares, kept = carried_remainder(total, np.array(weights), kept)
        sums += shares
    for wh, weight in zip(sums.tolist(), weights, strict=True):
        assert abs(wh - Fraction(slots * total * weight, sum(weights))) < 2
