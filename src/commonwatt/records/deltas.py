"""Changes of balances as a post carries them: one big-endian int32 per member, dense from member 0."""

from __future__ import annotations

from typing import Final

import numpy as np

from commonwatt.errors import RecordError
from commonwatt.units import IntArray

DELTA_MIN, DELTA_MAX = -(2**31), 2**31 - 1
"""Range of one member's delta [lane unit]."""
DELTA_BYTES: Final = 4


def pack_deltas(deltas: IntArray) -> bytes:
    """Packed form of the deltas, shape (members,) [lane unit], positive = credited.

    Raises RecordError beyond the range of a delta.
    """
    if len(deltas) and (deltas.min() < DELTA_MIN or deltas.max() > DELTA_MAX):
        raise RecordError(f"A member's change in one slot is above {DELTA_MAX} lane units; choose a larger lane unit.")
    return deltas.astype(">i4").tobytes()


def unpack_deltas(packed: bytes) -> IntArray:
    """The deltas, shape (members,) [lane unit]. Raises RecordError when the bytes are not whole deltas."""
    if len(packed) % DELTA_BYTES:
        raise RecordError(f"{len(packed)} bytes are no deltas, which have {DELTA_BYTES} each.")
    return np.frombuffer(packed, dtype=">i4").astype(np.int64)
