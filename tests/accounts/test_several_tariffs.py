"""Charges under several tariffs: the exchange's arrays and the member's lines come to the same."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.accounts.charges import charges, joined
from commonwatt.accounts.document import Part, charge_lines, grid_amount, parts_of, tariff_terms, tariffs
from commonwatt.community.tariff import Flat, Levy, Tariff, slot_prices
from commonwatt.member.amounts import _charges, _joined, sums

PRICES = st.integers(0, 2_000_000)
OF_THE_UTILITY = st.integers(-2_000_000, 2_000_000)
WH = st.integers(-20_000, 20_000)


@st.composite
def tariffed(draw: st.DrawFn) -> tuple[Tariff, list[tuple[int, int]]]:
    """A tariff, and (grid, local) energy of a member's slots under it [Wh]."""
    names = draw(st.lists(st.sampled_from(["tax", "concession", "solidarity"]), unique=True))
    levies = tuple(Levy(name, draw(PRICES), draw(st.booleans()), draw(st.booleans())) for name in names)
    vat = Fraction(draw(st.integers(0, 99)), 100)
    tariff = Tariff(Flat(draw(OF_THE_UTILITY)), Flat(draw(OF_THE_UTILITY)), draw(PRICES), levies, vat=vat)
    return tariff, draw(st.lists(st.tuples(WH, WH), min_size=1, max_size=5))


@given(st.lists(tariffed(), min_size=1, max_size=4))
def test_both_sides_add_up_the_same(periods: list[tuple[Tariff, list[tuple[int, int]]]]) -> None:
    parts, shown = [], []
    for tariff, energy in periods:
        assert isinstance(tariff.retail, Flat)
        assert isinstance(tariff.feed_in, Flat)
        retail, feed_in = (np.full(len(energy), rate.price) for rate in (tariff.retail, tariff.feed_in))
        grid, local = (np.array([column], dtype=np.int64) for column in zip(*energy, strict=True))
        parts.append(charges(tariff, slot_prices(tariff, retail, feed_in), grid, local, -local))
        prices = {"retail": tariff.retail.price, "feedIn": tariff.feed_in.price}
        lines: list[dict[str, Any]] = [
            {
                "slot": 0,
                "trades": [{"buyer": 0, "settledWh": bought, "payment": bought}],
                "prices": prices,
                "grid": {"wh": wh, "amount": grid_amount(wh, prices["retail"], prices["feedIn"])},
            }
            for wh, bought in energy
        ]
        shown.append(_charges(tariff_terms(tariff), sums(lines, 0)))
    whole = joined(parts)
    assert _joined(shown) == charge_lines(whole, 0)
    assert int(whole.total[0]) == sum(int(part.total[0]) for part in parts)


@given(st.lists(tariffed(), min_size=1, max_size=4))
def test_what_is_written_of_tariffs_is_read(periods: list[tuple[Tariff, list[tuple[int, int]]]]) -> None:
    alone = len(periods) == 1
    parts = [
        Part(10 * place, 10 * place + 10, None if alone else f"0x{place:064x}", tariff_terms(tariff))
        for place, (tariff, _) in enumerate(periods)
    ]
    content = {"period": {"from": 0, "until": 10 * len(parts)}, **tariffs(parts)}
    assert ("tariff" in content) == alone
    assert list(parts_of(content)) == parts
