"""What is signed about the community itself: who takes part, whose account and meter is whose, who may read what,
what money there is."""

from __future__ import annotations

from dataclasses import dataclass

from commonwatt.records.schema import U8, U32, U64, U256, Address, Bytes32


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


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A member takes a meter into service that was proposed to it; signed by the member's account."""

    member: U32
    meter: Address


@dataclass(frozen=True, slots=True)
class Grant:
    """A member lets somebody read; signed by the member's account.

    scope : keccak of what may be read, such as "readings"
    until : end of the grant [unix s]; 0 takes back what was granted
    nonce : how many records about this member were used before
    """

    member: U32
    grantee: Address
    scope: Bytes32
    until: U64
    nonce: U64
