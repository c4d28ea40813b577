"""How a block of code is translated, opcode by opcode, and what it then is.

All that PUSH, DUP, SWAP and POP do is done then, and what is left is a list of functions of registers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

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
    PUSH0,
    PUSH32,
    SWAP1,
    SWAP16,
    Function,
    pair,
)

_STACK_LIMIT = 1024


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
class Translation:
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
