"""Three nodes on one machine, step by step: trades, a partition that heals, a forged block that is refused.

The nodes are processes of their own that know each other by URL. The third one is reached, and reaches the others,
through relays of the demo, which is where its wires are cut.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import rlp

from commonwatt.errors import CommonwattError, LedgerError
from commonwatt.ledger.chain.reader import Reader
from commonwatt.ledger.chain.store import Store
from commonwatt.ledger.chain.trie import root_of
from commonwatt.ledger.client.abi import COMMUNITY, TOKEN, contract
from commonwatt.ledger.client.quorum import mint
from commonwatt.ledger.keyfile import new_key, write_key
from commonwatt.ledger.network.block import encode_block
from commonwatt.ledger.network.genesis import read
from commonwatt.ledger.network.messages import NewBlock, encode
from commonwatt.ledger.network.relay import Relays
from commonwatt.ledger.network.setup import GENESIS_FILE, consensus_table, new_network
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
_QUIET = 120.0
"""Seconds for which no node does anything, and an answer may take, before the demo gives up."""
_LINES = 1000
"""Lines that all nodes log, about three for each block, before the demo gives up on what does not come about."""
_PAID_IN = 100_000_000
_PRICE = 200_000
"""Micro-currency per kWh."""

Say = Callable[[str], None]


def demo(kind: str, say: Say) -> None:
    """Show a network by one consensus. Raises LedgerError when a step does not come about."""
    folder = Path(tempfile.mkdtemp(prefix="commonwatt-demo-"))
    try:
        _show(folder, kind, say)
    except CommonwattError:
        say(f"the nodes' files and logs are kept in {folder}")
        raise
    except BaseException:
        shutil.rmtree(folder)
        raise
    shutil.rmtree(folder)


def _show(folder: Path, kind: str, say: Say) -> None:
    what, period, _ = _WAYS[kind]
    with _Nodes(folder, kind) as nodes:
        nodes.acquaint()
        say(f"three nodes agree by proof of {what}, a block every {period} s or so:")
        for node in nodes.all:
            say(f"  {node.name} = {checksum_address(node.key.address)} at {node.url}")
        nodes.wait("all nodes hear each other", nodes.deaf)
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

    def __init__(self, folder: Path, number: int, key: Key, client: httpx.Client) -> None:
        self.name = f"node {number}"
        self.key, self.port = key, 0
        self.file, self.log = folder / f"node-{number}.sqlite", folder / f"node-{number}.log"
        self._client = client
        self._reader: Reader | None = None

    @property
    def url(self) -> str:
        return f"http://{_HOST}:{self.port}"

    def start(self, genesis: Path) -> None:
        """Start the process at a port that the system chooses."""
        key = write_key(self.log.with_suffix(".key"), self.key)
        command = [sys.executable, "-m", "commonwatt.cli", "chain", "node", str(genesis), "--key", str(key)]
        command += ["--file", str(self.file), "--listen", f"{_HOST}:0"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)  # noqa: S603 (our own)

    def listens(self) -> bool:
        """Whether the process has said at which port."""
        found = re.search(rf" at {_HOST}:([0-9]+),", self.log.read_text("utf-8"))
        self.port = int(found[1]) if found else 0
        return bool(found)

    def status(self) -> dict[str, Any]:
        try:
            return dict(self._client.get(f"{self.url}/status").json())
        except (httpx.HTTPError, ValueError):
            return {"peers": [], "block": -1, "hash": ""}

    def post(self, path: str, **content: Any) -> None:
        """Raises LedgerError when the node refuses or does not answer."""
        try:
            answer = self._client.post(f"{self.url}/{path}", **content)
        except httpx.HTTPError as error:
            self.check()
            raise LedgerError(f"{self.name} does not answer: {error}.") from None
        if answer.is_error:
            raise LedgerError(answer.json()["message"])

    def submit(self, raw: bytes) -> None:
        self.post("add_transaction", json={"raw": f"0x{raw.hex()}"})

    def check(self) -> None:
        """Raises LedgerError with its last words when the process has ended."""
        if self.process.poll() is not None:
            words = "; ".join(self.lines()[-3:]) or "nothing"
            raise LedgerError(f"{self.name} has ended. Its last words: {words}")

    def lines(self, part: str = "") -> list[str]:
        return [line for line in self.log.read_text("utf-8").splitlines() if part in line]

    def reader(self) -> Reader:
        self._reader = self._reader or Reader(Store(self.file, read_only=True), self.name)
        self._reader.step()
        return self._reader


class _Nodes:
    """The three of them, and the wires of the third; they run as long as it is open."""

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
        self._client = httpx.Client(trust_env=False, timeout=_QUIET)
        self.all = [_Node(folder, number, key, self._client) for number, key in enumerate(keys, 1)]

    def __enter__(self) -> _Nodes:
        self._open = ExitStack()
        with self._open:
            self._open.enter_context(self._client)
            self._open.callback(self.stop)
            for node in self.all:
                node.start(self.genesis)
            self.wait("all nodes listen", lambda: ", ".join(node.name for node in self.all if not node.listens()))
            self.wires = self._open.enter_context(Relays([node.port for node in self.all]))
            self._open = self._open.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def stop(self) -> None:
        """End all processes, as soon as each can."""
        running = [node.process for node in self.all if hasattr(node, "process")]
        for process in running:
            process.terminate()
        end = time.monotonic() + _QUIET
        for process in running:
            try:
                process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def acquaint(self) -> None:
        """Tell each node of the other two."""
        one, other = self.all[:2]
        first, second, third = (f"http://{_HOST}:{port}" for port in self.wires.ports)
        for node, urls in zip(self.all, ([other.url, third], [one.url, third], [first, second]), strict=True):
            node.post("connect_node", json={"nodes": urls})

    def agree(self) -> bool:
        return len({node.reader().head.hash for node in self.all}) == 1

    def ends(self) -> str:
        """Where the chains end."""
        return ", ".join(f"{node.name} at block {node.reader().head.number}" for node in self.all)

    def deaf(self) -> str:
        """Who does not hear both others."""
        heard = [(node.name, len(node.status()["peers"])) for node in self.all]
        return ", ".join(f"{name} hears {count} of 2" for name, count in heard if count < 2)

    def wait(self, what: str, missing: Callable[[], str]) -> None:
        """Wait until nothing is missing, as long as the nodes are alive and do anything, but not for ever.

        What the nodes log is the measure of time, because it comes slower from a slower machine.
        """
        first = told = self._told()
        since = time.monotonic()
        while lacking := missing():
            for node in self.all:
                node.check()
            if self._told() > told:
                told, since = self._told(), time.monotonic()
            if time.monotonic() - since > _QUIET or told > first + _LINES:
                raise LedgerError(f"The demo waited in vain for this: {what}. Missing: {lacking}.")
            time.sleep(0.2)

    def _told(self) -> int:
        return sum(len(node.lines()) for node in self.all)


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

    def missing(self) -> str:
        """What keeps the nodes' chains from being one that holds all trades."""
        if not self._nodes.agree():
            return f"one chain, but {self._nodes.ends()}"
        behind = [node.name for node in self._nodes.all if self._balances(node) != self._owned]
        return f"trades on the chain of {', '.join(behind)}" if behind else ""

    def _settled(self, what: str) -> None:
        self._nodes.wait(what, self.missing)

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

    def alike() -> str:
        apart = first.reader().head.number >= before + 3 and not nodes.agree()
        return "" if apart else f"three blocks after block {before} on one side, but {nodes.ends()}"

    nodes.wait("the nodes have different chains", alike)
    say(f"  {nodes.ends()}: the two sides do not have the same chain")
    nodes.wires.heal()
    nodes.wait("the chains are one again, with all trades", market.missing)
    say(f"the wires are back: one chain, block {third.reader().head.number}, and no trade was lost")


def _forgery(nodes: _Nodes, say: Say) -> None:
    """A block without its last trade, with its real seal, sent by a key that the nodes listen to."""
    reader = nodes.all[0].reader()
    headers = (reader.header(number) for number in range(reader.head.number, 0, -1))
    header = next(header for header in headers if reader.transactions(header))
    kept = [signed.encode() for signed in reader.transactions(header)[:-1]]
    forged = header.copy(transaction_root=root_of(kept))
    block = encode_block(rlp.encode(forged), kept, reader.withdrawals(header))
    wire = Wire(nodes.forger, reader.header(0).hash)
    say(f"somebody takes a trade out of block {header.block_number} and sends the rest with the block's own seal:")
    for node in nodes.all:
        node.post("gossip", content=pack([wire.wrap(node.key.address, encode(NewBlock(block)), time.time())]))
        nodes.wait(f"{node.name} refuses the forged block", partial(_unheard, node))
        say(f"  {node.name}: {node.lines('refused')[-1]}")


def _unheard(node: _Node) -> str:
    return "" if node.lines("refused") else f"a line of {node.name} that says so"


def _money(micro: int) -> str:
    return f"{micro / 1_000_000:.2f} EUR"
