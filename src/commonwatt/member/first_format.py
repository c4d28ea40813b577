"""Bills and excerpts of the first format, rewritten in today's, so that all who read them know one form.

There each leaf had a table of its own with all its siblings, the neighbours' stood apart, and a trade held its order
whole. What is hashed and anchored stays the document's own content.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from commonwatt.accounts.document import EXCERPT, FORMAT, leaves_json
from commonwatt.errors import RecordError, VerificationError
from commonwatt.member.page import require, table
from commonwatt.proof import border_of, hash_struct, proofs_of
from commonwatt.records import Statement
from commonwatt.records.schema import from_json, to_bytes

FIRST: Final = {"commonwatt-bill/1": FORMAT, "commonwatt-slot/1": EXCERPT}
"""Today's format by the first one."""
FORMATS: Final = (FORMAT, EXCERPT, *FIRST)
_PROOF: Final = ("post", "before", "lines", "after", "trades", "committed", "reading", "orders")


def today(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The document in today's form; one that is in it stays as it is.

    document : as of `document.whole`
    Raises VerificationError when what it shows is not of its format.
    """
    content = document["content"]
    given = content["format"]
    if given not in FIRST:
        return document
    try:
        slots = [_slot(line) for line in content["slots"]]
        proofs = {slot: _proof(proof) if proof else proof for slot, proof in document["proofs"].items()}
    except RecordError as error:
        raise VerificationError(f"A slot or its proof is not one of {given}: {str(error).rstrip('.')}.") from None
    except (LookupError, TypeError, ValueError):
        raise VerificationError(f"A slot or its proof is not one of {given}.") from None
    return {**document, "content": {**content, "format": FIRST[given], "slots": slots}, "proofs": proofs}


def of_slot(document: Mapping[str, Any], slot: int, line: Any) -> tuple[Any, Any]:
    """What the document shows of the slot that starts then, and its proof, in today's form.

    line : the slot's entry in the content; None where there is none
    None for what is not there, or not of the document's format. Whatever it shows of other slots is not looked at.
    """
    content, name = document["content"], str(slot)
    lines = [] if line is None else [line]
    proofs = {name: document["proofs"].get(name)}
    try:
        told = today({**document, "content": {**content, "slots": lines}, "proofs": proofs})
    except VerificationError:
        return None, None
    return next(iter(told["content"]["slots"]), None), told["proofs"][name]


def _slot(line: Mapping[str, Any]) -> Mapping[str, Any]:
    """A trade names its order by its place among the slot's."""
    orders = [trade["order"] for trade in line["trades"] if trade["order"] is not None]
    places = iter(range(len(orders)))
    trades = [{**each, "order": None if each["order"] is None else next(places)} for each in line["trades"]]
    return {**line, "trades": trades, "orders": orders}


def _proof(given: Any) -> Mapping[str, Any]:
    keys = (*_PROOF, "earlier") if "earlier" in given else _PROOF
    proof = dict(table(given, keys, "the proof"))
    before, lines, after = (proof.pop(name) for name in ("before", "lines", "after"))
    proof["lines"] = _leaves([*([before] if before else []), *lines, after])
    if earlier := proof.get("earlier"):
        proof["earlier"] = {**earlier, "ends": _leaves(earlier["ends"])}
    return proof


def _leaves(given: Sequence[Any]) -> Mapping[str, Any]:
    """Leaves that stand side by side, each with its siblings, which all have to be those of one tree."""
    leaves = [table(each, ("statement", "position", "siblings"), "a line") for each in given]
    statements = [from_json(Statement, leaf["statement"]) for leaf in leaves]
    siblings = [tuple(to_bytes(each, 32) for each in leaf["siblings"]) for leaf in leaves]
    positions = [leaf["position"] for leaf in leaves]
    first, depth = positions[0], len(siblings[0])
    require(positions == [*range(first, first + len(leaves))], "the lines are not adjacent.")
    border = border_of(first, siblings[0], positions[-1], siblings[-1])
    _, ways = proofs_of([hash_struct(each) for each in statements], first, depth, border)
    require(ways == siblings, "a line does not lead to the posted statements.")
    return leaves_json(statements, first, depth, border)
