"""The five verbs of Saini et al. 2023 (Energies 16, 1253, appendix A), over HTTP, on the real chain.

Connect nodes, get the chain, add a transaction, mine a block, replace the chain. Names and answers follow the paper's
figures; blocks, signatures and consensus are this chain's. They are for the operator of a node: only programs on the
same machine are answered, and no web page.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from commonwatt.errors import LedgerError
from commonwatt.ledger.network import votes
from commonwatt.ledger.network.access import is_local
from commonwatt.ledger.network.driver import Driver
from commonwatt.ledger.readers import HEADER, Readers
from commonwatt.ledger.rpc.app import Access
from commonwatt.proof.keys import checksum_address
from commonwatt.records import strict_json

MOST_BLOCKS = 100
"""Blocks that one answer of get_chain holds."""
_MAX_BODY = 1 << 20
_MOST_NODES = 100
_PATIENCE = 30.0
"""Seconds without progress after which an answer is given all the same."""

Verb = Callable[[Driver, Request], Awaitable[tuple[int, dict[str, Any]]]]


def routes(driver: Driver) -> list[Route]:
    """Routes of the verbs."""
    verbs: dict[str, tuple[Verb, list[str]]] = {
        "status": (status, ["GET"]),
        "connect_node": (connect_node, ["POST"]),
        "get_chain": (get_chain, ["GET"]),
        "add_transaction": (add_transaction, ["POST"]),
        "mine_block": (mine_block, ["GET", "POST"]),
        "replace_chain": (replace_chain, ["GET", "POST"]),
        "vote": (partial(vote, Readers(lambda reader: reader == driver.address, lambda: driver.now)), ["POST"]),
    }
    return [Route(f"/{name}", _local(driver, verb), methods=methods) for name, (verb, methods) in verbs.items()]


async def status(driver: Driver, request: Request) -> tuple[int, dict[str, Any]]:  # noqa: ARG001
    """Where the node's chain ends, whom it hears, what waits."""
    machine = driver.machine
    head = machine.tree.head
    return 200, {
        "chain": machine.tree.chain_id,
        "consensus": machine.tree.engine.name,
        "block": head.number,
        "hash": f"0x{head.hash.hex()}",
        "time": head.timestamp,
        "peers": [checksum_address(peer) for peer in machine.peers.heard(driver.now)],
        "waiting": len(machine.pool),
        "syncing": machine.highest is not None,
    }


async def connect_node(driver: Driver, request: Request) -> tuple[int, dict[str, Any]]:
    """{"nodes": ["http://…", …]}: connect to these nodes."""
    nodes = (await _table(request)).get("nodes")
    if not isinstance(nodes, list) or not nodes or len(nodes) > _MOST_NODES:
        raise LedgerError('The request needs "nodes", a list of URLs.')
    for url in nodes:
        await driver.connect(str(url))
    peers = [checksum_address(peer) for peer in driver.machine.peers.connected]
    return 201, {"message": "All the nodes are now connected.", "total_nodes": peers}


async def get_chain(driver: Driver, request: Request) -> tuple[int, dict[str, Any]]:
    """The chain from block `first` on, at most 100 blocks, and its whole length."""
    text = request.query_params.get("first", "0")
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise LedgerError('"first" is the number of a block.')
    last = driver.machine.tree.head.number
    chosen = range(int(text), min(int(text) + MOST_BLOCKS, last + 1))
    return 200, {"chain": [block(driver, number) for number in chosen], "length": last + 1}


async def add_transaction(driver: Driver, request: Request) -> tuple[int, dict[str, Any]]:
    """{"raw": "0x…"}: a signed transaction, which waits for a block."""
    raw = (await _table(request)).get("raw")
    try:
        data = bytes.fromhex(str(raw).removeprefix("0x"))
    except ValueError:
        raise LedgerError('The request needs "raw", a signed transaction in hexadecimal.') from None
    hash_ = driver.submit(data)
    return 201, {"message": "The transaction waits for a block.", "hash": f"0x{hash_.hex()}"}


async def mine_block(driver: Driver, request: Request) -> tuple[int, dict[str, Any]]:  # noqa: ARG001
    """Seal the next block now, or as soon as its seal is found."""
    machine = driver.machine
    before, sealed = machine.tree.head.number, await driver.alone(lambda: machine.produce(driver.now))
    if sealed is None and machine.search:
        await _until(lambda: machine.tree.head.number > before, lambda: machine.search)
        if machine.tree.head.number == before:
            return 202, {"message": "The seal of the next block is still searched for."}
        sealed = machine.tree.past.header(machine.tree.head.hash)
    if sealed is None:
        return 409, {"message": "This node may not seal a block now."}
    return 200, {"message": "A block was mined.", **block(driver, sealed.number)}


