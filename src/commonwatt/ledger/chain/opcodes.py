"""Pure opcodes: what they do depends on nothing but the stack, the frame's memory and its message.

PUSH, DUP, SWAP, POP, PC and JUMPDEST only arrange the stack; the others compute. Source: https://www.evm.codes.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import and_, or_, xor
from typing import Any, cast

from eth.constants import UINT_256_CEILING, UINT_256_MAX
from eth.vm.forks.cancun.opcodes import CANCUN_OPCODES

STOP, POP, MSTORE, JUMP, JUMPI, PC, JUMPDEST = 0x00, 0x50, 0x52, 0x56, 0x57, 0x58, 0x5B
PUSH0, PUSH1, PUSH32, DUP1, DUP16, SWAP1, SWAP16 = 0x5F, 0x60, 0x7F, 0x80, 0x8F, 0x90, 0x9F

Function = Callable[[Any, Any], Any]


def pair(first: Any, second: Any) -> tuple[Any, Any]:
    """Two arguments in the place of one."""
    return first, second


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
    if value >> 255:
        value -= UINT_256_CEILING
    return value >> (shift if shift < 256 else 256) & UINT_256_MAX


def _calldataload(frame: Any, start: int) -> int:
    word = frame.msg.data[start : start + 32]
    return int.from_bytes(word, "big") << 8 * (32 - len(word))


# py-evm may put another bytearray into the place of a memory's when it grows.
def _mload(frame: Any, start: int) -> int:
    if start + 32 > len(frame._memory._bytes):
        frame.extend_memory(start, 32)
    return int.from_bytes(frame._memory._bytes[start : start + 32], "big")


def _mstore(place: tuple[Any, int], value: int) -> None:
    frame, start = place
    if start + 32 > len(frame._memory._bytes):
        frame.extend_memory(start, 32)
    frame._memory._bytes[start : start + 32] = value.to_bytes(32, "big")


COMPUTED: dict[int, tuple[str, Function]] = {
    0x01: ("ss", lambda a, b: (a + b) & UINT_256_MAX),  # ADD
    0x02: ("ss", lambda a, b: (a * b) & UINT_256_MAX),  # MUL
    0x03: ("ss", lambda a, b: (a - b) & UINT_256_MAX),  # SUB
    0x04: ("ss", lambda a, b: a // b if b else 0),  # DIV
    0x05: ("ss", _sdiv),
    0x06: ("ss", lambda a, b: a % b if b else 0),  # MOD
    0x07: ("ss", _smod),
    0x08: ("sss", lambda ab, n: (ab[0] + ab[1]) % n if n else 0),  # ADDMOD
    0x09: ("sss", lambda ab, n: ab[0] * ab[1] % n if n else 0),  # MULMOD
    0x0B: ("ss", _signextend),
    0x10: ("ss", lambda a, b: 1 if a < b else 0),  # LT
    0x11: ("ss", lambda a, b: 1 if a > b else 0),  # GT
    0x12: ("ss", lambda a, b: 1 if _signed(a) < _signed(b) else 0),  # SLT
    0x13: ("ss", lambda a, b: 1 if _signed(a) > _signed(b) else 0),  # SGT
    0x14: ("ss", lambda a, b: 1 if a == b else 0),  # EQ
    0x15: ("s", lambda a, _: 0 if a else 1),  # ISZERO
    0x16: ("ss", and_),
    0x17: ("ss", or_),
    0x18: ("ss", xor),
    0x19: ("s", lambda a, _: UINT_256_MAX - a),  # NOT
    0x1A: ("ss", lambda at, value: value >> 8 * (31 - at) & 0xFF if at < 32 else 0),  # BYTE
    0x1B: ("ss", lambda shift, value: value << shift & UINT_256_MAX if shift < 256 else 0),  # SHL
    0x1C: ("ss", lambda shift, value: value >> shift if shift < 256 else 0),  # SHR
    0x1D: ("ss", _sar),
    0x34: ("f", lambda frame, _: frame.msg.value),  # CALLVALUE
    0x35: ("fs", _calldataload),
    0x36: ("f", lambda frame, _: len(frame.msg.data)),  # CALLDATASIZE
    0x51: ("fs", _mload),
    MSTORE: ("fss", _mstore),
}
"""By opcode its arguments, each the frame ("f") or the next value of the stack ("s"), and what it makes of them.

A function takes two arguments: the only one twice, the first two of three as a pair.
"""

PURE = frozenset({POP, PC, JUMPDEST, *range(PUSH0, SWAP16 + 1), *COMPUTED})
GAS: dict[int, int] = {opcode: cast("Any", CANCUN_OPCODES[opcode]).gas_cost for opcode in (*PURE, JUMP, JUMPI)}
"""What pure opcodes and jumps cost; memory's growth costs more."""
