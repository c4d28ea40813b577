"""Sheets and bills of sheets that are false, each in one way, with what is said of it; the forged bill is roof's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from by_slot import Bill, named_anew

ROOF, FLAT = 1, 2
DAYS = ["2026-06-15", "2026-06-16"]

Change = Callable[[list[Bill]], object]


def _sheet(bill: Bill, number: int = 0) -> Any:
    return bill["days"][number]["sheet"]


def _of_another_member(all_: list[Bill]) -> None:
    all_[ROOF]["days"] = all_[FLAT]["days"]


def _named_of_another_member(all_: list[Bill]) -> None:
    _of_another_member(all_)
    named_anew(all_[ROOF])


def _one_day_for_another(all_: list[Bill]) -> None:
    all_[ROOF]["days"].reverse()


def _named_one_day_for_another(all_: list[Bill]) -> None:
    _one_day_for_another(all_)
    named_anew(all_[ROOF])


def _called_otherwise(all_: list[Bill]) -> None:
    """Both sheets are called by the other's day."""
    _one_day_for_another(all_)
    for day, name in zip(all_[ROOF]["days"], DAYS, strict=True):
        day["sheet"]["day"] = name
    named_anew(all_[ROOF])


def _left_out_of_the_file(all_: list[Bill]) -> None:
    all_[ROOF]["days"].pop()


def _twice_in_the_file(all_: list[Bill]) -> None:
    all_[ROOF]["days"].append(all_[ROOF]["days"][-1])


def _left_out(all_: list[Bill]) -> None:
    all_[ROOF]["days"].pop()
    all_[ROOF]["content"]["sheets"].pop()


def _twice(all_: list[Bill]) -> None:
    for part in (all_[ROOF]["days"], all_[ROOF]["content"]["sheets"]):
        part.append(part[-1])


def _same_day_twice(all_: list[Bill]) -> None:
    for part in (all_[ROOF]["days"], all_[ROOF]["content"]["sheets"]):
        part[1] = part[0]


def _shorter(all_: list[Bill]) -> None:
    """A slot less, and the sheet says so."""
    sheet = _sheet(all_[ROOF], 1)
    sheet["period"]["until"] -= 3600
    sheet["slots"].pop()
    all_[ROOF]["days"][1]["proofs"].popitem()
    named_anew(all_[ROOF])


def _a_slot_less(all_: list[Bill]) -> None:
    _sheet(all_[ROOF])["slots"].pop()
    named_anew(all_[ROOF])


def _listed_sums(all_: list[Bill]) -> None:
    all_[ROOF]["content"]["sheets"][0]["sums"]["neighbours"] -= 5


def _sums(name: str) -> Change:
    def change(all_: list[Bill]) -> None:
        _sheet(all_[ROOF])["sums"][name] += 1
        named_anew(all_[ROOF])

    return change


def _sums_alone(all_: list[Bill]) -> None:
    _sheet(all_[ROOF])["sums"]["alone"]["energy"] += 1
    named_anew(all_[ROOF])


def _moved_between_days(all_: list[Bill]) -> None:
    """The sums of both days are what they were."""
    for number, way in ((0, 1), (1, -1)):
        _sheet(all_[ROOF], number)["sums"]["energy"] += way
    named_anew(all_[ROOF])


def _said(*path: str, said: object) -> Change:
    def change(all_: list[Bill]) -> None:
        holder = _sheet(all_[ROOF])
        for step in path[:-1]:
            holder = holder[step]
        holder[path[-1]] = said
        named_anew(all_[ROOF])

    return change


def _named(name: str, said: object) -> Change:
    def change(all_: list[Bill]) -> None:
        all_[ROOF]["content"]["sheets"][0][name] = said

    return change


def _charge(all_: list[Bill]) -> None:
    all_[ROOF]["content"]["charges"][0]["amount"] += 1


def _total(all_: list[Bill]) -> None:
    all_[ROOF]["content"]["total"] += 1


def _zone(zone: str) -> Change:
    def change(all_: list[Bill]) -> None:
        all_[ROOF]["content"]["timezone"] = zone

    return change


