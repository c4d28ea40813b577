"""A living exchange answers by itself what is demanded on its chain, and tells its operators of what it cannot."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from asking_cases import HOUR, Asker, Doors
from live_cases import RICH, WAIT

from commonwatt.exchange import tables
from commonwatt.ledger.client.demands import DemandsClient


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[Doors]:
    found = Doors(tmp_path, text=RICH + '\n[ledger]\nwindow = "2h"\n')
    yield found
    found.close()


def demand(doors: Doors, member: int, slot: int) -> None:
    post = doors.exchange.recalled(slot, 0).post
    DemandsClient(doors.exchange.client).demand(doors.members[member], post, member, at=int(doors.now))


def test_a_demand_is_answered_while_nothing_vouches_for_the_clock_and_one_that_cannot_be_is_told(
    doors: Doors, caplog: pytest.LogCaptureFixture
) -> None:
    slot, clock = doors.starts[0], doors.exchange.rules.events[0].at
    doors.live.advance(clock)
    meters = doors.village.homes.meters.values()
    for place in (0, 1):
        doors.live.readings([meter.read(slot + place * HOUR, 300, 0, 1 + place) for meter in meters], slot + 2 * HOUR)
    doors.now = slot + 2 * HOUR + WAIT
    doors.live.advance(int(doors.now))
    demand(doors, 0, slot)
    demand(doors, 1, slot + HOUR)
    with doors.live.store.transaction() as connection:
        connection.execute(tables.posts.update().where(tables.posts.c.slot == slot + HOUR).values(statements=bytes(32)))
    assert doors.running.now() == doors.now
    doors.running._clock = lambda: None
    # A chain of the exchange's own makes no block meanwhile: nobody waits for one.
    doors.running._vouched_for = lambda _: None
    assert not asyncio.run(doors.running._answer())
    assert not doors.running.demands.open
    doors.running._vouched_for = None

    async def test(ask: Asker) -> None:
        keeping = asyncio.create_task(doors.running.keep_time())
        async with asyncio.timeout(120):
            while not (found := doors.running.demands.why) or len(doors.running.demands.open) > 1:
                await asyncio.sleep(0.05)
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping
        (why,) = found.values()
        told = (await ask.json("/v1/operators/demands", "operator"))["demands"]
        assert [(each["member"], each["state"], each["why"]) for each in told] == [
            (1, "open", why),
            (0, "answered", None),
        ]
        assert told[0]["until"] > doors.now
        doors.now = told[0]["until"] + 1
        doors.running._clock = lambda: doors.now
        assert (await ask.json("/v1/operators/demands", "operator"))["demands"][0]["state"] == "late"

    with caplog.at_level(logging.ERROR):
        doors.ask(test)
    said = [each.getMessage() for each in caplog.records]
    assert [each for each in said if f"the lines of member 1 in slot {slot + HOUR}" in each] == said[:1] == said
