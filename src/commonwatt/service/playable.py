"""Which communities have homes that can be played away from their exchange."""

from __future__ import annotations

from collections.abc import Iterator

from commonwatt.errors import ConfigError, Finding
from commonwatt.exchange.rules import Rules
from commonwatt.simulation.minds import Minds


def require_playable(source: str, rules: Rules, minds: Minds) -> None:
    """Raise ConfigError for what homes away from their exchange cannot do. source : the community's file"""
    if findings := list(_unplayable(rules, minds)):
        raise ConfigError(source, findings)


def _unplayable(rules: Rules, minds: Minds) -> Iterator[Finding]:
    community, only = rules.community, "play such homes with commonwatt simulate"
    if any(stage.over_horizon for stage in rules.ahead):
        yield Finding("market", f"has a mechanism by which homes agree over the whole day among themselves; {only}")
    if community.by == "registers":
        yield Finding("market.by", f"shares what registers count; {only}")
    if community.readings.late or community.readings.silent:
        yield Finding("simulation", f"has some readings come late or never; {only}")
    for member in minds.strategic:
        agent = f"{community.members[member].path}.agent"
        yield Finding(agent, f"looks into what the exchange keeps; {only}")
    for plant in rules.plants:
        yield Finding(community.members[plant.index].path, f"belongs to several owners; {only}")
    for owner in community.metered_generators:
        yield Finding(owner.path, f"has a generator with a meter of its own; {only}")
