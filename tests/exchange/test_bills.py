"""Every bill of a run is proved by the chain, and no changed bill is."""

from __future__ import annotations

import copy
import json
import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from exchange_cases import POOR

from commonwatt.errors import LedgerError, VerificationError
from commonwatt.exchange.bills import anchored, grid_line
from commonwatt.exchange.result import Result
from commonwatt.exchange.trace import trace
from commonwatt.exchange.verify import open_and_verify, verify_bill
from commonwatt.ledger.client import Addresses, LedgerClient
from commonwatt.ledger.embedded import EmbeddedChain
from commonwatt.units import payment

Bill = dict[str, Any]
Change = Callable[[Bill], None]


@pytest.fixture(scope="module")
def client(run: Result) -> LedgerClient:
    outbox = run.simulation.outbox
    assert outbox
    return outbox.client


def test_every_bill_is_proved_by_the_chain(run: Result, bills: list[Bill], client: LedgerClient) -> None:
    for member, bill in zip(run.community.members, bills, strict=True):
        found = verify_bill(json.loads(json.dumps(bill)), client)
        assert (found.member, found.slots) == (member.id, 24)
        assert found.total == run.charges.total[member.index]
        assert found.anchored_at > run.period.end
    assert sum(verify_bill(bill, client).lines for bill in bills) > 5 * 24


def test_the_lines_between_neighbours_add_up_to_nothing(bills: list[Bill]) -> None:
    lines = [line for bill in bills for line in bill["content"]["charges"] if line["name"] == "neighbours"]
    assert sum(line["amount"] for line in lines) == 0
    assert max(line["amount"] for line in lines) > 0


def test_a_bill_and_the_ledger_tell_the_same_money(run: Result, bills: list[Bill], client: LedgerClient) -> None:
    balances = client.balances().tolist()
    for member, bill in zip(run.community.members, bills, strict=True):
        (paid,) = (line["amount"] for line in bill["content"]["charges"] if line["name"] == "neighbours")
        assert balances[member.index] == member.collateral - paid


def test_the_poor_member_meets_the_utility_for_what_it_cannot_pay_neighbours(bills: list[Bill]) -> None:
    slots = bills[POOR]["content"]["slots"]
    cut = [line for line in slots if any(trade["settledWh"] < trade["wh"] for trade in line["trades"])]
    assert cut
    for line in cut:
        reading, local = line["reading"], sum(trade["settledWh"] for trade in line["trades"])
        assert line["grid"]["wh"] == reading["whIn"] - reading["whOut"] - local > 0


def test_one_kilowatt_hour_is_traced_from_reading_to_block(run: Result) -> None:
    steps = dict(trace(run))
    assert list(steps)[-3:] == ["stated", "posted", "settled"]
    assert "signed reading no." in steps["metered"]
    assert run.simulation.outbox
    assert any(
        run.simulation.outbox.client.node.block(number).hash.hex() in steps["settled"]
        for number in range(1, run.simulation.outbox.client.node.head.number)
    )


def digits(text: str) -> list[int]:
    """Places of all decimal digits, and of the digits of hexadecimal numbers."""
    found = {match.start() for match in re.finditer("[0-9]", text)}
    for match in re.finditer("0x([0-9a-f]+)", text):
        found.discard(match.start())  # the zero of 0x
        found.update(range(match.start(1), match.end(1)))
    return sorted(found)


@pytest.mark.parametrize("part", ["content", "anchor", "proofs"])
def test_no_single_digit_can_be_changed(bills: list[Bill], client: LedgerClient, part: str) -> None:
    rng = random.Random(part)  # noqa: S311
    changed = 0
    for number in range(100):
        bill = bills[number % len(bills)]
        text = json.dumps(bill[part])
        place = rng.choice(digits(text))
        other = rng.choice([digit for digit in "0123456789" if digit != text[place]])
        try:
            forged = bill | {part: json.loads(text[:place] + other + text[place + 1 :])}
        except ValueError:
            continue  # a number with a leading zero: no bill any more
        with pytest.raises(VerificationError):
            verify_bill(forged, client)
        changed += 1
    assert changed > 80


@pytest.mark.parametrize(
    "path",
    [
        ("post", "slot"), ("post", "revision"), ("post", "orders"), ("post", "readings"), ("post", "statements"),
        ("post", "deltas"), ("lines", 0, "position"), ("lines", 0, "siblings", 0), ("lines", 0, "siblings", -1),
        ("lines", 0, "statement", "slot"), ("lines", 0, "statement", "revision"), ("lines", 0, "statement", "member"),
        ("lines", 0, "statement", "index"), ("lines", 0, "statement", "wh"), ("lines", 0, "statement", "money"),
        ("lines", 0, "statement", "trade"), ("lines", 0, "statement", "order"), ("lines", 0, "statement", "reading"),
        ("next", "position"), ("next", "statement", "member"), ("next", "statement", "money"), ("next", "siblings", 0),
    ],
)  # fmt: skip
def test_no_field_of_a_proof_can_be_changed(bills: list[Bill], client: LedgerClient, path: tuple[Any, ...]) -> None:
    forged = copy.deepcopy(bills[1])
    *way, last = path
    holder = forged["proofs"][str(busy_slot(forged)["slot"])]
    for step in way:
        holder = holder[step]
    value = holder[last]
    holder[last] = value + 1 if isinstance(value, int) else value[:-1] + ("0" if value[-1] != "0" else "1")
    with pytest.raises(VerificationError):
        verify_bill(forged, client)


