"""The compiled loops find what numpy finds, and so do the same loops without a compiler."""

from collections.abc import Callable
from dataclasses import fields
from itertools import islice
from typing import Any, Literal

import numpy as np
import pytest
from bilateral_cases import village

from commonwatt.market.bilateral.consensus import KERNELS, Kernels, Start, rounds
from commonwatt.market.bilateral.consensus_fast import compiled, loops
from commonwatt.market.bilateral.neighbourhood import BilateralParameters


def _compiled() -> Kernels:
    pytest.importorskip("numba")
    return compiled()


@pytest.mark.parametrize("kernels", [loops, _compiled])
@pytest.mark.parametrize("roles", ["forecast", "free"])
def test_loops_and_arrays_agree(kernels: Callable[..., Any], roles: Literal["forecast", "free"]) -> None:
    given = village(6, slots=8, batteries=0.7, b=0.1, a=0.05, p_max=0.5)
    routes = BilateralParameters(preference="distance", roles=roles).routes(given)
    start = Start.of(given.homes, routes)
    found = [
        list(islice(rounds(given.homes, routes, start, 3.0, every=20, kernels=chosen), 6))
        for chosen in (KERNELS, kernels())
    ]
    for one, other in zip(*found, strict=True):
        for column in fields(one):
            assert np.allclose(getattr(one, column.name), getattr(other, column.name), rtol=1e-7, atol=1e-8)
