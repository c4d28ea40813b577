"""Code that runs in basic blocks, where py-evm runs one opcode after the other.

A block is a run of pure opcodes. It is translated when code has come to it a few times: all that PUSH, DUP, SWAP and
POP do is done then, and what is left is a list of functions of registers. A block is entered only when it cannot fail,
so that none of its opcodes has to look whether there is enough gas and stack. Everything else is py-evm's own: the
opcode that ends a block sees exactly the gas, stack and memory that it would see there, and what is not translated, or
cannot be entered, runs opcode by opcode.

Only memory may grow beyond what the gas bears while a block runs. The gas of all its opcodes is paid before; whether a
frame runs out of gas within a block does not depend on the order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from operator import itemgetter
from typing import Any, cast

from eth.vm.code_stream import CodeStream
from eth.vm.forks.shanghai.constants import MAX_INITCODE_SIZE
from eth.vm.logic.flow import jump

from commonwatt.ledger.chain.opcodes import (
    COMPUTED,
    DUP1,
    DUP16,
    GAS,
    JUMP,
    JUMPDEST,
    JUMPI,
    MSTORE,
    PC,
    POP,
    PURE,
    PUSH0,
    PUSH32,
    STOP,
    SWAP1,
    SWAP16,
    Function,
    pair,
)

RUN = 0x100
"""The instruction that runs a frame's code in blocks, the only one that py-evm's loop sees."""

_STACK_LIMIT = 1024
COLD = 6
"""Times that code comes to a block until it is translated.

