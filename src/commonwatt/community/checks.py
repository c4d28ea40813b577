"""What the tables of a community.toml must say together; each check returns its findings."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from datetime import time

from commonwatt.community.fields import DAYS, PLAIN_NAME, PLAIN_NAME_RULE
from commonwatt.community.model import Member, OwnMeters, Stage, gate_text
from commonwatt.community.tariff import BILL_LINES, Flat, PriceFile, Tariff, TimeOfUse
from commonwatt.errors import Finding
from commonwatt.proof import checksum_address
from commonwatt.units import MAX_PRICE, decimal_text


def levy_names(tariff: Tariff) -> list[Finding]:
    """Each line of a bill has a name of its own, whatever the case of its letters."""
    lines = {_folded(name): f"'{name}' is a line of every bill" for name in BILL_LINES}
    lines.setdefault(_folded(tariff.vat_name), f"'{tariff.vat_name}' is the name of the VAT")
    findings = []
    for levy in tariff.levies:
        path, line = f"tariff.levies.{levy.name}", _folded(levy.name)
        if not PLAIN_NAME.fullmatch(levy.name):
            findings.append(Finding(path, PLAIN_NAME_RULE))
        elif line in lines:
            findings.append(Finding(path, f"{lines[line]}; a levy needs a name of its own"))
        lines.setdefault(line, f"'{levy.name}' is another levy")
    return findings


def member_names(members: Sequence[Member]) -> list[Finding]:
    """No two members differ only in the case or the coding of letters: a bill's file is called like its member."""
    seen: dict[str, str] = {}
    findings = []
    for member in members:
        other = seen.setdefault(_folded(member.id), member.id)
        if other != member.id:
            findings.append(Finding(member.path, f"cannot be told from '{other}' as the name of a file"))
    return findings


def corridor(tariff: Tariff) -> list[Finding]:
    """At each time a local price must be able to help both sides; prices from a file cannot be seen here."""
    beyond = _beyond(tariff)
    if beyond:
        return [beyond]
    if isinstance(tariff.retail, PriceFile) or isinstance(tariff.feed_in, PriceFile):
        return []
    always = isinstance(tariff.retail, Flat) and isinstance(tariff.feed_in, Flat)
    gained, without = False, list[Finding]()
    for day, clock in _changes(tariff.retail, tariff.feed_in):
        retail, feed_in = _price_at(tariff.retail, day, clock), _price_at(tariff.feed_in, day, clock)
        when = "" if always else f" on {DAYS[day]} from {clock:%H:%M}"
        if retail < feed_in:
            return [Finding("tariff.retail", f"is {_plain(retail)}{when}, less than feed_in with {_plain(feed_in)}")]
        if nothing := _nothing_to_gain(tariff, retail, feed_in, when):
            # Where a price of the utility is below zero that is its affair, as long as there are other times.
            if feed_in >= 0:
                return [nothing]
            without.append(nothing)
        gained = gained or nothing is None
    return [] if gained else without[:1]


def _nothing_to_gain(tariff: Tariff, retail: int, feed_in: int, when: str) -> Finding | None:
    """What to say where the utility's prices leave no local price that helps both sides."""
    local = tariff.with_vat(tariff.local_charges)
    ceiling = tariff.with_vat(retail + tariff.grid_levies) - local
    if ceiling > max(feed_in, 0):
        return None
    least = f"feed_in with {_plain(feed_in)}" if feed_in >= 0 else "zero, the least that neighbours pay each other"
    return Finding(
        "tariff",
        f"leaves neighbours nothing to gain{when}: a kWh from the grid costs {_plain(ceiling + local)} in all, of "
        f"which network fee and levies take {_plain(local)} from a local kWh; the remaining {_plain(ceiling)} is not "
        f"more than {least}",
    )


def _beyond(tariff: Tariff) -> Finding | None:
    """No price of a kWh is beyond the highest or the lowest that is counted, with everything."""
    local = tariff.with_vat(tariff.local_charges)
    if local > MAX_PRICE:
        message = (
            f"and levies on a local kWh come to {_plain(local)} with VAT; the highest price is {_plain(MAX_PRICE)}"
        )
        return Finding("tariff.network_fee", message)
    if isinstance(tariff.retail, PriceFile):
        return None
    prices = [_price_at(tariff.retail, day, clock) for day, clock in _changes(tariff.retail)]
    highest, lowest = (tariff.with_vat(price + tariff.grid_levies) for price in (max(prices), min(prices)))
    if highest > MAX_PRICE:
        message = (
            f"is {_plain(max(prices))}, with levies and VAT {_plain(highest)}; the highest price is {_plain(MAX_PRICE)}"
        )
        return Finding("tariff.retail", message)
    if lowest - local < -MAX_PRICE:
        message = (
            f"is {_plain(min(prices))}, which leaves {_plain(lowest - local)} for a local kWh, with VAT and what is "
            f"charged on that; the lowest price is {_plain(-MAX_PRICE)}"
        )
        return Finding("tariff.retail", message)
    return None


