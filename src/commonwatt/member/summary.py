"""What a bill says, added up for a person: energy, charges, the largest slots, plants. Nothing is asked of a chain.

Whoever wrote the bill says all this; `verify` is what proves it. Here a bill is only refused where its figures cannot
be what they stand for, and where its content is not under the root that it names itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from commonwatt.accounts.document import CORRECTED, MEASURED, NOT_MEASURED, met, parts_of, vat_rate
from commonwatt.community.tariff import NETWORK_FEE
from commonwatt.errors import VerificationError
from commonwatt.member.day_sheets import shown
from commonwatt.member.document import CHANGED, box_signed, leads_to_its_root, named, read_whole, slotwise
from commonwatt.member.mistaken import mistaken
from commonwatt.member.on_account import is_on_account
from commonwatt.member.page import require
from commonwatt.proof import checksum_address
from commonwatt.units import WH_PER_KWH

LARGEST: Final = 5
"""How many of the slots with most energy are told."""
_BOUND: Final = 1 << 80
"""Of energy and money, in either direction: beyond all sums."""
_NEIGHBOURS: Final = "neighbours"


@dataclass(frozen=True)
class Charge:
    """A line of what is owed, positive = the member owes.

    wh : energy that it is for [Wh]; None where it is for none
    price : per kWh [micro-currency]; None where there is none
    mean : the price is what all of it came to per kWh, as it was not always the same
    amount : [micro-currency]
    """

    name: str
    wh: int | None
    price: int | None
    mean: bool
    amount: int


@dataclass(frozen=True)
class Moved:
    """The energy of one slot, each from or to the utility, neighbours, or the member's own plants, all >= 0 [Wh].

    start : [unix s]; metered : see `accounts.document.metered`
    """

    start: int
    imported: int
    bought: int
    own: int
    sold: int
    exported: int
    metered: str

    @property
    def into(self) -> int:
        """What came into the home [Wh]."""
        return self.imported + self.bought + self.own

    @property
    def out(self) -> int:
        """What left it [Wh]."""
        return self.sold + self.exported


@dataclass(frozen=True)
class Large:
    """One of the largest slots. wh : what came in, or left; parts : from or to whom, largest first [Wh]"""

    start: int
    into: bool
    wh: int
    parts: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Owned:
    """A plant that the member owns a part of.

    weight, of : the member's weight of all owners'; share, taken : what was the member's, and what of it it used [Wh]
    earned, costs : its part of the money [micro-currency]
    """

    plant: str
    weight: int
    of: int
    share: int
    taken: int
    earned: int
    costs: int


@dataclass(frozen=True)
class Owner:
    """An owner of the plant that the bill is of. amount : what it owes for the plant [micro-currency]"""

    name: str
    weight: int
    of: int
    amount: int


@dataclass(frozen=True)
class Proof:
    """Where the bill says that its proof is. root : of all bills; the others are None where there is no ledger"""

    root: str
    chain: int | None
    settlement: str | None
    account: str | None


@dataclass(frozen=True)
class Summary:
    """A bill for a person. Energy [Wh], money [micro-currency], times [unix s].

    counted_in, counted_out : by the member's meter, as far as its readings came; without a ledger nobody signs any, and
        they are what the slots come to
    on_account : settled after the fact: `total` is the community's bill alone, and `alone` what its energy would have
        come to with the utility; marked : how many values were not measured, by what they are instead
    box_signs : meters that cannot sign, for which the operators' box did
    total, alone : what the member owes, and what it would owe with the utility alone
    """

    member: str
    community: str
    currency: str
    timezone: str
    start: int
    end: int
    slot_seconds: int
    counted_in: int
    counted_out: int
    charges: tuple[Charge, ...]
    total: int
    alone: int
    moved: tuple[Moved, ...]
    largest: tuple[Large, ...]
    plants: tuple[Owned, ...]
    owners: tuple[Owner, ...]
    proof: Proof
    on_account: bool = False
    marked: tuple[tuple[str, int], ...] = ()
    box_signs: tuple[str, ...] = ()

    @property
    def saved(self) -> int:
        """Against the utility alone."""
        return self.alone - self.total

    def sum(self, name: str) -> int:
        """Of a field of `Moved` over the period [Wh]."""
        return sum(int(getattr(each, name)) for each in self.moved)

    def slots(self, metered: str) -> int:
        """How many slots were metered so."""
        return sum(each.metered == metered for each in self.moved)

    def local(self, instant: int) -> datetime:
        """A time as the member's clock shows it."""
        return datetime.fromtimestamp(instant, ZoneInfo(self.timezone))


def summary(file: Path) -> Summary:
    """The summary of the bill in a file. Raises VerificationError for what is no bill, and for one that was changed."""
    try:
        document = read_whole(file)
    except VerificationError:
        if told := mistaken(file):
            raise VerificationError(told) from None
        raise
    return summary_of(document, file)


