"""What a member is shown of one slot, in a bill or an excerpt, read once for all who look for faults in it.

A page is whole when every line is under the posted roots, the member's own lines stand side by side between those of
others, and each of them comes with its trade, the consent that it names and the reading, all signed by whom they
have to be. Whether the lines are right is another question: `faults` and `verify_slot` ask it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from commonwatt.accounts.orders import order_of
from commonwatt.accounts.promise import Placed
from commonwatt.accounts.statements import place_of
from commonwatt.community.wording import signer_of
from commonwatt.errors import VerificationError
from commonwatt.ledger.client.disputes import Leaf
from commonwatt.proof import Domain, hash_struct, keccak, proofs_of, root_of, verify, verify_order
from commonwatt.records import ZERO_HASH, Mandate, Order, Post, Reading, Signed, Statement, Trade
from commonwatt.records.schema import Record, from_json, from_list, schema, to_bytes

R = TypeVar("R", bound=Record)
_TRADE = (*(field.label for field in schema(Trade)), "settledWh", "payment", "order")
_PROOF = ("post", "lines", "trades", "committed", "reading", "orders")


@dataclass(frozen=True)
class Agreed:
    """A trade as it is shown.

    hash : its struct hash
    settled : energy that was delivered and paid [Wh]
    paid : [unit]
    order : the member's own, None for a trade under the mandate
    """

    trade: Trade
    hash: bytes
    settled: int
    paid: int
    order: Order | None


@dataclass(frozen=True)
class ShownLine:
    """A line of the member's statements with what it rests on.

    before : the member's line before it
    trade : None for a line without one
    consent : the order or the mandate that the line names
    """

    leaf: Leaf
    before: Leaf | None
    trade: Trade | None
    consent: Order | Mandate | None

    @property
    def statement(self) -> Statement:
        """The line itself."""
        return self.leaf.statement

    @property
    def pair(self) -> list[Leaf]:
        """The line, behind the one whose sums it goes on from."""
        return [self.before, self.leaf] if self.before else [self.leaf]

    @property
    def added(self) -> tuple[int, int]:
        """What the line adds to the sums: energy [Wh], positive = bought, and money, positive = received."""
        before = self.before.statement if self.before else None
        line = self.statement
        return (line.wh - before.wh, line.money - before.money) if before else (line.wh, line.money)


@dataclass(frozen=True)
class Page:
    """All that a member is shown of a post: its lines between the neighbours', its trades, and its reading.

    leaves : the member's, and the ones before and behind them
    reading : None where none counts: the home is settled as if it had used and made nothing
    earlier : of a later revision, if it is shown: the one before, with the member's last line there and the one behind
        it, or the lines around its missing place
    orders : those of the member that replaced or cancelled others
    """

    post: Post
    member: int
    mandate: Mandate
    leaves: tuple[Leaf, ...]
    lines: tuple[ShownLine, ...]
    trades: tuple[Agreed, ...]
    reading: Reading | None
    earlier: tuple[Post, tuple[Leaf, ...]] | None = None
    orders: tuple[Placed, ...] = ()

    @property
    def ends(self) -> list[Leaf]:
        """The member's last line and the one behind it."""
        return [*self.leaves[-2:]]

    @property
    def net(self) -> int:
        """What the reading counts [Wh], positive = into the home; 0 without one."""
        return self.reading.wh_in - self.reading.wh_out if self.reading else 0

    @property
    def trading(self) -> list[ShownLine]:
        """The lines with a trade."""
        return [line for line in self.lines if line.trade]

    def around(self, trade: Trade) -> tuple[list[Leaf], list[Trade]] | None:
        """Where a trade of the member's would stand: the lines before and behind its place, and the trade of each, or
        any of a line that has none or is another member's. None when its line is there.
        """
        wanted, place = hash_struct(trade), place_of(trade, self.member)
        trades = {line.leaf.position: line.trade for line in self.lines if line.trade}
        if any(line.statement.trade == wanted for line in self.lines):
            return None

        def is_before(leaf: Leaf) -> bool:
            line, its = leaf.statement, trades.get(leaf.position)
            if line.member != self.member or its is None:
                return line.member <= self.member
            return (line.order, its.buyer != self.member, its.number) < place

        behind = next((number for number, leaf in enumerate(self.leaves) if not is_before(leaf)), 0)
        around = [*self.leaves[max(behind - 1, 0) : behind + 1]]
        return around, [trades.get(leaf.position) or trade for leaf in around]


@dataclass(frozen=True)
class Ways:
    """Siblings to the roots that are not the statements'.

    root : of the trades that were committed before delivery
    trades : of each line with a trade, to that root; None for a trade that was made after delivery
    reading : to the post's root of readings
    """

    root: bytes
    trades: tuple[tuple[bytes, ...] | None, ...]
    reading: tuple[bytes, ...]


