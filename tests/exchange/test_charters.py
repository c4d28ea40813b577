"""A community that goes by another charter from a midnight on: run, killed and resumed, billed, verified."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from by_slot import contents, proven, verify_bill
from dishonest import anchor
from exchange_cases import AFTER, COMMUNITY, START, exchange_of, short_days, snapshot, written
from shell import Shell

from commonwatt.accounts.document import anchored as anchored_bills
from commonwatt.accounts.document import hex_text, tariff_terms
from commonwatt.errors import ConfigError, NotAdopted, StoreError, VerificationError
from commonwatt.exchange.adopted import require_adopted
from commonwatt.exchange.checking import load
from commonwatt.exchange.events import GateClosure
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.rules import Then
from commonwatt.ledger.client.charters import Charter, charters
from commonwatt.ledger.client.community import CommunityClient
from commonwatt.ledger.client.membership import Change
from commonwatt.member.terms import Terms
from commonwatt.simulation import ballots
from commonwatt.simulation.api import simulate
from commonwatt.simulation.keys import simulated_keys
from commonwatt.simulation.result import Result
from commonwatt.simulation.simulation import Simulation

NEXT = "2026-06-16"
MIDNIGHT = 1_781_560_800
"""Of that day in Berlin [unix s]."""
NEW = (
    COMMUNITY.replace('retail = "0.27"', 'retail = "0.31"')
    .replace('feed_in = "0.08"', 'feed_in = "0.07"')
    .replace('vat = { rate = "0.19" }', 'vat = { rate = "0.07" }')
    .replace("concession_fee", "solidarity")
    .replace('gate = "12:00"\nprice = "0.20"', 'gate = "11:00"\nprice = "0.22"')
    .replace(AFTER, "")
)


def named(folder: Path, name: str, text: str) -> Path:
    """A file beside the community's."""
    file = folder / name
    file.write_text(text, "utf-8")
    return file


def opened(folder: Path, then: bool = True, text: str = NEW) -> Simulation:
    """The two days with the change between them; 24 slots of them, from ten to ten."""
    old, new = written(folder), named(folder, "new.toml", text)
    later = [Then(date.fromisoformat(NEXT), load(new), folder)] if then else []
    with short_days(first=10, slots=24):
        return Simulation(load(old), folder, date.fromisoformat(START), 2, out=folder / "out", then=later)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("charters")


@pytest.fixture(scope="module")
def changed(folder: Path) -> Iterator[Result]:
    simulation = opened(folder)
    result = simulation.run()
    yield result
    result.close()


@pytest.fixture(scope="module")
def bills(changed: Result) -> list[dict[str, Any]]:
    return json.loads(json.dumps(list(proven(changed.books, changed.bills))))  # type: ignore[no-any-return]


def test_members_adopted_it_before_the_first_gate(changed: Result) -> None:
    client, rules = exchange_of(changed).client, changed.rules
    old, new = (charter.community.digest for charter in rules.charters)
    assert charters(client) == (Charter(old, 0), Charter(new, MIDNIGHT))
    community = CommunityClient(client)
    assert [community.charter_at(slot) for slot in (MIDNIGHT - 1, MIDNIGHT)] == [old, new]
    (vote,) = community.proposals
    assert (vote.executed, vote.yes) == (True, 3)
    assert vote.closes_at < rules.events[0].at


def test_lines_on_either_side_of_midnight_are_priced_by_their_file(changed: Result, bills: list[Any]) -> None:
    assert [part.slots.count for part in changed.rules.parts] == [14, 10]
    for bill in bills:
        for line in bill["content"]["slots"]:
            new = line["slot"] >= MIDNIGHT
            assert line["prices"] == (
                {"retail": 310_000, "feedIn": 70_000} if new else {"retail": 270_000, "feedIn": 80_000}
            )
            ahead = {trade["price"] for trade in line["trades"] if trade["order"] is not None}
            assert ahead <= ({220_000} if new else {200_000})
    prices = {trade["price"] for bill in bills for line in bill["content"]["slots"] for trade in line["trades"]}
    assert {200_000, 220_000} <= prices
    # The pool after delivery is of the first charter alone.
    stages = changed.trades.filter(changed.trades["slot"].dt.timestamp("ms") >= MIDNIGHT * 1000)["stage"]
    assert set(stages) <= {"day_ahead"}


