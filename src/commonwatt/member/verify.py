"""Check a bill against the chain alone: neither the exchange nor its files are asked.

What is proved: the content is the one that the operators anchored for the period; the local trades make the statement
of a settled post, none is left out, and their sum is what the ledger moved; the member signed an order or the mandate
for every trade, within its limits; day-ahead trades are those that were committed before delivery; the reading is the
member's own meter's; the rest was priced and added up as the bill says. What the utility's prices,
levies and VAT are is the operators' word, unless the member knows its community's file (`terms`): then they are that
file's, in every slot, whether an amount rests on them or not. Each slot is under the charter that the members
adopted for it: the contract says which. Of plants of several owners see `shares`. Where registers are shared, what a
member's own supplied to each other, and which of several shared, is the operators' word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commonwatt.accounts.document import FORMAT, hex_text, parts_of
from commonwatt.errors import CommonwattError, LedgerError, VerificationError
from commonwatt.ledger.client.abi import COMMUNITY
from commonwatt.ledger.client.charters import charters
from commonwatt.ledger.client.charters import held as held_charters
from commonwatt.member import amounts, on_account
from commonwatt.member.amounts import require_last_page, require_priced, require_sane
from commonwatt.member.day_sheets import Shown, by_tariff, shown, summed_parts
from commonwatt.member.document import CHANGED, box_signed, leads_to_its_root, named, read_whole, slotwise, whole
from commonwatt.member.known import Known, Remembered, name_of
from commonwatt.member.mandates import Held, held, mandate_at, require_agreed
from commonwatt.member.page import require
from commonwatt.member.shares import Summed, as_divided, summed
from commonwatt.member.terms import Terms
from commonwatt.member.trust import Pins, Trust, opened
from commonwatt.member.verify_slot import check_slot
from commonwatt.plain import many
from commonwatt.proof import Key, hash_struct
from commonwatt.records import Anchor
from commonwatt.records.schema import to_bytes
from commonwatt.units import minor_unit

if TYPE_CHECKING:
    from commonwatt.ledger.client.settlement import LedgerClient


@dataclass(frozen=True)
class Under:
    """A charter. config : digest of its file, as text; since : its first slot of the bill [unix s]"""

    config: str
    since: int


@dataclass(frozen=True)
class Verified:
    """What was checked. total, without_market : [micro-currency]; charters : under which the slots are, in order.

    community : its name
    plants : names of those that the member owns a part of, and whose bills were not shown
    month : of a bill on account, what was checked; it has no charters, and does not say what it would have been without
        the community
    day : of a sheet alone, its local day: then nothing is owed yet
    unseen : how many sheets of the bill were not shown, so that nothing but their sums was looked at
    without_mandate : in how many slots, from when the member joined, it had given none, as the operators say
    box_signs : meters that cannot sign, for which the operators' box did, as the sheets say
    """

    member: str
    account: str
    slots: int
    lines: int
    total: int | None
    without_market: int | None
    currency: str
    charters: tuple[Under, ...]
    community: str
    plants: tuple[str, ...] = ()
    month: on_account.Month | None = None
    day: str = ""
    unseen: int = 0
    without_mandate: int = 0
    box_signs: tuple[str, ...] = ()


def open_and_verify(
    bill: Path,
    ledgers: Sequence[str],
    pins: Pins = Pins(),  # noqa: B008
    terms: Sequence[Terms] = (),
    plants: Sequence[Path] = (),
    reader: Key | None = None,
    known: Known | None = None,
) -> tuple[Verified, Trust]:
    """Check the bill in the file `bill` against a chain: that of nodes' URLs, or in a file, which is only read.

    ledgers : several have to give the same answers
    pins : what the member knows of its community; terms : its files, one for each charter of the
        bill's period; none = what holds is the operators' word
    plants : bills of plants that the member owns a part of, which are checked as well
    reader : signs the questions, for nodes that answer members only
    known : what was believed of earlier bills, which counts where no pin tells whose the contracts are
    Raises VerificationError when the bill does not prove what it claims, LedgerError when there is no such chain,
    DataError when a price file of the community does not cover the bill's period.
    """
    document, others = read_whole(bill), [read_whole(plant) for plant in plants]
    content = slotwise(document)["content"]
    with opened(named(slotwise(document)), ledgers, pins, reader=reader) as (client, trust):
        try:
            if known and not pins.whose and {"anchor", "sheet"} & document.keys():
                known.require_same(Remembered.of(content, trust))
            if on_account.is_on_account(document):
                return _on_account(document, client, pins), trust
            found = verify_bill(document, client)
            if pins.card:
                pins.card.require_metered(content)
            if terms:
                _under(terms, content, found.charters, trust)
            for other in others:
                of_plant, of_other = verify_bill(other, client), slotwise(other)["content"]
                bills = [each.get("anchor", {}).get("root") for each in (document, other)]
                require(None not in bills, "A day's sheet is not checked with another document: give the bills.")
                require(bills[0] == bills[1], f"The bill of {of_plant.member} was not anchored with this one.")
                as_divided(content, of_other)
                if terms:
                    _under(terms, of_other, of_plant.charters, trust)
                found = replace(found, plants=tuple(name for name in found.plants if name != of_plant.member))
            return found, trust
        except LedgerError as error:
            raise VerificationError(f"{bill.name}: {error}") from None


def _on_account(document: Mapping[str, Any], client: LedgerClient, pins: Pins) -> Verified:
    try:
        month = on_account.verify(document, client)
        if pins.card:
            on_account.require_metered(document, pins.card)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise VerificationError(f"This is not a complete bill: {type(error).__name__} {error}.") from None
    content = document["content"]
    account, total = content["member"]["account"], content["payable"] * minor_unit(month.currency)
    return Verified(
        month.member, account, month.slots, month.lines, total, total, month.currency, (), month.community, month=month
    )


def verify_bill(bill: Any, client: LedgerClient) -> Verified:
    """Check every line of a bill, or of a day's sheet alone, against the contracts of `client`.

    Of a bill without its sheets, their sums and what follows from them.
    Raises VerificationError that names the first thing that does not prove what it claims.
    """
    try:
        known = isinstance(bill, dict) and bool({"anchor", "sheet"} & bill.keys())
        require(known, "This is no bill: nothing of it is anchored.")
        whole(bill)
        content = bill["sheet"] if "sheet" in bill else bill["content"]
        if "anchor" in bill:
            if not leads_to_its_root(bill):
                raise VerificationError(f"The bill's content is not what was anchored: {CHANGED}{disagreement(bill)}")
            _anchored(content, bill["anchor"], client)
        _member(content, client)
        under, parts = _charters(content, client), shown(bill)
        agreed = [_agreed(part, client) for part in parts]
        slots, lines, without = 0, 0, 0
        for part, mandates in zip(parts, agreed, strict=True):
            slots, lines = slots + len(part.content["slots"]), lines + _slots(part, mandates, client)
            without += _without_mandate(part, mandates)
        _amounts(bill, parts)
        require(content.get("unit", 1) == client.unit, "The bill counts money in another unit than the contract.")
        return replace(_verified(bill, content, client.unit, (slots, lines), under), without_mandate=without)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise VerificationError(f"This is not a complete bill: {type(error).__name__} {error}.") from None
    except VerificationError:
        raise
    except CommonwattError as error:
        raise VerificationError(str(error)) from error


def _verified(
    bill: Mapping[str, Any], content: Mapping[str, Any], unit: int, counted: tuple[int, int], under: tuple[Under, ...]
) -> Verified:
    """The verdict. counted : slots and lines that were looked at"""
    member, is_bill = content["member"], "anchor" in bill
    total, alone = (content[key] * unit if is_bill else None for key in ("total", "withoutMarket"))
    plants = tuple(part["id"] for part in content.get("owns", []))
    return Verified(
        member["id"], member["account"], *counted, total, alone, content["currency"], under, name_of(content)[0],
        plants, day="" if is_bill else content["day"], unseen=0 if counted[0] else len(content["sheets"]),
        box_signs=box_signed(bill),
    )  # fmt: skip


def disagreement(bill: Mapping[str, Any]) -> str:
    """Of a bill that was changed: a sentence on where its figures do not add up; empty where they do."""
    try:
        _amounts(bill, shown(bill))
    except VerificationError as error:
        return f" {error}"
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
        pass
    return ""


def _slots(part: Shown, mandates: Sequence[Held], client: LedgerClient) -> int:
    """Check each slot; returns the number of lines."""
    content, proofs = part.content, part.proofs
    member, lines = content["member"]["index"], 0
    for line in content["slots"]:
        mandate = mandate_at(mandates, line["slot"])
        require(mandate is not None, f"Slot {line['slot']}: nothing is said of the member's mandate.")
        lines += check_slot(line, proofs[str(line["slot"])], member, mandate, client) if mandate else 0
    return lines


def _without_mandate(part: Shown, mandates: Sequence[Held]) -> int:
    """Slots for which the member has a statement, and is said to have given no mandate."""
    starts = [int(slot) for slot, proof in part.proofs.items() if proof is not None and proof["stated"] is not False]
    given = (mandate_at(mandates, slot) for slot in starts)
    return sum(signed is not None and not signed.signature for signed in given)


def _amounts(bill: Mapping[str, Any], parts: Sequence[Shown]) -> None:
    """Add everything up again: slots to the sums of sheets, and these to the last page."""
    looked = [_looked(piece) for part in parts for piece in by_tariff(part)]
    if "anchor" not in bill:
        return
    content = bill["content"]
    for under in parts_of(content):
        require_sane(under.tariff)
    if content["format"] == FORMAT:
        own = [(under.tariff, sums) for under, sums in summed_parts(content)]
    else:
        own = [(under.tariff, sums) for under, (sums, _) in zip(parts_of(content), looked, strict=True)]
    require_last_page(content, own, [of_plants for _, of_plants in looked])


def _looked(part: Shown) -> tuple[dict[str, Any], Summed]:
    """The sums of slots under one tariff; of a sheet, they are those that it says."""
    content, member = part.content, part.content["member"]["index"]
    for under in parts_of(content):
        require_sane(under.tariff)
    require_priced(content["slots"], member)
    missed = {line["slot"] for line in content["slots"] if part.proofs.get(str(line["slot"])) is None}
    of_plants = summed(content, missed)
    sums = amounts.sums(content["slots"], member) | of_plants.sums
    if part.name:
        require(content["sums"] == sums, f"{part.name}: its sums are not what its slots add up to.")
    return sums, of_plants


def _anchored(content: Any, anchor: Any, client: LedgerClient) -> None:
    """The root is the one that the operators anchored for this period, and the content at this member's place."""
    root, index = to_bytes(anchor["root"], 32), anchor["index"]
    period = Anchor(content["period"]["from"], content["period"]["until"], root)
    hash_struct(period)  # refuses what cannot be asked for
    anchored = client.anchored(period.start, period.until)
    require(anchored is not None, "The chain holds no bills of this period.")
    require(anchored == root, "The chain holds other bills of this period.")
    require(index == content["member"]["index"], "The bill stands at another member's place.")


