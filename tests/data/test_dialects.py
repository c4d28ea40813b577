"""Tables as exports write them: what is read alike, and what is refused with its row."""

from __future__ import annotations

import csv
import io
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.community.calendar import local_days
from commonwatt.data import read_meter_file
from commonwatt.errors import DataError
from commonwatt.units import wh_from_kw

ROME = "Europe/Rome"
DAY = local_days(date(2026, 5, 19), 1, ROME, 3600)
TIMES = [datetime(2026, 5, 19, hour) for hour in range(24)]  # noqa: DTZ001
WH = [100 + 37 * hour % 310 for hour in range(24)]


def written(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "meters.csv"
    path.write_bytes(text.encode(encoding))
    return path


def table(
    head: str = "time,casa_kwh", row: str = "{time:%Y-%m-%dT%H:%M},{kwh}", end: str = "\n", before: str = ""
) -> str:
    rows = []
    for time, wh in zip(TIMES, WH, strict=True):
        kwh = wh / 1000
        comma = f"{kwh}".replace(".", ",")
        rows.append(row.format(time=time, next=time.hour + 1, wh=wh, kwh=kwh, comma=comma))
    return before + end.join([head, *rows]) + end


def wh_of(path: Path, meter: str = "casa") -> list[int]:
    meters = read_meter_file(path, DAY, ROME)
    return wh_from_kw(meters.named(meter)[None], DAY.hours)[0].tolist()  # type: ignore[no-any-return]


ISO = "{time:%Y-%m-%dT%H:%M}"
ALIKE = {
    "blank lines at the end": table() + "\n\n",
    "blank lines before the names and between rows": "\n\n" + table(end="\n\n"),
    "lines of separators only": table() + ",\n,,,\n",
    "a separator at the end of each row": table("time,casa_kwh,", ISO + ",{kwh},"),
    "a separator at the end of rows only": table(row=ISO + ",{kwh},,"),
    "a separator after the names only": table("time,casa_kwh,,"),
    "an empty column in between": table("time,,casa_kwh", ISO + ",,{kwh}"),
    "no name over the times": table(",casa_kwh"),
    "carriage returns": table(end="\r\n"),
    "carriage returns alone": table(end="\r"),
    "Excel's own line": table("time;casa_kwh", ISO + ";{comma}", before="sep=;\r\n", end="\r\n"),
    "Excel's own line with commas": table(before="sep=,\n"),
    "decimal commas": table("time;casa_kwh", ISO + ";{comma}"),
    "decimal points and semicolons": table("time;casa_kwh", ISO + ";{kwh}"),
    "quoted fields": table('"time","casa_kwh"', '"' + ISO + '","{kwh}"'),
    "a separator in quoted names": table('"time, local","casa_kwh"'),
    "the other separator in quoted names": table('"time; local","casa_kwh"'),
    "quoted decimal commas beside semicolons": table('"time";"casa_kwh"', '"' + ISO + '";"{comma}"'),
    "spaces around names and values": table(" time , casa_kwh ", " " + ISO + " , {kwh} "),
    "spaces that do not break": table(row=ISO + ",\u00a0{kwh}"),
    "fractions of a second": table(row="{time:%Y-%m-%d %H:%M:%S}.000,{kwh}"),
    "fractions of a second with a comma": table("time;casa_kwh", "{time:%Y-%m-%d %H:%M:%S},000;{kwh}"),
    "an offset": table(row=ISO + "+02:00,{kwh}"),
    "an offset without colon": table(row="{time:%Y-%m-%d %H:%M} +0200,{kwh}"),
    "an offset of hours": table(row=ISO + "+02,{kwh}"),
    "dates with points": table(row="{time:%d.%m.%Y %H:%M},{kwh}"),
    "dates with points, the year first": table(row="{time:%Y.%m.%d %H:%M},{kwh}"),
    "the day first with slashes": table(row="{time:%d/%m/%Y %H:%M:%S},{kwh}"),
    "the month first with slashes": table(row="{time:%m/%d/%Y %H:%M},{kwh}"),
    "the day first with dashes": table(row="{time:%d-%m-%Y %H:%M},{kwh}"),
    "hours of one digit": table(row="{time.day}.{time.month}.{time.year} {time.hour}:00,{kwh}"),
    "begin and end": table("from,until,casa_kwh", ISO + ",2026-05-19T{time.hour:02}:59:59,{kwh}"),
    "begin and the last minute": table("from;until;casa_kwh", ISO + ";{time:%d.%m.%Y %H}:59;{comma}"),
    "begin and end, the last at 24:00": table("from,until,casa_kwh", ISO + ",2026-05-19T{next:02}:00,{kwh}"),
    "dates and times in two columns": table("Datum;Zeit;casa_kwh", "{time:%d.%m.%Y};{time:%H:%M};{comma}"),
    "dates and both times of an interval": table(
        "Datum;Zeit von;Zeit bis;casa_kwh", "{time:%d.%m.%Y};{time:%H:%M:%S};{time:%H}:59:59;{comma}"
    ),
    "tabulators": table("time\tcasa_kwh", ISO + "\t{comma}"),
    "the unit in square brackets": table("time,casa [kWh]"),
    "the unit in round brackets": table("time,casa (kWh)"),
    "the unit in words": table("time,casa (in kWh)"),
    "the unit behind a space": table("time,casa kWh"),
    "the unit behind a slash": table("time,casa/kWh"),
    "the unit behind a comma": table("time;casa, kWh", ISO + ";{comma}"),
    "watt-hours": table("time,casa [Wh]", ISO + ",{wh}"),
    "watts": table("time,casa_W", ISO + ",{wh}"),
    "small letters": table("time,casa (kw)"),
    "megawatt-hours": table("time,casa_MWh", ISO + ",{kwh}e-3"),
}


@pytest.mark.parametrize("what", ALIKE)
def test_exports_that_are_read_alike(tmp_path: Path, what: str) -> None:
    assert wh_of(written(tmp_path, ALIKE[what])) == WH


def test_a_mark_before_the_first_name_changes_nothing(tmp_path: Path) -> None:
    assert wh_of(written(tmp_path, table(), "utf-8-sig")) == WH


def test_a_meter_is_found_with_and_without_its_unit(tmp_path: Path) -> None:
    path = written(tmp_path, table('time,"Casa, left (kWh)"'))
    assert wh_of(path, "Casa, left") == wh_of(path, "Casa, left (kWh)") == WH


def test_names_that_are_only_a_unit_are_kept(tmp_path: Path) -> None:
    assert wh_of(written(tmp_path, table("time,kWh")), "kWh") == WH


def changed(place: int, new: str, **options: str) -> str:
    """The table with the row at this place, as an editor counts, replaced."""
    lines = table(**options).splitlines()
    lines[place - 1] = new
    return "\n".join(lines)


SEMICOLONS = {"head": "time;casa_kwh", "row": ISO + ";{comma}"}
REFUSED = {
    "a point among decimal commas": (
        changed(9, "2026-05-19T07:00;1.024", **SEMICOLONS),
        "row 9 has '1.024' in column 'casa_kwh', of which the mark may be one of thousands",
    ),
    "points of thousands before decimal commas": (
        changed(9, "2026-05-19T07:00;1.024,5", **SEMICOLONS),
        "row 9 has '1.024,5' in column 'casa_kwh', of which the mark may be one of thousands",
    ),
    "whole numbers with points of thousands": (
        changed(9, "2026-05-19T07:00;1.024", head="time;casa_wh", row=ISO + ";{wh}"),
        "row 9 has '1.024' in column 'casa_wh', of which the mark may be one of thousands",
    ),
    "whole numbers with commas of thousands": (
        changed(9, '2026-05-19T07:00,"1,024"', head="time,casa_wh", row=ISO + ",{wh}"),
        "row 9 has '1,024' in column 'casa_wh', of which the mark may be one of thousands",
    ),
    "a space of thousands": (
        changed(9, "2026-05-19T07:00,1 024"),
        "column 'casa_kwh' has '1 024' at 2026-05-19 07:00 CEST, which is not a",
    ),
    "a decimal comma between commas": (
        changed(9, '2026-05-19T07:00,"0,5"'),
        "has '0,5' at 2026-05-19 07:00 CEST, which is not a number; decimal commas need semicolons between the columns",
    ),
    "decimal commas without semicolons": (
        changed(9, "2026-05-19T07:00,0,5"),
        "row 9 has 3 values, but the first row names 2 columns;",
    ),
    "digits of another script": (changed(9, "2026-05-19T07:00,٠.٥"), "has '٠.٥' at 2026-05-19 07:00 CEST, which"),
    "wide digits": (changed(9, "2026-05-19T07:00,０.５"), "has '０.５' at 2026-05-19 07:00 CEST, which"),
    "digits of another script in a time": (changed(9, "２026-05-19T07:00,1"), "row 9 has '２026-05-19T07:00'."),
    "underscores": (changed(9, "2026-05-19T07:00,1_0"), "has '1_0' at 2026-05-19 07:00 CEST, which is not a number"),
    "a time of day with an offset in seconds": (
        changed(9, "2026-05-19T07:00+02:00:30,1"),
        "row 9 has '2026-05-19T07:00+02:00:30'.",
    ),
    "a week": (changed(9, "2026-W21-2,1"), "but row 9 has '2026-W21-2'."),
    "the end of a day": (
        changed(25, "2026-05-19 24:00,1"),
        "row 25 has '2026-05-19 24:00', at which an interval ends; write when it beg",
    ),
    "a day that was not": (changed(9, "2026-05-32T07:00,1"), "but row 9 has '2026-05-32T07:00'."),
    "a time before there were meters": (changed(2, "0001-01-01T00:00,1"), "but row 2 has '0001-01-01T00:00'."),
    "seconds since 1970": (changed(2, "1779141600,1"), "row 2 has '1779141600'."),
    "days and months that both could be": (
        "time,casa_kwh\n05/06/2026 00:00,1\n05/06/2026 01:00,1\n",
        "row 2 has '05/06/2026 00:00', of which the day could be either number.",
    ),
    "a month above twelve": (changed(9, "19/19/2026 07:00,1", row="{time:%d/%m/%Y %H:%M},1"), "row 9 has '19/19/2026"),
    "lines before the names": (
        table(before="from my portal\nmeter 7\n"),
        "row 3 has 2 values, but the first row names 1 columns",
    ),
    "a second line of names": (
        changed(2, "Period start,kWh"),
        "row 2 has 'Period start'; the row above it must hold the names of the columns.",
    ),
    "a row with a number too many": (changed(4, "2026-05-19T02:00,1,2"), "row 4 has 3 values, but the first row names"),
    "values without a name": (table("time,,casa_kwh", ISO + ",x,{kwh}"), "column 2 has values but no name."),
    "blank lines are counted": (table().replace("2026-05-19T07:00", "\n\nsoon"), "but row 11 has 'soon'."),
    "a quote that is not closed": (table() + '"2026-05-20T00:00,1\n', "cannot be read: row 26: a quote is not closed."),
    "a quote within a field": (
        changed(9, '2026-05-19T07:00,"1"2'),
        "cannot be read: row 9: a closing quote is not followed by ','.",
    ),
    "a date without its time of day": (
        changed(9, "2026-05-19,,1", head="date,time,casa_kwh", row="{time:%Y-%m-%d},{time:%H:%M},{kwh}"),
        "row 9 has nothing.",
    ),
    "times with noon and midnight": (changed(2, "05/19/2026 12:00 AM,1"), "row 2 has '05/19/2026 12:00 AM'."),
    "names that differ by a space": (
        table("time,casa_kwh, casa_kwh", ISO + ",1,1"),
        "the meter 'casa' has 2 columns; each needs a name of its own.",
    ),
    "an unknown unit": (
        table("time,casa [kvarh]"),
        "'casa [kvarh]' does not end with its unit, W, kW, MW, Wh, kWh or MWh; rename it 'casa [kWh]' or 'casa [kW]'",
    ),
    "a west, or watts": (
        table("time,casa_w"),
        "'casa_w' does not end with its unit, W, kW, MW, Wh, kWh or MWh; rename it 'casa [W]',",
    ),
    "milliwatts": (table("time,casa [mW]"), "column 'casa [mW]' does not end with its unit, W, kW"),
    "milliwatt-hours": (table("time,casa_mWh"), "column 'casa_mWh' does not end with its unit, W, kW"),
    "an end after the next begin": (
        table("from,until,casa_kwh", ISO + ",2026-05-19T{time.hour:02}:59,{kwh}").replace("T03:59", "T04:01"),
        "the interval from 2026-05-19 03:00 CEST to 2026-05-19 04:01 CEST does not end before the next one begins.",
    ),
    "an end that is no time": (
        changed(9, "2026-05-19T07:00,later,1", head="from,until,casa_kwh", row=ISO + ",2026-05-19T{time.hour:02}:59,1"),
        "the second column must hold times such as 2026-03-01T00:15, but row 9 has 'later'.",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_exports_that_are_refused_with_their_place(tmp_path: Path, what: str) -> None:
    text, sentence = REFUSED[what]
    with pytest.raises(DataError) as caught:
        read_meter_file(written(tmp_path, text), DAY, ROME)
    assert sentence in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "meters.csv"))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_the_other_encodings_of_spreadsheets_are_read(tmp_path: Path, encoding: str) -> None:
    assert wh_of(written(tmp_path, table("Zeit,Küche_kwh"), encoding), "Küche") == WH


@pytest.mark.parametrize("junk", [b"\x81\x8d", b"\0"])
def test_what_is_no_text_is_told(tmp_path: Path, junk: bytes) -> None:
    path = tmp_path / "meters.csv"
    path.write_bytes(junk + b"\xfc" + table().encode())
    with pytest.raises(DataError, match=r"meters\.csv cannot be read: it is no text in UTF-8 or Windows-1252; save it"):
        wh_of(path)


def test_begin_and_end_keep_the_hour_that_the_clocks_repeat(tmp_path: Path) -> None:
    slots = local_days(date(2026, 10, 25), 1, ROME, 3600)
    zone = ZoneInfo(ROME)
    clock = [datetime.fromtimestamp(edge, zone) for edge in [*slots.starts.tolist(), slots.end]]
    rows = [f"{begin:%d.%m.%Y %H:%M};{end:%d.%m.%Y %H:%M};0,5" for begin, end in pairwise(clock)]
    path = written(tmp_path, "\n".join(["von;bis;Haus [kWh]", *rows]))
    assert read_meter_file(path, slots, ROME).kw.tolist() == [[0.5] * 25]


def _rendered(time: datetime, style: str) -> str:
    return time.strftime(style) if style else time.isoformat()


@given(
    # The last hour falls to nothing, or a series might rise as a register does.
    wh=st.lists(
        st.lists(st.integers(0, 40_000), min_size=23, max_size=23).map(lambda hours: [*hours, 0]),
        min_size=1,
        max_size=3,
    ),
    separator=st.sampled_from(",;"),
    decimal_commas=st.booleans(),
    unit=st.sampled_from([("_kwh", 1000), (" [Wh]", 1), (" (kW)", 1000), ("/MWh", 1_000_000)]),
    style=st.sampled_from(["", "%d.%m.%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%Y-%m-%d %H:%M:%S.000", "%m/%d/%Y %H:%M"]),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    end=st.sampled_from(["\n", "\r\n", "\n\n"]),
    extra=st.sampled_from([[], [""], ["", ""]]),
    mark=st.sampled_from(["utf-8", "utf-8-sig"]),
    announced=st.booleans(),
)
def test_a_table_in_any_dialect_is_the_same_integers(
    tmp_path_factory: pytest.TempPathFactory,
    wh: list[list[int]],
    separator: str,
    decimal_commas: bool,
    unit: tuple[str, int],
    style: str,
    quoting: int,
    end: str,
    extra: list[str],
    mark: str,
    announced: bool,
) -> None:
    ending, per = unit

    def number(value: int) -> str:
        text = f"{value / per:.7f}"
        return text.replace(".", ",") if decimal_commas and separator == ";" else text

    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, quoting=quoting, lineterminator=end)  # type: ignore[arg-type]
    writer.writerow(["time", *(f"m{place}{ending}" for place in range(len(wh))), *extra])
    for time, *values in zip(TIMES, *wh, strict=True):
        writer.writerow([_rendered(time, style), *map(number, values), *extra])
    first = f"sep={separator}\n" if announced else ""
    path = written(tmp_path_factory.mktemp("dialect"), first + text.getvalue(), mark)

    read = read_meter_file(path, DAY, ROME)

    assert read.columns == tuple(f"m{place}" for place in range(len(wh)))
    assert wh_from_kw(read.kw, DAY.hours).tolist() == wh
