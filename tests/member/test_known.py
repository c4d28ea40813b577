"""Without a card the first bill is believed, and another one of the same names is refused, as ssh does with hosts."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from acting_cases import json_of
from hypothesis import given
from hypothesis import strategies as st
from shell import Shell
from two_worlds import bill_of, card_of

from commonwatt.errors import StoreError
from commonwatt.member.known import Known, Remembered, at_home, read

HASH, ADDRESS = "0x" + "ab" * 32, "0x" + "cd" * 20


def remembered() -> list[Path]:
    return sorted((Path(os.environ["COMMONWATT_STATE"]) / "known").glob("*"))


def test_the_other_world_is_refused_on_second_sight(said: Shell, own_world: Path, false_world: Path) -> None:
    mine, other = bill_of(own_world), false_world / "bills" / "roof.json"
    code, told, _ = said("verify", mine)
    assert code == 0
    assert "This is the first bill of roof in Five homes here" in told
    assert "It is remembered" in told
    (file,) = remembered()
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    before = file.read_bytes()
    assert "those of the bills that were verified here before" in said("verify", mine).out
    code, told, wrong = said("verify", other)
    assert (code, told, wrong.count("\n")) == (8, "", 1)
    assert "THIS IS NOT THE COMMUNITY THAT YOU KNOW" in wrong
    for key in ("chain", "genesis", "account"):  # both worlds
        assert str(json.loads(before)[key]) in wrong
    chain = json.loads(other.read_text("utf-8"))["content"]["ledger"]["chainId"]
    assert str(chain) in wrong
    assert "commonwatt forget" in wrong
    assert remembered() == [file]
    assert file.read_bytes() == before
    # Another member's bill says nothing of this one's.
    assert said("verify", bill_of(own_world, 2)).code == 0
    assert len(remembered()) == 2


def test_what_is_forgotten_is_believed_anew(said: Shell, own_world: Path, false_world: Path) -> None:
    assert said("verify", bill_of(own_world)).code == 0
    listed = said("forget").out
    assert "roof in Five homes: chain" in listed
    other = false_world / "bills" / "roof.json"
    assert said("forget", other).out == "Forgotten: roof in Five homes.\n"
    assert said("forget", other).out == "Nothing was known of: roof in Five homes.\n"
    assert said("forget").out == "Nothing is known of any bill.\n"
    assert said("verify", other).code == 0
    assert said("verify", bill_of(own_world)).code == 8


def test_a_card_tells_that_the_first_bill_was_another_s(said: Shell, own_world: Path, false_world: Path) -> None:
    assert said("verify", false_world / "bills" / "roof.json").code == 0
    told = said("verify", bill_of(own_world), "--card", card_of(own_world)).out
    assert (
        "WARNING: the earlier bills of roof in Five homes were of others than those that you named now (chain" in told
    )
    assert said("verify", bill_of(own_world)).code == 0
    assert said("verify", false_world / "bills" / "roof.json").code == 8


def test_nothing_is_kept_where_it_is_not_wanted(said: Shell, own_world: Path, false_world: Path) -> None:
    assert said("verify", bill_of(own_world), "--no-remember").code == 0
    assert remembered() == []
    assert json_of(said("verify", bill_of(own_world), "--no-remember", "--json", "-"))["seen"] == "first"
    assert json_of(said("verify", bill_of(own_world), "--json", "-"))["seen"] == "first"
    assert json_of(said("verify", bill_of(own_world), "--json", "-"))["seen"] == "again"
    assert said("verify", false_world / "bills" / "roof.json", "--no-remember").code == 8


def test_a_bill_that_is_refused_is_not_remembered(said: Shell, own_world: Path) -> None:
    bill = json.loads(bill_of(own_world).read_text("utf-8"))
    bill["content"]["total"] += 1
    bill_of(own_world).write_text(json.dumps(bill), "utf-8")
    refused = said("verify", bill_of(own_world))
    assert (refused.code, refused.out) == (8, "")
    assert "one figure in it was changed. The total is not the sum of the charges." in refused.err
    assert remembered() == []


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda text: text[:-5], "cannot be read from"),
        (lambda _: "", "cannot be read from"),
        (lambda text: text.replace('"chain"', '"member"'), "'member' stands there twice"),
        (lambda text: text.replace('"chain"', '"chains"'), "it is not a table of"),
        (lambda text: text.replace("0x", "0y"), "is not 0x and"),
        (lambda text: text.replace("known/1", "known/9"), "its format is not"),
        (lambda text: text + " " * 70_000, "it is longer than 65536"),
    ],
)
def test_a_damaged_memory_is_named_and_not_touched(said: Shell, own_world: Path, damage: object, sentence: str) -> None:
    assert said("verify", bill_of(own_world)).code == 0
    (file,) = remembered()
    text = damage(file.read_text("utf-8"))  # type: ignore[operator]
    file.write_text(text, "utf-8")
    for more in ((), ("--card", card_of(own_world)), ("--no-remember",)):
        code, told, wrong = said("verify", bill_of(own_world), *more)
        assert (code, told, wrong.count("\n")) == (7, "", 1)
        assert sentence in wrong
        assert str(file) in wrong
    assert file.read_text("utf-8") == text
    # Others are not concerned, and it can be forgotten.
    assert said("verify", bill_of(own_world, 2)).code == 0
    listed = said("forget")
    assert (listed.code, len(listed.out.splitlines())) == (0, 2)
    assert "flat in Five homes: chain" in listed.out
    assert sentence in listed.out
    assert said("forget", bill_of(own_world)).code == 0
    assert said("verify", bill_of(own_world)).code == 0


def test_where_nothing_can_be_kept_the_bill_is_proved_all_the_same(
    said: Shell, own_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    occupied = tmp_path / "occupied"
    occupied.write_text("a file", "utf-8")
    monkeypatch.setenv("COMMONWATT_STATE", str(occupied))
    code, told, _ = said("verify", bill_of(own_world))
    assert code == 0
    assert "It is not remembered:" in told
    assert occupied.read_text("utf-8") == "a file"


def test_a_bill_without_its_chain_is_told_so(said: Shell, own_world: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone" / "bills"
    alone.mkdir(parents=True)
    shutil.copy(bill_of(own_world), alone)
    for more in ((), ("--card", card_of(own_world))):
        code, told, wrong = said("verify", alone / "1.json", *more)
        assert (code, told) == (6, "")
        assert "There is no chain at" in wrong
        assert "with --ledger" in wrong


def test_where_it_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert at_home({"COMMONWATT_STATE": "/a", "XDG_STATE_HOME": "/b"}).folder == Path("/a/known")
    assert at_home({"XDG_STATE_HOME": "/b"}).folder == Path("/b/commonwatt/known")
    home = Path.home() / ".local" / "state" / "commonwatt" / "known"
    assert at_home({"XDG_STATE_HOME": "relative"}).folder == home
    assert at_home({"COMMONWATT_STATE": ""}).folder == home

    def homeless() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(StoreError, match="no home folder"):
        at_home({})


@given(community=st.text(), member=st.text())
def test_any_names_have_a_file_of_their_own_in_the_folder(community: str, member: str) -> None:
    known = Known(Path("/state/known"))
    file = known.file(community, member)
    assert file.parent == known.folder
    assert file.name.isascii()
    assert file.name.isprintable()
    assert "/" not in file.name
    assert len(file.name) < 100
    assert known.file(f" {community} ", member) == file
    assert known.file(f"{community}x", member) != file


def test_names_that_look_alike_are_one(tmp_path: Path) -> None:
    known = Known(tmp_path / "known")
    told = Remembered("Five homes", "roof", 1, HASH, ADDRESS, ADDRESS)
    assert known.remember(told) is None
    for other in ("five homes", "FIVE  homes", "\u00a0Five homes", "Five hom\uff45s"):
        assert known.find(other, "Roof") == told
    assert known.find("Five homes", "roofs") is None
    assert [read(file) for file in known.files] == [told]
