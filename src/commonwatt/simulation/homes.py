"""The homes of a simulated community: what only they know, and what they tell the exchange.

Their batteries and plans, what really happens behind their meters and, where there is a ledger, all keys but the
operator's are theirs. What the exchange has to know it gets as `Wishes` and `Readings`, as it would from real homes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, MetaData

from commonwatt.agents.planning import Outlook, Plan, agree, beside, declare, expected_charge, held
from commonwatt.agents.strategy import ordered_by
from commonwatt.community.calendar import Slots
from commonwatt.community.points import present
from commonwatt.devices import Fleet, curtail, step
from commonwatt.exchange.events import GateClosure
from commonwatt.exchange.rules import Rules
from commonwatt.exchange.states import Readings, Wishes
from commonwatt.exchange.store import Store, add, arrays, put
from commonwatt.exchange.tables import table
from commonwatt.exchange.told import Told
from commonwatt.forecast.expectation import Forecast
from commonwatt.market import Frame, Orders
from commonwatt.market.schedule.input import Dispatch
from commonwatt.meter import SimulatedMeter
from commonwatt.proof import Domain, Key, keccak, sign_basket
from commonwatt.records import Order, Reading, Signed
from commonwatt.simulation.keys import Keys
from commonwatt.simulation.minds import Minds, expect
from commonwatt.simulation.ordering import Ordering
from commonwatt.simulation.silence import Silence
from commonwatt.simulation.world import World
from commonwatt.units import MAX_ORDER_WH, FloatArray, IntArray

# Tables beside the exchange's: what a simulation knows and an exchange does not.
_metadata = MetaData()
FLOWS: Final = ("load", "generation", "charge", "discharge", "curtailed")
flows = table(_metadata, "homes", ["slot", "member"], FLOWS)
plans = table(_metadata, "plans", ["slot"], [], ["grid"])
# After the last slot that ended and before it, and what each battery held its meter at in it.
batteries = table(_metadata, "batteries", ["id"], ["slot"], ["soc", "before", "target"])


@dataclass(frozen=True, eq=False)
class Last:
    """The last slot [start, unix s] that ended: the batteries' charge after it and before it, and what each held its
    meter at in it; each shape (homes,) [Wh]."""

    slot: int
    soc: FloatArray
    before: FloatArray
    target: IntArray

    @classmethod
    def of(cls, store: Store) -> Last | None:
        """As it is kept; None before the first."""
        for row in store.rows(batteries):
            soc, before = (np.frombuffer(each, dtype=np.float64) for each in (row.soc, row.before))
            return cls(row.slot, soc, before, np.frombuffer(row.target, dtype=np.int64))
        return None


def decided(closure: GateClosure) -> int:
    """When agents decide what they order at a gate [unix s]: one slot before it closes, so that what they know can have
    reached them, and what they order can arrive."""
    return closure.at - closure.slots.seconds


class Homes:
    """Homes that tell what they wish and what they used, without signatures.

    soc : of the batteries after the last slot that ended, shape (homes,) [Wh]
    pointed : which homes have points, shape (homes,)
    firm : batteries hold to all that was planned over the horizon, not only to what was agreed
    """

    def __init__(self, rules: Rules, world: World, minds: Minds, store: Store, *, firm: bool = False) -> None:
        self.rules, self.world, self.minds, self.store, self.firm = rules, world, minds, store, firm
        self.silence = Silence.of(rules.community)
        self.pointed = np.array([bool(member.points) for member in rules.community.members])
        self.fleet = Fleet.of([member.battery for member in rules.community.members], rules.community.hours)
        with store.transaction() as connection:
            _metadata.create_all(connection)
        self.ordering = Ordering(rules, minds.strategic, store)
        self.soc, self._last = self.fleet.start.copy(), Last.of(store)
        if self._last:
            self.soc = self._last.soc
        self._beyond = {row.slot: np.frombuffer(row.grid, dtype=np.int64) for row in store.rows(plans)}

    # At a gate

    def declare(self, closure: GateClosure, told: Mapping[int, Told]) -> Wishes:
        """Steps 1 and 2 for the slots of a gate.

        told : what the exchange has told of slots before them, by start
        """
        slots = closure.ahead
        if not slots.count:
            return Wishes((), (), np.zeros((self.rules.members, 0), dtype=np.int64), ())
        outlook, idle = self.outlook(closure, told)
        return self.wishes(slots, self._plan(self.rules.frame_of(slots), outlook, idle))

    def outlook(self, closure: GateClosure, told: Mapping[int, Told]) -> tuple[Outlook, Set[int]]:
        """What homes expect of the slots of a gate, of which there are some; and the homes of whose day nothing is
        known, or that are no member on it: they order nothing, and nobody plans their batteries either."""
        slots, community = closure.ahead, self.rules.community
        # The world of homes that know no history may begin after the gate.
        now = max(self.world.place(decided(closure)), 0)
        lead = self.world.place(slots.start) - now
        expected, failed = expect(self.minds, self.world, now, lead + slots.count, community)
        there: NDArray[np.bool_] = np.any(present(community.members, slots, community.timezone), axis=1)
        self.ordering.begin(closure.at, {home: why for home, why in failed.items() if there[home]})
        today, day = expected.parted(lead)
        frame, idle = self.rules.frame_of(slots), {*failed, *np.flatnonzero(~there).tolist()}
        outlook = Outlook(
            day,
            replace(self.fleet, power=self.fleet.power * self._active(idle)),
            self._charge(slots.start, today, told),
            frame.ceiling,
            frame.floor,
            frame.hours,
            feed_in=frame.feed_in,
            curtails=self.curtails,
        )
        if wires := self.rules.wires:
            outlook = replace(outlook, network=wires.network, at=wires.at)
        return outlook, idle

    def wishes(self, slots: Slots, plan: Plan) -> Wishes:
        """What homes bring to the gate of some slots by what they plan, or have agreed."""
        starts = slots.starts.tolist()
        if self.rules.charter_at(slots.start).horizon:
            self._beyond |= dict(zip(starts, plan.grid.T, strict=True))
        return Wishes(plan.orders, self.signed(starts, plan.orders), plan.net, plan.agreed)

    def signed(self, starts: Sequence[int], orders: Sequence[Orders]) -> tuple[tuple[Signed[Order], ...], ...]:  # noqa: ARG002
        """The orders of the slots that begin at `starts`, signed by agents; none where nobody asks for signatures."""
        return tuple(() for _ in orders)

    def _plan(self, frame: Frame, outlook: Outlook, idle: Set[int]) -> Plan:
        """What agents wish or agree for the slots of `frame`. outlook, idle : as `outlook` says"""
        rules, bounds, active = self.rules, self.rules.limits, self._active(idle)
        bounds = replace(bounds, buy_wh=bounds.buy_wh * active, sell_wh=bounds.sell_wh * active)
        charter = rules.charter_at(int(frame.starts[0]))
        if charter.horizon:
            more = len(charter.ahead) > 1
            return agree(charter.horizon, frame, outlook, bounds, rules.plants, more=more, firm=self.firm)
        plan = declare(outlook, bounds, rules.plants)
        if not charter.ahead:
            return plan
        quoted = self.ordering.quotes(frame, outlook, beside(rules.plants, plan.net), idle)
        return replace(plan, orders=ordered_by(plan.orders, quoted))

    def _active(self, idle: Set[int]) -> NDArray[np.bool_]:
        """Which homes are not idle, shape (homes,)."""
        return ~np.isin(np.arange(self.rules.members), list(idle))

    def _charge(self, slot: int, today: Forecast, told: Mapping[int, Told]) -> FloatArray:
        """State of charge that agents expect at the beginning of a slot, shape (homes,) [Wh].

        today : what they expect of the slots before it that they know nothing of yet
        """
        period, last = self.rules.period, self._last
        # Before the period nothing moves.
        count = min(today.load.shape[1], self.rules.place(slot))
        first, expected = slot - count * period.seconds, today.parted(today.load.shape[1] - count)[1]
        before = range(first, slot, period.seconds)
        known, soc = {each: self._target(told[each]) for each in before if each in told}, self.soc
        if last and last.slot >= first:
            soc, known[last.slot] = last.before, last.target
        none = np.zeros(self.rules.members, dtype=np.int64)
        targets = [known.get(each, none) for each in before]
        held_at = np.array(targets, dtype=np.int64).reshape(count, self.rules.members).T
        return expected_charge(self.fleet, soc, expected, held_at)

    def _target(self, told: Told) -> IntArray:
        """What each home's battery holds its meter at as far as it can, shape (homes,) [Wh].

        At nothing, to serve its home alone, unless agents agreed over the whole horizon.
        """
        beyond = self._beyond.get(told.slot)
        if beyond is None:
            return np.zeros(self.rules.members, dtype=np.int64)
        return held(told.bought - told.sold, beyond)

    # In a slot

    def deliver(self, told: Told) -> dict[str, IntArray]:
        """Step 6, behind the meters, in the slot that homes were told of. Returns as the function `deliver`."""
        slot, truth = told.slot, self.world.place(told.slot)
        load, generation = self.world.load[:, truth], self.world.generation[:, truth]
        # What points count is read: nothing of it can be held back.
        target, cap = self._target(told), np.where(self.pointed, MAX_ORDER_WH, told.cap)
        if self.rules.prices.feed_in[self.rules.place(slot)] < 0:
            cap = np.where(self._curtails_in(slot), np.minimum(cap, told.sold), cap)
        before = self.soc
        flows, self.soc = deliver(self.fleet, before, load, generation, target, cap)
        self._last = Last(slot, self.soc, before, target)
        return flows

    @cached_property
    def curtails(self) -> NDArray[np.bool_]:
        """Which homes hold back what they have not sold where the utility's price is below zero, shape (homes,)."""
        return np.array([bool(member.pv and member.pv.curtail) for member in self.rules.community.members])

    def _curtails_in(self, slot: int) -> NDArray[np.bool_]:
        """The same of a slot: whoever dispatches homes over the day holds back at each of them, as it has planned."""
        ahead = self.rules.charter_at(slot).ahead
        dispatched = bool(ahead) and ahead[0].mechanism.needs is Dispatch
        if not dispatched:
            return self.curtails
        return np.array([not member.owners for member in self.rules.community.members])

    def delay(self, slot: int, home: int) -> int | None:
        """How long after its slot [start, unix s] a reading comes [s]; None = never, as of who has no meter."""
        return self.silence.delay(slot, home) if self.rules.community.members[home].role.trades else None

    def read(self, slot: int, net: IntArray) -> Readings:
        """What the meters counted in the slot that began at `slot`, as far as it comes in time.

        net : shape (homes,) [Wh]
        """
        in_time = frozenset(home for home in range(len(net)) if self.delay(slot, home) == 0)
        return self.reported(slot, net, in_time)

    def read_late(self, slot: int, homes: frozenset[int]) -> Readings:
        """What the meters of these homes counted in a slot that has ended."""
        rows = self.store.rows(flows, slot=slot)
        columns = {name: np.array([getattr(row, name) for row in rows], dtype=np.int64) for name in FLOWS}
        return self.reported(slot, through(columns), homes)

    @property
    def delivered(self) -> int | None:
        """The last slot [start, unix s] that ended; None before the first."""
        return self._last.slot if self._last else None

    def reported(self, slot: int, net: IntArray, homes: frozenset[int]) -> Readings:
        """The readings of these homes."""
        return Readings(net, (), frozenset(range(len(net))) - homes, counted=self.counted(slot))

    def counted(self, slot: int) -> IntArray:
        """What the registers of members' points counted in a slot, shape (registers,) [Wh]."""
        return self.world.counted[:, self.world.place(slot)]

    def ways(self, net: IntArray, slot: int) -> tuple[IntArray, IntArray]:
        """What went through the meters into the homes and out of them, each shape (homes,) [Wh] >= 0.

        Both at once where a member has points: its load and generation are what these count.
        net : shape (homes,) [Wh]
        """
        truth = self.world.place(slot)
        load, generation = self.world.load[:, truth], self.world.generation[:, truth]
        return np.where(self.pointed, load, np.maximum(net, 0)), np.where(self.pointed, generation, np.maximum(-net, 0))

    def read_generators(self, slot: int, made: IntArray) -> dict[int, Signed[Reading]]:  # noqa: ARG002
        """What the generators' own meters counted, by member index. made : shape (homes,) [Wh] >= 0"""
        return {}

    # In the file

    def keep_plans(self, slots: Slots, connection: Connection) -> None:
        """Write what the gate of these slots brought, so that a killed run goes on with the same plans and memories."""
        self.ordering.keep(connection)
        starts = slots.starts.tolist()
        add(connection, plans, [(slot, self._beyond[slot].tobytes()) for slot in starts if slot in self._beyond])

    def keep_flows(self, slot: int, delivered: Mapping[str, IntArray], connection: Connection) -> None:
        """Write what happened in a slot, and the charge of the batteries after it."""
        rows = zip(*(delivered[name].tolist() for name in FLOWS), strict=True)
        add(connection, flows, [(slot, member, *row) for member, row in enumerate(rows)])
        if last := self._last:
            put(connection, batteries, (0, last.slot, last.soc.tobytes(), last.before.tobytes(), last.target.tobytes()))

    @cached_property
    def arrays(self) -> dict[str, IntArray]:
        """The columns FLOWS of the whole period, each shape (homes, slots) [Wh]."""
        period = self.rules.period
        return arrays(self.store.columns(flows, ("slot", "member", *FLOWS), period), FLOWS, self.rules.members, period)


