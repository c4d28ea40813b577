"""What paper 001's abstract claims, and what is recalled of the paper, put to the test on our neighbourhood.

Nothing is tuned to come out: a claim that fails is reported with the figures and with what the failing homes have in
common.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from commonwatt.study.residential.study import (
    BASELINE,
    HINDSIGHT,
    NO_PUMPS,
    PUMPS,
    STRATEGIES,
    Residential,
    names,
)

PAPER, RECALLED, SISTER = "the paper's abstract", "recalled, not read", "a sister paper"
SMALL: float = 0.05
"""A change of the mean price by less than this part of it is called small."""


@dataclass(frozen=True)
class Claim:
    """One claim in one case. holds : None where it only compares figures."""

    name: str
    claim: str
    source: str
    case: str
    holds: bool | None
    found: str


def claims(study: Residential) -> tuple[Claim, ...]:
    """T1 to T6 in every case."""
    return tuple(
        found for test in (_cost, _interaction, _energy, _price, _heating, _import_cost) for found in test(study)
    )


def _strategies(study: Residential) -> Iterator[tuple[str, str, tuple[str, str, str]]]:
    for case in study.cases():
        for strategy in STRATEGIES:
            yield _title(case, strategy), strategy, case


def _cost(study: Residential) -> Iterator[Claim]:
    for title, strategy, case in _strategies(study):
        base, with_market = study.run(*case, BASELINE), study.run(*case, strategy)
        more = with_market.cost - base.cost
        losers = np.flatnonzero(more > 5e-7)
        saved = _share(1 - with_market.cost.sum() / base.cost.sum())
        found = f"all homes together pay {saved} less"
        if len(losers):
            found += f"; up to {more.max():.2f} more for {names(study.community, losers.tolist())}"
        yield Claim("T1", "every home's cost is no higher", PAPER, title, not len(losers), found)


def _interaction(study: Residential) -> Iterator[Claim]:
    for title, strategy, case in _strategies(study):
        base, with_market = study.run(*case, BASELINE).interaction, study.run(*case, strategy).interaction
        worse = np.flatnonzero(with_market > base + 5e-4)
        less = _share(1 - with_market.sum() / base.sum())
        found = f"{base.sum():.0f} kWh become {with_market.sum():.0f}, {less} less"
        found += f"; more for {names(study.community, worse.tolist())}" if len(worse) else "; less for every home"
        yield Claim(
            "T2", "homes exchange less with the utility", PAPER, title, bool(with_market.sum() < base.sum()), found
        )


def _energy(study: Residential) -> Iterator[Claim]:
    for case in study.cases():
        surplus, distance = (float(study.run(*case, strategy).ahead.sum()) for strategy in STRATEGIES)
        found = f"{distance:.1f} kWh by distance, {surplus:.1f} kWh by surplus"
        yield Claim("T3", "distance trades no less", RECALLED, _title(case), distance >= surplus, found)


def _price(study: Residential) -> Iterator[Claim]:
    for case in study.cases():
        surplus, distance = (study.run(*case, strategy).price for strategy in STRATEGIES)
        if surplus is None or distance is None:
            yield Claim("T4", "distance trades at no higher price", RECALLED, _title(case), None, "nothing was traded")
            continue
        found = f"{distance:.4f} by distance, {surplus:.4f} by surplus"
        yield Claim("T4", "distance trades at no higher price", RECALLED, _title(case), distance <= surplus, found)


def _heating(study: Residential) -> Iterator[Claim]:
    for season in study.seasons():
        for strategy in STRATEGIES:
            cold, warm = (study.run(season, pumps, HINDSIGHT, strategy) for pumps in (NO_PUMPS, PUMPS))
            energy = float(cold.ahead.sum()), float(warm.ahead.sum())
            title = f"{season}, {strategy}"
            found = f"{energy[0]:.1f} kWh without, {energy[1]:.1f} kWh with heat pumps"
            falls: bool | None = energy[1] < energy[0]
            if cold.price is None or warm.price is None:
                falls = None
            else:
                change = warm.price / cold.price - 1
                found += f"; mean price {100 * change:+.1f} %"
                falls = falls and abs(change) <= SMALL
            yield Claim(
                "T5", "heat pumps: less energy between homes, little change of price", RECALLED, title, falls, found
            )


def _import_cost(study: Residential) -> Iterator[Claim]:
    for title, strategy, case in _strategies(study):
        base, with_market = study.run(*case, BASELINE).import_cost, study.run(*case, strategy).import_cost
        found = f"{_share(1 - with_market / base)} less; the sister paper has 34.9 % less"
        yield Claim("T6", "what homes pay the utility for imports", SISTER, title, None, found)


def _title(case: tuple[str, str, str], strategy: str | None = None) -> str:
    return ", ".join(case if strategy is None else (*case, strategy))


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"
