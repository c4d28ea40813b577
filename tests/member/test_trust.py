"""Whom a member believes: contracts that it knows from elsewhere, and nodes that tell one and the same."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from exchange_cases import exchange_of, homes_of
from liars import Lie, node_of

from commonwatt.errors import CommonwattError, LedgerError, VerificationError
from commonwatt.exchange.checking import load
from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.client.abi import SETTLEMENT, contract
from commonwatt.ledger.client.governance import governance
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.ledger.opening import different
from commonwatt.member.challenge import challenge, withdraw
from commonwatt.member.document import Named, named, read
from commonwatt.member.trust import Pins, opened
from commonwatt.member.verify import open_and_verify
from commonwatt.proof import Key, checksum_address
from commonwatt.simulation.result import Result

STRANGER = Key.derive(b"trust", "stranger")
Call = dict[str, Any]


@pytest.fixture(scope="module")
def folder(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of this module's own: readers leave files beside a chain."""
    return shutil.copytree(finished, tmp_path_factory.mktemp("trust") / "out")


@pytest.fixture(scope="module")
def bill(folder: Path) -> Path:
    return folder / "bills" / "2.json"


@pytest.fixture(scope="module")
def ledger(folder: Path) -> str:
    return str(folder / "ledger.sqlite")


@pytest.fixture(scope="module")
def at(bill: Path) -> Named:
    return named(read(bill))


@pytest.fixture(scope="module")
def operator(run: Result) -> bytes:
    assert homes_of(run).keys
    return homes_of(run).keys.operator.address


@pytest.fixture(scope="module")
def second(run: Result, finished: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Named]:
    """The members' own chain, on which a stranger has founded another community of the same file and members."""
    assert homes_of(run).keys
    assert exchange_of(run).outbox
    file = tmp_path_factory.mktemp("second") / "ledger.sqlite"
    shutil.copy(finished / "ledger.sqlite", file)
    first = exchange_of(run).client
    with EmbeddedChain(file) as chain:
        own = LedgerClient(chain, homes_of(run).keys.operator, first.addresses)
        own.pay(STRANGER.address, 10**18, at=chain.head.timestamp + 1)
        false = LedgerClient.deploy(
            chain, STRANGER, operators=[STRANGER.address], threshold=1, config=run.community.digest, members=[],
            terms=first.terms, token=("Five homes EUR", "EUR"), at=chain.head.timestamp + 1,
        )  # fmt: skip
        member = homes_of(run).keys.members[2].address
        return str(file), Named(chain.chain_id, false.addresses.community, false.addresses.settlement, member, 2)


def look(at: Named, ledger: str, pins: Pins) -> str:
    with opened(at, [ledger], pins) as (_, trust):
        return f"{trust.source} {trust}"


def test_what_is_believed_is_told(at: Named, ledger: str, operator: bytes, bill: Path) -> None:
    said = look(at, ledger, Pins())
    assert "taken from the document itself" in said
    for address in (at.settlement, at.community, at.account, operator):
        assert checksum_address(address) in said
    assert str(at.chain_id) in said
    assert ledger in said
    _, trust = open_and_verify(bill, [ledger], Pins(contract=at.settlement, operators=frozenset([operator])))
    assert trust.source == "under the contracts that you named"
    assert trust.as_json()["pinned"] == ["contract", "operators"]
    assert json.loads(json.dumps(trust.as_json()))["operators"] == [checksum_address(operator)]


def test_a_second_community_of_the_same_name_is_another_one(
    at: Named, second: tuple[str, Named], operator: bytes, run: Result
) -> None:
    file, other = second
    assert checksum_address(STRANGER.address) in look(other, file, Pins())
    # The same file: its digest tells nothing of who runs the contract.
    assert "taken from the document itself" in look(other, file, Pins(config=run.community.digest))
    for pins, sentence in (
        (Pins(contract=at.settlement), "it names the contract 0x[0-9a-fA-F]{40}, which is not yours"),
        (Pins(operators=frozenset([operator])), "Others run the contract"),
        (Pins(contract=other.settlement, operators=frozenset([operator])), "Others run the contract"),
    ):
        with pytest.raises(VerificationError, match=sentence):
            look(other, file, pins)
    assert "that you named" in look(at, file, Pins(contract=at.settlement))


