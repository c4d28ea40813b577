"""A community is the same in every currency: the same energy is traded, and all money is the same times the rate."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from by_slot import anchored, by_day, proven, verify_bill
from exchange_cases import exchange_of, homes_of, short_days
from shell import Shell

from commonwatt.errors import VerificationError
from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.ledger.keyfile import write_key
from commonwatt.proof import checksum_address
from commonwatt.report.metrics import figures
from commonwatt.report.report import report_html
from commonwatt.report.screen import summary
from commonwatt.simulation.api import simulate
from commonwatt.simulation.result import Result
from commonwatt.study.compare.comparison import compare
from commonwatt.units import MICRO, price_text

START = "2026-06-15"
RATES = {"EUR": 1, "VND": 10_000, "IDR": 4_500, "LBP": 90_000, "IRR": 600_000}
UNITS = {"EUR": 1, "VND": 10_000, "IDR": 1_000, "LBP": 100_000, "IRR": 1_000_000}


def text(currency: str, market: str = "", unit: str = "") -> str:
    """A plant of 1 MW, a mill that takes as much, two homes; every price is that of the euro times the rate."""
    rate = RATES[currency]

    def money(euros: str) -> str:
        return price_text(int(Decimal(euros) * MICRO) * rate)

    return f"""
[community]
name = "Mill"
currency = "{currency}"
timezone = "Europe/Berlin"
slot = "1h"
{f'unit = "{unit}"' if unit else ""}

[tariff]
retail = [{{ from = "00:00", price = "{money("0.3")}" }}, {{ from = "17:00", price = "{money("0.4")}" }}]
feed_in = "{money("0.1")}"
network_fee = "{money("0.02")}"
vat = {{ rate = "0.1" }}

[tariff.levies]
duty = {{ price = "{money("0.01")}", on = "grid" }}

{
        market
        or f'''
[market.ahead]
mechanism = "fixed"
gate = "12:00"
price = "{money("0.2")}"

[market.after]
mechanism = "sdr"
'''
    }

[ledger]
bond = "{money("5")}"

[defaults]
collateral = "{money("20000")}"

[members]
plant = {{ load = "simbench:G0-A", annual_kwh = 9000, pv = {{ profile = "simbench:PV1", kwp = 1000 }}, \
mandate = {{ buy_wh = 9000, sell_wh = 1000000 }} }}
mill = {{ load = "simbench:G3-A", annual_kwh = 5000000, mandate = {{ buy_wh = 1000000, max_buy = "{money("0.38")}" }} }}
home = {{ load = "simbench:H0-A", annual_kwh = 3000, battery = {{ kwh = 8, kw = 4 }} }}
poor = {{ load = "simbench:H0-C", annual_kwh = 4000, collateral = "{money("0.4")}" }}
"""


def run(folder: Path, currency: str, ledger: str, **more: str) -> Result:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "community.toml"
    file.write_text(text(currency, **more), encoding="utf-8")
    out = folder / "out" if ledger == "embedded" else None
    return simulate(file, START, 1, ledger=ledger, out=out)


@pytest.fixture(scope="module", autouse=True)
def _short() -> Iterator[None]:
    """A few slots by day and some at the dearer price of the evening."""
    with short_days(first=12):
        yield


@pytest.fixture(scope="module")
def euros(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Result]]:
    runs = {ledger: run(tmp_path_factory.mktemp(ledger), "EUR", ledger) for ledger in ("none", "embedded")}
    yield runs
    for result in runs.values():
        result.close()


@pytest.fixture(scope="module")
def pounds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Result]]:
    folder = tmp_path_factory.mktemp("pounds")
    result = run(folder, "LBP", "embedded")
    yield folder, result
    result.close()


def in_currency(result: Result) -> np.ndarray[Any, np.dtype[np.float64]]:
    columns = ("bill", "bill_without_market", "saving")
    return np.array([result.homes[column].to_numpy() for column in columns])


def assert_the_same(result: Result, other: Result, rate: int, near: float = 1e-4) -> None:
    """Whole Wh are the same but for the poor home's, which pays as much as its last unit of money is worth."""
    for part in ("load", "net", "ahead", "after", "grid"):
        assert np.abs(result.arrays[part] - other.arrays[part]).max() <= 2, part
    assert result.arrays["credit"].any()
    assert in_currency(result) == pytest.approx(in_currency(other) * rate, rel=near, abs=rate * 1e-3)
    for column in ("ceiling", "feed_in", "grid_price", "ahead_local", "after_buy"):
        mine, theirs = (each.slots[column].to_numpy().astype(float) for each in (result, other))
        assert mine == pytest.approx(theirs * rate, rel=near, nan_ok=True)
    assert result.proofs[1] == result.proofs[2]


