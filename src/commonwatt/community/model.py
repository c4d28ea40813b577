"""What exists: a community, its members and devices, its tariff and its market day. Frozen; made by `toml.parse`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, time
from fractions import Fraction
from typing import Final, Literal

from commonwatt.community.billing import Billing, Party
from commonwatt.community.living import LiveChoice
from commonwatt.community.points import Point, Span
from commonwatt.community.roles import Role
from commonwatt.community.tariff import Tariff
from commonwatt.units import MICRO, price_text


@dataclass(frozen=True)
class Load:
    """What a home, or its heat pump, uses.

    profile : name of a profile, such as "simbench:H0-A", or a column of the member's own file
    annual_kwh : scale [kWh/a]; None keeps the measured size
    """

    profile: str
    annual_kwh: float | None = None


@dataclass(frozen=True)
class PV:
    """A photovoltaic plant.

    profile : its shape per kWp; kwp : peak power [kW]
    curtail : where the utility's feed-in price is below zero, it feeds in what was sold to neighbours ahead, no more
    """

    profile: str
    kwp: float
    curtail: bool = False


@dataclass(frozen=True)
class Battery:
    """A battery.

    kwh : capacity [kWh]; kw : charge and discharge power at the terminals [kW]
    charge_efficiency, discharge_efficiency : each in (0, 1]
    soc_min, soc_max, soc_start : state of charge as fractions of capacity
    """

    kwh: float
    kw: float
    charge_efficiency: float = 0.95
    discharge_efficiency: float = 0.95
    soc_min: float = 0.1
    soc_max: float = 1.0
    soc_start: float = 0.5


@dataclass(frozen=True)
class Terms:
    """What a member's mandate allows its agent.

    max_buy, min_sell : price limits [unit/kWh]; None = the utility's price of the slot
    buy_wh, sell_wh : most energy per slot and side [Wh]
    """

    max_buy: int | None = None
    min_sell: int | None = None
    buy_wh: int = 50_000
    sell_wh: int = 50_000


@dataclass(frozen=True, order=True)
class Owner:
    """Who owns a part of a plant. member : its index; weight : its share, in proportion to those of the others"""

    member: int
    weight: int


@dataclass(frozen=True)
class Member:
    """A household or other party.

    index : place in the community, from 0; the ledger's member index
    load : None = it uses nothing
    heat_pump : used on top of `load`, or None
    bus : where in the grid its connection is; None when no grid is given
    collateral : what it pays in at the start [unit]
    wallet, meter : addresses; None = the simulation derives keys from the community's seed
    owners : of a plant that belongs to other members, by their index; of everybody else nobody
    points : its metering points; none where it is simulated, or read as one
    spans : when it is a member; none = always
    party : who it is on a bill
    agent, forecast : how its orders, and what it expects, come about: a name, or "file.py:NAME" of one's own
    """

    index: int
    id: str
    load: Load | None
    heat_pump: Load | None = None
    pv: PV | None = None
    battery: Battery | None = None
    terms: Terms = field(default_factory=Terms)
    bus: str | None = None
    collateral: int = 0
    wallet: bytes | None = None
    meter: bytes | None = None
    role: Role = Role.CONSUMER
    owners: tuple[Owner, ...] = ()
    points: tuple[Point, ...] = ()
    spans: tuple[Span, ...] = ()
    party: Party = field(default_factory=lambda: Party(""))

    def on(self, day: date) -> bool:
        """Whether it is a member on a local day."""
        return not self.spans or any(day in span for span in self.spans)

    def within(self, first: date, last: date) -> bool:
        """Whether it is a member on any day from the first to the last."""
        return not self.spans or any(span.meets(Span(first, last)) for span in self.spans)

    agent: str = "truthful"
    forecast: str = "last-week"

    @property
    def path(self) -> str:
        """Its dotted key in community.toml."""
        return f"{'plants' if self.owners else 'members'}.{self.id}"

    @property
    def loads(self) -> tuple[Load, ...]:
        """All that it uses; nobody has a heat pump and no load."""
        return tuple(load for load in (self.load, self.heat_pump) if load is not None)

    @property
    def draws(self) -> bool:
        """Whether it is a home: it uses something, or has a register of import."""
        return bool(self.loads) or any(point.draws for point in self.points)

    @property
    def feeds(self) -> bool:
        """Whether it generates: it has PV, or a register of export."""
        return self.pv is not None or any(point.feeds for point in self.points)


@dataclass(frozen=True)
class Stage:
    """One mechanism of the market day.

    gate : when it closes, only for mechanisms of phase "ahead": a local time on the day before, for all slots of a
        day, or how long before each slot it closes for that one [s]
    parameters : the mechanism's own, as in the file
    """

    name: str
    mechanism: str
    gate: time | int | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)


def gate_text(gate: time | int) -> str:
    """A gate as the file has it, such as 12:00 or 15min.

    >>> gate_text(time(12)), gate_text(900), gate_text(90)
    ('12:00', '15min', '90s')
    """
    if isinstance(gate, time):
        return f"{gate:%H:%M}"
    return f"{gate // 60}min" if gate % 60 == 0 else f"{gate}s"


OPERATOR: Final = "operator"
"""Name of an operator that the file does not name."""
LEDGERS: Final = "embedded, none, or a node's URL such as http://127.0.0.1:8545"


def is_ledger(kind: str) -> bool:
    """Whether this says where a community settles."""
    return re.fullmatch(r"embedded|none|https?://[^\s@]{1,200}", kind) is not None


@dataclass(frozen=True)
class LedgerChoice:
    """Where the community settles.

    kind : "embedded", "none" or the URL of a node
    window : challenge window between post and finalise [s]; grace : a post not finalised by then expires [s]
    confirmations : blocks on top of a transaction's before a node's word for it is believed
    answer : time for the operators to show what a member demands on the chain [s]; None = as long as the window
    bond : what an operator stakes on each post until it is final [unit]
    operators : names of those who run the community; the first one sends what all sign
    threshold : how many of them must sign
    generator_meters : whether each generator has a meter of its own, beside its home's
    corrections : how long after a slot it may be settled anew with readings that came late [s]
    collateral : what stands for what members owe: "deposits", or "none", where they are billed after the fact and
        nothing but roots is on the chain
    """

    kind: str = "embedded"
    window: int = 0
    grace: int = 3600
    confirmations: int = 0
    answer: int | None = None
    bond: int = 0
    operators: tuple[str, ...] = (OPERATOR,)
    threshold: int = 1
    generator_meters: bool = False
    corrections: int = 7 * 86_400
    collateral: str = "deposits"


@dataclass(frozen=True)
class ReadingsChoice:
    """Shares of a simulation's readings that come hours after their slot, or never."""

    late: Fraction = Fraction(0)
    silent: Fraction = Fraction(0)


