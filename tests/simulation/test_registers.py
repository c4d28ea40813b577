"""Members with points in a simulation: where their energy came from and went, whatever moved both ways in a slot."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import exchange_cases as cases
import numpy as np
import pytest
from by_slot import proven, verify_bill
from exchange_cases import exchange_of, short_days, written
from hypothesis import given
from hypothesis import strategies as st
from register_cases import (
    EXPORTS,
    HEAD,
    HOURS,
    IMPORTS,
    KEY,
    MEMBERS,
    PLANT,
    SHARED,
    START,
    drawn_by_lot,
    meters,
)
from rich.console import Console

import commonwatt
from commonwatt.errors import CommonwattError, ConfigError
from commonwatt.exchange import tables
from commonwatt.exchange.checking import load
from commonwatt.report.export import write_tables
from commonwatt.report.findings import findings
from commonwatt.report.metrics import disposal, figures, supply
from commonwatt.report.report import write_report
from commonwatt.report.screen import render, summary
from commonwatt.simulation.api import check, simulate
from commonwatt.simulation.result import Result
from commonwatt.study.compare.comparison import compare
from commonwatt.units import IntArray

AHEAD = """
[market.day_ahead]
mechanism = "fixed"
gate = "12:00"
price = "0.20"
"""
SIMULATED = """
hans = { load = "H", pv = { profile = "S", kwp = 3 }, battery = { kwh = 4, kw = 2 } }
"""
ANOTHER = ', { import = "D1" }'
HEATED = 'eva.points = [{ import = "H" }]\n'
"""A member more than the four, and a register of import more than theirs."""
MOVING = """
[members]
anna.points = [{ import = "A1" }]

[members.ben]
points = [{ import = "B1", export = "B2" }]
until = 2026-10-02

[members.fay]
points = [{ import = "B1", export = "B2" }]
from = 2026-10-03

