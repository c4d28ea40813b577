"""What a member can do alone, with its own key and what it was given: object to a post, and take its money out.

Where the contracts are stands in the member's bill or excerpt; the chain is a file or a node's URL.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commonwatt.errors import LedgerError, Reverted, VerificationError
from commonwatt.ledger.opening import open_to_write
from commonwatt.member.faults import DEMAND, Chain, Fault, faults
from commonwatt.member.verify_slot import record, to_bytes
from commonwatt.proof import Key, checksum_address, hash_struct, verify
from commonwatt.records import Mandate, Post, Signed
from commonwatt.records.schema import as_json

if TYPE_CHECKING:
    from commonwatt.ledger.client.settlement import LedgerClient
    from commonwatt.ledger.node import Receipt


@dataclass(frozen=True)
class Objection:
    """What was found wrong in a slot, and what was done. sent : nothing yet, or what came of it"""

    slot: int
    says: str
    function: str
    sent: str = ""
    gas: int = 0


@dataclass(frozen=True)
class Looked:
    """What a look at the slots gave. final : slots that can no longer be challenged; open_ : those that can"""

    final: int
    open_: int
    objections: tuple[Objection, ...]


def challenge(document: Path, ledger: str, key: Key | None = None, slot: int | None = None) -> Looked:
    """Look for faults in every slot of a bill or excerpt that is not final; with the member's key, prove them.

    slot : this one alone; one that the document does not hold was kept back, and is demanded on the chain
    Raises VerificationError when the document cannot be read, LedgerError when the chain cannot be asked.
    """
    given = _read(document)
    with _opened(given, ledger, key) as client:
        content = given["content"]
        slots = {line["slot"]: line for line in content["slots"]}
        chosen = list(slots) if slot is None else [slot]
        pending = [each for each in chosen if not _is_final(client, each)]
        posted = {post.slot: post for post in _posts(client, pending)}
        found = []
        for each in pending:
            if each in posted:
                fault = _first_fault(posted[each], slots.get(each), given, client)
                if fault:
                    found.append(_object(fault, content["member"]["index"], client, key))
        return Looked(len(chosen) - len(pending), len(pending), tuple(found))


def withdraw(document: Path, ledger: str, key: Key, lanes: int | None) -> Receipt:
    """Ask for some of the member's free balance [lane units]; None claims what was asked for before.

    Raises Reverted with the contract's reason, such as when the time for a claim has not come.
    """
    with _opened(_read(document), ledger, key) as client:
        at = client.node.head.timestamp + 1
        if lanes is None:
            return client.claim_withdrawal(key, at=at)
        return client.request_withdrawal(key, lanes, at=at)


def _first_fault(post: Post, line: Any, given: Mapping[str, Any], client: LedgerClient) -> Fault | None:
    """The fault that is best to prove; None when the slot is as it should be."""
    slot, content = post.slot, given["content"]
    if line is None or str(slot) not in given["proofs"]:
        return Fault(post, f"Slot {slot}: nothing was shown of what is posted", DEMAND)
    proof, member = given["proofs"][str(slot)], content["member"]["index"]
    if proof.get("post") != as_json(post):
        return Fault(post, f"Slot {slot}: what was shown is not what is posted", DEMAND)
    chain = Chain(client.domain, client.commitment(slot), client.posted_deltas(slot, post.revision) or b"")
    found = faults(line, proof, member, _mandate(content, client), chain)
    return min(found, key=lambda fault: fault.function == DEMAND) if found else None


def _object(fault: Fault, member: int, client: LedgerClient, key: Key | None) -> Objection:
    """Send the proof or the demand, and say what came of it."""
    told = Objection(fault.post.slot, fault.says, fault.function)
    if key is None:
        return told
    from commonwatt.ledger.client.disputes import DisputesClient

    disputes, at = DisputesClient(client), client.node.head.timestamp + 1
    if fault.function != DEMAND:
        receipt = disputes.challenge(key, fault.function, fault.post, fault.arguments, at=at)
        return _sent(told, "proved; the post is deleted", receipt)
    try:
        receipt = disputes.demand(key, fault.post, member, at=at)
        return _sent(told, f"demanded; without an answer by {disputes.demanded()[-1]['until']} let it lapse", receipt)
    except Reverted as error:
        if error.name != "AlreadyDemanded":
            raise
    try:
        return _sent(told, "lapsed; the post is deleted", disputes.lapse(key, fault.post, member, at=at + 1))
    except Reverted as error:
        return Objection(told.slot, told.says, told.function, str(error))


def _sent(told: Objection, what: str, receipt: Receipt) -> Objection:
    return Objection(told.slot, told.says, told.function, what, receipt.gas_used)


def _is_final(client: LedgerClient, slot: int) -> bool:
    posting = client.posted(slot, 0)
    return posting is not None and posting.final


def _posts(client: LedgerClient, slots: list[int]) -> Iterator[Post]:
    """The last post of each of these slots, as the chain announced it."""
    for slot in slots:
        announced = client.announced(slot, 0)
        if announced is not None and client.posted(slot, 0) is not None:
            yield announced


def _mandate(content: Mapping[str, Any], client: LedgerClient) -> Mandate:
    """The member's own mandate. Raises VerificationError when it did not sign it."""
    try:
        given = content["mandate"]
        mandate = record(Mandate, {name: value for name, value in given.items() if name != "signature"})
        signature = to_bytes(given["signature"], 65)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise VerificationError(f"The document holds no mandate: {error}.") from None
    verify(client.domain, Signed(mandate, hash_struct(mandate), signature), mandate.member)
    return mandate


def _read(document: Path) -> dict[str, Any]:
    try:
        given: dict[str, Any] = json.loads(document.read_text(encoding="utf-8"))
        _ = given["content"]["ledger"], given["content"]["slots"], given["content"]["member"]["index"], given["proofs"]
    except OSError as error:
        raise VerificationError(f"{document} cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise VerificationError(f"{document} is no bill and no excerpt of one: {error}.") from None
    return given


@contextmanager
def _opened(given: Mapping[str, Any], ledger: str, key: Key | None) -> Iterator[LedgerClient]:
    """The community's contracts, as the document names them. Raises LedgerError when the key is not the member's."""
    from commonwatt.ledger.client.settlement import Addresses, LedgerClient

    named, account = given["content"]["ledger"], given["content"]["member"]["account"]
    try:
        addresses = Addresses(to_bytes(named["community"], 20), to_bytes(named["settlement"], 20))
        owner = to_bytes(account, 20)
    except (ValueError, KeyError, TypeError) as error:
        raise VerificationError(f"The document names no contracts: {error}.") from None
    if key is not None and key.address != owner:
        raise LedgerError(
            f"The key is that of {checksum_address(key.address)}, the document is of {checksum_address(owner)}."
        )
    with open_to_write(ledger) as node:
        if node.chain_id != named["chainId"]:
            raise LedgerError(f"The document belongs to chain {named['chainId']}, {ledger} is chain {node.chain_id}.")
        yield LedgerClient(node, key or Key(b"\x01" * 32), addresses)
