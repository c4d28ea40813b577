"""Who asks too often waits, and who sends too much is not read to the end; others notice nothing of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from visitor_cases import ENDLESS, Visited

from commonwatt.service.api.limits import Allowance, Buckets
from commonwatt.service.api.records import LONGEST

GAPS = st.lists(st.tuples(st.floats(0, 5), st.integers(1, 4)), max_size=60)


@given(GAPS, st.floats(0.1, 20), st.integers(1, 10))
def test_in_any_time_no_more_is_taken_than_the_burst_and_what_has_flowed_in(
    asked: list[tuple[float, int]], rate: float, burst: int
) -> None:
    buckets, now, taken = Buckets(Allowance(rate, burst)), 0.0, 0
    for gap, cost in asked:
        now += gap
        if not buckets.take("who", now, cost):
            taken += min(cost, burst)
        assert taken <= burst + rate * now + 1e-6


@given(GAPS, st.floats(0.1, 20), st.integers(1, 10))
@example([(4.411233159009419, 1), (0.15, 1), (2.2226186475836633, 1), (0.0, 1)], 0.1, 1)
def test_whoever_waits_as_long_as_was_said_is_let_in(asked: list[tuple[float, int]], rate: float, burst: int) -> None:
    buckets, now = Buckets(Allowance(rate, burst)), 0.0
    for gap, cost in asked:
        now += gap
        wait = buckets.take("who", now, cost)
        if wait:
            now += wait
            assert not buckets.take("who", now, cost)


def test_of_very_many_those_who_have_not_asked_for_longest_are_forgotten() -> None:
    buckets = Buckets(Allowance(rate=1, burst=1))
    for number in range(20_000):
        buckets.take(number, 0)
    assert [buckets.take(number, 0) for number in (19_999, 0)] == [1, 0]


@pytest.fixture
def visited(tmp_path: Path) -> Iterator[Visited]:
    found = Visited(tmp_path, per_address=Allowance(rate=1, burst=10), per_account=ENDLESS)
    yield found
    found.close()


async def many(client: httpx.AsyncClient, count: int, path: str = "/v1/community") -> list[int]:
    return [(await client.get(path)).status_code for _ in range(count)]


def test_an_address_that_asks_too_often_waits_and_others_do_not(visited: Visited) -> None:
    async def test() -> None:
        async with visited.client("192.0.2.1") as one, visited.client("192.0.2.2") as other:
            assert await many(one, 12) == [200] * 10 + [429] * 2
            refused = await one.get("/v1/community")
            assert (refused.headers["retry-after"], refused.headers["content-type"]) == (
                "1",
                "application/problem+json",
            )
            assert refused.json()["detail"] == "You ask too often; ask again in 1 s."
            assert await many(other, 1) == [200]
            visited.ticks += 2
            assert await many(one, 3) == [200, 200, 429]

    asyncio.run(test())


def test_a_network_of_ipv6_is_one_address(visited: Visited) -> None:
    async def test() -> None:
        async with visited.client("2001:db8::1") as one, visited.client("2001:db8::ffff:2") as same:
            assert await many(one, 10) == [200] * 10
            assert await many(same, 1) == [429]
        async with visited.client("2001:db8:0:1::1") as next_door, visited.client("::ffff:192.0.2.9") as mapped:
            assert await many(next_door, 1) == [200]
            assert await many(mapped, 10) == [200] * 10
        async with visited.client("192.0.2.9") as plain, visited.client("") as unknown:
            assert await many(plain, 1) == [429]
            assert await many(unknown, 1) == [200]

    asyncio.run(test())


def test_long_bodies_count_as_several_requests(visited: Visited) -> None:
    async def test() -> None:
        async with visited.client() as client:
            body = b"[" + b" " * 90_000 + b"{}]"
            assert (await client.post("/v1/readings", content=body)).status_code == 200
            assert await many(client, 6) == [200] * 5 + [429]

    asyncio.run(test())


def test_an_account_that_asks_too_often_waits_wherever_it_asks_from(tmp_path: Path) -> None:
    visited = Visited(tmp_path, per_account=Allowance(rate=0.1, burst=3))

    async def test() -> None:
        own = [await visited.token(visited.members[0]) for _ in range(2)]
        other = await visited.token(visited.members[1])

        async def status(token: str, address: str) -> httpx.Response:
            async with visited.client(address, Authorization=f"Bearer {token}") as client:
                return await client.get("/v1/session")

        answers = [await status(own[number % 2], f"192.0.2.{number}") for number in range(4)]
        assert [each.status_code for each in answers] == [200, 200, 200, 429]
        assert answers[-1].headers["retry-after"] == "10"
        assert (await status(other, "192.0.2.0")).status_code == 200

    asyncio.run(test())
    visited.close()


def test_nobody_signs_in_very_often_from_one_address(tmp_path: Path) -> None:
    visited = Visited(tmp_path, sign_ins=Allowance(rate=0.1, burst=2))

    async def test() -> None:
        async with visited.client("192.0.2.1") as one, visited.client("192.0.2.2") as other:
            answers = [await visited.sign_in(one, key) for key in visited.members[:3]]
            assert [each.status_code for each in answers] == [200, 200, 429]
            assert (await visited.sign_in(other, visited.members[2])).status_code == 200
            visited.ticks += 10
            assert (await visited.sign_in(one, visited.members[2])).status_code == 200

    asyncio.run(test())
    visited.close()


class Chunks(httpx.AsyncByteStream):
    """A body in pieces without a length, and how much of it was read [bytes]."""

    def __init__(self, size: int) -> None:
        self.size, self.read = size, 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self.read < self.size:
            self.read += 1_000
            yield b" " * 1_000


@pytest.mark.parametrize(
    ("path", "most"), [("/v1/session", 16_384), ("/v1/orders", LONGEST), ("/v1/readings", LONGEST)]
)
def test_a_body_that_is_too_long_is_not_read_to_its_end(tmp_path: Path, path: str, most: int) -> None:
    visited = Visited(tmp_path)

    async def test() -> None:
        async with visited.client() as client:
            for said in ({"Content-Length": str(most + 1)}, {"Content-Length": "9" * 5_000}):
                _is_too_long(await client.post(path, content=b"{}", headers=JSON | said), most)
            chunks = Chunks(10 * most)
            _is_too_long(await client.post(path, content=chunks, headers=JSON), most)
            assert chunks.read <= most + 1_000
            fits = await client.post(path, content=b" " * (most - 4) + b"[{}]", headers=JSON)
            assert fits.status_code == (422 if path == "/v1/session" else 200)

    asyncio.run(test())
    visited.close()


JSON = {"Content-Type": "application/json"}


def _is_too_long(answer: Any, most: int) -> None:
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
    assert answer.json()["detail"] == f"A body here has at most {most} bytes."
