"""Step 2: what the homes' agents plan for the slots that are for sale, and what they order.

Either each agent plans for itself and orders what its plan leaves (`declare`), or agents agree among themselves over
the whole horizon, and each orders what it agreed to (`agree`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from commonwatt.accounts.plants import Plant, taken
from commonwatt.devices import Fleet, plan
from commonwatt.devices.households import Households
from commonwatt.errors import MarketError
from commonwatt.forecast.expectation import Forecast
from commonwatt.grid import EN_50160, Network, electrical_distance
from commonwatt.grid.radial import feeder_of
from commonwatt.market import Frame, Mechanism, Neighbourhood, Orders
from commonwatt.market.agreements import agreed_orders
from commonwatt.market.bilateral.neighbourhood import BilateralParameters
from commonwatt.market.interface import Limits, Parameters
from commonwatt.market.proving import uncleared
from commonwatt.market.schedule.input import Dispatch
from commonwatt.market.stage import ActiveStage
from commonwatt.records import BUY, SELL, Clearing
from commonwatt.units import MICRO, WH_PER_KWH, FloatArray, IntArray


def expected_charge(fleet: Fleet, soc: FloatArray, expected: Forecast, targets: IntArray) -> FloatArray:
    """State of charge that the agents expect after the slots of `expected`, shape (homes,) [Wh].

    soc : now; targets : what the batteries hold the meters at until then, shape (homes, slots) [Wh]
    """
    return plan(fleet, soc, expected.load - expected.generation - targets)[1]


@dataclass(frozen=True)
class Outlook:
    """What the agents expect of the slots that are for sale.

    expected : load and generation
    fleet, soc : the batteries, and their expected state of charge at the first slot, shape (homes,) [Wh]
    ceiling, floor : of a local price, shape (slots,) [unit/kWh]
    hours : length of a slot [h]
    network : the wires; None = they are not known
    at : bus index of each home in the network, shape (homes,)
    feed_in : what the utility pays, shape (slots,) [unit/kWh]; None = the floor
    curtails : whether a home holds PV back for its price, shape (homes,); None = each that has some
    """

    expected: Forecast
    fleet: Fleet
    soc: FloatArray
    ceiling: IntArray
    floor: IntArray
    hours: float
    network: Network | None = None
    at: IntArray | None = None
    feed_in: IntArray | None = None
    curtails: NDArray[np.bool_] | None = None

    @property
    def utility(self) -> tuple[IntArray, IntArray]:
        """At what a home buys from the utility and sells to it, less the charges on a local kWh, each shape (slots,).

        At the ceiling a neighbour's kWh costs what the utility's does. Where neighbours have nothing to gain both are
        the floor, so that nobody trades; it is not below zero, or plans would gain by burning energy in batteries.
        """
        gains = self.ceiling >= self.floor
        paid = self.floor if self.feed_in is None else self.feed_in
        return np.where(gains, self.ceiling, self.floor), np.where(gains, paid, self.floor)


@dataclass(frozen=True)
class Plan:
    """What the agents plan for the slots that are for sale.

    orders : of each slot
    net : whole energy at the meters, traded or not, which the wires must carry, shape (homes, slots) [Wh]
    agreed : clearings, where agents agreed over the whole horizon before they ordered; else empty
    grid : what batteries then hold the meters at beside what was agreed, shape (homes, slots) [Wh]: what they take
        from the utility, or the whole exchange with it
    """

    orders: tuple[Orders, ...]
    net: IntArray
    agreed: tuple[Clearing, ...]
    grid: IntArray


def declare(outlook: Outlook, bounds: Limits, plants: Sequence[Plant] = ()) -> Plan:
    """Step 2. Each agent plans its battery and orders what its plan leaves, within its mandate.

    Owners of plants count on what they expect to take of them, and a plant, which is there for its owners first, orders
    nothing.
    A home that needs nothing places no order, and neither does one whom a local kWh could only help if it were paid for
    taking it, because fees are above the utility's price.
    """
    net, _ = plan(outlook.fleet, outlook.soc, outlook.expected.load - outlook.expected.generation)
    wanted = np.clip(beside(plants, net), -bounds.sell_wh[:, None], bounds.buy_wh[:, None])
    orders = tuple(
        _orders(wanted[:, slot], np.minimum(bounds.max_buy, ceiling), np.maximum(bounds.min_sell, floor))
        for slot, (ceiling, floor) in enumerate(zip(outlook.ceiling, outlook.floor, strict=True))
    )
    return Plan(orders, net, (), np.zeros_like(net))


def beside(plants: Sequence[Plant], net: IntArray) -> IntArray:
    """What is left of planned energy beside plants and what their owners take of them, shape (homes, slots) [Wh]."""
    left = net.copy()
    for slot in range(net.shape[1]) if plants else ():
        left[:, slot] -= taken(plants, net[:, slot], net[:, slot]).position(len(net))
    left[[plant.index for plant in plants]] = 0
    return left


def _orders(net: IntArray, highest: IntArray, lowest: IntArray) -> Orders:
    member = np.flatnonzero(net)
    side = np.where(net[member] > 0, BUY, SELL)
    limit = np.where(side == BUY, highest[member], lowest[member])
    useful = limit >= 0
    return Orders(member[useful], side[useful], np.abs(net[member])[useful], limit[useful])


def agree(
    stage: ActiveStage,
    frame: Frame,
    outlook: Outlook,
    bounds: Limits,
    plants: Sequence[Plant] = (),
    *,
    more: bool,
    firm: bool,
) -> Plan:
    """Step 2 where agents agree over the whole horizon at once, and step 3 of this stage.

    plants : take no part, and nobody counts on them
    more : other stages ahead of delivery follow
    firm : batteries will hold to the whole plan, even where the day turns out otherwise
    Where the mechanism can not clear this, nobody trades, and each home lives with the utility as it planned alone.
    """
    apart, expected = [plant.index for plant in plants], outlook.expected
    made = expected.generation.copy()
    made[apart] = 0
    outlook = replace(outlook, expected=replace(expected, generation=made))
    try:
        clearings = stage.clear(frame, (_input(stage.mechanism).make(outlook),))
    except MarketError as error:
        wished = zip(frame.starts.tolist(), declare(outlook, bounds).net.T, strict=True)
        clearings = tuple(uncleared(stage.mechanism.name, start, net, str(error)) for start, net in wished)
    prices = zip(frame.ceiling.tolist(), frame.floor.tolist(), strict=True)
    orders = tuple(
        agreed_orders(clearing, bounds, ceiling, floor, more=more)
        for clearing, (ceiling, floor) in zip(clearings, prices, strict=True)
    )
    grid = np.stack([clearing.grid for clearing in clearings], axis=1)
    net = grid + np.stack([clearing.trades.position(frame.members) for clearing in clearings], axis=1)
    into_batteries = net - outlook.expected.load + outlook.expected.generation
    net[apart] = -expected.generation[apart]
    return Plan(orders, net, clearings, grid if firm else np.maximum(np.minimum(into_batteries, grid), 0))


def held(traded: IntArray, beyond: IntArray) -> IntArray:
    """What each home's battery holds its meter at after `agree`, as far as it can, shape (homes,) [Wh].

    traded : bought less sold in one slot, as far as orders and wires carry it; beyond : the plan's `grid`; each shape
        (homes,) [Wh]
    That is what the home agreed with its neighbours, plus what the plan takes from the utility. So a battery helps to
    keep what was agreed when the day turns out otherwise, and never deals with the utility beyond the plan.
    """
    return traded + beyond


def neighbourhood(outlook: Outlook) -> Neighbourhood:
    """Homes with their batteries between the utility's prices.

    Prices are those of `Outlook.utility`, in millions of the community's units of money, which is the currency itself
    where a unit is one micro-currency.
    """
    fleet, kwh = outlook.fleet, 1.0 / WH_PER_KWH
    kw = kwh / outlook.hours
    retail, feed_in = outlook.utility
    curtails = outlook.expected.generation.any(axis=1)
    if outlook.curtails is not None:
        curtails &= outlook.curtails
    homes = Households.of(
        outlook.expected.load * kw,
        pv=outlook.expected.generation * kw,
        retail=retail / MICRO,
        feed_in=feed_in / MICRO,
        curtail=curtails.astype(float),
        capacity=fleet.high * kwh,
        low=fleet.low * kwh,
        high=fleet.high * kwh,
        start=np.clip(outlook.soc, fleet.low, fleet.high) * kwh,
        power=fleet.power * kw,
        charging=fleet.charging,
        discharging=fleet.discharging,
    )
    if outlook.network is None or outlook.at is None:
        return Neighbourhood(homes)
    return Neighbourhood(homes, distance=electrical_distance(outlook.network, outlook.at))


def _neighbourhood_lacks(parameters: BilateralParameters, *, wired: bool) -> Iterator[str]:
    if not wired and (parameters.preference == "distance" or parameters.graph == "nearest"):
        yield "distances along the wires, which [grid] and each member's bus would give"
    if parameters.preference == "matrix":
        yield "a matrix of preferences, which this file cannot give"
    if parameters.graph == "links":
        yield "links between homes, which this file cannot give"


def dispatch(outlook: Outlook) -> Dispatch:
    """The same homes on their wires, with the voltages and currents that the grid check allows; no reactive power.

    Whoever dispatches them holds back what wires cannot carry or nobody wants, at every home.

    Raises MarketError when the wires are not known or have a loop.
    """
    if outlook.network is None or outlook.at is None:
        raise MarketError("schedule needs the community's wires: name its [grid] and each member's bus.")
    feeder, node = feeder_of(outlook.network, low=EN_50160.v_min, high=EN_50160.v_max)
    return Dispatch.of(feeder, node[outlook.at], neighbourhood(replace(outlook, network=None, curtails=None)).homes)


def _dispatch_lacks(parameters: Parameters, *, wired: bool) -> Iterator[str]:  # noqa: ARG001
    if not wired:
        yield "the community's wires, which [grid] and each member's bus would give"


@dataclass(frozen=True)
class HorizonInput:
    """How the input of a mechanism over the horizon comes from what agents expect.

    lacks : (parameters, wired: whether the community's grid is known) to what is missing for these parameters
    """

    make: Callable[[Outlook], Any]
    lacks: Callable[..., Iterator[str]]


INPUTS: Mapping[type, HorizonInput] = {
    Neighbourhood: HorizonInput(neighbourhood, _neighbourhood_lacks),
    Dispatch: HorizonInput(dispatch, _dispatch_lacks),
}
"""By the type that the mechanism needs."""


def _input(mechanism: Mechanism[Any]) -> HorizonInput:
    if mechanism.needs not in INPUTS:
        raise MarketError(f"{mechanism.name} needs a {mechanism.needs.__name__}, which is not known of a community.")
    return INPUTS[mechanism.needs]


def lacking(mechanism: Mechanism[Any], parameters: Mapping[str, object], *, wired: bool) -> list[str]:
    """What a mechanism over the horizon needs with these parameters and a community does not have.

    wired : whether the community's grid is known
    Raises MarketError when such a mechanism can not run here at all.
    """
    return list(_input(mechanism).lacks(mechanism.parameters.model_validate(dict(parameters)), wired=wired))
