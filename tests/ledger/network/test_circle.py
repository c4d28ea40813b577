"""Nodes that answer active members and take their transactions: the circle, the pool, and a real node over HTTP."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from commands import Commands
from ledger_cases import ETHER
from network_cases import MEMBERS as SEALERS
from network_cases import START, Network, grow, rota, transfer
from node_processes import free_port, node_at, reach
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from commonwatt.errors import LedgerError
from commonwatt.ledger.chain.evm import Genesis, decode
from commonwatt.ledger.client.abi import COMMUNITY, contract
from commonwatt.ledger.keyfile import read_key
from commonwatt.ledger.network.circle import Circle
from commonwatt.ledger.network.machine import Machine
from commonwatt.ledger.network.outbox import Outgoing
from commonwatt.ledger.network.pool import Pool
from commonwatt.ledger.network.tree import Tree
from commonwatt.ledger.node import ZERO_ADDRESS, CallReverted
from commonwatt.ledger.readers import HEADER, signed_header
from commonwatt.ledger.remote import RemoteNode
from commonwatt.ledger.wallet import created_address, sign_transaction
from commonwatt.proof import Domain, Key, sign
from commonwatt.records import Recovery, Standing

OPERATOR, STRANGER, NEW = (Key.derive(b"circle", name) for name in ("operator", "stranger", "new"))
PEOPLE = [Key.derive(b"circle", f"person {number}") for number in range(3)]
EVERYBODY = [OPERATOR, STRANGER, NEW, *PEOPLE]
GENESIS = Genesis(
    2024, {key.address: 100 * ETHER for key in EVERYBODY}, START, gas_limit=20_000_000, extra_data=b"circle"
)
PLACE = created_address(OPERATOR.address, 0)
FAR = START + 10**7


def registered() -> bytes:
    accounts = [key.address for key in PEOPLE]
    return contract(COMMUNITY).functions["register"].encode(accounts, [ZERO_ADDRESS] * 3, [1] * 3)


def standing(member: int, nonce: int, operator: Key = OPERATOR, *, place: bytes = PLACE, active: bool) -> bytes:
    record = Standing(member, int(active), nonce)
    signature = sign(Domain(2024, place), record, operator).signature
    return contract(COMMUNITY).functions["setStanding"].encode((member, int(active), nonce), [signature])


def signed(key: Key, nonce: int, data: bytes, to: bytes = PLACE, gas: int = 300_000) -> bytes:
    return sign_transaction(key, chain_id=2024, nonce=nonce, to=to, data=data, gas=gas, max_fee=100)


def founded(*trees: Tree) -> None:
    """A community of three members on each tree."""
    creation = signed(OPERATOR, 0, contract(COMMUNITY).creation([OPERATOR.address], 1, bytes(32)), b"", 8_000_000)
    block = grow(trees[0], creation, signed(OPERATOR, 1, registered(), gas=2_000_000))
    for tree in trees[1:]:
        tree.add(block, FAR)


def new_tree() -> Tree:
    return Tree(None, GENESIS, rota())


def asked(tree: Tree, view: str, account: bytes) -> bool:
    """What the contract's own code says."""
    function = contract(COMMUNITY).functions[view]
    try:
        found = function.outputs.decode(tree.call(PLACE, function.encode(account)))
    except CallReverted:
        return False
    return view != "isOperator" or bool(found[0])


def test_the_circle_is_what_the_contract_says() -> None:
    tree, rng = new_tree(), random.Random(6)  # noqa: S311
    circle = Circle(tree, PLACE)
    assert not circle.there
    assert not any(circle.acts(key.address) for key in EVERYBODY)
    founded(tree)
    assert circle.there
    nonces, out = [0, 0, 0], set[int]()
    seen = set()
    for step in range(30):
        member = rng.randrange(3)
        if step == 9:
            recovery = Recovery(1, NEW.address, nonces[1])
            fields = 1, NEW.address, nonces[1]
            signature = sign(Domain(2024, PLACE), recovery, OPERATOR).signature
            data = contract(COMMUNITY).functions["startRecovery"].encode(fields, [signature])
            nonces[1] += 1
        elif step == 20:
            data = contract(COMMUNITY).functions["recover"].encode(1)
        else:
            data = standing(member, nonces[member], active=member in out)
            nonces[member] += 1
            out ^= {member}
        # Eight days, so that the account can be replaced.
        at = tree.head.timestamp + 8 * 86_400 if step == 19 else None
        grow(tree, signed(OPERATOR, tree.nonce(OPERATOR.address), data), at=at)
        for key in EVERYBODY:
            active, operates = (asked(tree, view, key.address) for view in ("activeMemberOf", "isOperator"))
            assert (circle.active(key.address), circle.acts(key.address)) == (active, active or operates)
            seen.add((key.address, active))
    assert {(NEW.address, True), (NEW.address, False), (PEOPLE[1].address, False)} <= seen
    assert not circle.active(ZERO_ADDRESS)


