"""Code run in basic blocks, where py-evm runs one opcode after the other.

An opcode is *pure* when all that it does is known from the stack, the frame's memory and its message. A block is a run
of pure opcodes. It is translated when code first comes to it: what PUSH, DUP, SWAP and POP do is then done for good, and
what is left are functions of registers. It is entered only when it cannot fail, so that no opcode has to look whether
there is enough gas and stack. Everything else is py-evm's own: the opcode that ends a block sees exactly the stack, gas
and memory that it would see in py-evm, and when a block cannot be entered, py-evm's loop ends the frame within it.

The one thing in a block that may fail is memory that grows beyond what its gas bears. Gas that a block's opcodes cost
is paid at its beginning; whether a frame runs out of gas in a block does not depend on the order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from operator import and_, itemgetter, or_, xor
from typing import Any

from eth.constants import STACK_DEPTH_LIMIT, UINT_256_CEILING, UINT_256_MAX
from eth.vm.code_stream import CodeStream
from eth.vm.forks.cancun.opcodes import CANCUN_OPCODES
from eth.vm.logic.flow import jump

RUN = 0x100
"""Stands before a frame's opcodes: the instruction that runs them in blocks."""

_STOP, _POP, _JUMP, _JUMPI, _PC, _JUMPDEST = 0x00, 0x50, 0x56, 0x57, 0x58, 0x5B
_PUSH0, _PUSH1, _PUSH32, _DUP1, _DUP16, _SWAP1, _SWAP16 = 0x5F, 0x60, 0x7F, 0x80, 0x8F, 0x90, 0x9F
_PUSHES = re.compile(
    b"|".join(re.escape(bytes([_PUSH1 - 1 + size])) + b".{0,%d}" % size for size in range(1, 33)), re.DOTALL
)
# As many contracts' as one transaction calls within reason; each takes twice its size, 48 KiB at most.
_ANALYSED = 1024
_PROGRAMS = 64
# Opcodes of a block: translating one that is then not entered takes no longer than the call that came to it.
_LONGEST = 64
# Steps and blocks that are kept of a program; it takes a MiB then.
_KEPT = 8192

Function = Callable[[Any, Any], Any]


def _signed(value: int) -> int:
    return value - UINT_256_CEILING if value >> 255 else value


def _sdiv(a: int, b: int) -> int:
    a, b = _signed(a), _signed(b)
    quotient = abs(a) // abs(b) if b else 0
    return (quotient if (a < 0) == (b < 0) else -quotient) & UINT_256_MAX


def _smod(a: int, b: int) -> int:
    a, b = _signed(a), _signed(b)
    rest = abs(a) % abs(b) if b else 0
    return (-rest if a < 0 else rest) & UINT_256_MAX


def _signextend(size: int, value: int) -> int:
    if size > 31:
        return value
    sign = 1 << 8 * size + 7
    return value | UINT_256_CEILING - sign if value & sign else value & sign - 1


def _sar(shift: int, value: int) -> int:
    return _signed(value) >> min(shift, 256) & UINT_256_MAX


def _calldataload(frame: Any, start: int) -> int:
    return int.from_bytes(frame.msg.data_as_bytes[start : start + 32].ljust(32, b"\0"), "big")


def _mload(frame: Any, start: int) -> int:
    if start + 32 > len(frame._memory._bytes):
        frame.extend_memory(start, 32)
    return int.from_bytes(frame._memory._bytes[start : start + 32], "big")


def _mstore(place: tuple[Any, int], value: int) -> None:
    frame, start = place
    if start + 32 > len(frame._memory._bytes):
        frame.extend_memory(start, 32)
    frame._memory._bytes[start : start + 32] = value.to_bytes(32, "big")


def _pair(a: Any, b: Any) -> tuple[Any, Any]:
    return a, b


