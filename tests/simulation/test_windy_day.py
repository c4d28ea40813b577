"""A day with prices below zero, reckoned by hand: flows, trades and proved bills, with and without curtailment."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from runpy import run_path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from by_slot import contents, proven, require_amounts, verify_bill
from exchange_cases import exchange_of
from hypothesis import given
from hypothesis import strategies as st
from profiles import dear
from rich.console import Console
from shell import Shell
from svg_cases import check_svg

from commonwatt.accounts.document import charge_lines
from commonwatt.errors import DataError, VerificationError
from commonwatt.exchange.checking import load
from commonwatt.member.terms import Terms
from commonwatt.report.notes import notes
from commonwatt.report.plots import balance_svg, prices_svg
from commonwatt.report.screen import render, summary
from commonwatt.simulation.api import simulate
from commonwatt.simulation.result import Result

CASE = Path(__file__).with_name("cases") / "windy-day"
DAY = "2026-03-12"
EXPECTED = json.loads((CASE / "expected.json").read_text("utf-8"))
Runs = dict[str, Result]


def case(folder: Path, old: str = "", new: str = "") -> Path:
    """The case's files in a folder, with `old` for `new` in the community's."""
    shutil.copytree(CASE, folder, dirs_exist_ok=True)
    file = folder / "community.toml"
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new) if old else text, "utf-8")
    return file


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    folder = tmp_path_factory.mktemp("windy")
    found = {
        "carla holds back": simulate(case(folder / "some"), DAY),
        "nobody holds back": simulate(case(folder / "none", ", curtail = true", ""), DAY),
    }
    yield found
    for result in found.values():
        result.close()


def test_what_is_expected_is_what_plain_loops_come_to() -> None:
    day = run_path(str(CASE / "reckon.py"))["day"]
    found = {"carla holds back": day(("carla",)), "nobody holds back": day(())}
    assert json.loads(json.dumps(found)) == EXPECTED


@pytest.mark.parametrize("name", EXPECTED)
def test_each_hour_is_what_was_reckoned(runs: Runs, name: str) -> None:
    result, hours = runs[name], EXPECTED[name]["hours"]
    names = [member.id for member in result.community.members]
    for price in ("retail", "feed_in", "gross", "ceiling", "floor"):
        assert getattr(result.prices, price).tolist() == [hour["prices"][price] for hour in hours], price
    for column, told in (("net", "net"), ("curtailed", "held"), ("grid", "grid")):
        assert result.arrays[column].tolist() == [[hour[told][member] for hour in hours] for member in names], column
    trades = result.trades.select("slot", "buyer", "seller", "settled_wh", "price").rows()
    begin = result.period.start
    by_hour: list[list[list[object]]] = [[] for _ in hours]
    for slot, *trade, price in trades:
        by_hour[(int(slot.timestamp()) - begin) // 3600].append([*trade, round(price * 1_000_000)])
    assert [sorted(each, key=str) for each in by_hour] == [sorted(hour["trades"], key=str) for hour in hours]


@pytest.mark.parametrize("name", EXPECTED)
def test_each_bill_is_what_was_reckoned_and_is_proved(runs: Runs, name: str) -> None:
    result, client = runs[name], exchange_of(runs[name]).client
    terms = Terms(result.community, CASE)
    for member, bill in zip(result.community.members, proven(result.books, result.bills), strict=True):
        told = EXPECTED[name]["bills"][member.id]
        lines = {line["name"]: line["amount"] for line in charge_lines(result.charges, member.index)}
        assert list(lines.values()) == [
            told[key] for key in ("energy", "feed_in", "neighbours", "network_fee", "concession_fee", "vat")
        ]
        found = verify_bill(json.loads(json.dumps(bill)), client)
        assert (found.total, found.without_market) == (told["total"], told["without_market"])
        terms.check(bill["content"])


@pytest.mark.parametrize("name", EXPECTED)
def test_the_ledger_moved_what_neighbours_paid_and_nobody_is_worse_off(runs: Runs, name: str) -> None:
    result, bills = runs[name], EXPECTED[name]["bills"]
    moved = exchange_of(result).client.balances() - 20_000_000
    assert moved.tolist() == [-bills[member.id]["neighbours"] for member in result.community.members]
    assert moved.sum() == 0
    assert all(bill["total"] <= bill["without_market"] for bill in bills.values())
    assert result.proofs[1] == result.proofs[2]


def test_who_holds_back_pays_less(runs: Runs) -> None:
    held, fed = (runs[name].charges.total.tolist() for name in ("carla holds back", "nobody holds back"))
    assert fed[2] - held[2] == 143_850


def test_no_price_of_a_bill_can_be_changed(runs: Runs) -> None:
    """With the file, also those on which no amount rests."""
    result = runs["carla holds back"]
    terms = Terms(result.community, CASE)
    for bill in contents(result.books):
        for slot in range(24):
            for name in ("retail", "feedIn"):
                for change in (1, -1):
                    content = copy.deepcopy(bill)
                    content["slots"][slot]["prices"][name] += change
                    with pytest.raises(VerificationError, match="the utility's prices are not what"):
                        terms.check(content)


def text_of(result: Result) -> str:
    console = Console(width=160, color_system=None, highlight=False)
    with console.capture() as captured:
        console.print(render(result, ()))
    return captured.get()


def test_the_hours_are_named(runs: Runs) -> None:
    result = runs["carla holds back"]
    told = (
        "feed-in price below zero in 6 of 24 slots (12 Mar 10:00 to 16:00), -0.067 EUR/kWh at the lowest; of the "
        "surplus 8.6 kWh went to neighbours and 5.8 kWh to the utility, and 5.6 kWh were held back"
    )
    free = "a kWh from the utility cost less than nothing in 2 of 24 slots (12 Mar 12:00 to 14:00), -0.00238 EUR at the"
    shown = " ".join(text_of(result).split())
    assert told in shown
    assert free in shown
    assert "between neighbours up to 0.00…0.16065" in shown
    found = [text for subject, text in notes(result) if subject == "Below zero"]
    assert [text[1:] for text in found] == [f"{told[1:]}.", f"{free[1:]} lowest."]
    assert summary(result)["below_zero"] == {
        "feed_in_slots": 6,
        "retail_slots": 2,
        "lowest_feed_in": "-0.067",
        "lowest_retail": "-0.00238",
    }


def test_plots_have_prices_below_zero_and_call_them_so(runs: Runs) -> None:
    result = runs["nobody holds back"]
    for plot in (prices_svg, balance_svg):
        for width in (360, 760):
            check_svg(plot(result, width))
    assert ">-0.05<" in prices_svg(result)
    assert ">-" not in balance_svg(result)


@pytest.mark.parametrize("mechanism", ["uniform", "pay-as-bid", "listings", "continuous", "coalition"])
@pytest.mark.parametrize("after", ["sdr", "sdr-compensated", "sharing-key"])
def test_every_market_of_orders_keeps_its_promise(tmp_path: Path, mechanism: str, after: str) -> None:
    file = case(tmp_path, 'mechanism = "fixed"', f'mechanism = "{mechanism}"')
    file.write_text(file.read_text("utf-8").replace('price = "0.05"\n', "").replace("mid-market", after), "utf-8")
    result = simulate(file, DAY, ledger="none")
    keeps_its_promise(result)
    held = result.arrays["curtailed"]
    assert not held[:2].any()
    assert held[2, 10:16].any()
    assert not result.trades.filter(result.trades["price"] < 0).height


@pytest.mark.parametrize("mechanism", ['"bilateral"', '"bilateral"\nroles = "free"', '"schedule"'])
def test_agents_that_agree_over_the_day_hold_back_and_plan_with_the_prices(tmp_path: Path, mechanism: str) -> None:
    file = case(tmp_path, '"fixed"', mechanism)
    text = file.read_text("utf-8").replace('price = "0.05"\n', "")
    if "schedule" in mechanism:
        text = text.replace("[market.day", '[grid]\nnetwork = "simbench:rural1"\n\n[market.day')
        for number, name in enumerate(("anna", "ben", "carla", "dora"), 1):
            text = text.replace(f"\n{name} = {{", f'\n{name} = {{ bus = "LV1.101 Bus {number}",')
    file.write_text(text, "utf-8")
    result = simulate(file, DAY, ledger="none")
    keeps_its_promise(result)
    assert all(found["converged"] for found in result.diagnostics("ahead"))
    assert (result.trades["price"] >= 0).all()
    held, dispatched = result.arrays["curtailed"], "schedule" in mechanism
    # Carla has sold nothing where nobody trades; ben holds back only where his inverter is dispatched, too.
    assert (held[2, 12:14] == 1200).all()
    assert held[1].any() == dispatched
    sold = -result.arrays["ahead"][2, 10:16]
    assert (result.arrays["net"][2, 10:16] == -sold).all()


def keeps_its_promise(result: Result) -> None:
    checks, holding = result.proofs[1:]
    assert checks == holding > 0
    saving = result.charges_without_market.total - result.charges.total
    assert (saving >= -3 * result.period.count).all()
    assert result.arrays["credit"].sum() == 0
    assert np.array_equal(result.arrays["net"], result.arrays["ahead"] + result.arrays["after"] + result.arrays["grid"])


def test_the_run_of_the_file_is_that_of_the_case(runs: Runs) -> None:
    """A run knows whether its homes hold back; that is a member's own, and nobody votes on it."""
    with_, without = (result.community for result in runs.values())
    assert with_.whole != without.whole
    assert with_.digest == without.digest
    assert load(CASE / "community.toml").whole == with_.whole


