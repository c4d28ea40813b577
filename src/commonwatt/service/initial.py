"""The folder of a box that is to serve a community: what is missing is made, and what is there stays as it is."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from commonwatt.community.living import endpoint
from commonwatt.errors import ConfigError, Finding, OutputError
from commonwatt.exchange.folder import KEY_FILE
from commonwatt.exchange.loading import load
from commonwatt.ledger.keyfile import create, new_key, read_key, write_key
from commonwatt.proof import checksum_address
from commonwatt.service.broker import CONFIGURATION, SECRET, Broker, Listener
from commonwatt.service.certificates import AUTHORITY, CERTIFICATE, KEY, Certificates, ensure, qr_content
from commonwatt.service.doctor import COMMUNITY_FILE

UNIT: Final = "commonwatt.service"
_TLS: Final = "tls"
_BROKER: Final = "broker"
_PORT, _BROKER_PORT = 8443, 8883
_ANY: Final = "0.0.0.0"  # noqa: S104 (members and meters are on other machines)

_COMMUNITY: Final = """\
# The community; docs/community-toml.md has every key. Look at it again with: commonwatt check {file}

[community]
name = "{name}"
currency = "{currency}"
timezone = "{timezone}"
slot = "15min"

# What the utility takes and pays for a kWh, without what the levies below add.
[tariff]
retail = "0.32"
feed_in = "0.08"
# network_fee = "0.09"
# vat = {{ rate = "0.19" }}

# What is left over is shared out after each slot, at a price between the two above.
[market.real_time]
mechanism = "sdr"

# For orders before delivery, each gate a quarter of an hour before its slot:
# [market.ahead]
# mechanism = "uniform"
# gate = "15min"

# A settlement can be challenged for an hour.
[ledger]
kind = "embedded"
window = "1h"

[live]
address = "{any}:{port}"
names = ["{host}"]
broker = "{any}:{broker_port}"
certificate = "{tls}/{certificate}"
key = "{tls}/{key}"

# Homes that are there from the first day, with the addresses of their wallets and meters. Others join later, by
# `commonwatt community register`.
[members]
operator = {{ role = "operator", wallet = "{operator}" }}
# home-01 = {{ load = "simbench:H0-A", annual_kwh = 3200, wallet = "0x...", meter = "0x..." }}
"""

# Whoever gets into the service finds nothing but the exchange's folder to write to, and no way to more rights.
_SYSTEMD: Final = """\
[Unit]
Description=Commonwatt, the electricity market of {name}
Wants=network-online.target
After=network-online.target time-sync.target

[Service]
ExecStart="{program}" serve "{folder}/{file}" --dir "{folder}"
User={user}
Restart=always
RestartSec=5
KillMode=mixed
TimeoutStopSec=60
LimitNOFILE=65536
UMask=0077
ReadWritePaths="{folder}"
ProtectSystem=strict
ProtectHome=read-only
ProtectProc=invisible
ProtectHostname=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
PrivateTmp=yes
PrivateUsers=yes
PrivateDevices=yes
DevicePolicy=closed
NoNewPrivileges=yes
CapabilityBoundingSet=
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
# To ask whether NTP keeps the clock; setting it takes a capability, and there is none.
SystemCallFilter=adjtimex clock_adjtime clock_adjtime64
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True)
class Wanted:
    """What the box is to be.

    name, currency, timezone : of the community; host : name or address by which members and meters reach the box
    program : the command; user : whom the service runs as
    """

    name: str
    currency: str
    timezone: str
    host: str
    program: Path
    user: str


@dataclass(frozen=True)
class Begun:
    """What is there now.

    made, left : files that were made, and those that were there already
    operator : address; certificates : of the box; qr : what the QR code says
    without : why a part is not there yet, one sentence each
    """

    made: tuple[Path, ...]
    left: tuple[Path, ...]
    operator: bytes
    certificates: Certificates
    qr: str
    without: tuple[str, ...]


def begin(folder: Path, wanted: Wanted, now: datetime) -> Begun:
    """Make what is missing in a folder of one's own, and renew a certificate that ends soon. now : with its zone

    Raises ConfigError for names that cannot be, OutputError where something cannot be written. What was made by then
    stays, and is left as it is the next time.
    """
    _require_written(wanted)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made: {error.strerror}.") from None
    folder = folder.resolve()
    before = {path for path in _files(folder) if path.exists()}
    operator = read_key(folder / KEY_FILE) if folder / KEY_FILE in before else new_key()
    _make(folder / KEY_FILE, lambda path: write_key(path, operator))
    community = _community(folder, wanted, operator.address)
    _make(folder / COMMUNITY_FILE, lambda path: _write(path, community, 0o600))
    # The file has the last word, so that another certificate comes of other names there alone.
    found = load(folder / COMMUNITY_FILE)
    hosts = found.live.names or (wanted.host,)
    certificates = ensure(folder / _TLS, found.name, hosts, now)
    unit = _SYSTEMD.format(
        name=wanted.name, program=wanted.program, folder=folder, file=COMMUNITY_FILE, user=wanted.user
    )
    _make(folder / UNIT, lambda path: _write(path, unit, 0o644))
    without = _broker(folder, certificates)
    made = tuple(path for path in _files(folder) if path.exists() and path not in before)
    qr = qr_content(certificates, f"https://{hosts[0]}:{endpoint(found.live.address)[1]}/")
    return Begun(made, tuple(sorted(before)), operator.address, certificates, qr, without)


def _files(folder: Path) -> list[Path]:
    tls = [folder / _TLS / name for name in (AUTHORITY, "authority.key", CERTIFICATE, KEY)]
    own = [folder / name for name in (COMMUNITY_FILE, KEY_FILE, UNIT, SECRET)]
    return [*own, *tls, folder / _BROKER / CONFIGURATION]


def _make(path: Path, write: Callable[[Path], object]) -> None:
    if not path.exists():
        write(path)


def _write(path: Path, text: str, mode: int) -> None:
    try:
        create(path, text, mode)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}.") from None


def _community(folder: Path, wanted: Wanted, operator: bytes) -> str:
    return _COMMUNITY.format(
        file=folder / COMMUNITY_FILE, name=wanted.name, currency=wanted.currency, timezone=wanted.timezone, any=_ANY,
        port=_PORT, host=wanted.host, broker_port=_BROKER_PORT, tls=_TLS, certificate=CERTIFICATE, key=KEY,
        operator=checksum_address(operator),
    )  # fmt: skip


def _broker(folder: Path, certificates: Certificates) -> tuple[str, ...]:
    """Mosquitto's files, where it is installed."""
    if (folder / _BROKER / CONFIGURATION).exists():
        return ()
    try:
        listener = Listener(_ANY, _BROKER_PORT, certificates.certificate, certificates.key)
        Broker(folder / _BROKER, listener).prepare()
    except ConfigError as error:
        return (f"{error.findings[0].path} {error.findings[0].message}",)
    return ()


def _require_written(wanted: Wanted) -> None:
    """What is written between quotes has none, and a unit's specifiers are not among it."""
    given = {"name": wanted.name, "currency": wanted.currency, "timezone": wanted.timezone, "host": wanted.host}
    findings = [
        Finding(key, f"has letters, digits, spaces and .,:_/- alone, not '{value}'")
        for key, value in given.items()
        if not re.fullmatch(r"[\w .,:/-]{1,60}", value)
    ]
    if findings:
        raise ConfigError("The request", findings)


def usual_user() -> str:
    """Whom the service runs as: whoever makes the folder, but not root."""
    import pwd

    return "commonwatt" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
