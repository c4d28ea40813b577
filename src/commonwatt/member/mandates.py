"""The mandates that a document shows of a member, each for the slots for which it holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from commonwatt.accounts.document import mandates_of, no_mandate
from commonwatt.errors import Reverted
from commonwatt.ledger.client.abi import COMMUNITY
from commonwatt.member.page import mandate_of, require
from commonwatt.member.verify_slot import registered_at
from commonwatt.records import Mandate, Signed
from commonwatt.records.schema import to_bytes

if TYPE_CHECKING:
    from commonwatt.ledger.client.settlement import LedgerClient


@dataclass(frozen=True)
class Held:
    """A mandate, and the slots from `start` until before `end` [unix s] for which it holds; unsigned for none."""

    start: int
    end: int
    signed: Signed[Mandate]


def held(content: Mapping[str, Any], client: LedgerClient) -> tuple[Held, ...]:
    """The mandates of a document, in the order of time. The member may have had other accounts before.

    Raises VerificationError or RecordError when one is another member's, or not signed by the member.
    """
    member, found = content["member"], list[Held]()
    for each in mandates_of(content):
        if each.mandate is None:
            signed = no_mandate(to_bytes(member["account"], 20))
        else:
            account = to_bytes(each.mandate["member"], 20)
            require(_ever(account, client) == member["index"], "The mandate is another member's.")
            signed = mandate_of(each.mandate, account, client.domain)
        found.append(Held(each.start, each.end, signed))
    return tuple(found)


def _ever(account: bytes, client: LedgerClient) -> int | None:
    """The member that has or had this account [address]; None where none had."""
    try:
        return int(client.view(COMMUNITY, "everMemberOf", account)[0])
    except Reverted:
        return None


def mandate_at(known: Sequence[Held], slot: int) -> Signed[Mandate] | None:
    """The one that holds for a slot [start, unix s]; None where a document says nothing of that."""
    return next((each.signed for each in known if each.start <= slot < each.end), None)


def require_agreed(known: Sequence[Held], content: Mapping[str, Any], client: LedgerClient) -> None:
    """Each mandate covers its slots from when the member joined, and without one nothing was traded under one.

    Where another account replaced one, what that signed counts for what was agreed by then. Raises VerificationError,
    or Reverted NotAMember.
    """
    period, joined = content["period"], registered_at(content["member"]["index"], client)
    for each in known:
        mandate, signed = each.signed.record, bool(each.signed.signature)
        start, end = max(each.start, period["from"], joined), min(each.end, period["until"])
        valid = not signed or (mandate.valid_from <= start and end <= mandate.valid_until)
        require(valid, "The mandate does not cover the bill's period.")
        traded = [line for line in content["slots"] if line["trades"] and each.start <= line["slot"] < each.end]
        if traded:
            client.view(COMMUNITY, "memberOfAccountAt", mandate.member, max(line["slot"] for line in traded))
        own = all(trade["order"] is not None for line in traded for trade in line["trades"])
        require(signed or own, "The member traded under a mandate, and had given none.")
