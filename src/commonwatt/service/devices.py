"""Devices that cannot sign, as the operators say that the box reads them: a file for each, with the key beside it.

The folder `meters` of an exchange has `<address>.toml` and `<address>.key`. The key is made here and signs what the
device counts; its address is the meter that the operators register for a member.
"""

from __future__ import annotations

import json
import re
import tomllib
from contextlib import closing, suppress
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from commonwatt.community.living import endpoint
from commonwatt.errors import CommonwattError, ConfigError, DataError, Finding, OutputError
from commonwatt.exchange import tables
from commonwatt.exchange.folder import EXCHANGE_FILE
from commonwatt.exchange.store import Store
from commonwatt.ledger.keyfile import new_key, read_key, write_key
from commonwatt.meter.device import Kept
from commonwatt.meter.slots import REGISTERS, Rules
from commonwatt.meter.telegrams import Driver, Settings, driver
from commonwatt.meter.telegrams.shelly import Shelly
from commonwatt.proof import Key
from commonwatt.service.logins import Role, device_role, listening_roles
from commonwatt.service.topics import name, named

FOLDER: Final = "meters"
MOST_W: Final = 43_500
"""What three phases of 63 A carry [W]."""
_TOPIC: Final = re.compile(r"[^\s+#\x00-\x1f\x7f$][^+#\x00-\x1f\x7f]{0,199}")
_OWN: Final = "cw/"
"""What meters that sign say is below it."""
_POLLED: Final = "sunspec"


@dataclass(frozen=True)
class Device:
    """A device, and how it is read.

    meter : address of the key that signs for it
    driver, settings : see `meter.telegrams`
    place : of one that is not at the broker: HOST:PORT, or a serial line such as /dev/ttyUSB0
    number : the device's, at Modbus
    most_w : what the home's connection carries [W]; registers : those that the device has
    anew : it counts anew from then on [unix s]; 0 = never
    """

    meter: bytes
    driver: str
    settings: Settings = field(default_factory=Settings)
    place: str = ""
    number: int = 1
    most_w: int = MOST_W
    registers: tuple[str, ...] = REGISTERS
    anew: int = 0

    def __post_init__(self) -> None:
        """Raises ConfigError for what cannot be read."""
        findings = []
        if not set(self.registers) <= set(REGISTERS) or not self.registers:
            findings.append(Finding("registers", f"are of {', '.join(REGISTERS)}, not {', '.join(self.registers)}"))
        if not 0 < self.most_w <= 10**7:
            findings.append(Finding("most_w", f"is from 1 to {10**7} W, not {self.most_w}"))
        if not 0 <= self.number <= 247:
            findings.append(Finding("number", f"is from 0 to 247, not {self.number}"))
        says = self.says
        if bool(says) == bool(self.place):
            findings.append(Finding("place", "or topic is needed, and one of them alone"))
        if self.place and not self.serial and not _is_endpoint(self.place):
            findings.append(Finding("place", f"is HOST:PORT or a serial line such as /dev/ttyUSB0, not '{self.place}'"))
        if self.serial and self.driver == _POLLED:
            findings.append(Finding("place", "is HOST:PORT for Modbus TCP"))
        wrong = [each for each in says if not _TOPIC.fullmatch(each) or each.startswith(_OWN)]
        findings += [Finding("topic", f"leads to '{each}', where no device may write") for each in wrong]
        if findings:
            raise ConfigError("The meter's settings", findings)

    @cached_property
    def reader(self) -> Driver[Any]:
        """The driver. Raises ConfigError for settings that it cannot go by."""
        return driver(self.driver, self.settings)

    @property
    def says(self) -> tuple[str, ...]:
        """The topics on which it says what is read."""
        return self.reader.topics()

    @property
    def asked(self) -> tuple[str, ...]:
        """The topics on which it is asked something."""
        return self.reader.asked_at if isinstance(self.reader, Shelly) else ()

    @property
    def serial(self) -> bool:
        """Whether it is at a serial line."""
        return self.place.startswith("/")

    @property
    def polled(self) -> bool:
        """Whether it says nothing unless it is asked each time."""
        return self.driver == _POLLED

    @property
    def where(self) -> str:
        """As a person finds it."""
        return self.place or self.settings.topic

    def rules(self, seconds: int, offset: int) -> Rules:
        """How its samples become slots of this length [s], which start so much after a multiple of it."""
        own = tuple(each for each in REGISTERS if each in self.registers)
        return Rules(self.most_w, seconds, offset, own)


