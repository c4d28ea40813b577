"""community.toml: its text in, every finding or a Community out. Pure: no file is opened here.

    read the text  →  each table by itself  →  what the tables say together  →  Community

A table with a finding is left out of the later steps, so that one mistake is reported once and all are reported.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from commonwatt.community import checks, owners, points, roles
from commonwatt.community.billing import BillingTable, billing_of, party_of
from commonwatt.community.fields import DAYS, PLAIN_NAME, PLAIN_NAME_RULE, near
from commonwatt.community.model import (
    PV,
    Battery,
    Community,
    LedgerChoice,
    Load,
    Member,
    OwnMeters,
    ReadingsChoice,
    Stage,
    Terms,
)
from commonwatt.community.schema import (
    SECTIONS,
    BandTable,
    CommunityTable,
    GridTable,
    LedgerTable,
    LiveTable,
    MemberTable,
    PlantTable,
    PriceFileTable,
    SimulationTable,
    StageTable,
    TariffTable,
)
from commonwatt.community.sentences import findings_of, syntax_finding
from commonwatt.community.tariff import Band, Flat, Levy, PriceFile, Rate, Tariff, TimeOfUse
from commonwatt.community.unit import counted
from commonwatt.errors import ConfigError, Finding
from commonwatt.proof import keccak

_ONE_MEMBER_ONLY: Final = ("role", "wallet", "meter", "points", "from", "until", "periods", "billing")
_DEVICES: Final = ("heat_pump", "pv", "battery")
_ENOUGH_FOR_A_MEMBER: Final = {
    "heat_pump": {"profile": "any"},
    "pv": {"profile": "any", "kwp": 1.0},
    "battery": {"kwh": 1.0, "kw": 1.0},
}
"""What [defaults] need not say, because a member says it."""

T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True)
class Draft:
    """As much of a file as could be read, and all that is wrong with it.

    community : with money in micro-currency, whatever its unit; None when there is a finding
    head : its own table, as the file has it
    """

    findings: tuple[Finding, ...]
    community: Community | None = None
    tariff: Tariff | None = None
    market: tuple[Stage, ...] = ()
    members: tuple[Member, ...] = ()
    grid: str | None = None
    head: CommunityTable | None = None


def parse(text: str, source: str) -> Community:
    """The community that the text of a community.toml describes, its money in its unit.

    The unit is derived without the prices of files; `exchange.checking.load` knows these too.
    source : what to call the text in an error, such as its path
    Raises ConfigError with every finding.
    """
    read = draft(text)
    community, findings = read.community, list(read.findings)
    if community and read.head:
        community, findings = counted(community, read.head.unit, community.tariff)
    if community is None or findings:
        raise ConfigError(source, findings)
    return community


def draft(text: str) -> Draft:
    """As `parse`, for who wants to look at a file with findings, or to add some."""
    document, findings = tables(text)
    return Draft(findings) if findings else drafted(document)


def tables(text: str) -> tuple[dict[str, Any], tuple[Finding, ...]]:
    """The text's tables as plain values, or what is wrong with its form."""
    try:
        return tomllib.loads(text), ()
    except tomllib.TOMLDecodeError as error:
        return {}, (syntax_finding(error, text),)
    except (ValueError, RecursionError):  # a number of thousands of digits, or as many nested brackets
        return {}, (Finding("", "has a number or a list that is too long to be read"),)


def drafted(document: dict[str, Any]) -> Draft:
    """As `draft`, of tables such as TOML gives."""
    reader = _Reader(document)
    reader.refuse_unknown_sections()
    head = reader.section("community", CommunityTable)
    grid = reader.section("grid", GridTable) if "grid" in document else None
    tariff_table = reader.section("tariff", TariffTable)
    ledger = reader.section("ledger", LedgerTable) if "ledger" in document else LedgerTable()
    simulation = reader.section("simulation", SimulationTable) if "simulation" in document else SimulationTable()
    live = reader.section("live", LiveTable) if "live" in document else LiveTable()
    tariff = _tariff(tariff_table) if tariff_table else None
    market, members = reader.stages(), reader.members()
    by, billing = reader.by(), reader.section("billing", BillingTable) if "billing" in document else None
    network, files = grid.network if grid else None, head.profiles if head else []
    profiles = tuple(OwnMeters(each.file, each.labels) for each in files)
    reader.findings += [
        *(checks.levy_names(tariff) if tariff else ()),
        *(checks.corridor(tariff) if tariff else ()),
        *checks.stage_order(market),
        *checks.member_names(members),
        *points.findings(members, by),
        *checks.registers_share_after(market, members, by),
        *checks.addresses(members),
        *(checks.buses(members, network) if grid or "grid" not in document else ()),
        *(checks.own_profiles(members, profiles) if head else ()),
        *(checks.own_sizes(members) if profiles else ()),
    ]
    community = None
    if head and tariff and ledger and simulation and live and not reader.findings:
        choice, (digest, whole) = LedgerChoice(**ledger.model_dump()), digests(document, members)
        community = Community(
            name=head.name,
            currency=head.currency,
            timezone=head.timezone,
            slot_seconds=head.slot,
            members=members,
            tariff=tariff,
            market=market,
            ledger=choice,
            digest=digest,
            whole=whole,
            grid=network,
            profiles=profiles,
            seed=head.seed or head.name,
            readings=ReadingsChoice(simulation.late, simulation.silent),
            by=by,
            billing=billing_of(billing) if billing else None,
            deadline=simulation.deadline,
            live=live.choice(),
        )
    return Draft(tuple(reader.findings), community, tariff, market, members, network, head)


