"""A clearing that breaks its promise is refused, whichever promise it breaks."""

from dataclasses import replace

import numpy as np
import pytest

from commonwatt.errors import MarketError, PromiseBroken
from commonwatt.market import Frame, Mechanism, Orders, Outcome, Parameters, Positions
from commonwatt.market.proving import asked, proved
from commonwatt.records import BUY, SELL, Trades
from commonwatt.records.clearing import Clearing
from commonwatt.units import MAX_PRICE

FRAME = Frame(np.array([900]), np.array([15]), 0.25, 3, np.array([300_000]), np.array([80_000]))
GIVEN = Positions(np.array([500, 200, -600]), np.full(3, 250_000), np.full(3, 90_000))


def trades(*rows: tuple[int, int, int, int]) -> Trades:
    return Trades(*np.array(rows, dtype=np.int64).reshape(-1, 4).T)


def clearing(*rows: tuple[int, int, int, int]) -> Clearing:
    return proved("test", FRAME, 0, GIVEN, Outcome(trades(*rows)), rational=True)


def test_an_honest_clearing_carries_the_figures_of_its_checks() -> None:
    found = clearing((0, 2, 400, 100_000), (1, 2, 200, 100_000))
    assert found.proof.holds
    assert {check.name for check in found.proof.checks} == {
        "well-formed",
        "energy",
        "declared",
        "limits",
        "payments",
        "rational",
    }
    assert found.grid.tolist() == [100, 0, 0]


@pytest.mark.parametrize(
    ("row", "promise"),
    [
        ((0, 2, 501, 100_000), "beyond what was declared"),
        ((2, 0, 100, 100_000), "beyond what was declared"),
        ((0, 0, 100, 100_000), "with oneself"),
        ((0, 2, 0, 100_000), "without energy"),
        ((0, 2, -5, 100_000), "without energy"),
        ((3, 2, 100, 100_000), "of strangers"),
        ((-1, 2, 100, 100_000), "of strangers"),
        ((0, 2, 100, 250_001), "price limit"),
        ((0, 2, 100, 89_999), "price limit"),
    ],
)
def test_a_clearing_that_breaks_a_promise_is_refused(row: tuple[int, int, int, int], promise: str) -> None:
    with pytest.raises(MarketError, match=promise):
        clearing(row)


def test_two_trades_that_together_exceed_the_declaration_are_refused() -> None:
    with pytest.raises(MarketError, match="beyond what was declared"):
        clearing((0, 2, 400, 100_000), (1, 2, 200, 100_000), (0, 2, 1, 100_000))


@pytest.mark.parametrize("price", [300_001, 79_999])
def test_a_price_worse_than_the_utilitys_is_refused_even_within_the_members_limits(price: int) -> None:
    willing = Positions(GIVEN.net, np.full(3, MAX_PRICE), np.full(3, -MAX_PRICE))
    with pytest.raises(MarketError, match="loses against the utility"):
        proved("test", FRAME, 0, willing, Outcome(trades((0, 2, 100, price))), rational=True)
    assert proved("test", FRAME, 0, willing, Outcome(trades((0, 2, 100, price))), rational=False).proof.holds


def test_the_largest_energy_at_the_largest_price_is_paid_exactly() -> None:
    frame = Frame(np.array([0]), np.array([0]), 1.0, 2, np.array([MAX_PRICE]), np.array([0]))
    given = Positions(np.array([10**9, -(10**9)]), np.full(2, MAX_PRICE), np.zeros(2, dtype=np.int64))
    largest = proved("test", frame, 0, given, Outcome(trades((0, 1, 10**9, MAX_PRICE))), rational=True)
    assert largest.trades.credit(2).tolist() == [-(10**18), 10**18]


def test_payments_that_leave_64_bits_only_in_a_members_total_are_found() -> None:
    frame = Frame(np.array([0]), np.array([0]), 1.0, 2, np.array([MAX_PRICE]), np.array([0]))
    given = Positions(np.array([10**9, -(10**9)]), np.full(2, MAX_PRICE), np.zeros(2, dtype=np.int64))
    # Each payment fits, and so would the wrapped totals of buyer and seller, which differ by sign only.
    rows = [(0, 1, 9_000_000, MAX_PRICE)] * 1_030
    with pytest.raises(MarketError, match="payments"):
        proved("test", frame, 0, replace(given, net=given.net * 10), Outcome(trades(*rows)), rational=True)
    assert proved("test", frame, 0, given, Outcome(trades(*rows[:111])), rational=True).proof.holds


def test_a_mechanism_of_ones_own_is_checked_like_any_other() -> None:
    def generous(frame: Frame, inputs: tuple[Positions, ...], parameters: Parameters) -> tuple[Outcome, ...]:
        return tuple(Outcome(trades((0, 2, 700, 100_000))) for _ in inputs)

    mine = Mechanism("generous", "after", Positions, Parameters, generous, "nobody")
    told = "generous broke its promise in the slot of 1970-01-01 00:15 UTC, by 300 Wh traded beyond what was declared."
    with pytest.raises(MarketError, match=f"^{told}$"):
        mine.clear(FRAME, (GIVEN,))


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ((0, 2, 500, 260_000), "by 0.10 of the currency per kWh beyond a member's price limit."),
        ((0, 2, 501, 100_000), "by 1 Wh traded beyond what was declared."),
        ((0, 0, 5, 100_000), "by 1 trades without energy, with oneself, or of strangers."),
    ],
)
def test_what_is_off_is_said_as_a_person_reads_it(row: tuple[int, int, int, int], told: str) -> None:
    with pytest.raises(PromiseBroken) as caught:
        proved("test", replace(FRAME, unit=10), 0, GIVEN, Outcome(trades(row)), rational=True)
    assert str(caught.value).endswith(told)


@pytest.mark.parametrize(
    ("rows", "excess"),
    [
        ([(0, 2, 300, 150_000), (0, 2, 100, 250_000)], 0),
        ([(0, 2, 300, 250_000)], 0),
        ([(0, 2, 301, 250_000)], 1),
        ([(0, 2, 300, 100_001), (0, 2, 100, 250_000)], 0),
        ([(0, 2, 340, 150_000), (0, 2, 61, 100_000)], 1),
        ([(0, 2, 310, 260_000), (1, 2, 5, 79_999)], 310),
        ([(1, 2, 5, 79_999)], 5),
        ([(2, 1, 1, 200_000)], 1),
        ([], 0),
    ],
)
def test_no_member_trades_beyond_what_its_orders_allow_at_a_price(
    rows: list[tuple[int, int, int, int]], excess: int
) -> None:
    book = [(0, BUY, 300, 250_000), (0, BUY, 100, 150_000), (1, BUY, 50, 90_000), (2, SELL, 900, 80_000)]
    given = Orders(*np.array(book, dtype=np.int64).T)
    check = asked(trades(*rows), given)
    assert (check.figure, check.holds) == (excess, excess == 0)
