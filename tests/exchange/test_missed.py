"""A gate that closes late, because the exchange was away: slots that have begun are missed, the others go on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from by_slot import by_day, proven, verify_bill
from exchange_cases import COMMUNITY, START, begin, exchange_of, homes_of, short_days, snapshot

from commonwatt.errors import VerificationError
from commonwatt.exchange import tables
from commonwatt.exchange.checking import load
from commonwatt.exchange.events import GateClosure
from commonwatt.exchange.states import Missed
from commonwatt.exchange.told import all_told
from commonwatt.member.challenge import challenge
from commonwatt.member.trust import Pins
from commonwatt.member.verify_slot import check_slot
from commonwatt.simulation.result import Result
from commonwatt.simulation.simulation import Simulation

SUN = 0
TEXT = COMMUNITY + '\n[ledger]\nwindow = "2h"\n'


@pytest.fixture(autouse=True)
def _short() -> Iterator[None]:
    with short_days():
        yield


def close_late(simulation: Simulation, missed: int) -> None:
    """Bring the gate half a minute before the last slot that is missed."""
    event = simulation.exchange.next
    assert isinstance(event, GateClosure)
    late = replace(event, at=int(event.slots.starts[missed - 1]) - 30)
    homes = homes_of(simulation)
    wishes = homes.declare(late, all_told(simulation.exchange.committed))
    simulation.exchange.close_gate(late, wishes, partial(homes.keep_plans, late.slots))


@pytest.fixture
def missed(tmp_path: Path) -> Iterator[Result]:
    simulation = begin(tmp_path, TEXT)
    close_late(simulation, 3)
    result = simulation.run()
    yield result
    result.close()


def test_slots_that_have_begun_meet_the_utility_and_the_others_trade(missed: Result) -> None:
    arrays, slots = missed.arrays, missed.period.starts.tolist()
    assert np.array_equal(arrays["grid"][:, :3], arrays["net"][:, :3])
    assert arrays["ahead"][:, 3:].any()
    posted = [row.slot for row in missed.books.store.rows(tables.posts)]
    assert posted == slots[3:]
    client = exchange_of(missed).client
    assert [client.commitment(slot) is None for slot in slots] == [True] * 3 + [False] * 5


def test_their_bills_verify_and_may_not_name_a_trade_or_another_energy(missed: Result) -> None:
    client = exchange_of(missed).client
    found = list(proven(missed.books, missed.bills))
    for bill in found:
        verify_bill(bill, client)
    content, proofs = found[SUN]["content"], found[SUN]["proofs"]
    begun, traded = content["slots"][0], next(line for line in content["slots"] if line["trades"])
    assert proofs[str(begun["slot"])] is None
    mandate = exchange_of(missed).mandates[SUN]

    def refused(line: dict[str, Any], sentence: str) -> None:
        with pytest.raises(VerificationError, match=sentence):
            check_slot(line, None, SUN, mandate, client)

    refused(traded, "trades were committed, and nothing is shown of them")
    refused({**begun, "trades": traded["trades"]}, "it has trades, and none were committed")
    refused({**begun, "grid": {"wh": 1, "amount": 0}}, "metered less local energy is not what met the utility")
    refused({**begun, "reading": None, "grid": {"wh": 0, "amount": 0}}, "of what it shows otherwise")
    refused({**begun, "metered": "not measured"}, "of what it shows otherwise")
    other = found[SUN + 1]["content"]["slots"][0]
    refused({**begun, "reading": other["reading"], "grid": other["grid"]}, "is not this member")
    elsewhere = content["slots"][1]
    refused({**begun, "reading": elsewhere["reading"], "grid": elsewhere["grid"]}, "the reading is of another slot")


def test_nothing_of_a_slot_that_was_missed_is_open(missed: Result, tmp_path: Path) -> None:
    bill = tmp_path / "bill.json"
    bill.write_text(json.dumps(by_day(next(proven(missed.books, missed.bills)))), "utf-8")
    looked = challenge([bill], str(next(tmp_path.rglob("ledger.sqlite"))), Pins())
    assert (looked.final, looked.open_, looked.objections) == (8, 0, ())


@pytest.mark.parametrize("events", [1, 3, 6])
def test_a_run_that_goes_on_after_a_late_gate_ends_as_if_it_had_not_stopped(
    missed: Result, tmp_path: Path, events: int
) -> None:
    folder = tmp_path / "again"
    simulation = begin(folder, TEXT)
    close_late(simulation, 3)
    for _ in range(events - 1):
        simulation.advance()
    simulation.close()
    community = load(folder / "community.toml")
    again = Simulation(community, folder, date.fromisoformat(START), 1, out=folder / "out")
    kinds = [isinstance(slot, Missed) for slot in again.exchange.committed.values()]
    assert kinds == [True] * max(0, 4 - events) + [False] * min(5, 9 - events)
    result = again.run()
    assert snapshot(result) == snapshot(missed)
    result.close()


def test_a_day_that_was_missed_whole_meets_the_utility(tmp_path: Path) -> None:
    simulation = begin(tmp_path, TEXT)
    close_late(simulation, 8)
    result = simulation.run()
    assert np.array_equal(result.arrays["grid"], result.arrays["net"])
    assert not exchange_of(result).outbox.pending
    for bill in proven(result.books, result.bills):
        verify_bill(bill, exchange_of(result).client)
    result.close()
