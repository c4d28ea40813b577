"""Types of parameters as an operator writes them in community.toml or on the shell."""

from __future__ import annotations

import re
from datetime import time
from fractions import Fraction
from typing import Annotated

import numpy as np
from pydantic import BeforeValidator, ValidationInfo

from commonwatt.market.interface import Frame
from commonwatt.units import MICRO, in_units, micro, price_text


def _quoted(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError('is a decimal number in quotes, such as "0.20"')
    return value


def _money(value: object, info: ValidationInfo) -> int:
    return in_units(micro(_quoted(value), 0), (info.context or {}).get("unit", 1))


def _millionths(value: object) -> int:
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
"""A decimal text such as "0.20" >= 0 [currency or currency/kWh], held in the community's units of money."""
Millionths = Annotated[int, BeforeValidator(_millionths)]
"""A decimal text such as "0.001" >= 0, held in millionths: a part of something, and no money."""
Clock = Annotated[time, BeforeValidator(_clock)]
"""A local time such as "09:00"."""
Portion = Annotated[Fraction, BeforeValidator(_portion)]
"""A decimal text from "0" to "1", exact."""


def outside(price: int, frame: Frame) -> str | None:
    """What to say of a price between members that is within the corridor in no slot of the frame; else None.

    price : [unit/kWh]
    """
    if ((frame.floor <= price) & (price <= frame.ceiling)).any() or not len(frame.starts):
        return None
    local = f"what a local kWh may cost, {_corridor(frame)}"
    return f"a price of {price_text(price * frame.unit)} is outside {local}; nothing would be traded"


def _corridor(frame: Frame) -> str:
    """Floor and ceiling, with the local time from which they hold if they change."""
    bounds = np.column_stack([frame.floor, frame.ceiling]) * frame.unit
    changes = np.flatnonzero(np.append(True, (bounds[1:] != bounds[:-1]).any(axis=1)))
    if len(changes) > 4:
        return f"{price_text(int(bounds[:, 0].min()))} to {price_text(int(bounds[:, 1].max()))} at the very most"
    texts = [" to ".join(map(price_text, bounds[slot].tolist())) for slot in changes.tolist()]
    if len(texts) == 1:
        return texts[0]
    clocks = [divmod(minute, 60) for minute in frame.minutes[changes].tolist()]
    return ", ".join(f"{text} from {h:02}:{m:02}" for text, (h, m) in zip(texts, clocks, strict=True))
