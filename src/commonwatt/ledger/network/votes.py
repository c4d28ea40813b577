"""What a node votes for, where authorities decide who belongs to them; its file keeps it across restarts."""

from __future__ import annotations

from collections.abc import Mapping

import rlp

from commonwatt.errors import LedgerError
from commonwatt.ledger.network.consensus.poa import Poa
from commonwatt.ledger.network.tree import Tree
from commonwatt.proof.keys import checksum_address

_NOTE = b"wishes"
_WISHES = {b"\1": True, b"": False, b"\2": None}
_MOST = 1000


def recall(tree: Tree, wishes: Mapping[bytes, bool]) -> None:
    """Give a node's engine its wishes of before and the ones that its operator names now. Raises LedgerError."""
    if isinstance(tree.engine, Poa):
        rows = rlp.decode(tree.notes.get(_NOTE) or rlp.encode([]))
        tree.engine.wishes = {candidate: _WISHES[wish] for candidate, wish in rows}
    for candidate, admit in wishes.items():
        vote(tree, candidate, admit)


def vote(tree: Tree, candidate: bytes, admit: bool | None) -> None:
    """Wish somebody to be admitted or removed from now on; None withdraws the vote. Raises LedgerError."""
    engine = _engine(tree)
    if len({*engine.wishes, candidate}) > _MOST:
        raise LedgerError(f"A node votes on at most {_MOST} addresses.")
    engine.wishes[candidate] = admit
    code = {wish: byte for byte, wish in _WISHES.items()}
    tree.keep_note(_NOTE, rlp.encode([[each, code[wish]] for each, wish in sorted(engine.wishes.items())]))


def standing(tree: Tree, candidate: bytes) -> str:
    """How it stands about a candidate after the head, as a sentence. Raises LedgerError."""
    council = _engine(tree).council(tree.past.header(tree.head.hash), tree.past)
    role = "an authority" if candidate in council.authorities else "no authority"
    count = sum(each.candidate == candidate for each in council.votes)
    needed = len(council.authorities) // 2 + 1
    return f"{checksum_address(candidate)} is {role}; {count} of the {needed} votes to change that are on the chain."


def _engine(tree: Tree) -> Poa:
    if not isinstance(tree.engine, Poa):
        raise LedgerError(f"There are no votes in a network by {tree.engine.name}.")
    return tree.engine
