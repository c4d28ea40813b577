"""Code in blocks: what comes of a frame is what py-evm makes of it, and what is kept of a program is bounded."""

from __future__ import annotations

import tracemalloc
from functools import cache
from typing import Any

import pytest
from counting import calls_of
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


@pytest.mark.parametrize(
    "code",
    [
        "5f5f5f5f5f305af1 5f52 60205ff3",  # calls itself
        "385f5f39 385f5ff0 00",  # creates itself
        "6009 5b 6001900380600257 385f5f39 385f5ff0 00",  # that behind a loop which is translated
    ],
)
def test_1024_frames_lie_within_each_other_as_in_py_evm(code: str) -> None:
    assert same(bytes.fromhex(code), 2**45)["error"] is type(None)


# Blocks


def test_a_block_is_pure_and_costs_what_its_opcodes_cost() -> None:
    code = bytes.fromhex("6001 6002 01 80 35 52 54")
    block = block_at(Program(code), 0)
    assert (block.opcode, block.after, block.opcodes) == (0x54, len(code), 6)
    assert block.gas == sum(getattr(CANCUN_OPCODES[each], "gas_cost") for each in (0x60, 0x60, 1, 0x80, 0x35, 0x52))  # noqa: B009
    assert 3 in block.registers  # 1 + 2 is known before it runs
    assert len(block.steps) == 3


def test_what_the_stack_does_needs_no_steps() -> None:
    block = block_at(Program(bytes.fromhex("8091 9250 6005 90 00")), 0)
    assert (block.steps, block.needed, block.changed) == ((), 3, 3)


def test_a_block_goes_on_where_a_constant_leads_but_never_twice() -> None:
    through = block_at(Program(bytes.fromhex("6005 56 0000 5b 34 00")), 0)
    assert (through.opcode, through.after, through.target) == (0, 8, 0)
    loop = block_at(Program(bytes.fromhex("5b5f56")), 0)
    assert (loop.opcodes, loop.opcode) == (3, None)
    assert loop.target


def test_a_block_is_never_long() -> None:
    block = block_at(Program(b"\x34" * 1000), 0)
    assert (block.opcodes, block.opcode, block.target, block.after) == (64, None, 0, 64)


def test_blocks_are_translated_once_and_only_when_code_comes_to_them_often() -> None:
    # 5 rounds of a loop; no other code begins like this.
    code = bytes.fromhex("5b600101806005116000570060205ffd00c0de")
    same(code)
    assert not program_of(code)
    for _ in range(program.COLD):
        same(code)
    before = dict(program_of(code))
    assert list(before) == [0]  # what is behind the loop was come to less often
    same(code)
    assert program_of(code)[0] is before[0]


def test_jumps_into_translated_code_lead_where_those_of_py_evm_lead() -> None:
    """A block begins at the data of no PUSH, and at places where no jump may lead."""
    # Each round jumps to what is given, 0 to 5 of which only 0 and 5 are targets.
    for target in range(7):
        loop = bytes.fromhex("5b 34 50 50 50 5b 6001 01 80 6040 11 6012 57 5f 5f 56 5b 60") + bytes([target, 0x56])
        same(loop)


def test_what_is_kept_of_a_program_is_bounded() -> None:
    code = b"".join(push(2**256 - 1 - number) + b"\x34\x01\x50" for number in range(1300))
    tracemalloc.start()
    try:
        kept = Program(code)
        for _ in range(2 * program.COLD):
            for start in range(0, len(code), 25):
                kept[start]
        assert program._KEPT / 2 < sum(block.opcodes for block in kept.values() if block) <= program._KEPT
        assert tracemalloc.get_traced_memory()[0] < 6_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("unit", ["5a50", "30", "5b3456"])
def test_what_is_kept_of_many_small_blocks_is_bounded(unit: str) -> None:
    code = (bytes.fromhex(unit) * 24_576)[:24_576]
    tracemalloc.start()
    try:
        kept = Program(code)
        for _ in range(program.COLD):
            for start in range(len(code)):
                kept[start]
        assert tracemalloc.get_traced_memory()[0] < 3_000_000
    finally:
        tracemalloc.stop()


# What one unit of gas costs


def work(vm: Any, codes: list[bytes], gas: int) -> int:
    """Calls of functions while frames with these codes run one after the other."""
    program_of.cache_clear()
    return calls_of(lambda: [frame(vm, code, gas) for code in codes])


def looped(unit: str) -> bytes:
    """24 KiB of some code, again and again."""
    body = bytes.fromhex(unit)
    return b"\x5b" + body * (24_570 // len(body)) + bytes.fromhex("5f56")


FAR = b"\x61\x5f\xff\x56" + b"\x60\x00" * 12_285 + b"\x00\x5b"
"""A jump to the end of 24 KiB."""


@pytest.mark.parametrize(
    ("codes", "gas"),
    [
        ([looped("5a50")], 200_000),  # blocks of one opcode
        ([looped("30343450 5050")], 200_000),
        ([looped("5f5f57")], 200_000),
        ([looped("5f3460055756") + b"\0"], 200_000),
        ([b"\x60" + bytes([each]) + b"\x5a\x50" * 100 for each in range(40)] * 4, 1000),  # more than are kept
        ([b"\x61" + each.to_bytes(2, "big") + b"\x50" + b"\x5a\x50" * 2000 for each in range(9)], 9000),  # each once
        ([FAR + each.to_bytes(2, "big") for each in range(40)] * 2, 100),
    ],
)
def test_no_code_costs_far_more_work_than_in_py_evm(codes: list[bytes], gas: int) -> None:
    assert work(QuestionVM, codes, gas) < 1.6 * work(CancunVM, codes, gas)


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
        "5b" * 200_000,  # as an eth_call may take a contract to have
    ],
    ids=lambda code: code[:20],
)
def test_a_guard_ends_code_that_would_run_on(code: str) -> None:
    with pytest.raises(Enough):
        frame(QuestionVM, bytes.fromhex(code), 2**40, guard(30))


@pytest.mark.parametrize(("code", "times"), [("34335033503300", 1 + 4), ("5f5f5f5f5f305af100", 1 + 4 + 2)])
def test_a_guard_is_called_before_every_block_and_call(code: str, times: int) -> None:
    frame(QuestionVM, bytes.fromhex(code), GAS, guard(times))
    with pytest.raises(Enough):
        frame(QuestionVM, bytes.fromhex(code), GAS, guard(times - 1))
