"""What was answered on the chain is judged, and who watches for members demands and proves for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from codes import constructor, create
from lies import LIES, another_sum, own, with_two_ends
from shell import Shell
from stopped_days import Day, opened, publish, purse, shown_to

from commonwatt.errors import LedgerError
from commonwatt.exchange.answers import answers
from commonwatt.exchange.states import Posted
from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.client.abi import DEMANDS, contract
from commonwatt.ledger.client.community import CommunityClient
from commonwatt.ledger.client.demands import DemandsClient
from commonwatt.ledger.client.disputes import plain
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.ledger.keyfile import write_key
from commonwatt.member.challenge import Looked, challenge
from commonwatt.member.faults import DEMAND
from commonwatt.member.trust import Pins
from commonwatt.proof import Key, checksum_address, keccak
from commonwatt.study.scene import restated
from commonwatt.study.trades import without

WATCHER = Key.derive(b"tests", "watcher")
Lie = Callable[[Day, Posted, int], Posted]


class Shown:
    """A post on the chain, of which a member was shown nothing, or several members were shown all."""

    def __init__(self, folder: Path, lie: Lie) -> None:
        out = folder / "out"
        self.day = opened(folder, out=out)
        self.member = self.day.until_rich()
        self.client = self.day.exchange.client
        self.false = lie(self.day, self.day.stopped, self.member)
        publish(self.day, self.false)
        self.key, self.folder, self.ledger = purse(self.day, self.member), folder, str(out / "ledger.sqlite")
        self.pins = Pins(contract=self.client.addresses.settlement)
        self.slot = self.false.post.slot

    @property
    def now(self) -> int:
        return self.client.node.head.timestamp + 1

    def document(self, member: int, *, empty: bool = False, of: Posted | None = None) -> Path:
        shown = shown_to(self.day, of or self.false, member)
        if empty:
            shown["content"]["slots"], shown["proofs"] = [], {}
        file = self.folder / f"{member}.json"
        file.write_text(json.dumps(shown), "utf-8")
        return file

    def answer(self, most_lines: int) -> None:
        """The operators' answer to what the member has demanded."""
        mandate = self.day.exchange.mandates[self.member]
        parts = answers(self.false, self.member, mandate, most_lines=most_lines)
        DemandsClient(self.client).answer(self.false.post, self.member, parts, at=self.now)

    def look(self, *documents: Path, key: Key | None = None) -> Looked:
        return challenge(documents, self.ledger, self.pins, key, self.slot if len(documents) == 1 else None)


def posted(shown: Shown) -> bool:
    with EmbeddedChain(Path(shown.ledger), read_only=True) as chain:
        return LedgerClient(chain, shown.key, shown.client.addresses).posted(shown.slot, 0) is not None


def honest(day: Day, shown: Posted, member: int) -> Posted:
    return shown


@pytest.mark.parametrize("most_lines", [1, 100])
def test_what_an_answer_shows_is_judged(tmp_path: Path, most_lines: int) -> None:
    shown = Shown(tmp_path, another_sum)
    file = shown.document(shown.member, empty=True)
    DemandsClient(shown.client).demand(shown.key, shown.false.post, shown.member, at=shown.now)
    shown.answer(most_lines)
    shown.day.close()
    (told,) = shown.look(file).objections
    assert told.function == "challengeSum"
    (done,) = shown.look(file, key=shown.key).objections
    assert done.sent == "proved; the post is deleted"
    assert not posted(shown)


def test_an_answer_that_is_right_leaves_nothing_to_object_to(tmp_path: Path) -> None:
    shown = Shown(tmp_path, honest)
    file = shown.document(shown.member, empty=True)
    DemandsClient(shown.client).demand(shown.key, shown.false.post, shown.member, at=shown.now)
    shown.answer(100)
    shown.day.close()
    assert shown.look(file, key=shown.key).objections == ()
    assert posted(shown)


def test_a_salt_that_follows_from_no_signature_is_shown_and_is_no_fault(tmp_path: Path) -> None:
    """What hides a statement is not judged, neither in an excerpt nor in an answer."""

    def lie(day: Day, right: Posted, member: int) -> Posted:
        return restated(right, member, right.lines[member], salt=keccak(b"another salt"))

    shown = Shown(tmp_path, lie)
    whole = shown.document(shown.member).rename(tmp_path / "whole.json")
    file = shown.document(shown.member, empty=True)
    DemandsClient(shown.client).demand(shown.key, shown.false.post, shown.member, at=shown.now)
    shown.answer(100)
    shown.day.close()
    assert shown.look(whole).objections == shown.look(file).objections == ()


