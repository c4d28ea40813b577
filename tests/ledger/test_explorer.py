"""What people are told about a chain: paper 002's scene, a community's day, strange contracts, broken files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from ledger_cases import ALICE, ETHER, GENESIS
from settlement_cases import MEMBERS, OPERATORS, START, community, posted

from commonwatt.errors import LedgerError, Reverted
from commonwatt.ledger import explorer
from commonwatt.ledger.chain.embedded import EmbeddedChain, Genesis
from commonwatt.ledger.chain.reader import Reader
from commonwatt.ledger.client.abi import contract
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.ledger.explorer import AccountView, BlockView, Membership, TransactionView
from commonwatt.ledger.wallet import created_address, sign_transaction
from commonwatt.proof import Key, checksum_address, keccak

PEERS = [Key.derive(b"tests", f"peer {number}") for number in range(10)]
TRADES, GAS, TIP = 28, 21_000, 2
PRICE = ETHER // 100
"""What a trade pays [wei]."""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten accounts of 1 000 ether and 28 trades, each in a block of its own: a peer pays the next one."""
    path = tmp_path_factory.mktemp("scene") / "chain.sqlite"
    with EmbeddedChain(path, Genesis(1337, {key.address: 1000 * ETHER for key in PEERS}, START)) as chain:
        for number in range(TRADES):
            buyer, seller = PEERS[number % 10], PEERS[(number + 1) % 10]
            raw = sign_transaction(
                buyer, chain_id=1337, nonce=number // 10, to=seller.address, gas=2 * GAS, value=(number + 1) * PRICE,
                max_fee=100, tip=TIP,
            )  # fmt: skip
            chain.submit(raw)
            chain.seal(START + 15 * (number + 1))
    return path


@pytest.fixture(scope="module")
def village(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LedgerClient]:
    """Seven members, a slot posted and final, and a withdrawal that the contract refused."""
    path = tmp_path_factory.mktemp("village") / "chain.sqlite"
    client = community(path=path)
    with pytest.raises(Reverted):
        client.claim_withdrawal(MEMBERS[0], at=START + 2)
    client.finalise(*posted(client, [-4, 0, 0, 0, 1, 2, 1]), at=9_901 + 3_600)
    yield client
    client.node.close()  # type: ignore[attr-defined]


# Paper 002's scene


def test_twenty_eight_trades_are_twenty_eight_blocks(scene: Path) -> None:
    with explorer.opened(scene) as chain:
        blocks = explorer.blocks(chain, last=100)
        trades = [explorer.transactions(chain, block.number)[0] for block in blocks[-2::-1]]
        accounts = [explorer.account(chain, key.address) for key in PEERS]
    assert [block.number for block in blocks] == list(range(TRADES, -1, -1))
    for block, parent in pairwise(blocks):
        assert (block.parent, block.timestamp) == (parent.hash, START + 15 * block.number)
        assert (block.gas_used, len(block.transactions)) == (GAS, 1)
        assert block.fees == GAS * (7 + TIP)
        assert 600 < block.size < 1000
    assert [trade.value for trade in trades] == [(number + 1) * PRICE for number in range(TRADES)]
    assert all(trade.success and trade.gas_used == GAS and trade.gas == 2 * GAS for trade in trades)
    fees = sum(trade.fee for trade in trades)
    tips = TRADES * GAS * TIP
    assert fees == sum(block.fees for block in blocks) == TRADES * GAS * (7 + TIP)
    # The base fee is burnt; the tips went to the sealer, which is nobody here.
    assert sum(account.balance for account in accounts) == 10_000 * ETHER - fees
    with explorer.opened(scene) as chain:
        assert explorer.account(chain, bytes(20)).balance == tips


def test_a_peer_s_history_holds_what_it_bought_and_sold(scene: Path) -> None:
    with explorer.opened(scene) as chain:
        peer = explorer.account(chain, PEERS[1].address)
        latest = explorer.account(chain, PEERS[1].address, last=2)
    trades = [entry.transaction for entry in peer.history]
    assert [trade.block for trade in trades] == [22, 21, 12, 11, 2, 1]
    assert [trade.sender == PEERS[1].address for trade in trades] == [True, False] * 3
    assert latest.history == peer.history[:2]
    assert peer.nonce == 3
    moved = sum(trade.value * (1 if trade.to == PEERS[1].address else -1) for trade in trades)
    fees = sum(trade.fee for trade in trades if trade.sender == PEERS[1].address)
    assert peer.balance == 1000 * ETHER + moved - fees


