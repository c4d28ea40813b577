"""Random programs that use what they compute: each instruction gets its arguments, and results are kept.

Random bytes fail at their first instruction. Here every instruction finds what it needs on the stack; what it leaves
goes into memory, storage, events and calls; memory is returned in the end. So a wrong result, a wrong price and a wrong
warmth all show in what a block leaves behind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

WORDS = (
    0, 1, 2, 3, 31, 32, 33, 127, 128, 255, 256, 257, 2**31, 2**64 - 1, 2**64, 2**128 - 1, 2**128, 2**160 - 1,
    2**255 - 1, 2**255, 2**255 + 1, 2**256 - 256, 2**256 - 2, 2**256 - 1,
)  # fmt: skip
"""Where arithmetic changes its ways: 24 words."""
SLOTS = (0, 1, 2, 3, 5, 16, 2**255, 247476, 515151, 431520, 3289315, 468858, 1452710)
"""Of storage. Hashes of the last three pairs share ten nibbles, which makes nodes shorter than 32 bytes."""
UNARY = bytes.fromhex("1519")
BINARY = bytes.fromhex("01020304050607 0b 101112131416171801020310 1a1b1c1d1d1b1c")
TERNARY = bytes.fromhex("0809")
# ADDRESS, ORIGIN, CALLER, CALLVALUE, CALLDATASIZE, CODESIZE, GASPRICE, RETURNDATASIZE, COINBASE, TIMESTAMP, NUMBER,
# PREVRANDAO, GASLIMIT, CHAINID, SELFBALANCE, BASEFEE, BLOBBASEFEE, PC, MSIZE, GAS
FACTS = bytes.fromhex("30323334 36383a3d 41424344454647484a 58595a5a")
CALL, CALLCODE, DELEGATECALL, STATICCALL = 0xF1, 0xF2, 0xF4, 0xFA
_KEPT = 192
"""Bytes of memory where results are."""
_SELFDESTRUCT = 0xFF


@dataclass(frozen=True)
class World:
    """What programs may name: contracts to call, and accounts to look at."""

    contracts: Sequence[bytes]
    accounts: Sequence[bytes]


def push(value: int) -> bytes:
    """The shortest PUSH of a number."""
    length = (value.bit_length() + 7) // 8
    return bytes([0x5F + length]) + value.to_bytes(length, "big")


def init_code(code: bytes, before: bytes = b"") -> bytes:
    """Code that does something and then returns `code`, which is shorter than 64 KiB."""
    tail = b"\x61" + len(code).to_bytes(2, "big") + b"\x80\x61"
    return before + tail + (len(before) + 12).to_bytes(2, "big") + bytes.fromhex("5f395ff3 00") + code


class Program:
    """Code that grows; `height` is the stack's there, and what lies below `floor` stays where it is."""

    def __init__(self) -> None:
        self.code = bytearray()
        self.height = self.floor = 0
        self._data: list[tuple[int, bytes]] = []

    def put(self, code: bytes | str, change: int) -> None:
        """More code, that changes the stack's height by so much."""
        self.code += bytes.fromhex(code) if isinstance(code, str) else code
        self.height += change

    def word(self, value: int) -> None:
        """A number on the stack."""
        self.put(push(value), 1)

    def here(self) -> int:
        """A JUMPDEST; its place."""
        self.put("5b", 0)
        return len(self.code) - 1

    def hole(self) -> int:
        """A PUSH2 whose number is not known yet; its place, for `fill`."""
        self.put("610000", 1)
        return len(self.code) - 2

    def fill(self, hole: int, value: int) -> None:
        """The number of a hole."""
        self.code[hole : hole + 2] = value.to_bytes(2, "big")

    def data(self, data: bytes) -> None:
        """Where data stands behind the code, on the stack."""
        self._data.append((self.hole(), data))

    def done(self) -> bytes:
        """The whole code with its data."""
        self.put("fe", 0)
        for hole, data in self._data:
            self.fill(hole, len(self.code))
            self.code += data
        return bytes(self.code)


