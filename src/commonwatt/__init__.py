"""Commonwatt: local electricity markets, settled on the community's own chain, with a proof on every bill.

>>> import commonwatt
>>> result = commonwatt.simulate("examples/five-homes.toml", start="2026-05-11", days=1, ledger="none")
>>> result.homes.columns[:4]
['home', 'pv_kwp', 'battery_kwh', 'load_wh']
>>> int(result.slots["local_wh"].sum()) == int(result.homes["bought_wh"].sum())
True

`result.homes`, `.slots`, `.flows` and `.trades` are polars tables; `result.bills` are the members' bills.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from commonwatt.errors import CommonwattError
    from commonwatt.simulation.api import simulate
    from commonwatt.simulation.result import Result

__all__ = ["CommonwattError", "Result", "simulate"]

_WHERE = {
    "CommonwattError": "commonwatt.errors",
    "Result": "commonwatt.simulation.result",
    "simulate": "commonwatt.simulation.api",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, so that `import commonwatt` costs nothing."""
    if name not in _WHERE:
        raise AttributeError(f"module 'commonwatt' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
