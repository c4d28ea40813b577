"""A chain that is finished, as a node that is only asked: for members, wallets and explorers on this machine."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from commonwatt.errors import LedgerError
from commonwatt.ledger.chain.evm import Queued
from commonwatt.ledger.chain.reader import Reader
from commonwatt.ledger.chain.store import Store
from commonwatt.ledger.network.access import LocalOnly
from commonwatt.ledger.network.operator import HOST
from commonwatt.ledger.network.server import config, listening
from commonwatt.ledger.node import Block
from commonwatt.ledger.rpc.app import Access, routes
from commonwatt.ledger.rpc.service import Service


class Finished:
    """The `Backend` of a chain to which nobody adds."""

    peers = 0
    syncing = next_time = None

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def submit(self, raw: bytes) -> bytes:  # noqa: ARG002
        """Never: the chain is finished."""
        raise LedgerError("This node shows a chain that is finished, and takes no transactions.")

    def waiting(self) -> Sequence[Queued]:
        """None ever does."""
        return ()

    def find(self, transaction: bytes) -> Queued | None:  # noqa: ARG002
        """None waits."""
        return None

    def pending_nonce(self, address: bytes) -> int:
        """Number of the account's next transaction."""
        return self.reader.nonce(address)


@contextmanager
def opened(file: Path) -> Iterator[Reader]:
    """The chain in a file, which is only read.

    Raises LedgerError when there is none, and when another process writes it.
    """
    store = Store(file, read_only=True)
    try:
        reader = Reader(store, str(file))
        _ = reader.head
        _refuse_in_use(file)
        yield reader
    finally:
        store.close()


def serve(file: Path, port: int, origins: Collection[str], started: Callable[[str, int, Block], None]) -> None:
    """Answer JSON-RPC for programs on this machine until it is interrupted.

    origins : pages that may ask from a browser
    started : is told the URL, the chain's number and its head; with port 0 the system chooses the port
    Raises LedgerError for a file that is no chain or in use, and for a port that is taken.
    """
    with opened(file) as reader:
        listener = listening(HOST, port)
        access = Access(origins=origins)
        own = [Route("/status", status(reader, access)), *routes(Service(Finished(reader)), access)]
        server = uvicorn.Server(config(Starlette(routes=own, middleware=[Middleware(LocalOnly)])))
        started(f"http://{HOST}:{listener.getsockname()[1]}", reader.chain_id, reader.head)
        # Once it has stopped, uvicorn raises the signal again for whoever handled it before.
        signal.signal(signal.SIGTERM, lambda *_: None)
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listener])


def status(reader: Reader, access: Access) -> Callable[[Request], Awaitable[Response]]:
    """Where the chain ends, as other nodes tell it."""

    async def answer(request: Request) -> Response:
        if problem := access.problem(request.headers):
            return PlainTextResponse(problem, 403)
        head = reader.head
        told = {"block": head.number, "hash": f"0x{head.hash.hex()}", "time": head.timestamp}
        return JSONResponse({"chain": reader.chain_id, **told})

    return answer


def _refuse_in_use(file: Path) -> None:
    """Whoever writes a chain keeps SQLite's write lock. The caller has the file open, so that nothing is written here.

    Where this process may not write, the lock cannot be asked for, and the file is taken as it is.
    """
    try:
        place = f"{file.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(place, uri=True, timeout=0, isolation_level=None)) as probe:
            probe.execute("BEGIN IMMEDIATE")
            probe.execute("ROLLBACK")
    except sqlite3.Error as error:
        if "locked" in str(error):
            sentence = f"{file} is open in another process, which adds to it: ask that one, or wait until it is done."
            raise LedgerError(sentence) from None
