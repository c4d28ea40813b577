"""The families of tests that put the product's chain beside py-evm's. Each raises Difference at the first one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from random import Random
from typing import Any, cast

from eth_typing import Address
from frames import PURE, TAKEN, Frames, translated
from recreation import Recreation
from strong_blocks import GENESIS, SENDERS, Blocks
from strong_programs import SLOTS, WORDS, push
from twins import Twins

from commonwatt.ledger.chain.question import Question
from commonwatt.ledger.chain.rules import least_gas

HEIGHTS = (*range(21), *range(1015, 1027))
BELOW, AT_RANDOM = 40, 40
_ARITHMETIC = bytes(number for number in PURE if number < 0x20)
_MUCH = 3_000_000
_COSTLY = (
    "60015f55 60015f55 6001600201505b 00",  # SSTORE whose sentry sees the gas of what follows
    "60015f55 5f5f55 60015f55 5f54 600152 00",  # words set, cleared and set again
    "5a5f52 5a602052 60405ff3",  # GAS, and code that is deposited
    "61ffff51 62010000 51 01 6001 61fff0 52 59 5f52",  # memory
    "6103e85f20 6103e9 5f20 01 5f52",  # KECCAK256
    "6101005f5f5e 6101005f610200 39 6101005f5f37 00",  # MCOPY, CODECOPY, CALLDATACOPY
    "6001600260036004 60405fa4 5f5fa0",  # events
    "61ffff60020a 6101006003 0a 01 5f52",  # EXP
    "732222222222222222222222222222222222222222 80 31 81 3b 82 3f",  # cold and warm accounts
    "5f5f5f5f5f60045af1 5f52 60205f60405f60025afa 602052",  # precompiles with 63 of 64 parts of the gas
    "5f5f5f5f60017322222222222222222222222222222222222222225af1 5f52",  # a call that brings value
    "68600a5f5f39600a5ff35f52 600960175ff0 602052 5f600960175ff5 604052",  # creations
    "7322222222222222222222222222222222222222 22ff",  # destruction
    "600a 5b 6001900380600257 5b 50 5b 5f5f5f5f305af4 50",  # a loop
    "5f51600e57 60015f52 6001601057 5b00 5b" + 20 * "6001600202 50",  # a word that would end a second run early
    "6020 5f 5f 5f 600760fa 5f 5260 205f5f 395b5b",  # CODECOPY beyond the code
    # With memory, stack and storage; KECCAK256, SSTORE, SLOAD, GAS, EXP, MSIZE, CALLDATACOPY.
    "5f51505f5160405260205f20",
    "60075f556009600155600054600154015f52595f5260205ff3",
    "5a5a035f52602060206020f0",
    "60ff600a0a6101005260406020f3",
    "5b600101806014116000570060205ffd",
    "60465f5f3760466020205f5260205ff3",
    "6040518060800160405261010051505b00",
    "36345f3560203560403560603501010101016101005260206101005ff3",
    "61ffff51505860005260205ff3",
    "5f5f5f5f5f73111111111111111111111111111111111111111161ffff f150",
    "60016002600360049091929394505050",
    "600160065700005b600160015560016001550000",
)


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


def others() -> None:
    """Each byte that is no pure instruction, among them those that are none at all, on words that suit most."""
    frames = Frames()
    for number in set(range(256)) - set(PURE):
        for stack in ([], [3, 2, 1, 0, 0, 5, 4], [2**255] * 7):
            frames.compare(b"\x5b\x80\x50" + bytes([number]) + b"\x5f", stack=stack, data=bytes(40))


def jumps() -> None:
    """Jumps to each place of code that has all kinds of them, and beyond it."""
    frames = Frames()
    # JUMPDEST; one that is data, one behind it; those that are data which the code's end cuts off.
    places = bytes.fromhex("5b 605b 5b 7f") + b"\x5b" * 32 + bytes.fromhex("50 5b 00 625b5b")
    for before, place in product(("", "6001", "5f"), (*range(100), 2**64 + 48, 2**256 - 1)):
        word = place.to_bytes(32, "big")
        for target in (b"\x7f" + word, bytes.fromhex("5f35")):
            jump = bytes.fromhex(before) + target + bytes.fromhex("57" if before else "56")
            frames.compare(jump.ljust(48, b"\0") + places, data=word)


def heights(numbers: Sequence[int] = PURE) -> int:
    """Each pure instruction, alone and before others, on stacks of all the heights that matter; how many cases."""
    frames = Frames()
    for number, height in product(numbers, HEIGHTS):
        pushed = bytes(number - 0x5F if 0x5F <= number < 0x80 else 0)
        for code in (bytes([number]) + pushed, b"\x5b" + bytes([number]) + pushed + b"\x5f\x80\x50\x50\x5f\x50"):
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


@translated(2)
def gas() -> int:
    """Each of a list of programs with the gas that matters; how often they were run."""
    twins, chance = Twins(GENESIS), Random(0)  # noqa: S311 (to be repeatable)
    return sum(
        _with_gas(twins, Question(_MUCH, b"", SENDERS[0].address, bytes.fromhex(code)), chance) for code in _COSTLY
    )


@translated(2)
def gas_of_random_programs(seed: int, programs: int = 5) -> int:
    """Programs that call each other with the gas that matters; how often they were run."""
    blocks, twins = Blocks(seed), Twins(GENESIS)
    twins.seal(blocks.first(programs))
    return sum(
        _with_gas(twins, Question(_MUCH, contract, SENDERS[0].address, blocks.chance.randbytes(68)), blocks.chance)
        for contract in blocks.contracts[-programs:]
    )


def _with_gas(twins: Twins, question: Question, chance: Random) -> int:
    """Ask with the least gas with which it ends as with much, each amount just below it, and random ones."""
    wanted, low, high = twins.theirs.ask(question), least_gas(cast("Any", question)), question.gas
    least = low
    while low < high:
        middle = (low + high) // 2
        enough = twins.theirs.ask(replace(question, gas=middle)).error == wanted.error
        low, high = (low, middle) if enough else (middle + 1, high)
    amounts = [max(low - below, least) for below in range(BELOW + 1)]
    amounts += [chance.randrange(least, low + 50_000) for _ in range(AT_RANDOM)]
    for amount in amounts:
        twins.ask(replace(question, gas=amount))
    return len(amounts)


# Blocks


def random_blocks(seed: int, count: int = 3) -> None:
    """One block that creates contracts and some that call them; what nodes then answer. Every second chain pays."""
    with translated(1 + seed % 3):
        blocks, twins = Blocks(seed), Twins(GENESIS, paid=seed % 2)
        twins.seal(blocks.first(), blocks.coinbase)
        for number in range(count):
            raws = blocks.next()
            dropped, rival = raws[: blocks.chance.randrange(6)], raws[:2] if number == 0 else ()
            twins.seal(raws, blocks.coinbase, blocks.chance.choice([1, 12]), dropped, rival)
            for question, overrides in blocks.questions():
                twins.ask(question, overrides)
        for address in blocks.accounts():
            twins.read(address, blocks.chance.sample(SLOTS, 4))
        twins.whole()


def recreations(seed: int, count: int = 6) -> None:
    """Contracts that are created, destroyed and created again: in one transaction, in one block, in the next."""
    with translated(1 + seed % 3):
        blocks, twins = Recreation(seed), Twins(GENESIS)
        twins.seal(blocks.first())
        for _ in range(count):
            twins.seal(blocks.next())
        for address in blocks.accounts():
            twins.read(address, SLOTS)
        twins.whole()
