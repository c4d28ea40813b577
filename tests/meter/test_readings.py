"""Readings: numbered, signed, and believed only when everything about them is right."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.errors import RecordError, SequenceError, SignatureError
from commonwatt.meter import SimulatedMeter, accept
from commonwatt.proof import Domain, Key, sign
from commonwatt.records import Reading, Signed
from commonwatt.records.schema import MAX_SIGNED
from commonwatt.units import MAX_ORDER_WH

DOMAIN = Domain(9, b"\x09" * 20)
METER = SimulatedMeter(Key.derive(b"tests", "meter"), DOMAIN)
OTHER = SimulatedMeter(Key.derive(b"tests", "another meter"), DOMAIN)
ADDRESS, SLOT = METER.key.address, 900_000


def believed(reading: Signed[Reading], last: int = 0, slot: int = SLOT) -> int:
    return accept(DOMAIN, reading, ADDRESS, slot, last)


@given(st.integers(0, MAX_ORDER_WH), st.integers(0, MAX_ORDER_WH), st.integers(1, MAX_SIGNED))
def test_both_ways_that_a_meter_counts_are_signed_and_netted(wh_in: int, wh_out: int, number: int) -> None:
    reading = METER.read(SLOT, wh_in, wh_out, number)
    assert (reading.record.wh_in, reading.record.wh_out) == (wh_in, wh_out)
    assert believed(reading, number - 1) == wh_in - wh_out


def test_numbers_may_leave_gaps_but_never_come_again() -> None:
    last = 0
    for number in (1, 2, 7, 100):
        believed(METER.read(SLOT, 5, 0, number), last)
        last = number
    for number in (0, 1, 99, 100):
        with pytest.raises(SequenceError, match=f"sent reading number {number} again; the next is 101 or later"):
            believed(METER.read(SLOT, 5, 0, number), last)
    assert believed(METER.read(SLOT, 5, 0, 101), last) == 5


@pytest.mark.parametrize("field", ["slot", "wh_in", "wh_out", "sequence"])
def test_no_field_can_be_changed_after_signing(field: str) -> None:
    signed = METER.read(SLOT, 700, 20, 3)
    changed = replace(signed.record, **{field: getattr(signed.record, field) + 1})
    with pytest.raises(SignatureError, match="is signed by"):
        believed(replace(signed, record=changed))


def test_readings_of_other_meters_slots_and_chains_are_refused() -> None:
    with pytest.raises(SignatureError, match="is signed by"):
        believed(OTHER.read(SLOT, 1, 0, 1))
    posing = sign(DOMAIN, Reading(OTHER.key.address, SLOT, 1, 0, 1), METER.key)
    with pytest.raises(RecordError, match="names another meter"):
        believed(posing)
    with pytest.raises(SignatureError):
        believed(SimulatedMeter(METER.key, Domain(10, b"\x09" * 20)).read(SLOT, 1, 0, 1))
    with pytest.raises(RecordError, match=f"reports slot {SLOT - 900} where slot {SLOT} is due"):
        believed(METER.read(SLOT - 900, 1, 0, 1))


@pytest.mark.parametrize(
    ("ways", "sentence"),
    [
        ((MAX_ORDER_WH + 1, 0), "reports more than 1000000000 Wh in one slot"),
        ((0, MAX_ORDER_WH + 1), "reports more than 1000000000 Wh in one slot"),
        ((2**63, 0), "what is signed is at most 9007199254740991"),
        ((0, -1), "cannot hold -1"),
    ],
)
def test_absurd_energy_is_refused(ways: tuple[int, int], sentence: str) -> None:
    with pytest.raises(RecordError, match=sentence):
        believed(METER.read(SLOT, *ways, 1))


@pytest.mark.parametrize("signature", [b"", bytes(65), b"\xff" * 65, bytes(64) + b"\x1b"])
def test_what_is_no_signature_is_refused(signature: bytes) -> None:
    with pytest.raises(SignatureError):
        believed(replace(METER.read(SLOT, 1, 0, 1), signature=signature))
