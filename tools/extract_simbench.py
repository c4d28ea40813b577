"""Make `src/commonwatt/data/simbench/` from the published SimBench data set.

    pip install -e '.[data-prep]'
    python tools/extract_simbench.py

Same package versions, same bytes. Takes two minutes: most of it is SimBench building its grids.

Facts about the source that decide the clocks below, each checked here before anything is written:

* 35 136 rows of 15 min cover the leap year 2016; the first is stamped 01.01. 00:00, the last 31.12. 23:45,
  so a stamp marks the *begin* of its interval.
* The stamps are German local time with summer time: 27.03. has no 02:00 hour and 30.10. has it twice.
* Loads keep that wall clock (offices open at the same stamp all year). They are put on a regular grid of
  366 x 96 rows; the skipped hour is NaN, of the repeated one the mean is taken.
* Heat pumps do not: their blocked hours (08:00 and 17:00) stay at the same row all year. They stay on
  standard time.
* PV is one hour early against the stamps: several profiles feed in at 07:15 in the first days of January, long
  before the sun rises anywhere in Germany. Read as UTC, sunrise, noon and sunset fit. The rows are therefore
  moved one hour later, from UTC to Central European Time without summer time.

Left out: the profiles of whole grids and of the high-voltage levels; the storage series, because they only
charge (0 to 0.63) and because here the market and the owner decide what a battery does.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

ROOM = Path(__file__).parents[1] / "src/commonwatt/data/simbench"
GRIDS = ("rural1", "rural2", "rural3", "semiurb4", "semiurb5", "urban6")
SCENARIO = 1
"""SimBench's near future: some more PV than today, first home batteries."""
DAYS, ROWS = 366, 96
NOT_LOW_VOLTAGE = ("lv_", "mv_", "hv_", "HS")


def main() -> None:
    import simbench  # a heavy import that only this script needs

    source = Path(simbench.__file__).parent / f"networks/1-complete_data-mixed-all-{SCENARIO}-sw"
    ROOM.mkdir(parents=True, exist_ok=True)
    extract_loads(source)
    extract_pv(source)
    extract_grids(simbench)


def extract_loads(source: Path) -> None:
    table = pl.read_csv(source / "LoadProfile.csv", separator=";", infer_schema_length=None)
    rows = wall_clock_rows(table["time"].to_list())
    names = [c.removesuffix("_pload") for c in table.columns if c.endswith("_pload")]
    names = [name for name in names if not name.startswith(NOT_LOW_VOLTAGE)]
    heat_pumps = [name for name in names if name.startswith(("Air_", "Soil_"))]
    loads = [name for name in names if name not in heat_pumps]
    if len(names) != 50:
        raise SystemExit(f"{len(names)} low-voltage load profiles instead of 50: another version of SimBench?")
    if any((table[f"{name}_pload"] != table[f"{name}_qload"]).any() for name in heat_pumps):
        raise SystemExit("Heat pumps have a reactive profile of their own: it must be written too.")
    active = {name: onto_grid(table[f"{name}_pload"].to_numpy(), rows) for name in loads}
    write("load", {name: np.maximum(values, 0.0) for name, values in active.items()})
    write("load_reactive", {name: onto_grid(table[f"{name}_qload"].to_numpy(), rows) for name in loads})
    write("heat_pump", {name: table[f"{name}_pload"].to_numpy() for name in heat_pumps})


def extract_pv(source: Path) -> None:
    table = pl.read_csv(source / "RESProfile.csv", separator=";", infer_schema_length=None)
    profiles = {f"PV{number}": table[f"PV{number}"].to_numpy() for number in range(1, 9)}
    before_sunrise = np.max([values[: 20 * ROWS].reshape(20, ROWS)[:, :31] for values in profiles.values()])
    last_hour = np.max([values[-4:] for values in profiles.values()])
    if before_sunrise < 0.01 or last_hour > 0:
        raise SystemExit("The PV profiles are no longer in UTC: look at them again.")
    write("pv", {name: np.roll(values, 4) for name, values in profiles.items()})


