"""One reading, signed here and brought to an exchange over HTTP."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from commonwatt.errors import NodeError
from commonwatt.meter import SimulatedMeter
from commonwatt.proof import Key
from commonwatt.service.exchange_client import Away, ExchangeClient, Refused
from commonwatt.service.logins import Passwords


def report(
    url: str, key: Key, counted: tuple[int, int], slot: int | None, number: int | None, authority: Path | None
) -> dict[str, Any]:
    """What became of it: the slot's `start`, `status`, `why`.

    counted : into the home and out of it [Wh]; slot : its start [unix s], None = the last one that is over
    number : of the reading, None = the slot's
    Raises NodeError when the exchange does not answer, or is none.
    """
    return asyncio.run(_report(url, key, counted, slot, number, authority))


async def _report(
    url: str, key: Key, counted: tuple[int, int], slot: int | None, number: int | None, authority: Path | None
) -> dict[str, Any]:
    try:
        async with ExchangeClient(url, Passwords(bytes(32)), authority) as client:
            known = await client.announced()
            last = (known.now - known.offset) // known.seconds * known.seconds + known.offset - known.seconds
            start = last if slot is None else slot
            meter = SimulatedMeter(key, known.domain)
            reading = meter.read(start, *counted, start // known.seconds if number is None else number)
            (judged,) = await client.readings([reading])
    except (Away, Refused) as error:
        raise NodeError(url, str(error)) from None
    told = {"start": f"{datetime.fromtimestamp(start, UTC):%Y-%m-%d %H:%M} UTC", "slot": start}
    return {**told, "number": reading.record.sequence, **judged.as_json()}
