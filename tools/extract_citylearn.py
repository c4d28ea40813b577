"""Make `src/commonwatt/data/citylearn/` from the data that the CityLearn 2.1.2 wheel carries.

    pip download --no-deps citylearn==2.1.2
    python tools/extract_citylearn.py CityLearn-2.1.2-py3-none-any.whl

(Newer wheels carry no data; the requirements of this one can no longer be installed, so it is only unzipped.)

The rows of citylearn_challenge_2022_phase_all bear month, hour and day of the week but no date. What they
cover follows from the data, and is checked here before anything is written:

* 8 760 hourly rows start at "month 7, hour 24, Sunday", then "month 8, hour 1, Monday": an hour is stamped
  with its *begin*, and hour 24 is midnight. So the rows run from 1 August, a Monday, to 31 July, with 28 days
  in February: 2016/17 (2011/12 has 29, and August 2022 came after the publication).
* The column "Daylight Savings Status" is 0 throughout, yet in the PV series noon jumps an hour back on
  6 November and an hour forward on 12 March, the days of the change in the USA in 2016/17. So the rows keep
  the Californian wall clock, and every day has 24 of them; how the source filled the skipped hour and what it
  did with the repeated one is not known.
* The tariff's peak is 16:00 to 21:00 on that clock, the same hours as a Californian 4-9 pm rate.

Loads, price and carbon intensity stay on the wall clock. PV is moved to standard time.
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

ROOM = Path(__file__).parents[1] / "src/commonwatt/data/citylearn"
FOLDER = "citylearn/data/citylearn_challenge_2022_phase_all/"
FIRST, DAYS = date(2016, 8, 1), 365
WINTER = ((date(2016, 11, 6) - FIRST).days * 24 + 2, (date(2017, 3, 12) - FIRST).days * 24 + 2)
"""Wall-clock rows between which standard time holds."""


def main(wheel: str) -> None:
    ROOM.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        schema = json.loads(archive.read(FOLDER + "schema.json"))["buildings"]
        tables = {name: read(archive, entry["energy_simulation"]) for name, entry in schema.items()}
        price, carbon = read(archive, "pricing.csv"), read(archive, "carbon_intensity.csv")
        licence = archive.read("CityLearn-2.1.2.dist-info/LICENSE")
    for table in tables.values():
        check_calendar(table)
    load = {name: table["Equipment Electric Power [kWh]"].to_numpy() for name, table in tables.items()}
    pv = {f"{name}.pv": table["Solar Generation [W/kW]"].to_numpy() / 1000 for name, table in tables.items()}
    check_summer_time(pv["Building_1.pv"])
    write("load", load)
    write("pv", {name: onto_standard_time(values) for name, values in pv.items()})
    signal = {
        "price": price["Electricity Pricing [$/kWh]"].to_numpy(),
        "carbon": carbon["kg_CO2/kWh"].to_numpy(),
    }
    write("signal", signal, np.float64)
    homes = pl.DataFrame(
        {
            "load": [f"citylearn:{name}" for name in schema],
            "pv": [f"citylearn:{name}.pv" for name in schema],
            "pv_kwp": [entry["pv"]["attributes"]["nominal_power"] for entry in schema.values()],
            "battery_kwh": [entry["electrical_storage"]["attributes"]["capacity"] for entry in schema.values()],
            "battery_kw": [entry["electrical_storage"]["attributes"]["nominal_power"] for entry in schema.values()],
        }
    )
    homes.write_parquet(ROOM / "homes.parquet", compression="zstd", compression_level=22)
    (ROOM / "LICENSE-MIT.txt").write_bytes(licence)


def read(archive: zipfile.ZipFile, name: str) -> pl.DataFrame:
    return pl.read_csv(io.BytesIO(archive.read(FOLDER + name)), infer_schema_length=None)


def check_calendar(table: pl.DataFrame) -> None:
    """Every row bears month, hour and weekday of 2016/17 at its begin; midnight is hour 24 of the day before."""
    begin = np.datetime64(FIRST, "h") + np.arange(DAYS * 24)
    named = (begin - 1).astype("datetime64[D]")
    weekday = (named.astype(int) + 3) % 7 + 1
    month = named.astype("datetime64[M]").astype(int) % 12 + 1
    hour = (begin.astype(int) - 1) % 24 + 1
    for column, expected in (("Month", month), ("Hour", hour), ("Day Type", weekday)):
        if not np.array_equal(table[column].to_numpy(), expected):
            raise SystemExit(f"The column {column} does not run from 1 August 2016 on: look at it again.")


def check_summer_time(pv: np.ndarray) -> None:
    """Noon moves by about an hour at the American dates of 2016/17, and only there."""
    days = pv.reshape(DAYS, 24)
    noon = days @ (np.arange(24) + 0.5) / days.sum(axis=1)
    for row, jump in zip(WINTER, (-1, 1), strict=True):
        day = row // 24
        if abs(np.median(noon[day : day + 5]) - np.median(noon[day - 5 : day]) - jump) > 0.15:
            raise SystemExit("PV does not show the American summer time of 2016/17: look at it again.")


def onto_standard_time(wall: np.ndarray) -> np.ndarray:
    """Rows of standard time from rows of the wall clock; the last hour of the year, at night, is zero."""
    rows = np.arange(DAYS * 24)
    winter = (rows >= WINTER[0] - 1) & (rows < WINTER[1])
    return np.append(wall, 0.0)[rows + ~winter]


def write(name: str, columns: dict[str, np.ndarray], number: type[np.floating] = np.float32) -> None:
    frame = pl.DataFrame({key: np.maximum(values, 0.0).astype(number) for key, values in columns.items()})
    frame.write_parquet(ROOM / f"{name}.parquet", compression="zstd", compression_level=22, statistics=False)


if __name__ == "__main__":
    main(sys.argv[1])