def stage_order(market: Sequence[Stage]) -> list[Finding]:
    """The stages ahead of delivery come first and share one gate; those after delivery follow."""
    findings = []
    ahead: Stage | None = None
    after: Stage | None = None
    for stage in market:
        path = f"market.{stage.name}"
        if stage.gate is None:
            after = stage
        elif after:
            text = f"has a gate and so clears ahead of delivery; it must stand before {after.name}"
            findings.append(Finding(path, text))
        elif ahead and ahead.gate and ahead.gate != stage.gate:
            own, other = gate_text(stage.gate), gate_text(ahead.gate)
            text = f"is {own}, and that of {ahead.name} is {other}; the orders of a slot close but once"
            findings.append(Finding(f"{path}.gate", text))
        else:
            ahead = stage
    return findings


def registers_share_after(market: Sequence[Stage], members: Sequence[Member], by: str) -> list[Finding]:
    """What registers counted is known after delivery alone, and a plant of several owners is read as one."""
    if by == "net":
        return []
    after = 'does not go with by = "registers", which are shared after delivery'
    early = [Finding(f"market.{stage.name}.gate", after) for stage in market if stage.gate]
    alone = 'do not go with [market] by = "registers"'
    owned = [Finding(f"{member.path}.owners", alone) for member in members if member.owners]
    return early + owned


def addresses(members: Sequence[Member]) -> list[Finding]:
    """No key belongs to two."""
    owners: dict[bytes, str] = {}
    findings = []
    for member in members:
        for key, address in (("wallet", member.wallet), ("meter", member.meter)):
            path = f"{member.path}.{key}"
            if address is None:
                continue
            if address in owners:
                text = f"{checksum_address(address)} is already {owners[address]}; each needs its own"
                findings.append(Finding(path, text))
            owners.setdefault(address, path)
    return findings


def buses(members: Sequence[Member], network: str | None) -> list[Finding]:
    """Every member with a meter has a bus when there is a grid, and none when there is not."""
    if network is None:
        return [
            Finding(f"{member.path}.bus", 'is given, but the file has no grid; add [grid] network = "..."')
            for member in members
            if member.bus is not None
        ]
    return [
        Finding(f"{member.path}.bus", f"is missing: where in {network} the home is connected")
        for member in members
        if member.bus is None and member.role.trades
    ]


def own_profiles(members: Sequence[Member], profiles: Sequence[OwnMeters]) -> list[Finding]:
    """A profile without a collection ("simbench:...") is a column of the community's own meter file."""
    if profiles:
        return []
    return [
        Finding(
            f"{member.path}.{key}",
            f"'{name}' names no collection, as \"simbench:{name}\" would, and the community has no meter file of its "
            'own; add profiles = "meters.csv" to [community]',
        )
        for member in members
        for key, name in profile_names(member)
        if ":" not in name
    ]


def own_sizes(members: Sequence[Member]) -> list[Finding]:
    """A column of the community's own meter file is not scaled."""
    return [
        Finding(
            f"{member.path}.{key}annual_kwh",
            f"has no effect: the values of '{load.profile}' in the community's own meter file are taken as they "
            "are; leave it out",
        )
        for member in members
        for key, load in zip(("", "heat_pump."), member.loads, strict=False)
        if ":" not in load.profile and load.annual_kwh is not None
    ]


def profile_names(member: Member) -> list[tuple[str, str]]:
    """(key, profile) of each profile that a member uses."""
    loads = list(zip(("load", "heat_pump.profile"), (load.profile for load in member.loads), strict=False))
    return [*loads, ("pv.profile", member.pv.profile)] if member.pv else loads


def _changes(*rates: Flat | TimeOfUse) -> Iterator[tuple[int, time]]:
    """Every (weekday, time) at which one of the rates may change."""
    starts = {band.start for rate in rates if isinstance(rate, TimeOfUse) for band in rate.bands} | {time(0)}
    return ((day, start) for day in range(7) for start in sorted(starts))


def _price_at(rate: Flat | TimeOfUse, day: int, clock: time) -> int:
    if isinstance(rate, Flat):
        return rate.price
    return max((b.start, b.price) for b in rate.bands if day in b.days and b.start <= clock)[1]


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _plain(amount: int) -> str:
    return decimal_text(amount).rstrip("0").rstrip(".")
