"""The files that an operator gets: bills to be sent, tables for the accountant, and what was compared and corrected."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from commonwatt.billing.month import Revised
from commonwatt.billing.page import html
from commonwatt.billing.pdf import pdf as printed
from commonwatt.billing.run import Billed
from commonwatt.billing.sepa import Batch, direct_debits, transfers
from commonwatt.billing.tables import charges_csv, harmless
from commonwatt.data.times import local
from commonwatt.errors import OutputError
from commonwatt.exchange.bill_files import bill_name
from commonwatt.exchange.bills import anchor_of
from commonwatt.exchange.files import write_whole
from commonwatt.exchange.folder import write_private

_MONTH: Final = "month.txt"
"""Says which month the files in the folder are of."""
_OWN: Final = (
    "bills",
    "charges.csv",
    "comparison.csv",
    "corrections.csv",
    "direct-debits.xml",
    "transfers.xml",
    _MONTH,
)


def write(billed: Billed, out: Path, *, pdf: bool = False) -> list[Path]:
    """Write everything, and say what was written; only the operator can read it.

    What stands there of another month is put into a folder of its own within `out`. Bills are as they were sent, also
    where slots were settled anew since.
    Raises OutputError when a file cannot be written.
    """
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        _put_aside(out, str(billed.understood.shelf.month))
        write_private(out / _MONTH, f"{billed.understood.shelf.month}\n")
        bills, cards = _bills(billed, out / "bills", pdf=pdf), _cards(billed, out / "cards")
        return [*bills, *cards, *_tables(billed, out)]
    except OSError as error:
        raise OutputError(f"{error.filename or out} cannot be written: {error.strerror}.") from None


def _put_aside(out: Path, month: str) -> None:
    """Files of another month go into its folder; what stands there of it already is replaced."""
    marked = out / _MONTH
    earlier = marked.read_text(encoding="utf-8").strip() if marked.exists() else month
    if earlier == month:
        return
    aside = out / earlier
    aside.mkdir(mode=0o700, exist_ok=True)
    for name in _OWN:
        if (out / name).exists():
            (out / name).replace(_free(aside / name))


def _free(path: Path) -> Path:
    """The path, or the next of it that nothing has."""
    numbered = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in range(2, 10_000))
    return next(each for each in (path, *numbered) if not each.exists())


def _bills(billed: Billed, folder: Path, *, pdf: bool) -> Iterator[Path]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    pages, sent = {sheet.bill.member: sheet for sheet in billed.sheets}, billed.contents
    page = {"content": sent.contents[0], "siblings": anchor_of(sent, 0)["siblings"]}
    for place, bill in enumerate(billed.issued.bills):
        name = Path(bill_name(place, bill.member)).stem
        document = {"content": sent.contents[place + 1], "anchor": anchor_of(sent, place + 1), "page": page}
        yield _written(folder / f"{name}.json", json.dumps(document, ensure_ascii=True, separators=(",", ":")))
        if sheet := pages.get(bill.member):
            yield _written(folder / f"{name}.html", html(sheet))
            if pdf:
                yield _written(folder / f"{name}.pdf", printed(sheet))


def _cards(billed: Billed, folder: Path) -> Iterator[Path]:
    """What a member knows its community's bills by."""
    if billed.cards:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for place, bill in enumerate(billed.issued.bills):
        if card := billed.cards.get(bill.member):
            text = json.dumps(card.as_json(), indent=2, ensure_ascii=False)
            yield _written(folder / bill_name(place, bill.member), f"{text}\n")


def _tables(billed: Billed, out: Path) -> Iterator[Path]:
    yield _written(out / "charges.csv", charges_csv(billed.issued.bills, billed.understood.community.currency))
    if billed.agreements:
        head = ("member", "register", "time", "grid company kWh", "ours kWh", "difference kWh")
        yield _written(out / "comparison.csv", _csv(head, billed.apart))
    if billed.revisions:
        moved = (tuple(row.values()) for row in moves(billed, billed.revisions))
        yield _written(out / "corrections.csv", _csv(_CORRECTED, moved))
    yield from _payments(billed, out)


def _payments(billed: Billed, out: Path) -> Iterator[Path]:
    """What a bank is given, where there is anything."""
    for name, batch in payments(billed).items():
        if batch.xml:
            yield _written(out / name, batch.xml)


def payments(billed: Billed) -> dict[str, Batch]:
    """Payment orders by the name of their file, with whom they leave out."""
    understood = billed.understood
    given = billed.issued.bills, understood.billing, understood.community.currency
    return {"direct-debits.xml": direct_debits(*given), "transfers.xml": transfers(*given)}


_CORRECTED: Final = (
    "member",
    "time",
    "revision",
    "bought before",
    "bought",
    "sold before",
    "sold",
    "money before",
    "money",
    "difference",
)


def moves(billed: Billed, revisions: Sequence[Revised]) -> list[dict[str, Any]]:
    """What slots moved that were settled anew, by member: energy [Wh], and money received [currency]."""
    community, zone = billed.understood.community, billed.understood.metered.report.zone
    found = []
    for each in revisions:
        for member in community.members:
            bought, sold, credit = (
                [int(side[member.index]) for side in pair] for pair in (each.bought, each.sold, each.credit)
            )
            if bought[0] != bought[1] or sold[0] != sold[1] or credit[0] != credit[1]:
                money = [amount * community.unit / 1e6 for amount in (*credit, credit[1] - credit[0])]
                when = local(each.slot, zone)
                row = (member.id, when, each.revision, *bought, *sold, *(round(amount, 6) for amount in money))
                found.append(dict(zip(_CORRECTED, row, strict=True)))
    return found


def _csv(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([harmless(str(value)) if isinstance(value, str) else value for value in row] for row in rows)
    return text.getvalue()


def _written(file: Path, content: str | bytes) -> Path:
    return write_whole(file, content.encode() if isinstance(content, str) else content)