To translate one takes about as long as to run it as often opcode by opcode, so that code which is always new takes
little longer than in py-evm, and code whose program is never kept for long some twice as long.
"""
# As many contracts' as one transaction calls within reason.
_PROGRAMS = 32
# Opcodes of a block at most, so that the guard is called often.
_LONGEST = 64
# Opcodes that are run singly in a row at most, for the same reason: they take some milliseconds.
_SINGLY = 1 << 12
# Opcodes of a program that are translated, about 100 bytes each; a block itself takes as much as six. A large contract
# has 6 000 in use.
_KEPT = 1 << 14
_BLOCK = 6
_PUSHED = PUSH32 - PUSH0
# Codes of which is kept where instructions are, more than programs: as many as one transaction calls within reason.
# Each takes twice its size, 48 KiB at most, 96 KiB when it creates a contract.
_SOUGHT = 1024
# Times that an instruction is looked for backwards; each takes as long as some 50 instructions forwards.
_LOOKS = 8


@dataclass(frozen=True, slots=True)
class Block:
    """A run of pure opcodes, and what ends it.

    Its registers are the frame, constants, what each step gives, and the topmost `needed` values of the stack.

    gas : of its opcodes, without memory's growth
    needed : values that must be on the stack
    highest : height of the stack from which it does not grow beyond its limit
    registers : those before the stack's, with the constants in them
    steps : functions, the registers of their two arguments, and that of what they give
    changed : topmost values of the stack that the results replace
    results : picks those from the registers
    target, condition : of a jump at its end, registers that tell where to and whether; the frame is always true.
        0 as target: no jump
    opcode : what else ends it; None when nothing does
    after : place behind it
    opcodes : how many it was made of
    """

    start: int
    gas: int
    needed: int
    highest: int
    registers: list[Any]
    steps: tuple[tuple[Function, int, int, int], ...]
    changed: int
    results: Callable[[list[Any]], Any]
    target: int
    condition: int
    opcode: int | None
    after: int
    opcodes: int


@dataclass(eq=False, slots=True)
class _Value:
    """What a register will hold. constant : None when it is not known before the block runs."""

    constant: Any = None


@dataclass
class _Translation:
    """A block in the making: its opcodes are run with values of which only constants are known."""

    stack: list[_Value] = field(default_factory=list)
    inputs: list[_Value] = field(default_factory=list)
    """Values that were on the stack before, the topmost first."""
    constants: dict[Any, _Value] = field(default_factory=dict)
    steps: list[tuple[Function, _Value, _Value, _Value]] = field(default_factory=list)
    frame: _Value = field(default_factory=_Value)
    gas: int = 0
    growth: int = 0
    opcodes: int = 0

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
        """Put a value on top of the stack."""
        self.stack.append(value)
        self.growth = max(self.growth, len(self.stack) - len(self.inputs))

    def known(self) -> int | None:
        """The topmost value when it is a constant."""
        return self.stack[-1].constant if self.stack else None

    def constant(self, value: Any) -> _Value:
        """A value that is known."""
        return self.constants.setdefault(value, _Value(value))

    def apply(self, function: Function, first: _Value, second: _Value) -> _Value:
        """What a function gives; of constants it is a constant."""
        if first.constant is not None and second.constant is not None:
            return self.constant(function(first.constant, second.constant))
        self.steps.append((function, first, second, result := _Value()))
        return result

    def pay(self, opcode: int) -> None:
        """Count an opcode and its gas."""
        self.opcodes += 1
        self.gas += GAS[opcode]

    def add(self, opcode: int, data: bytes, place: int) -> None:
        """Run a pure opcode. data : of a PUSH; place : of the opcode"""
        self.pay(opcode)
        if PUSH0 <= opcode <= PUSH32:
            self.put(self.constant(int.from_bytes(data, "big")))
        elif DUP1 <= opcode <= DUP16:
            depth = opcode - DUP1 + 1
            self.need(depth)
            self.put(self.stack[-depth])
        elif SWAP1 <= opcode <= SWAP16:
            depth = opcode - SWAP1 + 2
            self.need(depth)
            self.stack[-1], self.stack[-depth] = self.stack[-depth], self.stack[-1]
        elif opcode == POP:
            self.take()
        elif opcode == PC:
            self.put(self.constant(place))
        elif opcode != JUMPDEST:
            self._compute(opcode)

    def _compute(self, opcode: int) -> None:
        kinds, function = COMPUTED[opcode]
        arguments = [self.frame if kind == "f" else self.take() for kind in kinds]
        if len(arguments) == 3:
            arguments[:2] = [self.apply(pair, *arguments[:2])]
        result = self.apply(function, arguments[0], arguments[-1])
        if opcode != MSTORE:
            self.put(result)

    def block(self, start: int, opcode: int | None, after: int) -> Block:
        """The block, which ends before an opcode or after a jump."""
        target = condition = self.frame
        if opcode in (JUMP, JUMPI):
            self.pay(opcode)
            target = self.take()
            condition = self.take() if opcode == JUMPI else self.frame
            opcode = None
        before = [self.frame, *self.constants.values(), *(result for *_, result in self.steps)]
        registers = {value: number for number, value in enumerate([*before, *reversed(self.inputs)])}
        kept = 0  # of the lowest values
        while kept < min(len(self.stack), len(self.inputs)) and self.stack[kept] is self.inputs[-1 - kept]:
            kept += 1
        return Block(
            start=start,
            gas=self.gas,
            needed=len(self.inputs),
            highest=_STACK_LIMIT - self.growth,
            registers=[value.constant for value in before],
            steps=tuple((act, registers[a], registers[b], registers[result]) for act, a, b, result in self.steps),
            changed=len(self.inputs) - kept,
            results=_picking([registers[value] for value in self.stack[kept:]]),
            target=registers[target],
            condition=registers[condition],
            opcode=opcode,
            after=after,
            opcodes=self.opcodes,
        )


def _picking(registers: list[int]) -> Callable[[list[Any]], Any]:
    """A function that picks these registers."""
    if len(registers) > 1:
        return itemgetter(*registers)
    first = registers[0] if registers else 0
    return itemgetter(slice(first, first + len(registers)))


class Program(dict[int, Block | None]):
    """The blocks of some code by where they begin; None for one that is not translated, or not yet."""

    def __init__(self, code: bytes) -> None:
        super().__init__()
        self.code = code
        self._room = _KEPT
        self._came = bytearray(len(code))
        """How often code came to a place; once the room is used up this is not counted."""
        # Longer code is no chain's: whoever asks a question may take a contract to have it.
        self._instructions = _instructions_of(code) if len(code) <= MAX_INITCODE_SIZE else bytearray(len(code))

    def __missing__(self, start: int) -> Block | None:
        came = self._came
        if start >= len(came) or self._room <= 0:
            return None
        came[start] += 1
        if came[start] < COLD:
            return None
        block = self[start] = block_at(self, start)
        self._room -= block.opcodes + _BLOCK
        return block

    def is_target(self, place: int) -> bool:
        """Whether the code may jump there."""
        return place < len(self.code) and self.code[place] == JUMPDEST and self.is_instruction(place)

    def is_instruction(self, place: int) -> bool:
        """Whether an instruction is there, and not the data of one. The place must be within the code."""
        code, known = self.code, self._instructions
        if known[place]:
            return True
        start = self._instruction_before(place)
        while start < place:
            known[start] = 1
            start += _SIZES[code[start]]
        if start == place:
            known[place] = 1
        return start == place

    def _instruction_before(self, place: int) -> int:
        """Where an instruction surely is, at a place or before it.

        Near it as a rule. In code that is made to look like PUSH everywhere it is the last one that is known.
        """
        code, known = self.code, self._instructions
        for _ in range(_LOOKS):
            first = max(place - _PUSHED, 0)
            if (nearest := known.rfind(1, first, place)) >= 0:
                return nearest
            pushes = [at for at in range(first, place) if PUSH0 + place - at <= code[at] <= PUSH32]
            if not pushes:
                return place
            place = pushes[0]
        return max(known.rfind(1, 0, place + 1), 0)


def _data_of(opcode: int) -> int:
    """Bytes that stand behind an opcode as its data."""
    return opcode - PUSH0 if PUSH0 < opcode <= PUSH32 else 0


_SIZES = bytes([1 + _data_of(opcode) for opcode in range(256)])
"""Bytes of each instruction with its data."""


@lru_cache(maxsize=_SOUGHT)
def _instructions_of(code: bytes) -> bytearray:
    """1 at places of some code that are known to hold an instruction; whoever finds one sets it."""
    return bytearray(len(code))


def block_at(program: Program, start: int) -> Block:
    """Translate the block that begins at a place of some code.

    It goes on where a jump leads whose target is a constant, but not to where it was: what is repeated is a block.
    """
    code, made, place, passed = program.code, _Translation(), start, {start}
    while made.opcodes < _LONGEST:
        opcode = code[place] if place < len(code) else STOP
        after = place + 1
        if opcode in PURE:
            size = _data_of(opcode)
            after += size
            made.add(opcode, code[place + 1 : after].ljust(size, b"\0"), place)
        elif (
            opcode == JUMP
            and (target := made.known()) is not None
            and target not in passed
            and program.is_target(target)
        ):
            made.pay(opcode)
            after = made.take().constant
            passed.add(after)
        else:
            return made.block(start, opcode, after)
        place = after
    return made.block(start, None, place)


program_of = lru_cache(maxsize=_PROGRAMS)(Program)
"""The program of some code; as many are kept as a chain's contracts need."""


