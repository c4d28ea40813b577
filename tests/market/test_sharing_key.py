"""Static and dynamic keys: the reference cases, the law's limits, and what the operator may write."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pool_cases import MECHANISMS, bounds, case, clear, nets

from commonwatt.errors import MarketError


@pytest.mark.parametrize("name", ["sharing-key-dynamic", "sharing-key-static"])
def test_reference_case(name):
    given, expected = case(name)
    for of, due in zip(given["slots"], expected["slots"], strict=True):
        found = clear(given["mechanism"], given["parameters"], of["net_wh"], given["ceiling"], given["floor"])
        assert int(found.trades.wh.sum()) == due["local_wh"]
        assert found.trades.position(len(of["net_wh"])).tolist() == due["position_wh"]
        assert found.trades.credit(len(of["net_wh"])).tolist() == due["credit"]


@given(nets.filter(bool), bounds, st.data())
def test_a_static_key_allocates_its_share_and_never_more_than_is_consumed(energy, floor_ceiling, data):
    floor, ceiling = floor_ceiling
    parts = data.draw(st.lists(st.integers(0, 10**6), min_size=len(energy), max_size=len(energy)))
    micros = [part * 10**6 // max(1, sum(parts)) for part in parts]
    shares = [f"{micro / 10**6:.6f}" for micro in micros]
    found = clear("sharing-key", {"key": "static", "shares": shares}, energy, ceiling, floor)
    supply = sum(-net for net in energy if net < 0)
    for net, micro, got in zip(energy, micros, found.trades.position(len(energy)).tolist(), strict=True):
        if net >= 0:
            assert 0 <= got <= net
            assert got <= supply * micro / 10**6 + 1
            assert got >= min(net, supply * micro // 10**6 - 1)


@given(nets, bounds)
def test_the_dynamic_key_shares_at_least_as_much_as_any_static_one(energy, floor_ceiling):
    floor, ceiling = floor_ceiling
    dynamic, static = (clear("sharing-key", {"key": key}, energy, ceiling, floor) for key in ("dynamic", "static"))
    assert static.trades.wh.sum() <= dynamic.trades.wh.sum()
    assert not ((dynamic.grid > 0).any() and (dynamic.grid < 0).any())


def test_what_shares_leave_open_goes_to_the_grid():
    found = clear("sharing-key", {"key": "static", "shares": "0.25, 0.25, 0"}, [500, 500, -400])
    assert found.grid.tolist() == [400, 400, -200]


def test_a_price_outside_the_utilitys_leaves_the_slot_to_the_utility():
    cheap = clear("sharing-key", {"price": "0.25"}, [500, -500])
    assert len(cheap.trades) == 0
    assert cheap.prices == {"sell": 50_000, "buy": 200_000}
    assert len(clear("sharing-key", {"price": "0.20"}, [500, -500]).trades) == 1


def test_a_member_whose_limit_the_price_breaks_gets_nothing_and_its_static_share_is_unused():
    limits, energy = {"max_buy": [90_000, 10**6, 10**6]}, [300, 300, -300]
    static = {"key": "static", "shares": "0.5, 0.5, 0", "price": "0.10"}
    assert clear("sharing-key", static, energy, **limits).trades.position(3).tolist() == [0, 150, -150]
    assert clear("sharing-key", {"price": "0.10"}, energy, **limits).trades.position(3).tolist() == [0, 300, -300]


def test_one_text_or_a_list():
    text = clear("sharing-key", {"key": "static", "shares": "0.5,0.5"}, [500, -500])
    listed = clear("sharing-key", {"key": "static", "shares": ["0.5", "0.5"]}, [500, -500])
    assert np.array_equal(text.grid, listed.grid)


@pytest.mark.parametrize(
    ("parameters", "key", "message"),
    [
        ({"key": "hybrid"}, "key", "'dynamic' or 'static'"),
        ({"shares": "0.5, 0.5"}, "", 'shares need key = "static"'),
        ({"key": "static", "shares": "0.5, 0.6"}, "shares", "at most 1 together"),
        ({"key": "static", "shares": "0.5, -0.1"}, "shares", "not negative"),
        ({"key": "static", "shares": "0.5;0.5"}, "shares", "is not a decimal number"),
        ({"key": "static", "shares": "NaN"}, "shares", "is not a decimal number"),
        ({"key": "static", "shares": [0.5, 0.5]}, "shares", "are decimal numbers"),
        ({"key": "static", "shares": 1}, "shares", "are decimal numbers"),
        ({"price": 0.2}, "price", "in quotes"),
    ],
)
def test_what_an_operator_may_not_write(parameters, key, message):
    [(where, found)] = MECHANISMS["sharing-key"].problems(parameters)
    assert where == key
    assert message in found


def test_a_share_for_every_member():
    with pytest.raises(MarketError, match="has 2 shares for 3 members"):
        clear("sharing-key", {"key": "static", "shares": "0.5, 0.5"}, [500, 500, -500])
