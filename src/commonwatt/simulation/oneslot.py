"""Clear one slot from a file: what `commonwatt clear` does.

    member,net_wh                    pools, and mechanisms on orders where every member takes the utility's price
    order,member,side,wh,limit       every mechanism on tables; limit in currency/kWh
    {"agents": […], "links": […]}    bilateral trading

Every row that cannot be used is a finding with its number; nothing is cleared then. A pool takes an order as its
member's position, with the order's limit. No price is made up: positions, and pools, need both of the utility's prices.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from commonwatt.data.table import csv_rows, reading
from commonwatt.devices.operation import operate
from commonwatt.errors import ConfigError, Finding, MarketError, PromiseBroken
from commonwatt.market import Events, Frame, Mechanism, Neighbourhood, Orders, Positions, as_events, find
from commonwatt.market.proving import asked, insist
from commonwatt.plain import many
from commonwatt.records import BUY, SELL, Clearing, Proof
from commonwatt.simulation.agents_file import read_agents
from commonwatt.units import MAX_ORDER_WH, MAX_PRICE, WH_PER_KWH, IntArray, decimal_text, micro

SIDES: Final = {"buy": BUY, "sell": SELL}
POSITIONS: Final = ["member", "net_wh"]
Rows = list[tuple[int, list[str]]]
"""Rows of a file, numbered as there."""
ORDERS: Final = ["order", "member", "side", "wh", "limit"]


@dataclass(frozen=True)
class SlotFile:
    """What a file holds: the members' names, and their positions [Wh] or their orders.

    orders : (member, side, Wh, limit [micro-currency/kWh]) each, None = a file of positions; names : of the orders
    """

    members: tuple[str, ...]
    net: tuple[int, ...] = ()
    orders: tuple[tuple[int, int, int, int], ...] | None = None
    names: tuple[str, ...] = ()

    @property
    def book(self) -> Orders | None:
        """The orders as columns; None of a file of positions."""
        return None if self.orders is None else Orders(*np.array(self.orders, dtype=np.int64).reshape(-1, 4).T)

    @property
    def wh(self) -> IntArray:
        """Net energy of each member, shape (members,) [Wh]."""
        book = self.book
        if book is None:
            return np.array(self.net, dtype=np.int64)
        wh = np.zeros(len(self.members), dtype=np.int64)
        np.add.at(wh, book.member, book.net)
        return wh


@dataclass(frozen=True)
class Utility:
    """What the utility sells and buys at [micro-currency/kWh]; None = it does not."""

    retail: int | None
    feed_in: int | None

    @property
    def corridor(self) -> tuple[int, int]:
        """Ceiling and floor of a local price: whoever has no utility has no bound but that of all prices."""
        return (
            MAX_PRICE if self.retail is None else self.retail,
            -MAX_PRICE if self.feed_in is None else self.feed_in,
        )

    @property
    def whole(self) -> bool:
        """Whether it both sells and buys."""
        return self.retail is not None and self.feed_in is not None


def clear_file(
    name: str, file: Path, retail: str | None, feed_in: str | None, parameters: Mapping[str, str], hours: float = 1.0
) -> dict[str, Any]:
    """Clear the slot in `file` by the mechanism `name` and return plain JSON.

    retail, feed_in : [currency/kWh]; without them there is no utility, and no bound on prices
    parameters : as texts, such as {"price": "0.20"}
    Raises ConfigError with all findings, or MarketError.
    """
    mechanism, utility = find(name), _utility(retail, feed_in)
    typed = {key: from_text(mechanism, key, value) for key, value in parameters.items()}
    _refuse(name, mechanism.problems(typed))
    members, given, slot = _input(mechanism, file, utility)
    zero, (ceiling, floor) = np.zeros(1, dtype=np.int64), utility.corridor
    frame = Frame(zero, zero, hours, len(members), np.array([ceiling]), np.array([floor]))
    _refuse(name, mechanism.in_vain(typed, frame))
    try:
        (clearing,) = mechanism.clear(frame, (given,), typed)
        if slot is not None and (orders := slot.book) is not None:
            clearing = _within_orders(clearing, frame, orders, slot.names)
    except PromiseBroken as error:
        raise MarketError(error.alone) from error
    if slot is None:
        return as_json(clearing, members, clearing.grid, _unmet(clearing, given, hours))
    # What a mechanism refuses of the orders, its clearing does not count; their members meet the utility all the same.
    rest = slot.wh - clearing.trades.position(len(members))
    alone = np.where(rest > 0, utility.retail is None, utility.feed_in is None)
    return as_json(clearing, members, np.where(alone, 0, rest), np.where(alone, rest, 0))


def _refuse(name: str, problems: list[tuple[str, str]]) -> None:
    """Raise ConfigError when there is something wrong with the parameters."""
    if problems:
        findings = [Finding(f"--param {key}" if key else "--param", text) for key, text in problems]
        raise ConfigError(f"The request to {name}", findings)


def _input(mechanism: Mechanism[Any], file: Path, utility: Utility) -> tuple[tuple[str, ...], Any, SlotFile | None]:
    """The members' names, what the mechanism clears, and the table that it comes from, if it is one."""
    if mechanism.needs is Neighbourhood:
        return *read_agents(file, utility.retail, utility.feed_in), None
    if mechanism.needs not in (Orders, Positions, Events):
        text = f"{mechanism.name} clears whole days of a community; use 'commonwatt simulate' or 'commonwatt compare'"
        raise ConfigError(f"The request to {mechanism.name}", [Finding("", text)])
    slot = read_slot(file)
    if not utility.whole and (slot.orders is None or mechanism.needs is Positions):
        told = (
            "positions have no prices of their own" if slot.orders is None else "its prices lie between the utility's"
        )
        raise ConfigError(f"The request to {mechanism.name}", [Finding("", f"{told}; give --retail and --feed-in")])
    return slot.members, as_input(mechanism, slot, *utility.corridor), slot


