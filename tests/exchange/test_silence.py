"""Meters that are silent, and readings that come late: what settles in the end, whoever is asked."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from by_slot import proven, verify_bill
from exchange_cases import START, exchange_of, short_days, written
from hypothesis import given
from hypothesis import strategies as st
from profiles import dear
from silence_cases import MARKETS, moved, text

from commonwatt.accounts.document import MEASURED
from commonwatt.simulation.api import simulate
from commonwatt.simulation.result import Result
from commonwatt.simulation.silence import Silence


@contextmanager
def played(source: str, ledger: str = "embedded") -> Iterator[Result]:
    with TemporaryDirectory() as folder:
        result = simulate(written(Path(folder), source), START, 1, ledger=ledger)
        yield result
        result.close()


share = st.sampled_from(["0 %", "10 %", "35 %", "50 %"])


@dear(10)
@given(
    st.sampled_from(sorted(MARKETS)), share, share, st.sampled_from(["0s", "2h"]), st.sampled_from(["6h", "7d"]),
    st.sampled_from(["20", "0.1", "0"]), st.integers(0, 10**6), st.integers(4, 18),
)  # fmt: skip
def test_python_the_contract_and_the_verifying_members_agree_whatever_is_late_or_silent(
    market: str, late: str, silent: str, window: str, corrections: str, collateral: str, seed: int, first: int
) -> None:
    source = text(market, late, silent, window=window, corrections=corrections, seed=str(seed), collateral=collateral)
    with short_days(first, 4), played(source) as result, played(source, "none") as believing:
        arrays = result.arrays
        assert moved(result) == arrays["credit"].sum(axis=1).tolist()
        for name, array in believing.arrays.items():
            assert collateral != "20" or np.array_equal(array, arrays[name]), name
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


def test_which_readings_are_late_depends_on_the_seed_and_on_nothing_else() -> None:
    def drawn(late: str, silent: str, seed: bytes = b"a") -> list[int | None]:
        silence = Silence(Fraction(late), Fraction(silent), seed)
        return [silence.delay(slot, member) for slot, member in itertools.product(range(0, 900 * 400, 900), range(5))]

    some, more = drawn("0.1", "0.05"), drawn("0.2", "0.05")
    assert some == drawn("0.1", "0.05")
    assert some != drawn("0.1", "0.05", b"b")
    assert [delay is None for delay in some] == [delay is None for delay in more]
    assert all(one == other for one, other in zip(some, more, strict=True) if one != 0)
    assert 140 < sum(delay != 0 and delay is not None for delay in some) < 260
    assert 60 < sum(delay is None for delay in some) < 140
    assert {delay // 3600 for delay in some if delay} <= set(range(1, 49))
    assert set(drawn("0", "0")) == {0}
    assert set(drawn("0", "1")) == {None}
