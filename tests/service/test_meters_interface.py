"""What a meter asks behind its password is answered as the interface's description says, whatever is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection, positive_data_acceptance
from visitor_cases import Visited

from commonwatt.service.api.app import application
from commonwatt.service.logins import Passwords
from commonwatt.service.topics import name

CASES = {"plain": 10, "ci": 100, "soak": 700}
"""How many requests are made up for each operation, by profile (see profiles.py)."""
# Whether a slot's gate is open no schema can say; and the meter's own address stands in the place of a made-up one.
UNASKED = [ignored_auth, negative_data_rejection, positive_data_acceptance]


def test_what_a_meter_asks_behind_its_password_is_answered_as_described(tmp_path: Path) -> None:
    visited = Visited(tmp_path)
    passwords = Passwords(bytes(32))
    app = application(visited.running, visited.settings, passwords=passwords)
    schema = schemathesis.openapi.from_asgi("/v1/openapi.json", app)
    meter = name(visited.village.homes.meters[0].key.address)
    seen = {
        method: _answered(schema[path][method], meter, passwords.of(meter))
        for path, method in (("/v1/meters/{address}/plan", "GET"), ("/v1/meters/{address}/outlook", "PUT"))
    }
    visited.close()
    assert 200 in seen["GET"]
    assert 401 not in seen["GET"] | seen["PUT"]


def _answered(operation: Any, meter: str, password: str) -> set[int]:
    """With what this meter was answered, whatever else it sent."""
    seen = set[int]()

    @settings(max_examples=CASES[settings.get_current_profile_name()])
    @given(st.one_of([operation.as_strategy(mode) for mode in GenerationMode]))
    def answered(case: Any) -> None:
        case.path_parameters = {"address": meter}
        seen.add(case.call_and_validate(auth=(meter, password), excluded_checks=UNASKED).status_code)

    answered()
    return seen
