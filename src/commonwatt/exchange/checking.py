"""From the path of a community.toml to a Community that can run: its mechanisms, profiles, grid and files exist."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from commonwatt.agents.planning import lacking
from commonwatt.community.checks import profile_names
from commonwatt.community.fields import near, some
from commonwatt.community.model import Community, Member, OwnMeters
from commonwatt.community.schema import CommunityTable
from commonwatt.community.tariff import Flat, PriceFile, Rate, Tariff
from commonwatt.community.toml import Draft, drafted, tables
from commonwatt.community.unit import counted
from commonwatt.data import grid_names, read_grid
from commonwatt.data.catalogue import find_profile, unknown
from commonwatt.data.contents import Contents
from commonwatt.data.meterfile import open_meters
from commonwatt.data.prices import PriceSeries, usual_price, utility_prices
from commonwatt.data.table import regular_file
from commonwatt.errors import CommonwattError, ConfigError, DataError, Finding, MarketError
from commonwatt.exchange.corridor import in_vain
from commonwatt.exchange.own.code import OwnCode
from commonwatt.exchange.plugins import resolve, with_files
from commonwatt.market.stage import ActiveStage
from commonwatt.units import MAX_PRICE

_NEAREST: Final = 3
"""How many buses a hint tells."""
_MOST_BYTES: Final = 16 * 2**20
"""Largest community file [B]; one of 10 000 homes has 2 MB."""


def load(path: str | Path) -> Community:
    """The community that the file `path` describes, as `checked` says it."""
    path = Path(path)
    return checked(read_tables(path), str(path), path.parent)


def read_tables(path: Path) -> dict[str, Any]:
    """The tables of the file `path`. Raises ConfigError when it cannot be read or is no TOML."""
    try:
        document, findings = tables(regular_file(path, _MOST_BYTES).read_text(encoding="utf-8-sig"))
    except DataError as error:
        raise ConfigError(str(path), [Finding("", str(error).removeprefix(f"{path} ").removesuffix("."))]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [Finding("", f"cannot be read: {error}")]) from None
    if findings:
        raise ConfigError(str(path), findings)
    return document


def checked(document: dict[str, Any], source: str, folder: Path) -> Community:
    """The community that these tables describe; its digest covers all files that they name.

    document : as TOML gives it; source : what to call it in an error; folder : of the files that it names
    Raises ConfigError with every finding: those of `community.toml.parse`, and mechanisms, parameters, profiles, grids,
    buses and files that do not exist; where there is none, a unit of money that the tariff or the market's parameters
    do not fit, and parameters with which nothing could be traded.
    """
    read = drafted(document)
    community, findings = read.community, [*read.findings, *_unusable(read, folder)]
    if community and read.head and not findings:
        community, findings = counted(community, read.head.unit, _dearest(community, folder))
        findings = findings or list(_in_vain(community, folder))
    if findings or community is None:
        raise ConfigError(source, findings)
    try:
        return with_files(community, folder)
    except OSError as error:
        raise ConfigError(source, [Finding("", f"{error.filename} cannot be read: {error.strerror}")]) from None


def contents(community: Community, folder: Path) -> list[Contents]:
    """What the meter file and the price files hold that the community names. Raises DataError."""
    zone, tariff = community.timezone, community.tariff
    found = list(map(Contents.of_meters, open_meters(community.profiles, folder, zone, community.slot_seconds)))
    files = dict.fromkeys(rate.path for rate in (tariff.retail, tariff.feed_in) if isinstance(rate, PriceFile))
    return [*found, *(Contents.of_prices(PriceSeries.open(folder / file, zone, community.currency)) for file in files)]


def read_whole(community: Community, folder: Path) -> None:
    """Read every value that the community uses of the files that it names, as a run over all that they cover would.

    Raises DataError, one sentence, for the first that cannot be used.
    """
    zone, seconds, tariff = community.timezone, community.slot_seconds, community.tariff
    for meters in open_meters(community.profiles, folder, zone, seconds, community.own_columns):
        meters.on_slots(meters.slots(seconds))
    free = Flat(0)
    for rate, alone in (
        (tariff.retail, replace(tariff, feed_in=free)),
        (tariff.feed_in, replace(tariff, retail=free)),
    ):
        if isinstance(rate, PriceFile):
            slots = PriceSeries.open(folder / rate.path, zone, community.currency).file.slots(seconds)
            utility_prices(alone, folder, slots, zone, community.currency, community.unit)


def active_stages(community: Community, folder: Path) -> tuple[list[ActiveStage], list[ActiveStage]]:
    """The stages ahead of delivery and those after it, each in the order of the day. Raises MarketError."""
    stages = [
        ActiveStage(number, resolve(stage.mechanism, folder), stage.parameters)
        for number, stage in enumerate(community.market)
    ]
    ahead, after = ([stage for stage in stages if stage.mechanism.phase == phase] for phase in ("ahead", "after"))
    if late := next((stage.mechanism.name for stage in stages if stage.over_horizon and stage.number), None):
        raise MarketError(f"{late} clears the whole day at once; it must be the first stage.")
    if ahead and community.by == "registers":
        raise MarketError(f"{ahead[0].mechanism.name} clears ahead of delivery; registers are shared after it.")
    return ahead, after


def _dearest(community: Community, folder: Path) -> Tariff:
    """The tariff with the highest price of each file in the place of the file.

    Prices that are too high, with levies and VAT, do not count: they are refused where they are used.
    """
    tariff = community.tariff

    def at_most(rate: Rate, most: int) -> Rate:
        if not isinstance(rate, PriceFile):
            return rate
        return Flat(PriceSeries.open(folder / rate.path, community.timezone, community.currency).highest(most))

    before_tax = int(MAX_PRICE / (1 + tariff.vat)) - tariff.grid_levies
    return replace(tariff, retail=at_most(tariff.retail, before_tax), feed_in=at_most(tariff.feed_in, MAX_PRICE))


def _in_vain(community: Community, folder: Path) -> Iterator[Finding]:
    for stage in community.market:
        try:
            mechanism = resolve(stage.mechanism, folder)
            found = dict(mechanism.problems(stage.parameters, community.unit))
            found = found or in_vain(community, mechanism, stage.parameters)
        except MarketError as error:
            yield _finding(f"market.{stage.name}.mechanism", error)
            continue
        yield from (Finding(f"market.{stage.name}.{key}", told) for key, told in found.items())


def _unusable(read: Draft, folder: Path) -> Iterator[Finding]:
    for place, stage in enumerate(read.market):
        try:
            findings = list(_stage(read, place, folder))
        except MarketError as error:
            findings = [_finding(f"market.{stage.name}.mechanism", error)]
        yield from findings
    if read.tariff and read.head:
        yield from _price_files(read.tariff, read.head, folder)
    if read.grid:
        yield from _grid(read.grid, read.members)
    yield from _profiles(read, folder)
    yield from _own_code(read.members, folder)


def _own_code(members: Sequence[Member], folder: Path) -> Iterator[Finding]:
    """Agents and forecasters that do not exist or cannot be loaded, each told of the first member that names it."""
    with OwnCode(folder, Community.deadline) as code:
        for key, found in (("agent", code.agent), ("forecast", code.forecaster)):
            first: dict[str, Member] = {}
            for member in members:
                first.setdefault(getattr(member, key), member)
            for name, member in first.items():
                try:
                    found(name)
                except MarketError as error:
                    yield _finding(f"{member.path}.{key}", error)


def _stage(read: Draft, place: int, folder: Path) -> Iterator[Finding]:
    """A stage's mechanism exists, and the stage gives it what it needs. Raises MarketError when it does not."""
    stage = read.market[place]
    path = f"market.{stage.name}"
    mechanism = resolve(stage.mechanism, folder)
    if mechanism.phase == "ahead" and stage.gate is None:
        yield Finding(f"{path}.gate", f'is missing: {mechanism.name} clears the day before; write gate = "12:00"')
    if mechanism.phase == "after" and stage.gate is not None:
        yield Finding(f"{path}.gate", f"has no meaning: {mechanism.name} clears after delivery")
    problems = mechanism.problems(stage.parameters)
    for key, sentence in problems:
        yield Finding(f"{path}.{key}" if key else path, sentence)
    if not problems and ActiveStage(place, mechanism, stage.parameters).over_horizon:
        # What clears the whole day at once comes first, and needs what the file must give.
        if isinstance(stage.gate, int):
            message = f'{mechanism.name} clears the whole day at once; its gate is a local time, such as "12:00"'
            yield Finding(f"{path}.gate", message)
        if place:
            message = f"{mechanism.name} clears the whole day at once; it must stand before {read.market[0].name}"
            yield Finding(f"{path}.mechanism", message)
        for missing in lacking(mechanism, stage.parameters, wired=read.grid is not None):
            yield Finding(path, f"needs {missing}")


