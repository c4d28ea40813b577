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

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commonwatt.accounts.charges import vat_on
from commonwatt.accounts.document import Met, both_ways, hex_text, met, parts_of, utility_amounts, vat_rate
from commonwatt.errors import CommonwattError, LedgerError, VerificationError
from commonwatt.ledger.client.abi import COMMUNITY
from commonwatt.ledger.client.charters import charters, held
from commonwatt.member import on_account
from commonwatt.member.document import CHANGED, leads_to_its_root, named, read, whole
from commonwatt.member.known import Known, Remembered, name_of
from commonwatt.member.page import mandate_of, require
from commonwatt.member.shares import as_divided, charged
from commonwatt.member.terms import Terms
from commonwatt.member.trust import Pins, Trust, opened
from commonwatt.member.verify_slot import check_slot
from commonwatt.plain import many
from commonwatt.proof import Key, hash_struct
from commonwatt.records import Anchor, Mandate, Signed
from commonwatt.records.schema import to_bytes
from commonwatt.units import MAX_PRICE, WH_PER_KWH, minor_unit

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
    """

    member: str
    account: str
    slots: int
    lines: int
    total: int
    without_market: int
    currency: str
    charters: tuple[Under, ...]
    community: str
    plants: tuple[str, ...] = ()
    month: on_account.Month | None = None


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
    document, others = read(bill), [read(plant) for plant in plants]
    with opened(named(document), ledgers, pins, reader=reader) as (client, trust):
        try:
            if known and not pins.whose and "anchor" in document:
                known.require_same(Remembered.of(document["content"], trust))
            if on_account.is_on_account(document):
                return _on_account(document, client, pins), trust
            found = verify_bill(document, client)
            if pins.card:
                pins.card.require_metered(document["content"])
            if terms:
                _under(terms, document["content"], found.charters, trust)
            for other in others:
                of_plant = verify_bill(other, client)
                together = other["anchor"]["root"] == document["anchor"]["root"]
                require(together, f"The bill of {of_plant.member} was not anchored with this one.")
                as_divided(document["content"], other["content"])
                if terms:
                    _under(terms, other["content"], of_plant.charters, trust)
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
    """Check every line of a bill against the contracts of `client`.

    Raises VerificationError that names the first thing that does not prove what it claims.
    """
    try:
        require(isinstance(bill, dict) and "anchor" in bill, "This is no bill: nothing of it is anchored.")
        whole(bill)
        if not leads_to_its_root(bill):
            raise VerificationError(f"The bill's content is not what was anchored: {CHANGED}{disagreement(bill)}")
        _anchored(bill["content"], bill["anchor"], client)
        content, proofs = bill["content"], bill["proofs"]
        mandate = _member(content, client)
        slots, member = content["slots"], content["member"]
        _covers(content, slots, proofs, client)
        under = _charters(content, client)
        lines = sum(check_slot(line, proofs[str(line["slot"])], member["index"], mandate, client) for line in slots)
        _amounts(content, {line["slot"] for line in slots if proofs[str(line["slot"])] is None})
        require(content.get("unit", 1) == client.unit, "The bill counts money in another unit than the contract.")
        return Verified(
            member["id"], member["account"], len(slots), lines,
            content["total"] * client.unit, content["withoutMarket"] * client.unit, content["currency"],
            under, name_of(content)[0], tuple(part["id"] for part in content.get("owns", [])),
        )  # fmt: skip
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise VerificationError(f"This is not a complete bill: {type(error).__name__} {error}.") from None
    except VerificationError:
        raise
    except CommonwattError as error:
        raise VerificationError(str(error)) from error


def disagreement(bill: Mapping[str, Any]) -> str:
    """Of a bill that was changed: a sentence on where its figures do not add up; empty where they do."""
    try:
        content, proofs = bill["content"], bill["proofs"]
        _amounts(content, {line["slot"] for line in content["slots"] if proofs.get(str(line["slot"])) is None})
    except VerificationError as error:
        return f" {error}"
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
        pass
    return ""


def _anchored(content: Any, anchor: Any, client: LedgerClient) -> None:
    """The root is the one that the operators anchored for this period, and the content at this member's place."""
    root, index = to_bytes(anchor["root"], 32), anchor["index"]
    period = Anchor(content["period"]["from"], content["period"]["until"], root)
    hash_struct(period)  # refuses what cannot be asked for
    anchored = client.anchored(period.start, period.until)
    require(anchored is not None, "The chain holds no bills of this period.")
    require(anchored == root, "The chain holds other bills of this period.")
    require(index == content["member"]["index"], "The bill stands at another member's place.")


def _member(content: Any, client: LedgerClient) -> Signed[Mandate]:
    """The bill is of this chain and of an account of the member, which signed the mandate; returns that.

    Where another account replaced it, what it signed counts for what was agreed by then.
    """
    ledger, member = content["ledger"], content["member"]
    require(ledger["chainId"] == client.node.chain_id, "The bill belongs to another chain.")
    contracts = [to_bytes(ledger[name], 20) for name in ("community", "settlement")]
    own = [client.addresses.community, client.addresses.settlement]
    require(contracts == own, "The bill names other contracts.")
    account = to_bytes(member["account"], 20)
    ever = int(client.view(COMMUNITY, "everMemberOf", account)[0])
    require(ever == member["index"], "The chain knows another member at this account.")
    if traded := [line["slot"] for line in content["slots"] if line["trades"]]:
        client.view(COMMUNITY, "memberOfAccountAt", account, max(traded))  # refuses one that was replaced before
    mandate = mandate_of(content["mandate"], account, client.domain)
    period = content["period"]
    valid = mandate.record.valid_from <= period["from"] and period["until"] <= mandate.record.valid_until
    require(valid, "The mandate does not cover the bill's period.")
    return mandate


