"""One slot of a bill against the chain: the member's lines, its consent to each trade, its reading, its balance."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from commonwatt.accounts.statements import place_of
from commonwatt.errors import VerificationError
from commonwatt.proof import checksum_address, hash_struct, keccak, root_of, verify
from commonwatt.records import BUY, SELL, ZERO_HASH, Mandate, Order, Post, Reading, Signed, Statement, Trade
from commonwatt.records.deltas import unpack_deltas
from commonwatt.records.schema import Record, schema
from commonwatt.units import payment

if TYPE_CHECKING:
    from commonwatt.ledger.client.settlement import LedgerClient

R = TypeVar("R", bound=Record)
LAST_REVISION: Final = 2**32 - 1


def require(holds: bool, otherwise: str) -> None:
    """Raise VerificationError with this sentence unless it holds."""
    if not holds:
        raise VerificationError(otherwise)


def check_slot(line: Any, proof: Any, member: int, mandate: Mandate, client: LedgerClient) -> int:
    """Check a slot of the bill; returns the number of proved lines. Raises VerificationError."""
    slot = line["slot"]
    post = record(Post, proof["post"])
    _final(post, slot, client)
    own = _adjacent(proof, post, member)
    delta = _moved(post, member, client)
    require(delta == own[-1].money, f"Slot {slot}: the ledger moved {delta}, the lines add up to {own[-1].money}.")
    reading = _reading(line["reading"], proof["reading"], post, member, client)
    trades = _trades(line["trades"], post, member)
    _consent(trades, line["trades"], proof, post, member, mandate, client)
    wh = _running(own, trades, line["trades"], post, member, hash_struct(reading))
    net = reading.wh_in - reading.wh_out
    require(line["grid"]["wh"] == net - wh, f"Slot {slot}: metered less local energy is not what met the utility.")
    require(min(net, 0) <= wh <= max(net, 0), f"Slot {slot}: more local energy than the meter counted.")
    return len(own)


def _final(post: Post, slot: int, client: LedgerClient) -> None:
    """The post is on the chain, applied, and the last revision of its slot."""
    digest = client.domain.digest(hash_struct(post))
    posting = client.posted(post.slot, post.revision)
    known = posting is not None and posting.digest == digest and post.slot == slot
    require(known, f"Slot {slot}: this was not posted.")
    require(posting is not None and posting.final, f"Slot {slot}: the post is not final yet.")
    later = client.posted(slot, post.revision + 1) if post.revision < LAST_REVISION else None
    require(later is None or not later.final, f"Slot {slot}: a later revision has corrected this one.")


def _moved(post: Post, member: int, client: LedgerClient) -> int:
    """What the ledger moved for the member in this slot: a revision is applied on top of those before it."""
    moved = 0
    for revision in range(post.revision + 1):
        deltas = client.posted_deltas(post.slot, revision)
        if deltas is None:
            raise VerificationError(f"Slot {post.slot}: the chain does not show the deltas of the post.")
        moved += int(unpack_deltas(deltas)[member])
    return moved


def _adjacent(proof: Any, post: Post, member: int) -> list[Statement]:
    """The member's statements: consecutive leaves between one of a lower and one of a higher member."""
    leaves = [*([proof["before"]] if proof["before"] else []), *proof["lines"], proof["after"]]
    positions = [leaf["position"] for leaf in leaves]
    first = positions[0]
    require(positions == list(range(first, first + len(leaves))), f"Slot {post.slot}: the lines are not adjacent.")
    require(bool(proof["before"]) or first == 0, f"Slot {post.slot}: the line before the first is missing.")
    statements = [_leaf(leaf, post) for leaf in leaves]
    before, after = statements[:1] if proof["before"] else [], statements[-1]
    require(after.member > member, f"Slot {post.slot}: a line is missing at the end.")
    require(all(line.member < member for line in before), f"Slot {post.slot}: a line is missing at the beginning.")
    own = statements[len(before) : -1]
    require(bool(own), f"Slot {post.slot}: the member has no line.")
    return own


def _leaf(leaf: Any, post: Post) -> Statement:
    statement = record(Statement, leaf["statement"])
    found = _leads(hash_struct(statement), leaf["position"], leaf["siblings"], post.statements)
    require(found, f"Slot {post.slot}: a line does not lead to the posted statements.")
    return statement


def _reading(given: Any, siblings: Any, post: Post, member: int, client: LedgerClient) -> Reading:
    reading = record(Reading, _less(given, "signature"))
    reading_hash = verify(client.domain, Signed(reading, b"", to_bytes(given["signature"], 65)), reading.meter)
    require(reading.slot == post.slot, f"Slot {post.slot}: the reading is of another slot.")
    found = _leads(reading_hash, member, siblings, post.readings)
    require(found, f"Slot {post.slot}: the reading does not lead to the posted readings.")
    owner = client.member_of_meter(reading.meter)
    require(owner == member, f"Slot {post.slot}: meter {checksum_address(reading.meter)} is not this member's.")
    return reading


