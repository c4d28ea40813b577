"""The claims put to the test: each figure comes from a run, and each verdict from the figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from commonwatt.community.synthetic import village
from commonwatt.market import MECHANISMS
from commonwatt.market.bilateral.neighbourhood import BilateralParameters
from commonwatt.market.designs.bilateral import BILATERAL
from commonwatt.market.designs.schedule import SCHEDULE as DISPATCH
from commonwatt.market.designs.sdr import SDR
from commonwatt.market.designs.uniform import UNIFORM
from commonwatt.market.mechanism import Mechanism
from commonwatt.study.compare import table2
from commonwatt.study.compare.comparison import Comparison, compare
from commonwatt.study.compare.table2 import Sizes, more_nodes, power_failure, throughput
from commonwatt.study.compare.table2_day import Day
from commonwatt.study.compare.table2_outage import EXCHANGE, Outage, crashes, negotiate, outages
from commonwatt.study.compare.table2_size import AUCTION, POOL, SCHEDULE, Taken, kind, taken

HOMES = 8


def measured(mechanism: Mechanism[Any], day: Day) -> Taken:
    found = taken(mechanism, day)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def day() -> Day:
    return Day.of(HOMES)


@pytest.fixture(scope="module")
def fallen(day: Day) -> dict[str, Outage]:
    return {outage.design.partition(",")[0]: outage for outage in outages(day)}


def test_mechanisms_have_the_kinds_that_they_are() -> None:
    kinds = {name: kind(mechanism) for name, mechanism in MECHANISMS.items()}
    assert {name for name in kinds if kinds[name] == AUCTION} == {"coalition", "uniform", "pay-as-bid", "continuous"}
    assert kinds["bilateral"] == kind(DISPATCH) == SCHEDULE
    assert kinds["sdr"] == POOL


def test_messages_are_those_of_the_rounds(day: Day) -> None:
    auction, pool, plan, centre = (measured(mechanism, day) for mechanism in (UNIFORM, SDR, BILATERAL, DISPATCH))
    assert (auction.rounds, auction.messages, auction.partners) == (1, day.wishes, 0)
    assert (pool.rounds, pool.messages, pool.cleared) == (0, 0, HOMES * 24)
    routes = BilateralParameters().routes(day.neighbourhood)
    pairs = {frozenset(pair) for pair in zip(routes.seller.tolist(), routes.buyer.tolist(), strict=True)}
    assert plan.messages == plan.rounds * 2 * len(pairs)
    assert plan.partners == 2 * len(pairs) / HOMES
    assert centre.messages == centre.rounds * 2 * HOMES
    assert all(each.rate > 0 for each in (auction, pool, plan, centre))


def test_agents_agree_on_what_the_market_finds(day: Day) -> None:
    _, agreed, stopped = negotiate(day.neighbourhood, 1.0)
    cleared = BILATERAL.clear(day.frame, (day.neighbourhood,))
    assert stopped == 0
    assert agreed == pytest.approx(sum(int(each.trades.wh.sum()) for each in cleared) / 1000, rel=0.02)


def test_auctions_go_on_without_the_silent_and_iterations_do_not(fallen: dict[str, Outage]) -> None:
    for name in ("uniform", "coalition", "continuous"):
        assert fallen[name].kind == AUCTION
        assert 0 < fallen[name].left < fallen[name].undisturbed
    for name in ("bilateral", "schedule"):
        assert fallen[name].kind == SCHEDULE
        assert fallen[name].left == 0 < fallen[name].undisturbed
    assert "the aggregator waits for 4 of 8 homes" in fallen["schedule"].outcome


def test_an_outage_of_nobody_changes_nothing(day: Day) -> None:
    found = negotiate(day.neighbourhood, 1.0)
    assert negotiate(day.neighbourhood, 1.0, found[0] // 2, np.zeros(0, dtype=np.int64)) == found


def test_an_exchange_that_stops_goes_on_from_its_file() -> None:
    found = list(crashes(("uniform",), HOMES))
    assert len(found) == 3
    for outage in found:
        assert outage.kind == EXCHANGE
        assert outage.left == outage.undisturbed > 0
        assert outage.outcome.endswith(": 0 micro-units")


def test_verdicts_follow_the_figures(day: Day, fallen: dict[str, Outage]) -> None:
    found = {name: taken(mechanism, day) for name, mechanism in MECHANISMS.items()}
    sizes: Sizes = {name: (each, replace(each, homes=2 * HOMES)) for name, each in found.items() if each}
    assert throughput(sizes).finding.startswith("The table is not confirmed")
    quick: Sizes = {name: tuple(replace(each, seconds=1e-9) for each in both) for name, both in sizes.items()}
    slow = {name: sizes[name] if kind(MECHANISMS[name]) == AUCTION else quick[name] for name in sizes}
    assert throughput(slow).finding.startswith("The table is confirmed")
    stops = [Outage("sdr", EXCHANGE, "x", 1.0, 1.0, ""), Outage("sdr", EXCHANGE, "x", 1.0, 0.5, "")]
    said = power_failure([*fallen.values(), *stops]).finding
    assert "not confirmed" in said
    assert "Of 2 stops of the exchange, 1 change nothing" in said
    rosy = [replace(each, left=each.undisturbed) if each.kind == SCHEDULE else each for each in fallen.values()]
    assert "the table is confirmed" in power_failure([*rosy, *stops]).finding
    assert "confirmed for none and not for bilateral" in more_nodes(sizes).finding


def test_all_four_on_a_community(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fallen: dict[str, Outage]) -> None:
    monkeypatch.setattr("commonwatt.study.compare.table2_size.TIMES", 1)
    monkeypatch.setattr(table2, "SIZES", (HOMES, HOMES + 2))
    monkeypatch.setattr(table2, "outages", lambda _: fallen.values())
    monkeypatch.setattr(table2, "CRASHED", ("sdr",))
    file = tmp_path / "village.toml"
    file.write_text(village(6), encoding="utf-8")
    compared = compare(file, "2026-06-15", 1, ["uniform", "uniform+sdr", "sdr"])
    steps: list[tuple[int, int]] = []
    found: Comparison = table2.put_to_the_test(file, compared, lambda *step: steps.append(step))
    assert [claim.title for claim in found.claims] == [
        "Throughput",
        "Impact of power failure",
        "Addition of nodes",
        "Margin of error",
    ]
    assert steps == [(n, 5) for n in range(1, 6)]
    for claim in found.claims:
        assert {len(row) for row in claim.rows} == {len(claim.heads)}
    margin = {row[0]: row for row in found.claims[3].rows}
    # A pool shares what was metered, whatever was expected.
    for name in ("sdr", "uniform+sdr"):
        assert margin[name][3:] == (0, 0, 0)
    assert margin["uniform"][1] == AUCTION
    small, large = margin["uniform"][3:5]
    assert isinstance(small, float)
    assert isinstance(large, float)
    assert large > small > 0
    assert replace(found, claims=()) == compared
