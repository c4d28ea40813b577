"""`bilateral` without a centre: one home's agent, which needs nobody but its neighbours' proposals.

In every round an agent proposes to each neighbour how much energy should flow on each of their routes, and is proposed
the same. From the two proposals both ends compute the route's flow and prices, with the same arithmetic in the same
order, so they hold the same numbers to the last bit and nobody has to be believed about them. What a home makes, uses
and stores stays with its agent. No input or output here: a driver carries the messages.

    agent = Agent(7, home, routes_of(routes, 7), start, hours)
    received = {}
    while not agent.quiet:
        received = exchange(agent.propose(received))      # {neighbour: proposals}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from commonwatt.devices.households import Households
from commonwatt.errors import MarketError
from commonwatt.market.bilateral.consensus import Balance, Start
from commonwatt.market.bilateral.routes import Routes
from commonwatt.units import MICRO, WH_PER_KWH, FloatArray, IntArray

QUIET_KW, QUIET_PRICE = 1e-6, 1e-6


def routes_of(routes: Routes, home: int) -> Routes:
    """The routes that end at this home: all that its agent is told of the graph."""
    own = (routes.seller == home) | (routes.buyer == home)
    return Routes(**{column.name: getattr(routes, column.name)[own] for column in fields(routes)})


@dataclass(frozen=True)
class Deal:
    """What two ends agree on for their routes, each shape (routes,): slot, direction, energy [Wh], price.

    sells : whether this home is the seller; price : [unit/kWh]
    """

    slot: IntArray
    sells: np.typing.NDArray[np.bool_]
    wh: IntArray
    price: IntArray


class Agent:
    """A home's side of the market, round by round; the penalty stays as it was agreed at the start."""

    def __init__(self, home: int, itself: Households, routes: Routes, start: Start, hours: float) -> None:
        self.home, self.routes, self.hours = home, routes, hours
        self._penalty = start.penalty
        self._sells = routes.seller == home
        self._sign = np.where(self._sells, 1.0, -1.0)
        neighbour = np.where(self._sells, routes.buyer, routes.seller)
        self._rows = {int(other): np.flatnonzero(neighbour == other) for other in np.unique(neighbour)}
        self._balance = Balance(itself, hours, start.penalty)
        self._weight: FloatArray = np.bincount(routes.slot, minlength=itself.shape[1])[None, :] / float(start.penalty)
        self.flow = self._copy = np.zeros(len(neighbour))
        # Duals of the two copies: a kWh is worth the first price to everyone.
        self._seller_dual = np.full(len(neighbour), -start.price)
        self._buyer_dual = np.full(len(neighbour), start.price)
        self.primal = self.dual = np.inf
        self._asked = False

    @property
    def neighbours(self) -> tuple[int, ...]:
        """With whom this agent exchanges proposals."""
        return tuple(self._rows)

    @property
    def quiet(self) -> bool:
        """Whether the last proposals of this home and its neighbours agreed."""
        return self.primal <= QUIET_KW and self.dual <= QUIET_PRICE

    def propose(self, received: Mapping[int, FloatArray]) -> dict[int, FloatArray]:
        """Take the neighbours' answers to the last proposals (none before the first), and make the next [kW].

        Raises MarketError when a neighbour is missing or its proposals are none.
        """
        if self._asked:
            self._take(received)
        self._asked = True
        mine = np.where(self._sells, self._seller_dual, self._buyer_dual)
        slots = self._weight.shape[1]
        asked = self._sign * (self.flow - mine / self._penalty)
        wanted = np.bincount(self.routes.slot, asked, minlength=slots)[None, :].astype(float)
        price = self._balance.price(self._weight, wanted)[0]
        self._copy = self.flow - (mine + self._sign * price[self.routes.slot]) / self._penalty
        return {other: self._copy[rows] for other, rows in self._rows.items()}

    def _take(self, received: Mapping[int, FloatArray]) -> None:
        """The routes' step, as the other end takes it too."""
        theirs = np.empty_like(self._copy)
        for other, rows in self._rows.items():
            proposed = np.asarray(received.get(other, ()), dtype=float)
            if proposed.shape != rows.shape or not np.isfinite(proposed).all():
                raise MarketError(f"Home {self.home} had no proposal of {len(rows)} numbers from home {other}.")
            theirs[rows] = proposed
        sold, bought = np.where(self._sells, self._copy, theirs), np.where(self._sells, theirs, self._copy)
        pull = self._seller_dual + self._buyer_dual - self.routes.gamma
        flow = np.clip((sold + bought) / 2 + pull / (2 * self._penalty), 0.0, self.routes.most)
        self._seller_dual = self._seller_dual + self._penalty * (sold - flow)
        self._buyer_dual = self._buyer_dual + self._penalty * (bought - flow)
        apart = max(float(np.abs(copy - flow).max(initial=0.0)) for copy in (sold, bought))
        moved = self._penalty * float(np.abs(flow - self.flow).max(initial=0.0))
        within = self._balance.residuals()
        self.primal, self.dual, self.flow = max(apart, within[0]), max(moved, within[1]), flow

    def deals(self) -> dict[int, Deal]:
        """What is agreed with each neighbour; the other end has the same, bit for bit."""
        wh = np.rint(self.flow * (self.hours * WH_PER_KWH)).astype(np.int64)
        to_seller = self.routes.seller_gamma - self._seller_dual
        to_buyer = self._buyer_dual - self.routes.buyer_gamma
        price = np.rint(MICRO * (to_seller + to_buyer) / 2).astype(np.int64)
        return {
            other: Deal(self.routes.slot[rows], self._sells[rows], wh[rows], price[rows])
            for other, rows in self._rows.items()
        }
