"""Statements of a slot: every member's trades with running sums, one leaf each, so that any fault is short to prove.

Sorted by (member, index) and ended by a sentinel: a wrong sum is two adjacent leaves that disagree, a wrong delta a
last leaf against the delta, a member passed over a gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from commonwatt.exchange.states import Account
from commonwatt.records import ZERO_HASH, Statement, Trade

SENTINEL_MEMBER: Final = 2**32 - 1


def statements(
    slot: int,
    revision: int,
    account: Account,
    records: Sequence[Trade],
    hashes: Sequence[bytes],
    readings: Sequence[bytes],
) -> tuple[Statement, ...]:
    """The leaves of a slot's statements tree.

    records, hashes : the slot's trades and their struct hashes, in the account's order
    readings : struct hash of each member's reading, by member index
    """
    involved: list[list[int]] = [[] for _ in readings]
    for number, record in enumerate(records):
        involved[record.buyer].append(number)
        involved[record.seller].append(number)
    settled = account.settled.tolist()
    paid = (account.settled * account.trades.price // 1000).tolist()
    lines: list[Statement] = []
    for member, numbers in enumerate(involved):
        reading = readings[member]
        if not numbers:
            lines.append(Statement(slot, revision, member, 0, 0, 0, ZERO_HASH, ZERO_HASH, reading))
            continue
        wh = money = 0
        for index, number in enumerate(numbers):
            record = records[number]
            if record.buyer == member:
                wh, money, order = wh + settled[number], money - paid[number], record.buy_order
            else:
                wh, money, order = wh - settled[number], money + paid[number], record.sell_order
            lines.append(Statement(slot, revision, member, index, wh, money, hashes[number], order, reading))
    lines.append(Statement(slot, revision, SENTINEL_MEMBER, 0, 0, 0, ZERO_HASH, ZERO_HASH, ZERO_HASH))
    return tuple(lines)
