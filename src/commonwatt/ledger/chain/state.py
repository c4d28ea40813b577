"""The accounts of a state while blocks or questions run: py-evm's account database, as dictionaries with one undo list.

What has been read or set lies in dictionaries. Whatever is set notes what was there before, so that a call that fails
is undone at the cost of what it changed, whatever the block changed before it. The tries learn of it when the block
ends.
"""

from __future__ import annotations

from typing import Any, NamedTuple, NoReturn

from eth.abc import AccountDatabaseAPI, AtomicDatabaseAPI, MetaWitnessAPI
from eth.db.journal import get_next_checkpoint
from eth.db.witness import MetaWitness
from eth.typing import JournalDBCheckpoint
from eth.validation import validate_canonical_address, validate_is_bytes, validate_uint64, validate_uint256
from eth.vm.interrupt import MissingAccountTrieNode, MissingBytecode, MissingStorageTrieNode
from eth_typing import Address, Hash32
from eth_utils.exceptions import ValidationError
from rlp.exceptions import DecodingError
from trie.exceptions import MissingTrieNode

from commonwatt.ledger.chain.trie import BLANK, Nodes, Trie, in_list, item, items, number
from commonwatt.proof.keccak import keccak

_NO_CODE = keccak(b"")
_END_64, _END_256 = 1 << 64, 1 << 256
_ABSENT: Any = object()
"""In the undo list: there was nothing in the dictionary."""


class _Account(NamedTuple):
    """An account as the trie holds it."""

    nonce: int
    balance: int
    storage_root: bytes
    code_hash: bytes


_NEW = _Account(0, 0, BLANK, _NO_CODE)


class _Storage:
    """Words of an account: `words` those that are known, `before` what the trie holds of those that were set."""

    __slots__ = ("before", "root", "words")

    def __init__(self, root: bytes) -> None:
        self.root = root
        self.words: dict[int, int] = {}
        self.before: dict[int, int] = {}


