"""Random transactions of every kind, from a seed: transfers, creations, and calls of random programs.

A program is a chain of snippets, each of which leaves the stack as it found it. What a block alone decides and two
nodes may set differently (PREVRANDAO, BLOCKHASH) is left out.
"""

from __future__ import annotations

from random import Random
from typing import Any

import rlp

from commonwatt.ledger.wallet import created_address, sign_transaction
from commonwatt.proof import Key, keccak

SENDERS = [Key.derive(b"random", f"sender {number}") for number in range(8)]
PRECOMPILES = [number.to_bytes(20, "big") for number in (1, 2, 3, 4, 5, 9)]
OTHERS = [bytes(20), *PRECOMPILES, *(keccak(bytes([number]))[12:] for number in range(8))]
"""Accounts beside the senders that hold something from the start; the first one is the coinbase."""
ETHER = 10**18
BALANCES = {**{key.address: 1000 * ETHER for key in SENDERS}, **dict.fromkeys(OTHERS, 1)}
GAS = 300_000

_ARITHMETIC = bytes.fromhex("01020304050607 0a0b 1011121314 1617181a 1b1c1d")
# ADDRESS, ORIGIN, CALLER, CALLVALUE, CALLDATASIZE, CODESIZE, GASPRICE, RETURNDATASIZE, COINBASE, TIMESTAMP, NUMBER,
# GASLIMIT, CHAINID, SELFBALANCE, BASEFEE, BLOBBASEFEE, PC, MSIZE, GAS
_FACTS = bytes.fromhex("30323334 36383a3d 41424345 4647484a 58595a")


