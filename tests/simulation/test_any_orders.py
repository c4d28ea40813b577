"""Whatever the orders of a file: no clearing by any mechanism breaks a limit, loses a Wh or a micro-unit.

The checks here are written anew, as plain sums over the rows of the file; no proof of a clearing is asked.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from profiles import dear

from commonwatt.market import MECHANISMS, Events, Orders, Positions
from commonwatt.simulation.oneslot import clear_file
from commonwatt.units import decimal_text, micro

RETAIL, FEED_IN = "0.32", "0.08"
NEEDS = {"fixed": {"price": "0.2"}}
FROM_TABLES = [name for name, mechanism in MECHANISMS.items() if mechanism.needs in (Orders, Positions, Events)]
Row = tuple[str, str, int, int]
"""(member, side, Wh, limit [micro-currency/kWh])"""

energies = st.one_of(st.integers(0, 9), st.sampled_from([250, 1000, 999_999_999]))
limits = st.one_of(
    st.integers(-20_000, 400_000), st.sampled_from([80_000, 80_001, 199_999, 200_000, 200_001, 320_000, 320_001])
)
sides = st.sampled_from(["buy", "sell"])
books = st.lists(st.tuples(st.sampled_from("abcdef"), sides, energies, limits), max_size=12)
one_each = st.lists(st.tuples(st.sampled_from("abcdef"), sides, energies, limits), max_size=6, unique_by=lambda r: r[0])


def cleared(name: str, text: str, *prices: str | None) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "slot"
        file.write_text(text, encoding="utf-8")
        retail, feed_in = prices or (RETAIL, FEED_IN)
        return clear_file(name, file, retail, feed_in, NEEDS.get(name, {}))


def orders(rows: list[Row]) -> str:
    lines = [f"{n},{member},{side},{wh},{decimal_text(limit)}" for n, (member, side, wh, limit) in enumerate(rows)]
    return "\n".join(["order,member,side,wh,limit", *lines])


def beyond(rows: list[Row], trades: list[dict[str, Any]], side: str) -> int:
    """Wh that some member trades at some price or a worse one, beyond what its orders allow there."""
    end, sign = ("buyer", 1) if side == "buy" else ("seller", -1)
    worst = 0
    for one in trades:
        at = sign * micro(one["price"])
        traded = sum(t["wh"] for t in trades if t[end] == one[end] and sign * micro(t["price"]) >= at)
        allowed = sum(wh for member, s, wh, limit in rows if (member, s) == (one[end], side) and sign * limit >= at)
        worst = max(worst, traded - allowed)
    return worst


def insist_on_sums(rows: list[Row], found: dict[str, Any]) -> None:
    left: Counter[str] = Counter()
    for member, side, wh, _ in rows:
        left[member] += wh if side == "buy" else -wh
    for trade in found["trades"]:
        left[trade["buyer"]] -= trade["wh"]
        left[trade["seller"]] += trade["wh"]
        assert trade["wh"] > 0
        assert trade["buyer"] != trade["seller"]
    unmet = found["unmet_wh"]
    assert found["grid"]["import_wh"] == sum(max(wh - unmet.get(member, 0), 0) for member, wh in left.items())
    assert found["grid"]["export_wh"] == sum(max(unmet.get(member, 0) - wh, 0) for member, wh in left.items())


@pytest.mark.parametrize("name", FROM_TABLES)
@dear(2)
@given(st.data())
def test_no_order_is_filled_beyond_its_limit(name: str, data: st.DataObject) -> None:
    rows = data.draw(one_each if MECHANISMS[name].needs is Positions else books)
    found = cleared(name, orders(rows))
    assert [beyond(rows, found["trades"], side) for side in ("buy", "sell")] == [0, 0]
    assert all(micro(FEED_IN) <= micro(trade["price"]) <= micro(RETAIL) for trade in found["trades"])
    insist_on_sums(rows, found)


@pytest.mark.parametrize("name", [name for name in FROM_TABLES if MECHANISMS[name].needs is not Positions])
@dear(2)
@given(rows=books)
def test_on_an_island_prices_lie_between_the_orders(name: str, rows: list[Row]) -> None:
    found = cleared(name, orders(rows), None, None)
    assert [beyond(rows, found["trades"], side) for side in ("buy", "sell")] == [0, 0]
    insist_on_sums(rows, found)
    assert found["grid"] == {"import_wh": 0, "export_wh": 0}


powers = st.sampled_from([-3.0, -1.0, -0.25, 0.0, 0.25, 2.0])
agents = st.lists(
    st.tuples(st.sampled_from([0, 1]), st.sampled_from([0, 2]), powers, powers).map(
        lambda a: {"a": a[0], "b": a[1], "p_min": min(a[2:]), "p_max": max(a[2:])}
    ),
    min_size=2,
    max_size=4,
)


@dear(4)
@given(agents, st.sets(st.tuples(st.integers(0, 3), st.integers(0, 3)).filter(lambda ends: ends[0] < ends[1])))
def test_nobody_trades_with_whom_it_may_not(rows: list[dict[str, float]], pairs: set[tuple[int, int]]) -> None:
    names = "wxyz"[: len(rows)]
    links = [(names[one], names[other]) for one, other in pairs if other < len(rows)]
    given_ = {"agents": [{"id": name, **row} for name, row in zip(names, rows, strict=True)]}
    if links:
        given_["links"] = [{"a": one, "b": other} for one, other in links]
    found = cleared("bilateral", json.dumps(given_), "5", "1")
    power = {name: [row["p_min"], row["p_max"]] for name, row in zip(names, rows, strict=True)}
    for trade in found["trades"]:
        ends = trade["seller"], trade["buyer"]
        assert not links or ends in links or ends[::-1] in links
        assert power[trade["seller"]][1] > 0
        assert power[trade["buyer"]][0] < 0
        assert 1 <= float(trade["price"]) <= 5
    assert found["unmet_wh"] == {}
