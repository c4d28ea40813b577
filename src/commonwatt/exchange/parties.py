"""Who acts in a community and with which keys.

In a simulation the keys of all members, agents, meters and operators are derived from the community's seed. In a
live community each of them stays with its owner, and the exchange knows addresses only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from commonwatt.community.mandate import check_mandate, mandate_text
from commonwatt.community.model import Community
from commonwatt.community.tariff import SlotPrices
from commonwatt.proof import Domain, Key, sign, verify
from commonwatt.records import Mandate, Signed
from commonwatt.units import IntArray


@dataclass(frozen=True)
class Limits:
    """What the mandates allow, each shape (members,): prices [micro-currency/kWh], energy per slot [Wh]."""

    max_buy: IntArray
    min_sell: IntArray
    buy_wh: IntArray
    sell_wh: IntArray


@dataclass(frozen=True)
class Keys:
    """Private keys by role; members, agents and meters by member index."""

    operator: Key
    members: tuple[Key, ...]
    agents: tuple[Key, ...]
    meters: tuple[Key, ...]


def simulated_keys(community: Community) -> Keys:
    """All keys of a simulated community, from its seed and name."""
    seed = f"commonwatt simulation {community.name} {community.seed}".encode()

    def by_member(role: str) -> tuple[Key, ...]:
        return tuple(Key.derive(seed, f"{role} {member.id}") for member in community.members)

    return Keys(Key.derive(seed, "operator"), by_member("member"), by_member("agent"), by_member("meter"))


def limits(community: Community, prices: SlotPrices) -> Limits:
    """The members' terms; an open price limit becomes the utility's highest or lowest price of the period."""
    highest, lowest = int(prices.ceiling.max()), int(prices.floor.min())
    terms = [member.terms for member in community.members]
    return Limits(
        np.array([highest if t.max_buy is None else t.max_buy for t in terms], dtype=np.int64),
        np.array([lowest if t.min_sell is None else t.min_sell for t in terms], dtype=np.int64),
        np.array([t.buy_wh for t in terms], dtype=np.int64),
        np.array([t.sell_wh for t in terms], dtype=np.int64),
    )


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
    text = mandate_text(draft, community.currency, community.timezone, community.slot_seconds)
    return replace(draft, text=text)


def filed(signed: Sequence[Signed[Mandate]], community: Community, domain: Domain) -> dict[bytes, tuple[int, Mandate]]:
    """The mandates as the exchange files them, by member address: (member index, mandate).

    Raises SignatureError when the member's own wallet did not sign, RecordError when words and numbers differ.
    """
    for mandate in signed:
        verify(domain, mandate, mandate.record.member)
        check_mandate(mandate.record, community.currency, community.timezone, community.slot_seconds)
    return {mandate.record.member: (index, mandate.record) for index, mandate in enumerate(signed)}
