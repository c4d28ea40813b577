"""How readings get from a device to the exchange, whatever is lost, doubled or late in between.

The device numbers and signs its readings and keeps each until the exchange acknowledges it. Every message begins with
the oldest that is not acknowledged, so the exchange may acknowledge all up to the last number of a message without
knowing what came before. The exchange judges each reading by itself: in which order they arrive does not matter.

Neither end knows a clock or a connection here. Times are unix s at the exchange, and at the device ms of a clock that
does not jump. A signed reading in JSON is that of bills: the record's fields and `signature`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pydantic_core

from commonwatt.errors import RecordError, SequenceError
from commonwatt.meter.readings import genuine, require_possible
from commonwatt.proof import Domain, checksum_address, hash_struct
from commonwatt.records import Reading, Signed
from commonwatt.records.schema import MAX_SIGNED, as_json, from_json, to_bytes
from commonwatt.records.strict_json import loads

STORED: Final = "stored"
DUPLICATE: Final = "duplicate"
REFUSED: Final = "refused"

MOST_IN_MESSAGE: Final = 100
RESEND_MS: Final = 10_000
LONGEST_RESEND_MS: Final = 300_000
_LONGEST_READING: Final = 1000
"""Bytes of one signed reading in JSON, some three times what it needs."""
_LONGEST_WHY: Final = 500


@dataclass(frozen=True)
class InService:
    """A meter as the ledger has it: it counts for slots that start in [since, until) [unix s]; until None = still."""

    meter: bytes
    since: int
    until: int | None = None


@dataclass(frozen=True)
class SlotRules:
    """Which slots readings are taken for.

    seconds, offset : slots start where the unix time is `offset` more than a multiple of `seconds`
    corrections : for how long after its end a slot is open [s]
    early : a reading that comes so long before its slot's end is by a clock that is a little ahead, and may come again;
        one that comes earlier is by a clock that is wrong, and so is what it counted [s]
    """

    seconds: int = 900
    offset: int = 0
    corrections: int = 7 * 86_400
    early: int = 60


@dataclass(frozen=True)
class Known:
    """A reading of the same meter and slot that is stored. hash : its struct hash, 32 bytes."""

    sequence: int
    hash: bytes


@dataclass(frozen=True)
class Judgement:
    """What the exchange says of one reading.

    status : STORED, DUPLICATE or REFUSED
    why : of a refusal, one sentence
    correction : stored in the place of an earlier one, which no longer counts
    genuine : the meter signed it, so the meter may be told that it need not come again
    again : refused for now only; it may come again
    hash : of one that is stored, its struct hash, 32 bytes
    """

    status: str
    why: str = ""
    correction: bool = False
    genuine: bool = True
    again: bool = False
    hash: bytes = field(default=b"", compare=False)

    def as_json(self) -> dict[str, str]:
        """As it stands in the exchange's `results`."""
        return {"status": self.status, "why": self.why} if self.why else {"status": self.status}


def judge(
    domain: Domain,
    known: Sequence[Known],
    signed: Signed[Reading],
    now: int,
    service: InService | None,
    rules: SlotRules,
) -> Judgement:
    """Whether a reading is stored.

    known : what is stored of its meter and slot already, in any order
    service : the meter that the reading names, None where the ledger has none such

    The signature is checked before anything else in the reading is believed. Of a slot, the highest number counts: a
    newer one is a correction, an older one is refused.
    """
    reading = signed.record
    if service is None:
        return Judgement(REFUSED, f"{_name(reading)} is not enrolled here.", genuine=False, again=True)
    try:
        struct_hash = genuine(domain, signed, service.meter)
    except RecordError as error:
        return Judgement(REFUSED, str(error), genuine=False)
    if known and any(each.hash == struct_hash for each in known):
        return Judgement(DUPLICATE)
    if why := _out_of_service(reading, service) or _no_slot(reading, now, rules) or _old_number(reading, known):
        return Judgement(REFUSED, why)
    if now < (end := reading.slot + rules.seconds):
        why = f"{_name(reading)} reports slot {reading.slot}, which is over in {end - now} s only; it is {now} now."
        return Judgement(REFUSED, why, again=end - now <= rules.early)
    try:
        require_possible(reading)
    except RecordError as error:
        return Judgement(REFUSED, str(error))
    return Judgement(STORED, correction=bool(known), hash=struct_hash)


def _name(reading: Reading) -> str:
    return f"Meter {checksum_address(reading.meter)}"


def _out_of_service(reading: Reading, service: InService) -> str:
    """Why the meter does not count for the slot, or ""."""
    if reading.slot < service.since:
        return f"{_name(reading)} reports slot {reading.slot} and is in service since {service.since} only."
    if service.until is not None and reading.slot >= service.until:
        return f"{_name(reading)} reports slot {reading.slot} and was taken out of service at {service.until}."
    return ""


