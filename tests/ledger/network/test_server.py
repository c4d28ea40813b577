"""A node over HTTP: envelopes, the five verbs, and who is not answered."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import rlp
from network_cases import ALICE, GENESIS, MEMBERS, Rota, transfer

from commonwatt.ledger.network.driver import Driver
from commonwatt.ledger.network.machine import Machine
from commonwatt.ledger.network.messages import Status, Transactions, decode, encode
from commonwatt.ledger.network.server import application
from commonwatt.ledger.network.tree import Tree
from commonwatt.ledger.network.wire import MAX_BODY_BYTES, Wire, pack, unpack
from commonwatt.proof import Key, checksum_address

READER, STRANGER = Key.derive(b"server tests", "reader"), Key.derive(b"server tests", "stranger")


class Node:
    """A node and a client of it in one event loop, which runs while the client waits for an answer."""

    def __init__(self, **where: Any) -> None:
        self.log: list[str] = []
        engine = Rota([MEMBERS[0].address], period=1)
        self.machine = Machine(Tree(None, GENESIS, engine), MEMBERS[0], self.log.append)
        self.machine.sealing = False
        wire = Wire(MEMBERS[0], self.machine.tree.genesis)
        self.driver = Driver(self.machine, wire, {READER.address}, [], self.log.append)
        transport = httpx.ASGITransport(application(self.driver), **{"client": ("127.0.0.1", 50_000), **where})
        self._client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8545")
        self._runner = asyncio.Runner()
        self._runner.run(self.driver.__aenter__())

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self._runner.run(self._client.get(path, **options))

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self._runner.run(self._client.post(path, **options))

    def close(self) -> None:
        self._runner.run(self._client.aclose())
        self._runner.run(self.driver.__aexit__())
        self._runner.close()


@pytest.fixture
def node() -> Iterator[Node]:
    node = Node()
    yield node
    node.close()


def test_a_node_says_who_it_is(node: Node) -> None:
    found = node.get("/node").json()
    assert found["address"] == f"0x{MEMBERS[0].address.hex()}"
    assert found["genesis"] == f"0x{node.machine.tree.genesis.hex()}"
    assert found["consensus"] == "rota"


def test_a_peer_without_a_url_is_answered_when_it_asks(node: Node) -> None:
    wire = Wire(READER, node.machine.tree.genesis)
    status = wire.wrap(MEMBERS[0].address, encode(Status(b"\x55" * 32, 0, 0)), time.time())
    given = wire.wrap(MEMBERS[0].address, encode(Transactions((transfer(0),))), time.time())
    answer = node.post("/gossip", content=pack([status, given]))
    assert answer.status_code == 200
    opened = [wire.open(each, {MEMBERS[0].address}, time.time()) for each in unpack(answer.content)]
    assert decode(opened[0][1]) == node.machine.status()
    assert len(node.machine.pool) == 1
    assert node.get("/status").json()["peers"] == [checksum_address(READER.address)]


def test_what_is_no_envelope_of_a_node_is_refused(node: Node) -> None:
    good = Wire(READER, node.machine.tree.genesis)
    cases = [
        (b"", "holds no envelopes"),
        (b"\xc1" * 3000, "holds no envelopes"),
        (pack([b"x"]), "no envelope"),
        (pack([Wire(STRANGER, node.machine.tree.genesis).wrap(MEMBERS[0].address, b"", time.time())]), "is not a node"),
        (pack([Wire(READER, bytes(32)).wrap(MEMBERS[0].address, b"", time.time())]), "another genesis"),
        (pack([good.wrap(STRANGER.address, b"", time.time())]), "for another node"),
    ]
    for body, cause in cases:
        answer = node.post("/gossip", content=body)
        assert answer.status_code == 403
        assert cause in answer.text
    assert node.post("/gossip", content=bytes(MAX_BODY_BYTES + 1)).status_code == 413
    envelope = pack([good.wrap(MEMBERS[0].address, encode(node.machine.status()), time.time())])
    assert node.post("/gossip", content=envelope).status_code == 200
    assert "opened before" in node.post("/gossip", content=envelope).text
    rubbish = pack([good.wrap(MEMBERS[0].address, b"rubbish", time.time())])
    assert node.post("/gossip", content=rubbish).status_code == 200
    assert "dropped peer" in node.log[-1]
    again = pack([good.wrap(MEMBERS[0].address, encode(node.machine.status()), time.time())])
    assert "is not listened to for a while" in node.post("/gossip", content=again).text


def test_the_five_verbs(node: Node) -> None:
    raw = transfer(0, wei=7)
    answer = node.post("/add_transaction", json={"raw": f"0x{raw.hex()}"})
    assert answer.status_code == 201
    hash_ = answer.json()["hash"]
    assert node.get("/get_chain").json()["length"] == 1  # it waits until a block is mined
    mined = node.get("/mine_block").json()
    assert mined["index"] == 1
    assert mined["miner"] == checksum_address(MEMBERS[0].address)
    (traded,) = mined["transactions"]
    assert traded == {
        "hash": hash_, "sender": checksum_address(ALICE.address), "receiver": checksum_address(b"\x11" * 20),
        "amount": "7",
    }  # fmt: skip
    chain = node.get("/get_chain").json()
    assert chain["length"] == 2
    assert [block["index"] for block in chain["chain"]] == [0, 1]
    assert chain["chain"][1]["previous_hash"] == chain["chain"][0]["hash"]
    assert node.get("/get_chain", params={"first": "2"}).json() == {"chain": [], "length": 2}
    assert node.get("/replace_chain").json()["replaced"] is False
    refused = node.get("/mine_block")  # its period has not passed
    assert refused.status_code in (200, 409)
    assert node.get("/status").json()["block"] == refused.json().get("index", 1)


@pytest.mark.parametrize(
    ("path", "body", "cause"),
    [
        ("/add_transaction", b"", "no table of JSON"),
        ("/add_transaction", b"[" * 100_000, "no table of JSON"),
        ("/add_transaction", b"{}", 'needs "raw"'),
        ("/add_transaction", b'{"raw": "0xzz"}', 'needs "raw"'),
        ("/add_transaction", b'{"raw": "0x02"}', "not a signed Ethereum transaction"),
        ("/add_transaction", b" " * (1 << 20) + b"{}", "is longer than"),
        ("/connect_node", b"{}", 'needs "nodes"'),
        ("/connect_node", b'{"nodes": [5]}', "There is no node at 5"),
        ("/connect_node", b'{"nodes": ["http://127.0.0.1:1"]}', "There is no node at http://127.0.0.1:1"),
        ("/connect_node", b'{"nodes": []}', 'needs "nodes"'),
    ],
)
def test_requests_that_are_wrong_are_told_why(node: Node, path: str, body: bytes, cause: str) -> None:
    answer = node.post(path, content=body)
    assert answer.status_code == 400
    assert cause in answer.json()["message"]
    assert node.get("/get_chain?first=-1").status_code == 400


@pytest.mark.parametrize("verb", ["status", "get_chain", "mine_block", "replace_chain"])
def test_the_verbs_are_for_programs_on_this_machine(node: Node, verb: str) -> None:
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}, {"host": "evil.example"}):
        assert node.get(f"/{verb}", headers=headers).status_code == 403
    other = Node(client=("10.0.0.9", 1))
    assert other.get(f"/{verb}").status_code == 403
    assert other.get("/node").status_code == 200
    other.close()


def test_a_node_whose_file_fails_stops_with_the_reason(node: Node) -> None:
    stopped: list[bool] = []
    node.driver.on_failure = lambda: stopped.append(True)
    node.machine.tree._store._file.close()
    wire = Wire(READER, node.machine.tree.genesis)
    forged = rlp.encode([b"get", b"\1", [b"\x11" * 32]])
    node.post("/gossip", content=pack([wire.wrap(MEMBERS[0].address, forged, time.time())]))
    assert stopped
    assert "cannot be used as a chain" in str(node.driver.failure)


def test_strange_bodies_are_refused_and_the_node_goes_on(node: Node) -> None:
    """Random bytes, and a good envelope with changed bytes, from anybody."""
    rng = random.Random(5)  # noqa: S311
    good = Wire(READER, node.machine.tree.genesis)
    for number in range(1000):
        body = rng.randbytes(rng.randrange(200))
        if number % 2:
            changed = bytearray(pack([good.wrap(MEMBERS[0].address, encode(node.machine.status()), time.time())]))
            changed[rng.randrange(len(changed))] ^= rng.randrange(1, 256)
            body = bytes(changed)
        assert node.post("/gossip", content=body).status_code == 403
    assert node.driver.failure is None
    body = pack([good.wrap(MEMBERS[0].address, encode(node.machine.status()), time.time())])
    assert node.post("/gossip", content=body).status_code == 200
