"""The engine by stake: turns, secrets, tables, guilt."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import rlp
from consensus_cases import KEYS, NETWORK, STRANGER, Chain, Node, grow, hashed, header_of, refusal, stake_nodes
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.errors import LedgerError
from commonwatt.ledger.network.consensus.hash_chain import HashChain
from commonwatt.ledger.network.consensus.interface import Header, SealError, Turn
from commonwatt.ledger.network.consensus.pos import Claim, Pos, Rules, decode_claim
from commonwatt.ledger.network.consensus.stake import Entry
from commonwatt.proof import keccak

PERIOD = 5


def order(chain: Chain, nodes: list[Node]) -> list[Node]:
    """The nodes by their rank after the head."""
    ranked = nodes[0].engine.standing(chain.head, chain).order
    return sorted(nodes, key=lambda node: ranked.index(node.key.address))


def test_ranks_follow_each_other_by_a_period_and_weigh_less() -> None:
    chain, nodes = Chain(), stake_nodes([3, 2, 1])
    grow(chain, nodes, 3)
    parent = chain.head
    for rank, node in enumerate(order(chain, nodes)):
        header = node.make(chain, parent)
        assert header.timestamp == parent.timestamp + PERIOD * (1 + rank)
        assert node.engine.weight(header, chain) == 3 - rank
        assert all(refusal(other.engine, header, chain) is None for other in nodes)


def test_the_chain_goes_on_without_one_member() -> None:
    chain, nodes = Chain(), stake_nodes([3, 2, 1])
    silent = nodes[0]
    headers = grow(chain, nodes[1:], 30)
    assert {header.coinbase for header in headers} == {node.key.address for node in nodes[1:]}
    late = [header for header in headers if header.timestamp - chain.header(header.parent).timestamp > PERIOD]
    assert 0 < len(late) < 30
    assert silent.turn(chain) is not None


def test_each_block_reveals_the_one_next_secret_of_its_sealer() -> None:
    chain, nodes = Chain(), stake_nodes([1, 1])
    last = {node.key.address: HashChain.derive(node.key, length=256).tip for node in nodes}
    for header in grow(chain, nodes, 20):
        secret = decode_claim(header).secret
        assert keccak(secret) == last[header.coinbase]
        last[header.coinbase] = secret


def test_a_sealer_cannot_choose_its_secret() -> None:
    chain, nodes = Chain(), stake_nodes([1])
    node = nodes[0]
    grow(chain, nodes, 3)
    own = HashChain.derive(node.key, length=256)
    right = own.secret(3)
    assert right
    for secret in (own.secret(2), own.secret(4), keccak(b"a better one"), own.tip):
        assert secret
        claim = Claim(4, secret, b"").encode()
        assert (
            refusal(node.engine, node.make(chain, claim=claim), chain) == "it does not reveal its sealer's next secret"
        )
    assert refusal(node.engine, node.make(chain, claim=Claim(4, right).encode()), chain) is None


def test_the_draw_is_the_same_whatever_else_a_sealer_puts_into_its_block() -> None:
    chain, nodes = Chain(), stake_nodes([3, 2, 1])
    sealer = order(chain, nodes)[0]
    standings = []
    for body in (b"", b"another transaction"):
        header = chain.add(sealer.make(chain, chain.genesis, late=len(body), body=body))
        standings.append(nodes[0].engine.standing(header, chain))
    assert standings[0].seed == standings[1].seed
    assert standings[0].order == standings[1].order


def test_the_claim_is_for_its_own_number() -> None:
    chain, nodes = Chain(), stake_nodes([1])
    right = nodes[0].make(chain)
    blank = replace(right, claim=replace(decode_claim(right), number=2).encode(), seal=b"")
    # The engine would sign for the height that the claim names; here the height is right and the claim is not.
    forged = hashed(
        replace(blank, seal=nodes[0].engine.seal(hashed(blank).unsealed, turn_with(right.claim), nodes[0].key))
    )
    assert refusal(nodes[0].engine, forged, chain) == "its claim is for number 2"


def turn_with(claim: bytes) -> Turn:
    return Turn(0, claim, bytes(20))


@pytest.mark.parametrize(
    "claim", [[b"\1", bytes(31), b""], [b"\1", [], b""], [b"\1", bytes(32)], [b"\1", bytes(32), []]]
)
def test_a_claim_of_another_form_is_refused(claim: list[bytes | list[Any]] | list[bytes]) -> None:
    chain, nodes = Chain(), stake_nodes([1])
    header = nodes[0].make(chain, claim=rlp.encode(claim))
    assert refusal(nodes[0].engine, header, chain) == "its claim is not a number, a secret and evidence"


def test_a_chain_of_secrets_comes_to_its_end() -> None:
    chain, nodes = Chain(), stake_nodes([1], length=3)
    grow(chain, nodes, 3)
    assert nodes[0].turn(chain) is None
    reader = Pos(Rules(NETWORK, {KEYS[0].address: Entry(HashChain.derive(KEYS[0], length=3).tip, 1)}))
    assert reader.turn(chain.genesis, chain, KEYS[0].address, 0) is None
    assert refusal(reader, chain.head, chain) is None


@given(st.integers(1, 150), st.binary(min_size=32, max_size=32))
def test_secrets_lead_back_from_the_tip(length: int, start: bytes) -> None:
    own = HashChain(start, length)
    value = own.tip
    for revealed in range(length):
        secret = own.secret(revealed)
        assert secret is not None
        assert keccak(secret) == value
        value = secret
    assert value == start
    assert own.secret(length) is None


# Two blocks of one height


def twice(chain: Chain, node: Node) -> tuple[Header, Header]:
    """Two blocks of one height that a node seals."""
    return node.make(chain), node.make(chain, late=1)


def convicted(nodes: list[Node]) -> tuple[Chain, Node]:
    """A chain whose first-drawn member sealed two blocks after it, both seen by all, and that member."""
    chain = Chain()
    grow(chain, nodes, 2)
    culprit = order(chain, nodes)[0]
    first, second = twice(chain, culprit)
    for node in nodes:
        for header in (first, second):
            node.engine.check(header, chain)
    chain.add(first)
    return chain, culprit


def test_whoever_seals_twice_is_excluded_by_all_from_the_evidence_on() -> None:
    nodes = stake_nodes([3, 2, 1])
    chain, culprit = convicted(nodes)
    others = [node for node in nodes if node is not culprit]
    before = culprit.make(chain)
    proof = grow(chain, others, 1)[0]
    assert others[0].engine.convict(decode_claim(proof).evidence) == culprit.key.address
    assert culprit.turn(chain) is None
    after = culprit.seal(header_of(chain.head, chain.head.timestamp + 99, culprit.key.address, claim_after(before)))
    newcomer = stake_nodes([3, 2, 1])[0].engine  # it never saw the two blocks themselves
    assert refusal(newcomer, proof, chain) is None
    expected = f"0x{culprit.key.address.hex()} has sealed two blocks of one height and is excluded"
    for engine in (newcomer, *(node.engine for node in others)):
        assert refusal(engine, after, chain) == expected
    later = grow(chain, others, 10)
    assert culprit.key.address not in {header.coinbase for header in later}
    assert not any(decode_claim(header).evidence for header in later)  # once is enough


def claim_after(header: Header) -> bytes:
    return replace(decode_claim(header), number=header.number + 1).encode()


def test_excluded_members_count_in_the_weight_so_that_evidence_costs_nothing() -> None:
    nodes = stake_nodes([3, 2, 1])
    chain, culprit = convicted(nodes)
    others = [node for node in nodes if node is not culprit]
    grow(chain, others, 1)
    headers = grow(chain, others, 3)
    assert {others[0].engine.weight(header, chain) for header in headers} == {3}


def test_honest_branches_are_no_evidence() -> None:
    chain, nodes = Chain(), stake_nodes([3, 2, 1])
    grow(chain, nodes, 1)
    parent = chain.head
    for node in nodes:  # different members at one height
        chain.add(node.make(chain, parent))
    for _ in range(2):  # one block, seen twice
        nodes[0].engine.check(chain.head, chain)
    assert not any(decode_claim(header).evidence for header in grow(chain, nodes, 10))


def test_evidence_that_proves_nothing_is_refused() -> None:
    chain, nodes = Chain(), stake_nodes([3, 2, 1])
    grow(chain, nodes, 1)
    one, two = nodes[1].make(chain), nodes[2].make(chain)
    later = chain.add(nodes[1].make(chain))
    other_height = nodes[1].make(chain)
    elsewhere = Node(KEYS[1], Pos(Rules(keccak(b"another network"), {})))
    foreign = [elsewhere.seal(header_of(later, stamp, KEYS[1].address, other_height.claim)) for stamp in (1, 2)]
    strangers = [
        Node(STRANGER, nodes[0].engine).seal(header_of(later, at, bytes(20), other_height.claim)) for at in (1, 2)
    ]

    def evidence(number: int, first: Header, second: Header) -> bytes:
        return bytes(rlp.encode([bytes([number]), first.unsealed, first.seal, second.unsealed, second.seal]))

    offered = {
        "its evidence proves nothing": [
            evidence(2, one, two),
            evidence(2, one, one),
            evidence(2, one, other_height),
            evidence(3, *foreign),
        ],
        "its evidence is not two seals": [b"\1", rlp.encode([b""] * 5), evidence(2, one, replace(two, seal=b"no"))],
        "its evidence is against nobody who may seal": [evidence(3, *strangers)],
    }
    accuser = nodes[0]
    claim = decode_claim(accuser.make(chain))
    for reason, documents in offered.items():
        for document in documents:
            header = accuser.make(chain, claim=replace(claim, evidence=document).encode())
            assert refusal(accuser.engine, header, chain) == reason


@given(st.binary(max_size=300) | st.lists(st.binary(max_size=65), min_size=4, max_size=6).map(rlp.encode))
def test_any_bytes_may_be_offered_as_evidence(document: bytes) -> None:
    with pytest.raises(SealError):
        stake_nodes([1], length=1)[0].engine.convict(document)


def test_an_unknown_parent_is_the_history_s_error() -> None:
    chain, nodes = Chain(), stake_nodes([1])
    header = nodes[0].make(chain)
    with pytest.raises(LedgerError, match="no such block"):
        nodes[0].engine.check(replace(header, parent=bytes(32)), chain)
