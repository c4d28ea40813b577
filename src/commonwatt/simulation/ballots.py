"""Simulated members vote on the later charters of their period, before its first gate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from commonwatt.exchange.rules import Rules
from commonwatt.proof import Key

if TYPE_CHECKING:
    from commonwatt.ledger.client.settlement import LedgerClient

HEAD_START: Final = 14 * 86_400
"""How much earlier a community is founded that is to vote [s]: members must have been registered as long as a vote
lasts, and a charter holds only after the vote. Both are seven days in a new community."""


def adopt(client: LedgerClient, rules: Rules, members: Sequence[Key]) -> None:
    """One member proposes each later charter of `rules`, and so many are for it that it is adopted at once."""
    from commonwatt.ledger.client.community import CommunityClient
    from commonwatt.ledger.client.membership import Change

    if not rules.charters[1:]:
        return
    community, node = CommunityClient(client), client.node
    opening = node.head.timestamp + community.parameters.voting_time
    for charter in rules.charters[1:]:
        change = Change(charter=charter.community.digest, charter_from=charter.since)
        number = community.propose(members[0], change, at=max(opening, node.head.timestamp) + 1)
        for member in members[: len(members) // 2 + 1]:
            community.vote(member, number, yes=True, at=node.head.timestamp + 1)
        community.execute(members[0], number, at=node.head.timestamp + 1)
