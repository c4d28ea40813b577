"""The exchange signs for meters that cannot: devices are listened to, and the slots that they counted become readings.

Readings of devices take the same way as all others. What is kept of a device is in the exchange's store: each slot that
is due from before it is signed until it is stored, and the registers every half a minute, which is often enough since
they count on by themselves. Samples need the time; while nothing vouches for the clock, messages wait.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from commonwatt.errors import CommonwattError, DataError
from commonwatt.exchange import tables
from commonwatt.exchange.store import Store, put
from commonwatt.meter.device import Ask, Kept, Watched, hear
from commonwatt.meter.slots import Metered, Quarantined, Rules, State
from commonwatt.meter.telegrams import Message
from commonwatt.proof import Domain, Key, sign
from commonwatt.records import Reading, Signed
from commonwatt.service import devices
from commonwatt.service.connection import Connection
from commonwatt.service.devices import Device, Devices
from commonwatt.service.listening import sources
from commonwatt.service.logins import Role
from commonwatt.service.running import Running
from commonwatt.service.topics import name

_LOGGER: Final = logging.getLogger(__name__)
_PAUSE: Final = 1.0
"""Between two looks at what has come [s]."""
_SAVE_SECONDS: Final = 30.0
_RETRY_SECONDS: Final = 30.0
"""Between two tries to hand over what could not be stored."""
_UNREGISTERED: Final = 8
"""Slots of a meter that nobody registered yet that are kept."""
_MOST_WAITING: Final = 10_000
_MOST_BYTES: Final = 8 << 20
"""Messages of a device that wait, and what they have together: the oldest are let go of."""
_SHOWN: Final = 30
"""Messages of a device that an operator is shown, understood."""


@dataclass
class Watch:
    """One device at work.

    since : when the box began to sign for it [unix s]
    waiting : messages with the time of their arrival [unix ms, None = not known yet] and the monotonic one [s]
    size : of what they say [bytes]
    shown : the last messages; trouble : why it cannot be heard; "" = it is listened to
    saved : what is in the store
    """

    device: Device
    key: Key
    rules: Rules
    watched: Watched
    since: int
    saved: Kept | None = None
    waiting: deque[tuple[str, bytes, int | None, float]] = field(default_factory=deque)
    size: int = 0
    shown: deque[Message] = field(default_factory=lambda: deque(maxlen=_SHOWN))
    trouble: str = "It is not listened to yet."
    told: dict[str, str] = field(default_factory=dict)

    @property
    def kept(self) -> Kept:
        """What a restart must not lose."""
        return self.watched.kept

    @property
    def news(self) -> bool:
        """Whether there are slots that are not kept yet."""
        return bool(self.kept.due) and (self.saved is None or self.kept.due != self.saved.due)

    def hear(self, topic: str, payload: bytes, at: int | None, monotonic: float) -> None:
        """Keep a message until it is counted; times as of `waiting`."""
        self.waiting.append((topic, payload, at, monotonic))
        self.size += len(payload)
        while len(self.waiting) > _MOST_WAITING or self.size > _MOST_BYTES:
            self.size -= len(self.waiting.popleft()[1])

    def forget(self, slots: Sequence[Metered]) -> None:
        """These are not due any more."""
        self.watched = replace(self.watched, kept=self.kept.without(slots))

    def say(self, what: str, sentence: str) -> None:
        """Log something of it, once until it is something else; "" = all is well."""
        if sentence != self.told.get(what, ""):
            self.told[what] = sentence
            if sentence:
                _LOGGER.warning("Meter %s (%s): %s", name(self.device.meter), self.device.where, sentence)


class Signing:
    """Reads an exchange's devices and signs for them.

    folder : of the exchange; connection : to its broker, of the user who listens to devices; None without a broker
    monotonic : seconds that only go forward
    """

    def __init__(
        self,
        running: Running,
        folder: Path,
        connection: Connection | None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._running, self._folder, self._connection, self._monotonic = running, folder, connection, monotonic
        self._stamp: object = None
        self._sources = list[asyncio.Task[None]]()
        self._asks = asyncio.Queue[Ask]()
        self._saved_at = self._tried_at = 0.0
        self.roles: tuple[Role, ...] = ()
        """Whom the broker has to let in for the devices."""

    @property
    def watches(self) -> dict[bytes, Watch]:
        """The devices by their meter's address, where whoever asks the exchange finds them."""
        return self._running.watches

    async def run(self) -> None:
        """Go on until this is cancelled; then what is known is kept."""
        try:
            while True:
                try:
                    await self._look()
                    await self._work()
                except CommonwattError as error:
                    _LOGGER.error("Devices: %s It is tried again.", error)
                except Exception:  # nothing may end it for good
                    _LOGGER.exception("Devices could not be read.")
                await asyncio.sleep(_PAUSE)
        finally:
            await self._end_sources()
            with suppress(CommonwattError):
                await self._save()

    # Which devices there are

    async def _look(self) -> None:
        """Take the devices as the folder has them now."""
        found = devices.stamp(self._folder)
        if found == self._stamp:
            return
        await self._end_sources()
        await self._save()
        known = await asyncio.to_thread(devices.read, self._folder)
        await self._watch(known)
        self._stamp, self.roles = found, known.roles()
        for sentence in known.troubles:
            _LOGGER.error("%s", sentence)
        listened = [watch.device for watch in self.watches.values()]
        wanted = sources(listened, self._connection, self._hear, self._troubled, self._asks)
        self._sources = [asyncio.create_task(each) for each in wanted]

    async def _watch(self, known: Devices) -> None:
        """Go on with each where it was; who is new counts from now on."""
        live, before = self._running.live, dict(self.watches)
        rows = {row.meter: row for row in await self._running.read(live.store.rows, tables.devices)}
        found = dict[bytes, Watch]()
        for device, key in known.devices:
            earlier, row = before.get(device.meter), rows.get(name(device.meter))
            if earlier and earlier.device == device:
                found[device.meter] = earlier
                continue
            rules = device.rules(live.slots.seconds, live.slots.offset)
            kept = _kept(row.kept if row else "", device, rules)
            since = row.since if row else self._running.now()
            found[device.meter] = Watch(device, key, rules, Watched.of(kept, device.reader), since)
        self.watches.clear()
        self.watches.update(found)
        await self._save()

    async def _end_sources(self) -> None:
        for each in self._sources:
            each.cancel()
        await asyncio.gather(*self._sources, return_exceptions=True)
        self._sources = []

    # What they say

    def _hear(self, device: Device, topic: str, payload: bytes) -> None:
        watch = self.watches.get(device.meter)
        if watch is not None:
            watch.hear(topic, payload, self._now(), self._monotonic())

    def _troubled(self, device: Device | None, why: str) -> None:
        for watch in self.watches.values():
            if watch.device == device or (device is None and watch.device.says):
                watch.trouble = why
                watch.say("trouble", why)

    def _now(self) -> int | None:
        """[unix ms]; None while nothing vouches for the clock."""
        now = self._running.exactly()
        return None if now is None else int(now * 1000)

    async def _work(self) -> None:
        """Count what has come, hand over what is due, keep the rest."""
        now = self._now()
        if now is None:
            return
        for watch in self.watches.values():
            self._count(watch, now)
        due = any(watch.news for watch in self.watches.values())
        if due or self._monotonic() - self._saved_at > _SAVE_SECONDS:
            await self._save()
        if due or self._monotonic() - self._tried_at > _RETRY_SECONDS:
            await self._hand_over()

    def _count(self, watch: Watch, now: int) -> None:
        passed, messages = self._monotonic(), list[Message]()
        while watch.waiting:
            topic, payload, at, heard = watch.waiting.popleft()
            watch.size -= len(payload)
            messages.append(Message(topic, payload, now - int((passed - heard) * 1000) if at is None else at))
        watch.shown.extend(messages)
        before = watch.kept
        for ask in _heard(watch, messages, now):
            self._asks.put_nowait(ask)
        if watch.kept.refused > before.refused:
            watch.say("aside", _set_aside(watch.kept.aside[-1]))
        elif watch.kept.due != before.due:
            watch.say("aside", "")

    async def _hand_over(self) -> None:
        """Bring readings of all slots that are due to the exchange; those that it may take later stay due."""
        self._tried_at = self._monotonic()
        live, wanted = self._running.live, list[tuple[Watch, Metered]]()
        for watch in self.watches.values():
            _, service = live.roster.service(watch.device.meter) or (-1, None)
            if service is None:  # until the operators register it; the last slots may be such that count then
                watch.forget(watch.kept.due[:-_UNREGISTERED])
                continue
            watch.forget([slot for slot in watch.kept.due if slot.slot < service.since])
            wanted += ((watch, slot) for slot in watch.kept.due)
        readings = [_reading(live.exchange.domain, watch.key, slot, watch.rules.seconds) for watch, slot in wanted]
        judged = await self._running.readings(readings)
        for (watch, slot), each in zip(wanted, judged, strict=True):
            if not each.again:
                watch.forget([slot])
        await self._save()

    async def _save(self) -> None:
        self._saved_at = self._monotonic()
        changed = {meter: watch for meter, watch in self.watches.items() if watch.kept != watch.saved}
        if not changed:
            return
        kept = {meter: (watch.since, watch.kept) for meter, watch in changed.items()}
        await self._running.ask(_write, self._running.live.store, kept)
        for meter, watch in changed.items():
            watch.saved = kept[meter][1]