class Code(CodeStream):
    """A frame's code: one instruction, which runs it all."""

    __slots__ = ()

    def __iter__(self) -> Iterator[int]:
        yield RUN

    def opcodes(self, place: int) -> Iterator[int]:
        """The opcodes from a place on; jumps and the data of PUSH are passed over while they run."""
        self.program_counter = place
        return super().__iter__()

    def is_valid_opcode(self, position: int) -> bool:
        """Whether an instruction is there, and not the data of one."""
        return position < self._length_cache and program_of(self._raw_code_bytes).is_instruction(position)


def run(computation: Any) -> None:
    """Run a frame's code block by block; the state's guard is called before each.

    Raises what py-evm's opcodes raise, Halt at the code's end, and what the guard does.
    """
    meter, stack = computation._gas_meter, computation._stack.values
    program, guard, place = program_of(computation.code._raw_code_bytes), computation.state.guard, 0
    code = program.code
    while True:
        guard()
        block, height = program[place], len(stack)
        if not block or height < block.needed or height > block.highest or meter.gas_remaining < block.gas:
            place = _run_singly(computation, program, place)
            continue
        meter.gas_remaining -= block.gas
        registers = block.registers + stack[height - block.needed :]
        registers[0] = computation
        for function, first, second, result in block.steps:
            registers[result] = function(registers[first], registers[second])
        stack[height - block.changed :] = block.results(registers)
        if block.target and registers[block.condition]:
            place = registers[block.target]
            # Where a block begins, an instruction is.
            if not (code[place] == JUMPDEST if place in program else program.is_target(place)):
                stack.append(place)
                jump(computation)  # raises
        else:
            place = block.after
            if block.opcode is not None:
                computation.code.program_counter = place
                act = computation.opcodes.get(block.opcode) or computation.get_opcode_fn(block.opcode)
                act(computation=computation)
                if stack and type(stack[-1]) is bytes:
                    stack[-1] = int.from_bytes(stack[-1], "big")


def _run_singly(computation: Any, program: Program, place: int) -> int:
    """Run opcode by opcode as py-evm does, to where a translated block begins or for long enough; returns that place.

    The guard is called where another block would begin.
    """
    code, stack, opcodes = computation.code, computation._stack.values, computation.opcodes
    guard = computation.state.guard
    for opcode in islice(code.opcodes(place), _SINGLY):
        try:
            act = opcodes[opcode]
        except KeyError:
            act = computation.get_opcode_fn(opcode)
        act(computation=computation)
        if stack and type(stack[-1]) is bytes:
            stack[-1] = int.from_bytes(stack[-1], "big")
        if opcode not in PURE:
            guard()
            if program[code.program_counter]:
                break
    return cast("int", code.program_counter)
