"""Votes without a restart: asked by the operator, kept in the file, counted by all, followed by the nodes' doors."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from door_cases import Door
from network_cases import GENESIS, MEMBERS, Network, rota

from commonwatt.errors import LedgerError
from commonwatt.ledger.network import votes
from commonwatt.ledger.network.consensus.hash_chain import HashChain
from commonwatt.ledger.network.consensus.poa import Poa
from commonwatt.ledger.network.consensus.pos import Pos, Rules
from commonwatt.ledger.network.consensus.stake import Entry
from commonwatt.ledger.network.driver import Driver
from commonwatt.ledger.network.machine import Machine
from commonwatt.ledger.network.messages import Status, encode
from commonwatt.ledger.network.tree import Tree
from commonwatt.ledger.network.wire import Wire, pack
from commonwatt.ledger.readers import HEADER, signed_header
from commonwatt.proof import Key, checksum_address

FIFTH, SIXTH = Key.derive(b"votes", "fifth"), Key.derive(b"votes", "sixth")
HOST = "127.0.0.1:8545"


def council(*keys: Key) -> Poa:
    return Poa([key.address for key in keys or MEMBERS], period=5)


def poa(tree: Tree) -> Poa:
    assert isinstance(tree.engine, Poa)
    return tree.engine


def standing(machine: Machine) -> Any:
    tree = machine.tree
    return poa(tree).council(tree.past.header(tree.head.hash), tree.past)


@pytest.fixture
def machine() -> Machine:
    """An authority of four, which does not seal by itself."""
    machine = Machine(Tree(None, GENESIS, council()), MEMBERS[0], lambda _: None)
    machine.sealing = False
    return machine


@pytest.fixture
def client(machine: Machine) -> Iterator[Door]:
    driver = Driver(machine, Wire(MEMBERS[0], machine.tree.genesis), set(), [], lambda _: None)
    with Door(driver, HOST) as client:
        yield client


def asked(client: Door, table: object, key: Key = MEMBERS[0], **changes: Any) -> httpx.Response:
    body = json.dumps(table).encode()
    signed: dict[str, Any] = {"host": HOST, "body": body, "now": int(time.time())} | changes
    return client.post("/vote", content=body, headers={HEADER: signed_header(key, **signed)})


def test_the_operator_votes_while_the_node_runs(machine: Machine, client: Door) -> None:
    answer = asked(client, {"admit": f"0x{FIFTH.address.hex()}"})
    assert answer.status_code == 200
    name = checksum_address(FIFTH.address)
    assert answer.json()["message"] == (
        f"This node votes to admit with its next block. {name} is no authority; 0 of the 3 votes to change that are on "
        "the chain."
    )
    assert poa(machine.tree).wishes == {FIFTH.address: True}
    assert asked(client, {"remove": f"0x{MEMBERS[2].address.hex()}"}).status_code == 200
    answer = asked(client, {"withdraw": f"0x{FIFTH.address.hex()}"})
    assert answer.json()["message"].startswith("This node takes its vote back with its next block.")
    assert poa(machine.tree).wishes == {FIFTH.address: None, MEMBERS[2].address: False}


@pytest.mark.parametrize(
    ("table", "cause"),
    [
        ({}, "needs one of"),
        ({"admit": "0x12"}, "needs one of"),
        ({"admit": None}, "needs one of"),
        ({"admit": f"0x{'11' * 20}", "remove": f"0x{'22' * 20}"}, "needs one of"),
        ({"elect": f"0x{'11' * 20}"}, "needs one of"),
        ({"admit": [f"0x{'11' * 20}"]}, "needs one of"),
        ([], "is no table of JSON"),
    ],
)
def test_a_vote_that_is_none_is_refused(machine: Machine, client: Door, table: object, cause: str) -> None:
    answer = asked(client, table)
    assert (answer.status_code, cause in answer.json()["message"]) == (400, True)
    assert poa(machine.tree).wishes == {}


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (b'{"admit": "0x%s", "admit": "0x%s"}' % (b"11" * 20, b"22" * 20), "'admit' stands there twice"),
        (b'{"admit": NaN}', "NaN is no number"),
        (b'{"admit": ' + b"[" * 1000, "nested more than 64 deep"),
        (b'{"admit": ' + b"9" * 1000 + b"}", "more than 78 digits"),
    ],
)
def test_a_request_that_reads_differently_elsewhere_is_refused(
    machine: Machine, client: Door, body: bytes, cause: str
) -> None:
    header = {HEADER: signed_header(MEMBERS[0], HOST, body, int(time.time()))}
    for path in ("/vote", "/add_transaction", "/connect_node"):
        answer = client.post(path, content=body, headers=header)
        assert (answer.status_code, cause in answer.json()["message"]) == (400, True)
    assert poa(machine.tree).wishes == {}


def test_nobody_but_the_operator_votes(machine: Machine, client: Door) -> None:
    table = {"admit": f"0x{FIFTH.address.hex()}"}
    refused = [
        asked(client, table, key=MEMBERS[1]),  # another authority
        asked(client, table, host="127.0.0.1:9999"),  # signed for another node
        asked(client, table, body=b"{}"),
        asked(client, table, now=int(time.time()) - 3600),
        client.post("/vote", json=table),
    ]
    assert [answer.status_code for answer in refused] == [400] * 5
    body = json.dumps(table).encode()
    header = {HEADER: signed_header(MEMBERS[0], HOST, body, int(time.time()))}
    page = client.post("/vote", content=body, headers={**header, "origin": "https://evil.example"})
    assert page.status_code == 403
    assert poa(machine.tree).wishes == {}
    assert client.post("/vote", content=body, headers=header).status_code == 200
    again = client.post("/vote", content=body, headers=header)
    assert "used before" in again.json()["message"]


def test_votes_are_remembered_across_restarts(tmp_path: Path) -> None:
    path = tmp_path / "chain.sqlite"
    for candidate, wish in ((FIFTH, True), (SIXTH, False), (FIFTH, None), (SIXTH, True)):
        tree = Tree(path, GENESIS, council())
        votes.recall(tree, {})
        before = dict(poa(tree).wishes)
        votes.vote(tree, candidate.address, wish)
        expected = before | {candidate.address: wish}
        tree.close()
        again = Tree(path, GENESIS, council())
        votes.recall(again, {})
        assert poa(again).wishes == expected
        again.close()
    assert expected == {FIFTH.address: None, SIXTH.address: True}


def test_there_are_no_votes_where_nobody_is_an_authority() -> None:
    with pytest.raises(LedgerError, match="There are no votes in a network by rota"):
        votes.vote(Tree(None, GENESIS, rota()), FIFTH.address, admit=True)


def test_a_node_votes_on_so_many_addresses_and_no_more() -> None:
    tree = Tree(None, GENESIS, council())
    poa(tree).wishes.update({number.to_bytes(20, "big"): True for number in range(1000)})
    votes.vote(tree, (5).to_bytes(20, "big"), admit=False)
    with pytest.raises(LedgerError, match="at most 1000"):
        votes.vote(tree, FIFTH.address, admit=True)


def test_a_vote_that_is_taken_back_stands_no_more_and_does_not_turn_into_its_opposite() -> None:
    net = Network(lambda _: council(), keys=MEMBERS)
    first = net.machines[MEMBERS[0].address].tree
    votes.vote(first, FIFTH.address, admit=True)
    net.run(40)
    assert [vote.voter for vote in standing(next(iter(net))).votes] == [MEMBERS[0].address]
    votes.vote(first, FIFTH.address, admit=None)
    net.run(40)
    assert standing(next(iter(net))).votes == ()
    for key in MEMBERS[1:]:
        votes.vote(net.machines[key.address].tree, FIFTH.address, admit=True)
    net.run(60)
    assert FIFTH.address in standing(next(iter(net))).authorities
    assert standing(next(iter(net))).votes == ()  # who took its vote back does not vote for the removal


def test_a_vote_that_is_turned_round_is_taken_back() -> None:
    net = Network(lambda _: council(), keys=MEMBERS)
    first = net.machines[MEMBERS[0].address].tree
    votes.vote(first, FIFTH.address, admit=True)
    net.run(40)
    votes.vote(first, FIFTH.address, admit=False)
    net.run(40)
    assert standing(next(iter(net))).votes == ()


def test_an_authority_by_vote_is_listened_to_by_those_who_did_not_vote_for_it() -> None:
    net = Network(lambda _: council(), keys=MEMBERS)
    third = net.machines[MEMBERS[3].address]
    assert FIFTH.address not in third.nodes
    for key in MEMBERS[:3]:
        votes.vote(net.machines[key.address].tree, FIFTH.address, admit=True)
    net.run(60)
    assert FIFTH.address in third.nodes
    driver = Driver(third, Wire(MEMBERS[3], third.tree.genesis), set(), [], lambda _: None)
    envelope = Wire(FIFTH, third.tree.genesis).wrap(MEMBERS[3].address, encode(Status(bytes(32), 0, 0)), time.time())
    third.sealing = False
    with Door(driver) as door:
        assert door.post("/gossip", content=pack([envelope])).status_code == 200
        stranger = Wire(SIXTH, third.tree.genesis).wrap(MEMBERS[3].address, b"", time.time())
        assert door.post("/gossip", content=pack([stranger])).status_code == 403


def test_members_by_the_table_are_listened_to() -> None:
    chains = {key.address: HashChain.derive(key, length=8) for key in MEMBERS[:2]}
    rules = Rules(b"\x04" * 32, {address: Entry(chain.tip, 1) for address, chain in chains.items()})
    machine = Machine(Tree(None, GENESIS, Pos(rules)), None, lambda _: None)
    machine.allowed = {SIXTH.address}
    assert machine.nodes == {*chains, SIXTH.address}
