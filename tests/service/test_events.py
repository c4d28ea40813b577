"""Whoever listens is told what happens, over connections that a real server keeps open."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from asking_cases import HOUR, Asker, Doors
from visitor_cases import DOMAIN

from commonwatt.accounts.orders import order_json
from commonwatt.exchange import tables
from commonwatt.ledger.network import connections
from commonwatt.meter.protocol import signed_json
from commonwatt.service import feed
from commonwatt.service.api import events
from commonwatt.service.api.connections import HttpProtocol

Heard = tuple[str, str, dict[str, Any]]
"""Kind, identifier and what is told."""
LONG = 60.0


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def served(doors: Doors) -> AsyncIterator[Asker]:
    """The doors behind a real server, and time that is kept."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(doors.app, log_level="critical", lifespan="off", http=HttpProtocol)
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    keeping = asyncio.create_task(doors.running.keep_time())
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with httpx.AsyncClient(base_url=address, headers={"Host": DOMAIN}, timeout=LONG) as client:
        yield Asker(doors, client)
        doors.running.feed.close()
        server.should_exit = True
        await serving
    keeping.cancel()


class Page:
    """What somebody hears."""

    def __init__(self, answer: httpx.Response) -> None:
        self._lines = answer.aiter_lines()

    async def next(self) -> Heard:
        told = dict[str, str]()
        async with asyncio.timeout(LONG):
            async for line in self._lines:
                name, _, value = line.partition(": ")
                if line and name:
                    told[name] = value
                elif "data" in told:
                    return told["event"], told["id"], json.loads(told["data"])
        raise EOFError

    async def until(self, kind: str) -> Heard:
        while (heard := await self.next())[0] != kind:
            pass
        return heard


