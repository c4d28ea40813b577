"""What does not fit together in Saini et al. 2023: each finding computed from the printed tables alone.

Every number in a sentence is computed here; `figures` carries the same numbers for machines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt
from statistics import mean

from commonwatt.study.saini.case import Case, kwh_text
from commonwatt.study.saini.market import truncated
from commonwatt.units import MICRO, WH_PER_KWH, decimal_text, payment

LAST_PRINTED = 1_000
"""One unit of the last decimal that Table 7 prints for every net cost [micro-rupee]."""


@dataclass(frozen=True)
class Inconsistency:
    """One place where the paper contradicts itself.

    where : tables or figures; sentence : what is wrong, with its numbers; figures : those numbers by name
    confirmed : whether the computation found what the sentence says
    """

    where: str
    sentence: str
    figures: Mapping[str, float]
    confirmed: bool


def inconsistencies(case: Case) -> tuple[Inconsistency, ...]:
    """All findings, in the order of the paper's tables."""
    findings: tuple[Callable[[Case], Inconsistency], ...] = (
        forecast_errors,
        row_price,
        pair_total,
        peer_costs,
        budget,
        net_costs,
        displaced_price,
        small_roof,
        chain_price,
    )
    return tuple(finding(case) for finding in findings)


def forecast_errors(case: Case) -> Inconsistency:
    """Tables 3 and 4: RMSE is the root of MSE, and no MAE exceeds it; neither holds."""
    rows = case.printed.errors
    off = [row for row in rows if abs(sqrt(row.mse) - row.rmse) > 0.05 * row.rmse]
    above = [row.user for row in rows if row.mae > row.rmse]
    first = rows[0]
    return Inconsistency(
        "Tables 3, 4",
        f"RMSE is not the root of MSE in {len(off)} of {len(rows)} rows ({first.user}: {sqrt(first.mse):.4f}, printed "
        f"{first.rmse}), and MAE exceeds RMSE, which cannot be, in {len(above)} ({', '.join(above)}).",
        {"rows": len(rows), "rmse_is_not_root_of_mse": len(off), "mae_above_rmse": len(above)},
        bool(off),
    )


def row_price(case: Case) -> Inconsistency:
    """Table 5: a price that its own energy does not give."""
    wrong = [deal for deal in case.printed.deals if deal.money != truncated(payment(deal.wh, case.price))]
    deal = wrong[0]
    implied, right = deal.money * WH_PER_KWH // case.price, truncated(payment(deal.wh, case.price))
    seller = case.printed.bills[deal.seller]
    sold = sum(row.wh for row in case.printed.deals if row.seller == deal.seller)
    paid_for = sold - deal.wh + implied
    return Inconsistency(
        "Table 5",
        f"{deal.hour} {deal.seller} to {deal.buyer}: {_rs(deal.money)} Rs is {kwh_text(implied)} kWh at "
        f"{_rs(case.price, 2)}; the printed {kwh_text(deal.wh)} kWh cost {_rs(right)}. "
        f"Table 6 adds up with {kwh_text(deal.wh)}, {deal.seller}'s revenue in Table 7 with {kwh_text(implied)} "
        f"({kwh_text(paid_for)} kWh make {_rs(payment(paid_for, case.price))} Rs).",
        {
            "wrong_rows": len(wrong),
            "printed_wh": deal.wh,
            "implied_wh": implied,
            "seller_wh": sold,
            "seller_wh_paid_for": paid_for,
        },
        len(wrong) == 1 and payment(paid_for, case.price) // LAST_PRINTED == -seller.operating // LAST_PRINTED,
    )


def pair_total(case: Case) -> Inconsistency:
    """Table 6 against the sums of Table 5."""
    sums = {pair: sum(d.wh for d in case.printed.deals if (d.seller, d.buyer) == pair) for pair in case.printed.pairs}
    wrong = [pair for pair, printed in case.printed.pairs.items() if printed != sums[pair]]
    pair = wrong[0]
    printed, summed = case.printed.pairs[pair], sums[pair]
    bought = _bought(case, pair[1])
    return Inconsistency(
        "Table 6",
        f"{pair[0]} to {pair[1]} is printed {kwh_text(printed)} kWh; the rows of Table 5 sum to {kwh_text(summed)}, "
        f"and Table 7 uses that ({kwh_text(bought)} kWh in all make {_rs(payment(bought, case.price), 4)} Rs).",
        {"wrong_cells": len(wrong), "printed_wh": printed, "sum_wh": summed, "buyer_wh": bought},
        len(wrong) == 1 and payment(bought, case.price) == case.printed.bills[pair[1]].peers,
    )


def peer_costs(case: Case) -> Inconsistency:
    """Table 7: what consumers pay peers, against the energy of Table 5."""
    wrong, figures = [], {}
    for user in _consumers(case):
        bill, bought = case.printed.bills[user], _bought(case, user)
        if bill.peers != payment(bought, case.price):
            implied = bill.peers / case.price
            wrong.append(
                f"{user} pays {_rs(bill.peers)} Rs, which is {implied:.4f} kWh; it bought {kwh_text(bought)} "
                f"({_rs(payment(bought, case.price), 4)} Rs)"
            )
            figures[f"{user}_implied_kwh"] = implied
    return Inconsistency("Table 7", "; ".join(wrong) + ".", figures, bool(wrong))


