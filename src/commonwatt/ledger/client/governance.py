"""Who runs a community, as its contracts say."""

from __future__ import annotations

from dataclasses import dataclass

from commonwatt.errors import LedgerError
from commonwatt.ledger.client.abi import COMMUNITY, SETTLEMENT, decode_event
from commonwatt.ledger.client.charters import Charter, charters, held
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.proof.keccak import keccak

_APPOINTED = keccak(b"OperatorAppointed(address)")


@dataclass(frozen=True)
class Governance:
    """Who decides.

    community : the contract that Settlement asks who is an operator and who a member [address]
    operators : their addresses, in ascending order
    threshold : how many of them must sign
    config : digest of the community's file that holds at the head
    charters : all of its files, see `charters`
    """

    community: bytes
    operators: tuple[bytes, ...]
    threshold: int
    config: bytes
    charters: tuple[Charter, ...]


def governance(client: LedgerClient) -> Governance:
    """What holds at the head.

    Raises LedgerError when the contract has other operators than its events tell.
    """
    (community,) = client.view(SETTLEMENT, "community")
    logs = client.node.logs(0, client.node.head.number, client.addresses.community, _APPOINTED)
    appointed = {bytes(event.arguments["operator"]) for log in logs if (event := decode_event(log))}
    operators = tuple(sorted(each for each in appointed if client.view(COMMUNITY, "isOperator", each)[0]))
    threshold, _, _, _, count = client.view(COMMUNITY, "parameters")
    if count != len(operators):
        raise LedgerError(f"The community has {count} operators, but its events tell of {len(operators)}.")
    known, now = charters(client), client.node.now(client.node.head.timestamp)
    (holds,) = held(known, now, now + 1)
    return Governance(bytes(community), operators, int(threshold), holds.digest, known)
