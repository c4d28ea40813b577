"""The bills of a month as tables: each charge and each reading is a row, and what is wrong costs no table."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from changing_cases import BILL_AFTER, MONTH, Changing
from shell import Shell

from commonwatt.billing.bill_tables import write_tables
from commonwatt.errors import DataError, VerificationError
from commonwatt.exchange import tables


@pytest.fixture(scope="module")
def billed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Changing]:
    found = Changing(tmp_path_factory.mktemp("billed"))
    found.change()
    found.run(found.end)
    found.bill(found.end + BILL_AFTER)
    yield found
    found.close()


@pytest.fixture
def bills(billed: Changing, tmp_path: Path) -> Path:
    return shutil.copytree(billed.folder / "bills" / MONTH, tmp_path / "bills")


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def test_charges_add_up_to_the_bills_and_readings_are_those_that_count(
    billed: Changing, bills: Path, tmp_path: Path, said: Shell
) -> None:
    out = tmp_path / "out"
    assert "of 6 bills are in" in said("community", "tables", bills, "--out", out).out
    charges, readings = rows(out / "charges.csv"), rows(out / "readings.csv")
    for file in bills.iterdir():
        content = json.loads(gzip.decompress(file.read_bytes()))["content"]
        own = [round(float(row["amount"]) * 10**6) for row in charges if row["member"] == content["member"]["id"]]
        assert sum(own) == content["total"]
    assert {row["from"] for row in charges} == {"2026-06-29T00:00:00+02:00"}
    kept = billed.store.rows(tables.readings)
    counted = sorted((f"0x{row.meter.hex()}", row.wh_in, row.wh_out) for row in kept)
    assert sorted((row["meter"], int(row["whIn"]), int(row["whOut"])) for row in readings) == counted
    assert [row["slot"] for row in readings if row["member"] == "sun"][:2] == [
        "2026-06-29T00:00:00+02:00",
        "2026-06-29T01:00:00+02:00",
    ]
    assert json.loads(said("community", "tables", bills, "--out", out, "--json", "-").out) == {"bills": 6}


def test_what_is_wrong_with_a_bill_leaves_the_tables_that_were_there(bills: Path, tmp_path: Path, said: Shell) -> None:
    out = tmp_path / "out"
    assert write_tables(bills, out) == 6
    before = (out / "charges.csv").read_bytes()
    (bills / "zoo.json").write_text("{}")
    with pytest.raises(VerificationError, match="is no bill and no excerpt"):
        write_tables(bills, out)
    bare = json.loads(gzip.decompress((bills / "roof.json.gz").read_bytes()))
    del bare["days"]
    (bills / "zoo.json").write_text(json.dumps(bare))
    with pytest.raises(DataError, match="is no bill with its sheets"):
        write_tables(bills, out)
    with pytest.raises(DataError, match="holds no bills"):
        write_tables(tmp_path, out)
    assert (out / "charges.csv").read_bytes() == before
    (tmp_path / "file").write_text("")
    assert "cannot be written" in said("community", "tables", bills, "--out", tmp_path / "file").err
