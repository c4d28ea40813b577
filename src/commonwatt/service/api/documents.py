"""What a member checks, with its proofs: excerpts of slots, sheets of days, and bills; and bills to be read."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, Final, Literal

from fastapi import Depends, FastAPI, Request
from fastapi import Path as InPath
from fastapi.responses import FileResponse, Response

from commonwatt.community.calendar import local_midnight
from commonwatt.errors import OutputError, StoreError
from commonwatt.exchange import personal, rows
from commonwatt.exchange.excerpt import excerpt
from commonwatt.exchange.live import Live
from commonwatt.exchange.sheets import ascii_json, day_files
from commonwatt.member.beside import bills_in
from commonwatt.service.api.answers import as_json, tagged
from commonwatt.service.api.callers import Caller, signed_in
from commonwatt.service.api.limits import too_often
from commonwatt.service.api.members import own_number
from commonwatt.service.api.models import Months
from commonwatt.service.api.problems import problem, responses
from commonwatt.service.running import Running

_HEAD: Final = 1 << 16
"""Bytes of a bill in which it says whose it is."""
_REFUSED: Final = {304: {"description": "It is as the asker has it."}, **responses(401, 403, 404, 422, 503)}
_DAY: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_MONTH: Final = r"^[0-9]{4}-[0-9]{2}$"
_WHOSE: Final = re.compile(rb'"member":\{"index":([0-9]+),')
_FOLDERS: Final = 240
"""Months of which it is remembered whose bills are where."""
Form = Literal["html", "pdf", "csv"]
_FORMS: Final[Mapping[Form, str]] = {"html": "text/html", "pdf": "application/pdf", "csv": "text/csv"}
_SHOWN: Final[Mapping[Form, str]] = {"html": "inline", "pdf": "inline", "csv": "attachment"}


class Absent(Exception):
    """There is no such document. The sentence says why."""


def add(app: FastAPI, running: Running, bills: Path | None) -> None:
    """Add the routes. bills : the folder that has a folder of bills for each month; None = there is none"""
    making = set[int]()

    async def made(number: int, make: Callable[[], bytes]) -> bytes:
        """What takes a while to make, one at a time for each member: nobody has others wait by many."""
        if number in making:
            raise too_often(1)
        making.add(number)
        try:
            return await running.read(make)
        finally:
            making.discard(number)

    @app.exception_handler(Absent)
    async def absent(_: Request, error: Exception) -> Response:
        return problem(404, str(error))

    @app.get(
        "/v1/me/slots/{start}/excerpt", tags=["member"], response_class=Response, responses=_REFUSED,
        summary="All that the exchange holds of the asker's slot, with its proofs.",
    )  # fmt: skip
    async def slot(
        request: Request,
        caller: Annotated[Caller, Depends(signed_in)],
        start: Annotated[int, InPath(ge=0, le=2**53 - 1, description="Its start [unix s].")],
    ) -> Response:
        """Of its last revision, in the form of docs/bill.md."""
        number = own_number(caller)
        return tagged(request, await running.read(slot_excerpt, running.live, number, start, running.now()))

    @app.get(
        "/v1/me/sheets/{day}", tags=["member"], response_class=Response, responses=_REFUSED,
        summary="The asker's sheet of a local day, with its proofs.",
    )  # fmt: skip
    async def sheet(
        request: Request,
        caller: Annotated[Caller, Depends(signed_in)],
        day: Annotated[str, InPath(pattern=_DAY, description="Such as 2026-06-15.")],
    ) -> Response:
        """As in its bill, once all slots of the day are settled; a correction makes another sheet. One at a time."""
        number = own_number(caller)
        return tagged(request, await made(number, partial(day_sheet, running.live, number, day)))

    @app.get(
        "/v1/me/bills", tags=["member"], response_model=Months, responses=responses(401, 403, 503),
        summary="The months of which the asker has a bill.",
    )  # fmt: skip
    async def months(caller: Annotated[Caller, Depends(signed_in)]) -> Response:
        """The oldest first."""
        return as_json({"months": await running.read(months_of, bills, own_number(caller))})

    @app.get(
        "/v1/me/bills/{month}.{form}", tags=["member"], response_class=Response,
        responses={200: {"content": {kind: {} for kind in _FORMS.values()}}, **_REFUSED},
        summary="The asker's bill of a month, to be read: a page, or its charges as a table.",
    )  # fmt: skip
    async def readable(
        request: Request,
        caller: Annotated[Caller, Depends(signed_in)],
        month: Annotated[str, InPath(pattern=_MONTH, description="Such as 2026-06.")],
        form: Annotated[Form, InPath(description="The page as HTML or PDF; the charges as CSV.")],
    ) -> Response:
        """What the bill says, in words and figures; what proves it is in the bill. One at a time."""
        number = own_number(caller)
        page = await made(number, partial(readable_bill, bills, month, number, form))
        answer = tagged(request, page, media_type=_FORMS[form])
        answer.headers["Content-Disposition"] = f'{_SHOWN[form]}; filename="bill-{month}.{form}"'
        return answer

    @app.get(
        "/v1/me/bills/{month}", tags=["member"], response_class=Response, responses=_REFUSED,
        summary="The asker's bill of a month, with its sheets and proofs.",
    )  # fmt: skip
    async def bill(
        request: Request,
        caller: Annotated[Caller, Depends(signed_in)],
        month: Annotated[str, InPath(pattern=_MONTH, description="Such as 2026-06.")],
    ) -> Response:
        """As it was made: in JSON, or that packed by gzip."""
        file = await running.read(bill_of, bills, month, own_number(caller))
        kind = "application/gzip" if file.suffix == ".gz" else "application/json"
        answer = FileResponse(file, media_type=kind, filename=_fetched(month, file))
        answer.set_stat_headers(file.stat())
        return (
            answer
            if answer.headers["etag"] not in request.headers.get("if-none-match", "")
            else Response(status_code=304, headers={"ETag": answer.headers["etag"]})
        )


def slot_excerpt(live: Live, member: int, slot: int, now: int) -> bytes:
    """What the exchange holds of a member's slot [start, unix s], as of `exchange.excerpt`. Raises Absent."""
    exchange = live.exchange
    revision = rows.revision_of(exchange.store, slot)
    if revision is None or rows.is_missed(exchange.store, slot):
        raise Absent(f"Slot {slot} (unix seconds) is not posted.")
    try:
        posted = exchange.recalled(slot, revision)
    except StoreError:
        if now <= slot + live.slots.seconds + live.slots.corrections:
            raise
        raise Absent(f"Slot {slot} (unix seconds) is closed; the sheet of its day has its proofs.") from None
    if member >= len(posted.statements):
        raise Absent(f"The member came after slot {slot} (unix seconds).")
    return ascii_json(excerpt(posted, member, exchange.roster.at(slot).mandates[member], exchange.client))


