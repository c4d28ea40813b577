"""Every bill of a run is proved by the chain, and no changed bill is."""

from __future__ import annotations

import copy
import json
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from by_slot import anchored, as_before, by_day, contents, verify_bill
from dishonest import anchor, signed
from exchange_cases import COMMUNITY, START, exchange_of, homes_of, short_days, written
from forged_proofs import PROOFS, stated
from forgeries import FORGERIES, TERMS, Bill, added_up, ahead_slot, without_market

from commonwatt.errors import LedgerError, VerificationError
from commonwatt.exchange.outbox import Outbox
from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.member.terms import Terms
from commonwatt.member.verify import open_and_verify
from commonwatt.records import Anchor
from commonwatt.simulation.api import simulate
from commonwatt.simulation.result import Result

ROOF, FLAT = 1, 2


@pytest.fixture(scope="module")
def client(run: Result) -> LedgerClient:
    outbox = exchange_of(run).outbox
    assert outbox
    return outbox.client


def test_every_bill_is_proved_by_the_chain(run: Result, bills: list[Bill], client: LedgerClient) -> None:
    for member, bill in zip(run.community.members, bills, strict=True):
        found = verify_bill(json.loads(json.dumps(bill)), client)
        assert (found.member, found.slots) == (member.id, run.period.count)
        assert found.total == run.charges.total[member.index]
        assert found.without_market == run.charges_without_market.total[member.index]
    assert sum(verify_bill(bill, client).lines for bill in bills) > 5 * run.period.count


def digits(text: str) -> list[int]:
    """Places of all decimal digits, and of the digits of hexadecimal numbers."""
    found = {match.start() for match in re.finditer("[0-9]", text)}
    for match in re.finditer("0x([0-9a-f]+)", text):
        found.discard(match.start())  # the zero of 0x
        found.update(range(match.start(1), match.end(1)))
    return sorted(found)


@pytest.mark.parametrize("part", ["content", "anchor", "days"])
def test_no_single_digit_can_be_changed(bills: list[Bill], client: LedgerClient, part: str) -> None:
    rng = random.Random(part)  # noqa: S311
    changed = 0
    for number in range(60):
        bill = by_day(bills[number % len(bills)])
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
        ("revision",), ("siblings",), ("committed", "depth"), ("committed", "beside"),
        *(("stated", "sums", field) for field in range(5)),
        *(("stated", "lines", line, field) for line in (0, 1, -1) for field in range(5)),
    ],
)  # fmt: skip
def test_no_field_of_a_proof_can_be_changed(bills: list[Bill], client: LedgerClient, path: tuple[Any, ...]) -> None:
    forged = copy.deepcopy(bills[ROOF])
    *way, last = path
    line = ahead_slot(forged)
    holder = forged["proofs"][str(line["slot"])]
    if path[0] == "stated":
        holder["stated"] = stated(forged, line)
        assert verify_bill(forged, client)
    for step in way:
        holder = holder[step]
    value = holder[last]
    holder[last] = value + 1 if isinstance(value, int) else value[:-1] + ("0" if value[-1] != "0" else "1")
    with pytest.raises(VerificationError):
        verify_bill(forged, client)


SAID = ("community", "timezone", "currency", "id", "name")


"""Names in the content, which are what the operators say they are."""


GARBAGE: tuple[object, ...] = (
    None,
    True,
    -1,
    1.5,
    10**30,
    float("nan"),
    "",
    "0x",
    "1/0",
    [],
    [None],
    {},
    {"member": 1},
)


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
    rng, keys = random.Random(part), homes_of(run).keys  # noqa: S311
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
            tree = anchored([bill["content"] if index == ROOF else {} for index in range(5)]).tree
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


FORMS: dict[str, Callable[[Bill], Bill]] = {"by day": copy.deepcopy, "as before": as_before}
"""Bills of sheets, and those before there were any."""