def _price_files(tariff: Tariff, head: CommunityTable, folder: Path) -> Iterator[Finding]:
    """Price files can be read, and those that name no unit are not far from the tariff's other price."""
    rates = {"retail": tariff.retail, "feed_in": tariff.feed_in}
    usual: dict[str, float] = {}
    without_unit: dict[str, PriceSeries] = {}
    for key, rate in rates.items():
        if not isinstance(rate, PriceFile):
            usual[key] = usual_price(rate)
            continue
        try:
            series = PriceSeries.open(folder / rate.path, head.timezone, head.currency)
        except DataError as error:
            yield _finding(f"tariff.{key}.file", error)
            continue
        usual[key] = series.usual
        if not series.unit_named:
            without_unit[key] = series
    for key, other, most in (("retail", "feed_in", 100), ("feed_in", "retail", 10)):
        if key in without_unit and usual[key] > most * usual.get(other, 0.0) > 0:
            file = without_unit[key].file
            yield Finding(
                f"tariff.{key}.file",
                f"{file.path}: column '{file.names[0]}' names no unit, and {usual[key]:g} {head.currency}/kWh, its "
                f"usual price, is {usual[key] / usual[other]:.0f} times that of {other}; write the unit into the name, "
                f"such as 'price [{head.currency}/MWh]'",
            )


