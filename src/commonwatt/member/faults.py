"""What is wrong with a posted slot, found from what one member is shown of it, and the proof of it for the chain.

`verify` tells a person that a bill does not hold; here each fault becomes a call of the contract `Disputes`, which
deletes the post as long as it is not final. What is not shown, or does not lead to the posted roots, proves nothing:
that is demanded on the chain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any, Final

from commonwatt.accounts.statements import place_of
from commonwatt.errors import RecordError, VerificationError
from commonwatt.exchange.states import Committed
from commonwatt.member.verify_slot import record, require, to_bytes
from commonwatt.proof import Domain, hash_struct, keccak, root_of, verify
from commonwatt.records import BUY, SELL, ZERO_HASH, Mandate, Order, Post, Reading, Signed, Statement, Trade
from commonwatt.records.deltas import unpack_deltas
from commonwatt.units import payment

if TYPE_CHECKING:
    from commonwatt.ledger.client.disputes import Leaf

DEMAND: Final = "demand"
"""Of a fault that cannot be proved from what was shown."""


@dataclass(frozen=True)
class Fault:
    """One fault of a post.

    says : a sentence for a person
    function, arguments : of the contract, after the post; `DEMAND` when the operators have to show more
    """

    post: Post
    says: str
    function: str
    arguments: tuple[object, ...] = ()


@dataclass(frozen=True)
class Line:
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
    """All that a member is shown of a post: its lines between the neighbours', and its reading."""

    post: Post
    member: int
    leaves: tuple[Leaf, ...]
    lines: tuple[Line, ...]
    reading: Reading

    @property
    def ends(self) -> list[Leaf]:
        """The member's last line and the one behind it."""
        return [*self.leaves[-2:]]


@dataclass(frozen=True)
class Chain:
    """What the chain says of the slot. domain : what records are signed for; deltas : as posted"""

    domain: Domain
    commitment: bytes | None
    deltas: bytes


@dataclass(frozen=True)
class Promise:
    """A trade that a member was shown at the gate: its struct hash, and its siblings to the root of all committed."""

    trade: bytes
    siblings: tuple[bytes, ...]


def promised(committed: Committed, member: int) -> dict[int, Promise]:
    """What the exchange shows a member at the gate of its trades of a slot, by number."""
    return {
        trade.number: Promise(hash_struct(trade), committed.trades.proof(trade.number))
        for trade in committed.records
        if member in (trade.buyer, trade.seller)
    }