def test_the_circle_follows_the_chain_to_another_branch() -> None:
    one, two, node = (new_tree() for _ in range(3))
    founded(one, two, node)
    circle, member = Circle(node, PLACE), PEOPLE[0].address
    assert circle.active(member)
    suspended = grow(one, signed(OPERATOR, 2, standing(0, 0, active=False)), key=SEALERS[0])
    node.add(suspended, FAR)
    assert not circle.active(member)
    better = [grow(two), grow(two)]
    for block in better:
        node.add(block, FAR)
    assert node.head.hash == two.head.hash
    assert circle.active(member)
    for _ in range(3):
        one_more = grow(one)
        node.add(one_more, FAR)
    assert node.head.hash == one.head.hash
    assert not circle.active(member)


def test_an_address_without_a_community_has_no_members() -> None:
    tree = new_tree()
    founded(tree)
    for place in (b"\x77" * 20, OPERATOR.address, ZERO_ADDRESS):
        circle = Circle(tree, place)
        assert not circle.there
        assert not any(circle.acts(key.address) for key in EVERYBODY)


def test_strangers_that_ask_take_no_memory() -> None:
    tree = new_tree()
    founded(tree)
    circle = Circle(tree, PLACE)
    for number in range(5_000):
        assert not circle.active(number.to_bytes(20, "big"))
    assert circle.active(PEOPLE[2].address)
    assert len(circle._active) < 4_097


# The pool


def test_a_pool_takes_members_only_and_offers_them_as_long_as_they_are() -> None:
    admitted = {PEOPLE[0].address, PEOPLE[1].address}
    pool = Pool(2024, 10_000_000)
    pool.admits = admitted.__contains__

    def account(_: bytes) -> tuple[int, int]:
        return 0, ETHER

    def offered() -> list[bytes]:
        return [queued.sender for queued in pool.best(7, set())]

    pool.add(decode(transfer(0, key=PEOPLE[0])), account, 7, 0)
    pool.add(decode(transfer(1, key=PEOPLE[0])), account, 7, 0)
    pool.add(decode(transfer(0, key=PEOPLE[1])), account, 7, 0)
    with pytest.raises(LedgerError, match=r"refused: this node takes none of 0x\w{40}, which is no active member"):
        pool.add(decode(transfer(0, key=STRANGER)), account, 7, 0)
    assert sorted(offered()) == sorted([PEOPLE[0].address] * 2 + [PEOPLE[1].address])
    admitted.remove(PEOPLE[0].address)
    assert offered() == [PEOPLE[1].address]
    with pytest.raises(LedgerError, match="no active member"):
        pool.add(decode(transfer(2, key=PEOPLE[0])), account, 7, 0)
    # What a block held that left the chain is not lost, and goes on when its sender is a member again.
    pool.put_back([decode(transfer(0, key=STRANGER))], account, 0)
    assert (len(pool), offered()) == (4, [PEOPLE[1].address])
    admitted |= {PEOPLE[0].address, STRANGER.address}
    assert sorted(offered()) == sorted([PEOPLE[0].address] * 2 + [PEOPLE[1].address, STRANGER.address])


