"""The end of a period for the accounts of plants: what neighbours paid to one, its simulated keeper pays to the owners.

It withdraws that from the settlement and pays it in for them. The chain tells what is done of it, so that a run which
was killed goes on with the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from commonwatt.accounts.plants import Division
from commonwatt.ledger.client.abi import SETTLEMENT, contract
from commonwatt.ledger.client.purse import PurseClient
from commonwatt.ledger.client.sending import Call
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.proof import Key
from commonwatt.units import IntArray

_AT_ONCE: Final = 100
"""Owners per transaction."""


def pay_owners(client: LedgerClient, divisions: Sequence[Division], held: IntArray, keys: Sequence[Key]) -> None:
    """Pay the owners of each plant what of its earnings lies on the ledger; repeated, it has no second effect.

    held : what each member's account holds before, shape (members,) [lane unit]; keys : of all members' accounts
    """
    held = held.copy()
    for division in divisions:
        plant, lanes = division.plant, division.on_ledger
        after = held.copy()
        after[plant.index] -= lanes.sum()
        after[plant.owners] += lanes
        if lanes.any():
            _pay(client, division, held, after, keys[plant.index])
        held = after


def _pay(client: LedgerClient, division: Division, held: IntArray, after: IntArray, key: Key) -> None:
    index, owners = division.plant.index, division.plant.owners
    if client.balances()[index] == held[index]:
        _withdraw(client, index, int(division.on_ledger.sum()), key)
    if (unpaid := client.balances()[owners] < after[owners]).any():
        _pay_in(client, owners[unpaid].tolist(), division.on_ledger[unpaid].tolist(), key)


def _withdraw(client: LedgerClient, index: int, lanes: int, key: Key) -> None:
    if missing := lanes - int(client.requested()[index]):
        client.request_withdrawal(key, missing, at=_next(client))
    _, requested_at = client.view(SETTLEMENT, "requested", index)
    terms = client.terms
    waiting = 2 * terms.window + terms.answer_time + terms.grace
    client.claim_withdrawal(key, at=max(_next(client), requested_at + waiting + 1))


def _pay_in(client: LedgerClient, owners: Sequence[int], lanes: Sequence[int], key: Key) -> None:
    settlement, unit = client.addresses.settlement, client.terms.lane_unit
    calls = PurseClient(client).approval(settlement, sum(lanes) * unit)
    ether = not calls
    for first in range(0, len(owners), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        data = contract(SETTLEMENT).functions["depositFor"].encode(owners[part], lanes[part])
        value = sum(lanes[part]) * unit if ether else 0
        calls.append(Call(settlement, data, "depositFor", len(owners[part]), value))
    client.sender.send(calls, _next(client), "the payment to a plant's owners", key)


def _next(client: LedgerClient) -> int:
    return client.node.head.timestamp + 1
