"""Who belongs to a community, as its contract on the node's own chain holds it after the head.

Every answer is of one block: when the chain goes on, or changes to another branch, it is looked up anew. It is read
from storage, which takes less than any work that a transaction or a question gives a node.
"""

from __future__ import annotations

from commonwatt.errors import LedgerError
from commonwatt.ledger.chain.reader import Reader
from commonwatt.ledger.client.abi import COMMUNITY, contract

_KEPT = 4096
"""Answers of one block; strangers ask, too."""
# Where a member's word holds its account and whether it is out, see `Member` in contracts/src/Members.sol.
_ACCOUNT, _INACTIVE = slice(12, 32), 5


class Circle:
    """The members and operators of the community at `address`. Who cannot be found there is neither."""

    def __init__(self, reader: Reader, address: bytes) -> None:
        self.address = address
        self._reader = reader
        self._active: dict[bytes, bool] = {}
        self._active_at = b""

    @property
    def there(self) -> bool:
        """Whether a community is there yet."""
        function = contract(COMMUNITY).functions["memberCount"]
        try:
            function.outputs.decode(self._reader.call(self.address, function.encode()))
        except LedgerError:
            return False
        return True

    def active(self, account: bytes) -> bool:
        """Whether this is the account [address] of a member that takes part."""
        head = self._reader.header().hash
        if head != self._active_at or len(self._active) >= _KEPT:
            self._active, self._active_at = {}, head
        if account not in self._active:
            self._active[account] = self._is_active(account)
        return self._active[account]

    def acts(self, account: bytes) -> bool:
        """The same, or of an operator."""
        return self.active(account) or self._word("isOperator", account) == 1

    def _is_active(self, account: bytes) -> bool:
        number = self._word("_numberOfAccount", account)
        if not number:
            return False
        member = self._word("_members", (number - 1).to_bytes(32, "big")).to_bytes(32, "big")
        return member[_ACCOUNT] == account and not member[_INACTIVE]

    def _word(self, mapping: str, key: bytes) -> int:
        """Zero when the chain cannot be read, as for whoever is not there."""
        place = contract(COMMUNITY).place(mapping, key.rjust(32, b"\0"))
        try:
            return self._reader.storage(self.address, [place])[0]
        except LedgerError:
            return 0
