"""Proofs of bills that somebody has changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from forgeries import NOT_POSTED, Bill, Change, ahead_slot, busy_slot

from commonwatt.accounts.orders import order_of
from commonwatt.accounts.statements import Booked, lines_of, statement_of
from commonwatt.proof import hash_struct
from commonwatt.records import Mandate, Reading, Trade
from commonwatt.records.schema import Record, as_list, from_json

R = TypeVar("R", bound=Record)


def _proofs_exchanged(bill: Bill) -> None:
    first, second = list(bill["proofs"])[:2]
    bill["proofs"][first], bill["proofs"][second] = bill["proofs"][second], bill["proofs"][first]


def of_busy_slot(bill: Bill) -> Any:
    """What proves a slot with several trades."""
    return bill["proofs"][str(busy_slot(bill)["slot"])]


def _of_a_busy_slot(change_: Callable[[Any], object]) -> Change:
    def change(bill: Bill) -> None:
        change_(of_busy_slot(bill))

    return change


def _of_an_ahead_slot(change_: Callable[[Any], object]) -> Change:
    def change(bill: Bill) -> None:
        change_(bill["proofs"][str(ahead_slot(bill)["slot"])])

    return change


def _said_otherwise(*path: str | int, said: object) -> Change:
    """The lines as the proof says them, one of them another."""

    def change(bill: Bill) -> None:
        line, proof = busy_slot(bill), of_busy_slot(bill)
        proof["stated"] = stated(bill, line)
        holder: Any = proof["stated"]
        for step in path[:-1]:
            holder = holder[step]
        holder[path[-1]] = said

    return change


def stated(bill: Bill, line: Any) -> Bill:
    """A slot's statement and lines as the proof may show them beside the trades."""
    member, mandate = bill["content"]["member"]["index"], record_of(Mandate, bill["content"]["mandate"])
    booked = []
    for given in line["trades"]:
        order, settled = given["order"], given["settledWh"]
        consent = hash_struct(mandate if order is None else order_of(line["orders"][order]).record)
        own = {"buyOrder" if given["buyer"] == member else "sellOrder": f"0x{consent.hex()}"}
        names = {name: value for name, value in given.items() if name not in ("order", "settledWh", "payment")}
        trade = from_json(Trade, {**own, **names})
        booked.append(Booked(trade, hash_struct(trade), settled))
    lines = lines_of(member, booked)
    statement = statement_of(lines, hash_struct(record_of(Reading, line["reading"])), bytes(32))
    return {"sums": as_list(statement)[:-1], "lines": [as_list(each) for each in lines]}


def record_of(kind: type[R], given: Any) -> R:
    """The record of what a document shows with its signature."""
    return from_json(kind, {name: value for name, value in given.items() if name != "signature"})


def _of_second_format(proof: Bill) -> None:
    for name in ("salt", "siblings", "stated"):
        del proof[name]
    proof |= {"post": {}, "lines": {}, "trades": "0x", "reading": []}


def _pool_as_if_ahead(bill: Bill) -> None:
    line = next(line for line in bill["content"]["slots"] if line["trades"] and not line["orders"])
    bill["proofs"][str(line["slot"])]["committed"] = {"depth": 0, "beside": "0x"}


def _proof_too_many(bill: Bill) -> None:
    bill["proofs"]["1"] = next(iter(bill["proofs"].values()))


def _proof_too_few(bill: Bill) -> None:
    bill["proofs"].popitem()


def _unknown_revision(bill: Bill) -> None:
    next(iter(bill["proofs"].values()))["revision"] = 10**30


def _no_anchor(bill: Bill) -> None:
    del bill["anchor"]


def _other_format(bill: Bill) -> None:
    bill["content"] = bill["content"] | {"format": "commonwatt-bill/9"}


