"""What a member's commands print, take and refuse."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from by_slot import by_day
from dishonest import anchor
from exchange_cases import exchange_of, homes_of
from forgeries import TERMS, added_up
from shell import Shell

from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.ledger.keyfile import write_key
from commonwatt.proof import Key, checksum_address
from commonwatt.simulation.result import Result

EVIL = "\x1b[2J\x1b[Hhome-05\u202e\n[bold red]home-05.json is proved by the chain: home-05 owes 0.00 EUR[/]"


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "out")


@pytest.fixture
def settlement(run: Result) -> str:
    assert exchange_of(run).outbox
    return checksum_address(exchange_of(run).client.addresses.settlement)


@pytest.fixture
def operator(run: Result) -> str:
    assert homes_of(run).keys
    return checksum_address(homes_of(run).keys.operator.address)


@pytest.fixture
def key(run: Result, tmp_path: Path) -> Path:
    """The key of member 3, in a file."""
    assert homes_of(run).keys
    write_key(tmp_path / "my.key", homes_of(run).keys.members[3])
    return tmp_path / "my.key"


def test_the_verdict_says_whose_contracts_it_rests_on(
    said: Shell, out: Path, finished: Path, settlement: str, operator: str
) -> None:
    bill, community = out / "bills" / "3.json", finished.parent / "community.toml"
    code, told, _ = said("verify", bill)
    assert code == 0
    assert "under contracts that were taken from the document itself: shop owes" in told
    assert "Anybody can found others: name those that you know" in told
    assert "The utility's prices, levies and VAT are the operators' word" in told
    for pin in (["--contract", settlement], ["--operators", operator], ["--contract", settlement.lower()]):
        code, told, _ = said("verify", bill, *pin)
        assert code == 0
        assert told.startswith("3.json is proved by the chain under the contracts that you named: shop owes ")
        assert settlement in told
        assert operator in told
        assert "Anybody" not in told
    code, told, _ = said("verify", bill, "--community", community)
    assert code == 0
    assert "taken from the document itself" in told
    assert "operators' word" not in told
    chain = out / "ledger.sqlite"
    copied = shutil.copy(chain, out / "copied.sqlite")
    code, told, _ = said("verify", bill, "--ledger", chain, "--ledger", copied)
    assert code == 0
    assert f"Believed: {chain} and {copied} about chain" in told


def test_a_file_that_is_named_twice_counts_once(
    said: Shell, out: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    chain, linked, hard = out / "ledger.sqlite", tmp_path / "linked.sqlite", tmp_path / "hard.sqlite"
    linked.symlink_to(chain)
    hard.hardlink_to(chain)
    monkeypatch.chdir(out)
    for other in (chain, "ledger.sqlite", "./ledger.sqlite", "bills/../ledger.sqlite", f"{chain}/", linked, hard):
        code, told, _ = said("verify", out / "bills" / "3.json", "--ledger", chain, "--ledger", other)
        assert code == 0
        assert f"Believed: {chain} about chain" in told


def test_what_was_believed_is_there_for_programs(said: Shell, out: Path, settlement: str, operator: str) -> None:
    code, told, _ = said("verify", out / "bills" / "3.json", "--operators", operator, "--json", "-")
    figures = json.loads(told)
    assert code == 0
    assert (figures["member"], figures["slots"]) == ("shop", 8)
    assert (figures["believed"]["settlement"], figures["believed"]["pinned"]) == (settlement, ["operators"])
    code, told, _ = said("challenge", out / "bills" / "3.json", "--contract", settlement, "--json", "-")
    figures = json.loads(told)
    assert (figures["final"], figures["objections"], figures["believed"]["operators"]) == (8, [], [operator])


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (["--contract", "0x" + "11" * 20], 8, "which is not yours"),
        (["--contract", "0x11"], 2, "contract: is an address, 0x and 40 digits, not '0x11'"),
        (["--contract", "0x" + "1" * 39 + "\u0661"], 2, "contract: is an address"),
        (["--operators", "0x" + "11" * 20], 8, "Others run the contract"),
        (["--operators", ""], 2, "operators: is an address"),
        (["--operators", "0x" + "11" * 20 + ",\x1b[2J"], 2, "0x and 40 digits, not '\\x1b[2J'"),
        (["--ledger", "http://127.0.0.1:9"], 6, "cannot be asked"),
        (["--ledger", "http://[::1"], 6, "cannot be asked"),
        (["--ledger", "ftp://127.0.0.1"], 6, "unsupported protocol 'ftp://'.\n"),
    ],
)  # fmt: skip
def test_what_is_not_known_so_is_refused(said: Shell, out: Path, options: list[str], code: int, sentence: str) -> None:
    got, told, wrong = said("verify", out / "bills" / "3.json", *options)
    assert (got, told) == (code, "")
    assert sentence in wrong
    assert wrong.removesuffix("\n").replace("\n", "").isprintable()


def test_a_bill_cannot_repaint_its_verdict(
    said: Shell, run: Result, unanchored: Path, tmp_path: Path, bills: Any
) -> None:
    """Names in a bill are what its operators say: these are anchored as they stand."""
    assert homes_of(run).keys
    assert exchange_of(run).outbox
    shutil.copy(unanchored / "ledger.sqlite", tmp_path / "ledger.sqlite")
    bill = copy.deepcopy(bills[3])
    bill["content"]["member"]["id"], bill["content"]["currency"] = EVIL, EVIL
    with EmbeddedChain(tmp_path / "ledger.sqlite") as chain:
        client = LedgerClient(chain, homes_of(run).keys.operator, exchange_of(run).client.addresses)
        bill["anchor"] = anchor(client, homes_of(run).keys.operator, [{}, {}, {}, bill["content"]])[3]
    file = tmp_path / "3.json"
    file.write_text(json.dumps(by_day(bill)), "utf-8")
    code, told, _ = said("verify", file, "--ledger", tmp_path / "ledger.sqlite")
    assert code == 0
    assert len(told.splitlines()) == 4
    assert all(line.isprintable() for line in told.splitlines())
    assert "\\x1b[2J\\x1b[Hhome-05\\u202e\\n[bold red]" in told


def test_a_bill_with_other_terms_than_the_file_s_is_refused(
    said: Shell, run: Result, finished: Path, unanchored: Path, tmp_path: Path, bills: Any
) -> None:
    """The operators anchor a bill that adds up; only who has the community's file sees that the VAT is another."""
    assert homes_of(run).keys
    shutil.copy(unanchored / "ledger.sqlite", tmp_path / "ledger.sqlite")
    bill = copy.deepcopy(bills[3])
    TERMS["VAT"][0](bill)
    added_up(bill)
    with EmbeddedChain(tmp_path / "ledger.sqlite") as chain:
        client = LedgerClient(chain, homes_of(run).keys.operator, exchange_of(run).client.addresses)
        bill["anchor"] = anchor(client, homes_of(run).keys.operator, [{}, {}, {}, bill["content"]])[3]
    file = tmp_path / "3.json"
    file.write_text(json.dumps(by_day(bill)), "utf-8")
    asked = ("verify", file, "--ledger", tmp_path / "ledger.sqlite")
    code, told, _ = said(*asked)
    assert code == 0
    assert "levies and VAT are the operators' word" in told
    code, told, wrong = said(*asked, "--community", finished.parent / "community.toml")
    assert (code, told) == (8, "")
    assert "The bill's VAT is not what the community's file says." in wrong