def test_prices_that_stand_for_each_other_are_refused(tmp_path: Path) -> None:
    file = case(tmp_path, 'retail = { file = "retail.csv" }', 'retail = { file = "spot.csv" }')
    dear = "\n".join(
        line if line.startswith("start") else f"{line.split(',')[0]},{float(line.split(',')[1]) + 100}"
        for line in (tmp_path / "retail.csv").read_text("utf-8").splitlines()
    )
    (tmp_path / "retail.csv").write_text(dear, "utf-8")
    file.write_text(file.read_text("utf-8").replace('feed_in = { file = "spot', 'feed_in = { file = "retail'), "utf-8")
    with pytest.raises(DataError, match="in none of 24 slots from 2026-03-12 on does a kWh from the grid cost as"):
        simulate(file, DAY, ledger="none")


def test_an_exchange_that_sells_below_what_it_buys_at_for_an_hour_is_no_mistake(tmp_path: Path) -> None:
    """A retail price that follows the exchange beside a feed-in price that does not: nothing is traded there."""
    file = case(tmp_path, 'feed_in = { file = "spot.csv" }', 'feed_in = "0.08"')
    result = simulate(file, DAY, ledger="none")
    keeps_its_promise(result)
    assert (result.prices.ceiling[10:14] < result.prices.floor[10:14]).all()
    assert not result.arrays["ahead"][:, 10:14].any()
    assert not result.arrays["curtailed"].any()


