"""What the exchange knows of its members: the limits of their mandates, and the mandates as they are filed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from commonwatt.community.model import Community
from commonwatt.community.tariff import SlotPrices
from commonwatt.community.wording import check_mandate
from commonwatt.market import Limits
from commonwatt.proof import Domain, verify
from commonwatt.records import Mandate, Signed


def limits(community: Community, prices: SlotPrices) -> Limits:
    """The members' terms; an open price limit becomes the utility's highest or lowest price of the period, and is not
    below zero, as no local price is."""
    highest, lowest = max(int(prices.ceiling.max()), 0), int(prices.floor.min())
    terms = [member.terms for member in community.members]
    return Limits(
        np.array([highest if t.max_buy is None else t.max_buy for t in terms], dtype=np.int64),
        np.array([lowest if t.min_sell is None else t.min_sell for t in terms], dtype=np.int64),
        np.array([t.buy_wh for t in terms], dtype=np.int64),
        np.array([t.sell_wh for t in terms], dtype=np.int64),
    )


def filed(signed: Sequence[Signed[Mandate]], community: Community, domain: Domain) -> dict[bytes, tuple[int, Mandate]]:
    """The mandates as the exchange files them, by member address: (member index, mandate).

    Raises SignatureError when the member's own wallet did not sign, RecordError when words and numbers differ. One
    without a signature stands for none.
    """
    words, found = (community.currency, community.timezone, community.slot_seconds, community.unit), {}
    for index, mandate in enumerate(signed):
        if mandate.signature:
            verify(domain, mandate, mandate.record.member)
            check_mandate(mandate.record, *words)
            found[mandate.record.member] = (index, mandate.record)
    return found
