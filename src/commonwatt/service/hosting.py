"""Agents that the box has for members decide one slot before each gate, and meters switch them on and off.

`cw/<address>/auto` takes ON and OFF; `cw/<address>/auto/state` says which it is, kept by the broker.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from commonwatt.errors import BrokerError, CommonwattError
from commonwatt.meter.telegrams.discovery import OFF, ON
from commonwatt.service.hosted import Hosted, Task, orders
from commonwatt.service.logs import tell
from commonwatt.service.mqtt import Gateway
from commonwatt.service.running import Running
from commonwatt.service.topics import AUTO, AUTO_STATE, name

_LOGGER: Final = logging.getLogger(__name__)
_PAUSE: Final = 1.0
"""Between two looks at what agents have to decide, in seconds of the community's clock."""
_SHORTEST: Final = 0.02
"""The same, however fast that goes [s]."""
_SWITCHES: Final = 0.5
"""Between two looks at switches [s]."""
_SAID: Final = {ON.encode(): True, OFF.encode(): False}


class Hosting:
    """The agents of a running exchange at work."""

    def __init__(self, running: Running, hosted: Hosted) -> None:
        self._running, self._hosted = running, hosted
        self._said, self._trouble = dict[bytes, bool](), dict[str, str]()

    async def trade(self) -> None:
        """Have agents decide when they have to, until this is cancelled.

        What goes wrong, such as a chain that is out of reach, is logged once and tried again until the gate closes.
        """
        while True:
            now = self._running.known()
            try:
                tasks = [] if now is None else await self._running.ask(self._hosted.due, now)
            except CommonwattError as error:
                self._log("Agents cannot order", error)
                tasks = []
            for task in tasks:
                try:
                    await self._decide(task)
                except Exception as error:  # nobody's agent may keep another one from ordering
                    self._log(f"The agent of member {task.number} cannot order", error)
            await asyncio.sleep(max(_PAUSE / self._running.speed, _SHORTEST))

    async def _decide(self, task: Task) -> None:
        """Planning and signing hold nothing up: they are done beside the engine."""
        running, live = self._running, self._running.live
        said = await running.read(orders, live.store, task, live.exchange.rules.period)
        answers = await running.orders(said.orders)
        await running.ask(self._hosted.done, task, said, answers)

    def _log(self, what: str, error: Exception) -> None:
        if self._trouble.get(what) != str(error):
            self._trouble[what] = str(error)
            tell(_LOGGER, what, error)

    def notice(self, meter: bytes, word: str, payload: bytes) -> None:
        """Hear what a meter says unsigned. Of what one says of its switch between two looks, the last counts."""
        if word != AUTO:
            self._running.notice(meter, word, payload)
        elif (active := _SAID.get(payload.strip())) is not None:
            self._said[meter] = active

    async def switches(self, gateway: Gateway) -> None:
        """Take what meters say of their switches, and say which way these are, until this is cancelled."""
        told, connections = dict[bytes, bool](), 0
        while True:
            await gateway.wait_connected()
            now, said, self._said = self._running.now(), self._said, {}
            for meter, active in said.items():
                try:
                    await self._running.ask(self._hosted.switch, meter, now, active=active)
                except CommonwattError as error:  # nobody's switch may keep another one from being thrown
                    _LOGGER.error("The switch of meter %s cannot be thrown: %s", name(meter), error)
            try:
                if gateway.counts.connections != connections:
                    told, connections = {}, gateway.counts.connections
                found = await self._running.ask(self._hosted.switches, now)
                news = {meter: active for meter, active in found.items() if told.get(meter) != active}
                states = [(meter, (ON if active else OFF).encode()) for meter, active in news.items()]
                await gateway.tell_all(states, AUTO_STATE, retain=True)
                told = found
            except BrokerError:
                pass  # the gateway says so, and a further connection is a reason to tell everything again
            except CommonwattError as error:
                _LOGGER.error("Switches of automatic trade cannot be served: %s", error)
            await asyncio.sleep(_SWITCHES)