def _member(content: Any, client: LedgerClient) -> None:
    """The bill is of this chain, and of an account that is or was the member's."""
    ledger, member = content["ledger"], content["member"]
    require(ledger["chainId"] == client.node.chain_id, "The bill belongs to another chain.")
    contracts = [to_bytes(ledger[name], 20) for name in ("community", "settlement")]
    own = [client.addresses.community, client.addresses.settlement]
    require(contracts == own, "The bill names other contracts.")
    _account(member, client)


def _account(member: Any, client: LedgerClient) -> bytes:
    """The account [address], which is or was the member's."""
    account = to_bytes(member["account"], 20)
    ever = int(client.view(COMMUNITY, "everMemberOf", account)[0])
    require(ever == member["index"], "The chain knows another member at this account.")
    return account


def _agreed(part: Shown, client: LedgerClient) -> tuple[Held, ...]:
    """The mandates under which the member traded; each sheet has its own, and all slots of its period."""
    _account(part.content["member"], client)
    mandates = held(part.content, client)
    require_agreed(mandates, part.content, client)
    _covers(part, client)
    return mandates


def _charters(content: Any, client: LedgerClient) -> tuple[Under, ...]:
    """The slots are under the charters that the contract has for them; returns these."""
    period, parts = content["period"], parts_of(content)
    known = held_charters(charters(client), period["from"], period["until"])
    under = tuple(Under(hex_text(each.digest), each.since) for each in known)
    require(
        len(under) == len(parts),
        f"The bill is under {many(len(parts), 'charter')}, its period under {len(under)}, as the contract says.",
    )
    for part, true in zip(parts, under, strict=True):
        require(part.start == true.since, f"The charter of slot {part.start} holds from {true.since} on.")
        same = part.config in (None, true.config)
        require(same, f"Slot {part.start} is under the charter {part.config}, and {true.config} was adopted for it.")
    return under


def _under(terms: Sequence[Terms], content: Any, under: Sequence[Under], trust: Trust) -> None:
    """Each charter of the bill is one of the member's files, and the bill says what that says."""
    known = [each.digest for each in trust.governance.charters]
    files = {hex_text(each.community.digest): each for each in terms}
    for each in terms:
        there = each.community.digest in known
        require(there, f"{each.community.name}: this file, or this version of it, is no charter of the community.")
    for each_under in under:
        named_ = each_under.config in files
        require(
            named_,
            f"From slot {each_under.since} on the bill is under the charter {each_under.config}, which is none of the "
            "files that you named.",
        )
        files[each_under.config].check(content)


def _covers(part: Shown, client: LedgerClient) -> None:
    period, slots, proofs = part.content["period"], part.content["slots"], part.proofs
    expected = range(period["from"], period["until"], client.terms.slot_seconds)
    same = len(slots) == len(expected) and all(line["slot"] == at for line, at in zip(slots, expected, strict=True))
    require(same, "The bill leaves out or repeats a slot of its period.")
    require(sorted(proofs) == sorted(map(str, expected)), "The bill's proofs are not those of its slots.")
