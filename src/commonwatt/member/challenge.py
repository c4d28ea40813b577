"""What a member can do alone, with its own key and what it was given: object to a post, and take its money out.

Where the contracts are stands in the member's bill or excerpt, and nothing is sent on that word alone (`trust`); the
chain is a file or a node's URL.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from commonwatt.accounts.promise import Promise
from commonwatt.errors import ConfigError, Finding, LedgerError, RecordError, Reverted, VerificationError
from commonwatt.ledger.client.abi import COMMUNITY
from commonwatt.ledger.client.demands import DemandsClient
from commonwatt.ledger.client.disputes import DisputesClient
from commonwatt.member.answered import mandate_in, shown_by
from commonwatt.member.document import named, read
from commonwatt.member.ends import between, committed
from commonwatt.member.faults import DEMAND, Chain, Fault, faults
from commonwatt.member.mandates import Held, held, mandate_at
from commonwatt.member.page import Page, require, revision_of, trades_of, ways
from commonwatt.member.page import read as page_of
from commonwatt.member.trust import Pins, Trust, account_of, opened
from commonwatt.proof import Key
from commonwatt.records import Mandate, Post, Signed
from commonwatt.units import in_units

if TYPE_CHECKING:
    from commonwatt.ledger.client.settlement import LedgerClient
    from commonwatt.ledger.node import Receipt

ANSWERED: Final = "answered"
"""Of a fault that the operators' answer on the chain does not prove either."""
_MOST_REVISIONS: Final = 1000
"""More than readings that come late can make of one slot; a node could name them for ever."""
_Place = tuple[Post, int]
"""A post, and the index of a member."""


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


def challenge(
    documents: Sequence[Path], ledger: str, pins: Pins, key: Key | None = None, slot: int | None = None
) -> Looked:
    """Look for faults in every slot of bills or excerpts that is not final; with a key, prove them.

    documents : a member's, or those of several members for who watches for them all and so sees both ends of a trade
    pins : what the member knows of its community; with a key, whose contracts they are has to be among it
    key : of the member's account, or of one that holds its grant to watch
    slot : this one alone; one that the document does not hold was kept back, and is demanded on the chain
    Raises VerificationError when a document cannot be read or neither it nor the chain has the slot to look at,
    LedgerError when the chain cannot be asked.
    """
    if len(documents) == 1:
        return _look(documents[0], ledger, pins, key, slot).looked
    seen = [_look(document, ledger, pins, None, slot, frozenset()) for document in documents]
    pages, kept = ([each for one in seen for each in getattr(one, name)] for name in ("pages", "promises"))
    objections: list[Objection] = []
    if pages:
        with opened(named(read(documents[0])), [ledger], pins, key, watching=True) as (client, _):
            sides = between(pages, kept, by_registers=client.by_registers)
            objections = [
                _object(each, 0, client, key) for each in sides if client.posted(each.post.slot, each.post.revision)
            ]
    # What all of them prove together, or another one shows, need not be demanded for one.
    whole = frozenset[_Place]().union(*(each.whole for each in seen))
    seen = [_look(document, ledger, pins, key, slot, whole) for document in documents]
    objections = [*(told for each in seen for told in each.looked.objections), *objections]
    final, open_ = (sum(getattr(each.looked, name) for each in seen) for name in ("final", "open_"))
    return Looked(final, open_, tuple(objections), seen[0].looked.trust)


@dataclass(frozen=True)
class _Seen:
    """What one document gives.

    pages : of posts, that prove no fault; whole : of which posts it shows everything of which member
    promises : the committed trades that it shows
    """

    looked: Looked
    pages: list[Page]
    promises: list[Promise]
    whole: frozenset[_Place]


def _lines(document: Mapping[str, Any]) -> dict[int, tuple[Any, Any]]:
    """What the document's content shows of each slot, and its proof, by the slot's start."""
    return {line["slot"]: (line, document["proofs"].get(str(line["slot"]))) for line in document["content"]["slots"]}


