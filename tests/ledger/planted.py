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
from dataclasses import dataclass
from inspect import signature
from pathlib import Path

_ROOM = "commonwatt.ledger"
SEEDS = 10
"""Of a family of chance, that must suffice."""
_HELPERS = ("families", "frames", "oracle", "recreation", "strong_blocks", "strong_programs", "twins")


@dataclass(frozen=True)
class Fault:
    """One wrong thing.

    module : of the package `commonwatt.ledger.chain`
    was : what stands there once
    becomes : what is planted instead
    family : function of `families` that finds it
    """

    name: str
    module: str
    was: str
    becomes: str
    family: str

    def planted(self) -> tuple[str, str]:
        """Path of the module and what it says with the fault. Raises ValueError when the fault has no place there."""
        spec = importlib.util.find_spec(f"{_ROOM}.chain.{self.module}")
        assert spec
        assert spec.origin
        text = Path(spec.origin).read_text("utf-8")
        if text.count(self.was) != 1:
            raise ValueError(f"{self.module}.py has {text.count(self.was)} times: {self.was}")
        return spec.origin, text.replace(self.was, self.becomes)


def _wrong(module: str, family: str, **changes: tuple[str, str]) -> list[Fault]:
    """Faults of a module that a family finds, by their names."""
    return [Fault(name.replace("_", " "), module, *change, family) for name, change in changes.items()]


# SSTORE as if it were pure: the gas of what follows is paid before it looks whether 2 300 are left.
_STORES = """        if opcode == 0x55:
            slot, word = made.take(), made.take()
            made.apply(
                lambda at, word: (at[0]._stack.values.extend((word, at[1])), at[0].opcodes[0x55](computation=at[0])),
                made.apply(lambda frame, slot: (frame, slot), made.frame, slot), word,
            )
"""
_ONCE = """        if hash_ not in self._nodes._new:
            made[hash_] = raw
        self._nodes.keep(hash_, node)
        return"""
FAULTS = (
    *_wrong(
        "opcodes", "results",
        signs_of_SLT=("1 if _signed(a) < _signed(b)", "1 if a < b"),
        sign_of_SMOD=("-rest if a < 0", "-rest if b < 0"),
        shift_of_SAR_by_256=("(shift if shift < 256 else 256)", "(shift & 255)"),
        shift_of_SHR_by_255=("value >> shift if shift < 256", "value >> shift if shift < 255"),
        sign_of_SIGNEXTEND=("sign = 1 << 8 * size + 7", "sign = 1 << 8 * size + 6"),
    ),
    *_wrong(
        "program", "heights",
        need_of_a_word_less=("height < block.needed", "height + 1 < block.needed"),
        growth_by_a_word_more=("height > block.highest", "height > block.highest + 1"),
    ),
    *_wrong(
        "translation", "heights",
        growth_seen_at_the_end=(
            "max(self.growth, len(self.stack) - len(self.inputs))", "len(self.stack) - len(self.inputs)"
        ),
    ),
    *_wrong(
        "opcodes", "straight",
        gas_of_MUL=(").gas_cost for opcode in", ").gas_cost - (opcode == 0x02) for opcode in"),
        gas_of_memory=("frame.extend_memory(start, 32)\n    return", "frame._memory.extend(start, 32)\n    return"),
    ),
    *_wrong(
        "program", "jumps",
        jump_into_data=("self.code[place] == JUMPDEST and self.is_instruction(place)", "self.code[place] == JUMPDEST"),
        jump_to_a_block_that_is_no_target=("code[place] == JUMPDEST if place in program else", "place in program or"),
        instruction_behind_a_PUSH32=("first = max(place - _PUSHED, 0)", "first = max(place - _PUSHED + 1, 0)"),
        jump_where_the_word_is_zero=("registers[block.condition]:", "not registers[block.condition]:"),
    ),
    *_wrong(
        "program", "gas",
        block_not_ended_at_SSTORE=("        if opcode in PURE:\n", _STORES + "        elif opcode in PURE:\n"),
    ),
    *_wrong(
        "state", "random_blocks",
        warmth_of_all_words=("return (address, slot) in self._warm", "return True"),
        warmth_not_undone=("            self._undo.append((self._warm, what, _ABSENT))\n", ""),
        undo_in_the_wrong_order=("in reversed(self._undo[start:])", "in self._undo[start:]"),
        undo_without_accounts=("self._change(self._accounts, address, account)", "self._accounts[address] = account"),
        original_values_overwritten=(
            "self._original.setdefault((address, slot), before)", "self._original[address, slot] = before"
        ),
    ),
    *_wrong(
        "state", "recreations",
        deletion_without_words=("self._wipe(address)\n        self._set(address, None)", "self._set(address, None)"),
        deletion_to_an_empty_account=("self._set(address, None)", "self._set(address, _NEW)"),
    ),
    *_wrong(
        "trie", "random_blocks",
        short_nodes_hashed=("        if len(raw) < _HASH:\n            return raw\n", ""),
        short_nodes_of_32_bytes=("        if len(raw) < _HASH:\n", "        if len(raw) <= _HASH:\n"),
        node_made_before_not_written=(
            "        made[hash_] = raw\n        self._nodes.keep(hash_, node)\n        return", _ONCE
        ),
        one_child_branch_stays=("if len(left) > 1:", "if left and left != [16]:"),
        one_child_branch_above_a_leaf=("if isinstance(node, Leaf | Extension):", "if isinstance(node, Extension):"),
    ),
)  # fmt: skip


def found(fault: Fault) -> bool:
    """Plant a fault in a child process; whether its family finds it there."""
    origin, text = fault.planted()
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    code = 2
    try:
        _plant(f"{_ROOM}.chain.{fault.module}", origin, text)
        code = 0 if _differs(fault.family) else 1
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


def _differs(name: str) -> bool:
    """Whether a family finds a difference; one of chance, within its first seeds."""
    families, twins = importlib.import_module("families"), importlib.import_module("twins")
    family = getattr(families, name)
    try:
        for seed in range(SEEDS) if signature(family).parameters.get("seed") else ():
            family(seed)
        if not signature(family).parameters.get("seed"):
            family()
    except twins.Difference:
        return True
    return False
