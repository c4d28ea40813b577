"""A node that seals on demand: what comes into which block, and of which time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from ledger_cases import ALICE, BOB, ETHER, GENESIS, transfer
from rpc_cases import error, result
from solo_cases import sealed

from commonwatt.errors import LedgerError
from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.network.solo import SoloNode, operator_methods
from commonwatt.ledger.rpc.service import Service

CLOCK = {"data": "0x425f5260205ff3"}
"""Code that gives back its block's time."""
# A constructor that reverts before the time 5 000.
LATER = {"data": "0x611388421015600c575f5ffd5b5f5ff3"}


@pytest.fixture
def now() -> list[float]:
    return [4_000.5]


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[EmbeddedChain]:
    with EmbeddedChain(tmp_path / "ledger.sqlite", GENESIS) as chain:
        yield chain


@pytest.fixture
def node(chain: EmbeddedChain, now: list[float]) -> SoloNode:
    return SoloNode(chain, lambda: now[0])


def test_all_that_waits_comes_into_one_block_in_the_order_of_its_nonces(node: SoloNode, chain: EmbeddedChain) -> None:
    raws = [transfer(nonce) for nonce in range(6)] + [transfer(0, key=BOB)]
    sent = {name: node.submit(raws[name]) for name in (3, 1, 6, 0, 5, 2, 4)}
    block = sealed(node)
    assert (block.number, block.timestamp) == (1, 4_000)
    assert [hash_ for hash_ in block.transactions if hash_ != sent[6]] == [sent[name] for name in range(6)]
    assert set(block.transactions) == set(sent.values())
    assert (node.ready, node.waiting(), chain.head) == (False, [], block)


def test_no_block_comes_when_nothing_waits_that_one_could_take(node: SoloNode) -> None:
    assert not node.ready
    node.submit(transfer(1))
    assert not node.ready
    assert node.pending_nonce(ALICE.address) == 0
    node.submit(transfer(0))
    assert node.ready
    assert node.pending_nonce(ALICE.address) == 2
    assert len(sealed(node).transactions) == 2


def test_time_goes_on_by_the_clock_and_is_never_ahead_of_it_for_a_backlog(node: SoloNode, now: list[float]) -> None:
    node.submit(transfer(0))
    assert (node.early, sealed(node).timestamp) == (0, 4_000)
    now[0] = 4_000.75
    assert node.early == 0.25  # the next second is waited for
    now[0] = 4_001.0
    node.submit(transfer(1))
    assert (node.early, sealed(node).timestamp) == (0, 4_001)
    now[0] = 3_000  # the clock was put back: nobody waits that long
    node.submit(transfer(2))
    assert (node.early, sealed(node).timestamp) == (0, 4_002)


def test_code_is_asked_as_a_block_would_run_it_that_came_now(node: SoloNode, now: list[float]) -> None:
    rpc = Service(node)
    for time in (4_000.5, 6_000.0, 6_000.5, 7_000.0):
        now[0] = time
        assert int(result(rpc, "eth_call", CLOCK, "pending"), 16) == int(time)
        assert int(result(rpc, "eth_call", CLOCK, "latest"), 16) == GENESIS.timestamp
    now[0] = 2_000
    assert error(rpc, "eth_estimateGas", LATER)["code"] == 3
    now[0] = 5_000
    assert int(result(rpc, "eth_estimateGas", LATER), 16) > 21_000


def test_what_cannot_be_kept_still_waits(node: SoloNode, chain: EmbeddedChain) -> None:
    file = chain._store._file
    (pages,) = file.execute("PRAGMA page_count").fetchone()
    file.execute(f"PRAGMA max_page_count = {pages}")
    # More than the pages that are free in the file hold.
    sent = [node.submit(transfer(nonce, data=bytes(4_096), gas=100_000)) for nonce in range(16)]  # type: ignore[arg-type]
    head = chain.head
    with pytest.raises(LedgerError, match="full"):
        sealed(node)
    assert (node.ready, chain.head) == (True, head)
    file.execute("PRAGMA max_page_count = 1000000")
    assert sealed(node).transactions == tuple(sent)


def test_two_who_seal_at_the_same_time_make_two_blocks(node: SoloNode, chain: EmbeddedChain) -> None:
    node.submit(transfer(0))
    first, second = node.seal(), node.seal()
    assert next(first, None) is None
    both: list[Any] = [first, second]
    while both:
        for steps in list(both):
            try:
                next(steps)
            except StopIteration:
                both.remove(steps)
    assert chain.head.number in (1, 2)
    assert len(chain.block(1).transactions) == 1


def test_who_gives_up_leaves_no_block_and_lets_others_seal(node: SoloNode, chain: EmbeddedChain) -> None:
    # 2 ^ 255 additions and more, until the gas of a block is gone: JUMPDEST PUSH0 JUMP.
    node.submit(transfer(0, to=b"", data=b"\x5b\x5f\x56", gas=90_000_000, wei=0))  # type: ignore[arg-type]
    steps = node.seal()
    next(steps)
    steps.close()
    assert chain.head.number == 0
    node.submit(transfer(1))
    assert len(sealed(node).transactions) == 2


def test_wallets_cannot_say_when_a_block_comes(chain: EmbeddedChain) -> None:
    node = SoloNode(chain, lambda: 0, settable=True)
    wallets, operator = Service(node), Service(node, table=operator_methods(node))
    for name in ("evm_mine", "evm_setNextBlockTimestamp", "anvil_setBalance"):
        assert error(wallets, name)["code"] == -32601
    assert str(result(wallets, "web3_clientVersion")).endswith("/on-demand")
    assert str(result(operator, "web3_clientVersion")).endswith("/settable")
    raw = transfer(0)
    sent = result(wallets, "eth_sendRawTransaction", f"0x{raw.hex()}")
    result(operator, "evm_setNextBlockTimestamp", 9_000)
    assert int(result(wallets, "eth_call", CLOCK, "pending"), 16) == 9_000
    result(operator, "evm_mine")
    assert int(result(wallets, "eth_getTransactionReceipt", sent)["blockNumber"], 16) == 1
    assert chain.head.timestamp == 9_000
    for time in (9_000, -1, "later", 1 << 41):
        assert error(operator, "evm_setNextBlockTimestamp", time)["code"] in (-32000, -32602)
    result(operator, "evm_mine")
    assert (chain.head.timestamp, len(chain.head.transactions)) == (9_001, 0)


def test_what_others_have_made_unaffordable_is_forgotten(node: SoloNode, chain: EmbeddedChain) -> None:
    """A contract gives its creator nothing, but the base fee has risen above what the second one offers."""
    base = chain.next_base_fee
    node.submit(transfer(0, to=b"", data=b"\x5b\x5f\x56", gas=90_000_000, wei=0, max_fee=100 * base))  # type: ignore[arg-type]
    assert len(sealed(node).transactions) == 1
    assert chain.next_base_fee > base
    with pytest.raises(LedgerError, match="below the base fee"):
        node.submit(transfer(0, key=BOB, max_fee=base))
    assert not node.ready


def test_the_pool_s_limits_hold(node: SoloNode) -> None:
    with pytest.raises(LedgerError, match="too far"):
        node.submit(transfer(64))
    hash_ = node.submit(transfer(0))
    with pytest.raises(LedgerError, match="waits already"):
        node.submit(transfer(0))
    found = node.find(hash_)
    assert found is not None
    assert cast("bytes", found.sender) == ALICE.address
    assert node.reader.balance(ALICE.address) == 1000 * ETHER
