"""Our engine against OpenDSS, where it is installed."""

from pathlib import Path

import dss_engine
import numpy as np
import pytest
from grid_cases import CASES, read_case

from commonwatt.data import grid_names, read_grid
from commonwatt.grid.flow import power_flow
from commonwatt.grid.network import Network

pytest.importorskip("opendssdirect")


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: folder.name)
def test_opendss_agrees_with_the_case(folder: Path) -> None:
    grid, p, q, expected = read_case(folder)
    voltage, losses = dss_engine.solve(grid, p, q)
    np.testing.assert_allclose(voltage, expected["voltage"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(losses, expected["losses_kw"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", grid_names())
def test_opendss_agrees_on_simbench(name: str) -> None:
    """From load alone to sun alone; tolerances as in cases/simbench_rural1."""
    tables = read_grid(name)
    grid, share = Network.of(tables), np.linspace(0.0, 1.0, 5)
    load, pv = tables.loads, tables.pv
    p = grid.total(load.bus, np.outer(load.kw, 1 - share)) - grid.total(pv.bus, np.outer(pv.kw, share))
    q = grid.total(load.bus, np.outer(load.kvar, 1 - share))
    flow, (voltage, losses) = power_flow(grid, p, q), dss_engine.solve(grid, p, q)
    np.testing.assert_allclose(flow.voltage, voltage, rtol=0, atol=1e-6)
    np.testing.assert_allclose(flow.losses_kw, losses, rtol=0, atol=1e-5)
