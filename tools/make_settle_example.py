"""Write the reports of a fictional Austrian energy community that docs/settle.md settles:

    python tools/make_settle_example.py examples

    eeg-2026-10.xlsx             October; pichler's points begin on the 15th
    eeg-2026-10-corrected.xlsx   the 5th of October again, with other values of gruber and of mueller's roof
    eeg-2026-11.xlsx             November; fischer joins on the 16th

People, operator and figures are made up. Registers are whole Wh; what the community offered (G.02), what each took of
it (G.03) and what was left (P.01) follow the dynamic rule of ElWOG 2010, § 16e (3), quarter hour by quarter hour and to
the mWh, reckoned here without the package. Needs xlsxwriter, which is among the tools for tests.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import xlsxwriter

ZONE = ZoneInfo("Europe/Vienna")
CREATED = datetime(2026, 12, 1)  # noqa: DTZ001  (a workbook knows no zones)
OPERATOR = "AT00999"
L1, L2, L3 = "L1", "L2", "L3"
CONSUMED = (
    "Gesamtverbrauch lt. Messung (bei Teilnahme gem. Erzeugung) [KWH]",
    "Anteil gemeinschaftliche Erzeugung [KWH]",
    "Eigendeckung gemeinschaftliche Erzeugung [KWH]",
)
GENERATED = (
    "Gesamte gemeinschaftliche Erzeugung [KWH]",
    "Gesamt/Überschusserzeugung, Gemeinschaftsüberschuss [KWH]",
)


@dataclass(frozen=True)
class Member:
    """A member with its points.

    number : of its consuming point; 100 more is that of its roof
    daily : mean consumption of a day [Wh]; peak : of its roof [W], 0 for none
    first : day on which its points begin
    """

    name: str
    number: int
    daily: int
    peak: int = 0
    first: date = date(2026, 1, 1)

    @property
    def consuming(self) -> str:
        """Id of the point that takes."""
        return f"{OPERATOR}{self.number:026d}"

    @property
    def generating(self) -> str:
        """Id of the point that feeds in."""
        return f"{OPERATOR}{self.number + 100:026d}"


MEMBERS: tuple[Member, ...] = (
    Member("bauer", 1, 11_400),
    Member("gruber", 2, 8_300),
    Member("huber", 3, 9_700, peak=6_200),
    Member("wagner", 4, 7_900, peak=4_800),
    Member("mueller", 5, 12_600, peak=9_500),
    Member("maier", 6, 6_100),
    Member("steiner", 7, 10_200),
    Member("pichler", 8, 9_000, first=date(2026, 10, 15)),
    Member("school", 9, 2_400, peak=38_000),
    Member("fischer", 10, 8_800, first=date(2026, 11, 16)),
)
Value = tuple[int, str]
"""Energy [mWh], and how it was obtained."""


def quarters(first: date, last: date) -> Iterator[datetime]:
    """Begins of all quarter hours from the one local day to the other, UTC."""
    begin, end = (
        datetime(day.year, day.month, day.day, tzinfo=ZONE).astimezone(UTC) for day in (first, last + timedelta(days=1))
    )
    while begin < end:
        yield begin
        begin += timedelta(minutes=15)


def registers(member: Member, begin: datetime, *, corrected: bool) -> tuple[Value, Value]:
    """What the member's points counted in the quarter hour: taken, fed in."""
    chance = random.Random(f"{member.name} {begin:%Y-%m-%dT%H:%M}")  # noqa: S311  (an example, no secret)
    here = begin.astimezone(ZONE)
    used, made = _used(member, here, chance), _made(member, begin, chance)
    # Clouds and kettles come and go within the quarter hour, so that both registers move.
    met = round(min(used, made) * chance.uniform(0.55, 0.95))
    taken, fed, flag = used - met, made - met, L1
    if here.date() == date(2026, 10, 12) and member.name == "steiner" and 9 <= here.hour < 12:
        flag = L2
    if here.date() == date(2026, 10, 5) and member.name == "gruber" and here.hour < 18:
        taken, flag = (taken, L1) if corrected else (86, L3)
    if here.date() == date(2026, 10, 5) and member.name == "mueller":
        fed, flag = (fed, L2) if corrected else (fed // 2, L3)
    return (taken * 1000, flag), (fed * 1000, flag)


def _used(member: Member, here: datetime, chance: random.Random) -> int:
    """Consumption of a quarter hour [Wh]."""
    hour = here.hour + here.minute / 60
    if member.name == "school":
        shape = 2.2 if here.weekday() < 5 and 7 <= hour < 16 else 0.3
    else:
        evening, morning = math.exp(-(((hour - 19.2) / 2.3) ** 2)), math.exp(-(((hour - 7.2) / 1.4) ** 2))
        noon = math.exp(-(((hour - 12.4) / 1.6) ** 2)) * (1.1 if here.weekday() >= 5 else 0.5)
        shape = 0.42 + 1.7 * evening + 0.9 * morning + noon
    return round(member.daily / 96 * shape * chance.lognormvariate(-0.12, 0.5))


def _made(member: Member, begin: datetime, chance: random.Random) -> int:
    """Generation of a quarter hour [Wh]."""
    day = begin.timetuple().tm_yday
    declination = math.radians(-23.44) * math.cos(2 * math.pi * (day + 10) / 365)
    # The middle of the quarter hour, at 15.4° east, where the sun is a quarter of an hour early in autumn.
    sun_hour = begin.hour + begin.minute / 60 + 0.125 + 15.4 / 15 + 0.25
    latitude = math.radians(48.1)
    height = math.sin(latitude) * math.sin(declination) + math.cos(latitude) * math.cos(declination) * math.cos(
        math.radians(15 * (sun_hour - 12))
    )
    clear = random.Random(f"sky {begin:%Y-%m-%d}").betavariate(1.4, 1.3)  # noqa: S311
    return round(member.peak / 4 * 0.92 * max(0.0, height) * clear * chance.uniform(0.6, 1.1))


def allocated(taken: list[int], fed: list[int]) -> tuple[list[int], list[int], list[int]]:
    """G.02, G.03 of those who took, P.01 of those who fed in [mWh], of what each took and fed in [mWh].

    What was fed in is offered in proportion to what each took; nobody gets more than that.
    """
    offered, needed = sum(fed), sum(taken)
    shares = [_nearest(offered * each, needed) for each in taken]
    covered = [_nearest(min(offered, needed) * each, needed) for each in taken]
    left = [_nearest((offered - min(offered, needed)) * each, offered) for each in fed]
    return shares, covered, left


def _nearest(numerator: int, denominator: int) -> int:
    """The quotient, halves upwards; 0 where nothing is divided."""
    return (2 * numerator + denominator) // (2 * denominator) if denominator else 0


def table(first: date, last: date, *, corrected: bool) -> tuple[list[tuple[Member, str]], list[list[Value | None]]]:
    """Columns as member and code, and a row of values for each quarter hour; None before a point begins."""
    members = [member for member in MEMBERS if member.first <= last]
    roofs = [member for member in members if member.peak]
    columns = [(member, code) for member in members for code in CONSUMED]
    columns += [(member, code) for member in roofs for code in GENERATED]
    rows = []
    for begin in quarters(first, last):
        here = [member for member in members if member.first <= begin.astimezone(ZONE).date()]
        counted = {member.name: registers(member, begin, corrected=corrected) for member in here}
        takers, feeders = [counted[member.name][0] for member in here], [counted[member.name][1] for member in roofs]
        shares, covered, left = allocated([mwh for mwh, _ in takers], [mwh for mwh, _ in feeders])
        worst = max(flag for _, flag in takers + feeders)
        of: dict[tuple[str, str], Value] = {}
        for member, taken, share, cover in zip(here, takers, shares, covered, strict=True):
            of |= zip(((member.name, code) for code in CONSUMED), (taken, (share, worst), (cover, worst)), strict=True)
        for member, fed, rest in zip(roofs, feeders, left, strict=True):
            of |= zip(((member.name, code) for code in GENERATED), (fed, (rest, worst)), strict=True)
        rows.append([of.get((member.name, code)) for member, code in columns])
    return columns, rows


def write(path: Path, first: date, last: date, *, corrected: bool = False) -> None:
    """The report of these local days as a workbook, the same to the byte each time."""
    columns, rows = table(first, last, corrected=corrected)
    book = xlsxwriter.Workbook(str(path), {"constant_memory": True})
    book.set_properties({"title": "Fictional example", "author": "Commonwatt", "created": CREATED})
    summary = book.add_worksheet("Summary")
    summary.write_row(0, 0, ["Gemeinschafts-ID", f"{OPERATOR}00000RC100001000000000001"])
    summary.write_row(1, 0, ["Zeitraum von", f"{first:%d.%m.%Y}"])
    summary.write_row(2, 0, ["Zeitraum bis", f"{last:%d.%m.%Y}"])
    sheet = book.add_worksheet("ConsumptionDataReport")
    sheet.set_column(0, 0, 32)
    kwh = book.add_format({"num_format": "0.000000"})
    sheet.write(0, 0, "Fictional example; nobody lives here.")
    ids = [member.consuming if code in CONSUMED else member.generating for member, code in columns]
    heads: dict[str, list[tuple[float | str, str]]] = {
        "MeteringpointID": [(point, "MM") for point in ids],
        "Name": [(member.name, "") for member, _ in columns],
        "Energy direction": [("CONSUMPTION" if code in CONSUMED else "GENERATION", "") for _, code in columns],
        "Period start": [(f"{max(first, member.first):%d.%m.%Y} 00:00:00", "") for member, _ in columns],
        "Period end": [(f"{last:%d.%m.%Y} 23:45:00", "")] * len(columns),
        "Metercode": [(code, "") for _, code in columns],
        "Spaltensumme / minimale Qualität": [_sum(column) for column in zip(*rows, strict=True)],
    }
    for place, (label, cells) in enumerate(heads.items(), 1):
        sheet.write(place, 0, label)
        for column, (cell, beside) in enumerate(cells):
            sheet.write(place, 1 + 2 * column, cell)
            if beside:
                sheet.write(place, 2 + 2 * column, beside)
    for place, (begin, row) in enumerate(zip(quarters(first, last), rows, strict=True), 1 + len(heads)):
        sheet.write_string(place, 0, f"{begin.astimezone(ZONE):%d.%m.%Y %H:%M:%S}")
        for column, value in enumerate(row):
            if value is not None:
                sheet.write_number(place, 1 + 2 * column, value[0] / 1e6, kwh)
                sheet.write_string(place, 2 + 2 * column, value[1])
    book.close()


def _sum(column: tuple[Value | None, ...]) -> tuple[float | str, str]:
    values = [value for value in column if value is not None]
    return sum(mwh for mwh, _ in values) / 1e6, max(flag for _, flag in values)


def main(folder: Path) -> None:
    """Write the three reports into `folder`."""
    write(folder / "eeg-2026-10.xlsx", date(2026, 10, 1), date(2026, 10, 31))
    write(folder / "eeg-2026-10-corrected.xlsx", date(2026, 10, 5), date(2026, 10, 5), corrected=True)
    write(folder / "eeg-2026-11.xlsx", date(2026, 11, 1), date(2026, 11, 30))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
