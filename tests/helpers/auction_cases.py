"""What the tests of the auctions share: frames, books, reference cases, and books for hypothesis."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from commonwatt.market import Frame, Orders
from commonwatt.market.mechanism import Mechanism
from commonwatt.records import BUY, SELL
from commonwatt.records.clearing import Clearing
from commonwatt.units import MAX_ORDER_WH, micro

CASES = Path(__file__).parents[1] / "market" / "cases"
CEILING, FLOOR = 300_000, 80_000

Row = tuple[int, int, int, int]
"""An order: member, side, energy [Wh], limit [micro-currency/kWh]."""


def frame(members: int, ceiling: int = CEILING, floor: int = FLOOR) -> Frame:
    return Frame(np.array([900]), np.array([15]), 0.25, members, np.array([ceiling]), np.array([floor]))


def orders(*rows: Row) -> Orders:
    return Orders(*np.array(rows, dtype=np.int64).reshape(-1, 4).T)


def clear(
    mechanism: Mechanism[Any],
    rows: Sequence[Row],
    parameters: Mapping[str, object] | None = None,
    members: int | None = None,
    ceiling: int = CEILING,
    floor: int = FLOOR,
) -> Clearing:
    """The proved clearing of one slot; rows are (member, side, wh, limit)."""
    members = members or max((row[0] for row in rows), default=0) + 1
    (clearing,) = mechanism.clear(frame(members, ceiling, floor), (orders(*rows),), parameters or {})
    assert clearing.proof.holds
    return clearing


def deals(clearing: Clearing) -> list[tuple[int, ...]]:
    trades = clearing.trades
    columns = (trades.buyer, trades.seller, trades.wh, trades.price)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def figures(clearing: Clearing) -> dict[str, float]:
    """The diagnostics that are numbers."""
    return {name: figure for name, figure in clearing.diagnostics.items() if not isinstance(figure, str)}


def case(name: str) -> tuple[list[str], list[Row], dict[str, Any]]:
    """Names of the members, the book and what is expected of a reference case."""
    expected = json.loads((CASES / name / "expected.json").read_text())
    with (CASES / name / "input.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = list(dict.fromkeys(row["member"] for row in rows))
    sides = {"buy": BUY, "sell": SELL}
    book = [(names.index(r["member"]), sides[r["side"]], int(r["wh"]), micro(r["limit"])) for r in rows]
    return names, book, expected


energies = st.one_of(st.integers(1, 12), st.sampled_from([1_000, 999_999_937, MAX_ORDER_WH]))
# Few prices, so that equal ones, the corridor's ends and limits outside it are met often.
prices = st.one_of(st.sampled_from([79_999, FLOOR, 80_001, 150_000, CEILING, 300_001]), st.integers(FLOOR, CEILING))


@st.composite
def books(draw: st.DrawFn, most: int = 12, side: st.SearchStrategy[int] | None = None) -> list[Row]:
    """A book with at most one order per member and side; some members are on both sides."""
    pairs = st.tuples(st.integers(0, most - 1), side or st.sampled_from([BUY, SELL]))
    ends = draw(st.lists(pairs, unique=True, max_size=most))
    return [(member, end, draw(energies), draw(prices)) for member, end in ends]