def _look(
    document: Path, ledger: str, pins: Pins, key: Key | None, slot: int | None, known: frozenset[_Place] | None = None
) -> _Seen:
    """Look at one document.

    known : of several documents, what one of them shows whole, so that nothing is demanded of it; None = of one alone
    """
    given = read(document)
    at = named(given)
    with opened(at, [ledger], pins, key, watching=True) as (client, trust):
        account_of(client, at)  # refuses another member's
        mandates = _mandates(given, client)
        require(slot is None or 0 <= slot < 1 << 64, "A slot's start is unix seconds.")
        slots = _lines(given)
        chosen = list(slots) if slot is None else [slot]
        pending = [each for each in chosen if not _is_final(client, each)]
        found, pages, promises, whole, posts = [], [], [], set[_Place](), list(_posts(client, pending))
        for post in posts:
            line, proof = slots.get(post.slot, (None, None))
            mandate = mandate_at(mandates, post.slot)
            page, kept = _page(line, proof, at.index, mandate, client, post) if known is not None else (None, [])
            promises += kept
            fault, place = _first_fault(post, line, proof, at.index, mandate, client), (post, at.index)
            if fault and fault.function == DEMAND:
                if known and place in known:
                    continue
                fault = _as_answered(fault, at.index, mandate, client)
            # The chain compares no page that is wrong by itself, and would refuse all that is sent of it.
            if page and (fault is None or fault.function in (DEMAND, ANSWERED)):
                pages.append(page)
            if page and (fault is None or fault.function != DEMAND):
                whole.add(place)
            if fault:
                found.append(_object(fault, at.index, client, key))
        require(
            bool(posts) or slots.keys() >= set(chosen),
            f"The document has no slot that starts at {slot} (unix seconds), the chain no post of it to challenge.",
        )
        looked = Looked(len(chosen) - len(pending), len(pending), tuple(found), trust)
        return _Seen(looked, pages, promises, frozenset(whole))


def _page(
    line: Any, proof: Any, member: int, mandate: Signed[Mandate] | None, client: LedgerClient, post: Post
) -> tuple[Page | None, list[Promise]]:
    """What a document shows of a post, if it is whole, and the trades that it shows to be committed: also one of an
    earlier revision, or of a post that was deleted.
    """
    page, kept = None, list[Promise]()
    if line is None or mandate is None:
        return page, kept
    with suppress(VerificationError, RecordError):
        revision_of(proof)
        trades = trades_of(line, member, mandate, client.domain)
        kept = committed(trades, ways(trades, proof), post, client.commitment(post.slot))
        page = page_of(line, proof, member, mandate, client.domain, post)
    return page, kept


def withdraw(document: Path, ledger: str, pins: Pins, key: Key, amount: int | None) -> Receipt:
    """Ask for some of the member's free balance [micro-currency]; None claims what was asked for before.

    Raises ConfigError for an amount that is no whole number of lane units, Reverted with the contract's reason, such as
    when the time for a claim has not come.
    """
    with opened(named(read(document)), [ledger], pins, key) as (client, _):
        at = client.node.now(client.node.head.timestamp) + 1
        if amount is None:
            return client.claim_withdrawal(key, at=at)
        return client.request_withdrawal(key, _lanes(amount, client), at=at)


def _lanes(amount: int, client: LedgerClient) -> int:
    try:
        return in_units(amount, client.unit)
    except ValueError as error:
        raise ConfigError("The request", [Finding("amount", str(error))]) from None


def _mandates(given: Mapping[str, Any], client: LedgerClient) -> tuple[Held, ...]:
    """None of them when one is not the member's own."""
    try:
        return held(given["content"], client)
    except (VerificationError, RecordError):
        return ()


def _first_fault(
    post: Post, line: Any, proof: Any, member: int, mandate: Signed[Mandate] | None, client: LedgerClient
) -> Fault | None:
    """The fault that is best to prove; None when the slot is as it should be."""
    slot = post.slot
    if line is None or not isinstance(proof, dict):
        return Fault(post, f"Slot {slot}: nothing was shown of what is posted", DEMAND)
    if proof.get("revision") != post.revision:
        return Fault(post, f"Slot {slot}: what was shown is not what is posted", DEMAND)
    if mandate is None:
        return Fault(post, f"Slot {slot}: the mandate that was shown is not the member's", DEMAND)
    found = faults(line, proof, member, mandate, chain_of(post, member, client), post)
    return min(found, key=lambda fault: fault.function == DEMAND) if found else None


