"""A small community and what the tests of the exchange ask of its runs."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

import commonwatt
from commonwatt.community.calendar import Slots
from commonwatt.community.tariff import SlotPrices
from commonwatt.exchange.bills import proven
from commonwatt.exchange.checking import load
from commonwatt.exchange.events import Event, SlotEnd
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.rules import Rules
from commonwatt.simulation.homes import SigningHomes
from commonwatt.simulation.result import Result
from commonwatt.simulation.simulation import Simulation

START = "2026-06-15"
HEAD = """
[community]
name = "Five homes"
currency = "EUR"
timezone = "Europe/Berlin"
slot = "1h"
"""
TARIFF = """
[tariff]
retail = "0.27"
feed_in = "0.08"
network_fee = "0.02"
vat = { rate = "0.19" }

[tariff.levies]
electricity_tax = { price = "0.0205", on = "grid" }
concession_fee = { price = "0.0132" }
"""
AHEAD = """
[market.day_ahead]
mechanism = "fixed"
gate = "12:00"
price = "0.20"
"""
BILATERAL = """
[market.neighbours]
mechanism = "bilateral"
gate = "12:00"
roles = "free"
"""
AFTER = """
[market.real_time]
mechanism = "sdr"
"""
LISTINGS = """
[market.board]
mechanism = "listings"
gate = "12:00"
"""
POOLS = """
[market.key]
mechanism = "sharing-key"
key = "static"

[market.rest]
mechanism = "sdr"
"""
MEMBERS = """
[defaults]
collateral = "20"

[members]
sun = { load = "simbench:H0-A", annual_kwh = 2000, pv = { profile = "simbench:PV1", kwp = 8 }, \
battery = { kwh = 5, kw = 2.5 } }
roof = { load = "simbench:H0-B", annual_kwh = 3000, pv = { profile = "simbench:PV3", kwp = 5 } }
flat = { load = "simbench:H0-C", annual_kwh = 4000 }
shop = { load = "simbench:H0-G", annual_kwh = 6000 }
poor = { load = "simbench:H0-L", annual_kwh = 5000, collateral = "0.05" }
"""
COMMUNITY = HEAD + TARIFF + AHEAD + AFTER + MEMBERS
POOR = 4
"""Index of the member whose collateral lasts for a few trades only."""


def written(folder: Path, text: str = COMMUNITY) -> Path:
    """The community's file in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "community.toml"
    file.write_text(text, encoding="utf-8")
    return file


def snapshot(result: Result) -> dict[str, Any]:
    """Everything that a run leaves behind, short enough to compare: head of the chain, balances, bills, tables."""
    outbox = exchange_of(result).outbox
    assert outbox
    bills = json.dumps(list(proven(result.books, result.bills)))
    return {
        "head": outbox.client.node.head.hash.hex(),
        "balances": outbox.client.balances().tolist(),
        "bills": hashlib.sha256(bills.encode()).hexdigest(),
        "waiting": len(outbox.pending),
    }


def all_rows(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of the exchange's file, by table, but for where the community's files were; nobody may have it open."""
    with sqlite3.connect(folder / "exchange.sqlite") as file:
        names = [name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = {name: file.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall() for name in names}  # noqa: S608
    file.close()
    rows["run"] = [row for row in rows["run"] if row[0] != "asked"]
    return rows


def begin(folder: Path, text: str = COMMUNITY, days: int = 1, start: str = START) -> Simulation:
    """A run that has not begun to move, with its files in `folder`/out; one event at a time by `advance`."""
    file = written(folder, text)
    return Simulation(load(file), folder, date.fromisoformat(start), days, out=folder / "out")


WHOLE = Rules.of


def shortened(rules: Rules, first: int, slots: int) -> Rules:
    """The same days, but for the slots before number `first` and after `slots` more."""
    seconds = rules.period.seconds
    period = Slots(rules.period.start + first * seconds, slots, seconds)
    events: list[Event] = []
    for event in rules.events:
        if isinstance(event, SlotEnd):
            events += [event] if period.start <= event.slot < period.end else []
        else:
            start, end = max(event.slots.start, period.start), min(event.slots.end, period.end)
            events += [replace(event, slots=Slots(start, (end - start) // seconds, seconds))] if start < end else []
    chosen = slice(first, first + slots)
    return replace(
        rules,
        period=period,
        events=tuple(events),
        prices=SlotPrices(*(getattr(rules.prices, column.name)[chosen] for column in fields(SlotPrices))),
        frame=rules.frame.part(chosen),
    )


@contextmanager
def short_days(first: int = 7, slots: int = 8) -> Iterator[None]:
    """Every run that is opened here has only these slots; those of a morning have every kind of moment and of trade."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rules, "of", lambda *arguments: shortened(WHOLE(*arguments), first, slots))
        yield


def exchange_of(run: Simulation | Result) -> Exchange:
    """The exchange of a run with a ledger."""
    assert isinstance(run.exchange, Exchange)
    return run.exchange


def homes_of(run: Simulation | Result) -> SigningHomes:
    """The homes of a run with a ledger."""
    homes = run.homes if isinstance(run, Simulation) else run.simulated
    assert isinstance(homes, SigningHomes)
    return homes


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for it."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


SOURCE = str(Path(commonwatt.__file__).parents[1])


class Forks:
    """A process of `forking.py`: answers an order when the fork that carried it out has ended."""

    def __init__(self) -> None:
        here = Path(__file__).parent
        self.process = subprocess.Popen(
            [sys.executable, str(here / "forking.py")],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([SOURCE, str(here)]), "COLUMNS": "200"},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __call__(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin
        assert self.process.stdout
        print(json.dumps(order), file=self.process.stdin, flush=True)
        return dict(json.loads(self.process.stdout.readline()))

    def close(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe
            pipe.close()
        self.process.wait()
