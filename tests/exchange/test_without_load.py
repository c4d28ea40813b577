"""Members that use nothing: plants and storages alone, and those that take no part in the market."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest
from by_slot import contents, proven, verify_bill
from exchange_cases import AFTER, AHEAD, BILATERAL, HEAD, LISTINGS, POOLS, START, TARIFF, short_days, written

from commonwatt.community.roles import Role
from commonwatt.exchange.checking import load
from commonwatt.ledger.client.abi import COMMUNITY
from commonwatt.ledger.client.community import CommunityClient
from commonwatt.report.findings import findings
from commonwatt.report.outputs import write_outputs
from commonwatt.report.screen import summary
from commonwatt.simulation.api import simulate
from commonwatt.simulation.simulation import Simulation

MEMBERS = """
[defaults]
load = "simbench:H0-C"
annual_kwh = 4000
collateral = "20"

[members]
office = { role = "regulator" }
flat = { mandate = {} }
roof = { pv = { profile = "simbench:PV1", kwp = 8 } }
field = { role = "prosumer", annual_kwh = 0, pv = { profile = "simbench:PV3", kwp = 5 } }
cellar = { role = "storage", battery = { kwh = 10, kw = 5 } }
co-op = { role = "operator" }
wires = { role = "grid-company", collateral = "0" }
"""
OFFICE, FLAT, ROOF, FIELD, CELLAR, COOP, WIRES = range(7)
SCHEDULE = BILATERAL.replace('"bilateral"', '"schedule"').replace('roles = "free"\n', "")


@pytest.mark.parametrize("market", [AHEAD + AFTER, BILATERAL + AFTER, LISTINGS + POOLS], ids=["orders", "day", "pools"])
def test_a_day_is_whole_with_them(tmp_path: Path, market: str) -> None:
    file = written(tmp_path, HEAD + TARIFF + market + MEMBERS)
    with short_days():
        result = simulate(file, START, out=tmp_path / "out")
    a, client = result.arrays, result.books.client
    for name in ("load", "generation", "charge", "net", "credit"):
        assert not a[name][[OFFICE, COOP, WIRES]].any()
    assert not a["load"][[FIELD, CELLAR]].any()
    assert (a["net"][FIELD] <= 0).all()
    assert result.trades.height > 0
    assert {*result.trades["buyer"], *result.trades["seller"]} <= {"flat", "roof", "field", "cellar"}
    assert (result.charges.total[[OFFICE, COOP, WIRES]] == 0).all()
    assert client
    roles = [client.view(COMMUNITY, "roleOf", member.index)[0] for member in result.community.members]
    assert roles == [Role.REGULATOR, 1, 2, 2, Role.STORAGE, Role.OPERATOR, Role.GRID_COMPANY]
    assert all(verify_bill(bill, client) for bill in proven(result.books, result.bills))
    assert result.ledger
    assert result.ledger.balances == result.ledger.deposits
    # Who has no meter is told of no reading, and nobody waits for one.
    assert [len(member.meters) for member in CommunityClient(client).members] == [0, 1, 1, 1, 1, 0, 0]
    lines = [{line.get("metered") for line in content["slots"]} for content in contents(result.books)]
    assert lines == [{"not measured"}, *[{None}] * 4, {"not measured"}, {"not measured"}]
    assert not [said for said in findings(result) if "meters" in said]
    write_outputs(result, tmp_path / "out")
    assert "3 homes used" in (tmp_path / "out" / "report.html").read_text("utf-8")
    assert summary(result)["community"]["homes"] == 3
    result.close()


def test_a_storage_alone_trades_where_agents_agree_over_the_day(tmp_path: Path) -> None:
    file = written(tmp_path, HEAD + TARIFF + BILATERAL + AFTER + MEMBERS)
    result = Simulation(load(file), tmp_path, date.fromisoformat(START), 1, ledger="none").run()
    assert result.arrays["charge"][CELLAR].any()
    assert result.arrays["ahead"][CELLAR].any()
    result.close()


def test_a_schedule_over_wires_has_room_for_them(tmp_path: Path) -> None:
    text = HEAD + '[grid]\nnetwork = "simbench:rural2"\n' + TARIFF + SCHEDULE + MEMBERS
    for number, name in enumerate(("flat", "roof", "field", "cellar"), 1):
        text = text.replace(f"\n{name} = {{", f'\n{name} = {{ bus = "LV2.101 Bus {number}",')
    file = written(tmp_path, text)
    result = Simulation(load(file), tmp_path, date.fromisoformat(START), 1, ledger="none").run()
    assert result.trades.height > 0
    assert not result.arrays["net"][[OFFICE, COOP, WIRES]].any()
    assert result.wires
    assert result.wires.ok.all()
    result.close()


def test_a_community_in_which_nobody_uses_anything(tmp_path: Path) -> None:
    head, _, _ = MEMBERS.partition("[members]")
    text = HEAD + TARIFF + AHEAD + AFTER + head + '[members]\noffice = { role = "regulator" }\n'
    with short_days():
        result = simulate(written(tmp_path, text), START, out=tmp_path / "out")
    assert not np.any(result.arrays["net"])
    write_outputs(result, tmp_path / "out")
    result.close()