# What pure opcodes make of the topmost values of the stack, the first one on top.
_UNARY: dict[int, Callable[[int, Any], int]] = {
    0x15: lambda a, _: 0 if a else 1,  # ISZERO
    0x19: lambda a, _: UINT_256_MAX - a,  # NOT
}
_BINARY: dict[int, Callable[[int, int], int]] = {
    0x01: lambda a, b: (a + b) & UINT_256_MAX,  # ADD
    0x02: lambda a, b: (a * b) & UINT_256_MAX,  # MUL
    0x03: lambda a, b: (a - b) & UINT_256_MAX,  # SUB
    0x04: lambda a, b: a // b if b else 0,  # DIV
    0x05: _sdiv,
    0x06: lambda a, b: a % b if b else 0,  # MOD
    0x07: _smod,
    0x0B: _signextend,
    0x10: lambda a, b: 1 if a < b else 0,  # LT
    0x11: lambda a, b: 1 if a > b else 0,  # GT
    0x12: lambda a, b: 1 if _signed(a) < _signed(b) else 0,  # SLT
    0x13: lambda a, b: 1 if _signed(a) > _signed(b) else 0,  # SGT
    0x14: lambda a, b: 1 if a == b else 0,  # EQ
    0x16: and_,
    0x17: or_,
    0x18: xor,
    0x1A: lambda at, value: value >> 8 * (31 - at) & 0xFF if at < 32 else 0,  # BYTE
    0x1B: lambda shift, value: value << shift & UINT_256_MAX if shift < 256 else 0,  # SHL
    0x1C: lambda shift, value: value >> shift if shift < 256 else 0,  # SHR
    0x1D: _sar,
}
_TERNARY: dict[int, Callable[[tuple[int, int], int], int]] = {
    0x08: lambda pair, n: (pair[0] + pair[1]) % n if n else 0,  # ADDMOD
    0x09: lambda pair, n: pair[0] * pair[1] % n if n else 0,  # MULMOD
}
_OF_FRAME: dict[int, Callable[[Any, Any], int]] = {
    0x34: lambda frame, _: int(frame.msg.value),  # CALLVALUE
    0x36: lambda frame, _: len(frame.msg.data),  # CALLDATASIZE
}
_OF_FRAME_AND_VALUE: dict[int, Callable[[Any, int], int]] = {0x35: _calldataload, 0x51: _mload}
_MSTORE = 0x52
_STACK_ONLY = {_POP, _PC, _JUMPDEST, *range(_PUSH0, _SWAP16 + 1)}
PURE = frozenset(
    _STACK_ONLY | {_MSTORE} | _UNARY.keys() | _BINARY.keys() | _TERNARY.keys() | _OF_FRAME.keys()
    | _OF_FRAME_AND_VALUE.keys()
)  # fmt: skip
"""The opcodes that blocks are made of."""
_GAS = {opcode: CANCUN_OPCODES[opcode].gas_cost for opcode in (*PURE, _JUMP, _JUMPI)}


@dataclass(frozen=True, slots=True)
class Block:
    """Code from one place to the next opcode that is not pure, translated.

    Its registers are the frame, `constants`, the topmost `needed` values of the stack and what each step gives.

    gas : what its opcodes cost, without memory's growth
    needed : values that it wants on the stack
    highest : of the stack's heights at its beginning, in order not to go beyond the limit
    steps : function and the registers of its two arguments
    changed : topmost values of the stack in whose place its results come
    results : picks those out of the registers
    opcode : that ends it; None when it is only too long
    after : place behind it
    """

    start: int
    gas: int
    needed: int
    highest: int
    constants: tuple[Any, ...]
    steps: tuple[tuple[Function, int, int], ...]
    changed: int
    results: Callable[[list[Any]], Any]
    opcode: int | None
    after: int


@dataclass(eq=False, slots=True)
class _Value:
    """What will be in a register. constant : its value; None when it is known only when the block runs."""

    constant: Any = None


