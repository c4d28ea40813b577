"""Bills on account: proved by the chain of the books, refused when a figure, a page or a community is another."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from month_cases import (
    CHAINED,
    COMMUNITY,
    NOVEMBER,
    OCTOBER,
    October,
    community,
    counted,
    sealed,
    settled,
    write_export,
)
from shell import Shell

from commonwatt.billing.archive import Archive
from commonwatt.billing.outputs import write
from commonwatt.billing.run import understand
from commonwatt.errors import ConfigError, VerificationError
from commonwatt.member import on_account
from commonwatt.member.summary import summary


@pytest.fixture(scope="module")
def october(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chained")
    billed = settled(folder, OCTOBER, [write_export(folder / "a.csv", OCTOBER, counted(OCTOBER, 1))], CHAINED)
    write(billed, folder)
    return folder


@pytest.fixture
def ben(october: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((october / "bills/ben.json").read_text())
    return found


def test_every_bill_is_proved(october: Path, said: Shell) -> None:
    for name in ("anna", "ben", "cleo", "plant"):
        found = said(
            "verify", october / f"bills/{name}.json", "--card", october / f"cards/{name}.json", "--no-remember"
        )
        assert found.code == 0, found.err
        assert "In each of 745 slots its share is the rule's, less than a Wh off" in found.out


def test_bills_hold_nothing_of_others(october: Path) -> None:
    names = {"anna": ("A1",), "ben": ("B1", "B2"), "cleo": ("C1", "C2"), "plant": ("P2",)}
    counts = {name: wh.tolist() for name, wh in counted(OCTOBER, 1).items()}
    for member, own in names.items():
        text = (october / f"bills/{member}.json").read_text()
        for register, wh in counts.items():
            listed = json.dumps(wh, separators=(",", ":"))
            assert (listed in text) == (register in own)
        assert not [other for other in names if other != member and f'"{other}"' in text]


def test_the_next_month_is_on_the_same_chain(october: Path, said: Shell, tmp_path: Path) -> None:
    newcomer = CHAINED.replace("cleo.points", 'dora.points = [{ import = "D1" }]\ncleo.points')
    values = counted(NOVEMBER, 2)
    export = write_export(october / "c.csv", NOVEMBER, values)
    more = write_export(tmp_path / "d.csv", NOVEMBER, {"D1": values["A1"] // 2})
    more.write_text(more.read_text().replace("D1 export", "D1 import"))
    write(settled(october, NOVEMBER, [export, more], newcomer), tmp_path)
    numbers = {}
    for name in ("anna", "dora", "cleo"):
        ledger = ("--ledger", october / "books/ledger.sqlite")
        found = said("verify", tmp_path / f"bills/{name}.json", "--card", tmp_path / f"cards/{name}.json", *ledger)
        assert found.code == 0, found.err
        numbers[name] = json.loads((tmp_path / f"bills/{name}.json").read_text())["content"]["member"]["index"]
    # Who comes later has the next number, wherever it stands in the file.
    assert numbers == {"anna": 0, "dora": 4, "cleo": 2}


def test_the_bill_of_another_community_is_refused(
    october: Path, said: Shell, tmp_path: Path, october_by: October
) -> None:
    other = october_by(CHAINED)
    write(other, tmp_path)
    found = said("verify", tmp_path / "bills/ben.json", "--card", october / "cards/ben.json")
    assert found.code == 8
    assert "your card" in found.err
    assert said("verify", october / "bills/anna.json", "--card", october / "cards/ben.json").code == 8


def busy(document: dict[str, Any]) -> int:
    """A slot in which the first register shares something, and not all."""
    register = document["content"]["registers"][0]
    pairs = enumerate(zip(register["wh"], register["shared"], strict=True))
    return next(place for place, (wh, shared) in pairs if 5 < shared < wh)


def less(document: dict[str, Any]) -> None:
    document["content"]["registers"][0]["shared"][busy(document)] -= 2


def dearer(document: dict[str, Any]) -> None:
    document["page"]["content"]["price"] += 10_000


def another_sum(document: dict[str, Any]) -> None:
    document["content"]["payable"] -= 1


def another_net(document: dict[str, Any]) -> None:
    line = document["content"]["documents"][0]["lines"][0]
    line["net"] += 1
    line["gross"] += 1


def taxed(document: dict[str, Any]) -> None:
    document["content"]["documents"][0]["lines"][0]["vat"] += 1


def no_energy(document: dict[str, Any]) -> None:
    del document["content"]["documents"][0]["lines"][0]


def add(document: dict[str, Any], **values: object) -> None:
    """A copy of the first line with other values, and sums that fit."""
    paper = document["content"]["documents"][0]
    line = {**paper["lines"][0], **values}
    paper["lines"].append({key: value for key, value in line.items() if value is not None})
    for sum_, part in (("net", "net"), ("tax", "vat"), ("gross", "gross")):
        paper[sum_] += line[part]
    document["content"]["payable"] += line["gross"]


def energy_twice(document: dict[str, Any]) -> None:
    add(document)


def energy_of_another(document: dict[str, Any]) -> None:
    add(document, point="A1")


def energy_of_another_month(document: dict[str, Any]) -> None:
    add(document, month="2026-09")


def something_else(document: dict[str, Any]) -> None:
    add(document, line="donation", wh=None, price=None)


def a_correction_of_itself(document: dict[str, Any]) -> None:
    add(document, corrects="2026-0001")


def a_price_that_was_not(document: dict[str, Any]) -> None:
    document["content"]["documents"][0]["lines"][0]["price"] -= 10_000


def one_number_twice(document: dict[str, Any]) -> None:
    invoice, credit = document["content"]["documents"]
    credit["number"] = invoice["number"]


def a_register_twice(document: dict[str, Any]) -> None:
    document["content"]["registers"].append(document["content"]["registers"][1])


def shares_kept_silent(document: dict[str, Any]) -> None:
    for register in document["content"]["registers"]:
        del register["shared"]


def another_title(document: dict[str, Any]) -> None:
    document["content"]["documents"][1]["title"] = "Invoice"


def another_creditor(document: dict[str, Any]) -> None:
    document["content"]["documents"][0]["lines"][0]["creditor"] = "Mallory"


def a_fee_for_energy(document: dict[str, Any]) -> None:
    document["content"]["documents"][0]["lines"][1]["wh"] = 5


def no_registers(document: dict[str, Any]) -> None:
    document["content"]["registers"] = []


@pytest.mark.parametrize(
    ("forge", "told"),
    [
        (another_title, "local feed-in is on no credit note"),
        (another_creditor, "owed to Mallory, and the document is from Hill"),
        (a_fee_for_energy, "a fee is for no energy"),
        (no_registers, "local energy of B1 is of no register"),
        (energy_twice, "local energy of B1 is of no register of this bill, or twice there"),
        (energy_of_another, "local energy of A1 is of no register of this bill"),
        (energy_of_another_month, "a line is of 2026-09, and corrects nothing"),
        (something_else, "for nothing that a community bills"),
        (a_correction_of_itself, "on the bill of a later one"),
        (a_price_that_was_not, "at 0\\.110700 per kWh"),
        (one_number_twice, "Two documents have one number"),
        (a_register_twice, "B2 is counted twice"),
        (shares_kept_silent, "What B1 shared is missing"),
        (less, "Wh, by the rule it is"),
        (dearer, "cents"),
        (another_sum, "The documents add up to"),
        (another_net, "local energy of B1 is"),
        (taxed, "the VAT of a line"),
        (no_energy, "add up to"),
    ],
)
def test_an_operator_cannot_make_figures_up(
    ben: dict[str, Any], forge: Callable[[dict[str, Any]], None], told: str
) -> None:
    on_account.adds_up(on_account.whole(sealed(ben)))
    forge(ben)
    with pytest.raises(VerificationError, match=told):
        on_account.adds_up(on_account.whole(sealed(ben)))


def test_a_digit_that_was_changed_is_seen(ben: dict[str, Any], said: Shell, october: Path, tmp_path: Path) -> None:
    changed = tmp_path / "ben.json"
    ledger = ("--ledger", october / "books/ledger.sqlite")
    for forge in (less, dearer, another_sum):
        document = deepcopy(ben)
        forge(document)
        changed.write_text(json.dumps(document))
        assert said("verify", changed, *ledger).code == 8
        assert said("show", changed).code == 8
        # Under a root of its own it is consistent, or not; the chain has another.
        changed.write_text(json.dumps(sealed(document)))
        assert said("verify", changed, *ledger).code == 8


def test_what_a_page_does_not_let_reckon_is_told(tmp_path: Path) -> None:
    """Where a mandate sets limits nobody else knows of, shares and lines are the operators' word."""
    text = COMMUNITY.replace("cleo.points", 'ben.mandate = { max_buy = "0.05" }\ncleo.points')
    billed = settled(tmp_path, OCTOBER, [write_export(tmp_path / "a.csv", OCTOBER, counted(OCTOBER, 1))], text)
    write(billed, tmp_path)
    for name in ("anna", "ben", "cleo", "plant"):
        document = json.loads((tmp_path / f"bills/{name}.json").read_text())
        found = on_account.adds_up(on_account.whole(document))
        assert (found.share, found.billed) == (False, False)


