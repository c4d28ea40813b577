"""A living exchange at work: one thread has the engine, and whoever waits on sockets asks it.

What comes at the same time is stored together: each door gathers what waits while the engine is busy, and the engine
takes all of it in one transaction. So what stands in the way of one message stands in the way of all only as long as a
transaction lasts.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Final, Generic, ParamSpec, TypeVar

from commonwatt.errors import CommonwattError, LedgerError, RecordError
from commonwatt.exchange.agreement import Agreement
from commonwatt.exchange.demands import Demands
from commonwatt.exchange.events import Correction, Event, GateClosure
from commonwatt.exchange.live import Live, Said
from commonwatt.exchange.news import ORDER, news, ordered
from commonwatt.meter.protocol import REFUSED, Acknowledgement, Judgement, acknowledge, readings_of, time_said
from commonwatt.records import Order, Reading, Receipt, Signed
from commonwatt.service.agreeing import agreed_apart
from commonwatt.service.board import Board
from commonwatt.service.clock import UNVOUCHED, DemoClock, VouchedClock
from commonwatt.service.feed import Feed
from commonwatt.service.figures import Figures
from commonwatt.service.logs import tell
from commonwatt.service.mqtt import Messages
from commonwatt.service.refusals import Refusals
from commonwatt.service.relays import Relays
from commonwatt.service.topics import LIVE

if TYPE_CHECKING:
    from commonwatt.service.signing import Watch

P = ParamSpec("P")
T = TypeVar("T")
G = TypeVar("G")
A = TypeVar("A")
Clock = Callable[[], float | None]

_LOGGER: Final = logging.getLogger(__name__)
_READERS: Final = 2
"""Threads of those who read the store beside the engine."""
_MOST_TOGETHER: Final = 2_000
"""Of one transaction."""
_PAUSE: Final = 1.0
"""Between two looks at what is due, in seconds of the community's clock."""
_DEMANDED: Final = 10
"""Between two looks for demands on the ledger at most, in seconds of the community's clock."""
_SHORTEST: Final = 0.02
"""The same, however fast that goes [s]."""


