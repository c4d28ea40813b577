"""What a meter says of its relay is read, whatever comes; the words of the firmware are those that are understood."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.meter.delivery import Flow, RelayStatus, Report, flow_said, status_said

STATUS: dict[str, Any] = {
    "online": True, "relay": False, "fault": "over-current", "demand": 3, "mwh": 900, "waiting": 2,
    "reports": [{"number": 2, "mwh": 5, "reason": "delivered"}],
}  # fmt: skip
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*STATUS, "V"]), inner, max_size=3),
    max_leaves=6,
)


def said(**changes: Any) -> RelayStatus | None:
    return status_said(json.dumps(STATUS | changes).encode())


def test_a_status_is_read() -> None:
    assert said() == RelayStatus(
        online=True, closed=False, fault="over-current", number=3, mwh=900, reports=(Report(2, 5, "delivered"),)
    )
    assert status_said(b'{"online": false}') == RelayStatus(online=False)
    assert flow_said(b'{"V": 230.1, "I": -2, "W": null, "time": 5}') == Flow(230.1, -2, None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"online": 1}, {"relay": None}, {"relay": 1}, {"fault": None}, {"fault": "x" * 101}, {"demand": -1},
        {"demand": True}, {"mwh": 2**63}, {"mwh": 1.0}, {"reports": {}}, {"reports": [1]},
        {"reports": [{"number": 1, "mwh": 2}]}, {"reports": [{"number": 1, "mwh": 2, "reason": 3}]},
    ],
)  # fmt: skip
def test_a_status_that_cannot_be_is_passed_over(wrong: dict[str, Any]) -> None:
    assert said(**wrong) is None


@given(ANYTHING | st.fixed_dictionaries({}, optional=dict.fromkeys([*STATUS, "V", "I", "W"], ANYTHING)))
def test_whatever_comes_is_read_or_passed_over(value: Any) -> None:
    payload = json.dumps(value).encode()
    status, flow = status_said(payload), flow_said(payload)
    assert status is None or status.number >= 0
    assert flow is None or isinstance(value, dict)


def test_what_is_no_json_is_passed_over() -> None:
    for payload in (b"", b"\xff", b"{", b"[" * 3000, b" " * 5000, b'{"V": 1, "V": 2, "I": 1, "W": 1}'):
        assert (status_said(payload), flow_said(payload)) == (None, None)
