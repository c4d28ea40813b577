"""Faults of the interpreter, the accounts and the tries, planted one at a time, and the families that find them.

A fault is a change of the source, made in a process of its own. Tests that do not find such faults prove nothing about
real ones.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_ROOM = "commonwatt.ledger"
_HELPERS = ("families", "frames", "oracle", "recreation", "strong_blocks", "strong_programs", "twins")


@dataclass(frozen=True)
class Fault:
    """One wrong thing.

    module : of the package `commonwatt.ledger.chain`
    changes : what stands there, each once, and what is planted instead
    family : function of `families` that finds it, with its seeds up to `seeds`, none when it takes none
    """

    name: str
    module: str
    changes: tuple[tuple[str, str], ...]
    family: str
    seeds: int = 0

    def source(self) -> tuple[str, str]:
        """Path of the module and what it would say. Raises ValueError when the fault has no place there any more."""
        spec = importlib.util.find_spec(f"{_ROOM}.chain.{self.module}")
        assert spec
        assert spec.origin
        text = Path(spec.origin).read_text("utf-8")
        for was, becomes in self.changes:
            if text.count(was) != 1:
                raise ValueError(f"{self.module}.py has {text.count(was)} times: {was}")
            text = text.replace(was, becomes)
        return spec.origin, text


FAULTS = (
    Fault(
        "gas of MUL", "program", ((".gas_cost for opcode in", ".gas_cost - (opcode == 0x02) for opcode in"),), "straight", 5
    ),
    Fault("SLT without signs", "program", (("1 if _signed(a) < _signed(b)", "1 if a < b"),), "results"),
    Fault("SMOD with the sign of the divisor", "program", (("-rest if a < 0", "-rest if b < 0"),), "results"),
    Fault("SAR by 256 and more", "program", (("min(shift, 256)", "(shift & 255)"),), "results"),
    Fault("SHR by 255", "program", (("value >> shift if shift < 256", "value >> shift if shift < 255"),), "results"),
    Fault("one word too few is enough", "program", (("height < block.needed", "height + 1 < block.needed"),), "heights"),
    Fault("one word too many fits", "program", (("height > block.highest", "height > block.highest + 1"),), "heights"),
    Fault(
        "growth at the end instead of the highest", "program",
        (("max(self.growth, len(self.stack) - len(self.inputs))", "len(self.stack) - len(self.inputs)"),), "heights",
    ),
    Fault("memory grows for nothing", "program", (
        ("start + 32 > len(frame._memory._bytes):\n        frame.extend_memory(start, 32)\n    return",
         "start + 32 > len(frame._memory._bytes):\n        frame._memory.extend(start, 32)\n    return"),), "straight", 5),
    Fault("a jump into the data of a PUSH", "program", (
        ("instructions(code)[place] == _JUMPDEST", "code[place] == _JUMPDEST"),), "jumps"),
    Fault(
        "a block that does not end at SSTORE", "program",
        (
            ("    _STACK_ONLY | {_MSTORE}", "    _STACK_ONLY | {_MSTORE, 0x55}"),
            ("        elif opcode == _MSTORE:", "        elif opcode == 0x55:\n            self.apply(_sstore, self.apply(_pair, self.frame, self.take()), self.take())\n        elif opcode == _MSTORE:"),
            ("def _pair(", "def _sstore(place: Any, value: int) -> None:\n    frame, slot = place\n    frame._stack.values += [value, slot]\n    CANCUN_OPCODES[0x55](computation=frame)\n\n\ndef _pair("),
        ), "gas",
    ),
    Fault("all words are warm", "state", (("return (address, slot) in self._warm", "return True"),), "random_blocks", 50),
    Fault(
        "warmth is not undone", "state",
        (("            self._undo.append((self._warm, what, _ABSENT))\n", ""),), "random_blocks", 50,
    ),
    Fault("changes are undone the oldest first... ", "state", (("in reversed(self._undo[start:])", "in self._undo[start:]"),), "random_blocks", 50),
    Fault("original words are the last ones", "state", (
        ("self._original.setdefault((address, slot), before)", "self._original[address, slot] = before"),), "random_blocks", 50),
    Fault("original words are those of the block", "state", (
        ("        self._original: dict[tuple[Address, int], int] = {}\n", "        self._original: dict[tuple[Address, int], int] = getattr(self, '_original', {})\n"),), "random_blocks", 50),
    Fault("words outlive their account", "state", (
        ('"""Take an account out of the state."""\n        self._wipe(address)\n', '"""Take an account out of the state."""\n'),), "recreations", 50),
    Fault("deleted accounts stay", "state", (
        ("        self._wipe(address)\n        self._set(address, None)", "        self._wipe(address)\n        self._set(address, _NEW)"),), "recreations", 50),
    Fault("short nodes are hashed", "trie", (("        if len(raw) < _HASH:\n            return raw\n", ""),), "random_blocks", 50),
    Fault("nodes of 32 bytes stay in their parent", "trie", (("        if len(raw) < _HASH:\n", "        if len(raw) < _HASH + 1:\n"),), "random_blocks", 50),
    Fault("a branch with one child stays", "trie", (("if len(left) > 1:", "if left and left != [16]:"),), "random_blocks", 50),
    Fault("an extension above a leaf stays", "trie", (("if isinstance(node, Leaf | Extension):", "if isinstance(node, Extension):"),), "random_blocks", 50),
)  # fmt: skip


def found(fault: Fault) -> bool:
    """Plant a fault in a child process; whether its family finds it there."""
    origin, text = fault.source()
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    code = 2
    try:
        _plant(f"{_ROOM}.chain.{fault.module}", origin, text)
        code = 0 if _differs(fault.family, range(fault.seeds)) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _plant(name: str, origin: str, text: str) -> None:
    """Load the room anew, with another source of one module."""
    for each in list(sys.modules):
        if each == _ROOM or each.startswith(f"{_ROOM}.") or each in _HELPERS:
            del sys.modules[each]
    spec = importlib.util.find_spec(name)
    assert spec
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    exec(compile(text, origin, "exec"), vars(module))  # noqa: S102 (the source is our own)


def _differs(name: str, seeds: Iterable[int]) -> bool:
    families, twins = importlib.import_module("families"), importlib.import_module("twins")
    family = getattr(families, name)
    try:
        for seed in seeds:
            family(seed)
        if not seeds:
            family()
    except twins.Difference:
        return True
    return False
