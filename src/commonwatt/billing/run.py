"""A month from the files of the grid company to the bills that members are sent.

    read → understand → compare what the grid company says with itself → keep the files → settle → bill once

Nothing is kept of files that were not understood, and bills that were sent stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from commonwatt.accounts.document import Anchored
from commonwatt.billing import comparison
from commonwatt.billing.archive import FORMAT, Archive, Issued, Shelf, elsewhere
from commonwatt.billing.contents import contents
from commonwatt.billing.lines import Key, Line, MemberBill, amounts, bill, correction, line
from commonwatt.billing.metered import Metered, metered, notes, slots_of
from commonwatt.billing.month import Month, Progress, Revised, settle
from commonwatt.billing.sheet import Sheet
from commonwatt.billing.sheets import sheets
from commonwatt.community.billing import Billing, Party
from commonwatt.community.model import Community
from commonwatt.data.reports import Report, corrected, read_reports
from commonwatt.data.timefile import Labels
from commonwatt.errors import ConfigError, DataError, Finding, StoreError
from commonwatt.exchange.books import Books
from commonwatt.exchange.checking import load
from commonwatt.exchange.rules import Rules
from commonwatt.plain import many

if TYPE_CHECKING:
    from commonwatt.billing.ledger import Chain
    from commonwatt.member.card import Card


@dataclass(frozen=True, eq=False)
class Understood:
    """What the files say, before anything is kept.

    community, billing : of the file that the month goes by; file : the one that was given
    ledger : of the month, as of `LedgerChoice.kind`; a node is where the file that was given says it is now
    closed : the last day whose bills nothing changes any more, by the file that was given; None = none
    fresh : whether there are new files; before : how many deliveries were kept
    """

    community: Community
    billing: Billing
    file: Path
    ledger: str
    closed: date | None
    shelf: Shelf
    metered: Metered
    fresh: bool
    before: int
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Billed:
    """A month that is settled, and its bills.

    agreements, apart : the community's allocation beside the grid company's, of registers and slots (`comparison.rows`)
    issued : the bills as they were sent, now or before; new : now
    revised : the slots that were settled anew now; revisions : all that ever were, each time
    contents : the community's page and the bills as they were sent, with the tree of all
    notes : what a person should know of corrections, a sentence each
    cards : of each member, where there is a chain
    """

    understood: Understood
    agreements: tuple[comparison.Agreement, ...]
    apart: tuple[tuple[object, ...], ...]
    issued: Issued
    new: bool
    revised: tuple[Revised, ...]
    revisions: tuple[Revised, ...]
    sheets: tuple[Sheet, ...]
    contents: Anchored
    cards: Mapping[str, Card]
    notes: tuple[str, ...]


def understand(file: Path, month: Month, meters: Sequence[Path], archive: Archive, labels: Labels | None) -> Understood:
    """Read the month's files, those that were kept before and these; later ones count.

    Raises ConfigError when the community's file cannot be billed by, DataError when the files cannot be.
    """
    shelf = archive.shelf(month)
    given = load(file)
    _require_own(given, file, archive)
    closed, kept = _billing(given, file).closed, shelf.community_file or file
    community = load(kept)
    deliveries, fresh = shelf.deliveries(), bool(meters) and not shelf.holds(meters)
    if fresh:
        deliveries.append(list(meters))
        if closed and month.first <= closed:
            raise DataError(f"{month} is closed: [billing] closed = {closed} in {file}; no reading changes it.")
    if not deliveries:
        raise DataError(f"There are no readings of {month} yet; name the files of the grid company with --meters.")
    slots, exporting = slots_of(community, month), _exporting(community)

    def read(paths: Sequence[Path]) -> Report:
        return read_reports(paths, slots, community.timezone, labels=labels, exporting=exporting)

    report = read(deliveries[0])
    for later in deliveries[1:]:
        report, _ = corrected(report, read(later))
    found = metered(community, month, report)
    comparison.require_sums(community, found)
    told = [*_file_changed(shelf, file), *notes(community, found)]
    before, kinds = len(deliveries) - fresh, (community.ledger.kind, given.ledger.kind)
    ledger = kinds["none" not in kinds]
    return Understood(
        community, _billing(community, kept), file, ledger, closed, shelf, found, fresh, before, tuple(told)
    )


def settle_month(
    understood: Understood,
    meters: Sequence[Path],
    archive: Archive,
    on: date,
    now: int,
    progress: Progress | None = None,
) -> Billed:
    """Keep the files, settle the month and, once, make its bills.

    on : the date that they bear; now : when the chain is told of them [unix s]
    Raises StoreError where another process settles by the same books, or has since they were looked at.
    """
    with archive.alone():
        if len(understood.shelf.deliveries()) != understood.before:
            raise StoreError(f"Other readings of {understood.shelf.month} came meanwhile; try again.")
        return _settled(understood, meters, archive, on, now, progress)


def _settled(
    understood: Understood,
    meters: Sequence[Path],
    archive: Archive,
    on: date,
    now: int,
    progress: Progress | None,
) -> Billed:
    community, shelf = understood.community, understood.shelf
    before = shelf.sent()
    if understood.fresh:
        shelf.keep(meters)
    if shelf.community_file is None:
        shelf.begin(understood.file, community)
    with closing(shelf.store()) as store, _chain(archive, understood, now) as chain:
        counted = understood.metered.counted
        settled = settle(community, shelf.path, shelf.month, counted, store, progress, understood.metered.fine)
        books = settled.books
        issued, sent, told = (*before, ()) if before else _issue(understood, books, archive, chain, on, now)
        cards: Mapping[str, Card] = {}
        if chain:
            chain.anchor(books.rules.period.start, books.rules.period.end, sent.tree.root, now)
            cards = chain.cards(community, chain.enrol(community, [bill.member for bill in issued.bills], now))
        compared = comparison.compared(understood.metered, books.shared)
        return Billed(
            understood,
            tuple(comparison.by_register(community, compared)),
            tuple(comparison.rows(community, compared)),
            issued,
            before is None,
            settled.revised,
            settled.revisions,
            tuple(sheets(shelf.month, issued, sent, understood.billing)),
            sent,
            cards,
            told,
        )


def _issue(
    understood: Understood, books: Books, archive: Archive, chain: Chain | None, on: date, now: int
) -> tuple[Issued, Anchored, tuple[str, ...]]:
    """Make the month's bills and keep them; what is to be told of corrections is the third."""
    shelf, period = understood.shelf, books.rules.period
    carried, told = _carried(archive, shelf.month, understood.closed)
    made, number = _bills(books, understood.billing, shelf.month, carried, on, archive.next_number())
    where = chain.enrol(understood.community, [bill.member for bill in made], now) if chain else None
    sent = contents(books, understood.metered, made, where)
    if chain:
        chain.holds(period.start, period.end, sent.tree.root)
    issued = Issued(FORMAT, on, number, sent.tree.root.hex(), made)
    shelf.issue(issued, sent.contents)
    return issued, sent, told


