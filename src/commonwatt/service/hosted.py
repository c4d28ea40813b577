"""Agents that the box has for members: each with a key of its own, which the member's mandate names.

The box cannot order more with it than the mandate allows, and nothing where no mandate names it. A key is a file that
only the box reads; where a member has its agent no more the key is gone, and another one comes with another address.

What an agent decides goes three ways: in the engine's thread `Hosted.due` says what it may order (`Task`), beside that
`orders` plans and signs, and `Hosted.done` keeps what came of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Column, LargeBinary, MetaData, Table, Text, delete, select

from commonwatt.agents.hosted import HOSTED, History, lookback, wish
from commonwatt.agents.strategies.truthful import TRUTHFUL
from commonwatt.agents.strategy import Quotes, ordered_by
from commonwatt.community.calendar import Slots
from commonwatt.errors import CommonwattError, OutputError, RecordError
from commonwatt.exchange import rows, tables
from commonwatt.exchange.founding import NO_METER
from commonwatt.exchange.live import Live
from commonwatt.exchange.store import Store, put
from commonwatt.exchange.tables import INTEGER
from commonwatt.ledger.keyfile import new_key, read_key, write_key
from commonwatt.market import Frame, Orders
from commonwatt.proof import Domain, Key, keccak
from commonwatt.records import BUY, SELL, Mandate, Order, Receipt, Signed
from commonwatt.simulation.homes import decided, sign_orders

FOLDER: Final = "agents"
"""Of the keys, in the exchange's folder."""

_metadata = MetaData()
# `gate` is the last one at which the agent decided; 0 before the first.
_agents = Table(
    "agents",
    _metadata,
    Column("account", LargeBinary, primary_key=True),
    *(Column(name, INTEGER, nullable=False) for name in ("active", "gate", "accepted", "refused", "unknown")),
    Column("strategy", Text, nullable=False),
    Column("why", Text, nullable=False),
    sqlite_strict=True,
)


@dataclass(frozen=True)
class Decision:
    """What came of an agent's last gate.

    gate : its time [unix s]; accepted, refused : orders; unknown : slots for which nothing was ordered, as there is no
        reading of a week before
    why : nothing was ordered, or the first order was refused; empty when all went well
    """

    gate: int
    accepted: int = 0
    refused: int = 0
    unknown: int = 0
    why: str = ""


@dataclass(frozen=True)
class Agent:
    """A member's agent. strategy : its name; active : whether it is switched on; last : None before its first gate"""

    strategy: str
    active: bool
    last: Decision | None = None


@dataclass(frozen=True)
class Task:
    """What an agent may order at a gate.

    number, account : of the member; key : of the agent; now : [unix s]
    free : in which slots of the frame: those of the mandate, in which the member has not ordered itself, shape (slots,)
    """

    number: int
    account: bytes
    key: Key
    strategy: str
    mandate: Mandate
    gate: int
    now: int
    frame: Frame
    free: NDArray[np.bool_]
    timezone: str
    domain: Domain


@dataclass(frozen=True)
class Decided:
    """What an agent wants to be said of it, and kept.

    orders : signed; net : what it expects to go through the meter, by slot [Wh]; decision : but for what was answered
    """

    orders: tuple[Signed[Order], ...]
    net: dict[int, int]
    decision: Decision


