"""Clear one slot from a file: what `commonwatt clear` does.

    member,net_wh                    pools, and mechanisms on orders where every member takes the utility's price
    order,member,side,wh,limit       auctions, offers and order books; limit in currency/kWh
    {"agents": […], "links": […]}    bilateral trading

Every row that cannot be used is a finding with its number; nothing is cleared then.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from commonwatt.data.table import csv_rows, reading
from commonwatt.errors import ConfigError, Finding
from commonwatt.market import Events, Frame, Mechanism, Neighbourhood, Orders, Positions, as_events, find
from commonwatt.records import BUY, SELL, Clearing
from commonwatt.simulation.agents_file import read_agents
from commonwatt.units import MAX_ORDER_WH, MAX_PRICE, decimal_text, micro

SIDES: Final = {"buy": BUY, "sell": SELL}
POSITIONS: Final = ["member", "net_wh"]
Rows = list[tuple[int, list[str]]]
"""Rows of a file, numbered as there."""
ORDERS: Final = ["order", "member", "side", "wh", "limit"]


@dataclass(frozen=True)
class Slot:
    """What a file holds: the members' names, and their positions or orders."""

    members: tuple[str, ...]
    net: tuple[int, ...] = ()
    orders: tuple[tuple[int, int, int, int], ...] = ()
    """(member, side, Wh, limit [micro-currency/kWh])"""


def clear_file(
    name: str, file: Path, retail: str | None, feed_in: str | None, parameters: Mapping[str, str], hours: float = 1.0
) -> dict[str, Any]:
    """Clear the slot in `file` by the mechanism `name` and return plain JSON.

    retail, feed_in : [currency/kWh]; without them there is no utility, and no bound on prices
    parameters : as texts, such as {"price": "0.20"}
    Raises ConfigError with all findings, or MarketError.
    """
    mechanism = find(name)
    bounds = _corridor(retail, feed_in)
    typed = {key: from_text(mechanism, key, value) for key, value in parameters.items()}
    problems = [Finding(f"--param {key}" if key else "--param", text) for key, text in mechanism.problems(typed)]
    if problems:
        raise ConfigError(f"The request to {name}", problems)
    members, given = _input(mechanism, file, *bounds)
    zero, (ceiling, floor) = np.zeros(1, dtype=np.int64), _limits(*bounds)
    frame = Frame(zero, zero, hours, len(members), np.array([ceiling]), np.array([floor]))
    (clearing,) = mechanism.clear(frame, (given,), typed)
    return as_json(clearing, members)


def _input(
    mechanism: Mechanism[Any], file: Path, retail: int | None, feed_in: int | None
) -> tuple[tuple[str, ...], Any]:
    """The members' names and what the mechanism clears, from the kind of file that it takes."""
    if mechanism.needs is Neighbourhood:
        return read_agents(file, retail, feed_in)
    if mechanism.needs not in (Orders, Positions, Events):
        text = f"{mechanism.name} clears whole days of a community; use 'commonwatt simulate' or 'commonwatt compare'"
        raise ConfigError(f"The request to {mechanism.name}", [Finding("", text)])
    slot = read_slot(file)
    return slot.members, as_input(mechanism, slot, *_limits(retail, feed_in))


def read_slot(file: Path) -> Slot:
    """Read a CSV of positions or of orders.

    Raises ConfigError with every finding, by row as in the file, or DataError when it cannot be read.
    """
    with reading(file):
        rows = [(number, _trimmed(row)) for number, row in csv_rows(file)[1]]
    head = rows[0][1] if rows else []
    findings: list[Finding] = []
    if head == POSITIONS:
        slot = _positions(rows[1:], findings)
    elif head == ORDERS:
        slot = _orders(rows[1:], findings)
    else:
        text = f"the first line is '{','.join(POSITIONS)}' or '{','.join(ORDERS)}', not '{','.join(head)}'"
        raise ConfigError(str(file), [Finding("", text)])
    if findings:
        raise ConfigError(str(file), findings)
    return slot


def _trimmed(row: list[str]) -> list[str]:
    """The cells without spaces around them and without empty ones at the right end."""
    cells = [cell.strip() for cell in row]
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _positions(rows: Rows, findings: list[Finding]) -> Slot:
    net: dict[str, int] = {}
    for number, row in _complete(rows, 2, findings):
        member, wh = row[0], _integer(row[1], -MAX_ORDER_WH, number, "net_wh", findings)
        if member in net:
            findings.append(Finding(f"row {number}", f"member '{member}' has a position already"))
        net.setdefault(member, wh)
    return Slot(tuple(net), net=tuple(net.values()))


