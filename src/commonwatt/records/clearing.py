"""What a mechanism answers: who trades with whom at what price, and the proof of it. Arrays over trades."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from commonwatt.units import IntArray, payments


def _none() -> IntArray:
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Trades:
    """Trades of one slot as columns, each shape (trades,).

    buyer, seller : member indices
    wh : energy [Wh], > 0
    price : [unit/kWh]
    """

    buyer: IntArray = field(default_factory=_none)
    seller: IntArray = field(default_factory=_none)
    wh: IntArray = field(default_factory=_none)
    price: IntArray = field(default_factory=_none)

    def __len__(self) -> int:
        return len(self.wh)

    @property
    def payments(self) -> IntArray:
        """Buyer to seller, shape (trades,) [unit], rounded down as `units.payment`."""
        return payments(self.wh, self.price)

    def position(self, members: int) -> IntArray:
        """Local energy of each member, shape (members,) [Wh], positive = bought."""
        return _net(self.buyer, self.seller, self.wh, members)

    def credit(self, members: int) -> IntArray:
        """Money of each member, shape (members,) [unit], positive = received."""
        return -_net(self.buyer, self.seller, self.payments, members)

    def keep(self, mask: np.typing.NDArray[np.bool_]) -> Trades:
        """The trades where `mask`, shape (trades,), is true."""
        return Trades(self.buyer[mask], self.seller[mask], self.wh[mask], self.price[mask])


def _net(plus: IntArray, minus: IntArray, amount: IntArray, members: int) -> IntArray:
    net = np.zeros(members, dtype=np.int64)
    np.add.at(net, plus, amount)
    np.subtract.at(net, minus, amount)
    return net


@dataclass(frozen=True)
class Check:
    """One thing a clearing promises, whether it holds, and the figure that shows it."""

    name: str
    holds: bool
    figure: int
    meaning: str


@dataclass(frozen=True)
class Proof:
    """All checks of one clearing."""

    checks: tuple[Check, ...]

    @property
    def holds(self) -> bool:
        """Whether every promise holds."""
        return all(check.holds for check in self.checks)


@dataclass(frozen=True)
class Clearing:
    """The result of one mechanism for one slot.

    slot : start [unix s]
    prices : named prices [unit/kWh], such as buy, sell
    grid : what is left to the utility, shape (members,) [Wh], positive = import
    diagnostics : figures that explain the result
    kept : what rounding keeps from each member after this slot, where that is carried on [millionths of a Wh]
    """

    mechanism: str
    slot: int
    trades: Trades
    prices: Mapping[str, int]
    grid: IntArray
    proof: Proof
    diagnostics: Mapping[str, int | float | str] = field(default_factory=dict)
    kept: IntArray = field(default_factory=_none)