def require(holds: bool, otherwise: str) -> None:
    """Raise VerificationError with this sentence unless it holds."""
    if not holds:
        raise VerificationError(otherwise)


def table(given: Any, keys: Sequence[str], what: str) -> Mapping[str, Any]:
    """The table, when it has these keys and no others. Raises VerificationError."""
    whole = isinstance(given, dict) and sorted(given) == sorted(keys)
    require(whole, f"{what} is not a table of {', '.join(keys)}.")
    return dict(given)


def mandate_of(given: Any, account: bytes, domain: Domain) -> Mandate:
    """The mandate of the member with this account [address], as a document shows it.

    Raises VerificationError or RecordError when it is another member's, or not signed by the member.
    """
    mandate, signature = _parts(Mandate, given)
    require(mandate.member == account, "The mandate is another member's.")
    verify(domain, Signed(mandate, b"", signature), account)
    return mandate


def post_of(proof: Any) -> Post:
    """The post that a proof is about. Raises VerificationError or RecordError."""
    keys = (*_PROOF, "earlier") if isinstance(proof, dict) and "earlier" in proof else _PROOF
    post = from_json(Post, table(proof, keys, "the proof")["post"])
    hash_struct(post)  # refuses what fits no field
    return post


def read(shown: Mapping[str, Any], proof: Any, member: int, mandate: Mandate, domain: Domain) -> Page:
    """The page of the member with this index. Raises VerificationError or RecordError when it is not whole.

    Whether the lines and the posted readings are of the reading that is shown is another question (`require_read`).
    """
    post = post_of(proof)
    leaves = _leaves(proof["lines"], post)
    whose = [leaf.statement.member for leaf in leaves]
    before = int(leaves[0].position > 0 or (whose[0] != member and len(leaves) > 1))
    own = leaves[before:-1]
    require(len(leaves) > before and member not in (*whose[:before], whose[-1]), "not all of the lines are shown.")
    require(all(leaf.statement.member == member for leaf in own), "a line of another member stands among the lines.")
    trades = _trades(shown, mandate, domain)
    lines = tuple(_lines(own, trades, mandate))
    reading, earlier = read_reading(shown["reading"], domain), _earlier(proof.get("earlier"), member)
    later = tuple(_placed(each, mandate, domain, post) for each in _list(proof["orders"]))
    return Page(post, member, mandate, leaves, lines, trades, reading, earlier, later)


def ways(proof: Mapping[str, Any]) -> Ways:
    """What the proof shows beside the page. Raises VerificationError or RecordError."""
    committed = (None if each is None else _hashes(each) for each in _list(proof["committed"]))
    return Ways(to_bytes(proof["trades"], 32), tuple(committed), _hashes(proof["reading"]))


def require_committed(page: Page, shown: Ways, commitment: bytes | None) -> None:
    """Each trade by order is one that was committed before delivery, each other one is under the mandate.

    commitment : what the chain holds for the slot
    Raises VerificationError.
    """
    committed = commitment == keccak(page.post.orders + shown.root)
    require(committed, "these are not the orders and trades that were committed before delivery.")
    require(len(shown.trades) == len(page.trading), "there are more proofs than trades, or fewer.")
    for line, siblings in zip(page.trading, shown.trades, strict=True):
        by_order, trade = isinstance(line.consent, Order), line.trade
        require(siblings is not None or not by_order, "a trade by order was not committed before delivery.")
        require(siblings is None or by_order, "a day-ahead trade without the member's order.")
        if trade is not None and siblings is not None:
            there = leads(line.statement.trade, trade.number, siblings, shown.root)
            require(there, "a day-ahead trade is not the one that was committed before delivery.")


def require_read(page: Page) -> None:
    """The lines are of the reading that is shown. Raises VerificationError."""
    same = all(line.statement.reading == hash_of(page.reading) for line in page.lines[-1:])
    require(same, "the lines are of another reading.")


def read_reading(given: Any, domain: Domain) -> Reading | None:
    """A reading signed by the meter that it names; None for none. Raises VerificationError or RecordError."""
    if given is None:
        return None
    reading, signature = _parts(Reading, given)
    verify(domain, Signed(reading, b"", signature), reading.meter)
    return reading


def hash_of(reading: Reading | None) -> bytes:
    """Struct hash of a reading; zero where there is none."""
    return hash_struct(reading) if reading else ZERO_HASH


def leads(struct_hash: bytes, position: int, siblings: Sequence[bytes], root: bytes) -> bool:
    """Whether a record leads to a root. The root of nothing is zero, and no record leads there."""
    return root != ZERO_HASH and root_of(struct_hash, position, siblings) == root