def test_search_finds_by_number_hash_and_address(scene: Path) -> None:
    with explorer.opened(scene) as chain:
        block = explorer.block(chain, 28)
        assert explorer.search(chain, "28") == block
        assert explorer.search(chain, f"0x{block.hash.hex()}") == block
        trade = explorer.search(chain, block.transactions[0].hex().upper())
        assert isinstance(trade, TransactionView)
        assert (trade.block, trade.index, trade.sender) == (28, 0, PEERS[7].address)
        found = explorer.search(chain, checksum_address(PEERS[7].address))
        assert isinstance(found, AccountView)
        assert found.history[0].transaction == trade
        for text, cause in [
            ("29", "has no block 29"),
            ("0x" + "12" * 32, "no block or transaction 0x1212"),
            ("-1", "'-1' is no block number, hash or address"),
            ("٣", "is no block number"),
            ("0x12", "'0x12' is no block number"),
            ("x" * 1000, "is no block number"),
        ]:
            with pytest.raises(LedgerError, match=cause):
                explorer.search(chain, text)


# A community's day


def test_calls_and_events_have_their_names(village: LedgerClient) -> None:
    chain = _reader(village)
    views = [view for number in range(chain.head.number + 1) for view in explorer.transactions(chain, number)]
    created = [view for view in views if not view.to]
    assert [view.call.contract for view in created if view.call] == [
        "Community",
        "CommunityToken",
        "Settlement",
        "Disputes",
        "Demands",
    ]
    assert created[0].call
    assert created[0].call.arguments["threshold_"] == 2
    assert created[-3].created == village.addresses.settlement
    last = views[-1]
    assert last.call
    assert (last.call.contract, last.call.function) == ("Settlement", "finalise")
    assert [(event.name, event.arguments["slot"]) for event in last.events] == [("Finalised", 9_000)]
    assert str(last.call).startswith("Settlement.finalise(")


def test_a_failed_transaction_has_its_reason(village: LedgerClient) -> None:
    chain = _reader(village)
    history = explorer.account(chain, MEMBERS[0].address).history
    (failed,) = [entry.transaction for entry in history if not entry.transaction.success]
    assert failed.reason == "NothingRequested(0)"
    assert failed.call
    assert failed.call.function == "claimWithdrawal"
    assert failed.events == ()


def test_a_member_s_history_adds_up_to_its_balance(village: LedgerClient) -> None:
    chain = _reader(village)
    balances = village.balances().tolist()
    for number, key in enumerate(MEMBERS):
        assert explorer.member(chain, number) == key.address
        found = explorer.account(chain, key.address, last=1000)
        assert found.memberships == (Membership(village.addresses.community, number),)
        assert sum(entry.lanes or 0 for entry in found.history) == balances[number]
    payer = explorer.account(chain, MEMBERS[4].address).history
    assert [entry.lanes for entry in payer] == [1, 10, None]  # settled, paid in, registered
    assert explorer.account(chain, MEMBERS[4].address).lane == "0.000001 EUR"
    untouched = explorer.account(chain, MEMBERS[1].address).history
    assert [entry.lanes for entry in untouched] == [10, None]
    with pytest.raises(LedgerError, match="has no member 7"):
        explorer.member(chain, 7)


def test_views_are_json_without_rounded_numbers(village: LedgerClient) -> None:
    chain = _reader(village)
    text = json.dumps(explorer.as_json(explorer.account(chain, MEMBERS[4].address)))
    found = json.loads(text)
    assert found["address"] == checksum_address(MEMBERS[4].address)
    assert found["balance"] == "0"
    settled = found["history"][0]["transaction"]
    assert settled["call"]["arguments"]["p"][0] == "9000"
    assert settled["fee"] == str(settled["gas_used"] * int(settled["gas_price"]))
    assert found["history"][0]["lanes"] == 1


# Strangers' contracts


