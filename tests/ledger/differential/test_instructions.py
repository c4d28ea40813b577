"""Single instructions do what they do in py-evm: results, stack heights, jumps, memory, gas to the unit."""

from __future__ import annotations

import families
import pytest
from hypothesis import given
from hypothesis import strategies as st
from profiles import dear

pytestmark = pytest.mark.filterwarnings("ignore:SELFDESTRUCT opcode:DeprecationWarning")  # of py-evm's own
SEEDS = st.integers(0, 2**32)


def test_results_are_those_of_py_evm_for_24_words() -> None:
    assert families.results() > 12_000


def test_what_py_evm_leaves_on_the_stack_as_bytes_is_computed_with() -> None:
    families.addresses()


def test_memory_call_data_and_pushes_are_those_of_py_evm() -> None:
    families.moves()


def test_other_bytes_do_or_fail_as_in_py_evm() -> None:
    families.others()


def test_jumps_lead_where_those_of_py_evm_lead() -> None:
    families.jumps()


def test_stacks_of_every_height_that_matters_end_as_in_py_evm() -> None:
    assert families.heights() > 3_000


@dear(10)
@given(SEEDS)
def test_pure_instructions_in_a_row_are_those_of_py_evm(seed: int) -> None:
    families.straight(seed)


def test_gas_decides_between_success_and_failure_at_the_same_unit() -> None:
    assert families.gas() > 25 * (families.BELOW + families.AT_RANDOM)


@dear(50)
@given(SEEDS)
def test_gas_decides_so_for_random_programs(seed: int) -> None:
    families.gas_of_random_programs(seed)
