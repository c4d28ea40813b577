"""A member sees for which of its meters the operators' box signed: on its sheets, when it verifies, and on its bill."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from exchange_cases import begin, exchange_of, homes_of, short_days

from commonwatt.errors import VerificationError
from commonwatt.exchange import tables
from commonwatt.exchange.bills import proven
from commonwatt.exchange.store import put
from commonwatt.member.document import box_signed, whole
from commonwatt.member.summary import summary
from commonwatt.member.verify import open_and_verify
from commonwatt.report.bill.words import measured

READ, OWN = 1, 3
"""A home whose meter the box has the key of, and one whose meter signs."""


@pytest.fixture(scope="module")
def billed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, list[dict[str, Any]]]:
    """The folder of a day, the meter that cannot sign, and the bills, which are there by member's number."""
    folder = tmp_path_factory.mktemp("read")
    with short_days():
        run = begin(folder)
        meter = f"0x{homes_of(run).meters[READ].key.address.hex()}"
        with exchange_of(run).store.transaction() as connection:
            put(connection, tables.devices, (meter, 0, ""))
        result = run.run()
    bills = [json.loads(json.dumps(bill)) for bill in proven(result.books, result.bills)]
    for number, bill in enumerate(bills):
        (folder / "out" / f"{number}.json").write_text(json.dumps(bill), encoding="utf-8")
    result.close()
    return folder / "out", meter, bills


def test_sheets_say_for_which_meter_the_box_signed_and_no_others_do(
    billed: tuple[Path, str, list[dict[str, Any]]],
) -> None:
    _, meter, bills = billed
    assert [box_signed(bill) for bill in bills] == [(meter,) if number == READ else () for number in range(5)]
    assert all("boxSigns" not in day["sheet"] for day in bills[OWN]["days"])


def test_whoever_verifies_or_looks_at_the_bill_is_told(billed: tuple[Path, str, list[dict[str, Any]]]) -> None:
    folder, meter, _ = billed
    for number in (READ, OWN):
        found, _ = open_and_verify(folder / f"{number}.json", [str(folder / "ledger.sqlite")])
        bill = summary(folder / f"{number}.json")
        assert found.box_signs == bill.box_signs == ((meter,) if number == READ else ())
        assert measured(bill).endswith("which cannot sign.") == (number == READ)


@pytest.mark.parametrize("named", [[], ["0x" + "11" * 20], "all", None])
def test_a_sheet_that_names_a_meter_without_a_reading_is_refused(
    billed: tuple[Path, str, list[dict[str, Any]]], named: object
) -> None:
    day = deepcopy(billed[2][READ]["days"][0])
    day["sheet"]["boxSigns"] = named
    with pytest.raises(VerificationError, match="boxSigns"):
        whole(day)