def _no_slot(reading: Reading, now: int, rules: SlotRules) -> str:
    """Why there is no such slot, or none that is still open, or ""."""
    if (reading.slot - rules.offset) % rules.seconds:
        return f"{_name(reading)} reports slot {reading.slot}, and no slot of {rules.seconds} s starts then."
    closed = reading.slot + rules.seconds + rules.corrections
    if now > closed:
        return f"{_name(reading)} reports slot {reading.slot}, which was closed at {closed}."
    return ""


def _old_number(reading: Reading, known: Sequence[Known]) -> str:
    """Why the number is none that corrects what is stored, or ""."""
    if not known or reading.sequence > (last := max(each.sequence for each in known)):
        return ""
    return (
        f"{_name(reading)} reports slot {reading.slot} with number {reading.sequence} after number {last}, and a "
        "correction has a higher one."
    )


@dataclass(frozen=True)
class Acknowledgement:
    """What the exchange answers to a message of readings.

    upto : the device need not keep readings up to this number; 0 acknowledges none
    refused : (number, sentence) of those that will never be taken, which it need not keep either
    time : of the exchange [unix s]; 0 while nothing vouches for it
    """

    upto: int
    refused: tuple[tuple[int, str], ...]
    time: int

    def as_json(self) -> dict[str, Any]:
        """`{"upto": 7, "refused": [{"sequence": 6, "why": "…"}], "time": 1781481600}`."""
        refused = [{"sequence": sequence, "why": why} for sequence, why in self.refused]
        return {"upto": self.upto, "refused": refused, "time": self.time}

    @classmethod
    def from_payload(cls, payload: bytes) -> Acknowledgement:
        """What `as_json` became as text. Raises RecordError."""
        try:
            given = loads(payload, MOST_IN_MESSAGE * _LONGEST_READING)
        except ValueError as error:
            raise RecordError(f"An acknowledgement cannot be read: {error}.") from None
        if not isinstance(given, dict) or sorted(given) != ["refused", "time", "upto"]:
            raise RecordError("An acknowledgement has upto, refused and time.")
        if not all(_counts(given[name]) for name in ("upto", "time")) or not isinstance(given["refused"], list):
            raise RecordError("An acknowledgement has two whole numbers from 0 on, upto and time, and a list, refused.")
        return cls(given["upto"], tuple(_refused(each) for each in given["refused"]), given["time"])


def _refused(given: Any) -> tuple[int, str]:
    if not isinstance(given, dict) or sorted(given) != ["sequence", "why"]:
        raise RecordError("What an acknowledgement refuses has sequence and why.")
    if not _counts(given["sequence"]) or not isinstance(given["why"], str):
        raise RecordError("What an acknowledgement refuses has a whole number, sequence, and a sentence, why.")
    return given["sequence"], given["why"][:_LONGEST_WHY]


