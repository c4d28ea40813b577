"""What the interface answers. Names are written as in records and bills, such as `nextGate`."""

from __future__ import annotations

from typing import Final, Literal

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
    behind : why nothing is due, such as a ledger that is gone; empty when all is well
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
