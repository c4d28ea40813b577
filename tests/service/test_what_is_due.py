"""What is due is done whoever reads; where it cannot be, the log says so, once for as long as it stays so."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from asking_cases import HOUR, Doors

from commonwatt.errors import NodeError


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[Doors]:
    found = Doors(tmp_path)
    yield found
    found.close()


def test_a_ledger_that_is_away_is_told_in_the_log_once(
    doors: Doors, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    away, outbox = True, doors.exchange.outbox
    usual = outbox.finalise_due

    def finalise_due(at: int | None = None) -> None:
        if away:
            raise NodeError("the chain", "The node does not answer.")
        usual(at)

    monkeypatch.setattr(outbox, "finalise_due", finalise_due)

    def told() -> int:
        return [each.getMessage() for each in caplog.records].count("The node does not answer. It is tried again.")

    async def main() -> None:
        nonlocal away
        for _ in range(3):
            await doors.running._advance()
        assert (told(), doors.live.behind) == (1, "The node does not answer.")
        away = False
        await doors.running._advance()
        assert doors.live.behind == ""
        away = True
        await doors.running._advance()
        assert told() == 2

    asyncio.run(main())


def test_what_is_due_waits_for_nobody_who_reads(doors: Doors) -> None:
    running, gates = doors.running, [each.at for each in doors.exchange.rules.events[:1]]

    async def main() -> None:
        enough = threading.Event()
        reading = [asyncio.create_task(running.read(enough.wait)) for _ in range(9)]
        keeping = asyncio.create_task(running.keep_time())
        try:
            async with asyncio.timeout(30):
                for now in (*gates, doors.starts[-1] + 3 * HOUR):
                    doors.now = now
                    while (due := doors.exchange.next) is not None and due.at <= doors.now:
                        await asyncio.sleep(0.01)
        finally:
            enough.set()
            await asyncio.gather(*reading)
            keeping.cancel()

    asyncio.run(main())
