"""Types of parameters as an operator writes them in community.toml or on the shell."""

from __future__ import annotations

import re
from datetime import time
from fractions import Fraction
from typing import Annotated

from pydantic import BeforeValidator

from commonwatt.units import MICRO, micro


def _quoted(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError('is a decimal number in quotes, such as "0.20"')
    return value


def _money(value: object) -> int:
    return micro(_quoted(value), 0)


def _clock(value: object) -> time:
    if not isinstance(value, str) or not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value):
        raise ValueError('is a local time such as "09:00"')
    return time.fromisoformat(value)


def _portion(value: object) -> Fraction:
    portion = Fraction(micro(_quoted(value)), MICRO)
    if not 0 <= portion <= 1:
        raise ValueError('is a decimal number from "0" to "1"')
    return portion


Money = Annotated[int, BeforeValidator(_money)]
"""A decimal text such as "0.20" >= 0 [currency or currency/kWh], held in micro-units."""
Clock = Annotated[time, BeforeValidator(_clock)]
"""A local time such as "09:00"."""
Portion = Annotated[Fraction, BeforeValidator(_portion)]
"""A decimal text from "0" to "1", exact."""
