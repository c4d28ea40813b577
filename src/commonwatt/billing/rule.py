"""By which rule a community shares, as far as somebody else can reckon it from what registers counted."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from commonwatt.accounts.on_account import OTHER, PRO_RATA, STATIC
from commonwatt.community.model import Terms
from commonwatt.exchange.rules import Rules
from commonwatt.exchange.sharing import participants
from commonwatt.market.designs.sharing_key import SharingKeyParameters, static_key
from commonwatt.units import MAX_ORDER_WH, IntArray

_POOLS: Final = tuple(
    f"commonwatt.market.designs.{name}" for name in ("sharing_key", "sdr", "sdr_compensated", "mid_market")
)
"""Designs that share each side in proportion."""
_MICRO_PER_MWH: Final = 1_000


def kind_of(rules: Rules) -> str:
    """A word of `accounts.on_account`: in proportion, by a static key, or otherwise, as where mandates set limits."""
    if any(member.terms != Terms() for member in rules.community.members):
        return OTHER
    if len(rules.after) != 1 or rules.ahead or rules.after[0].mechanism.rule.__module__ not in _POOLS:
        return OTHER
    return STATIC if rules.after[0].parameters.get("key") == "static" else PRO_RATA


def unbound(rules: Rules) -> Rules:
    """The rules without the most energy of a slot that a mandate has where it names none.

    It bounds what an agent orders; what meters have counted was delivered, however much it is.
    """
    limits, most = rules.limits, Terms()
    buy_wh = np.where(limits.buy_wh == most.buy_wh, MAX_ORDER_WH, limits.buy_wh)
    sell_wh = np.where(limits.sell_wh == most.sell_wh, MAX_ORDER_WH, limits.sell_wh)
    return replace(rules, limits=replace(limits, buy_wh=buy_wh, sell_wh=sell_wh))


def agreed(rules: Rules) -> tuple[IntArray, int] | None:
    """The agreed shares of registers, or of members that trade on net, and what they are parts of; None without."""
    if kind_of(rules) != STATIC:
        return None
    frame = participants(rules.frame, rules.registers) if rules.registers else rules.frame
    return static_key(frame, SharingKeyParameters.model_validate(dict(rules.after[0].parameters)))


def finer(rules: Rules, counted: IntArray, fine: IntArray) -> IntArray:
    """What sharing in proportion gives each register more by the mWh than by the Wh of a slot [millionths of a Wh].

    counted : [Wh]; fine : the same [mWh], each shape (registers,)
    A grid company's report may have more decimals than whole Wh. Rounding goes by this, so that each whole share is the
    nearest to the exact one that energy in whole Wh allows.
    """
    registers = rules.registers
    if registers is None or kind_of(rules) != PRO_RATA:
        return np.zeros(len(counted), dtype=np.int64)
    exact = _in_proportion(fine, registers.importing) * _MICRO_PER_MWH
    whole = _in_proportion(counted, registers.importing) * _MICRO_PER_MWH * 1_000
    return np.rint(exact - whole).astype(np.int64)


def _in_proportion(counted: IntArray, importing: int) -> np.typing.NDArray[np.float64]:
    """The shares of both sides, the scarcer one whole; shape (registers,), in the unit of `counted`."""
    sides = counted[:importing], counted[importing:]
    local = min(int(side.sum()) for side in sides)
    return np.concatenate([side * (local / max(int(side.sum()), 1)) for side in sides])
