"""How well a community uses its own energy, and what that is worth: pure functions, each with its formula.

Energy is Wh, positive into the home; arrays have shape (members, slots). The connection point (PCC) is where the
community meets the utility's grid: there, import and export of a slot are netted over all members.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import ArrayLike

from commonwatt.units import IntArray

if TYPE_CHECKING:
    from commonwatt.simulation.result import Result

_SELDOM: Final = ("returned", "curtailed")
"""Layers of `supply` and `disposal` that most communities do not have."""
_USUAL: Final = 4


def connection_point(net: IntArray) -> tuple[IntArray, IntArray]:
    """Import and export at the connection point, each shape (slots,) [Wh] >= 0: max(±Σ_i net_i, 0) in each slot."""
    total = net.sum(axis=0)
    return np.maximum(total, 0), np.maximum(-total, 0)


def self_consumption(generation: IntArray, net: IntArray) -> float | None:
    """(ΣG − ΣExport_PCC) / ΣG: how much of what was made stayed here; None when nothing was made.

    generation : what the plants fed in, after curtailment, shape (members, slots) [Wh]
    A battery's fill counts as stayed, so a short period with a rising state of charge looks better than it is.

    >>> self_consumption(np.array([[0, 4000]]), np.array([[500, -1000]]))
    0.75
    """
    made = int(generation.sum())
    return (made - int(connection_point(net)[1].sum())) / made if made else None


def self_sufficiency(load: IntArray, net: IntArray) -> float | None:
    """(ΣD − ΣImport_PCC) / ΣD: how much of what was used was made here; None when nothing was used.

    >>> self_sufficiency(np.array([[500, 1500]]), np.array([[500, -1000]]))
    0.75
    """
    used = int(load.sum())
    return (used - int(connection_point(net)[0].sum())) / used if used else None


def local_share(bought: IntArray, imported: IntArray) -> float | None:
    """E_local / (E_local + E_grid) of what members bought; None when nobody bought anything.

    bought : from neighbours [Wh] >= 0; imported : from the utility, each member for itself [Wh] >= 0

    >>> local_share(np.array([[300], [0]]), np.array([[100], [0]]))
    0.75
    """
    neighbours, utility = int(bought.sum()), int(imported.sum())
    return neighbours / (neighbours + utility) if neighbours + utility else None


def supply(flows: Mapping[str, IntArray]) -> dict[str, IntArray]:
    """Where the homes' energy came from, each shape (slots,) [Wh] >= 0: own (roof), neighbours, battery, grid,
    returned.

    Neighbours and grid are what members bought, also where no reading says so; returned is what members with points had
    from their own feed-in, through their meters. Of the rest of the load as much as was discharged came from the
    battery and the remainder from the roof. The sum is the load, and what batteries took from outside.
    """
    rest = np.maximum(flows["load"] - flows["bought"] - flows["from_utility"] - flows["returned"], 0)
    battery = np.minimum(flows["discharge"], rest)
    layers = {
        "own": rest - battery,
        "neighbours": flows["bought"],
        "battery": battery,
        "grid": flows["from_utility"],
        "returned": flows["returned"],
    }
    return {name: wh.sum(axis=0) for name, wh in layers.items()}


def disposal(flows: Mapping[str, IntArray]) -> dict[str, IntArray]:
    """Where the roofs' energy went, each shape (slots,) [Wh] >= 0: own (use), neighbours, battery, grid, returned,
    curtailed.

    Neighbours and grid are what members sold; the sum is the generation, and what batteries sold. As long as batteries
    trade with nobody but their home, `own` and `neighbours` are equal to those of `supply`; `returned` always is.
    """
    left = flows["generation"] - flows["curtailed"] - flows["charge"] - flows["returned"]
    layers = {
        "own": np.maximum(left - flows["sold"] - flows["to_utility"], 0),
        "neighbours": flows["sold"],
        "battery": flows["charge"],
        "grid": flows["to_utility"],
        "returned": flows["returned"],
        "curtailed": flows["curtailed"],
    }
    return {name: wh.sum(axis=0) for name, wh in layers.items()}


def worth_showing(came: Mapping[str, ArrayLike], went: Mapping[str, ArrayLike]) -> list[str]:
    """Names of the layers, in the order of `disposal`, without those that are seldom there and empty.

    Where more than the usual ones are left, none is empty.
    """
    there = {name for layers in (came, went) for name, wh in layers.items() if np.any(wh)}
    names = [name for name in went if name not in _SELDOM or name in there]
    return names if len(names) <= _USUAL else [name for name in names if name in there]


@dataclass(frozen=True)
class Figures:
    """The headline figures of a run.

    used, made : load, and generation after curtailment, of members with points what went through their meters [Wh]
    traded : settled between neighbours [Wh]
    bought_from_utility, sold_to_utility : each member for itself, as billed [Wh]
    imported, exported : at the connection point, netted over members [Wh]
    returned : what members with points had from their own feed-in, through their meters [Wh]
    charged, discharged : of all batteries, at their terminals [Wh]
    trades : number of settled trades
    bill, bill_without_market : of all members [micro-currency], positive = they owe
    """

    used: int
    made: int
    traded: int
    bought_from_utility: int
    sold_to_utility: int
    imported: int
    exported: int
    returned: int
    charged: int
    discharged: int
    curtailed: int
    trades: int
    bill: int
    bill_without_market: int
    self_consumption: float | None
    self_sufficiency: float | None
    local_share: float | None

    @property
    def saved(self) -> int:
        """What the community paid less than with the utility alone [micro-currency]."""
        return self.bill_without_market - self.bill


def figures(result: Result) -> Figures:
    """The headline figures of `result`."""
    a = result.arrays
    made = a["generation"] - a["curtailed"]
    imports, exports = connection_point(a["flowed"])
    return Figures(
        used=int(a["load"].sum()),
        made=int(made.sum()),
        traded=int(a["bought"].sum()),
        bought_from_utility=int(a["imported"].sum()),
        sold_to_utility=int(a["exported"].sum()),
        imported=int(imports.sum()),
        exported=int(exports.sum()),
        returned=int(a["returned"].sum()),
        charged=int(a["charge"].sum()),
        discharged=int(a["discharge"].sum()),
        curtailed=int(a["curtailed"].sum()),
        trades=int((result.trades["settled_wh"] > 0).sum()),
        bill=sum(result.charges.total.tolist()) * result.community.unit,
        bill_without_market=sum(result.charges_without_market.total.tolist()) * result.community.unit,
        self_consumption=self_consumption(made, a["flowed"]),
        self_sufficiency=self_sufficiency(a["load"], a["flowed"]),
        local_share=local_share(a["bought"], a["imported"]),
    )