def budget(case: Case) -> Inconsistency:
    """Table 7: what consumers pay their peers is what prosumers receive; it is not."""
    paid = sum(bill.peers for bill in case.printed.bills.values())
    received = -sum(bill.operating for bill in case.printed.bills.values())
    total = sum(deal.wh for deal in case.printed.deals)
    consistent = payment(total, case.price)
    return Inconsistency(
        "Table 7",
        f"Consumers pay their peers {_rs(paid, 4)} Rs and prosumers receive {_rs(received, 4)}: "
        f"{_rs(paid - received, 4)} Rs go nowhere. The {kwh_text(total)} kWh traded make {_rs(consistent, 4)} Rs.",
        {"paid": paid, "received": received, "gap": paid - received, "consistent": consistent},
        paid != received,
    )


def net_costs(case: Case) -> Inconsistency:
    """Table 7: net cost is the sum of its parts."""
    bills = case.printed.bills
    wrong = {user: bill for user, bill in bills.items() if abs(bill.net - bill.parts) >= LAST_PRINTED}
    cells = "; ".join(f"{user}: {_rs(bill.net)} printed, {_rs(bill.parts)} by parts" for user, bill in wrong.items())
    return Inconsistency(
        "Table 7",
        f"{len(bills) - len(wrong)} of {len(bills)} net costs are the sum of their parts. {cells}.",
        {f"{user}_parts": bill.parts for user, bill in wrong.items()},
        bool(wrong),
    )


def displaced_price(case: Case) -> Inconsistency:
    """Table 7: what a kWh from a peer replaced, against "10 % less than the average" (section 4.2, item 1)."""
    figures = {}
    for user in _consumers(case):
        bill = case.printed.bills[user]
        figures[user] = (bill.scenario1 - bill.grid) / MICRO / (_bought(case, user) / WH_PER_KWH)
    price = case.price / MICRO
    discounts = [100 * (1 - price / displaced) for displaced in figures.values()]
    replaced = ", ".join(f"{displaced:.3f} ({user})" for user, displaced in figures.items())
    return Inconsistency(
        "Table 7, 4.2",
        f"A kWh from a peer replaces grid energy worth {replaced} Rs, so at {_rs(case.price, 2)} it is "
        f"{min(discounts):.0f} to {max(discounts):.0f} % cheaper, while the text speaks of "
        f"{100 * case.discount // MICRO} % below the day's average ({_rs(case.average, 4)}).",
        figures,
        min(discounts) > 2 * 100 * case.discount / MICRO,
    )


def small_roof(case: Case) -> Inconsistency:
    """Table 7: the energy that each roof must have made for a day without the grid, per kW of PV.

    Own demand is the scenario-1 bill at the average price. Losses of the store and surplus left unsold are not
    counted, so this is the least. A doubt, no contradiction: a store that began the day full would explain it.
    """
    figures = {}
    for user, kw in case.pv_kw.items():
        own = case.printed.bills[user].scenario1 / case.average
        sold = sum(deal.wh for deal in case.printed.deals if deal.seller == user) / WH_PER_KWH
        figures[user] = (own + sold) / kw
    needs = " and ".join(f"{need:.1f} kWh per kW ({user}, {case.pv_kw[user]} kW)" for user, need in figures.items())
    return Inconsistency(
        "Table 7",
        "Doubtful: with the scenario-1 bills at the average price as own demand, a day without the grid needs at least "
        f"{needs} under the same sun; no printed PV energy or initial charge could settle it.",
        figures,
        max(figures.values()) > 2 * min(figures.values()),
    )


def chain_price(case: Case) -> Inconsistency:
    """Figure A11: the payments on the chain, against the energy of the rows of Table 5 that they pay."""
    energy = {(deal.hour, deal.buyer): deal.wh for deal in case.printed.deals}
    blocks = {block["index"]: block for block in case.chains["A11"]}
    figures = {
        f"{hour} {buyer}": blocks[index]["transactions"][0]["amount"] / energy[hour, buyer] * WH_PER_KWH
        for index, hour, buyer in case.chain_trades
    }
    return Inconsistency(
        "Figure A11",
        f"{len(figures)} of the {len(energy)} trades are on the chain, at {min(figures.values()):.3f} to "
        f"{max(figures.values()):.3f} Rs/kWh (mean {mean(figures.values()):.2f}), not {_rs(case.price, 2)}.",
        figures,
        min(figures.values()) > case.price / MICRO * 1.1,
    )


def _consumers(case: Case) -> list[str]:
    return [user for user in case.members if user not in case.pv_kw]


def _bought(case: Case, user: str) -> int:
    return sum(deal.wh for deal in case.printed.deals if deal.buyer == user)


def _rs(money: int, places: int = 3) -> str:
    return decimal_text(money, places)