def _chain(archive: Archive, understood: Understood, now: int) -> AbstractContextManager[Chain | None]:
    """The chain of the books, where the community has one."""
    if understood.ledger == "none":
        return nullcontext()
    from commonwatt.billing.ledger import opened

    return opened(archive.path, understood.community, understood.ledger, now)


def _billing(community: Community, file: Path) -> Billing:
    if community.billing is None:
        raise ConfigError(str(file), [Finding("billing", "is missing: who the bills are from, and their VAT")])
    if not any(member.points for member in community.members):
        raise ConfigError(str(file), [Finding("members", "have no points: the metering points whose energy is billed")])
    ledger = community.ledger
    if ledger.kind != "none" and ledger.collateral != "none":
        told = 'is missing: write collateral = "none", as bills after the fact are on account, or kind = "none"'
        raise ConfigError(str(file), [Finding("ledger.collateral", told)])
    if far := elsewhere(community):
        told = f"{far[0]} is not beside the community's file, nor in a folder there, and the books have to keep it"
        raise ConfigError(str(file), [Finding("", told)])
    return community.billing


def _require_own(community: Community, file: Path, archive: Archive) -> None:
    """Books are one community's: numbers, corrections and the chain go on in them."""
    for month in archive.months()[-1:]:
        kept = archive.shelf(month).community_file
        if kept and (name := load(kept).name) != community.name:
            told = f"is {community.name}, and the books in {archive.path} are those of {name}; give others by --books"
            raise ConfigError(str(file), [Finding("community.name", told)])