def _within_orders(clearing: Clearing, frame: Frame, orders: Orders, names: tuple[str, ...]) -> Clearing:
    """The clearing proved against the orders of the file too, and what it says of some by their names in the file.

    Raises MarketError when it breaks one.
    """
    check = asked(clearing.trades, orders)
    insist(clearing.mechanism, frame, 0, check)
    named = {f"order {place}": f"order {name}" for place, name in enumerate(names)}
    diagnostics = {named.get(key, key): value for key, value in clearing.diagnostics.items()}
    return replace(clearing, proof=Proof((*clearing.proof.checks, check)), diagnostics=diagnostics)


def _unmet(clearing: Clearing, agents: Neighbourhood, hours: float) -> IntArray:
    """What agents lack (positive) or cannot get rid of with these trades, shape (members,) [Wh]."""
    sold = -clearing.trades.position(agents.homes.shape[0])[:, None] / (WH_PER_KWH * hours)
    unmet = operate(agents.homes, sold, hours).unmet[:, 0]
    return np.rint(unmet * hours * WH_PER_KWH).astype(np.int64)


def read_slot(file: Path) -> SlotFile:
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


def _positions(rows: Rows, findings: list[Finding]) -> SlotFile:
    net: dict[str, int] = {}
    for number, row in _complete(rows, 2, findings):
        member, wh = row[0], _integer(row[1], -MAX_ORDER_WH, number, "net_wh", findings)
        if member in net:
            findings.append(Finding(f"row {number}", f"member '{member}' has a position already"))
        net.setdefault(member, wh)
    return SlotFile(tuple(net), tuple(net.values()))


def _orders(rows: Rows, findings: list[Finding]) -> SlotFile:
    members: dict[str, int] = {}
    seen: set[str] = set()
    orders, names = [], []
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
                raise ValueError(f"is at most {MAX_PRICE // 10**6} currency/kWh")
        except ValueError as error:
            findings.append(Finding(f"{where}, limit", str(error)))
            price = 0
        index = members.setdefault(member, len(members))
        if energy:
            orders.append((index, SIDES.get(side, BUY), energy, price))
            names.append(order)
    return SlotFile(tuple(members), orders=tuple(orders), names=tuple(names))


def _complete(rows: Rows, columns: int, findings: list[Finding]) -> Iterator[tuple[int, list[str]]]:
    """The rows with the right number of columns; the others are findings."""
    for number, row in rows:
        if len(row) == columns and all(row):
            yield number, row
        else:
            findings.append(Finding(f"row {number}", f"has {many(sum(map(bool, row)), 'value')}; {columns} are needed"))


def _integer(text: str, least: int, row: int, name: str, findings: list[Finding]) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,40}", text):
        findings.append(Finding(f"row {row}", f"{name} is a whole number of Wh, not '{text[:40]}'"))
        return 0
    value = int(text)
    if not least <= value <= MAX_ORDER_WH:
        findings.append(Finding(f"row {row}", f"{name} is between {least} and {MAX_ORDER_WH} Wh, not {value}"))
        return 0
    return value


def as_input(mechanism: Mechanism[Any], slot: SlotFile, ceiling: int, floor: int) -> Orders | Positions | Events:
    """The slot as the mechanism needs it; a plain position takes the utility's price.

    Raises ConfigError when orders are no positions: a member has one limit, and either buys or sells.
    """
    members, net, orders = len(slot.members), slot.wh, slot.book
    if mechanism.needs is Positions:
        if orders is None:
            return Positions(net, np.full(members, ceiling), np.full(members, floor))
        return _positions_of(mechanism, slot, orders)
    if orders is None:
        member = np.flatnonzero(net)
        side = np.where(net[member] > 0, BUY, SELL)
        orders = Orders(member, side, np.abs(net[member]), np.where(side == BUY, ceiling, floor))
    return as_events(orders) if mechanism.needs is Events else orders


