"""Code in blocks: what comes of a frame is what py-evm makes of it, and what is kept of a program is bounded."""

from __future__ import annotations

import tracemalloc
from functools import cache
from typing import Any

import pytest
from eth.abc import BlockHeaderAPI
from eth.db.atomic import AtomicDB
from eth.exceptions import InvalidInstruction, InvalidJumpDestination, OutOfGas
from eth.vm.chain_context import ChainContext
from eth.vm.forks.cancun import CancunVM
from eth.vm.forks.cancun.opcodes import CANCUN_OPCODES
from eth.vm.message import Message
from eth_typing import Address

from commonwatt.ledger.chain import program
from commonwatt.ledger.chain.embedded import EmbeddedChain, Genesis
from commonwatt.ledger.chain.program import Program, block_at, program_of
from commonwatt.ledger.chain.question import QuestionVM

PLACE, CALLER = Address(b"\x11" * 20), Address(b"\x22" * 20)
GAS = 1_000_000
DATA = bytes(range(1, 71))


@cache
def header() -> BlockHeaderAPI:
    with EmbeddedChain(None, Genesis(2024)) as chain:
        return chain.header()


def frame(vm: Any, code: bytes, gas: int = GAS, guard: Any = None) -> Any:
    """A call of some code, come to its end."""
    state = vm.build_state(AtomicDB(), header(), ChainContext(2024), ())
    if guard:
        state.watch(guard)
    message = Message(gas=gas, to=PLACE, sender=CALLER, value=7, data=DATA, code=code, should_transfer_value=False)
    context = state.transaction_context_class(gas_price=1, origin=CALLER)
    return state.computation_class.apply_message(state, message, context)


def outcome(ended: Any) -> dict[str, Any]:
    """All that can be seen of a frame. One without gas leaves nothing; how much was missing nobody is told."""
    found = {
        "error": type(ended._error), "output": ended.output, "left": ended.get_gas_remaining(),
        "used": ended.get_gas_used(), "refund": ended.get_gas_refund(), "events": ended.get_log_entries(),
    }  # fmt: skip
    if not isinstance(ended._error, OutOfGas):
        found["message"] = str(ended._error)
        found["stack"] = [each if isinstance(each, int) else int.from_bytes(each) for each in ended._stack.values]
        found["memory"] = bytes(ended._memory._bytes)
    return found


def same(code: bytes, gas: int = GAS) -> dict[str, Any]:
    """What comes of some code here, which is what comes of it in py-evm."""
    ours = outcome(frame(QuestionVM, code, gas))
    assert ours == outcome(frame(CancunVM, code, gas)), code.hex()
    return ours


def push(value: int) -> bytes:
    return b"\x7f" + value.to_bytes(32, "big")


# The same as py-evm


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("600456 00 5b", None),
        ("6004565b00", InvalidJumpDestination),
        ("600456 605b", InvalidInstruction),  # into the data of a PUSH
        ("600560045750 605b 5b 00", InvalidJumpDestination),
        ("6001600757 50605b 00", InvalidInstruction),
        ("611000 56", InvalidJumpDestination),
        (f"{push(2**256 - 1).hex()}56", InvalidJumpDestination),
        ("6001600657005b 00", None),
        ("6001600757005b5b 00", None),
        ("5f600656005b 00", InvalidJumpDestination),
        ("5f60ff57 00", None),  # not taken
        ("600160ff57 00", InvalidJumpDestination),
        ("5a600e015a9003805b5b5b5b5b56", InvalidJumpDestination),  # a target that is computed
        ("5b", None),
        ("60", None),  # its data is cut off
        ("6300005b", None),
        ("5b600a565b", InvalidJumpDestination),
        ("0c", InvalidInstruction),
        ("5bfe", InvalidInstruction),
    ],
)
def test_jumps_lead_where_those_of_py_evm_lead(code: str, error: type[Exception] | None) -> None:
    assert same(bytes.fromhex(code))["error"] in ({error} if error else {type(None)})


