"""Readings on their way from a device to the exchange: lost, doubled, late or forged, each counts once or never."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading_cases import (
    ADDRESS,
    LATER,
    METER,
    NEVER,
    OTHER,
    SAME,
    SLOT,
    TAKEN,
    judged,
    message,
)

from commonwatt.errors import RecordError
from commonwatt.meter import SimulatedMeter
from commonwatt.meter.protocol import (
    Acknowledgement,
    InService,
    Judgement,
    SlotRules,
    acknowledge,
    readings_of,
    signed_json,
    signed_reading,
)
from commonwatt.proof import Domain
from commonwatt.records import Reading, Signed
from commonwatt.units import MAX_ORDER_WH


def refusal(*arguments: Any, **named: Any) -> str:
    """Why a reading is refused for good."""
    judgement = judged(*arguments, **named)
    assert (judgement.status, judgement.genuine, judgement.again) == ("refused", True, False)
    return judgement.why


def test_a_reading_of_a_slot_that_is_over_is_stored_until_corrections_end() -> None:
    reading = METER.read(SLOT, 700, 20, 5)
    for now in (SLOT + 900, SLOT + 901, SLOT + 900 + 7 * 86_400):
        assert judged(reading, now=now) == Judgement("stored")
    closed = SLOT + 900 + 7 * 86_400
    why = refusal(reading, now=closed + 1)
    assert why.endswith(f"reports slot {SLOT}, which was closed at {closed}.")


def test_a_reading_that_comes_a_little_before_its_slot_is_over_may_come_again() -> None:
    reading = METER.read(SLOT, 700, 20, 5)
    for early in (1, 60):
        judgement = judged(reading, now=SLOT + 900 - early)
        assert (judgement.status, judgement.again, judgement.genuine) == ("refused", True, True)
        assert judgement.why.endswith(f"which is over in {early} s only; it is {SLOT + 900 - early} now.")
    assert f"over in {61} s only" in refusal(reading, now=SLOT + 839)
    assert "over in 10000000 s only" in refusal(METER.read(SLOT + 9_999_900, 1, 1, 6), now=SLOT + 800)


def test_the_same_again_is_a_duplicate_whenever_it_comes_and_whoever_has_left() -> None:
    reading, newer = METER.read(SLOT, 700, 20, 5), METER.read(SLOT, 710, 20, 6)
    left = InService(ADDRESS, 0, SLOT)
    for now in (0, SLOT + 900, SLOT + 10**8):
        for known in ([reading], [reading, newer], [newer, reading]):
            assert judged(reading, known, now, left) == Judgement("duplicate")


def test_a_newer_number_corrects_a_slot_and_an_older_one_is_refused() -> None:
    reading = METER.read(SLOT, 700, 20, 5)
    assert judged(METER.read(SLOT, 0, 0, 6), [reading]) == Judgement("stored", correction=True)
    assert judged(METER.read(SLOT, 700, 20, 6), [reading]) == Judgement("stored", correction=True)
    for number in (4, 5):
        why = refusal(METER.read(SLOT, 0, 0, number), [METER.read(SLOT, 1, 1, 2), reading])
        assert why.endswith(f"with number {number} after number 5, and a correction has a higher one.")
    assert judged(METER.read(SLOT, 1, 1, 0)) == Judgement("stored")


@pytest.mark.parametrize(("seconds", "offset"), [(900, 0), (3600, 0), (900, 300), (300, -60)])
def test_a_reading_is_of_a_slot_that_the_community_has(seconds: int, offset: int) -> None:
    rules = SlotRules(seconds, offset)
    slot = SLOT + offset
    assert judged(METER.read(slot, 1, 1, 1), now=slot + seconds, rules=rules).status == "stored"
    for wrong in (slot + 1, slot - 1, slot + seconds // 2):
        why = refusal(METER.read(wrong, 1, 1, 1), now=slot + 9000, rules=rules)
        assert why.endswith(f"reports slot {wrong}, and no slot of {seconds} s starts then.")


def test_a_meter_counts_from_the_slot_in_which_it_came_into_service_to_the_one_in_which_it_left() -> None:
    service = InService(ADDRESS, SLOT, SLOT + 1800)
    now = SLOT + 9000
    for slot in (SLOT, SLOT + 900):
        assert judged(METER.read(slot, 1, 1, 1), now=now, service=service).status == "stored"
    assert "in service since" in refusal(METER.read(SLOT - 900, 1, 1, 1), now=now, service=service)
    why = refusal(METER.read(SLOT + 1800, 1, 1, 1), now=now, service=service)
    assert why.endswith(f"reports slot {SLOT + 1800} and was taken out of service at {SLOT + 1800}.")


def test_a_meter_that_is_not_enrolled_yet_may_try_again_and_is_told_so() -> None:
    judgement = judged(METER.read(SLOT, 1, 1, 1), service=None)
    assert (judgement.status, judgement.genuine, judgement.again) == ("refused", False, True)
    assert judgement.why == "Meter 0x" + judgement.why[8:48] + " is not enrolled here."


def test_what_the_meter_has_not_signed_is_refused_before_anything_in_it_is_read() -> None:
    reading = METER.read(SLOT, 700, 20, 5)
    changed = replace(reading, record=replace(reading.record, wh_in=70_000))
    posing = replace(OTHER.read(SLOT, 700, 20, 5), record=reading.record)
    elsewhere = SimulatedMeter(METER.key, Domain(10, b"\x09" * 20)).read(SLOT, 700, 20, 5)
    for forged in (changed, posing, elsewhere, replace(reading, signature=bytes(65))):
        for known in ([], [reading]):
            judgement = judged(forged, known)
            assert (judgement.status, judgement.genuine, judgement.again) == ("refused", False, False)
            assert judgement.as_json() == {"status": "refused", "why": judgement.why}
    # A hash that somebody wrote beside a reading is not looked at.
    assert judged(replace(changed, hash=reading.hash), [reading]).status == "refused"


@pytest.mark.parametrize("ways", [(MAX_ORDER_WH + 1, 0), (0, MAX_ORDER_WH + 1)])
def test_more_energy_than_a_slot_can_have_is_refused(ways: tuple[int, int]) -> None:
    assert refusal(METER.read(SLOT, *ways, 1)).endswith("reports more than 1000000000 Wh in one slot.")
    assert judged(METER.read(SLOT, MAX_ORDER_WH, MAX_ORDER_WH, 1)).as_json() == {"status": "stored"}


ARRIVALS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 8)), min_size=1, max_size=12)


@given(ARRIVALS, st.randoms(use_true_random=False))
def test_whatever_order_and_however_often_readings_arrive_the_same_ones_count(
    drawn: list[tuple[int, int]], random: Any
) -> None:
    # A meter uses a number once.
    readings = [METER.read(SLOT + 900 * slot, wh, 0, number) for number, (slot, wh) in enumerate(drawn)]

    def counting(arrivals: list[Signed[Reading]]) -> dict[int, Reading]:
        stored: dict[int, list[Signed[Reading]]] = {}
        for each in arrivals:
            known = stored.setdefault(each.record.slot, [])
            judgement = judged(each, known, SLOT + 9000)
            if judgement.status == "stored":
                assert judgement.correction == bool(known)
                known.append(each)
        return {
            slot: max((each.record for each in known), key=lambda one: one.sequence) for slot, known in stored.items()
        }

    shuffled = [*readings, *random.choices(readings, k=5)]
    random.shuffle(shuffled)
    assert counting(shuffled) == counting(readings)


def answer(*judgements: tuple[int, Judgement]) -> Acknowledgement | None:
    return acknowledge([(message(number)[0].record, judgement) for number, judgement in judgements], SLOT)


FORGED = Judgement("refused", "Not signed.", genuine=False)
STRANGE = Judgement("refused", "Not enrolled.", genuine=False, again=True)


def test_a_message_is_acknowledged_up_to_its_last_number_that_is_decided() -> None:
    assert answer((4, TAKEN), (7, SAME), (5, NEVER)) == Acknowledgement(7, ((5, "No."),), SLOT)
    assert answer((4, TAKEN), (5, LATER), (7, NEVER)) == Acknowledgement(4, ((7, "No."),), SLOT)
    assert answer((5, LATER)) == Acknowledgement(0, (), SLOT)


def test_nothing_that_the_meter_has_not_signed_is_acknowledged() -> None:
    assert answer((4, TAKEN), (9, FORGED)) == Acknowledgement(4, (), SLOT)
    assert answer((9, FORGED), (8, STRANGE)) is None
    assert answer() is None


def test_an_acknowledgement_is_read_as_it_was_written() -> None:
    answered = Acknowledgement(7, ((5, "No."), (6, "Never.")), SLOT)
    text = json.dumps(answered.as_json())
    refused = '[{"sequence": 5, "why": "No."}, {"sequence": 6, "why": "Never."}]'
    assert text == f'{{"upto": 7, "refused": {refused}, "time": {SLOT}}}'
    assert Acknowledgement.from_payload(text.encode()) == answered
    endless = text.replace("Never.", "Never. " * 1000)
    assert Acknowledgement.from_payload(endless.encode()).refused[1] == (6, ("Never. " * 72)[:500])


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"upto": 1, "refused": []}',
        b'{"upto": 1.0, "refused": [], "time": 0}',
        b'{"upto": NaN, "refused": [], "time": 0}',
        b'{"upto": true, "refused": [], "time": 0}',
        b'{"upto": -1, "refused": [], "time": 0}',
        b'{"upto": 9007199254740992, "refused": [], "time": 0}',
        b'{"upto": 1, "refused": [], "time": "now"}',
        b'{"upto": 1, "refused": {}, "time": 0}',
        b'{"upto": 1, "refused": [5], "time": 0}',
        b'{"upto": 1, "refused": [{"sequence": -5, "why": ""}], "time": 0}',
        b'{"upto": 1, "refused": [{"sequence": 5, "why": null}], "time": 0}',
        b'{"upto": 1, "refused": [], "time": 0, "upto": 9}',
        b'{"upto": 1, "refused": [], "time": 0',
        b"\xff",
    ],
)
def test_what_is_no_acknowledgement_is_an_error_of_one_sentence(payload: bytes) -> None:
    with pytest.raises(RecordError, match=r"^(An|What an) acknowledgement [^\n]*\.$"):
        Acknowledgement.from_payload(payload)


def test_a_signed_reading_is_json_as_in_bills() -> None:
    reading = METER.read(SLOT, 700, 20, 5)
    text = json.dumps(signed_json(reading))
    assert text == (
        f'{{"meter": "0x{ADDRESS.hex()}", "slot": {SLOT}, "whIn": 700, "whOut": 20, "sequence": 5, '
        f'"signature": "0x{reading.signature.hex()}"}}'
    )
    assert signed_reading(json.loads(text)) == reading
    assert readings_of(text.encode()) == (reading,)
    assert readings_of(f"[{text}, {text}]".encode()) == (reading, reading)


@pytest.mark.parametrize(
    "change",
    [
        {"meter": "0x00"},
        {"meter": None},
        {"slot": "1781481600"},
        {"slot": -900},
        {"whIn": 1.5},
        {"whIn": True},
        {"whOut": -1},
        {"whOut": 2**64},
        {"sequence": None},
        {"signature": "0x" + "00" * 64},
        {"signature": None},
        {"more": 1},
    ],
)
def test_one_reading_that_cannot_be_read_leaves_the_others_of_its_message(change: dict[str, object]) -> None:
    good = signed_json(METER.read(SLOT, 700, 20, 5))
    first, wrong = readings_of(json.dumps([good, {**good, **change}]).encode())
    assert isinstance(first, Signed)
    assert isinstance(wrong, RecordError)
    without = {name: value for name, value in good.items() if name not in change}
    assert "more" in change or isinstance(readings_of(json.dumps(without).encode())[0], RecordError)


@pytest.mark.parametrize("payload", [b"", b"[", b"[]", b'{"slot": NaN}', b"\xff\xfe", b"[" * 100, b"1" * 100_001])
def test_a_message_that_cannot_be_read_is_an_error_of_one_sentence(payload: bytes) -> None:
    with pytest.raises(
        RecordError, match=r"^A message (of readings cannot be read: |holds 1 to 100 readings)[^\n]*\.$"
    ):
        readings_of(payload)


def test_a_message_holds_at_most_so_many_readings() -> None:
    text = json.dumps([signed_json(METER.read(SLOT, 1, 1, 1))] * 101)
    assert len(readings_of(text.encode(), 101)) == 101
    with pytest.raises(RecordError, match="A message holds 1 to 100 readings, not 101"):
        readings_of(text.encode())


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode) | st.from_regex(rb"[\[\]{}\",:0-9a-z.]{1,40}"))
def test_no_bytes_whatsoever_raise_anything_else(payload: bytes) -> None:
    for read in (readings_of, Acknowledgement.from_payload):
        with suppress(RecordError):
            assert read(payload)
