"""Two chains side by side: random blocks, and contracts that are created where others were destroyed.

A plain run makes 150 random blocks on 50 chains, `make soak` fifty times as many.
"""

from __future__ import annotations

import families
import pytest
from hypothesis import given
from hypothesis import strategies as st
from profiles import dear

pytestmark = pytest.mark.filterwarnings("ignore:SELFDESTRUCT opcode:DeprecationWarning")  # of py-evm's own
SEEDS = st.integers(0, 2**32)


@dear(2)
@given(SEEDS)
def test_random_blocks_are_those_of_py_evm(seed: int) -> None:
    families.random_blocks(seed)


@dear(8)
@given(SEEDS)
def test_contracts_created_anew_are_those_of_py_evm(seed: int) -> None:
    families.recreations(seed)
