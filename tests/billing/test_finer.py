"""Files that are finer than whole Wh: shares are near the exact ones in each slot, and over the month."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from month_cases import COMMUNITY, EXPORTS, IMPORTS, OCTOBER, community, counted, hours, settled, write_export
from shell import Shell

from commonwatt.accounts.registers import Registers
from commonwatt.billing.metered import whole_wh
from commonwatt.billing.month import settle
from commonwatt.billing.outputs import write
from commonwatt.exchange.checking import load
from commonwatt.exchange.store import Store
from commonwatt.units import IntArray


@given(arrays(np.int64, st.tuples(st.integers(1, 6), st.integers(0, 20)), elements=st.integers(0, 10**7)))
def test_a_side_is_rounded_together(fine: IntArray) -> None:
    whole = whole_wh(fine)
    assert (np.abs(whole * 1000 - fine) < 1000).all()
    assert (np.abs((whole * 1000 - fine).sum(axis=0).cumsum()) <= 500).all()


@pytest.mark.parametrize("seed", range(3))
def test_shares_are_near_the_exact_ones_of_finer_readings(tmp_path: Path, seed: int) -> None:
    chance, registers = np.random.default_rng(seed), Registers.of(load(community(tmp_path)).members)
    shape, split = (len(registers), len(hours(OCTOBER))), registers.importing
    fine = chance.integers(0, 700_000, shape) * (chance.random(shape) < 0.7)
    metered = np.concatenate([whole_wh(fine[:split]), whole_wh(fine[split:])])
    found = settle(load(tmp_path / "hill.toml"), tmp_path, OCTOBER, metered, Store(None), fine=fine)
    sums = fine[:split].sum(axis=0), fine[split:].sum(axis=0)
    local = np.minimum(*sums)
    sides = (fine[:split] / np.maximum(sums[0], 1), fine[split:] / np.maximum(sums[1], 1))
    off = found.books.shares["shared"] - np.concatenate(sides) * local / 1000
    # Energy is whole Wh, and both sides have one sum, so that now and then a share is a little more than a Wh off.
    assert (np.abs(off) < 1).mean() > 0.999
    assert np.abs(off).max() < 2
    assert np.abs(off.sum(axis=1)).max() < 20
    assert registers.names == IMPORTS + EXPORTS


def test_where_nobody_shares_everybody_meets_the_utility(said: Shell, tmp_path: Path) -> None:
    start, rest = COMMUNITY.replace('kind = "none"', 'collateral = "none"').split("[market.sharing]")
    text = start + rest[rest.index("[billing]") :]
    write(settled(tmp_path, OCTOBER, [write_export(tmp_path / "a.csv", OCTOBER, counted(OCTOBER, 1))], text), tmp_path)
    found = said("verify", tmp_path / "bills/anna.json", "--card", tmp_path / "cards/anna.json")
    assert found.code == 0, found.err
    assert said("show", tmp_path / "bills/ben.json").code == 0