class SigningHomes(Homes):
    """Homes whose agents sign orders and whose meters sign readings, for one ledger's domain."""

    def __init__(
        self,
        rules: Rules,
        world: World,
        minds: Minds,
        store: Store,
        keys: Keys,
        domain: Domain,
        *,
        firm: bool = False,
    ) -> None:
        super().__init__(rules, world, minds, store, firm=firm)
        self.keys, self.domain = keys, domain
        self.meters = {home: SimulatedMeter(key, domain) for home, key in enumerate(keys.meters) if key}
        self.generators = {member: SimulatedMeter(key, domain) for member, key in keys.generators.items()}

    def signed(self, starts: Sequence[int], orders: Sequence[Orders]) -> tuple[tuple[Signed[Order], ...], ...]:
        """See `Homes`."""
        accounts = [key.address for key in self.keys.members]
        return sign_orders(starts, orders, accounts, self.keys.agents, self.domain)

    def reported(self, slot: int, net: IntArray, homes: frozenset[int]) -> Readings:
        """See `Homes`; meters number their readings from 1."""
        ways, number = (way.tolist() for way in self.ways(net, slot)), self.rules.place(slot) + 1
        signed = tuple(
            self.meters[home].read(slot, wh_in, wh_out, number) if home in homes else None
            for home, (wh_in, wh_out) in enumerate(zip(*ways, strict=True))
        )
        return Readings(net, signed, frozenset(range(len(net))) - homes, counted=self.counted(slot))

    def read_generators(self, slot: int, made: IntArray) -> dict[int, Signed[Reading]]:
        """See `Homes`."""
        number = self.rules.place(slot) + 1
        return {member: meter.read(slot, 0, int(made[member]), number) for member, meter in self.generators.items()}


