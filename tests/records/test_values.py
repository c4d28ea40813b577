"""A value that does not fit the type of its field is refused by name."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.errors import RecordError
from commonwatt.proof import Domain, Key, hash_struct, sign, verify
from commonwatt.records import BUY, Mandate, Mint, Order, Statement, Trade

HASH = bytes(range(32))
ORDER = Order(bytes(20), "", BUY, 500, 320_000, 1_780_000_000, 1_780_000_900, 1)
TRADE = Trade(1_780_000_000, 0, 0, 1, 2, 500, 200_000, HASH, HASH)
STATEMENT = Statement(500, 0, -100_000, HASH, HASH, HASH)
MANDATE = Mandate(bytes(20), bytes(20), "Buy.", 300_000, 0, 1_250, 0, 0, 1_780_000_000, 1)


@pytest.mark.parametrize(
    ("record", "field", "value", "name"),
    [
        (ORDER, "wh", -1, "Order.wh is uint64"),
        (ORDER, "wh", 2**64, "Order.wh is uint64"),
        (ORDER, "wh", 500.0, "Order.wh is uint64"),
        (ORDER, "wh", "500", "Order.wh is uint64"),
        (ORDER, "wh", None, "Order.wh is uint64"),
        (ORDER, "wh", True, "Order.wh is uint64"),
        (ORDER, "wh", np.int64(500), "Order.wh is uint64"),
        (ORDER, "side", 256, "Order.side is uint8"),
        (ORDER, "side", False, "Order.side is uint8"),
        (ORDER, "member", bytes(19), "Order.member is address"),
        (ORDER, "member", bytes(32), "Order.member is address"),
        (ORDER, "member", b"", "Order.member is address"),
        (ORDER, "member", bytearray(20), "Order.member is address"),
        (ORDER, "member", "0x" + "00" * 20, "Order.member is address"),
        (TRADE, "number", 2**32, "Trade.number is uint32"),
        (TRADE, "buy_order", bytes(20), "Trade.buyOrder is bytes32"),
        (TRADE, "sell_order", bytes(33), "Trade.sellOrder is bytes32"),
        (STATEMENT, "bought", 2**64, "Statement.bought is uint64"),
        (STATEMENT, "money", -(2**63) - 1, "Statement.money is int64"),
        (STATEMENT, "money", True, "Statement.money is int64"),
        (MANDATE, "text", b"Buy.", "Mandate.text is string"),
        (MANDATE, "text", "half a letter: \ud83d", "Mandate.text is string"),
    ],
)
def test_misfits_are_refused(record: Any, field: str, value: Any, name: str) -> None:
    with pytest.raises(RecordError) as caught:
        hash_struct(replace(record, **{field: value}))
    assert str(caught.value) == f"{name} and cannot hold {value!r}."


@pytest.mark.parametrize(
    ("record", "field", "value"),
    [
        (ORDER, "wh", 0),
        (ORDER, "wh", 2**64 - 1),
        (ORDER, "side", 255),
        (TRADE, "number", 2**32 - 1),
        (STATEMENT, "bought", 2**64 - 1),
        (STATEMENT, "money", -(2**63)),
        (MANDATE, "text", ""),
    ],
)
def test_the_ends_of_a_range_fit(record: Any, field: str, value: int | str) -> None:
    assert len(hash_struct(replace(record, **{field: value}))) == 32


@given(st.integers())
def test_an_integer_fits_or_is_refused(value: int) -> None:
    if 0 <= value < 2**64:
        hash_struct(replace(ORDER, wh=value))
    else:
        with pytest.raises(RecordError):
            hash_struct(replace(ORDER, wh=value))


KEY, DOMAIN = Key.derive(b"values", ""), Domain(7, bytes(20))


@pytest.mark.parametrize("field", ["wh", "limit", "slot", "expiry", "nonce"])
def test_what_is_signed_is_an_integer_that_a_wallet_shows_exactly(field: str) -> None:
    changes: list[dict[str, Any]] = [{field: 2**53 - 1}, {field: 2**53}]
    most, more = (sign(DOMAIN, replace(ORDER, **change), KEY) for change in changes)
    assert verify(DOMAIN, most, KEY.address) == most.hash
    with pytest.raises(RecordError) as caught:
        verify(DOMAIN, more, KEY.address)
    assert str(caught.value) == f"Order.{field} is 9007199254740992, and what is signed is at most 9007199254740991."


def test_money_of_a_statement_and_tokens_have_their_own_bounds() -> None:
    for record in (replace(STATEMENT, money=-(2**60)), Mint(bytes(20), 10**30, 0)):
        signed = sign(DOMAIN, record, KEY)
        assert verify(DOMAIN, signed, KEY.address) == signed.hash


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1))
def test_different_values_have_different_hashes(one: int, other: int) -> None:
    same = hash_struct(replace(STATEMENT, money=one)) == hash_struct(replace(STATEMENT, money=other))
    assert same == (one == other)
