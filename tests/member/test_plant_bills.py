"""What operators could write in the bills of a plant and its owners, and anchor."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from by_slot import by_day, contents, named_anew, proven, verify_bill
from dishonest import anchor
from exchange_cases import exchange_of, homes_of, written
from plant_owners import BARN, FLAT, ROOF, SHOP, SUN, TEXT, going_on
from shell import Shell

from commonwatt.accounts.document import Anchored
from commonwatt.errors import VerificationError
from commonwatt.exchange import bills as exchange_bills
from commonwatt.exchange.checking import load
from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.member.shares import as_divided
from commonwatt.member.terms import Terms
from commonwatt.simulation.result import Result

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
    share_of(content)["sold"] = -1


def _lost(content: Content) -> None:
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


def _taken_for_a_plant(content: Content) -> None:
    del content["owns"]
    for line in content["slots"]:
        line.pop("shares", None)
    content["owners"] = [{"member": SHOP, "id": "shop", "weight": 1, "amount": 0, "onLedger": 0}]


FORGED: dict[str, tuple[int, Callable[[Content], None], str]] = {
    "less than its part": (SHOP, _less, "the share of .* is not what the bill's figures give"),
    "a smaller share": (SHOP, _smaller, "the share of .* is not what the bill's figures give"),
    "more sold than fed in": (SHOP, _sold_more, "the share of .* is not what the bill's figures give"),
    "another cost without the market": (SHOP, _alone, "the share of .* is not what the bill's figures give"),
    "a negative energy": (SHOP, _negative, "a share is no number"),
    "earnings below zero": (SHOP, _lost, "the share of (barn|roof) is not what the bill's figures give"),
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
    "a home whose money is another's": (SUN, _taken_for_a_plant, "mandate is that of a home"),
    "a plant that owns itself": (BARN, _own, "A plant does not own itself"),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_bill_that_gives_an_owner_something_else_is_found_out(
    shared: Path, shared_day: Result, tmp_path: Path, name: str
) -> None:
    member, change, sentence = FORGED[name]
    given = contents(shared_day.books)
    change(given[member])
    _added_up(given[member])
    with pytest.raises(VerificationError, match=sentence):
        verify_bill(*_told(shared, shared_day, tmp_path, given, member))


def _told(
    shared: Path, shared_day: Result, to: Path, given: list[Content], member: int
) -> tuple[Content, LedgerClient]:
    """The bill of a member as operators anchored it, and the chain."""
    honest = exchange_of(shared_day)
    shutil.copy(shared / "out" / "ledger.sqlite", to / "ledger.sqlite")
    client = LedgerClient(EmbeddedChain(to / "ledger.sqlite"), honest.client.key, honest.client.addresses)
    anchors = anchor(client, homes_of(shared_day).keys.operator, given)
    bill = list(proven(shared_day.books, Anchored(tuple(given), shared_day.bills.tree)))[member]
    return bill | {"anchor": anchors[member]}, client


def _raw(
    shared: Path, shared_day: Result, to: Path, member: int, change: Callable[[Content], object]
) -> tuple[Content, LedgerClient]:
    """The bill of a member by day, changed and anchored, and the chain."""
    bill = copy.deepcopy(list(exchange_bills.proven(shared_day.books, shared_day.bills))[member])
    change(bill)
    bill, honest = named_anew(bill), exchange_of(shared_day)
    shutil.copy(shared / "out" / "ledger.sqlite", to / "ledger.sqlite")
    client = LedgerClient(EmbeddedChain(to / "ledger.sqlite"), honest.client.key, honest.client.addresses)
    given = [bill["content"] if index == member else {} for index in range(member + 1)]
    return bill | {"anchor": anchor(client, homes_of(shared_day).keys.operator, given)[member]}, client


def _in_sums(kind: str, name: str) -> Callable[[Content], object]:
    def change(bill: Content) -> None:
        bill["days"][0]["sheet"]["sums"][kind][0][name] += 1

    return change


@pytest.mark.parametrize(
    ("member", "kind", "name", "sentence"),
    [
        *((SHOP, "plants", name, "its sums are not what its slots add up to") for name in ("wh", "amount")),
        (SHOP, "plants", "withoutMarket", "its sums are not what its slots add up to"),
        (SHOP, "plants", "plant", "the sums of plants are of others"),
        *((BARN, "owners", name, "its sums are not what its slots add up to") for name in ("wh", "amount", "received")),
        (BARN, "owners", "member", "the sums of owners are of others"),
    ],
)
def test_sums_of_plants_in_a_sheet_are_those_of_its_slots(
    shared: Path, shared_day: Result, tmp_path: Path, member: int, kind: str, name: str, sentence: str
) -> None:
    with pytest.raises(VerificationError, match=sentence):
        verify_bill(*_raw(shared, shared_day, tmp_path, member, _in_sums(kind, name)))


@pytest.mark.parametrize(
    ("member", "path", "sentence"),
    [
        (BARN, ("owners", 0, "amount"), "What the owners have of the plant is not what its slots come to"),
        (BARN, ("owners", 0, "onLedger"), "What the owners have of the plant is not what its slots come to"),
        (SHOP, ("owns", 0, "costs"), "The charges are not what the slots add up to"),
        (SHOP, ("charges", -1, "amount"), "The charges are not what the slots add up to"),
        (SHOP, ("withoutMarket",), "The cost without the market is not what the slots add up to"),
    ],
)
def test_without_sheets_the_parts_of_a_plant_follow_from_the_sums(
    shared: Path, shared_day: Result, tmp_path: Path, member: int, path: tuple[str | int, ...], sentence: str
) -> None:
    def change(bill: Content) -> None:
        holder: Any = bill["content"]
        for step in path[:-1]:
            holder = holder[step]
        holder[path[-1]] += 3

    bill, client = _raw(shared, shared_day, tmp_path, member, change)
    del bill["days"]
    with pytest.raises(VerificationError, match=sentence):
        verify_bill(bill, client)


def test_a_plant_s_bill_without_its_sheets_proves_nothing_of_its_owner_s(shared_day: Result) -> None:
    of_shop, of_barn = (contents(shared_day.books)[member] for member in (SHOP, BARN))
    with pytest.raises(VerificationError, match="What barn fed in shows only on bills with their sheets"):
        as_divided(of_shop, of_barn | {"slots": []})


def _of_barn(content: Content) -> list[Any]:
    """The shares of a slot in which the barn fed in, its own first."""
    return next(line["shares"] for line in content["slots"] if line.get("shares", [{}])[0].get("plant") == BARN)


def _passed_over(content: Content) -> None:
    del _of_barn(content)[0]


def _fed_less(content: Content) -> None:
    _of_barn(content)[0]["fedIn"] -= 1


def _earned_more(content: Content) -> None:
    _of_barn(content)[0]["earned"] += 1


def _cost_something(content: Content) -> None:
    content["owns"][0]["costs"] += 5


def _less_on_ledger(content: Content) -> None:
    content["owns"][0]["onLedger"] -= 5


def _may_sell_less(content: Content) -> None:
    content["owns"][0]["sellWh"] = 0


@pytest.mark.parametrize(
    "change", [_passed_over, _fed_less, _earned_more, _cost_something, _less_on_ledger, _may_sell_less, _heavy]
)
def test_the_plant_s_bill_proves_what_its_owner_s_says_of_it(
    shared_day: Result, change: Callable[[Content], None]
) -> None:
    of_shop, of_barn = (contents(shared_day.books)[member] for member in (SHOP, BARN))
    as_divided(of_shop, of_barn)
    change(of_shop)
    with pytest.raises(VerificationError, match="barn is not that on the plant's bill"):
        as_divided(of_shop, of_barn)


@pytest.mark.parametrize(
    ("old", "sentence"),
    [
        ("flat = 2", "plants that the member owns a part of are not those of the community's file"),
        ("shop = 1 }", "plants that the member owns a part of are not those of the community's file"),
    ],
)
def test_owners_are_those_of_the_file(shared_day: Result, tmp_path: Path, old: str, sentence: str) -> None:
    other = load(written(tmp_path, TEXT.replace(old, old.replace("1", "4").replace("2", "5"))))
    with pytest.raises(VerificationError, match=sentence):
        Terms(other, Path()).check(contents(shared_day.books)[FLAT])
    with pytest.raises(VerificationError, match="owners are not those of the community's file"):
        Terms(other, Path()).check(contents(shared_day.books)[ROOF])


def test_rounding_may_favour_nobody_whom_the_file_does_not(shared_day: Result) -> None:
    content = contents(shared_day.books)[SHOP]
    share = next(each for line in content["slots"] for each in line.get("shares", []) if each["fedIn"] * 2 % 5)
    share["wh"] += 1
    with pytest.raises(VerificationError, match="the share is not what the community's file gives"):
        Terms(shared_day.community, Path()).check(content)


def test_the_verdict_says_what_of_a_plant_is_the_operators_word(shared: Path, tmp_path: Path, said: Shell) -> None:
    result = going_on(shared, tmp_path).run()
    files = []
    for member, bill in enumerate(proven(result.books, result.bills)):
        files.append(tmp_path / f"{member}.json")
        files[-1].write_text(json.dumps(by_day(bill)), encoding="utf-8")
    result.close()
    ledger = ("--ledger", tmp_path / "out" / "ledger.sqlite")
    known = ("--community", tmp_path / "community.toml")
    told = said("verify", files[SHOP], *ledger, *known)
    assert told.code == 0
    assert "What barn and roof fed in, sold, earned and cost is the operators' word here: show" in told.out
    shown = said("verify", files[SHOP], *ledger, *known, "--plant", files[BARN])
    assert shown.code == 0
    assert "What roof fed in" in shown.out
    both = said("verify", files[SHOP], *ledger, "--plant", files[BARN], "--plant", files[ROOF], "--json", "-")
    assert json.loads(both.out)["plants"] == []
    assert "flat is no plant" in said("verify", files[SHOP], *ledger, "--plant", files[FLAT]).err
    assert json.loads(said("verify", files[SHOP], *ledger, "--json", "-").out)["plants"] == ["barn", "roof"]
    plant = said("verify", files[BARN], *ledger, *known)
    assert plant.code == 0
    assert "operators' word" not in plant.out
