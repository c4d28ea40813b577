"""The words of mandates and orders say exactly what is signed, in English and German."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.community.wording import LANGUAGES, check_mandate, check_order, mandate_text, order_text, signer_of
from commonwatt.errors import RecordError
from commonwatt.records import BUY, SELL, Mandate, Order
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
        "Buy at most 12 500 Wh per 15 minutes at up to 0.30 EUR/kWh. "
        "Sell at most 2 000 Wh per 15 minutes from 0.095 EUR/kWh. "
        "Valid from 2026-06-01 00:00+02:00 until 2026-07-01 00:00+02:00 (Europe/Berlin). "
        "Agent 0x52908400098527886E0F7030069857D2E4169EE7."
    )


def test_the_words_of_a_mandate_in_german() -> None:
    german = mandate_text(replace(BARE, sell_wh=0), "EUR", "Europe/Berlin", 60, language="de")
    assert german == (
        "Höchstens 12 500 Wh je 1 Minute kaufen, zu höchstens 0,30 EUR/kWh. Nichts verkaufen. "
        "Gültig ab 01.06.2026 00:00 (UTC+0200) bis 01.07.2026 00:00 (UTC+0200) (Europe/Berlin). "
        "Agent 0x52908400098527886E0F7030069857D2E4169EE7."
    )
    check_mandate(replace(BARE, sell_wh=0, text=german), "EUR", "Europe/Berlin", 60)


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
    assert "at up to 30.00 VND/kWh" in honest.text
    with pytest.raises(RecordError, match="do not say what its numbers say"):
        check_mandate(honest, "VND", "UTC", unit=10)


NOON, WINTER = 1_780_308_000, 1_793_489_400  # in Berlin; the second in the hour that its clocks repeat
ORDER = Order(bytes(19) + b"\1", "", BUY, 1_500, 312_500, NOON, NOON - 900, 7)


def test_the_words_of_an_order() -> None:
    assert order_text(ORDER, "EUR", "Europe/Berlin") == (
        "Buy at most 1 500 Wh from 2026-06-01 12:00+02:00 for 15 minutes (Europe/Berlin), "
        "at no more than 0.3125 EUR/kWh. Void from 2026-06-01 11:45+02:00 on. Number 7: the highest number counts."
    )
    assert order_text(ORDER, "EUR", "Europe/Berlin", language="de") == (
        "Höchstens 1 500 Wh kaufen, ab 01.06.2026 12:00 (UTC+0200) für 15 Minuten (Europe/Berlin), "
        "zu höchstens 0,3125 EUR/kWh. Ungültig ab 01.06.2026 11:45 (UTC+0200). Nummer 7: Die höchste Nummer gilt."
    )
    sale = replace(ORDER, side=SELL, wh=1, limit=2, slot=WINTER, expiry=WINTER + 1)
    assert order_text(sale, "ETH", "Europe/Berlin", 1) == (
        "Sell at most 1 Wh from 2026-11-01 00:30+01:00 for 1 second (Europe/Berlin), at no less than 0.000002 ETH/kWh. "
        "Void from 2026-11-01 00:30:01+01:00 on. Number 7: the highest number counts."
    )
    assert order_text(sale, "VND", "Asia/Ho_Chi_Minh", 60, 1_000_000, "de") == (
        "Höchstens 1 Wh verkaufen, ab 01.11.2026 06:30 (UTC+0700) für 1 Minute (Asia/Ho_Chi_Minh), "
        "zu mindestens 2,00 VND/kWh. Ungültig ab 01.11.2026 06:30:01 (UTC+0700). Nummer 7: Die höchste Nummer gilt."
    )


@pytest.mark.parametrize(
    ("side", "english", "german"),
    [
        (BUY, "Cancel my order to buy from ", "Meinen Auftrag zum Kauf ab 01.06.2026 12:00 (UTC+0200) für 15 Minuten"),
        (SELL, "Cancel my order to sell from ", "Meinen Auftrag zum Verkauf ab 01.06.2026 12:00 (UTC+0200) für 15 Min"),
    ],
)
def test_to_cancel_has_words(side: int, english: str, german: str) -> None:
    cancel = replace(ORDER, side=side, wh=0, limit=0)
    assert order_text(cancel, "EUR", "Europe/Berlin").startswith(english)
    told = order_text(cancel, "EUR", "Europe/Berlin", language="de")
    assert told.startswith(german)
    assert "(Europe/Berlin) zurückziehen. Ungültig ab " in told


WORDED = st.builds(
    Order,
    member=st.just(ORDER.member),
    text=st.just(""),
    side=st.sampled_from([BUY, SELL]),
    wh=st.integers(1, 2_000) | st.integers(1, 2**53 - 1),
    limit=st.integers(0, 2_000) | st.integers(0, 2**53 - 1),
    slot=st.integers(NOON - 5_000, NOON + 5_000) | st.integers(WINTER, WINTER + 4 * 3600) | st.integers(0, 2**37),
    expiry=st.integers(NOON - 5_000, NOON + 5_000) | st.integers(0, 2**37),
    nonce=st.integers(0, 20) | st.integers(0, 2**53 - 1),
) | st.builds(
    lambda side, nonce: replace(ORDER, side=side, wh=0, limit=0, nonce=nonce),
    st.sampled_from([BUY, SELL]),
    st.integers(0, 20),
)


@given(WORDED, WORDED, st.sampled_from([*LANGUAGES]), st.sampled_from(UNITS), st.sampled_from([1, 60, 900, 3600]))
def test_other_numbers_have_other_words(one: Order, other: Order, language: str, unit: int, seconds: int) -> None:
    words = ("EUR", "Europe/Berlin", seconds, unit)
    told = order_text(one, *words, language)
    assert (told == order_text(other, *words, language)) == (one == other)
    assert all(
        order_text(each, *words, more) != told for each in (one, other) for more in LANGUAGES if more != language
    )
    check_order(replace(one, text=told), *words)


@given(WORDED, st.sampled_from(["side", "wh", "limit", "slot", "expiry", "nonce"]), st.integers(1, 10**6))
def test_an_order_whose_words_and_numbers_differ_is_refused(given_order: Order, field: str, change: int) -> None:
    for language in LANGUAGES:
        honest = replace(given_order, text=order_text(given_order, "EUR", "Europe/Berlin", language=language))
        check_order(honest, "EUR", "Europe/Berlin")
        value: Any = 1 - honest.side if field == "side" else getattr(honest, field) + change
        with pytest.raises(RecordError):
            check_order(replace(honest, **{field: value}), "EUR", "Europe/Berlin")


def test_words_of_another_community_are_refused() -> None:
    here = ("EUR", "Europe/Berlin", 900, 1)
    for text in (
        order_text(ORDER, "USD", *here[1:]),
        order_text(ORDER, "EUR", "Europe/Vienna", 900, 1),
        order_text(ORDER, "EUR", "Europe/Berlin", 3600, 1),
        order_text(ORDER, "EUR", "Europe/Berlin", 900, 10),
        order_text(ORDER, *here).upper(),
        order_text(ORDER, *here) + order_text(ORDER, *here, "de"),
        "",
    ):
        with pytest.raises(RecordError, match="The words of the order do not say what its numbers say"):
            check_order(replace(ORDER, text=text), *here)


def test_what_no_sentence_can_say() -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"side": 2}, "to buy or to sell"),
        ({"wh": 0}, "cancels, and has the limit 0"),
        ({"slot": 2**53 - 1}, "The order's slot is beyond the calendar"),
        ({"expiry": 2**53 - 1}, "The order's expiry is beyond the calendar"),
    ]
    for change, reason in cases:
        with pytest.raises(RecordError, match=reason):
            order_text(replace(ORDER, **change), "EUR", "UTC")


def test_words_are_for_the_member_to_sign() -> None:
    assert signer_of(ORDER, BARE) == AGENT
    assert signer_of(replace(ORDER, text="Buy."), BARE) == ORDER.member
