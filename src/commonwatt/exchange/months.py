"""The bills of a living exchange: each local month is billed and anchored when nothing of it changes any more.

A month is closed step by step, so that gates and ends of slots wait no longer than one day of it takes. What is done
of it is in memory and in files: who was killed begins the month anew, and comes to the same bills, since nothing of
them is corrected any more once their root is in the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from commonwatt.accounts.document import Anchored, anchored
from commonwatt.community.calendar import Slots, local_midnight
from commonwatt.errors import CommonwattError
from commonwatt.exchange import rows, tables
from commonwatt.exchange.bill_files import bill_name, written_days
from commonwatt.exchange.bills import Day, bills_of, closed_days
from commonwatt.exchange.books import Books
from commonwatt.exchange.enrolled import Enrolled
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.rules import Rules

BILL_AFTER: Final = 5 * 86_400
"""How long after its end a month is billed [s]: what comes late is in it, until then."""
_RETRY: Final = 3600
"""Between two tries to bill a month that cannot be billed yet [s]."""


def month_from(start: int, timezone: str, seconds: int) -> Slots:
    """The slots from `start` [unix s] to the end of its local month, which is the first of an exchange in part only.

    >>> month_from(1_782_252_000, "Europe/Berlin", 3600).count  # from the midnight of 24 June 2026 on
    168
    """
    first = datetime.fromtimestamp(start, ZoneInfo(timezone)).date()
    end = local_midnight(_next_month(first), timezone)
    return Slots(start, (end - start) // seconds, seconds)


def _keep_only(folder: Path, bundle: Anchored) -> None:
    """Take away bills of a month that were made before under names that members have no more."""
    names = {f"{bill_name(each['member']['index'], each['member']['id'])}.gz" for each in bundle.contents}
    for file in folder.glob("*.json.gz"):
        if file.name not in names:
            file.unlink()


def _next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


class Months:
    """Bills the months of one exchange, each once and in their order, from its first local day on.

    rules_of : the rules of so many local days from a first one; of whom they have as members does not matter
    folder : has the bills of each month in a folder of its own, such as 2026-06
    bill_after : how long after its end a month is billed [s]
    trouble : why a month that is due is not billed; empty when nothing stands in the way
    """

    def __init__(
        self,
        exchange: Exchange,
        roster: Enrolled,
        rules_of: Callable[[date, int], Rules],
        folder: Path,
        bill_after: int = BILL_AFTER,
    ) -> None:
        self.exchange, self.roster, self.rules_of = exchange, roster, rules_of
        self.folder, self.bill_after, self.trouble = folder, bill_after, ""
        self._making: Iterator[None] | None = None
        self._not_before = 0

    def advance(self, now: int) -> bool:
        """Go on by a step, no longer than a day of sheets takes, with the month that is due at `now` [unix s].

        Returns whether there is more to do at once.
        """
        if self._making is None:
            month = self._due(now)
            if month is None:
                return False
            self._making, self._not_before = self._made(month), now + _RETRY
        try:
            next(self._making)
        except StopIteration:
            self._making, self._not_before, self.trouble = None, 0, ""
        except (CommonwattError, OSError) as error:
            self._making, self.trouble = None, str(error)
            return False
        except BaseException:
            self._making = None  # it begins anew, after the same pause
            raise
        return True

    def _due(self, now: int) -> Slots | None:
        if now < self._not_before:
            return None
        start = self._billed_until()
        if start is None:
            return None
        community = self.exchange.rules.community
        month = month_from(start, community.timezone, community.slot_seconds)
        self._not_before = month.end + self.bill_after
        return month if now >= self._not_before else None

    def _billed_until(self) -> int | None:
        """The first slot [unix s] that stands in no bills that the ledger knows; None before the first is settled."""
        store = self.exchange.store
        anchors = store.columns(tables.anchors, ("start", "until"))
        if not anchors:
            return rows.first_ended(store)
        start, until = anchors[-1]
        return int(until if self.exchange.client.anchored(start, until) else start)

    def _made(self, month: Slots) -> Iterator[None]:
        """Sheets, bills, files and anchor of a month, in steps."""
        exchange, books = self.exchange, self.books(month)
        books.require_settled()
        exchange.billing = month
        try:
            for _, of_day in books.days():
                exchange.require_final(of_day.period)
                yield
            days = list[Day]()
            for day in closed_days(books):
                days.append(day)
                yield
            bundle = anchored(bills_of(books, days))
            folder = self.folder / f"{books.rules.start:%Y-%m}"
            for _ in written_days(books, bundle, folder, packed=True):
                yield
            _keep_only(folder, bundle)
            exchange.anchor(bundle.tree.root, month)
        finally:
            exchange.billing = None

    def books(self, month: Slots) -> Books:
        """Of a month, with those who were members by its end."""
        exchange = self.exchange
        first = datetime.fromtimestamp(month.start, ZoneInfo(exchange.rules.community.timezone)).date()
        members = len(self.roster.at(month.end - month.seconds).mandates)
        rules = self.rules_of(first, (_next_month(first) - first).days).with_members(self.roster.members[:members])
        return Books(rules, exchange.store, self.roster, exchange.client, some=month)
