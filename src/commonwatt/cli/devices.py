"""The commands for meters that cannot sign, which the box reads and signs for. Every heavy import happens inside."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from commonwatt.cli.options import JsonPath, Whole, one_address, say, write_json
from commonwatt.errors import ConfigError, Finding

if TYPE_CHECKING:
    from commonwatt.exchange.loading import Loaded

_LONGEST = 3600
Folder = Annotated[Path, Parameter(help="The exchange's folder.")]
Meter = Annotated[str, Parameter(help="Address of the meter, as `meter add` printed it.")]
File = Annotated[Path | None, Parameter(help="The community file; community.toml in the folder unless told.")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Read:
    """How a device is read; docs/meters.md says what each kind of device needs."""

    topic: Annotated[str, Parameter(help="The device's name at the broker.")] = ""
    place: Annotated[str, Parameter(help="Of a device elsewhere: HOST:PORT, or a serial line: /dev/ttyUSB0.")] = ""
    number: Annotated[Whole, Parameter(help="Of the device at Modbus.")] = 1
    channel: Annotated[str, Parameter(help="Which of several meters in one device.")] = ""
    import_from: Annotated[str, Parameter(help="Where the device has the register of import.")] = ""
    export_from: Annotated[str, Parameter(help="Where it has that of export.")] = ""
    power_from: Annotated[str, Parameter(help="Where it has its power.")] = ""
    unit: Annotated[str, Parameter(help="Of the registers, where the device does not say.")] = "kWh"
    power_unit: Annotated[str, Parameter(help="Of its power.")] = "W"
    swapped: Annotated[bool, Parameter(negative="", help="It counts as export what flows into the home.")] = False
    power_reversed: Annotated[bool, Parameter(negative="", help="Power alone has the other sign.")] = False
    winter_minutes: Annotated[Whole, Parameter(help="What local winter time is ahead of UTC, for P1.")] = 60
    register: Annotated[
        list[str] | None, Parameter(negative="", help="import or export, where the device has one alone.")
    ] = None
    most_w: Annotated[
        Whole, Parameter(help="What the home's connection carries; a faster register is not believed.")
    ] = 43_500


def add(folder: Folder, *, driver: str, read: Read = Read(), json_path: JsonPath = None) -> None:
    """Read a meter that cannot sign: the box makes a key for it, and signs with that what the device counts.

    Nothing counts before the operators register the address that is printed as a member's meter. Look at it by
    `meter preview` before that.

    Example: commonwatt meter add village --driver tasmota --topic cellar

    Parameters
    ----------
    driver
        dsmr, esphome, homeassistant, shelly, sunspec or tasmota.
    """
    from commonwatt.meter.slots import REGISTERS
    from commonwatt.meter.telegrams import Settings
    from commonwatt.service import devices

    if not folder.is_dir():
        raise ConfigError("The request", [Finding("folder", f"is an exchange's, not {folder}")])
    settings = Settings(
        read.topic, read.import_from, read.export_from, read.power_from, read.unit, read.power_unit, read.channel,
        read.swapped, read.power_reversed, read.winter_minutes,
    )  # fmt: skip
    registers = tuple(read.register) if read.register else REGISTERS
    device = devices.add(folder, devices.Device(b"", driver, settings, read.place, read.number, read.most_w, registers))
    meter = f"0x{device.meter.hex()}"
    if json_path:
        write_json({"meter": meter, "writes": list(device.says)}, json_path)
    if json_path == "-":
        return
    print(f"Meter {meter}")
    if device.says:
        show_login(folder, device.meter, None)
    say(f"See what is understood of it: commonwatt meter preview {folder} {meter}")
    say("When that is right, register it: commonwatt community register ACCOUNT ROLE --meter with this address.")


def list_(folder: Folder, *, file: File = None, json_path: JsonPath = None) -> None:
    """List the meters that the box signs for, and when each was heard last.

    Example: commonwatt meter list village
    """
    from commonwatt.service import devices

    found = devices.read(folder)
    kept = devices.known(_community(folder, file).live.database or folder)
    figures = []
    for device, _ in found.devices:
        own = kept.get(device.meter)
        heard = own.heard // 1000 if own and own.heard else None
        told = {"meter": f"0x{device.meter.hex()}", "driver": device.driver, "where": device.where, "heardAt": heard}
        figures.append({**told, "slotsDue": len(own.due) if own else 0, "setAside": own.refused if own else 0})
        if json_path != "-":
            when = f"heard {datetime.fromtimestamp(heard, UTC):%Y-%m-%d %H:%M:%S} UTC" if heard else "never heard"
            aside = f", {own.refused} values set aside" if own and own.refused else ""
            say(f"0x{device.meter.hex()}  {device.driver} {device.where}: {when}{aside}")
    if json_path:
        write_json({"devices": figures, "troubles": list(found.troubles)}, json_path)
    if json_path != "-":
        for sentence in found.troubles:
            say(sentence)


def preview(
    folder: Folder, meter: Meter, *, seconds: Whole = 120, file: File = None, json_path: JsonPath = None
) -> None:
    """Listen to a meter that cannot sign, and show what is understood: registers, unit, sign, and what is missing.

    A device at the broker needs the exchange to be served meanwhile.

    Example: commonwatt meter preview village 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed --seconds 60

    Parameters
    ----------
    seconds
        For how long; some minutes tell most.
    """
    from commonwatt.errors import MeterError
    from commonwatt.service import devices
    from commonwatt.service.previewing import look

    if not 1 <= seconds <= _LONGEST:
        raise ConfigError("The request", [Finding("seconds", f"are from 1 to {_LONGEST}, not {seconds}")])
    device = devices.one(folder, one_address("meter", meter))
    community = _community(folder, file)
    told = look(device, community, file.parent if file else folder, folder, seconds)
    if json_path:
        write_json(told.data(), json_path)
    if json_path != "-":
        print(told.text())
    if not told.ready:
        raise SystemExit(MeterError.exit_code)


def anew(folder: Folder, meter: Meter, *, json_path: JsonPath = None) -> None:
    """Let a meter that cannot sign count anew from now on, after it was replaced or its registers were set back.

    What lies between its last value before and its first one after is in no slot.

    Example: commonwatt meter anew village 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed
    """
    import time

    from commonwatt.service import devices

    device = devices.begin_anew(folder, one_address("meter", meter), int(time.time()))
    if json_path:
        write_json({"meter": f"0x{device.meter.hex()}", "anew": device.anew}, json_path)
    if json_path != "-":
        say(f"Meter 0x{device.meter.hex()} counts anew; its next whole slot is metered.")


def remove(folder: Folder, meter: Meter, *, json_path: JsonPath = None) -> None:
    """Read a meter that cannot sign no more: what its device writes is not heard any more. Its key stays.

    Example: commonwatt meter remove village 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed
    """
    from commonwatt.service import devices

    address = one_address("meter", meter)
    devices.remove(folder, address)
    if json_path:
        write_json({"meter": f"0x{address.hex()}"}, json_path)
    if json_path != "-":
        say(f"Meter 0x{address.hex()} is not read any more. The ledger has it until an operator takes it out there.")


def show_login(folder: Path, meter: bytes, json_path: str | None) -> None:
    """The user and the password of a meter, and where it may write."""
    from commonwatt.service import devices
    from commonwatt.service.broker import SECRET
    from commonwatt.service.logins import Passwords
    from commonwatt.service.topics import name, topic

    if not (folder / SECRET).is_file():
        raise ConfigError("The request", [Finding("folder", f"is an exchange's, with {SECRET}, not {folder}")])
    user, device = name(meter), devices.find(folder, meter)
    password = Passwords.kept(folder / SECRET).of(user)
    places = list(device.says) if device else [topic(meter, "reading")]
    if json_path:
        write_json({"user": user, "password": password, "topic": places[0], "topics": places}, json_path)
    if json_path != "-":
        print(f"User {user}\nPassword {password}\nIt reports on {', '.join(places)}")


def _community(folder: Path, file: Path | None) -> Loaded:
    from commonwatt.exchange.loading import load
    from commonwatt.service.doctor import COMMUNITY_FILE

    return load(file or folder / COMMUNITY_FILE)
