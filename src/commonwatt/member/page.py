"""What a member is shown of one slot, in a bill or an excerpt, read once for all who look for faults in it.

A page is whole when the member's statement, or the empty place that shows that it has none, is under the posted root,
its lines are all that the statement is over, and each of them comes with its trade, the consent that it names and the
reading, all signed by whom they have to be. Whether the lines are right is another question: `faults` and
`verify_slot` ask it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from commonwatt.accounts.document import hex_text, to_hashes
from commonwatt.accounts.orders import CONSENTS, order_of
from commonwatt.accounts.promise import Placed
from commonwatt.accounts.statements import (
    Booked,
    empty_place,
    line_tree,
    lines_of,
    place_of,
    salt_of,
    statement_of,
)  # fmt: skip
from commonwatt.community.wording import signer_of
from commonwatt.errors import VerificationError
from commonwatt.ledger.client.disputes import Leaf, Missing, Stated
from commonwatt.proof import Domain, Tree, hash_struct, keccak, led_by, root_of, root_of_empty, verify, verify_order
from commonwatt.records import ZERO_HASH, Line, Mandate, Order, Post, Reading, Signed, Statement, Trade
from commonwatt.records.schema import Record, from_json, from_list, schema, to_bytes

R = TypeVar("R", bound=Record)
_TRADE = (*(field.label for field in schema(Trade)), "settledWh", "payment", "order")
_PROOF = ("revision", "salt", "siblings", "committed", "orders", "stated")


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
    """A line of the member's with what it rests on.

    position : its place among the member's
    added : what it adds to the sums of the line before: energy bought and sold [Wh], and money, positive = received
    consent : the order or the mandate that it names
    """

    line: Line
    position: int
    added: tuple[int, int, int]
    trade: Trade
    consent: Order | Mandate

    @property
    def wh(self) -> int:
        """Energy that the line adds [Wh], positive = bought."""
        return self.added[0] - self.added[1]


@dataclass(frozen=True)
class Page:
    """All that a member is shown of a post: its statement, its lines, its trades, and its reading.

    statement : the member's; None when it has none
    siblings : from there, or from the empty place that shows that there is none, to the post
    reading : None where none counts: the home is settled as if it had used and made nothing
    orders : those of the member that replaced or cancelled others
    """

    post: Post
    member: int
    mandate: Mandate
    statement: Statement | None
    siblings: tuple[bytes, ...]
    lines: tuple[ShownLine, ...]
    trades: tuple[Agreed, ...]
    reading: Reading | None
    orders: tuple[Placed, ...] = ()

    @property
    def stated(self) -> Stated:
        """The statement, as the contract takes it. Raises VerificationError when there is none."""
        if self.statement is None:
            raise VerificationError("the member was passed over.")
        return Stated(self.member, self.statement, self.siblings)

    @cached_property
    def tree(self) -> Tree:
        """Of the lines."""
        return line_tree(line.line for line in self.lines)

    def leaf(self, line: ShownLine) -> Leaf:
        """One of the lines, as the contract takes it."""
        return Leaf(line.line, line.position, self.tree.proof(line.position))

    def pair(self, line: ShownLine) -> list[Leaf]:
        """A line, behind the one whose sums it goes on from."""
        return [self.leaf(each) for each in self.lines[max(line.position - 1, 0) : line.position + 1]]

    @property
    def net(self) -> int:
        """What the reading counts [Wh], positive = into the home; 0 without one."""
        return self.reading.wh_in - self.reading.wh_out if self.reading else 0

    def behind(self, place: int) -> tuple[bytes, ...]:
        """What shows that no line stands at the place behind the last one; nothing where the tree ends there."""
        return self.tree.proof(place) if 0 < place < 1 << self.tree.depth else ()

    def missing(self, trade: Trade) -> Missing | None:
        """What shows that the member has no line of a trade of its; None when it has, or has no statement.

        Whether the trade was committed, or the other end has a line of it, is still to be added.
        """
        wanted = hash_struct(trade)
        if self.statement is None or any(line.line.trade == wanted for line in self.lines):
            return None
        own = [(line.line.order, line.trade.buyer != self.member, line.trade.number) for line in self.lines]
        place = next((at for at, its in enumerate(own) if its >= place_of(trade, self.member)), len(own))
        around = self.lines[max(place - 1, 0) : place + 1]
        behind = self.behind(place) if place == len(own) else ()
        leaves, beside = tuple(map(self.leaf, around)), tuple(line.trade for line in around)
        sells = trade.seller == self.member
        return Missing(trade, sells, (), (), (), self.stated, place, leaves, beside, behind)


@dataclass(frozen=True)
class Ways:
    """What the proof shows beside the page: siblings of the trades that were committed before delivery, by number.

    root : of these; None when none is shown
    """

    root: bytes | None
    committed: Mapping[int, tuple[bytes, ...]]


def require(holds: bool, otherwise: str) -> None:
    """Raise VerificationError with this sentence unless it holds."""
    if not holds:
        raise VerificationError(otherwise)


def table(given: Any, keys: Sequence[str], what: str) -> Mapping[str, Any]:
    """The table, when it has these keys and no others. Raises VerificationError."""
    whole = isinstance(given, dict) and sorted(given) == sorted(keys)
    require(whole, f"{what} is not a table of {', '.join(keys)}.")
    return dict(given)


def mandate_of(given: Any, account: bytes, domain: Domain) -> Signed[Mandate]:
    """The mandate of the member with this account [address], as a document shows it.

    Raises VerificationError or RecordError when it is another member's, or not signed by the member.
    """
    mandate, signature = _parts(Mandate, given)
    require(mandate.member == account, "The mandate is another member's.")
    signed = Signed(mandate, hash_struct(mandate), signature)
    verify(domain, signed, account)
    return signed


def revision_of(proof: Any) -> int:
    """Which revision of the slot a proof is about. Raises VerificationError."""
    revision = whole_number(table(proof, _PROOF, "the proof")["revision"])
    require(0 <= revision < 1 << 32, "the revision is no number of one.")
    return revision


def read(
    shown: Mapping[str, Any], proof: Any, member: int, mandate: Signed[Mandate], domain: Domain, post: Post
) -> Page:
    """The page of the member with this index, of a post. Raises VerificationError or RecordError when it is not whole.

    Whether the statement is of the reading that is shown is another question (`require_read`).
    """
    require(revision_of(proof) == post.revision, "it is of another revision than what is posted.")
    reading = read_reading(shown["reading"], domain)
    trades = trades_of(shown, member, mandate, domain)
    signature = mandate.signature if reading is None else to_bytes(shown["reading"]["signature"], 65)
    statement, lines = _statement(proof, post, member, trades, hash_of(reading), signature)
    siblings = to_hashes(proof["siblings"])
    require(_stands(statement, member, siblings, post), "the statement does not lead to the posted ones.")
    own = tuple(_lines(lines, trades, mandate))
    later = tuple(_placed(each, mandate.record, domain, post) for each in _list(proof["orders"]))
    return Page(post, member, mandate.record, statement, siblings, own, trades, reading, later)


def trades_of(shown: Mapping[str, Any], member: int, mandate: Signed[Mandate], domain: Domain) -> tuple[Agreed, ...]:
    """The trades that are shown of a slot, and the orders that they name: each of these once, and none besides.

    Raises VerificationError or RecordError.
    """
    orders = [_order(each, mandate.record, domain) for each in _list(shown["orders"])]
    hashes = [hash_struct(order) for order in orders]
    found = []
    for given in _list(shown["trades"]):
        require(isinstance(given, dict), "a trade is no table.")
        place = given.get("order")
        require(place is None or (type(place) is int and 0 <= place < len(orders)), "a trade names no order.")
        consent = hex_text(mandate.hash if place is None else hashes[place])
        own = {name: consent for end, name in CONSENTS.items() if given.get(end) == member}
        trade = dict(table({**own, **given}, _TRADE, "a trade"))
        settled, paid = (whole_number(trade.pop(name)) for name in ("settledWh", "payment"))
        order = None if trade.pop("order") is None else orders[place]
        record = from_json(Trade, trade)
        found.append(Agreed(record, hash_struct(record), settled, paid, order))
    named = {given["order"] for given in shown["trades"]} - {None}
    require(named == {*range(len(orders))}, "the orders that are shown are not those that the trades name.")
    return tuple(found)


def ways(trades: Sequence[Agreed], proof: Mapping[str, Any]) -> Ways:
    """What the proof shows of the trades beside them. Raises VerificationError or RecordError."""
    if proof["committed"] is None:
        return Ways(None, {})
    given = table(proof["committed"], ("depth", "beside"), "what was committed")
    hashes = {each.trade.number: each.hash for each in trades if each.order}
    require(len(hashes) == sum(each.order is not None for each in trades), "two trades have one number.")
    try:
        return Ways(*led_by(hashes, whole_number(given["depth"]), to_hashes(given["beside"])))
    except ValueError as error:
        raise VerificationError(f"the trades do not lead to what was committed: {error}.") from None


def require_committed(page: Page, shown: Ways, commitment: bytes | None) -> None:
    """The trades by order are those that were committed before delivery under their numbers.

    commitment : what the chain holds for the slot
    Raises VerificationError.
    """
    by_order = any(isinstance(line.consent, Order) for line in page.lines)
    if shown.root is None:
        require(not by_order, "a trade by order was not committed before delivery.")
        return
    committed = commitment == keccak(page.post.orders + shown.root)
    require(committed, "these are not the orders and trades that were committed before delivery.")


def require_read(page: Page) -> None:
    """The statement is of the reading that is shown. Raises VerificationError."""
    same = page.statement is None or page.statement.reading == hash_of(page.reading)
    require(same, "the statement is of another reading.")


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


def _statement(
    proof: Mapping[str, Any], post: Post, member: int, trades: Sequence[Agreed], reading: bytes, signature: bytes
) -> tuple[Statement | None, Sequence[Line]]:
    """The member's statement and its lines: as its trades say, or as the proof says that they are.

    reading : struct hash of the reading that is shown; signature : from which the salt follows where none is shown
    """
    stated = proof["stated"]
    if stated is False:
        require(proof["salt"] is None, "there is a salt, and no statement.")
        return None, ()
    signed = proof["salt"] is None
    salt = salt_of(signature, post.slot, post.revision) if signed else to_bytes(proof["salt"], 32)
    if stated is None:
        lines = lines_of(member, [Booked(each.trade, each.hash, each.settled) for each in trades])
        return statement_of(lines, reading, salt), lines
    given = table(stated, ("sums", "lines"), "the statement")
    own = [from_list(Line, each) for each in _list(given["lines"])]
    statement = from_list(Statement, [*_list(given["sums"]), hex_text(salt)])
    require(line_tree(own).root == statement.lines, "not all of the lines are shown.")
    return statement, own


def _stands(statement: Statement | None, member: int, siblings: Sequence[bytes], post: Post) -> bool:
    """Whether the member's statement, or an empty place where it has none, is under the post."""
    if statement is None:
        return root_of_empty(empty_place(member, len(siblings)), siblings) == post.statements != ZERO_HASH
    return leads(hash_struct(statement), member, siblings, post.statements)