def test_the_last_page_adds_up_what_each_tariff_asks(changed: Result, bills: list[Any]) -> None:
    old, new = (charter.community.tariff for charter in changed.rules.charters)
    for bill in bills:
        content = bill["content"]
        assert "tariff" not in content
        assert content["charters"] == [
            {"from": content["period"]["from"], "config": hex_text(changed.rules.charters[0].community.digest),
             "tariff": tariff_terms(old)},
            {"from": MIDNIGHT, "config": hex_text(changed.rules.charters[1].community.digest),
             "tariff": tariff_terms(new)},
        ]  # fmt: skip
        names = [line["name"] for line in content["charges"]]
        assert names == [
            "energy from the utility", "energy fed in", "neighbours", "network fee", "electricity_tax",
            "concession_fee", "solidarity", "VAT",
        ]  # fmt: skip
        vat = 0
        for tariff, lines in ((old, content["slots"][:14]), (new, content["slots"][14:])):
            me = content["member"]["index"]
            grid = sum(max(line["grid"]["wh"], 0) for line in lines)
            local = sum(
                max(sum((1 if t["buyer"] == me else -1) * t["settledWh"] for t in line["trades"]), 0) for line in lines
            )
            energy = sum(max(line["grid"]["amount"], 0) for line in lines)
            fees = local * tariff.network_fee // 1000
            fees += sum((grid * levy.grid + local * levy.local) * levy.price // 1000 for levy in tariff.levies)
            vat += int(tariff.vat * (energy + fees) + type(tariff.vat)(1, 2))
        assert content["charges"][-1]["amount"] == vat


def test_every_bill_verifies_and_says_its_charters(changed: Result, bills: list[Any], folder: Path) -> None:
    client = exchange_of(changed).client
    digests = [hex_text(charter.community.digest) for charter in changed.rules.charters]
    for bill in bills:
        found = verify_bill(bill, client)
        assert [(each.config, each.since) for each in found.charters] == [
            (digests[0], changed.period.start), (digests[1], MIDNIGHT),
        ]  # fmt: skip
        for charter in changed.rules.charters:
            Terms(charter.community, folder).check(bill["content"])
    content = bills[0]["content"]
    content["slots"][15]["prices"]["retail"] -= 1
    Terms(changed.rules.charters[0].community, folder).check(content)
    with pytest.raises(VerificationError, match="the utility's prices are not what"):
        Terms(changed.rules.charters[1].community, folder).check(content)
    content["slots"][15]["prices"]["retail"] += 1


def test_a_killed_run_goes_on_over_the_change(changed: Result, tmp_path: Path) -> None:
    moved = 0
    while True:
        simulation = opened(tmp_path)
        if not simulation.advance():
            break
        moved += 1
        simulation.close()
    result = simulation.run()
    assert moved == len(changed.rules.events)
    assert snapshot(result) == snapshot(changed)
    result.close()


def test_operators_cannot_bill_under_a_charter_that_was_not_adopted(tmp_path: Path) -> None:
    simulation = opened(tmp_path)
    while simulation.advance():
        pass
    exchange = exchange_of(simulation)
    exchange.outbox.finalise_due()
    books, client = exchange.books, exchange.client
    honest, old, new = contents(books), *(charter.community for charter in books.rules.charters)
    proofs = [bill["proofs"] for bill in proven(books, anchored_bills(honest))]

    def alone(content: dict[str, Any]) -> None:
        del content["charters"]
        content["tariff"] = tariff_terms(new.tariff)

    def swapped(content: dict[str, Any]) -> None:
        first, second = content["charters"]
        first["config"], second["config"] = second["config"], first["config"]

    def earlier(content: dict[str, Any]) -> None:
        content["charters"][1]["from"] -= 3600

    def stranger(content: dict[str, Any]) -> None:
        content["charters"][1]["config"] = hex_text(bytes(32))

    def thrice(content: dict[str, Any]) -> None:
        content["charters"].append({**content["charters"][1], "from": MIDNIGHT + 3600})

    assert old.digest != new.digest
    lies = (
        (alone, "under 1 charter, its period under 2"),
        (swapped, f"^Slot {books.rules.period.start} is under the charter {hex_text(new.digest)}, and"),
        (earlier, f"The charter of slot {MIDNIGHT - 3600} holds from {MIDNIGHT} on"),
        (stranger, f"^Slot {MIDNIGHT} is under the charter 0x000"),
        (thrice, "under 3 charters, its period under 2"),
    )
    told = json.loads(json.dumps(honest))
    for (lie, _), content in zip(lies, told, strict=True):
        lie(content)
    anchors = anchor(client, simulated_keys(old).operator, told)
    for (_, sentence), content, proof, anchored in zip(lies, told, proofs, anchors, strict=True):
        bill = json.loads(json.dumps({"content": content, "anchor": anchored, "proofs": proof}))
        with pytest.raises(VerificationError, match=sentence):
            verify_bill(bill, client)
    simulation.close()


def test_what_was_not_adopted_is_refused_until_it_is(tmp_path: Path) -> None:
    """A run that was begun under one charter goes on under another only when its members adopted it."""
    dearer = NEW.replace('"0.31"', '"0.33"')
    simulation = opened(tmp_path)
    simulation.advance()
    head = exchange_of(simulation).client.node.head
    simulation.close()
    for then, text in ((False, NEW), (True, dearer)):
        with pytest.raises(NotAdopted, match="on the members adopted the charter 0x") as refused:
            opened(tmp_path, then, text)
        assert (refused.value.slot, refused.value.exit_code) == (MIDNIGHT, 6)
    # Nothing was lost: the run goes on as it was begun.
    simulation = opened(tmp_path)
    assert exchange_of(simulation).client.node.head == head
    simulation.run().close()


def test_a_run_whose_members_have_not_voted_goes_on_when_they_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: Result
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(ballots, "adopt", lambda *_: None)
        with pytest.raises(NotAdopted, match=f"0x{changed.rules.charters[0].community.digest.hex()}, not the file"):
            opened(tmp_path)
    run, later = opened(tmp_path, then=False), changed.rules
    ballots.adopt(exchange_of(run).client, later, simulated_keys(later.community).members)
    run.close()
    result = opened(tmp_path).run()
    assert snapshot(result) == snapshot(changed)
    result.close()


def test_a_charter_that_comes_in_between_stops_the_gate(tmp_path: Path) -> None:
    simulation = opened(tmp_path, then=False)
    exchange = exchange_of(simulation)
    assert isinstance(simulation.exchange.next, GateClosure)
    require_adopted(exchange.client, simulation.rules, simulation.rules.period)
    client = CommunityClient(exchange.client)
    keys = simulated_keys(simulation.rules.community)
    at, far = exchange.client.node.head.timestamp, 30 * 86_400
    number = client.propose(
        keys.members[0], Change(charter=bytes([7] * 32), charter_from=at + far), at=at + 7 * 86_400 + 1
    )
    for member in keys.members[:3]:
        client.vote(member, number, yes=True, at=exchange.client.node.head.timestamp + 1)
    client.execute(keys.members[0], number, at=exchange.client.node.head.timestamp + 1)
    # It holds after the period, and does not matter to it.
    require_adopted(exchange.client, simulation.rules, simulation.rules.period)
    assert len(charters(exchange.client)) == 2
    simulation.close()


def test_the_laboratory_has_no_members_to_ask(tmp_path: Path) -> None:
    old, new = written(tmp_path), named(tmp_path, "new.toml", NEW)
    with short_days(first=10, slots=24):
        result = simulate(old, START, 2, ledger="none", out=tmp_path / "out", then={NEXT: new})
        assert [part.slots.count for part in result.rules.parts] == [14, 10]
        assert not isinstance(result.exchange, Exchange)
        result.close()
        with pytest.raises(StoreError, match="holds another run"):
            simulate(old, START, 2, ledger="none", out=tmp_path / "out")


@pytest.mark.parametrize(
    ("day", "text", "sentence"),
    [
        (START, NEW, "then 2026-06-15: must come after 2026-06-15"),
        ("2026-06-14", NEW, "then 2026-06-14: must come after 2026-06-15"),
        ("2026-06-17", NEW, "then 2026-06-17: comes after the last day"),
        (NEXT, COMMUNITY, "then 2026-06-16: changes nothing"),
        (NEXT, NEW.replace("kwp = 8", "kwp = 9"), "then 2026-06-16: changes the members, which no vote can change"),
        (NEXT, NEW.replace('"1h"', '"15min"'), "changes the slot length, which no vote can change"),
        (NEXT, NEW.replace("EUR", "CHF").replace("Berlin", "Zurich"), "changes the currency, the time zone, which no"),
        (NEXT, NEW + '\n[ledger]\nwindow = "1h"\n', "changes the ledger, which no vote can change"),
        ("2026-02-30", NEW, "then: is a date such as 2026-06-15, not '2026-02-30'"),
        (NEXT, "[community", "new.toml has 1 problem"),
    ],
)
def test_files_that_cannot_hold_then(tmp_path: Path, day: str, text: str, sentence: str) -> None:
    old, new = written(tmp_path), named(tmp_path, "new.toml", text)
    with pytest.raises(ConfigError) as refused:
        simulate(old, START, 2, ledger="none", then={day: new})
    told = "\n".join([str(refused.value), *map(str, refused.value.findings)])
    assert sentence in told


def test_the_shell_takes_later_charters(tmp_path: Path, said: Shell) -> None:
    old, new = written(tmp_path), named(tmp_path, "new.toml", NEW)
    begin = ("simulate", old, "--days", 2, "--ledger", "none")
    with short_days(first=10, slots=24):
        code, told, _ = said(*begin, "--then", f"{NEXT}={new}")
    assert code == 0
    assert "market from 2026-06-16 on: day-ahead fixed (gate 11:00)" in told
    for options, status, sentence in (
        (["--then", NEXT], 2, "--then: is given as key=value"),
        (["--then", f"{NEXT}={new}", "--then", f"{NEXT}={new}"], 2, f"--then {NEXT}: is given twice"),
        (["--then", f"{NEXT}={tmp_path / 'none.toml'}"], 2, "none.toml"),
    ):
        code, _, wrong = said(*begin, *options)
        assert code == status
        assert sentence in wrong
