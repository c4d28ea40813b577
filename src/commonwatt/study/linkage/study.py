"""Paper 000's claim of anonymity put to the test: how well the amounts of quarter hours betray who is behind a key.

The village's market is simulated, each time with other weeks of its homes' load profiles. Two ledgers tell of it: one
with the energy of each account in each quarter hour, and ours, which tells by how much each balance is moved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

import numpy as np

from commonwatt.community.model import Community
from commonwatt.errors import ConfigError, Finding
from commonwatt.exchange.checking import load
from commonwatt.exchange.rules import Rules
from commonwatt.simulation import world
from commonwatt.simulation.homes import Homes
from commonwatt.simulation.minds import history
from commonwatt.simulation.simulation import Simulation
from commonwatt.study.linkage.attack import KEYS, Habits, learned
from commonwatt.units import IntArray

START: Final = date(2026, 6, 15)
DAYS: Final = 7
"""On which the attackers read the ledger."""
KNOWN: Final = (1, 7)
"""Of how many days one attacker knows who is who: each one of the week before, or all of it."""
LEDGERS: Final = ("energy", "balances")
MOST: Final = 20


@dataclass(frozen=True)
class Attack:
    """One attack on one ledger.

    ledger : "energy" = what went through each home's meter; "balances" = what each balance was moved by, as on ours
    known : days on which the attacker knew who is who; None = it knows one entry
    found : share of entries by seed; with one day known, the mean over the days that it may be
    """

    ledger: str
    keys: str
    known: int | None
    found: tuple[float, ...]


@dataclass(frozen=True)
class Study:
    """All attacks. homes : so many; one in so many is a hit by chance"""

    homes: int
    attacks: tuple[Attack, ...]

    @property
    def chance(self) -> float:
        """Share of entries that a guess puts down to the right home."""
        return 1 / self.homes

    def attack(self, ledger: str, keys: str, known: int | None) -> Attack:
        """One of them."""
        wanted = (ledger, keys, known)
        return next(each for each in self.attacks if (each.ledger, each.keys, each.known) == wanted)


def run(seeds: int = 5, progress: Callable[[int, int], None] | None = None) -> Study:
    """Every attack on `seeds` villages. Raises ConfigError."""
    if not 1 <= seeds <= MOST:
        raise ConfigError("The request", [Finding("seeds", f"is from 1 to {MOST}, not {seeds}")])
    found: dict[tuple[str, str, int | None], list[float]] = {}
    with as_file(files("commonwatt.study") / "cases" / "village.toml") as path:
        community = load(path)
        for seed in range(seeds):
            for what, share in attacked(played(community, path.parent, seed)):
                found.setdefault(what, []).append(share)
            if progress:
                progress(seed + 1, seeds)
    return Study(len(community.members), tuple(Attack(*what, tuple(shares)) for what, shares in found.items()))


def attacked(told: dict[str, IntArray]) -> Iterator[tuple[tuple[str, str, int | None], float]]:
    """Each attack, as (ledger, keys, known), and the share of entries that it finds. told : as of `played`"""
    for ledger, amounts in told.items():
        before, after = amounts[:, :-DAYS], amounts[:, -DAYS:]
        for days in KNOWN:
            spans = np.split(before, before.shape[1] // days, axis=1)
            found = [Habits.of(span).hits(after) for span in spans]
            for keys in KEYS:
                yield (ledger, keys, days), float(np.mean([hits[keys] for hits in found]))
        for keys in KEYS:
            yield (ledger, keys, None), learned(after, keys)


def played(community: Community, folder: Path, seed: int) -> dict[str, IntArray]:
    """What each of the ledgers tells of the days that an attacker knows and those that it reads.

    Returns amounts [Wh, units of money] by ledger, each of shape (homes, days, slots of a day).
    """
    days = max(KNOWN) + DAYS
    simulation = Simulation(community, folder, START - timedelta(max(KNOWN)), days, ledger="none")
    try:
        simulation.homes = Homes(
            simulation.rules, _redrawn(simulation, folder, seed), simulation.minds, simulation.store
        )
        arrays = simulation.run().arrays
        shape = len(community.members), days, -1
        return {"energy": arrays["net"].reshape(shape), "balances": arrays["credit"].reshape(shape)}
    finally:
        simulation.close()


def _redrawn(simulation: Simulation, folder: Path, seed: int) -> world.World:
    """The world with each home's load from another week, under the same sun.

    The village's homes share five profiles. Those of one profile begin in different weeks of it, so that none does what
    another one does at the time.
    """
    rules, minds = simulation.rules, simulation.minds
    profiles = [tuple(each.profile for each in member.loads) for member in rules.community.members]
    weeks = max(profiles.count(each) for each in profiles)
    begins = [rules.start + timedelta(weeks=week - weeks // 2) for week in range(weeks)]
    worlds = [
        world.build(Rules.of(rules.community, folder, begin, rules.days), folder, history(rules, minds))
        for begin in begins
    ]
    chance = np.random.default_rng(seed)
    drawn = {each: iter(chance.permutation(weeks)) for each in dict.fromkeys(profiles)}
    loads = [worlds[next(drawn[each])].load[home] for home, each in enumerate(profiles)]
    return replace(simulation.homes.world, load=np.array(loads))
