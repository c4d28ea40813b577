"""Accounts are those of py-evm: what is read, undone and written, and what is told when a part is missing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

import pytest
from eth.constants import BLANK_ROOT_HASH
from eth.db.account import AccountDB
from eth.db.atomic import AtomicDB
from eth.db.backends.memory import MemoryDB
from eth.db.witness import MetaWitness
from eth.vm.interrupt import EVMMissingData
from eth.vm.transient_storage import TransientStorage
from eth_typing import Address, Hash32
from eth_utils.exceptions import ValidationError
from ledger_cases import SOAK

from commonwatt.ledger.chain.state import Accounts
from commonwatt.proof import keccak

ADDRESSES = [Address(bytes([number]) * 20) for number in range(1, 7)]
SLOTS = range(4)


class Stopped(Exception):
    """A transaction ends amid its calls, as a guard ends one."""


class Twins:
    """Accounts of py-evm and ours, each on entries of its own, to which everything is done alike."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)  # noqa: S311 (to be repeatable)
        self.entries: list[dict[bytes, bytes]] = [{}, {}]
        one, other = (AtomicDB(MemoryDB(entries)) for entries in self.entries)
        self.both: list[Any] = [AccountDB(one), Accounts(other)]
        self.made: set[Address] = set()
        """Accounts whose storage the transaction has deleted: each may be created but once."""

    def each(self, name: str, *values: Any) -> Any:
        """Call a method of both; what both return."""
        one, other = (getattr(accounts, name)(*values) for accounts in self.both)
        assert one == other, name
        return other

    def compare(self) -> None:
        """Everything that can be read."""
        for address in ADDRESSES:
            for name in ("get_balance", "get_nonce", "get_code", "get_code_hash", "account_exists", "is_address_warm",
                         "account_is_empty", "account_has_code_or_nonce"):  # fmt: skip
                self.each(name, address)
            for slot in SLOTS:
                self.each("get_storage", address, slot)
                self.each("is_storage_warm", address, slot)
                if address not in self.made:
                    self.each("get_storage", address, slot, False)  # noqa: FBT003 (as py-evm calls it)

    def level(self, depth: int) -> None:
        """A call: changes and calls of its own, and then it has failed or not."""
        levels = [accounts.record() for accounts in self.both]
        for _ in range(self.chance.randrange(6)):
            if self.chance.random() < 0.02:
                raise Stopped
            if depth < 4 and self.chance.random() < 0.3:
                self.level(depth + 1)
            else:
                self.change()
            self.compare()
        self.end(levels, failed=self.chance.random() < 0.4)

    def end(self, levels: list[Any], *, failed: bool) -> None:
        for accounts, level in zip(self.both, levels, strict=True):
            accounts.discard(level) if failed else accounts.commit(level)
        self.compare()

    def change(self) -> None:
        address, chance = self.chance.choice(ADDRESSES), self.chance
        match chance.randrange(9):
            case 0 | 1 | 2:
                self.each("set_storage", address, chance.choice(SLOTS), chance.choice([0, 0, 1, 2**255]))
            case 3:
                self.each("set_balance", address, chance.randrange(3))
            case 4:
                self.each("increment_nonce", address)
            case 5:
                self.each("touch_account", address)
            case 6:
                self.each("mark_address_warm", address)
            case 7:
                self.each("mark_storage_warm", address, chance.choice(SLOTS))
            case 8 if address not in self.made and not self.each("account_has_code_or_nonce", address):
                self.made.add(address)
                self.each("delete_storage", address)
                self.each("increment_nonce", address)
                self.each("set_code", address, bytes([chance.randrange(256)]) * 40)

    def transaction(self) -> None:
        """Calls; at the end some accounts are destroyed, and empty ones that were touched."""
        self.each("lock_changes")
        self.made.clear()
        levels = [accounts.record() for accounts in self.both]
        try:
            self.level(0)
        except Stopped:
            self.end(levels, failed=True)
            return
        destroyed = self.made.copy() if self.chance.random() < 0.5 else set()
        for address in ADDRESSES:
            empty = self.each("account_exists", address) and self.each("account_is_empty", address)
            if address in destroyed or (empty and address not in self.made and self.chance.random() < 0.5):
                self.made.add(address)
                self.each("delete_account", address)
        self.end(levels, failed=not destroyed and self.chance.random() < 0.2)

    def block(self) -> None:
        for _ in range(self.chance.randrange(1, 4)):
            self.transaction()
        for accounts in self.both:
            assert isinstance(accounts.persist(), MetaWitness)
        self.made.clear()
        assert self.both[0].state_root == self.both[1].state_root
        assert self.entries[0] == self.entries[1]
        self.compare()


@pytest.mark.parametrize("seed", range(200 if SOAK else 20))
def test_accounts_are_those_of_py_evm(seed: int) -> None:
    twins = Twins(seed)
    for _ in range(6):
        twins.block()


