"""Two worlds with the same names: whose bill it is, the membership card tells."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from acting_cases import Place, json_of
from exchange_cases import COMMUNITY
from shell import Shell
from two_worlds import MEMBERS, bill_of, card_of

from commonwatt.ledger.keyfile import write_key
from commonwatt.member.card import read
from commonwatt.proof import Key, checksum_address

ROOF = 1
Card = dict[str, Any]


def test_every_simulated_home_has_its_card_from_the_founding_on(founded: Path, finished: Path) -> None:
    for folder in (founded, finished):
        assert sorted(each.stem for each in (folder / "cards").iterdir()) == sorted(MEMBERS)
    cards = [read(card_of(finished, member)) for member in range(5)]
    assert [(card.index, card.id, card.community) for card in cards] == [
        (index, name, "Five homes") for index, name in enumerate(MEMBERS)
    ]
    assert len({card.account for card in cards}) == 5
    assert all(card.place == cards[0].place for card in cards)
    assert card_of(finished).stat().st_mode & 0o777 == 0o600


def test_a_bill_of_the_own_community_is_proved_under_the_card(said: Shell, own_world: Path) -> None:
    for member in range(5):
        code, told, wrong = said("verify", bill_of(own_world, member), "--card", card_of(own_world, member))
        assert code == 0, wrong
        assert "under the contracts of your card" in told
        assert "Anybody can found others" not in told
    told = json_of(said("verify", bill_of(own_world), "--card", card_of(own_world), "--json", "-"))
    assert told["believed"]["pinned"] == ["card"]
    assert told["believed"]["genesis"] == json.loads(card_of(own_world).read_text())["genesis"]


def test_the_other_world_proves_its_bill_and_the_card_refuses_it(
    said: Shell, own_world: Path, false_world: Path
) -> None:
    bill = false_world / "bills" / "roof.json"
    code, told, _ = said("verify", bill, "--no-remember")
    assert (code, told.startswith("roof.json is proved by the chain under contracts that were taken from")) == (0, True)
    code, told, wrong = said("verify", bill, "--card", card_of(own_world))
    assert (code, told) == (8, "")
    assert "The document is of chain" in wrong
    assert str(read(card_of(own_world)).place.chain_id) in wrong
    for command in (("challenge", bill), ("withdraw", bill, "1", "--key", key_of(own_world))):
        assert said(*command, "--card", card_of(own_world))[:2] == (8, "")


def key_of(own_world: Path) -> Path:
    """Anybody's key, in a file."""
    file = own_world / "some.key"
    return file if file.exists() else write_key(file, Key.derive(b"card", "some"))


def chain(card: Card) -> None:
    card["chainId"] += 1


def genesis(card: Card) -> None:
    card["genesis"] = "0x" + "ab" * 32


def settlement(card: Card) -> None:
    card["contracts"]["Settlement"]["address"] = "0x" + "11" * 20


def community(card: Card) -> None:
    card["contracts"]["Community"]["address"] = "0x" + "11" * 20


def code(card: Card) -> None:
    card["contracts"]["Demands"]["code"] = "0x" + "22" * 32


def another(card: Card) -> None:
    card["contracts"]["Disputes"]["address"] = "0x" + "33" * 20


def more(card: Card) -> None:
    card["contracts"]["Vault"] = {"address": "0x" + "33" * 20, "code": "0x" + "22" * 32}


def account(card: Card) -> None:
    card["member"]["account"] = "0x" + "44" * 20


def index(card: Card) -> None:
    card["member"]["index"] = 3


def meter(card: Card) -> None:
    card["member"]["meters"] = ["0x" + "55" * 20]


