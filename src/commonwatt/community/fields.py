"""What single keys of community.toml may say: texts and numbers checked and converted, each with its own sentence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import time
from difflib import get_close_matches
from fractions import Fraction
from typing import Annotated, Final, Literal, get_args
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, Field

from commonwatt.community.model import LEDGERS, OPERATOR, is_ledger
from commonwatt.community.roles import WORDS
from commonwatt.proof import checksum_address
from commonwatt.units import MAX_MONEY, MAX_ORDER_WH, MICRO, UNITS, micro

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: Final[tuple[Day, ...]] = get_args(Day)
_SECONDS: Final = {"s": 1, "min": 60, "h": 3600, "d": 86400}
_LONGEST: Final = 3650 * 86_400
_SHORTEST_LEAD: Final = 60
_LONGEST_LEAD: Final = 86_400
"""Between the gate of a slot and the slot [s]."""
"""Longest duration [s]: the contract counts sums of five of them in 32 bits."""
_LONGEST_ANSWER: Final = 600
"""Of an agent or forecaster of one's own [s]."""
_MOST_OPERATORS: Final = 255
"""So that the contract's threshold, a number of eight bits, can ask for all of them."""
_SOME: Final = 5
"""Of many names, how many a hint tells."""
_MOST_MONEY: Final = MAX_MONEY // 9
"""Highest amount of money [micro-currency], so that a few such amounts may be added up."""


def _money(value: object) -> int:
    """Micro-currency from a decimal text."""
    return micro(_quoted(value), 0, _MOST_MONEY)


def _price(value: object) -> int:
    return micro(_quoted(value), 0)


def _utility_price(value: object) -> int:
    """Of either sign: where there is more wind than load, the utility pays for what is taken."""
    return micro(_quoted(value))


def _unit(value: object) -> int:
    """What money is counted in, as micro-currency."""
    unit = micro(_quoted(value))
    if unit not in UNITS:
        raise ValueError(f'must be a power of ten from "0.000001" to "1", but is {value}')
    return unit


def _quoted(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f'money is written in quotes, so that no digit is lost: "{value}"')
    if not isinstance(value, str):
        raise ValueError('must be an amount of money in quotes, such as "0.32"')
    return value


def _rate(value: object) -> Fraction:
    """A tax rate below 1."""
    if not isinstance(value, str):
        raise ValueError('must be a rate in quotes; 19 percent is "0.19"')
    rate = Fraction(micro(value, 0), MICRO)
    if rate >= 1:
        raise ValueError(f"'{value}' is more than everything; 19 percent is \"0.19\"")
    return rate


def _percent(value: object) -> Fraction:
    """A share from 0 to 1 from a text such as "0.5 %"."""
    found = re.fullmatch(r"([0-9]{1,3}(\.[0-9]{1,6})?) ?%", value) if isinstance(value, str) else None
    share = Fraction(found[1]) / 100 if found else None
    if share is None or share > 1:
        raise ValueError('must be a share from "0 %" to "100 %" in quotes, such as "0.5 %"')
    return share


def _duration(value: object) -> int:
    """Seconds from a text such as "15min"."""
    found = re.fullmatch(r"([0-9]{1,6})(s|min|h|d)", value) if isinstance(value, str) else None
    if found is None:
        raise ValueError('must be a duration in quotes, such as "30s", "15min", "1h" or "2d"')
    seconds = int(found[1]) * _SECONDS[found[2]]
    if seconds > _LONGEST:
        raise ValueError(f"must be at most {_LONGEST // 86_400}d, but is {value}")
    return seconds


def _deadline(value: object) -> int:
    seconds = _duration(value)
    if not 1 <= seconds <= _LONGEST_ANSWER:
        raise ValueError(f"is from 1s to {_LONGEST_ANSWER}s, not {value}")
    return seconds


def _some_time(seconds: int) -> int:
    if not seconds:
        raise ValueError("must be longer than nothing: a posted settlement that is not finalised within it expires")
    return seconds


def _ledger(kind: str) -> str:
    if not is_ledger(kind):
        raise ValueError(f"must be {LEDGERS}, not '{kind}'")
    return kind


def _role(word: str) -> str:
    if word not in WORDS:
        raise ValueError(f"'{word}' is not a role{near(word, WORDS) or '; write ' + ', '.join(WORDS)}")
    return word


