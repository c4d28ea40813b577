"""The tables of community.toml: one strict model each. Their keys are explained in docs/community-toml.md."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, time
from difflib import get_close_matches
from fractions import Fraction
from typing import Annotated, Final, Literal, get_args
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    StringConstraints,
    Tag,
    model_validator,
)

from commonwatt.community.billing import BillingTable, PartyTable
from commonwatt.community.model import (
    LEDGERS,
    OPERATOR,
    PV,
    Battery,
    Community,
    LedgerChoice,
    Member,
    Terms,
    is_ledger,
)
from commonwatt.community.owners import weights
from commonwatt.community.points import PointTable, SpanTable
from commonwatt.community.roles import WORDS
from commonwatt.community.table import Name, Table
from commonwatt.proof import checksum_address
from commonwatt.units import MAX_MONEY, MAX_ORDER_WH, MICRO, UNITS, micro

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: Final[tuple[Day, ...]] = get_args(Day)
_SECONDS: Final = {"s": 1, "min": 60, "h": 3600, "d": 86400}
_LONGEST: Final = 3650 * 86_400
"""Longest duration [s]: the contract counts sums of five of them in 32 bits."""
_LONGEST_ANSWER: Final = 600
"""Of an agent or forecaster of one's own [s]."""
_MOST_OPERATORS: Final = 255
"""So that the contract's threshold, a number of eight bits, can ask for all of them."""
_SOME: Final = 5
"""Of many names, how many a hint tells."""
_MOST_MONEY: Final = MAX_MONEY // 9
"""Highest amount of money [micro-currency], so that a few such amounts may be added up."""


def _money(value: object) -> int:
    """Micro-currency from a decimal text."""
    return micro(_quoted(value), 0, _MOST_MONEY)


def _price(value: object) -> int:
    return micro(_quoted(value), 0)


def _utility_price(value: object) -> int:
    """Of either sign: where there is more wind than load, the utility pays for what is taken."""
    return micro(_quoted(value))


def _unit(value: object) -> int:
    """What money is counted in, as micro-currency."""
    unit = micro(_quoted(value))
    if unit not in UNITS:
        raise ValueError(f'must be a power of ten from "0.000001" to "1", but is {value}')
    return unit


def _quoted(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f'money is written in quotes, so that no digit is lost: "{value}"')
    if not isinstance(value, str):
        raise ValueError('must be an amount of money in quotes, such as "0.32"')
    return value


def _rate(value: object) -> Fraction:
    """A tax rate below 1."""
    if not isinstance(value, str):
        raise ValueError('must be a rate in quotes; 19 percent is "0.19"')
    rate = Fraction(micro(value, 0), MICRO)
    if rate >= 1:
        raise ValueError(f"'{value}' is more than everything; 19 percent is \"0.19\"")
    return rate


def _percent(value: object) -> Fraction:
    """A share from 0 to 1 from a text such as "0.5 %"."""
    found = re.fullmatch(r"([0-9]{1,3}(\.[0-9]{1,6})?) ?%", value) if isinstance(value, str) else None
    share = Fraction(found[1]) / 100 if found else None
    if share is None or share > 1:
        raise ValueError('must be a share from "0 %" to "100 %" in quotes, such as "0.5 %"')
    return share


def _duration(value: object) -> int:
    """Seconds from a text such as "15min"."""
    found = re.fullmatch(r"([0-9]{1,6})(s|min|h|d)", value) if isinstance(value, str) else None
    if found is None:
        raise ValueError('must be a duration in quotes, such as "30s", "15min", "1h" or "2d"')
    seconds = int(found[1]) * _SECONDS[found[2]]
    if seconds > _LONGEST:
        raise ValueError(f"must be at most {_LONGEST // 86_400}d, but is {value}")
    return seconds


def _deadline(value: object) -> int:
    seconds = _duration(value)
    if not 1 <= seconds <= _LONGEST_ANSWER:
        raise ValueError(f"is from 1s to {_LONGEST_ANSWER}s, not {value}")
    return seconds