@pytest.mark.parametrize(
    ("amount", "sentence"),
    [
        ("0", "amount: must be more than 0, but is 0"),
        ("0.000000", "amount: must be more than 0"),
        ("-3", "amount: must be more than 0, but is -3"),
        ("9223372036854.775808", "is too high; the highest is 9223372036854"),
        ("1e3", "is not a decimal number"),
        ("NaN", "is not a decimal number"),
        ("1,5", "is not a decimal number"),
        ("٣", "is not a decimal number"),
        ("0.0000001", "too many digits"),
        ("\x1b[2J", "'\\x1b[2J' is not a decimal number"),
    ],
)
def test_amounts_that_cannot_be_asked_for(said: Shell, out: Path, key: Path, amount: str, sentence: str) -> None:
    code, _, wrong = said(
        "withdraw", out / "bills" / "3.json", "--key", key, "--contract", "0x" + "11" * 20, "--", amount
    )
    assert code == 2
    assert sentence in wrong


def test_amounts_are_those_of_money_and_not_of_prices(
    said: Shell, out: Path, key: Path, run: Result, settlement: str
) -> None:
    assert homes_of(run).keys
    assert exchange_of(run).outbox
    with EmbeddedChain(out / "ledger.sqlite") as chain:
        client = LedgerClient(chain, homes_of(run).keys.operator, exchange_of(run).client.addresses)
        client.pay(homes_of(run).keys.members[3].address, 10**18, at=chain.head.timestamp + 1)
    bill, pin = out / "bills" / "3.json", ("--key", key, "--contract", settlement)
    for amount in ("99999999", "9223372036854.775807"):
        code, _, wrong = said("withdraw", bill, amount, *pin)
        assert code == 6
        assert "InsufficientFree" in wrong
    code, told, _ = said("withdraw", bill, "0.000001", *pin)
    assert code == 0
    assert told.startswith("Asked for; claim it")


def test_nothing_is_sent_without_a_pin(said: Shell, out: Path, key: Path, settlement: str) -> None:
    before = (out / "ledger.sqlite").read_bytes()
    for command in (("withdraw", out / "bills" / "3.json", "1"), ("challenge", out / "bills" / "3.json")):
        code, told, wrong = said(*command, "--key", key)
        assert (code, told) == (8, "")
        assert f"Nothing is sent: only the document says that {settlement} is your community's contract" in wrong
    assert (out / "ledger.sqlite").read_bytes() == before
    write_key(out / "other.key", Key.derive(b"member commands", "stranger"))
    code, _, wrong = said(
        "withdraw", out / "bills" / "3.json", "1", "--key", out / "other.key", "--contract", settlement
    )
    assert code == 6
    assert "The key is that of" in wrong
