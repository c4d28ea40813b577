"""Plants of several owners on a bill.

A plant's bill proves itself: its readings, trades and weights give what each owner has of its money, and that is done
again here. An owner's bill shows of each slot what the plant fed in, sold and earned: that these are so is the
operators' word, unless the plant's bill is shown, too. What follows from them is checked: the owner's share, what it
took of it and paid nothing for, and its part of the earnings. Rounding depends on the other owners, by less than one Wh
or unit.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np

from commonwatt.accounts.document import mandates_of, plant_lines
from commonwatt.accounts.plants import Division, Left, Parts, Plant, divide, plants_of, shares
from commonwatt.community.model import Member
from commonwatt.member.page import require, table
from commonwatt.units import MAX_MONEY, largest_remainder, payment

_SHARE: Final = ("plant", "fedIn", "wh", "sold", "earned", "amount", "withoutMarket")
_AMOUNTS: Final = ("earned", "amount", "withoutMarket")
"""Of a share, what is money, and below zero where the utility had to be paid."""
_OWNS: Final = ("plant", "id", "sellWh", "weight", "of", "costs", "onLedger")
_OWNER: Final = ("member", "id", "weight", "amount", "onLedger")
_MONEY: Final = ("costs", "amount", "onLedger")
"""Of a part, what it has of the money of a period: a sheet does not say that."""
_LEFT: Final = ("plant", "wh", "amount", "withoutMarket")
_TO_OWNER: Final = ("member", "wh", "amount", "received")
_HEAVIEST: Final = 10**12

Lines = list[dict[str, Any]]


def whole(content: Mapping[str, Any], *, money: bool = True) -> None:
    """Raise VerificationError unless what a bill or a sheet says of plants has all its parts and no others.

    money : whether it says what each has of a period's money, as a bill does
    """
    whole_parts(content, money=money)
    owned = {part["plant"] for part in content.get("owns", [])}
    for line in content["slots"]:
        own = line.get("shares", [])
        require(isinstance(own, list) and ("shares" not in line or bool(own)), "shares are no list.")
        for share in own:
            table(share, _SHARE, "a share")
            energy, amounts = ([share[key] for key in _SHARE if (key in _AMOUNTS) is money] for money in (False, True))
            require(all(map(_counts, energy)) and all(map(_amount, amounts)), "a share is no number.")
        plants = [share["plant"] for share in own]
        rising = all(first < second for first, second in pairwise(plants))
        require(rising and owned.issuperset(plants), "a share of a plant that is not the member's.")


def whole_parts(content: Mapping[str, Any], *, money: bool = True) -> None:
    """The same of the plants that a member owns a part of, or of a plant's owners, alone."""
    for key, keys, order in (("owns", _OWNS, "plant"), ("owners", _OWNER, "member")):
        said = content.get(key, [])
        require(isinstance(said, list) and (key not in content or bool(said)), f"{key} is no list.")
        for part in said:
            table(part, keys if money else _without_money(keys), f"a part of {key}")
            weight, of = part["weight"], part.get("of", _HEAVIEST)
            sane = all(map(_counts, (weight, of, part[order], part.get("sellWh", 0)))) and 0 < weight <= min(
                of, _HEAVIEST
            )
            require(sane, f"{key} holds a part that cannot be one.")
        rising = all(first[order] < second[order] for first, second in pairwise(said))
        require(rising, f"{key} names somebody twice.")