def _operators(value: object) -> tuple[str, ...]:
    """The names of operators, from their number or a list of names."""
    if isinstance(value, int) and not isinstance(value, bool):
        _bounded(value)
        return (OPERATOR, *(f"{OPERATOR}-{number}" for number in range(2, value + 1)))
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValueError('must be a number of operators or a list of their names, such as ["co-op", "grid"]')
    _bounded(len(value))
    for name in value:
        if not PLAIN_NAME.fullmatch(name):
            raise ValueError(f"holds '{name}'; {PLAIN_NAME_RULE}")
        if value.count(name) > 1:
            raise ValueError(f"names '{name}' {value.count(name)} times; each operator has one signature")
    return tuple(value)


def _bounded(operators: int) -> None:
    if not 1 <= operators <= _MOST_OPERATORS:
        raise ValueError(f"are from 1 to {_MOST_OPERATORS}, not {operators}")


def _slot(value: object) -> int:
    seconds = _duration(value)
    if seconds < 60 or 3600 % seconds:
        raise ValueError(
            f'\'{value}\' is not one minute, or more that divides the hour; write "5min", "15min", "30min" or "1h"'
        )
    return seconds


def _clock(value: object) -> time:
    if not isinstance(value, str) or not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value):
        raise ValueError('must be a local time in quotes from "00:00" to "23:59", such as "12:00"')
    return time.fromisoformat(value)


def _gate(value: object) -> time | int:
    """A local time on the day before, or how long before each slot [s]."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]+(s|min|h|d)", value):
        lead = _duration(value)
        if not _SHORTEST_LEAD <= lead <= _LONGEST_LEAD:
            raise ValueError(f"is from {_SHORTEST_LEAD}s to {_LONGEST_LEAD // 3600}h before a slot, not {value}")
        return lead
    try:
        return _clock(value)
    except ValueError as error:
        raise ValueError(f'{error}, or a time before each slot, such as "15min"') from None


def _timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (OSError, ValueError, LookupError):
        raise ValueError(f"there is no timezone '{value}'{near(value, available_timezones())}") from None
    return value


def _address(value: object) -> bytes:
    """20 bytes; a text with small and capital letters must bear the right checksum."""
    if not isinstance(value, str) or not re.fullmatch(r"0x[0-9a-fA-F]{40}", value):
        raise ValueError('must be an address in quotes: "0x" and 40 digits from 0 to 9 and a to f')
    address = bytes.fromhex(value[2:])
    if value not in (checksum_address(address), value.lower()):
        raise ValueError("has a typing error: its capital letters do not fit its digits")
    if not any(address):
        raise ValueError("is the zero address, which nobody owns")
    return address


def near(word: str, known: Iterable[str]) -> str:
    """A hint at the nearest of the `known` words, or nothing."""
    matches = get_close_matches(word, sorted(known), n=1)
    return f"; did you mean '{matches[0]}'?" if matches else ""


def some(known: Sequence[str]) -> str:
    """A hint at what is known, where no word of it is near."""
    return "; there is " + ", ".join(f"'{word}'" for word in known[:_SOME]) + ", …" * (len(known) > _SOME)


Money = Annotated[int, BeforeValidator(_money)]
Price = Annotated[int, BeforeValidator(_price)]
UtilityPrice = Annotated[int, BeforeValidator(_utility_price)]
Duration = Annotated[int, BeforeValidator(_duration)]
MoneyUnit = Annotated[int, BeforeValidator(_unit)]
TaxRate = Annotated[Fraction, BeforeValidator(_rate)]
Deadline = Annotated[int, BeforeValidator(_deadline)]
SomeTime = Annotated[Duration, AfterValidator(_some_time)]
LedgerKind = Annotated[str, AfterValidator(_ledger)]
RoleWord = Annotated[str, AfterValidator(_role)]
Operators = Annotated[tuple[str, ...], BeforeValidator(_operators)]
SlotLength = Annotated[int, BeforeValidator(_slot)]
TimeZone = Annotated[str, AfterValidator(_timezone)]
Percent = Annotated[Fraction, BeforeValidator(_percent)]
Clock = Annotated[time, BeforeValidator(_clock)]
Gate = Annotated[time | int, BeforeValidator(_gate)]
Address = Annotated[bytes, BeforeValidator(_address)]
Size = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Efficiency = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Wh = Annotated[int, Field(ge=0, le=MAX_ORDER_WH)]


PLAIN_NAME: Final = re.compile(r"[\w-]{1,40}")
PLAIN_NAME_RULE: Final = "a name has at most 40 letters, digits, '-' and '_'"
"""Of members, operators, stages and levies."""
