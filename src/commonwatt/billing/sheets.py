"""The pages of a month, each made of the bill that goes with it: what one says, the other says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from commonwatt.accounts.document import Anchored
from commonwatt.billing.archive import Issued
from commonwatt.billing.month import Month
from commonwatt.billing.sheet import Compared, Day, Sheet
from commonwatt.community.billing import Billing
from commonwatt.community.calendar import Slots, local_clock
from commonwatt.exchange.bill_files import bill_name

_WORDS = {"unstated": "of unstated quality", "filled": "filled in"}
"""How values were obtained, where a bill says it in another word."""


def sheets(month: Month, issued: Issued, sent: Anchored, billing: Billing) -> Iterator[Sheet]:
    """A page for each bill with a document; who was no member in the month has no curve.

    sent : the community's page and the bills, in the order of those that were issued
    """
    for place, (bill, content) in enumerate(zip(issued.bills, sent.contents[1:], strict=True)):
        if bill.documents:
            yield Sheet(
                content["community"],
                content["currency"],
                month,
                bill.party,
                bill,
                _days(content),
                tuple(_compared(content)),
                tuple(_readings(content)),
                bytes.fromhex(issued.root),
                billing,
                bill_name(place, bill.member),
            )


def _days(content: Mapping[str, Any]) -> tuple[Day, ...]:
    """What was drawn and fed in each day, and shared of it."""
    period, seconds = content["period"], content["slotSeconds"]
    slots = Slots(period["from"], (period["until"] - period["from"]) // seconds, seconds)
    dates, index = np.unique(local_clock(slots, content["timezone"]).astype("datetime64[D]"), return_inverse=True)
    sums = {side: np.zeros((2, len(dates)), dtype=np.int64) for side in ("import", "export")}
    for each in content.get("netted", content["registers"]):
        for total, wh in zip(sums[each["direction"]], (each["wh"], each["shared"]), strict=True):
            np.add.at(total, index, np.array(wh, dtype=np.int64))
    (drawn, bought), (fed, sold) = (sums[side].tolist() for side in ("import", "export"))
    rows = zip(dates.astype(object), drawn, fed, bought, sold, strict=True)
    return tuple(Day(*row) for row in rows) if content["registers"] else ()


def _compared(content: Mapping[str, Any]) -> Iterator[Compared]:
    """What the utility and the grid company bill, by the tariff in the file."""
    unit = content.get("unit", 1)
    for line in content["elsewhere"]:
        yield Compared(line["name"], line["alone"] * unit, line["shared"] * unit)


def _readings(content: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """How the values of all the member's registers were obtained, and how many each way."""
    counts = Counter[str]()
    for register in content["registers"]:
        counts.update(register["values"])
    for word, count in counts.items():
        yield _WORDS.get(word, word), count
