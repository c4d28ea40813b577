"""What a community counts its money in: derived, given, or refused, and all of its file in it."""

from __future__ import annotations

from datetime import date, time
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from profiles import dear

from commonwatt.accounts.charges import charges
from commonwatt.community.model import Community
from commonwatt.community.tariff import Band, Flat, Levy, Tariff, TimeOfUse, slot_prices
from commonwatt.community.toml import parse
from commonwatt.errors import ConfigError, DataError
from commonwatt.exchange.checking import load, read_whole
from commonwatt.exchange.rules import Rules
from commonwatt.records.deltas import DELTA_MAX, pack_deltas
from commonwatt.units import MICRO, UNITS, in_units, micro, payment, price_text

SLOTS_OF_A_MONTH = 31 * 96


def text(retail: str, feed_in: str, wh: int = 50_000, unit: str = "", more: str = "", currency: str = "VND") -> str:
    given_unit = f'unit = "{unit}"\n' if unit else ""
    return f"""
[community]
name = "Phố"
currency = "{currency}"
timezone = "Asia/Ho_Chi_Minh"
{given_unit}
[tariff]
retail = {retail}
feed_in = {feed_in}
{more}
[members]
shop = {{ load = "simbench:G0-A", mandate = {{ buy_wh = {wh}, sell_wh = 10 }} }}
roof = {{ load = "simbench:H0-A", mandate = {{ buy_wh = 10, sell_wh = 20 }} }}
"""


@pytest.mark.parametrize(
    ("retail", "wh", "more", "unit"),
    [
        ("0.32", 50_000, "", 1),  # EUR: 16 in a slot
        ("0.32", 6_710_886, "", 1),  # EUR: 2147.48352, the last that fits
        ("0.32", 6_710_887, "", 10),
        ("2147.483647", 1000, "", 1),
        ("2147.48365", 1000, "", 10),
        ("3000", 50_000, "", 100),  # VND: 150 000 in a slot
        ("1444.7", 50_000, "", 100),  # IDR
        ("27000", 50_000, "", 1000),  # LBP
        ("27000", 250_000, "", 10_000),  # LBP, a plant of 1 MW in a quarter of an hour
        ("500000", 250_000, "", 100_000),  # IRR
        ("3000", 250_000_000, "", 1_000_000),  # VND, a plant of 1 GW
        ("3000", 715_827, 'vat = { rate = "0.1" }', 10_000),  # only the VAT makes it too much
        ("3000", 715_827, "", 1000),
    ],
)
def test_the_smallest_unit_with_which_every_mandate_fits(retail: str, wh: int, more: str, unit: int) -> None:
    community = parse(text(f'"{retail}"', '"0"', wh, more=more), "x")
    assert community.unit == unit
    assert community.per_currency == MICRO // unit
    assert community.tariff.retail == Flat(micro(retail) // unit)


@pytest.mark.parametrize("unit", [1, 10, 100_000, 1_000_000])
def test_a_given_unit_holds_where_it_fits(unit: int) -> None:
    assert parse(text('"3"', '"1"', unit=price_text(unit)), "x").unit == unit


def test_all_money_of_the_file_is_in_the_unit_and_nothing_else_is() -> None:
    more = """
network_fee = "120.5"
levies = { tax = { price = "80.25" } }
vat = { rate = "0.08" }

[ledger]
bond = "5000"

[market.pool]
mechanism = "sdr"

[defaults]
collateral = "750000"
mandate = { max_buy = "2500", min_sell = "900.75" }
"""
    bands = '[{ from = "00:00", price = "1100" }, { from = "17:00", price = "3600.1" }]'
    community = parse(text(bands, '"800"', unit="0.01", more=more), "x")
    assert community.tariff == Tariff(
        retail=TimeOfUse((Band(time(0), 110_000), Band(time(17), 360_010))),
        feed_in=Flat(80_000),
        network_fee=12_050,
        levies=(Levy("tax", 8025),),
        vat=Fraction(2, 25),
    )
    assert community.ledger.bond == 500_000
    for member in community.members:
        assert member.collateral == 75_000_000
        assert (member.terms.max_buy, member.terms.min_sell) == (250_000, 90_075)
    assert community.members[0].terms.buy_wh == 50_000


@pytest.mark.parametrize(
    ("unit", "sentence"),
    [
        ('"0.02"', 'community.unit: must be a power of ten from "0.000001" to "1", but is 0.02'),
        ('"10"', 'community.unit: must be a power of ten from "0.000001" to "1", but is 10'),
        ('"0"', "community.unit: must be a power of ten"),
        ('"-0.01"', "community.unit: must be a power of ten"),
        ('"1e-2"', "community.unit: '1e-2' is not a decimal number"),
        ("0.01", "community.unit: money is written in quotes"),
        (
            '"0.000001"',
            "community.unit: cannot be 0.000001 VND: a member could turn over 2147.483647 VND in a slot at most, and "
            'shop may turn over 150000.00 VND in a slot, 50000 Wh at 3000.00 VND/kWh; write "0.0001", or lower the '
            "buy_wh and",
        ),
    ],
)
def test_units_that_are_none_or_do_not_fit(unit: str, sentence: str) -> None:
    file = text('"3000"', '"1000"').replace("[tariff]", f"unit = {unit}\n[tariff]")
    with pytest.raises(ConfigError) as caught:
        parse(file, "x")
    (found,) = caught.value.findings
    assert str(found).startswith(sentence)


@pytest.mark.parametrize("unit", ["0.01", "1"])
def test_a_mandate_beyond_any_unit(unit: str) -> None:
    with pytest.raises(ConfigError, match=r"unit: cannot be .* VND: .* shop may turn over 3000000000\.00 VND"):
        parse(text('"3000"', '"1000"', 10**9, unit=unit), "x")


def test_a_mandate_beyond_any_unit_is_the_member_s_where_no_unit_was_written() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text('"3000"', '"1000"', 10**9), "x")
    (told,) = map(str, caught.value.findings)
    assert told == (
        "members.shop: may turn over 3000000000.00 VND in a slot, 1000000000 Wh at 3000.00 VND/kWh, but where money "
        "is counted in steps of 1.00 VND, the most that there is, 2147483647.00 VND is the limit; lower the buy_wh and "
        "sell_wh of its mandate"
    )


