"""`commonwatt check` opens what `commonwatt simulate` opens, and refuses in the same words."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from shell import Shell

COMMUNITY = """
[community]
name = "Row"
currency = "PLN"
timezone = "Europe/Warsaw"
slot = "30min"
profiles = "meters.csv"

[tariff]
retail = { file = "retail.csv" }
feed_in = "0.25"

[market.real_time]
mechanism = "own.py:OWN"

[members]
dom = { load = "dom" }
dach = { load = "lokal", pv = { profile = "dach", kwp = 4 } }
"""
OWN = "from commonwatt.market import MECHANISMS\nOWN = MECHANISMS['mid-market']\n"
START = "2026-04-20"


def times(minutes: int) -> list[str]:
    first = datetime(2026, 4, 10)  # noqa: DTZ001
    return [f"{first + timedelta(minutes=minutes * row):%Y-%m-%dT%H:%M}" for row in range(11 * 24 * 60 // minutes)]


def meters() -> str:
    return "\n".join(["time,dom_kwh,lokal [kW],dach (Wh)", *(f"{time},0.2,0.5,{100 + row % 7}" for row, time in
                      enumerate(times(30)))])  # fmt: skip


def retail(head: str = "price", value: float = 0.9) -> str:
    return "\n".join([f"time,{head}", *(f"{time},{value}" for time in times(60))])


@pytest.fixture
def community(tmp_path: Path) -> Path:
    for name, text in (("c.toml", COMMUNITY), ("meters.csv", meters()), ("retail.csv", retail()), ("own.py", OWN)):
        (tmp_path / name).write_text(text)
    return tmp_path / "c.toml"


Told = Callable[..., tuple[int, str]]


@pytest.fixture
def told(said: Shell) -> Told:
    """Exit code of a command, and what it says on stderr."""

    def run(*arguments: object) -> tuple[int, str]:
        code, _, err = said(*arguments)
        return code, err.lstrip()  # where the progress bar was

    return run


def line(name: str, number: int, old: str, new: str) -> Callable[[Path], None]:
    """Change a line of a file, numbered as an editor does."""

    def change(folder: Path) -> None:
        lines = (folder / name).read_text().splitlines()
        assert old in lines[number - 1]
        lines[number - 1] = lines[number - 1].replace(old, new)
        (folder / name).write_text("\n".join(lines))

    return change


def text(name: str, content: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_text(content)

    return change


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def instead(name: str, make: Callable[[Path], object]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return change


def renamed(folder: Path) -> None:
    (folder / "meters.csv").rename(folder / "meters.txt")
    (folder / "c.toml").write_text(COMMUNITY.replace("meters.csv", "meters.txt"))


def taxed(folder: Path) -> None:
    (folder / "c.toml").write_text(COMMUNITY.replace("[market", 'vat = { rate = "0.23" }\n\n[market', 1))
    (folder / "retail.csv").write_text(retail("PLN/kWh", 9e5))


def cents(folder: Path) -> None:
    (folder / "c.toml").write_text(COMMUNITY.replace('"0.25"', '{ file = "feed_in.csv" }'))
    (folder / "feed_in.csv").write_text(retail(value=9.1))


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "no meter file": (without("meters.csv"), "meters.csv cannot be read: there is no such file"),
    "a meter file of another kind": (renamed, "meters.txt is neither a .csv, a .parquet nor an .xlsx file"),
    "a word for a price file": (text("retail.csv", "witaj"), "retail.csv needs a column of times, a column of prices"),
    "a pipe for a price file": (instead("retail.csv", os.mkfifo), "retail.csv cannot be read: it is no regular file"),
    "a folder for a meter file": (instead("meters.csv", Path.mkdir), "meters.csv cannot be read: it is a folder"),
    "a device for a community file": (
        instead("c.toml", lambda path: path.symlink_to("/dev/zero")),
        "cannot be read: it is no regular file",
    ),
    "a meter without a unit": (line("meters.csv", 1, "dom_kwh", "dom"), "column 'dom' does not end with its unit"),
    "a time that is none": (line("meters.csv", 40, "2026", "MMXXVI"), "row 40 has 'MMXXVI"),
    "a time twice": (line("meters.csv", 41, "2026-04-10T19:30", "2026-04-10T19:00"), "19:00 CEST stands twice"),
    "a value that is none": (
        line("meters.csv", 500, ",0.2,", ",brak,"),
        "column 'dom_kwh' has 'brak' at 2026-04-20 09:00",
    ),
    "a negative value": (
        line("meters.csv", 500, ",0.5,", ",-0.5,"),
        "column 'lokal [kW]' has '-0.5' at 2026-04-20 09:00",
    ),
    "a gap": (line("meters.csv", 500, ",0.5,", ",,"), "column 'lokal [kW]' lacks values for 1 of "),
    "a row too long": (
        line("meters.csv", 77, ",0.5,", ",0,5,"),
        "row 77 has 5 values, but the first row names 4 columns",
    ),
    "readings of two hours": (
        text("meters.csv", "time,dom_kwh\n" + "".join(f"{time},1\n" for time in times(120))),
        "rows are 120 min apart, the community's slots 30 min",
    ),
    "registers": (
        text("meters.csv", "time,dom_kwh\n" + "".join(f"{time},{7000 + row}\n" for row, time in enumerate(times(30)))),
        "column 'dom_kwh' keeps rising",
    ),
    "a price below all": (
        line("retail.csv", 250, "0.9", "-1000001"),
        "column 'price' has '-1000001' at 2026-04-20 08:00 CEST, which is less than the lowest price per kWh, -1000000",
    ),
    "a missing price": (line("retail.csv", 250, ",0.9", ","), "column 'price' lacks values for 2 of "),
    "a price per GJ": (text("retail.csv", retail("PLN/GJ")), "column 'PLN/GJ' is in "),
    "a price in another money": (
        text("retail.csv", retail("EUR/MWh")),
        "column 'EUR/MWh' is in EUR/MWh; a price is in PLN",
    ),
    "a price per MWh without a unit": (
        text("retail.csv", retail(value=412)),
        "names no unit, and 412 PLN/kWh, its usual",
    ),
    "prices below zero per MWh without a unit": (
        text("retail.csv", retail(value=-412)),
        "names no unit, and 412 PLN/kWh, its usual",
    ),
    "a feed-in price in cents without a unit": (cents, "names no unit, and 9.1 PLN/kWh, its usual price"),
    "a price above the highest": (
        text("retail.csv", retail("PLN/kWh", 2e6)),
        "which is more than the highest price per kWh, 1000000",
    ),
    "a price whose VAT exceeds the highest": (
        taxed,
        "a kWh at 900000.00 costs 1107000.00 with levies and VAT",
    ),
    "no own mechanism": (without("own.py"), "there is no file"),
    "an own mechanism that ends everything": (
        text("own.py", "import sys\nsys.exit(0)"),
        "own.py cannot be run: SystemExit: 0",
    ),
    "an own mechanism that leaves": (text("own.py", "exit()"), "own.py cannot be run: SystemExit"),
    "an own mechanism that raises": (
        text("own.py", "class Gone(BaseException): pass\nraise Gone('two\\nlines')"),
        "own.py cannot be run: Gone: two",
    ),
    "an own mechanism that interrupts": (
        text("own.py", "raise KeyboardInterrupt"),
        "own.py cannot be run: KeyboardInterr",
    ),
    "an own mechanism that prints": (
        text("own.py", OWN + "print('dzień dobry')"),
        "own.py cannot be run: it prints 'dzień",
    ),
    "an own mechanism whose parameters end everything": (
        text(
            "own.py",
            "import sys\nfrom dataclasses import replace\nfrom pydantic import model_validator\n"
            "from commonwatt.market import MECHANISMS, Parameters\n"
            "class Own(Parameters):\n    @model_validator(mode='after')\n    def leave(self): sys.exit(0)\n"
            "OWN = replace(MECHANISMS['mid-market'], parameters=Own)\n",
        ),
        "own.py cannot be run: SystemExit: 0 (line 7)",
    ),
    "an own mechanism that leaves when it is asked for": (
        text("own.py", "def __getattr__(name):\n    raise SystemExit(name)"),
        "own.py cannot be run: SystemExit: OWN",
    ),
    "an own mechanism with a mistake": (text("own.py", "OWN = ("), "own.py cannot be run: SyntaxError"),
    "an own mechanism of another name": (text("own.py", "MINE = 1"), "own.py has no Mechanism called 'OWN'"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_both_commands_refuse_in_the_same_words(community: Path, told: Told, what: str) -> None:
    change, sentence = BROKEN[what]
    change(community.parent)
    code, simulated = told("simulate", community, "--start", START, "--ledger", "none")
    assert sentence in simulated
    assert code in (2, 3)
    assert "Traceback" not in simulated
    assert told("check", community, "--start", START) == (code, simulated)
    whole, all_days = told("check", community)
    assert whole == code
    assert sentence in all_days


def test_check_looks_at_the_days_that_are_asked_for(community: Path, told: Told) -> None:
    line("retail.csv", 250, "0.9", "-1000001")(community.parent)
    assert told("check", community)[0] == 3
    assert told("check", community, "--start", "2026-04-19") == (0, "")
    assert told("check", community, "--start", "2026-04-19", "--days", "2")[0] == 3
    assert "days: are counted from start" in told("check", community, "--days", "2")[1]
    assert told("check", community, "--start", "soon") == (
        2,
        "The request has 1 problem:\n  start: is a date such as 2026-06-15, not 'soon'\n",
    )


def test_a_community_file_with_a_mark_is_the_same_community(community: Path) -> None:
    from commonwatt.exchange.checking import load

    digest = load(community).digest
    community.write_text(COMMUNITY, encoding="utf-8-sig")
    assert load(community).digest == digest
    community.write_bytes(COMMUNITY.replace("\n", "\r\n").encode())
    assert load(community).digest == digest


def test_several_meter_files_are_as_good_as_one(community: Path, said: Shell) -> None:
    one = said("simulate", community, "--start", START, "--ledger", "none", "--json", "-")
    head, *rows = [row.split(",") for row in meters().splitlines()]
    begins = [row[0] for row in rows]
    # The times of the last file are those at which its intervals end.
    ends = [*begins[1:], "2026-04-21T00:00"]
    for column, labels in ((1, begins), (2, begins), (3, ends)):
        lines = [f"{time},{row[column]}" for time, row in zip(labels, rows, strict=True)]
        (community.parent / f"{column}.csv").write_text("\n".join([f"time,{head[column]}", *lines]))
    listed = 'profiles = ["1.csv", "2.csv", { file = "3.csv", labels = "end" }]'
    community.write_text(COMMUNITY.replace('profiles = "meters.csv"', listed))
    assert said("check", community, "--start", START).code == 0
    several = said("simulate", community, "--start", START, "--ledger", "none", "--json", "-")
    assert (one.code, several.code) == (0, 0)
    figures = [json.loads(each.out) for each in (one, several)]
    assert all(figures[0][name] == figures[1][name] for name in ("energy_wh", "homes", "money"))


def test_a_meter_in_two_files_is_told_by_both(community: Path, told: Told) -> None:
    (community.parent / "2.csv").write_text(meters())
    community.write_text(COMMUNITY.replace('profiles = "meters.csv"', 'profiles = ["meters.csv", "2.csv"]'))
    for command in ("check", "simulate"):
        code, err = told(command, community, "--start", START)
        assert (code, f"the meter 'dom' is in {community.parent / 'meters.csv'} too; each needs a name" in err) == (
            2,
            True,
        )
