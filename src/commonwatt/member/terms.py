"""A bill against the community's file: it names the community, its tariff and the utility's prices as the file does.

The operators say in a bill what the utility's prices, levies and VAT are. Whoever has the file, whose digest the
community's contract holds, need not believe them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commonwatt.accounts.document import SIDES, Part, hex_text, parts_of, tariff_terms
from commonwatt.community.calendar import Slots
from commonwatt.community.model import Community
from commonwatt.data.prices import utility_prices
from commonwatt.member.page import require
from commonwatt.member.shares import as_filed


@dataclass(frozen=True)
class Terms:
    """What a member knows of its community's terms. folder : where the files lie that the community names"""

    community: Community
    folder: Path

    def check(self, content: Mapping[str, Any]) -> None:
        """Raise VerificationError unless a bill's content, which was verified, says what the community's file says;
        where the bill is under several charters, in the slots that are under this one. Where it has no slots, since
        its sheets were not shown, nothing is said of their prices.

        Raises DataError when a price file does not cover the bill's period.
        """
        known, member = self.community, content["member"]
        # Who came after the file was written stands in none.
        filed = member["index"] < len(known.members)
        own = known.members[member["index"]].id if filed else member["id"]
        for what, said, true in (
            ("name of the community", content["community"], known.name),
            ("currency", content["currency"], known.currency),
            ("time zone", content["timezone"], known.timezone),
            ("name of the member", member["id"], own),
        ):
            require(said == true, f"The bill's {what} is not what the community's file says.")
        as_filed(content, known.members)
        if filed or known.by == "registers":
            self._registers(content)
        for part in parts_of(content):
            if part.config in (None, hex_text(known.digest)):
                self._tariff(part.tariff)
                if content["slots"]:
                    self._prices(part, [line for line in content["slots"] if part.start <= line["slot"] < part.end])

    def _registers(self, content: Mapping[str, Any]) -> None:
        """Where registers are shared, each slot has those of the member's points; else none."""
        members, index = self.community.members, content["member"]["index"]
        points = members[index].points if index < len(members) else ()
        draws = [(point.draws, SIDES[0]) for point in points if point.draws]
        feeds = [(point.feeds, SIDES[1]) for point in points if point.feeds]
        own = [*draws, *feeds] if self.community.by == "registers" else []
        for line in content["slots"]:
            said = [(each["name"], each["direction"]) for each in line.get("registers", [])]
            require(said == own, f"Slot {line['slot']}: the registers are not those of the community's file.")

    def _tariff(self, said: Mapping[str, Any]) -> None:
        true = tariff_terms(self.community.tariff)
        for what, key in (("network fee", "networkFee"), ("list of levies", "levies"), ("VAT", "vat")):
            require(said[key] == true[key], f"The bill's {what} is not what the community's file says.")

    def _prices(self, part: Part, lines: Sequence[Mapping[str, Any]]) -> None:
        known = self.community
        slots = Slots(part.start, len(lines), known.slot_seconds)
        require(slots.end == part.end, "The bill's slots are not as long as the community's file says.")
        prices = utility_prices(known.tariff, self.folder, slots, known.timezone, known.currency, known.unit)
        for line, retail, feed_in in zip(lines, prices.retail.tolist(), prices.feed_in.tolist(), strict=True):
            same = line["prices"] == {"retail": retail, "feedIn": feed_in}
            require(same, f"Slot {line['slot']}: the utility's prices are not what the community's file says.")