@dataclass
class _Translation:
    """A block in the making: what its opcodes do is done with values that nobody knows yet."""

    stack: list[_Value] = field(default_factory=list)
    inputs: list[_Value] = field(default_factory=list)
    """Values that were on the stack before, the topmost first."""
    constants: dict[Any, _Value] = field(default_factory=dict)
    steps: list[tuple[Function, _Value, _Value, _Value]] = field(default_factory=list)
    frame: _Value = field(default_factory=_Value)
    gas: int = 0
    growth: int = 0

    def need(self, count: int) -> None:
        """See to so many values being on the stack."""
        while len(self.stack) < count:
            self.inputs.append(_Value())
            self.stack.insert(0, self.inputs[-1])

    def take(self) -> _Value:
        """Take the topmost value off the stack."""
        self.need(1)
        return self.stack.pop()

    def put(self, value: _Value) -> None:
        """Put a value onto the stack."""
        self.stack.append(value)
        self.growth = max(self.growth, len(self.stack) - len(self.inputs))

    def constant(self, value: Any) -> _Value:
        """A value that is known."""
        return self.constants.setdefault(value, _Value(value))

    def apply(self, function: Function, first: _Value, second: _Value) -> _Value:
        """What a function gives; of constants that is a constant."""
        if first.constant is not None and second.constant is not None:
            return self.constant(function(first.constant, second.constant))
        self.steps.append((function, first, second, result := _Value()))
        return result

    def translate(self, opcode: int, data: bytes, place: int) -> None:
        """Do what a pure opcode does. data : that of a PUSH; place : of the opcode"""
        self.gas += _GAS[opcode]
        if _PUSH0 <= opcode <= _PUSH32:
            self.put(self.constant(int.from_bytes(data, "big")))
        elif _DUP1 <= opcode <= _DUP16:
            depth = opcode - _DUP1 + 1
            self.need(depth)
            self.put(self.stack[-depth])
        elif _SWAP1 <= opcode <= _SWAP16:
            depth = opcode - _SWAP1 + 2
            self.need(depth)
            self.stack[-1], self.stack[-depth] = self.stack[-depth], self.stack[-1]
        elif opcode == _POP:
            self.take()
        elif opcode == _PC:
            self.put(self.constant(place))
        elif function := _BINARY.get(opcode):
            self.put(self.apply(function, self.take(), self.take()))
        elif function := _UNARY.get(opcode):
            value = self.take()
            self.put(self.apply(function, value, value))
        elif function := _OF_FRAME_AND_VALUE.get(opcode):
            self.put(self.apply(function, self.frame, self.take()))
        elif opcode == _MSTORE:
            self.apply(_mstore, self.apply(_pair, self.frame, self.take()), self.take())
        elif function := _TERNARY.get(opcode):
            self.put(self.apply(function, self.apply(_pair, self.take(), self.take()), self.take()))
        elif function := _OF_FRAME.get(opcode):
            self.put(self.apply(function, self.frame, self.frame))

    def block(self, start: int, opcode: int | None, after: int) -> Block:
        """The block, once it is known what ends it."""
        values = [self.frame, *self.constants.values(), *reversed(self.inputs), *(step[3] for step in self.steps)]
        registers = {value: register for register, value in enumerate(values)}
        same = 0  # of the lowest values, those that it leaves as they are
        for value, before in zip(self.stack, reversed(self.inputs), strict=False):
            if value is not before:
                break
            same += 1
        return Block(
            start,
            self.gas,
            len(self.inputs),
            STACK_DEPTH_LIMIT - self.growth,
            tuple(self.constants),
            tuple((function, registers[a], registers[b]) for function, a, b, _ in self.steps),
            len(self.inputs) - same,
            _picked([registers[value] for value in self.stack[same:]]),
            opcode,
            after,
        )


def _picked(registers: list[int]) -> Callable[[list[Any]], Any]:
    """A function that gives these registers."""
    if len(registers) > 1:
        return itemgetter(*registers)
    first = registers[0] if registers else 0
    return itemgetter(slice(first, first + len(registers)))


