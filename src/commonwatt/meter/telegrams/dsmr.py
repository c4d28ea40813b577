r"""Dutch and Belgian smart meters: telegrams of the P1 port, checked, from a stream cut anywhere.

A telegram is lines from `/` to `!`, and after that the CRC-16/ARC of all its bytes from `/` to `!` in hexadecimal.

Source: DSMR P1 companion standard 5.0.2, sections 5.2 (CRC), 6.2 (telegram), 6.4 (time stamps), 6.12 (objects).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from commonwatt.meter.telegrams.figures import Unreadable, decimal, power, register
from commonwatt.meter.telegrams.interface import Heard, Reads, Settings
from commonwatt.meter.telegrams.sample import Sample, at_own_time, quoted

LONGEST_LINE: Final = 4096
"""Bytes; a text message of 1 024 characters is the longest that the standard has, 2 048 in hexadecimal."""
LONGEST_TELEGRAM: Final = 16_384
"""Bytes, several times what meters send."""
CLOCK: Final = "0-0:1.0.0"
_IMPORT: Final = ("1-0:1.8.1", "1-0:1.8.2", "1-0:1.8.0")
_EXPORT: Final = ("1-0:2.8.1", "1-0:2.8.2", "1-0:2.8.0")
_POWER: Final = ("1-0:1.7.0", "1-0:2.7.0")
_WANTED: Final = frozenset((CLOCK, *_IMPORT, *_EXPORT, *_POWER))
_OBJECT: Final = re.compile(r"([0-9]{1,3}-[0-9]{1,3}:[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3})\(([^()]*)\)")
_CHECK: Final = re.compile(rb"!([0-9A-Fa-f]{4})\r?\n")
_TIME: Final = re.compile(r"([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([SW])", re.ASCII)


def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0xA001 if byte & 1 else 0)
        table.append(byte)
    return tuple(table)


_TABLE: Final = _table()


def crc16(data: bytes) -> int:
    """CRC-16/ARC: polynomial 0x8005 reflected, begun with 0, nothing exchanged at the end.

    >>> f"{crc16(b'123456789'):04X}"
    'BB3D'
    """
    crc = 0
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc


@dataclass(frozen=True)
class Stream:
    """What of a stream has come: the lines of the telegram under way, and the bytes of the line under way.

    `skipping` : a line that was too long goes on, and nothing of it is kept
    """

    telegram: bytes = b""
    line: bytes = b""
    skipping: bool = False


@dataclass(frozen=True)
class Dsmr:
    """Reads the bytes of a P1 port, in any pieces; the topic says nothing.

    Registers are the sums of both tariffs, or the meter's own total where it has no tariffs. Telegrams before DSMR 4
    have neither checksum nor time and are refused. Where the meter's time says neither S nor W, arrival counts.
    """

    settings: Settings

    def topics(self) -> tuple[str, ...]:
        """The topic of the settings, where a reading head publishes telegrams; none for a serial line."""
        return (self.settings.topic,) if self.settings.topic else ()

    def begin(self) -> Stream:
        """Before the first byte."""
        return Stream()

    def read(self, state: Stream, topic: str, payload: bytes, at: int) -> Heard[Stream]:  # noqa: ARG002
        """Samples of all telegrams that these bytes end."""
        samples: list[Sample] = []
        complaints: list[str] = []
        pieces = payload.split(b"\n")
        for place, piece in enumerate(pieces):
            whole = place < len(pieces) - 1
            state, ended = _taken(state, piece + b"\n" * whole, complaints)
            if ended:
                self._finished(ended, at, samples, complaints)
        return Heard(state, tuple(samples), tuple(complaints))

    def reads(self) -> Reads:
        """Objects of the telegram."""
        names = ("1-0:1.8.1 + 1-0:1.8.2", "1-0:2.8.1 + 1-0:2.8.2", "1-0:1.7.0 - 1-0:2.7.0")
        return Reads(*names, "kWh", "nothing can be set: meters send every second or every ten")

    def _finished(self, telegram: bytes, at: int, samples: list[Sample], complaints: list[str]) -> None:
        try:
            sample, said = self._sample(_objects(telegram), at)
        except Unreadable as error:
            complaints.append(str(error))
        else:
            samples.append(sample)
            complaints.extend(said)

    def _sample(self, objects: Mapping[str, str], at: int) -> tuple[Sample, tuple[str, ...]]:
        brought, taken = _register(objects, _IMPORT), _register(objects, _EXPORT)
        if brought is None and taken is None:
            raise Unreadable("The telegram has no register of energy.")
        flows = [_quantity(objects, name, ("kW", "W")) for name in _POWER if name in objects]
        flow = None
        if len(flows) == len(_POWER):
            into, out = (
                power(decimal(figure, name), name, unit) for name, (figure, unit) in zip(_POWER, flows, strict=True)
            )
            flow = into - out
        own = _time(objects[CLOCK], self.settings.winter_minutes) if CLOCK in objects else None
        return at_own_time(self.settings.oriented(Sample(at, brought, taken, flow)), own, at)


def _taken(state: Stream, piece: bytes, complaints: list[str]) -> tuple[Stream, bytes]:
    """The state after a piece of one line, and the telegram if that ended it."""
    whole = piece.endswith(b"\n")
    if state.skipping:
        return Stream(skipping=not whole), b""
    line = state.line + piece
    if len(line) > LONGEST_LINE:
        complaints.append(f"A line of more than {LONGEST_LINE} bytes is no part of a telegram.")
        return Stream(skipping=not whole), b""
    if not whole:
        return Stream(state.telegram, line), b""
    return _line(state.telegram, line, complaints)


def _line(telegram: bytes, line: bytes, complaints: list[str]) -> tuple[Stream, bytes]:
    """The state after a whole line, and the telegram if that was its last."""
    if line.startswith(b"/") and telegram:
        complaints.append("A telegram was cut off before its end.")
        return Stream(line), b""
    if not telegram:
        # What comes before the first `/` is the rest of a telegram whose beginning nobody heard.
        begin = line.find(b"/")
        return Stream(line[begin:] if begin >= 0 else b""), b""
    if line.startswith(b"!"):
        return Stream(), telegram + line
    if len(telegram) + len(line) > LONGEST_TELEGRAM:
        complaints.append(f"A telegram of more than {LONGEST_TELEGRAM} bytes is none.")
        return Stream(), b""
    return Stream(telegram + line), b""


def _objects(telegram: bytes) -> dict[str, str]:
    """The objects of a telegram that are read, by their number. Raises Unreadable unless its checksum is right."""
    end = telegram.rindex(b"!")
    found = _CHECK.fullmatch(telegram, end)
    if found is None:
        raise Unreadable("A telegram has no checksum; meters before DSMR 4 are not read.")
    due = crc16(telegram[: end + 1])
    if int(found[1], 16) != due:
        raise Unreadable(
            f"A telegram's checksum is {found[1].decode().upper()} and has to be {due:04X}; look at the cable."
        )
    objects: dict[str, str] = {}
    for line in telegram[:end].decode("latin-1").split("\n"):
        entry = _OBJECT.fullmatch(line.rstrip("\r"))
        if entry is None or entry[1] not in _WANTED:
            continue
        if entry[1] in objects:
            raise Unreadable(f"The telegram has {entry[1]} twice.")
        objects[entry[1]] = entry[2]
    return objects


def _register(objects: Mapping[str, str], names: Sequence[str]) -> int | None:
    """Sum of both tariffs [mWh], or the total; None where the telegram has neither."""
    first, second, total = names
    present = [name for name in (first, second) if name in objects] or [name for name in (total,) if name in objects]
    if present in ([first], [second]):
        raise Unreadable(f"The telegram has {present[0]} without the other tariff.")
    if not present:
        return None
    figures = [(name, *_quantity(objects, name, ("kWh", "Wh"))) for name in present]
    return sum(register(decimal(figure, name), name, unit) for name, figure, unit in figures)


def _quantity(objects: Mapping[str, str], name: str, units: Sequence[str]) -> tuple[str, str]:
    figure, star, unit = objects[name].partition("*")
    if not star or unit not in units:
        raise Unreadable(f"{name} is '{quoted(objects[name])}', which is not in {' or '.join(units)}.")
    return figure, unit


def _time(stamp: str, winter_minutes: int) -> int | None:
    """The instant [unix ms] of `YYMMDDhhmmss` with S or W; None without that letter. Raises Unreadable for no date."""
    if re.fullmatch(r"[0-9]{12}", stamp, re.ASCII):
        return None
    found = _TIME.fullmatch(stamp)
    if found is None:
        raise Unreadable(f"{CLOCK} is '{quoted(stamp)}', which is no time.")
    year, month, day, hour, minute, second = (int(found[place]) for place in range(1, 7))
    try:
        local = datetime(2000 + year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        raise Unreadable(f"{CLOCK} is '{quoted(stamp)}', which is no time.") from None
    return int((local - timedelta(minutes=winter_minutes + 60 * (found[7] == "S"))).timestamp()) * 1000
