"""Three nodes on one machine, step by step: trades, a partition that heals, a forged block that is refused.

The nodes are processes of their own that know each other by URL. The third one is reached, and reaches the others,
through relays of the demo, which is where its wires are cut.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import rlp
from eth.db.trie import make_trie_root_and_nodes

from commonwatt.errors import LedgerError
from commonwatt.ledger.chain.reader import Reader
from commonwatt.ledger.chain.store import Store
from commonwatt.ledger.client.abi import COMMUNITY, TOKEN, contract
from commonwatt.ledger.client.quorum import mint
from commonwatt.ledger.network.block import encode_block
from commonwatt.ledger.network.genesis import read
from commonwatt.ledger.network.messages import NewBlock, encode
from commonwatt.ledger.network.relay import Relays
from commonwatt.ledger.network.setup import GENESIS_FILE, consensus_table, new_key, new_network, write_key
from commonwatt.ledger.network.verify import verify
from commonwatt.ledger.network.wire import Wire, pack
from commonwatt.ledger.wallet import created_address, sign_transaction
from commonwatt.proof import Domain, Key, checksum_address, sign
from commonwatt.records import Mint

_HOST = "127.0.0.1"
_CHAIN_ID = 2024
_WAYS: dict[str, tuple[str, int, dict[str, Any]]] = {
    "poa": ("authority", 1, {}),
    "pow": ("work", 2, {"hashes": 300_000}),
    "pos": ("stake", 1, {"secrets": 4096}),
}
"""What each way proves, its period [s], and what suits a minute on one machine."""
_PATIENCE = 120.0
_PAID_IN = 100_000_000
_PRICE = 200_000
"""Micro-currency per kWh."""

Say = Callable[[str], None]


def demo(kind: str, say: Say) -> None:
    """Show a network by one consensus. Raises LedgerError when a step does not come about."""
    what, period, _ = _WAYS[kind]
    with tempfile.TemporaryDirectory() as name, _nodes(Path(name), kind) as nodes:
        say(f"three nodes agree by proof of {what}, a block every {period} s or so:")
        for node in nodes.all:
            say(f"  {node.name} = {checksum_address(node.key.address)} at {node.url}")
        _wait("all nodes hear each other", lambda: all(len(node.status()["peers"]) >= 2 for node in nodes.all))
        market = _Market(nodes, say)
        market.open()
        market.ten_trades()
        _partition(nodes, market, say)
        _forgery(nodes, say)
        nodes.stop()
        for node in nodes.all:
            found = verify(node.file, read(nodes.genesis))
            say(
                f"{node.name}'s file is proved: {found.blocks} blocks, {found.transactions} transactions executed again"
            )


class _Node:
    """One process, with the file that it writes."""

    def __init__(self, folder: Path, number: int, key: Key, port: int, client: httpx.Client) -> None:
        self.name = f"node {number}"
        self.key, self.port = key, port
        self.url = f"http://{_HOST}:{port}"
        self.file, self.log = folder / f"node-{number}.sqlite", folder / f"node-{number}.log"
        self._client = client
        self._reader: Reader | None = None

    def start(self, genesis: Path, peers: Sequence[str]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "commonwatt.cli", "chain", "node", str(genesis)]
        command += ["--key", str(self.log.with_suffix(".key")), "--file", str(self.file)]
        command += ["--listen", f"{_HOST}:{self.port}", *(word for peer in peers for word in ("--peer", peer))]
        with self.log.open("wb") as log:
            return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)  # noqa: S603 (our own command)

    def status(self) -> dict[str, Any]:
        try:
            return dict(self._client.get(f"{self.url}/status").json())
        except (httpx.HTTPError, ValueError):
            return {"peers": [], "block": -1, "hash": ""}

    def submit(self, raw: bytes) -> None:
        answer = self._client.post(f"{self.url}/add_transaction", json={"raw": f"0x{raw.hex()}"})
        if answer.is_error:
            raise LedgerError(answer.json()["message"])

    def gossip(self, envelope: bytes) -> None:
        self._client.post(f"{self.url}/gossip", content=pack([envelope]))

    def lines(self, part: str) -> list[str]:
        return [line for line in self.log.read_text("utf-8").splitlines() if part in line]

    def reader(self) -> Reader:
        self._reader = self._reader or Reader(Store(self.file, read_only=True), self.name)
        self._reader.step()
        return self._reader


class _Nodes:
    """The three of them, and the wires of the third."""

    def __init__(self, folder: Path, kind: str) -> None:
        keys = [new_key() for _ in range(3)]
        self.forger = new_key()
        self.genesis = folder / GENESIS_FILE
        addresses = [checksum_address(key.address) for key in keys]
        _, period, more = _WAYS[kind]
        table = consensus_table(kind, period, keys, **more)
        document = {
            "chain_id": _CHAIN_ID, "time": int(time.time()), "consensus": table, "members": addresses,
            "readers": [checksum_address(self.forger.address)], "balances": dict.fromkeys(addresses, str(10**21)),
        }  # fmt: skip
        new_network(folder, document, [])
        self.client = client = httpx.Client(trust_env=False, timeout=30)
        self.all = [_Node(folder, number, key, _free_port(), client) for number, key in enumerate(keys, 1)]
        for node in self.all:
            write_key(node.log.with_suffix(".key"), node.key)
        self.wires = Relays([node.port for node in self.all])
        first, second, third = (f"http://{_HOST}:{port}" for port in self.wires.ports)
        peers = [[self.all[1].url, third], [self.all[0].url, third], [first, second]]
        self._processes = [node.start(self.genesis, urls) for node, urls in zip(self.all, peers, strict=True)]

    def stop(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(10)

    def agree(self) -> bool:
        return len({node.reader().head.hash for node in self.all}) == 1


class _Market:
    """A community's money and its trades."""

    def __init__(self, nodes: _Nodes, say: Say) -> None:
        self._nodes, self._say = nodes, say
        self._keys = [node.key for node in nodes.all]
        self._nonces = [0, 0, 0]
        self._mints = 0
        community = created_address(self._keys[0].address, 0)
        self._token = created_address(self._keys[0].address, 1)
        operators = [self._keys[0].address]
        self._contracts = [
            contract(COMMUNITY).creation(operators, 1, bytes(32)),
            contract(TOKEN).creation(community, "Community money", "EUR"),
        ]
        self._owned = [_PAID_IN] * 3

    def open(self) -> None:
        """Create the contracts and pay in for each home."""
        for code in self._contracts:
            self._send(0, b"", code, 7_000_000)
        for key in self._keys:
            self._send(0, self._token, self._minted(key.address), 200_000)
        self._settled("the community's money is on the chain")
        self._say(f"the community's money is a contract on the chain; each home paid in {_money(_PAID_IN)}")

    def ten_trades(self) -> None:
        """Each trade is sent to the buyer's node."""
        for number in range(10):
            self.trade(number % 3, (number + 1 + number % 2) % 3, 500 + 100 * number)
        self._settled("ten trades are paid on all nodes")
        self._say(f"all nodes have the ten trades at block {self._nodes.all[0].reader().head.number}")

    def trade(self, buyer: int, seller: int, wh: int) -> None:
        """A home pays another one for its energy."""
        price = wh * _PRICE // 1000
        self._send(buyer, self._token, self._call("transfer", self._keys[seller].address, price))
        self._owned[buyer] -= price
        self._owned[seller] += price
        self._say(f"  home {buyer + 1} buys {wh} Wh from home {seller + 1} for {_money(price)}")

    def settled(self) -> bool:
        """Whether every node's chain holds all trades."""
        return self._nodes.agree() and all(self._balances(node) == self._owned for node in self._nodes.all)

    def _settled(self, what: str) -> None:
        _wait(what, self.settled)

    def _balances(self, node: _Node) -> list[int]:
        reader = node.reader()
        if not reader.code(self._token):
            return []
        found = (reader.call(self._token, self._call("balanceOf", key.address)) for key in self._keys)
        return [int.from_bytes(value, "big") for value in found]

    def _minted(self, account: bytes) -> bytes:
        """What a home paid in, issued by the only operator."""
        domain, operator = Domain(_CHAIN_ID, self._token), self._keys[0]
        issue = Mint(account, _PAID_IN, self._mints)
        self._mints += 1
        return mint(domain, issue, [sign(domain, issue, operator).signature])

    def _call(self, function: str, *values: object) -> bytes:
        return contract(TOKEN).functions[function].encode(*values)

    def _send(self, sender: int, to: bytes, data: bytes, gas: int = 100_000) -> None:
        nonce = self._nonces[sender]
        raw = sign_transaction(self._keys[sender], chain_id=_CHAIN_ID, nonce=nonce, to=to, data=data, gas=gas)
        self._nodes.all[sender].submit(raw)
        self._nonces[sender] += 1


