"""Faults of posts: the contract `Disputes`, spoken to through any node.

Whoever proves a fault of a post that is not final has it deleted, and half of its bond is credited to the prover, who
takes it by `takeBond`. Methods that send raise Reverted with the contract's custom error, or LedgerError. `at` is as in
`settlement`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from commonwatt.ledger.client.abi import DISPUTES, contract
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.ledger.node import Receipt as Receipted
from commonwatt.proof import Key
from commonwatt.records import Line, Order, Post, Reading, Statement, Trade


@dataclass(frozen=True)
class Stated:
    """A member's statement, and the siblings to the post."""

    member: int
    statement: Statement
    siblings: tuple[bytes, ...]


@dataclass(frozen=True)
class Leaf:
    """A line of a member, its place among the member's, and the siblings to the statement."""

    line: Line
    position: int
    siblings: tuple[bytes, ...]


@dataclass(frozen=True)
class Missing:
    """What shows that an end of a trade has no line of it.

    sells : whether that end is the seller's
    counterpart, booked : statement and line of the other end; none where the trade was committed
    committed : siblings of the trade's place among the committed ones; none where the other end books it
    own : the statement of the end without a line; place : where its line would stand
    around : the line before that place, if it is not the first, and the one at it, if there is one
    beside : the trade of each of these, which is only looked at where it stands under the same consent
    behind : siblings of that place where no line stands at it; none where the tree ends there
    """

    trade: Trade
    sells: bool
    counterpart: tuple[Stated, ...]
    booked: tuple[Leaf, ...]
    committed: tuple[bytes, ...]
    own: Stated
    place: int
    around: tuple[Leaf, ...]
    beside: tuple[Trade, ...]
    behind: tuple[bytes, ...]


@dataclass(frozen=True)
class Cut:
    """What shows that a trade which both meters and the buyer's money covered did not settle whole.

    trade, buyer, bought : the trade, the buyer's statement and [the line before and] its line of the trade
    later, paid : a trade of a higher number that the buyer pays for, and [the line before and] its line of that
    seller : the seller's statement
    buy_order, sell_order : under which the trade stands; drawn, fed : the buyer's reading and the seller's
    """

    trade: Trade
    buyer: Stated
    bought: tuple[Leaf, ...]
    later: Trade
    paid: tuple[Leaf, ...]
    seller: Stated
    buy_order: Order
    sell_order: Order
    drawn: Reading
    fed: Reading


class DisputesClient:
    """The disputes of a community's settlement."""

    def __init__(self, ledger: LedgerClient) -> None:
        self.ledger = ledger
        self.address = ledger.disputes

    def challenge(self, prover: Key, function: str, post: Post, arguments: Sequence[object], *, at: int) -> Receipted:
        """Prove a fault by the function of the contract that is for it; arguments are those after the post."""
        data = contract(DISPUTES).functions[function].encode(*map(plain, (post, *arguments)))
        return self.ledger.send(prover, self.address, data, "the challenge", at=at, kind="challenge", items=len(data))


def plain(value: object) -> object:
    """A record, a leaf, or a list of them, as the contract takes its structs."""
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    names = getattr(type(value), "__dataclass_fields__", None)
    return value if names is None else tuple(plain(getattr(value, name)) for name in names)