def test_negative_prices_go_through_the_shell(tmp_path: Path, said: Shell) -> None:
    orders = tmp_path / "orders.csv"
    orders.write_text("order,member,side,wh,limit\no1,a,buy,150,-0.01\no3,c,sell,100,-0.05\n", "utf-8")
    code, out, _ = said("clear", "uniform", orders, "--retail", "0.30", "--feed-in", "-0.067")
    assert (code, out.splitlines()[0]) == (0, "c → a: 100 Wh at -0.010000")
    code, _, told = said("clear", "uniform", orders, "--retail", "-0.1", "--feed-in", "-0.067")
    assert code == 2
    assert "is -0.1, less than --feed-in with -0.067" in told
    code, _, told = said("clear", "uniform", orders, "--retail", "0.3", "--feed-in", "nan")
    assert "'nan' is not a decimal number" in told
    code, out, _ = said("check", CASE / "community.toml")
    assert code == 0


prices = st.lists(st.integers(-200, 200), min_size=24, max_size=24)
MARKETS = ["fixed+mid-market", "uniform+sdr", "continuous+sdr-compensated", "coalition+sharing-key"]


@dear(10)
@given(prices, prices, st.sampled_from(MARKETS), st.lists(st.booleans(), min_size=3, max_size=3))
def test_any_day_conserves_keeps_its_promise_and_adds_up(
    spot: list[int], markup: list[int], market: str, curtail: list[bool]
) -> None:
    ahead, after = market.split("+")
    with TemporaryDirectory() as folder:
        file = case(Path(folder), 'mechanism = "fixed"', f'mechanism = "{ahead}"')
        text = file.read_text("utf-8").replace("mid-market", after).replace(", curtail = true", "")
        if ahead != "fixed":
            text = text.replace('price = "0.05"\n', "")
        for name, held in zip(("ben", "carla", "dora"), curtail, strict=True):
            text = text.replace(f'"{name}_pv", kwp = 2', f'"{name}_pv", kwp = 2, curtail = {str(held).lower()}')
        file.write_text(text, "utf-8")
        for name, more in (("spot", [0] * 24), ("retail", map(abs, markup))):
            rows = [f"2026-03-12T{h:02}:00,{p + m}" for h, (p, m) in enumerate(zip(spot, more, strict=True))]
            (file.parent / f"{name}.csv").write_text("\n".join(["start,price [EUR/MWh]", *rows]), "utf-8")
        result = simulate(file, DAY, ledger="none")
    keeps_its_promise(result)
    assert (result.trades["price"] >= 0).all()
    assert result.arrays["ahead"].sum() == result.arrays["after"].sum() == 0
    shut = result.prices.ceiling < result.prices.floor
    assert not result.arrays["ahead"][:, shut].any()
    assert not result.arrays["after"][:, shut].any()
    fed, below = -np.minimum(result.arrays["grid"], 0), result.prices.feed_in < 0
    for member, held in enumerate(curtail, 1):
        if held:
            # What it sold ahead was taken, as days are alike.
            assert not fed[member, below].any()
        else:
            assert not result.arrays["curtailed"][member].any()
    for content in contents(result.books):
        require_amounts(content)
