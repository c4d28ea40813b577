"""Random blocks from a seed: creations and calls of strong programs, transfers; transactions of all types."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import rlp
from strong_programs import SLOTS, WORDS, Programs, World, init_code, push

from commonwatt.ledger.chain.evm import Genesis
from commonwatt.ledger.chain.question import Override, Question
from commonwatt.ledger.wallet import created_address
from commonwatt.proof import Key, keccak

CHAIN_ID = 2024
ETHER = 10**18
SENDERS = [Key.derive(b"strong", f"sender {number}") for number in range(4)]
PRECOMPILES = [number.to_bytes(20, "big") for number in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)]
OTHERS = [keccak(bytes([number]))[12:] for number in range(4)]
"""Two that hold something from the start, one that is there with nothing (EIP-161), one that does not exist."""
GENESIS = Genesis(
    CHAIN_ID,
    {
        **{key.address: 1000 * ETHER for key in SENDERS},
        **dict.fromkeys(OTHERS[:2], 1),
        **dict.fromkeys([OTHERS[2], PRECOMPILES[3], bytes(20)], 0),
    },
    timestamp=1000,
)
# Looks at an account and three slots of its own, changes one of them, and reverts with what that cost.
_TOUCHER = bytes.fromhex("5a 5f3531 50 5f5450 60015450 6009600255 5a 9003 5f52 60205ffd")
# Adds one to a slot and clears two; when it is called with data it sets them again.
_CHANGER = bytes.fromhex("5f546001015f55 5f600155 5f6203c6b455 3615602257 6005600155 600b6203c6b455 5b00")
# Sets words whose nodes are shorter than a hash, as long as one, or longer, and clears them, as it is told.
_PAIRED = b"".join(
    bytes.fromhex("5f3560") + bytes([place]) + bytes.fromhex("1a608116") + push(slot) + b"\x55"
    for place, slot in enumerate(SLOTS[-6:])
)
_FIXED = (_TOUCHER, _CHANGER, _PAIRED, _PAIRED)


@dataclass
class Blocks:
    """An endless supply of blocks. The same seed gives the same ones."""

    seed: int
    chance: Random = field(init=False)
    contracts: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = Random(self.seed)  # noqa: S311 (chance is to be repeatable)
        self._nonces = [0] * len(SENDERS)

    @property
    def coinbase(self) -> bytes:
        """Who seals the next block: nobody, somebody new, somebody known, or a contract."""
        return self.chance.choice([bytes(20), self.chance.randbytes(20), *OTHERS, *self.contracts[:2]])

    def first(self, programs: int = 5) -> list[bytes]:
        """Transactions that create contracts, which may call each other."""
        return [self._creation(init_code(code)) for code in _FIXED] + [
            self._creation(init_code(self._code())) for _ in range(programs)
        ]

    def next(self, count: int = 6) -> list[bytes]:
        """So many transactions."""
        return [self._transaction() for _ in range(count)]

    def questions(self, count: int = 3) -> Iterator[tuple[Question, dict[bytes, Override]]]:
        """Calls that come into no block, and what they take accounts to be."""
        for _ in range(count):
            to = self.chance.choice([*self.contracts, b""])
            gas = self.chance.choice([60_000, 300_000, 2_000_000]) if to else 4_000_000
            question = Question(gas, to, self.chance.choice(SENDERS).address, self._data() if to else self._code())
            changed = self.chance.choices(self.contracts, k=self.chance.choice([0, 0, 2]))
            yield question, {who: self._override() for who in changed}

    def _override(self) -> Override:
        chance = self.chance
        return Override(
            chance.choice([None, 0, ETHER]), chance.choice([None, 1, 7]), chance.choice([None, b"", self._code()]),
            {slot: chance.choice([0, 9]) for slot in chance.sample(SLOTS, 2)}, cleared=chance.random() < 0.5,
        )  # fmt: skip

    def accounts(self) -> list[bytes]:
        """All that were named."""
        return [*self.contracts, *OTHERS, *(key.address for key in SENDERS)]

    def _transaction(self) -> bytes:
        kind = self.chance.random()
        if kind < 0.1:
            return self._creation(init_code(self._code()))
        if kind < 0.15:
            return self._creation(self._code(), named=False)
        if kind < 0.25:
            return self._sign(self.chance.choice([*self.accounts(), self.chance.randbytes(20)]), b"", gas=21_000)
        return self._sign(
            self.chance.choice(self.contracts), self._data(), gas=self.chance.choice([100_000, 500_000, 2_000_000])
        )

    def _creation(self, data: bytes, *, named: bool = True) -> bytes:
        sender = self.chance.randrange(len(SENDERS))
        if named:
            self.contracts.append(created_address(SENDERS[sender].address, self._nonces[sender]))
        return self._sign(b"", data, gas=8_000_000, sender=sender)

    def _code(self) -> bytes:
        world = World(self.contracts, [*PRECOMPILES, *OTHERS, *(key.address for key in SENDERS)])
        return Programs(self.chance, world).write(self.chance.randrange(4, 14))

    def _data(self) -> bytes:
        words = (self.chance.choice([self.chance.choice(WORDS), self.chance.getrandbits(256)]) for _ in range(3))
        return b"".join(word.to_bytes(32, "big") for word in words)[: self.chance.choice([0, 4, 31, 32, 68, 96])]

    def _sign(self, to: bytes, data: bytes, gas: int, sender: int | None = None) -> bytes:
        sender = self.chance.randrange(len(SENDERS)) if sender is None else sender
        key, nonce = SENDERS[sender], self._nonces[sender]
        self._nonces[sender] += 1
        value = self.chance.choice([0, 0, 1, 7, ETHER])
        kind, fee, tip = self.chance.randrange(3), self.chance.choice([100, 10**9]), self.chance.choice([0, 0, 1, 90])
        if kind == 0:
            fields: list[Any] = [nonce, fee, gas, to, value, data]
            signature = key.sign_digest(keccak(rlp.encode([*fields, CHAIN_ID, 0, 0])))
            return bytes(rlp.encode([*fields, signature[64] - 27 + 35 + 2 * CHAIN_ID, *_numbers(signature)]))
        listed = self._access_list()
        gas += sum(2_400 + 1_900 * len(slots) for _, slots in listed)
        if kind == 1:
            fields = [CHAIN_ID, nonce, fee, gas, to, value, data, listed]
        else:
            fields = [CHAIN_ID, nonce, tip, fee, gas, to, value, data, listed]
        signature = key.sign_digest(keccak(bytes([kind]) + rlp.encode(fields)))
        return bytes([kind]) + bytes(rlp.encode([*fields, signature[64] - 27, *_numbers(signature)]))

    def _access_list(self) -> list[Any]:
        """Accounts and slots of them, some twice."""
        named = self.chance.choices(self.accounts(), k=self.chance.randrange(3))
        return [
            [who, [slot.to_bytes(32, "big") for slot in self.chance.choices(SLOTS, k=self.chance.randrange(3))]]
            for who in named
        ]


def _numbers(signature: bytes) -> tuple[int, int]:
    return int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
