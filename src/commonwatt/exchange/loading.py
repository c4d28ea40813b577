"""A community with the tables that it was made of, so that it can be made anew with other values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from os import PathLike
from pathlib import Path
from typing import Any, cast

from commonwatt.community.model import Community
from commonwatt.community.overrides import Tables, overridden, plain
from commonwatt.community.toml import digests
from commonwatt.errors import ConfigError, DataError, Finding
from commonwatt.exchange.arguments import as_path, maybe_path, short
from commonwatt.exchange.checking import checked, read_tables
from commonwatt.exchange.plugins import with_files
from commonwatt.plain import many


@dataclass(frozen=True, repr=False)
class Loaded(Community):
    """A community that knows its tables, and the folder of the files that these name.

    document : its tables, as TOML gives them
    folder : what its meter file, its price files and its own mechanisms are relative to
    source : what it is called in an error: the path of its file, if it has one, and its other values
    """

    document: Mapping[str, Any] = field(default_factory=dict, compare=False)
    folder: Path = field(default=Path(), compare=False)
    source: str = field(default="The community", compare=False)

    @classmethod
    def of(cls, document: Tables, folder: Path, source: str) -> Loaded:
        """The community of these tables. Raises ConfigError as `checked`."""
        community = checked(document, source, folder)
        parts = {each.name: getattr(community, each.name) for each in fields(Community)}
        return cls(**parts, document=document, folder=folder, source=source)

    def with_(self, values: Mapping[str, object]) -> Loaded:
        """The same community with other values, checked like any other.

        values : by dotted key, in which * stands for any name, such as {"members.*.battery.kwh": 8}; None takes a key
            out, a mapping is a whole table. Files are relative to the folder of this one
        Raises ConfigError with every key that leads nowhere, or with what the check finds.

        >>> village = load("examples/village.toml")
        >>> sum(member.battery.kwh for member in village.with_({"members.*.battery.kwh": 5}).members if member.battery)
        45.0
        >>> village.with_({"market.day_ahead": None}).market
        (Stage(name='real_time', mechanism='sdr', gate=None, parameters={}),)
        """
        if not isinstance(cast("object", values), Mapping):
            finding = Finding("with_", f'takes values by dotted key, {{"tariff.feed_in": "0.05"}}, not {short(values)}')
            raise ConfigError("The request", [finding])
        document, findings = overridden(dict(self.document), values)
        source = f"{self.source} with {', '.join(f'{key} = {short(value)}' for key, value in values.items())}"
        if findings:
            raise ConfigError(source, findings)
        return Loaded.of(document, self.folder, source)

    def as_now(self) -> Loaded:
        """The community with the digest of its files as they now are. Raises ConfigError when one cannot be read."""
        try:
            digest, whole = digests(self.document, self.members)
            return cast("Loaded", with_files(replace(self, digest=digest, whole=whole), self.folder))
        except OSError as error:
            finding = Finding("", f"{error.filename} cannot be read: {error.strerror}")
        except DataError as error:
            finding = Finding("", str(error).removesuffix("."))
        raise ConfigError(self.source, [finding])

    def __repr__(self) -> str:
        return f"<Community {self.name}: {self.outline}>"

    @property
    def outline(self) -> str:
        """Its size, market and ledger in some words."""
        pv = sum(member.pv is not None for member in self.members)
        batteries = sum(member.battery is not None for member in self.members)
        stages = ", ".join(f"{stage.name} = {stage.mechanism}" for stage in self.market) or "utility only"
        return (
            f"{many(len(self.members), 'member')} ({pv} with PV, {batteries} with a battery), market {stages}, "
            f"ledger {self.ledger.kind}"
        )


def load(community: str | Path | Mapping[str, Any] | Loaded, *, folder: str | Path | None = None) -> Loaded:
    """The community of a file, or of tables as TOML would give them, with everything that it names checked.

    folder : of the files that tables name; those of a file are beside it. None = the working directory
    Raises ConfigError with every finding, as `commonwatt check` tells them.

    >>> two = {
    ...     "community": {"name": "Two", "currency": "EUR", "timezone": "Europe/Berlin"},
    ...     "tariff": {"retail": "0.30", "feed_in": "0.08"},
    ...     "market": {"pool": {"mechanism": "sdr"}},
    ...     "members": {
    ...         "anna": {"load": "simbench:H0-A", "pv": {"profile": "simbench:PV5", "kwp": 6}},
    ...         "ben": {"load": "simbench:H0-B"},
    ...     },
    ... }
    >>> load(two)
    <Community Two: 2 members (1 with PV, 0 with a battery), market pool = sdr, ledger embedded>
    """
    if isinstance(community, Loaded):
        return community
    beside = maybe_path("folder", folder)
    if isinstance(community, Mapping):
        return Loaded.of(plain(community), beside or Path(), "The community")
    if not isinstance(cast("object", community), str | PathLike):
        told = f"is a file, tables, or what commonwatt.load gives, not {type(community).__name__}"
        raise ConfigError("The request", [Finding("community", told)])
    if beside is not None:
        raise ConfigError("The request", [Finding("folder", "is for tables; a file's own is where it lies")])
    path = as_path("community", community)
    return Loaded.of(read_tables(path), path.parent, str(path))


def as_it_is(community: str | Path | Mapping[str, Any] | Loaded) -> Loaded:
    """As `load`; of what was loaded before, with the digest of its files as they are now."""
    return community.as_now() if isinstance(community, Loaded) else load(community)
