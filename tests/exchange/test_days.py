"""Sheets of local days: as long as their days are, and bills of whichever run of days is asked for."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from datetime import date
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from by_slot import by_day, by_slot
from exchange_cases import AHEAD, HEAD, TARIFF, begin, exchange_of, short_days, written
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.accounts.charges import Energy, Sums
from commonwatt.accounts.document import charge_lines
from commonwatt.accounts.plants import Plant, divide, shares
from commonwatt.accounts.sheets import Figures, OfPlant, added, last_page
from commonwatt.community.calendar import days_between, local_days
from commonwatt.community.tariff import Flat, Levy, Tariff, slot_prices
from commonwatt.errors import ConfigError, StoreError, VerificationError
from commonwatt.exchange.bills import bills, proven
from commonwatt.member.verify import verify_bill
from commonwatt.simulation.api import simulate
from commonwatt.simulation.result import Result

TWO = """
[defaults]
collateral = "20"

[members]
sun = { load = "simbench:H0-A", annual_kwh = 2000, pv = { profile = "simbench:PV1", kwp = 8 } }
flat = { load = "simbench:H0-C", annual_kwh = 4000 }
"""
QUARTERS = HEAD.replace('"1h"', '"15min"') + TARIFF + AHEAD + TWO


@pytest.mark.parametrize(("day", "slots"), [("2026-03-29", 92), ("2026-10-25", 100)])
def test_a_day_on_which_clocks_are_changed_is_one_sheet(tmp_path: Path, day: str, slots: int) -> None:
    result = simulate(written(tmp_path, QUARTERS), day, 1)
    client = exchange_of(result).client
    for bill in proven(result.books, result.bills):
        (sheet,) = (each["sheet"] for each in bill["days"])
        assert (sheet["day"], len(sheet["slots"])) == (day, slots)
        assert verify_bill(json.loads(json.dumps(bill)), client).slots == slots
        with pytest.raises(VerificationError, match="leaves out or repeats a slot"):
            verify_bill({"sheet": {**sheet, "slots": sheet["slots"][:-1]}, "proofs": bill["days"][0]["proofs"]}, client)
    result.close()


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Result]:
    """Two days, of each some slots around the midnight between them."""
    with short_days(first=20, slots=8):
        result = simulate(written(tmp_path_factory.mktemp("night")), "2026-06-15", 2)
    yield result
    result.close()


def test_bills_of_a_day_alone_have_the_sheet_that_the_bills_of_both_days_have(night: Result) -> None:
    whole = bills(night.books)
    for number, (day, of_day) in enumerate(night.books.days()):
        for content, of_both in zip(bills(of_day), whole, strict=True):
            assert content["sheets"] == [of_both["sheets"][number]]
            assert content["sheets"][0]["day"] == str(day)
            assert content["period"] == {"from": of_day.period.start, "until": of_day.period.end}
            assert content["total"] == sum(line["amount"] for line in content["charges"])


def test_bills_are_of_whichever_whole_days_are_asked_for(tmp_path: Path) -> None:
    result = simulate(written(tmp_path, HEAD + TARIFF + AHEAD + TWO), "2026-06-29", 4, ledger="none")
    july = bills(result.books.over(date(2026, 7, 1), 2))
    for content, whole in zip(july, result.bills.contents, strict=True):
        assert content["sheets"] == whole["sheets"][2:]
        assert content["period"]["until"] == whole["period"]["until"]
    for first, days in ((date(2026, 7, 2), 2), (date(2026, 6, 28), 1)):
        with pytest.raises(ConfigError) as refused:
            result.books.over(first, days)
        assert "are not all among those from 2026-06-29 to 2026-07-02" in str(refused.value.findings[0])
    result.close()


def test_memory_does_not_grow_with_the_days_of_a_bill(tmp_path: Path) -> None:
    result = simulate(written(tmp_path, QUARTERS), "2026-07-01", 12, ledger="none")

    def peak(days: int) -> int:
        """Beyond what is left of it [bytes]: of each day, what the bill says."""
        books = result.books.over(date(2026, 7, 1), days)
        tracemalloc.start()
        found = bills(books)
        left, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(found[0]["sheets"]) == days
        return most - left

    peak(1)  # what is imported and remembered the first time
    # What grew with the days would be six times as much.
    assert peak(12) < 3 * peak(2)
    result.close()


def test_bills_by_slot_are_those_by_day_told_otherwise(night: Result, shared_day: Result) -> None:
    """What tests change and fold again is, unchanged, what the exchange makes."""
    for result in (night, shared_day):
        for bill in proven(result.books, result.bills):
            assert by_day(by_slot(bill)) == bill


def test_charges_of_the_sums_are_those_of_the_slots(night: Result) -> None:
    for member, content in enumerate(night.bills.contents):
        assert content["charges"] == charge_lines(night.charges, member)
        assert content["total"] == night.charges.total[member]
        assert content["withoutMarket"] == night.charges_without_market.total[member]


def test_no_bill_is_made_of_slots_that_are_not_settled(tmp_path: Path) -> None:
    with short_days(first=20, slots=8):
        simulation = begin(tmp_path, days=2)
    books = exchange_of(simulation).books
    with pytest.raises(StoreError, match=f"^Slot {books.period.start} .* is not settled yet"):
        bills(books)
    while simulation.exchange.next and simulation.exchange.now < books.period.start + 5 * 3600:
        simulation.advance()
    first, second = (of_day for _, of_day in books.days())
    assert len(bills(first)) == 5
    for later in (books, second):
        with pytest.raises(StoreError, match=r"is not settled yet, and no bill can be made of it"):
            bills(later)
    simulation.close()


@given(st.integers(0, 2**31), st.integers(1, 40 * 86_400), st.sampled_from(["Europe/Berlin", "Asia/Kolkata", "UTC"]))
def test_days_fill_any_period(start: int, length: int, zone: str) -> None:
    days = list(days_between(start, start + length, zone))
    assert [since for _, since, _ in days] == [start, *(until for _, _, until in days[:-1])]
    assert days[-1][2] == start + length
    for day, since, until in days:
        whole = local_days(day, 1, zone)
        assert whole.start <= since < until <= whole.end
    assert len({day for day, _, _ in days}) == len(days)


WH = st.integers(0, 50_000)
MONEY = st.integers(-(10**9), 10**9)
PRICE = st.integers(-2_000_000, 2_000_000)


@st.composite
def days(draw: st.DrawFn) -> tuple[Tariff, list[Figures], Figures]:
    """The tariff, figures of some days of two members and a plant of theirs, and of all slots at once."""
    levies = (Levy("tax", draw(st.integers(0, 10**6)), grid=True, local=draw(st.booleans())),)
    vat = Fraction(draw(st.integers(0, 99)), 100)
    tariff = Tariff(Flat(draw(PRICE)), Flat(draw(PRICE)), draw(st.integers(0, 10**6)), levies, vat=vat)
    lengths = draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    count = sum(lengths)

    def column(of: st.SearchStrategy[int]) -> Any:
        return np.array(draw(st.lists(of, min_size=3 * count, max_size=3 * count))).reshape(3, count)

    used, alone = Energy(column(WH), column(WH), column(WH), column(MONEY)), Energy.alone(column(WH), column(WH))
    rates = [np.array(draw(st.lists(PRICE, min_size=count, max_size=count))) for _ in range(2)]
    prices = slot_prices(tariff, *rates)
    plant = Plant(2, "roof", np.array([0, 1]), np.array([2, 1]))
    fed = column(WH)[0]
    took = shares(plant, fed) * np.array(draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    local, utility = np.abs(column(MONEY)[0]) * (fed > 0), column(MONEY)[1] * (fed > 0)
    with_market = divide(plant, fed, took, local, utility)
    without = divide(plant, fed, took * 0, local * 0, utility)

    def of(places: slice) -> Figures:
        sums = [Sums.of(prices.part(places), each.part(places)) for each in (used, alone)]
        return Figures(sums[0], sums[1], (OfPlant(plant, with_market.part(places).left, without.part(places).left),))

    ends = np.cumsum([0, *lengths]).tolist()
    return tariff, [of(slice(*pair)) for pair in pairwise(ends)], of(slice(0, count))


@given(days())
def test_sums_of_days_add_up_to_those_of_their_period(case: tuple[Tariff, list[Figures], Figures]) -> None:
    tariff, of_days, whole = case
    summed = of_days[0]
    for figures in of_days[1:]:
        summed += figures
    for member in range(3):
        assert added(each.of(member) for each in of_days) == whole.of(member) == summed.of(member)
    for one, other in zip(last_page([(tariff, summed)]), last_page([(tariff, whole)]), strict=True):
        for member in range(3):
            assert charge_lines(one, member) == charge_lines(other, member)
        assert one.total.tolist() == other.total.tolist()
        assert one.total[2] == 0  # the plant's is its owners'


@given(days())
def test_a_last_page_is_rounded_once_and_not_for_each_day(case: tuple[Tariff, list[Figures], Figures]) -> None:
    """VAT and fees are those of the period's sums, at most a unit a day from the sum of what days would come to."""
    tariff, of_days, whole = case
    page, _ = last_page([(tariff, whole)])
    pages = [last_page([(tariff, figures)])[0] for figures in of_days]
    for name, amounts in page.fees.items():
        apart = sum(each.fees[name] for each in pages)
        assert ((amounts - apart >= 0) & (amounts - apart < len(of_days))).all()
    assert (page.energy == sum(each.energy for each in pages)).all()