class Hosted:
    """The agents of one exchange. All methods are called in the engine's thread. folder : of their keys"""

    def __init__(self, live: Live, folder: Path) -> None:
        self.live, self.folder = live, folder
        with live.store.transaction() as connection:
            _metadata.create_all(connection)
        self._agents = {bytes(row.account): _read(row) for row in live.store.ask(select(_agents))}

    # What members decide

    def of(self, account: bytes) -> Agent | None:
        """The agent of whose account [address] it is; None where there is none."""
        return self._agents.get(account)

    def host(self, account: bytes, strategy: str, *, active: bool) -> None:
        """Have an agent for a member, with this strategy of `HOSTED`; with the key that it has, if it has one.

        Raises LedgerError or OutputError when the key cannot be used or written.
        """
        self.key(account)
        before = self._agents.get(account)
        self._keep(account, Agent(strategy, active, before.last if before else None))

    def end(self, account: bytes) -> None:
        """Have none any more. Its key is gone for good."""
        self._file(account).unlink(missing_ok=True)
        with self.live.store.transaction() as connection:
            connection.execute(delete(_agents).where(_agents.c.account == account))
        self._agents.pop(account, None)

    def switch(self, meter: bytes, now: int, *, active: bool) -> None:
        """Switch the agent of whose meter [address] it is at `now` [unix s]; where there is none yet, one begins when
        it is switched on."""
        present = self.live.roster.at(now)
        if meter == NO_METER or meter not in present.meters:
            return
        account = present.mandates[present.meters.index(meter)].record.member
        before = self._agents.get(account)
        if (before.active if before else False) != active:
            self.host(account, before.strategy if before else TRUTHFUL.name, active=active)

    def switches(self, now: int) -> dict[bytes, bool]:
        """Whether an agent trades for the home, by meter [address] in service at `now` [unix s]."""
        present = self.live.roster.at(now)
        found = zip(present.meters, (self._agents.get(each.record.member) for each in present.mandates), strict=True)
        return {meter: bool(agent and agent.active) for meter, agent in found if meter != NO_METER}

    def key(self, account: bytes) -> Key:
        """The agent's, made where there is none. Raises as `host`."""
        file = self._file(account)
        try:
            if not file.exists():
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_key(file, new_key())
        except OSError as error:
            # Members are told this, and where the box keeps things is not theirs.
            raise OutputError(f"The agent's key cannot be written: {error.strerror}.") from None
        return read_key(file)

    def _file(self, account: bytes) -> Path:
        return self.folder / f"0x{account.hex()}.key"

    def _keep(self, account: bytes, agent: Agent) -> None:
        last = agent.last or Decision(0)
        row = (account, int(agent.active), last.gate, last.accepted, last.refused, last.unknown)
        with self.live.store.transaction() as connection:
            put(connection, _agents, (*row, agent.strategy, last.why))
        self._agents[account] = agent

    # What agents decide

    def due(self, now: int) -> list[Task]:
        """What agents have to decide at `now` [unix s], one slot before a gate; of one that may order nothing it is
        kept why."""
        gate = self.live.exchange.next_gate
        if gate is None or not decided(gate) <= now < gate.at or not gate.ahead.count:
            return []
        found = list[Task]()
        for account, agent in list(self._agents.items()):
            if agent.active and (agent.last is None or agent.last.gate != gate.at):
                try:
                    found.append(self._task(account, agent, now))
                except CommonwattError as error:
                    self._keep(account, replace(agent, last=Decision(gate.at, why=str(error))))
        return found

    def obstacle(self, account: bytes, now: int) -> str:
        """Why a member's agent would order nothing at the next gate, whatever its meter counted; else empty."""
        agent = self._agents.get(account)
        if agent is None:
            return "This member has no agent here."
        if not agent.active:
            return "The agent is switched off."
        try:
            self._task(account, agent, now)
        except CommonwattError as error:
            return str(error)
        return ""

    def _task(self, account: bytes, agent: Agent, now: int) -> Task:
        """Raises CommonwattError, with the reason, when it may order nothing at the next gate."""
        exchange, roster, gate = self.live.exchange, self.live.roster, self.live.exchange.next_gate
        if gate is None or not gate.ahead.count:
            raise RecordError("No gate is open, as no prices are known.")
        starts = gate.ahead.starts.tolist()
        ahead = exchange.rules.charter_at(starts[0]).ahead
        if not ahead:
            raise RecordError("This market clears after delivery, under the mandate alone; it needs no orders.")
        if ahead[0].over_horizon:
            raise RecordError("In this market homes agree over the whole day, which no agent on the box does.")
        number, key = roster.number_of(account, starts[0]), self.key(account)
        if number is None:
            raise RecordError("This account is no member's.")
        given = [roster.at(slot).mandates[number] for slot in starts]
        named = [each.record.agent == key.address and bool(each.signature) for each in given]
        if not any(named):
            raise RecordError(f"No mandate of the member names the agent 0x{key.address.hex()} for these slots.")
        mandate = given[named.index(True)]
        if number in roster.at(starts[0]).suspended:
            raise RecordError("The member is suspended.")
        free = [
            each == mandate and account in roster.at(slot).filed and not self._ordered(slot, number)
            for slot, each in zip(starts, given, strict=True)
        ]
        return Task(
            number, account, key, agent.strategy, mandate.record, gate.at, now, exchange.rules.frame_of(gate.ahead),
            np.array(free), exchange.rules.community.timezone, exchange.domain,
        )  # fmt: skip

    def _ordered(self, slot: int, number: int) -> bool:
        """Whether there are orders of a member for a slot: what it ordered itself its agent leaves alone, and what the
        agent ordered before a restart stands."""
        accepted = self.live.exchange.accepted.get(slot)
        return accepted is not None and any((number, side) in accepted.last for side in (BUY, SELL))

    def done(self, task: Task, said: Decided, answers: Sequence[tuple[Signed[Receipt], ...] | RecordError]) -> None:
        """Keep what came of a task, and what the home plans where it has not said that itself."""
        refused = [str(each) for each in answers if isinstance(each, RecordError)]
        decision = replace(said.decision, accepted=len(answers) - len(refused), refused=len(refused))
        if refused:
            decision = replace(decision, why=refused[0])
        agent = self._agents.get(task.account)
        if agent is not None:
            self._keep(task.account, replace(agent, last=decision))
        starts = task.frame.starts
        slots = Slots(int(starts[0]), len(starts), self.live.slots.seconds)
        _, planned = rows.read_planned(self.live.store, slots, task.number + 1)
        told = dict(zip(starts.tolist(), planned[task.number].tolist(), strict=True))
        is_open = self.live.exchange.open_at
        self.live.plan(task.number, {slot: net for slot, net in said.net.items() if not told[slot] and is_open(slot)})


