"""Devices of a community, as its contract takes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from commonwatt.ledger.client.abi import COMMUNITY, contract
from commonwatt.ledger.client.sending import Call

_GENERATOR: Final = 2
"""In the contract's enumeration of kinds."""


def generator(community: bytes, member: int, device: bytes, meter: bytes) -> Iterator[Call]:
    """The transactions that bring a member's generator into service, with the meter that measures it alone."""
    functions = contract(COMMUNITY).functions
    yield Call(community, functions["registerMeter"].encode(member, meter))
    yield Call(community, functions["registerDevice"].encode(device, member, _GENERATOR, False, meter))  # noqa: FBT003