def _some_time(seconds: int) -> int:
    if not seconds:
        raise ValueError("must be longer than nothing: a posted settlement that is not finalised within it expires")
    return seconds


def _ledger(kind: str) -> str:
    if not is_ledger(kind):
        raise ValueError(f"must be {LEDGERS}, not '{kind}'")
    return kind


def _role(word: str) -> str:
    if word not in WORDS:
        raise ValueError(f"'{word}' is not a role{near(word, WORDS) or '; write ' + ', '.join(WORDS)}")
    return word


def _operators(value: object) -> tuple[str, ...]:
    """The names of operators, from their number or a list of names."""
    if isinstance(value, int) and not isinstance(value, bool):
        _bounded(value)
        return (OPERATOR, *(f"{OPERATOR}-{number}" for number in range(2, value + 1)))
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValueError('must be a number of operators or a list of their names, such as ["co-op", "grid"]')
    _bounded(len(value))
    for name in value:
        if not PLAIN_NAME.fullmatch(name):
            raise ValueError(f"holds '{name}'; {PLAIN_NAME_RULE}")
        if value.count(name) > 1:
            raise ValueError(f"names '{name}' {value.count(name)} times; each operator has one signature")
    return tuple(value)


def _bounded(operators: int) -> None:
    if not 1 <= operators <= _MOST_OPERATORS:
        raise ValueError(f"are from 1 to {_MOST_OPERATORS}, not {operators}")


def _slot(value: object) -> int:
    seconds = _duration(value)
    if seconds < 60 or 3600 % seconds:
        raise ValueError(
            f'\'{value}\' is not one minute, or more that divides the hour; write "5min", "15min", "30min" or "1h"'
        )
    return seconds


def _clock(value: object) -> time:
    if not isinstance(value, str) or not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value):
        raise ValueError('must be a local time in quotes from "00:00" to "23:59", such as "12:00"')
    return time.fromisoformat(value)


def _timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (OSError, ValueError, LookupError):
        raise ValueError(f"there is no timezone '{value}'{near(value, available_timezones())}") from None
    return value


def _address(value: object) -> bytes:
    """20 bytes; a text with small and capital letters must bear the right checksum."""
    if not isinstance(value, str) or not re.fullmatch(r"0x[0-9a-fA-F]{40}", value):
        raise ValueError('must be an address in quotes: "0x" and 40 digits from 0 to 9 and a to f')
    address = bytes.fromhex(value[2:])
    if value not in (checksum_address(address), value.lower()):
        raise ValueError("has a typing error: its capital letters do not fit its digits")
    if not any(address):
        raise ValueError("is the zero address, which nobody owns")
    return address


def near(word: str, known: Iterable[str]) -> str:
    """A hint at the nearest of the `known` words, or nothing."""
    matches = get_close_matches(word, sorted(known), n=1)
    return f"; did you mean '{matches[0]}'?" if matches else ""


def some(known: Sequence[str]) -> str:
    """A hint at what is known, where no word of it is near."""
    return "; there is " + ", ".join(f"'{word}'" for word in known[:_SOME]) + ", …" * (len(known) > _SOME)


Money = Annotated[int, BeforeValidator(_money)]
Price = Annotated[int, BeforeValidator(_price)]
UtilityPrice = Annotated[int, BeforeValidator(_utility_price)]
Duration = Annotated[int, BeforeValidator(_duration)]
Percent = Annotated[Fraction, BeforeValidator(_percent)]
Clock = Annotated[time, BeforeValidator(_clock)]
Address = Annotated[bytes, BeforeValidator(_address)]
Size = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Efficiency = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Wh = Annotated[int, Field(ge=0, le=MAX_ORDER_WH)]


PLAIN_NAME: Final = re.compile(r"[\w-]{1,40}")
PLAIN_NAME_RULE: Final = "a name has at most 40 letters, digits, '-' and '_'"
"""Of members, operators, stages and levies."""


class MeterFileTable(Table):
    file: Annotated[Name, Field(description="path of the meter file")]
    labels: Literal["begin", "end"] = "begin"


