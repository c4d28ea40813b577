"""Money of one's own in and out of a community's settlement: a member's deposit, an operator's stake.

Money is in lane units (see `Terms`). Methods that send raise Reverted with the contract's custom error, or LedgerError.
`at` is as in `client`.
"""

from __future__ import annotations

from commonwatt.errors import LedgerError
from commonwatt.ledger.client.abi import SETTLEMENT, TOKEN, contract
from commonwatt.ledger.client.disputes import plain
from commonwatt.ledger.client.sending import Call
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.ledger.node import ZERO_ADDRESS, Receipt
from commonwatt.proof import Key


class PurseClient:
    """The money of a ledger's settlement."""

    def __init__(self, ledger: LedgerClient) -> None:
        self.ledger = ledger
        self.asset = bytes(ledger.view(SETTLEMENT, "asset")[0])
        """The token [address]; zero for ether."""

    def deposit(self, member: Key, lanes: int, *, at: int) -> Receipt:
        """Pay in from the member's own account: its tokens, whose transfer is allowed first, or its ether."""
        amount = lanes * self.ledger.terms.lane_unit
        paid = self.approval(self.ledger.addresses.settlement, amount)
        data = contract(SETTLEMENT).functions["deposit"].encode(lanes)
        deposit = Call(self.ledger.addresses.settlement, data, value=0 if paid else amount)
        return self.ledger.sender.send([*paid, deposit], at, "the deposit", member)[-1]

    def take_bond(self, operator: Key, lanes: int, *, at: int) -> Receipt:
        """Pay an operator what it staked and no open post binds."""
        return self._send(operator, "takeBond", lanes, doing="the return of the bond", at=at)

    def expire(self, key: Key, slot: int, revision: int, *, at: int) -> Receipt:
        """Clear away an expired post, so that it binds its sender's stake no longer. Any key may.

        Raises LedgerError when nothing was posted.
        """
        post = self.ledger.announced(slot, revision)
        if post is None:
            raise LedgerError(f"There is no post of slot {slot}, revision {revision}.")
        return self._send(key, "expire", plain(post), doing="the expiry of the post", at=at)

    def approval(self, spender: bytes, amount: int) -> list[Call]:
        """What lets a contract take so many base units of one's tokens; nothing where the money is ether."""
        if self.asset == ZERO_ADDRESS:
            return []
        return [Call(self.asset, contract(TOKEN).functions["approve"].encode(spender, amount))]

    def held(self, account: bytes) -> int:
        """What an account holds outside the settlement [base unit]."""
        if self.asset == ZERO_ADDRESS:
            return self.ledger.node.balance(account)
        function = contract(TOKEN).functions["balanceOf"]
        return int(function.outputs.decode(self.ledger.node.call(self.asset, function.encode(account)))[0])

    def _send(self, key: Key, function: str, *values: object, doing: str, at: int) -> Receipt:
        data = contract(SETTLEMENT).functions[function].encode(*values)
        return self.ledger.send(key, self.ledger.addresses.settlement, data, doing, at=at)
