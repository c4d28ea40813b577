"""The exchange's side of MQTT: readings come in, acknowledgements go out, meters hear the time.

A message is handed over at most once: MQTT's own acknowledgement goes to the broker before anything is stored, queues
of broker and client drop what they do not hold, and a connection may end in between. That loses nothing, for a meter
keeps its readings and sends them again until the exchange's acknowledgement names them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from commonwatt.errors import BrokerError, CommonwattError
from commonwatt.service.connection import Connection
from commonwatt.service.topics import ACK, FROM_METER, LIVE, READING, TIME, said_by, topic

if TYPE_CHECKING:
    import aiomqtt

Messages = list[tuple[bytes, bytes]]
"""Meter [address] and payload."""
Take = Callable[[Messages], Awaitable[Messages]]
Notice = Callable[[bytes, str, bytes], None]

_LOGGER: Final = logging.getLogger(__name__)
_MOST_IN_BATCH: Final = 1_000
_IDLE_ROUNDS: Final = 2
_MOST_WAITING: Final = 20_000
"""Beyond these a message is dropped, so that a store which stands still fills no memory."""
_RECONNECT_SECONDS: Final = 5.0
_TIME_SECONDS: Final = 10.0
_MOST_IN_FLIGHT: Final = 1_000


@dataclass
class Counts:
    """What came and went since the start.

    messages : of readings, handed over; failed : of these, such that could not be taken; acknowledged : answers
    foreign : messages on topics that are no meter's
    connections : made with the broker
    """

    messages: int = 0
    foreign: int = 0
    failed: int = 0
    acknowledged: int = 0
    connections: int = 0


class Gateway:
    """Between meters that speak MQTT and whoever takes their readings.

    connection : of the user `exchange`
    take : is handed messages of readings, whatever is there and at most 1 000, and returns acknowledgements (meter,
        payload), once what they name is stored for good. What it raises leaves its messages unanswered
    clock : the exchange's time [unix s], or None while nothing vouches for it; meters are told every 10 s
    notice : is handed what meters say on `status` and `live` (meter, word, payload), and must not wait
    """

    def __init__(
        self, connection: Connection, take: Take, clock: Callable[[], float | None], notice: Notice | None = None
    ) -> None:
        self.counts = Counts()
        self._connection, self._take, self._clock, self._notice = connection, take, clock, notice
        self._client: aiomqtt.Client | None = None
        self._up = asyncio.Event()

    @property
    def connected(self) -> bool:
        """Whether the broker is there."""
        return self._client is not None

    async def wait_connected(self) -> None:
        """Return once the broker is there and readings are listened to."""
        await self._up.wait()

    async def run(self) -> None:
        """Go on until cancelled; whenever the broker is away, try again every five seconds.

        Raises ConfigError without the packages of the extra `live`.
        """
        self._connection.require_packages()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._stay_connected())
            tasks.create_task(self._tell_time_regularly())

    async def tell(self, meter: bytes, word: str, payload: bytes, *, retain: bool = False) -> None:
        """Tell a meter something, such as its `plan` or `demand`; retain : also when it comes back.

        Returns when the broker has it. Raises BrokerError, and whoever wants it told has to try again.
        """
        import aiomqtt

        if self._client is None:
            raise BrokerError(self._connection.place, f"The broker at {self._connection.place} is away.")
        try:
            await self._client.publish(topic(meter, word), payload, qos=1, retain=retain)
        except aiomqtt.MqttError as error:
            raise self._connection.refused(error) from None

    async def _stay_connected(self) -> None:
        told_at = -1
        while True:
            try:
                await self._session()
            except BrokerError as error:
                # Once for each connection that is lost, not for each try.
                if told_at != self.counts.connections:
                    _LOGGER.warning("%s It is tried again every %d s.", error, _RECONNECT_SECONDS)
                told_at = self.counts.connections
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _session(self) -> None:
        """One connection, until it ends. Raises BrokerError."""
        import aiomqtt

        queue: asyncio.Queue[aiomqtt.Message] = asyncio.Queue(_MOST_WAITING)
        # aiomqtt gives one message at a time; who has its queue takes all that wait together.
        made = cast("type[asyncio.Queue[aiomqtt.Message]]", lambda **_: queue)
        client = self._connection.client(clean_session=False, max_inflight_messages=_MOST_IN_FLIGHT, queue_type=made)
        try:
            async with client:
                for word in FROM_METER:
                    await client.subscribe(f"cw/+/{word}", qos=0 if word == LIVE else 1)
                self._client = client
                self.counts.connections += 1
                self._up.set()
                await self._tell_time()
                await self._receive(client, queue)
        except aiomqtt.MqttError as error:
            raise self._connection.refused(error) from None
        finally:
            self._client = None
            self._up.clear()

    async def _receive(self, client: aiomqtt.Client, queue: asyncio.Queue[aiomqtt.Message]) -> None:
        """Hand over batch after batch, until the connection ends with MqttError."""
        while True:
            batch = [await anext(client.messages)]
            await _fill(batch, queue)
            readings = self._sorted(batch)
            for meter, payload in await self._taken(readings):
                await client.publish(topic(meter, ACK), payload)
                self.counts.acknowledged += 1

    def _sorted(self, batch: Sequence[aiomqtt.Message]) -> Messages:
        """The messages of readings; the others are told to who notices them."""
        readings: Messages = []
        for message in batch:
            found, payload = said_by(message.topic.value), message.payload
            if found is None or not isinstance(payload, bytes):
                self.counts.foreign += 1
            elif found[1] == READING:
                readings.append((found[0], payload))
            elif self._notice is not None:
                try:
                    self._notice(*found, payload)
                except Exception:
                    _LOGGER.exception("What a meter says on %s could not be noticed.", message.topic.value)
        self.counts.messages += len(readings)
        return readings

    async def _taken(self, messages: Messages) -> Messages:
        """The acknowledgements of messages; none of those that cannot be taken now, which come again."""
        if not messages:
            return []
        try:
            return await self._take(messages)
        except CommonwattError as error:
            _LOGGER.warning("%d messages of readings are not taken: %s", len(messages), error)
            self.counts.failed += len(messages)
            return []
        except Exception:
            if len(messages) == 1:
                _LOGGER.exception("A message of meter 0x%s cannot be taken.", messages[0][0].hex())
                self.counts.failed += 1
                return []
        # One message with something that nobody thought of holds up no other meter's.
        return [answer for message in messages for answer in await self._taken([message])]

    async def _tell_time_regularly(self) -> None:
        while True:
            await asyncio.sleep(_TIME_SECONDS)
            await self._tell_time()

    async def _tell_time(self) -> None:
        """Not retained: a time of some time ago helps nobody."""
        import aiomqtt

        now = self._clock()
        if self._client is not None and now is not None:
            with contextlib.suppress(aiomqtt.MqttError):
                await self._client.publish(TIME, json.dumps({"time": int(now)}))


async def _fill(batch: list[aiomqtt.Message], queue: asyncio.Queue[aiomqtt.Message]) -> None:
    """Add what has come by now, up to what a batch holds.

    The loop reads one message from the socket each time it goes round, so it is let go round until nothing comes.
    """
    idle = 0
    while len(batch) < _MOST_IN_BATCH and idle < _IDLE_ROUNDS:
        await asyncio.sleep(0)
        idle = idle + 1 if queue.empty() else 0
        while len(batch) < _MOST_IN_BATCH and not queue.empty():
            batch.append(queue.get_nowait())
