"""The study of pseudonyms: what its attackers find, and what they cannot find where there is nothing to be found."""

from __future__ import annotations

import json
import re
from datetime import date
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shell import Shell

from commonwatt.exchange.checking import load
from commonwatt.exchange.exchange import Exchange
from commonwatt.records.deltas import unpack_deltas
from commonwatt.simulation.simulation import Simulation
from commonwatt.study.linkage.attack import KEYS, Habits, learned
from commonwatt.study.linkage.study import DAYS, KNOWN, LEDGERS, Study, attacked, played, run
from commonwatt.study.linkage.told import HEAD, as_json, rows, summary
from commonwatt.units import IntArray

ROOT = Path(__file__).parents[2]
DAY = 96
SEEDS = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def study() -> Study:
    return run()


def habitual(seed: int, homes: int, days: int) -> IntArray:
    """Homes that use about as much in the same hour of each day, each its own amount."""
    chance = np.random.default_rng(seed)
    usual = np.repeat(chance.lognormal(5, 1, (homes, 1, 24)), DAY // 24, axis=-1)
    return 1 + np.rint(usual * chance.lognormal(0, 0.1, (homes, days, DAY))).astype(np.int64)


def shuffled(seed: int, told: IntArray) -> IntArray:
    """The same amounts in each slot, each of any home."""
    return np.random.default_rng(seed).permuted(told, axis=0)


@given(SEEDS, st.integers(2, 30), st.integers(1, 4))
def test_identical_traces_are_linked(seed: int, homes: int, days: int) -> None:
    told = habitual(seed, homes, days)
    assert Habits.of(told).hits(told)["fixed"] == 1


@pytest.mark.parametrize("keys", KEYS)
def test_in_a_shuffled_world_habits_find_what_chance_finds(keys: str) -> None:
    homes, worlds = 20, 40
    habits, chance = [], []
    for seed in range(worlds):
        told = habitual(seed, homes, 6)
        habits.append(Habits.of(told[:, :3]).hits(told[:, 3:])[keys])
        mixed = shuffled(seed, told)
        chance.append(Habits.of(mixed[:, :3]).hits(mixed[:, 3:])[keys])
    # Of independent guesses, four deviations of the mean with fixed keys, where there are fewest.
    assert np.mean(chance) == pytest.approx(1 / homes, abs=4 / homes / np.sqrt(worlds))
    assert np.mean(habits) > 3 / homes


@given(SEEDS, st.sampled_from(KEYS))
def test_money_at_one_price_tells_what_energy_tells(seed: int, keys: str) -> None:
    told = habitual(seed, 9, 4)
    energy, balances = (Habits.of(each[:, :2]).hits(each[:, 2:])[keys] for each in (told, 4 * told))
    assert energy == balances
    assert learned(told, keys) == learned(4 * told, keys)


@given(SEEDS, st.sampled_from(KEYS))
def test_slots_without_an_entry_count_for_nothing(seed: int, keys: str) -> None:
    told = habitual(seed, 8, 2)
    told[:, :, ::2] = 0
    share = learned(told, keys)
    assert share == pytest.approx(learned(told[:, :, 1::2], keys))
    assert 0 <= Habits.of(told).hits(told)[keys] <= 1


@given(st.integers(2, 12), st.integers(1, 5))
def test_one_entry_tells_all_that_its_key_signed_and_no_more(homes: int, days: int) -> None:
    distinct = 1 + np.arange(homes * days * DAY).reshape(homes, days, DAY)
    expected = {"fixed": 1, "daily": 1 / days, "per trade": 1 / (days * DAY)}
    for keys, share in expected.items():
        assert learned(distinct, keys) == pytest.approx(share)
        assert learned(np.ones_like(distinct), keys) == pytest.approx(share / homes)


def test_the_ledger_shows_the_balances_that_the_study_reads() -> None:
    path = ROOT / "examples" / "five-homes.toml"
    simulation = Simulation(load(path), path.parent, date(2026, 5, 11), 1)
    try:
        credit, exchange = simulation.run().arrays["credit"], simulation.exchange
        assert isinstance(exchange, Exchange)
        assert credit.any()
        for place, slot in enumerate(simulation.rules.period.starts.tolist()):
            posted = exchange.client.posted_deltas(slot, 0)
            moved = unpack_deltas(posted) if posted else np.zeros(len(credit))
            assert moved.tolist() == credit[:, place].tolist()
    finally:
        simulation.close()


def test_no_home_of_a_village_does_what_another_does() -> None:
    with as_file(files("commonwatt.study") / "cases" / "village.toml") as path:
        community = load(path)
        told = played(community, path.parent, 0)
    for amounts in told.values():
        assert amounts.shape == (len(community.members), max(KNOWN) + DAYS, DAY)
        assert len({home.tobytes() for home in amounts}) == len(amounts)
    found = dict(attacked({name: shuffled(1, each) for name, each in told.items()}))
    for (_, _, known), share in found.items():
        assert known is None or share < 4 / len(community.members)


def test_the_longer_a_key_is_used_the_more_it_tells(study: Study) -> None:
    for ledger in LEDGERS:
        for known in (max(KNOWN), None):
            fixed, daily, once = (np.mean(study.attack(ledger, keys, known).found) for keys in KEYS)
            assert fixed > daily > once
        assert once < study.chance
        assert min(study.attack(ledger, "per trade", max(KNOWN)).found) > 2 * study.chance
    for attack in study.attacks:
        assert len(attack.found) == 5


def test_the_page_shows_what_the_study_finds(study: Study) -> None:
    text = (ROOT / "docs" / "studies" / "linkage.md").read_text(encoding="utf-8")
    blocks = dict(re.findall(r"<!-- begin (\w+) -->\n(.*?)<!-- end -->\n", text, re.DOTALL))
    table = [HEAD, ("---", "---", *("---:" for _ in KEYS)), *rows(study)]
    lines = "".join(f"| {' | '.join(row)} |\n" for row in table)
    assert blocks == {"shares": lines, "summary": f"{summary(study)}\n"}
    prose = re.sub(r"<!-- begin.*?<!-- end -->", "", text, flags=re.DOTALL)
    assert not re.search(r"\d+\.\d|\d ?%", prose)


def test_the_command_tells_it_and_a_seed_finds_the_same_again(said: Shell, study: Study) -> None:
    code, out, err = said("study", "linkage", "--seeds", "1", "--json", "-")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["homes"] == study.homes
    assert [each["found"] for each in found["attacks"]] == [each["found"][:1] for each in as_json(study)["attacks"]]


@pytest.mark.parametrize("seeds", ["0", "21", "-1"])
def test_a_number_of_seeds_out_of_range_is_refused(said: Shell, seeds: str) -> None:
    code, _, err = said("study", "linkage", "--seeds", seeds)
    assert code == 2
    assert "is from 1 to 20" in err
