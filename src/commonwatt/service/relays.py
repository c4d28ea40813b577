"""Relays are told what to let through, on `cw/<address>/demand`, and say on `status` and `live` what became of it.

A demand is stored before it is told. Whenever a slot begins, and whenever the exchange, the broker or a meter has been
away, all demands that stand are told again: a relay obeys each number once.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from commonwatt.accounts.document import signed_json
from commonwatt.errors import BrokerError
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.relays import demand_bought, standing
from commonwatt.meter.delivery import Delivery, Flow, RelayStatus, flow_said, status_said
from commonwatt.records import Signed
from commonwatt.service.logs import tell
from commonwatt.service.mqtt import Gateway
from commonwatt.service.topics import DEMAND, LIVE, STATUS

if TYPE_CHECKING:
    from commonwatt.service.running import Running

_LOGGER: Final = logging.getLogger(__name__)
_PAUSE: Final = 0.1
"""Between two looks whether a slot has begun [s]."""
_RETRY: Final = 5.0
"""Until it is tried again what could not be done [s]."""


@dataclass
class Said:
    """What a meter said of its relay, and when it was heard last [unix s]."""

    at: int = 0
    status: RelayStatus | None = None
    flow: Flow | None = None

    @property
    def ready(self) -> bool:
        """Whether the meter is at the broker, and its relay has no fault."""
        return self.status is not None and self.status.online and not self.status.fault


class Relays:
    """The relays of a running exchange. said : by meter [address] in service"""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._gateway: Gateway | None = None
        self.said: dict[bytes, Said] = {}
        self._seen: tuple[int, int] | None = None
        """The slot and the connection at which all that stands was told; None where something may be untold."""

    @property
    def reachable(self) -> bool:
        """Whether there is a broker by which relays are told anything."""
        return self._gateway is not None

    def hear(self, meter: bytes, word: str, payload: bytes) -> None:
        """Keep what a meter in service says on `status` or `live`; what cannot be read is passed over."""
        if self._running.live.roster.service(meter) is None:
            return
        status = status_said(payload) if word == STATUS else None
        flow = flow_said(payload) if word == LIVE else None
        if status or flow:
            said = self.said.setdefault(meter, Said())
            was_ready = said.ready
            said.at, said.status, said.flow = self._running.now(), status or said.status, flow or said.flow
            if said.ready and not was_ready:
                self._seen = None

    def _ready(self) -> frozenset[bytes]:
        return frozenset(meter for meter, said in self.said.items() if said.ready)

    async def tell(self, demands: Iterable[Signed[Delivery]]) -> bool:
        """Tell relays; whether the broker has it. What it has not is told when it is back."""
        messages = [(each.record.meter, json.dumps(signed_json(each)).encode()) for each in demands]
        try:
            if self._gateway is not None and messages:
                await self._gateway.tell_all(messages, DEMAND)
        except BrokerError:  # the gateway says so
            self._seen = None
            return False
        return self._gateway is not None

    async def run(self, gateway: Gateway) -> None:
        """Tell what was bought, and what stands, until this is cancelled."""
        self._gateway, slots = gateway, self._running.live.slots
        while True:
            await gateway.wait_connected()
            now, pause = self._running.known(), _PAUSE
            seen = None if now is None else ((now - slots.offset) // slots.seconds, gateway.counts.connections)
            if now is not None and seen != self._seen:
                try:
                    self._seen = seen
                    await self.tell(await self._running.ask(_standing, self._running.live.exchange, self._ready(), now))
                except Exception as error:  # nothing may leave relays untold for good
                    self._seen, pause = None, _RETRY
                    tell(_LOGGER, "Relays cannot be told what to let through", error)
            await asyncio.sleep(pause)


def _standing(exchange: Exchange, ready: frozenset[bytes], now: int) -> list[Signed[Delivery]]:
    demand_bought(exchange, ready, now)
    return standing(exchange.store, now)