def test_all_operators_are_named_and_no_others(at: Named, ledger: str, operator: bytes) -> None:
    for named_ in (frozenset(), frozenset([STRANGER.address]), frozenset([operator, STRANGER.address])):
        with pytest.raises(VerificationError, match=f"than you named: {checksum_address(operator)}"):
            look(at, ledger, Pins(operators=named_))


def test_contracts_that_do_not_belong_together(at: Named, second: tuple[str, Named]) -> None:
    file, other = second
    with pytest.raises(VerificationError, match="names another Community"):
        look(replace(at, community=other.community), file, Pins())
    with pytest.raises(VerificationError, match="There is no contract at"):
        look(replace(at, settlement=STRANGER.address), file, Pins())
    with pytest.raises(CommonwattError):  # a contract, but none that has a community
        look(replace(at, settlement=at.community), file, Pins())
    with pytest.raises(VerificationError, match="belongs to chain 7"):
        look(replace(at, chain_id=7), file, Pins())


def test_the_community_s_file_is_compared(at: Named, ledger: str, finished: Path, tmp_path: Path) -> None:
    file = finished.parent / "community.toml"
    assert look(at, ledger, Pins(config=load(file).digest))
    dearer = tmp_path / "dearer.toml"
    dearer.write_text(file.read_text("utf-8").replace('retail = "0.27"', 'retail = "0.28"'), "utf-8")
    with pytest.raises(VerificationError, match="another community's file, or another version of it"):
        look(at, ledger, Pins(config=load(dearer).digest))


@pytest.mark.parametrize("pins", [Pins(), Pins(config=bytes(32))])
def test_nothing_is_sent_on_the_document_s_word(
    bill: Path, finished: Path, run: Result, pins: Pins, tmp_path: Path
) -> None:
    assert homes_of(run).keys
    key, file = homes_of(run).keys.members[2], tmp_path / "ledger.sqlite"
    shutil.copy(finished / "ledger.sqlite", file)
    for send in (
        lambda: withdraw(bill, str(file), pins, key, 1),
        lambda: withdraw(bill, str(file), pins, key, None),
        lambda: challenge([bill], str(file), pins, key),
    ):
        with pytest.raises(VerificationError, match="Nothing is sent: only the document says"):
            send()
    with pytest.raises(LedgerError, match="The key is that of"):
        withdraw(bill, str(file), Pins(contract=named(read(bill)).settlement), STRANGER, 1)
    assert file.read_bytes() == (finished / "ledger.sqlite").read_bytes()


def test_who_runs_the_community_is_read_from_its_contract(run: Result) -> None:
    assert exchange_of(run).outbox
    found = governance(exchange_of(run).client)
    assert (found.threshold, found.config, len(found.operators)) == (1, run.community.digest, 1)


# Nodes


def lying(method: str, change: Any, place: int = 0) -> Lie:
    """Tell something else at the call number `place` of a method."""
    seen = 0

    def lie(call: Call, honest: Any) -> Any:
        nonlocal seen
        seen += call["method"] == method
        return change if call["method"] == method and seen == place + 1 else honest

    return lie


def other_root(call: Call, honest: Any) -> Any:
    """Another root of bills than the one that is anchored."""
    anchored = f"0x{contract(SETTLEMENT).functions['anchored'].selector.hex()}"
    asked = call["method"] == "eth_call" and call["params"][0]["data"].startswith(anchored)
    return "0x" + "ab" * 32 if asked else honest


def other_head(call: Call, honest: Any) -> Any:
    return {**honest, "hash": "0x" + "ab" * 32} if call["method"] == "eth_getBlockByNumber" else honest


