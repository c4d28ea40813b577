"""Single frames of code, run by the product's interpreter, under a guard and without, and by py-evm's."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

from eth import EVM_RECURSION_LIMIT
from eth.abc import StateAPI
from eth.exceptions import OutOfGas
from eth.vm.message import Message
from eth_typing import Address
from strong_blocks import GENESIS, SENDERS
from twins import Difference, Twins

from commonwatt.ledger.chain import program
from commonwatt.ledger.chain.rules import ChainState

PURE = bytes(
    number
    for number in (*range(0x01, 0x1E), 0x34, 0x35, 0x36, 0x50, 0x51, 0x52, 0x58, 0x5B, *range(0x5F, 0xA0))
    if number not in (0x0C, 0x0D, 0x0E, 0x0F)
)
"""Instructions that see neither gas nor state, and EXP."""
TAKEN = {
    **dict.fromkeys(range(0x01, 0x1E), 2), 0x08: 3, 0x09: 3, 0x15: 1, 0x19: 1, 0x35: 1, 0x50: 1, 0x51: 1, 0x52: 2,
}  # fmt: skip
"""Words that each takes from the stack; DUP and SWAP none."""
_TO = Address(b"\xf5" * 20)
_GAS = 10_000_000


class Frame(NamedTuple):
    """What can be seen of code that has run."""

    error: str
    gas: int
    output: bytes
    stack: tuple[int, ...]
    memory: bytes


class Frames:
    """Runs code in a fresh frame of both chains."""

    def __init__(self) -> None:
        self._twins = Twins(GENESIS)
        maker = self._twins.maker
        self._theirs = self._twins.theirs.state()
        self._ours: Any = maker._new_state(maker.header())
        self._guarded = cast("ChainState", maker._new_state(maker.header()))
        self._guarded.watch(lambda: None)

    def compare(
        self, code: bytes, *, stack: Sequence[int] = (), data: bytes = b"", gas: int = _GAS, to: Address = _TO
    ) -> Frame:
        """Run code on a stack that is filled already. Raises Difference."""
        message = Message(gas, to, Address(SENDERS[0].address), 3, data, code)
        theirs = _run(self._theirs, message, stack)
        for state, times in ((self._ours, 1), (self._guarded, 3)):
            with translated(times):
                ours = _run(state, message, stack)
            if ours != theirs:
                raise Difference(f"{code.hex()} on {len(stack)} words with {gas} gas: {_first(ours, theirs)}")
        return theirs


@contextmanager
def translated(times: int) -> Iterator[None]:
    """Code is translated when it has come to a block so many times; nothing is translated before.

    Calls go as deep as on a chain: 1 024 within each other take four times the frames that hypothesis leaves.
    """
    usual, frames = program.COLD, sys.getrecursionlimit()
    program.program_of.cache_clear()
    program.COLD = times
    sys.setrecursionlimit(max(frames, EVM_RECURSION_LIMIT))
    try:
        yield
    finally:
        sys.setrecursionlimit(frames)
        program.COLD = usual
        program.program_of.cache_clear()


def _run(state: StateAPI, message: Message, stack: Sequence[int]) -> Frame:
    context = state.get_transaction_context_class()(gas_price=1, origin=message.sender)
    snapshot = state.snapshot()
    try:
        done: Any = _filled(state.computation_class, stack).apply_computation(state, message, context)
    except Exception as error:
        return Frame(f"raised {error!r}", 0, b"", (), b"")
    finally:
        state.revert(snapshot)
    if done.is_error:
        # How much gas was left when too little was is nobody's to see: a block pays for all that is in it first.
        told = "" if isinstance(done.error, OutOfGas) else str(done.error)
        return Frame(f"{type(done.error).__name__} {told}", done.get_gas_remaining(), done.output, (), b"")
    words = tuple(each if isinstance(each, int) else int.from_bytes(each, "big") for each in done._stack.values)
    return Frame("", done.get_gas_remaining(), done.output, words, bytes(done._memory._bytes))


def _filled(kind: Any, stack: Sequence[int]) -> Any:
    if not stack:
        return kind

    class Filled(kind):  # type: ignore[misc]
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            self._stack.values.extend(stack)

    return Filled


def _first(ours: Frame, theirs: Frame) -> str:
    """What differs first."""
    name = next(name for name in Frame._fields if getattr(ours, name) != getattr(theirs, name))
    if name != "stack" or len(ours.stack) != len(theirs.stack):
        return f"{name} is {getattr(ours, name)!r} instead of {getattr(theirs, name)!r}"
    at = next(at for at, pair in enumerate(zip(ours.stack, theirs.stack, strict=True)) if pair[0] != pair[1])
    return f"word {at} of the stack is {ours.stack[at]} instead of {theirs.stack[at]}"
