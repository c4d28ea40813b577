"""Who is a member, by which meter, and under which mandate, at the instant when a slot begins.

A simulation's community is the same in all slots; a living one grows: new members come behind the others, so that a
member keeps its number, and a slot has those who were registered before it began.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from commonwatt.community.model import Community
from commonwatt.exchange.parties import filed
from commonwatt.market import Limits
from commonwatt.proof import Domain
from commonwatt.records import Mandate, Signed


@dataclass(frozen=True, eq=False)
class Present:
    """The members of a slot, by their number.

    mandates : signed by their wallets; meters : addresses, `founding.NO_METER` where none measures a home
    filed : the mandates by the member's address: (its number, mandate)
    limits : of the mandates; nothing for a member that is suspended
    suspended : who takes no part, by number
    """

    mandates: tuple[Signed[Mandate], ...]
    meters: tuple[bytes, ...]
    filed: Mapping[bytes, tuple[int, Mandate]]
    limits: Limits
    suspended: frozenset[int] = frozenset()

    @classmethod
    def of(
        cls,
        mandates: Sequence[Signed[Mandate]],
        meters: Sequence[bytes],
        community: Community,
        domain: Domain,
        suspended: frozenset[int] = frozenset(),
    ) -> Present:
        """Raises SignatureError or RecordError when a mandate is not its member's own. suspended : by number"""
        known = filed(mandates, community, domain)
        records, active = [signed.record for signed in mandates], np.ones(len(mandates), dtype=np.int64)
        active[list(suspended)] = 0
        columns = ("max_buy", "min_sell", "buy_wh", "sell_wh")
        found = [np.array([getattr(record, name) for record in records], dtype=np.int64) for name in columns]
        limits = Limits(found[0], found[1], found[2] * active, found[3] * active)
        allowed = {account: entry for account, entry in known.items() if entry[0] not in suspended}
        return cls(tuple(mandates), tuple(meters), allowed, limits, suspended)


class Roster(Protocol):
    """What an exchange asks of its members."""

    def at(self, slot: int) -> Present:
        """The members of a slot [start, unix s]."""
        ...


@dataclass(frozen=True)
class Unchanging:
    """A community that stays as it is."""

    present: Present

    def at(self, slot: int) -> Present:  # noqa: ARG002
        """See `Roster`."""
        return self.present
