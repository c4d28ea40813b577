"""Homes say over HTTP what they forecast, agree in a process of its own, and are proposed what is agreed."""

from __future__ import annotations

import asyncio
import json
import threading
from asyncio.subprocess import Process
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import pytest
from exchange_cases import AHEAD, BILATERAL
from live_cases import RICH, Village
from pydantic_core import to_json

from commonwatt.agents.planning import Plan
from commonwatt.errors import ChildError, RecordError
from commonwatt.exchange import tables
from commonwatt.exchange.agreement import Agreement, HomeForecast, Proposal
from commonwatt.exchange.live import Said
from commonwatt.exchange.told import all_told
from commonwatt.service import running as running_module
from commonwatt.service.agreeing import agreed_apart
from commonwatt.service.api.app import application
from commonwatt.service.api.limits import Allowance
from commonwatt.service.api.settings import Settings
from commonwatt.service.broker import SECRET
from commonwatt.service.logins import Passwords
from commonwatt.service.plans import proposal_told
from commonwatt.service.running import Running
from commonwatt.service.topics import name
from commonwatt.units import MAX_ORDER_WH, MAX_PRICE

HOUR = 3600


class Street:
    """A living exchange whose homes agree before its gate, and its application."""

    def __init__(self, folder: Path) -> None:
        self.village = Village(folder, RICH.replace(AHEAD, BILATERAL))
        self.live, self.store = self.village.live, self.village.exchange.store
        gate = self.village.exchange.next_gate
        assert gate
        self.gate, self.now = gate, gate.at - HOUR
        self.running = Running(self.live, lambda: self.now, speed=100)
        self.passwords = Passwords.kept(folder / SECRET)
        app = application(self.running, Settings(per_address=Allowance(10_000, 100_000)), passwords=self.passwords)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://box")
        self.meters = [meter.key.address for meter in self.village.homes.meters.values()]

    @property
    def forecasts(self) -> list[HomeForecast]:
        """Of each home."""
        outlook, _ = self.village.homes.outlook(self.gate, all_told(self.village.exchange.committed))
        return [HomeForecast.of(outlook, home) for home in range(len(self.meters))]

    async def ask(self, home: int, word: str, body: object = None) -> httpx.Response:
        """What a home's meter is answered; with a body it says something."""
        meter = name(self.meters[home])
        content = body if isinstance(body, bytes) else None if body is None else to_json(body)
        return await self.client.request(
            "GET" if body is None else "PUT", f"/v1/meters/{meter}/{word}", content=content,
            auth=(meter, self.passwords.of(meter)),
        )  # fmt: skip

    def said(self, home: int) -> dict[str, Any]:
        """A home's forecast, as it is said."""
        return {"first": self.gate.slots.start, **asdict(self.forecasts[home])}


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    found = Street(tmp_path)
    yield found
    found.running.close()
    found.village.simulation.close()