class Programs:
    """Writes programs from a seed. depth : how deep programs that programs create may create others"""

    def __init__(self, chance: Random, world: World, depth: int = 2) -> None:
        self._chance, self._world, self._depth = chance, world, depth
        self._program = Program()

    def write(self, length: int) -> bytes:
        """A program of so many statements, in its own way to end."""
        before, self._program = self._program, Program()
        for _ in range(self._chance.choice([0, 1, 2, 3, 5, 18])):
            self._expression(1)
        for _ in range(length):
            self._statement(2)
        self._end()
        found, self._program = self._program.done(), before
        return found

    # Expressions leave one word on the stack

    def _expression(self, depth: int) -> None:
        put, chance = self._program.put, self._chance
        if depth == 0 or chance.random() < 0.2:
            self._leaf()
            return
        kind = chance.random()
        if kind < 0.1:
            self._expression(depth - 1)
            put(bytes([chance.choice(UNARY)]), 0)
        elif kind < 0.65:
            self._expression(depth - 1)
            self._expression(depth - 1)
            put(bytes([chance.choice(BINARY)]), -1)
        elif kind < 0.75:
            for _ in range(3):
                self._expression(depth - 1)
            put(bytes([chance.choice(TERNARY)]), -2)
        elif kind < 0.8:
            self._program.word(chance.choice([0, 1, 2, 3, 255, 256, 2**40]))
            self._expression(depth - 1)
            put("0a", -1)  # EXP
        elif kind < 0.87:
            self._program.word(chance.randrange(70))
            self._program.word(chance.randrange(_KEPT))
            put("20", -1)  # KECCAK256
        else:
            chance.choice([self._load_storage, self._load_transient, self._load_memory, self._look, self._given])()

    def _leaf(self) -> None:
        kind = self._chance.random()
        if kind < 0.2 and self._program.height:
            deep = self._chance.randrange(min(self._program.height, 16))
            self._program.put(bytes([0x80 + deep]), 1)
        elif kind < 0.4:
            self._program.put(bytes([self._chance.choice(FACTS)]), 1)
        elif kind < 0.5:
            self._given()
        elif kind < 0.9:
            self._program.word(self._chance.choice(WORDS))
        else:
            self._program.word(self._chance.getrandbits(8 * self._chance.randrange(1, 33)))

    def _load_storage(self) -> None:
        self._program.word(self._slot())
        self._program.put("54", 0)

    def _load_transient(self) -> None:
        self._program.word(self._chance.randrange(3))
        self._program.put("5c", 0)

    def _load_memory(self) -> None:
        self._program.word(self._chance.randrange(_KEPT + 64))
        self._program.put("51", 0)

    def _look(self) -> None:
        self._account()
        self._program.put(self._chance.choice(["31", "3b", "3f"]), 0)  # BALANCE, EXTCODESIZE, EXTCODEHASH

    def _given(self) -> None:
        if self._chance.random() < 0.1:  # a block's hash
            self._program.put("6001430340" if self._chance.random() < 0.5 else "5f40", 1)
            return
        self._program.word(self._chance.choice([0, 1, 4, 32, 36, 64, 2**256 - 1]))
        self._program.put("35", 0)  # CALLDATALOAD

    def _account(self) -> None:
        """An address on the stack; its upper bytes may be dirty."""
        dirty = self._chance.getrandbits(96) << 160 if self._chance.random() < 0.1 else 0
        chosen = self._chance.choice([*self._world.accounts, *self._world.contracts])
        self._program.word(int.from_bytes(chosen, "big") | dirty)

    def _slot(self) -> int:
        return self._chance.choice(SLOTS)

    # Statements leave the stack as it was

    def _statement(self, depth: int) -> None:
        simple: list[Callable[[], None]] = [
            self._store, self._store, self._remember, self._remember, self._keep_byte, self._keep_transient, self._log,
            self._copy, self._swap, self._probe, self._call, self._call, self._create, self._subroutine,
        ]  # fmt: skip
        if depth and self._chance.random() < 0.3:
            self._chance.choice([self._loop, self._branch])(depth - 1)
        else:
            self._chance.choice(simple)()

    def _keep(self) -> None:
        """Put what is on top of the stack where it is seen."""
        if self._chance.random() < 0.4:
            self._program.word(self._slot())
            self._program.put("55", -2)
        else:
            self._program.word(self._chance.randrange(_KEPT - 31))
            self._program.put("52", -2)

    def _store(self) -> None:
        if self._chance.random() < 0.5:
            self._program.word(self._chance.choice([0, 0, 1, 2]))
        else:
            self._expression(2)
        self._program.word(self._slot())
        self._program.put("55", -2)

    def _remember(self) -> None:
        self._expression(3)
        self._program.word(self._chance.randrange(_KEPT - 31))
        self._program.put("52", -2)

    def _keep_byte(self) -> None:
        self._expression(2)
        self._program.word(self._chance.randrange(_KEPT + 100))
        self._program.put("53", -2)

    def _keep_transient(self) -> None:
        self._expression(1)
        self._program.word(self._chance.randrange(3))
        self._program.put("5d", -2)

    def _log(self) -> None:
        topics = self._chance.randrange(5)
        for _ in range(topics):
            self._expression(1)
        self._program.word(self._chance.randrange(70))
        self._program.word(self._chance.randrange(_KEPT))
        self._program.put(bytes([0xA0 + topics]), -2 - topics)

    def _copy(self) -> None:
        kind = self._chance.choice([0x37, 0x39, 0x3C, 0x5E, 0x3E])  # CALLDATA-, CODE-, EXTCODE-, M-, RETURNDATACOPY
        if kind == 0x3E and self._chance.random() < 0.9:
            self._program.put("3d5f", 2)  # all of it
        else:
            self._program.word(self._chance.choice([0, 1, 31, 32, 40]))
            self._program.word(self._chance.choice([0, 1, 30, 32, 200]))
        self._program.word(self._chance.randrange(_KEPT))
        if kind == 0x3C:
            self._account()
        self._program.put(bytes([kind]), -4 if kind == 0x3C else -3)

    def _swap(self) -> None:
        free = self._program.height - self._program.floor
        if free >= 2:
            self._program.put(bytes([0x8F + self._chance.randrange(1, min(free, 17))]), 0)

    def _probe(self) -> None:
        """What looking at something costs now."""
        self._program.put("5a", 1)
        self._chance.choice([self._load_storage, self._look, self._look])()
        self._program.put("505a9003", -1)
        self._keep()

    def _call(self) -> None:
        program, chance = self._program, self._chance
        kind = chance.choice([CALL, CALL, CALL, CALLCODE, DELEGATECALL, STATICCALL])
        program.word(chance.choice([0, 32, 64]))
        program.word(chance.randrange(_KEPT - 64))
        program.word(chance.choice([0, 4, 32, 68, 128]))
        program.word(chance.randrange(_KEPT - 64))
        if kind in (CALL, CALLCODE):
            program.word(chance.choice([0, 0, 0, 1, 5, 10**30]))
        if chance.random() < 0.7:
            program.word(int.from_bytes(chance.choice(self._world.contracts or [bytes(20)]), "big"))
        else:
            self._account()
        if chance.random() < 0.5:
            program.put("5a", 1)
        else:
            program.word(chance.choice([0, 700, 2_300, 5_000, 25_000, 60_000, 2**256 - 1]))
        program.put(bytes([kind]), -6 if kind in (CALL, CALLCODE) else -5)
        self._keep()
        if chance.random() < 0.5:  # what came back
            program.put("3d5f", 2)
            program.word(chance.randrange(_KEPT))
            program.put("3e", -3)

    def _create(self) -> None:
        if not self._depth:
            return
        program, chance = self._program, self._chance
        code, salted = self._created(), chance.random() < 0.6
        program.word(len(code))
        program.data(code)
        program.word(_KEPT)
        program.put("39", -3)
        if salted:
            program.word(chance.randrange(2))
        program.word(len(code))
        program.word(_KEPT)
        program.word(chance.choice([0, 0, 1]))
        program.put("f5" if salted else "f0", -3 if salted else -2)
        if chance.random() < 0.5:
            program.put("80", 1)
            self._keep()
            program.put("5f5f5f5f5f855af150", 0)  # a call of what was created
        self._keep()

    def _created(self) -> bytes:
        """Init code of one of all the kinds there are."""
        inner = Programs(self._chance, self._world, self._depth - 1)
        kind = self._chance.random()
        if kind < 0.45:
            return init_code(inner.write(self._chance.randrange(1, 4)))
        if kind < 0.6:
            return inner.write(2)
        heir = self._chance.choice([b"\x30", b"\x33", b"\x73" + self._chance.choice(self._world.accounts)])
        destroyed = heir + bytes([_SELFDESTRUCT])
        given = [
            init_code(destroyed, bytes.fromhex("6007600155")),
            bytes.fromhex("6009600255") + destroyed,
            init_code(b"\xef\x00"),
            bytes.fromhex("6175305ff3"),  # more than a contract may have
            bytes.fromhex("6001600155 60205ffd"),
            init_code(bytes.fromhex("5f545f55"), bytes.fromhex("60025f555f600155")),
            b"",
        ]
        return self._chance.choice(given)

    def _subroutine(self) -> None:
        """A jump to where the stack says, and back."""
        program = self._program
        back = program.hole()
        self._expression(1)
        there = program.hole()
        program.put("56", -1)
        program.put(self._chance.choice(["", "5b", "7f5b", "605b", "fe"]), 0)  # never run; some of it is data
        if program.code[-2:] == b"\x7f\x5b":
            program.put(b"\x5b" * 31, 0)
        program.fill(there, program.here())
        self._keep()
        program.put("56", -1)
        program.fill(back, program.here())

    def _branch(self, depth: int) -> None:
        self._expression(2)
        if self._chance.random() < 0.5:
            self._program.put("6001 16", 0)
        over = self._program.hole()
        self._program.put("57", -2)
        for _ in range(self._chance.randrange(1, 3)):
            self._statement(depth)
        self._program.fill(over, self._program.here())

    def _loop(self, depth: int) -> None:
        program, floor = self._program, self._program.floor
        program.word(self._chance.randrange(1, 5))
        program.floor, again = program.height, program.here()
        for _ in range(self._chance.randrange(1, 3)):
            self._statement(depth)
        program.put("600190038061", 1)
        program.put(again.to_bytes(2, "big") + bytes.fromhex("5750"), -2)
        program.floor = floor

    # How it ends

    def _end(self) -> None:
        program, chance = self._program, self._chance
        kind = chance.random()
        if kind < 0.65:
            program.put(push(chance.choice([_KEPT, _KEPT + 64])) + bytes.fromhex("5ff3"), 0)
        elif kind < 0.72:
            program.put("00", 0)
        elif kind < 0.82:
            program.put(push(chance.choice([0, 32, 68])) + bytes.fromhex("5ffd"), 0)
        elif kind < 0.87:
            self._account()
            program.put(bytes([_SELFDESTRUCT]), -1)
        else:
            data = f"7f{'5b' * 32}5061{len(program.code) + chance.randrange(34):04x}56"
            ends = [
                "fe", "0c", "5f56", "600156", "61ffff56", data, "5b5a3150586004900356", "5b5f586002900356",
                "50" * (program.height + 1), "5f5f5ff0ff", "01" * (program.height + 2), "5f5f5f5f5fa5",
            ]  # fmt: skip
            program.put(chance.choice(ends), 0)