def block_at(code: bytes, start: int) -> Block:
    """Translate the block that begins at a place of some code."""
    made, place = _Translation(), start
    for _ in range(_LONGEST):
        opcode = code[place] if place < len(code) else _STOP
        after = place + 1
        if opcode in PURE:
            size = max(opcode - _PUSH0, 0) if opcode <= _PUSH32 else 0
            after += size
            made.translate(opcode, code[place + 1 : after].ljust(size, b"\0"), place)
        elif opcode == _JUMP and made.stack and is_target(code, made.stack[-1].constant):
            made.gas += _GAS[_JUMP]
            after = made.take().constant
        else:
            made.gas += _GAS.get(opcode, 0)
            if opcode in (_JUMP, _JUMPI):
                made.need(opcode - _JUMP + 1)
            return made.block(start, opcode, after)
        place = after
    return made.block(start, None, place)


@lru_cache(maxsize=_ANALYSED)
def instructions(code: bytes) -> bytes:
    """Code in which the data of each PUSH is a PUSH1, and no instruction is."""
    return _PUSHES.sub(lambda push: b"\0" + bytes([_PUSH1]) * (len(push[0]) - 1), code)


def is_target(code: bytes, place: int | None) -> bool:
    """Whether code may jump there."""
    return place is not None and place < len(code) and instructions(code)[place] == _JUMPDEST


class Program(dict[int, Block]):
    """Code, with the blocks that were entered so far by where they begin.

    targets : those that jumps came to
    """

    def __init__(self, code: bytes) -> None:
        super().__init__()
        self._code, self._size = code, 0
        self.targets = _Targets(self)

    def __missing__(self, start: int) -> Block:
        made = block_at(self._code, start)
        self._size += 1 + len(made.steps)
        if self._size > _KEPT:
            self.clear()
            self.targets.clear()
            self._size = 1 + len(made.steps)
        self[start] = made
        return made

    def is_target(self, place: int) -> bool:
        """Whether the code may jump there."""
        return is_target(self._code, place)


class _Targets(dict[int, Block | None]):
    def __init__(self, program: Program) -> None:
        super().__init__()
        self._program = program

    def __missing__(self, place: int) -> Block | None:
        if not self._program.is_target(place):
            return None
        block = self._program[place]
        self[place] = block
        return block


program = lru_cache(maxsize=_PROGRAMS)(Program)
"""The program of some code."""


class Code(CodeStream):
    """Code that runs in blocks as far as it can; py-evm's loop does the rest, which is to end the frame.

    Where it may jump to is found out once, from its beginning.
    """

    __slots__ = ()

    def __iter__(self) -> Iterator[int]:
        yield RUN
        yield from super().__iter__()

    def is_valid_opcode(self, position: int) -> bool:
        """Whether an instruction is there, and not the data of one."""
        return position < self._length_cache and instructions(self._raw_code_bytes)[position] != _PUSH1


def run(computation: Any) -> None:
    """Run a frame's code from its beginning, block by block.

    The state's guard is called before each. Returns when a block cannot be entered: py-evm's loop, from that block's
    beginning on, then finds out what it fails of. Raises what py-evm's opcodes raise.
    """
    code, meter, stack = computation.code, computation._gas_meter, computation._stack.values
    blocks, guard = program(code._raw_code_bytes), computation.state.guard
    targets, opcodes = blocks.targets, computation.opcodes
    block = blocks[0]
    while True:
        guard()
        height = len(stack)
        if height < block.needed or height > block.highest or meter.gas_remaining < block.gas:
            code.program_counter = block.start
            return
        meter.gas_remaining -= block.gas
        registers = [computation, *block.constants, *stack[height - block.needed :]]
        keep = registers.append
        for function, first, second in block.steps:
            keep(function(registers[first], registers[second]))
        stack[height - block.changed :] = block.results(registers)
        opcode, after = block.opcode, block.after
        if opcode == _JUMP or opcode == _JUMPI:
            target = stack.pop()
            if opcode == _JUMPI and not stack.pop():
                block = blocks[after]
                continue
            found = targets[target]
            if found is None:
                stack.append(target)
                jump(computation)
            block = found
            continue
        if opcode is not None:
            code.program_counter = after
            act = opcodes.get(opcode) or computation.get_opcode_fn(opcode)
            act(computation=computation)
            if stack and type(stack[-1]) is bytes:
                stack[-1] = int.from_bytes(stack[-1], "big")
        block = blocks[after]
