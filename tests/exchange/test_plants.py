"""Plants that belong to several members, through whole days: energy, money, bills and accounts."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from dishonest import anchor
from exchange_cases import (
    AFTER,
    AHEAD,
    BILATERAL,
    HEAD,
    START,
    TARIFF,
    begin,
    exchange_of,
    homes_of,
    short_days,
    written,
)

from commonwatt.accounts.document import Anchored
from commonwatt.accounts.plants import shares
from commonwatt.community.model import Owner
from commonwatt.errors import ConfigError, VerificationError
from commonwatt.exchange.bills import proven
from commonwatt.exchange.checking import load
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.rules import Rules, Then
from commonwatt.exchange.states import Delivered, Readings, Settled
from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.member.terms import Terms
from commonwatt.member.verify import verify_bill
from commonwatt.report.findings import findings
from commonwatt.report.outputs import write_outputs
from commonwatt.report.screen import summary
from commonwatt.simulation.api import simulate
from commonwatt.simulation.result import Result
from commonwatt.simulation.simulation import Simulation
from commonwatt.units import IntArray

HOMES = """
[members]
sun = { load = "simbench:H0-A", annual_kwh = 2000, collateral = "20", pv = { profile = "simbench:PV1", kwp = 4 }, \
battery = { kwh = 5, kw = 2.5 } }
flat = { load = "simbench:H0-C", annual_kwh = 9000, collateral = "20" }
shop = { load = "simbench:H0-G", annual_kwh = 6000, collateral = "20" }
office = { role = "regulator" }
"""
PLANTS = """
[plants.barn]
pv = { profile = "simbench:PV3", kwp = 6 }
owners = { shop = 0.5, flat = 1, sun = 1, office = 1 }

[plants.roof]
pv = { profile = "simbench:PV5", kwp = 3 }
owners = { flat = 2, shop = 1 }
"""
ALONE = """
barn = { role = "prosumer", pv = { profile = "simbench:PV3", kwp = 6 } }
roof = { role = "prosumer", pv = { profile = "simbench:PV5", kwp = 3 } }
"""
TEXT = HEAD + TARIFF + AHEAD + AFTER + HOMES + PLANTS
SUN, FLAT, SHOP, OFFICE, BARN, ROOF = range(6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day on a chain, before its bills are anchored."""
    folder = tmp_path_factory.mktemp("plants")
    with short_days():
        simulation = begin(folder, TEXT)
    while simulation.advance():
        pass
    exchange_of(simulation).outbox.finalise_due()
    simulation.close()
    return folder


def going_on(folder: Path, to: Path) -> Simulation:
    """The same day in a folder of its own."""
    shutil.copytree(folder / "out", to / "out")
    with short_days():
        return begin(to, TEXT)


@pytest.fixture(scope="module")
def day(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Result]:
    result = going_on(folder, tmp_path_factory.mktemp("day")).run()
    yield result
    result.close()


def paid(result: Result) -> list[int]:
    """What has come into each account beside what it traded and what was paid in."""
    collateral = np.array([member.collateral for member in result.community.members])
    moved = exchange_of(result).client.balances() - collateral - result.arrays["credit"].sum(axis=1)
    return [int(each) for each in moved]


