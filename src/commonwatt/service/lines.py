"""How the readings of emulated homes come to their exchange: each meter by its own connection to the broker, or all of
them together over HTTP.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pydantic_core import to_json

from commonwatt.errors import BrokerError, RecordError
from commonwatt.meter.protocol import MOST_IN_MESSAGE, REFUSED, Acknowledgement, DeviceOutbox, Judgement, signed_json
from commonwatt.records import Reading, Signed
from commonwatt.records.strict_json import loads
from commonwatt.service.api.records import MOST
from commonwatt.service.connection import Connection
from commonwatt.service.emulated import EmulatedHomes
from commonwatt.service.plans import plan_told
from commonwatt.service.topics import ACK, PLAN, READING, topic

if TYPE_CHECKING:
    import aiomqtt

Log = Callable[[str], None]

# What the library has to say of a lost connection is said here, once and as a sentence.
logging.getLogger("mqtt").setLevel(logging.CRITICAL)
_RECONNECT_SECONDS: Final = 1.0
_EARLY_SECONDS: Final = 1.0
"""After the exchange said that a slot is not over, as one does whose clock begins again."""
_LOOK_SECONDS: Final = 0.5
"""Between two looks whether a reading has to be said again."""
_LONGEST_PLAN: Final = 100_000
"""Bytes of a message."""


class Lines:
    """One connection to the broker for each home with a meter.

    connections : by member index
    wake : set when there is something to say
    acknowledged, refused : readings that need not be said again; of these, such as are never taken
    """

    def __init__(self, homes: EmulatedHomes, connections: Mapping[int, Connection], log: Log) -> None:
        self.homes, self._connections, self._log = homes, connections, log
        self.wake = asyncio.Event()
        self.acknowledged = self.refused = 0
        self._clients: dict[int, aiomqtt.Client] = {}
        self._answers: list[tuple[int, Acknowledgement]] = []
        self._told_of = ""

    async def run(self) -> None:
        """Go on until this is cancelled; what is lost with a connection is said again by the next one."""
        async with asyncio.TaskGroup() as tasks:
            for home, connection in self._connections.items():
                tasks.create_task(self._stay_connected(home, connection))
            tasks.create_task(self._say_readings())

    def say_again(self, homes: Iterable[int]) -> None:
        """Say at once what the exchange has not acknowledged of these homes."""
        for home in homes:
            self.homes.outboxes[home] = self.homes.outboxes[home].connected()
        self.wake.set()

    async def _stay_connected(self, home: int, connection: Connection) -> None:
        import aiomqtt

        while True:
            try:
                async with connection.client() as client:
                    await self._stay(home, client)
            except aiomqtt.MqttError as error:
                self._lost(connection.refused(error))
            except BrokerError as error:
                self._lost(error)
            finally:
                self._clients.pop(home, None)
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _stay(self, home: int, client: aiomqtt.Client) -> None:
        """One connection, until it ends."""
        meter = self.homes.meters[home]
        await client.subscribe([(topic(meter, ACK), 1), (topic(meter, PLAN), 1)])
        self._clients[home], self._told_of = client, ""
        self.say_again([home])
        async for message in client.messages:
            with suppress(RecordError):  # a broker that says nonsense is heard no further
                self._hear(home, message.topic.value, bytes(message.payload or b""))

    def _hear(self, home: int, where: str, payload: bytes) -> None:
        if where.endswith(f"/{ACK}"):
            self._answers.append((home, Acknowledgement.from_payload(payload)))
            self.wake.set()
            return
        try:
            given = loads(payload, _LONGEST_PLAN)
        except ValueError as error:
            raise RecordError(f"A plan cannot be read: {error}.") from None
        self.homes.hear(home, plan_told(given, self.homes.homes.rules.period.seconds))

    def _lost(self, error: BrokerError) -> None:
        """Of all connections, and all tries, the first says it."""
        if not self._told_of:
            self._log(f"{error} It is tried again every {_RECONNECT_SECONDS:g} s.")
        self._told_of = str(error)

    async def _say_readings(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self.wake.wait()
            self.wake.clear()
            self._take_answers()
            await asyncio.gather(*(self._say(home, client) for home, client in list(self._clients.items())))

    async def _say(self, home: int, client: aiomqtt.Client) -> None:
        """The message that is due of a home, if one is."""
        import aiomqtt

        outboxes = self.homes.outboxes
        outboxes[home], message = outboxes[home].send(time.monotonic_ns() // 1_000_000)
        if message:
            payload = to_json([signed_json(each) for each in message])
            with suppress(aiomqtt.MqttError):  # the connection has ended, and the next one says it again
                await client.publish(topic(self.homes.meters[home], READING), payload, qos=1)

    def _take_answers(self) -> None:
        """What the exchange has acknowledged since the last look."""
        answers, self._answers = self._answers, []
        left = dict[int, DeviceOutbox]()
        for home, answer in answers:
            outbox = left.get(home, self.homes.outboxes[home])
            if self.homes.begins_again(outbox.waiting, answer):
                asyncio.get_running_loop().call_later(_EARLY_SECONDS, self.say_again, [home])
                continue
            with suppress(RecordError):  # to a number that was never used here
                left[home] = outbox.acknowledged(answer)
                for _, why in answer.refused:
                    self.refused += 1
                    self._log(why)
        self.acknowledged += self.homes.settle(left)


class Posts:
    """All readings in lists over HTTP; otherwise as `Lines`.

    post : brings readings to the exchange, however long it is away; what becomes of each
    """

    def __init__(self, homes: EmulatedHomes, post: Callable[..., Awaitable[list[Judgement]]], log: Log) -> None:
        self.homes, self._post, self._log = homes, post, log
        self.wake = asyncio.Event()
        self.acknowledged = self.refused = 0

    async def run(self) -> None:
        """Go on until this is cancelled."""
        while True:
            await self.wake.wait()
            self.wake.clear()
            while any(outbox.waiting for outbox in self.homes.outboxes.values()):
                if not await self._bring():
                    await asyncio.sleep(_LOOK_SECONDS)

    def say_again(self, _: Iterable[int]) -> None:
        """It is said until it is answered."""

    async def _bring(self) -> int:
        """What waits, as far as one list takes it. Returns how many readings need not be said again."""
        messages, room = dict[int, tuple[Signed[Reading], ...]](), MOST
        for home, outbox in self.homes.outboxes.items():
            messages[home] = outbox.waiting[: min(room, MOST_IN_MESSAGE)]
            room -= len(messages[home])
        judged = iter(await self._post([each for message in messages.values() for each in message]))
        left = {}
        for home, message in messages.items():
            judgements = [next(judged) for _ in message]
            left[home] = self.homes.outboxes[home].answered(message, judgements)
            for each in judgements:
                if each.status == REFUSED and not each.again:
                    self.refused += 1
                    self._log(each.why)
        done = self.homes.settle(left)
        self.acknowledged += done
        return done
