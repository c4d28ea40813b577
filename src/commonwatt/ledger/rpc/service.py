"""JSON-RPC 2.0 over a chain: bytes of a request in, bytes of the answer out. No socket is known here.

Whatever comes in, an answer goes out: a fault of the node itself is logged and answered with its code.
Source: https://www.jsonrpc.org/specification
"""

from __future__ import annotations

import json
import logging
import math
import re
import secrets
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, NoReturn

from commonwatt.errors import LedgerError
from commonwatt.ledger.chain.blocks import UnknownBlock
from commonwatt.ledger.rpc import calls, events, methods, more  # noqa: F401 (fill the table)
from commonwatt.ledger.rpc.asked import METHODS, Asked, Limits, Method, Steps
from commonwatt.ledger.rpc.backend import Backend
from commonwatt.ledger.rpc.feed import Arrivals, Filters
from commonwatt.ledger.rpc.slices import SLICE
from commonwatt.ledger.rpc.values import (
    FAILED,
    INTERNAL,
    INVALID_PARAMS,
    INVALID_REQUEST,
    LIMIT,
    PARSE_ERROR,
    UNKNOWN_METHOD,
    RpcError,
    shortened,
)

_LOG = logging.getLogger(__name__)
_OVERLOAD = "The request took more than {seconds:g} seconds and was ended; ask for less at a time."
# Seconds between two looks at what waits, which may be much, however many connections there are.
_LOOK = 0.05
# Deep nesting costs Python's parser stack and time; no call needs more.
_DEPTH = 32
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)


class _Budget:
    """What a request may compute, not counting what others compute in between."""

    def __init__(self, seconds: float, cpu: Callable[[], float]) -> None:
        self._seconds, self._cpu = seconds, cpu
        self._left, self._since = seconds, cpu()

    def used(self) -> float:
        """Seconds since it went on."""
        return self._cpu() - self._since

    def pause(self) -> None:
        """Others are let in between."""
        self._left -= self.used()

    def resume(self) -> None:
        """The request goes on."""
        self._since = self._cpu()

    def check(self) -> None:
        """Raises RpcError when the request has computed for too long."""
        if self.used() > self._left:
            raise RpcError(LIMIT, _OVERLOAD.format(seconds=self._seconds))


