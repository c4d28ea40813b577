"""Make `src/commonwatt/data/ieee33/feeder.csv` from the case that pandapower carries.

    pip install -e '.[data-prep]'
    python tools/extract_ieee33.py

Same package versions, same bytes. One row per line in service, with the load at its outer end; the five tie lines of
the published case are open and left out.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

FILE = Path(__file__).parents[1] / "src/commonwatt/data/ieee33/feeder.csv"


def main() -> None:
    from pandapower.networks import case33bw  # a heavy import that only this script needs

    net = case33bw()
    lines = net.line[net.line.in_service]
    loads = {row.bus: row for row in net.load.itertuples()}
    if set(net.bus.vn_kv) != {12.66} or list(net.ext_grid.bus) != [0] or lines.c_nf_per_km.any() or len(net.trafo):
        raise SystemExit("This is not the feeder of Baran and Wu: another version of pandapower?")
    ends = lines.to_bus.tolist()
    FILE.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(
        {
            "from_bus": lines.from_bus.to_numpy(),
            "to_bus": lines.to_bus.to_numpy(),
            "r_ohm": (lines.r_ohm_per_km * lines.length_km / lines.parallel).round(9).to_numpy(),
            "x_ohm": (lines.x_ohm_per_km * lines.length_km / lines.parallel).round(9).to_numpy(),
            "kw": [round(loads[bus].p_mw * 1e3, 6) for bus in ends],
            "kvar": [round(loads[bus].q_mvar * 1e3, 6) for bus in ends],
        }
    ).write_csv(FILE)


if __name__ == "__main__":
    main()
