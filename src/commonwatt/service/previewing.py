"""What a device says within some time, understood, before its meter is registered and anything of it counts."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from commonwatt.errors import ConfigError, Finding, MeterError
from commonwatt.exchange.loading import Loaded
from commonwatt.meter.telegrams import Message, Preview, preview
from commonwatt.service.broker import own_broker
from commonwatt.service.connection import Connection
from commonwatt.service.devices import Device
from commonwatt.service.listening import sources
from commonwatt.service.logins import PREVIEW


def look(device: Device, community: Loaded, folder: Path, out: Path, seconds: float) -> Preview:
    """Listen to a device for some seconds.

    folder : of the community's file; out : of the exchange, whose broker has to run for a device that is there
    Raises ConfigError where there is no broker, MeterError when nothing could be heard for another reason than silence.
    """
    connection = None
    if device.says:
        broker, authority = own_broker(community.live, folder, out)
        if broker is None:
            raise ConfigError("The request", [Finding("meter", "is at the broker, and the community has none")])
        connection = broker.connection(PREVIEW, authority)
    messages, trouble = asyncio.run(listen(device, connection, seconds))
    if trouble and not messages:
        raise MeterError(device.where, trouble)
    return preview(device.reader, messages)


async def listen(device: Device, connection: Connection | None, seconds: float) -> tuple[list[Message], str]:
    """The messages of a device within some seconds, and why it could not be listened to, if so."""
    messages, troubles = list[Message](), [""]

    def hear(_: Device, topic: str, payload: bytes) -> None:
        messages.append(Message(topic, payload, int(time.time() * 1000)))

    def told(_: Device | None, why: str) -> None:
        troubles[0] = why

    tasks = [asyncio.create_task(each) for each in sources([device], connection, hear, told, asyncio.Queue())]
    try:
        await asyncio.sleep(seconds)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return messages, troubles[0]