def _files(value: object) -> list[object]:
    files = value if isinstance(value, list) else [value]
    if not files or not all(isinstance(each, str | dict) for each in files):
        raise ValueError('must be the path of a meter file in quotes, or a list of them such as ["a.csv", "b.csv"]')
    return [{"file": each} if isinstance(each, str) else each for each in files]


class CommunityTable(Table):
    name: Annotated[Name, Field(description="what the community is called")]
    currency: Annotated[
        str,
        StringConstraints(pattern=r"^[A-Z][A-Z0-9]{1,9}$"),
        Field(description='short name of the money, such as "EUR"'),
    ]
    timezone: Annotated[str, AfterValidator(_timezone), Field(description='such as "Europe/Berlin"')]
    slot: Annotated[int, BeforeValidator(_slot)] = 900
    unit: Annotated[int, BeforeValidator(_unit)] | None = None
    seed: Name | None = None
    profiles: Annotated[list[MeterFileTable], BeforeValidator(_files), Field(default_factory=list)]


class GridTable(Table):
    network: Annotated[Name, Field(description='name of a grid, such as "simbench:rural2"')]


class BandTable(Table):
    from_: Annotated[Clock, Field(alias="from", description="local time from which the price holds")]
    price: Annotated[UtilityPrice, Field(description="price per kWh")]
    days: Annotated[list[Day], Field(min_length=1, default_factory=lambda: list(DAYS))]


class PriceFileTable(Table):
    file: Annotated[Name, Field(description="path of the price file")]


def _complete(bands: list[BandTable]) -> list[BandTable]:
    """A time-of-use table gives one price for each time of each weekday."""
    starts = Counter((day, band.from_) for band in bands for day in band.days)
    holes = [day for day in DAYS if (day, time(0)) not in starts]
    if holes:
        raise ValueError(f'has no price from "00:00" on {", ".join(holes)}')
    for (day, start), count in starts.items():
        if count > 1:
            raise ValueError(f'has {count} prices from "{start:%H:%M}" on {day}')
    return bands


def _rate_kind(value: object) -> str:
    return "<bands>" if isinstance(value, list) else "<file>" if isinstance(value, dict) else "<price>"


RateValue = Annotated[
    Annotated[UtilityPrice, Tag("<price>")]
    | Annotated[list[BandTable], AfterValidator(_complete), Tag("<bands>")]
    | Annotated[PriceFileTable, Tag("<file>")],
    Discriminator(_rate_kind),
]


class LevyTable(Table):
    price: Annotated[Price, Field(description="charge per kWh")]
    on: Literal["grid", "local", "both"] = "both"


class VatTable(Table):
    name: Name = "VAT"
    rate: Annotated[Fraction, BeforeValidator(_rate), Field(description='tax rate, such as "0.19"')]


class TariffTable(Table):
    retail: Annotated[RateValue, Field(description="the utility's selling price per kWh")]
    feed_in: Annotated[RateValue, Field(description="the utility's buying price per kWh")]
    network_fee: Price = 0
    levies: dict[str, LevyTable] = Field(default_factory=dict)
    vat: VatTable = VatTable(rate="0")  # type: ignore[arg-type]


