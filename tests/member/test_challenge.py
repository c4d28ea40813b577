"""What a member does alone, from files and its own key: challenge a post, take its money out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from by_slot import by_day
from lies import LIES
from stopped_days import opened, publish, purse

from commonwatt.errors import CommonwattError, LedgerError, Reverted, VerificationError
from commonwatt.exchange.excerpt import excerpt
from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.member.challenge import _lines, challenge, withdraw
from commonwatt.member.document import read
from commonwatt.member.trust import Pins
from commonwatt.proof import Key

NOTHING = Pins()


class Case:
    """A false post on the chain, and what the member is shown of it."""

    def __init__(self, folder: Path, lie: str) -> None:
        out = folder / "out"
        day = opened(folder, out=out)
        self.member = day.until_rich()
        client, mandate = day.exchange.client, day.exchange.mandates[self.member]
        false = LIES[lie](day, day.stopped, self.member)
        publish(day, false)
        self.key = purse(day, self.member)
        self.document = folder / "shown.json"
        self.document.write_text(json.dumps(excerpt(false, self.member, mandate, client)), "utf-8")
        self.ledger, self.slot, self.addresses = str(out / "ledger.sqlite"), false.post.slot, client.addresses
        self.pins = Pins(contract=self.addresses.settlement)
        day.close()

    def posted(self) -> Any:
        with EmbeddedChain(Path(self.ledger), read_only=True) as chain:
            return LedgerClient(chain, self.key, self.addresses).posted(self.slot, 0)


def test_a_fault_is_shown_without_a_key_and_proved_with_it(tmp_path: Path) -> None:
    case = Case(tmp_path, "challengeOrder")
    (told,) = challenge([case.document], case.ledger, NOTHING).objections
    assert (told.slot, told.function, told.sent) == (case.slot, "challengeOrder", "")
    assert case.posted()
    (done,) = challenge([case.document], case.ledger, case.pins, case.key).objections
    assert (done.sent, done.gas > 50_000) == ("proved; the post is deleted", True)
    assert case.posted() is None
    assert challenge([case.document], case.ledger, case.pins, case.key).objections == ()


def test_what_is_not_shown_is_demanded_and_lapses(tmp_path: Path) -> None:
    case = Case(tmp_path, "challengeOrder")
    shown = json.loads(case.document.read_text("utf-8"))
    shown["content"]["slots"], shown["proofs"] = [], {}
    case.document.write_text(json.dumps(shown), "utf-8")
    assert challenge([case.document], case.ledger, NOTHING).open_ == 0
    (asked,) = challenge([case.document], case.ledger, case.pins, case.key, case.slot).objections
    assert asked.sent.startswith("demanded; without an answer by ")
    (waits,) = challenge([case.document], case.ledger, case.pins, case.key, case.slot).objections
    assert "AnswerPending" in waits.sent
    with EmbeddedChain(Path(case.ledger)) as chain:
        chain.seal(chain.head.timestamp + 1801)
    (gone,) = challenge([case.document], case.ledger, case.pins, case.key, case.slot).objections
    assert gone.sent == "lapsed; the post is deleted"
    assert case.posted() is None


def test_a_slot_that_neither_the_document_nor_the_chain_has_is_said(tmp_path: Path) -> None:
    case = Case(tmp_path, "challengeOrder")
    for slot in (5, case.slot + 1, 2**64 - 1):
        with pytest.raises(VerificationError, match=f"^The document has no slot that starts at {slot} "):
            challenge([case.document], case.ledger, NOTHING, slot=slot)
    assert len(challenge([case.document], case.ledger, NOTHING, slot=case.slot).objections) == 1


def test_a_slot_that_is_final_and_not_in_the_document_is_said(finished: Path, tmp_path: Path) -> None:
    bill = read(finished / "bills" / "0.json")
    slot = bill["content"]["slots"].pop()["slot"]
    file = tmp_path / "0.json"
    file.write_text(json.dumps(by_day(bill)), "utf-8")
    ledger = str(shutil.copy(finished / "ledger.sqlite", tmp_path / "ledger.sqlite"))
    with pytest.raises(VerificationError, match=f"no slot that starts at {slot} .* no post of it to challenge"):
        challenge([file], ledger, NOTHING, slot=slot)


def test_a_revision_other_than_the_one_that_was_shown_is_demanded(tmp_path: Path) -> None:
    case = Case(tmp_path, "challengeOrder")
    shown = json.loads(case.document.read_text("utf-8"))
    shown["proofs"][str(case.slot)]["revision"] = 1
    case.document.write_text(json.dumps(shown), "utf-8")
    (told,) = challenge([case.document], case.ledger, NOTHING).objections
    assert told.function == "demand"
    assert "what was shown is not what is posted" in told.says


@pytest.mark.parametrize("how", ["more", "less", "false", "no table", "none"])
def test_a_proof_that_cannot_be_read_is_demanded_and_hides_no_other_slot(tmp_path: Path, how: str) -> None:
    """Operators could else keep a member from looking at all slots by one of them."""
    case = Case(tmp_path, "challengeOrder")
    shown = json.loads(case.document.read_text("utf-8"))
    proofs, slot = shown["proofs"], str(case.slot)
    match how:
        case "more":
            proofs[slot]["total"] = 1
        case "less":
            del proofs[slot]["committed"]
        case "false":
            proofs[slot]["revision"] = False  # is equal to the number 0
        case "no table":
            proofs[slot] = [0]
        case _:
            proofs[slot] = None
    case.document.write_text(json.dumps(shown), "utf-8")
    for documents in ([case.document], [case.document, case.document]):
        told, *_ = challenge(documents, case.ledger, NOTHING).objections
        assert (told.slot, told.function) == (case.slot, "demand")
        assert "not shown whole" in told.says or "nothing was shown of what is posted" in told.says


class Counted(dict[str, Any]):
    """A slot's entry that counts how often it is looked at."""

    looks = 0

    def __getitem__(self, key: str) -> Any:
        Counted.looks += 1
        return super().__getitem__(key)


