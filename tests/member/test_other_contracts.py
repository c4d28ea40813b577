"""Members believe contracts of a release's code that name each other, and say which one is another."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import codes
import pytest
from by_slot import by_day, proven, verify_bill
from exchange_cases import START, homes_of, short_days, written
from liars import node_of
from shell import Shell

from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.client import code as known
from commonwatt.ledger.client.abi import COMMUNITY, DEMANDS, DISPUTES, SETTLEMENT, TOKEN, contract
from commonwatt.ledger.client.code import THIS, Build, Contracts
from commonwatt.ledger.client.settlement import Addresses, LedgerClient
from commonwatt.ledger.keyfile import write_key
from commonwatt.member.document import named, read
from commonwatt.proof import Key, checksum_address, keccak
from commonwatt.simulation.api import simulate
from commonwatt.simulation.result import Result

EVIL = Key.derive(b"code", "evil")
OTHER_CODE = "has other code than this version of Commonwatt"
JUDGES = {"disputes", "demands"}
judges = pytest.mark.parametrize("link", sorted(JUDGES))


class Scene:
    """A folder with a finished day, whose chain gets more contracts and whose bill may name them."""

    def __init__(self, folder: Path, operator: Key, member: Key) -> None:
        self.folder, self.bill, self.ledger = folder, folder / "bills" / "3.json", folder / "ledger.sqlite"
        self.key = folder / "my.key"
        write_key(self.key, member)
        self.operator, self.at = operator, named(read(self.bill))

    def on_chain(self, act: Callable[[LedgerClient], bytes]) -> bytes:
        with EmbeddedChain(self.ledger) as chain:
            return act(LedgerClient(chain, self.operator, Addresses(self.at.community, self.at.settlement)))

    def name(self, settlement: bytes, community: bytes | None = None) -> None:
        """Let the bill name other contracts."""
        bill = json.loads(self.bill.read_text("utf-8"))
        bill["content"]["ledger"]["settlement"] = f"0x{settlement.hex()}"
        bill["content"]["ledger"]["community"] = f"0x{(community or self.at.community).hex()}"
        self.bill.write_text(json.dumps(by_day(bill)), "utf-8")
        self.at = named(read(self.bill))

    def refused(self, said: Shell, *sentences: str) -> None:
        """By all of a member's commands, though it named the contract itself, and nothing was sent."""
        before, pin = self.head, ("--contract", checksum_address(self.at.settlement))
        for command in (
            ("verify", self.bill), ("verify", self.bill, *pin), ("challenge", self.bill),
            ("challenge", self.bill, "--key", self.key, *pin), ("withdraw", self.bill, "1", "--key", self.key, *pin),
            ("withdraw", self.bill, "--key", self.key, *pin),
        ):  # fmt: skip
            code, told, wrong = said(*command)
            assert (code, told) == (8, "")
            assert all(sentence in wrong for sentence in sentences), wrong
            assert wrong.count("\n") == 1
        with node_of(self.ledger) as url:
            for asked in ((url,), (url, self.ledger)):
                code, told, wrong = said("verify", self.bill, *(word for each in asked for word in ("--ledger", each)))
                assert (code, told) == (8, "")
                assert all(sentence in wrong for sentence in sentences)
        assert self.head == before

    @property
    def head(self) -> bytes:
        with EmbeddedChain(self.ledger, read_only=True) as chain:
            return chain.head.hash


def scene_of(folder: Path, run: Result, tmp_path: Path) -> Scene:
    keys = homes_of(run).keys
    assert keys
    return Scene(shutil.copytree(folder, tmp_path / "out"), keys.operator, keys.members[3])


@pytest.fixture
def scene(finished: Path, run: Result, tmp_path: Path) -> Scene:
    return scene_of(finished, run, tmp_path)


def back_door() -> bytes:
    """What creates a Settlement of which one byte is another."""
    compiled = contract(SETTLEMENT)
    assert codes.changed(compiled.runtime) != compiled.runtime
    return compiled.bytecode.replace(compiled.runtime, codes.changed(compiled.runtime))


