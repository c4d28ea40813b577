"""The words of a mandate say exactly what is signed."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.community.mandate import check_mandate, mandate_text
from commonwatt.errors import RecordError
from commonwatt.records import Mandate
from commonwatt.units import UNITS

JUNE, JULY = 1_780_264_800, 1_782_856_800  # midnight in Berlin
AGENT = bytes.fromhex("52908400098527886e0f7030069857d2e4169ee7")
BARE = Mandate(
    member=bytes(19) + b"\1",
    agent=AGENT,
    text="",
    max_buy=300_000,
    min_sell=95_000,
    buy_wh=12_500,
    sell_wh=2_000,
    valid_from=JUNE,
    valid_until=JULY,
    nonce=1,
)


def test_the_words_of_a_mandate() -> None:
    assert mandate_text(BARE, "EUR", "Europe/Berlin") == (
        "Buy at most 12 500 Wh per 15 minutes at up to 0.300000 EUR/kWh. "
        "Sell at most 2 000 Wh per 15 minutes from 0.095000 EUR/kWh. "
        "Valid from 2026-06-01 00:00+02:00 until 2026-07-01 00:00+02:00 (Europe/Berlin). "
        "Agent 0x52908400098527886E0F7030069857D2E4169EE7."
    )


def test_a_side_that_is_forbidden() -> None:
    text = mandate_text(replace(BARE, buy_wh=0), "EUR", "UTC", slot_seconds=3600)
    assert text.startswith("Buy nothing. Sell at most 2 000 Wh per 60 minutes from ")


@given(
    st.sampled_from(["max_buy", "min_sell", "buy_wh", "sell_wh", "valid_from", "valid_until"]),
    st.integers(1, 10**6),
)
def test_words_and_numbers_that_differ_are_refused(field: str, change: int) -> None:
    honest = replace(BARE, text=mandate_text(BARE, "EUR", "Europe/Berlin"))
    check_mandate(honest, "EUR", "Europe/Berlin")
    with pytest.raises(RecordError, match="do not say what its numbers say"):
        check_mandate(replace(honest, **{field: getattr(honest, field) + change}), "EUR", "Europe/Berlin")


def test_a_validity_that_is_no_period() -> None:
    with pytest.raises(RecordError, match="ends before it begins"):
        check_mandate(replace(BARE, valid_until=JUNE), "EUR", "Europe/Berlin")
    with pytest.raises(RecordError, match="beyond the calendar"):
        mandate_text(replace(BARE, valid_until=2**64 - 1), "EUR", "Europe/Berlin")


@given(st.sampled_from(UNITS), st.integers(0, 10**12), st.integers(0, 10**12))
def test_the_words_are_in_the_currency_whatever_money_is_counted_in(unit: int, max_buy: int, min_sell: int) -> None:
    signed = replace(BARE, max_buy=max_buy, min_sell=min_sell)
    text = mandate_text(signed, "LBP", "Asia/Beirut", unit=unit)
    highest, lowest = re.findall(r"([0-9.]+) LBP/kWh", text)
    assert Decimal(highest) == max_buy * unit * Decimal("0.000001")
    assert Decimal(lowest) == min_sell * unit * Decimal("0.000001")
    check_mandate(replace(signed, text=text), "LBP", "Asia/Beirut", unit=unit)


def test_words_of_another_unit_are_refused() -> None:
    honest = replace(BARE, text=mandate_text(BARE, "VND", "UTC", unit=100))
    assert "at up to 30.000000 VND/kWh" in honest.text
    with pytest.raises(RecordError, match="do not say what its numbers say"):
        check_mandate(honest, "VND", "UTC", unit=10)