def _kept(text: str, device: Device, rules: Rules) -> Kept:
    try:
        return Kept.from_text(text).under(rules, device.anew)
    except DataError as error:
        if text:
            _LOGGER.error("Meter %s: %s", name(device.meter), error)
        return Kept(State.of(rules), device.anew)


def _write(store: Store, kept: Mapping[bytes, tuple[int, Kept]]) -> None:
    with store.transaction() as connection:
        for meter, (since, each) in kept.items():
            put(connection, tables.devices, (name(meter), since, each.as_text()))


def _reading(domain: Domain, key: Key, slot: Metered, seconds: int) -> Signed[Reading]:
    """The same each time, so that whatever is brought twice is stored once."""
    return sign(domain, Reading(key.address, slot.slot, slot.wh_in, slot.wh_out, slot.slot // seconds), key)


def _heard(watch: Watch, messages: Sequence[Message], now: int) -> Sequence[Ask]:
    """What to ask a device that has said this. One message with something that nobody thought of holds up no other, and
    no other device."""
    asks, parts, told = list[Ask](), [messages], False
    while parts:
        part = parts.pop(0)
        try:
            watch.watched, more = hear(watch.watched, watch.device.reader, watch.rules, part, now)
            asks += more
        except Exception:
            if len(part) > 1:
                parts = [[message] for message in part]
            elif not told:
                told = True
                _LOGGER.exception("What %s says cannot be counted.", watch.device.where)
    return asks


def _set_aside(each: Quarantined) -> str:
    told = f"The {each.register} register shows what {each.reason}; it is set aside."
    return f"{told} Where the meter was replaced or set back, let it count anew: commonwatt meter anew"