def _orders(rows: Rows, findings: list[Finding]) -> Slot:
    members: dict[str, int] = {}
    seen: set[str] = set()
    orders = []
    for number, (order, member, side, wh, limit) in _complete(rows, 5, findings):
        where = f"row {number}"
        if order in seen:
            findings.append(Finding(where, f"order '{order}' is there already"))
        seen.add(order)
        if side not in SIDES:
            findings.append(Finding(where, f"side is buy or sell, not '{side}'"))
        energy = _integer(wh, 0, number, "wh", findings)
        try:
            price = micro(limit)
            if abs(price) > MAX_PRICE:
                raise ValueError(f"limit is at most {MAX_PRICE // 10**6} currency/kWh")
        except ValueError as error:
            findings.append(Finding(where, str(error)))
            price = 0
        index = members.setdefault(member, len(members))
        if energy:
            orders.append((index, SIDES.get(side, BUY), energy, price))
    return Slot(tuple(members), orders=tuple(orders))


def _complete(rows: Rows, columns: int, findings: list[Finding]) -> Iterator[tuple[int, list[str]]]:
    """The rows with the right number of columns; the others are findings."""
    for number, row in rows:
        if len(row) == columns and all(row):
            yield number, row
        else:
            findings.append(Finding(f"row {number}", f"has {sum(map(bool, row))} values; {columns} are needed"))


def _integer(text: str, least: int, row: int, name: str, findings: list[Finding]) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,40}", text):
        findings.append(Finding(f"row {row}", f"{name} is a whole number of Wh, not '{text[:40]}'"))
        return 0
    value = int(text)
    if not least <= value <= MAX_ORDER_WH:
        findings.append(Finding(f"row {row}", f"{name} is between {least} and {MAX_ORDER_WH} Wh, not {value}"))
        return 0
    return value


def as_input(mechanism: Mechanism[Any], slot: Slot, ceiling: int, floor: int) -> Orders | Positions | Events:
    """The slot as the mechanism needs it; a plain position becomes an order at the utility's price and back."""
    members = len(slot.members)
    net = np.array(slot.net, dtype=np.int64)
    if slot.orders:
        orders = Orders(*np.array(slot.orders, dtype=np.int64).reshape(-1, 4).T)
    else:
        member = np.flatnonzero(net)
        side = np.where(net[member] > 0, BUY, SELL)
        orders = Orders(member, side, np.abs(net[member]), np.where(side == BUY, ceiling, floor))
    if mechanism.needs is Orders:
        return orders
    if mechanism.needs is Positions:
        if slot.orders:
            net = np.zeros(members, dtype=np.int64)
            np.add.at(net, orders.member, orders.net)
        return Positions(net, np.full(members, MAX_PRICE), np.full(members, -MAX_PRICE))
    return as_events(orders)


def as_json(clearing: Clearing, members: tuple[str, ...]) -> dict[str, Any]:
    """A clearing as plain JSON; prices as decimal text in currency/kWh."""
    t = clearing.trades
    rows = zip(t.buyer.tolist(), t.seller.tolist(), t.wh.tolist(), t.price.tolist(), strict=True)
    return {
        "mechanism": clearing.mechanism,
        "trades": [
            {"buyer": members[b], "seller": members[s], "wh": wh, "price": decimal_text(price)}
            for b, s, wh, price in rows
        ],
        "prices": {name: decimal_text(price) for name, price in clearing.prices.items()},
        "grid": {
            "import_wh": int(np.maximum(clearing.grid, 0).sum()),
            "export_wh": int(np.maximum(-clearing.grid, 0).sum()),
        },
        "proof": {
            "holds": clearing.proof.holds,
            "checks": [
                {"name": c.name, "holds": c.holds, "figure": c.figure, "meaning": c.meaning}
                for c in clearing.proof.checks
            ],
        },
        "diagnostics": dict(clearing.diagnostics),
    }


def _corridor(retail: str | None, feed_in: str | None) -> tuple[int | None, int | None]:
    """Both prices [micro-currency/kWh]. Raises ConfigError."""
    findings = []
    prices: list[int | None] = [None, None]
    for place, (name, text) in enumerate((("--retail", retail), ("--feed-in", feed_in))):
        if text is not None:
            try:
                prices[place] = micro(text, -MAX_PRICE, MAX_PRICE)
            except ValueError as error:
                findings.append(Finding(name, str(error)))
    highest, lowest = _limits(*prices)
    if not findings and highest < lowest:
        findings.append(Finding("--retail", f"is {retail}, less than --feed-in with {feed_in}"))
    if findings:
        raise ConfigError("The request", findings)
    return prices[0], prices[1]


def _limits(retail: int | None, feed_in: int | None) -> tuple[int, int]:
    """Ceiling and floor of a local price: whoever has no utility has no bound but that of all prices."""
    return MAX_PRICE if retail is None else retail, -MAX_PRICE if feed_in is None else feed_in


def from_text(mechanism: Mechanism[Any], key: str, text: str) -> object:
    """A parameter's text as the mechanism's own types want it: JSON where that fits, else the text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    keep = mechanism.problems({key: text})
    return value if any(found == key for found, _ in keep) else text
