"""What every way to agree must do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from hashlib import sha256
from typing import Any

import pytest
from consensus_cases import KEYS, START, STRANGER, Chain, Node, addresses, grow, hashed, header_of, refusal, stake_nodes
from hypothesis import assume, given
from hypothesis import strategies as st

from commonwatt.ledger.network.consensus.interface import Header, Snapshots
from commonwatt.ledger.network.consensus.poa import Poa, encode_vote
from commonwatt.ledger.network.consensus.pow import MAX_TARGET, Pow

AUTHORITIES = addresses(KEYS[:4])


def by_authority() -> list[Node]:
    nodes = [Node(key, Poa(AUTHORITIES)) for key in KEYS[:4]]
    nodes[0].engine.wishes[STRANGER.address] = True
    return nodes


def by_work() -> list[Node]:
    return [Node(key, Pow(first_target=MAX_TARGET >> 17, reward=7)) for key in KEYS[:2]]


def by_stake() -> list[Node]:
    return stake_nodes([3, 2, 1], alpha=2, beta=1, gamma=1)


WAYS: dict[str, Callable[[], list[Node]]] = {"poa": by_authority, "pow": by_work, "pos": by_stake}


@cache
def grown(way: str) -> tuple[Chain, Sequence[Node], Sequence[Header]]:
    chain, nodes = Chain(), WAYS[way]()
    return chain, nodes, grow(chain, nodes, 5)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_engine_has_its_name(way: str) -> None:
    assert grown(way)[1][0].engine.name == way


def test_weights_are_above_zero_and_the_same_for_all(way: str) -> None:
    chain, nodes, headers = grown(way)
    for header in headers:
        weights = {node.engine.weight(header, chain) for node in nodes}
        assert len(weights) == 1
        assert weights.pop() > 0


def test_an_engine_that_comes_later_agrees(way: str) -> None:
    chain, _, headers = grown(way)
    fresh = WAYS[way]()[0].engine
    assert [refusal(fresh, header, chain) for header in reversed(headers)] == [None] * 5


def test_a_block_pays_what_its_turn_promises(way: str) -> None:
    chain, nodes, headers = grown(way)
    turns = [turn for node in nodes if (turn := node.turn(chain))]
    assert turns
    assert {turn.reward for turn in turns} == {nodes[0].engine.reward(headers[0])} == {7 if way == "pow" else 0}


def test_later_than_one_s_turn_is_allowed(way: str) -> None:
    chain, nodes, _ = grown(way)
    node = next(node for node in nodes if node.turn(chain))
    assert refusal(node.engine, node.make(chain, late=1000), chain) is None


def test_before_one_s_turn_is_refused(way: str) -> None:
    chain, nodes, _ = grown(way)
    for node in nodes:
        if node.turn(chain):
            assert "its time" in (refusal(node.engine, node.make(chain, late=-1), chain) or "")


def test_a_seal_over_other_transactions_is_refused(way: str) -> None:
    chain, nodes, headers = grown(way)
    last = headers[-1]
    assert hashed(last) == last
    assert refusal(nodes[0].engine, hashed(last, b"another body"), chain) is not None


def altered(draw: st.DrawFn, header: Header, chain: Chain) -> Header:
    """The header with one field that is not as it was sealed."""
    field = draw(st.sampled_from(["number", "parent", "timestamp", "coinbase", "claim", "seal"]))
    numbers = {"number": 40, "timestamp": START + 10_000}
    if field in numbers:
        value: int | bytes = draw(st.integers(1, numbers[field]))
    elif field == "parent":
        value = chain.genesis.hash
    else:
        old: bytes = getattr(header, field)
        flipped = st.integers(0, max(0, 8 * len(old) - 1)).map(lambda bit: flip(old, bit))
        other = st.sampled_from(
            [b"", bytes(20), bytes(32), bytes(65), KEYS[3].address, encode_vote(bytes(20), admit=True)]
        )
        value = draw(flipped | other | st.binary(max_size=200))
    change: dict[str, Any] = {field: value}
    return hashed(replace(header, **change))


def flip(data: bytes, bit: int) -> bytes:
    if not data:
        return b"\1"
    number = int.from_bytes(data, "big") ^ 1 << bit
    return number.to_bytes(len(data), "big")


def worked(header: Header) -> bool:
    """Whether the seal is work that meets the target which the header claims."""
    return sha256(sha256(header.unsealed).digest() + header.seal).digest() <= header.claim


@given(st.data())
@pytest.mark.parametrize("way", WAYS)
def test_a_header_altered_in_any_field_is_refused(way: str, data: st.DataObject) -> None:
    chain, nodes, headers = grown(way)
    header = data.draw(st.sampled_from(headers[1:]))
    changed = st.composite(altered)(header, chain)
    other = data.draw(changed)
    # One nonce in 2^17 fits another block as well: that is the work of that block, and no fault.
    assume(way != "pow" or other.claim != header.claim or not worked(other))
    if other != header:
        assert refusal(nodes[0].engine, other, chain) is not None


@pytest.mark.parametrize("way", ["poa", "pos"])
def test_strangers_have_no_turn_and_their_blocks_are_refused(way: str) -> None:
    chain, nodes, _ = grown(way)
    engine = nodes[0].engine
    assert engine.turn(chain.head, chain, STRANGER.address, START) is None
    turn = next(turn for node in nodes if (turn := node.turn(chain)))
    blank = header_of(chain.head, turn.at, STRANGER.address, turn.claim)
    assert refusal(engine, Node(STRANGER, engine).seal(blank), chain) in {
        f"0x{STRANGER.address.hex()} is no authority", f"0x{STRANGER.address.hex()} is no member",
    }  # fmt: skip


def test_snapshots_reach_back_further_than_they_are_kept() -> None:
    chain = Chain()
    for _ in range(3000):
        chain.add(header_of(chain.head, chain.head.timestamp + 1, bytes(20), b""))
    steps: list[int] = []

    def after(number: int, header: Header, history: object) -> int:
        assert header.number == number + 1
        steps.append(header.number)
        return header.number

    snapshots = Snapshots(lambda _: 0, after, lambda number: str(number).encode(), int)
    assert snapshots.at(chain.head, chain) == 3000
    assert snapshots.at(chain.head, chain) == len(steps) == 3000
    first = chain.head
    while first.number > 1:
        first = chain.header(first.parent)
    assert snapshots.at(first, chain) == 1
