"""The commands of meters. Every heavy import happens inside the command that needs it."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from commonwatt.cli.devices import add, anew, list_, preview, remove, show_login
from commonwatt.cli.options import JsonPath, Whole, instant, local_day, one_address, write_json
from commonwatt.cli.solo import LAST_PORT
from commonwatt.errors import ConfigError, Finding, RecordError
from commonwatt.plain import plain
from commonwatt.service.packages import require

app = App(name="meter", help="Meters of a living exchange.")
app.command(list_, name="list")
for own in (add, preview, anew, remove):
    app.command(own)


@app.command
def emulate(
    file: Path,
    url: str,
    *,
    start: str,
    days: Whole = 1,
    out: Annotated[Path, Parameter(name="--dir")],
    secret: Path,
    broker: str | None = None,
    authority: Path | None = None,
    json_path: JsonPath = None,
) -> None:
    """Play a community's homes for an exchange that serves it with a simulation's keys.

    They plan and order one slot before each gate, and report each slot when it is over, as the homes of `simulate` do.
    Killed, they go on where they were. The command ends when the period is over and all readings are acknowledged.

    Example: commonwatt meter emulate examples/village.toml http://localhost:8080 --start 2026-06-15 --dir homes \
--secret village/broker.secret

    Parameters
    ----------
    file
        The community file.
    url
        Where the exchange is served.
    start
        First local day.
    days
        Number of local days.
    out
        Folder of the homes' own file, which goes on with what it holds.
    secret
        File that the passwords of the broker's users follow from: broker.secret in the exchange's folder.
    broker
        HOST:PORT of the exchange's broker, to which each meter has a connection of its own; without, readings go over
        HTTP.
    authority
        Certificate of the authority that certified exchange and broker; without, the broker is spoken to without TLS.
    """
    require()
    from commonwatt.service.emulating import Setting, emulate
    from commonwatt.service.logins import Passwords

    findings = []
    if not url.startswith(("http://", "https://")):
        findings.append(Finding("url", f"begins with http:// or https://, not '{url}'"))
    if not 1 <= days <= 366:
        findings.append(Finding("days", f"is from 1 to 366, not {days}"))
    if not secret.is_file():
        told = "it is broker.secret in the exchange's folder, made by `commonwatt init` or the first `commonwatt serve`"
        findings.append(Finding("secret", f"names no file, '{secret}': {told}"))
    if findings:
        raise ConfigError("The request", findings)
    place = _place(broker) if broker is not None else None
    first = local_day("start", start)
    setting = Setting(file, url, first, days, out, Passwords.kept(secret), place, authority)
    counts = emulate(setting, lambda line: print(plain(line), file=sys.stderr, flush=True))
    if json_path:
        write_json(asdict(counts), json_path)
    if json_path != "-":
        print(plain(str(counts)))


@app.command
def login(folder: Path, meter: str, *, json_path: JsonPath = None) -> None:
    """Show with which user and password a meter comes to the exchange's broker.

    Example: commonwatt meter login village 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed

    Parameters
    ----------
    folder
        The exchange's folder.
    meter
        Address of the meter.
    """
    show_login(folder, one_address("meter", meter), json_path)


@app.command
def report(
    url: str,
    *,
    key: Path,
    wh_in: Whole,
    wh_out: Whole = 0,
    slot: str | None = None,
    number: Whole | None = None,
    authority: Path | None = None,
    json_path: JsonPath = None,
) -> None:
    """Sign and bring one reading, to try the way from a meter to the exchange.

    Example: commonwatt meter report http://localhost:8080 --key meter.key --wh-in 120

    Parameters
    ----------
    url
        Where the exchange is served.
    key
        File with the meter's key.
    wh_in
        What went into the home in the slot [Wh].
    wh_out
        What came out of it [Wh].
    slot
        When the slot began, such as 2026-07-01T12:00+02:00; the last one that is over unless told.
    number
        Of the reading; each one of a meter has a higher one than those before. That of the slot unless told.
    authority
        Certificate of the authority that certified the exchange.
    """
    require()
    from commonwatt.ledger.keyfile import read_key
    from commonwatt.service.reporting import report as bring

    at = instant("slot", slot) if slot else None
    told = bring(url, read_key(key), (wh_in, wh_out), at, number, authority)
    if json_path:
        write_json(told, json_path)
    if json_path != "-":
        why = f": {told['why']}" if told.get("why") else "."
        print(plain(f"The reading of slot {told['slot']} ({told['start']}) is {told['status']}{why}"))
    if told["status"] == "refused":
        raise SystemExit(RecordError.exit_code)


def _place(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) <= LAST_PORT:
        raise ConfigError("The request", [Finding("broker", f"is HOST:PORT, not '{text}'")])
    return host.removeprefix("[").removesuffix("]"), int(port)