def test_bills_of_a_large_plant_are_proved(tmp_path: Path) -> None:
    """A mandate that names no limit is none to what meters have counted."""
    values = {name: wh * 200 for name, wh in counted(OCTOBER, 1).items()}
    billed = settled(tmp_path, OCTOBER, [write_export(tmp_path / "a.csv", OCTOBER, values)])
    write(billed, tmp_path)
    for name in ("anna", "plant"):
        document = json.loads((tmp_path / f"bills/{name}.json").read_text())
        assert max(document["content"]["registers"][0]["shared"]) > 50_000
        assert on_account.adds_up(on_account.whole(document)).share


def without(document: Any, path: tuple[Any, ...]) -> Any:
    found = deepcopy(document)
    at = found
    for key in path[:-1]:
        at = at[key]
    del at[path[-1]]
    return found


def paths(node: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = node.items() if isinstance(node, dict) else enumerate(node[:2]) if isinstance(node, list) else ()
    return [path for key, value in items for path in [(*above, key), *paths(value, (*above, key))]]


def test_whatever_is_missing_or_of_another_kind_is_a_sentence(ben: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "ben.json"
    for path in paths(ben):
        file.write_text(json.dumps(without(ben, path)))
        if path[-1] in ("unit", "price", "wh", "substituted", "estimated") or "files" in path:
            continue
        with pytest.raises(VerificationError):
            summary(file)
        others: tuple[Any, ...] = (None, -1, "x", [], {}, True, 1 << 70, 0.5)
        for other in others:
            document = deepcopy(ben)
            at = document
            for key in path[:-1]:
                at = at[key]
            if at[path[-1]] == other and type(at[path[-1]]) is type(other):
                continue
            at[path[-1]] = other
            file.write_text(json.dumps(document))
            with pytest.raises(VerificationError):
                summary(file)


def test_a_bill_without_a_ledger_is_shown_and_not_proved(said: Shell, tmp_path: Path, october_by: October) -> None:
    write(october_by(), tmp_path)
    shown = said("show", tmp_path / "bills/ben.json")
    assert shown.code == 0
    assert len(shown.out.splitlines()) <= 40
    found = said("verify", tmp_path / "bills/ben.json")
    assert found.code == 8
    assert "made without a ledger" in found.err


def test_a_static_key_is_reckoned_too(said: Shell, tmp_path: Path) -> None:
    text = CHAINED.replace('price = "0.1107"', 'price = "0.1107"\nkey = "static"\nshares = "0.4, 0.1, 0.25, 0.2"')
    write(settled(tmp_path, OCTOBER, [write_export(tmp_path / "a.csv", OCTOBER, counted(OCTOBER, 1))], text), tmp_path)
    for name in ("anna", "cleo", "plant"):
        found = said("verify", tmp_path / f"bills/{name}.json", "--card", tmp_path / f"cards/{name}.json")
        assert found.code == 0, found.err
        assert "its share is the rule's" in found.out
    document = json.loads((tmp_path / "bills/cleo.json").read_text())
    assert [register["share"] for register in document["content"]["registers"]] == ["1/4", "1/5"]
    document["content"]["registers"][0]["share"] = "3/10"
    with pytest.raises(VerificationError, match="by the rule it is"):
        on_account.adds_up(on_account.whole(sealed(document)))


def test_deposits_are_not_settled_after_the_fact(tmp_path: Path) -> None:
    file = community(tmp_path, COMMUNITY.replace('kind = "none"', ""))
    with pytest.raises(ConfigError, match="on account"):
        understand(file, OCTOBER, [], Archive(tmp_path / "books"), None)
