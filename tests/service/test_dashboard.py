"""A real Prometheus asks a real service; the dashboard and the alarms ask for what is there."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import time
from pathlib import Path

import pytest
from operated_cases import Box, operated
from services import Prometheus, program

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana.json").read_text("utf-8"))
SECONDS = 120


def shown() -> list[str]:
    """What the dashboard asks, of any box."""
    asked = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return [each.replace('instance="$instance"', 'instance=~".+"') for each in asked]


def alarms() -> list[str]:
    """What alarms ask; a comparison as a figure, which is there whether it holds or not."""
    lines = re.findall(r"^ +expr: (.+)$", (DEPLOY / "alerts.yml").read_text("utf-8"), re.MULTILINE)
    return [re.sub(r" (==|<|>) ", r" \1 bool ", each) for each in lines]


def test_every_expression_is_answered_by_a_service_at_work(tmp_path: Path) -> None:
    box = Box(tmp_path)

    async def scene() -> list[str]:
        async with operated(box) as port:
            prometheus = await asyncio.to_thread(Prometheus, port)
            try:
                await box.running.readings(box.readings(0))
                await asyncio.to_thread(prometheus.start)
                return await asyncio.to_thread(unanswered, prometheus, [*shown(), *alarms()])
            finally:
                await asyncio.to_thread(prometheus.remove)

    try:
        assert asyncio.run(scene()) == []
    finally:
        box.close()


def unanswered(prometheus: Prometheus, expressions: list[str]) -> list[str]:
    """Those that stay without an answer; rates need two looks at a figure."""
    assert len(expressions) > 40
    end = time.monotonic() + SECONDS
    while (left := [each for each in expressions if not prometheus.values(each)]) and time.monotonic() < end:
        time.sleep(0.5)
    return left


def test_panels_are_in_the_order_and_place_of_a_page() -> None:
    places = [tuple(panel["gridPos"][key] for key in "xywh") for panel in DASHBOARD["panels"]]
    cells = [(x + dx, y + dy) for x, y, w, h in places for dx in range(w) for dy in range(h)]
    assert len(cells) == len(set(cells))
    assert all(x + w <= 24 for x, _, w, _ in places)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(places)


@pytest.mark.parametrize(
    "arguments",
    [("check", "rules", "alerts.yml"), ("test", "rules", "alerts.test.yml"), ("check", "config", "prometheus.yml")],
)
def test_prometheus_takes_what_it_is_given(arguments: tuple[str, ...]) -> None:
    done = subprocess.run([program("promtool"), *arguments], cwd=DEPLOY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