def summary_of(document: Mapping[str, Any], file: Path) -> Summary:
    """The same of a document that `read_whole` has read. file : it is from, for sentences"""
    what = "a day's sheet" if "sheet" in document else "an excerpt of one"
    require("anchor" in document, f"{file} is no bill but {what}: there are no charges in it.")
    try:
        if is_on_account(document):
            from commonwatt.member.month_summary import month_summary  # which has its parts from here

            return month_summary(document, _proof(document))
        proof = _proof(document)
        whole = bool(shown(document))
        require(
            whole, "the bill is without its sheets, which say what happened; `commonwatt verify` takes it as it is."
        )
        return replace(_summary(slotwise(document)["content"], proof), box_signs=box_signed(document))
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, OSError) as error:
        raise VerificationError(f"{file} is not a complete bill: {type(error).__name__} {error}.") from None
    except VerificationError as error:
        raise VerificationError(f"{file}: {error}") from None


def _proof(document: Mapping[str, Any]) -> Proof:
    """Where the bill says that its proof is, when its content is under the root that it names."""
    if not is_on_account(document) and not leads_to_its_root(document):
        from commonwatt.member.verify import disagreement  # which takes a while to import

        raise VerificationError(
            f"the content is not under the root that the bill names: {CHANGED}{disagreement(document)}"
        )
    root = str(document["anchor"]["root"])
    if document["content"]["ledger"] is None:
        return Proof(root, None, None, None)
    at = named(slotwise(document))
    return Proof(root, _whole(at.chain_id), *map(checksum_address, (at.settlement, at.account)))


def _summary(content: Mapping[str, Any], proof: Proof) -> Summary:
    period, member, slots = content["period"], content["member"], content["slots"]
    start, end, unit = _whole(period["from"]), _whole(period["until"]), _whole(content.get("unit", 1))
    seconds = (end - start) // max(len(slots), 1)
    require(slots and seconds > 0 and start + seconds * len(slots) == end, "the slots do not fill the period.")
    plants = {_whole(part["plant"]): _text(part["id"]) for part in content.get("owns", [])}
    names = {**plants, **{_whole(part["member"]): _text(part["id"]) for part in content.get("owners", [])}}
    moved = tuple(_moved(line, member["index"], plants) for line in slots)
    largest = sorted(zip(moved, slots, strict=True), key=lambda each: (-max(each[0].into, each[0].out), each[0].start))
    readings = [line["reading"] for line in slots if line["reading"] is not None]
    counted = [sum(_whole(each[key]) for each in readings) for key in ("whIn", "whOut")]
    if content["ledger"] is None:
        counted = [sum(each.into for each in moved), sum(each.out for each in moved)]
    found = Summary(
        member=_text(member["id"]),
        community=_text(content["community"]),
        currency=_text(content["currency"]),
        timezone=_text(content["timezone"]),
        start=start,
        end=end,
        slot_seconds=seconds,
        counted_in=counted[0],
        counted_out=counted[1],
        charges=tuple(_charges(content, moved, unit)),
        total=_whole(content["total"]) * unit,
        alone=_whole(content["withoutMarket"]) * unit,
        moved=moved,
        largest=tuple(
            _large(each, line, member["index"], names) for each, line in largest[:LARGEST] if each.into or each.out
        ),
        plants=tuple(_owned(part, content, unit) for part in content.get("owns", [])),
        owners=tuple(_owners(content, unit)),
        proof=proof,
    )
    for instant in (start, end):
        found.local(instant)  # refuses a zone or a time that is none
    return found


def _moved(line: Mapping[str, Any], member: int, plants: Mapping[int, str]) -> Moved:
    bought = own = sold = 0
    for trade in line["trades"]:
        wh = _whole(trade["settledWh"], least=0)
        sold += wh * (trade["seller"] == member)
        if trade["buyer"] == member:
            given = _is_own(trade, plants)
            own, bought = own + wh * given, bought + wh * (not given)
    for figure in (*line["grid"].values(), *(each["shared"] for each in line.get("registers", []))):
        _whole(figure)
    found = met(line, member)
    if "registers" in line:
        bought, sold = found.taken, found.given
    metered = line.get("metered", MEASURED)
    require(metered in (MEASURED, CORRECTED, NOT_MEASURED), "a slot is metered in no known way.")
    return Moved(_whole(line["slot"]), found.drawn, bought, own, sold, found.fed, metered)


def _is_own(trade: Mapping[str, Any], plants: Mapping[int, str]) -> bool:
    """Whether a member took its share of a plant, for nothing."""
    return trade["seller"] in plants and trade["price"] == 0


def _large(moved: Moved, line: Mapping[str, Any], member: int, names: Mapping[int, str]) -> Large:
    """names : of the members that the bill names"""
    into = moved.into >= moved.out
    own, other = ("buyer", "seller") if into else ("seller", "buyer")
    parts = Counter[str]()
    for trade in line["trades"]:
        if trade[own] == member:
            parts[names.get(trade[other], f"member {_whole(trade[other])}")] += _whole(trade["settledWh"])
    # What no trade says, the member's own registers supplied to each other.
    parts["own registers"] = (moved.bought + moved.own if into else moved.sold) - sum(parts.values())
    parts["the utility"] = moved.imported if into else moved.exported
    return Large(moved.start, into, moved.into if into else moved.out, tuple((+parts).most_common()))