NOT_NAMED = "The sheet of 2026-06-15 is not the one that the bill names"
OTHER = "The sheet of 2026-06-15 is not of the bill's member, community and plants"
UNSUMMED = "The sheet of 2026-06-15: its sums are not what its slots add up to"
DAYS_WRONG = "The bill leaves out or repeats a day of its period"
FORGED: dict[str, tuple[Change, str]] = {
    "sheets of another member": (_of_another_member, NOT_NAMED),
    "sheets of another member, named": (_named_of_another_member, OTHER),
    "one day for another": (_one_day_for_another, NOT_NAMED),
    "one day for another, named": (_named_one_day_for_another, "sheet of 2026-06-15 is of another day"),
    "one day called another": (_called_otherwise, "sheet of 2026-06-15 is of another day, or not of all of it"),
    "a sheet left out of the file": (_left_out_of_the_file, "leaves out a sheet of the bill, or has one too many"),
    "a sheet twice in the file": (_twice_in_the_file, "leaves out a sheet of the bill, or has one too many"),
    "a day left out": (_left_out, DAYS_WRONG),
    "a day twice": (_twice, DAYS_WRONG),
    "a day in the place of another": (_same_day_twice, DAYS_WRONG),
    "a day that ends before": (_shorter, "The sheet of 2026-06-16 is of another day, or not of all of it"),
    "a slot less": (_a_slot_less, "leaves out or repeats a slot"),
    "sums that the sheet does not say": (_listed_sums, "The sheet of 2026-06-15 has other sums than the bill says"),
    **{f"another sum of {name}": (_sums(name), UNSUMMED) for name in ("import", "export", "local", "energy", "fedIn")},
    "another sum of what neighbours paid": (_sums("neighbours"), UNSUMMED),
    "another sum alone": (_sums_alone, UNSUMMED),
    "sums moved between days": (_moved_between_days, UNSUMMED),
    "another community": (_said("community", said="Six homes"), OTHER),
    "another currency": (_said("currency", said="USD"), OTHER),
    "another unit": (_said("unit", said=10), OTHER),
    "plants that the bill has not": (_said("owns", said=[]), "owns is no list"),
    "another tariff": (_said("tariff", "networkFee", said=1), "not under the tariff that the bill has for it"),
    "another mandate": (_said("mandate", "maxBuy", said=1), "The Mandate is signed by"),
    "another format": (_said("format", said="commonwatt-sheet/9"), "the format of a sheet is not commonwatt-sheet/1"),
    "a sum that is true": (_said("sums", "local", said=True), "a sum is no whole number"),
    "a sum beyond all": (_said("sums", "local", said=10**30), "a sum is no whole number"),
    "another hash": (_named("hash", "0x" + "12" * 32), NOT_NAMED),
    "no hash": (_named("hash", None), NOT_NAMED),
    "another name of a day": (_named("day", "2026-06-14"), DAYS_WRONG),
    "no name of a day": (_named("day", 15), "a sheet's day is no text"),
    "another charge": (_charge, "The charges are not what the slots add up to"),
    "another total": (_total, "The total is not the sum of the charges"),
    "a zone that is none": (_zone("Europe/Atlantis"), "The time zone is none"),
    "a zone that is a path": (_zone("../../etc/passwd"), "The time zone is none"),
    "a zone with another midnight": (_zone("Asia/Tokyo"), "sheet of 2026-06-15 is not of the bill's member"),
}


ALONE: dict[str, tuple[Callable[[Bill], object], str]] = {
    "another day": (lambda day: day["sheet"].update(day="2026-06-14"), "The sheet of 2026-06-14 is not of that day"),
    "a slot less": (lambda day: day["sheet"]["slots"].pop(), "leaves out or repeats a slot"),
    "a proof less": (lambda day: day["proofs"].popitem(), "proofs are not those of its slots"),
    "another sum": (lambda day: day["sheet"]["sums"].update(local=7), UNSUMMED),
    "another price": (lambda day: day["sheet"]["slots"][0]["prices"].update(feedIn=7), "not energy times price"),
    "another account": (lambda day: day["sheet"]["member"].update(account="0x" + "12" * 20), "NotAMember"),
    "another chain": (lambda day: day["sheet"]["ledger"].update(chainId=1), "belongs to another chain"),
    "a wider mandate": (lambda day: day["sheet"]["mandate"].update(maxBuy=10**9), "The Mandate is signed by"),
    "another revision": (lambda day: next(iter(day["proofs"].values())).update(revision=1), "this was not posted"),
    "an anchor": (lambda day: day.update(anchor={}), "the day is not a table of sheet, proofs"),
    "no member": (lambda day: day["sheet"].update(member=None), "the member is not a table"),
    "baskets that are none": (lambda day: day["sheet"].update(baskets=None), "baskets and orders are no lists"),
    "proofs that are none": (lambda day: day.update(proofs=[]), "the proofs are no table"),
}