def _lines(own: Sequence[Leaf], trades: Sequence[Agreed], mandate: Mandate) -> list[ShownLine]:
    by_hash = {each.hash: each.trade for each in trades}
    consents: dict[bytes, Order | Mandate] = {hash_struct(each.order): each.order for each in trades if each.order}
    consents[hash_struct(mandate)] = mandate
    lines: list[ShownLine] = []
    for leaf in own:
        line = leaf.statement
        before = lines[-1].leaf if lines and line.index else None
        if line.trade == ZERO_HASH:
            lines.append(ShownLine(leaf, before, None, None))
            continue
        require(line.trade in by_hash, f"the trade of line {line.index} is not shown.")
        require(line.order in consents, f"line {line.index} rests on no order or mandate of the member.")
        lines.append(ShownLine(leaf, before, by_hash[line.trade], consents[line.order]))
    return lines


def _leaves(given: Any, post: Post) -> tuple[Leaf, ...]:
    """Lines side by side, which their border leads to the posted statements."""
    shown = table(given, ("first", "depth", "leaves", "border"), "what is shown of the lines")
    statements = [from_list(Statement, each) for each in _list(shown["leaves"])]
    first, hashes = _whole(shown["first"]), [hash_struct(each) for each in statements]
    try:
        root, ways = proofs_of(hashes, first, _whole(shown["depth"]), _hashes(shown["border"]))
    except ValueError as error:
        raise VerificationError(f"the lines do not lead to the posted statements: {error}.") from None
    require(root == post.statements != ZERO_HASH, "the lines do not lead to the posted statements.")
    here = all((each.slot, each.revision) == (post.slot, post.revision) for each in statements)
    require(here, "a line is of another slot or revision.")
    return tuple(map(Leaf, statements, range(first, first + len(ways)), ways))


def _earlier(given: Any, member: int) -> tuple[Post, tuple[Leaf, ...]] | None:
    """What the revision before has of the member: its last line and the one behind it, or those around its place."""
    if given is None:
        return None
    shown = table(given, ("post", "ends"), "the revision before")
    post = from_json(Post, shown["post"])
    ends = _leaves(shown["ends"], post)
    low = (ends[0].statement.member, ends[0].position) if len(ends) > 1 else (-1, -1)
    there = 0 < len(ends) <= 2 and low[0] <= member < ends[-1].statement.member and low[1] + 1 == ends[-1].position
    require(there, "the member's last line of the revision before is not shown.")
    return post, ends


def _trades(shown: Mapping[str, Any], mandate: Mandate, domain: Domain) -> tuple[Agreed, ...]:
    """The trades of a slot, and the orders that they name: each of these is shown once, and none besides."""
    orders = [_order(each, mandate, domain) for each in _list(shown["orders"])]
    trades = [dict(table(each, _TRADE, "a trade")) for each in _list(shown["trades"])]
    named = [trade["order"] for trade in trades if trade["order"] is not None]
    there = all(type(place) is int for place in named) and {*named} == {*range(len(orders))}
    require(there, "the orders that are shown are not those that the trades name.")
    return tuple(_agreed(trade, orders) for trade in trades)


def _agreed(given: dict[str, Any], orders: Sequence[Order]) -> Agreed:
    settled, paid = (_whole(given.pop(name)) for name in ("settledWh", "payment"))
    place = given.pop("order")
    trade = from_json(Trade, given)
    return Agreed(trade, hash_struct(trade), settled, paid, None if place is None else orders[place])


def _order(given: Any, mandate: Mandate, domain: Domain) -> Order:
    """An order that the member signed, or its agent: in a basket, or alone as before there were any."""
    signed = order_of(given)
    check = verify_order if signed.within else verify
    check(domain, signed, signer_of(signed.record, mandate))
    require(signed.record.member == mandate.member, "an order is another member's.")
    return signed.record


def _placed(given: Any, mandate: Mandate, domain: Domain, post: Post) -> Placed:
    shown = table(given, ("order", "position", "siblings"), "an order")
    order = _order(shown["order"], mandate, domain)
    position, siblings = _whole(shown["position"]), _hashes(shown["siblings"])
    require(leads(hash_struct(order), position, siblings, post.orders), "an order does not lead to the posted ones.")
    return Placed(order, position, siblings)


def _parts(kind: type[R], given: Any) -> tuple[R, bytes]:
    require(isinstance(given, dict) and "signature" in given, f"a {kind.__name__} is shown without its signature.")
    record = from_json(kind, {name: value for name, value in given.items() if name != "signature"})
    return record, to_bytes(given["signature"], 65)


def _list(given: Any) -> Sequence[Any]:
    require(isinstance(given, list), "a list is missing.")
    return list(given)


def _whole(given: Any) -> int:
    require(type(given) is int, "a whole number is missing.")
    return int(given)


def _hashes(given: Any) -> tuple[bytes, ...]:
    return tuple(to_bytes(each, 32) for each in _list(given))
