"""A worker process that searches for nonces. It drops a search within milliseconds and ends with its parent."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

from commonwatt.errors import LedgerError
from commonwatt.ledger.network.consensus.pow import attempt

_BATCH = 4096
"""Nonces between two looks at whether something else is wanted: some milliseconds."""


class Miner:
    """One worker.

    A driver gives it what to search for (`search`, `stop`) and asks for what it found, when `connection` is readable
    or now and then. A result that `search` or `stop` has overtaken is never handed out. Both raise LedgerError when
    somebody else has ended the worker.
    """

    def __init__(self) -> None:
        # A forked worker would share this process's sockets, files and threads.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._wanted: bytes | None = None
        self._process = context.Process(target=_work, args=(theirs,), name="miner", daemon=True)
        self._process.start()
        theirs.close()

    def search(self, unsealed: bytes, claim: bytes) -> None:
        """Search for the seal of this header from now on; `claim` is its target."""
        self._tell((unsealed, claim))

    def stop(self) -> None:
        """Search for nothing."""
        self._tell(None)

    def found(self, timeout: float = 0) -> tuple[bytes, bytes] | None:
        """What was searched for and its seal, once; None when nothing is found within `timeout` seconds."""
        with _alive():
            while self.connection.poll(timeout):
                unsealed, seal = self.connection.recv()
                if unsealed == self._wanted:
                    self._wanted = None
                    return unsealed, seal
        return None

    def close(self) -> None:
        """End the worker."""
        self.connection.close()
        self._process.join()

    def __enter__(self) -> Miner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _tell(self, job: tuple[bytes, bytes] | None) -> None:
        self._wanted = job[0] if job else None
        with _alive():
            self.connection.send(job)


@contextmanager
def _alive() -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError) as error:
        raise LedgerError("The process that searches for seals was ended; start the node again.") from error


def _work(connection: Connection) -> None:
    """Search for the last thing that was asked for, until the other end of the connection is gone."""
    if hasattr(os, "nice"):
        os.nice(10)  # the node itself goes first: found blocks must be heard of
    try:
        job: tuple[bytes, bytes] | None = None
        start = 0
        while True:
            while job is None or connection.poll():
                job, start = connection.recv(), 0
            seal = attempt(job[0], int.from_bytes(job[1], "big"), start, _BATCH)
            start += _BATCH
            if seal is not None:
                connection.send((job[0], seal))
                job = None
    except (EOFError, OSError, KeyboardInterrupt):
        return
