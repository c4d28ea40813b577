"""The end of a period for the accounts of plants: what neighbours paid to one, its simulated keeper pays to the owners.

It withdraws that from the settlement and pays it in for them. The chain's events tell what is done of it, so that a run
which was killed goes on with the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from commonwatt.accounts.plants import Parts
from commonwatt.ledger.client.abi import SETTLEMENT, contract, decode_event
from commonwatt.ledger.client.purse import PurseClient
from commonwatt.ledger.client.sending import Call
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.proof import Key

_AT_ONCE: Final = 100
"""Owners per transaction."""


def pay_owners(client: LedgerClient, plants: Sequence[Parts], keys: Sequence[Key]) -> None:
    """Pay the owners of each plant what of its earnings lies on the ledger; repeated, it has no second effect.

    keys : of all members' accounts
    """
    for parts in plants:
        owners, lanes = parts.plant.owners.tolist(), parts.on_ledger.tolist()
        owed = {owner: part for owner, part in zip(owners, lanes, strict=True) if part}
        if owed:
            _pay(client, parts.plant.index, owed, keys[parts.plant.index])


def _pay(client: LedgerClient, index: int, owed: dict[int, int], key: Key) -> None:
    """owed : by owner, not 0 [lane unit]"""
    withdrawn, paid = 0, Counter[int]()
    for log in client.node.logs(1, client.node.head.number, client.addresses.settlement):
        event = decode_event(log)
        if event and event.name == "Withdrawn" and event.arguments["member"] == index:
            withdrawn += event.arguments["lanes"]
        if event and event.name == "Deposited" and event.arguments["payer"] == key.address:
            paid[event.arguments["member"]] += event.arguments["lanes"]
    if missing := max(sum(owed.values()) - withdrawn, 0):
        _withdraw(client, index, missing, key)
    if unpaid := {owner: lanes for owner, lanes in owed.items() if not paid[owner]}:
        _pay_in(client, list(unpaid), list(unpaid.values()), key)


def _withdraw(client: LedgerClient, index: int, lanes: int, key: Key) -> None:
    if (missing := lanes - int(client.requested()[index])) > 0:
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