def no_meter(card: Card) -> None:
    card["member"]["meters"] = []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (chain, "The document is of chain "),
        (genesis, "Block 0 of the chain is 0x"),
        (settlement, "The document names the Settlement 0x"),
        (community, "The document names the Community 0x"),
        (code, "has other code than on your card"),
        (another, "The community's Disputes is 0x"),
        (more, "The community's Vault is not there, on your card 0x"),
        (account, "The document is of the account 0x"),
        (index, "The document is of member 1, your card of member 3"),
        (meter, "your card has 0x5555"),
        (no_meter, "your card has none"),
    ],
)
def test_what_differs_from_the_card_is_named(
    said: Shell, own_world: Path, tmp_path: Path, change: Callable[[Card], None], sentence: str
) -> None:
    card = json.loads(card_of(own_world).read_text("utf-8"))
    change(card)
    file = tmp_path / "card.json"
    file.write_text(json.dumps(card), "utf-8")
    got, told, wrong = said("verify", bill_of(own_world), "--card", file)
    assert (got, told, wrong.count("\n")) == (8, "", 1)
    assert sentence in wrong


def test_the_card_of_another_member_is_refused(said: Shell, own_world: Path) -> None:
    got, told, wrong = said("verify", bill_of(own_world), "--card", card_of(own_world, 2))
    assert (got, told) == (8, "")
    assert "The document is of member 1, your card of member 2" in wrong


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is no membership card"),
        ("Dear member,", "is no membership card"),
        ("\udcff", "is not UTF-8"),
        ("[]", "the card is not a table"),
        ("{}", "the card is not a table"),
        ('{"chainId": 1, "chainId": 2}', "'chainId' stands there twice"),
        ("[" * 100_000, "is longer than 65536"),
        ("[" * 1_000, "nested more than 64 deep"),
        (" " * 70_000, "is longer than 65536"),
    ],
)
def test_a_file_that_is_no_card(said: Shell, own_world: Path, tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "card.json"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    got, told, wrong = said("verify", bill_of(own_world), "--card", file)
    assert (got, told, wrong.count("\n")) == (8, "", 1)
    assert sentence in wrong
    assert said("verify", bill_of(own_world), "--card", tmp_path / "none.json").code == 8
    assert said("verify", bill_of(own_world), "--card", tmp_path).code == 8


@pytest.mark.parametrize(
    "place",
    [
        ("format",), ("community",), ("chainId",), ("genesis",), ("contracts",), ("contracts", "Settlement"),
        ("contracts", "Settlement", "code"), ("member",), ("member", "index"), ("member", "id"), ("member", "account"),
        ("member", "meters"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("garbage", [True, -1, 1.5, "0x", [None], {"x": 1}, "a\x1b[2J"], ids=repr)
def test_garbage_on_a_card_ends_in_a_sentence(
    said: Shell, own_world: Path, tmp_path: Path, place: tuple[str, ...], garbage: object
) -> None:
    card = json.loads(card_of(own_world).read_text("utf-8"))
    *way, last = place
    holder: Any = card
    for step in way:
        holder = holder[step]
    holder[last] = garbage
    file = tmp_path / "card.json"
    file.write_text(json.dumps(card), "utf-8")
    got, _, wrong = said("verify", bill_of(own_world), "--card", file)
    named = last in ("community", "id") and isinstance(garbage, str)
    assert (got, wrong.count("\n")) == ((0, 0) if named else (8, 1))
    assert named or wrong.removesuffix("\n").isprintable()


@pytest.mark.parametrize("place", ["file"], indirect=True)
def test_an_operator_enrols_and_gives_a_card(place: Place, tmp_path: Path, finished: Path) -> None:
    new, counts = Key.derive(b"card", "new"), Key.derive(b"card", "meter")
    own, meter = checksum_address(new.address), checksum_address(counts.address)
    file = tmp_path / "new.json"
    told = place.run("register", own, "prosumer", "--meter", meter, "--card", file)
    assert told.code == 0, told.err
    assert "is member 5." in told.out
    assert "Not checked: whether chain" in told.out
    card = read(file)
    assert (card.index, card.account, card.meters) == (5, new.address, (counts.address,))
    assert (card.community, card.id) == (None, None)
    assert card.place == read(card_of(finished)).place
    # What is there already is not overwritten, and nobody is enrolled without a card that was asked for.
    other = checksum_address(Key.derive(b"card", "other").address)
    refused = place.run("register", other, "consumer", "--card", file)
    assert (refused.code, "is there already" in refused.err) == (9, True)
    # Where the card fails later, the member is told all the same.
    refused = place.run("register", other, "consumer", "--card", tmp_path / "none" / "new.json")
    assert (refused.code, refused.out) == (9, f"{other} is member 6.\n")
    third = checksum_address(Key.derive(b"card", "third").address)
    told = place.run("register", third, "consumer")
    assert f"commonwatt card {third}" in told.out
    assert "is member 7." in told.out


def test_a_card_from_a_file_or_a_node(place: Place, tmp_path: Path, finished: Path) -> None:
    file, asked = tmp_path / "mine.json", ("--contract", place.contract, "--ledger", place.ledger)
    known = ("--community", finished.parent / "community.toml")
    told = place.shell("card", place.account(ROOF), *asked, *known, "--out", file)
    assert told.code == 0, told.err
    assert json.loads(file.read_text("utf-8")) == json.loads(card_of(finished).read_text("utf-8"))
    assert "Checked: the contracts have the code of a release" in told.out
    assert "Compare them with what its operators gave you by another way" in told.out
    assert place.shell("verify", place.bill(ROOF), "--ledger", place.ledger, "--card", file).code == 0
    again = place.shell("card", place.account(ROOF), *asked, "--out", file)
    assert (again.code, "File exists" in again.err) == (9, True)
    nobody = checksum_address(Key.derive(b"card", "nobody").address)
    refused = place.shell("card", nobody, *asked, "--out", tmp_path / "none.json")
    assert (refused.code, "is no member's present account" in refused.err) == (6, True)
    foreign = tmp_path / "foreign.toml"
    foreign.write_text(COMMUNITY.replace('retail = "0.27"', 'retail = "0.28"'), "utf-8")
    refused = place.shell("card", place.account(ROOF), *asked, "--community", foreign, "--out", tmp_path / "none.json")
    assert (refused.code, "is no charter of this community" in refused.err) == (2, True)
    assert not (tmp_path / "none.json").exists()


@pytest.mark.parametrize("place", ["file"], indirect=True)
def test_who_has_a_card_may_act_under_it(place: Place, finished: Path) -> None:
    own = ("--key", place.key(place.keys.members[ROOF]), "--card", card_of(finished))
    assert place.ask("withdraw", ROOF, "1", *own).code == 0
    assert place.ask("grant", ROOF, "--to", place.account(2), "--what", "bills", "--until", "1d", *own).code == 0
    refused = place.ask("resign", 2, "--key", place.key(place.keys.members[2]), "--card", card_of(finished))
    assert (refused.code, "The document is of member 2, your card of member 1" in refused.err) == (8, True)
    # Who watches for several, or brings what another signed, holds documents of others.
    assert place.ask("challenge", 2, "--card", card_of(finished)).code == 0


def test_the_key_of_a_simulated_home(said: Shell, finished: Path, tmp_path: Path) -> None:
    community, file = finished.parent / "community.toml", tmp_path / "roof.key"
    told = said("key", community, "roof", "--out", file)
    assert told.code == 0
    assert "can make it, and that of every other home" in told.out
    assert checksum_address(read(card_of(finished)).account) in told.out
    assert file.stat().st_mode & 0o777 == 0o600
    before = file.read_bytes()
    again = said("key", community, "flat", "--out", file)
    assert (again.code, file.read_bytes()) == (9, before)
    unknown = said("key", community, "rooof", "--out", tmp_path / "other.key")
    assert (unknown.code, "did you mean 'roof'?" in unknown.err) == (2, True)
    assert not (tmp_path / "other.key").exists()
