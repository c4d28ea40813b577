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

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any, cast

from eth.vm.code_stream import CodeStream
from eth.vm.forks.shanghai.constants import MAX_INITCODE_SIZE
from eth.vm.logic.flow import jump

from commonwatt.ledger.chain.opcodes import JUMP, JUMPDEST, PURE, PUSH0, PUSH32, STOP
from commonwatt.ledger.chain.translation import Block, Translation

RUN = 0x100
"""The instruction that runs a frame's code in blocks, the only one that py-evm's loop sees."""

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
    code, made, place, passed = program.code, Translation(), start, {start}
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
