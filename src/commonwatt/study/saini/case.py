"""The five homes of Saini et al. 2023 as typed integers: what goes in, and what the paper printed.

Energy is Wh, money micro-rupee, prices micro-rupee/kWh. The files and their provenance are in `cases/saini/`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from commonwatt.errors import DataError
from commonwatt.units import MICRO, WH_PER_KWH, decimal_text, micro

FOLDER: Final = Path(__file__).parents[1] / "cases" / "saini"

Block = dict[str, Any]
"""One block of the published chain, exactly as its JSON."""


@dataclass(frozen=True)
class Slot:
    """One hour: what prosumers have left and consumers want [Wh]; `assumed` says which figures are ours."""

    hour: str
    start: int
    surplus: Mapping[str, int]
    demand: Mapping[str, int]
    assumed: tuple[str, ...]


@dataclass(frozen=True)
class Deal:
    """One row of Table 5: energy [Wh] and what is paid for it [micro-rupee]."""

    hour: str
    seller: str
    buyer: str
    wh: int
    money: int

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes the row unique."""
        return self.hour, self.seller, self.buyer


@dataclass(frozen=True)
class Bill:
    """One row of Table 7 [micro-rupee/day]; negative is income."""

    scenario1: int
    investment: int
    grid: int
    peers: int
    operating: int
    net: int

    @property
    def parts(self) -> int:
        """The sum that `net` should be."""
        return self.investment + self.grid + self.peers + self.operating


@dataclass(frozen=True)
class ForecastError:
    """One row of Tables 3 and 4; the paper prints no units."""

    user: str
    mae: float
    mse: float
    rmse: float


@dataclass(frozen=True)
class SyntheticDay:
    """A day chosen by us so that eq. 1 gives Table 7; not the paper's data, which stand in figures only.

    price : [micro-rupee/kWh]; demand : [mWh], per member; one value per hour of the day
    """

    price: tuple[int, ...]
    demand: Mapping[str, tuple[int, ...]]

    @property
    def mean_price(self) -> int:
        """[micro-rupee/kWh], rounded down."""
        return sum(self.price) // len(self.price)


@dataclass(frozen=True)
class Storage:
    """Capital costs of Table 2, and the assumption that eq. 3 needs and the paper does not state.

    energy_cost : [Rs/kWh]; power_cost : [Rs/kW]; rate : interest per year; years : life; hours : kWh per kW
    """

    energy_cost: float
    power_cost: float
    rate: float
    years: int
    hours: float


@dataclass(frozen=True)
class Printed:
    """The tables of the paper: 3 and 4, 5, 6 as (seller, buyer) to Wh, 7 by user."""

    errors: tuple[ForecastError, ...]
    deals: tuple[Deal, ...]
    pairs: Mapping[tuple[str, str], int]
    bills: Mapping[str, Bill]


@dataclass(frozen=True)
class Case:
    """Everything that the study starts from.

    hours : length of a slot [h]
    price : local price of the day [micro-rupee/kWh] (section 4.2, item 1; "2.10/KW" there is per kWh)
    window : local times between which slots start (item 5); min_excess_kw : least surplus to sell [kW] (item 3)
    full_only : the hour, the consumer and its demand [Wh] under which the other reading gives the same trades
    discount : by how much the local price lies below the day's average, as a fraction of a million
    pv_kw : rooftop PV [kW]
    chain_trades : (block, hour, buyer) of the rows of Table 5 that the chain of figure A11 pays
    """

    members: tuple[str, ...]
    hours: float
    price: int
    window: tuple[str, str]
    min_excess_kw: float
    slots: tuple[Slot, ...]
    full_only: tuple[str, str, int]
    discount: int
    pv_kw: Mapping[str, float]
    day: SyntheticDay
    storage: Storage
    chains: Mapping[str, list[Block]]
    chain_trades: tuple[tuple[int, str, str], ...]
    printed: Printed

    @property
    def rule(self) -> dict[str, object]:
        """Parameters of the mechanism `fixed`, all but the reading of `fill`."""
        return {"price": decimal_text(self.price), "window": list(self.window), "min_excess_kw": self.min_excess_kw}

    @property
    def average(self) -> int:
        """The day's average grid price [micro-rupee/kWh] that the local price and its discount imply."""
        return self.price * MICRO // (MICRO - self.discount)


def wh(kwh: str) -> int:
    """Whole Wh of a printed kWh figure.

    >>> wh("0.547")
    547
    """
    return micro(kwh) // WH_PER_KWH


def kwh_text(energy: int) -> str:
    """Wh as kWh with three decimals.

    >>> kwh_text(547)
    '0.547'
    """
    return decimal_text(energy * WH_PER_KWH, 3)


def read_json(name: str) -> Any:
    """One file of the case. Raises DataError when the installation lacks it."""
    try:
        return json.loads((FOLDER / name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"The reference case of Saini et al. is not installed: {FOLDER / name} is missing.") from None


def read_case() -> Case:
    """The reference case from the package's own files."""
    given, printed = read_json("input.json"), read_json("expected.json")["printed"]
    hour, member, demand = given["full_only_reading"].values()
    rule, day = given["rule"], given["synthetic_day"]
    return Case(
        members=tuple(given["members"]),
        hours=float(given["slot_hours"]),
        price=micro(rule["price"]),
        window=(rule["window"][0], rule["window"][1]),
        min_excess_kw=rule["min_excess_kw"],
        slots=tuple(_slot(row, given["day"], given["utc_offset"]) for row in given["slots"]),
        full_only=(hour, member, wh(demand)),
        discount=micro(given["discount_to_average"]),
        pv_kw=given["pv_kw"],
        day=SyntheticDay(
            tuple(map(micro, day["price_rs_per_kwh"])),
            {user: tuple(map(micro, column)) for user, column in day["demand_kwh"].items()},
        ),
        storage=Storage(*given["storage"].values(), *given["annuity_assumption"].values()),
        chains=given["chains"],
        chain_trades=tuple((block, hour, buyer) for block, hour, buyer in given["chain_trades"]["block_hour_buyer"]),
        printed=_printed(printed),
    )


def _slot(row: Any, day: str, offset: str) -> Slot:
    start = int(datetime.fromisoformat(f"{day}T{row['hour']}{offset}").timestamp())
    surplus = {user: wh(kwh) for user, kwh in row["surplus_kwh"].items()}
    demand = {user: wh(kwh) for user, kwh in row["demand_kwh"].items()}
    return Slot(row["hour"], start, surplus, demand, tuple(row["assumed"]))


def _printed(tables: Any) -> Printed:
    errors = tables["table3_load_errors"] + tables["table4_pv_errors"]
    bills = tables["table7_rs"].items()
    return Printed(
        errors=tuple(ForecastError(user, float(mae), float(mse), float(rmse)) for user, mae, mse, rmse in errors),
        deals=tuple(Deal(hour, s, b, wh(kwh), micro(rs)) for hour, s, b, kwh, rs in tables["table5"]),
        pairs={(s, b): wh(kwh) for s, row in tables["table6_kwh"].items() for b, kwh in row.items()},
        bills={user: Bill(**{part: micro(rs) for part, rs in row.items()}) for user, row in bills},
    )
