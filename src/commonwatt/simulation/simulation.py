"""The batch runner: drives the steps of the way through simulated time, writes the store, tells the ledger.

Time is a list of events. Gate closure of a local day: forecast, declare, clear, check, commit. End of a slot:
deliver, settle, post, finalise. End of the period: the last windows pass and the bills are anchored. Each event is
one transaction of the store, then its messages to the ledger; a run that was killed goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from commonwatt.agents.planning import Outlook, Plan, agree, declare, expected_charge
from commonwatt.community.calendar import Slots, local_clock
from commonwatt.community.model import Community
from commonwatt.devices import Fleet
from commonwatt.errors import StoreError
from commonwatt.exchange import rows as persist
from commonwatt.exchange import steps
from commonwatt.exchange.checking import active_stages
from commonwatt.exchange.events import Gate, SlotEnd, schedule
from commonwatt.exchange.folder import LEDGER_FILE, open_store, refuse_half_a_run, remove
from commonwatt.exchange.founding import open_node
from commonwatt.exchange.outbox import Outbox, Outgoing, found, outgoing
from commonwatt.exchange.parties import Keys, Limits, filed, limits, mandates, simulated_keys
from commonwatt.exchange.states import Account, Cleared, Committed, Declared, Delivered, Flows, Posted
from commonwatt.exchange.stopwatch import Stopwatch
from commonwatt.exchange.store import VERSION, Store, set_values
from commonwatt.exchange.wires import wires_of
from commonwatt.forecast import Forecaster, SeasonalNaive
from commonwatt.market import Frame, Orders
from commonwatt.meter import SimulatedMeter
from commonwatt.proof import Domain, Tree
from commonwatt.records import Anchor, Clearing, Mandate, Signed
from commonwatt.simulation import world
from commonwatt.simulation.result import Result
from commonwatt.units import MAX_MONEY, FloatArray, IntArray

if TYPE_CHECKING:
    from commonwatt.ledger.chain.embedded import EmbeddedChain
    from commonwatt.ledger.remote import RemoteNode

_DAY: Final = 86_400
_HEAD_START: Final = 3600
"""Between genesis and the first gate [s]: the community is created then."""


class Simulation:
    """One community over one period.

    out : folder for the two files, which a later run continues; None keeps both in memory
    ledger : "embedded", the URL of a node (see `nodes`), or "none" for the laboratory: no signatures, no chain, bills
        without proofs
    fresh : drop the run that `out` holds; not before everything that the new one needs has been read
    firm : for the laboratory: batteries hold to all that was planned over the horizon, not only to what was agreed
    Raises StoreError when `out` holds another run or cannot be written.
    """

    def __init__(
        self,
        community: Community,
        folder: Path,
        start: date,
        days: int,
        *,
        ledger: str = "embedded",
        out: Path | None = None,
        fresh: bool = False,
        forecaster: Forecaster | None = None,
        firm: bool = False,
    ) -> None:
        self.community, self.start, self.days, self.ledger, self.out = community, start, days, ledger, out
        self.forecaster, self.firm = forecaster or SeasonalNaive(), firm
        self.watch = Stopwatch()
        with self.watch("read data"):
            self.world = world.build(community, folder, start, days, self.forecaster.history_days)
        self.events = schedule(community, start, days)
        self.fleet = Fleet.of([member.battery for member in community.members], community.hours)
        self.limits: Limits = limits(community, self.world.prices)
        self.wires = wires_of(community)
        self.ahead, self.after = active_stages(community, folder)
        self.frame = self._frame()
        self.store = open_store(out, fresh=fresh) if out else Store(None)
        self.node: EmbeddedChain | RemoteNode | None = None
        self.outbox: Outbox | None = None
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    # Opening and resuming

    def _open(self) -> None:
        wanted = {
            "community": self.community.digest.hex(),
            "start": self.start.isoformat(),
            "days": str(self.days),
            "ledger": self.ledger,
        }
        values = self.store.values()
        held = {key: values.get(key) for key in wanted}
        begun = "settlement" in values or persist.progress(self.store) is not None
        if begun and held != wanted:
            raise StoreError(
                f"{self.out} holds another run ({held['start']}, {held['days']} days, ledger {held['ledger']}, or an "
                "earlier version of the community's file); choose another folder or start it afresh."
            )
        if not begun:
            # Before the chain is made: a chain without these values was made by somebody else.
            with self.store.transaction() as connection:
                set_values(connection, {"version": VERSION, persist.STAGES_AHEAD: str(len(self.ahead)), **wanted})
        self.keys: Keys | None = None
        self.domain = Domain(0, bytes(20))
        self.mandates: tuple[Signed[Mandate], ...] = ()
        self.committed: dict[int, Committed] = {}
        self.soc: FloatArray = self.fleet.start.copy()
        self.done = -1
        if self.ledger != "none":
            with self.watch("found the community"):
                self._open_ledger(values)
        if not begun:
            with self.store.transaction() as connection:
                set_values(connection, self._ledger_values())
                persist.write_mandates(connection, self.mandates)
        self._resume()

    def _open_ledger(self, values: dict[str, str]) -> None:
        from commonwatt.ledger.client.settlement import Addresses, LedgerClient

        self.keys = simulated_keys(self.community)
        path = self.out / LEDGER_FILE if self.out and self.ledger == "embedded" else None
        if path:
            refuse_half_a_run(path, values)
        if path and "settlement" not in values:
            # Killed before the community was founded: nothing of value is in the file yet.
            remove(path)
        genesis = self.events[0].at - _HEAD_START
        held = [bytes.fromhex(values.get(name, "")) for name in ("community_contract", "settlement", "token")]
        self.node = open_node(self.ledger, path, self.community, self.keys, genesis, held[1] or None)
        if held[1]:
            client = LedgerClient(self.node, self.keys.operator, Addresses(*held))
            self.founded_at_block = int(values["founded_at_block"])
        else:
            client = found(self.node, self.community, self.keys, self.world.period.start, genesis + 1)
            self.founded_at_block = self.node.head.number
        self.outbox = Outbox(client)
        self.domain = client.domain
        opening, end = self.events[0].at, self.world.period.end
        self.mandates = mandates(self.community, self.keys, self.limits, self.domain, opening, end)
        self.meters = tuple(SimulatedMeter(key, self.domain) for key in self.keys.meters)
        self.by_member = filed(self.mandates, self.community, self.domain)

    def _ledger_values(self) -> dict[str, str]:
        if self.outbox is None:
            return {}
        addresses = self.outbox.client.addresses
        return {
            "community_contract": addresses.community.hex(),
            "settlement": addresses.settlement.hex(),
            "token": addresses.token.hex(),
            "chain_id": str(self.domain.chain_id),
            "founded_at_block": str(self.founded_at_block),
        }

    def _resume(self) -> None:
        """Go back to the last event that the store holds whole, and tell the ledger what it may have missed."""
        progress = persist.progress(self.store)
        if progress is None:
            return
        self.done, self.soc = progress
        self.committed = persist.read_committed(self.store, self._next_place(), self.world.period)
        if self.outbox is None:
            return
        messages = {message.post.slot: message for message in persist.read_posts(self.store)}
        for event in self.events[self._first_untold(self.outbox, messages) : self.done + 1]:
            self._tell(event, messages.get(event.at - self.world.period.seconds))

    def _first_untold(self, outbox: Outbox, messages: Mapping[int, Outgoing]) -> int:
        """Place of the event after the last one whose post is final; the ledger was told everything before it."""
        for number in range(self.done, -1, -1):
            event = self.events[number]
            if isinstance(event, SlotEnd):
                message = messages[event.at - self.world.period.seconds]
                posting = outbox.client.posted(message.post.slot, message.post.revision)
                if posting and posting.final:
                    return number + 1
        return 0

    def _tell(self, event: Gate | SlotEnd, message: Outgoing | None) -> None:
        """What the ledger is told of an event. Repeated, it has no second effect, and the same blocks come of it."""
        if self.outbox is None:
            return
        with self.watch("ledger"):
            self.outbox.finalise_due(event.at)
            if isinstance(event, Gate):
                roots = persist.read_commitments(self.store, event.day)
                self.outbox.commit(event.day.start, [r[0] for r in roots], [r[1] for r in roots], event.at + 1)
            elif message:
                self.outbox.post(message, event.at + 1)
                self.outbox.finalise_due(event.at + 1)

    # Running

    @property
    def members(self) -> int:
        """Number of members."""
        return len(self.community.members)

    def run(self, progress: Callable[[int, int], None] | None = None) -> Result:
        """Every event that is not done yet, then the end of the period: the last windows pass, bills are anchored.

        progress : called with the number of events done and of all events
        """
        while self.done + 1 < len(self.events):
            self.advance()
            if progress:
                progress(self.done + 1, len(self.events))
        if self.outbox:
            with self.watch("ledger"):
                self.outbox.finalise_due()
        result = Result(self)
        with self.watch("bill"):
            _ = result.charges, result.charges_without_market
        if self.outbox and self.keys:
            with self.watch("anchor the bills"):
                period = Anchor(self.world.period.start, self.world.period.end, result.bills.tree.root)
                self.outbox.anchor(period, self.keys.operator, self.events[-1].at + 2)
        return result

    def advance(self) -> None:
        """The next event that is not done yet."""
        number = self.done + 1
        event = self.events[number]
        if self.outbox:
            with self.watch("ledger"):
                self.outbox.finalise_due(event.at)
        if isinstance(event, Gate):
            self._close_gate(number, event)
        else:
            self._end_slot(number, event)
        self.done = number

    def _close_gate(self, number: int, gate: Gate) -> None:
        """Steps 1 to 5 for the slots of a local day."""
        first = self._place(gate.day.start)
        chosen = slice(first, first + gate.day.count)
        now = self._world_place(gate.at)
        lead = self._world_place(gate.day.start) - now
        with self.watch("forecast"):
            expected = self._forecast(now, lead + gate.day.count)
        frame = steps.part(self.frame, chosen)
        with self.watch("plan"):
            plan = self._plan(frame, expected, lead)
        with self.watch("sign and admit orders"):
            declared = self._admit(gate, plan.orders)
        with self.watch("clear"):
            cleared = steps.clear(self.ahead, frame, declared, plan.agreed)
        with self.watch("check the grid"):
            cleared = steps.check(cleared, self.wires, plan.net)
            cleared = steps.steer(cleared, plan.grid) if plan.agreed else cleared
        with self.watch("commit"):
            committed = tuple(steps.commit(slot) for slot in cleared) if self.outbox else _unsigned(cleared)
        self.committed |= {slot.cleared.declared.slot: slot for slot in committed}
        with self.watch("store"), self.store.transaction() as connection:
            persist.write_gate(connection, number, gate.at, committed, self.ahead, self.soc)
        self._tell(gate, None)

    def _plan(self, frame: Frame, expected: steps.Forecast, lead: int) -> Plan:
        """What agents wish or agree for the slots of `frame`, the last ones of `expected`."""
        today, day = expected.parted(lead)
        soc = self.soc
        if frame.starts[0] > self.world.period.start:  # before it nothing moves
            soc = expected_charge(self.fleet, soc, today, self._targets(frame, lead))
        outlook = Outlook(day, self.fleet, soc, frame.ceiling, frame.floor, frame.hours)
        if self.wires:
            outlook = replace(outlook, network=self.wires.network, at=self.wires.at)
        if self.ahead and self.ahead[0].over_horizon:
            return agree(self.ahead[0], frame, outlook, self.limits, more=len(self.ahead) > 1, firm=self.firm)
        return declare(outlook, self.limits)

    def _targets(self, frame: Frame, lead: int) -> IntArray:
        """What batteries hold the meters at in the `lead` slots before the frame, shape (members, lead) [Wh]."""
        before = frame.starts[0] - self.world.period.seconds * np.arange(lead, 0, -1)
        none = np.zeros(self.members, dtype=np.int64)
        known = [self.committed[slot].cleared.target if slot in self.committed else none for slot in before.tolist()]
        return np.array(known, dtype=np.int64).reshape(lead, self.members).T

    def _forecast(self, now: int, count: int) -> steps.Forecast:
        slots = self.world.slots
        first = max(0, now - self.forecaster.history_days * _DAY // slots.seconds)
        past = Slots(slots.start + first * slots.seconds, now - first, slots.seconds)
        horizon = Slots(slots.start + now * slots.seconds, count, slots.seconds)
        seen = slice(first, now)
        load, generation = self.world.load[:, seen], self.world.generation[:, seen]
        return steps.forecast(self.forecaster, load, generation, past, horizon, self.community.timezone)

    def _admit(self, gate: Gate, orders: tuple[Orders, ...]) -> list[Declared]:
        starts = gate.day.starts.tolist()
        if self.outbox is None or self.keys is None:
            return [Declared(slot, wish, (), ()) for slot, wish in zip(starts, orders, strict=True)]
        accounts = [signed.record.member for signed in self.mandates]
        free = np.maximum(self.outbox.free() - self._owed(), 0)
        declared = []
        for slot, wish in zip(starts, orders, strict=True):
            signed = steps.sign_orders(wish, slot, accounts, self.keys.agents, self.domain)
            admitted, free = steps.admit(slot, signed, self.by_member, self.domain, gate.at, free)
            declared.append(admitted)
        return declared

    def _owed(self) -> IntArray:
        """What members still have to pay for what they bought ahead, shape (members,) [lane unit]."""
        owed = np.zeros(self.members, dtype=np.int64)
        for slot in self.committed.values():
            np.add.at(owed, slot.cleared.trades.buyer, slot.cleared.trades.payments)
        return owed

    def _end_slot(self, number: int, event: SlotEnd) -> None:
        """Steps 6 and 7 for one slot."""
        slot = event.at - self.world.period.seconds
        committed = self.committed.pop(slot)
        truth = self.world.first + event.place
        with self.watch("deliver"):
            load, generation = self.world.load[:, truth], self.world.generation[:, truth]
            flows, soc = steps.deliver(self.fleet, self.soc, load, generation, committed.cleared)
        with self.watch("sign and verify readings"):
            delivered = self._read_meters(committed, flows, event.place)
        with self.watch("settle"):
            free = self.outbox.free() if self.outbox else np.full(self.members, MAX_MONEY // 2, dtype=np.int64)
            frame = steps.part(self.frame, slice(event.place, event.place + 1))
            pools, account = steps.settle(delivered, self.after, frame, self.limits, free)
        posted: Posted | None = None
        message: Outgoing | None = None
        if self.outbox and self.keys:
            with self.watch("prove"):
                posted = self._state(delivered, pools, account)
                message = outgoing(posted, self.domain, self.keys.operator)
        with self.watch("store"), self.store.transaction() as connection:
            persist.write_slot(
                connection, number, event.at, flows, delivered, pools, self.after, account, posted, message, soc
            )
        self.soc = soc
        self._tell(event, message)

    def _state(self, delivered: Delivered, pools: tuple[Clearing, ...], account: Account) -> Posted:
        return steps.post(delivered, pools, account, [mandate.hash for mandate in self.mandates])

    def _read_meters(self, committed: Committed, flows: Flows, place: int) -> Delivered:
        if self.outbox is None:
            return Delivered(committed, flows.net, ())
        slot = committed.cleared.declared.slot
        readings = [
            meter.read(slot, net, place + 1) for meter, net in zip(self.meters, flows.net.tolist(), strict=True)
        ]
        addresses = [meter.key.address for meter in self.meters]
        last = np.full(self.members, place, dtype=np.int64)
        return steps.believe(committed, readings, addresses, last, self.domain)

    def close(self) -> None:
        """Release both files."""
        self.store.close()
        if self.node:
            self.node.close()

    # Places

    def _place(self, slot: int) -> int:
        return (slot - self.world.period.start) // self.world.period.seconds

    def _world_place(self, instant: int) -> int:
        return -(-(instant - self.world.slots.start) // self.world.slots.seconds)

    def _next_place(self) -> int:
        done = [event.place for event in self.events[: self.done + 1] if isinstance(event, SlotEnd)]
        return max(done, default=-1) + 1

    def _frame(self) -> Frame:
        period, prices = self.world.period, self.world.prices
        minutes = local_clock(period, self.community.timezone).astype("datetime64[m]").astype(np.int64) % 1440
        return Frame(period.starts, minutes, period.hours, self.members, prices.ceiling, prices.floor)


def _unsigned(cleared: tuple[Cleared, ...]) -> tuple[Committed, ...]:
    """In the laboratory nothing is signed or committed."""
    nothing = Tree(((),))
    return tuple(Committed(slot, (), nothing, nothing) for slot in cleared)
