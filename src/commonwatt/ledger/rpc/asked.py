"""What a method of the execution API is given, and the table of all methods."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

from eth.abc import BlockHeaderAPI

from commonwatt.ledger.chain.blocks import UnknownBlock
from commonwatt.ledger.chain.reader import Reader
from commonwatt.ledger.rpc.backend import Backend
from commonwatt.ledger.rpc.feed import Arrivals, Filters
from commonwatt.ledger.rpc.values import (
    FAILED,
    INVALID_PARAMS,
    NOT_FOUND,
    NOTHING_FINAL,
    Parser,
    RpcError,
    Where,
    hexed,
)

T = TypeVar("T")
Steps = Generator[None, None, T]
"""Work that stops again and again, for others to be let in between, and ends with a result."""


@dataclass(frozen=True)
class Limits:
    """What a reader may ask for.

    request : bytes of a request
    response : bytes of an answer
    batch : calls in a request
    seconds : that a request computes for; searches are bounded by what they look at instead
    gas : of a call or an estimate
    blocks : of a search for events
    read : receipts and events that it looks at
    events : found by it
    filters : of all readers together; for one more the one that was not asked for longest is forgotten
    filter_seconds : how long a filter is kept when nobody polls it
    subscriptions : of a connection
    """

    request: int = 1 << 20
    response: int = 32 << 20
    batch: int = 100
    seconds: float = 2.0
    gas: int = 10_000_000
    blocks: int = 10_000
    read: int = 200_000
    events: int = 10_000
    filters: int = 256
    filter_seconds: float = 300.0
    subscriptions: int = 32


@dataclass(frozen=True)
class Asked:
    """What a method is given beside its parameters: the node, and a guard that ends the request.

    subscriptions : those of the reader's connection; None when it has none that could carry them
    """

    backend: Backend
    limits: Limits
    filters: Filters
    arrivals: Arrivals
    guard: Callable[[], None]
    subscriptions: Filters | None = None

    @property
    def reader(self) -> Reader:
        """The node's chain."""
        return self.backend.reader

    def header(self, where: Where) -> BlockHeaderAPI:
        """The block that was asked for. Raises UnknownBlock, or RpcError when it is not on the chain."""
        if where.final:
            raise RpcError(NOT_FOUND, NOTHING_FINAL)
        header = self.reader.header(where.at)
        if where.canonical and not self.reader.canonical(header):
            raise RpcError(FAILED, f"Block {hexed(header.hash)} is not on the chain.")
        return header

    def known(self, where: Where) -> BlockHeaderAPI | None:
        """The block that was asked for; None when there is none."""
        try:
            return None if where.final else self.header(where)
        except UnknownBlock:
            return None


@dataclass(frozen=True)
class Method:
    """A method: what it does, and the parsers of its parameters. Those from `required` on may be left out.

    run : gives the result, or a generator that comes to it in steps
    """

    run: Callable[..., Any]
    parsers: tuple[tuple[str, Parser[Any]], ...]
    required: int

    def __call__(self, asked: Asked, params: list[Any]) -> Any:
        """The result, ready for JSON. Raises RpcError for a parameter that does not fit."""
        if not self.required <= len(params) <= len(self.parsers):
            names = ", ".join(name for name, _ in self.parsers) or "none"
            raise RpcError(INVALID_PARAMS, f"{len(params)} parameters were given; the method's are: {names}.")
        values = []
        for (name, parse), value in zip(self.parsers, params, strict=False):
            try:
                values.append(parse(value))
            except ValueError as error:
                raise RpcError(INVALID_PARAMS, f"The parameter {name} {error}.") from None
        return self.run(asked, *values)


METHODS: dict[str, Method] = {}


def method(name: str, /, required: int | None = None, **parsers: Parser[Any]) -> Callable[..., Any]:
    """Register a function under a method's name; `parsers` by parameter, the first `required` ones must be given."""

    def register(run: Callable[..., Any]) -> Callable[..., Any]:
        METHODS[name] = Method(run, tuple(parsers.items()), len(parsers) if required is None else required)
        return run

    return register
