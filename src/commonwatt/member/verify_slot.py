"""One slot of a bill against the chain: the member's lines, its consent to each trade, its reading, its balance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from commonwatt.accounts.document import CORRECTED, MEASURED, NOT_MEASURED, SIDES, metered, of_side
from commonwatt.accounts.statements import statement_of
from commonwatt.errors import RecordError, VerificationError
from commonwatt.ledger.client.abi import COMMUNITY
from commonwatt.member.faults import Chain, proved
from commonwatt.member.page import (
    Page,
    read,
    read_reading,
    require,
    require_committed,
    require_read,
    revision_of,
    ways,
    whole_number,
)
from commonwatt.proof import checksum_address, hash_struct
from commonwatt.records import ZERO_HASH, Mandate, Order, Post, Reading, Signed, Statement
from commonwatt.records.deltas import unpack_deltas
from commonwatt.units import decimal_text

if TYPE_CHECKING:
    from commonwatt.ledger.client.settlement import LedgerClient

LAST_REVISION: Final = 2**32 - 1


def check_slot(
    line: Mapping[str, Any],
    proof: Mapping[str, Any] | None,
    member: int,
    mandate: Signed[Mandate],
    client: LedgerClient,
) -> int:
    """Check a slot of the bill; returns the number of proved lines. Raises VerificationError.

    proof : None of a slot that was missed: nothing was committed, so nothing can be posted
    """
    try:
        if proof is None:
            _missed(line, member, client)
            return 0
        post = _final(line["slot"], revision_of(proof), client)
        page = read(line, proof, member, mandate, client.domain, post)
        if page.statement is None:
            _not_yet(page, line, client)
            return 0
        require_read(page)
        _moved(page, client)
        _right(page, client)
        require_committed(page, ways(page.trades, proof), client.commitment(post.slot))
        _within_mandate(page)
        _as_billed(page)
        if page.reading:
            _own(page.reading, member, client)
        _told(page, line.get("metered", MEASURED))
        _rest(page.reading, page.stated.statement, line, by_registers=client.by_registers)
    except (VerificationError, RecordError) as error:
        raise VerificationError(f"Slot {line['slot']}: {error}") from None
    return len(page.lines)


def registered_at(member: int, client: LedgerClient) -> int:
    """Since when a member belongs to the community [unix s]."""
    return int(client.view(COMMUNITY, "registeredAt", member)[0])


def _not_yet(page: Page, line: Mapping[str, Any], client: LedgerClient) -> None:
    """The member has no statement, since it joined when the slot had begun: nothing of it is there."""
    require(registered_at(page.member, client) >= page.post.slot, "the member was passed over.")
    nothing = line["trades"] == [] == line["orders"] and page.reading is None
    require(nothing, "it has trades or a reading, and the member was none yet.")
    moved = sum(_delta(page, client, revision) for revision in range(page.post.revision + 1))
    require(not moved, "the ledger moved the balance, and the member was none yet.")
    _told(page, line.get("metered", MEASURED))
    _rest(None, statement_of((), ZERO_HASH, ZERO_HASH), line, by_registers=client.by_registers)


def _missed(line: Mapping[str, Any], member: int, client: LedgerClient) -> None:
    """Nothing was committed before the slot began, so nothing was traded, and the utility had all of it."""
    require(client.commitment(line["slot"]) is None, "trades were committed, and nothing is shown of them.")
    nothing = line["trades"] == [] == line.get("orders", [])
    require(nothing, "it has trades, and none were committed before it began.")
    reading = read_reading(line["reading"], client.domain)
    _rest(reading, statement_of((), ZERO_HASH, ZERO_HASH), line, by_registers=client.by_registers)
    if reading:
        require(reading.slot == line["slot"], "the reading is of another slot.")
        _own(reading, member, client)
    said = line.get("metered", MEASURED)
    known = said in ((MEASURED, CORRECTED) if reading else (NOT_MEASURED,))
    require(known, f"the bill says '{said}' of what it shows otherwise.")


def _own(reading: Reading, member: int, client: LedgerClient) -> None:
    """The meter measured the member's home when the slot began."""
    if client.home_of_meter(reading.meter, reading.slot) != member:
        raise VerificationError(f"meter {checksum_address(reading.meter)} is not this member's.")


def _final(slot: int, revision: int, client: LedgerClient) -> Post:
    """The post as the chain announced it: it is applied, and the last revision of its slot."""
    post, posting = client.announced(slot, revision), client.posted(slot, revision)
    if post is None or posting is None or posting.digest != client.domain.digest(hash_struct(post)):
        raise VerificationError("this was not posted.")
    require(posting.final, "the post is not final yet.")
    later = client.posted(slot, revision + 1) if revision < LAST_REVISION else None
    require(later is None or not later.final, "a later revision has corrected this one.")
    return post


