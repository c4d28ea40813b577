"""Numbers out of what devices write, exactly, and nothing that only looks like one.

A register is whole milliwatt-hours, a power whole milliwatts; what a device gives finer is cut towards zero.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Context, Decimal
from typing import Final, NoReturn

from commonwatt.meter.telegrams.sample import quoted

ENERGY_UNITS: Final[Mapping[str, int]] = {"mWh": 0, "Wh": 3, "kWh": 6, "MWh": 9}
"""What one of a unit is worth, as a power of ten of mWh."""
POWER_UNITS: Final[Mapping[str, int]] = {"mW": 0, "W": 3, "kW": 6}
"""What one of a unit is worth, as a power of ten of mW."""
MAX_REGISTER_MWH: Final = 10**15
"""A terawatt-hour: no home's meter comes near."""
MAX_POWER_MW: Final = 10**12
"""A gigawatt."""
LONGEST_MESSAGE: Final = 262_144
"""Bytes of one message."""
_DIGITS: Final = 40
_EXACT: Final = Context(prec=100)
_PLAIN: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?", re.ASCII)


class Unreadable(ValueError):
    """A message is not understood; the text is a sentence for the person who set up the device.

    It never leaves the drivers, whose `read` makes a complaint of it.
    """


def decimal(text: str, name: str) -> Decimal:
    """The number that a text is, such as "12.5"; `name` is what it stands for. Raises Unreadable."""
    if len(text) > _DIGITS or _PLAIN.fullmatch(text) is None:
        raise Unreadable(f"{name} is '{quoted(text)}', which is no number.")
    return Decimal(text)


def register(value: object, name: str, unit: str) -> int:
    """A register [mWh] from a number in `unit`. Raises Unreadable: no number, negative, or beyond any meter."""
    number = _number(value, name)
    if number < 0:
        raise Unreadable(f"{name} is {quoted(number)}, and a register is never negative.")
    return _scaled(number, name, ENERGY_UNITS[unit], MAX_REGISTER_MWH)


def power(value: object, name: str, unit: str) -> int:
    """A power [mW], of either sign, from a number in `unit`. Raises Unreadable."""
    return _scaled(_number(value, name), name, POWER_UNITS[unit], MAX_POWER_MW)


def from_json(payload: bytes) -> object:
    """The JSON value of a message, its numbers exact. Raises Unreadable for anything else."""
    if len(payload) > LONGEST_MESSAGE:
        raise Unreadable(f"The message has {len(payload)} bytes, more than any meter sends.")
    try:
        value: object = json.loads(payload, parse_float=_parsed, parse_int=_parsed, parse_constant=_refused)
    except Unreadable:
        raise
    except (ValueError, RecursionError):
        raise Unreadable(f"The message is no JSON: '{quoted(payload.decode('utf-8', 'replace'))}'.") from None
    return value


def mapping(value: object, name: str) -> Mapping[str, object]:
    """A JSON object. Raises Unreadable where it is something else."""
    if not isinstance(value, dict):
        raise Unreadable(f"{name} is '{quoted(value)}' and no JSON object.")
    return value


def listed(value: object, name: str) -> list[object]:
    """A JSON array. Raises Unreadable where it is something else."""
    if not isinstance(value, list):
        raise Unreadable(f"{name} is '{quoted(value)}' and no list.")
    return value


def text(payload: bytes) -> str:
    """A short message of plain text, without the blanks around it. Raises Unreadable."""
    if len(payload) > LONGEST_MESSAGE:
        raise Unreadable(f"The message has {len(payload)} bytes, more than any meter sends.")
    try:
        return payload.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise Unreadable(f"The message is no text: '{quoted(payload.decode('utf-8', 'replace'))}'.") from None


def _number(value: object, name: str) -> Decimal:
    if isinstance(value, Decimal):
        return value
    if value is None:
        raise Unreadable(f"{name} has no value.")
    kind = "text" if isinstance(value, str) else "no number"
    raise Unreadable(f"{name} is '{quoted(value)}', which is {kind}, where a number is due.")


def _scaled(number: Decimal, name: str, places: int, most: int) -> int:
    scaled = int(number.scaleb(places, _EXACT))
    if abs(scaled) > most:
        raise Unreadable(f"{name} is {quoted(number)}, which is more than any meter counts.")
    return scaled


def _parsed(digits: str) -> Decimal:
    return decimal(digits, "A number of the message")


def _refused(word: str) -> NoReturn:
    raise Unreadable(f"The message has {word} where a number is due.")
