"""A month of bills on paper: tables that add up to the bills, pages, and what the grid company is told; and what is
wrong costs no table."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
import stat
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from changing_cases import BILL_AFTER, MONTH, Changing
from pypdf import PdfReader
from shell import Shell

from commonwatt.billing.bill_tables import write_tables
from commonwatt.community.calendar import Slots
from commonwatt.data.reports import read_reports
from commonwatt.errors import DataError, VerificationError
from commonwatt.exchange import tables
from commonwatt.member.summary import summary
from commonwatt.report.bill import words


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
    assert "6 bills as pages" in said("community", "tables", bills, "--out", out).out
    charges, readings = rows(out / "charges.csv"), rows(out / "readings.csv")
    for file in bills.iterdir():
        content = json.loads(gzip.decompress(file.read_bytes()))["content"]
        own = [Decimal(row["amount"]) * 10**6 for row in charges if row["member"] == content["member"]["id"]]
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


def test_each_slot_is_shared_and_residual_as_the_bills_say_and_the_grid_companys_file_says_the_same(
    bills: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    write_tables(bills, out)
    energy = rows(out / "energy.csv")
    shared, members = {"import": 0, "export": 0}, list[str]()
    for file in bills.iterdir():
        content = json.loads(gzip.decompress(file.read_bytes()))["content"]
        members.append(content["member"]["id"])
        own = [row for row in energy if row["member"] == members[-1]]
        assert all(int(row["wh"]) == int(row["shared"]) + int(row["utility"]) for row in own)
        for direction in shared:
            utility = sum(int(row["utility"]) for row in own if row["direction"] == direction)
            assert utility == sum(sheet["sums"][direction] for sheet in content["sheets"])
            shared[direction] += sum(int(row["shared"]) for row in own if row["direction"] == direction)
    assert shared["import"] == shared["export"] > 0
    start = datetime.fromisoformat(energy[0]["slot"])
    report = read_reports([out / "grid-company.csv"], Slots(int(start.timestamp()), 48, 3600), "Europe/Berlin")
    assert {*report.points} == {*members}
    quantities = {("import", "wh"): "import", ("import", "shared"): "G.03", ("export", "wh"): "export"}
    quantities[("export", "utility")] = "P.01"
    for (direction, column), quantity in quantities.items():
        for point in report.points:
            told = [row for row in energy if (row["point"], row["direction"]) == (point, direction)]
            read, place = report.energy[quantity], report.points.index(point)  # type: ignore[index]
            assert read.wh[place].tolist() == [int(row[column]) for row in told] or not told
            assert read.there[place].tolist() == [row["metered"] != "not measured" for row in told] or not told


def test_every_bill_is_a_page_for_a_browser_and_for_paper(bills: Path, tmp_path: Path, said: Shell) -> None:
    out = tmp_path / "out"
    assert said("community", "tables", bills, "--out", out, "--pdf").code == 0
    for file in sorted(bills.iterdir()):
        found, name = summary(file), file.name.removesuffix(".json.gz")
        page = (out / "bills" / f"{name}.html").read_text("utf-8")
        (printed,) = PdfReader(out / "bills" / f"{name}.pdf").pages
        text = " ".join(printed.extract_text().split())
        for told in (f"Bill of {name}, {words.period(found)}", words.money(found, found.total)):
            assert told in page
            assert told in text
        assert words.verdict(found) in text
        assert sum(charge.amount for charge in found.charges) == found.total
    assert stat.S_IMODE((out / "bills" / "flat.pdf").stat().st_mode) == 0o600


def test_what_is_wrong_with_a_bill_leaves_the_tables_that_were_there(bills: Path, tmp_path: Path, said: Shell) -> None:
    out = tmp_path / "out"
    assert write_tables(bills, out) == 6
    before = (out / "charges.csv").read_bytes()
    other = json.loads(gzip.decompress((bills / "roof.json.gz").read_bytes()))
    other["content"]["period"]["until"] += 3600
    (bills / "zoo.json").write_text(json.dumps(other))
    with pytest.raises(DataError, match="is of another month"):
        write_tables(bills, out)
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
