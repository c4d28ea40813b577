"""What operators sign about the community itself: who takes part, whose account is whose, what money there is."""

from __future__ import annotations

from dataclasses import dataclass

from commonwatt.records.schema import U8, U32, U64, U256, Address


@dataclass(frozen=True, slots=True)
class Recovery:
    """A member that lost its key gets another account.

    nonce : how many records about this member were used before
    """

    member: U32
    account: Address
    nonce: U64


@dataclass(frozen=True, slots=True)
class Standing:
    """A member is suspended or takes part again.

    active : 0 = suspended, 1 = takes part
    nonce : how many records about this member were used before
    """

    member: U32
    active: U8
    nonce: U64


@dataclass(frozen=True, slots=True)
class Mint:
    """Tokens for money that was paid in outside the chain.

    amount : base units of the token
    nonce : how many such records were used before
    """

    to: Address
    amount: U256
    nonce: U64