@pytest.fixture(scope="module")
def undermined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the whole day, settled by a Settlement of other code."""
    folder = tmp_path_factory.mktemp("undermined")
    with short_days(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(contract(SETTLEMENT), "bytecode", back_door())
        result = simulate(written(folder), START, 1, out=folder / "out")
    (folder / "out" / "bills").mkdir()
    for number, bill in enumerate(proven(result.books, result.bills)):
        (folder / "out" / "bills" / f"{number}.json").write_text(json.dumps(by_day(bill)), encoding="utf-8")
    result.close()
    return folder / "out"


@pytest.fixture
def behind(undermined: Path, run: Result, tmp_path: Path) -> Scene:
    """That day; all keys come from the community's file."""
    return scene_of(undermined, run, tmp_path)


def where(name: str, address: bytes) -> str:
    return f"The {name} at {checksum_address(address)}"


def test_a_settlement_with_a_back_door_proves_every_bill_and_is_refused(said: Shell, behind: Scene) -> None:
    def believes_all(client: LedgerClient) -> bytes:
        for bill in sorted(behind.bill.parent.glob("*.json")):
            assert verify_bill(json.loads(bill.read_text("utf-8")), client).slots == 8
        return b""

    behind.on_chain(believes_all)
    behind.refused(said, f"{where(SETTLEMENT, behind.at.settlement)} {OTHER_CODE}")


def test_what_is_honest_is_believed_from_a_file_and_from_nodes(said: Shell, scene: Scene) -> None:
    with node_of(scene.ledger) as url:
        for asked in ((scene.ledger,), (url,), (url, scene.ledger)):
            code, told, _ = said("verify", scene.bill, *(word for each in asked for word in ("--ledger", each)))
            assert code == 0
            assert "with the code of this version, where 1 of these operators sign" in told
    code, told, _ = said("challenge", scene.bill, "--json", "-")
    assert code == 0
    assert json.loads(told)["believed"]["release"] == THIS


def test_a_proxy_of_the_community_s_own_settlement(said: Shell, scene: Scene) -> None:
    address = scene.on_chain(lambda client: codes.create(client, codes.constructor(codes.proxy(scene.at.settlement))))
    scene.name(address)
    scene.refused(said, f"{where(SETTLEMENT, address)} {OTHER_CODE}")


@judges
def test_a_settlement_that_names_the_judge_of_another(said: Shell, scene: Scene, link: str) -> None:
    own = scene.on_chain(lambda client: getattr(client, link))
    address = scene.on_chain(lambda client: codes.settlement(client, scene.at.community, **{link: own}))
    before = scene.at.settlement
    scene.name(address)
    scene.refused(
        said,
        f"{where(known.LINKS[link], own)} names another Settlement than its community's: "
        f"{checksum_address(before)}, not {checksum_address(address)}.",
    )


@judges
def test_a_settlement_that_names_a_judge_of_other_code_or_none(said: Shell, scene: Scene, link: str) -> None:
    (other,) = JUDGES - {link}

    def named_(judge: bytes) -> bytes:
        scene.name(scene.on_chain(lambda client: codes.settlement(client, scene.at.community, **{link: judge})))
        return judge

    judge = scene.on_chain(lambda client: codes.create(client, codes.constructor(codes.proxy(getattr(client, link)))))
    for each in (judge, scene.on_chain(lambda client: getattr(client, other))):
        scene.refused(said, f"{where(known.LINKS[link], named_(each))} {OTHER_CODE}")
    nowhere = f"There is no contract at {checksum_address(named_(EVIL.address))} on this chain"
    scene.refused(said, f"{nowhere}, where the {known.LINKS[link]} should be.")


def second_community(client: LedgerClient) -> bytes:
    creation = contract(COMMUNITY).creation([client.key.address], 1, bytes(32))
    return codes.create(client, creation)


def test_a_settlement_of_another_community_than_the_bill_says(said: Shell, scene: Scene) -> None:
    other = scene.on_chain(second_community)
    scene.name(scene.on_chain(lambda client: codes.settlement(client, other)))
    scene.refused(said, "The document names another Community")
    scene.name(scene.at.settlement, other)
    code, _, wrong = said("challenge", scene.bill)
    assert (code, "NotAMember" in wrong) == (6, True)  # all of it is honest, and nobody has joined