def busy_slot(bill: Bill) -> Any:
    """A slot in which the member had several trades and bought or sold in more than one."""
    return next(
        line
        for line in bill["content"]["slots"]
        if len(line["trades"]) > 1 and all(trade["settledWh"] > 0 for trade in line["trades"][:2])
    )


# What an operator might anchor: the content is changed and its root put on the chain, so that only the rest can tell.


def _total(bill: Bill) -> None:
    bill["content"]["total"] -= 1


def _charge(bill: Bill) -> None:
    bill["content"]["charges"][0]["amount"] += 1


def _grid_price(bill: Bill) -> None:
    line = next(line for line in bill["content"]["slots"] if line["grid"]["wh"])
    line["grid"]["price"] += 1000


def _grid_energy(bill: Bill) -> None:
    grid = busy_slot(bill)["grid"]
    grid.update(grid_line(grid["wh"] + 1, grid["price"], grid["price"]))


def _reading(bill: Bill) -> None:
    reading = busy_slot(bill)["reading"]
    reading["whIn"] += 1


def _other_reading(bill: Bill) -> None:
    first, second = bill["content"]["slots"][:2]
    first["reading"] = second["reading"]


def _no_trade(bill: Bill) -> None:
    busy_slot(bill)["trades"].pop()


def _other_trade(bill: Bill) -> None:
    busy = [line for line in bill["content"]["slots"] if line["trades"]]
    busy[1]["trades"].append(busy[0]["trades"].pop())


def _settled(bill: Bill) -> None:
    trade = busy_slot(bill)["trades"][0]
    trade["settledWh"] -= 1
    trade["payment"] = payment(trade["settledWh"], trade["price"])


def _too_much(bill: Bill) -> None:
    trade = busy_slot(bill)["trades"][0]
    trade["settledWh"] = trade["wh"] + 1
    trade["payment"] = payment(trade["settledWh"], trade["price"])


def _payment(bill: Bill) -> None:
    busy_slot(bill)["trades"][0]["payment"] += 1


def _price(bill: Bill) -> None:
    trade = busy_slot(bill)["trades"][0]
    trade["price"] += 5000
    trade["payment"] = payment(trade["settledWh"], trade["price"])


def _order_of_trades(bill: Bill) -> None:
    busy_slot(bill)["trades"].reverse()


def _slots(bill: Bill) -> None:
    slots = bill["content"]["slots"]
    slots[3], slots[4] = slots[4], slots[3]


def _slot_twice(bill: Bill) -> None:
    slots = bill["content"]["slots"]
    slots[3] = slots[4]


def _slot_left_out(bill: Bill) -> None:
    del bill["content"]["slots"][3]


def _another_member(bill: Bill) -> None:
    bill["content"]["member"]["account"] = "0x" + "12" * 20


def _another_index(bill: Bill) -> None:
    bill["content"]["member"]["index"] = 2


def _another_chain(bill: Bill) -> None:
    bill["content"]["ledger"]["chainId"] += 1


FORGERIES: dict[str, Change] = {
    "The total is not the sum of the charges": _total,
    "The charges are not what the slots add up to": _charge,
    r"the utility's amount is wrong": _grid_price,
    "metered energy less local energy is not what met the utility": _grid_energy,
    "is signed by": _reading,
    "the reading is of another slot": _other_reading,
    "there are more lines than trades, or fewer": _no_trade,
    "more lines than trades|does not say what its trade": _other_trade,
    "line 0 does not say what its trade": _settled,
    "more settled than traded": _too_much,
    "a payment is not energy times price": _payment,
    "line 0 does not say what its trade and reading say": _price,
    "line 0 does not say": _order_of_trades,
    "leaves out or repeats a slot": _slots,
    "out or repeats a slot of its period": _slot_twice,
    "The bill leaves out or repeats": _slot_left_out,
    "NotAMember": _another_member,
    "at another member's place|another member at this account": _another_index,
    "belongs to another chain": _another_chain,
}


@pytest.fixture(scope="module")
def dishonest(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Bill], LedgerClient]]:
    """Anchors whatever content it is given on a copy of the chain, with the operator's key."""
    from commonwatt.exchange.checking import load
    from commonwatt.exchange.parties import simulated_keys

    path = tmp_path_factory.mktemp("dishonest") / "ledger.sqlite"
    shutil.copy(finished / "ledger.sqlite", path)
    operator = simulated_keys(load(finished.parent / "community.toml")).operator
    ledger = json.loads((finished / "bills" / "1.json").read_text())["content"]["ledger"]
    addresses = [bytes.fromhex(ledger[name][2:]) for name in ("community", "settlement")]
    with EmbeddedChain(path) as chain:
        client = LedgerClient(chain, operator, Addresses(*addresses))

        def anchor(bill: Bill) -> LedgerClient:
            index = bill["anchor"]["index"]
            bundle = anchored([bill["content"] if number == index else {} for number in range(5)])
            bill["anchor"] = {
                "root": f"0x{bundle.tree.root.hex()}",
                "index": index,
                "siblings": [f"0x{sibling.hex()}" for sibling in bundle.tree.proof(index)],
            }
            client.anchor(bundle.tree.root, at=chain.head.timestamp + 1)
            return client

        yield anchor


