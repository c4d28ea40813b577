"""Simulated homes that deal with a living exchange as real ones do: over HTTP, and each meter by the broker.

They go by the exchange's clock, which they ask before everything that they do: what comes too early is refused for
good. Whoever is away is tried again; what homes decided and delivered stays in their own file meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

from commonwatt.errors import CommonwattError, ConfigError, Finding, StoreError
from commonwatt.exchange.agreement import Proposal
from commonwatt.exchange.events import GateClosure, SlotEnd
from commonwatt.exchange.files import private
from commonwatt.exchange.loading import load
from commonwatt.exchange.rules import Rules
from commonwatt.exchange.store import Store
from commonwatt.meter.protocol import REFUSED, Judgement
from commonwatt.records import Reading, Signed
from commonwatt.service.api.records import MOST
from commonwatt.service.connection import Connection
from commonwatt.service.emulated import FORECASTS, ORDERS, EmulatedHomes, Letter, claim
from commonwatt.service.exchange_client import Announced, Away, ExchangeClient, Refused
from commonwatt.service.lines import Lines, Log, Posts
from commonwatt.service.logins import Passwords
from commonwatt.service.playable import require_playable
from commonwatt.service.topics import name
from commonwatt.simulation import world
from commonwatt.simulation.homes import SigningHomes
from commonwatt.simulation.keys import simulated_keys
from commonwatt.simulation.minds import Minds, history

P = ParamSpec("P")
T = TypeVar("T")

HOMES_FILE: Final = "homes.sqlite"
_PAUSE: Final = 0.5
"""Before the same is asked again [s]."""
_SHORTEST, _LONGEST = 0.02, 30.0
"""Between two looks at the exchange's clock [s]."""
_AT_ONCE: Final = 8
"""Outlooks on their way at the same time."""


@dataclass(frozen=True)
class Setting:
    """Which homes deal with which exchange.

    file : of the community; start, days : of the period; out : folder of the homes' own file
    broker : host and port; None = readings go over HTTP; authority : who certified exchange and broker
    """

    file: Path
    url: str
    start: date
    days: int
    out: Path
    passwords: Passwords
    broker: tuple[str, int] | None = None
    authority: Path | None = None


@dataclass
class Counts:
    """What homes did since they were started: gates they decided at, slots they delivered; orders and outlooks that
    were answered, and orders and readings that were refused.

    why : the reason for which the first of the orders was refused
    """

    gates: int = 0
    slots: int = 0
    orders: int = 0
    outlooks: int = 0
    refused_orders: int = 0
    readings: int = 0
    refused_readings: int = 0
    why: str = ""

    def __str__(self) -> str:
        done = f"{self.slots} slots delivered, {self.orders} orders and {self.readings} readings answered"
        refused = f"; {self.refused_orders} of the orders were refused, the first because {self.why.rstrip('.')}"
        return f"The period is over: {done}{refused if self.refused_orders else ''}."


def emulate(setting: Setting, log: Log) -> Counts:
    """Play the homes of a community until the period is over and all readings are acknowledged. Returns the counts.

    Raises ConfigError for what cannot be played, and for another community, or another's passwords, than the
    exchange's; StoreError when the homes' file cannot be used.
    """
    community, folder, log = load(setting.file), setting.file.parent, _once(log)
    rules = Rules.of(community, folder, setting.start, setting.days)
    minds = Minds.of(community, folder)
    try:
        require_playable(str(setting.file), rules, minds)
        truth = world.build(rules, folder, history(rules, minds))
        counts = asyncio.run(_emulate(setting, rules, minds, truth, log))
    except BaseExceptionGroup as group:
        raise first_of(group) from None
    finally:
        minds.close()
    return counts


async def _emulate(setting: Setting, rules: Rules, minds: Minds, truth: world.World, log: Log) -> Counts:
    async with ExchangeClient(setting.url, setting.passwords, setting.authority) as client:
        asking = _Asking(client, log)
        announced = await _known(setting, rules, asking)
        store = _opened(setting, rules, announced)
        try:
            keys = simulated_keys(rules.community)
            homes = EmulatedHomes(SigningHomes(rules, truth, minds, store, keys, announced.domain), MOST)
            await _require_login(asking, homes, announced)
            return await Emulation(homes, asking, _to_exchange(setting, homes, asking, log), log).run()
        finally:
            store.close()


async def _known(setting: Setting, rules: Rules, asking: _Asking) -> Announced:
    """What the exchange says of itself. Raises ConfigError when it is another community's."""
    try:
        announced = await asking.insist(asking.client.announced)
    except Refused as error:
        raise ConfigError("The request", [Finding("url", f"is no exchange's: {error}")]) from None
    community = rules.community
    if (announced.name, announced.seconds) != (community.name, community.slot_seconds):
        told = f"is the exchange of '{announced.name}', and {setting.file} is of '{community.name}'"
        raise ConfigError("The request", [Finding("url", told)])
    return announced


