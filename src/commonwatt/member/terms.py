"""A bill against the community's file: it names the community, its tariff and the utility's prices as the file does.

The operators say in a bill what the utility's prices, levies and VAT are. Whoever has the file, whose digest the
community's contract holds, need not believe them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commonwatt.accounts.document import tariff_terms
from commonwatt.community.calendar import Slots
from commonwatt.community.model import Community
from commonwatt.data.prices import utility_prices
from commonwatt.member.page import require


@dataclass(frozen=True)
class Terms:
    """What a member knows of its community's terms. folder : where the files lie that the community names"""

    community: Community
    folder: Path

    def check(self, content: Mapping[str, Any]) -> None:
        """Raise VerificationError unless a bill's content, which was verified, says what the community's file says.

        Raises DataError when a price file does not cover the bill's period.
        """
        known, member, tariff = self.community, content["member"], tariff_terms(self.community.tariff)
        own = known.members[member["index"]].id if member["index"] < len(known.members) else None
        for what, said, true in (
            ("name of the community", content["community"], known.name),
            ("currency", content["currency"], known.currency),
            ("time zone", content["timezone"], known.timezone),
            ("name of the member", member["id"], own),
            ("network fee", content["tariff"]["networkFee"], tariff["networkFee"]),
            ("list of levies", content["tariff"]["levies"], tariff["levies"]),
            ("VAT", content["tariff"]["vat"], tariff["vat"]),
        ):
            require(said == true, f"The bill's {what} is not what the community's file says.")
        self._prices(content)

    def _prices(self, content: Mapping[str, Any]) -> None:
        known, period, lines = self.community, content["period"], content["slots"]
        slots = Slots(period["from"], len(lines), known.slot_seconds)
        require(slots.end == period["until"], "The bill's slots are not as long as the community's file says.")
        prices = utility_prices(known.tariff, self.folder, slots, known.timezone, known.currency, known.unit)
        for line, retail, feed_in in zip(lines, prices.retail.tolist(), prices.feed_in.tolist(), strict=True):
            same = line["prices"] == {"retail": retail, "feedIn": feed_in}
            require(same, f"Slot {line['slot']}: the utility's prices are not what the community's file says.")