def deliver(
    fleet: Fleet, soc: FloatArray, load: IntArray, generation: IntArray, target: IntArray, cap: IntArray
) -> tuple[dict[str, IntArray], FloatArray]:
    """Batteries act on what really happens, and feed-in above the cap is held back; each argument has a row per home.

    load, generation : [Wh] >= 0; soc : [Wh]
    target : what a battery holds its home's meter at as far as it can [Wh]; cap : most feed-in [Wh]
    Returns the columns FLOWS and `net` [Wh], all but `net` >= 0, and the state of charge after the slot:
    net = load − generation + curtailed + charge − discharge, positive = into the home.
    """
    battery = step(fleet, soc, load - generation - np.maximum(target, -cap))
    wanted = load - generation + battery.net
    curtailed = curtail(wanted, generation, cap)
    columns = (load, generation, battery.charge, battery.discharge, curtailed, wanted + curtailed)
    return dict(zip((*FLOWS, "net"), columns, strict=True)), battery.soc


def through(flows: Mapping[str, IntArray]) -> IntArray:
    """What goes through the meters [Wh], positive = into the home. flows : the columns FLOWS, in any shape"""
    return flows["load"] - flows["generation"] + flows["curtailed"] + flows["charge"] - flows["discharge"]


def sign_orders(
    starts: Sequence[int], orders: Sequence[Orders], members: Sequence[bytes], agents: Sequence[Key], domain: Domain
) -> tuple[tuple[Signed[Order], ...], ...]:
    """The orders of the slots that begin at `starts`: each member's, its first for a side of a slot, in one basket that
    its agent signs.

    An order is void once its slot begins. Nobody guesses its nonce, so that who sees the order's hash, or one above it,
    does not find by trying what was ordered.
    """
    own: dict[int, list[Order]] = {}
    for slot, wish in zip(starts, orders, strict=True):
        for member, side, wh, limit in zip(*_columns(wish), strict=True):
            nonce = _nonce(agents[member], slot, side)
            own.setdefault(member, []).append(Order(members[member], "", side, wh, limit, slot, slot, nonce))
    signed = {member: iter(sign_basket(domain, given, agents[member])) for member, given in own.items()}
    return tuple(tuple(next(signed[member]) for member in wish.member.tolist()) for wish in orders)


def _nonce(agent: Key, slot: int, side: int) -> int:
    """Of an agent's first order for a side of a slot: 48 bits that its key alone knows, from 1 on."""
    return 1 + int.from_bytes(keccak(agent.secret + slot.to_bytes(8, "big") + bytes([side]))[:6], "big")


def _columns(orders: Orders) -> list[list[int]]:
    return [column.tolist() for column in (orders.member, orders.side, orders.wh, orders.limit)]