def told(entries: dict[bytes, bytes], root: bytes, kind: type[Any], act: Callable[[Any], object]) -> object:
    """What an act on the accounts of a state gives, or what is raised, in its words; writes nothing then."""
    before = dict(entries)
    try:
        return act(kind(AtomicDB(MemoryDB(entries)), Hash32(root)))
    except EVMMissingData as error:
        assert entries == before
        return type(error), str(error)


def written(change: Callable[[Any], object]) -> Callable[[Any], object]:
    def act(accounts: Any) -> object:
        change(accounts)
        accounts.persist()
        return accounts.state_root

    return act


@pytest.fixture(scope="module")
def state() -> tuple[bytes, dict[bytes, bytes]]:
    """A root and its entries: 40 accounts, one of them with code and 40 words."""
    entries: dict[bytes, bytes] = {}
    accounts = Accounts(AtomicDB(MemoryDB(entries)))
    for number in range(40):
        accounts.set_balance(Address(bytes([number]) * 20), number + 1)
        accounts.set_storage(ADDRESSES[0], number, number + 1)
    accounts.set_code(ADDRESSES[0], b"code")
    accounts.persist()
    return accounts.state_root, entries


def set_word(slot: int, word: int) -> Callable[[Any], object]:
    """As SSTORE does, which looks at the word first."""

    def change(accounts: Any) -> None:
        accounts.get_storage(ADDRESSES[0], slot)
        accounts.set_storage(ADDRESSES[0], slot, word)

    return written(change)


def gone(number: int, accounts: Any) -> None:
    accounts.delete_account(Address(bytes([number]) * 20))


ACTS: dict[str, Callable[[Any], object]] = {
    "a balance": lambda accounts: [accounts.get_balance(Address(bytes([number]) * 20)) for number in range(42)],
    "words": lambda accounts: [accounts.get_storage(ADDRESSES[0], slot) for slot in range(42)],
    "code": lambda accounts: accounts.get_code(ADDRESSES[0]),
    "a balance that is set": written(lambda accounts: accounts.set_balance(ADDRESSES[3], 7)),
    "a word that is set": set_word(5, 2**200),
    **{f"account {number} goes": written(partial(gone, number)) for number in range(0, 40, 5)},
    **{f"word {slot} goes": set_word(slot, 0) for slot in range(0, 40, 5)},
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_a_missing_part_is_told_as_py_evm_tells_it(
    state: tuple[bytes, dict[bytes, bytes]], act: Callable[[Any], object]
) -> None:
    root, entries = state
    missing = 0
    for each in entries:
        left = {hash_: value for hash_, value in entries.items() if hash_ != each}
        ours, theirs = (told(dict(left), root, kind, act) for kind in (Accounts, AccountDB))
        assert ours == theirs
        missing += isinstance(ours, tuple)
    assert missing


def test_the_code_of_a_creation_that_fails_is_not_written() -> None:
    entries: dict[bytes, bytes] = {}
    accounts = Accounts(AtomicDB(MemoryDB(entries)))
    level = accounts.record()
    accounts.set_code(ADDRESSES[0], b"fails")
    accounts.discard(level)
    accounts.set_code(ADDRESSES[1], b"stays")
    assert not entries  # nothing is before it is persisted
    accounts.persist()
    assert keccak(b"stays") in entries
    assert keccak(b"fails") not in entries


def test_a_level_has_a_name_that_no_journal_of_py_evm_has_seen() -> None:
    accounts, transient = Accounts(AtomicDB()), TransientStorage()
    for _ in range(3):
        outer, inner = accounts.record(), accounts.record()
        transient.record(outer)
        transient.record(inner)
        TransientStorage().record(accounts.record())
        accounts.discard(outer)
        transient.discard(outer)
        with pytest.raises(ValidationError, match="No checkpoint"):
            accounts.commit(inner)


def test_another_root_is_another_state(state: tuple[bytes, dict[bytes, bytes]]) -> None:
    accounts = Accounts(AtomicDB(MemoryDB(state[1])), Hash32(state[0]))
    accounts.set_balance(ADDRESSES[0], 99)
    accounts.state_root = Hash32(state[0])  # as a revert does: it is that already
    assert accounts.get_balance(ADDRESSES[0]) == 99
    accounts.state_root = BLANK_ROOT_HASH
    assert accounts.get_balance(ADDRESSES[0]) == 0
    assert accounts.has_root(state[0])
    assert not accounts.has_root(bytes(32))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("set_balance", (2**256,)),
        ("set_balance", (-1,)),
        ("set_nonce", (2**64,)),
        ("set_storage", (0, 2**256)),
        ("set_storage", (2**256, 0)),
        ("get_storage", (-1,)),
    ],
)
def test_what_no_account_holds_is_refused_in_the_words_of_py_evm(name: str, values: tuple[int, ...]) -> None:
    said = set()
    for kind in (AccountDB, Accounts):
        with pytest.raises(ValidationError) as error:
            getattr(kind(AtomicDB()), name)(ADDRESSES[0], *values)
        said.add(str(error.value))
    assert len(said) == 1
