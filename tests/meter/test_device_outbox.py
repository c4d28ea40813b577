"""What a device keeps until it is acknowledged: a way that loses, doubles and turns round, and nothing forgotten."""

from __future__ import annotations

import json

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
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
    numbers,
)

from commonwatt.errors import RecordError, SequenceError
from commonwatt.meter.protocol import (
    MOST_IN_MESSAGE,
    Acknowledgement,
    DeviceOutbox,
    acknowledge,
)
from commonwatt.records import Reading, Signed
from commonwatt.records.schema import MAX_SIGNED


def outbox(*numbers: int) -> DeviceOutbox:
    box = DeviceOutbox(ADDRESS)
    for reading in message(*numbers):
        box = box.add(reading)
    return box


def test_a_message_begins_with_the_oldest_reading_that_is_not_acknowledged() -> None:
    box, sent = outbox(1, 2, 5).send(0)
    assert numbers(sent) == [1, 2, 5]
    box, sent = box.acknowledged(Acknowledgement(1, (), 0)).add(message(6)[0]).send(1)
    assert numbers(sent) == [2, 5, 6]
    box = box.acknowledged(Acknowledgement(2, ((6, "No."),), 0))
    assert numbers(box.waiting) == [5]
    assert box.acknowledged(Acknowledgement(6, (), 0)).wait(1) is None
    assert box.acknowledged(Acknowledgement(0, (), 0)) == box


def test_a_long_backlog_goes_in_messages_one_after_the_other() -> None:
    box, sent = outbox(*range(1, 251)).send(0)
    assert numbers(sent) == list(range(1, MOST_IN_MESSAGE + 1))
    assert box.send(1) == (box, ())
    box, sent = box.acknowledged(Acknowledgement(100, (), 0)).send(2)
    assert numbers(sent) == list(range(101, 201))
    box, sent = box.acknowledged(Acknowledgement(200, (), 0)).send(3)
    assert numbers(sent) == list(range(201, 251))


def test_without_an_answer_a_message_goes_again_ever_more_seldom_and_at_once_after_a_connection() -> None:
    box, now, pauses = outbox(1), 1000, []
    for _ in range(20):
        box, sent = box.send(now)
        assert numbers(sent) == [1]
        pause = box.wait(now)
        assert pause
        assert box.send(now + pause - 1) == (box, ())
        pauses.append(pause)
        now += pause
    assert pauses == [10_000, 20_000, 40_000, 80_000, 160_000, *[300_000] * 15]
    assert box.connected().wait(now - 299_999) == 0
    # A new reading does not wait for the old one's answer, and a clock that was set back keeps nothing.
    box, _ = box.send(now)
    assert box.add(message(2)[0]).wait(now) == 0
    assert box.wait(now - 1) == 0
    box, sent = box.add(message(2)[0]).send(now)
    assert (numbers(sent), box.wait(now)) == ([1, 2], 10_000)


def test_a_device_over_http_forgets_what_was_decided_one_by_one() -> None:
    box, sent = outbox(1, 2, 3, 4).send(0)
    box = box.answered(sent, [TAKEN, LATER, NEVER, SAME])
    assert numbers(box.waiting) == [2]
    with pytest.raises(ValueError, match="zip"):
        box.answered(sent, [TAKEN])


def test_a_device_uses_no_number_twice_and_sends_its_own_readings_only() -> None:
    box = outbox(1, 5)
    for number in (0, 4, 5):
        with pytest.raises(SequenceError, match=f"Reading number {number} was used; the next is 6 or later"):
            box.add(message(number)[0])
    with pytest.raises(RecordError, match="is not the meter of this device"):
        box.add(OTHER.read(SLOT, 1, 1, 9))
    with pytest.raises(SequenceError, match="Number 6 was acknowledged, and the last that was used is 5"):
        box.acknowledged(Acknowledgement(6, (), 0))


