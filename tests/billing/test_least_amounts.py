"""Money to the least that its currency has: whole dong and yen, thousandths of a dinar, hundredths of a forint."""

from __future__ import annotations

import csv
import json
from fractions import Fraction
from pathlib import Path

import pytest
from month_cases import CHAINED, OCTOBER, counted, settled, write_export
from shell import Shell

from commonwatt.billing.outputs import payments, write
from commonwatt.units import MICRO, rounded

DECIMALS = {"VND": 0, "JPY": 0, "HUF": 2, "EUR": 2, "KWD": 3}
PRICES = {"VND": "2000", "JPY": "20", "HUF": "40", "EUR": "0.1", "KWD": "0.01"}


def priced(currency: str) -> str:
    """The community with prices and fees as high as they are in this currency."""
    text, one = CHAINED.replace('"EUR"', f'"{currency}"'), Fraction(PRICES[currency])
    shares = {"0.2450": "2", "0.0620": "0.5", "0.1107": "1.107", "2.00": "20", "0.50": "5.1"}
    for old, share in shares.items():
        text = text.replace(f'"{old}"', f'"{float(Fraction(share) * one):.5f}"')
    return text


@pytest.mark.parametrize("currency", DECIMALS)
def test_every_amount_can_be_paid(said: Shell, tmp_path: Path, currency: str) -> None:
    files = [write_export(tmp_path / "a.csv", OCTOBER, counted(OCTOBER, 1))]
    billed = settled(tmp_path, OCTOBER, files, priced(currency))
    write(billed, tmp_path)
    places, sums = DECIMALS[currency], dict.fromkeys(("anna", "ben", "cleo", "plant"), 0)
    for row in csv.DictReader((tmp_path / "charges.csv").read_text().splitlines()):
        for name in ("net", "VAT", "gross"):
            assert len(row[name].partition(".")[2]) == places
        if row["kWh"]:
            # A line is its energy at its price, to the least that is paid; credit is below 0.
            exact = Fraction(row["kWh"]) * Fraction(row["price"]) * (-1 if row["line"] == "local feed-in" else 1)
            assert Fraction(row["net"]) == Fraction(rounded(exact * 10**places), 10**places)
        sums[row["member"]] += int(row["gross"].replace(".", ""))
    for member, total in sums.items():
        assert json.loads((tmp_path / f"bills/{member}.json").read_text())["content"]["payable"] == total
        least = f"{abs(total) // 10**places}" + (f".{abs(total) % 10**places:0{places}d}" if places else "")
        assert f"{least} {currency}" in (tmp_path / f"bills/{member}.html").read_text()
        found = said("verify", tmp_path / f"bills/{member}.json", "--card", tmp_path / f"cards/{member}.json")
        assert found.code == 0, found.err
        assert "at the prices of the community's page" in found.out
        (shown,) = [
            line
            for line in said("show", tmp_path / f"bills/{member}.json").out.splitlines()
            if line.startswith("total ")
        ]
        assert shown.split()[-1].lstrip("-−") == least
    batches = payments(billed).values()
    assert (currency == "EUR") != any("SEPA carries euro alone" in each for batch in batches for each in batch.left_out)
    assert MICRO % 10**places == 0
