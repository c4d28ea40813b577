"""Home Assistant is told of each home, on `cw/<address>/homeassistant/...` what there is, and its totals [Wh] on
`cw/<address>/total/<counter>`. The broker keeps both."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable
from importlib.metadata import version
from typing import Final

from commonwatt.errors import BrokerError, CommonwattError
from commonwatt.exchange.counters import counted, totals
from commonwatt.exchange.founding import NO_METER
from commonwatt.exchange.live import Live
from commonwatt.exchange.roster import Present
from commonwatt.meter.telegrams.discovery import COUNTERS, Home, discovery
from commonwatt.service.mqtt import Gateway
from commonwatt.service.running import Running
from commonwatt.service.topics import DISCOVERY, TOTAL, name

_LOGGER: Final = logging.getLogger(__name__)
_PAUSE: Final = 1.0
"""Between two looks whether something was counted [s]."""
_Totals = dict[tuple[bytes, str], int]
"""By meter [address] and counter [Wh]."""


async def run(running: Running, gateway: Gateway) -> None:
    """Go on until this is cancelled."""
    software, wrong = version("commonwatt"), ""
    homes, told, seen, connections = dict[bytes, Home](), _Totals(), None, 0
    while True:
        await gateway.wait_connected()
        try:
            if gateway.counts.connections != connections:
                homes, told, seen, connections = {}, {}, None, gateway.counts.connections
            known = await running.ask(_known, running.live, running.now())
            if known != seen:
                found, now = await running.ask(_look, running.live, known[0], software)
                await _tell(gateway, {meter: home for meter, home in found.items() if homes.get(meter) != home})
                await _count(gateway, {each: wh for each, wh in now.items() if wh > told.get(each, 0)})
                await _forget(gateway, homes.keys() - found.keys())
                homes, told, seen = found, now, known
            wrong = ""
        except BrokerError:
            seen = None  # the gateway says so, and a further connection is a reason to tell everything again
        except CommonwattError as error:
            seen = None
            if str(error) != wrong:
                wrong = str(error)
                _LOGGER.error("Home Assistant cannot be told what is counted: %s", wrong)
        await asyncio.sleep(_PAUSE)


def _known(live: Live, now: int) -> tuple[Present, str]:
    """What changes when there is something else to tell."""
    return live.roster.at(now), counted(live.store)


def _look(live: Live, present: Present, software: str) -> tuple[dict[bytes, Home], _Totals]:
    """The homes whose meters are in service, by meter [address], and their totals."""
    community, members, wh = live.exchange.rules.community, live.roster.members, totals(live.store)
    found, by_counter = dict[bytes, Home](), _Totals()
    for member, meter in enumerate(present.meters):
        if meter != NO_METER:
            found[meter] = Home(name(meter), f"{community.name}: {members[member].id}", software)
            by_counter |= {(meter, counter): each for counter, each in zip(COUNTERS, wh.get(member, ()), strict=False)}
    return found, by_counter


async def _tell(gateway: Gateway, homes: dict[bytes, Home]) -> None:
    for meter, home in homes.items():
        await gateway.tell(meter, f"{DISCOVERY}/{home.place}", json.dumps(discovery(home)).encode(), retain=True)


async def _count(gateway: Gateway, grown: _Totals) -> None:
    # None that is zero is told: Home Assistant would take it for a meter that begins.
    for counter in COUNTERS:
        news = [(meter, str(wh).encode()) for (meter, each), wh in grown.items() if each == counter]
        await gateway.tell_all(news, f"{TOTAL}/{counter}", retain=True)


async def _forget(gateway: Gateway, meters: Iterable[bytes]) -> None:
    """Have the broker keep nothing of meters that are out of service."""
    for meter in meters:
        for word in (f"{DISCOVERY}/{Home(name(meter), '', '').place}", *(f"{TOTAL}/{counter}" for counter in COUNTERS)):
            await gateway.tell(meter, word, b"", retain=True)
