"""What a bill says is added up as its lines say, whatever its format; what cannot be so is refused."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest
from by_slot import anchored, by_day, proven
from plant_owners import BARN, FLAT, OFFICE, ROOF, SHOP, SUN

from commonwatt.accounts.document import EXCERPT
from commonwatt.errors import VerificationError
from commonwatt.exchange.bills import anchor_of
from commonwatt.member.summary import Summary, summary
from commonwatt.simulation.result import Result

Bill = dict[str, Any]


def shown(bill: Bill, folder: Path) -> Summary:
    file = folder / "bill.json"
    file.write_text(json.dumps(by_day(bill)), "utf-8")
    return summary(file)


def again(bill: Bill) -> Bill:
    """The bill with a root of its own content, as somebody may anchor who writes anything."""
    bundle = anchored([bill["content"]])
    return {**bill, "anchor": anchor_of(bundle, 0)}


def test_a_summary_is_what_the_run_says(run: Result, bills: list[Bill], tmp_path: Path) -> None:
    arrays = run.arrays
    for member in run.community.members:
        found, at = shown(bills[member.index], tmp_path), member.index
        assert (found.member, found.community, found.slot_seconds) == (member.id, "Five homes", 3600)
        assert (found.total, found.alone) == (run.charges.total[at], run.charges_without_market.total[at])
        assert sum(each.amount for each in found.charges) == found.total
        grid, net = arrays["grid"][at], arrays["net"][at]
        assert found.sum("imported") == grid.clip(min=0).sum()
        assert found.sum("exported") == -grid.clip(max=0).sum()
        assert found.counted_in - found.counted_out == net.sum()
        assert found.sum("bought") - found.sum("sold") == (net - grid).sum()
        assert len(found.moved) == run.period.count
        sizes = sorted((max(each.into, each.out) for each in found.moved), reverse=True)
        assert [each.wh for each in found.largest] == sizes[:5]
        for each in found.largest:
            assert sum(wh for _, wh in each.parts) == each.wh


def test_lines_have_the_energy_and_the_price_that_they_are_for(run: Result, bills: list[Bill], tmp_path: Path) -> None:
    for bill in bills:
        found = shown(bill, tmp_path)
        lines = {each.name: each for each in found.charges}
        assert lines["energy from the utility"].price in (270_000, None)
        assert lines["network fee"].price == 20_000
        for name in ("network fee", "electricity_tax", "concession_fee"):
            line = lines[name]
            assert line.wh is not None
            assert line.price is not None
            assert line.amount == line.wh * line.price // 1000
        assert "VAT 19 %" in lines
        for name in ("bought from neighbours", "sold to neighbours"):
            if name in lines and lines[name].mean:
                line = lines[name]
                assert line.wh
                assert abs(abs(line.amount) * 1000 / line.wh - (line.price or 0)) < 1


@pytest.mark.parametrize("number", [1, 2])
def test_bills_of_formats_before_are_for_the_versions_that_wrote_them(
    bills: list[Bill], tmp_path: Path, number: int
) -> None:
    bill = copy.deepcopy(bills[1])
    bill["content"]["format"] = f"commonwatt-bill/{number}"
    with pytest.raises(VerificationError, match=f"its format is commonwatt-bill/{number}; the version of commonwatt"):
        shown(bill, tmp_path)


def test_plants_are_shown_to_owners_and_owners_on_a_plant_s_bill(shared_day: Result, tmp_path: Path) -> None:
    found = [shown(bill, tmp_path) for bill in proven(shared_day.books, shared_day.bills)]
    assert [each.plant for each in found[SHOP].plants] == ["barn", "roof"]
    assert [[each.name for each in found[plant].owners] for plant in (BARN, ROOF)] == [
        ["sun", "flat", "shop", "office"],
        ["flat", "shop"],
    ]
    for member in (SUN, FLAT, SHOP, OFFICE, BARN, ROOF):
        assert sum(each.amount for each in found[member].charges) == found[member].total
    divisions = {division.plant.index: division for division in shared_day.books.divisions}
    (owed,) = (parts.owed for parts in shared_day.charges.plants if parts.plant.index == BARN)
    for place, member in enumerate(divisions[BARN].plant.owners.tolist()):
        (own,) = [each for each in found[member].plants if each.plant == "barn"]
        assert own.share == divisions[BARN].share[place].sum()
        assert own.share - own.taken == divisions[BARN].unused[place].sum()
        assert own.earned == divisions[BARN].earnings[place].sum()
        assert found[BARN].owners[place].amount == owed[place]
    assert sum(each.sum("own") for each in found) == sum(own.taken for each in found for own in each.plants)


def test_bills_of_a_run_without_a_ledger_are_shown(small: Result, tmp_path: Path) -> None:
    for member, bill in enumerate(proven(small.books, small.bills)):
        found = shown(bill, tmp_path)
        assert found.total == small.charges.total[member]
        assert (found.counted_in, found.counted_out) == (found.sum("imported") + found.sum("bought"),
                                                         found.sum("exported") + found.sum("sold"))  # fmt: skip
        assert found.proof.chain is None
        assert found.proof.root == f"0x{small.bills.tree.root.hex()}"


def test_a_bill_that_was_changed_is_refused(bills: list[Bill], tmp_path: Path) -> None:
    bill = copy.deepcopy(bills[1])
    bill["content"]["total"] += 10_000
    with pytest.raises(VerificationError, match=r"one figure in it was changed\. The total is not the sum of"):
        shown(bill, tmp_path)
    shown(again(bill), tmp_path)  # anybody can make a root of it
    bill = copy.deepcopy(bills[1])
    next(line for line in bill["content"]["slots"] if line["trades"])["trades"][0]["payment"] += 1
    with pytest.raises(VerificationError, match="neighbours is not what the slots add up to"):
        shown(again(bill), tmp_path)


def test_money_of_small_unit_is_shown_in_the_currency(bills: list[Bill], tmp_path: Path) -> None:
    """The figures of a bill are what they were, and each is worth a thousand times as much."""
    bill = copy.deepcopy(bills[1])
    own = shown(bill, tmp_path)
    bill["content"]["unit"] = 1000
    found = shown(again(bill), tmp_path)
    assert (found.total, found.alone) == (own.total * 1000, own.alone * 1000)
    for dear, cheap in zip(found.charges, own.charges, strict=True):
        assert dear.amount == cheap.amount * 1000
        assert dear.mean or dear.price == (None if cheap.price is None else cheap.price * 1000)


def test_an_excerpt_is_no_bill(bills: list[Bill], tmp_path: Path) -> None:
    bill = bills[1]
    content = {key: bill["content"][key] for key in ("ledger", "mandate")} | {"format": EXCERPT}
    content |= {"member": {key: bill["content"]["member"][key] for key in ("index", "account")}, "slots": []}
    with pytest.raises(VerificationError, match="is no bill but an excerpt"):
        shown({"content": content, "proofs": {}}, tmp_path)


GARBAGE: tuple[object, ...] = (None, True, -(10**30), 10**60, "", "1e999999", "\x1b[2J", [], [None], {}, {"member": 1})


@pytest.mark.parametrize("garbage", GARBAGE, ids=repr)
def test_garbage_in_any_place_ends_in_a_sentence_or_in_a_summary(
    bills: list[Bill], garbage: object, tmp_path: Path
) -> None:
    rng, refused = random.Random(repr(garbage)), 0  # noqa: S311
    for _ in range(40):
        bill = copy.deepcopy(bills[1])
        holder: Any = bill["content"]
        while True:
            key = rng.choice([*holder] if isinstance(holder, dict) else range(len(holder)))
            if not isinstance(holder[key], (dict, list)) or not holder[key] or rng.random() < 0.1:
                holder[key] = garbage
                break
            holder = holder[key]
        try:
            shown(again(bill), tmp_path)
        except VerificationError as error:
            refused += str(error).isprintable()
    assert refused
