"""What a service says of itself to Prometheus, and to whom."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from operated_cases import HOUR, Box, operated
from prometheus_client.parser import text_string_to_metric_families
from services import program

from commonwatt.errors import NodeError, StoreError
from commonwatt.exchange.store import Store
from commonwatt.ledger.node import Block
from commonwatt.service import metrics
from commonwatt.service.metrics import LOOPBACK, Metrics

ROOT = Path(__file__).parents[2]
Figures = dict[str, float]


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    found = Box(tmp_path)
    yield found
    found.close()


def figures(text: str) -> Figures:
    """Each figure by its name and the values of its labels."""
    samples = [each for family in text_string_to_metric_families(text) for each in family.samples]
    return {" ".join([each.name.removeprefix("commonwatt_"), *each.labels.values()]): each.value for each in samples}


def said(box: Box, *steps: Any) -> list[Figures]:
    """What is said after each of these."""
    told = Metrics(box.running, box.folder)

    async def scene() -> list[Figures]:
        found = []
        for step in steps:
            await step()
            found.append(figures((await told.text()).decode()))
        return found

    return asyncio.run(scene())


def test_figures_follow_what_happens(box: Box) -> None:
    async def nothing() -> None: ...

    async def readings() -> None:
        await box.running.readings(box.readings(0)[:4])
        await box.running.readings(box.readings(0)[:1] + box.readings(3)[:1])

    async def settled() -> None:
        await box.running.readings(box.readings(0)[4:])
        await box.running.ask(box.live.advance, box.running.now())

    async def corrected() -> None:
        await box.running.readings(box.readings(0, number=2)[:1])

    before, came, after, late = said(box, nothing, readings, settled, corrected)
    assert (before["slots_open"], before["slots_settled_total"], before["slot_seconds"]) == (8, 0, HOUR)
    assert (before["slot_end_overdue_seconds"], before["posts_pending"], before["slots_missed_total"]) == (0, 0, 0)
    assert "settled_age_seconds" not in before
    by_result = [came[f"readings_total {result}"] for result in ("stored", "duplicate", "refused")]
    assert by_result == [4, 1, 1]
    assert came["batch_seconds_count readings"] == 2
    assert (after["slots_open"], after["slots_settled_total"], after["settled_age_seconds"]) == (7, 1, 0)
    assert (after["posts_pending"], after["slots_late"], late["slots_late"]) == (1, 0, 1)
    assert after["chain_block_number"] > before["chain_block_number"]
    assert after["store_size_bytes"] > 0
    assert 0 < after["disk_free_bytes"] < after["disk_size_bytes"]
    assert (after["chain_up"], after["behind"], after["without_rules"], after["clock_vouched"]) == (1, 0, 0, 1)


def test_what_is_late_is_counted_from_when_it_was_due(box: Box) -> None:
    async def later() -> None:
        box.clock = box.starts[0] + HOUR + 700

    async def nobody_vouches() -> None:
        box.clock = None

    late, unsure = said(box, later, nobody_vouches)
    assert (late["slot_end_overdue_seconds"], late["clock_vouched"]) == (700, 1)
    assert (unsure["slot_end_overdue_seconds"], unsure["clock_vouched"]) == (700, 0)


def test_a_chain_that_is_gone_is_a_figure_and_holds_up_no_other(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: object) -> None:
        raise NodeError("http://node", "does not answer")

    async def leaves() -> None:
        monkeypatch.setattr(type(box.village.exchange.client.node), "head", property(gone))
        box.live.behind = "The node does not answer."

    async def comes_back() -> None:
        monkeypatch.undo()
        box.live.behind = ""

    away, back = said(box, leaves, comes_back)
    assert (away["chain_up"], away["behind"], away["slots_open"]) == (0, 1, 8)
    assert "chain_block_number" not in away
    assert (back["chain_up"], back["behind"]) == (1, 0)


def test_an_engine_that_is_busy_is_asked_once_and_holds_up_no_figure(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_CHAIN_SECONDS", 0.01)
    told, asked, head = Metrics(box.running, box.folder), list[int](), box.village.exchange.client.node.head

    def counted(_: object) -> Block:
        asked.append(1)
        return head

    monkeypatch.setattr(type(box.village.exchange.client.node), "head", property(counted))

    async def scene() -> list[Figures]:
        free = asyncio.Event()
        loop = asyncio.get_running_loop()
        busy = asyncio.create_task(
            box.running.ask(lambda: asyncio.run_coroutine_threadsafe(free.wait(), loop).result())
        )
        meanwhile = [figures((await told.text()).decode()) for _ in range(3)]
        free.set()
        await busy
        return [*meanwhile, figures((await told.text()).decode())]

    *meanwhile, after = asyncio.run(scene())
    assert [each["chain_up"] for each in meanwhile] == [0, 0, 0]
    assert (after["chain_up"], len(asked)) == (1, 1)


@pytest.mark.parametrize(
    ("networks", "peer", "headers", "status"),
    [
        (LOOPBACK, "127.0.0.1", {}, 200),
        (LOOPBACK, "::1", {}, 200),
        (LOOPBACK, "192.168.1.7", {}, 404),
        (LOOPBACK, "nobody", {}, 404),
        (LOOPBACK, "127.0.0.1", {"x-forwarded-for": "203.0.113.9"}, 404),
        (LOOPBACK, "127.0.0.1", {"forwarded": "for=127.0.0.1"}, 404),
        (LOOPBACK, "127.0.0.1", {"X-Real-IP": "127.0.0.1"}, 404),
        (LOOPBACK, "127.0.0.1", {"via": "1.1 proxy"}, 404),
        (("172.16.0.0/12",), "172.17.0.3", {}, 200),
        (("172.16.0.0/12",), "127.0.0.1", {}, 404),
    ],
)
def test_only_those_are_answered_who_may(
    box: Box, networks: tuple[str, ...], peer: str, headers: dict[str, str], status: int
) -> None:
    metrics.add(box.app, Metrics(box.running, box.folder), networks)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(box.app, client=(peer, 50_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://box") as client:
            return await client.get("/metrics", headers=headers)

    answer = asyncio.run(ask())
    assert answer.status_code == status
    assert ("commonwatt_" in answer.text) == (status == 200)


def test_a_store_that_is_out_of_reach_is_said_in_a_sentence(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics.add(box.app, Metrics(box.running, box.folder))

    def away(*_: object) -> None:
        raise StoreError("The store is away.")

    monkeypatch.setattr(Store, "ask", away)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(box.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://box") as client:
            return await client.get("/metrics")

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.json()["detail"]) == (503, "The store is away.")


def test_names_are_as_prometheus_wants_them_and_all_are_explained(box: Box) -> None:
    async def scene() -> str:
        async with operated(box) as port, httpx.AsyncClient(trust_env=False) as client:
            await box.running.readings(box.readings(0))
            await box.running.ask(box.live.advance, box.running.now())
            return (await client.get(f"http://127.0.0.1:{port}/metrics")).text

    text = asyncio.run(scene())
    checked = subprocess.run([program("promtool"), "check", "metrics"], input=text, capture_output=True, text=True)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    page = (ROOT / "docs" / "operating.md").read_text("utf-8")
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE commonwatt_")}
    assert [name for name in sorted(names) if f"`{name}" not in page and not name.endswith("_created")] == []
