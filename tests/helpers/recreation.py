"""Contracts at addresses that CREATE2 gives again: created, called, destroyed and created anew, in every order."""

from __future__ import annotations

from random import Random

from strong_blocks import CHAIN_ID, SENDERS
from strong_programs import SLOTS, Program, init_code, push

from commonwatt.ledger.wallet import created_address, sign_transaction
from commonwatt.proof import keccak

# Creates a contract whose init code is what it is given, and lends itself to the code that comes of it.
_HOST = bytes.fromhex("365f5f37 365f5ff0 5f5f5f5f 84 5af4 60ff55")
_PAIR = SLOTS[7:9]


def _child(heir: bytes, before: bytes) -> bytes:
    """Init code of a contract that sets a word when it is given two, and else destroys itself for its heir."""
    runtime = bytes.fromhex("3615600d57 602035 5f35 55 00")
    return init_code(runtime + b"\x00\x5b" + heir + b"\xff", before)


_KEEPS = b"".join(bytes.fromhex("6007") + push(slot) + b"\x55" for slot in (0, *_PAIR))
# What the slot held before, were it not for the destruction, goes into another one.
_LOOKS = bytes.fromhex("5f54600155 42600255")
CHILDREN = (
    _child(b"\x33", _KEEPS),
    _child(b"\x30", _LOOKS + _KEEPS),
    _child(b"\x41", b""),
    bytes.fromhex("600760015533ff"),  # destroys itself before it is there
    bytes.fromhex("60076001555f5ffd"),  # never is
    bytes.fromhex("600760015500"),  # is there without code
)


class Recreation:
    """An endless supply of blocks from a seed."""

    def __init__(self, seed: int) -> None:
        self._chance = Random(seed)  # noqa: S311 (to be repeatable)
        self._nonce = 0
        self.host = created_address(SENDERS[0].address, 0)

    def first(self) -> list[bytes]:
        """The contract that creates all others."""
        return [self._sign(b"", init_code(_HOST), 10)]

    def next(self) -> list[bytes]:
        """One to four transactions, each with one to five deeds."""
        return [
            self._sign(self.host, init_code(self._script(self._chance.randrange(1, 6))), self._chance.choice([0, 3]))
            for _ in range(self._chance.randrange(1, 5))
        ]

    def accounts(self) -> list[bytes]:
        """The host and all that it may create."""
        return [self.host, *(self._address(salt, init) for salt in range(2) for init in CHILDREN)]

    def _address(self, salt: int, init: bytes) -> bytes:
        return keccak(b"\xff" + self.host + salt.to_bytes(32, "big") + keccak(init))[12:]

    def _script(self, deeds: int, deep: int = 1) -> bytes:
        program, chance = Program(), self._chance
        mostly = chance.randrange(2), chance.choice(CHILDREN)
        for _ in range(deeds):
            salt, init = mostly if chance.random() < 0.7 else (chance.randrange(2), chance.choice(CHILDREN))
            match chance.choice(["create", "create", "destroy", "destroy", "set", "look", "fail"]):
                case "create":
                    program.word(len(init))
                    program.data(init)
                    program.put("5f39", -2)
                    program.word(salt)
                    program.word(len(init))
                    program.put("5f", 1)
                    program.word(chance.choice([0, 1]))
                    program.put("f5", -3)
                    self._keep(program)
                case "destroy":
                    self._call(program, self._address(salt, init), 0)
                case "set":
                    program.word(chance.choice([0, 1, 2]))
                    program.put("602052", -1)
                    program.word(chance.choice(SLOTS[:2] + _PAIR))
                    program.put("5f52", -1)
                    self._call(program, self._address(salt, init), 64)
                case "look":
                    program.word(int.from_bytes(self._address(salt, init), "big"))
                    program.put(chance.choice(["31", "3b", "3f"]), 0)
                    self._keep(program)
                case "fail" if deep:  # all that a call of the host does is undone
                    script = init_code(self._script(3, deep - 1) if chance.random() < 0.7 else b"\xfe")
                    program.word(len(script))
                    program.data(script)
                    program.put("5f39", -2)
                    self._call(program, self.host, len(script), gas=chance.choice([30_000, 100_000, 10**6]))
        return _ended(program, chance)

    def _call(self, program: Program, to: bytes, size: int, gas: int = 10**6) -> None:
        program.put("5f5f", 2)
        program.word(size)
        program.put("5f", 1)
        program.word(self._chance.choice([0, 0, 1]))
        program.word(int.from_bytes(to, "big"))
        program.word(gas)
        program.put("f1", -6)
        self._keep(program)

    def _keep(self, program: Program) -> None:
        program.word(self._chance.randrange(8))
        program.put("55", -2)

    def _sign(self, to: bytes, data: bytes, value: int) -> bytes:
        self._nonce += 1
        return sign_transaction(
            SENDERS[0], chain_id=CHAIN_ID, nonce=self._nonce - 1, to=to, gas=6_000_000, data=data, value=value
        )


def _ended(program: Program, chance: Random) -> bytes:
    """A script that stops, fails, or destroys who runs it."""
    program.put(chance.choices(["00", "fe", "33ff"], [8, 1, 1])[0], 0)
    return program.done()
