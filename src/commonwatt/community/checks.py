"""What the tables of a community.toml must say together; each check returns its findings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import time

from commonwatt.community.model import Member, Stage
from commonwatt.community.schema import DAYS
from commonwatt.community.tariff import Flat, PriceFile, Tariff, TimeOfUse
from commonwatt.errors import Finding
from commonwatt.proof import checksum_address
from commonwatt.units import decimal_text


def corridor(tariff: Tariff) -> list[Finding]:
    """At each time a local price must be able to help both sides; prices from a file cannot be seen here."""
    if isinstance(tariff.retail, PriceFile) or isinstance(tariff.feed_in, PriceFile):
        return []
    local = tariff.with_vat(tariff.local_charges)
    for day, clock in _changes(tariff.retail, tariff.feed_in):
        retail, feed_in = _price_at(tariff.retail, day, clock), _price_at(tariff.feed_in, day, clock)
        always = isinstance(tariff.retail, Flat) and isinstance(tariff.feed_in, Flat)
        when = "" if always else f" on {DAYS[day]} from {clock:%H:%M}"
        if retail < feed_in:
            return [Finding("tariff.retail", f"is {_plain(retail)}{when}, less than feed_in with {_plain(feed_in)}")]
        ceiling = tariff.with_vat(retail + tariff.grid_levies) - local
        if ceiling <= feed_in:
            return [
                Finding(
                    "tariff",
                    f"leaves neighbours nothing to gain{when}: a kWh from the grid costs {_plain(ceiling + local)} in "
                    f"all, of which network fee and levies take {_plain(local)} from a local kWh; the remaining "
                    f"{_plain(ceiling)} is not more than feed_in with {_plain(feed_in)}",
                )
            ]
    return []


def stage_order(market: Sequence[Stage]) -> list[Finding]:
    """At most one stage ahead of delivery (it has a gate), then at most one after it."""
    findings = []
    ahead: str | None = None
    after: str | None = None
    for stage in market:
        path, earlier = f"market.{stage.name}", ahead if stage.gate else after
        if earlier:
            kind = "with a gate, that is ahead of" if stage.gate else "without a gate, that is after"
            findings.append(Finding(path, f"is a second stage {kind} delivery, beside {earlier}; there can be one"))
        elif stage.gate and after:
            findings.append(Finding(path, f"has a gate and so clears ahead of delivery; it must stand before {after}"))
        ahead, after = (stage.name, after) if stage.gate else (ahead, stage.name)
    return findings


def addresses(members: Sequence[Member]) -> list[Finding]:
    """No key belongs to two."""
    owners: dict[bytes, str] = {}
    findings = []
    for member in members:
        for key, address in (("wallet", member.wallet), ("meter", member.meter)):
            path = f"members.{member.id}.{key}"
            if address is None:
                continue
            if address in owners:
                text = f"{checksum_address(address)} is already {owners[address]}; each needs its own"
                findings.append(Finding(path, text))
            owners.setdefault(address, path)
    return findings


def buses(members: Sequence[Member], network: str | None) -> list[Finding]:
    """Every member has a bus when there is a grid, and none when there is not."""
    if network is None:
        return [
            Finding(f"members.{member.id}.bus", 'is given, but the file has no grid; add [grid] network = "..."')
            for member in members
            if member.bus is not None
        ]
    return [
        Finding(f"members.{member.id}.bus", f"is missing: where in {network} the home is connected")
        for member in members
        if member.bus is None
    ]


def own_profiles(members: Sequence[Member], profiles: str | None) -> list[Finding]:
    """A profile without a collection ("simbench:...") is a column of the community's own meter file."""
    if profiles is not None:
        return []
    return [
        Finding(
            f"members.{member.id}.{key}",
            f"'{name}' names no collection, as \"simbench:{name}\" would, and the community has no meter file of its "
            'own; add profiles = "meters.csv" to [community]',
        )
        for member in members
        for key, name in profile_names(member)
        if ":" not in name
    ]


def profile_names(member: Member) -> list[tuple[str, str]]:
    """(key, profile) of each profile that a member uses."""
    load = [("load", member.load.profile)]
    return [*load, ("pv.profile", member.pv.profile)] if member.pv else load


def _changes(*rates: Flat | TimeOfUse) -> Iterator[tuple[int, time]]:
    """Every (weekday, time) at which one of the rates may change."""
    starts = {band.start for rate in rates if isinstance(rate, TimeOfUse) for band in rate.bands} | {time(0)}
    return ((day, start) for day in range(7) for start in sorted(starts))


def _price_at(rate: Flat | TimeOfUse, day: int, clock: time) -> int:
    if isinstance(rate, Flat):
        return rate.price
    return max((b.start, b.price) for b in rate.bands if day in b.days and b.start <= clock)[1]


def _plain(amount: int) -> str:
    return decimal_text(amount).rstrip("0").rstrip(".")