def test_an_answer_that_a_contract_gave_is_no_proof_and_no_reason_to_ask_again(tmp_path: Path) -> None:
    shown = Shown(tmp_path, another_sum)
    file, post = shown.document(shown.member, empty=True), shown.false.post
    demands = DemandsClient(shown.client)
    demands.demand(shown.key, post, shown.member, at=shown.now)
    forwarder = create(shown.client, constructor(proxy_call(demands.address)))
    (part,) = answers(shown.false, shown.member, shown.day.exchange.mandates[shown.member])
    data = contract(DEMANDS).functions["answer"].encode(*map(plain, (post, shown.member, part)))
    shown.client.send(shown.client.key, forwarder, data, "the answer", at=shown.now, kind="answer", items=20)
    shown.day.close()
    (told,) = shown.look(file, key=shown.key).objections
    assert told.function == "answered"
    assert told.says.endswith("A contract gave the answer: what it shows is not in a transaction's data")
    assert told.sent == "nothing can be proved with it"
    assert posted(shown)


def proxy_call(to: bytes) -> bytes:
    """Code of a contract that hands on whatever it is told."""
    return bytes.fromhex("365f5f375f5f365f5f73") + to + bytes.fromhex("5af100")


def test_who_holds_a_grant_to_watch_demands_for_the_member(tmp_path: Path) -> None:
    shown = Shown(tmp_path, LIES["challengeOrder"])
    file, until = shown.document(shown.member, empty=True), shown.now + 10**6
    shown.client.pay(WATCHER.address, 10**18, at=shown.now)
    grants = CommunityClient(shown.client)
    grants.grant_access(shown.key, WATCHER.address, keccak(b"readings"), until, at=shown.now)
    shown.day.close()
    with pytest.raises(LedgerError, match=r"the document is of .* It holds no grant of that member to watch either"):
        shown.look(file, key=WATCHER)
    with EmbeddedChain(Path(shown.ledger)) as chain:
        client = LedgerClient(chain, shown.key, shown.client.addresses)
        CommunityClient(client).grant_access(
            shown.key, WATCHER.address, keccak(b"watch"), until, at=chain.head.timestamp + 1
        )
    (asked,) = shown.look(file, key=WATCHER).objections
    assert asked.sent.startswith("demanded; without an answer by ")
    (waits,) = shown.look(file, key=WATCHER).objections
    assert "AnswerPending" in waits.sent
    with EmbeddedChain(Path(shown.ledger)) as chain:
        chain.seal(chain.head.timestamp + 1801)
    (gone,) = shown.look(file, key=WATCHER).objections
    assert gone.sent == "lapsed; the post is deleted"


def test_the_documents_of_several_members_show_two_ends_that_differ(said: Shell, tmp_path: Path) -> None:
    ends: list[int] = []

    def lie(day: Day, right: Posted, member: int) -> Posted:
        false, other = with_two_ends(day, right, member)
        ends.extend((member, other))
        return false

    shown = Shown(tmp_path, lie)
    files = [shown.document(member) for member in ends]
    shown.client.pay(WATCHER.address, 10**18, at=shown.now)
    for member in ends:
        grants, key = CommunityClient(shown.client), purse(shown.day, member)
        grants.grant_access(key, WATCHER.address, keccak(b"watch"), shown.now + 10**6, at=shown.now)
    shown.day.close()
    assert [shown.look(file).objections for file in files] == [(), ()]
    (told,) = shown.look(*files).objections
    assert (told.function, told.sent) == ("challengeSides", "")
    key = tmp_path / "watcher.key"
    write_key(key, WATCHER)
    pins = ["--contract", checksum_address(shown.client.addresses.settlement), "--key", key]
    code, told_, _ = said("challenge", *files, "--ledger", shown.ledger, *pins)
    assert code == 0
    assert "challengeSides: proved; the post is deleted" in " ".join(told_.split())
    assert not posted(shown)


