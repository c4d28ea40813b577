"""Registers that are shared where there is a ledger: readings signed, trades posted, bills proved, faults found."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from by_slot import by_day, proven, verify_bill
from exchange_cases import exchange_of, written
from register_cases import BEN, CLEO, HEAD, KEY, MEMBERS, SHARED, START, drawn_by_lot, meters

from commonwatt.errors import RecordError, VerificationError
from commonwatt.exchange import steps
from commonwatt.exchange.rows import read_delivered
from commonwatt.member.document import read as read_document
from commonwatt.member.faults import Chain, proved
from commonwatt.member.page import mandate_of, read, revision_of
from commonwatt.member.summary import summary
from commonwatt.member.terms import Terms
from commonwatt.member.verify_slot import check_slot
from commonwatt.simulation.api import simulate
from commonwatt.simulation.result import Result

LEDGER = """
[ledger]
kind = "embedded"
window = "1h"
grace = "1d"
"""
SILENT = """
[simulation]
silent = "30 %"
late = "50 %"
"""
NARROW = """
[members.cleo]
points = [{ import = "C1", export = "C2" }, { import = "D1" }]
mandate = { buy_wh = 200 }
"""
Bill = dict[str, Any]


def days(folder: Path, text: str, ledger: str, days_: int = 1) -> Result:
    folder.mkdir()
    meters(folder, drawn_by_lot(3))
    return simulate(written(folder, text), START, days_, ledger=ledger, out=folder / "out")


@pytest.fixture(scope="module")
def posted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Result]:
    text = HEAD + SHARED + KEY + LEDGER + SILENT + MEMBERS
    result = days(tmp_path_factory.mktemp("registers") / "posted", text, "embedded")
    yield result
    result.close()


@pytest.fixture(scope="module")
def bills(posted: Result) -> list[Bill]:
    return [json.loads(json.dumps(bill)) for bill in proven(posted.books, posted.bills)]


def test_energy_and_money_are_those_of_a_run_without_a_ledger(posted: Result, tmp_path: Path) -> None:
    text = HEAD + SHARED + KEY + '[ledger]\nkind = "none"\n' + SILENT + MEMBERS
    without = days(tmp_path / "without", text, "none")
    for name in ("bought", "sold", "imported", "exported", "returned", "credit", "measured"):
        assert np.array_equal(posted.arrays[name], without.arrays[name]), name
    assert np.array_equal(posted.books.shared, without.books.shared)
    assert posted.books.charges.total.tolist() == without.books.charges.total.tolist()
    without.close()


def test_every_bill_is_proved_also_of_homes_that_were_silent_or_late(posted: Result, bills: list[Bill]) -> None:
    client = exchange_of(posted).client
    assert client.by_registers
    for bill in bills:
        assert verify_bill(bill, client).lines > 0
    said = {line.get("metered", "measured") for bill in bills for line in bill["content"]["slots"]}
    assert said == {"measured", "corrected", "not measured"}


def test_a_bill_is_shown_with_what_registers_shared(bills: list[Bill], tmp_path: Path) -> None:
    content = bills[BEN]["content"]
    shared = sum(each["shared"] for line in content["slots"] for each in line["registers"])
    file = tmp_path / "ben.json"
    file.write_text(json.dumps(by_day(bills[BEN])), "utf-8")
    found = summary(file)
    assert found.sum("bought") + found.sum("sold") == shared
    assert found.counted_in == found.sum("bought") + found.sum("imported")
    assert any(name == "own registers" and wh > 0 for each in found.largest for name, wh in each.parts)


def _less_shared(line: Bill) -> None:
    """Both sides less, as if the member's own registers had supplied each other with less."""
    for each in line["registers"]:
        each["shared"] -= 1


def _other_way(line: Bill) -> None:
    line["registers"][0]["direction"] = "export"


def _moved_rest(line: Bill) -> None:
    line["grid"]["whIn"] += 1


def _counted_more(line: Bill) -> None:
    line["registers"][0]["wh"] += 1


def _beyond(line: Bill) -> None:
    line["registers"][0]["shared"] = line["registers"][0]["wh"] + 1


