"""The mechanism around the book: proof, corridor, diagnostics, and the book on a day of ordinary orders."""

from collections.abc import Sequence

import numpy as np
import pytest
from auction_cases import CEILING, FLOOR, Row, books, deals, figures, frame, orders
from hypothesis import given
from hypothesis import strategies as st
from log_cases import Event, logs

from commonwatt.errors import MarketError
from commonwatt.market import Events
from commonwatt.market.designs.continuous import CONTINUOUS, as_events, from_log, run_book
from commonwatt.market.interface import ADD, AMEND, CANCEL
from commonwatt.records import BUY, SELL, Clearing
from commonwatt.units import MAX_ORDER_WH, MAX_PRICE


def run(
    rows: list[Event],
    parameters: dict[str, object] | None = None,
    members: int = 4,
    ceiling: int = CEILING,
    floor: int = FLOOR,
) -> Clearing:
    """The proved clearing of one slot's log."""
    (clearing,) = CONTINUOUS.clear(frame(members, ceiling, floor), (from_log(rows),), parameters or {})
    assert clearing.proof.holds
    return clearing


def simple(rows: Sequence[Row]) -> list[Event]:
    """A log of additions: (member, side, wh, limit), one second apart, without end."""
    return [(ADD, i, *row, i, 10**9) for i, row in enumerate(rows)]


def test_the_order_that_was_there_first_names_the_price() -> None:
    clearing = run(
        simple([(0, SELL, 500, 100_000), (1, BUY, 300, 200_000), (2, BUY, 900, 150_000), (3, SELL, 400, 90_000)])
    )
    assert deals(clearing) == [(1, 0, 300, 100_000), (2, 0, 200, 100_000), (2, 3, 400, 150_000)]
    assert clearing.prices == {"average": 122_222, "last": 150_000}
    assert clearing.grid.tolist() == [0, 0, 300, 0]


def test_what_rests_meets_the_utility_and_what_was_withdrawn_or_refused_does_not() -> None:
    clearing = run(
        [
            (ADD, 1, 0, SELL, 500, 100_000, 0, 50),
            (ADD, 2, 1, BUY, 200, 100_000, 1, 10),
            (ADD, 3, 1, BUY, 700, 90_000, 2, 3),
            (ADD, 4, 2, BUY, 400, 85_000, 4, 99),
            (CANCEL, 4, 0, 0, 0, 0, 5, 0),
            (ADD, 5, 9, BUY, 400, 85_000, 5, 99),
            (AMEND, 6, 3, BUY, 400, 85_000, 5, 99),
            (ADD, 6, 3, SELL, 150, 300_000, 5, 99),
            (ADD, 7, 3, BUY, -150, 300_000, 5, 99),
        ]
    )
    assert deals(clearing) == [(1, 0, 200, 100_000)]
    assert clearing.grid.tolist() == [-300, 0, 0, -150]
    assert clearing.diagnostics == {
        "accepted": 6,
        "refused": 3,
        "refused_stranger": 1,
        "refused_energy": 1,
        "refused_unknown": 1,
        "bids_left_wh": 0,
        "offers_left_wh": 450,
        "cancelled_wh": 400,
        "expired_wh": 700,
    }


def test_an_amendment_may_cross_and_what_traded_before_keeps_its_price() -> None:
    clearing = run(
        [
            (ADD, 1, 0, BUY, 500, 200_000, 0, 50),
            (ADD, 2, 1, SELL, 200, 150_000, 1, 50),
            (AMEND, 1, 0, BUY, 400, 120_000, 2, 50),
            (ADD, 3, 2, SELL, 500, 130_000, 3, 50),
            (AMEND, 3, 2, SELL, 150, 110_000, 4, 50),
        ]
    )
    assert deals(clearing) == [(0, 1, 200, 200_000), (0, 2, 150, 120_000)]
    assert clearing.grid.tolist() == [50, 0, 0, 0]


