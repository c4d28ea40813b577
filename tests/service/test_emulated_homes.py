"""Homes away from their exchange: what they have to say outlives them, and what cannot be played is told before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import plant_owners
import pytest
from emulator_cases import HOUR, Served
from exchange_cases import COMMUNITY, START, begin, short_days, written
from exchange_cases import exchange_of as exchange
from live_cases import RICH
from shell import Shell

from commonwatt.errors import ConfigError, StoreError
from commonwatt.exchange.checking import load
from commonwatt.exchange.events import GateClosure, SlotEnd
from commonwatt.exchange.store import Store
from commonwatt.exchange.told import MeterPlan
from commonwatt.meter.protocol import Acknowledgement
from commonwatt.service.emulated import ORDERS, EmulatedHomes, claim
from commonwatt.service.emulating import Counts, Setting, emulate
from commonwatt.service.logins import Passwords
from commonwatt.simulation.homes import SigningHomes
from commonwatt.simulation.simulation import Simulation

MOST = 20
"""Orders in a letter."""


class Street:
    """The homes of a short day with a file of their own, which can be killed."""

    def __init__(self, folder: Path) -> None:
        with short_days():
            self.simulation: Simulation = begin(folder, RICH)
        self.own = folder / "homes.sqlite"
        self.store = Store(self.own)
        claim(self.store, "this run")
        self.homes = self._homes()

    def _homes(self) -> EmulatedHomes:
        of = self.simulation.homes
        assert isinstance(of, SigningHomes)
        return EmulatedHomes(SigningHomes(of.rules, of.world, of.minds, self.store, of.keys, of.domain), MOST)

    def kill(self) -> None:
        self.store.close()
        self.store = Store(self.own)
        claim(self.store, "this run")
        self.homes = self._homes()

    def gate(self) -> GateClosure:
        found = self.homes.next
        assert isinstance(found, GateClosure)
        return found

    def end(self) -> SlotEnd:
        found = self.homes.next
        assert isinstance(found, SlotEnd)
        return found

    def tell(self, count: int = 8) -> None:
        """All homes of the first slots: nothing was traded."""
        first, none = self.homes.homes.rules.period.start, (0,) * count
        for home in range(5):
            self.homes.hear(home, MeterPlan(first, none, none, (10_000,) * count))


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    found = Street(tmp_path)
    yield found
    found.store.close()
    found.simulation.close()


def test_what_was_decided_is_said_again_and_nothing_is_decided_twice(street: Street) -> None:
    gate = street.gate()
    assert street.homes.due == gate.at - HOUR
    wishes = street.homes.decide(gate)
    orders, said = sum(map(len, wishes.signed)), street.homes.letters
    lists = [letter for letter in said if letter.home == ORDERS]
    assert [letter.orders for letter in lists] == [MOST] * (orders // MOST) + [orders % MOST]
    # With the last outlook homes have said all.
    assert [letter.home for letter in said] == [ORDERS] * len(lists) + [0, 1, 2, 3, 4]
    assert [json.loads(letter.body)["net"] for letter in said[-5:]] == wishes.planned.tolist()
    street.kill()
    assert street.homes.letters == said
    street.homes.answered(said[:3])
    street.kill()
    assert street.homes.letters == said[3:]
    assert isinstance(street.homes.next, SlotEnd)
    street.homes.answered(said[3:])
    street.kill()
    assert street.homes.letters == []


def test_a_slot_is_delivered_once_and_its_readings_are_kept_until_they_are_acknowledged(street: Street) -> None:
    street.homes.decide(street.gate())
    end = street.end()
    assert (street.homes.due, street.homes.without_word(end.slot)) == (end.at, [0, 1, 2, 3, 4])
    street.homes.hear(1, MeterPlan(end.slot, (0,), (0,), (10_000,)))
    assert street.homes.without_word(end.slot) == [0, 2, 3, 4]
    street.tell()
    street.homes.deliver(end)
    street.homes.deliver(street.end())
    waiting = {home: outbox.waiting for home, outbox in street.homes.outboxes.items()}
    assert [[each.record.sequence for each in kept] for kept in waiting.values()] == [[1, 2]] * 5
    street.kill()
    assert {home: outbox.waiting for home, outbox in street.homes.outboxes.items()} == waiting
    assert street.end().slot == end.slot + 2 * HOUR
    # What the broker told of later slots is told again by it; of earlier ones nobody wants to hear.
    street.tell()
    assert street.homes.without_word(street.end().slot) == []
    answer = Acknowledgement(1, ((2, "why"),), end.at + HOUR)
    assert street.homes.settle({3: street.homes.outboxes[3].acknowledged(answer)}) == 2
    street.kill()
    assert [len(outbox.waiting) for outbox in street.homes.outboxes.values()] == [2, 2, 2, 0, 2]
    assert not street.homes.finished


def test_an_exchange_whose_clock_begins_again_has_refused_nothing_for_good(street: Street) -> None:
    street.homes.decide(street.gate())
    street.tell()
    end = street.end()
    street.homes.deliver(end)
    waiting = street.homes.outboxes[0].waiting
    early = Acknowledgement(1, ((1, "is over in 900 s only"),), end.at - 900)
    assert street.homes.begins_again(waiting, early)
    assert not street.homes.begins_again(waiting, replace(early, time=end.at))
    assert not street.homes.begins_again(waiting, replace(early, upto=0))


def test_homes_that_come_after_a_gate_wish_nothing_at_it(street: Street) -> None:
    street.homes.pass_over(street.gate())
    street.kill()
    assert isinstance(street.homes.next, SlotEnd)
    assert street.homes.letters == []
    street.tell()
    while street.homes.next:
        street.homes.deliver(street.end())
    for home, outbox in street.homes.outboxes.items():
        street.homes.settle({home: outbox.acknowledged(Acknowledgement(8, (), 0))})
    assert street.homes.finished


def test_a_file_holds_the_homes_of_one_run(street: Street) -> None:
    with pytest.raises(StoreError, match="another community, period or exchange"):
        claim(street.store, "another run")
    street.kill()


UNPLAYABLE = {
    "come late or never": COMMUNITY + '\n[simulation]\nlate = "5 %"\n',
    "looks into what the exchange keeps": COMMUNITY.replace("flat = { ", 'flat = { agent = "zip", '),
    "belongs to several owners": plant_owners.TEXT,
    "gives generators meters of their own": COMMUNITY + "\n[ledger]\ngenerator_meters = true\n",
}


@pytest.mark.parametrize("sentence", UNPLAYABLE)
def test_what_cannot_be_played_is_told_before_anything_is_asked(tmp_path: Path, sentence: str) -> None:
    file = written(tmp_path, UNPLAYABLE[sentence])
    assert load(file)
    setting = Setting(
        file, "http://127.0.0.1:1", date.fromisoformat(START), 1, tmp_path / "homes", Passwords(bytes(32))
    )
    with pytest.raises(ConfigError, match=sentence):
        emulate(setting, lambda _: None)
    assert not setting.out.exists()


def test_another_exchange_or_another_secret_is_told(tmp_path: Path) -> None:
    said = list[str]()
    with Served(tmp_path / "exchange", broker=False) as served:
        day = date.fromisoformat(START)
        right = Setting(served.file, served.url, day, 1, tmp_path / "homes", served.passwords)
        with pytest.raises(ConfigError, match="secret: is not this exchange's: Say the meter's user"):
            emulate(replace(right, passwords=Passwords(bytes(32))), said.append)
        other = written(tmp_path / "other", COMMUNITY.replace("Five homes", "Others"))
        with pytest.raises(ConfigError, match=r"url: is the exchange of 'Five homes', and .* is of 'Others'"):
            emulate(replace(right, file=other), said.append)
        with pytest.raises(ConfigError, match="url: is no exchange's"):
            emulate(replace(right, url=f"{served.url}/elsewhere"), said.append)
        with pytest.raises(StoreError, match="another community, period or exchange"):
            emulate(replace(right, start=date(2026, 6, 16)), said.append)
        assert said == []
        assert exchange(served.simulation).next_gate == served.gate


def test_orders_that_were_refused_are_told_at_the_end_with_the_first_reason() -> None:
    well = Counts(slots=24, orders=70, readings=120)
    assert str(well) == "The period is over: 24 slots delivered, 70 orders and 120 readings answered."
    poor = replace(well, refused_orders=70, why="it may cost 0.02 EUR, but only 0 EUR of collateral is free")
    assert str(poor).endswith(
        "; 70 of the orders were refused, the first because it may cost 0.02 EUR, but only 0 EUR of collateral is free."
    )


def test_whoever_has_no_secret_yet_is_told_who_makes_it(tmp_path: Path, said: Shell) -> None:
    asked = ("meter", "emulate", "village.toml", "http://localhost:1", "--start", START, "--dir", tmp_path)
    told = said(*asked, "--secret", tmp_path / "broker.secret")
    assert told.code == ConfigError.exit_code
    assert (
        "broker.secret in the exchange's folder, made by `commonwatt init` or the first `commonwatt serve`" in told.err
    )
