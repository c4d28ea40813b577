"""Check a bill against the chain alone: neither the exchange nor its files are asked.

What is proved: the content is what the operators anchored; each local line is a leaf of a settled post; the sums run
without a gap; the reading is the member's own meter's; the rest was priced and added up as the bill says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from commonwatt.errors import CommonwattError, LedgerError, VerificationError
from commonwatt.exchange.bills import FORMAT, content_hash, grid_line
from commonwatt.exchange.charges import vat_on
from commonwatt.proof import Key, checksum_address, hash_struct, root_of, verify
from commonwatt.records import ZERO_HASH, Post, Reading, Signed, Statement, Trade
from commonwatt.records.schema import Record, schema
from commonwatt.units import WH_PER_KWH, payment

if TYPE_CHECKING:
    from commonwatt.ledger.client import LedgerClient

R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Verified:
    """What was checked. total : [micro-currency]; anchored_at : [unix s]."""

    member: str
    account: str
    slots: int
    lines: int
    total: int
    currency: str
    anchored_at: int


def verify_bill(bill: Any, client: LedgerClient) -> Verified:
    """Check every line of a bill.

    Raises VerificationError that names the first thing that does not prove what it claims.
    """
    try:
        content, anchor, proofs = bill["content"], bill["anchor"], bill["proofs"]
        anchored_at = _anchored(content, anchor, client)
        member = _member(content, client)
        slots = content["slots"]
        _covers(content, slots, proofs, client)
        lines = sum(_slot(line, proofs[str(line["slot"])], member, client) for line in slots)
        _charges(content)
        return Verified(
            content["member"]["id"], content["member"]["account"], len(slots), lines,
            content["total"], content["currency"], anchored_at,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise VerificationError(f"This is not a complete bill: {type(error).__name__} {error}.") from None
    except VerificationError:
        raise
    except CommonwattError as error:
        raise VerificationError(str(error)) from error


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise VerificationError(otherwise)


def _anchored(content: Any, anchor: Any, client: LedgerClient) -> int:
    _require(content["format"] == FORMAT, f"The bill's format is not {FORMAT}.")
    root, index = _bytes(anchor["root"], 32), anchor["index"]
    siblings = [_bytes(sibling, 32) for sibling in anchor["siblings"]]
    _require(
        root_of(content_hash(content), index, siblings) == root,
        "The bill's content is not what was anchored: at least one figure in it was changed.",
    )
    when = client.anchored_at(root)
    if when is None:
        raise VerificationError("The chain knows no bills with this root.")
    _require(index == content["member"]["index"], "The bill stands at another member's place.")
    return when


def _member(content: Any, client: LedgerClient) -> int:
    ledger, member = content["ledger"], content["member"]
    _require(ledger["chainId"] == client.node.chain_id, "The bill belongs to another chain.")
    _require(
        _bytes(ledger["settlement"], 20) == client.addresses.settlement, "The bill names another settlement contract."
    )
    _require(
        client.member_of(_bytes(member["account"], 20)) == member["index"],
        "The chain knows another member at this account.",
    )
    return int(member["index"])


def _covers(content: Any, slots: Sequence[Any], proofs: Mapping[str, Any], client: LedgerClient) -> None:
    step = client.terms.slot_seconds
    expected = list(range(content["period"]["from"], content["period"]["until"], step))
    _require([line["slot"] for line in slots] == expected, "The bill leaves out or repeats a slot of its period.")
    _require(sorted(proofs) == sorted(map(str, expected)), "The bill's proofs are not those of its slots.")


def _slot(line: Any, proof: Any, member: int, client: LedgerClient) -> int:
    """Check one slot of the bill; returns the number of proved lines."""
    slot = line["slot"]
    post = _record(Post, proof["post"])
    digest = client.domain.digest(hash_struct(post))
    posting = client.posted(slot, post.revision)
    _require(
        post.slot == slot and posting is not None and posting.digest == digest, f"Slot {slot}: this was not posted."
    )
    _require(posting is not None and posting.final, f"Slot {slot}: the post is not final yet.")
    statements = [_leaf(leaf, post) for leaf in [*proof["lines"], proof["next"]]]
    positions = [leaf["position"] for leaf in [*proof["lines"], proof["next"]]]
    first = positions[0]
    _require(positions == list(range(first, first + len(positions))), f"Slot {slot}: the lines are not adjacent.")
    *own, after = statements
    _require(after.member > member, f"Slot {slot}: a line is missing at the end.")
    reading = _reading(line["reading"], slot, member, client)
    wh = _lines(own, line["trades"], slot, member, hash_struct(reading))
    net = reading.wh_in - reading.wh_out
    grid = line["grid"]
    _require(grid["wh"] == net - wh, f"Slot {slot}: metered energy less local energy is not what met the utility.")
    _require(
        grid == grid_line(grid["wh"], grid["price"], grid["price"]), f"Slot {slot}: the utility's amount is wrong."
    )
    return len(own)


def _leaf(leaf: Any, post: Post) -> Statement:
    statement = _record(Statement, leaf["statement"])
    siblings = [_bytes(sibling, 32) for sibling in leaf["siblings"]]
    root = root_of(hash_struct(statement), leaf["position"], siblings)
    _require(root == post.statements, f"Slot {post.slot}: a line does not lead to the posted statements.")
    return statement


def _reading(given: Any, slot: int, member: int, client: LedgerClient) -> Reading:
    reading = _record(Reading, {key: value for key, value in given.items() if key != "signature"})
    verify(client.domain, Signed(reading, b"", _bytes(given["signature"], 65)), reading.meter)
    _require(reading.slot == slot, f"Slot {slot}: the reading is of another slot.")
    owner = client.member_of_meter(reading.meter)
    _require(owner == member, f"Slot {slot}: meter {checksum_address(reading.meter)} is not this member's.")
    return reading


def _lines(own: Sequence[Statement], trades: Sequence[Any], slot: int, member: int, reading: bytes) -> int:
    """Running sums over the member's trades; returns its local energy [Wh], positive = bought."""
    wh = money = 0
    _require(len(own) == max(1, len(trades)), f"Slot {slot}: there are more lines than trades, or fewer.")
    for index, statement in enumerate(own):
        trade_hash = order = ZERO_HASH
        if trades:
            given = trades[index]
            settled, paid = given["settledWh"], given["payment"]
            trade = _record(Trade, {key: value for key, value in given.items() if key not in ("settledWh", "payment")})
            _require(0 <= settled <= trade.wh, f"Slot {slot}: more settled than traded.")
            _require(paid == payment(settled, trade.price), f"Slot {slot}: a payment is not energy times price.")
            _require(member in (trade.buyer, trade.seller), f"Slot {slot}: a trade of others.")
            sign = 1 if trade.buyer == member else -1
            wh, money = wh + sign * settled, money - sign * paid
            trade_hash, order = hash_struct(trade), trade.buy_order if sign > 0 else trade.sell_order
        expected = Statement(slot, statement.revision, member, index, wh, money, trade_hash, order, reading)
        _require(statement == expected, f"Slot {slot}: line {index} does not say what its trade and reading say.")
    return wh