PROOFS: dict[str, tuple[Change, str]] = {
    "proofs exchanged": (_proofs_exchanged, NOT_POSTED),
    "no siblings": (_of_a_busy_slot(lambda proof: proof.update(siblings="0x")), NOT_POSTED),
    "a sibling too few": (_of_a_busy_slot(lambda proof: proof.update(siblings=proof["siblings"][:-64])), NOT_POSTED),
    "a sibling too many": (
        _of_a_busy_slot(lambda proof: proof.update(siblings=proof["siblings"] + "0" * 64)),
        NOT_POSTED,
    ),
    "half a sibling": (
        _of_a_busy_slot(lambda proof: proof.update(siblings=proof["siblings"] + "00")),
        "What is shown as hashes is no row of them",
    ),
    "siblings as a list": (
        _of_a_busy_slot(lambda proof: proof.update(siblings=[proof["siblings"]])),
        "What is shown as hashes is no row of them",
    ),
    "another salt": (_of_a_busy_slot(lambda proof: proof.update(salt=f"0x{'00' * 32}")), NOT_POSTED),
    "half a salt": (_of_a_busy_slot(lambda proof: proof.update(salt="0x00")), "is not 0x and 64 digits"),
    "no statement": (_of_a_busy_slot(lambda proof: proof.update(stated=False)), NOT_POSTED),
    "no statement, and a salt": (
        _of_a_busy_slot(lambda proof: proof.update(stated=False, salt=f"0x{'00' * 32}")),
        "there is a salt, and no statement",
    ),
    "a statement that is true": (
        _of_a_busy_slot(lambda proof: proof.update(stated=True)),
        "the statement is not a table of sums, lines",
    ),
    "other money in the statement": (_said_otherwise("sums", 2, said=7), NOT_POSTED),
    "other lines": (_said_otherwise("lines", 1, 2, said=7), "not all of the lines are shown"),
    "no lines": (_said_otherwise("lines", said=[]), "not all of the lines are shown"),
    "lines that are none": (_said_otherwise("lines", said=7), "a list is missing"),
    "line that is too short": (_said_otherwise("lines", 0, said=[1, 2]), "The record Line is a list of 5 values"),
    "sums that are too many": (_said_otherwise("sums", said=[0] * 6), "The record Statement is a list of 6 values"),
    "proof of the second format": (
        _of_a_busy_slot(_of_second_format),
        "the proof is not a table of revision, salt, siblings",
    ),
    "ahead as if from the pool": (
        _of_an_ahead_slot(lambda proof: proof.update(committed=None)),
        "a trade by order was not committed before delivery",
    ),
    "pool as if ahead": (_pool_as_if_ahead, "the trades do not lead to what was committed: no tree has these places"),
    "deeper tree": (
        _of_an_ahead_slot(lambda proof: proof["committed"].update(depth=proof["committed"]["depth"] + 1)),
        "there are too few nodes beside them, or too many",
    ),
    "endless tree": (
        _of_an_ahead_slot(lambda proof: proof["committed"].update(depth=10**30)),
        "no tree has these places",
    ),
    "node too many": (
        _of_an_ahead_slot(lambda proof: proof["committed"].update(beside=proof["committed"]["beside"] + "0" * 64)),
        "there are too few nodes beside them, or too many",
    ),
    "another node": (
        _of_an_ahead_slot(
            lambda proof: proof["committed"].update(
                depth=proof["committed"]["depth"] + 1, beside=proof["committed"]["beside"] + "1" * 64
            )
        ),
        "these are not the orders and trades that were committed before delivery",
    ),
    "proof too many": (_proof_too_many, "proofs are not those of its slots"),
    "proof too few": (_proof_too_few, "proofs are not those of its slots"),
    "unknown revision": (_unknown_revision, "the revision is no number of one"),
    "no anchor": (_no_anchor, "This is no bill: nothing of it is anchored"),
    "other format": (
        _other_format,
        "its format is commonwatt-bill/9; the version of commonwatt that wrote it checks it, this one commonwatt-bill/",
    ),
}
