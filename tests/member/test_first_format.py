"""Bills of the first format still verify, and nothing that is changed in one does."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from commonwatt.member.first_format import of_slot, today
from forgeries import Bill, busy_slot
from shell import Shell

from commonwatt.accounts.document import EXCERPT, FORMAT
from commonwatt.errors import VerificationError
from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.ledger.client.terms import Addresses
from commonwatt.member.challenge import chain_of
from commonwatt.member.document import named, read, whole
from commonwatt.member.faults import faults
from commonwatt.member.page import mandate_of
from commonwatt.member.verify import verify_bill
from commonwatt.proof import Key

CASE = Path(__file__).with_name("cases") / "first-format"
NO_KEY = Key(b"\x01" * 32)
"""Nothing is sent."""


@pytest.fixture(scope="module")
def chain_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chain of that day."""
    file = tmp_path_factory.mktemp("first") / "ledger.sqlite"
    with gzip.open(CASE / "ledger.sqlite.gz") as packed, file.open("wb") as unpacked:
        shutil.copyfileobj(packed, unpacked)
    return file


@pytest.fixture(scope="module")
def client(chain_file: Path) -> Iterator[LedgerClient]:
    """Asks that chain."""
    at = named(read(CASE / "bill.json"))
    with EmbeddedChain(chain_file) as chain:
        yield LedgerClient(chain, NO_KEY, Addresses(at.community, at.settlement))


@pytest.fixture
def bill() -> Bill:
    """The bill as it was written then."""
    return dict(read(CASE / "bill.json"))


def test_a_bill_of_the_first_format_is_proved_by_its_chain(client: LedgerClient, bill: Bill) -> None:
    found = verify_bill(bill, client)
    assert (found.member, found.slots, found.lines) == ("roof", 8, 17)
    assert (found.total, found.without_market) == (-804_755, -692_380)


def test_the_commands_take_documents_of_the_first_format(said: Shell, chain_file: Path) -> None:
    """The contracts of that day are a release's, other than today's."""
    code, told, _ = said("verify", CASE / "bill.json", "--ledger", chain_file, "--community", CASE / "community.toml")
    assert code == 0
    assert "17 lines in 8 slots lead to settled posts" in told
    assert "with the code of 0.2.0.dev0, where" in told
    code, told, _ = said("challenge", CASE / "slot.json", "--ledger", chain_file)
    assert code == 0
    assert "Nothing to object to" in told


def test_an_excerpt_of_the_first_format_shows_the_same_page(client: LedgerClient) -> None:
    """A revision with the one before it: of the right post nothing is found, and a wrong leaf is not believed."""
    given = read(CASE / "slot.json")
    told = today(given)
    assert told["content"]["format"] == EXCERPT
    (line,), (proof,) = told["content"]["slots"], told["proofs"].values()
    mandate = mandate_of(given["content"]["mandate"], named(given).account, client.domain)
    post = client.announced(line["slot"], 1)
    assert post
    assert faults(line, proof, 1, mandate, chain_of(post, 1, client)) == []
    assert {"lines", "earlier"} < set(proof)
    assert today(told) is told


def _proof(bill: Bill) -> Any:
    return bill["proofs"][str(busy_slot(bill)["slot"])]


def _set(*path: Any, to: object) -> Callable[[Bill], None]:
    """In the proof of a slot with several trades."""

    def change(bill: Bill) -> None:
        *way, last = path
        holder = _proof(bill)
        for step in way:
            holder = holder[step]
        holder[last] = to

    return change


def _without_a_line(bill: Bill) -> None:
    del _proof(bill)["lines"][1]


def _with_lines_of_today(bill: Bill) -> None:
    slot = str(busy_slot(bill)["slot"])
    bill["proofs"][slot]["lines"] = today(bill)["proofs"][slot]["lines"]


def _with_a_proof_of_today(bill: Bill) -> None:
    slot = str(busy_slot(bill)["slot"])
    bill["proofs"][slot] = today(bill)["proofs"][slot]


def _with_orders_of_today(bill: Bill) -> None:
    busy_slot(bill)["orders"] = []


def _called_of_today(bill: Bill) -> None:
    bill["content"] = {**bill["content"], "format": FORMAT}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_set("lines", 1, "statement", "money", to=7), "does not lead to the posted statements"),
        (_set("lines", 1, "siblings", 0, to=f"0x{'11' * 32}"), "does not lead to the posted statements"),
        (_set("lines", 1, "siblings", to=[]), "does not lead to the posted statements"),
        (_set("lines", 1, "position", to=99), "the lines are not adjacent"),
        (_set("lines", 1, "position", to="1"), "the lines are not adjacent"),
        (_set("before", "siblings", to=None), r"A slot or its proof is not one of commonwatt-bill/1\.$"),
        (_set("after", "siblings", to=[]), r"A slot or its proof is not one of commonwatt-bill/1\.$"),
        (_set("lines", to=7), r"A slot or its proof is not one of commonwatt-bill/1\.$"),
        (_set("after", to=None), "a line is not a table of statement, position, siblings"),
        (_set("lines", 0, to=[]), "a line is not a table of statement, position, siblings"),
        (_set("lines", 0, "statement", "more", to=1), "A slot or its proof .* A Statement has other fields"),
        (_set("before", to=None), "not all of the lines are shown"),
        (_without_a_line, "the lines are not adjacent"),
        (_with_lines_of_today, "a line is not a table of statement, position, siblings"),
        (_with_a_proof_of_today, "the proof is not a table of post, before, lines"),
        (_with_orders_of_today, "a slot is not a table of slot, reading, trades, prices, grid"),
        (_called_of_today, "a slot is not a table of slot, reading, trades, orders, prices, grid"),
    ],
)
def test_a_changed_bill_of_the_first_format_is_refused(
    client: LedgerClient, bill: Bill, change: Callable[[Bill], None], sentence: str
) -> None:
    change(bill)
    with pytest.raises(VerificationError, match=sentence) as caught:
        verify_bill(bill, client)
    assert len(str(caught.value)) < 600


def test_a_slot_that_cannot_be_read_hides_no_other_from_a_challenge(bill: Bill) -> None:
    whole_bill, broken, (other, *_) = today(bill), busy_slot(bill)["slot"], bill["content"]["slots"]
    _set("lines", to=None)(bill)
    assert of_slot(bill, broken, busy_slot(bill)) == (None, None)
    assert other["slot"] != broken
    of_today = next(line for line in whole_bill["content"]["slots"] if line["slot"] == other["slot"])
    assert of_slot(bill, other["slot"], other) == of_slot(whole_bill, other["slot"], of_today)
    assert of_slot(bill, other["slot"], other) == (of_today, whole_bill["proofs"][str(other["slot"])])
    assert of_slot(bill, 0, None) == of_slot(whole_bill, 0, None) == (None, None)


def test_a_figure_of_the_first_format_is_hashed_as_it_was(client: LedgerClient, bill: Bill) -> None:
    bill["content"]["slots"][0]["grid"]["amount"] += 1
    with pytest.raises(VerificationError, match="The bill's content is not what was anchored"):
        verify_bill(bill, client)
    assert whole(json.loads((CASE / "slot.json").read_text("utf-8")))
