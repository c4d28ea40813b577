"""Parts of py-evm as this chain has them: their time and memory grow no faster than the gas that is paid for them.

What they compute is the same. py-evm's own keep whatever was passed to each call until the transaction's end; and
touch, at each call, every account whose storage the block has changed so far.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from eth.db.account import AccountDB
from eth.exceptions import InsufficientStack
from eth.typing import JournalDBCheckpoint
from eth.vm.interrupt import MissingBytecode
from eth_typing import Address

from commonwatt.proof.keccak import keccak

_NO_CODE = keccak(b"")


def pop_ints(values: list[int | bytes], count: int) -> tuple[int, ...]:
    """Take two integers or more off a stack, the topmost first, in half the time of py-evm."""
    if count > len(values):
        raise InsufficientStack(f"Wanted {count} stack items, only had {len(values)}")
    taken = values[: -count - 1 : -1]
    del values[-count:]
    return tuple([value if isinstance(value, int) else int.from_bytes(value, "big") for value in taken])


def leave_behind(parent: Any, child: Any, touched: set[Address]) -> None:
    """Keep of a call that has just ended only what the transaction's end asks for.

    That is events, refunds, deletions, and for each account that it touched one call of it: when the account is empty
    it is no part of the state (EIP-161). touched : those of the parent's calls so far; the child's is added
    """
    destroyed = child.accounts_to_delete or child.beneficiaries
    within = child.children or child._log_entries or destroyed or child._gas_meter.gas_refunded
    if not child.msg.refund and (child.is_error or (not within and child.msg.to in touched)):
        parent.children.pop()
    elif not child.is_error:
        touched.add(child.msg.to)
    child.msg.data = b""


class Accounts(AccountDB):
    """The accounts of a state, where a call costs what it changes, not what the block has changed before it.

    py-evm opens a level of changes for each call, in each storage with changes. Here a storage takes part in a level
    from its first change there; what is committed below belongs to the level above.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._levels: dict[JournalDBCheckpoint, dict[Address, JournalDBCheckpoint]] = {}
        """By open level, the newest last: storages that it changes, with their own names of it."""

    def record(self) -> JournalDBCheckpoint:
        """Open a level."""
        level = self._journaldb.record()
        self._journaltrie.record(level)
        self._journal_accessed_state.record(level)
        self._levels[level] = {}
        return level

    def discard(self, checkpoint: JournalDBCheckpoint) -> None:
        """Undo a level and all above it."""
        self._journaldb.discard(checkpoint)
        self._journaltrie.discard(checkpoint)
        self._journal_accessed_state.discard(checkpoint)
        self._account_cache.clear()
        for changed in self._ended(checkpoint):
            for address, name in changed.items():
                if store := self._account_stores.get(address):
                    store.discard(name)

    def commit(self, checkpoint: JournalDBCheckpoint) -> None:
        """Give what a level and all above it changed to the one below."""
        self._journaldb.commit(checkpoint)
        self._journaltrie.commit(checkpoint)
        self._journal_accessed_state.commit(checkpoint)
        for changed in self._ended(checkpoint):
            below = next(reversed(self._levels.values()), {})
            for address, name in changed.items():
                store = self._account_stores.get(address)
                if self._levels and address not in below:
                    below[address] = name
                elif store:
                    store.commit(name)

    def set_storage(self, address: Address, slot: int, value: int) -> None:
        """Set a word of an account's storage."""
        self._take_part(address)
        super().set_storage(address, slot, value)

    def get_code(self, address: Address) -> bytes:
        """An account's code. Which parts of the state were read is not noted: nobody asks for it."""
        code_hash = self.get_code_hash(address)
        if code_hash == _NO_CODE:
            return b""
        try:
            return self._journaldb[code_hash]
        except KeyError as error:
            raise MissingBytecode(code_hash) from error

    def _wipe_storage(self, address: Address) -> None:
        self._take_part(address)
        super()._wipe_storage(address)

    def _take_part(self, address: Address) -> None:
        if self._levels:
            level = next(reversed(self._levels))
            if address not in self._levels[level]:
                self._get_address_store(address).record(level)
                self._levels[level][address] = level

    def _ended(self, checkpoint: JournalDBCheckpoint) -> Iterator[dict[Address, JournalDBCheckpoint]]:
        """The levels down to this one, the newest first; they are open no more."""
        level = None
        while level != checkpoint:
            level, changed = self._levels.popitem()
            yield changed