async def _require_login(asking: _Asking, homes: EmulatedHomes, announced: Announced) -> None:
    """Raise ConfigError when the exchange does not know the homes' meters, or these passwords of them."""
    try:
        for meter in list(homes.meters.values())[:1]:
            await asking.insist(asking.client.plan, meter, announced.now, announced.seconds)
    except Refused as error:
        raise ConfigError("The request", [Finding("secret", f"is not this exchange's: {error}")]) from None


def _opened(setting: Setting, rules: Rules, announced: Announced) -> Store:
    try:
        setting.out.mkdir(mode=0o700, parents=True, exist_ok=True)
        store = Store(private(setting.out / HOMES_FILE))
    except OSError as error:
        raise StoreError(f"{setting.out} cannot be used as a folder for the homes: {error.strerror}.") from None
    period = f"{setting.start} {setting.days}"
    try:
        claim(store, f"{rules.community.whole.hex()} {period} {announced.domain.contract.hex()}")
    except BaseException:
        store.close()
        raise
    return store


def _to_exchange(setting: Setting, homes: EmulatedHomes, asking: _Asking, log: Log) -> Lines | Posts:
    """How readings come there."""
    if setting.broker is None:

        async def post(signed: Sequence[Signed[Reading]]) -> list[Judgement]:
            judged = await asking.insist(asking.client.readings, signed)
            if all(each.status != REFUSED for each in judged):
                return judged
            # An exchange that was killed may begin again before the end of a slot.
            now = (await asking.insist(asking.client.announced)).now
            pairs = zip(signed, judged, strict=True)
            return [replace(each, again=not homes.over(reading.record.slot, now)) for reading, each in pairs]

        return Posts(homes, post, log)
    host, port = setting.broker

    def connection(meter: bytes) -> Connection:
        return Connection(host, port, name(meter), setting.passwords.of(name(meter)), setting.authority)

    return Lines(homes, {home: connection(meter) for home, meter in homes.meters.items()}, log)