class _Together(Generic[G, A]):
    """Gathers what waits while the engine is busy, and has all of it taken at once.

    take : what the engine does with all of it, in the engine's thread; an answer for each
    took : is told how long that was [s]
    """

    def __init__(self, take: Callable[[list[G]], Awaitable[list[A]]], took: Callable[[float], None]) -> None:
        self._take, self._took = take, took
        self._waiting: deque[tuple[Sequence[G], asyncio.Future[list[A]]]] = deque()
        self._taking: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many wait that are not being taken yet."""
        return sum(len(given) for given, _ in self._waiting)

    async def __call__(self, given: Sequence[G]) -> list[A]:
        loop, answers = asyncio.get_running_loop(), list[asyncio.Future[list[A]]]()
        for first in range(0, len(given), _MOST_TOGETHER):
            answers.append(loop.create_future())
            self._waiting.append((given[first : first + _MOST_TOGETHER], answers[-1]))
        if answers and (self._taking is None or self._taking.done()):
            self._taking = loop.create_task(self._take_waiting())
        return [answer for part in await asyncio.gather(*answers) for answer in part]

    async def _take_waiting(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft()]
            together = list(batch[0][0])
            while self._waiting and len(together) + len(self._waiting[0][0]) <= _MOST_TOGETHER:
                batch.append(self._waiting.popleft())
                together += batch[-1][0]
            begun = time.perf_counter()
            try:
                answers = iter(await self._take(together))
            except Exception as error:  # whoever waits has to hear of it, whatever it is
                for _, waiting in batch:
                    if not waiting.done():
                        waiting.set_exception(error)
                continue
            finally:
                self._took(time.perf_counter() - begun)
            for given, waiting in batch:
                own = list(islice(answers, len(given)))
                if not waiting.done():
                    waiting.set_result(own)


class Running:
    """A living exchange and the thread that it runs in.

    clock : the community's time [unix s]; None while nothing vouches for it: then readings are taken, by the last time
        that was known, and nothing is due
    vouching : the same clock, where somebody has to vouch for it
    speed : how many of its seconds pass in one
    waits : of a day that is played: it goes no further before all homes have spoken
    chores : done when nothing else is due, each told the time [unix s]; it returns whether there is more to do at once
    vouched_for : told whether somebody vouches for the clock, whenever that changes, as a chain of the exchange's own,
        which makes no block while nobody does; None where there is none
    figures : what is counted of its work
    """

    def __init__(
        self,
        live: Live,
        clock: Clock,
        speed: float = 1.0,
        waits: DemoClock | None = None,
        chores: Sequence[Callable[[int], bool]] = (),
        vouching: VouchedClock | None = None,
        vouched_for: Callable[[bool], None] | None = None,
    ) -> None:
        self._vouching, self._vouched_for = vouching, vouched_for
        self._said: bool | None = None
        self.live, self._clock, self.speed, self._waits, self._chores = live, clock, speed, waits, chores
        self.figures = Figures()
        self._thread, self._readers = ThreadPoolExecutor(1, "exchange"), ThreadPoolExecutor(_READERS, "readers")
        self._last = live.exchange.now
        self.demands = Demands(live.exchange)
        self.relays = Relays(self)
        self.board = Board(self)
        self.feed = Feed(self.board.told)
        self.refusals = Refusals()
        self.watches: dict[bytes, Watch] = {}
        """Devices that the exchange signs for, by their meter's address."""
        self.readings = _Together(self._take_readings, self.figures.batches.labels("readings").observe)
        """What becomes of readings, once those that are stored are stored for good."""
        self.orders = _Together(self._take_orders, self.figures.batches.labels("orders").observe)
        """The operators' receipts for orders, once they are stored for good, or why they are refused."""
        self.outlooks = _Together(self._take_outlooks, self.figures.batches.labels("outlooks").observe)
        """Why what homes say of their plans is not kept, or None once it is stored for good."""
        self._answers = 0
        """When demands are looked for again [unix s]."""
        self._agreeing: asyncio.Task[None] | None = None
        self._agrees_for: int | None = None
        """The first slot [start, unix s] of the gate before which homes agree."""
        self._disagreed = ""
        """Why homes could not agree when they tried last; "" = they could."""

    async def ask(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What a function of the engine says; it runs in the engine's thread, after those that were asked before."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: function(*args, **kwargs))

    async def read(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What a function says that reads the store alone and asks no ledger; it runs beside the engine, and sees what
        was committed."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, lambda: function(*args, **kwargs))

    def now(self) -> int:
        """The community's time, or the last one that was known [unix s]."""
        now = self._clock()
        self._last = self._last if now is None else max(self._last, int(now))
        return self._last

    def known(self) -> int | None:
        """The community's time [unix s]; None while nothing vouches for it."""
        return self.now() if self.vouched else None

    def exactly(self) -> float | None:
        """The community's time [unix s], not rounded; None while nothing vouches for it."""
        return self._clock()

    @property
    def vouched(self) -> bool:
        """Whether something vouches for the clock."""
        return self._clock() is not None

    @property
    def doubt(self) -> str:
        """Why nothing vouches for the clock; empty when something does."""
        if self.vouched:
            return ""
        return self._vouching.doubt if self._vouching else UNVOUCHED

    async def vouch(self, said: int, who: str) -> None:
        """Take somebody's word that the clock is right; said : the time by another one [unix s].

        Raises RecordError where it cannot be right, or where the clock is none that needs a word.
        """
        if self._vouching is None:
            raise RecordError("This exchange goes by a clock of its own, which needs nobody's word.")
        await self.ask(lambda clock: clock.vouch(said, who, self._past()), self._vouching)

    def notice(self, meter: bytes, word: str, payload: bytes) -> None:
        """Hear what a meter says unsigned: of its relay, and the time, by its own clock."""
        self.relays.hear(meter, word, payload)
        if self._vouching and word == LIVE and (said := time_said(payload)) is not None:
            self._vouching.heard(meter, said)

    async def look(self) -> None:
        """Ask who vouches for the clock, where nobody does."""
        if self._vouching:
            await self.ask(self._look, self._vouching)
        if self._said != (said := self.vouched):
            self._said = said
            if self._vouched_for:
                self._vouched_for(said)

    def _look(self, clock: VouchedClock) -> None:
        if clock() is not None:
            return
        try:
            past = self._past()
        except LedgerError as error:
            clock.doubted(str(error))
        else:
            clock.look(past, self.live.roster.in_service(self.live.exchange.now))

    def _past(self) -> dict[str, float]:
        """Times before which it cannot be [unix s]. Raises LedgerError while the chain cannot be asked."""
        exchange = self.live.exchange
        return {
            "what the exchange did last": exchange.now,
            "the chain's last block": exchange.client.node.head.timestamp,
        }

    async def keep_time(self) -> None:
        """Bring every event when it is due, until this is cancelled.

        What goes wrong with one event, such as a store or a chain that is out of reach, is logged, and tried again.
        Raises StoreError where the store has to be opened again: what became of the last event is then found in it.
        """
        told: tuple[str, ...] = ()
        try:
            while True:
                await self.ask(self.live.store.require_session)
                more, wrong = await self._tried(self._bring_due(), told)
                answered, unanswered = await self._tried(self._answer(), told)
                told = wrong, unanswered
                await asyncio.sleep(0 if more or answered else max(_PAUSE / self.speed, _SHORTEST))
        finally:
            if self._agreeing:
                self._agreeing.cancel()
                await asyncio.wait([self._agreeing])

    async def _tried(self, work: Awaitable[bool], told: Sequence[str]) -> tuple[bool, str]:
        """Whether there is more to do at once, and what went wrong, which is logged unless it was `told` last."""
        try:
            return await work, ""
        except CommonwattError as error:
            if str(error) not in told:
                _LOGGER.error("%s", error)
            return False, str(error)
        except Exception:  # nothing may end the market for good
            _LOGGER.exception("What was due could not be done.")
            return False, ""

    async def _bring_due(self) -> bool:
        await self.look()
        if not self.vouched:
            return False
        if await self._advance():
            return True
        return any([await self.ask(chore, self.now()) for chore in self._chores])

    async def _answer(self) -> bool:
        # Demands end by the chain's clock, whoever vouches for this one; a chain that makes no block takes no answer.
        if (self._vouched_for and not self.vouched) or self.now() < self._answers:
            return False
        before = dict(self.demands.why)
        if not (more := await self.ask(self.demands.advance, self.now())):
            ledger = self.live.exchange.rules.community.ledger
            # Of the time that an answer has, most is for the answer.
            self._answers = self.now() + min(_DEMANDED, (ledger.answer or ledger.window) // 4)
        for each in self.demands.open:
            if (why := self.demands.why.get(each.number)) and before.get(each.number) != why:
                _LOGGER.error("A demand for %s cannot be answered: %s It is tried again.", each.name, why)
        return more

    async def _advance(self) -> bool:
        """Bring what is due. Returns whether there may be more to do at once."""
        before = self.live.behind
        done = await self.ask(self.live.advance, self.now())
        if self.live.behind and self.live.behind != before:
            _LOGGER.error("%s It is tried again.", self.live.behind)
        gate = self.live.exchange.next_gate
        if self._agreeing and self._agrees_for != (gate and gate.slots.start):
            self._agreeing.cancel()  # whatever a home has forecast, the next gate's homes wait for no other one
        if (self._agreeing is None or self._agreeing.done()) and (
            agreement := await self.ask(self.live.horizon.due, self.now())
        ):
            self._agreeing, self._agrees_for = asyncio.create_task(self._agree(agreement)), agreement.first
        if self._waits:
            until = await self.ask(self.live.awaited)
            self._waits.hold(self.now() if self.live.behind else math.inf if until is None else until)
        for event in done:
            await self._tell(event)
        return bool(done)

    async def _agree(self, agreement: Agreement) -> None:
        """Have homes agree, beside everything else."""
        try:
            await self.ask(self.live.horizon.agreed, agreement, await agreed_apart(agreement))
        except Exception as error:  # nothing may end the market for good
            if str(error) != self._disagreed:
                tell(_LOGGER, "The homes could not agree, and try it again until the gate closes", error)
            self._disagreed = str(error)
        else:
            self._disagreed = ""

    async def _tell(self, event: Event | Correction) -> None:
        """Tell whoever listens what was done. Not beside the engine: what is due waits for nobody who reads."""
        self.feed.own(*await self.ask(news, self.live.store, event))
        self.feed.changed(event.slots.starts.tolist() if isinstance(event, GateClosure) else [event.slot])

    async def _take_readings(self, signed: list[Signed[Reading]]) -> list[Judgement]:
        now = self.now()
        judged = await self.ask(self.live.readings, signed, now)
        for reading, each in zip(signed, judged, strict=True):
            if each.status == REFUSED:
                enrolled = self.live.roster.service(reading.record.meter) is not None
                self.refusals.note(reading, each, now, enrolled=enrolled)
        for status, number in Counter(each.status for each in judged).items():
            self.figures.readings.labels(status).inc(number)
        if self.vouched:
            return judged
        # Whether a slot is over nobody can say now: what is refused may come again.
        return [replace(each, again=True) if each.status == REFUSED else each for each in judged]

    async def _take_outlooks(self, said: list[Said]) -> list[RecordError | None]:
        return await self.ask(self.live.outlooks, said)

    async def _take_orders(self, signed: list[Signed[Order]]) -> list[tuple[Signed[Receipt], ...] | RecordError]:
        answers: list[tuple[Signed[Receipt], ...] | RecordError]
        if self.vouched:
            answers = await self.ask(self.live.orders, signed, self.now())
        else:
            unsure = RecordError("The exchange does not know the time at present; order again later.")
            answers = [unsure for _ in signed]
        for order, answer in zip(signed, answers, strict=True):
            refused = isinstance(answer, RecordError)
            self.figures.orders.labels("refused" if refused else "accepted").inc()
            known = self.live.roster.at(order.record.slot).filed.get(order.record.member)
            if known and not isinstance(answer, RecordError):
                self.feed.own(ORDER, {known[0]: ordered(answer)})
        return answers

    async def take(self, messages: Messages) -> Messages:
        """Messages of meters that came by MQTT (address of the meter, payload): acknowledgements, in the same form.

        A meter speaks under its own address alone, whoever lets messages in; what another meter signed is not taken.
        """
        read = [(meter, _of_meter(meter, payload)) for meter, payload in messages]
        judged = iter(await self.readings([each for _, readings in read for each in readings]))
        answers: Messages = []
        for meter, readings in read:
            answer = acknowledge([(each.record, next(judged)) for each in readings], self.known() or 0)
            if answer:
                answers.append((meter, _payload(answer)))
        return answers

    def close(self) -> None:
        """Let the engine and whoever reads finish what they are at, and end their threads."""
        self._thread.shutdown()
        self._readers.shutdown()


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
