"""Which communities can be served, and which have homes that can be played away from their exchange."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from commonwatt.errors import ConfigError, Finding
from commonwatt.exchange.events import TO_COMMIT, gate_time
from commonwatt.exchange.rules import Rules
from commonwatt.simulation.minds import Minds

_LEAD: Final = 2 * TO_COMMIT
_ONLY: Final = "commonwatt simulate alone can do that"


def require_servable(source: str, rules: Rules) -> None:
    """Raise ConfigError for what a living exchange cannot do. source : the community's file"""
    if findings := list(_unservable(rules)):
        raise ConfigError(source, findings)


def require_playable(source: str, rules: Rules, minds: Minds) -> None:
    """The same for what homes away from their exchange cannot do either."""
    if findings := [*_unservable(rules), *_unplayable(rules, minds)]:
        raise ConfigError(source, findings)


def require_cosignable(source: str, rules: Rules) -> None:
    """Raise ConfigError for what operators elsewhere cannot come to once more."""
    if any(stage.over_horizon for stage in rules.ahead):
        message = (
            "has a mechanism by which homes agree over the whole day, which operators elsewhere are not shown; give "
            "serve the key files of as many operators as must sign"
        )
        raise ConfigError(source, [Finding("market", message)])


def _unservable(rules: Rules) -> Iterator[Finding]:
    community = rules.community
    if community.ledger.kind == "none" or community.ledger.collateral == "none":
        yield Finding("ledger", "must be a chain with deposits, which a living exchange settles on")
    if isinstance(gate := gate_time(community), int) and gate < _LEAD:
        yield Finding("market", f"needs a gate {_LEAD} s or more before its slot, for the ledger to hear of it in time")
    if community.by == "registers":
        yield Finding("market.by", f"shares what registers count; {_ONLY}")
    for plant in rules.plants:
        yield Finding(community.members[plant.index].path, f"belongs to several owners; {_ONLY}")
    if community.ledger.generator_meters:
        yield Finding("ledger.generator_meters", f"gives generators meters of their own; {_ONLY}")


def _unplayable(rules: Rules, minds: Minds) -> Iterator[Finding]:
    community = rules.community
    if community.readings.late or community.readings.silent:
        yield Finding("simulation", f"has some readings come late or never; {_ONLY}")
    for member in minds.strategic:
        agent = f"{community.members[member].path}.agent"
        yield Finding(agent, f"looks into what the exchange keeps; {_ONLY}")
