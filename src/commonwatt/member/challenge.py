"""What a member can do alone, with its own key and what it was given: object to a post, and take its money out.

Where the contracts are stands in the member's bill or excerpt, and nothing is sent on that word alone (`trust`); the
chain is a file or a node's URL.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from commonwatt.errors import ConfigError, Finding, RecordError, Reverted, VerificationError
from commonwatt.ledger.client.demands import DemandsClient
from commonwatt.ledger.client.disputes import DisputesClient
from commonwatt.member.document import named, read
from commonwatt.member.faults import DEMAND, Chain, Fault, faults
from commonwatt.member.page import mandate_of, require
from commonwatt.member.trust import Pins, Trust, opened
from commonwatt.proof import Key
from commonwatt.records import Mandate, Post
from commonwatt.records.schema import as_json
from commonwatt.units import in_units

if TYPE_CHECKING:
    from commonwatt.ledger.client.settlement import LedgerClient
    from commonwatt.ledger.node import Receipt

_MOST_REVISIONS: Final = 1000
"""More than readings that come late can make of one slot; a node could name them for ever."""


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
    trust: Trust


def challenge(document: Path, ledger: str, pins: Pins, key: Key | None = None, slot: int | None = None) -> Looked:
    """Look for faults in every slot of a bill or excerpt that is not final; with the member's key, prove them.

    pins : what the member knows of its community; with a key, whose contracts they are has to be among it
    slot : this one alone; one that the document does not hold was kept back, and is demanded on the chain
    Raises VerificationError when the document cannot be read or neither it nor the chain has the slot to look at,
    LedgerError when the chain cannot be asked.
    """
    given = read(document)
    at = named(given)
    with opened(at, [ledger], pins, key) as (client, trust):
        require(client.member_of(at.account) == at.index, "The chain knows another member at the document's account.")
        mandate = _mandate(given, at.account, client)
        require(slot is None or 0 <= slot < 1 << 64, "A slot's start is unix seconds.")
        slots = {line["slot"]: line for line in given["content"]["slots"]}
        chosen = list(slots) if slot is None else [slot]
        pending = [each for each in chosen if not _is_final(client, each)]
        found = []
        for post in _posts(client, pending):
            fault = _first_fault(post, slots.get(post.slot), given["proofs"], at.index, mandate, client)
            if fault:
                found.append(_object(fault, at.index, client, key))
        require(
            bool(found) or slots.keys() >= set(chosen),
            f"The document has no slot that starts at {slot} (unix seconds), the chain no post of it to challenge.",
        )
        return Looked(len(chosen) - len(pending), len(pending), tuple(found), trust)


def withdraw(document: Path, ledger: str, pins: Pins, key: Key, amount: int | None) -> Receipt:
    """Ask for some of the member's free balance [micro-currency]; None claims what was asked for before.

    Raises ConfigError for an amount that is no whole number of lane units, Reverted with the contract's reason, such as
    when the time for a claim has not come.
    """
    with opened(named(read(document)), [ledger], pins, key) as (client, _):
        at = client.node.head.timestamp + 1
        if amount is None:
            return client.claim_withdrawal(key, at=at)
        return client.request_withdrawal(key, _lanes(amount, client), at=at)


def _lanes(amount: int, client: LedgerClient) -> int:
    try:
        return in_units(amount, client.unit)
    except ValueError as error:
        raise ConfigError("The request", [Finding("amount", str(error))]) from None


def _mandate(given: Mapping[str, Any], account: bytes, client: LedgerClient) -> Mandate | None:
    """None when the document holds none that the member signed."""
    try:
        return mandate_of(given["content"]["mandate"], account, client.domain)
    except (VerificationError, RecordError):
        return None


def _first_fault(
    post: Post, line: Any, proofs: Mapping[str, Any], member: int, mandate: Mandate | None, client: LedgerClient
) -> Fault | None:
    """The fault that is best to prove; None when the slot is as it should be."""
    slot, proof = post.slot, proofs.get(str(post.slot))
    if line is None or not isinstance(proof, dict):
        return Fault(post, f"Slot {slot}: nothing was shown of what is posted", DEMAND)
    if proof.get("post") != as_json(post):
        return Fault(post, f"Slot {slot}: what was shown is not what is posted", DEMAND)
    if mandate is None:
        return Fault(post, f"Slot {slot}: the mandate that was shown is not the member's", DEMAND)
    deltas = client.posted_deltas(slot, post.revision) or b""
    chain = Chain(client.domain, client.commitment(slot), deltas, client.unit)
    found = faults(line, proof, member, mandate, chain)
    return min(found, key=lambda fault: fault.function == DEMAND) if found else None


def _object(fault: Fault, member: int, client: LedgerClient, key: Key | None) -> Objection:
    """Send the proof or the demand, and say what came of it."""
    told = Objection(fault.post.slot, fault.says, fault.function)
    if key is None:
        return told
    at = client.node.head.timestamp + 1
    if fault.function != DEMAND:
        receipt = DisputesClient(client).challenge(key, fault.function, fault.post, fault.arguments, at=at)
        return _sent(told, "proved; the post is deleted", receipt)
    demands = DemandsClient(client)
    try:
        receipt = demands.demand(key, fault.post, member, at=at)
        own = [each["until"] for each in demands.demanded() if (each["slot"], each["member"]) == (told.slot, member)]
        return _sent(told, f"demanded; without an answer by {max(own, default='then')} let it lapse", receipt)
    except Reverted as error:
        if error.name != "AlreadyDemanded":
            raise
    try:
        return _sent(told, "lapsed; the post is deleted", demands.lapse(key, fault.post, member, at=at + 1))
    except Reverted as error:
        return Objection(told.slot, told.says, told.function, str(error))


def _sent(told: Objection, what: str, receipt: Receipt) -> Objection:
    return Objection(told.slot, told.says, told.function, what, receipt.gas_used)


def _last(client: LedgerClient, slot: int) -> int:
    """The last revision of a slot that is posted; 0 when none is."""
    later = (number for number in range(_MOST_REVISIONS) if client.posted(slot, number + 1) is None)
    return next(later, _MOST_REVISIONS)


def _is_final(client: LedgerClient, slot: int) -> bool:
    posting = client.posted(slot, _last(client, slot))
    return posting is not None and posting.final


def _posts(client: LedgerClient, slots: list[int]) -> Iterator[Post]:
    """The last post of each of these slots, as the chain announced it."""
    for slot in slots:
        revision = _last(client, slot)
        announced = client.announced(slot, revision)
        if announced is not None and client.posted(slot, revision) is not None:
            yield announced
