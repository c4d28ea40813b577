"""Members that take their money away, or have none: the slot settles, and the rest meets the utility."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from by_slot import proven, verify_bill
from exchange_cases import COMMUNITY, begin, exchange_of, homes_of, short_days

from commonwatt.errors import Reverted
from commonwatt.exchange.events import GateClosure, SlotEnd
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.simulation.simulation import Simulation
from commonwatt.units import IntArray

RICH = COMMUNITY.replace('collateral = "0.05"', 'collateral = "20"')
SUN, ROOF, FLAT, SHOP = range(4)
FIRST = 7
"""Local hour of the first of eight slots."""


@pytest.fixture(autouse=True)
def _short() -> Iterator[None]:
    with short_days(FIRST):
        yield


def ledger_of(simulation: Simulation) -> LedgerClient:
    return exchange_of(simulation).client


def until_local_hour(simulation: Simulation, hour: int) -> None:
    """Every event up to the end of the slot that begins at `hour`, of a run whose clocks do not change."""
    while simulation.exchange.done < hour - FIRST + 1:
        simulation.advance()


def withdraw_everything(simulation: Simulation, member: int) -> int:
    client = ledger_of(simulation)
    key = homes_of(simulation).keys.members[member]
    at = client.node.head.timestamp + 1
    client.pay(key.address, 10**18, at=at)  # for gas
    lanes = int(client.free_balances()[member])
    client.request_withdrawal(key, lanes, at=at + 1)
    return lanes


def assert_conserved(simulation: Simulation, withdrawn: int = 0) -> None:
    client = ledger_of(simulation)
    assert client.balances().sum() + withdrawn == sum(
        member.collateral for member in simulation.rules.community.members
    )


def trades_after(simulation: Simulation, hour: int) -> IntArray:
    """Buyer, seller, agreed and settled energy of every trade in slots from local `hour` on, shape (4, trades)."""
    from commonwatt.exchange import tables

    rows = simulation.store.columns(tables.trades, ("slot", "buyer", "seller", "wh", "settled"))
    start = simulation.rules.period.start + (hour - FIRST) * 3600
    return np.array([row[1:] for row in rows if row[0] >= start], dtype=np.int64).reshape(-1, 4).T


@pytest.mark.parametrize("window", ["0s", "2h"])
def test_a_buyer_that_withdraws_everything_between_clearing_and_settlement(tmp_path: Path, window: str) -> None:
    simulation = begin(tmp_path, RICH + f'\n[ledger]\nwindow = "{window}"\n')
    until_local_hour(simulation, 9)
    asked = withdraw_everything(simulation, FLAT)
    result = simulation.run()
    buyer, _, agreed, settled = trades_after(simulation, 10)
    assert agreed[buyer == FLAT].sum() > 0
    assert settled[buyer == FLAT].sum() == 0
    assert settled[buyer == SHOP].sum() > 0  # the rest of the slot is unharmed
    a = result.arrays
    assert (a["grid"][FLAT, 10 - FIRST :] == a["net"][FLAT, 10 - FIRST :]).all()
    assert (a["ahead"] + a["after"] + a["grid"] == a["net"]).all()
    assert result.charges.neighbours.sum() == 0

    client, keys = ledger_of(simulation), homes_of(simulation).keys
    assert keys
    held = int(client.balances()[FLAT])
    client.claim_withdrawal(keys.members[FLAT], at=client.node.head.timestamp + 20_000)
    assert client.balances()[FLAT] == held - min(asked, held)
    assert min(asked, held) > 19_000_000
    assert_conserved(simulation, withdrawn=min(asked, held))
    simulation.close()


def test_a_seller_that_withdraws_everything_sells_on(tmp_path: Path) -> None:
    simulation = begin(tmp_path, RICH)
    until_local_hour(simulation, 9)
    asked = withdraw_everything(simulation, SUN)
    result = simulation.run()
    _, seller, _, settled = trades_after(simulation, 10)
    assert settled[seller == SUN].sum() > 0
    client, keys = ledger_of(simulation), homes_of(simulation).keys
    assert keys
    earned = client.balances()[SUN] - asked
    assert earned == result.arrays["credit"][SUN, 10 - FIRST :].sum() > 0
    client.claim_withdrawal(keys.members[SUN], at=client.node.head.timestamp + 20_000)
    assert client.balances()[SUN] == earned
    assert_conserved(simulation, withdrawn=asked)
    simulation.close()


def test_who_owes_a_pending_post_gets_what_is_left(tmp_path: Path) -> None:
    """The request comes while posts wait for their window; their debits are served before the claim."""
    simulation = begin(tmp_path, RICH + '\n[ledger]\nwindow = "3h"\n')
    until_local_hour(simulation, 11)
    owed = -sum(int(message.credit[FLAT]) for message in exchange_of(simulation).outbox.pending)
    assert owed > 0
    asked = withdraw_everything(simulation, FLAT)
    held = int(ledger_of(simulation).balances()[FLAT])
    assert asked == held
    client, keys = ledger_of(simulation), homes_of(simulation).keys
    assert keys
    with pytest.raises(Reverted, match="NotYetClaimable"):
        client.claim_withdrawal(keys.members[FLAT], at=client.node.head.timestamp + 1)
    simulation.run()
    assert client.balances()[FLAT] == held - owed
    client.claim_withdrawal(keys.members[FLAT], at=client.node.head.timestamp + 40_000)
    assert client.balances()[FLAT] == 0
    assert_conserved(simulation, withdrawn=held - owed)
    simulation.close()


def test_a_withdrawal_survives_a_restart(tmp_path: Path) -> None:
    from datetime import date

    simulation = begin(tmp_path, RICH)
    until_local_hour(simulation, 9)
    withdraw_everything(simulation, FLAT)
    simulation.advance()
    simulation.close()
    again = Simulation(simulation.rules.community, tmp_path, date(2026, 6, 15), 1, out=tmp_path / "out")
    result = again.run()
    buyer, _, _, settled = trades_after(again, 10)
    assert settled[buyer == FLAT].sum() == 0
    assert result.ledger
    assert result.ledger.balances == result.ledger.deposits
    again.close()


def test_a_community_without_collateral_buys_everything_from_the_utility(tmp_path: Path) -> None:
    text = COMMUNITY.replace('collateral = "20"', "").replace(', collateral = "0.05"', "")
    simulation = begin(tmp_path, text)
    result = simulation.run()
    assert (result.arrays["credit"] == 0).all()
    assert (result.arrays["grid"] == result.arrays["net"]).all()
    assert (result.charges.total == result.charges_without_market.total).all()
    assert result.trades.height > 0
    assert result.trades["settled_wh"].sum() == 0

    for bill in proven(result.books, result.bills):
        verify_bill(bill, ledger_of(simulation))
    simulation.close()


def test_while_posts_wait_their_debits_are_not_free_and_their_credits_not_yet(tmp_path: Path) -> None:
    simulation = begin(tmp_path, RICH + '\n[ledger]\nwindow = "5h"\n')
    until_local_hour(simulation, 12)
    client, waiting = ledger_of(simulation), exchange_of(simulation).outbox.pending
    assert len(waiting) == 5
    for message in waiting:
        posting = client.posted(message.post.slot, 0)
        assert posting
        assert not posting.final
    changes = np.array([message.credit for message in waiting])
    assert (exchange_of(simulation).outbox.free() == client.balances() + np.minimum(changes, 0).sum(axis=0)).all()
    assert (changes != 0).any()
    simulation.run()
    assert exchange_of(simulation).outbox.pending == []
    for start in simulation.rules.period.starts.tolist():
        posting = client.posted(start, 0)
        assert posting
        assert posting.final
    assert_conserved(simulation)
    simulation.close()


@pytest.mark.parametrize(
    ("window", "grace"),
    [("100s", "1min"), ("5h", "10min"), ("2d", "1h")],
    ids=["within a slot", "of several slots", "longer than the day"],
)
def test_every_post_becomes_final_within_its_own_grace(tmp_path: Path, window: str, grace: str) -> None:
    simulation = begin(tmp_path, COMMUNITY + f'\n[ledger]\nwindow = "{window}"\ngrace = "{grace}"\n')
    result = simulation.run()
    client = ledger_of(simulation)
    assert all((posting := client.posted(start, 0)) and posting.final for start in result.period.starts.tolist())
    assert result.ledger
    assert result.ledger.balances == result.ledger.deposits
    simulation.close()


def test_what_was_bought_for_today_is_not_free_for_tomorrow(tmp_path: Path) -> None:
    """At noon the second gate closes while the afternoon's trades are still to be paid."""
    with short_days(FIRST, 24):  # until 6:00 of the second day
        simulation = begin(tmp_path, RICH, days=2)
    gates = [number for number, event in enumerate(simulation.rules.events) if isinstance(event, GateClosure)]
    while simulation.exchange.done < gates[1] - 1:
        simulation.advance()
    assert isinstance(simulation.rules.events[gates[1] - 1], SlotEnd)
    owed = np.zeros(5, dtype=np.int64)
    for slot in simulation.exchange.committed.values():
        trades = slot.cleared.trades
        np.add.at(owed, trades.buyer, trades.wh * trades.price // 1000)
    assert owed.any()
    # Leave the buyer that owes most nothing beyond what it owes.
    poorest = int(owed.argmax())
    free = int(exchange_of(simulation).outbox.free()[poorest])
    client, keys = ledger_of(simulation), homes_of(simulation).keys
    assert keys
    at = client.node.head.timestamp + 1
    client.pay(keys.members[poorest].address, 10**18, at=at)
    client.request_withdrawal(keys.members[poorest], free - int(owed[poorest]), at=at + 1)
    simulation.advance()
    tomorrow = [slot.cleared.declared for slot in list(simulation.exchange.committed.values())[-7:]]
    assert all(poorest not in declared.orders.member[declared.orders.side == 0] for declared in tomorrow)
    refused = {reason for declared in tomorrow for member, reason in declared.refused if member == poorest}
    assert refused
    assert all("only 0.00 EUR of collateral is free" in reason for reason in refused)
    simulation.close()
