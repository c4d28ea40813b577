"""What the interface answers. Names are written as in records and bills, such as `nextGate`."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

ACCEPTED: Final = "accepted"


class Told(BaseModel):
    """An answer."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class Result(Told):
    """What became of a reading. why : of a refusal, one sentence"""

    status: Literal["stored", "duplicate", "refused"]
    why: str | None = None


class Results(Told):
    """What became of each reading, in their order."""

    results: list[Result]


class Receipted(Told):
    """One operator's word that an order stands in its place among the slot's.

    order : struct hash; slot : start [unix s]; position : place
    """

    order: str
    slot: int
    position: int
    signature: str


class Answer(Told):
    """What became of an order. receipts : of as many operators as must sign; why : of a refusal, one sentence"""

    status: Literal["accepted", "refused"]
    receipts: list[Receipted] | None = None
    why: str | None = None


class Answers(Told):
    """What became of each order, in their order."""

    results: list[Answer]


class Health(Told):
    """It is at work, or about to be: then everything else is answered once it is."""

    status: Literal["ok", "starting"]


class Gate(Told):
    """A gate closure. at : [unix s]; first_slot : the first of its slots [unix s]; slots : how many"""

    at: int
    first_slot: int
    slots: int


class Community(Told):
    """What whoever signs for this exchange has to know.

    chain_id, settlement, name, version : of the domain that records are signed for (EIP-712)
    slot_seconds, slot_offset : slots begin where the unix time is so much more than a multiple of their length
    now : the exchange's time [unix s]
    speed : how many seconds of that pass in one; 1 but for a day that is played
    behind : why nothing is due, such as a ledger that is gone or a clock that nobody vouches for; empty when all is
        well
    next_gate : which gate closes next [unix s], and the first of its slots; null where no prices are known
    """

    community: str
    chain_id: int
    settlement: str
    name: str
    version: str
    slot_seconds: int
    slot_offset: int
    now: int
    speed: float
    behind: str
    next_gate: Gate | None


class Me(Told):
    """A member, to itself.

    name : as the operators call it; meter : in service, null where none measures the home
    box_signs : the meter cannot sign, and the operators' box has its key and signs what it reads of it
    mandate : with its signature, null where it gave none
    balance : on the ledger; free_collateral : what its next order may cost; both whole units, as text
    """

    number: int
    name: str
    account: str
    role: str
    active: bool
    meter: str | None
    box_signs: bool
    mandate: dict[str, Any] | None
    balance: str
    free_collateral: str


class Filed(Told):
    """A mandate that was taken. hash : struct hash; holds_from : the first slot that it is for [unix s]"""

    hash: str
    holds_from: int


class Order(Told):
    """An order, with its signature or its place in a basket.

    position : place among the slot's orders; accepted_at : [unix s]
    state : open while its gate is; void where another one replaced it, or it cancels one; closed; settled
    agreed_wh : before delivery, null while the gate is open; settled_wh : of that, null before the slot is settled
    """

    hash: str
    order: dict[str, Any]
    position: int
    accepted_at: int
    state: Literal["open", "void", "closed", "settled"]
    agreed_wh: int | None
    settled_wh: int | None


class Orders(Told):
    """next : what to give as `after` for the following page; null when there is none"""

    orders: list[Order]
    next: str | None


class Receipts(Told):
    """Of each order, those of as many operators as must sign, by its place."""

    receipts: list[Receipted]


class Reading(Told):
    """A reading, signed by its meter.

    arrived_at : [unix s]; counts_since : revision of the slot, null while it waits
    """

    meter: str
    slot: int
    wh_in: int
    wh_out: int
    sequence: int
    signature: str
    arrived_at: int
    counts_since: int | None


class Readings(Told):
    """next : what to give as `after` for the following page; null when there is none"""

    readings: list[Reading]
    next: str | None


class Erasure(Told):
    """What was erased.

    plans, readings : how many; until : readings of slots before it [unix s], as far as they were billed
    stays : what was not erased, and why
    """

    name: bool
    plans: int
    readings: int
    until: int
    stays: list[str]


class Months(Told):
    """Months of which there is a bill, such as "2026-06"."""

    months: list[str]