def test_homes_agree_beside_everything_else_and_what_fails_is_tried_again(
    street: Street, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    batches, tried, reached, enough = list[int](), list[Agreement](), list[Said](), threading.Event()
    outlooks, together = street.live.outlooks, street.running.outlooks

    def noted(said: Sequence[Said]) -> list[RecordError | None]:
        batches.append(len(said))
        return outlooks(said)

    async def counted(said: Sequence[Said]) -> list[RecordError | None]:
        reached.extend(said)
        return await together(said)

    async def failing(agreement: Agreement) -> Plan:
        tried.append(agreement)
        if len(tried) == 1:
            raise ChildError("agreement", "Its process has ended.")
        await street.running.ask(int)  # the engine is there meanwhile
        return await agreed_apart(agreement)

    monkeypatch.setattr(street.live, "outlooks", noted)
    monkeypatch.setattr(street.running, "outlooks", counted)
    monkeypatch.setattr(running_module, "agreed_apart", failing)

    async def test() -> None:
        busy = asyncio.create_task(street.running.ask(enough.wait, 60))
        await asyncio.sleep(0)
        saying = [asyncio.create_task(street.ask(home, "forecast", street.said(home))) for home in range(5)]
        async with asyncio.timeout(60):
            while len(reached) < 5:
                await asyncio.sleep(0.01)
        enough.set()
        assert [each.status_code for each in await asyncio.gather(*saying)] == [204] * 5
        await busy
        # While the engine is busy, what comes is gathered.
        assert sum(batches) == 5
        assert len(batches) <= 2
        assert (await street.ask(0, "proposal")).json()["net"] == []
        keeping = asyncio.create_task(street.running.keep_time())
        async with asyncio.timeout(240):
            while not (proposed := (await street.ask(0, "proposal")).json())["net"]:
                await asyncio.sleep(0.05)
        keeping.cancel()
        await asyncio.wait([keeping])
        assert proposal_told(proposed) == street.live.proposal(street.meters[0])
        assert len(proposed["sell"]) == street.gate.slots.count
        assert any(proposed["sell"])
        late = await street.ask(1, "forecast", street.said(1))
        assert (late.status_code, late.headers["content-type"]) == (409, "application/problem+json")
        assert "The homes agree already" in late.json()["detail"]
        await street.client.aclose()

    asyncio.run(test())
    assert len(tried) == 2
    assert "The homes could not agree, and try it again until the gate closes: Its process has ended." in caplog.text


def test_nonsense_is_answered_in_a_sentence_and_nothing_of_it_is_kept(street: Street) -> None:
    good = street.said(0)
    assert good["battery"]
    empty = {**good, "load": [], "generation": []}
    bad: list[tuple[int, object]] = [(422, each) for each in (b"", b"[]", b"{}", {**good, "more": 1}, empty)]
    wrong: dict[str, tuple[object, ...]] = {
        "first": (-1, 1.0), "load": ([1.5] * 8, [-1] * 8, [MAX_ORDER_WH + 1] * 8, [0] * 1_501), "curtails": (1,),
        "battery": (7, {}),
    }  # fmt: skip
    for key, values in wrong.items():
        bad += [(422, {**good, key: value}) for value in values]
    for key, value in (("charging", 0), ("charging", 1.1), ("power", 1.5), ("low", -1), ("high", MAX_ORDER_WH + 1.0)):
        bad.append((422, {**good, "battery": {**good["battery"], key: value}}))
    text, low = json.dumps(good), f'"low": {good["battery"]["low"]}'
    bad += [(422, text.replace(low, f'"low": {word}').encode()) for word in ("NaN", "1e999")]
    bad += [(409, {**good, "load": good["load"][1:]}), (409, {**good, "first": good["first"] + HOUR})]
    bad.append((413, b" " * 99_999))
    bad.append((409, {**good, "battery": {**good["battery"], "low": good["battery"]["high"] + 1}}))

    async def test() -> None:
        for status, body in bad:
            answer = await street.ask(0, "forecast", body)
            assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), body
            assert answer.json()["detail"].endswith(".")
        assert street.store.rows(tables.forecasts) == []
        assert (await street.ask(0, "forecast", good)).status_code == 204
        await street.client.aclose()

    asyncio.run(test())


def test_a_process_that_fails_is_told_and_one_that_nobody_waits_for_is_ended(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ChildError, match="exit code 1: AttributeError: 'str' object has no attribute 'plan'"):
        asyncio.run(agreed_apart("nonsense"))  # type: ignore[arg-type]
    begun, begin = list[Process](), asyncio.create_subprocess_exec

    async def noted(*arguments: Any, **options: Any) -> Process:
        begun.append(await begin(*arguments, **options))
        return begun[-1]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", noted)
    said = [
        Said(meter, street.gate.slots.start, each) for meter, each in zip(street.meters, street.forecasts, strict=True)
    ]
    assert street.live.outlooks(said) == [None] * 5

    async def test() -> None:
        keeping = asyncio.create_task(street.running.keep_time())
        async with asyncio.timeout(240):
            while not begun:
                await asyncio.sleep(0.01)
        keeping.cancel()
        await asyncio.wait([keeping])
        assert begun[0].returncode is not None
        assert street.live.proposal(street.meters[0]).net == ()
        await street.client.aclose()

    asyncio.run(test())


def test_homes_that_never_come_to_an_end_are_waited_for_until_the_gate_alone(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def endless(_: Agreement) -> Plan:
        begun.set()
        try:
            return await asyncio.Future[Plan]()
        finally:
            ended.set()

    monkeypatch.setattr(running_module, "agreed_apart", endless)
    street.now = street.gate.at - 1

    async def test() -> None:
        keeping = asyncio.create_task(street.running.keep_time())
        async with asyncio.timeout(60):
            await begun.wait()
            street.now = street.gate.at
            await ended.wait()
        assert not keeping.done()
        keeping.cancel()
        await asyncio.wait([keeping])
        await street.client.aclose()

    asyncio.run(test())


@pytest.mark.parametrize(
    "change",
    [
        {"first": 1.0}, {"net": [0]}, {"buy": [-1, 0]}, {"sell": [0.5, 1]}, {"dearest": [MAX_PRICE + 1, 0]},
        {"grid": [MAX_ORDER_WH + 1, 0]}, {"cheapest": None}, {"more": []},
    ],
)  # fmt: skip
def test_a_proposal_that_is_none_is_not_believed(change: dict[str, Any]) -> None:
    proposal = Proposal(HOUR, (-5, 7), (0, 7), (0, 0), (0, 0), (5, 0), (9, 0))
    said = json.loads(to_json(asdict(proposal)))
    assert proposal_told(said) == proposal
    with pytest.raises(RecordError, match="A proposal"):
        proposal_told({**said, **change})
