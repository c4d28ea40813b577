"""The agreement of the next gate of a living exchange, where homes agree over the horizon before they order.

Of it the store has what homes forecast, until the gate closes, and whether more of that is heard: an exchange that was
killed has homes agree once more, and the same comes of it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from sqlalchemy import Connection

from commonwatt.agents.planning import Plan
from commonwatt.errors import RecordError
from commonwatt.exchange import rows, writing
from commonwatt.exchange.agreement import Agreement, HomeForecast, Proposal, outlook_of
from commonwatt.exchange.events import GateClosure
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.founding import NO_METER
from commonwatt.exchange.roster import Roster
from commonwatt.exchange.store import set_values
from commonwatt.market.proving import uncleared
from commonwatt.market.stage import ActiveStage
from commonwatt.records import Clearing
from commonwatt.units import IntArray

_HEARD: Final = "forecasts_until"
"""Value of the run: the first slot of the last gate for which homes agree, and no further forecast is heard."""
_LATE: Final = "The homes had not agreed when the gate closed."


class Horizon:
    """Forecasts as they come, and what homes agree from them.

    Homes agree in the last slot before the gate: in its first half as soon as all with a meter have said what they
    forecast, else in its second half without those who have not. Then there is time left to sign.
    """

    def __init__(self, exchange: Exchange, roster: Roster) -> None:
        self.exchange, self.roster, self.store = exchange, roster, exchange.store
        self._heard = int(self.store.values().get(_HEARD, "-1"))
        self._agreed: tuple[int, Plan] | None = None

    def stage_of(self, gate: GateClosure) -> ActiveStage | None:
        """The mechanism by which homes agree before a gate, if there is one."""
        return self.exchange.rules.charter_at(gate.slots.start).horizon

    def forecast(self, connection: Connection, member: int, first: int, said: HomeForecast) -> None:
        """Keep what a member forecasts of the slots from `first` [start, unix s] on; it takes the place of what it said
        before.

        Raises RecordError when these are not the slots of the next gate, when homes do not agree before it or do so
        already, and when no home can be so.
        """
        gate = self.exchange.next_gate
        if gate is None or self.stage_of(gate) is None:
            raise RecordError("Homes do not agree before the next gate; order and say an outlook instead.")
        if first != gate.slots.start:
            raise RecordError(f"A forecast begins with slot {gate.slots.start}, the first of the next gate.")
        if self._heard >= first:
            raise RecordError(f"The homes agree already over the slots from {first} on; a forecast comes before that.")
        said.require_possible(gate.slots.count)
        writing.write_forecast(connection, member, first, said)

    def due(self, now: int) -> Agreement | None:
        """What homes agree from, once they do at `now` [unix s]; from then on no forecast for it is heard.

        The same again, as it may come to nothing, until what they `agreed` is known.
        """
        gate = self.exchange.next_gate
        if gate is None or not (stage := self.stage_of(gate)) or self._plan_of(gate):
            return None
        seconds, first = gate.slots.seconds, gate.slots.start
        if not gate.at - seconds <= now < gate.at:
            return None
        present, heard = self.roster.at(first), rows.members_forecasting(self.store, first)
        silent = {member for member, meter in enumerate(present.meters) if meter != NO_METER} - heard
        if silent and now < gate.at - seconds // 2:
            return None
        if self._heard < first:
            with self.store.transaction() as connection:
                set_values(connection, {_HEARD: str(first)})
            self._heard = first
        # Who cannot order would leave others with trades that nobody carries.
        able, forecasts = {member for member, _ in present.filed.values()}, rows.read_forecasts(self.store, first)
        forecasts = {member: said for member, said in forecasts.items() if member in able}
        rules, frame = self.exchange.rules, self.exchange.frame_of(gate.slots)
        more = len(rules.charter_at(first).ahead) > 1
        return Agreement(stage, frame, outlook_of(forecasts, frame, rules.wires), present.limits, more)

    def agreed(self, agreement: Agreement, plan: Plan) -> None:
        """What homes have agreed. After its gate it is of no use any more."""
        gate = self.exchange.next_gate
        if gate and gate.slots.start == agreement.first:
            self._agreed = (agreement.first, plan)

    def awaited(self, gate: GateClosure) -> int | None:
        """The last time [unix s] before homes agree without those who have said nothing; None where they do not agree
        before this gate, or have."""
        waits = self.stage_of(gate) and not self._plan_of(gate)
        return gate.at - gate.slots.seconds // 2 - 1 if waits else None

    def proposal(self, member: int) -> Proposal:
        """What a member is proposed for the slots of the next gate; without slots before homes have agreed."""
        gate = self.exchange.next_gate
        if gate is None:
            return Proposal(self.exchange.rules.period.end)
        plan, first = self._plan_of(gate), gate.slots.start
        return Proposal.of(plan, first, member) if plan and member < len(plan.net) else Proposal(first)

    def clearings(self, closure: GateClosure, planned: IntArray) -> tuple[Clearing, ...]:
        """What was agreed of the slots that are still ahead at a gate; none where homes do not agree before it.

        planned : what goes through the meters, shape (members, slots) [Wh]
        """
        if (stage := self.stage_of(closure)) is None:
            return ()
        plan, starts = self._plan_of(closure), closure.ahead.starts.tolist()
        if plan is None:
            nets = zip(starts, planned.T, strict=True)
            return tuple(uncleared(stage.mechanism.name, start, np.array(net), _LATE) for start, net in nets)
        return plan.agreed[len(plan.agreed) - len(starts) :]

    def _plan_of(self, gate: GateClosure) -> Plan | None:
        first = gate.slots.start
        return self._agreed[1] if self._agreed and self._agreed[0] == first else None
