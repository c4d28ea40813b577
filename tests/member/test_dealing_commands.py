"""Paying in, and direct trade from the offer to the money: through a file and through a node."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from acting_cases import PATIENCE, Place, client_of, json_of
from by_slot import by_day

from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.client.offers import OffersClient
from commonwatt.ledger.client.purse import PurseClient
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.member.document import read
from commonwatt.proof import sign
from commonwatt.records import Reading
from commonwatt.records.schema import as_json

SLOT = 1_782_000_000 - 1_782_000_000 % 3600 + 30 * 86_400
"""A slot some weeks after the day of the bills."""


def at(slot: int) -> str:
    return f"{datetime.fromtimestamp(slot, UTC):%Y-%m-%dT%H:%MZ}"


def offered(place: Place, *, slot: int = SLOT, kwh: str = "3", price: str = "0.2") -> dict[str, Any]:
    """What member 0 offers."""
    made = place.deal("offer", 0, "--slot", at(slot), "--kwh", kwh, "--price", price, "--json", "-")
    return dict(json_of(made))


def test_a_member_pays_in_what_it_holds(place: Place) -> None:
    figures = json_of(place.act("deposit", 2, "1.25", "--json", "-"))
    assert set(figures) == {"transaction", "block", "gas"}
    assert place.act("deposit", 2, "0.000001").out.startswith("Paid in: block ")
    code, _, wrong = place.act("deposit", 2, "4")
    assert code == 2
    assert "amount: is more than the account holds outside the settlement, 3.749999" in wrong
    for amount, sentence in (("0", "must be more than 0"), ("-1", ""), ("x", "is not a decimal number")):
        code, _, wrong = place.act("deposit", 2, amount)
        assert code == 2
        assert sentence in wrong
    code, _, wrong = place.act("deposit", 3, "1")
    assert code == 2
    assert "outside the settlement, 0.00" in wrong
    assert place.act("withdraw", 2, "0.000001").code == 0


def test_energy_is_offered_and_bought(place: Place) -> None:
    made = offered(place)
    assert (made["slot"], made["wh"], made["price"]) == (SLOT, 3000, 200_000)
    second = offered(place)
    assert second["id"] != made["id"]
    found = json_of(place.ask("buy", 2, "--offers", place.offers, "--json", "-"))["offers"]
    assert [each["id"] for each in found] == [made["id"], second["id"]]
    assert found[0] == {**made, "seller": 0, "payment": 600_000}
    listed = place.ask("buy", 2, "--offers", place.offers).out
    assert f"{made['id']}: 3 kWh of member 0 in the slot of {at(SLOT)[:10]}" in listed

    code, _, wrong = place.deal("buy", 2, made["id"], "--limit", "0.19")
    assert code == 6
    assert "The contract refused the purchase: PriceAboveLimit(200000, 190000)." in wrong
    code, told, _ = place.deal("buy", 2, made["id"], "--limit", "0.2")
    assert code == 0
    assert "for 0.60; fetch what is not delivered." in told
    code, _, wrong = place.deal("buy", 2, made["id"])
    assert code == 6
    assert f"NotForSale({made['id']})" in wrong
    code, _, wrong = place.deal("buy", 3, second["id"])
    assert (code, wrong) == (6, "The offer costs 0.60, the account holds 0.00.\n")
    assert len(json_of(place.ask("buy", 3, "--offers", place.offers, "--json", "-"))["offers"]) == 1
    assert "nothing to be paid yet" in place.deal("fetch", 2).out


@pytest.mark.parametrize("place", ["file"], indirect=True)
def test_what_was_delivered_is_paid_and_the_rest_goes_back(place: Place) -> None:
    partly, never = offered(place), offered(place, slot=SLOT + 3600, kwh="1.5")
    for each in (partly, never):
        assert place.deal("buy", 2, each["id"]).code == 0
    before = held(place, 0), held(place, 2)
    wait_until(place, SLOT + 3600)
    counted(place, SLOT, wh_out=2_000)
    assert json_of(place.deal("fetch", 0, "--json", "-"))["released"] == 1
    figures = json_of(place.deal("fetch", 2, "--json", "-"))
    assert (figures["released"], figures["refunded"]) == (0, 0)
    assert (held(place, 0) - before[0], held(place, 2) - before[1]) == (400_000, 200_000)
    wait_until(place, SLOT + 7200 + PATIENCE + 1)
    assert place.deal("fetch", 2).out == "0 sales closed by your reading, 1 for which none came in time: paid.\n"
    assert held(place, 2) - before[1] == 200_000 + 300_000
    code, told, _ = place.deal("fetch", 0)
    assert (code, "nothing to be paid yet" in told) == (0, True)
    code, _, wrong = place.deal("offer", 0, "--slot", at(SLOT), "--kwh", "3", "--price", "0.2")
    assert code == 6
    assert f"The contract refused the offer: SlotStarted({SLOT})." in wrong


@pytest.mark.parametrize("place", ["file"], indirect=True)
def test_a_reading_that_closes_nothing_keeps_no_other_money_back(place: Place) -> None:
    odd, good = offered(place), offered(place, slot=SLOT + 3600)
    for each in (odd, good):
        assert place.deal("buy", 2, each["id"]).code == 0
    before = held(place, 0)
    wait_until(place, SLOT + 7200)
    counted(place, SLOT + 3600, wh_out=3_000)
    bill = read(place.bill(0))
    content, line = bill["content"], {**bill["content"]["slots"][-1], "slot": SLOT}
    own = line["reading"]
    readings: tuple[object, ...] = (5, "no", {"whIn": "1"}, own | {"whOut": 9_000}, own | {"whIn": "x"}, own)
    for reading in readings:
        slots = [*content["slots"], line | {"reading": reading}]
        place.bill(0).write_text(json.dumps(by_day({**bill, "content": {**content, "slots": slots}})), "utf-8")
        code, _, wrong = place.deal("fetch", 0)
        assert (code in (4, 6, 8), wrong.count("\n")) == (True, 1)
    assert "WrongSlot(" in wrong
    assert held(place, 0) - before == 600_000


@pytest.mark.parametrize("place", ["file"], indirect=True)
def test_an_offer_whose_slot_has_begun_is_not_bought(place: Place) -> None:
    made = offered(place)
    wait_until(place, SLOT + 1)
    assert place.ask("buy", 2, "--offers", place.offers).out == "Nothing is offered.\n"
    code, _, wrong = place.deal("buy", 2, made["id"])
    assert code == 6
    assert f"The contract refused the purchase: SlotStarted({SLOT})." in wrong


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (["--slot", "noon"], 2, "slot: is a time such as"),
        (["--slot", at(SLOT + 60)], 6, f"SlotMisaligned({SLOT + 60}, 3600)"),
        (["--slot", "2026-06-15T12:00Z"], 6, "SlotStarted("),
        (["--kwh", "0"], 2, "kwh: must be more than 0"),
        (["--kwh", "0.0001"], 2, "kwh: is 0.0001, but energy is counted in whole Wh"),
        (["--kwh", "1e3"], 2, "kwh: '1e3' is not a decimal number"),
        (["--kwh", "99999999"], 2, "kwh: '99999999' is too high"),
        (["--price", "0"], 2, "price: must be more than 0"),
        (["--price", "cheap"], 2, "price: 'cheap' is not a decimal number"),
        (["--offers", "0x11"], 2, "offers: is an address"),
        (["--offers", "0x" + "11" * 20], 8, "There is no contract at 0x1111111111111111111111111111111111111111"),
        (["--offers", "SETTLEMENT"], 8, "has other code than this version of Commonwatt"),
    ],
)
@pytest.mark.parametrize("place", ["file"], indirect=True)
def test_offers_that_cannot_be(place: Place, options: list[str], code: int, sentence: str) -> None:
    fields = {"--slot": at(SLOT), "--kwh": "3", "--price": "0.2", "--offers": place.offers}
    fields[options[0]] = place.contract if options[1] == "SETTLEMENT" else options[1]
    got, told, wrong = place.act("offer", 0, *(word for pair in fields.items() for word in pair))
    assert (got, told) == (code, "")
    assert sentence in wrong
    assert re.fullmatch(r"(The request has 1 problem:\n  )?[^\n]*\n", wrong)


@pytest.mark.parametrize("place", ["file"], indirect=True)
def test_purchases_that_cannot_be(place: Place) -> None:
    made = offered(place)
    for options, code, sentence in (
        (["0x12"], 2, "id: is 0x and 64 digits, not '0x12'"),
        (["0x" + "12" * 32], 2, "id: is not that of an offer of this contract"),
        ([made["id"], "--limit", "much"], 2, "limit: 'much' is not a decimal number"),
    ):
        got, _, wrong = place.deal("buy", 2, *options)
        assert got == code
        assert sentence in wrong
    got, _, wrong = place.ask("buy", 2, made["id"], "--offers", place.offers)
    assert got == 2
    assert "key: is needed to buy" in wrong
    assert place.act("resign", 2).code == 0
    got, _, wrong = place.deal("buy", 2, made["id"])
    assert got == 6
    assert "NotActive(2)" in wrong


@pytest.mark.parametrize("place", ["file"], indirect=True)
def test_an_exchange_of_another_community_is_refused(place: Place) -> None:
    """Its operators might be anybody: what is paid there is lost."""
    with EmbeddedChain(Path(place.ledger)) as chain:
        client = client_of(place.folder, chain, place.keys.operator)
        now = chain.head.timestamp + 1
        other = LedgerClient.deploy(
            chain, place.keys.operator, operators=[place.keys.operator.address], threshold=1, config=bytes(32),
            members=[], terms=client.terms, token=None, at=now,
        )  # fmt: skip
        foreign = OffersClient.deploy(other, PATIENCE, at=now + 1).address
    code, _, wrong = place.ask("buy", 2, "--offers", f"0x{foreign.hex()}")
    assert code == 8
    assert "names another Community than its community's" in wrong


def held(place: Place, member: int) -> int:
    """What a member holds outside the settlement [unit]."""
    with EmbeddedChain(Path(place.ledger), read_only=True) as chain:
        client = client_of(place.folder, chain, place.keys.operator)
        return PurseClient(client).held(place.keys.members[member].address)


def wait_until(place: Place, second: int) -> None:
    with EmbeddedChain(Path(place.ledger)) as chain:
        chain.seal(second)


def counted(place: Place, slot: int, wh_out: int) -> None:
    """The bill of member 0 goes on to a slot in which its meter counted something."""
    with EmbeddedChain(Path(place.ledger), read_only=True) as chain:
        domain = client_of(place.folder, chain, place.keys.operator).domain
    meter = place.keys.meters[0]
    assert meter
    signed = sign(domain, Reading(meter.address, slot, 0, wh_out, 9_999), meter)
    bill = read(place.bill(0))
    reading = {**as_json(signed.record), "signature": f"0x{signed.signature.hex()}"}
    bill["content"]["slots"].append({**bill["content"]["slots"][0], "slot": slot, "reading": reading})
    place.bill(0).write_text(json.dumps(by_day(bill)), "utf-8")