def test_memory_grows_as_in_py_evm() -> None:
    for place in (0, 1, 31, 32, 33, 1000, 20_000, 724_000, 2**20, 2**64, 2**256 - 32, 2**256 - 1):
        for touch in ("51", "51 50 5f 51", "6007 90 52", "6007 90 52 59"):
            same(push(place) + bytes.fromhex(touch))
            same(push(place) + b"\x33\x50" + bytes.fromhex(touch), 5_000)


def test_what_is_read_is_what_was_written_before() -> None:
    ended = same(bytes.fromhex("60015f52 5f51 60025f52 5f51 60035f52 60205ff3"))
    assert ended["stack"] == [1, 2]
    assert ended["output"] == (3).to_bytes(32, "big")


# Blocks


def test_a_block_is_pure_and_costs_what_its_opcodes_cost() -> None:
    code = bytes.fromhex("6001 6002 01 80 35 52 54")
    block = block_at(code, 0)
    assert (block.opcode, block.after, block.opcodes) == (0x54, len(code), 6)
    assert block.gas == sum(getattr(CANCUN_OPCODES[each], "gas_cost") for each in (0x60, 0x60, 1, 0x80, 0x35, 0x52))  # noqa: B009
    assert 3 in block.registers  # 1 + 2 is known before it runs
    assert len(block.steps) == 3


def test_what_the_stack_does_needs_no_steps() -> None:
    block = block_at(bytes.fromhex("8091 9250 6005 90 00"), 0)
    assert (block.steps, block.needed, block.changed) == ((), 3, 3)


def test_a_block_goes_on_where_a_constant_leads_but_never_twice() -> None:
    through = block_at(bytes.fromhex("6005 56 0000 5b 34 00"), 0)
    assert (through.opcode, through.after, through.target) == (0, 8, 0)
    loop = block_at(bytes.fromhex("5b5f56"), 0)
    assert (loop.opcodes, loop.opcode) == (3, None)
    assert loop.target


def test_a_block_is_never_long() -> None:
    block = block_at(b"\x34" * 1000, 0)
    assert (block.opcodes, block.opcode, block.target, block.after) == (64, None, 0, 64)


def test_blocks_are_translated_once() -> None:
    code = bytes.fromhex("5b600101806014116000570060205ffd00")
    same(code)
    before = dict(program_of(code))
    same(code)
    assert all(program_of(code)[start] is block for start, block in before.items())
    assert program_of(code).targets[0] is before[0]
    assert program_of(code).targets[3] is None
    assert 3 not in program_of(code).targets


def test_what_is_kept_of_a_program_is_bounded() -> None:
    code = b"".join(push(2**256 - 1 - number) + b"\x34\x01\x50" for number in range(1300))
    tracemalloc.start()
    try:
        kept = Program(code)
        for start in range(0, len(code), 25):
            kept[start]
        assert sum(block.opcodes for block in kept.values()) <= program._KEPT
        assert tracemalloc.get_traced_memory()[0] < 6_000_000
    finally:
        tracemalloc.stop()


# The guard


class Enough(Exception):
    """The guard has had enough."""


def guard(times: int) -> Any:
    left = iter(range(times))

    def called() -> None:
        if next(left, None) is None:
            raise Enough

    return called


@pytest.mark.parametrize(
    "code",
    [
        "5b5f56",  # a loop
        "5b6004565b5f56",  # in two jumps
        "5b5a15600157 5f56",
        "5b5f5f5f5f5f305af1505f56",  # calls of nobody
        "5b5951505f56",  # memory without end
    ],
)
def test_a_guard_ends_code_that_would_run_on(code: str) -> None:
    with pytest.raises(Enough):
        frame(QuestionVM, bytes.fromhex(code), 2**40, guard(30))


@pytest.mark.parametrize(("code", "times"), [("34335033503300", 1 + 4), ("5f5f5f5f5f305af100", 1 + 4 + 2)])
def test_a_guard_is_called_before_every_block_and_call(code: str, times: int) -> None:
    frame(QuestionVM, bytes.fromhex(code), GAS, guard(times))
    with pytest.raises(Enough):
        frame(QuestionVM, bytes.fromhex(code), GAS, guard(times - 1))