def history(store: Store, number: int, slots: Slots) -> History:
    """What a member's meters counted in some slots; of a slot's readings the one with the highest number."""
    c = tables.readings.c
    # Slot by slot by the table's key: of the other members no row is looked at.
    query = (
        select(c.slot, c.wh_in, c.wh_out)
        .where(c.slot.in_(slots.starts.tolist()), c.member == number)
        .order_by(c.slot, c.sequence)
    )
    net, known = np.zeros(slots.count, dtype=np.int64), np.zeros(slots.count, dtype=bool)
    for row in store.ask(query):
        place = (row.slot - slots.start) // slots.seconds
        net[place], known[place] = row.wh_in - row.wh_out, True
    return History(slots, net, known)


def orders(store: Store, task: Task, slots: Slots) -> Decided:
    """What an agent orders. slots : any of the community's, for their length and place"""
    past = history(store, task.number, lookback(task.now, slots))
    if past.readings < past.needed:
        return Decided((), {}, Decision(task.gate, why=lacks(past)))
    seed = int.from_bytes(keccak(task.key.secret + b"hosted" + task.gate.to_bytes(8, "big"))[:8], "big")
    found = wish(HOSTED[task.strategy], past, task.frame, task.mandate, task.timezone, seed)
    quotes = Quotes(*(np.where(task.free, column, 0) for column in vars(found.quotes).values()))
    starts = task.frame.starts.tolist()
    nobody = Orders(*np.zeros((4, 0), dtype=np.int64))
    wanted = ordered_by((nobody,) * len(starts), {0: quotes})
    signed = sign_orders(starts, wanted, [task.account], [task.key], task.domain)
    net = {slot: int(wh) for slot, wh, known in zip(starts, found.net, found.known, strict=True) if known}
    unknown = len(starts) - len(net)
    return Decided(tuple(each for slot in signed for each in slot), net, Decision(task.gate, unknown=unknown))


def lacks(past: History) -> str:
    """What is said where a week is not there."""
    return f"The meter's last eight days have {past.readings} readings; an agent orders once there are {past.needed}."


def _read(row: object) -> Agent:
    told = row._mapping  # type: ignore[attr-defined]
    names = ("gate", "accepted", "refused", "unknown", "why")
    last = Decision(*(told[name] for name in names)) if told["gate"] else None
    return Agent(told["strategy"], bool(told["active"]), last)