def faults(
    shown: Mapping[str, Any],
    proof: Mapping[str, Any],
    member: int,
    mandate: Mandate,
    chain: Chain,
    promises: Mapping[int, Promise] | None = None,
) -> list[Fault]:
    """Every fault of the slot that `shown` and `proof` of a bill or an excerpt prove, or else what has to be demanded.

    mandate : the member's; promises : what it was shown at the gate
    Raises VerificationError when not even the post can be read.
    """
    try:
        post = record(Post, proof["post"])
    except (KeyError, TypeError, ValueError) as error:
        raise VerificationError(f"There is no post to challenge: {error}.") from None
    try:
        page = _read(shown, proof, post, member, mandate, chain.domain)
    except (VerificationError, RecordError, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        return [Fault(post, f"Slot {post.slot}: what was posted is not shown whole ({error})", DEMAND)]
    checks = (
        _in_order(page), _of_each_line(page), _filled(page), _at_the_end(page, chain.deltas),
        _as_promised(page, promises or {}, chain),
    )  # fmt: skip
    proved = [fault for check in checks for fault in check]
    return proved or list(_as_committed(page, proof, chain))


def _in_order(page: Page) -> Iterator[Fault]:
    """Lines side by side that are in a wrong order, or have somebody missing between them."""
    for first, second in pairwise(page.leaves):
        low, high = first.statement, second.statement
        if low.member == high.member:
            wrong = high.index != low.index + 1 or low.trade == ZERO_HASH or high.reading != low.reading
            wrong = wrong or high.order < low.order
        else:
            wrong = high.member < low.member or high.index != 0
        if wrong:
            yield _fault(page, "lines stand in a wrong order", "challengeSequence", first, second)
    for one, other in pairwise(page.lines):
        trades = [each.trade for each in (one, other) if each.trade]
        same = len(trades) == 2 and one.statement.order == other.statement.order
        if same and place_of(trades[1], page.member) <= place_of(trades[0], page.member):
            says = "a trade stands twice or in a wrong order"
            yield _fault(page, says, "challengeTradeSequence", one.leaf, other.leaf, *trades)
    if not page.lines:
        yield _fault(page, "the member was passed over", "challengeGap", list(page.leaves))


def _of_each_line(page: Page) -> Iterator[Fault]:
    """What one line says against the trade and the consent that it names."""
    for line in page.lines:
        statement, trade = line.statement, line.trade
        if trade is None:
            if (statement.index, statement.wh, statement.money, statement.order) != (0, 0, 0, ZERO_HASH):
                yield _fault(page, "a line without a trade moves something", "challengeEmptyLine", line.leaf)
            continue
        buys = trade.buyer == page.member
        own = buys != (trade.seller == page.member)
        agreed = statement.order == (trade.buy_order if buys else trade.sell_order)
        if trade.slot != page.post.slot or not own or not agreed:
            yield _fault(page, "a trade of others, or of another slot", "challengeTrade", line.leaf, trade)
            continue
        yield from _beyond_consent(page, line, trade)
        wh, money = line.added
        bought = wh if buys else -wh
        paid = payment(bought, trade.price) if bought >= 0 else 0
        if not 0 <= bought <= trade.wh or money != (-paid if buys else paid):
            yield _fault(page, "sums that do not follow from the trade", "challengeSum", line.pair, trade)


def _beyond_consent(page: Page, line: Line, trade: Trade) -> Iterator[Fault]:
    buys = trade.buyer == page.member
    if isinstance(line.consent, Order):
        order = line.consent
        beyond = trade.price > order.limit if buys else trade.price < order.limit
        if beyond or order.slot != page.post.slot or order.side != (BUY if buys else SELL):
            says = f"a price of {trade.price} under an order with the limit {order.limit}"
            yield _fault(page, says, "challengeOrder", line.leaf, trade, order)
    elif line.consent:
        mandate = line.consent
        limit = mandate.max_buy if buys else mandate.min_sell
        beyond = trade.price > limit if buys else trade.price < limit
        if beyond or not mandate.valid_from <= page.post.slot < mandate.valid_until:
            says = f"a price of {trade.price} under a mandate with the limit {limit}, or after its time"
            yield _fault(page, says, "challengeMandate", line.leaf, trade, mandate)


def _filled(page: Page) -> Iterator[Fault]:
    """More energy under one consent than it allows: lines under the same one stand together, purchases first."""
    trading = [line for line in page.lines if line.trade]
    for _, same in groupby(trading, key=lambda line: (line.statement.order, line.added[0] > 0)):
        run = list(same)
        first, last, consent = run[0], run[-1], run[0].consent
        wh = abs(sum(line.added[0] for line in run))
        buys = first.trade is not None and first.trade.buyer == page.member
        if isinstance(consent, Order):
            most, function = consent.wh, "challengeOrderFill"
        elif consent:
            most, function = consent.buy_wh if buys else consent.sell_wh, "challengeMandateFill"
        else:
            continue
        if wh > most:
            says = f"{wh} Wh under a consent for {most} Wh"
            yield _fault(page, says, function, [*first.pair, last.leaf], consent)


def _at_the_end(page: Page, deltas: bytes) -> Iterator[Fault]:
    """The last sums against the balance and the meter."""
    if not page.lines:
        return
    last = page.lines[-1].statement
    moved = unpack_deltas(deltas)
    delta = int(moved[page.member]) if page.member < len(moved) else 0
    if page.post.revision == 0 and delta != last.money:
        says = f"the balance moves by {delta}, the lines add up to {last.money}"
        yield _fault(page, says, "challengeDelta", page.ends, deltas)
    net = page.reading.wh_in - page.reading.wh_out
    if not min(net, 0) <= last.wh <= max(net, 0) or page.reading.slot != page.post.slot:
        says = f"{last.wh} Wh of local energy, and the meter counted {net} Wh"
        yield _fault(page, says, "challengeDelivery", page.ends, page.reading)


def _as_promised(page: Page, promises: Mapping[int, Promise], chain: Chain) -> Iterator[Fault]:
    """Another trade than the one that was committed under its number."""
    for line in page.lines:
        promise = promises.get(line.trade.number) if line.trade else None
        if line.trade is None or promise is None or promise.trade == line.statement.trade:
            continue
        root = root_of(promise.trade, line.trade.number, promise.siblings)
        if chain.commitment == keccak(page.post.orders + root):
            says = f"trade {line.trade.number} is not the one that was committed before delivery"
            yield _fault(page, says, "challengeCommitted", line.leaf, line.trade, root, promise.trade, promise.siblings)


def _as_committed(page: Page, proof: Mapping[str, Any], chain: Chain) -> Iterator[Fault]:
    """A trade under an order whose way to the committed root is not shown."""
    trading = [line for line in page.lines if line.trade]
    try:
        root = to_bytes(proof["trades"], 32)
        shown = chain.commitment == keccak(page.post.orders + root)
        for line, siblings in zip(trading, proof["committed"], strict=True):
            if line.trade and isinstance(line.consent, Order):
                hashes = [to_bytes(each, 32) for each in siblings]
                shown = shown and root_of(line.statement.trade, line.trade.number, hashes) == root
    except (KeyError, TypeError, ValueError):
        shown = False
    if not shown:
        yield _fault(page, "it is not shown that the trades were committed before delivery", DEMAND)


# What is shown


def _read(
    shown: Mapping[str, Any], proof: Mapping[str, Any], post: Post, member: int, mandate: Mandate, domain: Domain
) -> Page:
    """The page, all of it under the posted roots, and signed by whom it has to be."""
    given = [*([proof["before"]] if proof["before"] else []), *proof["lines"], proof["after"]]
    leaves = tuple(_leaf(each, post) for each in given)
    positions = [leaf.position for leaf in leaves]
    require(positions == list(range(positions[0], positions[0] + len(leaves))), "the lines are not adjacent")
    require(bool(proof["before"]) or positions[0] == 0, "the line before the first is missing")
    own = leaves[1 if proof["before"] else 0 : -1]
    ours = [leaf.statement.member == member for leaf in leaves]
    require(sum(ours) == len(own) == sum(ours[1 if proof["before"] else 0 : -1]), "not all of the lines are shown")
    trades, consents = _trades(shown), _consents(shown, mandate, domain)
    lines, before = [], None
    for leaf in own:
        statement = leaf.statement
        some = statement.trade != ZERO_HASH
        require(not some or statement.trade in trades, f"the trade of line {statement.index} is not shown")
        require(not some or statement.order in consents, f"the order of line {statement.index} is not the member's")
        trade, consent = (trades[statement.trade], consents[statement.order]) if some else (None, None)
        lines.append(Line(leaf, before if statement.index else None, trade, consent))
        before = leaf
    reading = _signed_reading(shown["reading"], domain)
    require(not own or own[-1].statement.reading == hash_struct(reading), "the lines are of another reading")
    return Page(post, member, leaves, tuple(lines), reading)


def _leaf(given: Mapping[str, Any], post: Post) -> Leaf:
    from commonwatt.ledger.client.disputes import Leaf

    statement = record(Statement, given["statement"])
    siblings = tuple(to_bytes(each, 32) for each in given["siblings"])
    leads = root_of(hash_struct(statement), given["position"], siblings) == post.statements
    here = (statement.slot, statement.revision) == (post.slot, post.revision)
    require(leads and here, "a line does not lead to the posted statements")
    return Leaf(statement, given["position"], siblings)


def _trades(shown: Mapping[str, Any]) -> dict[bytes, Trade]:
    names = ("settledWh", "payment", "order")
    records = (record(Trade, {k: v for k, v in line.items() if k not in names}) for line in shown["trades"])
    return {hash_struct(trade): trade for trade in records}


def _consents(shown: Mapping[str, Any], mandate: Mandate, domain: Domain) -> dict[bytes, Order | Mandate]:
    """The member's mandate, and the orders that its agent signed."""
    found: dict[bytes, Order | Mandate] = {hash_struct(mandate): mandate}
    for line in shown["trades"]:
        if line["order"] is not None:
            order = record(Order, {k: v for k, v in line["order"].items() if k != "signature"})
            require(order.member == mandate.member, "an order is another member's")
            signature = to_bytes(line["order"]["signature"], 65)
            found[verify(domain, Signed(order, b"", signature), mandate.agent)] = order
    return found


def _signed_reading(given: Mapping[str, Any], domain: Domain) -> Reading:
    reading = record(Reading, {k: v for k, v in given.items() if k != "signature"})
    verify(domain, Signed(reading, b"", to_bytes(given["signature"], 65)), reading.meter)
    return reading


def _fault(page: Page, says: str, function: str, *arguments: object) -> Fault:
    return Fault(page.post, f"Slot {page.post.slot}: {says}", function, arguments)