def _exporting(community: Community) -> list[str]:
    """Points that only feed in: in files that do not say what they count, that is what they do."""
    draws = {point.draws for member in community.members for point in member.points}
    feeds = {point.feeds for member in community.members for point in member.points if point.feeds}
    return sorted(feeds - draws)


def _file_changed(shelf: Shelf, file: Path) -> list[str]:
    kept = shelf.community_file
    if kept is None or kept.read_bytes() == file.read_bytes():
        return []
    return [f"{shelf.month} goes by {kept}, with which its bills were made; what changed since does not count for it."]


def _bills(
    books: Books, billing: Billing, month: Month, carried: Sequence[tuple[Line, Party]], on: date, number: int
) -> tuple[tuple[MemberBill, ...], int]:
    """Everybody's bill of the month, with what is carried from earlier ones; and the next free number."""
    parties = {member.id: member.party for member in books.rules.community.members}
    lines: dict[str, list[Line]] = {
        member.id: [] for member in books.rules.community.members if member.within(month.first, month.last)
    }
    for key, amount in amounts(books, billing, month).items():
        lines[key.member].append(line(key, month, amount, billing, parties[key.member]))
    for each, party in carried:
        lines.setdefault(each.key.member, []).append(each)
        parties.setdefault(each.key.member, party)
    made = []
    for member, own in lines.items():
        one, number = bill(member, own, billing, parties[member], on, number)
        made.append(one)
    return tuple(made), number


def _carried(archive: Archive, month: Month, closed: date | None) -> tuple[list[tuple[Line, Party]], tuple[str, ...]]:
    """What has changed of earlier months since it was billed, as lines, each with whom it is for.

    What has changed of months that are closed is not carried; of each there is a sentence.
    """
    sent, carried, told = archive.lines(), list[tuple[Line, Party]](), []
    for earlier in archive.months():
        if earlier >= month:
            continue
        changed = list(_changed(archive.shelf(earlier), {key: sent[at, key] for at, key in sent if at == earlier}))
        if not (closed and earlier.first <= closed):
            carried += changed
        elif changed:
            lines, whose = len(changed), len({each.key.member for each, _ in changed})
            told.append(
                f"{earlier} is closed: [billing] closed = {closed}. What was settled anew since its bills is on no "
                f"bill: {many(lines, 'line')} of {many(whose, 'member')}."
            )
    return carried, tuple(told)


def _changed(shelf: Shelf, sent: Mapping[Key, Sequence[tuple[str, Line]]]) -> Iterator[tuple[Line, Party]]:
    """What a month comes to now, less what bills said of it so far; it corrects the first document that said it.

    sent : each line with the number of its document
    """
    own = {key.member: number for key, said in sent.items() for number, _ in said}
    file = shelf.community_file or shelf.path
    community, month = load(file), shelf.month
    billing, parties = _billing(community, file), {member.id: member.party for member in community.members}
    rules = Rules.of(community, shelf.path, month.first, month.days)
    with closing(shelf.settled(rules)) as store:
        now = amounts(Books(rules, store), billing, month)
    for key in sorted(now.keys() | sent.keys()):
        said = sent.get(key, ())
        if change := correction(now.get(key), [each for _, each in said]):
            party = parties[key.member]
            number = said[0][0] if said else own.get(key.member, str(month))
            yield line(key, month, change, billing, party, number), party
