"""The tables of community.toml: one strict model each. Their keys are explained in docs/community-toml.md."""

from __future__ import annotations

from collections import Counter
from datetime import date, time
from fractions import Fraction
from typing import Annotated, Final, Literal

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
from commonwatt.community.fields import (
    DAYS,
    Address,
    Clock,
    Day,
    Deadline,
    Duration,
    Efficiency,
    Gate,
    LedgerKind,
    Money,
    MoneyUnit,
    Operators,
    Percent,
    Price,
    RoleWord,
    Share,
    Size,
    SlotLength,
    SomeTime,
    TaxRate,
    TimeZone,
    UtilityPrice,
    Wh,
)
from commonwatt.community.living import OFF, LiveChoice, endpoint
from commonwatt.community.model import (
    PV,
    Battery,
    Community,
    LedgerChoice,
    Member,
    Terms,
)
from commonwatt.community.owners import weights
from commonwatt.community.points import PointTable, SpanTable
from commonwatt.community.table import Name, Table


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
    timezone: Annotated[TimeZone, Field(description='such as "Europe/Berlin"')]
    slot: SlotLength = 900
    unit: MoneyUnit | None = None
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
    rate: Annotated[TaxRate, Field(description='tax rate, such as "0.19"')]


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
    gate: Gate | None = None


class LedgerTable(Table):
    kind: LedgerKind = LedgerChoice.kind
    window: Duration = LedgerChoice.window
    grace: SomeTime = LedgerChoice.grace
    confirmations: Annotated[int, Field(ge=0, le=100)] = LedgerChoice.confirmations
    answer: Annotated[Duration, Field(ge=1)] | None = None
    bond: Money = LedgerChoice.bond
    corrections: Duration = LedgerChoice.corrections
    collateral: Literal["deposits", "none"] = "deposits"
    operators: Operators = LedgerChoice.operators
    threshold: Annotated[int, Field(ge=1)] = LedgerChoice.threshold
    generator_meters: bool = LedgerChoice.generator_meters

    @model_validator(mode="after")
    def _can_be_reached(self) -> LedgerTable:
        if self.threshold > len(self.operators):
            raise ValueError(f"threshold is {self.threshold}, more than the number of operators, {len(self.operators)}")
        return self


def _address(text: str) -> str:
    endpoint(text)
    return text


def _broker_address(text: str) -> str:
    return text if text == OFF else _address(text)


def _database(text: str) -> str:
    if not text.startswith("postgresql://"):
        raise ValueError('must be the URL of a PostgreSQL server, such as "postgresql://exchange@localhost/commonwatt"')
    return text


HostName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,62}\.)*[a-z0-9-]{0,62}[a-z0-9]$")]


class LiveTable(Table):
    address: Annotated[Name, AfterValidator(_address)] = LiveChoice.address
    names: list[HostName] = Field(default_factory=list)
    broker: Annotated[Name, AfterValidator(_broker_address)] = LiveChoice.broker
    certificate: Name | None = None
    key: Name | None = None
    database: Annotated[str, AfterValidator(_database)] | None = None
    readings_wait: Duration = LiveChoice.readings_wait
    bill_after: Duration = LiveChoice.bill_after
    keep: Duration = LiveChoice.keep

    @model_validator(mode="after")
    def _both_or_neither(self) -> LiveTable:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("names a certificate and a key, or neither")
        return self

    def choice(self) -> LiveChoice:
        """What it says."""
        return LiveChoice(**{**self.model_dump(), "names": tuple(self.names)})


class SimulationTable(Table):
    late: Percent = Fraction(0)
    silent: Percent = Fraction(0)
    deadline: Deadline = Community.deadline

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
    role: RoleWord | None = None
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
    "live": LiveTable,
    "simulation": SimulationTable,
    "defaults": MemberTable,
    "members": MemberTable,
    "plants": PlantTable,
}
"""The file's tables. Those under `market`, `members` and `plants` are one per stage, member and plant."""