class Transactions:
    """An endless supply. The same seed gives the same transactions."""

    def __init__(self, seed: int, chain_id: int) -> None:
        self._random = Random(seed)  # noqa: S311 (chance is to be repeatable)
        self._chain_id = chain_id
        self._nonces = dict.fromkeys(range(len(SENDERS)), 0)
        self.contracts: list[bytes] = []

    def next(self) -> bytes:
        """The next transaction, signed. It is valid; what it runs may fail."""
        chance = self._random.random()
        if not self.contracts or chance < 0.15:
            return self._creation()
        if chance < 0.4:
            if self._random.random() < 0.3:
                return self._sign(self._random.randbytes(20), b"", self._random.randrange(1, ETHER), 21_000)
            return self._sign(self._anybody(), b"", self._random.randrange(2) * self._random.randrange(ETHER), 21_000)
        data = self._random.randbytes(self._random.choice([0, 4, 32, 68, 100]))
        gas = self._random.choice([30_000, 60_000, GAS])
        return self._sign(self._random.choice(self.contracts), data, self._random.choice([0, 0, 1, ETHER]), gas)

    def next_plain(self) -> bytes:
        """The next one of another kind: transfers, and calls of a contract that stores and logs what it is given."""
        if not self.contracts:
            return self._creation(bytes.fromhex("5f3560203560011781555f5fa100"))
        if self._random.random() < 0.5:
            return self._sign(self._random.choice([*OTHERS, self._random.randbytes(20)]), b"", 1, 21_000)
        data = self._random.randrange(16).to_bytes(32, "big") + self._random.randbytes(32)
        return self._sign(self.contracts[0], data, 0, GAS)

    def _creation(self, given: bytes = b"") -> bytes:
        code = given or self.program(self._random.randrange(1, 12))
        if not given and self._random.random() < 0.1:
            return self._sign(b"", code, 0, GAS)  # the program itself as init code
        sender = self._random.randrange(len(SENDERS))
        self.contracts.append(created_address(SENDERS[sender].address, self._nonces[sender]))
        return self._sign(b"", init_code(code), 0 if given else self._random.choice([0, 0, 5]), 2 * GAS, sender)

    def _sign(self, to: bytes, data: bytes, value: int, gas: int, sender: int | None = None) -> bytes:
        sender = self._random.randrange(len(SENDERS)) if sender is None else sender
        key, nonce = SENDERS[sender], self._nonces[sender]
        self._nonces[sender] += 1
        kind = self._random.randrange(3)
        # With data, and an access list, a transfer needs more than 21 000.
        gas += 40_000 if data or kind == 1 else 0
        if kind == 2:
            return sign_transaction(
                key, chain_id=self._chain_id, nonce=nonce, to=to, gas=gas, data=data, value=value, max_fee=0
            )
        if kind == 1:
            fields: list[Any] = [self._chain_id, nonce, 0, gas, to, value, data, self._access_list()]
            signature = key.sign_digest(keccak(b"\x01" + rlp.encode(fields)))
            return b"\x01" + bytes(rlp.encode([*fields, signature[64] - 27, *_numbers(signature)]))
        fields = [nonce, 0, gas, to, value, data]
        signature = key.sign_digest(keccak(rlp.encode([*fields, self._chain_id, 0, 0])))
        return bytes(rlp.encode([*fields, signature[64] - 27 + 35 + 2 * self._chain_id, *_numbers(signature)]))

    def _access_list(self) -> list[Any]:
        chosen = self._random.sample(self.contracts, min(len(self.contracts), self._random.randrange(3)))
        return [[account, [self._random.randrange(4).to_bytes(32, "big")]] for account in chosen]

    def _anybody(self) -> bytes:
        chance = self._random.random()
        if chance < 0.3:
            return self._random.choice(SENDERS).address
        if chance < 0.6 and self.contracts:
            return self._random.choice(self.contracts)
        if chance < 0.9:
            return self._random.choice(OTHERS)
        return self._random.randbytes(20)

    # Programs

    def program(self, length: int) -> bytes:
        """Random code, that ends in one of all the ways there are."""
        snippets = [
            self._store, self._load, self._compute, self._fact, self._log, self._hash, self._call, self._copy,
            self._transient, self._look, self._create,
        ]  # fmt: skip
        body = b"".join(self._random.choice(snippets)() for _ in range(length))
        ends = [
            *3 * ["00"],  # STOP
            "60205ff3",  # RETURN
            "60405ffd",  # REVERT
            "fe",  # no instruction
            "5f56",  # a jump to nowhere
            "5b586001900356",  # a loop until the gas is gone
            "50",  # more from the stack than is there
            (self._account() + b"\xff").hex(),  # SELFDESTRUCT
        ]
        return body + bytes.fromhex(self._random.choice(ends))

    def _small(self) -> bytes:
        return push(self._random.randrange(4))

    def _word(self) -> bytes:
        return push(self._random.choice([0, 1, 2, 31, 255, 2**255, 2**256 - 1, self._random.getrandbits(256)]))

    def _keep(self) -> bytes:
        """Store what is on top of the stack."""
        return self._small() + b"\x55"

    def _account(self) -> bytes:
        return push(int.from_bytes(self._anybody(), "big"))

    def _store(self) -> bytes:
        return self._random.choice([self._small(), self._word()]) + self._keep()

    def _load(self) -> bytes:
        return self._small() + b"\x54" + self._keep()

    def _compute(self) -> bytes:
        first = self._word() + self._word() + bytes([self._random.choice(_ARITHMETIC)])
        second = self._word() + self._word() + bytes([self._random.choice([0x08, 0x09])])
        return first + second + self._keep()

    def _fact(self) -> bytes:
        return bytes([self._random.choice(_FACTS)]) + self._keep()

    def _log(self) -> bytes:
        count = self._random.randrange(5)
        topics = b"".join(self._word() for _ in range(count))
        return topics + push(self._random.randrange(70)) + push(self._random.randrange(40)) + bytes([0xA0 + count])

    def _hash(self) -> bytes:
        return self._word() + self._small() + b"\x52" + push(40) + push(0) + b"\x20" + self._keep()

    def _copy(self) -> bytes:
        copies = [b"\x37", b"\x39", b"\x5e", b"\x3e"]  # CALLDATACOPY, CODECOPY, MCOPY, RETURNDATACOPY
        chosen = self._random.choices(copies, [3, 3, 3, 1])[0]
        return push(self._random.randrange(40)) + push(self._random.randrange(8)) + push(64) + chosen

    def _transient(self) -> bytes:
        return self._word() + self._small() + b"\x5d" + self._small() + b"\x5c" + self._keep()

    def _look(self) -> bytes:
        ask = self._random.choice([b"\x31", b"\x3b", b"\x3f"])  # BALANCE, EXTCODESIZE, EXTCODEHASH
        return self._account() + ask + self._keep()

    def _call(self) -> bytes:
        kind = self._random.choice([0xF1, 0xF1, 0xF2, 0xF4, 0xFA])
        value = self._random.choice([push(0), push(0), push(1)]) if kind in (0xF1, 0xF2) else b""
        gas = self._random.choice([push(5_000), push(40_000), b"\x5a"])
        return push(32) + push(64) + push(36) + push(0) + value + self._account() + gas + bytes([kind]) + self._keep()

    def _create(self) -> bytes:
        code = init_code(
            self._random.choice([b"\x00", bytes.fromhex("5f5f55"), bytes.fromhex("600160015500"), b"\xef\x00"])
        )
        memory = b"".join(
            push(int.from_bytes(code[at : at + 32].ljust(32, b"\0"), "big")) + push(at) + b"\x52"
            for at in range(0, len(code), 32)
        )
        salt, kind = self._random.choice([(b"", b"\xf0"), (self._small(), b"\xf5")])
        return memory + salt + push(len(code)) + push(0) + push(0) + kind + self._keep()


def push(value: int) -> bytes:
    """The shortest PUSH of a number."""
    length = (value.bit_length() + 7) // 8
    return bytes([0x5F + length]) + value.to_bytes(length, "big")


def init_code(code: bytes) -> bytes:
    """Code that returns `code`, which is shorter than 64 KiB."""
    return b"\x61" + len(code).to_bytes(2, "big") + bytes.fromhex("80600a5f395ff3") + code


def _numbers(signature: bytes) -> tuple[int, int]:
    return int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
