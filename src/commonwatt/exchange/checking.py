"""From the path of a community.toml to a Community that can run: its mechanisms, profiles, grid and files exist."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl

from commonwatt.agents.planning import lacking
from commonwatt.community.checks import profile_names
from commonwatt.community.model import Community, Member, Stage
from commonwatt.community.schema import near
from commonwatt.community.tariff import PriceFile, Tariff
from commonwatt.community.toml import Draft, draft
from commonwatt.data import grid_names, read_grid
from commonwatt.data.catalogue import find_profile, unknown
from commonwatt.data.meterfile import UNIT_ENDING
from commonwatt.errors import CommonwattError, ConfigError, DataError, Finding, MarketError
from commonwatt.exchange.corridor import in_vain
from commonwatt.exchange.plugins import charter, resolve
from commonwatt.market.stage import ActiveStage


def load(path: str | Path) -> Community:
    """The community that the file `path` describes; its digest covers all files that the file names.

    Raises ConfigError with every finding: those of `community.toml.parse`, and mechanisms, parameters, profiles, grids,
    buses and files that do not exist; where there is none, market parameters with which nothing could be traded.
    """
    path = Path(path)
    try:
        read = draft(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(str(path), [Finding("", "there is no such file")]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [Finding("", f"cannot be read: {error}")]) from None
    findings = [*read.findings, *_missing(read, path.parent)]
    if not findings and read.community:
        findings = list(_in_vain(read.community, path.parent))
    if findings or read.community is None:
        raise ConfigError(str(path), findings)
    try:
        return replace(read.community, digest=charter(read.community, path.parent))
    except OSError as error:
        raise ConfigError(str(path), [Finding("", f"{error.filename} cannot be read: {error.strerror}")]) from None


def active_stages(community: Community, folder: Path) -> tuple[list[ActiveStage], list[ActiveStage]]:
    """The stages ahead of delivery and those after it, each in the order of the day. Raises MarketError."""
    stages = [
        ActiveStage(number, resolve(stage.mechanism, folder), stage.parameters)
        for number, stage in enumerate(community.market)
    ]
    ahead, after = ([stage for stage in stages if stage.mechanism.phase == phase] for phase in ("ahead", "after"))
    if late := next((stage.mechanism.name for stage in stages if stage.over_horizon and stage.number), None):
        raise MarketError(f"{late} clears the whole day at once; it must be the first stage.")
    return ahead, after


def _in_vain(community: Community, folder: Path) -> Iterator[Finding]:
    for stage in community.market:
        found = in_vain(community, resolve(stage.mechanism, folder), stage.parameters)
        yield from (Finding(f"market.{stage.name}.{key}", told) for key, told in found.items())


def _missing(read: Draft, folder: Path) -> Iterator[Finding]:
    for place, stage in enumerate(read.market):
        yield from _mechanism(stage, folder)
        yield from _over_horizon(read, place, folder)
    if read.tariff:
        yield from _price_files(read.tariff, folder)
    if read.grid:
        yield from _grid(read.grid, read.members)
    yield from _profiles(read, folder)


def _mechanism(stage: Stage, folder: Path) -> Iterator[Finding]:
    path = f"market.{stage.name}"
    try:
        mechanism = resolve(stage.mechanism, folder)
    except MarketError as error:
        yield _finding(f"{path}.mechanism", error)
        return
    if mechanism.phase == "ahead" and stage.gate is None:
        yield Finding(f"{path}.gate", f'is missing: {mechanism.name} clears the day before; write gate = "12:00"')
    if mechanism.phase == "after" and stage.gate is not None:
        yield Finding(f"{path}.gate", f"has no meaning: {mechanism.name} clears after delivery")
    for key, sentence in mechanism.problems(stage.parameters):
        yield Finding(f"{path}.{key}" if key else path, sentence)


def _over_horizon(read: Draft, place: int, folder: Path) -> Iterator[Finding]:
    """A mechanism that clears the whole day at once comes first, and needs what the file must give."""
    stage = read.market[place]
    path = f"market.{stage.name}"
    try:
        mechanism = resolve(stage.mechanism, folder)
    except MarketError:
        return
    if mechanism.problems(stage.parameters) or not ActiveStage(place, mechanism, stage.parameters).over_horizon:
        return
    if place:
        first = read.market[0].name
        yield Finding(
            f"{path}.mechanism", f"{mechanism.name} clears the whole day at once; it must stand before {first}"
        )
    try:
        for missing in lacking(mechanism, stage.parameters, wired=read.grid is not None):
            yield Finding(path, f"needs {missing}")
    except MarketError as error:
        yield _finding(f"{path}.mechanism", error)


def _price_files(tariff: Tariff, folder: Path) -> Iterator[Finding]:
    for key, rate in (("retail", tariff.retail), ("feed_in", tariff.feed_in)):
        if isinstance(rate, PriceFile) and not (folder / rate.path).is_file():
            yield Finding(f"tariff.{key}.file", f"there is no file {folder / rate.path}")


def _grid(network: str, members: tuple[Member, ...]) -> Iterator[Finding]:
    if network not in grid_names():
        yield _finding("grid.network", unknown("grid", network, grid_names()))
        return
    buses = read_grid(network).buses.name
    for member in members:
        if member.bus is not None and member.bus not in buses:
            message = f"there is no bus '{member.bus}' in {network}{near(member.bus, buses)}"
            yield Finding(f"members.{member.id}.bus", message)


def _profiles(read: Draft, folder: Path) -> Iterator[Finding]:
    own: tuple[str, ...] = ()
    if read.profiles is not None:
        try:
            own = _meter_names(folder / read.profiles)
            if not own:
                message = f"{folder / read.profiles} has no meter; its columns are separated by commas or semicolons"
                yield Finding("community.profiles", message)
        except (OSError, UnicodeDecodeError, pl.exceptions.PolarsError) as error:
            missing = isinstance(error, FileNotFoundError)
            yield Finding(
                "community.profiles",
                f"there is no file {folder / read.profiles}" if missing else f"cannot be read: {error}",
            )
    for member in read.members:
        for key, name in profile_names(member):
            path = f"members.{member.id}.{key}"
            if ":" not in name:
                if own and name not in own:
                    yield Finding(path, f"'{name}' is not a column of {read.profiles}{near(name, own)}")
                continue
            try:
                _, profile = find_profile(name)
            except DataError as error:
                yield _finding(path, error)
                continue
            wanted = "pv" if key == "pv.profile" else "load"
            if profile.kind != wanted:
                yield Finding(path, f"'{name}' is a {profile.kind} profile; a {wanted} profile is needed here")


def _meter_names(path: Path) -> tuple[str, ...]:
    """Names of the meters in a meter file, without their units; only its head is read."""
    if path.suffix.lower() == ".parquet":
        columns = list(pl.read_parquet_schema(path))
    else:
        with path.open(encoding="utf-8-sig") as lines:
            head = lines.readline().strip()
        columns = [column.strip('"') for column in head.split(";" if ";" in head else ",")]
    return tuple(UNIT_ENDING.sub("", column.strip()) for column in columns[1:])


def _finding(path: str, error: CommonwattError) -> Finding:
    sentence = str(error).removesuffix(".")
    return Finding(path, sentence[:1].lower() + sentence[1:])
