"""A member fetches its bills, whatever it is called by now, and nobody else's."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pytest
from asking_cases import Asker, Doors
from httpx import Response
from pypdf import PdfReader

from commonwatt.accounts.document import anchored
from commonwatt.exchange.bill_files import bill_name, write_bills
from commonwatt.exchange.bills import bills
from commonwatt.service.api import documents


@pytest.mark.parametrize("packed", [False, True])
def test_a_member_has_the_very_bill_that_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, packed: bool
) -> None:
    folder = tmp_path / "bills"
    doors = Doors(tmp_path / "box", bills=folder)
    doors.whole_day()
    for month in ("2026-05", "2026-06"):
        write_bills(doors.exchange.books, anchored(bills(doors.exchange.books)), folder / month, packed=packed)
    (folder / "2026-07").mkdir()
    (folder / "2026-07" / "flat.json.part").write_bytes(b'{"content":{"member":{"index":2,')
    (folder / "notes").mkdir()
    doors.village.roster.name(doors.members[2].address, "Called otherwise")

    async def test(ask: Asker) -> None:
        for member, id_ in ((2, "flat"), (3, "shop")):
            assert (await ask.json("/v1/me/bills", member))["months"] == ["2026-05", "2026-06"]
            found = await ask("/v1/me/bills/2026-06", member)
            file = folder / "2026-06" / (bill_name(member, id_) + ".gz" * packed)
            assert found.content == file.read_bytes()
            whole = gzip.decompress(found.content) if packed else found.content
            assert b'"member":{"index":%d,' % member in whole
            assert found.headers["content-type"] == ("application/gzip" if packed else "application/json")
            known = {"If-None-Match": found.headers["etag"]}
            await ask("/v1/me/bills/2026-06", member, status=304, headers=known)
        for form in ("html", "pdf", "csv"):
            page = await ask(f"/v1/me/bills/2026-06.{form}", 2)
            require_readable(page, form, packed=packed)
            assert str(folder) not in page.text
            await ask(f"/v1/me/bills/2026-06.{form}", 2, status=304, headers={"If-None-Match": page.headers["etag"]})
            await ask(f"/v1/me/bills/2026-07.{form}", 2, status=404)
        await ask("/v1/me/bills/2026-06.doc", 2, status=422)
        for month, status in (("2026-07", 404), ("2025-01", 404), ("notes", 422), ("2026-6", 422)):
            await ask(f"/v1/me/bills/{month}", 2, status=status)

    doors.ask(test)

    def opened(_bill: Path) -> bytes:
        raise AssertionError("whose bills these are was known")

    async def again(ask: Asker) -> None:
        assert (await ask.json("/v1/me/bills", 2))["months"] == ["2026-05", "2026-06"]
        await ask("/v1/me/bills/2026-06", 3)

    with monkeypatch.context() as patch:
        patch.setattr(documents, "_head", opened)
        doors.ask(again)

    async def swapped(ask: Asker) -> None:
        assert b'"member":{"index":2,' in (await ask("/v1/me/bills/2026-05", 2)).content

    # Made again by other names, as when two members change theirs before a month's bills are anchored.
    flat, shop = (
        folder / "2026-05" / (bill_name(member, id_) + ".gz" * packed) for member, id_ in ((2, "flat"), (3, "shop"))
    )
    held = flat.rename(folder / "2026-05" / "held.part")
    shop.rename(flat)
    held.rename(shop)
    if not packed:
        doors.ask(swapped)
    doors.close()


def require_readable(page: Response, form: str, *, packed: bool) -> None:
    """The flat's bill says whose it is, what it comes to, and how to check the one that was fetched."""
    assert f'filename="bill-2026-06.{form}"' in page.headers["content-disposition"]
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(page.text)))
        assert {row["member"] for row in rows} == {"flat"}
        assert {row["charge"] for row in rows} > {"energy from the utility", "VAT"}
        return
    text = page.text if form == "html" else PdfReader(io.BytesIO(page.content)).pages[0].extract_text()
    assert "Bill of flat, 15 June 2026" in text
    assert f"commonwatt verify bill-2026-06.json{'.gz' if packed else ''}" in text
    assert "shop" not in text


def test_where_no_bills_are_made_there_are_none(tmp_path: Path) -> None:
    doors = Doors(tmp_path, bills=tmp_path / "nowhere")

    async def test(ask: Asker) -> None:
        assert (await ask.json("/v1/me/bills", 1))["months"] == []
        await ask("/v1/me/bills/2026-06", 1, status=404)

    doors.ask(test)
    doors.close()