def test_a_member_that_is_suspended_is_in_no_further_block_of_such_nodes() -> None:
    """Its transactions wait in the pools of all, and others seal them who take everybody's."""
    net = Network(rota(), genesis=GENESIS)
    first, second, third = net
    net.run(1)
    creation = signed(OPERATOR, 0, contract(COMMUNITY).creation([OPERATOR.address], 1, bytes(32)), b"", 8_000_000)
    for raw in (creation, signed(OPERATOR, 1, registered(), gas=2_000_000)):
        net.post(SEALERS[0].address, _submitted(first, raw, net.now))
    net.run(20)
    for machine in (first, second):
        machine.pool.admits = Circle(machine.tree, PLACE).acts
    net.post(SEALERS[0].address, _submitted(first, signed(OPERATOR, 2, standing(0, 0, active=False)), net.now))
    net.run(30)
    assert len(net.heads) == 1
    with pytest.raises(LedgerError, match="no active member"):
        first.submit(transfer(0, key=PEOPLE[0]), net.now)
    net.post(SEALERS[1].address, _submitted(second, transfer(0, key=PEOPLE[1]), net.now))
    third.sealing = False
    net.post(SEALERS[2].address, _submitted(third, transfer(0, key=PEOPLE[0]), net.now))
    net.run(60)
    assert [third.tree.nonce(key.address) for key in PEOPLE[:2]] == [0, 1]
    # Blocks are everybody's: one that holds such a transaction is as good as any.
    third.sealing = True
    net.run(60)
    assert (len(net.heads), first.tree.nonce(PEOPLE[0].address)) == (1, 1)


def _submitted(machine: Machine, raw: bytes, now: int) -> list[Outgoing]:
    machine.submit(raw, now)
    return machine.sent()


# A node over HTTP


