"""What a meter's relay is to let through, signed by an operator, and what a meter says of its relay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from commonwatt.records.schema import MAX_SIGNED, U64, Address
from commonwatt.records.strict_json import loads

_LONGEST: Final = 4_000
"""Bytes of a message about a relay, some four times what the longest needs."""
_MOST_REPORTS: Final = 8
_LONGEST_WORD: Final = 100
_STATUS: Final = frozenset({"relay", "fault", "demand", "mwh", "reports"})


@dataclass(frozen=True, slots=True)
class Delivery:
    """Energy that a meter's relay is demanded to let through; `firmware/readings.py` has its type hash.

    number : strictly increasing per meter; a newer demand takes the place of the one before
    mwh : energy through the relay [mWh]; 0 ends the demand before
    until : the relay opens by then [unix s], whatever has been delivered
    """

    meter: Address
    number: U64
    mwh: U64
    until: U64


@dataclass(frozen=True)
class Report:
    """What a demand had delivered [mWh] when something happened to it, such as `delivered`."""

    number: int
    mwh: int
    reason: str


@dataclass(frozen=True)
class RelayStatus:
    """What a meter said last on `status`, unsigned.

    online : False is the broker's word that the meter is gone, and then nothing else is said
    closed : whether its relay is; fault : why it stays open, empty when nothing is wrong
    number, mwh : of the newest demand, 0 before the first, and what it has delivered [mWh]
    """

    online: bool
    closed: bool = False
    fault: str = ""
    number: int = 0
    mwh: int = 0
    reports: tuple[Report, ...] = ()


@dataclass(frozen=True)
class Flow:
    """What a meter said last on `live`, unsigned: the home's voltage [V], current [A] and power [W], the latter two
    positive into the home; None where its sensor gives none."""

    volts: float | None
    amperes: float | None
    watts: float | None


def status_said(payload: bytes) -> RelayStatus | None:
    """What a message on `status` says of a relay; None where it cannot be read."""
    given = _table(payload)
    if given.get("online") is False:
        return RelayStatus(online=False)
    if given.get("online") is not True or not given.keys() >= _STATUS:
        return None
    reports, number, mwh, fault = given["reports"], given["demand"], given["mwh"], given["fault"]
    if not (type(given["relay"]) is bool and _counts(number) and _counts(mwh) and _is_word(fault)):
        return None
    if not isinstance(reports, list) or not all(map(_is_report, reports)):
        return None
    told = tuple(Report(each["number"], each["mwh"], each["reason"]) for each in reports[-_MOST_REPORTS:])
    return RelayStatus(online=True, closed=given["relay"], fault=fault, number=number, mwh=mwh, reports=told)


def flow_said(payload: bytes) -> Flow | None:
    """What a message on `live` says; None where it cannot be read."""
    figures = [_table(payload).get(name, "") for name in ("V", "I", "W")]
    return Flow(*figures) if all(each is None or type(each) in (int, float) for each in figures) else None


def _table(payload: bytes) -> dict[str, Any]:
    try:
        given = loads(payload, _LONGEST, fractions=True)
    except ValueError:
        return {}
    return given if isinstance(given, dict) else {}


def _is_report(given: Any) -> bool:
    if not isinstance(given, dict) or sorted(given) != ["mwh", "number", "reason"]:
        return False
    return _counts(given["number"]) and _counts(given["mwh"]) and _is_word(given["reason"])


def _counts(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_SIGNED


def _is_word(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_WORD
