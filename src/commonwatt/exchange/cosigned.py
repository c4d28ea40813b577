"""What an exchange whose operators sign at different places shows them, and what it takes of them.

An operator elsewhere is shown all that a gate or the end of a slot was decided by, so that it can go the same steps
(`exchange.replica`) and sign what comes out the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select

from commonwatt.accounts.document import hex_text, signed_json
from commonwatt.accounts.orders import order_json, order_of
from commonwatt.errors import RecordError
from commonwatt.exchange import ledger_rows, rows, tables
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.store import Store
from commonwatt.ledger.client.abi import COMMUNITY
from commonwatt.ledger.client.quorum import gate_of
from commonwatt.meter.protocol import signed_reading
from commonwatt.proof import hash_struct, keccak, recover
from commonwatt.records import ZERO_HASH, Mandate, Order, Reading, Receipt, Signed
from commonwatt.records.schema import Record, from_json, to_bytes

GATE: Final = "gate"
POST: Final = "post"
BILLS: Final = "bills"


@dataclass(frozen=True)
class ShownSlot:
    """A slot [start, unix s] at its gate.

    orders : all that were accepted, in their places in the slot's tree, each with its time of arrival [unix s]
    planned : what members said that goes through their meters, by member index [Wh], positive = into the home
    roots : of orders and trades, as the exchange has them
    """

    slot: int
    orders: tuple[tuple[int, Signed[Order]], ...]
    planned: dict[int, int]
    roots: tuple[bytes, bytes]

    def as_json(self) -> dict[str, Any]:
        """As an operator is shown it."""
        return {
            "slot": self.slot,
            "orders": _orders_json(self.orders),
            "planned": [{"member": member, "wh": wh} for member, wh in self.planned.items()],
            "ordersRoot": hex_text(self.roots[0]),
            "tradesRoot": hex_text(self.roots[1]),
        }


@dataclass(frozen=True)
class ShownOrders:
    """Orders that came for a slot [start, unix s] whose gate is open, from place `first` on; each with its time of
    arrival [unix s]."""

    slot: int
    first: int
    orders: tuple[tuple[int, Signed[Order]], ...]

    def as_json(self) -> dict[str, Any]:
        """As an operator is shown it."""
        return {"slot": self.slot, "first": self.first, "orders": _orders_json(self.orders)}


@dataclass(frozen=True)
class ShownGate:
    """A gate that closed at `at` [unix s]. slots : consecutive ones, as they are committed together"""

    at: int
    slots: tuple[ShownSlot, ...]

    def as_json(self) -> dict[str, Any]:
        """As an operator is shown it."""
        return {"at": self.at, "slots": [each.as_json() for each in self.slots]}


@dataclass(frozen=True)
class ShownPost:
    """A revision of a slot [start, unix s] that was settled at `at` [unix s].

    readings : those that count from this revision on
    orders, statements, deltas : roots, and the hash of the deltas, as the exchange has them; all zero where nothing was
        committed for the slot, so that nothing of it is posted
    """

    slot: int
    revision: int
    at: int
    readings: tuple[Signed[Reading], ...]
    orders: bytes
    statements: bytes
    deltas: bytes

    @property
    def missed(self) -> bool:
        """Whether nothing was committed for the slot."""
        return self.statements == ZERO_HASH

    def as_json(self) -> dict[str, Any]:
        """As an operator is shown it."""
        named = {name: hex_text(getattr(self, name)) for name in ("orders", "statements", "deltas")}
        readings = [signed_json(each) for each in self.readings]
        return {"slot": self.slot, "revision": self.revision, "at": self.at, "readings": readings, **named}


@dataclass(frozen=True)
class ShownRoster:
    """What the ledger does not know of members.

    names : (account, what it is called, bus); mandates : each with the first slot for which it holds [unix s]
    box : the meters [addresses] for which the exchange's box signs, as sheets say
    """

    names: tuple[tuple[bytes, str, str], ...]
    mandates: tuple[tuple[int, Signed[Mandate]], ...]
    box: frozenset[bytes] = frozenset()

    def as_json(self) -> dict[str, Any]:
        """As an operator is shown it."""
        names = [{"account": hex_text(account), "name": name, "bus": bus} for account, name, bus in self.names]
        mandates = [{"since": since, "mandate": signed_json(signed)} for since, signed in self.mandates]
        return {"names": names, "mandates": mandates, "boxSigns": sorted(map(hex_text, self.box))}


@dataclass(frozen=True)
class Waiting:
    """What waits for signatures, or was posted and is not final.

    kind : GATE, POST or BILLS; slot : the first one [start, unix s]; until : of bills, the end of their period
    signers : addresses of those who have signed; enough : the ledger is told of it
    root : of bills, 32 bytes; else empty
    """

    kind: str
    slot: int
    revision: int
    until: int
    signers: frozenset[bytes]
    enough: bool = False
    root: bytes = b""


def orders_shown(exchange: Exchange, account: bytes, most: int) -> list[ShownOrders]:
    """The first `most` orders for which this operator [address] has given no receipt yet."""
    found = list[ShownOrders]()
    for slot, accepted in sorted(exchange.accepted.items()):
        first = len(exchange.outbox.receipted.get(slot, {}).get(account, ()))
        orders = accepted.signed[first : first + most]
        if orders:
            came = [at for (at,) in exchange.store.columns(tables.orders, ("at",), slot=slot)][first:]
            found.append(ShownOrders(slot, first, tuple(zip(came, orders, strict=False))))
            most -= len(orders)
    return found


def gate_shown(store: Store, slot: int) -> ShownGate:
    """The gate by which a slot [start, unix s] was committed. Raises RecordError where it was not."""
    gates = store.rows(tables.commitments, slot=slot)
    if not gates or not gates[0].orders:
        raise RecordError(f"Nothing is committed for slot {slot}.")
    c = tables.commitments.c
    its = (c.gate == gates[0].gate, c.first == gates[0].first, c.slot >= c.first, c.orders != b"")
    together = store.ask(select(tables.commitments).where(*its).order_by(c.slot))
    return ShownGate(gates[0].gate, tuple(_slot_shown(store, row) for row in together))


def _slot_shown(store: Store, row: Any) -> ShownSlot:
    orders = tuple((order.at, rows.order_of_row(order)) for order in store.rows(tables.orders, slot=row.slot))
    planned = dict(store.columns(tables.planned, ("member", "net"), slot=row.slot))
    return ShownSlot(row.slot, orders, planned, (row.orders, row.trades))


def post_shown(store: Store, slot: int, revision: int) -> ShownPost:
    """A revision of a slot [start, unix s]. Raises RecordError where there is none, or where it trades with another
    community, which operators sign by themselves."""
    last = rows.revision_of(store, slot)
    if last is None or revision > last or rows.is_coupled(store, slot, revision):
        raise RecordError(f"Slot {slot} has no revision {revision} that operators elsewhere sign.")
    readings = tuple(rows.reading_of_row(row) for row in store.rows(tables.readings, slot=slot, revision=revision))
    posts = store.rows(tables.posts, slot=slot, revision=revision)
    if not posts:
        at = max((row.at for row in store.rows(tables.readings, slot=slot, revision=revision)), default=slot)
        return ShownPost(slot, revision, at, readings, *[ZERO_HASH] * 3)
    post = posts[0]
    return ShownPost(slot, revision, post.posted_at, readings, post.orders, post.statements, keccak(post.deltas))


def roster_shown(store: Store) -> ShownRoster:
    """All names and mandates, and all meters that the box signs for."""
    names = tuple((bytes.fromhex(row.account), row.id, row.bus) for row in store.rows(tables.names))
    mandates = tuple((row.since, rows.mandate_of(row)) for row in store.rows(tables.mandates))
    return ShownRoster(names, mandates, rows.box_meters(store))


def waiting(exchange: Exchange) -> list[Waiting]:
    """What an exchange waits for, in the order in which it was made."""
    found, outbox = list[Waiting](), exchange.outbox
    for first in sorted(exchange.unsigned):
        found.append(Waiting(GATE, first, 0, first, frozenset(outbox.signers(_record(exchange, GATE, first, 0)))))
    for each in outbox.pending:
        post, signers = each.post, frozenset(outbox.signers(each.post, each.signatures))
        found.append(Waiting(POST, post.slot, post.revision, post.slot, signers, each not in outbox.unsigned))
    if (bills := outbox.unanchored) is not None:
        signers = frozenset(outbox.signers(bills))
        found.append(Waiting(BILLS, bills.start, 0, bills.until, signers, root=bills.bills))
    return found


def take(exchange: Exchange, account: bytes, kind: str, slot: int, revision: int, signature: bytes) -> None:
    """Take what an operator [address] has signed; the ledger is told once enough have.

    Raises RecordError where nothing of the kind waits for signatures, SignatureError where it is not this account's.
    """
    record = _record(exchange, kind, slot, revision)
    digest = exchange.domain.digest(hash_struct(record))
    if recover(digest, signature) != account or not _is_operator(exchange, account):
        raise RecordError(f"What was signed is not the {kind} of slot {slot} as the exchange has it.")
    exchange.outbox.bring(record, signature)


def take_receipts(exchange: Exchange, account: bytes, slot: int, first: int, signatures: Sequence[bytes]) -> None:
    """Take an operator's receipts for the orders of a slot from place `first` on; members are told when they ask again.

    Raises RecordError where they are not its receipts for the orders that stand there, or it gave them before.
    """
    accepted, outbox = exchange.accepted.get(slot), exchange.outbox
    outbox.receipted = {
        known: each
        for known, each in outbox.receipted.items()
        if known in exchange.accepted or known in exchange.committed
    }
    given = outbox.receipted.get(slot, {}).get(account, [])
    orders = accepted.signed[first : first + len(signatures)] if accepted else ()
    if len(given) != first or len(orders) != len(signatures) or not _is_operator(exchange, account):
        raise RecordError(f"Slot {slot} has no orders from place {first} on that wait for these receipts.")
    for place, (order, signature) in enumerate(zip(orders, signatures, strict=True), first):
        if recover(exchange.domain.digest(hash_struct(Receipt(order.hash, slot, place))), signature) != account:
            raise RecordError(f"What was signed is no receipt for the order of slot {slot} in place {place}.")
    outbox.receipted.setdefault(slot, {})[account] = [*given, *signatures]


def _is_operator(exchange: Exchange, account: bytes) -> bool:
    return bool(exchange.client.view(COMMUNITY, "isOperator", account)[0])


def _record(exchange: Exchange, kind: str, slot: int, revision: int) -> Record:
    """What operators sign of what waits."""
    outbox, bills = exchange.outbox, exchange.outbox.unanchored
    if kind == GATE and slot in exchange.unsigned:
        roots = ledger_rows.read_commitments(exchange.store, exchange.unsigned[slot].slots)
        return gate_of(slot, [orders for orders, _ in roots], [trades for _, trades in roots])
    posts = [each.post for each in outbox.unsigned if (each.post.slot, each.post.revision) == (slot, revision)]
    if kind == POST and posts:
        return posts[0]
    if kind == BILLS and bills is not None and bills.start == slot:
        return bills
    raise RecordError(f"No {kind} of slot {slot}, revision {revision}, waits for signatures.")


def _orders_json(orders: Iterable[tuple[int, Signed[Order]]]) -> list[dict[str, Any]]:
    return [{"at": at, "order": order_json(order)} for at, order in orders]


# What was shown, read again


def orders_of_json(given: Any) -> list[ShownOrders]:
    """As `gate_of_json`."""
    return [
        ShownOrders(each.number("slot"), each.number("first"), _orders_of(each))
        for each in map(_Reader, _Reader(given).listed("slots"))
    ]


def gate_of_json(given: Any) -> ShownGate:
    """Raises RecordError for what is none; nothing is said of signatures."""
    with_ = _Reader(given)
    slots = tuple(_slot_of_json(each) for each in with_.listed("slots"))
    if not slots:
        raise RecordError("A gate is shown without slots.")
    return ShownGate(with_.number("at"), slots)


def _slot_of_json(given: Any) -> ShownSlot:
    read = _Reader(given)
    planned = {each.number("member"): each.number("wh") for each in map(_Reader, read.listed("planned"))}
    roots = to_bytes(read["ordersRoot"], 32), to_bytes(read["tradesRoot"], 32)
    return ShownSlot(read.number("slot"), _orders_of(read), planned, roots)


def _orders_of(read: _Reader) -> tuple[tuple[int, Signed[Order]], ...]:
    return tuple((each.number("at"), order_of(each["order"])) for each in map(_Reader, read.listed("orders")))


def post_of_json(given: Any) -> ShownPost:
    """As `gate_of_json`."""
    read = _Reader(given)
    readings = tuple(signed_reading(each) for each in read.listed("readings"))
    orders, statements, deltas = (to_bytes(read[name], 32) for name in ("orders", "statements", "deltas"))
    slot, revision, at = (read.number(name) for name in ("slot", "revision", "at"))
    return ShownPost(slot, revision, at, readings, orders, statements, deltas)


def roster_of_json(given: Any) -> ShownRoster:
    """As `gate_of_json`."""
    read = _Reader(given)
    names = tuple(
        (to_bytes(each["account"], 20), str(each["name"]), str(each["bus"]))
        for each in map(_Reader, read.listed("names"))
    )
    mandates = tuple(
        (each.number("since"), _mandate(each["mandate"])) for each in map(_Reader, read.listed("mandates"))
    )
    return ShownRoster(names, mandates, frozenset(to_bytes(each, 20) for each in read.listed("boxSigns")))


def waiting_of_json(given: Any) -> list[Waiting]:
    """As `gate_of_json`."""
    return [
        Waiting(
            str(each["kind"]),
            each.number("slot"),
            each.number("revision"),
            each.number("until"),
            frozenset(to_bytes(signer, 20) for signer in each.listed("signers")),
            each["enough"] is True,
            to_bytes(each["root"], 32) if each["root"] is not None else b"",
        )
        for each in map(_Reader, _Reader(given).listed("waiting"))
    ]


def slots_of_json(given: Any) -> list[tuple[int, int]]:
    """Settled slots with their last revisions; as `gate_of_json`."""
    return [(each.number("slot"), each.number("revision")) for each in map(_Reader, _Reader(given).listed("slots"))]


def waiting_json(found: Iterable[Waiting]) -> list[dict[str, Any]]:
    """As an operator is shown it."""
    return [
        {
            "kind": each.kind, "slot": each.slot, "revision": each.revision, "until": each.until,
            "signers": sorted(map(hex_text, each.signers)), "enough": each.enough,
            "root": hex_text(each.root) if each.root else None,
        }
        for each in found
    ]  # fmt: skip


def _mandate(given: Any) -> Signed[Mandate]:
    if not isinstance(given, dict) or "signature" not in given:
        raise RecordError("A mandate is shown without its signature.")
    record = from_json(Mandate, {name: value for name, value in given.items() if name != "signature"})
    return Signed(record, hash_struct(record), to_bytes(given["signature"], 65))


class _Reader:
    """A table that was shown."""

    def __init__(self, given: Any) -> None:
        if not isinstance(given, dict):
            raise RecordError("What an operator is shown is no table.")
        self._given = given

    def __getitem__(self, name: str) -> Any:
        if name not in self._given:
            raise RecordError(f"What an operator is shown has no {name}.")
        return self._given[name]

    def number(self, name: str) -> int:
        value = self[name]
        if type(value) is not int or not -(1 << 62) < value < 1 << 62:
            raise RecordError(f"What an operator is shown has no whole number as {name}.")
        return value

    def listed(self, name: str) -> list[Any]:
        value = self[name]
        if not isinstance(value, list):
            raise RecordError(f"What an operator is shown has no list as {name}.")
        return value