def test_an_honest_bill_may_be_anchored_again(bills: list[Bill], dishonest: Callable[[Bill], LedgerClient]) -> None:
    bill = copy.deepcopy(bills[1])
    bill["content"]["community"] = "Another name"
    assert verify_bill(bill, dishonest(bill)).total == bill["content"]["total"]


@pytest.mark.parametrize("sentence", FORGERIES)
def test_a_false_bill_is_found_out_even_when_the_operator_anchors_it(
    bills: list[Bill], dishonest: Callable[[Bill], LedgerClient], sentence: str
) -> None:
    bill = copy.deepcopy(bills[1])
    FORGERIES[sentence](bill)
    with pytest.raises(VerificationError, match=sentence):
        verify_bill(bill, dishonest(bill))


def _proofs_exchanged(bill: Bill) -> None:
    first, second = list(bill["proofs"])[:2]
    bill["proofs"][first], bill["proofs"][second] = bill["proofs"][second], bill["proofs"][first]


def _last_line_left_out(bill: Bill) -> None:
    proof = bill["proofs"][str(busy_slot(bill)["slot"])]
    proof["next"] = proof["lines"].pop()


def _first_line_left_out(bill: Bill) -> None:
    del bill["proofs"][str(busy_slot(bill)["slot"])]["lines"][0]


def _no_lines(bill: Bill) -> None:
    bill["proofs"][str(busy_slot(bill)["slot"])]["lines"] = []


def _proof_too_many(bill: Bill) -> None:
    bill["proofs"]["1"] = next(iter(bill["proofs"].values()))


def _proof_too_few(bill: Bill) -> None:
    bill["proofs"].popitem()


def _unknown_revision(bill: Bill) -> None:
    next(iter(bill["proofs"].values()))["post"]["revision"] = 10**30


def _no_anchor(bill: Bill) -> None:
    del bill["anchor"]


def _other_format(bill: Bill) -> None:
    bill["content"] = bill["content"] | {"format": "commonwatt-bill/9"}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_proofs_exchanged, "was not posted"),
        (_last_line_left_out, "a line is missing at the end"),
        (_first_line_left_out, "more lines than trades, or fewer"),
        (_no_lines, "more lines than trades, or fewer|a line is missing"),
        (_proof_too_many, "proofs are not those of its slots"),
        (_proof_too_few, "proofs are not those of its slots"),
        (_unknown_revision, "Post.revision is uint32 and cannot hold"),
        (_no_anchor, "not a complete bill: KeyError 'anchor'"),
        (_other_format, "format is not commonwatt-bill/1"),
    ],
)
def test_proofs_that_do_not_fit_are_refused(
    bills: list[Bill], client: LedgerClient, change: Change, sentence: str
) -> None:
    bill = copy.deepcopy(bills[1])
    change(bill)
    with pytest.raises(VerificationError, match=sentence):
        verify_bill(bill, client)


def test_the_bill_of_another_member_does_not_pass_as_one_s_own(bills: list[Bill], client: LedgerClient) -> None:
    for forged in (
        bills[1] | {"content": bills[2]["content"]},
        bills[1] | {"anchor": bills[2]["anchor"]},
        bills[1] | {"proofs": bills[2]["proofs"]},
    ):
        with pytest.raises(VerificationError):
            verify_bill(forged, client)


def test_a_bill_is_verified_from_the_files_and_they_stay_as_they_are(finished: Path) -> None:
    before = (finished / "ledger.sqlite").read_bytes()
    found = open_and_verify(finished / "bills" / "3.json", finished / "ledger.sqlite")
    assert found.member == "shop"
    assert (finished / "ledger.sqlite").read_bytes() == before
    with pytest.raises(LedgerError, match=r"There is no chain at .*; name its file with --ledger"):
        open_and_verify(finished / "bills" / "3.json", finished / "none.sqlite")


def test_a_bill_of_another_chain_is_refused(finished: Path, tmp_path: Path) -> None:
    from exchange_cases import COMMUNITY, START, written

    from commonwatt.exchange.api import simulate

    simulate(written(tmp_path, COMMUNITY + "# another\n"), START, 1, out=tmp_path / "same").simulation.close()
    other = COMMUNITY.replace("Five homes", "Six homes")
    simulate(written(tmp_path, other), START, 1, out=tmp_path / "other").simulation.close()
    bill = finished / "bills" / "0.json"
    # Comments are no part of a community: the same homes on the same day make the same chain.
    assert open_and_verify(bill, tmp_path / "same" / "ledger.sqlite").member == "sun"
    with pytest.raises(VerificationError):
        open_and_verify(bill, tmp_path / "other" / "ledger.sqlite")
