"""The pages of a month: what each member's meters counted, day by day, beside its bill."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from commonwatt.accounts.charges import Charges
from commonwatt.billing.archive import Issued
from commonwatt.billing.metered import Metered
from commonwatt.billing.month import Month
from commonwatt.billing.sheet import Compared, Day, Sheet
from commonwatt.community.billing import Billing
from commonwatt.community.calendar import local_clock
from commonwatt.data.reports import Quality
from commonwatt.exchange.bill_files import bill_name
from commonwatt.exchange.books import Books
from commonwatt.units import IntArray

_WORDS = {
    Quality.UNSTATED: "of unstated quality",
    Quality.MEASURED: "measured",
    Quality.SUBSTITUTED: "substituted",
    Quality.ESTIMATED: "estimated",
    Quality.FILLED: "filled in",
}


def sheets(books: Books, metered: Metered, issued: Issued, billing: Billing) -> Iterator[Sheet]:
    """A page for each bill with a document; who was no member in the month has no curve."""
    community = books.rules.community
    places = {member.id: member.index for member in community.members}
    for place, bill in enumerate(issued.bills):
        if not bill.documents:
            continue
        index = places.get(bill.member)
        page = Sheet(
            community.name,
            community.currency,
            Month(books.rules.start.year, books.rules.start.month),
            bill.party,
            bill,
            (),
            (),
            (),
            0,
            bytes.fromhex(issued.root),
            billing,
            bill_name(place, bill.member),
        )
        yield page if index is None else _measured(page, books, metered, index)


def _measured(page: Sheet, books: Books, metered: Metered, member: int) -> Sheet:
    """The page with what the member's meters counted."""
    return replace(
        page,
        days=_days(books, member),
        compared=tuple(_compared(books, member)),
        readings=tuple(_readings(metered, member)),
        corrected=int((books.arrays["revision"][member] > 0).sum()),
    )


def _days(books: Books, member: int) -> tuple[Day, ...]:
    local = local_clock(books.rules.period, books.rules.community.timezone).astype("datetime64[D]")
    dates, index = np.unique(local, return_inverse=True)
    drawn, fed = (wh[member] for wh in books.metered_energy)
    columns = [_sums(wh, index) for wh in (drawn, fed, drawn - _left(books, member)[0], fed - _left(books, member)[1])]
    return tuple(Day(day.astype(object), *row) for day, row in zip(dates, zip(*columns, strict=True), strict=True))


def _left(books: Books, member: int) -> tuple[IntArray, IntArray]:
    return books.energy.imported[member], books.energy.exported[member]


def _sums(wh: IntArray, index: IntArray) -> list[int]:
    sums = np.zeros(int(index.max()) + 1, dtype=np.int64)
    np.add.at(sums, index, wh)
    return sums.tolist()


def _compared(books: Books, member: int) -> Iterator[Compared]:
    """What the utility and the grid company bill, by the tariff in the file."""
    unit = books.rules.community.unit
    pairs = zip(_elsewhere(books.charges_without_market), _elsewhere(books.charges), strict=True)
    for (name, alone), (_, shared) in pairs:
        before, now = int(alone[member]) * unit, int(shared[member]) * unit
        if before or now:
            yield Compared(name, before, now)


def _elsewhere(charges: Charges) -> list[tuple[str, IntArray]]:
    named = [("energy from the utility", charges.energy), ("energy fed in", charges.feed_in)]
    return [*named, *charges.fees.items(), ("VAT", charges.vat)]


def _readings(metered: Metered, member: int) -> Iterator[tuple[str, int]]:
    """How the member's values were obtained, and how many each way."""
    own = metered.quality[metered.registers.owner == member]
    counts = Counter(own[own > Quality.NONE].tolist())
    for quality, word in _WORDS.items():
        if counts[quality]:
            yield word, counts[quality]
