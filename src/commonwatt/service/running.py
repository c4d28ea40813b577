"""A living exchange at work: one thread has the engine, and whoever waits on sockets asks it.

What comes at the same time is stored together: each door gathers what waits while the engine is busy, and the engine
takes all of it in one transaction. So what stands in the way of one message stands in the way of all only as long as a
transaction lasts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final, Generic, ParamSpec, TypeVar

from commonwatt.errors import CommonwattError, RecordError
from commonwatt.exchange.live import Live
from commonwatt.exchange.months import Months
from commonwatt.meter.protocol import REFUSED, Acknowledgement, Judgement, acknowledge, readings_of
from commonwatt.records import Order, Reading, Receipt, Signed
from commonwatt.service.mqtt import Messages

P = ParamSpec("P")
T = TypeVar("T")
G = TypeVar("G")
A = TypeVar("A")
Clock = Callable[[], float | None]

_LOGGER: Final = logging.getLogger(__name__)
_MOST_TOGETHER: Final = 2_000
"""Of one transaction."""
_PAUSE: Final = 1.0
"""Between two looks at what is due, in seconds of the community's clock."""


class _Together(Generic[G, A]):
    """Gathers what waits while the engine is busy, and has all of it taken at once.

    take : what the engine does with all of it, in the engine's thread; an answer for each
    """

    def __init__(self, take: Callable[[list[G]], Awaitable[list[A]]]) -> None:
        self._take = take
        self._waiting: list[tuple[G, asyncio.Future[A]]] = []
        self._taking: asyncio.Task[None] | None = None

    async def __call__(self, given: Sequence[G]) -> list[A]:
        if not given:
            return []
        loop = asyncio.get_running_loop()
        answers: list[asyncio.Future[A]] = [loop.create_future() for _ in given]
        self._waiting += zip(given, answers, strict=True)
        if self._taking is None or self._taking.done():
            self._taking = loop.create_task(self._take_waiting())
        return list(await asyncio.gather(*answers))

    async def _take_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:_MOST_TOGETHER], self._waiting[_MOST_TOGETHER:]
            answers: list[A] = []
            try:
                answers = await self._take([each for each, _ in batch])
            except Exception as error:  # whoever waits has to hear of it, whatever it is
                for _, waiting in batch:
                    if not waiting.done():
                        waiting.set_exception(error)
                continue
            for (_, waiting), answer in zip(batch, answers, strict=True):
                if not waiting.done():
                    waiting.set_result(answer)


class Running:
    """A living exchange and the thread that it runs in.

    clock : the community's time [unix s]; None while nothing vouches for it: then readings are taken, by the last time
        that was known, and nothing is due
    speed : how many of its seconds pass in one
    months : bills its months; None where nobody does
    """

    def __init__(self, live: Live, clock: Clock, speed: float = 1.0, months: Months | None = None) -> None:
        self.live, self.months, self._clock, self._speed = live, months, clock, speed
        self._thread = ThreadPoolExecutor(1, "exchange")
        self._last = live.exchange.now
        self.readings = _Together(self._take_readings)
        """What becomes of readings, once those that are stored are stored for good."""
        self.orders = _Together(self._take_orders)
        """The operators' receipts for orders, once they are stored for good, or why they are refused."""

    async def ask(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What a function of the engine says; it runs in the engine's thread, after those that were asked before."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: function(*args, **kwargs))

    def now(self) -> int:
        """The community's time, or the last one that was known [unix s]."""
        now = self._clock()
        self._last = self._last if now is None else max(self._last, int(now))
        return self._last

    async def keep_time(self) -> None:
        """Bring every event when it is due, until this is cancelled.

        What goes wrong with one event, such as a store or a chain that is out of reach, is logged, and tried again.
        """
        while True:
            more = False
            if self._clock() is not None:
                try:
                    await self.ask(self.live.advance, self.now())
                    more = self.months is not None and await self.ask(self.months.advance, self.now())
                except CommonwattError as error:
                    _LOGGER.error("%s", error)
                except Exception:  # nothing may end the market for good
                    _LOGGER.exception("What was due could not be done.")
            await asyncio.sleep(0 if more else _PAUSE / self._speed)

    async def _take_readings(self, signed: list[Signed[Reading]]) -> list[Judgement]:
        judged = await self.ask(self.live.readings, signed, self.now())
        if self._clock() is not None:
            return judged
        # Whether a slot is over nobody can say now: what is refused may come again.
        return [replace(each, again=True) if each.status == REFUSED else each for each in judged]

    async def _take_orders(self, signed: list[Signed[Order]]) -> list[tuple[Signed[Receipt], ...] | RecordError]:
        if self._clock() is None:
            return [RecordError("The exchange does not know the time at present; order again later.") for _ in signed]
        return await self.ask(self.live.orders, signed, self.now())

    async def take(self, messages: Messages) -> Messages:
        """Messages of meters that came by MQTT (address of the meter, payload): acknowledgements, in the same form.

        A meter speaks under its own address alone, whoever lets messages in; what another meter signed is not taken.
        """
        read = [(meter, _of_meter(meter, payload)) for meter, payload in messages]
        judged = iter(await self.readings([each for _, readings in read for each in readings]))
        answers: Messages = []
        for meter, readings in read:
            answer = acknowledge([(each.record, next(judged)) for each in readings], self.now())
            if answer:
                answers.append((meter, _payload(answer)))
        return answers

    def close(self) -> None:
        """Let the engine finish what it is at, and end its thread."""
        self._thread.shutdown()


def _of_meter(meter: bytes, payload: bytes) -> list[Signed[Reading]]:
    """The readings of a message that can be read and name the meter that sent it."""
    try:
        found = readings_of(payload)
    except RecordError as error:
        _LOGGER.warning("Meter 0x%s: %s", meter.hex(), error)
        return []
    return [each for each in found if not isinstance(each, RecordError) and each.record.meter == meter]


def _payload(answer: Acknowledgement) -> bytes:
    from pydantic_core import to_json

    return to_json(answer.as_json())


def refusal(error: RecordError) -> Judgement:
    """What is said of a reading that could not be read."""
    return Judgement(REFUSED, str(error), genuine=False)