def _trades(given: Sequence[Any], post: Post, member: int) -> list[Trade]:
    trades = [record(Trade, _less(line, "settledWh", "payment", "order")) for line in given]
    places = [place_of(trade, member) for trade in trades]
    require(places == sorted(set(places)), f"Slot {post.slot}: a trade stands twice, or out of order.")
    for trade in trades:
        here = (trade.slot, trade.revision) == (post.slot, post.revision)
        require(here, f"Slot {post.slot}: a trade of another slot or revision.")
        require(
            member in (trade.buyer, trade.seller) and trade.buyer != trade.seller,
            f"Slot {post.slot}: a trade of others.",
        )
    return trades


def _consent(
    trades: Sequence[Trade],
    given: Sequence[Any],
    proof: Any,
    post: Post,
    member: int,
    mandate: Mandate,
    client: LedgerClient,
) -> None:
    """The member agreed to each trade: by its own signed order, committed before delivery, or by its mandate."""
    root = to_bytes(proof["trades"], 32)
    committed = client.commitment(post.slot) == keccak(post.orders + root)
    require(committed, f"Slot {post.slot}: these are not the orders and trades that were committed before delivery.")
    require(len(proof["committed"]) == len(trades), f"Slot {post.slot}: there are more proofs than trades, or fewer.")
    used: dict[tuple[bytes, int], int] = {}
    for trade, line, siblings in zip(trades, given, proof["committed"], strict=True):
        side, consent = (BUY, trade.buy_order) if trade.buyer == member else (SELL, trade.sell_order)
        used[consent, side] = used.get((consent, side), 0) + line["settledWh"]
        limit, most = (mandate.max_buy, mandate.buy_wh) if side == BUY else (mandate.min_sell, mandate.sell_wh)
        if siblings is None:
            require(line["order"] is None, f"Slot {post.slot}: a trade by order was not committed before delivery.")
            require(
                consent == hash_struct(mandate), f"Slot {post.slot}: a trade without the member's order or mandate."
            )
        else:
            at_root = _leads(hash_struct(trade), trade.number, siblings, root)
            require(at_root, f"Slot {post.slot}: a day-ahead trade is not the one that was committed before delivery.")
            require(line["order"] is not None, f"Slot {post.slot}: a day-ahead trade without the member's order.")
            order = record(Order, _less(line["order"], "signature"))
            verify(client.domain, Signed(order, b"", to_bytes(line["order"]["signature"], 65)), mandate.agent)
            signed = consent == hash_struct(order) and (order.member, order.slot, order.side) == (
                mandate.member, post.slot, side,
            )  # fmt: skip
            require(signed, f"Slot {post.slot}: a trade under an order that is not the member's for it.")
            limit = min(limit, order.limit) if side == BUY else max(limit, order.limit)
            most = min(most, order.wh)
        within = trade.price <= limit if side == BUY else trade.price >= limit
        require(within, f"Slot {post.slot}: a price beyond what the member allowed.")
        require(used[consent, side] <= most, f"Slot {post.slot}: more energy than the member allowed.")


def _running(
    own: Sequence[Statement], trades: Sequence[Trade], given: Sequence[Any], post: Post, member: int, reading: bytes
) -> int:
    """Running sums over the member's trades; returns its local energy [Wh], positive = bought."""
    wh = money = 0
    slot = post.slot
    require(len(own) == max(1, len(trades)), f"Slot {slot}: there are more lines than trades, or fewer.")
    for index, statement in enumerate(own):
        trade_hash = order = ZERO_HASH
        if trades:
            trade, settled, paid = trades[index], given[index]["settledWh"], given[index]["payment"]
            require(type(settled) is int and 0 <= settled <= trade.wh, f"Slot {slot}: more settled than traded.")
            require(paid == payment(settled, trade.price), f"Slot {slot}: a payment is not energy times price.")
            sign = 1 if trade.buyer == member else -1
            wh, money = wh + sign * settled, money - sign * paid
            trade_hash, order = hash_struct(trade), trade.buy_order if sign > 0 else trade.sell_order
        expected = Statement(slot, post.revision, member, index, wh, money, trade_hash, order, reading)
        require(statement == expected, f"Slot {slot}: line {index} does not say what its trade and reading say.")
    return wh


def record(kind: type[R], given: Mapping[str, Any]) -> R:
    """A record from its JSON; every field, nothing else."""
    fields = schema(kind)
    require(sorted(given) == sorted(field.label for field in fields), f"A {kind.__name__} has other fields.")
    sizes = {"bytes32": 32, "address": 20}
    values = {
        field.name: to_bytes(given[field.label], sizes[field.type]) if field.type in sizes else given[field.label]
        for field in fields
    }
    return kind(**values)


def to_bytes(text: str, size: int) -> bytes:
    """Bytes of 0x-hex of exactly this size. Raises ValueError."""
    if not re.fullmatch(f"0x[0-9a-f]{{{2 * size}}}", text):
        raise ValueError(f"'{text[:80]}' is not 0x and {2 * size} digits from 0 to 9 and a to f")
    return bytes.fromhex(text[2:])


def _leads(struct_hash: bytes, position: int, siblings: Sequence[str], root: bytes) -> bool:
    """Whether a record leads to a root. The root of nothing is zero, and no record leads there."""
    return root != ZERO_HASH and root_of(struct_hash, position, _hashes(siblings)) == root


def _hashes(texts: Sequence[str]) -> list[bytes]:
    return [to_bytes(text, 32) for text in texts]


def _less(given: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in given.items() if key not in names}
