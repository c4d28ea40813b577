"""Home Assistant is told of each home, on `cw/<address>/homeassistant/...` what there is, and its totals [Wh] on
`cw/<address>/total/<counter>`. The broker keeps both."""

from __future__ import annotations

import asyncio
import json
import logging
from importlib.metadata import version
from typing import Final

from commonwatt.errors import BrokerError, CommonwattError
from commonwatt.exchange.counters import count, totals
from commonwatt.exchange.founding import NO_METER
from commonwatt.exchange.live import Live
from commonwatt.meter.telegrams.discovery import COUNTERS, Home, discovery
from commonwatt.service.mqtt import Gateway
from commonwatt.service.running import Running
from commonwatt.service.topics import DISCOVERY, TOTAL, name

_LOGGER: Final = logging.getLogger(__name__)
_PAUSE: Final = 1.0
"""Between two looks whether something was counted [s]."""


async def run(running: Running, gateway: Gateway) -> None:
    """Go on until this is cancelled."""
    homes, told, connections = dict[bytes, Home](), dict[tuple[bytes, str], int](), 0
    wrong = ""
    while True:
        await gateway.wait_connected()
        try:
            if gateway.counts.connections != connections:
                homes, told, connections = {}, {}, gateway.counts.connections
            while await running.ask(count, running.live.store):
                pass
            found, counted = await running.ask(_look, running.live, running.now())
            for meter, home in found.items():
                if homes.get(meter) != home:
                    word = f"{DISCOVERY}/{home.place}"
                    await gateway.tell(meter, word, json.dumps(discovery(home)).encode(), retain=True)
            for counter in COUNTERS:
                # None that is zero is told: Home Assistant would take it for a meter that begins.
                news = [
                    (meter, str(wh).encode())
                    for (meter, each), wh in counted.items()
                    if each == counter and wh > told.get((meter, each), 0)
                ]
                await gateway.tell_all(news, f"{TOTAL}/{counter}", retain=True)
            homes, told, wrong = found, counted, ""
        except BrokerError:
            pass  # the gateway says so, and a further connection is a reason to tell everything again
        except CommonwattError as error:
            if str(error) != wrong:
                wrong = str(error)
                _LOGGER.error("Home Assistant cannot be told what is counted: %s", wrong)
        await asyncio.sleep(_PAUSE)


def _look(live: Live, now: int) -> tuple[dict[bytes, Home], dict[tuple[bytes, str], int]]:
    """The homes whose meters are in service, by meter [address], and each one's totals, by meter and counter."""
    community, meters = live.exchange.rules.community, live.roster.at(now).meters
    members, counted = live.roster.members, totals(live.store)
    found = {
        meter: (member, Home(name(meter), f"{community.name}: {members[member].id}", version("commonwatt")))
        for member, meter in enumerate(meters)
        if meter != NO_METER
    }
    by_counter = {
        (meter, counter): wh
        for meter, (member, _) in found.items()
        if member in counted
        for counter, wh in zip(COUNTERS, counted[member], strict=True)
    }
    return {meter: home for meter, (_, home) in found.items()}, by_counter