def _charges(content: Any) -> None:
    """Add the slots up again and compare with the charges and the total."""
    tariff, slots = content["tariff"], content["slots"]
    imported = exported = taken = energy = feed_in = neighbours = 0
    for line in slots:
        wh, local = line["grid"]["wh"], 0
        for trade in line["trades"]:
            bought = trade["buyer"] == content["member"]["index"]
            local += trade["settledWh"] if bought else -trade["settledWh"]
            neighbours += trade["payment"] if bought else -trade["payment"]
        imported, exported, taken = imported + max(wh, 0), exported + max(-wh, 0), taken + max(local, 0)
        energy, feed_in = energy + max(line["grid"]["amount"], 0), feed_in + min(line["grid"]["amount"], 0)
    fees = [("network fee", taken * tariff["networkFee"] // WH_PER_KWH)]
    for levy in tariff["levies"]:
        base = imported * levy["grid"] + taken * levy["local"]
        fees.append((levy["name"], base * levy["price"] // WH_PER_KWH))
    vat = vat_on(Fraction(tariff["vat"]["rate"]), energy + sum(amount for _, amount in fees))
    expected = [
        {"name": "energy from the utility", "wh": imported, "amount": energy},
        {"name": "energy fed in", "wh": exported, "amount": feed_in},
        {"name": "neighbours", "wh": taken, "amount": neighbours},
        *({"name": name, "amount": amount} for name, amount in fees),
        {"name": "VAT", "amount": vat},
    ]
    _require(content["charges"] == expected, "The charges are not what the slots add up to.")
    _require(content["total"] == sum(line["amount"] for line in expected), "The total is not the sum of the charges.")


def _record(kind: type[R], given: Mapping[str, Any]) -> R:
    """A record from its JSON; every field, nothing else."""
    fields = schema(kind)
    _require(sorted(given) == sorted(field.label for field in fields), f"A {kind.__name__} has other fields.")
    sizes = {"bytes32": 32, "address": 20}
    values = {
        field.name: _bytes(given[field.label], sizes[field.type]) if field.type in sizes else given[field.label]
        for field in fields
    }
    return kind(**values)


def _bytes(text: str, size: int) -> bytes:
    if not re.fullmatch(f"0x[0-9a-f]{{{2 * size}}}", text):
        raise ValueError(f"'{text[:80]}' is not 0x and {2 * size} digits from 0 to 9 and a to f")
    return bytes.fromhex(text[2:])


def open_and_verify(bill: Path, ledger: Path) -> Verified:
    """Check the bill in the file `bill` against the chain in the file `ledger`, which is opened for reading only.

    Raises VerificationError when the bill does not prove what it claims, LedgerError when there is no such chain.
    """
    try:
        document = json.loads(bill.read_text(encoding="utf-8"))
        contracts = document["content"]["ledger"]
        found = _bytes(contracts["community"], 20), _bytes(contracts["settlement"], 20)
    except OSError as error:
        raise VerificationError(f"{bill} cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise VerificationError(f"{bill} is no bill with proofs: {error}.") from None
    # Not before the bill is read: py-evm raises Python's limit of recursion so far that a bill nested on purpose
    # would end the process.
    from commonwatt.ledger.client import Addresses, LedgerClient
    from commonwatt.ledger.embedded import EmbeddedChain

    if not ledger.exists():
        raise LedgerError(f"There is no chain at {ledger}; name its file with --ledger.")
    with EmbeddedChain(ledger, read_only=True) as chain:
        try:
            return verify_bill(document, LedgerClient(chain, Key(b"\x01" * 32), Addresses(*found)))
        except LedgerError as error:
            raise VerificationError(f"{bill.name}: {error}") from None
