"""Authorities who take turns and vote."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from consensus_cases import KEYS, STRANGER, Chain, Node, addresses, grow, header_of, refusal
from hypothesis import example, given
from hypothesis import strategies as st
from profiles import dear

from commonwatt.ledger.network.consensus.poa import IN_TURN, OUT_OF_TURN, Council, Poa, Vote, encode_vote
from commonwatt.proof import Key

PERIOD, STAGGER = 5, 2


def network(count: int) -> list[Node]:
    members = addresses(KEYS[:count])
    return [Node(key, Poa(members, period=PERIOD, stagger=STAGGER)) for key in KEYS[:count]]


def nodes_for(keys: Sequence[Key], first: int) -> list[Node]:
    """Nodes of `keys` in a network that began with the first so many members."""
    return [Node(key, Poa(addresses(KEYS[:first]), period=PERIOD, stagger=STAGGER)) for key in keys]


def test_all_take_turns_by_their_addresses_a_period_apart() -> None:
    chain, nodes = Chain(), network(4)
    headers = grow(chain, nodes, 12)
    assert [header.coinbase for header in headers] == [KEYS[(header.number - 1) % 4].address for header in headers]
    assert {later.timestamp - earlier.timestamp for earlier, later in pairwise(headers)} == {PERIOD}
    assert {nodes[0].engine.weight(header, chain) for header in headers} == {IN_TURN}


def test_the_next_one_steps_in_for_a_silent_one_with_half_the_weight() -> None:
    chain, nodes = Chain(), network(4)
    headers = grow(chain, nodes[:1] + nodes[2:], 12)
    assert [header.coinbase for header in headers] == addresses([KEYS[0], KEYS[2], KEYS[3]]) * 4
    for parent, header in pairwise([chain.genesis, *headers]):
        instead = header.coinbase == KEYS[2].address
        assert header.timestamp - parent.timestamp == PERIOD + STAGGER * instead
        assert nodes[0].engine.weight(header, chain) == (OUT_OF_TURN if instead else IN_TURN)


@st.composite
def outages(draw: st.DrawFn) -> tuple[int, list[set[int]]]:
    """Authorities, and for some blocks who of them is silent, so few that the others go on."""
    count = draw(st.integers(3, 10))
    some = st.sets(st.integers(0, count - 1), max_size=(count - 1) // 2)
    return count, draw(st.lists(some, max_size=3 * count))


@given(outages())
@dear(3)
@example((4, [{1}] * 4))
@example((4, [{1}] * 5))
@example((5, [{1}] * 8))
@example((9, [{number % 9} for number in range(20)]))
@example((10, [{0, 1, 2, 3}, {6, 7, 8, 9}] * 10))
def test_the_pace_comes_back_after_any_outage(outage: tuple[int, list[set[int]]]) -> None:
    count, silences = outage
    keys = sorted((Key.derive(b"pace", str(number)) for number in range(count)), key=lambda key: key.address)
    chain, nodes = Chain(), [Node(key, Poa(addresses(keys), period=PERIOD, stagger=STAGGER)) for key in keys]
    for silent in silences:
        grow(chain, [node for number, node in enumerate(nodes) if number not in silent], 1)
    healthy = grow(chain, nodes, 2 * count)
    assert {later.timestamp - earlier.timestamp for earlier, later in pairwise(healthy)} == {PERIOD}
    assert {nodes[0].engine.weight(header, chain) for header in healthy} == {IN_TURN}
    assert {header.coinbase for header in healthy[-count:]} == set(addresses(keys))


def test_turns_are_counted_on_from_an_authority_that_removed_itself() -> None:
    chain, nodes = Chain(), network(4)
    for node in nodes[2:]:
        node.engine.wishes[KEYS[1].address] = False
    grow(chain, nodes, 4)
    nodes[1].engine.wishes[KEYS[1].address] = False
    own = grow(chain, nodes, 2)[-1]
    assert own.coinbase == KEYS[1].address
    after = grow(chain, nodes, 6)
    assert [header.coinbase for header in after] == addresses([KEYS[2], KEYS[3], KEYS[0]]) * 2
    assert {later.timestamp - earlier.timestamp for earlier, later in pairwise([own, *after])} == {PERIOD}


@pytest.mark.parametrize(("count", "majority"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)])
def test_progress_needs_a_majority(count: int, majority: int) -> None:
    chain, nodes = Chain(), network(count)
    grow(chain, nodes[:majority], 3 * count)
    chain, nodes = Chain(), network(count)
    minority = nodes[: majority - 1]
    for _ in range(majority - 1):  # each of them may seal once
        grow(chain, [node for node in minority if node.turn(chain)], 1)
    assert [node.turn(chain) for node in minority] == [None] * (majority - 1)


def test_whoever_sealed_one_of_the_last_blocks_must_rest() -> None:
    chain, nodes = Chain(), network(4)
    grow(chain, nodes, 1)
    sealer = nodes[0]
    free = sealer.make(chain, chain.genesis)
    again = sealer.seal(header_of(chain.head, chain.head.timestamp + 1000, sealer.key.address, b""))
    assert refusal(sealer.engine, free, chain) is None
    assert refusal(sealer.engine, again, chain) == f"0x{sealer.key.address.hex()} sealed one of the last 2 blocks"


def test_a_majority_admits_and_the_new_one_takes_part() -> None:
    chain, nodes = Chain(), network(3)
    joining = nodes_for([STRANGER], 3)[0]
    nodes[0].engine.wishes[STRANGER.address] = nodes[1].engine.wishes[STRANGER.address] = True
    assert joining.turn(chain) is None
    headers = grow(chain, nodes, 6)
    assert sum(bool(header.claim) for header in headers) == 2
    assert nodes[2].engine.council(chain.head, chain).votes == ()
    sealers = {header.coinbase for header in grow(chain, [*nodes, joining], 8)}
    assert sealers == {*addresses(KEYS[:3]), STRANGER.address}


def test_a_majority_removes_and_the_removed_one_is_refused() -> None:
    chain, nodes = Chain(), network(4)
    removed = nodes[3]
    for node in nodes[:3]:
        node.engine.wishes[removed.key.address] = False
    late = removed.make(chain, chain.genesis)
    grow(chain, nodes, 8)
    assert removed.turn(chain) is None
    after = removed.seal(header_of(chain.head, chain.head.timestamp + 99, removed.key.address, b""))
    for node in nodes:
        assert refusal(node.engine, late, chain) is None  # on its own branch it was an authority
        assert refusal(node.engine, after, chain) == f"0x{removed.key.address.hex()} is no authority"
    assert removed.key.address not in {header.coinbase for header in grow(chain, nodes, 6)}


def test_half_is_no_majority() -> None:
    chain, nodes = Chain(), network(4)
    nodes[0].engine.wishes[STRANGER.address] = nodes[1].engine.wishes[STRANGER.address] = True
    grow(chain, nodes, 12)
    council = nodes[2].engine.council(chain.head, chain)
    assert council.authorities == tuple(addresses(KEYS[:4]))
    assert {vote.voter for vote in council.votes} == set(addresses(KEYS[:2]))


def test_votes_stand_on_their_own_branch_only() -> None:
    chain, nodes = Chain(), network(1)
    plain = chain.add(nodes[0].make(chain))
    nodes[0].engine.wishes[STRANGER.address] = True
    voted = chain.add(nodes[0].make(chain, chain.genesis))
    councils = [nodes[0].engine.council(header, chain).authorities for header in (plain, voted)]
    assert councils == [(KEYS[0].address,), tuple(sorted((KEYS[0].address, STRANGER.address)))]


def test_the_last_authority_stays() -> None:
    chain, nodes = Chain(), network(1)
    own = KEYS[0].address
    nodes[0].engine.wishes[own] = False
    assert nodes[0].make(chain).claim == b""
    vote = nodes[0].make(chain, claim=encode_vote(own, admit=False))
    assert refusal(nodes[0].engine, vote, chain) == "its vote would remove the last authority"


@pytest.mark.parametrize(
    "claim", [b"\1", b"\xc0", encode_vote(bytes(19), admit=True), encode_vote(bytes(20), admit=True)[:-1] + b"\2"]
)
def test_a_claim_that_is_no_vote_is_refused(claim: bytes) -> None:
    chain, nodes = Chain(), network(1)
    assert refusal(nodes[0].engine, nodes[0].make(chain, claim=claim), chain) == "its claim is no vote"


A, B, C, D = (bytes([letter]) * 20 for letter in range(4))


def test_a_vote_may_be_changed_until_it_counts() -> None:
    council = Council((A, B, C)).sealed(A, Vote(A, D, admit=True)).sealed(A, Vote(A, D, admit=True))
    assert council.votes == (Vote(A, D, admit=True),)
    withdrawn = council.sealed(A, Vote(A, D, admit=False))
    assert withdrawn.votes == ()
    assert withdrawn.sealed(B, Vote(B, D, admit=True)).authorities == (A, B, C)
    assert council.sealed(B, Vote(B, D, admit=True)).authorities == (A, B, C, D)


def test_votes_of_a_removed_authority_fall_away() -> None:
    council = Council((A, B, C)).sealed(C, Vote(C, D, admit=True))
    for voter in (A, B):
        council = council.sealed(voter, Vote(voter, C, admit=False))
    assert council == Council((A, B), (), (B, A))
    assert council.sealed(A, Vote(A, D, admit=True)).authorities == (A, B)


VOTES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.booleans()), max_size=60)


@given(VOTES)
def test_only_majorities_of_authorities_change_the_council(ballots: list[tuple[int, int, bool]]) -> None:
    names = [bytes([letter]) * 20 for letter in range(6)]
    council = Council(tuple(names[:3]))
    for voter, candidate, admit in ((names[voter], names[other], admit) for voter, other, admit in ballots):
        if voter not in council.authorities or (not admit and council.authorities == (candidate,)):
            continue
        before, council = council, council.sealed(voter, Vote(voter, candidate, admit=admit))
        agreeing = {vote.voter for vote in before.votes if vote.candidate == candidate} | {voter}
        passes = admit != (candidate in before.authorities) and 2 * len(agreeing) > len(before.authorities)
        assert set(council.authorities) ^ set(before.authorities) == ({candidate} if passes else set())
        assert council.authorities == tuple(sorted(council.authorities)) != ()
        assert {vote.voter for vote in council.votes} <= set(council.authorities)
        assert len({(vote.voter, vote.candidate) for vote in council.votes}) == len(council.votes)
        assert all(vote.admit != (vote.candidate in council.authorities) for vote in council.votes)
        assert len(council.resting()) <= len(council.authorities) // 2
