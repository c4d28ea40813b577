"""`commonwatt data GRID` lists what is where in a grid."""

from __future__ import annotations

import json

import pytest
from shell import Shell

from commonwatt.data import grid_names, read_grid


@pytest.mark.parametrize("name", grid_names())
def test_every_bus_is_listed_with_what_is_there(said: Shell, name: str) -> None:
    grid = read_grid(name)
    found = json.loads(said("data", name, "--json", "-").out)
    assert [each["bus"] for each in found["buses"]] == list(grid.buses.name)
    assert [each["kv"] for each in found["buses"]] == grid.buses.kv.tolist()
    loads = [(each["bus"], load["profile"], load["kw"]) for each in found["buses"] for load in each["loads"]]
    wanted = zip(map(grid.buses.name.__getitem__, grid.loads.bus.tolist()), grid.loads.profile, grid.loads.kw.tolist(),
                 strict=True)  # fmt: skip
    assert sorted(loads) == sorted(wanted)
    assert sum(len(each["pv"]) for each in found["buses"]) == len(grid.pv.kw)
    assert sum(len(each["storage"]) for each in found["buses"]) == len(grid.storage.kw)
    lines = said("data", name).out.splitlines()
    assert len(lines) == 1 + len(grid.buses.name)
    assert all(each["bus"] in line for each, line in zip(found["buses"], lines[1:], strict=True))


def test_another_name_is_told_with_those_that_are_near(said: Shell) -> None:
    code, out, err = said("data", "simbench:rural9")
    assert (code, out) == (3, "")
    assert "There is no grid 'simbench:rural9'; the nearest are simbench:rural" in err
