"""Both or neither on two chains: the gateway's rules against the contracts as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from coupling_cases import Pair, pair

from commonwatt.errors import LedgerError, Reverted
from commonwatt.exchange.gateway import Gateway, Ledgers
from commonwatt.exchange.swap import Plan, Step
from commonwatt.ledger.client.locks import key_of
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.proof import keccak
from commonwatt.study.coupling.run import LASTS, TICK, TIMES, Bargain, bargain
from commonwatt.study.coupling.sides import Side


@pytest.fixture(scope="module")
def two() -> Iterator[Pair]:
    """Each test takes the next slot."""
    with pair() as found:
        yield found


@pytest.fixture
def fresh() -> Iterator[Pair]:
    """For a test that takes money away."""
    with pair() as found:
        yield found


def finals(two: Pair, slot: int) -> tuple[bool, bool]:
    def final(side: Side) -> bool:
        posting = side.exchange.client.posted(slot, 1)
        return posting is not None and posting.final

    return final(two.a), final(two.b)


class Watched:
    """A chain that notes all that it is told before a transaction is in a block, and may be stopped on the way."""

    def __init__(self, chain: Any) -> None:
        self._chain = chain
        self.asked: list[bytes] = []
        self.stops: Callable[[], None] = lambda: None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chain, name)

    def call(self, to: bytes, data: bytes, sender: bytes = b"\0" * 20) -> bytes:
        self.asked.append(data)
        answer: bytes = self._chain.call(to, data, sender)
        return answer

    def confirm(self, transactions: Any, timestamp: int) -> Any:
        self.stops()
        return self._chain.confirm(transactions, timestamp)


def watched(two: Pair) -> tuple[Gateway, Watched, Watched]:
    """The gateway on chains that are watched."""
    a, b = Watched(two.a.chain), Watched(two.b.chain)
    ledgers = Ledgers(on(a, two.a), on(b, two.b), TIMES)
    return Gateway(ledgers, two.gateway.key), a, b


def on(chain: Watched, side: Side) -> LedgerClient:
    node: Any = chain
    return LedgerClient(node, side.keys.members[side.gateway], side.exchange.client.addresses)


def test_no_question_tells_the_key(two: Pair) -> None:
    gateway, a, b = watched(two)
    wanted, plan = two.begun()
    two.wait_for(plan, Step.REVEAL)
    assert gateway.go_on(two.at) == {wanted.slot: Step.REVEAL}
    key = gateway.key_of(wanted.slot, plan.until_b)
    assert key_of(two.b.exchange.client, plan.lock) == key
    finalise = [data for data in (*a.asked, *b.asked) if plan.lock in data]
    assert len(finalise) >= 2
    assert not any(key in data for data in (*a.asked, *b.asked))


def test_anybody_applies_the_other_post_with_the_key_from_the_chain(two: Pair) -> None:
    wanted, plan = two.begun()
    with pytest.raises(LedgerError, match="shows no key"):
        two.ledgers.apply_a(plan, two.at)
    two.wait_for(plan, Step.REVEAL)
    two.gateway.go_on(two.at)
    assert finals(two, wanted.slot) == (False, True)
    member = two.a.client_of(two.a.keys.members[1]), two.b.client_of(two.b.keys.members[1])
    two.pass_time()
    Ledgers(*member, TIMES).go_on(two.at)
    assert finals(two, wanted.slot) == (True, True)
    assert two.ledgers.step(plan, two.at) is Step.BOTH


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_false_post_on_either_side_leaves_both_where_they_were(two: Pair, name: str) -> None:
    before = two.a.balances(), two.b.balances()
    wanted = two.bargain()
    plan = two.plan(wanted)
    for side, price, until in ((two.b, wanted.price_b, plan.until_b), (two.a, wanted.price_a, plan.until_a)):
        offer = side.offer(wanted.slot, wanted.wh, price, plan.lock, until)
        side.post(offer, two.at, false=side is getattr(two, name))
    two.pass_time()
    getattr(two, name).object_to(two.at)
    assert getattr(two, name).exchange.client.posted(wanted.slot, 1) is None
    while two.at <= plan.until_a:
        two.gateway.go_on(two.at)
        two.pass_time()
    assert finals(two, wanted.slot) == (False, False)
    assert (two.a.balances() == before[0]).all()
    assert (two.b.balances() == before[1]).all()


def test_when_nobody_in_a_is_awake_it_is_half(two: Pair) -> None:
    """What the rules cannot do without: somebody on the paying side within the margin."""
    wanted, plan = two.begun()
    two.wait_for(plan, Step.REVEAL)
    two.gateway.go_on(two.at)
    two.wait_for(plan, Step.HALF)
    assert two.at > plan.until_a
    with pytest.raises(Reverted, match="Expired"):
        two.ledgers.apply_a(plan, two.at)
    assert finals(two, wanted.slot) == (False, True)


@pytest.mark.parametrize("step", [Step.WAIT, Step.REVEAL, Step.APPLY])
@pytest.mark.parametrize("sent", [False, True])
def test_a_gateway_that_is_killed_finds_everything_again(two: Pair, step: Step, sent: bool) -> None:
    """sent : whether its transaction is on its way when it is killed, and in no block yet"""
    gateway, a, b = watched(two)

    def killed() -> None:
        raise KeyboardInterrupt

    wanted, plan = two.begun()
    if step is Step.APPLY:
        two.wait_for(plan, Step.REVEAL)
        two.gateway.go_on(two.at)
    two.wait_for(plan, step)
    if sent and step is not Step.WAIT:
        a.stops = b.stops = killed
        with pytest.raises(KeyboardInterrupt):
            gateway.go_on(two.at)
    del gateway
    two.pass_time()
    again, *_ = watched(two)
    for _ in range(100):
        if not again.go_on(two.at):
            break
        two.pass_time()
    assert two.ledgers.step(plan, two.at) is Step.BOTH
    assert finals(two, wanted.slot) == (True, True)


def test_the_gateway_buys_no_more_than_its_money_in_a(fresh: Pair) -> None:
    wanted = fresh.bargain()
    client = fresh.a.client_of(fresh.a.keys.members[fresh.a.gateway])
    held = int(fresh.a.balances()[fresh.a.gateway])
    client.request_withdrawal(client.key, held - 1_000, at=fresh.at)
    poor = bargain(fresh.a, fresh.b, wanted.slot)
    assert poor is not None
    assert poor.wh == 1_000 * 1_000 // poor.price_a < wanted.wh
    client.request_withdrawal(client.key, 1_000, at=fresh.at)
    assert bargain(fresh.a, fresh.b, wanted.slot) is None


def test_money_that_is_asked_back_while_a_post_waits_is_there_when_it_is_due(fresh: Pair) -> None:
    wanted, plan = fresh.begun()
    client = fresh.a.client_of(fresh.a.keys.members[fresh.a.gateway])
    client.request_withdrawal(client.key, int(client.free_balances()[fresh.a.gateway]), at=fresh.at)
    fresh.wait_for(plan, Step.REVEAL)
    fresh.gateway.go_on(fresh.at)
    while fresh.at + TICK <= plan.until_a:
        fresh.pass_time()
    with pytest.raises(Reverted, match="NotYetClaimable"):
        client.claim_withdrawal(client.key, at=fresh.at)
    fresh.ledgers.go_on(fresh.at)
    assert finals(fresh, wanted.slot) == (True, True)


def test_a_demand_that_is_not_answered_keeps_the_key_hidden(two: Pair) -> None:
    wanted, plan = two.begun(LASTS)
    two.pass_time()
    two.a.demand(two.at, answered=False)
    while two.at <= plan.until_a:
        assert two.gateway.go_on(two.at).get(wanted.slot, Step.WAIT) is Step.WAIT
        two.pass_time()
    two.a.lapse(two.at)
    assert finals(two, wanted.slot) == (False, False)


def test_a_fault_that_its_makers_keep_back_costs_them_more_than_the_trade(two: Pair) -> None:
    """Not prevented: a false post is deleted after its window, when the other one is final."""
    wanted = two.bargain()
    plan = two.plan(wanted)
    two.post(two.b, wanted, plan)
    offer = two.a.offer(wanted.slot, wanted.wh, wanted.price_a, plan.lock, plan.until_a)
    two.a.post(offer, two.at, false=True)
    two.wait_for(plan, Step.REVEAL)
    two.gateway.go_on(two.at)
    client, operator = two.a.exchange.client, two.a.keys.operator.address
    staked, _ = client.bond_of(operator)
    two.a.object_to(two.at)
    assert two.ledgers.step(plan, two.at) is Step.HALF
    left, _ = client.bond_of(operator)
    assert staked - left == client.terms.bond
    assert wanted.wh * wanted.price_a // 1_000 <= client.terms.bond // 2


def test_the_gateway_shows_no_key_for_less_than_it_pays(two: Pair) -> None:
    wanted = two.bargain()
    two_prices = replace(wanted, price_b=wanted.price_a - 1_000)
    plan = two.plan(wanted)
    two.post(two.b, two_prices, plan)
    two.post(two.a, two_prices, plan)
    two.wait_for(plan, Step.REVEAL)
    assert two.gateway.go_on(two.at) == {wanted.slot: Step.WAIT}
    two.wait_for(plan, Step.NEITHER)


def test_the_gateway_shows_no_key_that_opens_more_than_one_trade(two: Pair) -> None:
    wanted, other = two.bargain(), two.bargain(skip=1)
    plan = two.plan(wanted)
    two.post(two.b, wanted, plan)
    two.post(two.a, wanted, plan)
    two.post(two.a, other, plan)
    two.wait_for(plan, Step.REVEAL)
    assert two.gateway.go_on(two.at)[wanted.slot] is Step.WAIT
    two.wait_for(plan, Step.NEITHER)


def test_keys_are_of_one_trade_alone(two: Pair) -> None:
    keys = {two.gateway.key_of(slot, until) for slot in (1, 2) for until in (3, 4)}
    keys.add(Gateway(two.ledgers, two.a.keys.operator).key_of(1, 3))
    swapped = Ledgers(two.ledgers.b, two.ledgers.a, TIMES)
    keys.add(Gateway(swapped, two.gateway.key).key_of(1, 3))
    assert len(keys) == 6
    assert two.gateway.lock_of(1, 3) == keccak(two.gateway.key_of(1, 3))
    assert isinstance(two.plan(Bargain(1, 1, 1, 1)), Plan)