def test_contracts_that_only_look_like_ours_do_no_harm() -> None:
    """One repeats its call's data under the topic of an event of ours, one gives a reason that is no text."""
    registered = keccak(b"MemberRegistered(uint32,address,uint8)")
    shouts = bytes([0x36, 0x5F, 0x5F, 0x37, 0x7F, *registered, 0x36, 0x5F, 0xA1, 0x00])
    with EmbeddedChain(None, GENESIS) as chain:
        shouter, refuser = _created(chain, 0, shouts), _created(chain, 1, _refusing(b"\xff\xfe"))
        selector = contract("Settlement").functions["requestWithdrawal"].selector
        _send(chain, 2, shouter, b"ab")
        _send(chain, 3, refuser)
        _send(chain, 4, shouter, selector)
        history = explorer.account(chain, ALICE.address).history
        assert explorer.memberships_of(chain, ALICE.address) == ()
        with pytest.raises(LedgerError, match="has no member 1"):
            explorer.member(chain, 1)
    called, refused, shouted = (entry.transaction for entry in history[:3])
    assert called.call is None
    assert [event.name for event in shouted.events] == [""]
    assert refused.reason.startswith("0x08c379a0")


def test_a_contract_that_poses_as_a_settlement_changes_no_history() -> None:
    """It names the community as its own, and says that deltas are final which are no whole number of members."""
    client = community()
    chain, operator = client.node, OPERATORS[0]
    assert isinstance(chain, EmbeddedChain)
    says = bytes([0x60, 1, 0x60, 1, 0x7F, *keccak(b"Finalised(uint64,uint32)"), 0x5F, 0x5F, 0xA3, 0x00])
    when_asked = bytes([0x36, 0x60, 4, 0x14, 0x60, 7 + len(says), 0x57])
    names = bytes([0x5B, 0x73, *client.addresses.community, 0x5F, 0x52, 0x60, 32, 0x5F, 0xF3])
    nonce = chain.nonce(operator.address)
    liar = _created(chain, nonce, when_asked + says + names, operator)
    before = explorer.account(chain, MEMBERS[0].address).history
    final = contract("Settlement").functions["finalise"]
    _send(chain, nonce + 1, liar, final.encode((1, 1, *[bytes(32)] * 4, 0), b"abc", bytes(32)), operator)
    assert [event.name for event in explorer.transactions(chain, None)[0].events] == ["Finalised"]
    assert explorer.account(chain, MEMBERS[0].address).history == before


# The commands


def test_commands_show_the_scene(scene: Path, asked: Callable[..., str]) -> None:
    listed = asked("blocks", scene, "--last", 3).splitlines()
    assert [line.split()[0] for line in listed] == ["block", "28", "27", "26"]
    assert "21000 of 100000000" in listed[1]
    block = asked("block", scene, 28)
    assert "189000 wei" in block
    shown = json.loads(asked("block", scene, 28, "--json", "-"))
    (hash_,) = shown["block"]["transactions"]
    assert hash_ in block
    told = asked("tx", scene, hash_)
    assert f"{28 * PRICE} wei" in told
    assert json.loads(asked("tx", scene, hash_, "--json", "-")) == shown["transactions"][0]
    address = checksum_address(PEERS[7].address)
    account = asked("account", scene, address)
    assert hash_ in account
    assert json.loads(asked("account", scene, address.lower(), "--json", "-"))["nonce"] == 3
    assert len(json.loads(asked("blocks", scene, "--json", "-"))) == 20


def test_commands_show_a_community(village: LedgerClient, asked: Callable[..., str]) -> None:
    path = Path(village.node._name)  # type: ignore[attr-defined]
    told = asked("account", path, 4)
    assert f"member 4 of  {checksum_address(village.addresses.community)}" in told
    assert "finalise → Finalised" in told
    assert "+0.000001" in told.split()
    assert "balance [EUR]" in told
    failed = next(view for view in _all(village) if not view.success)
    assert "refused: NothingRequested(0)" in asked("tx", path, f"0x{failed.hash.hex()}")
    settled = next(view for view in _all(village) if view.call and view.call.function == "finalise")
    assert "event 0      Finalised(slot=9000, revision=0)" in asked("tx", path, f"0x{settled.hash.hex()}")


def test_text_from_the_chain_cannot_steer_a_terminal(tmp_path: Path, asked: Callable[..., str]) -> None:
    path = tmp_path / "chain.sqlite"
    with EmbeddedChain(path, GENESIS) as chain:
        refuser = _created(chain, 0, _refusing("\x1b[2Jgone\u202e ü".encode()))
        hash_ = _send(chain, 1, refuser)
    for told in (asked("tx", path, f"0x{hash_.hex()}"), asked("block", path, chain.head.number)):
        assert "\\x1b[2Jgone\\u202e ü" in told


