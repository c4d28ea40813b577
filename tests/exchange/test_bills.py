"""Every bill of a run is proved by the chain, and no changed bill is."""

from __future__ import annotations

import copy
import json
import random
import re
import shutil
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dishonest import anchor, signed
from exchange_cases import POOR

from commonwatt.accounts.document import content_hash, grid_amount
from commonwatt.errors import LedgerError, VerificationError
from commonwatt.exchange.outbox import Outbox
from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.member.verify import open_and_verify, verify_bill
from commonwatt.proof import Tree
from commonwatt.records import Anchor
from commonwatt.report.trace import trace
from commonwatt.simulation.result import Result
from commonwatt.units import payment, round_half_up

Bill = dict[str, Any]
Change = Callable[[Bill], None]
ROOF, FLAT = 1, 2


@pytest.fixture(scope="module")
def client(run: Result) -> LedgerClient:
    outbox = run.exchange.outbox
    assert outbox
    return outbox.client


def test_every_bill_is_proved_by_the_chain(run: Result, bills: list[Bill], client: LedgerClient) -> None:
    for member, bill in zip(run.community.members, bills, strict=True):
        found = verify_bill(json.loads(json.dumps(bill)), client)
        assert (found.member, found.slots) == (member.id, 24)
        assert found.total == run.charges.total[member.index]
        assert found.without_market == run.charges_without_market.total[member.index]
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
    assert run.exchange.outbox
    assert any(
        run.exchange.client.node.block(number).hash.hex() in steps["settled"]
        for number in range(1, run.exchange.client.node.head.number)
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
    for number in range(60):
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
    assert changed > 48


@pytest.mark.parametrize(
    "path",
    [
        ("post", "slot"), ("post", "revision"), ("post", "orders"), ("post", "readings"), ("post", "statements"),
        ("post", "deltas"), ("lines", 0, "position"), ("lines", 0, "siblings", 0), ("lines", 0, "siblings", -1),
        ("lines", 0, "statement", "slot"), ("lines", 0, "statement", "revision"), ("lines", 0, "statement", "member"),
        ("lines", 0, "statement", "index"), ("lines", 0, "statement", "wh"), ("lines", 0, "statement", "money"),
        ("lines", 0, "statement", "trade"), ("lines", 0, "statement", "order"), ("lines", 0, "statement", "reading"),
        ("before", "position"), ("before", "statement", "member"), ("before", "statement", "money"),
        ("before", "siblings", 0), ("after", "position"), ("after", "statement", "member"),
        ("after", "statement", "money"), ("after", "siblings", 0), ("trades",), ("committed", 0, 0),
        ("reading", 0), ("reading", -1),
    ],
)  # fmt: skip
def test_no_field_of_a_proof_can_be_changed(bills: list[Bill], client: LedgerClient, path: tuple[Any, ...]) -> None:
    forged = copy.deepcopy(bills[ROOF])
    *way, last = path
    holder = forged["proofs"][str(ahead_slot(forged)["slot"])]
    for step in way:
        holder = holder[step]
    value = holder[last]
    holder[last] = value + 1 if isinstance(value, int) else value[:-1] + ("0" if value[-1] != "0" else "1")
    with pytest.raises(VerificationError):
        verify_bill(forged, client)


SAID = ("community", "timezone", "currency", "id", "name")
"""Names in the content, which are what the operators say they are."""
GARBAGE = (None, True, -1, 1.5, 10**30, float("nan"), "", "0x", "1/0", [], [None], {}, {"member": 1})


@pytest.mark.parametrize("garbage", GARBAGE, ids=repr)
def test_garbage_in_any_place_is_refused_in_one_sentence(
    bills: list[Bill], client: LedgerClient, garbage: object
) -> None:
    """In the proof of one slot and in the anchor."""
    at = str(ahead_slot(bills[ROOF])["slot"])
    ways = [*places(bills[ROOF]["proofs"][at], ("proofs", at)), *places(bills[ROOF]["anchor"], ("anchor",))]
    for path in random.Random(repr(garbage)).sample(ways, 12):  # noqa: S311
        forged = shallow(bills[ROOF], path)
        *way, last = path
        holder: Any = forged
        for step in way:
            holder = holder[step]
        if holder[last] == garbage:
            continue
        holder[last] = garbage
        with pytest.raises(VerificationError):
            verify_bill(forged, client)


@pytest.mark.parametrize("part", ["as it stands", "with a root of its own", "anchored"])
def test_garbage_in_the_content_is_refused_in_one_sentence(
    run: Result, bills: list[Bill], client: LedgerClient, unanchored: Path, tmp_path: Path, part: str
) -> None:
    rng, keys = random.Random(part), run.simulated.keys  # noqa: S311
    assert keys
    content = bills[ROOF]["content"]
    place = content["slots"].index(ahead_slot(bills[ROOF]))
    ways = [path for path in places({**content, "slots": None}, ()) if path and path[-1] not in SAID]
    ways += places(content["slots"][place], ("slots", place))
    for path in rng.sample(ways, 12 if part == "anchored" else len(ways)):
        garbage = rng.choice(GARBAGE)
        bill = shallow(bills[ROOF], ("content",))
        *way, last = path
        holder = bill["content"]
        for step in way:
            holder = holder[step]
        if holder[last] == garbage or (part == "anchored" and "period" in path):
            continue
        holder[last] = garbage
        if part == "with a root of its own":
            tree = Tree.of([content_hash(bill["content"] if index == ROOF else {}) for index in range(5)])
            siblings = [f"0x{sibling.hex()}" for sibling in tree.proof(ROOF)]
            bill["anchor"] = {"root": f"0x{tree.root.hex()}", "index": ROOF, "siblings": siblings}
        elif part == "anchored":
            shutil.copy(unanchored / "ledger.sqlite", tmp_path / "ledger.sqlite")
            with EmbeddedChain(tmp_path / "ledger.sqlite") as chain:
                own = LedgerClient(chain, keys.operator, client.addresses)
                bill["anchor"] = anchor(own, keys.operator, [{}, bill["content"], {}])[ROOF]
                with pytest.raises(VerificationError):
                    verify_bill(bill, own)
            continue
        with pytest.raises(VerificationError):
            verify_bill(bill, client)


def places(value: Any, path: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """The way to everything inside `value`; of long lists, to the first entry and the last."""
    found = [path]
    if isinstance(value, dict):
        for key, inner in value.items():
            found += places(inner, (*path, key))
    elif isinstance(value, list):
        for place in sorted({0, len(value) - 1} & set(range(len(value)))):
            found += places(value[place], (*path, place))
    return found


def shallow(bill: Bill, path: tuple[Any, ...]) -> Bill:
    """A copy in which the part that `path` leads through may be changed."""
    return bill | {path[0]: copy.deepcopy(bill[path[0]])}


def busy_slot(bill: Bill) -> Any:
    """A slot in which the member had several trades and bought or sold in more than one."""
    return next(
        line
        for line in bill["content"]["slots"]
        if len(line["trades"]) > 1 and all(trade["settledWh"] > 0 for trade in line["trades"][:2])
    )


def ahead_slot(bill: Bill) -> Any:
    """A slot whose first trade was made the day ahead, beside others, and delivered."""
    return next(
        line
        for line in bill["content"]["slots"]
        if line["trades"] and line["trades"][0]["settledWh"] > 0 and bill["proofs"][str(line["slot"])]["committed"][0]
    )


# What an operator might anchor: the content is changed and its root put on the chain, so that only the rest can tell.


def _total(bill: Bill) -> None:
    bill["content"]["total"] -= 1


def _charge(bill: Bill) -> None:
    bill["content"]["charges"][0]["amount"] += 1


def _grid_price(bill: Bill) -> None:
    line = next(line for line in bill["content"]["slots"] if line["grid"]["wh"])
    line["prices"]["retail"] += 1000


def _grid_energy(bill: Bill) -> None:
    line = busy_slot(bill)
    wh = line["grid"]["wh"] + 1
    line["grid"] = {"wh": wh, "amount": grid_amount(wh, line["prices"]["retail"], line["prices"]["feedIn"])}


def _negative_retail(bill: Bill) -> None:
    for line in bill["content"]["slots"]:
        line["prices"]["retail"] = -line["prices"]["retail"]
    added_up(bill)


def _negative_feed_in(bill: Bill) -> None:
    """The member would pay for what it feeds in."""
    for line in bill["content"]["slots"]:
        line["prices"]["feedIn"] = -100_000
    added_up(bill)


def _negative_levy(bill: Bill) -> None:
    bill["content"]["tariff"]["levies"][0]["price"] = -10_000
    added_up(bill)


def _negative_network_fee(bill: Bill) -> None:
    bill["content"]["tariff"]["networkFee"] = -10_000
    added_up(bill)


def _price_with_a_point(bill: Bill) -> None:
    bill["content"]["tariff"]["networkFee"] = 20_000.0
    added_up(bill)


def _price_beyond_all(bill: Bill) -> None:
    bill["content"]["tariff"]["networkFee"] = 10**12 + 1
    added_up(bill)


def _levy_switch(switch: object) -> Change:
    def change(bill: Bill) -> None:
        bill["content"]["tariff"]["levies"][0]["grid"] = switch
        added_up(bill)

    return change


def _vat(rate: str) -> Change:
    def change(bill: Bill) -> None:
        bill["content"]["tariff"]["vat"]["rate"] = rate

    return change


def _another_levy(bill: Bill) -> None:
    """It is in the tariff and in the charges, but they are not added up anew."""
    bill["content"]["tariff"]["levies"].append({"name": "solidarity", "price": 10_000, "grid": True, "local": True})


def _without_market(bill: Bill) -> None:
    bill["content"]["withoutMarket"] += 999_000_000


def added_up(bill: Bill) -> None:
    """Charges and totals as the bill's own prices and switches say, so that nothing but these is wrong."""
    content = bill["content"]
    tariff, slots = content["tariff"], content["slots"]
    grid = np.array([line["grid"]["wh"] for line in slots])
    prices = [line["prices"] for line in slots]
    amounts = [grid_amount(wh, p["retail"], p["feedIn"]) for wh, p in zip(grid.tolist(), prices, strict=True)]
    for line, amount in zip(slots, amounts, strict=True):
        line["grid"]["amount"] = amount
    taken = [max(0, line["reading"]["whIn"] - line["reading"]["whOut"] - line["grid"]["wh"]) for line in slots]
    alone = [line["reading"]["whIn"] - line["reading"]["whOut"] for line in slots]

    def charged(whs: list[int], bought: int, paid: list[int]) -> list[int]:
        imported = sum(max(wh, 0) for wh in whs)
        fees = [bought * tariff["networkFee"] // 1000]
        fees += [
            (imported * levy["grid"] + bought * levy["local"]) * levy["price"] // 1000 for levy in tariff["levies"]
        ]
        energy = sum(max(amount, 0) for amount in paid)
        vat = round_half_up(Fraction(tariff["vat"]["rate"]) * Fraction(energy + sum(fees)))
        return [energy, sum(min(amount, 0) for amount in paid), *fees, vat]

    energy, feed_in, *rest = charged(grid.tolist(), sum(taken), amounts)
    lines = content["charges"]
    for line, amount in zip(lines, [energy, feed_in, lines[2]["amount"], *rest], strict=True):
        line["amount"] = amount
    content["total"] = sum(line["amount"] for line in lines)
    paid = [grid_amount(wh, p["retail"], p["feedIn"]) for wh, p in zip(alone, prices, strict=True)]
    content["withoutMarket"] = sum(charged(alone, 0, paid))


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
    busy[1]["trades"][0] = busy[0]["trades"][0]


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


def _no_mandate(bill: Bill) -> None:
    bill["content"]["mandate"] = None


def _mandate_of_another(bill: Bill) -> None:
    bill["content"]["mandate"]["member"] = "0x" + "12" * 20


def _wider_mandate(bill: Bill) -> None:
    bill["content"]["mandate"]["maxBuy"] += 1


def _mandate_signed_by_nobody(bill: Bill) -> None:
    bill["content"]["mandate"]["signature"] = "0x" + "00" * 65


def _older_period(bill: Bill) -> None:
    """A slot more, of the day before: nobody had a mandate then."""
    bill["content"]["period"]["from"] -= 86_400


FORGERIES: dict[str, tuple[Change, str]] = {
    "total": (_total, "The total is not the sum of the charges"),
    "charge": (_charge, "The charges are not what the slots add up to"),
    "price of the utility": (_grid_price, "the utility's amount is not energy times price"),
    "energy of the utility": (_grid_energy, "metered less local energy is not what met the utility"),
    "negative price": (_negative_retail, "A price is out of bounds"),
    "negative price of feed-in": (_negative_feed_in, "A price is out of bounds"),
    "negative levy": (_negative_levy, "A price is out of bounds"),
    "negative network fee": (_negative_network_fee, "A price is out of bounds"),
    "price that is no integer": (_price_with_a_point, "A price is out of bounds"),
    "price beyond all": (_price_beyond_all, "A price is out of bounds"),
    "levy a thousandfold": (_levy_switch(1000), "A levy is neither on nor off"),
    "levy the other way": (_levy_switch(-5), "A levy is neither on nor off"),
    "levy by a number": (_levy_switch(1), "A levy is neither on nor off"),
    "levy by half": (_levy_switch(0.5), "A levy is neither on nor off"),
    "VAT of everything": (_vat("1"), "The VAT is out of bounds"),
    "negative VAT": (_vat("-1/5"), "The VAT is out of bounds"),
    "VAT by nothing": (_vat("1/0"), "not a complete bill: ZeroDivisionError"),
    "other VAT": (_vat("1/4"), "The charges are not what the slots add up to"),
    "levy more": (_another_levy, "The charges are not what the slots add up to"),
    "cost without the market": (_without_market, "The cost without the market is not what the slots add up to"),
    "reading": (_reading, "The Reading is signed by"),
    "reading of another slot": (_other_reading, "the reading is of another slot"),
    "trade left out": (_no_trade, "there are more proofs than trades, or fewer"),
    "trade of another slot": (_other_trade, "a trade of another slot or revision"),
    "settled energy": (_settled, "line 0 does not say what its trade"),
    "more settled than traded": (_too_much, "more settled than traded"),
    "payment": (_payment, "a payment is not energy times price"),
    "price": (_price, "line 0 does not say what its trade and reading say"),
    "order of trades": (_order_of_trades, "a trade stands twice, or out of order"),
    "order of slots": (_slots, "leaves out or repeats a slot"),
    "slot twice": (_slot_twice, "leaves out or repeats a slot"),
    "slot left out": (_slot_left_out, "leaves out or repeats a slot"),
    "no member": (_another_member, "NotAMember"),
    "another member": (_another_index, "at another member's place"),
    "another chain": (_another_chain, "belongs to another chain"),
    "no mandate": (_no_mandate, "not a complete bill: TypeError"),
    "mandate of another": (_mandate_of_another, "The mandate is another member's"),
    "wider mandate": (_wider_mandate, "The Mandate is signed by"),
    "mandate signed by nobody": (_mandate_signed_by_nobody, "65 bytes r, s, v with v 27 or 28"),
    "period before the mandate": (_older_period, "The mandate does not cover the bill's period"),
}


@pytest.fixture
def dishonest(run: Result, unanchored: Path, tmp_path: Path) -> Iterator[Callable[[Bill], LedgerClient]]:
    """Anchors whatever content it is given with the operator's key, on a chain where nothing was anchored before."""
    shutil.copy(unanchored / "ledger.sqlite", tmp_path / "ledger.sqlite")
    keys, honest = run.simulated.keys, run.exchange.outbox
    assert keys
    assert honest
    with EmbeddedChain(tmp_path / "ledger.sqlite") as chain:
        client = LedgerClient(chain, keys.operator, honest.client.addresses)

        def anchoring(bill: Bill) -> LedgerClient:
            index = bill["anchor"]["index"]
            contents = [bill["content"] if number == index else {} for number in range(5)]
            bill["anchor"] = anchor(client, keys.operator, contents)[index]
            return client

        yield anchoring


def test_an_honest_bill_is_believed_whoever_anchors_it(
    bills: list[Bill], dishonest: Callable[[Bill], LedgerClient]
) -> None:
    bill = copy.deepcopy(bills[ROOF])
    bill["content"]["community"] = "Another name"
    added_up(bill)
    assert bill["content"]["total"] == bills[ROOF]["content"]["total"]
    assert verify_bill(bill, dishonest(bill)).total == bill["content"]["total"]


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_false_bill_is_found_out_even_when_the_operator_anchors_it(
    bills: list[Bill], dishonest: Callable[[Bill], LedgerClient], forgery: str
) -> None:
    change, sentence = FORGERIES[forgery]
    bill = copy.deepcopy(bills[ROOF])
    change(bill)
    with pytest.raises(VerificationError, match=sentence):
        verify_bill(bill, dishonest(bill))


def test_a_period_is_anchored_once(run: Result, bills: list[Bill], dishonest: Callable[[Bill], LedgerClient]) -> None:
    first, second = copy.deepcopy(bills[ROOF]), copy.deepcopy(bills[ROOF])
    client = dishonest(first)
    _without_market(second)
    for again in (first, second):
        with pytest.raises(LedgerError, match="AlreadyAnchored"):
            dishonest(again)
    assert verify_bill(first, client)
    # The honest tree of the period can no longer be anchored either, and its bills do not pass.
    with pytest.raises(VerificationError, match="The chain holds other bills of this period"):
        verify_bill(bills[ROOF], client)
    keys, period = run.simulated.keys, bills[ROOF]["content"]["period"]
    assert keys
    other = Anchor(period["from"], period["until"], run.bills.tree.root)
    with pytest.raises(LedgerError, match="other bills of this period than the exchange's file"):
        Outbox(client).anchor(other, keys.operator, client.node.head.timestamp + 1)


def test_bills_are_not_anchored_by_anybody_else(
    run: Result, bills: list[Bill], dishonest: Callable[[Bill], LedgerClient]
) -> None:
    keys = run.simulated.keys
    assert keys
    bill = copy.deepcopy(bills[ROOF])
    bill["content"]["period"]["until"] += 3600
    client = dishonest(bill)  # of another period, so that this one is still free
    period = bills[ROOF]["content"]["period"]
    record = Anchor(period["from"], period["until"], run.bills.tree.root)
    for key in (keys.members[ROOF], keys.agents[ROOF]):
        with pytest.raises(LedgerError):
            client.anchor(record, [signed(client, record, key)], at=client.node.head.timestamp + 1)
    with pytest.raises(LedgerError):
        client.anchor(record, [], at=client.node.head.timestamp + 1)
    assert client.anchored(record.start, record.until) is None
    with pytest.raises(VerificationError, match="The chain holds no bills of this period"):
        verify_bill(bills[ROOF], client)


def _proofs_exchanged(bill: Bill) -> None:
    first, second = list(bill["proofs"])[:2]
    bill["proofs"][first], bill["proofs"][second] = bill["proofs"][second], bill["proofs"][first]


def _last_line_left_out(bill: Bill) -> None:
    proof = bill["proofs"][str(busy_slot(bill)["slot"])]
    proof["after"] = proof["lines"].pop()


def _first_line_left_out(bill: Bill) -> None:
    proof = bill["proofs"][str(busy_slot(bill)["slot"])]
    proof["before"] = proof["lines"].pop(0)


def _line_passed_over(bill: Bill) -> None:
    del bill["proofs"][str(busy_slot(bill)["slot"])]["lines"][0]


def _no_line_before(bill: Bill) -> None:
    bill["proofs"][str(busy_slot(bill)["slot"])]["before"] = None


def _no_lines(bill: Bill) -> None:
    """The leaves before and after are next to each other, but they are another member's."""
    proof = bill["proofs"][str(busy_slot(bill)["slot"])]
    proof["lines"], proof["after"] = [], proof["lines"][0]


def _nothing_between(bill: Bill) -> None:
    bill["proofs"][str(busy_slot(bill)["slot"])]["lines"] = []


def _no_consent(bill: Bill) -> None:
    bill["proofs"][str(busy_slot(bill)["slot"])]["committed"].pop()


def _ahead_as_if_from_the_pool(bill: Bill) -> None:
    bill["proofs"][str(ahead_slot(bill)["slot"])]["committed"][0] = None


def _pool_as_if_ahead(bill: Bill) -> None:
    line = next(line for line in bill["content"]["slots"] if line["trades"] and not line["trades"][0]["order"])
    bill["proofs"][str(line["slot"])]["committed"][0] = []


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
        (_first_line_left_out, "a line is missing at the beginning"),
        (_line_passed_over, "the lines are not adjacent"),
        (_no_line_before, "the line before the first is missing"),
        (_no_lines, "a line is missing at the end"),
        (_nothing_between, "the lines are not adjacent"),
        (_no_consent, "there are more proofs than trades, or fewer"),
        (_ahead_as_if_from_the_pool, "a trade by order was not committed before delivery"),
        (_pool_as_if_ahead, "a day-ahead trade is not the one that was committed before delivery"),
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
    bill = copy.deepcopy(bills[ROOF])
    change(bill)
    with pytest.raises(VerificationError, match=sentence):
        verify_bill(bill, client)


def test_the_bill_of_another_member_does_not_pass_as_one_s_own(bills: list[Bill], client: LedgerClient) -> None:
    for forged in (
        bills[ROOF] | {"content": bills[FLAT]["content"]},
        bills[ROOF] | {"anchor": bills[FLAT]["anchor"]},
        bills[ROOF] | {"proofs": bills[FLAT]["proofs"]},
    ):
        with pytest.raises(VerificationError):
            verify_bill(forged, client)


def test_a_bill_is_verified_from_the_files_and_they_stay_as_they_are(finished: Path) -> None:
    before = (finished / "ledger.sqlite").read_bytes()
    found = open_and_verify(finished / "bills" / "3.json", finished / "ledger.sqlite")
    assert found.member == "shop"
    assert (finished / "ledger.sqlite").read_bytes() == before
    with pytest.raises(LedgerError, match=r"There is no chain at .*; name its file, or its node's URL, with --ledger"):
        open_and_verify(finished / "bills" / "3.json", finished / "none.sqlite")


def test_a_bill_of_another_chain_is_refused(finished: Path, tmp_path: Path) -> None:
    from exchange_cases import COMMUNITY, START, written

    from commonwatt.simulation.api import simulate

    simulate(written(tmp_path, COMMUNITY + "# another\n"), START, 1, out=tmp_path / "same").close()
    other = COMMUNITY.replace("Five homes", "Six homes")
    simulate(written(tmp_path, other), START, 1, out=tmp_path / "other").close()
    bill = finished / "bills" / "0.json"
    # Comments are no part of a community: the same homes on the same day make the same chain.
    assert open_and_verify(bill, tmp_path / "same" / "ledger.sqlite").member == "sun"
    with pytest.raises(VerificationError):
        open_and_verify(bill, tmp_path / "other" / "ledger.sqlite")