def _counts(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_SIGNED


def acknowledge(judged: Sequence[tuple[Reading, Judgement]], now: int) -> Acknowledgement | None:
    """The answer to one message; judged : its readings with what is said of them, once they are stored for good.

    It names none that the meter has not signed, and is None where all are such: a stranger may not have a device throw
    away what it keeps.
    """
    own = [(reading.sequence, judgement) for reading, judgement in judged if judgement.genuine]
    if not own:
        return None
    first_again = min((sequence for sequence, judgement in own if judgement.again), default=MAX_SIGNED + 1)
    upto = max((sequence for sequence, _ in own if sequence < first_again), default=0)
    never = [(sequence, each.why) for sequence, each in own if each.status == REFUSED and not each.again]
    return Acknowledgement(upto, tuple(never), now)


def time_said(payload: bytes) -> int | None:
    """The time that a meter says it is, in a message of what it measures now [unix s]; None where it says none."""
    try:
        given = loads(payload, _LONGEST_READING, fractions=True)
    except ValueError:
        return None
    said = given.get("time") if isinstance(given, dict) else None
    return said if _counts(said) else None


def signed_json(signed: Signed[Reading]) -> dict[str, int | str]:
    """A signed reading as JSON."""
    return {**as_json(signed.record), "signature": f"0x{signed.signature.hex()}"}


def signed_reading(given: Any) -> Signed[Reading]:
    """The signed reading that `signed_json` made this of; whose it is has not been checked. Raises RecordError."""
    if not isinstance(given, Mapping):
        raise RecordError("A signed reading is a table of the reading's fields and signature.")
    fields = dict(given)
    signature = to_bytes(fields.pop("signature", None), 65)
    reading = from_json(Reading, fields)
    return Signed(reading, hash_struct(reading), signature)


def readings_of(payload: bytes, most: int = MOST_IN_MESSAGE) -> tuple[Signed[Reading] | RecordError, ...]:
    """What a message holds: one signed reading or a list of at most `most`, each by itself good or not.

    Raises RecordError for a message that is neither.
    """
    longest = most * _LONGEST_READING
    if len(payload) > longest:
        raise RecordError(f"A message of readings cannot be read: it is longer than {longest} bytes.")
    try:
        # What is believed of it is what the meter signed, so that two readers may see different things in the rest.
        given = pydantic_core.from_json(payload, allow_inf_nan=False)
    except ValueError as error:
        raise RecordError(f"A message of readings cannot be read: {error}.") from None
    listed = given if isinstance(given, list) else [given]
    if not 0 < len(listed) <= most:
        raise RecordError(f"A message holds 1 to {most} readings, not {len(listed)}.")
    return tuple(_good_or_not(each) for each in listed)


def _good_or_not(given: Any) -> Signed[Reading] | RecordError:
    try:
        return signed_reading(given)
    except RecordError as error:
        return error


@dataclass(frozen=True)
class DeviceOutbox:
    """The readings that a device keeps until they are acknowledged. Kept with `as_json`, it goes on after a restart.

    meter : address; sequence : the last number that was used, 0 before the first
    waiting : by number
    sent_at, attempts, sent_upto : the last message [ms], how often it went without an answer, its last number
    """

    meter: bytes
    sequence: int = 0
    waiting: tuple[Signed[Reading], ...] = ()
    sent_at: int | None = None
    attempts: int = 0
    sent_upto: int = 0

    def add(self, signed: Signed[Reading]) -> DeviceOutbox:
        """With one more reading, which is to be kept before it is sent.

        Raises SequenceError for a number that was used, RecordError for a reading of another meter.
        """
        number = signed.record.sequence
        if signed.record.meter != self.meter:
            raise RecordError(f"{_name(signed.record)} is not the meter of this device.")
        if number <= self.sequence:
            raise SequenceError(f"Reading number {number} was used; the next is {self.sequence + 1} or later.")
        return replace(self, sequence=number, waiting=(*self.waiting, signed))

    def wait(self, now: int) -> int | None:
        """How long until the next message is due [ms], 0 = now; None while nothing waits.

        New readings go at once. Without an answer a message goes again after 10 s, then after twice as long each time,
        up to five minutes.
        """
        if not self.waiting:
            return None
        if self.sent_at is None or now < self.sent_at or self._next()[-1].record.sequence > self.sent_upto:
            return 0
        pause = min(RESEND_MS << min(self.attempts - 1, 10), LONGEST_RESEND_MS)
        return max(0, self.sent_at + pause - now)

    def send(self, now: int) -> tuple[DeviceOutbox, tuple[Signed[Reading], ...]]:
        """The message that is due at `now` [ms], from the oldest reading on; empty while none is due."""
        if self.wait(now) != 0:
            return self, ()
        message = self._next()
        upto = message[-1].record.sequence
        attempts = self.attempts + 1 if upto == self.sent_upto else 1
        return replace(self, sent_at=now, attempts=attempts, sent_upto=upto), message

    def connected(self) -> DeviceOutbox:
        """After a connection was made: what waits goes at once."""
        return replace(self, sent_at=None, attempts=0)

    def acknowledged(self, answer: Acknowledgement) -> DeviceOutbox:
        """Without the readings that the exchange has, or will never take.

        Raises SequenceError for an answer to a number that was never used: it is not this device's.
        """
        if answer.upto > self.sequence:
            raise SequenceError(
                f"Number {answer.upto} was acknowledged, and the last that was used is {self.sequence}."
            )
        never = {sequence for sequence, _ in answer.refused}
        had = {each.record.sequence for each in self.waiting if each.record.sequence <= answer.upto}
        return self._without(had | never)

    def answered(self, message: Sequence[Signed[Reading]], judgements: Sequence[Judgement]) -> DeviceOutbox:
        """Without those of `message` that were decided; judgements : the exchange's `results`, in the same order."""
        pairs = zip(message, judgements, strict=True)
        decided = {signed.record.sequence for signed, judgement in pairs if not judgement.again}
        return self._without(decided)

    def as_json(self) -> dict[str, Any]:
        """What has to outlive a restart."""
        waiting = [signed_json(each) for each in self.waiting]
        return {"meter": f"0x{self.meter.hex()}", "sequence": self.sequence, "waiting": waiting}

    @classmethod
    def from_json(cls, given: Any) -> DeviceOutbox:
        """The outbox that `as_json` made this of; all that waits is due. Raises RecordError."""
        if not isinstance(given, dict) or sorted(given) != ["meter", "sequence", "waiting"]:
            raise RecordError("A device's outbox has meter, sequence and waiting.")
        if not _counts(given["sequence"]) or not isinstance(given["waiting"], list):
            raise RecordError("A device's outbox has a whole number, sequence, and a list, waiting.")
        outbox = cls(to_bytes(given["meter"], 20))
        for each in given["waiting"]:
            outbox = outbox.add(signed_reading(each))
        if given["sequence"] < outbox.sequence:
            raise RecordError("A device's outbox holds a reading with a higher number than the last that was used.")
        return replace(outbox, sequence=given["sequence"])

    def _without(self, numbers: Set[int]) -> DeviceOutbox:
        return replace(self, waiting=tuple(each for each in self.waiting if each.record.sequence not in numbers))

    def _next(self) -> tuple[Signed[Reading], ...]:
        return self.waiting[:MOST_IN_MESSAGE]