@dataclass(frozen=True)
class Devices:
    """All of a folder.

    devices : with the key that signs for each
    troubles : of files that cannot be used, a sentence each
    """

    devices: tuple[tuple[Device, Key], ...] = ()
    troubles: tuple[str, ...] = ()

    @property
    def at_broker(self) -> tuple[Device, ...]:
        """Those that write to topics."""
        return tuple(device for device, _ in self.devices if device.says)

    def roles(self) -> tuple[Role, ...]:
        """Who has to be let in at the broker for them."""
        own = self.at_broker
        if not own:
            return ()
        says, asked = ([topic for each in own for topic in getattr(each, kind)] for kind in ("says", "asked"))
        return (*listening_roles(says, asked), *(device_role(each.meter, each.says, each.asked) for each in own))


def read(folder: Path) -> Devices:
    """The devices of an exchange's folder. What cannot be used of one is told, and the others are read."""
    found, troubles, taken = list[tuple[Device, Key]](), list[str](), set[str]()
    for file in sorted((folder / FOLDER).glob("*.toml")):
        try:
            device, key = _read(file)
            if both := taken.intersection(device.says):
                raise ConfigError(str(file), [_taken(min(both))])
        except CommonwattError as error:
            troubles.append(" ".join(str(error).split()))
            continue
        taken.update(device.says)
        found.append((device, key))
    return Devices(tuple(found), tuple(troubles))


def stamp(folder: Path) -> tuple[tuple[str, int], ...]:
    """What changes when one of a folder's devices does."""
    try:
        return tuple(sorted((each.name, each.stat().st_mtime_ns) for each in (folder / FOLDER).iterdir()))
    except OSError:
        return ()


def add(folder: Path, device: Device) -> Device:
    """Make a key for a device, and keep how it is read: the device with its meter's address.

    Raises ConfigError where another device has its topics, OutputError when it cannot be written.
    """
    for other, _ in read(folder).devices:
        if both := set(other.says).intersection(device.says):
            raise ConfigError("The request", [_taken(min(both))])
    key = new_key()
    device = replace(device, meter=key.address)
    place = folder / FOLDER
    try:
        place.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{place} cannot be made: {error.strerror}.") from None
    write_key(place / f"{name(device.meter)}.key", key)
    _write(_file(folder, device.meter), device)
    return device


def remove(folder: Path, meter: bytes) -> None:
    """Read a device no more; its key stays. Raises ConfigError for one that is not there."""
    _require(folder, meter).unlink()


def begin_anew(folder: Path, meter: bytes, now: int) -> Device:
    """Let a device count anew from `now` [unix s], such as after its registers were set back.

    Raises ConfigError for one that is not there, or cannot be used.
    """
    device, _ = _read(_require(folder, meter))
    device = replace(device, anew=now)
    _write(_file(folder, meter), device)
    return device


def one(folder: Path, meter: bytes) -> Device:
    """The device of this meter [address]. Raises ConfigError for one that is not there, or cannot be used."""
    return _read(_require(folder, meter))[0]


def find(folder: Path, meter: bytes) -> Device | None:
    """The device of this meter [address]; None where the box reads none such. Raises ConfigError as `one`."""
    return one(folder, meter) if _file(folder, meter).is_file() else None


