"""The families of tests that put the product's chain beside py-evm's. Each raises Difference at the first one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from random import Random

from eth_typing import Address
from frames import PURE, TAKEN, Frames
from recreation import Recreation
from strong_blocks import GENESIS, SENDERS, Blocks
from strong_programs import SLOTS, WORDS, push
from twins import Twins

from commonwatt.ledger.chain.question import Question

HEIGHTS = (*range(21), *range(1015, 1027))
BELOW, AT_RANDOM = 40, 40
_ARITHMETIC = bytes(number for number in PURE if number < 0x20)
_MUCH = 3_000_000


# Instructions


def results(numbers: Sequence[int] = _ARITHMETIC) -> int:
    """Each arithmetic instruction on all combinations of 24 words, or 8 where it takes three; how many those are.

    The words are pushed; then they come from the call's data, which py-evm leaves on the stack as bytes.
    """
    frames, cases = Frames(), 0
    for number in numbers:
        taken = TAKEN[number]
        words = WORDS if taken < 3 else WORDS[::3]
        combinations = list(product(range(0, len(WORDS), len(WORDS) // len(words)), repeat=taken))
        for first in range(0, len(combinations), 1000):
            given = combinations[first : first + 1000]
            pushed = b"".join(_on([push(WORDS[at]) for at in each], number) for each in given)
            loaded = b"".join(_on([push(32 * at) + b"\x35" for at in each], number) for each in given)
            frames.compare(pushed)
            frames.compare(loaded, data=b"".join(word.to_bytes(32, "big") for word in WORDS))
        cases += len(combinations)
    return cases


def _on(words: Sequence[bytes], number: int) -> bytes:
    return b"".join(reversed(words)) + bytes([number])


def addresses(numbers: Sequence[int] = _ARITHMETIC) -> None:
    """Arithmetic on what instructions that see the state leave on the stack: 20 bytes."""
    frames = Frames()
    for number, word in product(numbers, WORDS):
        to = Address((word % 2**160).to_bytes(20, "big"))
        taken = TAKEN[number]
        for place in range(taken):
            words = [b"\x30" if at == place else push(word) for at in range(taken)]
            frames.compare(_on(words, number), to=to)


def moves() -> None:
    """Memory and call data at 24 places each; every PUSH, with data behind it and cut off by the code's end."""
    frames = Frames()
    data = bytes(range(1, 100))
    for word in WORDS:
        for code in (b"\x51", b"\x35", b"\x36\x34", push(2**256 - 2) + b"\x90\x52", b"\x80\x80\x52\x51\x58"):
            frames.compare(push(word) + code, data=data, gas=3_000_000)
    for number in range(0x5F, 0x80):
        code = bytes([number]) + bytes(range(0x5A, 0x5A + number - 0x5F))
        for end in range(1, len(code) + 1):
            frames.compare(code[:end])
        frames.compare(code + b"\x58\x5b\x80")


def heights(numbers: Sequence[int] = PURE) -> int:
    """Each pure instruction, alone and before others, on stacks of all the heights that matter; how many cases."""
    frames = Frames()
    for number, height in product(numbers, HEIGHTS):
        pushed = bytes(number - 0x5F if 0x5F <= number < 0x80 else 0)
        for code in (bytes([number]) + pushed, b"\x5b" + bytes([number]) + pushed + b"\x5f\x50\x5f\x80\x50"):
            frames.compare(code, stack=range(7, 7 + height))
    return len(numbers) * len(HEIGHTS)


def straight(seed: int) -> None:
    """Pure instructions one after the other, on any height, with gas that suffices, just or not."""
    chance, frames = Random(seed), Frames()  # noqa: S311 (to be repeatable)
    for _ in range(60):
        code = b"".join(_any(chance) for _ in range(chance.randrange(1, 14)))
        stack = [chance.choice(WORDS) for _ in range(chance.choice([*range(8), 16, 17, 18, *range(1008, 1025)]))]
        data = chance.randbytes(chance.randrange(70))
        used = 10_000_000 - frames.compare(code, stack=stack, data=data).gas
        for gas in (used, used - 1, chance.randrange(60)):
            frames.compare(code, stack=stack, data=data, gas=max(gas, 0))


def _any(chance: Random) -> bytes:
    number = chance.choice([chance.choice(PURE), chance.choice([0x50, 0x5F, 0x60, 0x80, 0x81, 0x90, 0x91, 0x51, 0x52])])
    if number in (0x51, 0x52) and chance.random() < 0.7:
        return push(chance.choice([0, 1, 32, 40, 1000])) + bytes([number])
    return bytes([number]) + (chance.randbytes(number - 0x5F) if 0x5F < number < 0x80 else b"")


# Gas


def gas(seed: int, programs: int = 5) -> int:
    """Programs with the least gas that suffices, each amount just below it, and random ones; how many were run."""
    blocks, twins = Blocks(seed), Twins(GENESIS)
    twins.seal(blocks.first(programs))
    run = 0
    for contract in blocks.contracts[-programs:]:
        question = Question(_MUCH, contract, SENDERS[0].address, blocks.chance.randbytes(68))
        for amount in _amounts(twins, question, blocks.chance):
            twins.ask(replace(question, gas=amount))
            run += 1
    return run


def _amounts(twins: Twins, question: Question, chance: Random) -> Iterator[int]:
    """Amounts of gas around the least with which a question ends as it does with much."""
    wanted, low, high = twins.theirs.ask(question), question.intrinsic_gas, question.gas
    while low < high:
        middle = (low + high) // 2
        found = twins.theirs.ask(replace(question, gas=middle))
        low, high = (low, middle) if (found.error, found.output) == (wanted.error, wanted.output) else (middle + 1, high)
    for below in range(BELOW + 1):
        yield max(low - below, question.intrinsic_gas)
    for _ in range(AT_RANDOM):
        yield chance.randrange(question.intrinsic_gas, max(low, question.intrinsic_gas) + 50_000)


# Blocks


def random_blocks(seed: int, count: int = 3) -> None:
    """One block that creates contracts and some that call them; what nodes then answer."""
    blocks, twins = Blocks(seed), Twins(GENESIS, paid=blocks_pay(seed))
    twins.seal(blocks.first(), blocks.coinbase)
    for _ in range(count):
        twins.seal(blocks.next(), blocks.coinbase, after=blocks.chance.choice([1, 12]))
        for question in blocks.questions():
            twins.ask(question)
    for address in blocks.accounts():
        twins.read(address, blocks.chance.sample(SLOTS, 4))


def blocks_pay(seed: int) -> int:
    """What sealers get [Gwei]: nothing on every second chain."""
    return seed % 2


def recreations(seed: int, count: int = 6) -> None:
    """Contracts that are created, destroyed and created again: in one transaction, in one block, in the next."""
    blocks, twins = Recreation(seed), Twins(GENESIS)
    twins.seal(blocks.first())
    for _ in range(count):
        twins.seal(blocks.next())
    for address in blocks.accounts():
        twins.read(address, SLOTS)