class Accounts(AccountDatabaseAPI):
    """The accounts of the state with this root. Words and balances are integers.

    Raises MissingAccountTrieNode, MissingStorageTrieNode and MissingBytecode for parts of it that are missing,
    ValidationError for what no account can hold.
    """

    def __init__(self, db: AtomicDatabaseAPI, state_root: Hash32 = Hash32(BLANK)) -> None:  # noqa: B008
        self._db = db
        # The store keeps nodes from one state to the next; py-evm's own databases do not.
        self._nodes: Nodes = getattr(db, "nodes", None) or Nodes(db.get)
        self._made: dict[bytes, bytes] = {}
        self._begin(state_root)

    def _begin(self, root: bytes) -> None:
        self._root = root
        self._accounts: dict[Address, _Account | None] = {}
        self._before: dict[Address, _Account | None] = {}
        """What the trie holds of the accounts that were set."""
        self._storages: dict[Address, _Storage] = {}
        self._codes: dict[bytes, bytes] = {}
        self._undo: list[tuple[dict[Any, Any], Any, Any]] = []
        """Dictionary, key, and what was there before it was set; the newest last."""
        self._levels: dict[JournalDBCheckpoint, int] = {}
        """Of each open level the length of the undo list when it was opened; the newest last."""
        self.lock_changes()

    @property
    def state_root(self) -> Hash32:
        """The root when it was last made."""
        return Hash32(self._root)

    @state_root.setter
    def state_root(self, value: Hash32) -> None:
        if value != self._root:
            self._begin(value)

    def has_root(self, state_root: bytes) -> bool:
        """Whether the state of a root is there."""
        return state_root in self._db

    # Storage

    def get_storage(self, address: Address, slot: int, from_journal: bool = True) -> int:
        """A word; without `from_journal`, as it was when the transaction began."""
        storage = self._storages.get(address) or self._storage(address)
        word = storage.words.get(slot)
        if word is None:
            word = storage.words[slot] = self._read_word(address, storage, slot)
        return word if from_journal else self._original.get((address, slot), word)

    def set_storage(self, address: Address, slot: int, value: int) -> None:
        """Set a word."""
        if not 0 <= value < _END_256:
            validate_uint256(value, title="Storage Value")
        before = self.get_storage(address, slot)
        if before == value:
            return
        storage = self._storages[address]
        self._original.setdefault((address, slot), before)
        storage.before.setdefault(slot, before)
        self._undo.append((storage.words, slot, before))
        storage.words[slot] = value

    def delete_storage(self, address: Address) -> None:
        """Make all words zero."""
        account = self._account(address) or _NEW
        self._wipe(address)
        self._set(address, account._replace(storage_root=BLANK))

    def _wipe(self, address: Address) -> None:
        self._change(self._storages, address, _Storage(BLANK))

    def _storage(self, address: Address) -> _Storage:
        account = self._account(address)
        storage = self._storages[address] = _Storage(account.storage_root if account else BLANK)
        return storage

    def _read_word(self, address: Address, storage: _Storage, slot: int) -> int:
        validate_uint256(slot, title="Storage Slot")
        if storage.root == BLANK:
            return 0
        try:
            raw = Trie(self._nodes, storage.root).get(keccak(slot.to_bytes(32, "big")))
        except MissingTrieNode as error:
            _storage_misses(error, address)
        return int.from_bytes(raw if len(raw) < 2 else raw[1:], "big")

    def is_storage_warm(self, address: Address, slot: int) -> bool:
        """Whether the transaction has accessed a word (EIP-2929)."""
        return (address, slot) in self._warm

    def mark_storage_warm(self, address: Address, slot: int) -> None:
        """The transaction accesses a word."""
        self._warm_up((address, slot))

    def is_address_warm(self, address: Address) -> bool:
        """Whether the transaction has accessed an account (EIP-2929)."""
        return address in self._warm

    def mark_address_warm(self, address: Address) -> None:
        """The transaction accesses an account."""
        self._warm_up(address)

    def _warm_up(self, what: Any) -> None:
        if what not in self._warm:
            self._undo.append((self._warm, what, _ABSENT))
            self._warm[what] = None

    # Accounts

    def get_balance(self, address: Address) -> int:
        """Ether of an account [wei]."""
        return (self._account(address) or _NEW).balance

    def set_balance(self, address: Address, balance: int) -> None:
        """Set the ether of an account [wei]."""
        if not 0 <= balance < _END_256:
            validate_uint256(balance, title="Account Balance")
        nonce, _, root, code_hash = self._account(address) or _NEW
        self._set(address, _Account(nonce, balance, root, code_hash))

    def get_nonce(self, address: Address) -> int:
        """Number of an account's next transaction or creation."""
        return (self._account(address) or _NEW).nonce

    def set_nonce(self, address: Address, nonce: int) -> None:
        """Set the number of an account's next transaction or creation."""
        if not 0 <= nonce < _END_64:
            validate_uint64(nonce, title="Nonce")
        _, balance, root, code_hash = self._account(address) or _NEW
        self._set(address, _Account(nonce, balance, root, code_hash))

    def increment_nonce(self, address: Address) -> None:
        """The account has sent a transaction or created one."""
        self.set_nonce(address, self.get_nonce(address) + 1)

    def get_code(self, address: Address) -> bytes:
        """An account's code."""
        code_hash = self.get_code_hash(address)
        if code_hash == _NO_CODE:
            return b""
        code = self._codes.get(code_hash)
        if code is not None:
            return code
        try:
            return self._db[code_hash]
        except KeyError as error:
            raise MissingBytecode(code_hash) from error

    def set_code(self, address: Address, code: bytes) -> None:
        """Set an account's code."""
        validate_is_bytes(code, title="Code")
        code_hash = keccak(code)
        self._change(self._codes, code_hash, code)
        self._set(address, (self._account(address) or _NEW)._replace(code_hash=code_hash))

    def get_code_hash(self, address: Address) -> Hash32:
        """The hash of an account's code."""
        return Hash32((self._account(address) or _NEW).code_hash)

    def delete_code(self, address: Address) -> None:
        """Take an account's code away."""
        self._set(address, (self._account(address) or _NEW)._replace(code_hash=_NO_CODE))

    def account_has_code_or_nonce(self, address: Address) -> bool:
        """Whether no contract can be created at an address."""
        account = self._account(address) or _NEW
        return account.nonce != 0 or account.code_hash != _NO_CODE

    def delete_account(self, address: Address) -> None:
        """Take an account out of the state."""
        self._wipe(address)
        self._set(address, None)

    def account_exists(self, address: Address) -> bool:
        """Whether an account is in the state."""
        return self._account(address) is not None

    def touch_account(self, address: Address) -> None:
        """An account that is not in the state comes into it, with nothing; whoever runs transactions removes it."""
        self._set(address, self._account(address) or _NEW)

    def account_is_empty(self, address: Address) -> bool:
        """Whether an account is not there, or has neither nonce nor ether nor code (EIP-161)."""
        account = self._account(address) or _NEW
        return account.nonce == 0 and account.balance == 0 and account.code_hash == _NO_CODE

    def _account(self, address: Address) -> _Account | None:
        try:
            return self._accounts[address]
        except KeyError:
            account = self._accounts[address] = self._read_account(address)
            return account

    def _read_account(self, address: Address) -> _Account | None:
        validate_canonical_address(address, title="Storage Address")
        try:
            raw = Trie(self._nodes, self._root).get(keccak(address))
        except MissingTrieNode as error:
            raise MissingAccountTrieNode(*error.args) from error
        if not raw:
            return None
        parts = [part for _, part in items(raw)]
        if len(parts) != 4:
            raise DecodingError("This is no account", raw)
        return _Account(int.from_bytes(parts[0], "big"), int.from_bytes(parts[1], "big"), parts[2], parts[3])

    def _set(self, address: Address, account: _Account | None) -> None:
        self._before.setdefault(address, self._account(address))
        self._change(self._accounts, address, account)

    # Undoing

    def _change(self, dictionary: dict[Any, Any], key: Any, value: Any) -> None:
        self._undo.append((dictionary, key, dictionary.get(key, _ABSENT)))
        dictionary[key] = value

    def record(self) -> JournalDBCheckpoint:
        """Open a level."""
        if not self._levels:
            self._undo.clear()
        level = get_next_checkpoint()  # transient storage goes by it too, and refuses one that it has seen
        self._levels[level] = len(self._undo)
        return level

    def discard(self, checkpoint: JournalDBCheckpoint) -> None:
        """Undo a level and all above it."""
        start = self._ended(checkpoint)
        for dictionary, key, before in reversed(self._undo[start:]):
            if before is _ABSENT:
                del dictionary[key]
            else:
                dictionary[key] = before
        del self._undo[start:]

    def commit(self, checkpoint: JournalDBCheckpoint) -> None:
        """Give what a level and all above it changed to the one below."""
        self._ended(checkpoint)

    def _ended(self, checkpoint: JournalDBCheckpoint) -> int:
        """Where a level began in the undo list; it and those above it are open no more."""
        if checkpoint not in self._levels:
            raise ValidationError(f"No checkpoint {checkpoint} was found")
        while True:
            level, start = self._levels.popitem()
            if level == checkpoint:
                return start

    def lock_changes(self) -> None:
        """A transaction ends: words are now what the next one finds, and nothing is warm."""
        self._original: dict[tuple[Address, int], int] = {}
        """By account and slot: words at the transaction's beginning of those that it has set."""
        self._warm: dict[Any, None] = {}
        """Accounts, and accounts with slots, that the transaction has accessed."""

    # The tries

    def make_state_root(self) -> Hash32:
        """Bring all changes into the tries."""
        for address, storage in self._storages.items():
            if storage.before:
                self._make_storage_root(address, storage)
        changed = {
            keccak(address): _encoded(account)
            for address, before in self._before.items()
            if (account := self._accounts[address]) != before
        }
        trie = Trie(self._nodes, self._root)
        try:
            self._made |= trie.update(changed)
        except MissingTrieNode as error:
            raise MissingAccountTrieNode(*error.args) from error
        self._root = trie.root
        self._before.clear()
        self._undo.clear()
        self._levels.clear()
        self._original.clear()
        return self.state_root

    def _make_storage_root(self, address: Address, storage: _Storage) -> None:
        changed = {
            keccak(slot.to_bytes(32, "big")): number(word) if word else b""
            for slot, before in storage.before.items()
            if (word := storage.words[slot]) != before
        }
        trie = Trie(self._nodes, storage.root)
        try:
            self._made |= trie.update(changed)
        except MissingTrieNode as error:
            _storage_misses(error, address)
        storage.before.clear()
        account = self._account(address)
        if changed and (account or trie.root != BLANK):
            storage.root = trie.root
            self._set(address, (account or _NEW)._replace(storage_root=trie.root))

    def persist(self) -> MetaWitnessAPI:
        """Write the tries and the new codes. Which parts of the state were read is not noted: nobody asks for it."""
        self.make_state_root()
        for hash_, value in (self._made | self._codes).items():
            self._db[hash_] = value
        self._made.clear()
        self._codes.clear()
        return MetaWitness(set(), {})


def _storage_misses(error: MissingTrieNode, address: Address) -> NoReturn:
    missing, root, key, prefix = error.args
    raise MissingStorageTrieNode(missing, root, key, prefix, address) from error


def _encoded(account: _Account | None) -> bytes:
    """An account's RLP; empty when there is none."""
    if account is None:
        return b""
    nonce, balance, root, code_hash = account
    return in_list(number(nonce), number(balance), item(root), item(code_hash))