def known(target: Path | str) -> dict[bytes, Kept]:
    """What an exchange keeps of each device, by its meter's address. target : its folder, or the URL of its store

    Raises StoreError for a store that cannot be read.
    """
    place = target / EXCHANGE_FILE if isinstance(target, Path) else target
    if isinstance(place, Path) and not place.exists():
        return {}
    with closing(Store(place, read_only=True)) as store:
        rows = store.rows(tables.devices) if store.has(tables.devices) else []
    found = dict[bytes, Kept]()
    for row in rows:
        with suppress(DataError):  # it begins anew
            found[bytes.fromhex(row.meter.removeprefix("0x"))] = Kept.from_text(row.kept)
    return found


def _file(folder: Path, meter: bytes) -> Path:
    return folder / FOLDER / f"{name(meter)}.toml"


def _require(folder: Path, meter: bytes) -> Path:
    file = _file(folder, meter)
    if not file.is_file():
        raise ConfigError("The request", [Finding("meter", f"is none that this box reads: there is no {file}")])
    return file


def _taken(topic: str) -> Finding:
    return Finding("topic", f"leads to '{topic}', which another meter's device has: a device is one home's")


def _read(file: Path) -> tuple[Device, Key]:
    """Raises ConfigError and LedgerError."""
    try:
        given = tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"is no TOML: {error}"
        raise ConfigError(str(file), [Finding("", f"cannot be read: {reason}")]) from None
    meter = named(file.stem)
    if meter is None:
        raise ConfigError(str(file), [Finding("", "is not called as its meter's address")])
    own = _known(file, Device, given, "meter")
    settings = own.pop("settings", {})
    if not isinstance(settings, dict):
        raise ConfigError(str(file), [Finding("settings", "are a table")])
    own["settings"] = _known(file, Settings, settings)
    device = _made(file, {**own, "meter": ""})
    key = read_key(file.with_suffix(".key"))
    if key.address != meter:
        raise ConfigError(str(file), [Finding("", f"has another meter's key beside it, that of 0x{key.address.hex()}")])
    return replace(device, meter=meter), key


def _known(file: Path, kind: type[Any], given: dict[str, Any], *without: str) -> dict[str, Any]:
    """What is given, where all of it is a field. Raises ConfigError."""
    keys = {each.name: each for each in fields(kind) if each.name not in without}
    needed = [key for key, each in keys.items() if each.default is each.default_factory is MISSING and key not in given]
    findings = [Finding(key, f"is unknown; there are {', '.join(keys)}") for key in sorted(given.keys() - keys.keys())]
    findings += [Finding(key, "is missing") for key in needed]
    if findings:
        raise ConfigError(str(file), findings)
    return dict(given)


def _made(file: Path, given: dict[str, Any]) -> Device:
    try:
        return TypeAdapter(Device).validate_json(json.dumps(given, default=str), strict=True)
    except ValidationError as error:
        findings = [Finding(".".join(map(str, each["loc"])), each["msg"]) for each in error.errors()]
        raise ConfigError(str(file), findings) from None
    except ConfigError as error:
        raise ConfigError(str(file), error.findings) from None


def _write(file: Path, device: Device) -> None:
    """What differs from what holds without it, whole or not at all."""
    usual = Device.__dataclass_fields__
    lines = [f"driver = {_toml(device.driver)}"]
    lines += [
        f"{key} = {_toml(getattr(device, key))}"
        for key in ("place", "number", "most_w", "registers", "anew")
        if getattr(device, key) != usual[key].default
    ]
    settings, plain = asdict(device.settings), asdict(Settings())
    lines += ["", "[settings]", *(f"{key} = {_toml(value)}" for key, value in settings.items() if value != plain[key])]
    written = file.with_suffix(".written")
    try:
        written.write_text("\n".join(lines) + "\n", encoding="utf-8")
        written.replace(file)
    except OSError as error:
        raise OutputError(f"{file} cannot be written: {error.strerror}.") from None


def _toml(value: object) -> str:
    """As TOML has it, whose texts, numbers and lists are those of JSON."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _is_endpoint(text: str) -> bool:
    try:
        return endpoint(text)[1] > 0
    except ValueError:
        return False