class StageTable(Table):
    """All keys beside these two are the mechanism's own parameters."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, JsonValue]

    mechanism: Annotated[Name, Field(description='name of a market mechanism, such as "sdr"')]
    gate: Clock | None = None


class LedgerTable(Table):
    kind: Annotated[str, AfterValidator(_ledger)] = LedgerChoice.kind
    window: Duration = LedgerChoice.window
    grace: Annotated[Duration, AfterValidator(_some_time)] = LedgerChoice.grace
    confirmations: Annotated[int, Field(ge=0, le=100)] = LedgerChoice.confirmations
    answer: Annotated[Duration, Field(ge=1)] | None = None
    bond: Money = LedgerChoice.bond
    corrections: Duration = LedgerChoice.corrections
    collateral: Literal["deposits", "none"] = "deposits"
    operators: Annotated[tuple[str, ...], BeforeValidator(_operators)] = LedgerChoice.operators
    threshold: Annotated[int, Field(ge=1)] = LedgerChoice.threshold
    generator_meters: bool = LedgerChoice.generator_meters

    @model_validator(mode="after")
    def _can_be_reached(self) -> LedgerTable:
        if self.threshold > len(self.operators):
            raise ValueError(f"threshold is {self.threshold}, more than the number of operators, {len(self.operators)}")
        return self


class SimulationTable(Table):
    late: Percent = Fraction(0)
    silent: Percent = Fraction(0)
    deadline: Annotated[int, BeforeValidator(_deadline)] = Community.deadline

    @model_validator(mode="after")
    def _at_most_all(self) -> SimulationTable:
        if self.late + self.silent > 1:
            raise ValueError("late and silent are shares of all readings, together at most 100 %")
        return self


class PVTable(Table):
    profile: Annotated[Name, Field(description="name of the generation profile")]
    kwp: Annotated[Size, Field(description="peak power in kW")]


class HomePVTable(PVTable):
    curtail: bool = PV.curtail


class HeatPumpTable(Table):
    profile: Annotated[Name, Field(description="name of the profile of what the heat pump uses")]
    annual_kwh: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] | None = None


class BatteryTable(Table):
    kwh: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False, description="capacity in kWh")]
    kw: Annotated[Size, Field(description="charge and discharge power in kW")]
    charge_efficiency: Efficiency = Battery.charge_efficiency
    discharge_efficiency: Efficiency = Battery.discharge_efficiency
    soc_min: Share = Battery.soc_min
    soc_max: Share = Battery.soc_max
    soc_start: Share = Battery.soc_start

    @model_validator(mode="after")
    def _in_order(self) -> BatteryTable:
        if not self.soc_min <= self.soc_start <= self.soc_max:
            limits = f"{self.soc_min}, {self.soc_start} and {self.soc_max}"
            raise ValueError(f"soc_min, soc_start and soc_max must rise in this order, but are {limits}")
        return self


class MandateTable(Table):
    max_buy: Price | None = None
    min_sell: Price | None = None
    buy_wh: Wh = Terms.buy_wh
    sell_wh: Wh = Terms.sell_wh


class MemberTable(Table):
    role: Annotated[str, AfterValidator(_role)] | None = None
    load: Annotated[Name | None, Field(description="name of the profile of what the home uses")] = None
    annual_kwh: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] | None = None
    heat_pump: HeatPumpTable | None = None
    pv: Annotated[HomePVTable | None, Field(description="the plant that makes it a prosumer")] = None
    battery: Annotated[BatteryTable | None, Field(description="what a storage consists of")] = None
    mandate: MandateTable = MandateTable()
    bus: Name | None = None
    collateral: Money = 0
    wallet: Address | None = None
    meter: Address | None = None
    points: Annotated[list[PointTable], Field(min_length=1)] | None = None
    from_: Annotated[date | None, Field(alias="from")] = None
    until: date | None = None
    periods: Annotated[list[SpanTable], Field(min_length=1)] | None = None
    billing: PartyTable | None = None
    agent: Name = Member.agent
    forecast: Name = Member.forecast


class PlantTable(Table):
    pv: Annotated[PVTable, Field(description="what it consists of")]
    owners: Annotated[
        dict[str, int], BeforeValidator(weights), Field(description="a share for each owner, such as { anna = 2 }")
    ]
    sell_wh: Wh = Terms.sell_wh
    bus: Name | None = None
    collateral: Money = 0
    wallet: Address | None = None
    meter: Address | None = None
    forecast: Name = Member.forecast


SECTIONS: Final[dict[str, type[Table]]] = {
    "community": CommunityTable,
    "grid": GridTable,
    "tariff": TariffTable,
    "market": StageTable,
    "ledger": LedgerTable,
    "billing": BillingTable,
    "simulation": SimulationTable,
    "defaults": MemberTable,
    "members": MemberTable,
    "plants": PlantTable,
}
"""The file's tables. Those under `market`, `members` and `plants` are one per stage, member and plant."""
