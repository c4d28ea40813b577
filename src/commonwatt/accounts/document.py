"""The form of a bill: what is hashed, and how terms, charges and signed records are written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, NamedTuple

import numpy as np

from commonwatt.accounts.charges import Charges
from commonwatt.accounts.plants import Parts
from commonwatt.community.tariff import Tariff
from commonwatt.errors import RecordError, VerificationError
from commonwatt.proof import Tree, keccak
from commonwatt.records import ZERO_HASH, Mandate, Signed
from commonwatt.records.schema import as_json
from commonwatt.units import payment, totals

FORMAT: Final = "commonwatt-bill/4"
SLOTWISE: Final = "commonwatt-bill/3"
"""Format of the bills before there were sheets of days: all slots are in the content."""
EXCERPT: Final = "commonwatt-slot/3"
"""Format of what a member is shown of one slot before its bill."""
MEASURED: Final = "measured"
CORRECTED: Final = "corrected"
"""The slot was settled anew with readings that came after its end, the member's own or others'."""
NOT_MEASURED: Final = "not measured"
"""No reading came: the home counts as nothing there, and nothing is estimated."""

SIDES: Final = ("import", "export")
"""Directions of a register."""
SHARED: Final = "shares of its owners"
"""The last line of a plant's bill."""


_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def canonical(content: object) -> bytes:
    """The bytes that are hashed: JSON with sorted keys and no spaces."""
    return _CANONICAL.encode(content).encode()


def content_hash(content: Mapping[str, object]) -> bytes:
    """Hash of a bill's content, 32 bytes."""
    return keccak(canonical(content))


def tariff_terms(tariff: Tariff) -> dict[str, Any]:
    """The terms that turn energy into charges; prices per slot are on the slots' lines."""
    levies = [
        {"name": levy.name, "price": levy.price, "grid": levy.grid, "local": levy.local} for levy in tariff.levies
    ]
    vat = {"name": tariff.vat_name, "rate": str(tariff.vat)}
    return {"networkFee": tariff.network_fee, "levies": levies, "vat": vat}


@dataclass(frozen=True)
class Part:
    """The part of a bill that is under one charter: slots from `start` until before `end` [unix s].

    config : digest of the charter's file, as text; None where the bill does not say: it is under one alone
    tariff : as of `tariff_terms`
    """

    start: int
    end: int
    config: str | None
    tariff: Mapping[str, Any]


def tariffs(parts: Sequence[Part]) -> dict[str, Any]:
    """What a bill says of its tariffs: one alone, or each with its charter and from when on."""
    if len(parts) == 1:
        return {"tariff": parts[0].tariff}
    return {"charters": [{"from": each.start, "config": each.config, "tariff": each.tariff} for each in parts]}


def parts_of(content: Mapping[str, Any]) -> tuple[Part, ...]:
    """The parts of a bill, in the order of time, from what `tariffs` wrote."""
    period = content["period"]
    if "tariff" in content:
        return (Part(period["from"], period["until"], None, content["tariff"]),)
    listed = content["charters"]
    ends = [*(each["from"] for each in listed[1:]), period["until"]]
    return tuple(
        Part(each["from"], end, each["config"], each["tariff"]) for each, end in zip(listed, ends, strict=True)
    )


def vat_rate(tariff: Mapping[str, Any]) -> Fraction:
    """The rate of VAT in a bill's tariff: a fraction of whole numbers, as `tariff_terms` writes it.

    Raises VerificationError. It is bounded before it is a number: an exponent would take as many digits as it says.
    """
    found = re.fullmatch(r"([0-9]{1,18})(?:/([0-9]{1,18}))?", tariff["vat"]["rate"], re.ASCII)
    if found is None or not int(found[2] or 1):
        raise VerificationError("The VAT is out of bounds.")
    return Fraction(int(found[1]), int(found[2] or 1))


def charge_lines(charges: Charges, member: int) -> list[dict[str, Any]]:
    """The lines of a bill's last page, positive = the member owes.

    Last come those of an owner for each of its plants, and that of a plant for all its owners.
    """
    lines = [
        ("energy from the utility", charges.grid_wh, charges.energy),
        ("energy fed in", charges.feed_in_wh, charges.feed_in),
        ("neighbours", charges.local_wh, charges.neighbours),
        *((name, None, amount) for name, amount in charges.fees.items()),
        ("VAT", None, charges.vat),
    ]
    return [
        *(
            {"name": name, **({} if wh is None else {"wh": int(wh[member])}), "amount": int(amount[member])}
            for name, wh, amount in lines
        ),
        *(line for parts in charges.plants for line in plant_lines(parts, member)),
    ]


def plant_lines(parts: Parts, member: int) -> list[dict[str, Any]]:
    """What a plant leaves to its owners, on the bill of one of them or on its own.

    That is its money, with the energy that they did not take; and its costs where it has any.
    """
    plant, left = parts.plant, parts.left
    if member == plant.index:
        return [{"name": SHARED, "wh": int(left.unused.sum()), "amount": -int(totals(parts.owed))}]
    lines = []
    for place in np.flatnonzero(plant.owners == member).tolist():
        unused, earned = int(left.unused[place]), int(left.earned[place])
        lines.append({"name": f"share of {plant.id}", "wh": unused, "amount": -earned})
        if cost := int(parts.costs[place]):
            lines.append({"name": f"costs of {plant.id}", "amount": cost})
    return lines


