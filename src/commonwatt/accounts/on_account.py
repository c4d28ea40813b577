"""The form of bills on account: what a month is settled at after the fact, with nothing but roots on the chain.

A bill has what its member's registers counted and shared, slot by slot, and the documents that come of it. Beside it is
the community's page, the same for all: what all registers together counted and shared, and the prices. Both are under
one root, the page at place 0. With the two a member checks its own share by the rule, and sees of nobody else anything
but the sums.
"""

from __future__ import annotations

from typing import Final

from commonwatt.proof import keccak

FORMAT: Final = "commonwatt-month/1"
PAGE: Final = "commonwatt-month-page/1"
PRO_RATA: Final = "pro rata"
"""Registers of each side have local energy in proportion to what they counted."""
STATIC: Final = "static"
"""A register of import has its agreed share of what was fed in, and no more than it counted."""
OTHER: Final = "other"
"""By a rule that the page does not let a member reckon."""


def nominal(community: str, *names: str) -> bytes:
    """The address that stands for a member, or for a register, of which nobody has a key. 20 bytes

    A contract knows members by addresses. Who has no wallet has this one, which follows from the names alone, until the
    operators let a wallet replace it.
    """
    return keccak("\n".join(("commonwatt", community, *names)).encode())[12:]