def test_limits_beyond_the_utilitys_prices_are_taken_as_them_or_refused() -> None:
    log = simple([(0, BUY, 500, CEILING + 1), (1, SELL, 300, FLOOR - 1), (2, SELL, 100, FLOOR)])
    assert deals(run(log)) == [(0, 1, 300, CEILING), (0, 2, 100, CEILING)]
    refused = run(log, {"outside": "refuse"})
    assert deals(refused) == []
    assert refused.diagnostics["refused_limit"] == 2
    assert deals(run(log, ceiling=FLOOR, floor=CEILING)) == []


def test_parameters_and_number_of_slots_are_checked() -> None:
    assert CONTINUOUS.problems({"outside": "ignore"}) == [("outside", "input should be 'clamp' or 'refuse'")]
    with pytest.raises(MarketError, match="one input per slot: 1 slots, 0 given"):
        CONTINUOUS.clear(frame(2), ())


@pytest.mark.parametrize("rows", [[], [(0, BUY, 500, 200_000)], [(0, SELL, MAX_ORDER_WH, FLOOR)]])
def test_no_order_and_one_order_do_not_trade(rows: list[Row]) -> None:
    clearing = run(simple(rows))
    assert len(clearing.trades) == 0
    assert clearing.prices == {}
    assert int(np.abs(clearing.grid).sum()) == sum(row[2] for row in rows)


def test_the_largest_order_trades() -> None:
    rows = simple([(0, SELL, MAX_ORDER_WH, FLOOR), (1, BUY, MAX_ORDER_WH, CEILING)])
    assert deals(run(rows)) == [(1, 0, MAX_ORDER_WH, FLOOR)]


@given(logs(), st.sampled_from(["clamp", "refuse"]))
def test_every_log_gives_a_proved_clearing(rows: list[Event], outside: str) -> None:
    clearing = run(rows, {"outside": outside}, ceiling=102, floor=99)
    trades = clearing.trades
    assert ((trades.price >= 99) & (trades.price <= 102)).all()
    assert figures(clearing)["accepted"] + figures(clearing)["refused"] == len(rows)
    again = run(rows, {"outside": outside}, ceiling=102, floor=99)
    assert deals(again) == deals(clearing)


@given(books())
def test_orders_of_a_slot_run_as_a_book_in_the_order_of_their_rows(rows: list[Row]) -> None:
    given_orders = orders(*rows)
    (clearing,) = CONTINUOUS.clear(frame(12), (as_events(given_orders),))
    assert clearing.proof.holds
    willing = {(m, s): limit for m, s, _, limit in rows}
    for buyer, seller, _, price in deals(clearing):
        assert willing[seller, SELL] <= price <= willing[buyer, BUY]
    refused = clearing.diagnostics["refused"]
    if len({m for m, *_ in rows}) == len(rows):
        assert refused == 0
        net = np.zeros(12, dtype=np.int64)
        np.add.at(net, given_orders.member, given_orders.net)
        assert np.array_equal(clearing.grid + clearing.trades.position(12), net)
        bids = np.flatnonzero(clearing.grid > 0).tolist()
        asks = np.flatnonzero(clearing.grid < 0).tolist()
        for b in bids:
            for a in asks:
                assert min(willing[b, BUY], CEILING) < max(willing[a, SELL], FLOOR)


@given(logs(), st.permutations(range(4)))
def test_who_the_members_are_changes_nothing(rows: list[Event], names: list[int]) -> None:
    renamed = [(k, o, names[m] if 0 <= m < 4 else m, s, wh, p, t, e) for k, o, m, s, wh, p, t, e in rows]
    before, after = run_book(from_log(rows), 4), run_book(from_log(renamed), 4)
    assert after.rejections.tolist() == before.rejections.tolist()
    assert after.fills.buyer.tolist() == [names[m] for m in before.fills.buyer.tolist()]
    assert after.fills.wh.tolist() == before.fills.wh.tolist()
    assert after.fills.price.tolist() == before.fills.price.tolist()


def test_an_empty_book_has_all_its_columns() -> None:
    result = run_book(as_events(orders()))
    assert result.refusals == []
    assert len(result.fills.trades) == len(result.orders.order) == 0
    assert isinstance(as_events(orders()), Events)
    assert run_book(from_log([(ADD, 1, 0, BUY, 5, MAX_PRICE, 0, 1)])).resting.limit.tolist() == [MAX_PRICE]
