"""What a reader must know to judge a run: mechanisms, tariff, data and their licences, rounding, definitions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, time
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from commonwatt.community.model import Community, gate_text
from commonwatt.community.tariff import Flat, PriceFile, Rate
from commonwatt.data import catalogue
from commonwatt.exchange.own.code import OwnForecaster
from commonwatt.exchange.rules import Part
from commonwatt.forecast import Forecaster, SeasonalNaive
from commonwatt.market.stage import ActiveStage
from commonwatt.report.below_zero import below_zero
from commonwatt.report.wires import strains
from commonwatt.units import price_text

if TYPE_CHECKING:
    from commonwatt.simulation.result import Result

_NAMED: Final = 12
"""Of many members, how many are named."""
ODBL: Final = (
    "Contains information from SimBench, which is made available under the Open Database License 1.0, "
    "https://opendatacommons.org/licenses/odbl/1-0/."
)


def notes(result: Result) -> list[tuple[str, str]]:
    """The notes as (subject, text)."""
    unit, parts, market = result.community.unit, result.rules.parts, result.rules.market
    return [
        *(
            (_since(_title(market[stage.number].name), part), _mechanism(stage, market[stage.number].gate))
            for part in parts
            for stage in (*part.charter.ahead, *part.charter.after)
        ),
        *((_since("Tariff", part), _tariff(part.charter.community)) for part in parts),
        *(("Below zero", f"{told[:1].upper()}{told[1:]}.") for told in below_zero(result)),
        ("Grid", _grid(result)),
        ("Forecast", f"{_forecasts(result)}; orders follow the forecast, bills the meters."),
        *_agents(result),
        *_data(result),
        ("Rounding", f"Energy is whole Wh and money whole {_step(unit)}. Each payment is rounded towards zero, "
                     "equally for payer and payee; VAT to the nearest, once per bill. Figures on this page are rounded "
                     "for display only."),
        *points(result),
        ("Local share", "energy from neighbours / (energy from neighbours + energy from the utility), of all that "
                        "members bought."),
        ("Self-sufficiency", "(use − import) / use, and self-consumption (generation − export) / generation, with "
                             "import and export netted over all homes in each slot. What is in the batteries at the "
                             "end more than at the start counts as consumed."),
        ("Saved", "the bill of the same metered energy with the utility alone, less the bill with the market; devices "
                  "run alike in both."),
    ]  # fmt: skip


def points(result: Result) -> list[tuple[str, str]]:
    """What is known of members with metering points, where there are any."""
    if not any(member.points for member in result.community.members):
        return []
    return [
        ("Metering points", "used and made are what their registers counted; what happens behind them is not known. "
                            "Own feed-in is what a member took while it fed in as much, through its meters; it is no "
                            "trade.")
    ]  # fmt: skip


def _since(title: str, part: Part) -> str:
    """The title, with the day from which a later charter holds."""
    if not part.charter.since:
        return title
    day = datetime.fromtimestamp(part.charter.since, ZoneInfo(part.charter.community.timezone))
    return f"{title} from {day:%Y-%m-%d}"


def _tariff(community: Community) -> str:
    tariff, unit = community.tariff, community.unit
    levies = [
        f"{levy.name.replace('_', ' ')} {price_text(levy.price * unit)} on {_base(levy.grid, levy.local)}"
        for levy in tariff.levies
    ]
    charges = [f"network fee {price_text(tariff.network_fee * unit)} on local kWh", *levies]
    vat = f"; {tariff.vat_name} {float(100 * tariff.vat):g} %" if tariff.vat else ""
    rates = f"retail {_rate(tariff.retail, unit)}, feed-in {_rate(tariff.feed_in, unit)}"
    return f"in {community.currency}/kWh: {rates}, {', '.join(charges)}{vat}."


def _mechanism(stage: ActiveStage, gate: time | int | None) -> str:
    mechanism = stage.mechanism
    before = "on the day before" if isinstance(gate, time) else "before each slot"
    when = f", gate {gate_text(gate)} {before}" if gate else ""
    when = f"before delivery{when}" if mechanism.phase == "ahead" else "what the meters counted"
    settings = ", ".join(f"{key} {_setting(value)}" for key, value in stage.parameters.items())
    promise = "" if mechanism.rational else " It does not promise that nobody is worse off than with the utility."
    return f"{mechanism.name} ({mechanism.source}), clears {when}{'; ' + settings if settings else ''}.{promise}"


def _grid(result: Result) -> str:
    if result.community.grid is None:
        return "not modelled: the wires carry everything."
    worst = "; ".join(strain.words for strain in strains(result))
    return (
        f"{result.community.grid}; planned feed-in that its wires cannot carry is held back. The worst of the metered "
        f"energy, balanced over the phases and without reactive power: {worst or 'no power flow in any slot'}."
    )


def _setting(value: object) -> str:
    return " to ".join(map(str, value)) if isinstance(value, list) else str(value)


def _forecasts(result: Result) -> str:
    members = [member for member in result.community.members if member.role.trades]
    found = {member.id: _forecaster(result.simulated.minds.forecasters[member.index]) for member in members}
    return "; ".join(
        told + _of([name for name, each in found.items() if each == told], len(members))
        for told in dict.fromkeys(found.values())
    )


def _agents(result: Result) -> Iterator[tuple[str, str]]:
    """A note for each agent that does not simply order at its own worth."""
    members = [member for member in result.community.members if member.role.trades and not member.owners]
    strategic = result.simulated.minds.strategic
    for agent in dict.fromkeys(strategic.values()):
        names = [member.id for member in members if strategic.get(member.index) == agent]
        source = f" ({agent.source})" if agent.source else ""
        yield "Agent", f"{agent.name}{source}{_of(names, len(members)) or ' of all homes'}."


def _of(names: Sequence[str], members: int) -> str:
    """ " of" these, or nothing where they are all the members."""
    if len(names) == members:
        return ""
    return f" of {', '.join(names[:_NAMED])}" + (f" and {len(names) - _NAMED} others" if len(names) > _NAMED else "")


def _forecaster(forecaster: Forecaster | None) -> str:
    if forecaster is None:
        return "what will happen, as nobody can know it"
    if isinstance(forecaster, OwnForecaster):
        return forecaster.name
    if isinstance(forecaster, SeasonalNaive):
        return f"each home's own series at the same local time {forecaster.days} days before"
    return type(forecaster).__name__


def _title(stage: str) -> str:
    return stage.replace("_", " ").capitalize()


def _data(result: Result) -> list[tuple[str, str]]:
    """One note per data set that the community uses, in the catalogue's order."""
    members = result.community.members
    profiles = [load.profile for home in members for load in home.loads]
    profiles += [home.pv.profile for home in members if home.pv]
    profiles += [result.community.grid] if result.community.grid else []
    used = {name.partition(":")[0] for name in profiles if ":" in name}
    found = [
        ("Data", f"{data.what} {data.caveat} {data.source}; licence {data.licence}."
                 + (f" {ODBL}" if data.licence.startswith("ODbL") else ""))
        for data in catalogue() if data.name in used
    ]  # fmt: skip
    return found + [("Data", f"the members' own meter file {each.path}.") for each in result.community.profiles]


def _step(unit: int) -> str:
    return "micro-units" if unit == 1 else f"multiples of {price_text(unit)}"


def _rate(rate: Rate, unit: int) -> str:
    if isinstance(rate, Flat):
        return price_text(rate.price * unit)
    if isinstance(rate, PriceFile):
        return f"as in {rate.path}"
    prices = sorted({band.price * unit for band in rate.bands})
    return f"{price_text(prices[0])} to {price_text(prices[-1])} by time of use"


def _base(grid: bool, local: bool) -> str:
    return "every bought kWh" if grid and local else "kWh from the utility" if grid else "local kWh"
