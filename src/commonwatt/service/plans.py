"""Meters are told what is agreed for their homes, on `cw/<address>/plan`, as soon as a gate has closed.

What is said there is kept by the broker, so that a home that comes back hears it, and said again whenever the exchange
or the broker has been away.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import fields
from typing import Any, Final

from commonwatt.errors import BrokerError, CommonwattError, RecordError
from commonwatt.exchange.agreement import Proposal
from commonwatt.exchange.live import Live
from commonwatt.exchange.states import Missed
from commonwatt.exchange.told import MeterPlan
from commonwatt.service.mqtt import Gateway
from commonwatt.service.running import Running
from commonwatt.service.topics import PLAN
from commonwatt.units import MAX_ORDER_WH, MAX_PRICE

_LOGGER: Final = logging.getLogger(__name__)
_PAUSE: Final = 1.0
"""Between two looks whether a gate has closed, in seconds of the community's clock."""
_SHORTEST: Final = 0.1
"""The same, however fast that goes [s]."""


def plan_json(plan: MeterPlan, seconds: int) -> dict[str, Any]:
    """As meters are told it. seconds : length of a slot"""
    return {
        "first": plan.first,
        "seconds": seconds,
        "bought": list(plan.bought),
        "sold": list(plan.sold),
        "cap": list(plan.cap),
    }


def plan_told(given: Any, seconds: int) -> MeterPlan:
    """The plan that `plan_json` made this of. Raises RecordError."""
    if not isinstance(given, dict) or sorted(given) != ["bought", "cap", "first", "seconds", "sold"]:
        raise RecordError("A plan has first, seconds, bought, sold and cap.")
    columns = [given[name] for name in ("bought", "sold", "cap")]
    if not all(isinstance(column, list) and len(column) == len(columns[0]) for column in columns):
        raise RecordError("A plan has three lists of the same length, bought, sold and cap.")
    if given["seconds"] != seconds or type(given["first"]) is not int:
        raise RecordError(f"A plan is told from a slot's start on, for slots of {seconds} s.")
    if not all(type(value) is int and 0 <= value <= MAX_ORDER_WH for column in columns for value in column):
        raise RecordError(f"A plan has whole numbers from 0 to {MAX_ORDER_WH}.")
    return MeterPlan(given["first"], *map(tuple, columns))


def proposal_told(given: Any) -> Proposal:
    """The proposal that its fields, as JSON has them, make. Raises RecordError."""
    names = [column.name for column in fields(Proposal)]
    if not isinstance(given, dict) or sorted(given) != sorted(names) or type(given["first"]) is not int:
        raise RecordError(f"A proposal has {', '.join(names)}.")
    first, *columns = (given[name] for name in names)
    if not all(isinstance(column, list) and len(column) == len(columns[0]) for column in columns):
        raise RecordError("A proposal has lists of the same length.")
    least = (-MAX_ORDER_WH, -MAX_ORDER_WH, 0, 0, 0, 0)
    most = (MAX_ORDER_WH, MAX_ORDER_WH, MAX_ORDER_WH, MAX_PRICE, MAX_ORDER_WH, MAX_PRICE)
    for low, high, column in zip(least, most, columns, strict=True):
        if not all(type(value) is int and low <= value <= high for value in column):
            raise RecordError(f"A proposal has whole numbers of at most {MAX_ORDER_WH} Wh.")
    return Proposal(first, *map(tuple, columns))


class Plans:
    """Tells the meters of a running exchange what is agreed for them."""

    def __init__(self, running: Running, gateway: Gateway) -> None:
        self._running, self._gateway = running, gateway

    async def run(self) -> None:
        """Go on until this is cancelled."""
        said: tuple[object, ...] = ()
        wrong = ""
        while True:
            await self._gateway.wait_connected()
            try:
                known = (await self._running.ask(_closed, self._running.live), self._gateway.counts.connections)
                if known != said:
                    await self._tell()
                    said = known
                wrong = ""
            except BrokerError:
                pass  # the gateway says so, and a further connection is a reason to tell everything again
            except CommonwattError as error:
                if str(error) != wrong:
                    wrong = str(error)
                    _LOGGER.error("Meters cannot be told what is agreed for them: %s", wrong)
            await asyncio.sleep(max(_PAUSE / self._running.speed, _SHORTEST))

    async def _tell(self) -> None:
        live = self._running.live
        plans = await self._running.ask(live.plans)
        messages = [(meter, json.dumps(plan_json(plan, live.slots.seconds)).encode()) for meter, plan in plans.items()]
        await self._gateway.tell_all(messages, PLAN, retain=True)


def _closed(live: Live) -> tuple[object, ...]:
    """What changes when something else has to be told: the last slot whose gate has closed, whose meters count in it,
    and how many slots were missed."""
    committed = live.exchange.committed
    last = max(committed, default=-1)
    return last, live.exchange.meters_of(last), sum(isinstance(each, Missed) for each in committed.values())