[members.gil]
load = "H"
periods = [{ until = 2026-10-01 }, { from = 2026-10-03, until = 2026-10-03 }]
"""
MARKETS = {"registers": SHARED + KEY, "net": KEY, "net ahead": AHEAD + KEY}


@contextmanager
def ran(text: str, values: Mapping[str, IntArray], ledger: str = "none", slots: int = 8) -> Iterator[Result]:
    with TemporaryDirectory() as name, short_days(8, slots):
        meters(Path(name), values)
        result = simulate(written(Path(name), text), START, 1, ledger=ledger)
        yield result
        result.close()


def still(**moving: int) -> dict[str, IntArray]:
    """Registers that count the same in every hour; those that are not named stand still [Wh]."""
    return {name: np.full(HOURS, moving.get(name, 0)) for name in (*IMPORTS, *EXPORTS)}


def require_balance(result: Result) -> None:
    """Nothing comes from nowhere, and what is behind a meter with points is not guessed."""
    a, pointed = result.arrays, result.simulated.pointed
    came, went = supply(a), disposal(a)
    assert np.array_equal(sum(came.values()), a["load"].sum(axis=0))
    assert np.array_equal(sum(went.values()), a["generation"].sum(axis=0))
    assert np.array_equal(came["neighbours"], went["neighbours"])
    assert np.array_equal(came["returned"], went["returned"])
    for name in ("bought", "sold", "imported", "exported", "returned", "from_utility", "to_utility", "drawn", "fed"):
        assert (a[name] >= 0).all()
    p = {name: values[pointed] for name, values in a.items()}
    assert np.array_equal(p["load"], p["bought"] + p["from_utility"] + p["returned"])
    assert np.array_equal(p["generation"], p["sold"] + p["to_utility"] + p["returned"])
    assert (p["returned"] <= np.minimum(p["load"], p["generation"])).all()
    assert not p["curtailed"].any()
    read = a["measured"] > 0
    assert np.array_equal(a["drawn"] - a["fed"], a["bought"] - a["sold"] + a["imported"] - a["exported"])
    assert np.array_equal((a["drawn"] - a["fed"])[read], a["flowed"][read])
    assert not (a["imported"] + a["exported"] + a["bought"] + a["sold"])[~read].any()


@given(st.sampled_from(sorted(MARKETS)), st.integers(0, 2**32), st.booleans(), st.sampled_from(["0 %", "40 %"]))
def test_energy_balances_whatever_is_shared_and_however_registers_move(
    market: str, seed: int, beside: bool, silent: str
) -> None:
    text = HEAD + MARKETS[market] + f'\n[simulation]\nsilent = "{silent}"\n' + MEMBERS
    text += SIMULATED if beside and market != "registers" else ""
    with ran(text, drawn_by_lot(seed)) as result:
        require_balance(result)
        a, found = result.arrays, figures(result)
        assert found.traded == result.trades["settled_wh"].sum() == result.slots["local_wh"].sum()
        assert found.traded == result.homes["bought_wh"].sum() == result.homes["sold_wh"].sum()
        assert found.bought_from_utility == result.slots["import_wh"].sum() == result.homes["import_wh"].sum()
        assert found.sold_to_utility == result.slots["export_wh"].sum() == result.homes["export_wh"].sum()
        if market == "registers":
            energy = result.books.energy
            assert np.array_equal(a["returned"], np.where(a["measured"] > 0, energy.taken - a["bought"], 0))
            assert np.array_equal(a["drawn"], energy.taken + energy.imported)
        if found.traded + found.bought_from_utility:
            assert found.local_share == found.traded / (found.traded + found.bought_from_utility)


@pytest.mark.parametrize("market", ["registers", "net"])
def test_what_went_through_a_meter_both_ways_is_nobody_s_own_use(market: str) -> None:
    with ran(HEAD + MARKETS[market] + MEMBERS, still(A1=100, B1=100, B2=60)) as result:
        a = {name: values[:, 0].tolist() for name, values in result.arrays.items()}
        came, went = ({name: int(wh[0]) for name, wh in layers(result.arrays).items()} for layers in (supply, disposal))
        if market == "registers":
            # The registers of import share 60 Wh in halves; Ben's own half is in no trade.
            assert (a["bought"], a["sold"]) == ([30, 0, 0, 0], [0, 30, 0, 0])
            assert (a["imported"], a["exported"]) == ([70, 70, 0, 0], [0, 0, 0, 0])
            assert (a["drawn"], a["fed"]) == ([100, 100, 0, 0], [0, 60, 0, 0])
            assert came == {"own": 0, "neighbours": 30, "battery": 0, "grid": 140, "returned": 30}
            assert went == {"own": 0, "neighbours": 30, "battery": 0, "grid": 0, "returned": 30, "curtailed": 0}
            row = result.flows.filter(result.flows["home"] == "ben").row(0, named=True)
            assert [row[f"{name}_wh"] for name in ("bought", "sold", "import", "export")] == [0, 30, 70, 0]
        else:
            assert a["bought"] == a["sold"] == [0, 0, 0, 0]
            assert (a["imported"], a["exported"]) == ([100, 40, 0, 0], [0, 0, 0, 0])
            assert came == {"own": 0, "neighbours": 0, "battery": 0, "grid": 140, "returned": 60}
            assert went == {"own": 0, "neighbours": 0, "battery": 0, "grid": 0, "returned": 60, "curtailed": 0}
            assert "bought_wh" not in result.flows.columns


@pytest.mark.parametrize("market", sorted(MARKETS))
def test_screen_report_tables_and_json_say_what_is_known(market: str, tmp_path: Path) -> None:
    with ran(HEAD + MARKETS[market] + MEMBERS, drawn_by_lot(7)) as result:
        for width in (80, 100):
            console = Console(width=width, color_system=None, highlight=False)
            with console.capture() as captured:
                console.print(render(result, ()))
            lines = captured.get().splitlines()
            assert max(map(len, lines)) <= width
            text = " ".join(lines)
            assert "3 homes · 5 metering points" in text
            assert "own feed-in" in text
            assert "own roof" not in text
            assert "what happens behind them is not known" in " ".join(text.split())
        write_report(result, tmp_path / "report.html")
        page = (tmp_path / "report.html").read_text()
        assert "3 members made" in page
        assert "as far as their meters tell" in page
        assert 'class="returned"' in page
        assert "own roof" not in page
        assert summary(result)["community"]["homes"] == 3
        energy = summary(result)["energy_wh"]
        assert energy["used"] == energy["traded"] + energy["bought_from_utility"] + energy["returned"]
        assert energy["made"] == energy["traded"] + energy["sold_to_utility"] + energy["returned"]
        assert {path.stem for path in write_tables(result, tmp_path / "tables", ["csv"])} >= {"homes", "flows"}


def test_readings_that_never_come_are_on_no_bill_and_their_energy_is_told() -> None:
    text = HEAD + MARKETS["registers"] + '\n[simulation]\nsilent = "100 %"\n' + MEMBERS
    with ran(text, still(A1=100, B1=100, B2=60)) as result:
        require_balance(result)
        assert result.homes["import_wh"].sum() == result.homes["export_wh"].sum() == 0
        assert figures(result).traded == 0
        # 100 + 100 + 60 Wh in each of eight hours.
        assert any("2.1 kWh of these homes are on no bill" in sentence for sentence in findings(result))


def test_late_readings_share_registers_anew() -> None:
    late = '\n[simulation]\nlate = "50 %"\n'
    values = drawn_by_lot(11)
    with (
        ran(HEAD + MARKETS["registers"] + late + MEMBERS, values) as corrected,
        ran(HEAD + MARKETS["registers"] + MEMBERS, values) as undisturbed,
    ):
        assert corrected.arrays["revision"].any()
        require_balance(corrected)
        for name in ("imported", "exported", "bought", "sold"):
            # Rounding is carried on from what was known at the end of the slot before.
            assert abs(corrected.arrays[name] - undisturbed.arrays[name]).max() <= 2


@pytest.mark.parametrize("market", ["registers", "net", "net ahead"])
def test_wires_hold_nothing_back_of_what_registers_counted(market: str) -> None:
    buses = ["LV1.101 Bus 1", "LV1.101 Bus 4", "LV1.101 Bus 5", "LV1.101 Bus 6"]
    members = MEMBERS
    for name, bus in zip(("anna", "ben", "cleo", "plant"), buses, strict=True):
        members += f'{name}.bus = "{bus}"\n'
    text = HEAD + MARKETS[market] + '\n[grid]\nnetwork = "simbench:rural1"\n' + members
    with ran(text, still(A1=100, P2=900_000), slots=2) as result:
        require_balance(result)
        assert (result.arrays["to_utility"][PLANT] + result.arrays["sold"][PLANT] == 900_000).all()
        assert any(sentence.startswith("The wires") for sentence in findings(result))


def test_designs_are_compared_by_what_registers_share(tmp_path: Path) -> None:
    meters(tmp_path, drawn_by_lot(5))
    file = written(tmp_path, HEAD + MARKETS["registers"] + MEMBERS)
    found = compare(file, START, 1, ["sharing-key", "mid-market", "uniform"])
    alone, key, middle = found.rows
    assert found.left_out == {"uniform": "uniform clears ahead of delivery; registers are shared after it."}
    assert (alone.gap, alone.local_kwh, alone.zhou.energy_balance) == (1, 0, 0)
    for row in (key, middle):
        assert row.gap == pytest.approx(0, abs=1e-9)
        assert row.proofs_hold
        # What a member's registers supplied to each other saves it money, and is no trade.
        assert row.saved == pytest.approx(row.zhou.value_tapping * key.saved / key.zhou.value_tapping)  # type: ignore[operator]
        assert row.local_share is not None
        assert 0 < row.local_share < 1
    result = simulate(file, START, 1, ledger="none")
    assert key.local_kwh * 1000 == result.trades["settled_wh"].sum()
    assert key.bill == pytest.approx(result.homes["bill"].sum())
    taken, imported = result.books.energy.taken.sum(), result.arrays["imported"].sum()
    assert taken + imported == result.arrays["load"].sum()
    result.close()


def test_a_community_of_registers_is_checked_for_days_with_a_ledger_and_without(tmp_path: Path) -> None:
    meters(tmp_path, drawn_by_lot(1))
    for ledger in ("", '\n[ledger]\nkind = "none"\n'):
        file = written(tmp_path, HEAD + MARKETS["registers"] + ledger + MEMBERS)
        assert check(file).by == check(file, START).by == "registers"


def test_no_charter_changes_what_is_shared(tmp_path: Path) -> None:
    meters(tmp_path, drawn_by_lot(1))
    file = written(tmp_path, HEAD + MARKETS["net"] + MEMBERS)
    other = tmp_path / "other.toml"
    other.write_text(HEAD + MARKETS["registers"] + MEMBERS)
    with pytest.raises(CommonwattError, match="changes what members share, net energy or registers, which no vote"):
        simulate(file, START, 2, ledger="none", then={"2026-10-03": other})


@pytest.mark.parametrize("readings", ["", '\n[simulation]\nlate = "30 %"\nsilent = "10 %"\n'])
def test_meters_sign_both_ways_and_bills_verify(readings: str) -> None:
    text = HEAD + MARKETS["net ahead"] + readings + MEMBERS + SIMULATED
    with ran(text, drawn_by_lot(3), "embedded") as result:
        require_balance(result)
        rows = result.exchange.store.columns(tables.readings, ("slot", "member", "wh_in", "wh_out"))
        assert any(wh_in and wh_out for _, _, wh_in, wh_out in rows)
        place = {int(slot): number for number, slot in enumerate(result.period.starts)}
        for slot, member, wh_in, wh_out in rows:
            if result.simulated.pointed[member]:
                known = (result.arrays[name][member, place[slot]] for name in ("load", "generation"))
                assert (wh_in, wh_out) == tuple(known)
        assert result.trades["settled_wh"].sum() > 0
        client = exchange_of(result).client
        for bill in proven(result.books, result.bills):
            assert verify_bill(json.loads(json.dumps(bill)), client).lines >= 0


def test_a_share_for_each_register_of_import_in_the_order_of_the_file(tmp_path: Path) -> None:
    static = SHARED + KEY + 'key = "static"\nshares = "{}"\n'
    values = {**still(A1=900, B1=900, C1=900, D1=900, P2=1000), "H": np.full(HOURS, 900)}
    for text, owed in (
        (static.format("0.5, 0.1, 0.3, 0.1") + MEMBERS, [500, 100, 400, 0]),
        (static.format("0.5, 0.1, 0.2, 0.1, 0.1") + MEMBERS + HEATED, [500, 100, 300, 0, 100]),
        # As many members as before, and one register of import less.
        (
            static.format("0.5, 0.2, 0.3") + MEMBERS.replace(', { import = "D1" }', "").replace("],", "]"),
            [500, 200, 300, 0],
        ),
    ):
        with ran(HEAD + text, values) as result:
            assert result.books.energy.taken[:, 0].tolist() == owed
            assert not findings(result)


@pytest.mark.parametrize(("shares", "members"), [("0.5, 0.5", MEMBERS), ("1, 0, 0, 0", MEMBERS + HEATED)])
def test_shares_that_are_not_one_for_each_register_of_import_are_refused(
    shares: str, members: str, tmp_path: Path
) -> None:
    meters(tmp_path, drawn_by_lot(1))
    text = HEAD + SHARED + KEY + f'key = "static"\nshares = "{shares}"\n' + members
    with pytest.raises(ConfigError, match=r"are [24], one for each of [45] registers of import is needed"):
        load(written(tmp_path, text))


def test_a_register_counts_for_who_is_a_member_on_the_day(tmp_path: Path) -> None:
    meters(tmp_path, still(A1=100, B1=200, B2=300) | {"H": np.full(HOURS, 7)})
    file, out = written(tmp_path, HEAD + MARKETS["net"] + MOVING), tmp_path / "out"
    result = simulate(file, START, 2, ledger="none", out=out)
    ids = [member.id for member in result.community.members]
    by_day = {
        name: dict(zip(ids, result.arrays[name].reshape(len(ids), 2, 24).sum(axis=2).tolist(), strict=True))
        for name in ("load", "generation")
    }
    assert by_day["load"]["anna"] == [2400, 2400]
    assert by_day["load"]["ben"] == [4800, 0]
    assert by_day["load"]["fay"] == [0, 4800]
    assert by_day["load"]["gil"] == [0, 168]
    assert by_day["generation"]["ben"] == by_day["generation"]["fay"][::-1] == [7200, 0]
    require_balance(result)
    result.close()
    again = commonwatt.open(out)
    assert again.community.members == result.community.members
    assert np.array_equal(again.arrays["load"], result.arrays["load"])


@pytest.mark.parametrize("market", [cases.BILATERAL, cases.AHEAD], ids=["bilateral", "fixed"])
def test_who_is_no_member_neither_orders_nor_moves_its_battery(tmp_path: Path, market: str) -> None:
    text = cases.HEAD + cases.TARIFF + market + cases.AFTER + cases.MEMBERS
    text = text.replace("sun = {", "sun = { until = 2026-06-15,").replace("flat = {", "flat = { until = 2026-06-15,")
    with commonwatt.simulate(written(tmp_path, text), cases.START, 2, ledger="none") as result:
        moved = {name: np.abs(values[[0, 2]]).reshape(2, 2, 24).sum(axis=2) for name, values in result.arrays.items()}
        for name in ("load", "charge", "discharge", "flowed", "ahead", "after"):
            assert not moved[name][:, 1].any(), name
        assert moved["load"][:, 0].all()
        trades = result.exchange.store.columns(tables.trades, ("slot", "buyer", "seller"))
        middle = result.period.start + 24 * 3600
        assert any({buyer, seller} & {0, 2} for slot, buyer, seller in trades if slot < middle)
        assert not any({buyer, seller} & {0, 2} for slot, buyer, seller in trades if slot >= middle)
