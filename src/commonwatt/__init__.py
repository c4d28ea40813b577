"""Commonwatt: local electricity markets, settled on the community's own chain, with a proof on every bill.

>>> import commonwatt
>>> result = commonwatt.simulate("examples/five-homes.toml", start="2026-05-11", days=1, ledger="none")
>>> result.homes.columns[:4]
['home', 'pv_kwp', 'battery_kwh', 'load_wh']
>>> int(result.slots["local_wh"].sum()) == int(result.homes["bought_wh"].sum())
True

`load` reads a community, `simulate`, `compare` and `sweep` run it, `open` reads a run again. `result.homes`, `.slots`,
`.flows` and `.trades` are polars tables, explained in docs/results.md; `result.bills` are the members' bills.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from commonwatt.errors import CommonwattError
    from commonwatt.exchange.loading import Loaded, load
    from commonwatt.report.finished import Finished
    from commonwatt.scripting import compare, open, simulate  # noqa: A004
    from commonwatt.simulation.result import Result
    from commonwatt.study.compare.comparison import Comparison
    from commonwatt.study.sweep import sweep

__all__ = [
    "CommonwattError",
    "Comparison",
    "Finished",
    "Loaded",
    "Result",
    "compare",
    "load",
    "open",
    "simulate",
    "sweep",
]

_WHERE = {
    "CommonwattError": "commonwatt.errors",
    "Comparison": "commonwatt.study.compare.comparison",
    "Finished": "commonwatt.report.finished",
    "Loaded": "commonwatt.exchange.loading",
    "Result": "commonwatt.simulation.result",
    "compare": "commonwatt.scripting",
    "load": "commonwatt.exchange.loading",
    "open": "commonwatt.scripting",
    "simulate": "commonwatt.scripting",
    "sweep": "commonwatt.study.sweep",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, so that `import commonwatt` costs nothing."""
    if name not in _WHERE:
        raise AttributeError(f"module 'commonwatt' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