async def replace_chain(driver: Driver, request: Request) -> tuple[int, dict[str, Any]]:  # noqa: ARG001
    """Take over the best chain of the connected nodes."""
    machine = driver.machine
    before = machine.tree.head.hash
    driver.send(await driver.alone(lambda: machine.follow(driver.now)))
    await _until(lambda: machine.highest is None, lambda: machine.tree.head)
    replaced = machine.tree.head.hash != before
    message = "The chain was replaced by a better one." if replaced else "The chain is the best one already."
    return 200, {"message": message, "replaced": replaced, "length": machine.tree.head.number + 1}


async def vote(operator: Readers, driver: Driver, request: Request) -> tuple[int, dict[str, Any]]:
    """{"admit": "0x…"}, or "remove" or "withdraw": a vote on who is an authority, signed with the node's own key."""
    body = await _body(request)
    operator.check(request.headers.get(HEADER), request.headers.get("host", ""), body)
    match list(_parsed(body).items()):
        case [(("admit" | "remove" | "withdraw") as what, str(text))] if re.fullmatch("0x[0-9a-fA-F]{40}", text):
            candidate = bytes.fromhex(text[2:])
        case _:
            raise LedgerError('The request needs one of "admit", "remove" and "withdraw", with an address.')
    tree = driver.machine.tree
    await driver.alone(lambda: votes.vote(tree, candidate, {"admit": True, "remove": False}.get(what)))
    said = "takes its vote back" if what == "withdraw" else f"votes to {what}"
    return 200, {"message": f"This node {said} with its next block. {votes.standing(tree, candidate)}"}


def block(driver: Driver, number: int) -> dict[str, Any]:
    """A block as the paper prints one."""
    tree = driver.machine.tree
    header = tree.header(number)
    seen = tree.past.header(header.hash)
    return {
        "index": number,
        "timestamp": seen.timestamp,
        "hash": f"0x{seen.hash.hex()}",
        "previous_hash": f"0x{seen.parent.hex()}",
        "proof": f"0x{seen.seal.hex()}",
        "miner": checksum_address(seen.coinbase),
        "transactions": [
            {
                "hash": f"0x{signed.hash.hex()}",
                "sender": checksum_address(signed.sender),
                "receiver": checksum_address(signed.to) if signed.to else "",
                "amount": str(signed.value),
            }
            for signed in tree.transactions(header)
        ],
    }


def _local(driver: Driver, verb: Verb) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        if not _is_local(request):
            return JSONResponse({"message": "Only programs on this machine are answered."}, 403)
        try:
            status, content = await verb(driver, request)
        except LedgerError as error:
            return JSONResponse({"message": str(error)}, 400)
        return JSONResponse(content, status)

    return answer


def _is_local(request: Request) -> bool:
    """No other machine, and no web page: neither by its own request nor by a name that leads to this machine."""
    return (
        is_local(request)
        and Access().problem(request.headers) is None
        and "origin" not in request.headers
        and request.headers.get("sec-fetch-site", "none") == "none"
    )


async def _table(request: Request) -> dict[str, Any]:
    return _parsed(await _body(request))


async def _body(request: Request) -> bytes:
    body = b""
    try:
        async for part in request.stream():
            body += part
            if len(body) > _MAX_BODY:
                raise LedgerError(f"The request is longer than {_MAX_BODY} bytes.")
    except ClientDisconnect:
        raise LedgerError("The request did not arrive.") from None
    return body


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        table = strict_json.loads(body, _MAX_BODY)
    except ValueError as error:
        raise LedgerError(f"The request is no table of JSON: {error}.") from None
    if not isinstance(table, dict):
        raise LedgerError("The request is no table of JSON.")
    return table


async def _until(done: Callable[[], bool], progress: Callable[[], object]) -> None:
    """Wait as long as there is progress."""
    clock, last = asyncio.get_running_loop().time, progress()
    deadline = clock() + _PATIENCE
    while not done() and clock() < deadline:
        await asyncio.sleep(0.02)
        if progress() != last:
            last, deadline = progress(), clock() + _PATIENCE
