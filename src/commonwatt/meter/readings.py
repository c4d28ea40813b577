"""A meter signs what it counted; nobody believes a reading that is not its own, or that was seen before."""

from __future__ import annotations

from dataclasses import dataclass

from commonwatt.errors import RecordError, SequenceError
from commonwatt.proof import Domain, Key, checksum_address, sign, verify
from commonwatt.records import Reading, Signed
from commonwatt.units import MAX_ORDER_WH


@dataclass(frozen=True)
class SimulatedMeter:
    """A meter whose key is held by the simulation."""

    key: Key
    domain: Domain

    def read(self, slot: int, wh_in: int, wh_out: int, sequence: int) -> Signed[Reading]:
        """The signed reading of a slot [unix s]: what went into the home and out of it [Wh] >= 0, both maybe."""
        return sign(self.domain, Reading(self.key.address, slot, wh_in, wh_out, sequence), self.key)


def accept(domain: Domain, signed: Signed[Reading], meter: bytes, slot: int, last_sequence: int = 0) -> int:
    """Check a reading of `meter` [address] for `slot` and return its net energy [Wh], positive = into the home.

    The signature is checked before anything in the reading is believed. Raises SignatureError, SequenceError
    (number used before) or RecordError (other slot, impossible energy).
    """
    genuine(domain, signed, meter)
    reading = signed.record
    if reading.sequence <= last_sequence:
        raise SequenceError(
            f"{_name(meter)} sent reading number {reading.sequence} again; the next is {last_sequence + 1} or later."
        )
    if reading.slot != slot:
        raise RecordError(f"{_name(meter)} reports slot {reading.slot} where slot {slot} is due.")
    require_possible(reading)
    return reading.wh_in - reading.wh_out


def genuine(domain: Domain, signed: Signed[Reading], meter: bytes) -> bytes:
    """Check that `meter` [address] signed a reading of its own; returns its struct hash, 32 bytes.

    Raises SignatureError, or RecordError when a value does not fit its type or the reading names another meter.
    """
    struct_hash = verify(domain, signed, meter)
    if signed.record.meter != meter:
        raise RecordError(f"A reading signed by meter {checksum_address(meter)} names another meter.")
    return struct_hash


def require_possible(reading: Reading) -> None:
    """Raise RecordError for more energy than one slot can have."""
    if max(reading.wh_in, reading.wh_out) > MAX_ORDER_WH:
        raise RecordError(f"{_name(reading.meter)} reports more than {MAX_ORDER_WH} Wh in one slot.")


def _name(meter: bytes) -> str:
    """What a refusal calls a meter; good readings are many, and their address needs no text."""
    return f"Meter {checksum_address(meter)}"
