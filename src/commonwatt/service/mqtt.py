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
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from commonwatt.errors import BrokerError, CommonwattError
from commonwatt.service.connection import ANSWER_SECONDS, KEEPALIVE, Connection
from commonwatt.service.topics import ACK, AUTO, FROM_METER, LIVE, READING, TIME, said_by, topic

if TYPE_CHECKING:
    from gmqtt import Subscription

Messages = list[tuple[bytes, bytes]]
"""Meter [address] and payload."""
Take = Callable[[Messages], Awaitable[Messages]]
Notice = Callable[[bytes, str, bytes], None]

_LOGGER: Final = logging.getLogger(__name__)
# What the library has to say of a lost connection is said here, once and as a sentence.
logging.getLogger("gmqtt").setLevel(logging.CRITICAL)
_NO_RETRIES: Final = -2
"""For gmqtt 0 is one retry and -1 endlessly many."""
_NOT_GRANTED: Final = 128
_MOST_IN_BATCH: Final = 1_000
_MOST_WAITING: Final = 20_000
"""Beyond these a message is dropped, so that a store which stands still fills no memory."""
_RECONNECT_SECONDS: Final = 5.0
_TIME_SECONDS: Final = 10.0


@dataclass
class Counts:
    """What came and went since the start.

    messages : of readings, handed over; failed : of these, such that could not be taken; acknowledged : answers
    foreign : messages on topics that are no meter's; dropped : messages that found no room
    connections : made with the broker
    """

    messages: int = 0
    foreign: int = 0
    dropped: int = 0
    failed: int = 0
    acknowledged: int = 0
    connections: int = 0


class Gateway:
    """Between meters that speak MQTT and whoever takes their readings.

    connection : of the user `exchange`
    take : is handed messages of readings, whatever is there and at most 1 000, and returns acknowledgements (meter,
        payload), once what they name is stored for good. What it raises leaves its messages unanswered
    clock : the exchange's time [unix s], or None while nothing vouches for it; meters are told every 10 s
    notice : is handed what meters say on `status`, `live` and `auto` (meter, word, payload), and must not wait
    """

    def __init__(
        self, connection: Connection, take: Take, clock: Callable[[], float | None], notice: Notice | None = None
    ) -> None:
        self.counts = Counts()
        self._connection, self._take, self._clock, self._notice = connection, take, clock, notice
        self._session: _Session | None = None
        self._up = asyncio.Event()

    @property
    def connected(self) -> bool:
        """Whether the broker is there."""
        return self._session is not None

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
        await self.tell_all([(meter, payload)], word, retain=retain)

    async def tell_all(self, messages: Messages, word: str, *, retain: bool = False) -> None:
        """As `tell`, of many meters at once."""
        place, session = self._connection.place, self._session
        if session is None:
            raise BrokerError(place, f"The broker at {place} is away.")
        for meter, payload in messages:
            session.publish(topic(meter, word), payload, qos=1, retain=retain)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await session.unconfirmed.wait_empty()
        except TimeoutError:
            raise BrokerError(place, f"The broker at {place} does not confirm what it was told.") from None

    async def _stay_connected(self) -> None:
        told_at = -1
        while True:
            try:
                await self._stay()
            except BrokerError as error:
                # Once for each connection that is lost, not for each try.
                if told_at != self.counts.connections:
                    _LOGGER.warning("%s It is tried again every %d s.", error, _RECONNECT_SECONDS)
                told_at = self.counts.connections
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _stay(self) -> None:
        """One connection, until it ends. Raises BrokerError."""
        session = _Session(self._connection, self.counts)
        try:
            await session.open()
            self._session = session
            self.counts.connections += 1
            self._up.set()
            self._tell_time()
            while True:
                await self._hand_over(session, await session.batch())
        finally:
            self._session = None
            self._up.clear()
            await session.close()

    async def _hand_over(self, session: _Session, batch: Sequence[tuple[str, bytes]]) -> None:
        for meter, payload in await self._taken(self._sorted(batch)):
            session.publish(topic(meter, ACK), payload)
            self.counts.acknowledged += 1

    def _sorted(self, batch: Sequence[tuple[str, bytes]]) -> Messages:
        """The messages of readings; the others are told to who notices them."""
        readings: Messages = []
        for place, payload in batch:
            if (found := said_by(place)) is None:
                self.counts.foreign += 1
            elif found[1] == READING:
                readings.append((found[0], payload))
            elif self._notice is not None:
                try:
                    self._notice(*found, payload)
                except Exception:
                    _LOGGER.exception("What a meter says on %s could not be noticed.", place)
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
            self._tell_time()

    def _tell_time(self) -> None:
        """Not retained: a time of some time ago helps nobody."""
        now = self._clock()
        if self._session is not None and now is not None:
            self._session.publish(TIME, json.dumps({"time": int(now)}).encode())


