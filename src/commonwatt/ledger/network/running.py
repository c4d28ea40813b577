"""A node as a process: its parts put together, run until it is interrupted."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount

from commonwatt.errors import LedgerError
from commonwatt.ledger.certificates import needed
from commonwatt.ledger.network.access import LocalOnly
from commonwatt.ledger.network.backend import NodeBackend
from commonwatt.ledger.network.circle import Circle
from commonwatt.ledger.network.driver import Driver
from commonwatt.ledger.network.genesis import read
from commonwatt.ledger.network.log import entry
from commonwatt.ledger.network.machine import Machine
from commonwatt.ledger.network.sealing import CATCH_UP
from commonwatt.ledger.network.server import serve
from commonwatt.ledger.network.tree import Tree
from commonwatt.ledger.network.votes import recall
from commonwatt.ledger.network.wire import Wire
from commonwatt.ledger.readers import HEADER, Readers, signed_header
from commonwatt.ledger.rpc.app import LOCAL, Access, routes
from commonwatt.ledger.rpc.service import Service
from commonwatt.proof.keys import Key, checksum_address
from commonwatt.records import strict_json

if TYPE_CHECKING:
    import httpx

Rpc = Literal["local", "readers", "members", "open", "off"]
Senders = Literal["all", "members"]
_ANSWER = 1 << 20


@dataclass(frozen=True)
class Setting:
    """What an operator decides.

    peers : URLs of other nodes
    url : where others reach this one
    allowed : nodes that may take part beside those of the genesis
    admit, remove : votes of an authority
    seals : whether the node seals blocks by itself
    hash_chains : pos: how many of its own it holds; one until the operators publish the tip of its second one
    rpc : whom JSON-RPC answers: programs on this machine, holders of a node's key, these and active members, whoever
        can reach it, or nobody
    senders : whose transactions it takes: anybody's, or those of active members, operators and nodes
    community : address of the contract that says who they are
    names : by which wallets call the node, beside those of this machine
    origins : pages that may ask from a browser
    """

    genesis: Path
    key: Key
    file: Path
    host: str
    port: int
    peers: tuple[str, ...] = ()
    url: str = ""
    allowed: tuple[bytes, ...] = ()
    admit: tuple[bytes, ...] = ()
    remove: tuple[bytes, ...] = ()
    seals: bool = True
    hash_chains: int = 1
    rpc: Rpc = "local"
    senders: Senders = "all"
    community: bytes | None = None
    names: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()


def run(setting: Setting, say: Callable[[str], None]) -> None:
    """Run a node until it is interrupted. Raises LedgerError when it cannot start or must stop."""

    def log(line: str) -> None:
        say(entry(line, datetime.now(UTC)))

    agreement = read(setting.genesis)
    seals = setting.key.address not in agreement.table.readers
    engine = agreement.engine(setting.key if seals else None, setting.hash_chains)
    wishes = {**dict.fromkeys(setting.admit, True), **dict.fromkeys(setting.remove, False)}
    tree = Tree(setting.file, agreement.chain, engine)
    try:
        recall(tree, wishes)
    except LedgerError:
        tree.close()
        raise
    circle = Circle(tree, setting.community) if setting.community else None
    machine = Machine(tree, setting.key, log)
    machine.sealing = setting.seals and seals
    if setting.peers or agreement.nodes - {setting.key.address}:
        machine.sealer.listens = max(machine.sealer.listens, CATCH_UP)
    machine.locations.announce(setting.key, setting.url.rstrip("/"), int(time.time()))
    allowed = agreement.nodes | set(setting.allowed) | set(setting.admit)
    wire = Wire(setting.key, tree.genesis, time.time())
    driver = Driver(machine, wire, allowed, setting.peers, log, time.time)
    if circle and setting.senders == "members":
        machine.pool.admits = lambda sender: circle.acts(sender) or _is_node(driver, sender)
    head = tree.head

    def started(port: int) -> None:
        log(
            f"node {checksum_address(setting.key.address)} at {setting.host}:{port}, chain {tree.chain_id}, "
            f"{engine.name}, block {head.number} (0x{head.hash.hex()[:8]})"
        )
        if circle and not circle.there:
            log(f"there is no community at {checksum_address(circle.address)} yet: nobody is known as its member")

    serve(driver, setting.host, setting.port, _rpc(driver, setting, circle), started)
    log("stopped")


def _rpc(driver: Driver, setting: Setting, circle: Circle | None) -> list[BaseRoute]:
    """JSON-RPC at the root, as the operator wants it."""
    if setting.rpc == "off":
        return []

    def may(reader: bytes) -> bool:
        if setting.rpc == "members" and circle and circle.active(reader):
            return True
        return _is_node(driver, reader)

    readers = Readers(may, time.time) if setting.rpc in ("readers", "members") else None
    access = Access(hosts=(*LOCAL, *setting.names), origins=setting.origins, readers=readers)
    service = Service(NodeBackend(driver))
    if setting.rpc != "local":
        return routes(service, access)
    return [Mount("/", LocalOnly(Starlette(routes=routes(service, access))))]


def _is_node(driver: Driver, address: bytes) -> bool:
    return address == driver.address or address in driver.machine.nodes


def ask_status(url: str) -> dict[str, Any]:
    """What a node on this machine says of itself. Raises LedgerError."""
    return _ask(url, lambda client: client.get(f"{url.rstrip('/')}/status"))


def ask_vote(url: str, key: Key, what: str, candidate: bytes) -> str:
    """Let a node on this machine, whose key this is, vote on a candidate: `what` is admit, remove or withdraw.

    Returns what it says to that. Raises LedgerError.
    """

    def post(client: httpx.Client) -> httpx.Response:
        request = client.build_request("POST", f"{url.rstrip('/')}/vote", json={what: f"0x{candidate.hex()}"})
        signed = signed_header(key, request.headers["host"], request.content, int(time.time()))
        request.headers[HEADER] = signed
        return client.send(request)

    return str(_ask(url, post)["message"])


def _ask(url: str, send: Callable[[httpx.Client], httpx.Response]) -> dict[str, Any]:
    import httpx

    try:
        # A node that executes a full block on a small machine answers late; one that is not there refuses at once.
        timeout = httpx.Timeout(120, connect=10)
        with httpx.Client(timeout=timeout, trust_env=False, verify=needed(url)) as client:
            answer = send(client)
        found = strict_json.loads(answer.content, _ANSWER)
        if isinstance(found, dict) and answer.is_client_error and "message" in found:
            raise LedgerError(str(found["message"]))
        answer.raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise LedgerError(f"There is no node that answers at {url}: {error}.") from None
    if not isinstance(found, dict):
        raise LedgerError(f"There is no node that answers at {url}.")
    return found
