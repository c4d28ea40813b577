"""A bill's figures, added up again: from the slots of its sheets to their sums, and from sums to its last page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from commonwatt.accounts.charges import vat_on
from commonwatt.accounts.document import Met, both_ways, met, utility_amounts, vat_rate
from commonwatt.accounts.sheets import ALONE, added
from commonwatt.member import shares
from commonwatt.member.page import require
from commonwatt.units import MAX_PRICE, WH_PER_KWH

Terms = Mapping[str, Any]
"""A tariff, as of `accounts.document.tariff_terms`."""


def sums(lines: Sequence[Any], member: int) -> dict[str, Any]:
    """The sums of slots, as a sheet has them, but for those of plants."""
    found = [met(line, member) for line in lines]
    alone = [_alone(each, by_registers="registers" in line) for each, line in zip(found, lines, strict=True)]
    prices = [(line["prices"]["retail"], line["prices"]["feedIn"]) for line in lines]
    neighbours = sum(
        (1 if trade["buyer"] == member else -1) * trade["payment"] for line in lines for trade in line["trades"]
    )
    of_all = _of_utility(found, prices) | {"local": sum(each.taken for each in found), "neighbours": neighbours}
    return of_all | {"alone": _of_utility(alone, prices)}


def _of_utility(found: Sequence[Met], prices: Sequence[tuple[int, int]]) -> dict[str, int]:
    amounts = [utility_amounts(each, *price) for each, price in zip(found, prices, strict=True)]
    energy = (sum(each.drawn for each in found), sum(each.fed for each in found))
    return dict(zip(ALONE, (*energy, *(sum(each[way] for each in amounts) for way in (0, 1))), strict=True))


def _alone(found: Met, *, by_registers: bool) -> Met:
    """The same energy, had it all met the utility."""
    drawn, fed = found.drawn + found.taken, found.fed + found.given
    return Met(drawn, fed, 0, 0) if by_registers else Met(*both_ways(drawn - fed), 0, 0)


def require_priced(lines: Sequence[Any], member: int) -> None:
    """Prices are whole and within bounds, and what is owed to the utility in each slot is energy times price."""
    prices = [price for line in lines for price in line["prices"].values()]
    require(all(_is_price(price) for price in prices), "A price is out of bounds.")
    for line in lines:
        amounts = utility_amounts(met(line, member), line["prices"]["retail"], line["prices"]["feedIn"])
        told = f"Slot {line['slot']}: the utility's amount is not energy times price."
        require(line["grid"]["amount"] == sum(amounts), told)


def require_sane(tariff: Terms) -> None:
    """Prices are whole, and none is negative; a levy is on energy or not: nothing in between."""
    fees = [tariff["networkFee"], *(levy["price"] for levy in tariff["levies"])]
    require(all(_is_price(price) for price in fees) and min(fees) >= 0, "A price is out of bounds.")
    switches = [levy[side] for levy in tariff["levies"] for side in ("grid", "local")]
    require(all(type(switch) is bool for switch in switches), "A levy is neither on nor off.")
    require(0 <= vat_rate(tariff) < 1, "The VAT is out of bounds.")


def _is_price(given: Any) -> bool:
    return type(given) is int and abs(given) <= MAX_PRICE


def require_last_page(
    content: Mapping[str, Any], parts: Sequence[tuple[Terms, Mapping[str, Any]]], looked: Sequence[shares.Summed] = ()
) -> None:
    """Charges, total and the cost without the market follow from sums: one part for each tariff.

    looked : as of `shares.charged`
    """
    charges = _joined([_charges(tariff, own) for tariff, own in parts])
    apart = [_charges(tariff, {**own["alone"], "local": 0, "neighbours": 0}) for tariff, own in parts]
    without_market = sum(line["amount"] for line in _joined(apart))
    before, whole = sum(line["amount"] for line in charges), added(own for _, own in parts)
    of_plants, alone_of_plants = shares.charged(content, whole, before, without_market, looked)
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


def _charges(tariff: Terms, own: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The bill's last page of slots under one tariff, from their sums."""
    fees = [("network fee", own["local"] * tariff["networkFee"] // WH_PER_KWH)]
    for levy in tariff["levies"]:
        base = own["import"] * levy["grid"] + own["local"] * levy["local"]
        fees.append((levy["name"], base * levy["price"] // WH_PER_KWH))
    vat = vat_on(vat_rate(tariff), own["energy"] + sum(amount for _, amount in fees))
    return [
        {"name": "energy from the utility", "wh": own["import"], "amount": own["energy"]},
        {"name": "energy fed in", "wh": own["export"], "amount": own["fedIn"]},
        {"name": "neighbours", "wh": own["local"], "amount": own["neighbours"]},
        *({"name": name, "amount": amount} for name, amount in fees),
        {"name": "VAT", "amount": vat},
    ]