def wall_clock_rows(stamps: list[str]) -> np.ndarray:
    """Row on the regular wall-clock grid of every source row; checks that they run without a gap."""
    zone, start = ZoneInfo("Europe/Berlin"), datetime(2015, 12, 31, 23, tzinfo=UTC).timestamp()
    walls = [datetime.fromtimestamp(start + 900 * row, zone) for row in range(DAYS * ROWS)]
    if [wall.strftime("%d.%m.%Y %H:%M") for wall in walls] != stamps:
        raise SystemExit("The stamps are not German local time without gaps: look at them again.")
    return np.array([(w.timetuple().tm_yday - 1) * ROWS + w.hour * 4 + w.minute // 15 for w in walls])


def onto_grid(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    count = np.bincount(rows, minlength=DAYS * ROWS)
    total = np.bincount(rows, weights=values, minlength=DAYS * ROWS)
    return np.divide(total, count, out=np.full(DAYS * ROWS, np.nan), where=count > 0)


def extract_grids(simbench) -> None:
    tables: dict[str, list[pl.DataFrame]] = {}
    for grid in GRIDS:
        net = simbench.get_simbench_net(f"1-LV-{grid}--{SCENARIO}-no_sw")
        for name, columns in grid_tables(net).items():
            frame = pl.DataFrame(columns)
            tables.setdefault(name, []).append(frame.insert_column(0, pl.Series("grid", [grid] * len(frame))))
    for name, frames in tables.items():
        pl.concat(frames).write_parquet(ROOM / f"grid_{name}.parquet", compression="zstd", compression_level=22)


def grid_tables(net) -> dict[str, dict[str, object]]:
    """Columns of one pandapower net in kW, kWh, ohm and A; buses are counted from 0."""
    for element in (net.bus, net.line, net.trafo, net.load, net.sgen, net.storage):
        if not element.in_service.all():
            raise SystemExit("An element is out of service: decide what that means here.")
    if set(net.sgen.type) - {"PV"} or len(net.trafo) != 1 or len(net.ext_grid) != 1:
        raise SystemExit("A grid has other sources than PV or more than one transformer.")
    buses = {bus: position for position, bus in enumerate(net.bus.index)}

    def at(series) -> list[int]:
        return [buses[bus] for bus in series]

    def profile(series) -> list[str]:
        return [f"simbench:{name}" for name in series]

    line, trafo, load, pv, storage = net.line, net.trafo, net.load, net.sgen, net.storage
    return {
        "buses": {"name": list(net.bus.name), "kv": net.bus.vn_kv.to_numpy()},
        "lines": {
            "from_bus": at(line.from_bus),
            "to_bus": at(line.to_bus),
            "km": line.length_km.to_numpy(),
            "r_ohm": (line.r_ohm_per_km * line.length_km / line.parallel).to_numpy(),
            "x_ohm": (line.x_ohm_per_km * line.length_km / line.parallel).to_numpy(),
            "c_nf": (line.c_nf_per_km * line.length_km * line.parallel).to_numpy(),
            "max_a": (line.max_i_ka * 1e3 * line.parallel).to_numpy(),
        },
        "transformer": {
            "hv_bus": at(trafo.hv_bus),
            "lv_bus": at(trafo.lv_bus),
            "kva": (trafo.sn_mva * 1e3 * trafo.parallel).to_numpy(),
            "hv_kv": trafo.vn_hv_kv.to_numpy(),
            "lv_kv": trafo.vn_lv_kv.to_numpy(),
            "vk_percent": trafo.vk_percent.to_numpy(),
            "vkr_percent": trafo.vkr_percent.to_numpy(),
            "iron_kw": (trafo.pfe_kw * trafo.parallel).to_numpy(),
            "i0_percent": trafo.i0_percent.to_numpy(),
            "tap": (trafo.tap_pos - trafo.tap_neutral).to_numpy(),
            "tap_percent": trafo.tap_step_percent.to_numpy(),
            "tap_side": list(trafo.tap_side),
            "source_pu": net.ext_grid.vm_pu.to_numpy(),
        },
        "loads": {
            "bus": at(load.bus),
            "profile": profile(load.profile),
            "kw": (load.p_mw * 1e3).to_numpy(),
            "kvar": (load.q_mvar * 1e3).to_numpy(),
        },
        "pv": {"bus": at(pv.bus), "profile": profile(pv.profile), "kw": (pv.p_mw * 1e3).to_numpy()},
        "storage": {
            "bus": at(storage.bus),
            "kw": (storage.sn_mva * 1e3).to_numpy(dtype=float),
            "kwh": (storage.max_e_mwh * 1e3).to_numpy(dtype=float),
        },
    }


def write(name: str, columns: dict[str, np.ndarray]) -> None:
    frame = pl.DataFrame({key: values.astype(np.float32) for key, values in columns.items()})
    frame.write_parquet(ROOM / f"{name}.parquet", compression="zstd", compression_level=22, statistics=False)


if __name__ == "__main__":
    main()