@judges
def test_a_judge_that_names_another_community(said: Shell, scene: Scene, link: str) -> None:
    other, name = scene.on_chain(second_community), known.LINKS[link]

    def found(client: LedgerClient) -> bytes:
        named_ = {"settlement": codes.following(client, 1), "community": other}
        judge = codes.copy(client, name, getattr(client, link), named_)
        return codes.settlement(client, scene.at.community, **{link: judge})

    scene.name(scene.on_chain(found))
    scene.refused(
        said, f"The {name} at ", f"names another Community than its community's: {checksum_address(other)}, not "
    )


@pytest.mark.parametrize(
    ("immutable", "word", "places", "sentence"),
    [
        ("community", EVIL.address.rjust(32, b"\0"), slice(1, 2), OTHER_CODE),
        ("disputes", EVIL.address.rjust(32, b"\0"), slice(1), OTHER_CODE),
        ("slotSeconds", b"\x01".ljust(24, b"\0") + (3600).to_bytes(8, "big"), slice(None), OTHER_CODE),
        ("_cachedDomainSeparator", b"\x01" * 32, slice(None), "takes signatures for another chain or contract"),
        ("_cachedChainId", b"\x01".rjust(32, b"\0"), slice(None), "takes signatures for another chain or contract"),
        ("_hashedName", b"\x01" * 32, slice(None), "takes signatures for another chain or contract"),
    ],
    ids=["two communities", "two disputes", "too long", "domain", "chain", "name"],
)  # fmt: skip
def test_immutables_that_no_constructor_writes(
    said: Shell, scene: Scene, immutable: str, word: bytes, places: slice, sentence: str
) -> None:
    """Say one thing to whoever asks and do another; hold more than the type; sign for others."""

    def found(client: LedgerClient) -> bytes:
        honest = client.node.code(scene.at.settlement)
        return codes.create(client, codes.constructor(codes.with_word(SETTLEMENT, honest, immutable, word, places)))

    address = scene.on_chain(found)
    scene.name(address)
    scene.refused(said, f"{where(SETTLEMENT, address)} {sentence}")


def test_a_community_whose_creation_stored_an_operator_more(said: Shell, scene: Scene) -> None:
    """Its code is the package's, and its events tell of one operator."""

    def found(client: LedgerClient) -> bytes:
        operator = client.key.address
        stored = {codes.operator_of(operator): 1, codes.operator_of(EVIL.address): 1}
        told = [("OperatorAppointed(address)", operator)]
        address = codes.copy(client, COMMUNITY, scene.at.community, {}, stored, told)
        asked = contract(COMMUNITY).functions["isOperator"]
        assert all(
            asked.outputs.decode(client.node.call(address, asked.encode(each)))[0] for each in (operator, EVIL.address)
        )
        return address

    community = scene.on_chain(found)
    scene.name(scene.on_chain(lambda client: codes.settlement(client, community)), community)
    scene.refused(said, f"{where(COMMUNITY, community)} was created by other code than a release's")


@pytest.mark.parametrize("told", [True, False], ids=["told", "silent"])
def test_a_settlement_whose_creation_stored_a_balance(said: Shell, scene: Scene, told: bool) -> None:
    """Its code is the package's, it names the bill's community, and its judges are the package's and its own."""
    member, paid = scene.at.index, 5_000_000

    def found(client: LedgerClient) -> bytes:
        named_ = {"disputes": codes.following(client, 1), "demands": codes.following(client, 2)}
        place = contract(SETTLEMENT).storage["_book"] + member // 4
        stored = {place: paid << 64 * (3 - member % 4)}
        events = [("Created(address)", scene.at.community)] if told else []
        address = codes.copy(client, SETTLEMENT, scene.at.settlement, named_, stored, events)
        for judge in (DISPUTES, DEMANDS):
            codes.judge(client, judge, address)
        created = LedgerClient(client.node, client.key, Addresses(scene.at.community, address))
        assert created.view(SETTLEMENT, "balanceOf", member) == (paid,)
        assert (created.disputes, created.demands) == (*named_.values(),)
        return address

    address = scene.on_chain(found)
    scene.name(address)
    scene.refused(said, f"{where(SETTLEMENT, address)} was created by other code than a release's")


