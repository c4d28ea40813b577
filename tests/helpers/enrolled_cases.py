"""A living community of five silent homes, and who joins it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from exchange_cases import COMMUNITY, begin, exchange_of, homes_of, short_days

from commonwatt.community.roles import Role
from commonwatt.community.wording import mandate_text
from commonwatt.exchange.enrolled import Enrolled
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.live import Live
from commonwatt.exchange.outbox import signatures
from commonwatt.ledger.client.community import CommunityClient
from commonwatt.ledger.client.settlement import Enrolment
from commonwatt.meter import SimulatedMeter
from commonwatt.proof import Key, sign, sign_basket
from commonwatt.records import SELL, Mandate, Order, Reading, Signed
from commonwatt.simulation.simulation import Simulation

WALLET, AGENT, METER, OTHER = (Key.derive(b"newcomer", role) for role in ("wallet", "agent", "meter", "other meter"))
HOUR, NEW = 3600, 5


class Growing:
    """Five homes that are silent and order nothing, and who joins them."""

    def __init__(self, folder: Path, window: str = "0s") -> None:
        text = COMMUNITY.replace('gate = "12:00"', 'gate = "1h"') + f'\n[ledger]\nwindow = "{window}"\n'
        with short_days():
            self.simulation: Simulation = begin(folder, text)
        founded = exchange_of(self.simulation)
        self.client, self.rules, self.homes = founded.client, founded.rules, homes_of(self.simulation)
        self.roster = Enrolled(founded.store, founded.client, founded.rules.community)
        self.roster.follow()
        self.exchange = Exchange(founded.rules, founded.store, founded.client, founded.outbox.quorum, self.roster)
        self.live = Live(self.exchange, self.roster, lambda _: founded.rules, wait=60)
        self.community = CommunityClient(founded.client)
        self.starts = founded.rules.period.starts.tolist()

    def enrol(self, at: int) -> None:
        self.roster.name(WALLET.address, "newcomer", "Bus 7")
        self.community.register(Enrolment(WALLET.address, Role.PROSUMER, METER.address), at=at)
        quorum = self.exchange.outbox.quorum
        issued = signatures(self.client.token_domain, self.client.issue(1_000_000), quorum)
        self.client.deposit_for([NEW], [1_000_000], at=at, signatures=issued)
        self.live.advance(at)

    def mandate(self, key: Key = WALLET, **changes: int) -> Signed[Mandate]:
        community = self.rules.community
        record = Mandate(
            WALLET.address, AGENT.address, "", 250_000, 90_000, 5_000, 5_000, self.starts[0] - 86_400,
            self.starts[-1] + 86_400, 1,
        )  # fmt: skip
        record = replace(record, **changes)  # type: ignore[arg-type]
        words = community.currency, community.timezone, community.slot_seconds, community.unit
        return sign(self.client.domain, replace(record, text=mandate_text(record, *words)), key)

    def sells(self, slot: int, wh: int = 1_000, nonce: int = 7) -> Signed[Order]:
        order = Order(WALLET.address, "", SELL, wh, 100_000, slot, slot, nonce)
        return sign_basket(self.client.domain, [order], AGENT)[0]

    def reads(self, slot: int, wh_out: int, number: int, key: Key = METER) -> Signed[Reading]:
        return SimulatedMeter(key, self.client.domain).read(slot, 0, wh_out, number)

    def everybody(self, slot: int) -> list[Signed[Reading]]:
        """What the five counted: each used 700 Wh."""
        return [meter.read(slot, 700, 0, self.rules.place(slot) + 1) for meter in self.homes.meters.values()]