class Wallets:
    """Requests to a node at a port, signed with one key or another."""

    def __init__(self, client: httpx.Client, port: int) -> None:
        self.client, self.port, self._ids = client, port, count(1)
        self.host = f"127.0.0.1:{port}"

    def body(self, method: str, *params: Any) -> bytes:
        return json.dumps({"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}).encode()

    def post(self, body: bytes, header: str | None) -> httpx.Response:
        headers = {"content-type": "application/json"} | ({HEADER: header} if header else {})
        return self.client.post(f"http://{self.host}/", content=body, headers=headers)

    def ask(self, key: Key, method: str, *params: Any) -> httpx.Response:
        body = self.body(method, *params)
        return self.post(body, signed_header(key, self.host, body, int(time.time())))

    def result(self, key: Key, method: str, *params: Any) -> Any:
        answer = self.ask(key, method, *params)
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert "error" not in found, found
        return found["result"]

    def send(self, asks: Key, raw: bytes) -> None:
        """Send a transaction, and wait until a block holds it."""
        hash_ = self.result(asks, "eth_sendRawTransaction", f"0x{raw.hex()}")
        deadline = time.monotonic() + 120
        while (receipt := self.result(asks, "eth_getTransactionReceipt", hash_)) is None:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert receipt["status"] == "0x1"


@pytest.fixture
def village(tmp_path: Path, asked: Callable[..., str]) -> Path:
    asked("init", tmp_path / "net", "--nodes", 1, "--period", 1)
    return tmp_path / "net"


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False) as client:
        yield client


def test_a_node_answers_and_takes_members_until_they_are_suspended(
    village: Path, client: httpx.Client, commands: Commands
) -> None:
    node, port = read_key(village / "node-1.key"), free_port()
    place = created_address(node.address, 0)
    log = village / "log"
    log.touch()
    options = "--rpc", "members", "--senders", "members", "--community", f"0x{place.hex()}"
    process = commands.start(node_at(village, port, *options), log)
    reach(client, port, 1)
    assert "there is no community at 0x" in log.read_text("utf-8")
    wallets, member = Wallets(client, port), PEOPLE[0]
    # As long as there is none, nodes found it; nobody else is known.
    assert wallets.ask(member, "eth_blockNumber").status_code == 401
    creation = contract(COMMUNITY).creation([node.address, OPERATOR.address], 1, bytes(32))
    wallets.send(node, signed(node, 0, creation, b"", 8_000_000))
    wallets.send(node, signed(node, 1, registered(), place, 2_000_000))
    rich = (member, OPERATOR, STRANGER)
    for number, key in enumerate(rich):
        raw = sign_transaction(
            node, chain_id=2024, nonce=2 + number, to=key.address, gas=21_000, value=ETHER, max_fee=100
        )
        wallets.send(node, raw)
    members_are_answered(wallets, member)
    headers_are_for_one_request(wallets, member)
    wallets.send(member, transfer(0, key=member))
    wallets.send(member, transfer(0, key=OPERATOR))
    refused = wallets.ask(member, "eth_sendRawTransaction", f"0x{transfer(0, key=STRANGER).hex()}").json()["error"]
    assert refused["code"] == -32000
    assert re.search(r"this node takes none of 0x\w{40}, which is no active member", refused["message"])
    signed_for_it = {HEADER: signed_header(member, wallets.host, b"", int(time.time()))}
    with connect(f"ws://{wallets.host}/", proxy=None, additional_headers=signed_for_it) as socket:
        socket.send(wallets.body("eth_blockNumber"))
        assert "result" in json.loads(socket.recv(60))
        suspension = standing(0, 0, node, place=place, active=False)
        wallets.send(node, signed(node, 5, suspension, place))
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(60)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
    answer = wallets.ask(member, "eth_blockNumber")
    assert (answer.status_code, "is not a reader of this node" in answer.text) == (401, True)
    answer = wallets.ask(node, "eth_sendRawTransaction", f"0x{transfer(1, key=member).hex()}")
    assert "which is no active member" in answer.json()["error"]["message"]
    assert wallets.ask(PEOPLE[1], "eth_blockNumber").status_code == 200
    wallets.send(node, signed(node, 6, standing(0, 1, node, place=place, active=True), place))
    assert wallets.ask(member, "eth_blockNumber").status_code == 200
    process.terminate()
    assert process.wait(60) == 0


def members_are_answered(wallets: Wallets, member: Key) -> None:
    for key in PEOPLE:
        assert int(wallets.result(key, "eth_blockNumber"), 16) > 0
    with closing(RemoteNode(f"http://{wallets.host}", reader=member)) as node:  # as the commands ask
        assert node.head.number > 0
    for stranger in (STRANGER, OPERATOR):
        answer = wallets.ask(stranger, "eth_blockNumber")
        assert (answer.status_code, "is not a reader of this node" in answer.text) == (401, True)
    answer = wallets.post(wallets.body("eth_blockNumber"), None)
    assert (answer.status_code, "answers known readers only" in answer.text) == (401, True)
    health = {HEADER: signed_header(member, wallets.host, b"", int(time.time()))}
    assert wallets.client.get(f"http://{wallets.host}/healthz", headers=health).status_code == 200
    assert wallets.client.get(f"http://{wallets.host}/healthz").status_code == 401


def headers_are_for_one_request(wallets: Wallets, member: Key) -> None:
    """Sent again, for another node, another time or another body, a header opens nothing."""
    body, now = wallets.body("eth_chainId"), int(time.time())
    header = signed_header(member, wallets.host, body, now)
    assert wallets.post(body, header).status_code == 200
    for given, told in (
        (header, "used before"),
        (signed_header(member, "127.0.0.1:1", body, now), "is not a reader of this node, or the signature"),
        (signed_header(member, wallets.host, body + b" ", now), "is not a reader of this node, or the signature"),
        (signed_header(member, wallets.host, body, now - 600), "is not within 60 seconds"),
        (signed_header(member, wallets.host, body, now + 600), "is not within 60 seconds"),
        (header.replace("0x", ""), "is not a time and a signature"),
    ):
        answer = wallets.post(body, given)
        assert (answer.status_code, told in answer.text) == (401, True), answer.text


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        (["--rpc", "members"], "community: says whose members"),
        (["--senders", "members"], "community: says whose members"),
        (["--senders", "members", "--community", "0x12"], "community: is an address, 0x and 40 digits, not '0x12'"),
    ],
)
def test_a_node_must_know_whose_members(
    village: Path, asked: Callable[..., str], options: list[str], cause: str
) -> None:
    own = ["--key", village / "node-1.key", "--file", village / "none.db"]
    assert cause in asked("node", village / "genesis.json", *own, *options, code=2)
    assert not (village / "none.db").exists()