class _Asking:
    """Asks the exchange until it answers, and says when it is away.

    back : called when it answers again
    """

    def __init__(self, client: ExchangeClient, log: Log) -> None:
        self.client, self._log, self._away = client, log, False
        self.back: Callable[[], None] = lambda: None

    async def insist(self, ask: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """What a question of the client is answered. Raises Refused."""
        while True:
            try:
                found = await ask(*args, **kwargs)
            except Away as error:
                if not self._away:
                    self._log(f"{error} It is asked again.")
                self._away = True
                await asyncio.sleep(_PAUSE)
            else:
                if self._away:
                    self._away = False
                    self.back()
                return found


class Emulation:
    """The homes at work.

    readings : how these come to the exchange
    """

    def __init__(self, homes: EmulatedHomes, asking: _Asking, readings: Lines | Posts, log: Log) -> None:
        self.homes, self._asking, self._readings, self._log = homes, asking, readings, log
        self.counts = Counts()
        self._letters = asyncio.Event()
        asking.back = partial(readings.say_again, homes.meters)
        self._now, self._speed, self._asked_at = 0, 1.0, time.monotonic()

    async def run(self) -> Counts:
        """Until the period is over, and the exchange has answered everything."""
        async with asyncio.TaskGroup() as tasks:
            meanwhile = [tasks.create_task(self._readings.run()), tasks.create_task(self._say_letters())]
            self._letters.set()
            self._readings.wake.set()
            await self._look()
            while self.homes.next is not None:
                await self._do(self.homes.next)
            while not self.homes.finished:
                await asyncio.sleep(_SHORTEST)
            for each in meanwhile:
                each.cancel()
        self.counts.readings = self._readings.acknowledged
        self.counts.refused_readings = self._readings.refused
        return self.counts

    async def _do(self, event: GateClosure | SlotEnd) -> None:
        """What homes do next, as soon as it is due."""
        await self._until(self.homes.due)
        if isinstance(event, SlotEnd):
            await self._be_told(event.slot)
            self.homes.deliver(event)
            self.counts.slots += 1
            self._readings.wake.set()
        elif self._now >= event.at:
            when = f"{datetime.fromtimestamp(event.at, UTC):%Y-%m-%d %H:%M} UTC"
            self._log(f"The gate of {when} had closed before the homes decided; they order nothing at it.")
            self.homes.pass_over(event)
        else:
            decide = self.homes.forecast if self.homes.agree_before(event) else self.homes.decide
            await asyncio.to_thread(decide, event)
            self.counts.gates += 1
            self._letters.set()

    async def _until(self, instant: int) -> None:
        """Return when the exchange's clock is there [unix s]. It is looked at as seldom as its speed allows."""
        while self._now < instant:
            passed = (time.monotonic() - self._asked_at) * self._speed
            pause = (instant - self._now - passed) / self._speed
            await asyncio.sleep(min(max(pause, _SHORTEST), _LONGEST))
            await self._look()

    async def _look(self) -> None:
        """At the exchange's clock."""
        announced = await self._insist(self._asking.client.announced)
        self._now, self._speed, self._asked_at = announced.now, announced.speed, time.monotonic()

    async def _be_told(self, slot: int) -> None:
        """Return when all homes know what is agreed for a slot. What the broker did not bring is asked for."""
        seconds = self.homes.homes.rules.period.seconds
        while missing := self.homes.without_word(slot):
            for home in missing:
                self.homes.hear(
                    home, await self._insist(self._asking.client.plan, self.homes.meters[home], slot, seconds)
                )
                if home in self.homes.without_word(slot):
                    await asyncio.sleep(_PAUSE)
                    break

    async def _insist(self, ask: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the exchange answers, which it has answered before: that it refuses is a reason to ask again."""
        while True:
            try:
                return await self._asking.insist(ask, *args, **kwargs)
            except Refused as error:
                self._log(str(error))
                await asyncio.sleep(_LONGEST)

    async def _say_letters(self) -> None:
        """Forecasts; then orders, one list after the other so that they arrive as they were made; and then outlooks."""
        while True:
            await self._letters.wait()
            self._letters.clear()
            while letters := self.homes.letters:
                first = letters[0]
                if first.home == FORECASTS:
                    await self._agree(first)
                    continue
                outlooks = takewhile(lambda letter: letter.home >= 0, letters[:_AT_ONCE])
                said = [first] if first.home == ORDERS else list(outlooks)
                await asyncio.gather(*map(self._say, said))
                self.homes.answered(said)

    async def _agree(self, letter: Letter) -> None:
        """Say what homes forecast, and hear what each is proposed once they have agreed."""
        first, forecasts = self.homes.forecasts(letter)
        said = list(forecasts.items())
        for place in range(0, len(said), _AT_ONCE):
            await asyncio.gather(*(self._say_forecast(*each) for each in said[place : place + _AT_ONCE]))
        proposals: dict[int, Proposal] = {}
        for home in forecasts:
            if (proposal := await self._proposed(home, first)) is None:
                self._log("The gate had closed before the homes agreed; they order nothing at it.")
                self.homes.answered([letter])
                return
            proposals[home] = proposal
        await asyncio.to_thread(self.homes.agree, letter, proposals)

    async def _say_forecast(self, home: int, body: bytes) -> None:
        try:
            await self._asking.insist(self._asking.client.forecast, self.homes.meters[home], body)
        except Refused as error:  # said before this was killed, it is agreed on already
            self._log(str(error))

    async def _proposed(self, home: int, first: int) -> Proposal | None:
        """What a home is proposed for the slots from `first` [start, unix s] on; None once their gate has closed."""
        while True:
            proposal = await self._insist(self._asking.client.proposal, self.homes.meters[home])
            if proposal.first > first:
                return None
            if proposal.first == first and proposal.net:
                return proposal
            await asyncio.sleep(_PAUSE)

    async def _say(self, letter: Letter) -> None:
        client = self._asking.client
        try:
            if letter.home == ORDERS:
                refused = await self._asking.insist(client.orders, letter.body)
                self.counts.orders += letter.orders
                self.counts.refused_orders += len(refused)
                if refused:
                    self.counts.why = self.counts.why or refused[0]
                    self._log(f"{len(refused)} of {letter.orders} orders are refused, the first because: {refused[0]}")
            else:
                await self._asking.insist(client.outlook, self.homes.meters[letter.home], letter.body)
                self.counts.outlooks += 1
        except Refused as error:
            self._log(str(error))


def _once(log: Log) -> Log:
    """Says nothing twice in a row: what happens to one home happens to many."""
    last = ""

    def say(line: str) -> None:
        nonlocal last
        if line != last:
            log(line)
        last = line

    return say


def first_of(group: BaseExceptionGroup[Any]) -> BaseException:
    """The error for a person among those with which tasks ended, or another one where there is none."""
    found: list[BaseException] = list(group.exceptions)
    while any(isinstance(each, BaseExceptionGroup) for each in found):
        found = [
            inner for each in found for inner in (each.exceptions if isinstance(each, BaseExceptionGroup) else [each])
        ]
    return next((each for each in found if isinstance(each, CommonwattError)), found[0])