def _positions_of(mechanism: Mechanism[Any], slot: SlotFile, orders: Orders) -> Positions:
    terms = np.unique(np.column_stack([orders.member, orders.side, orders.limit]), axis=0)
    several = np.flatnonzero(np.bincount(terms[:, 0], minlength=len(slot.members)) > 1)
    told = f"has orders on both sides or with several limits; {mechanism.name} shares one position of each member"
    if len(several):
        raise ConfigError(
            "The list of orders", [Finding(f"member '{slot.members[member]}'", told) for member in several]
        )
    limit = np.zeros(len(slot.members), dtype=np.int64)
    limit[orders.member] = orders.limit
    return Positions(slot.wh, limit, limit)


def as_json(clearing: Clearing, members: tuple[str, ...], grid: IntArray, unmet: IntArray) -> dict[str, Any]:
    """A clearing as plain JSON; prices as decimal text in currency/kWh.

    grid : from the utility, unmet : what nobody provides (positive) or takes, each shape (members,) [Wh]
    """
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
            "import_wh": int(np.maximum(grid, 0).sum()),
            "export_wh": int(np.maximum(-grid, 0).sum()),
        },
        "unmet_wh": {members[index]: int(unmet[index]) for index in np.flatnonzero(unmet).tolist()},
        "proof": {
            "holds": clearing.proof.holds,
            "checks": [
                {"name": c.name, "holds": c.holds, "figure": c.figure, "meaning": c.meaning}
                for c in clearing.proof.checks
            ],
        },
        "diagnostics": dict(clearing.diagnostics),
    }


def in_words(found: Mapping[str, Any]) -> Iterator[str]:
    """The lines that a person reads, from what `clear_file` returns."""
    for trade in found["trades"]:
        yield f"{trade['seller']} → {trade['buyer']}: {trade['wh']} Wh at {trade['price']}"
    prices = ", ".join(f"{name} {price}" for name, price in found["prices"].items()) or "none"
    grid = found["grid"]
    yield f"prices: {prices}; from the utility {grid['import_wh']} Wh, to it {grid['export_wh']} Wh; all checks hold"
    figures = found["diagnostics"]
    if figures.get("refused"):
        yield f"refused: {figures['refused']} of the orders; --json says why"
    if figures.get("routes") == 0:
        yield "nobody can trade with anybody: no two that may trade have something to sell and a use for it"
    elif "routes" in figures and figures["barred"] == figures["routes"]:
        yield "the preferences leave nothing to gain between any two"
    for told, sign in (("not served", 1), ("not taken", -1)):
        left = [f"{member} {sign * wh} Wh" for member, wh in found["unmet_wh"].items() if sign * wh > 0]
        if left:
            yield f"{told}: {', '.join(left)}"


def insist_on_plan(found: Mapping[str, Any]) -> None:
    """Raise MarketError, saying why, when the mechanism found no plan that all can live with."""
    figures = found["diagnostics"]
    # Where nobody can trade with anybody there is one plan, and it is one when it leaves nobody without.
    if figures.get("converged", 1) or not (figures["routes"] or found["unmet_wh"]):
        return
    why = (
        f"{found['mechanism']} did not converge in {figures['iterations']} rounds, so nobody trades"
        if figures["routes"]
        else "Nobody can trade with anybody"
    )
    lacking, left = (sum(max(sign * wh, 0) for wh in found["unmet_wh"].values()) for sign in (1, -1))
    raise MarketError(f"{why}; {lacking} Wh are not served and {left} Wh not taken.")


def _utility(retail: str | None, feed_in: str | None) -> Utility:
    """Both prices from their texts. Raises ConfigError."""
    findings = []
    prices: list[int | None] = [None, None]
    for place, (name, text) in enumerate((("--retail", retail), ("--feed-in", feed_in))):
        if text is not None:
            try:
                prices[place] = micro(text, -MAX_PRICE, MAX_PRICE)
            except ValueError as error:
                findings.append(Finding(name, str(error)))
    utility = Utility(*prices)
    highest, lowest = utility.corridor
    if not findings and highest < lowest:
        findings.append(Finding("--retail", f"is {retail}, less than --feed-in with {feed_in}"))
    if findings:
        raise ConfigError("The request", findings)
    return utility


def from_text(mechanism: Mechanism[Any], key: str, text: str) -> object:
    """A parameter's text as the mechanism's own types want it: JSON where that fits, else the text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    refused = {found.partition(".")[0] for found, _ in mechanism.problems({key: text})}
    return value if key in refused else text
