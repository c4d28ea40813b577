"""A community's side of trades with another one: posts, corrections, restarts, bills."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from coupling_cases import Pair, pair

from commonwatt.errors import LedgerError, RecordError, SequenceError, SignatureError
from commonwatt.exchange import rows
from commonwatt.exchange.bills import proven
from commonwatt.exchange.coupler import Coupler, Offer
from commonwatt.exchange.events import Correction
from commonwatt.exchange.states import Readings
from commonwatt.exchange.swap import Step
from commonwatt.member.verify import verify_bill
from commonwatt.meter import SimulatedMeter
from commonwatt.study.coupling.sides import Side


@pytest.fixture(scope="module")
def two() -> Iterator[Pair]:
    with pair() as found:
        yield found


def corrected(side: Side, slot: int, at: int) -> str:
    return side.exchange.obstacle(Correction(at, slot))


def test_nothing_corrects_a_slot_while_its_trade_stands_or_is_final(two: Pair) -> None:
    wanted, plan = two.begun()
    for side in (two.a, two.b):
        assert "traded with another community" in corrected(side, wanted.slot, two.at)
        assert "traded with another community" in side.coupler.obstacle(wanted.slot, two.at)
    two.wait_for(plan, Step.REVEAL)
    two.gateway.go_on(two.at)
    two.wait_for(plan, Step.APPLY)
    two.ledgers.go_on(two.at)
    for side in (two.a, two.b):
        assert side.coupler.keep(two.at) == [wanted.slot]
        assert side.coupler.keep(two.at) == []
        assert rows.is_coupled(side.exchange.store, wanted.slot, 1)
        assert "traded with another community" in corrected(side, wanted.slot, two.at)
        assert int(side.coupler.shares_of(wanted.slot).sum()) == wanted.wh


def test_a_correction_comes_first_and_the_trade_is_the_revision_after_it(two: Pair) -> None:
    slot, side = two.bargain().slot, two.a
    exchange, meter = side.exchange, side.keys.meters[0]
    assert meter is not None
    before = rows.read_delivered(exchange.store, slot, exchange.meters_of(slot), 0).net
    net = np.where(np.arange(len(before)) == 0, before - 40, 0)
    reading = SimulatedMeter(meter, exchange.domain).read(slot, 0, int(-net[0]), 10_000)
    others = (None,) * (len(before) - 1)
    late = Readings(net, (reading, *others), frozenset(range(1, len(before))))
    assert exchange.correct(Correction(two.at, slot), late)
    assert "when it is final" in side.coupler.obstacle(slot, two.at)
    two.pass_time(exchange.client.terms.window + 2)

    wanted, plan = two.begun()
    assert wanted.slot == slot
    for due in (Step.REVEAL, Step.APPLY):
        two.wait_for(plan, due)
        two.gateway.go_on(two.at)
    assert [each.coupler.keep(two.at) for each in (two.a, two.b)] == [[slot], [slot]]
    assert [rows.revision_of(each.exchange.store, slot) for each in (two.a, two.b)] == [2, 1]
    assert exchange.recalled(slot, 2).post == exchange.client.announced(slot, 2)
    with pytest.raises(RecordError, match="traded with another community"):
        exchange.correct(Correction(two.at, slot), late)


def test_bills_wait_for_what_may_still_be_traded(two: Pair) -> None:
    wanted, plan = two.begun()
    with pytest.raises(LedgerError, match=f"Slot {wanted.slot} may still be traded"):
        two.a.exchange.anchor(bytes(31) + b"1")
    two.wait_for(plan, Step.NEITHER)


def test_when_nothing_came_of_a_trade_the_slot_is_as_before(two: Pair) -> None:
    wanted, plan = two.begun()
    free = two.a.exchange.free()[two.a.gateway]
    assert free < two.a.balances()[two.a.gateway]
    two.wait_for(plan, Step.NEITHER)
    two.pass_time(4 * 3600)
    assert two.a.exchange.free()[two.a.gateway] == two.a.balances()[two.a.gateway]
    for side in (two.a, two.b):
        assert side.coupler.keep(two.at) == []
        assert corrected(side, wanted.slot, two.at) == ""
    again = two.plan(wanted)
    two.post(two.b, wanted, again)
    assert again.lock != plan.lock


def test_what_a_community_does_not_post(two: Pair) -> None:
    wanted = two.bargain(skip=2)
    plan = two.plan(wanted)
    good = two.a.offer(wanted.slot, wanted.wh, wanted.price_a, plan.lock, plan.until_a)
    number = good.reading.record.sequence
    meter = SimulatedMeter(two.a.keys.meters[two.a.gateway] or two.a.keys.operator, two.a.exchange.domain)
    stranger = SimulatedMeter(two.a.keys.operator, two.a.exchange.domain)
    most = two.a.coupler.side(wanted.slot, wanted.price_a).most

    def read(wh_in: int, wh_out: int = 0, number: int = number, by: SimulatedMeter = meter) -> Offer:
        return replace(good, reading=by.read(wanted.slot, wh_in, wh_out, number))

    refused = [
        (replace(good, lock=bytes(32)), RecordError, "a lock and an end"),
        (replace(good, until=0), RecordError, "a lock and an end"),
        (replace(good, price=two.a.limit(wanted.slot) - 1), RecordError, "the utility is better"),
        (read(most + 1), RecordError, "cannot be traded"),
        (read(0, wanted.wh), RecordError, "cannot be traded"),
        (read(0), RecordError, "cannot be traded"),
        (read(wanted.wh, number=1), SequenceError, "only a higher number"),
        (read(wanted.wh, by=stranger), SignatureError, "is signed by"),
    ]
    for offer, error, says in refused:
        with pytest.raises(error, match=says):
            two.a.coupler.post(offer, two.at)
    assert two.a.exchange.client.posted(wanted.slot, 1) is None


def test_whoever_was_stopped_finds_the_trade_again_and_every_bill_verifies(tmp_path: Path) -> None:
    with pair(tmp_path) as first:
        wanted, plan = first.begun()
        first.wait_for(plan, Step.REVEAL)
        first.gateway.go_on(first.at)
    with pair(tmp_path) as second:
        assert second.b.coupler.shares_of(wanted.slot).sum() == wanted.wh
        held = second.a.balances()[second.a.gateway] - second.a.exchange.free()[second.a.gateway]
        assert 0 < held <= wanted.wh * wanted.price_a // 1000
        second.at = first.at + 1
        second.ledgers.go_on(second.at)
    with pair(tmp_path) as third:
        assert third.ledgers.step(plan, third.at) is Step.BOTH
        for side in (third.a, third.b):
            assert rows.revision_of(side.exchange.store, wanted.slot) == 1
            result = side.day.run()
            traded = result.trades.filter(result.trades["stage"] == "other community")
            assert traded["settled_wh"].sum() == wanted.wh
            bills = list(proven(result.books, result.bills))
            assert len(bills) == len(side.names)
            for bill in bills:
                assert verify_bill(bill, side.exchange.client)


def test_two_gateways_do_not_take_each_others_trades(two: Pair) -> None:
    other = Coupler(two.a.exchange, 0, surplus=True)
    assert other.keep(two.at) == []