WHOLE = text('"3000"', '"9"', unit="1")
BANDS = '[{ from = "00:00", price = "1100" }, { from = "17:00", price = "3600.001" }]'


@pytest.mark.parametrize(
    ("file", "path", "amount"),
    [
        (text('"3000.005"', '"1000"', unit="0.01"), "tariff.retail", "3000.005"),
        (text(BANDS, '"1000"', unit="0.01"), "tariff.retail[2].price", "3600.001"),
        (text('"3000"', '"999.999"', unit="0.01"), "tariff.feed_in", "999.999"),
        (text('"3000"', '"9"', unit="0.1", more='network_fee = "0.05"'), "tariff.network_fee", "0.05"),
        (text('"3000"', '"9"', unit="1", more='levies = { t = { price = "1.5" } }'), "tariff.levies.t.price", "1.50"),
        (text('"3000"', '"9"', unit="1", more='[ledger]\nbond = "0.9"'), "ledger.bond", "0.90"),
        (WHOLE.replace('H0-A",', 'H0-A", collateral = "7.1",'), "members.roof.collateral", "7.10"),
        (WHOLE.replace("buy_wh = 10", 'max_buy = "8.5"'), "members.roof.mandate.max_buy", "8.50"),
        (WHOLE.replace("buy_wh = 10", 'min_sell = "8.5"'), "members.roof.mandate.min_sell", "8.50"),
    ],
)
def test_amounts_that_are_no_whole_number_of_units(file: str, path: str, amount: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(file, "x")
    (found,) = caught.value.findings
    assert found.path == path
    assert found.message.startswith(f"is {amount}, no multiple of ")


def test_a_derived_unit_that_an_amount_does_not_fit_says_why_it_is_so_large() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text('"3000.00005"', '"1000"'), "x")
    amount, unit = map(str, caught.value.findings)
    assert amount == "tariff.retail: is 3000.00005, no multiple of 0.0001, in which money is counted here"
    assert unit == (
        "members.shop: may turn over 150000.0025 VND in a slot, 50000 Wh at 3000.00005 VND/kWh, but where money is "
        "counted in steps of 0.00001 VND, 21474.83647 VND is the limit; lower the buy_wh and sell_wh of its mandate"
    )


def with_prices(folder: Path, highest: str, unit: str = "") -> Path:
    rows = "".join(f"2026-06-15T{hour:02}:00+07:00,{2000 + hour}.00051\n" for hour in range(23))
    (folder / "spot.csv").write_text(f"time,price [VND/kWh]\n{rows}2026-06-15T23:00+07:00,{highest}\n")
    path = folder / "community.toml"
    path.write_text(text('{ file = "spot.csv" }', '"1000"', unit=unit))
    return path


@pytest.mark.parametrize(("highest", "unit"), [("2500", 100), ("42949.6", 1000), ("42949.7", 10_000)])
def test_the_highest_price_of_a_file_counts(tmp_path: Path, highest: str, unit: int) -> None:
    assert load(with_prices(tmp_path, highest)).unit == unit


def test_prices_of_a_file_are_rounded_to_the_unit(tmp_path: Path) -> None:
    community = load(with_prices(tmp_path, "2500"))
    rules = Rules.of(community, tmp_path, date(2026, 6, 15), 1)
    assert rules.prices.retail[::4].tolist() == [20_000_005 + 10_000 * hour for hour in range(23)] + [25_000_000]
    assert set(rules.prices.feed_in.tolist()) == {10_000_000}
    assert rules.frame.unit == 100


