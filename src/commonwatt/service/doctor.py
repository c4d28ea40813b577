"""What a box needs to serve a community, looked at one by one: what is so, and what to do where something is amiss."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

from commonwatt.community.living import OFF, endpoint
from commonwatt.errors import CommonwattError
from commonwatt.exchange.folder import CHAIN, EXCHANGE_FILE, KEY_FILE
from commonwatt.exchange.loading import Loaded, load
from commonwatt.exchange.store import VERSION, Store
from commonwatt.ledger.keyfile import read_key
from commonwatt.ledger.opening import LEDGER_FILE, open_to_read
from commonwatt.service import packages

COMMUNITY_FILE: Final = "community.toml"
_SECRET: Final = ("*.key", "*.secret", "*.token")
_SOON: Final = timedelta(days=30)
_MEGABYTE: Final = 1 << 20
_LITTLE, _TENTH = 200 * _MEGABYTE, 10
"""Disk that has to be free for the market to go on [bytes]; the share of which a tenth should be free."""
_SECONDS: Final = 5.0
_QUIET: Final = timedelta(minutes=10)
"""Without a word for so long a device is silent: it should report each minute."""


class State(StrEnum):
    """How it is."""

    GOOD = "good"
    CARE = "care"
    """Nothing fails by it yet."""
    BAD = "bad"


@dataclass(frozen=True)
class Check:
    """What was looked at. said : what is so, one sentence; do : what to do about it, empty where nothing is amiss"""

    name: str
    state: State
    said: str
    do: str = ""

    def __str__(self) -> str:
        return f"{self.state:4} {self.name:12} {self.said}{f' {self.do}' if self.do else ''}"


def examine(place: Path, now: datetime, synchronised: Callable[[], bool | None]) -> Iterator[Check]:
    """Look at a community's file, or at the folder that has it, and at the exchange's files beside it.

    now : with its zone; synchronised : whether something keeps the clock right; None where that cannot be known
    """
    file = place / COMMUNITY_FILE if place.is_dir() else place
    folder = file.parent
    yield from _keys(folder)
    yield _disk(folder)
    yield _clock(synchronised)
    packages = _packages()
    yield packages
    try:
        community = load(file)
    except CommonwattError as error:
        yield Check("community", State.BAD, f"{error}", "Mend the file; `commonwatt check` says more of it.")
        return
    yield Check("community", State.GOOD, f"{file} describes {community.name}.")
    if packages.state is State.BAD:
        return
    yield _certificate(community, folder, now)
    yield _store(community, folder)
    yield _chain(community, folder)
    yield _broker(community)
    yield from _devices(community, folder, now)
    yield from _doors(community)


def _packages() -> Check:
    if missing := packages.missing():
        told = f"Packages are missing: {', '.join(missing)}."
        return Check("packages", State.BAD, told, f"Install them: {packages.INSTALL}")
    return Check("packages", State.GOOD, "All packages of the service are installed.")


def _keys(folder: Path) -> Iterator[Check]:
    key = folder / KEY_FILE
    try:
        address = read_key(key).address
        yield Check("key", State.GOOD, f"{key} signs as 0x{address.hex()}.")
    except CommonwattError as error:
        todo = "" if key.exists() else "Put it in its place, or name the operators' files with --key."
        yield Check("key", State.BAD, str(error), todo)
    for file in sorted(path for pattern in _SECRET for path in folder.rglob(pattern)):
        if file.is_file() and stat.S_IMODE(file.stat().st_mode) & 0o077:
            yield Check("key", State.BAD, f"Others on this machine can read {file}.", f"Run: chmod 600 {file}")


def _disk(folder: Path) -> Check:
    usage = shutil.disk_usage(folder if folder.is_dir() else Path())
    said = f"{usage.free // _MEGABYTE} MB of {usage.total // _MEGABYTE} MB are free."
    if usage.free < _LITTLE:
        return Check("disk", State.BAD, said, "Make room: a full disk ends the market.")
    if usage.free * _TENTH < usage.total:
        return Check("disk", State.CARE, said, "Make room, such as by moving old backups away.")
    return Check("disk", State.GOOD, said)


def _clock(synchronised: Callable[[], bool | None]) -> Check:
    found = synchronised()
    if found:
        return Check("clock", State.GOOD, "The clock is kept right by NTP.")
    said = (
        "Nothing keeps the clock right." if found is False else "Whether the clock is kept right cannot be known here."
    )
    return Check(
        "clock", State.CARE, said, "Run: timedatectl set-ntp true; without internet, fit a clock with a battery."
    )


def _certificate(community: Loaded, folder: Path, now: datetime) -> Check:
    from cryptography import x509

    name, live = "certificate", community.live
    if live.certificate is None or live.key is None:
        if _is_local(live.address) and (live.broker == OFF or _is_local(live.broker)):
            return Check(name, State.GOOD, "None is needed: this machine alone is answered.")
        todo = "Name certificate and key in [live]; `commonwatt init` shows how they are made."
        return Check(name, State.BAD, "Other machines are answered, and there is no certificate.", todo)
    file, key = folder / live.certificate, folder / live.key
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(file, key)
        until = x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        return Check(name, State.BAD, f"{file} cannot be used with {key}: {reason}.", "Put both in their places.")
    said = f"{file} is valid until {until:%Y-%m-%d}."
    renew = f"Renew it, one of the box's own authority by: commonwatt init {folder}"
    if until <= now:
        return Check(name, State.BAD, f"{file} ended on {until:%Y-%m-%d}.", renew)
    return Check(name, State.CARE, said, renew) if until < now + _SOON else Check(name, State.GOOD, said)


def _store(community: Loaded, folder: Path) -> Check:
    target = community.live.database or folder / EXCHANGE_FILE
    if isinstance(target, Path) and not target.exists():
        return Check("store", State.GOOD, "There is none yet; the exchange makes it when it starts.")
    try:
        store = Store(target, read_only=True)
        store.close()
    except CommonwattError as error:
        return Check("store", State.BAD, str(error), "Restore a backup, or use the version that wrote it.")
    return Check("store", State.GOOD, f"The store can be read; it is of version {VERSION}.")


def _chain(community: Loaded, folder: Path) -> Check:
    kind = community.ledger.kind
    if kind == "none":
        return Check("chain", State.BAD, "The community has no ledger.", 'Write ledger = "embedded", or a node\'s URL.')
    places = [folder / CHAIN / LEDGER_FILE, folder / LEDGER_FILE]
    place = kind if kind != "embedded" else next((str(each) for each in places if each.exists()), None)
    if place is None:
        return Check("chain", State.GOOD, "There is none yet; the exchange begins it when it starts.")
    try:
        with open_to_read(place) as node:
            head = node.head
    except CommonwattError as error:
        return Check("chain", State.BAD, str(error), "Start the node, or restore a backup.")
    at = datetime.fromtimestamp(head.timestamp, UTC)
    return Check("chain", State.GOOD, f"The chain is at block {head.number} of {at:%Y-%m-%d %H:%M:%S} UTC.")


def _broker(community: Loaded) -> Check:
    from commonwatt.service.broker import installed

    if community.live.broker == OFF:
        return Check("broker", State.GOOD, "None is wanted: meters speak HTTP.")
    try:
        program, _ = installed()
    except CommonwattError as error:
        return Check("broker", State.BAD, str(error), 'Install it, or write broker = "none" in [live].')
    return Check("broker", State.GOOD, f"{program} is there, with its plugin for logins.")


def _devices(community: Loaded, folder: Path, now: datetime) -> Iterator[Check]:
    """Meters that the box signs for: each was heard some minutes ago."""
    from commonwatt.service import devices
    from commonwatt.service.topics import name

    found = devices.read(folder)
    for sentence in found.troubles:
        yield Check(
            "device", State.BAD, f"{sentence}.", "Mend the file, or remove it; docs/meters.md says what it has."
        )
    try:
        kept = devices.known(community.live.database or folder) if found.devices else {}
    except CommonwattError:
        return  # said of the store
    for device, _ in found.devices:
        own, who = kept.get(device.meter), f"Meter {name(device.meter)} ({device.driver} {device.where})"
        heard = datetime.fromtimestamp(own.heard / 1000, UTC) if own and own.heard else None
        if heard is None or heard + _QUIET < now:
            since = f"has been silent since {heard:%Y-%m-%d %H:%M:%S} UTC" if heard else "has not been heard yet"
            todo = "Look at its power, its network and its settings; an inverter sleeps at night."
            yield Check("device", State.CARE, f"{who} {since}.", todo)
        elif own and own.refused:
            todo = "Look at /v1/operators/quarantine; after a replacement: commonwatt meter anew"
            yield Check("device", State.CARE, f"{who} said {own.refused} values that are not believed.", todo)
        else:
            yield Check("device", State.GOOD, f"{who} was heard at {heard:%Y-%m-%d %H:%M:%S} UTC.")


def _doors(community: Loaded) -> Iterator[Check]:
    """Ports are free, or the exchange itself has them."""
    live = community.live
    serving = _answer(live.address, tls=live.certificate is not None)
    if serving:
        state = State.BAD if serving[1] else State.GOOD
        yield Check("exchange", state, f"It answers at {live.address}.", serving[1])
        return
    for name, place in (("port", live.address), ("broker port", live.broker)):
        if place == OFF:
            continue
        host, port = endpoint(place)
        try:
            socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
        except OSError as error:
            todo = "End whoever has it, or write another one in [live]."
            yield Check(name, State.BAD, f"{place} cannot be used: {error.strerror}.", todo)
        else:
            yield Check(name, State.GOOD, f"{place} is free.")


def _answer(place: str, *, tls: bool) -> tuple[int, str] | None:
    """The status of an exchange that answers there, and why it is behind; None where none does."""
    import httpx

    host, port = endpoint(place)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    url = f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}/healthz"
    try:
        # Who it is does not matter here, only that it is an exchange.
        answer = httpx.get(url, verify=False, trust_env=False, timeout=_SECONDS)  # noqa: S501
        told = json.loads(answer.content)
    except (httpx.HTTPError, ValueError):
        return None
    if not isinstance(told, dict) or "status" not in told:
        return None
    return answer.status_code, "" if answer.is_success else str(told.get("detail", ""))


def _is_local(place: str) -> bool:
    return endpoint(place)[0] in ("127.0.0.1", "::1", "localhost")