@asynccontextmanager
async def listening(ask: Asker, who: object = None, last: str = "") -> AsyncIterator[Page]:
    headers = {**await ask.headers(who), **({"Last-Event-ID": last} if last else {})}
    async with ask.client.stream("GET", "/v1/events", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Page(answer)


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[Doors]:
    found = Doors(tmp_path)
    yield found
    found.close()


def run(doors: Doors, test: Callable[[Asker], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        async with served(doors) as ask:
            await test(ask)

    asyncio.run(whole())


async def order(ask: Asker) -> list[dict[str, Any]]:
    """All homes order for the gate that is open; what was answered."""
    gate = ask.doors.exchange.next_gate
    assert gate
    placed = [order_json(each) for slot in ask.doors.village.homes.declare(gate, {}).signed for each in slot]
    results: list[dict[str, Any]] = (await ask("/v1/orders", method="POST", json=placed)).json()["results"]
    assert {each["status"] for each in results} == {"accepted"}
    return results


async def read(ask: Asker, place: int, homes: tuple[int, ...] = (0, 1, 2, 3, 4)) -> None:
    """Meters report a slot."""
    doors = ask.doors
    meters = doors.village.homes.meters
    readings = [signed_json(meters[home].read(doors.starts[place], 300 + home, 0, place + 1)) for home in homes]
    await ask("/v1/readings", method="POST", json=readings)


def test_a_member_hears_its_own_at_once_and_nothing_of_others(doors: Doors) -> None:
    async def test(ask: Asker) -> None:
        store = doors.exchange.store
        async with listening(ask, 1) as own, listening(ask, 2) as other, listening(ask) as anybody:
            for page in (own, other, anybody):
                assert (await page.next())[0] == "hello"
            await order(ask)
            for member, page in ((1, own), (2, other)):
                kept = store.rows(tables.orders, member=member)
                told = [(await page.until("order"))[2] for _ in kept]
                assert {(each["slot"], each["position"], each["order"]) for each in told} == {
                    (row.slot, row.position, f"0x{row.hash.hex()}") for row in kept
                }
            doors.now = doors.exchange.rules.events[0].at
            for member, page in ((1, own), (2, other)):
                agreed = (await page.until("gate"))[2]
                trades = [row for row in store.rows(tables.trades) if member in (row.buyer, row.seller)]
                assert agreed["trades"] == len(trades)
                assert agreed["boughtWh"] == sum(row.wh for row in trades if row.buyer == member)
                assert agreed["soldWh"] == sum(row.wh for row in trades if row.seller == member)
            doors.now = doors.starts[0] + HOUR
            await read(ask, 0)
            for member, page in ((1, own), (2, other)):
                settled = (await page.until("slot"))[2]
                (row,) = store.rows(tables.accounts, slot=doors.starts[0], member=member)
                assert settled == {
                    "slot": doors.starts[0], "revision": 0, "metered": "measured", "netWh": row.net,
                    "localWh": row.ahead + row.after, "gridWh": row.grid, "credit": str(row.credit),
                }  # fmt: skip
            # Nobody known has heard of slots alone, each as anybody may see it.
            heard = [await anybody.next(), await anybody.next()]
            assert {kind for kind, _, _ in heard} == {"slots"}
            assert [each["start"] for each in heard[0][2]["slots"]] == doors.starts
            assert heard[1][2]["slots"] == [await ask.json(f"/v1/slots/{doors.starts[0]}")]

    run(doors, test)


def test_who_was_away_hears_what_it_missed_and_else_that_it_has_to_ask(doors: Doors) -> None:
    async def test(ask: Asker) -> None:
        async with listening(ask, 1) as page:
            _, last, hello = await page.next()
            assert hello["resumed"] is False
        results = await order(ask)
        own = {f"0x{row.hash.hex()}" for row in doors.exchange.store.rows(tables.orders, member=1)}
        assert len(results) > len(own)
        async with listening(ask, 1, last) as page:
            assert (await page.next())[2]["resumed"] is True
            missed = [await page.next() for _ in own]
            assert {told["order"] for _, _, told in missed} == own
        async with listening(ask, 1, missed[2][1]) as page:
            assert (await page.next())[2]["resumed"] is True
            assert await page.next() == missed[3]
        for unknown in ("", "x", "-", last.partition("-")[0] + "-999999", "0-0", "a" * 60, "\u00b2-\u00b2"):
            with suppress(UnicodeEncodeError):
                async with listening(ask, 1, unknown) as page:
                    assert (await page.next())[2]["resumed"] is False

    run(doors, test)


def test_what_was_told_before_a_restart_is_not_known_any_more(doors: Doors) -> None:
    told = list[str]()

    async def before(ask: Asker) -> None:
        await order(ask)
        async with listening(ask, 1) as page:
            told.append((await page.next())[1])

    async def after(ask: Asker) -> None:
        async with listening(ask, 1, told[0]) as page:
            assert (await page.next())[2]["resumed"] is False

    run(doors, before)
    doors.restart()
    run(doors, after)


def test_the_ring_forgets_the_oldest_first(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "_REMEMBERED", 3)

    async def test(ask: Asker) -> None:
        async with listening(ask, 1) as page:
            first = (await page.next())[1]
            for number in range(5):
                doors.running.feed.own("order", {1: {"number": number}})
            heard = [await page.next() for _ in range(5)]
        for last, resumed in ((first, False), (heard[0][1], False), (heard[1][1], True), (heard[4][1], True)):
            async with listening(ask, 1, last) as page:
                assert (await page.next())[2]["resumed"] is resumed

    run(doors, test)


def test_what_everybody_hears_is_written_once_however_many_listen_and_changes_come_together(doors: Doors) -> None:
    described = list[set[int]]()
    tell = doors.running.board.told

    async def counted(starts: Any) -> bytes:
        described.append(set(starts))
        return await tell(starts)

    doors.running.feed = feed.Feed(counted)

    async def test(ask: Asker) -> None:
        async with AsyncExitStack() as stack:
            pages = [await stack.enter_async_context(listening(ask)) for _ in range(20)]
            for page in pages:
                await page.next()
            for slot in doors.starts:
                doors.running.feed.changed([slot])
                doors.running.feed.changed([doors.starts[0]])
            for page in pages:
                assert [each["start"] for each in (await page.next())[2]["slots"]] == doors.starts
            assert described == [{*doors.starts}]

    run(doors, test)


def test_who_does_not_read_is_let_go_and_nobody_waits_for_it(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "PATIENCE", 1.0)

    async def test(ask: Asker) -> None:
        address = ask.client.base_url
        _, writer = await asyncio.open_connection(str(address.host), address.port, limit=1)
        writer.write(f"GET /v1/events HTTP/1.1\r\nHost: {DOMAIN}\r\n\r\n".encode())
        async with listening(ask, 1) as page:
            await page.next()
            while doors.running.feed.listeners < 2:
                await asyncio.sleep(0.01)
            doors.running.feed._describe = _long
            for _ in range(400):
                if doors.running.feed.listeners < 2:
                    break
                doors.running.feed._changed, doors.running.feed._telling = {1}, None
                doors.running.feed.changed([1])
                assert (await page.next())[0] == "slots"
            for _ in range(3_000):
                if doors.running.feed.listeners == 1:
                    break
                await asyncio.sleep(0.02)
            assert doors.running.feed.listeners == 1
        writer.close()

    run(doors, test)


async def _long(_: Any) -> bytes:
    return b'"' + b"x" * 200_000 + b'"'


def test_a_silent_stream_shows_that_it_is_alive_and_ends_after_its_time(
    doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "HEARTBEAT", 0.05)
    monkeypatch.setattr(events, "_LONGEST", 0.5)

    async def test(ask: Asker) -> None:
        async with ask.client.stream("GET", "/v1/events") as answer:
            whole = b"".join([part async for part in answer.aiter_raw()])
        assert whole.count(b":\n\n") > 1
        assert doors.running.feed.listeners == 0

    run(doors, test)


def test_more_than_can_listen_are_told_to_come_later(doors: Doors) -> None:
    async def test(ask: Asker) -> None:
        async with AsyncExitStack() as stack:
            pages = [await stack.enter_async_context(listening(ask, 1)) for _ in range(6)]
            assert [(await page.next())[0] for page in pages] == ["hello"] * 6
            assert "6 times already" in (await ask("/v1/events", 1, status=503)).json()["detail"]
            other = await stack.enter_async_context(listening(ask, 2))
            assert (await other.next())[0] == "hello"
        await ask("/v1/events", status=401, headers={"Authorization": "Bearer made-up"})

    run(doors, test)


async def answered(ask: Asker) -> None:
    """Somebody is answered, by another connection where the one that was kept has made room too."""
    for _ in range(50):
        with suppress(httpx.TransportError):
            await ask("/v1/community")
            return
    raise AssertionError


def test_half_requests_take_no_room_of_whole_ones_and_none_in_the_log(
    doors: Doors, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(HttpProtocol, "most", 20)
    monkeypatch.setattr(connections, "PATIENCE", 2.0)
    half = f"POST /v1/orders HTTP/1.1\r\nHost: {DOMAIN}\r\nContent-Length: 100\r\n\r\n[".encode()

    async def test(ask: Asker) -> None:
        address = ask.client.base_url
        async with listening(ask, 1) as page:
            opened = [await asyncio.open_connection(str(address.host), address.port) for _ in range(60)]
            for _, writer in opened:
                writer.write(half)
            await answered(ask)
            for reader, writer in opened:
                with suppress(ConnectionError):
                    assert not await asyncio.wait_for(reader.read(), LONG)
                writer.close()
            await answered(ask)
            await order(ask)
            assert (await page.until("order"))[0] == "order"

    run(doors, test)
    assert not [each for each in caplog.records if each.exc_info]