def test_a_unit_that_a_price_file_does_not_fit(tmp_path: Path) -> None:
    path = with_prices(tmp_path, "429496.8", unit="0.001")
    with pytest.raises(ConfigError, match=r'Wh at 429496\.80 VND/kWh; write "0\.10", or lower'):
        load(path)


def test_the_highest_price_of_all_is_the_same_in_every_unit(tmp_path: Path) -> None:
    path = with_prices(tmp_path, "1000001", unit="1")
    with pytest.raises(DataError, match="is more than the highest price per kWh, 1000000"):
        read_whole(load(path), tmp_path)


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ('mechanism = "fixed"\ngate = "12:00"\nprice = "1800.05"', "price: is 1800.05, no multiple of 0.10"),
        ('mechanism = "sharing-key"\nprice = "1800.05"', "price: is 1800.05, no multiple of 0.10"),
        ('mechanism = "coalition"\ngate = "12:00"\nreserve = "0.01"', "reserve: is 0.01, no multiple of 0.10"),
        (
            'mechanism = "bilateral"\ngate = "12:00"\npreference = "surplus"\ngamma_max = "0.01"',
            "gamma_max: is 0.01, no multiple of 0.10",
        ),
        (
            'mechanism = "sharing-key"\nprice = "4000"',
            "price: a price of 4000.00 is outside what a local kWh may cost, 1000.00 to 3000.00",
        ),
    ],
)
def test_prices_among_the_market_s_parameters(tmp_path: Path, key: str, sentence: str) -> None:
    path = tmp_path / "community.toml"
    path.write_text(text('"3000"', '"1000"', unit="0.1", more=f"[market.pool]\n{key}\n"))
    with pytest.raises(ConfigError) as caught:
        load(path)
    (found,) = caught.value.findings
    assert str(found).startswith(f"market.pool.{sentence}")


def test_parts_among_the_market_s_parameters_are_no_money(tmp_path: Path) -> None:
    path = tmp_path / "community.toml"
    key = 'mechanism = "fixed"\ngate = "12:00"\nshare_of_average = "0.654321"'
    path.write_text(text('"3000"', '"1000"', unit="1", more=f"[market.pool]\n{key}\n"))
    assert load(path).unit == MICRO


@given(st.sampled_from(UNITS), st.integers(0, 10**15))
def test_an_amount_in_any_unit_is_shown_as_it_was_written(unit: int, units: int) -> None:
    written = str(Decimal(units * unit).scaleb(-6).quantize(Decimal("0.000001")))
    assert in_units(micro(written, most=10**21), unit) == units
    assert micro(price_text(units * unit), most=10**21) == units * unit


@given(st.sampled_from(UNITS[1:]), st.integers(0, 10**12), st.data())
def test_what_is_no_multiple_is_refused(unit: int, units: int, data: st.DataObject) -> None:
    rest = data.draw(st.integers(1, unit - 1))
    with pytest.raises(ValueError, match=r"^is [0-9.]+, no multiple of "):
        in_units(units * unit + rest, unit)


def a_plant(retail: int, feed_in: int, wh: int, vat: str) -> Community:
    more = f'vat = {{ rate = "{vat}" }}'
    return parse(text(f'"{price_text(retail * MICRO)}"', f'"{price_text(feed_in * MICRO)}"', wh, more=more), "x")


@dear(4)
@given(st.integers(1, 50_000), st.integers(1, 250_000), st.sampled_from(["0", "0.11", "0.27"]))
def test_a_month_of_a_plant_of_one_megawatt_fits(retail: int, wh: int, vat: str) -> None:
    """All of it traded at the highest local price or all of it bought from the utility, in every quarter of an hour."""
    community = a_plant(retail, 0, wh, vat)
    tariff, month = community.tariff, SLOTS_OF_A_MONTH
    assert isinstance(tariff.retail, Flat)
    prices = slot_prices(tariff, np.full(month, tariff.retail.price), np.zeros(month, dtype=np.int64))
    turnover = payment(wh, int(prices.gross[0]))
    assert turnover <= DELTA_MAX
    pack_deltas(np.array([turnover, -turnover]))
    energy, none = np.full((2, month), wh), np.zeros((2, month), dtype=np.int64)
    credit = np.stack([np.full(month, turnover), np.full(month, -turnover)])
    traded, bought = charges(tariff, prices, none, energy, credit), charges(tariff, prices, energy, none, none)
    assert (-traded.neighbours).tolist() == [month * turnover, -month * turnover]
    exact = month * Fraction(wh, 1000) * retail * (1 + Fraction(vat))
    assert float(bought.total[0] * Fraction(community.unit, MICRO)) == pytest.approx(float(exact), rel=1e-3, abs=1)
    # The next smaller unit would not have fitted.
    if community.unit > 1:
        assert payment(wh, int(prices.gross[0]) * 10) > DELTA_MAX - 10 * wh
