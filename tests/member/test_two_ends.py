"""What is wrong between the two ends of a trade: who sees both finds it, and the chain believes the proof."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from lies import booked_by, booking, with_a_number, with_reading, with_trade, with_two_ends
from stopped_days import MOST_GAS, Day, entry_of, look, opened, page_of, publish, purse

from commonwatt.community.roles import Role
from commonwatt.errors import Reverted
from commonwatt.exchange.excerpt import excerpt, promised
from commonwatt.exchange.states import Posted
from commonwatt.ledger.client.abi import events
from commonwatt.ledger.client.community import CommunityClient
from commonwatt.ledger.client.disputes import Cut, DisputesClient, Missing
from commonwatt.ledger.client.settlement import Enrolment
from commonwatt.member.challenge import chain_of
from commonwatt.member.ends import between, committed
from commonwatt.member.faults import Fault, faults
from commonwatt.member.page import Page, read, ways
from commonwatt.proof import Key, hash_struct, sign
from commonwatt.records import Mandate, Trade
from commonwatt.study.trades import without
from commonwatt.units import payment

Opened = tuple[Day, int]


def proved(day: Day, false: Posted, fault: Fault) -> None:
    """The chain deletes the post for it, whoever brings it."""
    client, at = day.exchange.client, publish(day, false)
    receipt = DisputesClient(client).challenge(purse(day, 0), fault.function, false.post, fault.arguments, at=at + 2)
    assert "Struck" in [event.name for event in events(receipt)]
    assert receipt.gas_used <= MOST_GAS
    assert client.posted(false.post.slot, false.post.revision) is None


def pages_of(day: Day, posted: Posted) -> list[Page]:
    return [page_of(day, posted, member) for member in range(day.rules.members)]


def ends_of(day: Day, honest: Posted) -> list[tuple[Trade, int]]:
    """Every trade, with each of its ends."""
    return [(trade, member) for trade in honest.records for member in (trade.buyer, trade.seller)]


def hidden_from(day: Day, trade: Trade, member: int) -> tuple[Posted, list[Page]]:
    """A post in which one end has no line of a trade, and what the two ends are shown of it."""
    hidden = without(day.stopped, trade, member)
    shown = replace(hidden, records=day.stopped.records, account=day.stopped.account)
    ends = (trade.buyer, trade.seller)
    return hidden, [page_of(day, hidden if each == member else shown, each) for each in ends]


def test_an_honest_post_has_no_fault_between_two_ends(struck: Opened) -> None:
    day, _ = struck
    pages, agreed = pages_of(day, day.stopped), day.stopped.delivered.committed
    kept = [promise for member in range(day.rules.members) for promise in promised(agreed, member).values()]
    assert kept
    assert any(page.lines for page in pages)
    assert between(pages, kept) == between(pages, kept, by_registers=True) == []


def test_a_line_of_one_end_alone_deletes_the_post_whichever_end_and_place_it_is(struck: Opened) -> None:
    day, _ = struck
    seen = set[tuple[bool, bool, int, int]]()
    for trade, member in ends_of(day, day.stopped):
        false, both = hidden_from(day, trade, member)
        assert between(both[:1]) == between([both[0], both[0]]) == []
        (fault,) = between(both)
        assert fault.function == "challengeMissing"
        assert fault.says.endswith(f"trade {trade.number} has a line of one end alone")
        (missing,) = fault.arguments
        assert isinstance(missing, Missing)
        assert (missing.trade, missing.sells, missing.own.member) == (trade, member == trade.seller, member)
        seen.add((missing.sells, missing.place == 0, len(missing.around), len(missing.behind)))
        proved(day, false, fault)
    assert {sells for sells, *_ in seen} == {True, False}
    # Where no line is left, where lines stand on both sides, before it alone or behind it alone.
    assert {(first, around) for _, first, around, _ in seen} >= {(True, 0), (True, 1), (False, 1), (False, 2)}


def test_a_committed_trade_that_no_end_has_a_line_of_is_shown_by_whatever_document(struck: Opened) -> None:
    day, _ = struck
    agreed = day.stopped.delivered.committed
    for trade in agreed.records:
        promise = promised(agreed, trade.buyer)[trade.number]
        one = without(day.stopped, trade, trade.seller)
        lines = [each for each in booked_by(day.stopped, trade.buyer) if each.trade != trade]
        false = booking(replace(one, records=day.stopped.records, account=day.stopped.account), trade.buyer, lines)
        for member in (trade.buyer, trade.seller):
            page = page_of(day, false, member)
            assert between([page]) == []
            (fault,) = between([page], [promise])
            assert fault.says.endswith(f"trade {trade.number}, which was committed before delivery, is left out")
            proved(day, false, fault)


def test_trades_are_believed_to_be_committed_by_what_the_chain_holds(struck: Opened) -> None:
    day, member = struck
    page, (_, proof) = page_of(day, day.stopped, member), entry_of(day, day.stopped, member)
    beside, post = ways(page.trades, proof), day.stopped.post
    commitment = day.exchange.client.commitment(post.slot)
    kept = promised(day.stopped.delivered.committed, member)
    found = committed(page.trades, beside, post, commitment)
    assert {each.record.number: each for each in found} == kept
    assert found
    dearer = [replace(each, trade=replace(each.trade, price=each.trade.price + 1)) for each in page.trades]
    for trades, orders, held in (
        (page.trades, post.orders, None),
        (page.trades, post.orders, bytes(32)),
        (page.trades, bytes(32), commitment),
        (dearer, post.orders, commitment),
    ):
        assert committed(trades, beside, replace(post, orders=orders), held) == []
    assert committed(page.trades, beside, replace(post, slot=post.slot + 3600), commitment) == []


def test_two_ends_that_settle_differently(struck: Opened) -> None:
    day, member = struck
    false, other = with_two_ends(day, day.stopped, member)
    assert [look(day, false, day.stopped, each) for each in (member, other)] == [[], []]
    pages = [page_of(day, false, each) for each in (member, other)]
    assert between(pages[:1]) == between([pages[0], pages[0]]) == []
    (fault,) = between(pages)
    assert fault.function == "challengeSides"
    assert [each.function for each in between(pages[::-1])] == ["challengeSides"]
    proved(day, false, fault)


def cut(day: Day, honest: Posted, trade: Trade, wh: int, counted: tuple[int, int]) -> Posted:
    """A committed trade settles so much [Wh], though each meter counted so much into the home and out of it."""
    drawn, fed = counted
    read = with_reading(day, honest, trade.buyer, wh_in=drawn, wh_out=0)
    read = with_reading(day, read, trade.seller, wh_in=0, wh_out=fed)
    return with_trade(day, read, trade.number, wh)


def cut_trade(day: Day) -> Trade | None:
    """A committed trade whose buyer pays for a later one."""
    settled = day.stopped.account.settled.tolist()
    paid = [trade for trade in day.stopped.records if payment(settled[trade.number], trade.price)]
    agreed = day.stopped.delivered.committed.records
    later = {trade.buyer: trade.number for trade in paid}
    return next((trade for trade in agreed if trade.number < later.get(trade.buyer, -1)), None)


@pytest.mark.parametrize("settled", [0, 1, -1])
def test_a_committed_trade_that_is_cut_though_all_was_there(struck: Opened, settled: int) -> None:
    """settled : of it [Wh]; -1 = all but one"""
    day, _ = struck
    trade = cut_trade(day)
    assert trade
    wh = settled if settled >= 0 else trade.wh - 1
    false = cut(day, day.stopped, trade, wh, (10**6, 10**6))
    pages = pages_of(day, false)
    (fault,) = between(pages)
    assert (fault.function, f"settles {wh} of {trade.wh} Wh" in fault.says) == ("challengeCut", True)
    assert isinstance(fault.arguments[0], Cut)
    proved(day, false, fault)
    # What a page shows beside the reading that its statement names shows nothing.
    for number in (trade.buyer, trade.seller):
        reading, other = pages[number].reading, list(pages)
        assert reading
        other[number] = replace(pages[number], reading=replace(reading, sequence=0))
        assert between(other) == []


def test_a_trade_that_is_cut_as_far_as_was_not_there_is_no_fault(tmp_path: Path) -> None:
    """One meter counted a Wh less than was ordered, or the buyer pays for nothing behind it; nor is it one whole."""
    day = opened(tmp_path)
    day.until_rich()
    trade, client = cut_trade(day), day.exchange.client
    assert trade
    signed = day.stopped.delivered.committed.cleared.declared.signed
    ordered = {order.hash: order.record.wh for order in signed}
    bought, sold = ordered[trade.buy_order], ordered[trade.sell_order]
    false = cut(day, day.stopped, trade, 0, (bought, sold))
    (proof,) = between(pages_of(day, false))
    assert proof.function == "challengeCut"
    later = [each for each in day.stopped.records if each.buyer == trade.buyer and each.number > trade.number]
    unpaid = false
    for each in later:
        unpaid = with_trade(day, unpaid, each.number, 0)
    right = [
        cut(day, day.stopped, trade, 0, (bought - 1, sold)),
        cut(day, day.stopped, trade, 0, (bought, sold - 1)),
        cut(day, day.stopped, trade, trade.wh, (bought, sold)),
        unpaid,
    ]
    for posted in right:
        assert [each for each in between(pages_of(day, posted)) if each.function == "challengeCut"] == []
    at = publish(day, right[0])
    with pytest.raises(Reverted):
        DisputesClient(client).challenge(client.key, "challengeCut", right[0].post, proof.arguments, at=at)
    day.close()


def test_a_trade_with_a_member_that_has_no_statement(tmp_path: Path) -> None:
    """Who joined after the slot needs none, and then no one has traded with it."""
    day = opened(tmp_path)
    member, client, newcomer = day.until_rich(), day.exchange.client, Key.derive(b"tests", "a newcomer")
    at = max(client.node.head.timestamp, day.stopped.post.slot) + 1
    index = CommunityClient(client).register(Enrolment(newcomer.address, Role.CONSUMER), at=at)
    draft = Mandate(newcomer.address, newcomer.address, "", 0, 0, 0, 0, 0, at, 1)
    mandate = sign(client.domain, draft, newcomer)

    def page_of_the_newcomer(posted: Posted) -> Page:
        document = excerpt(posted, index, mandate, client)
        line, proof = document["content"]["slots"][0], document["proofs"][str(posted.post.slot)]
        assert faults(line, proof, index, mandate, chain_of(posted.post, index, client), posted.post) == []
        return read(line, proof, index, mandate, client.domain, posted.post)

    assert between([*pages_of(day, day.stopped), page_of_the_newcomer(day.stopped)]) == []
    false = with_a_number(day, day.stopped, member, index)
    assert look(day, false, day.stopped, member) == []
    (fault,) = between([page_of(day, false, member), page_of_the_newcomer(false)])
    number = next(trade.number for trade in false.records if index in (trade.buyer, trade.seller))
    says = f"trade {number} is with member {index}, who has no statement"
    assert (fault.function, fault.says.partition(": ")[2]) == ("challengeAbsent", says)
    proved(day, false, fault)
    day.close()


def test_by_registers_each_of_them_is_compared_alone(struck: Opened) -> None:
    """By net neither home had what was ordered."""
    day, _ = struck
    trade = cut_trade(day)
    assert trade
    read = with_reading(day, day.stopped, trade.buyer, wh_in=10**6, wh_out=10**6)
    read = with_reading(day, read, trade.seller, wh_in=10**6, wh_out=10**6)
    pages = pages_of(day, with_trade(day, read, trade.number, 0))
    assert [fault.function for fault in between(pages)] == []
    assert [fault.function for fault in between(pages, by_registers=True)] == ["challengeCut"]


def test_pages_of_two_posts_are_not_compared(struck: Opened) -> None:
    day, _ = struck
    trade = day.stopped.records[-1]
    hidden, both = hidden_from(day, trade, trade.buyer)
    assert between(both)
    other = page_of(day, day.stopped, trade.seller)
    assert hash_struct(other.post) != hash_struct(hidden.post)
    assert between([page for page in both if page.member == trade.buyer] + [other]) == []