def _not_said(line: Bill) -> None:
    del line["registers"]
    line["grid"] = {"wh": 0, "amount": 0}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_less_shared, "metered less shared energy is not what met the utility"),
        (_other_way, "the registers do not come to the reading"),
        (_moved_rest, "metered less shared energy is not what met the utility"),
        (_counted_more, "the registers do not come to the reading"),
        (_beyond, "a register shared more than it counted"),
        (_not_said, "it does not say of each register what it shared"),
    ],
)
def test_a_line_that_says_otherwise_is_refused(
    posted: Result, bills: list[Bill], change: Callable[[Bill], None], says: str
) -> None:
    client = exchange_of(posted).client
    content, proofs = bills[BEN]["content"], bills[BEN]["proofs"]
    mandate = mandate_of(content["mandate"], bytes.fromhex(content["member"]["account"][2:]), client.domain)
    line = next(line for line in content["slots"] if min(each["shared"] for each in line["registers"]) > 1)
    proof = proofs[str(line["slot"])]
    assert check_slot(line, proof, BEN, mandate, client) >= 0
    false = json.loads(json.dumps(line))
    change(false)
    with pytest.raises(VerificationError, match=says):
        check_slot(false, proof, BEN, mandate, client)


def test_the_community_s_file_says_which_registers_are_the_member_s(posted: Result, bills: list[Bill]) -> None:
    file, folder = posted.community, Path()
    terms = Terms(file, folder)
    for bill in bills:
        terms.check(bill["content"])
    false = json.loads(json.dumps(bills[BEN]["content"]))
    false["slots"][3]["registers"][0]["name"] = "A1"
    with pytest.raises(VerificationError, match="the registers are not those of the community's file"):
        terms.check(false)
    with pytest.raises(VerificationError, match="the registers are not those of the community's file"):
        Terms(replace(file, by="net"), folder).check(bills[BEN]["content"])


def test_registers_that_are_no_list_are_refused_in_a_sentence(bills: list[Bill], tmp_path: Path) -> None:
    wrong: list[Any] = [None, 7, {}, "A1", [7], [{"name": "A1"}]]
    for false in wrong:
        bill = json.loads(json.dumps(bills[BEN]))
        bill["content"]["slots"][0]["registers"] = false
        file = tmp_path / "ben.json"
        file.write_text(json.dumps(by_day(bill)), "utf-8")
        with pytest.raises(VerificationError, match="register"):
            read_document(file)


def test_what_moves_both_ways_is_no_fault_where_registers_count_apart(posted: Result, bills: list[Bill]) -> None:
    client, found = exchange_of(posted).client, set[str]()
    content = bills[BEN]["content"]
    mandate = mandate_of(content["mandate"], bytes.fromhex(content["member"]["account"][2:]), client.domain)
    for line in content["slots"]:
        proof = bills[BEN]["proofs"][str(line["slot"])]
        post = client.announced(line["slot"], revision_of(proof))
        assert post
        page = read(line, proof, BEN, mandate, client.domain, post)
        apart = Chain(client.domain, None, b"", before=None, by_registers=True)
        assert proved(page, apart, {}) == []
        found |= {fault.function for fault in proved(page, replace(apart, by_registers=False), {})}
    assert "challengeDirection" in found


def test_registers_of_a_member_share_its_mandate(tmp_path: Path) -> None:
    members = MEMBERS.replace('cleo.points = [{ import = "C1", export = "C2" }, { import = "D1" }]\n', "") + NARROW
    result = days(tmp_path / "narrow", HEAD + SHARED + KEY + LEDGER + members, "embedded")
    place = [member.id for member in result.community.members].index("cleo")
    bought, _ = result.books.traded
    counted, _ = result.books.metered_energy
    assert bought[place].max() == 200 < counted[place].max()
    client = exchange_of(result).client
    for bill in proven(result.books, result.bills):
        verify_bill(json.loads(json.dumps(bill)), client)
    result.close()


def test_registers_that_do_not_come_to_what_the_meter_signed_are_refused(posted: Result) -> None:
    exchange = exchange_of(posted)
    registers = exchange.rules.registers
    assert registers
    slot = int(exchange.rules.period.starts[0])
    delivered = read_delivered(exchange.store, slot, exchange.meters_of(slot), 0)
    assert steps.by_registers(delivered, delivered.counted, registers).counted is delivered.counted
    false = delivered.counted.copy()
    false[int(np.flatnonzero(registers.owner == CLEO)[0])] += 1
    with pytest.raises(RecordError, match=f"Slot {slot}: the registers of member {CLEO} counted"):
        steps.by_registers(delivered, false, registers)


def test_a_run_that_is_there_is_gone_on_with(tmp_path: Path) -> None:
    whole = days(tmp_path / "whole", HEAD + SHARED + KEY + LEDGER + MEMBERS, "embedded")
    totals = whole.books.charges.total.tolist()
    whole.close()
    again = simulate(tmp_path / "whole/community.toml", START, 1, ledger="embedded", out=tmp_path / "whole/out")
    assert again.books.charges.total.tolist() == totals
    again.close()