@pytest.mark.parametrize("currency", [currency for currency in RATES if currency != "EUR"])
@pytest.mark.parametrize("ledger", ["none", "embedded"])
def test_a_day_in_every_currency(tmp_path: Path, euros: dict[str, Result], currency: str, ledger: str) -> None:
    result = run(tmp_path, currency, ledger)
    assert result.community.unit == UNITS[currency]
    assert figures(result).traded > 2_000_000
    assert_the_same(result, euros[ledger], RATES[currency])
    if ledger == "embedded":
        assert result.ledger
        assert result.ledger.balances == result.ledger.deposits
        assert result.ledger.deposits == collateral_in_all(currency)
        client = exchange_of(result).client
        assert (client.terms.lane_unit, client.unit) == (UNITS[currency],) * 2
        for bill, member in zip(proven(result.books, result.bills), result.charges.total.tolist(), strict=True):
            assert bill["content"]["unit"] == UNITS[currency]
            found = verify_bill(bill, client)
            assert (found.total, found.currency) == (member * UNITS[currency], currency)
    result.close()


def collateral_in_all(currency: str) -> int:
    return (3 * 20_000 * MICRO + 400_000) * RATES[currency]


def test_a_given_unit_computes_the_same(tmp_path: Path, euros: dict[str, Result]) -> None:
    result = run(tmp_path, "VND", "none", unit="1")
    assert result.community.unit == MICRO
    assert_the_same(result, euros["none"], RATES["VND"], near=5e-4)
    result.close()


def test_euros_in_coarser_units_are_the_same_to_the_cent(tmp_path: Path, euros: dict[str, Result]) -> None:
    result = run(tmp_path, "EUR", "embedded", unit="0.0001")
    assert in_currency(result) == pytest.approx(in_currency(euros["embedded"]), rel=1e-3, abs=0.01)
    for bill in proven(result.books, result.bills):
        verify_bill(bill, exchange_of(result).client)
    result.close()


def test_ether_in_larger_units(tmp_path: Path) -> None:
    file = tmp_path / "community.toml"
    file.write_text(text("EUR", unit="0.001").replace('"EUR"', '"ETH"').replace('"0.4"', '"0.5"'), encoding="utf-8")
    result = simulate(file, START, 1, ledger="embedded")
    client = exchange_of(result).client
    assert client.terms.lane_unit == 1000 * 10**12
    bonds = 5 * 10**18
    assert client.node.balance(client.addresses.settlement) == int(client.balances().sum()) * 10**15 + bonds
    for bill in proven(result.books, result.bills):
        verify_bill(bill, client)
    result.close()


@pytest.mark.parametrize("mechanism", ["bilateral", "schedule", "coalition", "listings", "continuous", "mid-market"])
def test_every_kind_of_mechanism(tmp_path: Path, mechanism: str) -> None:
    """Those with batteries count costs in fractions, the others in whole units; all trade the same."""
    after = mechanism == "mid-market"
    stage = f'[market.only]\nmechanism = "{mechanism}"\n' + ("" if after else 'gate = "12:00"\n')
    results = []
    for currency in ("EUR", "LBP"):
        file = tmp_path / f"{currency}.toml"
        content = text(currency, market=stage)
        if mechanism == "schedule":
            content = content.replace("[tariff]", '[grid]\nnetwork = "simbench:rural2"\n\n[tariff]', 1)
            for place, member in enumerate(("plant", "mill", "home", "poor"), 1):
                content = content.replace(f"{member} = {{", f'{member} = {{ bus = "LV2.101 Bus {place}",')
            content = content.replace("kwp = 1000", "kwp = 20").replace("annual_kwh = 5000000", "annual_kwh = 20000")
        file.write_text(content, encoding="utf-8")
        results.append(simulate(file, START, 1, ledger="none"))
    euro, pound = results
    assert euro.arrays["credit"].any()
    ahead = [result.arrays["ahead"] + result.arrays["after"] for result in results]
    assert np.abs(ahead[0] - ahead[1]).sum() <= 0.02 * np.abs(ahead[0]).sum()
    assert in_currency(pound)[1] == pytest.approx(in_currency(euro)[1] * RATES["LBP"], rel=1e-4)
    assert in_currency(pound)[0].sum() == pytest.approx(in_currency(euro)[0].sum() * RATES["LBP"], rel=1e-2)
    assert euro.proofs == pound.proofs
    for result in results:
        result.close()


