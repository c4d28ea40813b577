"""A month after the fact, for 50 members: `python benchmarks/settle.py`, JSON on stdout. About a minute.

The report of a fictional Austrian community of 50 homes, a third of them with a roof whose two registers both move, is
read, settled and billed, October with its day of 25 hours, without a ledger and with the chain of the books; then every
bill is verified. The report is made by `tools/make_settle_example.py`, which reckons the grid company's shares
without the package.
"""

from __future__ import annotations

import gzip
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

from _measure import ROOT, clocks, show

from commonwatt.billing.archive import Archive
from commonwatt.billing.month import Month
from commonwatt.billing.outputs import write
from commonwatt.billing.run import Billed, settle_month, understand
from commonwatt.member.card import read as read_card
from commonwatt.member.trust import Pins
from commonwatt.member.verify import open_and_verify

sys.path.insert(0, str(ROOT / "tools"))
import make_settle_example as example

MEMBERS, ROOFS = 50, 3
OCTOBER = Month(2026, 10)
AT_MOST = {"unledgered": 20, "ledgered": 300, "verify": 10, "bytes": 1_000_000, "slot": 1, "month": 20}


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file, report = community(folder), folder / "october.xlsx"
        example.write(report, OCTOBER.first, OCTOBER.last)
        print("settling without a ledger", file=sys.stderr)
        begun = clocks()
        billed(file, report, folder / "without", chain=False)
        without = spent(begun)
        print("settling on account", file=sys.stderr)
        begun = clocks()
        made = billed(file, report, folder / "with", chain=True)
        with_chain = spent(begun)
        print("verifying", file=sys.stderr)
        begun = clocks()
        for bill in made.issued.bills:
            pins = Pins(card=read_card(folder / f"with/cards/{bill.member}.json"))
            open_and_verify(folder / f"with/bills/{bill.member}.json", [str(folder / "with/books/ledger.sqlite")], pins)
        verified = spent(begun)
        sizes = [len(gzip.compress(path.read_bytes())) for path in (folder / "with/bills").glob("*.json")]
    show(
        {
            "members": MEMBERS,
            "runs": 1,
            "registers": len(made.agreements),
            "without_ledger_seconds": without,
            "on_account_seconds": with_chain,
            "verify_one_seconds": {clock: float(f"{seconds / MEMBERS:.3g}") for clock, seconds in verified.items()},
            "bill_bytes_compressed": max(sizes),
            "largest_wh_in_a_slot": max(each.largest for each in made.agreements) / 1000,
            "largest_wh_over_the_month": max(abs(each.ours - each.official) for each in made.agreements) / 1000,
            "at_most": AT_MOST,
        },
        "polars",
        "sqlalchemy",
    )


def community(folder: Path) -> Path:
    """The example's community, with other members."""
    every = [home(number) for number in range(1, MEMBERS + 1)]
    example.MEMBERS = tuple(every)
    text = (ROOT / "examples" / "eeg.toml").read_text("utf-8").partition("[members]")[0] + "[members]\n"
    for member in every:
        fed = f', export = "{member.generating}"' if member.peak else ""
        text += f'{member.name} = {{ points = [{{ import = "{member.consuming}"{fed} }}] }}\n'
    file = folder / "community.toml"
    file.write_text(text, encoding="utf-8")
    return file


def home(number: int) -> example.Member:
    """One of them; every third has a roof."""
    peak = 2_000 * (1 + number % 4) if number % ROOFS == 0 else 0
    return example.Member(f"home-{number:02}", number, 5_000 + 137 * number, peak)


def billed(file: Path, report: Path, out: Path, *, chain: bool) -> Billed:
    """The month, from the report to all files."""
    if not chain:
        text = file.read_text("utf-8").replace('collateral = "none"', 'kind = "none"')
        file = file.with_name("without.toml")
        file.write_text(text, encoding="utf-8")
    archive = Archive(out / "books")
    understood = understand(file, OCTOBER, [report], archive, None)
    found = settle_month(understood, [report], archive, date(2026, 11, 3), 1_793_700_000)
    write(found, out)
    return found


def spent(begun: tuple[Any, ...]) -> dict[str, float]:
    """Clocks since then [s]."""
    ends = (end - start for start, end in zip(begun, clocks(), strict=True))
    return dict(zip(("wall", "cpu"), (float(f"{seconds:.4g}") for seconds in ends), strict=True))


if __name__ == "__main__":
    main()
