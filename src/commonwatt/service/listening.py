"""Where messages of devices come from: the broker, a P1 port at a serial line or in the network, Modbus TCP.

Each goes on until it is cancelled, and begins anew where a connection ends; why it ended is told once.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from commonwatt.community.living import endpoint
from commonwatt.errors import BrokerError, CommonwattError
from commonwatt.meter.device import Ask
from commonwatt.service.connection import Connection
from commonwatt.service.devices import Device

if TYPE_CHECKING:
    import aiomqtt

Hear = Callable[[Device, str, bytes], None]
"""Is handed a device, the topic, "" where there is none, and the payload, as it comes."""
Trouble = Callable[[Device | None, str], None]
"""Is told why a device cannot be heard, or none at the broker (None); "" once it can."""

_AGAIN_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 10.0
_PIECE: Final = 4096
_QUIET_SECONDS: Final = 60.0
"""A P1 port that says nothing for so long has lost its connection [s]: meters send each ten."""
_NOT_GRANTED: Final = 128


def sources(
    devices: Sequence[Device], connection: Connection | None, hear: Hear, trouble: Trouble, asks: asyncio.Queue[Ask]
) -> list[Coroutine[Any, Any, None]]:
    """What has to run for all of them to be heard.

    connection : to the broker; None where there is none; asks : what devices are asked there
    """
    found = [_of_place(device, hear, trouble) for device in devices if device.place]
    at_broker = [device for device in devices if device.says]
    if at_broker and connection is None:
        trouble(None, "The exchange has no broker of its own, where the device could be heard.")
    elif at_broker and connection:
        found.append(at_the_broker(at_broker, connection, hear, trouble, asks))
    return found


async def at_the_broker(
    devices: Sequence[Device], connection: Connection, hear: Hear, trouble: Trouble, asks: asyncio.Queue[Ask]
) -> None:
    """Listen to devices at the broker, and ask them.

    What the broker had kept is left out, and it keeps nothing for who was away: nobody knows how old that is.
    """
    import aiomqtt

    whose = {topic: device for device in devices for topic in device.says}
    while True:
        try:
            async with connection.client(clean_session=True) as client:
                granted = await client.subscribe([(topic, 1) for topic in whose])
                if any(code >= _NOT_GRANTED for code in granted):  # as just after a device was added
                    raise connection.refused(PermissionError("it may not listen to all devices yet"))
                trouble(None, "")
                asking = asyncio.create_task(_ask(client, asks))
                try:
                    async for message in client.messages:
                        topic, payload = message.topic.value, message.payload
                        if topic in whose and not message.retain and isinstance(payload, bytes):
                            hear(whose[topic], topic, payload)
                finally:
                    asking.cancel()
        except aiomqtt.MqttError as error:
            trouble(None, str(connection.refused(error)))
        except BrokerError as error:
            trouble(None, str(error))
        await asyncio.sleep(_AGAIN_SECONDS)


async def _ask(client: aiomqtt.Client, asks: asyncio.Queue[Ask]) -> None:
    """What is lost with a connection is asked again by whoever misses the answer."""
    import aiomqtt

    with suppress(aiomqtt.MqttError):
        while True:
            topic, payload = await asks.get()
            await client.publish(topic, payload, qos=1)


async def _of_place(device: Device, hear: Hear, trouble: Trouble) -> None:
    """A device that is not at the broker."""
    listen = _polled if device.polled else _streamed
    while True:
        try:
            await listen(device, hear, trouble)
        except (OSError, CommonwattError) as error:
            said = " ".join(str(error).split()) if isinstance(error, CommonwattError) else ""
            why = getattr(error, "strerror", None) or "it is silent"
            trouble(device, said or f"{device.place} cannot be read: {why}.")
        await asyncio.sleep(_AGAIN_SECONDS)


async def _streamed(device: Device, hear: Hear, trouble: Trouble) -> None:
    """The bytes of a P1 port, until it ends or says nothing. Raises OSError."""
    async with _opened(device) as reader:
        while True:
            async with asyncio.timeout(_QUIET_SECONDS):
                piece = await reader.read(_PIECE)
            if not piece:
                raise ConnectionError(0, "the connection ended")
            trouble(device, "")
            hear(device, "", piece)


@asynccontextmanager
async def _opened(device: Device) -> AsyncIterator[asyncio.StreamReader]:
    if not device.serial:
        reader, writer = await asyncio.open_connection(*endpoint(device.place))
        try:
            yield reader
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
        return
    reader = asyncio.StreamReader()
    line = os.fdopen(_serial_line(Path(device.place)), "rb", buffering=0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), line
    )
    try:
        yield reader
    finally:
        transport.close()


def _serial_line(path: Path) -> int:
    """A P1 port's line, 115 200 baud, eight bits, no parity, as bytes come. Raises OSError."""
    import termios
    import tty

    line = os.open(path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        tty.setraw(line)
        modes = termios.tcgetattr(line)
        modes[4] = modes[5] = termios.B115200
        termios.tcsetattr(line, termios.TCSANOW, modes)
    except termios.error:
        os.close(line)
        raise OSError(0, "it is no serial line") from None
    return line


async def _polled(device: Device, hear: Hear, trouble: Trouble) -> None:
    """An inverter or meter at Modbus TCP, asked again and again; one that does not answer is asleep.

    Raises MeterError for another device than the settings say.
    """
    from commonwatt.service.modbus import SunSpecReader

    host, port = endpoint(device.place)
    async with SunSpecReader(host, port, device.number, device.settings.channel) as reader:
        while True:
            words = await reader.poll()
            if words is not None:
                trouble(device, "")
                hear(device, "", words)
            await asyncio.sleep(_POLL_SECONDS)
