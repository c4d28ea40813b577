"""Orders of four members for one slot, and what the exchange knows of the members."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from commonwatt.community.model import Community, LedgerChoice, Member
from commonwatt.community.tariff import Flat, Tariff
from commonwatt.community.wording import order_text
from commonwatt.exchange.admission import Open
from commonwatt.exchange.states import Accepted
from commonwatt.proof import Domain, Key, sign, sign_basket
from commonwatt.records import BUY, SELL, Mandate, Order, Signed
from commonwatt.study.scene import Hesitant
from commonwatt.units import IntArray

SLOT, NOW, HOUR = 1_800_000_000, 1_799_900_000, 3600
DOMAIN = Domain(7, b"\x07" * 20)
WALLETS, AGENTS, METERS = ([Key.derive(role, str(n)) for n in range(4)] for role in (b"wallet", b"agent", b"meter"))
MANDATES = {
    wallet.address: (
        number,
        Mandate(wallet.address, agent.address, "", 300_000, 80_000, 5_000, 4_000, NOW - 10, NOW + 10**6, 1),
    )
    for number, (wallet, agent) in enumerate(zip(WALLETS, AGENTS, strict=True))
}
FREE = np.array([10**6, 10**6, 10**6, 100])
MEMBERS = tuple(Member(number, f"home-{number}", None) for number in range(4))
COMMUNITY = Community("Here", "EUR", "UTC", HOUR, MEMBERS, Tariff(Flat(0), Flat(0)), (), LedgerChoice(), b"", b"")


def order(member: int = 0, *, key: Key | None = None, domain: Domain = DOMAIN, **changes: Any) -> Signed[Order]:
    fields: dict[str, Any] = {
        "text": "",
        "side": BUY,
        "wh": 1000,
        "limit": 200_000,
        "slot": SLOT,
        "expiry": SLOT,
        "nonce": 1,
    } | changes
    (signed,) = sign_basket(domain, [Order(WALLETS[member].address, **fields)], key or AGENTS[member])
    return signed


def forged(signed: Signed[Order], **changes: Any) -> Signed[Order]:
    return replace(signed, record=replace(signed.record, **changes))


GOOD = [order(1), order(2, side=SELL, wh=3000, limit=90_000)]


def own(member: int = 0, *, language: str = "en", key: Key | None = None, **changes: Any) -> Signed[Order]:
    """An order that the member itself signs, in words."""
    draft = order(member, **changes).record
    words = COMMUNITY.currency, COMMUNITY.timezone, COMMUNITY.slot_seconds, COMMUNITY.unit
    return sign(DOMAIN, replace(draft, text=order_text(draft, *words, language)), key or WALLETS[member])


class Themselves(Hesitant):
    """Homes whose members sign the order that counts with their own wallets, in words."""

    def hesitating(self, order: Signed[Order]) -> tuple[Signed[Order], ...]:
        """See `Hesitant`."""
        first, _ = super().hesitating(order)
        return first, self.own(order.record, "de")

    def own(self, order: Order, language: str) -> Signed[Order]:
        """The order in words, signed by its member."""
        community = self.rules.community
        words = community.currency, community.timezone, community.slot_seconds, community.unit
        wallets = {key.address: key for key in self.keys.members}
        return sign(self.domain, replace(order, text=order_text(order, *words, language)), wallets[order.member])


def accept(
    accepted: Accepted,
    signed: Signed[Order],
    mandates: Mapping[bytes, tuple[int, Mandate]],
    domain: Domain,
    community: Community,
    now: int,
    free: IntArray,
) -> tuple[Accepted, IntArray]:
    """The slot with one more order, and the collateral that is left; what is given stays as it is."""
    opened = Open(accepted, free.copy())
    opened.take(signed, mandates, domain, community, now)
    return opened.accepted, opened.free
