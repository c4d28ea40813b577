"""The keys of a simulated community, derived from its seed, and the mandates that its members sign with them.

In a live community each key stays with its owner, and the exchange knows addresses only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from commonwatt.community.model import Community
from commonwatt.community.wording import mandate_text
from commonwatt.market import Limits
from commonwatt.proof import Domain, Key, sign
from commonwatt.records import Mandate, Signed


@dataclass(frozen=True)
class Keys:
    """Private keys by role; members, agents and meters by member index, operators as the file names them.

    meters : None of a member that takes no part in the market
    inverters, generators : of the generators that have a meter, and of these meters, by member index
    """

    operators: tuple[Key, ...]
    members: tuple[Key, ...]
    agents: tuple[Key, ...]
    meters: tuple[Key | None, ...]
    inverters: Mapping[int, Key] = field(default_factory=dict)
    generators: Mapping[int, Key] = field(default_factory=dict)

    @property
    def operator(self) -> Key:
        """The operator that sends what a quorum signs."""
        return self.operators[0]


def simulated_keys(community: Community) -> Keys:
    """All keys of a simulated community, from its seed and name."""
    seed = f"commonwatt simulation {community.name} {community.seed}".encode()

    def by_member(role: str) -> tuple[Key, ...]:
        return tuple(Key.derive(seed, f"{role} {member.id}") for member in community.members)

    operators = tuple(Key.derive(seed, name) for name in community.ledger.operators)
    inverters, generators = (
        {member.index: Key.derive(seed, f"{role} {member.id}") for member in community.metered_generators}
        for role in ("inverter", "generator")
    )
    meters = tuple(
        meter if member.role.trades else None
        for member, meter in zip(community.members, by_member("meter"), strict=True)
    )
    return Keys(operators, by_member("member"), by_member("agent"), meters, inverters, generators)


def mandates(
    community: Community, keys: Keys, bounds: Limits, domain: Domain, valid_from: int, valid_until: int
) -> tuple[Signed[Mandate], ...]:
    """Every member's mandate for its agent, signed by its wallet. valid_from, valid_until [unix s]."""
    signed = []
    for member, (wallet, agent) in enumerate(zip(keys.members, keys.agents, strict=True)):
        draft = Mandate(
            member=wallet.address,
            agent=agent.address,
            text="",
            max_buy=max(0, int(bounds.max_buy[member])),
            min_sell=max(0, int(bounds.min_sell[member])),
            buy_wh=int(bounds.buy_wh[member]),
            sell_wh=int(bounds.sell_wh[member]),
            valid_from=valid_from,
            valid_until=valid_until,
            nonce=1,
        )
        signed.append(sign(domain, _worded(draft, community), wallet))
    return tuple(signed)


def _worded(draft: Mandate, community: Community) -> Mandate:
    text = mandate_text(draft, community.currency, community.timezone, community.slot_seconds, community.unit)
    return replace(draft, text=text)
