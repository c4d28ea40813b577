"""What every mechanism has and keeps, whatever its design: a page, a reference case, and promises on any slot."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from auction_cases import CEILING, FLOOR, Row, books, frame, orders
from hypothesis import given, note
from hypothesis import strategies as st

from commonwatt.errors import MarketError
from commonwatt.market import MECHANISMS, Events, Orders, Positions, as_events
from commonwatt.records import BUY, SELL
from commonwatt.records.clearing import Clearing
from commonwatt.units import MAX_ORDER_WH

ROOT = Path(__file__).parents[2]
NEEDED = {"fixed": {"price": "0.15"}}
# Mechanisms whose slots hang together bring a proof and properties of their own.
BY_SLOT = sorted(name for name, known in MECHANISMS.items() if known.proof is None)
by_slot = pytest.mark.parametrize("name", BY_SLOT)


def given_as(needs: Any, rows: list[Row], members: int) -> Orders | Positions | Events:
    """Rows of (member, side, wh, limit) as the mechanism takes them; of Positions a member's last row counts."""
    if needs is not Positions:
        return as_events(orders(*rows)) if needs is Events else orders(*rows)
    net = np.zeros(members, dtype=np.int64)
    max_buy, min_sell = np.full(members, CEILING), np.full(members, FLOOR)
    for member, side, wh, limit in rows:
        net[member] = wh if side == BUY else -wh
        (max_buy if side == BUY else min_sell)[member] = limit
    return Positions(net, max_buy, min_sell)


def clear(name: str, rows: list[Row], members: int = 12) -> Clearing:
    mechanism = MECHANISMS[name]
    given_slot = given_as(mechanism.needs, rows, members)
    (clearing,) = mechanism.clear(frame(members), (given_slot,), NEEDED.get(name, {}))
    return clearing


def figures(clearing: Clearing) -> tuple[Any, ...]:
    """All that a clearing says."""
    trades = clearing.trades
    columns = (trades.buyer, trades.seller, trades.wh, trades.price, clearing.grid)
    return [column.tolist() for column in columns], dict(clearing.prices), dict(clearing.diagnostics), clearing.proof


@pytest.mark.parametrize("name", sorted(MECHANISMS))
def test_it_has_a_page_that_names_its_reference_cases(name: str) -> None:
    page = (ROOT / "docs" / "mechanisms" / f"{name}.md").read_text("utf-8")
    cases = re.findall(r"`(tests/market/cases/[a-z0-9-]+)`", page)
    assert cases
    for case in cases:
        assert "Tolerance: " in (ROOT / case / "README.md").read_text("utf-8")
        assert (ROOT / case / "expected.json").is_file()


@given(books())
def test_promises_hold_and_the_result_is_the_same_again(rows: list[Row]) -> None:
    for name in BY_SLOT:
        note(name)
        keeps_its_promises(name, rows)


def keeps_its_promises(name: str, rows: list[Row]) -> None:
    clearing = clear(name, rows)
    assert clearing.proof.holds
    assert figures(clear(name, rows)) == figures(clearing)
    assert sum(clearing.trades.credit(12).tolist()) == 0
    prices, position = clearing.trades.price, clearing.trades.position(12)
    assert not len(prices) or FLOOR <= prices.min() <= prices.max() <= CEILING
    for member in range(12):
        own = [row for row in rows if row[0] == member]
        most = sum(wh for _, side, wh, _ in own if side == BUY)
        least = -sum(wh for _, side, wh, _ in own if side == SELL)
        assert least <= position[member] <= most


@given(st.lists(st.sampled_from([BUY, SELL]), max_size=12), st.permutations(range(12)))
def test_of_equal_members_no_more_trades_whoever_they_are(sides: list[int], names: list[int]) -> None:
    rows = [(i, side, 700, 150_000) for i, side in enumerate(sides)]
    renamed = [(names[m], side, wh, limit) for m, side, wh, limit in rows]
    for name in BY_SLOT:
        note(name)
        one, two = clear(name, rows), clear(name, renamed)
        assert sorted(one.grid.tolist()) == sorted(two.grid.tolist())
        assert one.prices == two.prices


@by_slot
@pytest.mark.parametrize("rows", [[], [(0, BUY, 700, CEILING)], [(0, SELL, 700, FLOOR)]])
def test_nobody_trades_with_nobody(name: str, rows: list[Row]) -> None:
    clearing = clear(name, rows, members=1)
    assert (len(clearing.trades), clearing.grid.tolist()) == (0, [sum(w if s == BUY else -w for _, s, w, _ in rows)])


@by_slot
def test_no_energy_is_no_trade(name: str) -> None:
    rows = [(0, BUY, 0, CEILING), (1, SELL, 0, FLOOR)]
    if MECHANISMS[name].needs is Orders:
        with pytest.raises(MarketError, match="without energy"):
            clear(name, rows)
    else:
        assert clear(name, rows).grid.tolist() == [0] * 12


@by_slot
def test_the_largest_allowed_and_no_more(name: str) -> None:
    rows = [(0, BUY, MAX_ORDER_WH, CEILING), (1, SELL, MAX_ORDER_WH, FLOOR)]
    assert clear(name, rows).trades.wh.tolist() == [MAX_ORDER_WH]
    with pytest.raises(MarketError, match="out of bounds"):
        clear(name, [(0, BUY, MAX_ORDER_WH + 1, CEILING), *rows[1:]])