@dataclass(frozen=True)
class OwnMeters:
    """A meter file of the members' own.

    path : relative to community.toml
    labels : which end of an interval the time of a row is, where it has only one
    """

    path: str
    labels: Literal["begin", "end"] = "begin"


@dataclass(frozen=True)
class Community:
    """One community, valid in itself. All its money is in its unit.

    slot_seconds : length of a slot [s]
    grid : name of a grid, such as "simbench:rural2", or None
    profiles : the members' own meter files
    seed : of all simulated keys
    digest : keccak of the canonical file but for its members, kept on the chain
    whole : the same with its members
    unit : what one integer of money is worth [micro-currency], one of `units.UNITS`
    readings : how well they come in a simulation
    by : what is shared after delivery: "net", what a member took less what it fed in, or "registers", each for itself
    billing : who bills the members after the fact, and how; None where nobody does
    deadline : how much processor time an agent or forecaster of one's own may take for an answer [s]
    live : how a living exchange is reached, and how long it waits and keeps; in no digest
    """

    name: str
    currency: str
    timezone: str
    slot_seconds: int
    members: tuple[Member, ...]
    tariff: Tariff
    market: tuple[Stage, ...]
    ledger: LedgerChoice
    digest: bytes
    whole: bytes
    grid: str | None = None
    profiles: tuple[OwnMeters, ...] = ()
    seed: str = ""
    unit: int = 1
    readings: ReadingsChoice = field(default_factory=ReadingsChoice)
    by: str = "net"
    billing: Billing | None = None
    deadline: int = 10
    live: LiveChoice = field(default_factory=LiveChoice)

    @property
    def metered_generators(self) -> tuple[Member, ...]:
        """The members whose generator has a meter of its own."""
        return tuple(member for member in self.members if member.pv) if self.ledger.generator_meters else ()

    @property
    def own_columns(self) -> frozenset[str]:
        """The columns of the members' own meter files that something is counted by: of loads, generators and points."""
        shapes = [load.profile for member in self.members for load in member.loads]
        shapes += [member.pv.profile for member in self.members if member.pv]
        ends = (name for member in self.members for point in member.points for name in (point.draws, point.feeds))
        return frozenset([*(shape for shape in shapes if ":" not in shape), *filter(None, ends)])

    @property
    def per_currency(self) -> int:
        """Units of money in one of the currency."""
        return MICRO // self.unit

    def told(self, amount: int) -> str:
        """An amount of its money [unit] as a person reads it, such as 0.32 EUR."""
        return f"{price_text(amount * self.unit)} {self.currency}"

    @property
    def hours(self) -> float:
        """Length of a slot [h]."""
        return self.slot_seconds / 3600