def test_documents_are_looked_through_once_however_many_slots_they_have(tmp_path: Path) -> None:
    case = Case(tmp_path, "challengeOrder")
    shown = json.loads(case.document.read_text("utf-8"))
    (line,) = shown["content"]["slots"]
    shown["content"]["slots"] = [Counted({**line, "slot": line["slot"] + number}) for number in range(300)]
    Counted.looks = 0
    assert [slot for slot, (_, proof) in _lines(shown).items() if proof] == [case.slot]
    assert Counted.looks <= 2 * 300


def test_money_is_asked_for_and_claimed_when_its_time_has_come(tmp_path: Path) -> None:
    case = Case(tmp_path, "challengeOrder")
    with pytest.raises(Reverted, match="InsufficientFree"):
        withdraw(case.document, case.ledger, case.pins, case.key, 10**12)
    withdraw(case.document, case.ledger, case.pins, case.key, 5_000_000)
    with pytest.raises(Reverted, match="NotYetClaimable"):
        withdraw(case.document, case.ledger, case.pins, case.key, None)
    with EmbeddedChain(Path(case.ledger)) as chain:
        chain.seal(chain.head.timestamp + 6 * 3600)
    withdraw(case.document, case.ledger, case.pins, case.key, None)
    with EmbeddedChain(Path(case.ledger), read_only=True) as chain:
        client = LedgerClient(chain, case.key, case.addresses)
        assert client.balances()[case.member] == 20_000_000 - 5_000_000
    with pytest.raises(Reverted, match="NothingRequested"):
        withdraw(case.document, case.ledger, case.pins, case.key, None)


def test_bad_input_ends_in_one_sentence(tmp_path: Path) -> None:
    case = Case(tmp_path, "challengeOrder")
    with pytest.raises(LedgerError, match="the document is of"):
        challenge([case.document], case.ledger, case.pins, Key.derive(b"tests", "somebody"))
    with pytest.raises(LedgerError, match="There is no chain at"):
        challenge([case.document], str(tmp_path / "none.sqlite"), NOTHING)
    with pytest.raises(VerificationError, match="cannot be read"):
        challenge([tmp_path / "none.json"], case.ledger, NOTHING)
    for broken in ("", "[]", "{}", '{"content": {}}', "[" * 10_000):
        file = tmp_path / "broken.json"
        file.write_text(broken, "utf-8")
        with pytest.raises(VerificationError, match="no bill and no excerpt"):
            challenge([file], case.ledger, NOTHING)
    shown = json.loads(case.document.read_text("utf-8"))
    for path in (("ledger", "community"), ("ledger", "chainId"), ("member", "account")):
        other = json.loads(json.dumps(shown))
        other["content"][path[0]][path[1]] = None
        case.document.write_text(json.dumps(other), "utf-8")
        with pytest.raises(CommonwattError):
            challenge([case.document], case.ledger, NOTHING)
    for name in ("mandate", "slots"):
        other = json.loads(json.dumps(shown))
        other["content"][name] = [{"slot": case.slot}] if name == "slots" else None
        case.document.write_text(json.dumps(other), "utf-8")
        try:
            (told,) = challenge([case.document], case.ledger, NOTHING).objections
        except CommonwattError:
            continue
        assert told.function == "demand"
