"""The families find faults: each of those that are planted."""

from __future__ import annotations

import pytest
from planted import FAULTS, Fault, found

pytestmark = pytest.mark.filterwarnings("ignore:SELFDESTRUCT opcode:DeprecationWarning")  # of py-evm's own


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_is_found(fault: Fault) -> None:
    assert found(fault)


@pytest.mark.parametrize("module", sorted({fault.module for fault in FAULTS}))
def test_nothing_is_found_where_nothing_is_planted(module: str) -> None:
    line = "from __future__ import annotations\n"
    assert not found(Fault("none", module, line, line, "gas"))