def _charges(content: Mapping[str, Any], moved: Sequence[Moved], unit: int) -> Iterator[Charge]:
    """The lines of the bill, that of the neighbours in two where the member bought and sold."""
    parts, slots, member = parts_of(content), content["slots"], content["member"]["index"]
    by_registers = any("registers" in line for line in slots)
    priced = _fees(parts[0].tariff, moved, by_registers=by_registers) if len(parts) == 1 else {}
    for line in content["charges"]:
        name, amount = _text(line["name"]), _whole(line["amount"]) * unit
        wh = None if line.get("wh") is None else _whole(line["wh"])
        if name == _NEIGHBOURS:
            yield from _neighbours(slots, member, amount, unit)
        elif name in ("energy from the utility", "energy fed in"):
            side, place = ("retail", 0) if name == "energy from the utility" else ("feedIn", 1)
            prices = {_whole(each["prices"][side]) for each in slots if met(each, member)[place]}
            yield _priced(name, wh or 0, {price * unit for price in prices}, amount)
        elif name in priced:
            base, price = priced[name]
            yield Charge(name, base, price * unit, mean=False, amount=amount)
        elif name == "VAT" and len(parts) == 1:
            tax = parts[0].tariff["vat"]
            rate = f"{float(100 * vat_rate(parts[0].tariff)):g} %"
            yield Charge(f"{_text(tax['name'])} {rate}", wh, None, mean=False, amount=amount)
        else:
            yield Charge(name, wh, None, mean=False, amount=amount)


def _neighbours(slots: Sequence[Any], member: int, amount: int, unit: int) -> Iterator[Charge]:
    """What was bought and what was sold, each with its price."""
    sums = 0
    for name, side, sign in (("bought from neighbours", "buyer", 1), ("sold to neighbours", "seller", -1)):
        trades = [trade for line in slots for trade in line["trades"] if trade[side] == member]
        paid = sign * sum(_whole(trade["payment"]) for trade in trades) * unit
        wh, sums = sum(_whole(trade["settledWh"]) for trade in trades if trade["price"]), sums + paid
        if wh or paid:
            yield _priced(name, wh, {_whole(trade["price"]) * unit for trade in trades if trade["price"]}, paid)
    require(sums == amount, "what is owed to neighbours is not what the slots add up to.")


def _priced(name: str, wh: int, prices: set[int], amount: int) -> Charge:
    """A line at its price, or at the mean of several."""
    if len(prices) <= 1:
        return Charge(name, wh, next(iter(prices), None), mean=False, amount=amount)
    return Charge(name, wh, abs(amount) * WH_PER_KWH // wh if wh else None, mean=True, amount=amount)


def _fees(tariff: Mapping[str, Any], moved: Sequence[Moved], *, by_registers: bool) -> dict[str, tuple[int, int]]:
    """Energy [Wh] and price [unit/kWh] of the network fee and the levies, by their names."""
    imported = sum(each.imported for each in moved)
    taken = sum(each.bought if by_registers else max(each.bought + each.own - each.sold, 0) for each in moved)
    found = {NETWORK_FEE: (taken, _whole(tariff["networkFee"]))}
    for levy in tariff["levies"]:
        on = imported * bool(levy["grid"]) + taken * bool(levy["local"])
        found[_text(levy["name"])] = on, _whole(levy["price"])
    return found


def _owned(part: Mapping[str, Any], content: Mapping[str, Any], unit: int) -> Owned:
    plant, member = part["plant"], content["member"]["index"]
    shares = [share for line in content["slots"] for share in line.get("shares", []) if share["plant"] == plant]
    trades = [trade for line in content["slots"] for trade in line["trades"] if trade["seller"] == plant]
    taken = sum(_whole(trade["settledWh"]) for trade in trades if trade["buyer"] == member and trade["price"] == 0)
    earned = sum(_whole(share["amount"]) for share in shares) * unit
    share = sum(_whole(each["wh"]) for each in shares)
    return Owned(_text(part["id"]), part["weight"], part["of"], share, taken, earned, _whole(part["costs"]) * unit)


def _owners(content: Mapping[str, Any], unit: int) -> Iterator[Owner]:
    owners = content.get("owners", [])
    whole = sum(_whole(each["weight"]) for each in owners)
    for each in owners:
        yield Owner(_text(each["id"]), each["weight"], whole, _whole(each["amount"]) * unit)


def _whole(given: Any, least: int = -_BOUND) -> int:
    require(type(given) is int and least <= given < _BOUND, "a figure is no whole number, or beyond all bounds.")
    return int(given)


def _text(given: Any) -> str:
    require(isinstance(given, str), "a name is no text.")
    return str(given)
