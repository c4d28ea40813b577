"""Homes of a living exchange agree over the horizon: what they say, what they are proposed, and what comes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from exchange_cases import AFTER, BILATERAL, HEAD, LISTINGS, MEMBERS, START, TARIFF, exchange_of, short_days, written
from live_cases import RICH, Village

from commonwatt.exchange import tables
from commonwatt.simulation.api import simulate

HOUR = 3600
MEMBERS_RICH = RICH[RICH.index("\n[defaults]") :]
DAY = HEAD + TARIFF + BILATERAL + AFTER + MEMBERS_RICH
assert MEMBERS != MEMBERS_RICH


def accounts(exchange: Any) -> list[tuple[Any, ...]]:
    columns = ("slot", "revision", "member", "net", "ahead", "after", "grid", "credit")
    found: list[tuple[Any, ...]] = exchange.store.columns(tables.accounts, columns)
    return found


@pytest.mark.parametrize("stages", [BILATERAL + AFTER, BILATERAL + LISTINGS + AFTER], ids=["alone", "and a board"])
def test_a_living_exchange_settles_what_the_homes_of_a_simulation_agree(tmp_path: Path, stages: str) -> None:
    text = HEAD + TARIFF + stages + MEMBERS_RICH
    with short_days():
        result = simulate(written(tmp_path / "simulated", text), START, 1)
    expected = (accounts(result.exchange), exchange_of(result).client.balances().tolist())
    village = Village(tmp_path / "living", text)
    village.run(lambda _slot, _home: 0)
    village.exchange.outbox.finalise_due()
    assert (accounts(village.exchange), village.exchange.client.balances().tolist()) == expected
    assert any(ahead for *_, ahead, _, _, _ in expected[0])
    clearings = village.exchange.store.columns(tables.clearings, ("slot", "stage", "mechanism", "proof"))
    assert clearings == result.exchange.store.columns(tables.clearings, ("slot", "stage", "mechanism", "proof"))
    assert village.exchange.store.rows(tables.forecasts) == []
    village.simulation.close()
    result.close()
