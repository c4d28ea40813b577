"""Two days of June in which a community changes: who joins, meters, mandates and accounts that others replace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from enrolled_cases import AGENT, HOUR, METER, NEW, OTHER, WALLET
from exchange_cases import COMMUNITY, begin, exchange_of, homes_of

from commonwatt.community.roles import Role
from commonwatt.community.wording import mandate_text
from commonwatt.exchange.enrolled import Enrolled
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.founding import claim
from commonwatt.exchange.live import Live
from commonwatt.exchange.months import Months
from commonwatt.exchange.outbox import signatures
from commonwatt.exchange.rules import Rules
from commonwatt.ledger.client.community import CommunityClient
from commonwatt.ledger.client.settlement import Enrolment
from commonwatt.meter import SimulatedMeter
from commonwatt.proof import Key, sign, sign_basket
from commonwatt.records import BUY, SELL, Mandate, Order, Signed
from commonwatt.simulation import simulation

FIRST, MONTH = "2026-06-29", "2026-06"
FLAT, POOR = 2, 4
HEIR = Key.derive(b"heir", "wallet")
HEIRS_AGENT = Key.derive(b"heir", "agent")
BILL_AFTER = 6 * HOUR
DAY = 86_400


class Changing:
    """A living community with a ledger that was founded eight days before, as long as a lost key takes."""

    def __init__(self, folder: Path, *, window: str = "0s") -> None:
        self.folder = folder
        self.text = COMMUNITY.replace('gate = "12:00"', 'gate = "1h"') + f'\n[ledger]\nwindow = "{window}"\n'
        self.open()
        self.start, self.end = self.rules.period.start, self.rules.period.end
        self.numbers: dict[bytes, int] = {}
        self.late: dict[tuple[int, int], int] = {}
        self.actions: dict[int, Callable[[], object]] = {}

    def open(self) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(simulation, "claim", partial(_claimed_before, claim))
            self.simulation = begin(self.folder, self.text, days=2, start=FIRST)
        founded = exchange_of(self.simulation)
        self.client, self.rules, self.homes = founded.client, founded.rules, homes_of(self.simulation)
        self.store, self.community = founded.store, CommunityClient(founded.client)
        self.roster = Enrolled(founded.store, founded.client, founded.rules.community)
        self.roster.follow()
        self.exchange = Exchange(founded.rules, founded.store, founded.client, founded.outbox.quorum, self.roster)
        self.live = Live(self.exchange, self.roster, lambda _: founded.rules, wait=60)
        self.months = Months(self.exchange, self.roster, self.rules_of, self.folder / "bills", BILL_AFTER)

    def close(self) -> None:
        self.simulation.close()

    def rules_of(self, first: date, days: int) -> Rules:
        return Rules.of(self.rules.community, self.folder, first, days)

    def run(self, until: int) -> None:
        """Hour by hour: what is scheduled, orders, readings of the slot that is over, and what is due."""
        for now in range(self.start - 2 * HOUR, until + 1, HOUR):
            if now in self.actions:
                self.actions[now]()
            self.order(now + 2 * HOUR, now)
            self.read(now - HOUR, now, lambda slot, member: (slot, member) not in self.late)
            for slot, _ in [each for each, at in self.late.items() if at == now]:
                self.read(slot, now, lambda slot, member: (slot, member) in self.late)
            self.live.advance(now + 60)

    def order(self, slot: int, now: int) -> None:
        """The flat buys ahead and the newcomer sells ahead, where they may; nobody else orders."""
        if not self.start <= slot < self.end or (slot // HOUR) % 2:
            return
        flat = self.homes.keys.members[FLAT].address
        agents = {flat: self.homes.keys.agents[FLAT], HEIR.address: HEIRS_AGENT, WALLET.address: AGENT}
        present = self.roster.at(slot).mandates
        accounts = [
            (present[member].record.member, side)
            for member, side in ((FLAT, BUY), (NEW, SELL))
            if member < len(present)
        ]
        self.live.orders([self.ordered(account, agents[account], side, slot) for account, side in accounts], now)

    def ordered(self, account: bytes, agent: Key, side: int, slot: int) -> Signed[Order]:
        order = Order(account, "", side, 400, 200_000, slot, slot, 2 * slot + side)
        return sign_basket(self.client.domain, [order], agent)[0]

    def read(self, slot: int, now: int, sent: Callable[[int, int], bool]) -> None:
        """Every home of the five used 700 Wh; what joined made 1 000 Wh. sent : of which slot and member it is sent"""
        if not self.start <= slot < self.end:
            return
        meters = self.exchange.meters_of(slot)
        keys = {meter.key.address: meter.key for meter in self.homes.meters.values()}
        keys |= {key.address: key for key in (METER, OTHER)}
        signed = []
        for member, address in enumerate(meters):
            if address in keys and sent(slot, member):
                self.numbers[address] = self.numbers.get(address, 0) + 1
                used = (0, 1_000) if member == NEW else (700, 0)
                signed.append(
                    SimulatedMeter(keys[address], self.client.domain).read(slot, *used, self.numbers[address])
                )
        assert {each.status for each in self.live.readings(signed, now)} <= {"stored"}

    # What changes

    def enrol(self, at: int) -> None:
        self.roster.name(WALLET.address, "newcomer", "Bus 7")
        self.community.register(Enrolment(WALLET.address, Role.PROSUMER, METER.address), at=at)
        issued = signatures(self.client.token_domain, self.client.issue(1_000_000), self.exchange.outbox.quorum)
        self.client.deposit_for([NEW], [1_000_000], at=at, signatures=issued)

    def replace_meter(self, at: int) -> None:
        operator = self.homes.keys.operator
        self.community.revoke_meter(operator, METER.address, at=at)
        self.community.register_meter(operator, NEW, OTHER.address, at=at + 1)
        self.community.accept_meter(WALLET, OTHER.address, at=at + 2)

    def suspend(self, member: int, at: int) -> None:
        standing = self.community.standing(member, active=False)
        signed = signatures(self.community.domain, standing, self.exchange.outbox.quorum)
        self.community.set_standing(self.homes.keys.operator, standing, signed, at=at)

    def ask_recovery(self, member: int, at: int) -> None:
        asked = self.community.recovery(member, HEIR.address)
        signed = signatures(self.community.domain, asked, self.exchange.outbox.quorum)
        self.community.start_recovery(self.homes.keys.operator, asked, signed, at=at)

    def recover(self, member: int, at: int) -> None:
        self.community.recover(self.homes.keys.operator, member, at=at)

    def mandate(self, key: Key, agent: Key, **changes: Any) -> Signed[Mandate]:
        record = Mandate(
            key.address, agent.address, "", 250_000, 90_000, 5_000, 5_000, self.start - DAY, self.end + DAY, 1
        )
        record, community = replace(record, **changes), self.rules.community
        words = community.currency, community.timezone, community.slot_seconds, community.unit
        return sign(self.client.domain, replace(record, text=mandate_text(record, *words)), key)

    def change(self) -> None:
        """Schedule all changes of the two days."""
        start, file, head = self.start, self.roster.file, self.client.node.head.timestamp
        self.late = {(start + 5 * HOUR, 0): start + 9 * HOUR}
        self.actions = {
            start - 2 * HOUR: lambda: self.ask_recovery(FLAT, max(head + 1, start - 7 * DAY)),
            start + 10 * HOUR: lambda: self.enrol(start + 10 * HOUR + 30),
            start + 12 * HOUR: lambda: file(self.mandate(WALLET, AGENT), start + 14 * HOUR),
            start + 18 * HOUR: lambda: self.replace_meter(start + 18 * HOUR + 900),
            start + 33 * HOUR: lambda: file(self.mandate(WALLET, AGENT, sell_wh=800, nonce=2), start + 38 * HOUR),
            start + 40 * HOUR: lambda: self.recover(FLAT, start + 39 * HOUR + 1800),
            start + 42 * HOUR: lambda: file(self.mandate(HEIR, HEIRS_AGENT), start + 43 * HOUR),
            start + 43 * HOUR: lambda: self.suspend(POOR, start + 43 * HOUR - 900),
        }

    def bill(self, now: int) -> None:
        while self.months.advance(now):
            pass


def _claimed_before(claim: Callable[..., None], store: Any, rules: Any, ledger: Any, out: Any, _head: int) -> None:
    claim(store, rules, ledger, out, 8 * DAY)
