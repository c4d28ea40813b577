"""The case study of Saini et al. 2023 (Energies 16, 1253), run through our mechanism `fixed` and compared.

`run()` clears the day, reproduces Tables 5 to 7, lists what does not fit together in the paper, and verifies the
chain that it published. Energy is Wh, money micro-rupee, prices micro-rupee/kWh, unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from commonwatt.study.saini.case import Bill, Case, Deal, Storage, read_case
from commonwatt.study.saini.chain import Forgery, Published, Repair, check, forge, repair
from commonwatt.study.saini.findings import Inconsistency, inconsistencies
from commonwatt.study.saini.market import (
    PairRow,
    Reading,
    Refusal,
    SlotProof,
    TradeRow,
    clear,
    deals,
    readings,
    refusals,
    rounded,
    slot_proof,
    table5,
    table6,
)
from commonwatt.units import MICRO

FORGED_BLOCK, FORGED_AMOUNT = 3, 70.1
"""The demonstration makes the first payment of figure A11, 0.701 Rs in block 3, a hundred times larger."""


@dataclass(frozen=True)
class BillRow:
    """A row of Table 7. Ours: `scenario1` and `grid` on the synthetic day, `investment` taken over as printed."""

    user: str
    printed: Bill
    ours: Bill


@dataclass(frozen=True)
class Investment:
    """Eq. 3 turned around: the store that a printed daily cost pays for, under the assumption in `Storage`."""

    user: str
    per_day_rs: float
    capital_rs: float
    energy_kwh: float
    power_kw: float


@dataclass(frozen=True)
class SainiStudy:
    """Everything that the study found.

    truncated, rounded : how many printed prices are our payment cut, or rounded, to 3 decimals
    extra_without_rules : trades that only the window and the least excess prevent
    paid, received : what consumers pay and prosumers receive in our clearing
    """

    trades: tuple[TradeRow, ...]
    truncated: int
    rounded: int
    pairs: tuple[PairRow, ...]
    bills: tuple[BillRow, ...]
    paid: int
    received: int
    proofs: tuple[SlotProof, ...]
    readings: tuple[Reading, ...]
    refusals: tuple[Refusal, ...]
    extra_without_rules: tuple[Deal, ...]
    mean_synthetic_price: int
    storage: Storage
    investments: tuple[Investment, ...]
    inconsistencies: tuple[Inconsistency, ...]
    chains: tuple[Published, ...]
    forgery: Forgery
    repair: Repair


def run() -> SainiStudy:
    """Run the whole study; about a second, most of it hashing."""
    case = read_case()
    clearings = clear(case, case.slots, fill="partial")
    ours = deals(case, case.slots, clearings)
    trades = table5(case, ours)
    received = zip(*(clearing.trades.credit(len(case.members)).tolist() for clearing in clearings), strict=True)
    money = dict(zip(case.members, map(sum, received), strict=True))
    free = clear(case, case.slots, fill="partial", min_excess_kw=0.0, window=["00:00", "00:00"])
    return SainiStudy(
        trades=trades,
        truncated=sum(row.printed.money == row.ours.money for row in trades),
        rounded=sum(row.printed.money == rounded(row.exact) for row in trades),
        pairs=table6(case, ours),
        bills=table7(case, ours, money),
        paid=-sum(min(amount, 0) for amount in money.values()),
        received=sum(max(amount, 0) for amount in money.values()),
        proofs=tuple(slot_proof(slot, clearing) for slot, clearing in zip(case.slots, clearings, strict=True)),
        readings=readings(case),
        refusals=refusals(case),
        extra_without_rules=tuple(deal for deal in deals(case, case.slots, free) if deal not in ours),
        mean_synthetic_price=case.day.mean_price,
        storage=case.storage,
        investments=tuple(
            store_behind(user, bill.investment / MICRO, case.storage)
            for user, bill in case.printed.bills.items()
            if bill.investment
        ),
        inconsistencies=inconsistencies(case),
        chains=tuple(check(figure, chain) for figure, chain in case.chains.items()),
        forgery=forge("A11", case.chains["A11"], FORGED_BLOCK, FORGED_AMOUNT),
        repair=repair(case.chains["A11"], FORGED_BLOCK, FORGED_AMOUNT),
    )


def as_json(study: SainiStudy) -> dict[str, Any]:
    """The study as plain JSON values."""
    units = "energy in Wh, money in micro-rupee, unless a name ends in its unit"
    return {"study": "Saini et al. 2023, DOI 10.3390/en16031253", "units": units, **asdict(study)}


def table7(case: Case, ours: Sequence[Deal], money: Mapping[str, int]) -> tuple[BillRow, ...]:
    """Each user's day, printed beside ours. money : from our clearing, positive = received [micro-rupee]."""
    printed = case.printed.bills
    return tuple(BillRow(user, bill, _bill(case, user, bill, ours, money[user])) for user, bill in printed.items())


def _bill(case: Case, user: str, printed: Bill, ours: Sequence[Deal], credit: int) -> Bill:
    demand = list(case.day.demand[user])
    scenario1 = grid_cost(case.day.price, demand)
    for deal in ours:
        if deal.buyer == user:
            demand[int(deal.hour[:2])] -= deal.wh * 1_000
    # Section 6.3: prosumers cover themselves from PV and storage and buy nothing.
    grid = 0 if user in case.pv_kw else grid_cost(case.day.price, demand)
    bill = Bill(scenario1, printed.investment, grid, peers=max(-credit, 0), operating=min(-credit, 0), net=0)
    return replace(bill, net=bill.parts)


def grid_cost(price: Sequence[int], demand: Sequence[int]) -> int:
    """Eq. 1: the day's energy at the hourly grid price, rounded down once [micro-rupee].

    price : [micro-rupee/kWh]; demand : [mWh]
    """
    return sum(p * d for p, d in zip(price, demand, strict=True)) // MICRO


def annuity(rate: float, years: int) -> float:
    """The daily factor of eq. 3: r / (365·(1 − (1 + r)^−y)) [1/day]."""
    return rate / (365 * (1 - (1 + rate) ** -years))


def investment_cost(energy_kwh: float, power_kw: float, storage: Storage) -> float:
    """Eq. 3: daily cost of a store [Rs/day]."""
    capital = storage.power_cost * power_kw + storage.energy_cost * energy_kwh
    return annuity(storage.rate, storage.years) * capital


def store_behind(user: str, per_day_rs: float, storage: Storage) -> Investment:
    """The store whose daily cost by eq. 3 is `per_day_rs`; the paper states neither r, y nor the capacities."""
    capital = per_day_rs / annuity(storage.rate, storage.years)
    energy = capital / (storage.energy_cost + storage.power_cost / storage.hours)
    return Investment(user, per_day_rs, capital, energy, energy / storage.hours)