def test_a_node_is_believed_and_that_is_told(bill: Path, ledger: str) -> None:
    with node_of(Path(ledger)) as url:
        found, trust = open_and_verify(bill, [url])
        assert found == open_and_verify(bill, [ledger])[0]
        assert f"Believed: {url} about chain" in str(trust)


def test_a_node_that_is_named_twice_counts_once(bill: Path, ledger: str) -> None:
    with node_of(Path(ledger)) as url:
        for other in (url, f"{url}/", url.replace("http", "HTTP"), f"{url}#here"):
            assert open_and_verify(bill, [url, other])[1].ledgers == (url,)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://Node.example", "http://node.example.:80/"),
        ("https://node.example/rpc", "HTTPS://node.example:443/rpc/"),
        ("http://[::1]:8545", "http://[::1]:8545/"),
    ],
)
def test_spellings_of_one_url(one: str, other: str) -> None:
    assert different([one, other, one]) == (one,)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://node.example", "https://node.example"),
        ("http://node.example:8545", "http://node.example:8546"),
        ("http://node.example/?key=a", "http://node.example/?key=b"),
        ("http://[::1", "http://[::2"),
        ("none.sqlite", "nor.sqlite"),
    ],
)
def test_what_may_be_two_counts_as_two(one: str, other: str) -> None:
    assert different([one, other]) == (one, other)


@pytest.mark.parametrize(
    ("lie", "sentence"),
    [
        (other_root, "differ about a question to contract"),
        (other_head, "differ about block"),
        (lambda call, honest: "0x7" if call["method"] == "eth_chainId" else honest, "differ about which chain it is"),
        (lambda call, honest: [] if call["method"] == "eth_getLogs" else honest, "differ about events"),
        (lambda call, honest: "0x00" if call["method"] == "eth_getCode" else honest, "differ about the code"),
        (lambda call, honest: None if "ByHash" in call["method"] else honest, "differ about transaction"),
    ],
)
def test_a_node_that_lies_beside_an_honest_one(bill: Path, ledger: str, lie: Lie, sentence: str) -> None:
    with node_of(Path(ledger)) as honest, node_of(Path(ledger), lie) as liar:
        assert open_and_verify(bill, [honest, ledger])[1].ledgers == (honest, ledger)
        for several in ([honest, liar], [liar, honest], [ledger, liar]):
            with pytest.raises((VerificationError, LedgerError), match=sentence):
                open_and_verify(bill, several)


GARBAGE: tuple[object, ...] = (
    None, True, 0, -1, 1.5, 10**40, "", "0x", "0x0", "0x" + "ff" * 32, "0x" + "f" * 64 + "0", "\x1b[2J is proved", [],
    [None], ["0x"], {}, {"number": "0x1"}, {"blockNumber": []}, [{"topics": "0x"}], "0x" + "00" * 1000,
)  # fmt: skip
METHODS = {
    "eth_chainId": 1, "eth_getBlockByNumber": 9, "eth_getCode": 1, "eth_call": 12, "eth_getLogs": 3,
    "eth_getTransactionByHash": 5,
}  # fmt: skip


@pytest.fixture(scope="module")
def lied(ledger: str) -> Iterator[tuple[str, list[Lie]]]:
    """The URL of a node, and a place for the lie that it tells."""
    lies: list[Lie] = [lambda _, honest: honest]
    with ExitStack() as stack:
        yield stack.enter_context(node_of(Path(ledger), lambda call, honest: lies[0](call, honest))), lies


@pytest.mark.parametrize("method", METHODS)
def test_nonsense_of_a_node_ends_in_one_sentence(bill: Path, lied: tuple[str, list[Lie]], method: str) -> None:
    url, lies = lied
    rng = random.Random(method)  # noqa: S311
    refused = 0
    for number, garbage in enumerate(GARBAGE):
        lies[0] = lying(method, garbage, rng.randrange(METHODS[method]))
        try:
            open_and_verify(bill, [url]) if number % 2 else challenge([bill], url, Pins())
        except CommonwattError as error:
            refused += str(error).isprintable() and len(str(error)) < 3000
    assert refused > len(GARBAGE) // 3