def _lines(own: Sequence[Line], trades: Sequence[Agreed], mandate: Signed[Mandate]) -> Iterator[ShownLine]:
    by_hash = {each.hash: each.trade for each in trades}
    consents: dict[bytes, Order | Mandate] = {hash_struct(each.order): each.order for each in trades if each.order}
    consents[mandate.hash] = mandate.record
    sums = (0, 0, 0)
    for place, line in enumerate(own):
        require(line.trade in by_hash, f"the trade of line {place} is not shown.")
        require(line.order in consents, f"line {place} rests on no order or mandate of the member.")
        bought, sold, money = sums
        sums = line.bought, line.sold, line.money
        added = line.bought - bought, line.sold - sold, line.money - money
        yield ShownLine(line, place, added, by_hash[line.trade], consents[line.order])


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
    position, siblings = whole_number(shown["position"]), to_hashes(shown["siblings"])
    require(leads(hash_struct(order), position, siblings, post.orders), "an order does not lead to the posted ones.")
    return Placed(order, position, siblings)


def _parts(kind: type[R], given: Any) -> tuple[R, bytes]:
    require(
        isinstance(given, dict) and "signature" in given, f"the record {kind.__name__} is shown without its signature."
    )
    record = from_json(kind, {name: value for name, value in given.items() if name != "signature"})
    return record, to_bytes(given["signature"], 65)


def _list(given: Any) -> Sequence[Any]:
    require(isinstance(given, list), "a list is missing.")
    return list(given)


def whole_number(given: Any) -> int:
    """The whole number. Raises VerificationError."""
    require(type(given) is int, "a whole number is missing.")
    return int(given)