def canonical(document: Mapping[str, Any]) -> bytes:
    """The parsed file as bytes that do not depend on comments, spacing or the order of keys.

    The order of members and stages means something and is kept.
    """
    listed = {key: list(document[key].items()) for key in ("members", "market") if key in document}
    text = json.dumps({**document, **listed}, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return text.encode()


def digests(document: Mapping[str, Any], members: Sequence[Member]) -> tuple[bytes, bytes]:
    """Hashes of the parsed file: as `Community.digest` and as `Community.whole`.

    Where a living exchange is reached is in neither.
    """
    told = {key: value for key, value in document.items() if key != "live"}
    return keccak(canonical(chartered(told, members))), keccak(canonical(told))


def chartered(document: Mapping[str, Any], members: Sequence[Member]) -> dict[str, Any]:
    """What of the parsed file members have to vote on: all but the members, who come and go.

    Of these remains what everybody's bills rest on: who owns plants, and which registers are whose, each by its number.
    """
    owning = {owner.member for member in members for owner in member.owners}
    named = [member for member in members if member.owners or member.points or member.index in owning]
    told = {member.index: [member.id, *map(asdict, member.points)] for member in named}
    kept = {key: value for key, value in document.items() if key not in ("members", "defaults")}
    return {**kept, "filed": told} if told else kept


@dataclass
class _Reader:
    document: dict[str, Any]
    findings: list[Finding] = field(default_factory=list)

    def refuse_unknown_sections(self) -> None:
        for name in self.document:
            if name not in SECTIONS:
                self.findings.append(Finding(name, f"is not a table of this file{near(name, SECTIONS)}"))

    def section(self, name: str, model: type[T]) -> T | None:
        if name not in self.document:
            self.findings.append(Finding(name, f"is missing: the file needs a table [{name}]"))
            return None
        return self.table(name, model, self.document[name])

    def by(self) -> str:
        """What the community trades by; a text beside the tables of its stages."""
        market = self.document.get("market")
        word = market.get("by", "net") if isinstance(market, dict) else "net"
        if isinstance(word, dict) or word in ("net", "registers"):
            return "net" if isinstance(word, dict) else str(word)
        self.findings.append(Finding("market.by", f'must be "net" or "registers", not {word!r}'))
        return "net"

    def stages(self) -> tuple[Stage, ...]:
        tables = self.tables("market", StageTable, self.entries("market", "[market.day_ahead]"))
        return tuple(
            Stage(name, table.mechanism, table.gate, dict(table.model_extra or {})) for name, table in tables.items()
        )

    def members(self) -> tuple[Member, ...]:
        entries = self.entries("members", 'home-01 = { load = "simbench:H0-A" }')
        # Who lives joins on the ledger.
        if not entries and self.document.get("members", {}) == {} and "live" not in self.document:
            self.findings.append(Finding("members", "is missing: a community has at least one member"))
        tables = self.tables("members", MemberTable, entries)
        members = [_member(place, id_, table) for place, (id_, table) in enumerate(tables.items())]
        return (*members, *self.plants(members))

    def plants(self, members: Sequence[Member]) -> Iterator[Member]:
        """They stand behind all others."""
        entries = self.entries("plants", "roof = { pv = { ... }, owners = { anna = 2, ben = 1 } }")
        named, by_name = self.document.get("members"), {member.id: member for member in members}
        known = named if isinstance(named, dict) else {}
        for place, (name, table) in enumerate(self.tables("plants", PlantTable, entries).items()):
            wrong = owners.findings(name, table, entries, known)
            self.findings += wrong
            if not wrong and table.owners.keys() <= by_name.keys():
                yield owners.plant(len(members) + place, name, table, by_name)

    def entries(self, section: str, example: str) -> dict[str, dict[str, Any]]:
        """The named tables of a section; for members, completed by the defaults."""
        raw = self.document.get(section, {})
        if not isinstance(raw, dict):
            self.findings.append(Finding(section, f"must hold one named table each, such as {example}"))
            return {}
        entries = {}
        for name, own in raw.items():
            if section == "market" and name == "by" and not isinstance(own, dict):
                continue
            if not PLAIN_NAME.fullmatch(name):
                self.findings.append(Finding(f"{section}.{name}", PLAIN_NAME_RULE))
            elif not isinstance(own, dict):
                self.findings.append(Finding(f"{section}.{name}", f"must be a table, such as {example}"))
            else:
                entries[name] = own
        return entries

    def tables(self, section: str, model: type[T], entries: Mapping[str, dict[str, Any]]) -> dict[str, T]:
        defaults, wrong = self.defaults() if section == "members" else ({}, ())
        tables = {}
        for name, own in entries.items():
            path = f"{section}.{name}"
            before = len(self.findings)
            table = self.table(path, model, _with_defaults(own, _without(defaults, roles.foreign(own.get("role")))))
            if isinstance(table, MemberTable):
                self.findings += roles.findings(path, table, own)
            if table is not None and len(self.findings) == before:
                tables[name] = table
            # What a wrong default would have given is not the member's to say.
            excused = tuple(f"{path}.{key}" for key in wrong)
            self.findings[before:] = [f for f in self.findings[before:] if not _missing_below(f, excused)]
        return tables

    def defaults(self) -> tuple[dict[str, Any], tuple[str, ...]]:
        """The usable defaults, and the dotted keys of the others."""
        raw = self.document.get("defaults", {})
        before = len(self.findings)
        if isinstance(raw, dict):
            self.findings += [
                Finding(f"defaults.{key}", "belongs to one member and cannot be a default")
                for key in _ONE_MEMBER_ONLY
                if key in raw
            ]
            raw = _without(raw, _ONE_MEMBER_ONLY)
        self.table("defaults", MemberTable, _with_defaults(raw, _ENOUGH_FOR_A_MEMBER))
        wrong = tuple(finding.path.removeprefix("defaults.") for finding in self.findings[before:])
        return _without(raw, wrong) if isinstance(raw, dict) else {}, wrong

    def table(self, path: str, model: type[T], raw: object) -> T | None:
        try:
            return model.model_validate(raw)
        except ValidationError as error:
            self.findings += findings_of(error, path, model)
            return None


def _with_defaults(own: Any, defaults: Mapping[str, Any]) -> Any:
    """`own` completed by `defaults`; a default for a device holds only where there is one."""
    if not isinstance(own, dict):
        return own
    merged = {key: value for key, value in defaults.items() if key not in _DEVICES} | own
    for key, default in defaults.items():
        if isinstance(default, dict) and isinstance(own.get(key), dict):
            merged[key] = {**default, **own[key]}
    return merged


def _without(table: Mapping[str, Any], wrong: tuple[str, ...], above: str = "") -> dict[str, Any]:
    return {
        key: _without(value, wrong, f"{above}{key}.") if isinstance(value, dict) else value
        for key, value in table.items()
        if f"{above}{key}" not in wrong
    }


def _missing_below(finding: Finding, paths: tuple[str, ...]) -> bool:
    return finding.message.startswith("is missing") and any(f"{finding.path}.".startswith(f"{p}.") for p in paths)


def _tariff(table: TariffTable) -> Tariff:
    return Tariff(
        retail=_rate(table.retail),
        feed_in=_rate(table.feed_in),
        network_fee=table.network_fee,
        levies=tuple(
            Levy(name, levy.price, grid=levy.on != "local", local=levy.on != "grid")
            for name, levy in table.levies.items()
        ),
        vat_name=table.vat.name,
        vat=table.vat.rate,
    )


def _rate(value: int | list[BandTable] | PriceFileTable) -> Rate:
    if isinstance(value, int):
        return Flat(value)
    if isinstance(value, PriceFileTable):
        return PriceFile(value.file)
    return TimeOfUse(tuple(Band(b.from_, b.price, frozenset(map(DAYS.index, b.days))) for b in value))


def _member(index: int, id_: str, table: MemberTable) -> Member:
    role = roles.role_of(table)
    return Member(
        index=index,
        id=id_,
        load=Load(table.load, table.annual_kwh) if table.load else None,
        heat_pump=Load(table.heat_pump.profile, table.heat_pump.annual_kwh) if table.heat_pump else None,
        pv=PV(**table.pv.model_dump()) if table.pv else None,
        battery=Battery(**table.battery.model_dump()) if table.battery and table.battery.kwh else None,
        terms=Terms(**table.mandate.model_dump()) if role.trades else Terms(buy_wh=0, sell_wh=0),
        bus=table.bus,
        collateral=table.collateral,
        wallet=table.wallet,
        meter=table.meter,
        role=role,
        points=points.points_of(table.points),
        spans=points.spans_of(table.from_, table.until, table.periods),
        party=party_of(table.billing, id_),
        agent=table.agent,
        forecast=table.forecast,
    )
