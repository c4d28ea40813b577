"""Plants that belong to several members, through whole days: energy, money, bills and accounts."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from by_slot import proven, verify_bill
from exchange_cases import AFTER, BILATERAL, HEAD, START, TARIFF, begin, exchange_of, homes_of, short_days, written
from plant_owners import BARN, FLAT, HOMES, OFFICE, PLANTS, ROOF, SHOP, TEXT, going_on, paid

from commonwatt.accounts.plants import shares
from commonwatt.community.model import Owner
from commonwatt.errors import ConfigError, VerificationError
from commonwatt.exchange.checking import load
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.rules import Rules, Then
from commonwatt.exchange.states import Delivered, Readings, Settled
from commonwatt.member.terms import Terms
from commonwatt.report.findings import findings
from commonwatt.report.outputs import write_outputs
from commonwatt.report.screen import summary
from commonwatt.simulation.api import simulate
from commonwatt.simulation.result import Result
from commonwatt.simulation.simulation import Simulation
from commonwatt.units import IntArray

ALONE = """
barn = { role = "prosumer", pv = { profile = "simbench:PV3", kwp = 6 } }
roof = { role = "prosumer", pv = { profile = "simbench:PV5", kwp = 3 } }
"""


def test_every_owner_takes_its_share_as_far_as_it_draws(shared_day: Result) -> None:
    a, took = shared_day.arrays, shared_day.trades.filter(pl.col("stage") == "own plants")
    assert {*took["seller"]} == {"barn", "roof"}
    assert {*took["buyer"]} == {"flat", "shop"}  # the sun draws nothing, and the office has no meter
    assert (took["price"] == 0).all()
    assert (took["wh"] == took["settled_wh"]).all()
    starts = shared_day.period.starts.tolist()
    rows = zip(took["seller"], took["buyer"], took["slot"].dt.timestamp("ms"), took["settled_wh"], strict=True)
    found = {(seller, buyer, at // 1000): wh for seller, buyer, at, wh in rows}
    for plant in shared_day.rules.plants:
        share = shares(plant, -a["net"][plant.index])
        for place, owner in enumerate(plant.owners.tolist()):
            wh = np.array([found.pop((plant.id, shared_day.community.members[owner].id, at), 0) for at in starts])
            assert (wh <= np.minimum(share[place], np.maximum(a["net"][owner], 0))).all()
            assert ((wh == share[place]) | (a["grid"][owner] <= 0)).all()  # who meets the utility has no share left
    assert not found
    assert not a["ahead"][[BARN, ROOF]].any()
    assert (a["net"] == a["ahead"] + a["after"] + a["grid"]).all()


def test_a_plant_owes_nothing_and_its_owners_have_all_of_it(shared_day: Result) -> None:
    for charges in (shared_day.charges, shared_day.charges_without_market):
        assert not charges.total[[BARN, ROOF]].any()
        parts = (charges.energy, charges.feed_in, charges.neighbours, charges.vat, *charges.fees.values())
        assert charges.total.sum() == sum(part.sum() for part in parts)
    contents = shared_day.bills.contents
    of_barn = {part["id"]: part["amount"] for part in contents[BARN]["owners"]}
    lines = {line["name"]: line for line in contents[SHOP]["charges"]}
    assert list(of_barn) == ["sun", "flat", "shop", "office"]
    assert lines["share of barn"]["amount"] == of_barn["shop"] < 0
    assert lines.keys() >= {"share of barn", "share of roof"}
    assert contents[OFFICE]["total"] == of_barn["office"] < 0
    assert [name for name in contents[BARN] if name in ("owns", "owners")] == ["owners"]
    assert contents[BARN]["charges"][-1]["amount"] == -sum(of_barn.values())


def test_owners_gain_nothing_from_others(tmp_path: Path) -> None:
    """Beside the trades nothing changes: the same energy, and the same money where all meet the utility."""
    with short_days():
        own, alone = (
            simulate(written(tmp_path / name, HEAD + TARIFF + text), START, ledger="none")
            for name, text in (("own", HOMES + PLANTS), ("alone", HOMES + ALONE))
        )
    assert (own.arrays["net"] == alone.arrays["net"]).all()
    totals = [result.charges_without_market.total.sum() for result in (own, alone)]
    assert totals[0] == totals[1] == alone.charges.total.sum()
    assert own.charges.total.sum() < totals[0]  # what owners take meets no utility
    own.close()
    alone.close()


def test_every_bill_verifies_by_the_chain_and_by_the_file(shared_day: Result) -> None:
    client = exchange_of(shared_day).client
    for bill, total in zip(proven(shared_day.books, shared_day.bills), shared_day.charges.total.tolist(), strict=True):
        assert verify_bill(json.loads(json.dumps(bill)), client).total == total
        Terms(shared_day.community, Path()).check(bill["content"])
    assert shared_day.ledger
    assert shared_day.ledger.balances == shared_day.ledger.deposits


def test_what_neighbours_paid_comes_to_the_owners_accounts(shared_day: Result) -> None:
    moved = paid(shared_day)
    credit = shared_day.arrays["credit"].sum(axis=1)
    assert credit[[BARN, ROOF]].all()
    assert moved[BARN:] == [-credit[BARN], -credit[ROOF]]
    assert sum(moved) == 0
    said = [sum(part["onLedger"] for part in content.get("owns", [])) for content in shared_day.bills.contents]
    assert moved[:BARN] == said[:BARN]


@pytest.mark.parametrize("done", ["requested", "claimed", "paid"])
def test_a_run_that_was_killed_while_a_plant_paid_goes_on(
    shared: Path, shared_day: Result, tmp_path: Path, done: str
) -> None:
    going = going_on(shared, tmp_path)
    exchange, key = exchange_of(going), homes_of(going).keys.members[BARN]
    client, lanes = exchange.client, int(shared_day.arrays["credit"][BARN].sum())
    head = client.node.head.timestamp
    if done != "paid":
        client.request_withdrawal(key, lanes, at=head + 1)
    if done == "claimed":
        client.claim_withdrawal(key, at=head + 86_400)
    result = going.run()
    if done == "paid":
        result = going.run()
    assert paid(result) == paid(shared_day)
    result.close()


@pytest.mark.parametrize("money", ["EUR", "ETH"])
def test_an_owner_that_has_taken_its_money_out_is_not_paid_twice(tmp_path: Path, money: str) -> None:
    with short_days():
        simulation = begin(tmp_path, TEXT.replace('"EUR"', f'"{money}"'))
    result = simulation.run()
    client, key = exchange_of(result).client, homes_of(simulation).keys.members[FLAT]
    head = client.node.head.timestamp
    client.request_withdrawal(key, int(client.balances()[FLAT]), at=head + 1)
    client.claim_withdrawal(key, at=head + 86_400)
    before = client.balances()
    assert before[FLAT] == 0
    assert (exchange_of(simulation.run()).client.balances() == before).all()
    result.close()


def test_the_laboratory_and_ether_come_to_the_same(shared_day: Result, tmp_path: Path) -> None:
    ether = TEXT.replace('"EUR"', '"ETH"') + '\n[ledger]\nwindow = "1h"\nanswer = "1h"\n'
    with short_days():
        laboratory = simulate(written(tmp_path / "laboratory", TEXT), START, ledger="none")
        chain = simulate(written(tmp_path / "ether", ether), START)
    assert (laboratory.charges.total == shared_day.charges.total).all()
    assert (chain.charges.total == shared_day.charges.total).all()
    assert paid(chain) == paid(shared_day)
    laboratory.close()
    chain.close()


def test_late_readings_divide_anew_and_a_silent_plant_delivers_nothing(shared_day: Result, tmp_path: Path) -> None:
    late, silent = (f"{TEXT}\n[simulation]\n{text}\n" for text in ('late = "50 %"', 'late = "20 %"\nsilent = "20 %"'))
    with short_days():
        corrected = simulate(written(tmp_path / "late", late), START, ledger="none")
        laboratory = simulate(written(tmp_path / "silent", silent), START, ledger="none")
        unread = simulate(written(tmp_path / "silent", silent), START)
    assert corrected.arrays["revision"][BARN].any()
    assert (corrected.charges.total == shared_day.charges.total).all()
    assert (unread.charges.total == laboratory.charges.total).all()
    assert unread.arrays["revision"].any()
    assert all(verify_bill(bill, exchange_of(unread).client) for bill in proven(unread.books, unread.bills))
    missing = unread.arrays["measured"][[BARN, ROOF]] == 0
    assert missing.any()
    for name in ("net", "after", "credit"):
        assert not unread.arrays[name][[BARN, ROOF]][missing].any()
    for result in (corrected, laboratory, unread):
        result.close()


def test_owners_carry_what_a_plant_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with short_days():
        simulation = begin(tmp_path, TEXT)
    homes, drawn = homes_of(simulation), 700
    read = homes.read

    def drawing(slot: int, net: IntArray) -> Readings:
        early = simulation.rules.place(slot) < 2
        return read(slot, np.where((np.arange(len(net)) == BARN) & early, drawn, net))

    monkeypatch.setattr(homes, "read", drawing)
    result = simulation.run()
    costs = [
        {line["name"]: line["amount"] for line in content["charges"]}.get("costs of barn", 0)
        for content in result.bills.contents
    ]
    charges, parts = result.charges, [2, 2, 1, 2]  # of sun, flat, shop and office
    whole = sum(int(each[BARN]) for each in (charges.energy, charges.vat, *charges.fees.values()))
    assert int(charges.energy[BARN]) == 2 * drawn * 270
    assert sum(costs) == whole
    assert [round(each * 7 / whole) for each in costs[:BARN]] == parts
    assert not charges.total[BARN]
    assert all(verify_bill(bill, exchange_of(result).client) for bill in proven(result.books, result.bills))
    result.close()


class Giver(Exchange):
    """An exchange that gives to the shop what belongs to the flat."""

    def _settled(self, delivered: Delivered, place: int) -> Settled:
        honest = self.rules
        members = [
            replace(each, owners=(Owner(SHOP, 1),)) if each.index == ROOF else each for each in honest.community.members
        ]
        self.rules = replace(honest, community=replace(honest.community, members=tuple(members)))
        try:
            return super()._settled(delivered, place)
        finally:
            self.rules = honest


def test_what_is_given_to_others_shows_on_the_plant_s_bill(tmp_path: Path) -> None:
    """Its mandate allows a price of nothing, so that the chain believes it."""
    text = TEXT.replace("owners = { flat = 2, shop = 1 }", "owners = { flat = 1 }")
    community = load(written(tmp_path, text))
    with short_days():
        result = Simulation(community, tmp_path, date.fromisoformat(START), 1, engine=Giver).run()
    bills = list(proven(result.books, result.bills))
    with pytest.raises(VerificationError, match="the plant sells for less than the utility pays"):
        verify_bill(bills[ROOF], exchange_of(result).client)
    with pytest.raises(VerificationError, match="roof earned less than the utility pays"):
        verify_bill(bills[FLAT], exchange_of(result).client)
    result.close()


class Seller(Exchange):
    """An exchange that leaves plants to the pool where it serves everybody, so that owners buy what is their own."""

    def _settled(self, delivered: Delivered, place: int) -> Settled:
        honest = self.rules
        if delivered.net.sum() <= 0:
            members = tuple(replace(each, owners=()) for each in honest.community.members)
            self.rules = replace(honest, community=replace(honest.community, members=members))
        try:
            return super()._settled(delivered, place)
        finally:
            self.rules = honest


def test_an_owner_that_had_to_buy_its_share_finds_out(tmp_path: Path) -> None:
    community = load(written(tmp_path, HEAD + TARIFF + AFTER + HOMES + PLANTS))
    with short_days():
        result = Simulation(community, tmp_path, date.fromisoformat(START), 1, engine=Seller).run()
    flat = list(proven(result.books, result.bills))[FLAT]
    with pytest.raises(VerificationError, match="the member bought elsewhere, with a share of barn left") as found:
        verify_bill(flat, exchange_of(result).client)
    line = next(line for line in flat["content"]["slots"] if str(line["slot"]) in str(found.value))
    assert line["grid"]["wh"] == 0
    result.close()


def test_report_tables_and_summary_have_room_for_them(shared_day: Result, tmp_path: Path) -> None:
    write_outputs(shared_day, tmp_path)
    assert summary(shared_day)["community"]["homes"] == 3
    assert shared_day.homes.filter(pl.col("home") == "barn")["bill"].item() == 0
    assert not [said for said in findings(shared_day) if "collateral" in said]


@pytest.mark.parametrize("market", [BILATERAL + AFTER, ""], ids=["agreed over the day", "the utility alone"])
def test_other_markets(tmp_path: Path, market: str) -> None:
    with short_days():
        result = simulate(written(tmp_path, HEAD + TARIFF + market + HOMES + PLANTS), START, ledger="none")
    assert result.trades.filter(pl.col("stage") == "own plants").height
    assert not result.arrays["ahead"][[BARN, ROOF]].any()
    assert not result.charges.total[[BARN, ROOF]].any()
    result.close()


def test_wires_carry_what_a_plant_feeds_in(tmp_path: Path) -> None:
    """The plan that the wires are asked about is that of the meters, whoever takes the energy."""
    text = TEXT.replace("[tariff]", '[grid]\nnetwork = "simbench:rural2"\n[tariff]').replace("kwp = 6", "kwp = 2000")
    for number, name in enumerate(("sun", "flat", "shop"), 1):
        text = text.replace(f"\n{name} = {{", f'\n{name} = {{ bus = "LV2.101 Bus {number}",')
    text = text.replace("\npv = ", '\nbus = "LV2.101 Bus 4"\nsell_wh = 2000000\npv = ')
    with short_days():
        result = simulate(written(tmp_path, text), START, ledger="none")
    assert result.arrays["curtailed"][BARN].any()
    result.close()


def test_no_vote_changes_the_owners(tmp_path: Path) -> None:
    old = load(written(tmp_path / "old", TEXT))
    new = load(written(tmp_path / "new", TEXT.replace("flat = 2", "flat = 3")))
    then = Then(date(2026, 6, 16), new, tmp_path / "new")
    with pytest.raises(ConfigError, match="changes the members, which no vote can change"):
        Rules.of(old, tmp_path / "old", date.fromisoformat(START), 2, [then])