class _Session:
    """One connection of gmqtt, which parses all that a socket has at once; its own reconnecting is not used."""

    def __init__(self, connection: Connection, counts: Counts) -> None:
        from gmqtt import Client
        from gmqtt.storage import PersistentStorage

        self.unconfirmed = PersistentStorage()
        self._connection, self._counts = connection, counts
        self._incoming: asyncio.Queue[tuple[str, bytes] | None] = asyncio.Queue()
        self._granted: asyncio.Future[Sequence[int]] = asyncio.get_running_loop().create_future()
        self._client = Client(connection.user, clean_session=False, persistent_storage=self.unconfirmed)
        self._client.reconnect_retries = _NO_RETRIES
        self._client.set_auth_credentials(connection.user, connection.password)
        self._client.on_message = self._heard
        self._client.on_subscribe = lambda _client, _number, granted, _properties: self._granted.set_result(granted)
        self._client.on_disconnect = lambda *_: self._incoming.put_nowait(None)

    async def open(self) -> None:
        """Connect and listen to all meters. Raises BrokerError."""
        from gmqtt.mqtt.constants import MQTTv311
        from gmqtt.mqtt.handler import MQTTConnectError

        connection = self._connection
        wanted = [_subscription(f"cw/+/{word}", 0 if word == LIVE else 1) for word in FROM_METER]
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._client.connect(
                    connection.host, connection.port, ssl=connection.trust() or False, keepalive=KEEPALIVE,
                    version=MQTTv311,
                )  # fmt: skip
                self._client.subscribe(wanted)
                granted = await self._granted
        except TimeoutError:
            raise connection.refused(TimeoutError("it does not answer")) from None
        except (OSError, MQTTConnectError) as error:
            raise connection.refused(error) from None
        if any(each >= _NOT_GRANTED for each in granted):
            raise connection.refused(PermissionError("it may not listen to meters"))

    async def batch(self) -> list[tuple[str, bytes]]:
        """What has come by now, topics and payloads, at least one and at most 1 000. Raises BrokerError at the end."""
        found: list[tuple[str, bytes]] = []
        while not found or (self._incoming.qsize() and len(found) < _MOST_IN_BATCH):
            if (message := await self._incoming.get()) is None:
                self._incoming.put_nowait(None)
                break
            found.append(message)
        if not found:
            raise self._connection.refused(ConnectionError("the connection ended"))
        return found

    def publish(self, where: str, payload: bytes, *, qos: int = 0, retain: bool = False) -> None:
        """Send it as soon as the socket takes it."""
        self._client.publish(where, payload, qos=qos, retain=retain)

    async def close(self) -> None:
        """End the connection, whatever state it is in."""
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._client.disconnect()

    def _heard(self, _client: object, where: str, payload: bytes, _qos: int, properties: Mapping[str, object]) -> int:
        if properties["retain"] and where.endswith(f"/{AUTO}"):
            return 0  # a switch that the broker kept would be thrown again with each connection
        if self._incoming.qsize() < _MOST_WAITING:
            self._incoming.put_nowait((where, payload))
        else:
            self._counts.dropped += 1
        return 0


def _subscription(where: str, qos: int) -> Subscription:
    from gmqtt import Subscription

    return Subscription(where, qos=qos)
