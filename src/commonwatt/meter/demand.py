"""What a meter's relay is told to let through, signed by an operator."""

from __future__ import annotations

from dataclasses import dataclass

from commonwatt.records.schema import U64, Address


@dataclass(frozen=True, slots=True)
class Demand:
    """Energy that a meter's relay lets through, signed by an operator; `firmware/readings.py` has its type hash.

    number : strictly increasing per meter; a newer demand takes the place of the one before
    mwh : energy through the relay [mWh]; 0 ends the demand before
    until : the relay opens by then [unix s], whatever has been delivered
    """

    meter: Address
    number: U64
    mwh: U64
    until: U64
