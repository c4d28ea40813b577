"""Meters that are silent, and readings that come late: what settles, what is settled anew, and what a bill says of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from exchange_cases import HEAD, START, TARIFF, begin, exchange_of, homes_of, short_days, written
from hypothesis import given
from hypothesis import strategies as st
from profiles import dear

from commonwatt.accounts.document import CORRECTED, MEASURED, NOT_MEASURED
from commonwatt.errors import RecordError
from commonwatt.exchange import store as tables
from commonwatt.exchange.bills import proven
from commonwatt.exchange.events import Correction
from commonwatt.exchange.states import Readings
from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.member.verify import verify_bill
from commonwatt.simulation.api import simulate
from commonwatt.simulation.result import Result
from commonwatt.simulation.simulation import Simulation

HOMES = """
[members]
sun = { load = "simbench:H0-A", annual_kwh = 2000, pv = { profile = "simbench:PV1", kwp = 8 }, \
battery = { kwh = 5, kw = 2.5 }, collateral = "20" }
roof = { load = "simbench:H0-B", annual_kwh = 3000, pv = { profile = "simbench:PV3", kwp = 5 }, collateral = "20" }
flat = { load = "simbench:H0-C", annual_kwh = 9000, collateral = "20" }
"""
MARKETS = {
    "a price, then a pool": """
[market.day_ahead]
mechanism = "fixed"
gate = "12:00"
price = "0.20"

[market.real_time]
mechanism = "sdr"
""",
    "an auction": '\n[market.day_ahead]\nmechanism = "uniform"\ngate = "12:00"\n',
    "a pool": '\n[market.real_time]\nmechanism = "sdr"\n',
    "agreements, then a key": """
[market.neighbours]
mechanism = "bilateral"
gate = "12:00"
roles = "free"

[market.key]
mechanism = "sharing-key"
key = "static"
""",
}


def text(
    market: str = "a price, then a pool",
    late: str = "30 %",
    silent: str = "0 %",
    *,
    window: str = "0s",
    corrections: str = "7d",
    seed: str = "a",
) -> str:
    head = HEAD + f'seed = "{seed}"\n'
    ledger = f'\n[ledger]\nwindow = "{window}"\ncorrections = "{corrections}"\n'
    return head + TARIFF + MARKETS[market] + ledger + f'\n[simulation]\nlate = "{late}"\nsilent = "{silent}"\n' + HOMES


@contextmanager
def played(source: str, ledger: str = "embedded") -> Iterator[Result]:
    with TemporaryDirectory() as folder:
        result = simulate(written(Path(folder), source), START, 1, ledger=ledger)
        yield result
        result.close()


def moved(result: Result) -> list[int]:
    """What the run has moved on each balance, by the contract."""
    members = result.community.members
    return [
        balance - member.collateral
        for balance, member in zip(exchange_of(result).client.balances().tolist(), members, strict=True)
    ]


assert EmbeddedChain  # imported here: py-evm sets the limit of recursion, which hypothesis does not expect of an example
share = st.sampled_from(["0 %", "10 %", "35 %", "50 %"])


@dear(10)
@given(
    st.sampled_from(sorted(MARKETS)), share, share, st.sampled_from(["0s", "2h"]), st.sampled_from(["6h", "7d"]),
    st.integers(0, 10**6), st.integers(4, 18),
)  # fmt: skip
def test_python_the_contract_and_the_verifying_members_agree_whatever_is_late_or_silent(
    market: str, late: str, silent: str, window: str, corrections: str, seed: int, first: int
) -> None:
    source = text(market, late, silent, window=window, corrections=corrections, seed=str(seed))
    with short_days(first, 4), played(source) as result, played(source, "none") as believing:
        arrays = result.arrays
        assert moved(result) == arrays["credit"].sum(axis=1).tolist()
        for name, array in believing.arrays.items():
            assert np.array_equal(array, arrays[name]), name
        silent_ones = arrays["measured"] == 0
        for name in ("net", "ahead", "after", "grid", "credit"):
            assert not arrays[name][silent_ones].any()
        assert np.array_equal(arrays["net"][~silent_ones], arrays["flowed"][~silent_ones])
        for member, bill in enumerate(proven(result.books, result.bills)):
            verified = verify_bill(bill, exchange_of(result).client)
            assert verified.total == result.charges.total[member]
            assert [line.get("metered", MEASURED) for line in bill["content"]["slots"]] == result.books.metered[member]


@dear(20)
@given(st.sampled_from(sorted(MARKETS)), st.sampled_from(["0s", "2h"]), st.integers(0, 10**6), st.integers(4, 18))
def test_readings_that_come_late_leave_every_balance_as_if_they_had_come_in_time(
    market: str, window: str, seed: int, first: int
) -> None:
    late, in_time = (text(market, share, window=window, seed=str(seed)) for share in ("50 %", "0 %"))
    with short_days(first, 4), played(late) as corrected, played(in_time) as undisturbed:
        assert moved(corrected) == moved(undisturbed)
        for name, array in undisturbed.arrays.items():
            if name != "revision":
                assert np.array_equal(array, corrected.arrays[name]), name
        assert (corrected.charges.total == undisturbed.charges.total).all()
