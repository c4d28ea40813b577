"""What comes with the package, listed for the command `commonwatt data`. Heavy imports are inside."""

from __future__ import annotations

from typing import Any

from commonwatt.cli.options import write_json


def everything(json_path: str | None) -> None:
    """All profiles and the names of the grids."""
    from commonwatt.data import catalogue, grid_names

    sets = [
        {
            "name": each.name,
            "what": each.what,
            "licence": each.licence,
            "from": each.year.first.isoformat(),
            "until": each.year.last.isoformat(),
            "resolution_minutes": each.year.seconds // 60,
            "profiles": {kind: [p.name for p in each.profiles if p.kind == kind] for kind in _kinds(each.profiles)},
        }
        for each in catalogue()
    ]
    if json_path:
        write_json({"sets": sets, "grids": list(grid_names())}, json_path)
        return
    from rich.console import Console

    console = Console(highlight=False)
    for each in sets:
        console.print(f"[bold]{each['name']}[/bold]  {each['what']}", soft_wrap=True)
        period = f"{each['from']} to {each['until']}, every {each['resolution_minutes']} min"
        console.print(f"  {period}; licence {each['licence']}", soft_wrap=True)
        for kind, names in each["profiles"].items():  # type: ignore[attr-defined]
            console.print(f"  {kind}: {', '.join(names)}")
    console.print(f"[bold]grids[/bold]  {', '.join(grid_names())}")


def buses_of(name: str, json_path: str | None) -> None:
    """The buses of a grid, with what the data set has there. Raises DataError when there is no such grid."""
    from commonwatt.data import read_grid

    grid = read_grid(name)
    buses: list[dict[str, Any]] = [
        {"bus": bus, "kv": kv, "loads": [], "pv": [], "storage": []}
        for bus, kv in zip(grid.buses.name, grid.buses.kv.tolist(), strict=True)
    ]
    for bus, profile, kw in zip(grid.loads.bus.tolist(), grid.loads.profile, grid.loads.kw.tolist(), strict=True):
        buses[bus]["loads"].append({"profile": profile, "kw": kw})
    for bus, profile, kw in zip(grid.pv.bus.tolist(), grid.pv.profile, grid.pv.kw.tolist(), strict=True):
        buses[bus]["pv"].append({"profile": profile, "kw": kw})
    for bus, kw, kwh in zip(*(each.tolist() for each in (grid.storage.bus, grid.storage.kw, grid.storage.kwh)),
                            strict=True):  # fmt: skip
        buses[bus]["storage"].append({"kw": kw, "kwh": kwh})
    if json_path:
        write_json({"grid": grid.name, "transformer_kva": grid.transformer.kva, "buses": buses}, json_path)
    if json_path != "-":
        from rich.console import Console

        console = Console(highlight=False, soft_wrap=True, markup=False)
        lines = f"{len(grid.buses.name)} buses, {len(grid.lines.km)} lines, transformer {grid.transformer.kva:g} kVA"
        console.print(f"{grid.name}: {lines}", style="bold")
        wide = max(map(len, grid.buses.name))
        for each in buses:
            devices = [f"{load['profile']} {load['kw']:g} kW" for load in each["loads"]]
            devices += [f"{plant['profile']} {plant['kw']:g} kWp" for plant in each["pv"]]
            devices += [f"battery {battery['kwh']:g} kWh, {battery['kw']:g} kW" for battery in each["storage"]]
            console.print(f"  {each['bus']:<{wide}}  {each['kv']:g} kV  {', '.join(devices)}".rstrip())


def _kinds(profiles: Any) -> list[str]:
    return list(dict.fromkeys(profile.kind for profile in profiles))