def _charters(content: Any, client: LedgerClient) -> tuple[Under, ...]:
    """The slots are under the charters that the contract has for them; returns these."""
    period, parts = content["period"], parts_of(content)
    known = held(charters(client), period["from"], period["until"])
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


def _covers(content: Any, slots: Sequence[Any], proofs: Mapping[str, Any], client: LedgerClient) -> None:
    expected = range(content["period"]["from"], content["period"]["until"], client.terms.slot_seconds)
    same = len(slots) == len(expected) and all(line["slot"] == at for line, at in zip(slots, expected, strict=True))
    require(same, "The bill leaves out or repeats a slot of its period.")
    require(sorted(proofs) == sorted(map(str, expected)), "The bill's proofs are not those of its slots.")


def _amounts(content: Any, missed: Collection[int]) -> None:
    """Add everything up again: the charges with the market, and what the same energy costs without it."""
    with_market, alone = [], []
    for part in parts_of(content):
        _sane(part.tariff, content["slots"])
        lines = [line for line in content["slots"] if part.start <= line["slot"] < part.end]
        local, without = _part(part.tariff, lines, content["member"]["index"])
        with_market.append(local)
        alone.append(without)
    charges = _joined(with_market)
    without_market = sum(line["amount"] for line in _joined(alone))
    of_plants, alone_of_plants = charged(content, missed, sum(line["amount"] for line in charges), without_market)
    charges += of_plants
    require(content["charges"] == charges, "The charges are not what the slots add up to.")
    require(content["total"] == sum(line["amount"] for line in charges), "The total is not the sum of the charges.")
    without_market += alone_of_plants
    require(content["withoutMarket"] == without_market, "The cost without the market is not what the slots add up to.")


def _joined(parts: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The last page of a bill under several charters: lines of one name are added up, VAT comes last."""
    if len(parts) == 1:
        return list(parts[0])
    found: dict[str, dict[str, Any]] = {}
    for line in sorted((line for part in parts for line in part), key=lambda line: line["name"] == "VAT"):
        sums = found.setdefault(line["name"], dict.fromkeys(line, 0) | {"name": line["name"]})
        for key in line.keys() - {"name"}:
            sums[key] += line[key]
    return list(found.values())


def _part(tariff: Any, lines: Sequence[Any], member: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The charges of slots under one tariff, with the market and without it."""
    neighbours, with_market, alone = 0, [], []
    for line in lines:
        for trade in line["trades"]:
            neighbours += (1 if trade["buyer"] == member else -1) * trade["payment"]
        found, prices = met(line, member), (line["prices"]["retail"], line["prices"]["feedIn"])
        amounts = utility_amounts(found, *prices)
        told = f"Slot {line['slot']}: the utility's amount is not energy times price."
        require(line["grid"]["amount"] == sum(amounts), told)
        with_market.append((found, amounts))
        without = _alone(found, by_registers="registers" in line)
        alone.append((without, utility_amounts(without, *prices)))
    return _charges(tariff, with_market, neighbours), _charges(tariff, alone, 0)


def _alone(found: Met, *, by_registers: bool) -> Met:
    """The same energy, had it all met the utility."""
    drawn, fed = found.drawn + found.taken, found.fed + found.given
    return Met(drawn, fed, 0, 0) if by_registers else Met(*both_ways(drawn - fed), 0, 0)


def _charges(tariff: Any, slots: Sequence[tuple[Met, tuple[int, int]]], neighbours: int) -> list[dict[str, Any]]:
    """The bill's last page from the energy and the utility's amounts of each slot."""
    imported, exported, taken, _ = (sum(column) for column in zip(*(found for found, _ in slots), strict=True))
    energy, feed_in = (sum(column) for column in zip(*(amounts for _, amounts in slots), strict=True))
    fees = [("network fee", taken * tariff["networkFee"] // WH_PER_KWH)]
    for levy in tariff["levies"]:
        base = imported * levy["grid"] + taken * levy["local"]
        fees.append((levy["name"], base * levy["price"] // WH_PER_KWH))
    vat = vat_on(vat_rate(tariff), energy + sum(amount for _, amount in fees))
    return [
        {"name": "energy from the utility", "wh": imported, "amount": energy},
        {"name": "energy fed in", "wh": exported, "amount": feed_in},
        {"name": "neighbours", "wh": taken, "amount": neighbours},
        *({"name": name, "amount": amount} for name, amount in fees),
        {"name": "VAT", "amount": vat},
    ]


def _sane(tariff: Any, slots: Sequence[Any]) -> None:
    """Prices are whole, and none but the utility's are negative; a levy is on energy or not: nothing in between."""
    fees = [tariff["networkFee"], *(levy["price"] for levy in tariff["levies"])]
    prices = [price for line in slots for price in line["prices"].values()]
    sane = all(type(price) is int and abs(price) <= MAX_PRICE for price in (*fees, *prices))
    require(sane and min(fees) >= 0, "A price is out of bounds.")
    switches = [levy[side] for levy in tariff["levies"] for side in ("grid", "local")]
    require(all(type(switch) is bool for switch in switches), "A levy is neither on nor off.")
    require(0 <= vat_rate(tariff) < 1, "The VAT is out of bounds.")