def look(scene: Scene, act: Callable[[LedgerClient], bytes]) -> Contracts:
    address = scene.on_chain(act)
    with EmbeddedChain(scene.ledger, read_only=True) as chain:
        return Contracts(chain, address)


def with_token(scene: Scene, token: Callable[[LedgerClient], bytes]) -> Callable[[LedgerClient], bytes]:
    return lambda client: codes.settlement(client, scene.at.community, token(client))


def test_the_money_may_be_ether_the_community_s_token_or_any_other(scene: Scene) -> None:
    own = look(scene, lambda _: scene.at.settlement).addresses
    assert own.keys() == {*known.LINKS.values(), TOKEN}  # each contract that a table names is reached
    asset = own[TOKEN]
    assert look(scene, with_token(scene, lambda _: asset)).addresses[TOKEN] == asset
    for foreign in (
        lambda _: bytes(20),
        lambda client: codes.create(client, codes.constructor(codes.proxy(asset))),
        lambda client: codes.create(client, codes.constructor(client.node.code(asset) + b"\0")),
        lambda _: EVIL.address,
    ):
        assert TOKEN not in look(scene, with_token(scene, foreign)).addresses


def test_a_community_s_token_of_another_community(said: Shell, scene: Scene) -> None:
    other = scene.on_chain(second_community)
    creation = contract(TOKEN).creation(other, "Five homes EUR", "EUR")
    scene.name(scene.on_chain(with_token(scene, lambda client: codes.create(client, creation))))
    scene.refused(said, "The CommunityToken at ", "names another Community than its community's")


def listing(monkeypatch: pytest.MonkeyPatch, **listed: dict[str, Build]) -> None:
    """Let releases be known by their contracts, beside this one."""

    def builds(name: str) -> dict[str, Build]:
        return {THIS: own(name), **{release: each[name] for release, each in listed.items() if name in each}}

    monkeypatch.setattr(known, "builds", builds)


def own(name: str) -> Build:
    return Build.of(contract(name))


@pytest.fixture
def old() -> Build:
    """The Settlement with the other byte, as if an earlier release had had it."""
    runtime, creation = codes.changed(contract(SETTLEMENT).runtime), back_door()
    return Build(keccak(runtime), (keccak(creation), len(creation)), own(SETTLEMENT).immutables)


def test_the_contracts_of_a_release_before_are_believed(
    said: Shell, behind: Scene, old: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = {name: own(name) for name in known.LISTED}
    listing(monkeypatch, old={**others, SETTLEMENT: old})
    code, told, _ = said("verify", behind.bill)
    assert code == 0
    assert "with the code of old, where" in told
    listing(monkeypatch, older=others, old={SETTLEMENT: old})
    behind.refused(said, "The Community at ", "is of this version or older, the community's other contracts of old.")
    listing(monkeypatch, oldest=others, older=others)
    behind.refused(
        said, "other code than this version of Commonwatt and the releases before it that it knows: oldest, older."
    )


@pytest.mark.parametrize("lie", ["0x", "0xef0100" + "11" * 20, "0x" + "00" * 24576])
def test_a_node_that_lies_about_code(said: Shell, scene: Scene, lie: str) -> None:
    def other(call: dict[str, Any], honest: Any) -> Any:
        return lie if call["method"] == "eth_getCode" else honest

    with node_of(scene.ledger, other) as liar, node_of(scene.ledger) as honest:
        code, told, wrong = said("verify", scene.bill, "--ledger", liar)
        assert (code, told) == (8, "")
        assert checksum_address(scene.at.settlement) in wrong
        code, told, wrong = said("verify", scene.bill, "--ledger", liar, "--ledger", honest)
        assert (code, told) == (6, "")
        assert "differ about the code of" in wrong


def test_the_bill_of_a_contract_that_is_nowhere(said: Shell, scene: Scene) -> None:
    scene.name(EVIL.address)
    scene.refused(said, f"There is no contract at {checksum_address(EVIL.address)} on this chain")
