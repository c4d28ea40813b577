"""What the chain leaves out at its import, because its rules never ask for it."""

import subprocess
import sys

SCRIPT = """
import sys
import commonwatt.ledger.chain.evm
from eth.vm.forks.cancun.computation import CancunComputation
from eth.vm.forks.prague.computation import PragueComputation
from commonwatt.ledger.chain.rules import ChainComputation
curve = sys.modules["eth.precompiles.bls12_381"]
own = set(vars(curve).values()) - {None, curve.__name__}
assert "py_ecc.optimized_bls12_381" not in sys.modules
assert len(own) == 7
assert not own & set(CancunComputation.get_precompiles().values())
assert not own & set(ChainComputation.get_precompiles().values())
assert own < set(PragueComputation.get_precompiles().values())
"""

PRAGUE = """
import commonwatt.ledger
from eth.precompiles import bls12_g1_add
class Computation:
    output = None
    class msg:
        data = bytes(256)
    def consume_gas(self, amount, reason): self.used = amount
found = Computation()
bls12_g1_add(found)
bls12_g1_add(found)
assert found.output == bytes(128) and found.used == 375
"""


def _run(script: str) -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_curve_of_prague_is_not_loaded_and_no_rule_of_the_chain_needs_it() -> None:
    _run(SCRIPT)


def test_the_curve_is_loaded_for_whoever_runs_prague_in_the_same_process() -> None:
    """EIP-2537: the sum of the point at infinity with itself is the point at infinity, for 375 gas."""
    _run(PRAGUE)