def day_sheet(live: Live, member: int, named: str) -> bytes:
    """A member's sheet of a local day, such as "2026-06-15", with its proofs, as in its bill. Raises Absent."""
    exchange = live.exchange
    try:
        day = date.fromisoformat(named)
        rules, midnight = exchange.rules, local_midnight(day, exchange.rules.community.timezone)
    except (ValueError, OverflowError):
        raise Absent(f"No calendar has the day {named}.") from None
    if midnight > rows.last_ended(exchange.store):
        raise Absent(f"No slot of {day} is settled.")
    if midnight < rules.period.start:
        rules = live.rules_at(midnight).with_members(live.roster.members)
    books = dict(replace(exchange.books, rules=rules).days()).get(day)
    if books is None:
        raise Absent(f"The exchange has no slots of {day}.")
    try:
        books.require_settled()
    except StoreError as error:
        raise Absent(str(error)) from None
    if personal.is_erased(exchange.store, member, books.period):
        raise Absent(f"Readings of {day} were erased; the bill has the sheet.")
    return b"".join(part for (part,) in day_files(day, replace(books, only=member)))


def months_of(folder: Path | None, member: int) -> list[str]:
    """The months of which a member has a bill, such as "2026-06"."""
    names = sorted(each.name for each in folder.iterdir()) if folder and folder.is_dir() else []
    return [name for name in names if re.fullmatch(_MONTH, name) and folder and member in _bills_in(folder / name)]


def bill_of(folder: Path | None, month: str, member: int) -> Path:
    """A member's bill of a month. Raises Absent."""
    found = _bills_in(folder / month).get(member) if folder else None
    if found is None:
        raise Absent(f"There is no bill of {month}.")
    return found


def readable_bill(folder: Path | None, month: str, member: int, form: Form) -> bytes:
    """A member's bill of a month as a page, or its charges as a table. Raises Absent."""
    # Reading a bill takes much that nothing else of the service needs.
    from commonwatt.billing.bill_pdf import bill_pdf
    from commonwatt.billing.bill_tables import charges_of
    from commonwatt.member.document import read_whole
    from commonwatt.member.summary import summary
    from commonwatt.report.bill.page import bill_page

    file = bill_of(folder, month, member)
    if form == "csv":
        return charges_of(read_whole(file)["content"]).encode()
    # As the member calls it who fetched it: where it is here is no concern of its.
    fetched = Path(_fetched(month, file))
    if form == "html":
        return bill_page(summary(file), fetched).encode()
    try:
        return bill_pdf(summary(file), fetched)
    except OutputError as error:
        raise Absent(str(error)) from None


def _fetched(month: str, file: Path) -> str:
    """What a bill is called when it is fetched."""
    return f"bill-{month}.json{'.gz' if file.suffix == '.gz' else ''}"


def _bills_in(folder: Path) -> Mapping[int, Path]:
    """The bills of a month by member."""
    changed = folder.stat().st_mtime_ns if folder.is_dir() else 0
    return _by_member(tuple(bills_in(folder)), changed)


@lru_cache(_FOLDERS)
def _by_member(bills: Sequence[Path], _changed: int) -> Mapping[int, Path]:
    """Whose bills these are, by what they say, as a member may be called otherwise since then.

    _changed : when one of them came last [unix ns], as another member's may take its name until they are anchored
    """
    heads = ((_WHOSE.search(_head(bill)), bill) for bill in bills)
    return {int(found[1]): bill for found, bill in heads if found}


def _head(bill: Path) -> bytes:
    with (gzip.open if bill.suffix == ".gz" else open)(bill, "rb") as file:
        return bytes(file.read(_HEAD))
