"""Which readings of a simulation come late, and which never: by chance, but the same every time."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from commonwatt.community.model import Community
from commonwatt.proof import keccak

LONGEST: Final = 48
"""Most hours that a reading is late."""
_HOUR: Final = 3600
_BITS: Final = 64


@dataclass(frozen=True)
class Silence:
    """A number drawn for each reading from the seed, the slot and the member, and from nothing else, decides.

    So a higher share adds to the readings that a lower one picks, and whatever else happens in the run changes nothing.
    late, silent : shares of all readings
    """

    late: Fraction
    silent: Fraction
    seed: bytes

    @classmethod
    def of(cls, community: Community) -> Silence:
        """As the community's file has it."""
        chosen = community.readings
        return cls(chosen.late, chosen.silent, f"commonwatt silence {community.name} {community.seed}".encode())

    def delay(self, slot: int, member: int) -> int | None:
        """How long after its slot [start, unix s] a reading comes [s]; None = never."""
        if not self.late and not self.silent:
            return 0
        drawn = keccak(self.seed + slot.to_bytes(8, "big") + member.to_bytes(4, "big"))
        number, hours = (int.from_bytes(drawn[at : at + 8], "big") for at in (0, 8))
        share = Fraction(number, 1 << _BITS)
        if share < self.silent:
            return None
        return (1 + hours % LONGEST) * _HOUR if share < self.silent + self.late else 0