def chain_of(post: Post, member: int, client: LedgerClient) -> Chain:
    """What the chain says of a posted slot to a member."""
    deltas = client.posted_deltas(post.slot, post.revision)
    posts = [(client.announced(post.slot, at), client.posted_deltas(post.slot, at)) for at in range(post.revision)]
    shown = tuple((each, moved) for each, moved in posts if each and moved is not None)
    before = shown if len(shown) == len(posts) else None
    since = int(client.view(COMMUNITY, "registeredAt", member)[0])
    own = partial(_measures, client, member, post.slot)
    committed_ = client.commitment(post.slot)
    registers, members = client.by_registers, client.member_count
    return Chain(client.domain, committed_, deltas, client.unit, since, own, before, registers, members)


def _measures(client: LedgerClient, member: int, slot: int, meter: bytes) -> bool:
    try:
        return client.home_of_meter(meter, slot) == member
    except Reverted:
        return False


def _as_answered(fault: Fault, member: int, mandate: Signed[Mandate] | None, client: LedgerClient) -> Fault | None:
    """What has to be demanded, unless it was answered on the chain: then the fault that the answer proves, if any."""
    demands, post = DemandsClient(client), fault.post
    demand = demands.demand_of(post, member)
    if demand is None or not demand.answered:
        return fault
    try:
        parts = demands.answered(post, member)
        line, proof = shown_by(post, member, parts)
    except LedgerError as error:
        return replace(fault, says=f"{fault.says}. {str(error).rstrip('.')}", function=ANSWERED)
    mandate = mandate_in(parts) or mandate
    if mandate is None:
        return replace(fault, says=f"{fault.says}; it was answered, without a mandate", function=ANSWERED)
    found = faults(line, proof, member, mandate, chain_of(post, member, client), post)
    best = min(found, key=lambda each: each.function == DEMAND, default=None)
    if best and best.function == DEMAND:
        return replace(best, says=f"{best.says}; that was answered, and nothing more can be asked", function=ANSWERED)
    return best


def _object(fault: Fault, member: int, client: LedgerClient, key: Key | None) -> Objection:
    """Send the proof or the demand, and say what came of it."""
    told = Objection(fault.post.slot, fault.says, fault.function)
    if key is None:
        return told
    at = client.node.now(client.node.head.timestamp) + 1
    if fault.function == ANSWERED:
        return replace(told, sent="nothing can be proved with it")
    if fault.function != DEMAND:
        receipt = DisputesClient(client).challenge(key, fault.function, fault.post, fault.arguments, at=at)
        return _sent(told, "proved; the post is deleted", receipt)
    demands = DemandsClient(client)
    if demands.demand_of(fault.post, member) is None:
        receipt = demands.demand(key, fault.post, member, at=at)
        demand = demands.demand_of(fault.post, member)
        return _sent(told, f"demanded; without an answer by {demand.until if demand else 'then'} let it lapse", receipt)
    try:
        return _sent(told, "lapsed; the post is deleted", demands.lapse(key, fault.post, member, at=at))
    except Reverted as error:
        return replace(told, sent=str(error))


def _sent(told: Objection, what: str, receipt: Receipt) -> Objection:
    return Objection(told.slot, told.says, told.function, what, receipt.gas_used)


def _last(client: LedgerClient, slot: int) -> int:
    """The last revision of a slot that is posted; 0 when none is."""
    later = (number for number in range(_MOST_REVISIONS) if client.posted(slot, number + 1) is None)
    return next(later, _MOST_REVISIONS)


def _is_final(client: LedgerClient, slot: int) -> bool:
    """Also a slot that was missed: it has begun, and nothing was committed, so nothing can be posted."""
    posting = client.posted(slot, _last(client, slot))
    if posting is None:
        now = client.node.now(client.node.head.timestamp)
        return slot <= now and client.commitment(slot) is None
    return posting.final


def _posts(client: LedgerClient, slots: list[int]) -> Iterator[Post]:
    """The last post of each of these slots, as the chain announced it."""
    for slot in slots:
        revision = _last(client, slot)
        announced = client.announced(slot, revision)
        if announced is not None and client.posted(slot, revision) is not None:
            yield announced
