from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from schedule_cases import clear, frame, line, village

from commonwatt.devices.households import Households
from commonwatt.errors import MarketError
from commonwatt.market.designs.schedule import SCHEDULE
from commonwatt.market.schedule.input import Dispatch, Flexible
from commonwatt.market.schedule.plan import deferred
from commonwatt.market.schedule.step import Ask, Local, island


def pair(**given: Any) -> Dispatch:
    homes = {"load": [[1.0, 1.0], [1.0, 1.0]], "retail": 0.3, "feed_in": 0.1} | given.pop("homes", {})
    loads = Flexible.of(2, 2, **given.pop("flexible", {}))
    return Dispatch.of(
        given.pop("feeder", line(3)), given.pop("node", [1, 2]), Households.of(**homes), **given, flexible=loads
    )


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"homes": {"load": [[1.0, 1.0], [np.nan, 1.0]]}}, r"homes\[1\].load\[0\]: is not a number"),
        ({"homes": {"pv": [[0.0, -1.0], [0.0, 0.0]]}}, r"homes\[0\].pv\[1\]: is negative"),
        ({"homes": {"import_limit": [9.0, 0.5]}}, r"homes\[1\].load\[0\]: cannot be met"),
        ({"homes": {"retail": np.inf}}, "homes.retail: is not a number: the feeder needs a utility at node 0"),
        ({"homes": {"feed_in": -np.inf}}, "homes.feed_in: is not a number"),
        ({"homes": {"retail": [[0.3, 0.3], [0.3, 0.4]]}}, "homes.retail: differs between homes"),
        ({"node": [1, 3]}, r"node\[1\]: is none of the feeder's 3 nodes"),
        ({"node": [-1, 1]}, r"node\[0\]: is none of the feeder's"),
        ({"node": [1]}, "node: has the shape"),
        ({"reactive": [[0.0, 0.0], [np.inf, 0.0]]}, r"reactive\[1\]: is not a number"),
        ({"feeder": replace(line(3), r=np.array([0.0, 0.1, -0.1]))}, r"feeder.r\[2\]: is not a number above zero"),
        ({"feeder": replace(line(3), parent=np.array([-1, 2, 1]))}, r"feeder.parent\[1\]: has no path to node 0"),
        ({"flexible": {"power": [1.0, np.nan]}}, r"flexible\[1\].power: is not a number from 0 on"),
        ({"flexible": {"power": 1.0, "energy": [1.0, 3.0]}}, r"flexible\[1\].energy: is more than the load can take"),
        ({"flexible": {"power": 1.0, "energy": 1.0, "begin": [0, 2]}}, r"flexible\[1\].energy: is more"),
        ({"flexible": {"energy": -1.0}}, r"flexible\[0\].energy: is not a number from 0 on"),
        ({"flexible": {"power": 1e9}}, r"flexible\[0\].power: is beyond"),
        ({"flexible": {"profile": [[1.0, 1.0, 1.0]]}}, r"flexible\[0\].profile: does not end within the horizon"),
        ({"flexible": {"profile": [[1.0, 1.0], [0.0, 0.0]], "earliest": 1}}, r"flexible\[0\].profile: does not end"),
        ({"flexible": {"profile": [[1.0, -1.0]]}}, r"flexible\[0\].profile: is not a number from 0 on"),
    ],
)
def test_findings_name_row_and_field(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(MarketError, match=sentence):
        clear(pair(**given))


def test_one_input_of_the_right_size() -> None:
    given = pair()
    with pytest.raises(MarketError, match="one Dispatch"):
        SCHEDULE.clear(frame(given), (given, given))
    with pytest.raises(MarketError, match="for a frame of"):
        SCHEDULE.clear(frame(given), (village(line(4)),))


@pytest.mark.parametrize(
    "homes",
    [
        {"load": [[0.0, 0.0], [0.0, 0.0]]},
        {"load": [[0.0, 0.0], [0.0, 0.0]], "pv": [[3.0, 0.0], [0.0, 0.0]]},
        {"load": [[9999.0, 0.0], [0.0, 0.0]]},
        {"retail": 0.1, "feed_in": 0.1},
        {"retail": 0.0, "feed_in": 0.0},
        {"capacity": [2.0, 0.0], "power": [1.0, 0.0]},
    ],
    ids=["nothing", "sun only", "the largest allowed", "one price", "no price", "battery"],
)
def test_edges(homes: dict[str, Any]) -> None:
    # A feeder on which even the largest load keeps the voltage.
    strong = line(3, ohm=1e-6)
    clearings = clear(pair(homes=homes, feeder=strong))
    assert clearings[0].diagnostics["converged"] == 1
    given = pair(homes=homes).homes
    if "capacity" not in homes:
        taken = np.stack([clearing.grid + clearing.trades.position(2) for clearing in clearings], axis=1)
        assert np.array_equal(taken, np.rint((given.load - given.pv) * 1000))


def test_one_home_and_homes_at_the_utility_and_two_at_a_node() -> None:
    homes = Households.of([[1.0], [2.0], [0.5]], pv=[[0.0], [0.0], [4.0]], retail=0.3, feed_in=0.1)
    (clearing,) = clear(Dispatch.of(line(2), [0, 1, 1], homes))
    assert (clearing.grid + clearing.trades.position(3)).tolist() == [1000, 2000, -3500]
    (clearing,) = clear(Dispatch.of(line(2), [1], homes.take([1])))
    assert clearing.grid.tolist() == [2000]
    assert not len(clearing.trades)


def test_where_the_utility_pays_more_than_it_asks_nobody_trades() -> None:
    given = pair(homes={"pv": [[3.0, 3.0], [0.0, 0.0]]})
    market = frame(given)
    clearings = SCHEDULE.clear(replace(market, ceiling=market.floor - 1), (given,))
    assert not any(len(clearing.trades) for clearing in clearings)


def test_flexible_loads_at_once_are_what_they_take_without_a_plan() -> None:
    flexible = Flexible.of(2, 6, power=2.0, energy=[3.0, 0.0], begin=1, profile=[[1.0, 2.0], [0, 0]], earliest=3)
    assert flexible.at_once(6, 1.0).tolist() == [[0, 2, 1, 1, 2, 0], [0] * 6]
    assert deferred(flexible, np.array([4, -1]), 6).tolist() == [[0, 0, 0, 0, 1, 2], [0] * 6]


@pytest.mark.parametrize("seed", range(8))
def test_a_plan_can_be_done_in_any_round(seed: int) -> None:
    given = village(line(5), seed, sun=2, import_limit=6.0, export_limit=1.0)
    local = Local(given.homes, given.flexible, 1.0)
    chance = np.random.default_rng(seed)
    for number in range(12):
        wanted = chance.normal(0, 3, given.homes.shape)
        local.answer(Ask(wanted, chance.uniform(0, 0.5, wanted.shape), 0.1, number > 8))
        assert local.plan().breach(island(given.homes), given.flexible, 1.0).max() < 1e-3