def test_every_owner_takes_its_share_as_far_as_it_draws(day: Result) -> None:
    a, took = day.arrays, day.trades.filter(pl.col("stage") == "own plants")
    assert {*took["seller"]} == {"barn", "roof"}
    assert {*took["buyer"]} == {"flat", "shop"}  # the sun draws nothing, and the office has no meter
    assert (took["price"] == 0).all()
    assert (took["wh"] == took["settled_wh"]).all()
    starts = day.period.starts.tolist()
    rows = zip(took["seller"], took["buyer"], took["slot"].dt.timestamp("ms"), took["settled_wh"], strict=True)
    found = {(seller, buyer, at // 1000): wh for seller, buyer, at, wh in rows}
    for plant in day.rules.plants:
        share = shares(plant, -a["net"][plant.index])
        for place, owner in enumerate(plant.owners.tolist()):
            wh = np.array([found.pop((plant.id, day.community.members[owner].id, at), 0) for at in starts])
            assert (wh <= np.minimum(share[place], np.maximum(a["net"][owner], 0))).all()
            assert ((wh == share[place]) | (a["grid"][owner] <= 0)).all()  # who meets the utility has no share left
    assert not found
    assert not a["ahead"][[BARN, ROOF]].any()
    assert (a["net"] == a["ahead"] + a["after"] + a["grid"]).all()


def test_a_plant_owes_nothing_and_its_owners_have_all_of_it(day: Result) -> None:
    for charges in (day.charges, day.charges_without_market):
        assert not charges.total[[BARN, ROOF]].any()
        parts = (charges.energy, charges.feed_in, charges.neighbours, charges.vat, *charges.fees.values())
        assert charges.total.sum() == sum(part.sum() for part in parts)
    contents = day.bills.contents
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


def test_every_bill_verifies_by_the_chain_and_by_the_file(day: Result) -> None:
    client = exchange_of(day).client
    for bill, total in zip(proven(day.books, day.bills), day.charges.total.tolist(), strict=True):
        assert verify_bill(json.loads(json.dumps(bill)), client).total == total
        Terms(day.community, Path()).check(bill["content"])
    assert day.ledger
    assert day.ledger.balances == day.ledger.deposits


def test_what_neighbours_paid_comes_to_the_owners_accounts(day: Result) -> None:
    moved = paid(day)
    credit = day.arrays["credit"].sum(axis=1)
    assert credit[[BARN, ROOF]].all()
    assert moved[BARN:] == [-credit[BARN], -credit[ROOF]]
    assert sum(moved) == 0
    said = [sum(part["onLedger"] for part in content.get("owns", [])) for content in day.bills.contents]
    assert moved[:BARN] == said[:BARN]


@pytest.mark.parametrize("done", ["requested", "claimed", "paid"])
def test_a_run_that_was_killed_while_a_plant_paid_goes_on(folder: Path, day: Result, tmp_path: Path, done: str) -> None:
    going = going_on(folder, tmp_path)
    exchange, key = exchange_of(going), homes_of(going).keys.members[BARN]
    client, lanes = exchange.client, int(day.arrays["credit"][BARN].sum())
    head = client.node.head.timestamp
    if done != "paid":
        client.request_withdrawal(key, lanes, at=head + 1)
    if done == "claimed":
        client.claim_withdrawal(key, at=head + 86_400)
    result = going.run()
    if done == "paid":
        result = going.run()
    assert paid(result) == paid(day)
    result.close()


def test_the_laboratory_and_ether_come_to_the_same(day: Result, tmp_path: Path) -> None:
    ether = TEXT.replace('"EUR"', '"ETH"') + '\n[ledger]\nwindow = "1h"\nanswer = "1h"\n'
    with short_days():
        laboratory = simulate(written(tmp_path / "laboratory", TEXT), START, ledger="none")
        chain = simulate(written(tmp_path / "ether", ether), START)
    assert (laboratory.charges.total == day.charges.total).all()
    assert (chain.charges.total == day.charges.total).all()
    assert paid(chain) == paid(day)
    laboratory.close()
    chain.close()


def test_late_readings_divide_anew_and_a_silent_plant_delivers_nothing(day: Result, tmp_path: Path) -> None:
    late, silent = (f"{TEXT}\n[simulation]\n{text}\n" for text in ('late = "50 %"', 'late = "20 %"\nsilent = "20 %"'))
    with short_days():
        corrected = simulate(written(tmp_path / "late", late), START, ledger="none")
        laboratory = simulate(written(tmp_path / "silent", silent), START, ledger="none")
        unread = simulate(written(tmp_path / "silent", silent), START)
    assert corrected.arrays["revision"][BARN].any()
    assert (corrected.charges.total == day.charges.total).all()
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

    def drawing(slot: int, net: IntArray, place: int) -> Readings:
        return read(slot, np.where((np.arange(len(net)) == BARN) & (place < 2), drawn, net), place)

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
    with pytest.raises(VerificationError, match="the member met the utility, with a share of roof left"):
        verify_bill(bills[FLAT], exchange_of(result).client)
    result.close()


def test_report_tables_and_summary_have_room_for_them(day: Result, tmp_path: Path) -> None:
    write_outputs(day, tmp_path)
    assert summary(day)["community"]["homes"] == 3
    assert day.homes.filter(pl.col("home") == "barn")["bill"].item() == 0
    assert not [said for said in findings(day) if "collateral" in said]


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


# What operators could write in a bill, and anchor

Content = dict[str, Any]


def share_of(content: Content) -> Any:
    """An owner's share of a slot in which the plant earned something for it."""
    return next(share for line in content["slots"] for share in line.get("shares", []) if share["amount"] > 1_000)


def _added_up(content: Content) -> None:
    """Totals as the changed lines have them."""
    for part in content.get("owns", []):
        own = [
            share for line in content["slots"] for share in line.get("shares", []) if share["plant"] == part["plant"]
        ]
        line = next(line for line in content["charges"] if line["name"] == f"share of {part['id']}")
        line["amount"] = -sum(share["amount"] for share in own)
    content["total"] = sum(line["amount"] for line in content["charges"])


def _less(content: Content) -> None:
    share_of(content)["amount"] -= 500


def _smaller(content: Content) -> None:
    share_of(content)["wh"] -= 20


def _sold_more(content: Content) -> None:
    share_of(content)["sold"] *= 2


def _alone(content: Content) -> None:
    share_of(content)["withoutMarket"] += 900


def _negative(content: Content) -> None:
    share_of(content)["earned"] = -1


def _of_a_stranger(content: Content) -> None:
    share_of(content)["plant"] = SUN


def _twice(content: Content) -> None:
    content["owns"] = content["owns"] * 2


def _costs(content: Content) -> None:
    content["owns"][0]["costs"] = -5


def _ledger(content: Content) -> None:
    content["owns"][0]["onLedger"] = 10**9


def _heavy(content: Content) -> None:
    content["owns"][0]["weight"] = 0


def _empty(content: Content) -> None:
    content["owns"] = []


def _of_another(content: Content) -> None:
    content["owners"][0]["amount"] += 7
    content["owners"][1]["amount"] -= 7


def _weights(content: Content) -> None:
    content["owners"][0]["weight"] += 1


def _own(content: Content) -> None:
    content["owners"][-1]["member"] = BARN


FORGED: dict[str, tuple[int, Callable[[Content], None], str]] = {
    "less than its part": (SHOP, _less, "the share of .* is not what the bill's figures give"),
    "a smaller share": (SHOP, _smaller, "the share of .* is not what the bill's figures give"),
    "more sold than fed in": (SHOP, _sold_more, "the share of .* is not what the bill's figures give"),
    "another cost without the market": (SHOP, _alone, "the share of .* is not what the bill's figures give"),
    "a negative number": (SHOP, _negative, "a share is no number"),
    "a plant of others": (SHOP, _of_a_stranger, "a share of a plant that is not the member's"),
    "a plant twice": (SHOP, _twice, "owns names somebody twice"),
    "costs below zero": (SHOP, _costs, "The amounts of barn cannot be so"),
    "more on the ledger than earned": (SHOP, _ledger, "The amounts of barn cannot be so"),
    "no weight": (SHOP, _heavy, "owns holds a part that cannot be one"),
    "an empty list": (SHOP, _empty, "owns is no list"),
    "one owner instead of another": (
        BARN,
        _of_another,
        "What the owners have of the plant is not what its slots come to",
    ),
    "other weights": (BARN, _weights, "What the owners have|An owner took more"),
    "a plant that owns itself": (BARN, _own, "A plant does not own itself"),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_bill_that_gives_an_owner_something_else_is_found_out(
    folder: Path, day: Result, tmp_path: Path, name: str
) -> None:
    member, change, sentence = FORGED[name]
    contents = copy.deepcopy(list(day.bills.contents))
    change(contents[member])
    _added_up(contents[member])
    with pytest.raises(VerificationError, match=sentence):
        verify_bill(*_told(folder, day, tmp_path, contents, member))


def _told(folder: Path, day: Result, to: Path, contents: list[Content], member: int) -> tuple[Content, LedgerClient]:
    """The bill of a member as operators anchored it, and the chain."""
    honest = exchange_of(day)
    shutil.copy(folder / "out" / "ledger.sqlite", to / "ledger.sqlite")
    client = LedgerClient(EmbeddedChain(to / "ledger.sqlite"), honest.client.key, honest.client.addresses)
    anchors = anchor(client, homes_of(day).keys.operator, contents)
    bill = list(proven(day.books, Anchored(tuple(contents), day.bills.tree)))[member]
    return bill | {"anchor": anchors[member]}, client


@pytest.mark.parametrize(
    ("old", "sentence"),
    [
        ("flat = 2", "plants that the member owns a part of are not those of the community's file"),
        ("shop = 1 }", "plants that the member owns a part of are not those of the community's file"),
    ],
)
def test_owners_are_those_of_the_file(day: Result, tmp_path: Path, old: str, sentence: str) -> None:
    other = load(written(tmp_path, TEXT.replace(old, old.replace("1", "4").replace("2", "5"))))
    with pytest.raises(VerificationError, match=sentence):
        Terms(other, Path()).check(day.bills.contents[FLAT])
    with pytest.raises(VerificationError, match="owners are not those of the community's file"):
        Terms(other, Path()).check(day.bills.contents[ROOF])


def test_rounding_may_favour_nobody_whom_the_file_does_not(day: Result) -> None:
    content = copy.deepcopy(day.bills.contents[SHOP])
    share = next(each for line in content["slots"] for each in line.get("shares", []) if each["fedIn"] * 2 % 5)
    share["wh"] += 1
    with pytest.raises(VerificationError, match="the share is not what the community's file gives"):
        Terms(day.community, Path()).check(content)
