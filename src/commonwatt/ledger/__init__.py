"""The community's chain: a node, the contracts' client, transactions.

`node` says what a node offers, `embedded` is one inside the process (Python, SQLite), `client` speaks to the
contracts on any node. Nothing here decides anything about a market: amounts and roots come from above.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType

# Every trie node is hashed; pycryptodome, which eth-hash would choose first, takes four times as long.
# eth-hash reads this once, at its first hash.
os.environ.setdefault("ETH_HASH_BACKEND", "pysha3")


def _curve() -> ModuleType:
    """The curve of Prague, once somebody wants it: py-evm computes tables for it at import, and Cancun has none of it.

    Returns a module with its functions, each of which loads the true one when it is first called.
    """
    name = "eth.precompiles.bls12_381"

    def later(function: str) -> Callable[[object], object]:
        def run(computation: object) -> object:
            if sys.modules.get(name) is stand_in:
                del sys.modules[name]
            return getattr(import_module(name), function)(computation)

        return run

    stand_in = ModuleType(name)
    operations = ("g1_add", "g1_msm", "map_fp_to_g1", "g2_add", "g2_msm", "map_fp2_to_g2", "pairing_check")
    vars(stand_in).update({f"bls12_{each}": later(f"bls12_{each}") for each in operations})
    return stand_in


sys.modules.setdefault("eth.precompiles.bls12_381", _curve())