def test_all_that_people_read_is_in_the_currency(pounds: tuple[Path, Result], euros: dict[str, Result]) -> None:
    _, result = pounds
    euro, rate = euros["embedded"], RATES["LBP"]
    told, theirs = summary(result), summary(euro)
    for key in ("bill", "bill_without_market"):
        assert told["money"][key]["micro"] == pytest.approx(theirs["money"][key]["micro"] * rate, rel=1e-4)
    for mine, other in zip(told["homes"], theirs["homes"], strict=True):
        assert mine["bill"]["micro"] == pytest.approx(other["bill"]["micro"] * rate, rel=1e-4, abs=rate * 1000)
        assert Decimal(mine["bill"]["text"]) * MICRO == mine["bill"]["micro"]
    assert told["ledger"]["deposits"]["text"] == f"{60_000.4 * rate:.6f}"
    page = report_html(result)
    for words in (
        f"feed-in {price_text(9_000 * MICRO)}",
        f"retail {price_text(27_000 * MICRO)} to {price_text(36_000 * MICRO)} by time of use",
        f"network fee {price_text(1_800 * MICRO)} on local kWh",
        f"duty {price_text(900 * MICRO)} on kWh from the utility",
        "money whole multiples of 0.10.",
        f"balances of {60_000.4 * rate:.2f} LBP",
    ):
        assert words in page, words
    mandate = exchange_of(result).mandates[1].record
    assert "Buy at most 1 000 000 Wh per 60 minutes at up to 34200.00 LBP/kWh." in mandate.text
    assert mandate.max_buy == 342_000
    prices = result.trades["price"].to_numpy()
    assert ((prices >= 9_000) & (prices <= 36_000 * 1.1)).all()


def test_designs_are_compared_in_the_currency(tmp_path: Path, euros: dict[str, Result]) -> None:
    tables = {}
    for currency in ("EUR", "IDR"):
        file = tmp_path / f"{currency}.toml"
        file.write_text(text(currency), encoding="utf-8")
        tables[currency] = compare(file, START, 1, "fixed,sdr").rows
    for mine, other in zip(tables["IDR"], tables["EUR"], strict=True):
        assert mine.local_kwh == pytest.approx(other.local_kwh, abs=0.01)
        for figure in ("bill", "saved", "price"):
            wanted = getattr(other, figure)
            assert getattr(mine, figure) == (
                None if wanted is None else pytest.approx(wanted * RATES["IDR"], rel=1e-3, abs=5)
            )
        assert mine.zhou.value_tapping == pytest.approx(other.zhou.value_tapping, abs=1e-3)
        assert mine.gap == pytest.approx(other.gap, abs=1e-3)


@pytest.mark.parametrize("wrong", [1, 10, 1_000_000, -100_000, "100000"])
def test_a_bill_in_another_unit_than_the_contract_s(
    pounds: tuple[Path, Result], wrong: int | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if the operators had anchored it: the unit is the contract's to say."""
    _, result = pounds
    bill = copy.deepcopy(next(iter(proven(result.books, result.bills))))
    bill["content"]["unit"] = wrong
    client = exchange_of(result).client
    with pytest.raises(VerificationError, match="at least one figure in it was changed"):
        verify_bill(bill, client)
    for _ in range(2):
        root = anchored([bill["content"]]).tree.root
        bill["anchor"] = {"root": f"0x{root.hex()}", "index": 0, "siblings": []}
        monkeypatch.setattr(client, "anchored", lambda *_, root=root: root)
        with pytest.raises(VerificationError, match="counts money in another unit than the contract"):
            verify_bill(bill, client)
        bill["content"].pop("unit", None)


def test_a_member_s_commands_take_and_tell_the_currency(tmp_path: Path, said: Shell) -> None:
    result = run(tmp_path, "LBP", "embedded")
    keys = homes_of(result).keys
    assert keys
    addresses, mine = exchange_of(result).client.addresses, keys.members[0]
    balance, total = int(exchange_of(result).client.balances()[0]), int(result.charges.total[0])
    ledger = tmp_path / "out" / "ledger.sqlite"
    write_bill(result, tmp_path / "out" / "bills" / "plant.json")
    result.close()
    write_key(tmp_path / "my.key", mine)
    with EmbeddedChain(ledger) as chain:
        client = LedgerClient(chain, keys.operator, addresses)
        client.pay(mine.address, 10**18, at=chain.head.timestamp + 1)
    bill = tmp_path / "out" / "bills" / "plant.json"
    pin = ("--key", tmp_path / "my.key", "--contract", checksum_address(addresses.settlement), "--ledger", ledger)

    code, told, _ = said("verify", bill, "--ledger", ledger, "--json", "-")
    assert (code, json.loads(told)["total"]) == (0, total * 100_000)
    code, told, _ = said("verify", bill, "--ledger", ledger)
    assert f"plant receives {-total / 10:.2f} LBP" in told

    code, _, wrong = said("withdraw", bill, "0.25", *pin)
    assert code == 2
    assert "amount: is 0.25, no multiple of 0.10, in which money is counted here" in wrong
    code, _, wrong = said("withdraw", bill, f"{balance / 10 + 0.1:.1f}", *pin)
    assert (code, "InsufficientFree" in wrong) == (6, True)
    code, told, _ = said("withdraw", bill, f"{balance / 10:.1f}", *pin)
    assert (code, told.startswith("Asked for; claim it")) == (0, True)

    code, told, _ = said("chain", "account", ledger, "0", "--last", "100")
    assert "balance [LBP]" in told
    assert f"+{20_000 * RATES['LBP']}.0" in told


def write_bill(result: Result, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(by_day(next(iter(proven(result.books, result.bills))))))