def grid_amount(wh: int, retail: int, feed_in: int) -> int:
    """What a member owes the utility for a slot [unit], rounded towards zero.

    wh : positive = import, at `retail`; negative = feed-in, which the utility pays at `feed_in`, or is paid for below 0
    """
    return payment(wh, retail if wh >= 0 else feed_in)


class Met(NamedTuple):
    """Energy of a slot, each >= 0 [Wh].

    drawn, fed : from the utility and to it; taken, given : of local energy. On net, one of each two is zero
    """

    drawn: int
    fed: int
    taken: int
    given: int


def met(line: Mapping[str, Any], member: int) -> Met:
    """What a slot's line says that met the utility and the others; where registers are shared, what they shared."""
    grid = line["grid"]
    if "registers" in line:
        shared = {side: sum(each["shared"] for each in of_side(line, side)) for side in SIDES}
        return Met(grid["whIn"], grid["whOut"], *shared.values())
    local = sum((1 if trade["buyer"] == member else -1) * trade["settledWh"] for trade in line["trades"])
    return Met(*both_ways(grid["wh"]), *both_ways(local))


def both_ways(wh: int) -> tuple[int, int]:
    """Energy in one direction or the other, of what is positive in the first."""
    return max(wh, 0), max(-wh, 0)


def of_side(line: Mapping[str, Any], side: str) -> list[Mapping[str, Any]]:
    """The registers of one of the `SIDES` in a slot's line."""
    return [each for each in line["registers"] if each["direction"] == side]


def utility_amounts(found: Met, retail: int, feed_in: int) -> tuple[int, int]:
    """What a member owes the utility for what it drew and for what it fed in [unit]."""
    return grid_amount(found.drawn, retail, feed_in), grid_amount(-found.fed, retail, feed_in)


def signed_json(signed: Signed[Any]) -> dict[str, Any]:
    """A record with its signature."""
    return {**as_json(signed.record), "signature": hex_text(signed.signature)}


def no_mandate(account: bytes) -> Signed[Mandate]:
    """What stands for the mandate of an account [address] that gave none: it allows nothing, and nobody signed it."""
    return Signed(Mandate(account, bytes(20), "", 0, 0, 0, 0, 0, 0, 0), ZERO_HASH, b"")


def mandate_json(signed: Signed[Mandate]) -> dict[str, Any] | None:
    """A mandate with its signature; None where the member gave none."""
    return signed_json(signed) if signed.signature else None


@dataclass(frozen=True)
class Holding:
    """The slots from `start` until before `end` [unix s] for which a mandate holds; None where a member gave none."""

    start: int
    end: int
    mandate: Any


_FOR_EVER: Final = 1 << 64


def mandates(since: Iterable[tuple[int, Any]]) -> dict[str, Any]:
    """What a document says of a member's mandates: one alone, or each and from when on.

    since : each with its first slot [unix s], as `mandate_json` writes it, in the order of time
    """
    listed: list[dict[str, Any]] = []
    for start, mandate in since:
        if not listed or listed[-1]["mandate"] != mandate:
            listed.append({"from": start, "mandate": mandate})
    return {"mandates": listed} if len(listed) > 1 else {"mandate": listed[0]["mandate"] if listed else None}


def mandates_of(content: Mapping[str, Any]) -> tuple[Holding, ...]:
    """The mandates of a document, in the order of time, from what `mandates` wrote."""
    if "mandates" not in content:
        return (Holding(0, _FOR_EVER, content["mandate"]),)
    listed = content["mandates"]
    ends = [*(each["from"] for each in listed[1:]), _FOR_EVER]
    return tuple(Holding(each["from"], end, each["mandate"]) for each, end in zip(listed, ends, strict=True))


def hashes_text(hashes: Iterable[bytes]) -> str:
    """Hashes of 32 bytes in a row, as documents write them."""
    return hex_text(b"".join(hashes))


def to_hashes(given: Any) -> tuple[bytes, ...]:
    """What `hashes_text` wrote. Raises RecordError."""
    if not (isinstance(given, str) and re.fullmatch("0x(?:[0-9a-f]{64})*", given, re.ASCII)):
        raise RecordError("What is shown as hashes is no row of them in hexadecimal.")
    row = bytes.fromhex(given[2:])
    return tuple(row[at : at + 32] for at in range(0, len(row), 32))


def metered(*, measured: bool, revision: int) -> str:
    """Of a slot's line: whether its reading came, and came in time for all, or what it says is of a later revision."""
    return (CORRECTED if revision else MEASURED) if measured else NOT_MEASURED


def hex_text(value: bytes) -> str:
    """Bytes as documents write them."""
    return f"0x{value.hex()}"


@dataclass(frozen=True)
class Anchored:
    """All bills of a period and the tree whose root is on the chain."""

    contents: tuple[dict[str, Any], ...]
    tree: Tree


def anchored(contents: Sequence[dict[str, Any]]) -> Anchored:
    """The bills with their tree."""
    return Anchored(tuple(contents), Tree.of([content_hash(content) for content in contents]))