def test_what_cannot_be_shown_is_said_in_one_sentence(scene: Path, tmp_path: Path, asked: Callable[..., str]) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("Not a chain, but long enough to be looked at." * 100)
    assert f"There is no chain at {tmp_path / 'none'}." in asked("blocks", tmp_path / "none", code=6)
    assert "There is no chain at" in asked("blocks", tmp_path, code=6)
    assert "file is not a database" in asked("account", notes, "0x" + "12" * 20, code=6)
    assert "has no block 29." in asked("block", scene, 29, code=6)
    assert f"has no block 0x{'12' * 32}." in asked("block", scene, "0x" + "12" * 32, code=6)
    assert "No block of the chain holds the transaction 0x1212" in asked("tx", scene, "0x" + "12" * 32, code=6)
    assert "The chain has no member 3." in asked("account", scene, 3, code=6)
    assert "which: is the number or the hash of a block, not 'last'" in asked("block", scene, "last", code=2)
    assert "hash: is 0x and 64 digits, not '28'" in asked("tx", scene, 28, code=2)
    assert "who: is an address or a member's number, not '0x12'" in asked("account", scene, "0x12", code=2)
    assert "last: is from 1 to 1000000, not 0" in asked("blocks", scene, "--last", 0, code=2)


# Files


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.7, 0.95])
def test_a_cut_file_is_told_in_one_sentence(
    scene: Path, tmp_path: Path, asked: Callable[..., str], share: float
) -> None:
    path = tmp_path / "cut.sqlite"
    data = scene.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    told = asked("blocks", path, "--last", 100, code=6)
    assert "cannot be used as a chain" in told or "is damaged" in told


@pytest.mark.parametrize("offset", [0, 37, 74])
def test_changed_bytes_are_noticed_or_change_nothing(scene: Path, tmp_path: Path, offset: int) -> None:
    path = tmp_path / "changed.sqlite"
    with explorer.opened(scene) as chain:
        before = _told(chain)
    data = bytearray(scene.read_bytes())
    for at in range(4096 + offset, len(data), 9973):
        data[at] ^= 0x55
    path.write_bytes(data)
    with suppress(LedgerError), explorer.opened(path) as chain:
        assert _told(chain) == before


def test_a_node_may_write_meanwhile(scene: Path, tmp_path: Path) -> None:
    path = tmp_path / "chain.sqlite"
    path.write_bytes(scene.read_bytes())
    with EmbeddedChain(path) as chain, explorer.opened(path) as before:
        for _ in range(3):
            chain.seal(chain.head.timestamp + 1)
        assert [block.number for block in explorer.blocks(before, 2)] == [28, 27]
        with explorer.opened(path) as after:
            assert [block.number for block in explorer.blocks(after, 2)] == [31, 30]


def _told(chain: Reader) -> list[BlockView | AccountView]:
    return [*explorer.blocks(chain, 100), *(explorer.account(chain, key.address, 100) for key in PEERS)]


def _reader(client: LedgerClient) -> Reader:
    assert isinstance(client.node, Reader)
    return client.node


def _all(client: LedgerClient) -> list[TransactionView]:
    chain = _reader(client)
    return [view for number in range(chain.head.number + 1) for view in explorer.transactions(chain, number)]


def _refusing(text: bytes) -> bytes:
    """Code that reverts with Error(text)."""
    words = keccak(b"Error(string)")[:4] + (32).to_bytes(32, "big") + len(text).to_bytes(32, "big") + text
    stored = [bytes([0x7F, *words.ljust(128, b"\0")[at : at + 32], 0x60, at, 0x52]) for at in range(0, 128, 32)]
    return b"".join(stored) + bytes([0x60, 100, 0x5F, 0xFD])


def _send(chain: EmbeddedChain, nonce: int, to: bytes, data: bytes = b"", key: Key = ALICE) -> bytes:
    """Hash of a transaction that is in a block."""
    hash_ = chain.submit(sign_transaction(key, chain_id=2024, nonce=nonce, to=to, gas=500_000, data=data))
    chain.seal(chain.head.timestamp + 1)
    return hash_


def _created(chain: EmbeddedChain, nonce: int, code: bytes, key: Key = ALICE) -> bytes:
    """Address of a new contract with this code, of at most 255 bytes."""
    init = bytes([0x60, len(code), 0x80, 0x60, 0x09, 0x5F, 0x39, 0x5F, 0xF3]) + code
    _send(chain, nonce, b"", init, key)
    return created_address(key.address, nonce)