class Service:
    """The methods of the execution API on one node. Use it from the node's thread.

    clock : seconds that only go forward
    cpu : seconds that the process has computed for, so that a limit does not depend on how busy the machine is
    table : the methods by name
    """

    def __init__(
        self,
        backend: Backend,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.process_time,
        table: Mapping[str, Method] = METHODS,
    ) -> None:
        self.backend, self._table = backend, table
        self.limits = limits or Limits()
        self._clock, self._cpu = clock, cpu
        self._filters = Filters(self.limits.filters, self.limits.filter_seconds, clock, _name, yields=True)
        self._arrivals = Arrivals()
        self._looked = -math.inf

    def handle(self, request: bytes, connection: Filters | None = None) -> bytes | None:
        """The answer to a request, a batch or a single one; None when it asks for no answer.

        `connection` holds the subscriptions of a reader that can be told of news.
        """
        steps = self.steps(request, connection)
        while True:
            try:
                next(steps)
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]

    def steps(self, request: bytes, connection: Filters | None = None) -> Steps[bytes | None]:
        """`handle` in steps, for whoever answers to let others in between; what is short is one step."""
        budget = _Budget(self.limits.seconds, self._cpu)
        work = self._work(request, connection, budget)
        while True:
            try:
                next(work)
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]
            if budget.used() > SLICE:
                budget.pause()
                yield
                budget.resume()

    def _work(self, request: bytes, connection: Filters | None, budget: _Budget) -> Steps[bytes | None]:
        try:
            parsed = _parse(request, self.limits)
            self.look()
            asked = Asked(self.backend, self.limits, self._filters, self._arrivals, budget.check, connection)
            if isinstance(parsed, list):
                return (yield from self._batch(asked, parsed))
            answer = yield from self._answer(asked, parsed)
            return answer and self._bounded(answer, parsed, self.limits.response)
        except RpcError as error:
            return _encode(_failed(None, error))

    def connection(self) -> Filters:
        """A place for the subscriptions of a new connection."""
        return Filters(self.limits.subscriptions, math.inf, self._clock, _name)

    def news(self, connection: Filters) -> Iterator[bytes | None]:
        """What a connection's subscriptions have to be told since the last time.

        After each block of each subscription comes None, for whoever looks to let others in between.
        """
        if connection.items() and self._clock() - self._looked >= _LOOK:
            self.look()
        for name, watch in connection.items():
            for block in watch.news():
                for each in block:
                    told = {"subscription": name, "result": each}
                    yield _encode({"jsonrpc": "2.0", "method": "eth_subscription", "params": told})
                yield None

    def look(self) -> None:
        """Step to the head of a file that another process writes, and note what waits for a block."""
        self._looked = self._clock()
        _ = self.backend.reader.head
        self._arrivals.note(queued.hash for queued in self.backend.waiting())

    def _batch(self, asked: Asked, batch: list[Any]) -> Steps[bytes | None]:
        if not batch:
            raise RpcError(INVALID_REQUEST, "A batch holds at least one call.")
        if len(batch) > self.limits.batch:
            raise RpcError(INVALID_REQUEST, f"A batch holds {self.limits.batch} calls at most, not {len(batch)}.")
        answers: list[bytes] = []
        left = self.limits.response
        for call in batch:
            answer = yield from self._answer(asked, call)
            yield
            if answer is not None:
                answers.append(self._bounded(answer, call, left))
                left -= len(answers[-1])
        return b"[" + b",".join(answers) + b"]" if answers else None

    def _bounded(self, answer: bytes, call: Any, left: int) -> bytes:
        if len(answer) <= left:
            return answer
        error = RpcError(LIMIT, f"The answer has more than {self.limits.response} bytes; ask for less at a time.")
        return _encode(_failed(_id(call), error))

    def _answer(self, asked: Asked, call: Any) -> Steps[bytes | None]:
        try:
            name, params = _checked(call)
            result = yield from self._run(asked, name, params)
        except RpcError as error:
            # Without a proper call nobody knows whether an answer is wanted; the specification says it is.
            wanted = "id" in call if isinstance(call, dict) and error.code != INVALID_REQUEST else True
            return _encode(_failed(_id(call), error)) if wanted else None
        return _encode({"jsonrpc": "2.0", "id": call["id"], "result": result}) if "id" in call else None

    def _run(self, asked: Asked, name: str, params: list[Any]) -> Steps[Any]:
        method = self._table.get(name)
        if method is None:
            raise RpcError(UNKNOWN_METHOD, f"The method {shortened(name)} does not exist or is not available.")
        try:
            asked.guard()
            found = method(asked, params)
            return (yield from found) if isinstance(found, Generator) else found
        except RpcError:
            raise
        except LedgerError as error:
            # The name of the node's file is nobody's business.
            told = str(error).replace(asked.reader.name, "the chain")
            told = f"header not found: {told}" if isinstance(error, UnknownBlock) else told
            raise RpcError(FAILED, told) from error
        except Exception as error:
            _LOG.exception("The method %s failed.", name)
            raise RpcError(INTERNAL, "The node failed to answer; its log says why.") from error


def _parse(request: bytes, limits: Limits) -> Any:
    if len(request) > limits.request:
        raise RpcError(INVALID_REQUEST, f"A request has {limits.request} bytes at most.")
    depth = 0
    for match in _BRACKETS.finditer(request):
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(match.group(), 0)
        if depth > _DEPTH:
            raise RpcError(PARSE_ERROR, f"The request is nested more than {_DEPTH} deep.")
    try:
        return json.loads(request.decode(), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise RpcError(PARSE_ERROR, f"The request is not JSON: {str(error)[:100]}.") from None


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _checked(call: Any) -> tuple[str, list[Any]]:
    """Name and parameters of a call. Raises RpcError."""
    if not isinstance(call, dict):
        raise RpcError(INVALID_REQUEST, "A call is an object.")
    if call.get("jsonrpc") != "2.0":
        raise RpcError(INVALID_REQUEST, 'A call has "jsonrpc": "2.0".')
    if not isinstance(call.get("method"), str):
        raise RpcError(INVALID_REQUEST, 'A call has a "method", which is text.')
    if "id" in call and _id(call) is None and call["id"] is not None:
        raise RpcError(INVALID_REQUEST, "The id of a call is text, a number or null.")
    params = [] if call.get("params") is None else call["params"]
    if not isinstance(params, list):
        raise RpcError(INVALID_PARAMS, "The parameters are a list.")
    return call["method"], params


def _id(call: Any) -> str | int | float | None:
    """The id of a call, when it is one that can be given back."""
    found = call.get("id") if isinstance(call, dict) else None
    if isinstance(found, float):
        return found if math.isfinite(found) else None
    return found if isinstance(found, str) or (isinstance(found, int) and not isinstance(found, bool)) else None


def _failed(id_: str | int | float | None, error: RpcError) -> dict[str, Any]:
    body: dict[str, Any] = {"code": error.code, "message": str(error)}
    if error.data is not None:
        body["data"] = error.data
    return {"jsonrpc": "2.0", "id": id_, "error": body}


def _encode(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _name() -> str:
    return hex(secrets.randbits(128))