def _without_money(keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(key for key in keys if key not in _MONEY)


def whole_sums(sums: Mapping[str, Any], content: Mapping[str, Any]) -> None:
    """Raise VerificationError unless sums of plants are those of the plants or the owners that the content names."""
    for name, keys, of, who in (("plants", _LEFT, "owns", "plant"), ("owners", _TO_OWNER, "owners", "member")):
        said = sums.get(name, [])
        require(isinstance(said, list), f"the sums of {name} are no list.")
        for each in said:
            table(each, keys, f"a sum of {name}")
            require(_counts(each["wh"]) and all(_amount(each[key]) for key in keys), f"a sum of {name} is no number.")
        named = [part[who] for part in content.get(of, [])]
        require([each[who] for each in said] == named, f"the sums of {name} are of others.")


def as_part_of(sheet: Mapping[str, Any], bill: Mapping[str, Any]) -> bool:
    """Whether a sheet names the plants and the owners that the bill names."""
    return all(
        sheet.get(key) == ([{name: part[name] for name in keys} for part in bill[key]] if key in bill else None)
        for key, keys in (("owns", _without_money(_OWNS)), ("owners", _without_money(_OWNER)))
    )


def _counts(given: Any) -> bool:
    return type(given) is int and 0 <= given <= MAX_MONEY


def _amount(given: Any) -> bool:
    return type(given) is int and abs(given) <= MAX_MONEY


@dataclass(frozen=True)
class Summed:
    """What some slots of a bill come to for plants.

    sums : of a sheet, what there is of plants in it: `plants` of an owner, `owners` of a plant, or neither
    received : of each plant that the member owns a part of, the most that neighbours can have paid of its part [unit]
    free : whether the utility's price was below zero in a slot: then who draws may be paid for it
    """

    sums: dict[str, Any]
    received: Mapping[int, int]
    free: bool


def summed(content: Mapping[str, Any], missed: Collection[int]) -> Summed:
    """The sums of plants in a sheet, or in a bill slot by slot. missed : slots in which nothing could be settled

    Raises VerificationError when the slots cannot be so.
    """
    free = any(slot["prices"]["retail"] < 0 for slot in content["slots"])
    if "owners" in content:
        left = _divided(content).left
        columns = (left.unused.tolist(), left.earned.tolist(), left.received.tolist())
        rows = zip([part["member"] for part in content["owners"]], *columns, strict=True)
        return Summed({"owners": [dict(zip(_TO_OWNER, row, strict=True)) for row in rows]}, {}, free)
    plants, most = [], dict[int, int]()
    for part in content.get("owns", []):
        unused = earned = without = received = 0
        for slot in content["slots"]:
            for share in slot.get("shares", []):
                if share["plant"] == part["plant"]:
                    left_ = _share(slot, share, part, content["member"]["index"])
                    kept = left_ and slot["slot"] not in missed and _kept_back(slot, share, part, content)
                    bought = f"Slot {slot['slot']}: the member bought elsewhere, with a share of {part['id']} left."
                    require(not kept, bought)
                    unused += left_
                    earned, without = earned + share["amount"], without + share["withoutMarket"]
                    received += _received(slot, share, left_)
        plants.append(dict(zip(_LEFT, (part["plant"], unused, earned, without), strict=True)))
        most[part["plant"]] = received
    return Summed({"plants": plants} if plants else {}, most, free)


def charged(
    content: Mapping[str, Any], sums: Mapping[str, Any], before: int, before_alone: int, looked: Sequence[Summed] = ()
) -> tuple[Lines, int]:
    """The last lines of a bill, for the member's plants or a plant's owners, and what they come to without a market.

    sums : of the whole period, as a sheet has them
    before, before_alone : what all other lines come to with the market and without it [unit]
    looked : what the bill's slots come to; none where only its sums are shown
    Raises VerificationError when the sums do not give what the bill says.
    """
    if "owners" in content:
        return _of_plant(content, sums, before), -before_alone
    lines, alone = Lines(), 0
    for part, left in zip(content.get("owns", []), sums.get("plants", []), strict=True):
        lines.append({"name": f"share of {part['id']}", "wh": left["wh"], "amount": -left["amount"]})
        free = not looked or any(each.free for each in looked)
        sane = _amount(part["costs"]) and (free or part["costs"] >= 0) and _counts(part["onLedger"])
        received = sum(each.received[part["plant"]] for each in looked)
        require(sane and (not looked or part["onLedger"] <= received), f"The amounts of {part['id']} cannot be so.")
        if part["costs"]:
            lines.append({"name": f"costs of {part['id']}", "amount": part["costs"]})
        alone += part["costs"] - left["withoutMarket"]
    return lines, alone


def _share(slot: Mapping[str, Any], share: Mapping[str, Any], part: Mapping[str, Any], member: int) -> int:
    """What the member did not take of its share in a slot [Wh]; all that follows from it is right."""
    fed, own, sold, earned = share["fedIn"], share["wh"], share["sold"], share["earned"]
    unused = own - min(own, _taken(slot, part["plant"], member))
    alone = payment(fed, slot["prices"]["feedIn"])
    right = (
        fed > 0
        and _part(own, fed, part["weight"], part["of"])
        and unused <= sold <= fed - (own - unused)
        and _part(share["amount"], earned, unused, sold)
        and _part(share["withoutMarket"], alone, own, fed)
    )
    require(right, f"Slot {slot['slot']}: the share of {part['id']} is not what the bill's figures give.")
    # Every sale is of a Wh or more, and loses less than a unit by rounding.
    least = payment(sold, slot["prices"]["feedIn"]) - sold
    require(earned >= least, f"Slot {slot['slot']}: {part['id']} earned less than the utility pays.")
    return int(unused)


def _received(slot: Mapping[str, Any], share: Mapping[str, Any], unused: int) -> int:
    """The most of a share's earnings in a slot that does not count what the utility was paid [unit].

    That is at most for all that was sold, and the owner's part of it by what it left, rounded up.
    """
    paid = max(-payment(share["sold"], slot["prices"]["feedIn"]), 0)
    if not paid:
        return int(share["amount"])
    return -int(-(share["earned"] + paid) * unused // share["sold"])


def _kept_back(
    slot: Mapping[str, Any], share: Mapping[str, Any], part: Mapping[str, Any], content: Mapping[str, Any]
) -> bool:
    """Whether a member that met the utility, or bought after delivery, could have had more of its share.

    Not where the plant's mandate or its own allowed no more.
    """
    own, owned = content["member"]["index"], {each["plant"] for each in content["owns"]}
    bought = [trade for trade in slot["trades"] if trade["buyer"] == own]
    used = slot["grid"]["wh"] + sum(trade["settledWh"] for trade in bought)
    first = sum(
        trade["settledWh"]
        for trade in bought
        if trade["order"] is not None or (trade["price"] == 0 and trade["seller"] in owned)
    )
    mandate = next(each.mandate for each in mandates_of(content) if each.start <= slot["slot"] < each.end)
    return bool(share["fedIn"] <= part["sellWh"] and mandate and first < min(used, mandate["buyWh"]))


def _part(given: int, amount: int, weight: int, whole_: int) -> bool:
    """Whether `given` is a part of `amount` by weight, rounded down or up."""
    return abs(given * whole_ - amount * weight) < whole_ if whole_ else given == amount == 0


def _taken(slot: Mapping[str, Any], plant: int, owner: int) -> int:
    """What an owner took of a plant's energy under the mandates at no price [Wh]."""
    return sum(
        trade["settledWh"]
        for trade in slot["trades"]
        if (trade["seller"], trade["buyer"], trade["price"], trade["order"]) == (plant, owner, 0, None)
    )


def _of_plant(content: Mapping[str, Any], sums: Mapping[str, Any], before: int) -> Lines:
    """The last line of a plant's bill, whose division among its owners is done again."""
    unused, earned, received = (
        np.array([each[key] for each in sums["owners"]], dtype=np.int64) for key in _TO_OWNER[1:]
    )
    left = Left(unused, earned, received, -sums["neighbours"])
    parts, said = Parts.of(_plant(content), left, before), content["owners"]
    amounts = [[part[key] for part in said] for key in ("amount", "onLedger")]
    same = amounts == [parts.owed.tolist(), parts.on_ledger.tolist()]
    require(same, "What the owners have of the plant is not what its slots come to.")
    return plant_lines(parts, parts.plant.index)


def _plant(content: Mapping[str, Any]) -> Plant:
    """The plant that a bill or a sheet is of."""
    said, member = content["owners"], content["member"]
    owners, weights = (np.array([part[key] for part in said], dtype=np.int64) for key in ("member", "weight"))
    require(member["index"] not in owners, "A plant does not own itself.")
    return Plant(member["index"], member["id"], owners, weights)


def _divided(content: Mapping[str, Any]) -> Division:
    """A plant's energy and money by its readings, trades and weights."""
    plant, slots = _plant(content), content["slots"]
    buys = any(each.mandate["buyWh"] for each in mandates_of(content) if each.mandate)
    require(not buys, "The member's mandate is that of a home, and no plant's.")
    columns = zip(*(_sold(slot, plant) for slot in slots), strict=True)
    fed, local, utility, took = (np.array(column, dtype=np.int64) for column in columns)
    share = shares(plant, fed)
    paid = np.array([slot["prices"]["feedIn"] > 0 for slot in slots])
    require(not ((share < took.T) & paid).any(), "An owner took more of the plant than its share.")
    return divide(plant, fed, np.minimum(took.T, share), local, utility)


def as_divided(content: Mapping[str, Any], of_plant: Mapping[str, Any]) -> None:
    """Raise VerificationError unless an owner's bill says of a plant what the plant's own does; both verify alone.

    Contents slot by slot; where only sums are shown, nothing can be compared.
    """
    plant = of_plant["member"]
    require(
        bool(content["slots"] and of_plant["slots"]),
        f"What {plant['id']} fed in shows only on bills with their sheets: give both with theirs.",
    )
    owns = [part for part in content.get("owns", []) if part["plant"] == plant["index"]]
    places = {part["member"]: place for place, part in enumerate(of_plant.get("owners", []))}
    place = places.get(content["member"]["index"], -1)
    require(bool(owns) and place >= 0, f"{plant['id']} is no plant of the member's.")
    division = _divided(of_plant)
    parts = Parts.of(division.plant, division.left, sum(line["amount"] for line in of_plant["charges"][:-1]))
    figures = (parts.plant.weights[place], parts.plant.whole, parts.costs[place], parts.on_ledger[place])
    most = {each.mandate["sellWh"] for each in mandates_of(of_plant) if each.mandate}
    same = {owns[0]["sellWh"]} == most and [owns[0][key] for key in _OWNS[3:]] == [*map(int, figures)]
    require(same, f"The member's part of {plant['id']} is not that on the plant's bill.")
    columns = [division.fed, division.share[place], division.unused.sum(axis=0), division.earned]
    rows = np.stack([*columns, division.earnings[place]], axis=-1).tolist()
    for slot, row in zip(content["slots"], rows, strict=True):
        said = [share for share in slot.get("shares", []) if share["plant"] == plant["index"]]
        same = [[share[key] for key in _SHARE[1:6]] for share in said] == ([row] if row[0] else [])
        require(same, f"Slot {slot['slot']}: the share of {plant['id']} is not that on the plant's bill.")


def _sold(slot: Mapping[str, Any], plant: Plant) -> tuple[int, int, int, list[int]]:
    """What a plant fed in [Wh], what neighbours and the utility paid [unit], and what each owner took [Wh]."""
    sold = [trade for trade in slot["trades"] if trade["seller"] == plant.index]
    for trade in sold:
        require(trade["order"] is None, f"Slot {slot['slot']}: the plant sells under an order, before its owners.")
        own = trade["price"] == 0 and trade["buyer"] in plant.owners
        given = trade["price"] < slot["prices"]["feedIn"] and not own
        require(not given, f"Slot {slot['slot']}: the plant sells for less than the utility pays.")
    fed = sum(trade["settledWh"] for trade in sold) - slot["grid"]["wh"]
    local, utility = sum(trade["payment"] for trade in sold), -slot["grid"]["amount"] if slot["grid"]["wh"] < 0 else 0
    return max(fed, 0), local, utility, [_taken(slot, plant.index, owner) for owner in plant.owners.tolist()]


def as_filed(content: Mapping[str, Any], members: Sequence[Member]) -> None:
    """Raise VerificationError unless owners and shares are those of the community's file. members : of the file"""
    member, plants = content["member"]["index"], plants_of(members)
    most = {each.index: each.terms.sell_wh for each in members}
    owned = [plant for plant in plants if member in plant.owners]
    own = {plant.index: int(np.flatnonzero(plant.owners == member)[0]) for plant in owned}
    filed = [[each.index, each.id, most[each.index], int(each.weights[own[each.index]]), each.whole] for each in owned]
    said = [[part[key] for key in _without_money(_OWNS)] for part in content.get("owns", [])]
    require(said == filed, "The plants that the member owns a part of are not those of the community's file.")
    of_plant = [plant for plant in plants if plant.index == member]
    filed = [
        [owner, members[owner].id, weight]
        for plant in of_plant
        for owner, weight in zip(plant.owners.tolist(), plant.weights.tolist(), strict=True)
    ]
    said = [[part[key] for key in ("member", "id", "weight")] for part in content.get("owners", [])]
    require(said == filed, "The plant's owners are not those of the community's file.")
    weights = {plant.index: plant.weights for plant in owned}
    for slot in content["slots"]:
        for share in slot.get("shares", []):
            plant = share["plant"]
            true = int(largest_remainder(share["fedIn"], weights[plant])[own[plant]])
            require(share["wh"] == true, f"Slot {slot['slot']}: the share is not what the community's file gives.")
