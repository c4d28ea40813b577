"""Whoever keeps the time of a living exchange bills its months, and answers its doors meanwhile."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import count
from pathlib import Path

from changing_cases import BILL_AFTER, MONTH, Changing
from enrolled_cases import HOUR

from commonwatt.exchange import tables
from commonwatt.meter import SimulatedMeter
from commonwatt.meter.protocol import REFUSED
from commonwatt.service.running import Running


async def billed(changing: Changing, now: int) -> None:
    clock = count(now, 60)
    running = Running(changing.live, lambda: next(clock), speed=1_000, chores=[changing.months.advance])
    keeping = asyncio.create_task(running.keep_time())
    meter = SimulatedMeter(changing.homes.meters[0].key, changing.client.domain)
    async with asyncio.timeout(120):
        while not changing.store.rows(tables.anchors):
            (judged,) = await running.readings([meter.read(changing.start - 30 * 86_400, 1, 0, 1)])
            assert judged.status == REFUSED
    keeping.cancel()
    with suppress(asyncio.CancelledError):
        await keeping
    running.close()


def test_a_month_is_billed_beside_what_else_is_due(tmp_path: Path) -> None:
    changing = Changing(tmp_path)
    changing.run(changing.start + 3 * HOUR)
    asyncio.run(billed(changing, changing.end + BILL_AFTER + HOUR))
    assert changing.exchange.next_end is None
    assert len(list((tmp_path / "bills" / MONTH).glob("*.json.gz"))) == 5
    changing.close()