def test_an_outbox_goes_on_after_a_restart_with_its_numbers() -> None:
    box, _ = outbox(1, 2, 5).send(0)
    for before in (box, box.acknowledged(Acknowledgement(5, (), 0))):
        again = DeviceOutbox.from_json(json.loads(json.dumps(before.as_json())))
        assert (again.sequence, again.waiting, again.sent_at) == (5, before.waiting, None)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"more": 1}, "has meter, sequence and waiting"),
        ({"sequence": -1}, "a whole number, sequence"),
        ({"sequence": MAX_SIGNED + 1}, "a whole number, sequence"),
        ({"sequence": 1}, "a higher number than the last that was used"),
        ({"waiting": None}, "a list, waiting"),
        ({"waiting": [None]}, "is a table of the reading's fields and signature"),
        ({"meter": "0x12"}, "is not 0x and 40 digits"),
        ({"meter": "0x" + "00" * 20}, "is not the meter of this device"),
    ],
)
def test_a_damaged_outbox_is_refused(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(RecordError, match=sentence):
        DeviceOutbox.from_json({**outbox(1, 2).as_json(), **change})
    with pytest.raises(RecordError):
        DeviceOutbox.from_json([])


class LossyWay(RuleBasedStateMachine):
    """A device and an exchange, with a way between them that loses, doubles and turns round what it carries."""

    @initialize()
    def begin(self) -> None:
        self.now, self.number = SLOT + 10**6, 0
        self.box = DeviceOutbox(ADDRESS)
        self.flash = self.box.as_json()
        self.stored: dict[int, list[Signed[Reading]]] = {}
        self.made: dict[int, Signed[Reading]] = {}
        self.refused: set[int] = set()
        self.there: list[tuple[Signed[Reading], ...]] = []
        self.back: list[Acknowledgement] = []

    @rule(slot=st.integers(-2000, 1200), wh=st.integers(0, 50))
    def measure(self, slot: int, wh: int) -> None:
        """A reading is made, for slots too old, over, or a little ahead, and kept before it is sent."""
        reading = METER.read(SLOT + 900 * slot, wh, 0, self.box.sequence + 1)
        self.box = self.box.add(reading)
        self.made[reading.record.sequence] = reading
        self.flash = self.box.as_json()

    @rule(passed=st.sampled_from([1, 60, 10_000]))
    def send(self, passed: int) -> None:
        self.now += passed
        self.box, sent = self.box.send(self.now * 1000)
        if sent:
            self.there.append(sent)

    @precondition(lambda self: self.there)
    @rule(data=st.data(), kept=st.booleans())
    def arrive(self, data: st.DataObject, kept: bool) -> None:
        """One of the messages under way arrives, and may arrive again."""
        place = data.draw(st.integers(0, len(self.there) - 1))
        self.judge(self.there[place] if kept else self.there.pop(place))

    @precondition(lambda self: self.back)
    @rule(data=st.data(), kept=st.booleans())
    def return_(self, data: st.DataObject, kept: bool) -> None:
        place = data.draw(st.integers(0, len(self.back) - 1))
        self.box = self.box.acknowledged(self.back[place] if kept else self.back.pop(place))

    @rule()
    def lose(self) -> None:
        self.there, self.back = self.there[1:], self.back[:-1]

    @rule()
    def restart(self) -> None:
        """What the device kept last is older than what it knew."""
        self.box = DeviceOutbox.from_json(self.flash)

    def judge(self, sent: tuple[Signed[Reading], ...]) -> None:
        said = []
        for each in sent:
            judgement = judged(each, self.stored.get(each.record.slot, []), self.now)
            if judgement.status == "stored":
                self.stored.setdefault(each.record.slot, []).append(each)
            elif judgement.status == "refused" and not judgement.again:
                self.refused.add(each.record.sequence)
            said.append((each.record, judgement))
        answered = acknowledge(said, self.now)
        assert answered is not None
        self.back.append(Acknowledgement.from_payload(json.dumps(answered.as_json()).encode()))

    @invariant()
    def no_reading_is_forgotten_before_it_is_decided(self) -> None:
        decided = {each.record.sequence for known in self.stored.values() for each in known} | self.refused
        assert set(self.made) - set(numbers(self.box.waiting)) <= decided

    def teardown(self) -> None:
        """Once the way carries everything, everything arrives."""
        if not hasattr(self, "box"):
            return
        self.now += 2_000_000
        for _ in range(2 + len(self.made)):
            self.box, sent = self.box.connected().send(0)
            if sent:
                self.judge(sent)
                self.box = self.box.acknowledged(self.back[-1])
        assert self.box.waiting == ()
        for slot, known in self.stored.items():
            last = max(known, key=lambda each: each.record.sequence)
            taken = [
                each for number, each in self.made.items() if each.record.slot == slot and number not in self.refused
            ]
            assert not taken or last == max(taken, key=lambda each: each.record.sequence)


TestLossyWay = LossyWay.TestCase