def test_the_documents_of_several_members_show_a_trade_that_one_end_has_no_line_of(tmp_path: Path) -> None:
    ends: list[tuple[int, Posted]] = []

    def lie(day: Day, right: Posted, member: int) -> Posted:
        trade = own(right, member, ahead=False)
        there = trade.seller if trade.buyer == member else trade.buyer
        hidden = without(right, trade, there)
        ends.extend([(member, replace(hidden, records=right.records, account=right.account)), (there, hidden)])
        return hidden

    shown = Shown(tmp_path, lie)
    files = [shown.document(member, of=posted_) for member, posted_ in ends]
    grants, other = CommunityClient(shown.client), purse(shown.day, ends[1][0])
    grants.grant_access(other, shown.key.address, keccak(b"watch"), shown.now + 10**6, at=shown.now)
    shown.day.close()
    assert [shown.look(file).objections for file in files] == [(), ()]
    (told,) = shown.look(*files).objections
    assert told.function == "challengeMissing"
    assert told.says.endswith("has a line of one end alone")
    (done,) = shown.look(*files, key=shown.key).objections
    assert done.sent == "proved; the post is deleted"
    assert not posted(shown)


def test_a_page_that_is_wrong_by_itself_is_not_compared_with_others(tmp_path: Path) -> None:
    """Two ends that differ, in lines that do not make their statements: the chain judges the latter."""
    ends: list[int] = []

    def lie(day: Day, right: Posted, member: int) -> Posted:
        false, other = with_two_ends(day, right, member)
        ends.extend((member, other))
        for each in ends:
            own, lines = false.statements[each], false.lines[each]
            assert own
            false = restated(false, each, lines, money=own.money + 1)
        return false

    shown = Shown(tmp_path, lie)
    files = [shown.document(member) for member in ends]
    for member in ends:
        grants, key = CommunityClient(shown.client), purse(shown.day, member)
        grants.grant_access(key, shown.key.address, keccak(b"watch"), shown.now + 10**6, at=shown.now)
    shown.day.close()
    (done,) = shown.look(*files, key=shown.key).objections
    assert (done.function, done.sent) == ("challengeTotal", "proved; the post is deleted")


def test_an_earlier_document_shows_a_committed_trade_that_a_later_post_leaves_out(tmp_path: Path) -> None:
    def lie(day: Day, right: Posted, member: int) -> Posted:
        return without(right, own(right, member, ahead=True), member)

    shown = Shown(tmp_path, lie)
    earlier = shown.document(shown.member, of=shown.day.stopped)
    earlier = earlier.rename(tmp_path / "earlier.json")
    file = shown.document(shown.member)
    shown.day.close()
    assert shown.look(file).objections == ()
    (asked,) = shown.look(earlier).objections
    assert asked.function == DEMAND
    (done,) = shown.look(earlier, file, key=shown.key).objections
    assert (done.function, done.sent) == ("challengeMissing", "proved; the post is deleted")
    assert "which was committed before delivery, is left out" in done.says


def test_nothing_is_demanded_of_what_another_document_shows_whole(tmp_path: Path) -> None:
    """The one is of a post of the slot that was deleted, the other of the one that is there."""
    shown = Shown(tmp_path, honest)
    earlier = shown.document(shown.member, of=LIES["challengeTotal"](shown.day, shown.false, shown.member))
    earlier = earlier.rename(tmp_path / "earlier.json")
    file = shown.document(shown.member)
    shown.day.close()
    assert [each.function for each in shown.look(earlier).objections] == [DEMAND]
    for files in ((earlier, file), (file, earlier)):
        assert shown.look(*files, key=shown.key).objections == ()
    # Two that both show too little show nothing whole.
    for each in (earlier, file):
        less = json.loads(file.read_text("utf-8"))
        less["proofs"][str(shown.slot)]["committed"] = None
        each.write_text(json.dumps(less), "utf-8")
    assert {each.function for each in shown.look(earlier, file).objections} == {DEMAND}


def test_what_one_document_says_of_another_slot_is_no_reason_not_to_ask(tmp_path: Path) -> None:
    """Operators who write both slots into one document, each under the other, are asked for what they did not show."""
    shown = Shown(tmp_path, LIES["challengeOrder"])
    whole = json.loads(shown.document(shown.member).read_text("utf-8"))
    right = json.loads(shown.document(shown.member, of=shown.day.stopped).read_text("utf-8"))
    slot = str(shown.slot)
    right["proofs"] |= {str(shown.slot + 3600): whole["proofs"][slot]}
    file = tmp_path / "crossed.json"
    file.write_text(json.dumps(right), "utf-8")
    shown.day.close()
    for look in (shown.look(file), shown.look(file, file)):
        assert {each.function for each in look.objections} == {DEMAND}