def _moved(page: Page, client: LedgerClient) -> None:
    """The lines add up to what the ledger moved: a revision is applied on top of those before it."""
    moved = sum(_delta(page, client, revision) for revision in range(page.post.revision + 1))
    stated = page.stated.statement.money
    if moved != stated:
        moves, sums = (decimal_text(lanes * client.unit) for lanes in (moved, stated))
        raise VerificationError(f"the ledger moved {moves}, the lines add up to {sums}.")


def _delta(page: Page, client: LedgerClient, revision: int) -> int:
    deltas = client.posted_deltas(page.post.slot, revision)
    if deltas is None:
        raise VerificationError("the chain does not show the deltas of the post.")
    moved = unpack_deltas(deltas)
    return int(moved[page.member]) if page.member < len(moved) else 0


def _right(page: Page, client: LedgerClient) -> None:
    """Nothing in it is a fault that the chain would delete the post for."""
    deltas = client.posted_deltas(page.post.slot, page.post.revision) or b""
    registers, members = client.by_registers, client.member_count
    chain = Chain(client.domain, None, deltas, client.unit, before=None, by_registers=registers, members=members)
    for fault in proved(page, chain, {}):
        raise VerificationError(f"{fault.says.partition(': ')[2]}.")


def _within_mandate(page: Page) -> None:
    """The agent's orders are within the mandate: the chain asks only whether the trades are within the orders.

    What the member ordered itself, in words, needs no mandate.
    """
    mandate, used = page.mandate, dict[tuple[bytes, bool], int]()
    for line in page.lines:
        if not isinstance(line.consent, Order) or line.consent.text:
            continue
        buys = line.trade.buyer == page.member
        side = line.line.order, buys
        used[side] = used.get(side, 0) + abs(line.wh)
        within = line.trade.price <= mandate.max_buy if buys else line.trade.price >= mandate.min_sell
        require(within, "a price under an order beyond the mandate.")
        require(used[side] <= (mandate.buy_wh if buys else mandate.sell_wh), "more energy than the mandate allows.")


def _as_billed(page: Page) -> None:
    """The bill's trades are those of the lines, in their order, with the energy and the money that the lines add."""
    shown = [each.hash for each in page.trades]
    require(shown == [line.line.trade for line in page.lines], "the trades are not those of the lines.")
    for line, agreed in zip(page.lines, page.trades, strict=True):
        # What was committed before delivery stays as it is when the slot is settled anew.
        order = line.consent if isinstance(line.consent, Order) else None
        here = (agreed.trade.slot, agreed.trade.revision) == (page.post.slot, 0 if order else page.post.revision)
        require(here, "a trade of another slot or revision.")
        require(agreed.order == order, f"line {line.position} rests on another order than its trade shows.")
        sign = 1 if agreed.trade.buyer == page.member else -1
        says = (sign * agreed.settled, -sign * agreed.paid)
        require((line.wh, line.added[2]) == says, f"line {line.position} does not say what its trade says.")


def _told(page: Page, said: Any) -> None:
    """The bill says of the line whether it was measured, and whether it was corrected."""
    true = metered(measured=page.reading is not None, revision=page.post.revision)
    require(said == true, f"the bill says '{said}' of a line that is {true}.")


def _rest(reading: Reading | None, statement: Statement, line: Mapping[str, Any], *, by_registers: bool) -> None:
    """What met the utility is what was metered less what was bought from neighbours.

    Where registers are shared, they come to the reading. What they shared beyond the trades is what the member's own
    registers supplied to each other: as much on both sides.
    """
    wh_in, wh_out = (reading.wh_in, reading.wh_out) if reading else (0, 0)
    require(("registers" in line) == by_registers, "it does not say of each register what it shared, or it should not.")
    if not by_registers:
        rest = wh_in - wh_out - statement.bought + statement.sold
        require(line["grid"]["wh"] == rest, "metered less local energy is not what met the utility.")
        return
    registers = line["registers"]
    sane = all(
        0 <= whole_number(each["shared"]) <= whole_number(each["wh"]) and each["direction"] in SIDES
        for each in registers
    )
    require(sane, "a register shared more than it counted.")
    counted = [sum(each["wh"] for each in of_side(line, side)) for side in SIDES]
    shared = [sum(each["shared"] for each in of_side(line, side)) for side in SIDES]
    require(counted == [wh_in, wh_out], "the registers do not come to the reading.")
    own = shared[0] - statement.bought
    require(own == shared[1] - statement.sold >= 0, "what the registers shared is not what the trades come to.")
    rests = [line["grid"]["whIn"], line["grid"]["whOut"]]
    require(rests == [wh_in - shared[0], wh_out - shared[1]], "metered less shared energy is not what met the utility.")