@pytest.mark.parametrize("form", FORMS)
def test_an_honest_bill_is_believed_whoever_anchors_it(
    bills: list[Bill], dishonest: Callable[[Bill], LedgerClient], form: str
) -> None:
    bill = FORMS[form](copy.deepcopy(bills[ROOF]))
    bill["content"]["community"] = "Another name"
    added_up(bill)
    assert bill["content"]["total"] == bills[ROOF]["content"]["total"]
    assert verify_bill(bill, dishonest(bill)).total == bill["content"]["total"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_false_bill_is_found_out_even_when_the_operator_anchors_it(
    bills: list[Bill], dishonest: Callable[[Bill], LedgerClient], forgery: str, form: str
) -> None:
    change, sentence = FORGERIES[forgery]
    bill = FORMS[form](copy.deepcopy(bills[ROOF]))
    change(bill)
    with pytest.raises(VerificationError, match=sentence):
        verify_bill(bill, dishonest(bill))


@pytest.mark.parametrize("forgery", TERMS)
def test_other_terms_that_add_up_are_the_operator_s_word_unless_the_file_is_known(
    run: Result, bills: list[Bill], dishonest: Callable[[Bill], LedgerClient], forgery: str
) -> None:
    change, sentence = TERMS[forgery]
    bill = copy.deepcopy(bills[ROOF])
    change(bill)
    added_up(bill)
    assert verify_bill(bill, dishonest(bill)).total == bill["content"]["total"]
    with pytest.raises(VerificationError, match=sentence):
        Terms(run.community, Path()).check(bill["content"])


def test_a_price_that_no_line_uses_changes_no_amount(bills: list[Bill]) -> None:
    bill = copy.deepcopy(bills[ROOF])
    TERMS["price that no line uses"][0](bill)
    before = copy.deepcopy(bill["content"])
    added_up(bill)
    assert bill["content"] == before
    assert bill["content"]["slots"] != bills[ROOF]["content"]["slots"]


def test_every_honest_bill_says_what_the_file_says(run: Result, bills: list[Bill]) -> None:
    for bill in bills:
        Terms(run.community, Path()).check(bill["content"])


def test_the_file_is_asked_for_the_prices_of_every_slot(tmp_path: Path) -> None:
    """Those of a price file, in a unit that is more than a micro-currency."""
    times = [f"2026-06-15T{hour:02}:00+02:00,{2000 + 10 * hour}.5" for hour in range(24)]
    (tmp_path / "spot.csv").write_text("\n".join(["time,price [VND/kWh]", *times]), "utf-8")
    text = COMMUNITY.replace('"EUR"', '"VND"').replace('retail = "0.27"', 'retail = { file = "spot.csv" }')
    for small in ('"0.08"', '"0.02"', '"0.0205"', '"0.0132"', '"0.20"', '"20"', '"0.05"'):
        text = text.replace(small, '"1000"')
    with short_days():
        result = simulate(written(tmp_path, text), START, 1, ledger="none")
    terms = Terms(result.community, tmp_path)
    assert result.community.unit > 1
    for content in copy.deepcopy(contents(result.books)):
        terms.check(content)
        content["slots"][-1]["prices"]["retail"] -= 1
        with pytest.raises(VerificationError, match=f"^Slot {content['slots'][-1]['slot']}: the utility's prices"):
            terms.check(content)
        content["period"] = {**content["period"], "until": content["period"]["until"] + 3600}
        with pytest.raises(VerificationError, match="slots are not as long"):
            terms.check(content)
    result.close()


def test_a_period_is_anchored_once(run: Result, bills: list[Bill], dishonest: Callable[[Bill], LedgerClient]) -> None:
    first, second = copy.deepcopy(bills[ROOF]), copy.deepcopy(bills[ROOF])
    client = dishonest(first)
    without_market(second)
    for again in (first, second):
        with pytest.raises(LedgerError, match="AlreadyAnchored"):
            dishonest(again)
    assert verify_bill(first, client)
    # The honest tree of the period can no longer be anchored either, and its bills do not pass.
    with pytest.raises(VerificationError, match="The chain holds other bills of this period"):
        verify_bill(bills[ROOF], client)
    keys, period = homes_of(run).keys, bills[ROOF]["content"]["period"]
    assert keys
    other = Anchor(period["from"], period["until"], run.bills.tree.root)
    with pytest.raises(LedgerError, match="other bills of this period than the exchange's file"):
        Outbox(client, keys.operators).anchor(other, client.node.head.timestamp + 1)


def test_bills_are_not_anchored_by_anybody_else(
    run: Result, bills: list[Bill], dishonest: Callable[[Bill], LedgerClient]
) -> None:
    keys = homes_of(run).keys
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


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("forgery", PROOFS)
def test_proofs_that_do_not_fit_are_refused(
    bills: list[Bill], dishonest: Callable[[Bill], LedgerClient], forgery: str, form: str
) -> None:
    change, sentence = PROOFS[forgery]
    bill = FORMS[form](copy.deepcopy(bills[ROOF]))
    client = dishonest(bill)
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
    found, _ = open_and_verify(finished / "bills" / "3.json", [str(finished / "ledger.sqlite")])
    assert found.member == "shop"
    assert (finished / "ledger.sqlite").read_bytes() == before
    with pytest.raises(LedgerError, match=r"There is no chain at .*; name its file, or its node's URL, with --ledger"):
        open_and_verify(finished / "bills" / "3.json", [str(finished / "none.sqlite")])


def test_a_bill_of_another_chain_is_refused(finished: Path, tmp_path: Path) -> None:
    other = COMMUNITY.replace("Five homes", "Six homes")
    with short_days():
        simulate(written(tmp_path, COMMUNITY + "# another\n"), START, 1, out=tmp_path / "same").close()
        simulate(written(tmp_path, other), START, 1, out=tmp_path / "other").close()
    bill = finished / "bills" / "0.json"
    # Comments are no part of a community: the same homes on the same day make the same chain.
    assert open_and_verify(bill, [str(tmp_path / "same" / "ledger.sqlite")])[0].member == "sun"
    with pytest.raises(VerificationError):
        open_and_verify(bill, [str(tmp_path / "other" / "ledger.sqlite")])
