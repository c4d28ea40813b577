"""Homes of a simulation play at a living exchange by the command, and its day is that of the simulation."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from emulator_cases import Emulator, Served, settled
from exchange_cases import AHEAD, BILATERAL, START, exchange_of, written
from live_cases import RICH

from commonwatt.service.agreeing import agreed_apart
from commonwatt.simulation.api import simulate


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    result = simulate(written(tmp_path_factory.mktemp("simulated"), RICH), START, 1)
    yield settled(exchange_of(result))
    result.close()


@pytest.mark.parametrize("broker", [True, False], ids=["by MQTT", "over HTTP alone"])
def test_a_day_of_emulated_homes_is_that_of_the_simulation(
    tmp_path: Path, simulated: dict[str, Any], broker: bool
) -> None:
    with Served(tmp_path, broker=broker) as served:
        emulator = Emulator(served, tmp_path)
        served.play(emulator.lives)
        code, said, figures = emulator.end()
        assert served.settled() == simulated
        orders = served.orders
    assert (code, said) == (0, "")
    assert figures == {
        "gates": 1, "slots": 24, "orders": orders, "outlooks": 5, "refused_orders": 0,
        "readings": 120, "refused_readings": 0, "why": "",
    }  # fmt: skip


def test_homes_agree_over_the_day_as_those_of_the_simulation(tmp_path: Path) -> None:
    text = RICH.replace(AHEAD, BILATERAL)
    result = simulate(written(tmp_path / "simulated", text), START, 1)
    expected = settled(exchange_of(result))
    result.close()
    with Served(tmp_path, text, broker=False) as served:
        emulator, horizon = Emulator(served, tmp_path), served.live.horizon

        def agree(slot: int | None) -> None:
            """As soon as all have said what they forecast; homes are killed before they hear what they are proposed."""
            emulator.lives()
            if slot is None and (agreement := served.ask(horizon.due, served.clock)):
                emulator.kill()
                served.ask(horizon.agreed, agreement, asyncio.run(agreed_apart(agreement)))
                emulator.start()

        served.play(agree)
        code, said, figures = emulator.end()
        assert served.settled() == expected
        orders = served.orders
    assert (code, figures["orders"], figures["slots"]) == (0, orders, 24)
    assert "a forecast comes before that" in said
    assert any(ahead for *_, ahead, _, _, _ in expected["accounts"])


def test_homes_that_are_killed_again_and_again_go_on(tmp_path: Path, simulated: dict[str, Any]) -> None:
    with Served(tmp_path, broker=True) as served:
        emulator, killed = Emulator(served, tmp_path), set[int | None]()

        def kill(slot: int | None) -> None:
            """Once as orders have come, and in the midst of some slots."""
            emulator.lives()
            wanted = served.orders > 0 if slot is None else slot in (0, 7, 13)
            if wanted and slot not in killed:
                killed.add(slot)
                emulator.kill()
                emulator.start()

        served.play(kill)
        code, said, figures = emulator.end()
        assert served.settled() == simulated
    assert code == 0, said
    assert len(killed) == 4
    assert figures["slots"] < 24
