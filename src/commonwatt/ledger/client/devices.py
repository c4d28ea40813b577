"""Devices of a community, as its contract takes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from commonwatt.ledger.client.abi import COMMUNITY, contract
from commonwatt.ledger.client.sending import Call
from commonwatt.records import Acceptance, Signed

_GENERATOR: Final = 2
"""In the contract's enumeration of kinds."""


def generator(community: bytes, device: bytes, accepted: Signed[Acceptance]) -> Iterator[Call]:
    """The transactions that bring a member's generator into service, with the meter that measures it alone, which the
    member takes into service by its signature."""
    functions, member, meter = contract(COMMUNITY).functions, accepted.record.member, accepted.record.meter
    yield Call(community, functions["registerMeter"].encode(member, meter))
    yield Call(community, functions["acceptMeterBySignature"].encode((member, meter), accepted.signature))
    yield Call(community, functions["registerDevice"].encode(device, member, _GENERATOR, False, meter))  # noqa: FBT003