def _grid(network: str, members: tuple[Member, ...]) -> Iterator[Finding]:
    if network not in grid_names():
        yield _finding("grid.network", unknown("grid", network, grid_names()))
        return
    buses = read_grid(network).buses.name
    for member in members:
        if member.bus is not None and member.bus not in buses:
            hint = near(member.bus, buses) or _nearest(member.bus, buses)
            message = f"there is no bus '{member.bus}' in {network}{hint}; `commonwatt data {network}` lists them"
            yield Finding(f"{member.path}.bus", message)


def _nearest(bus: str, known: Sequence[str]) -> str:
    """A hint at the buses whose names end so, or have some of it."""
    ends = sorted(
        (name for name in known if name.casefold().endswith(bus.casefold())), key=lambda name: (len(name), name)
    )
    found = (ends or get_close_matches(bus, known, _NEAREST, 0.3))[:_NEAREST]
    names = ", ".join(f"'{name}'" for name in found)
    return f"; the nearest {'is' if len(found) == 1 else 'are'} {names}" if found else ""


def _profiles(read: Draft, folder: Path) -> Iterator[Finding]:
    own: tuple[str, ...] = ()
    files = [OwnMeters(each.file, each.labels) for each in read.head.profiles] if read.head else []
    if read.head:
        try:
            opened = open_meters(files, folder, read.head.timezone, read.head.slot)
            own = tuple(name for meters in opened for name in meters.names)
            own += tuple(name for meters in opened for name in meters.file.names)
        except DataError as error:
            yield _finding("community.profiles", error)
    for member in read.members:
        for key, name in profile_names(member):
            path = f"{member.path}.{key}"
            if ":" not in name:
                if own and name not in own:
                    file = " or ".join(each.path for each in files)
                    yield Finding(
                        path, f"'{name}' is not a column of {file}{near(name, own) or some(own[: len(own) // 2])}"
                    )
                continue
            try:
                _, profile = find_profile(name)
            except DataError as error:
                yield _finding(path, error)
                continue
            wanted = "pv" if key == "pv.profile" else "load"
            if profile.kind != wanted:
                yield Finding(path, f"'{name}' is a {profile.kind} profile; a {wanted} profile is needed here")


def _finding(path: str, error: CommonwattError) -> Finding:
    """The error as what is wrong at `path`: a part of a sentence, unless it begins with the path of a file."""
    sentence = str(error).removesuffix(".")
    begins = sentence.split(maxsplit=1)[0]
    return Finding(path, sentence if set(begins) & set("./\\:") else sentence[:1].lower() + sentence[1:])