def _partition(nodes: _Nodes, market: _Market, say: Say) -> None:
    first, _, third = nodes.all
    before = first.reader().head.number
    nodes.wires.cut()
    say("the wires of node 3 are cut; trades go on at both sides:")
    market.trade(0, 1, 1000)
    market.trade(2, 1, 1000)
    _wait("the nodes have different chains", lambda: first.reader().head.number >= before + 3 and not nodes.agree())
    ends = [f"{node.name} at block {node.reader().head.number}" for node in nodes.all]
    say(f"  {', '.join(ends)}: the two sides do not have the same chain")
    nodes.wires.heal()
    _wait("the chains are one again, with all trades", market.settled)
    say(f"the wires are back: one chain, block {third.reader().head.number}, and no trade was lost")


def _forgery(nodes: _Nodes, say: Say) -> None:
    """A block without its last trade, with its real seal, sent by a key that the nodes listen to."""
    reader = nodes.all[0].reader()
    headers = (reader.header(number) for number in range(reader.head.number, 0, -1))
    header = next(header for header in headers if reader.transactions(header))
    kept = reader.transactions(header)[:-1]
    forged = header.copy(transaction_root=make_trie_root_and_nodes(kept)[0])
    block = encode_block(rlp.encode(forged), [signed.encode() for signed in kept], reader.withdrawals(header))
    wire = Wire(nodes.forger, reader.header(0).hash)
    say(f"somebody takes a trade out of block {header.block_number} and sends the rest with the block's own seal:")
    for node in nodes.all:
        envelope = wire.wrap(node.key.address, encode(NewBlock(block)), time.time())
        node.gossip(envelope)
        _wait(f"{node.name} refuses the forged block", partial(node.lines, "refused"))
        say(f"  {node.name}: {node.lines('refused')[-1]}")


@contextmanager
def _nodes(folder: Path, kind: str) -> Iterator[_Nodes]:
    nodes = _Nodes(folder, kind)
    with nodes.client, nodes.wires:
        try:
            yield nodes
        finally:
            nodes.stop()


def _wait(what: str, condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise LedgerError(f"The demo waited in vain for this: {what}.")
        time.sleep(0.2)


def _free_port() -> int:
    with socket.create_server((_HOST, 0)) as listener:
        return int(listener.getsockname()[1])


def _money(micro: int) -> str:
    return f"{micro / 1_000_000:.2f} EUR"
