"""The interface does what its own description says, whoever asks and whatever is sent."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection, positive_data_acceptance
from visitor_cases import STRANGER, Visited

ROOT = Path(__file__).parents[2]
CASES = {"plain": 150, "ci": 1_500, "soak": 10_000}
"""How many requests are made up, by profile (see profiles.py)."""
# A body may be wrong because it is too long.
CONFIG = SchemathesisConfig.from_dict(
    {"checks": {"negative_data_rejection": {"expected-statuses": [401, 403, 413, 422]}}}
)


@pytest.fixture(scope="module")
def visited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visited]:
    found = Visited(tmp_path_factory.mktemp("visited"))
    yield found
    found.close()


def test_no_request_finds_a_fault_or_an_answer_that_is_not_described(visited: Visited) -> None:
    schema = schemathesis.openapi.from_asgi("/v1/openapi.json", visited.app, config=CONFIG)
    found = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    found = [each for each in found if each.path != "/v1/events"]  # in one process nobody can leave before it ends
    assert len(found) == len(operations(visited))
    cases = CASES[settings.get_current_profile_name()] // len(found)
    accounts = [None, visited.members[0].address, visited.operator.address, STRANGER.address]

    for operation in found:

        @settings(max_examples=cases)
        @given(
            st.one_of([operation.as_strategy(mode) for mode in GenerationMode]),
            st.sampled_from(accounts),
        )
        def answered(case: Any, account: bytes | None) -> None:
            case.call_and_validate(headers=_token(visited, account), excluded_checks=unasked(case, account))

        answered()


def unasked(case: Any, account: bytes | None) -> list[Any]:
    """What is not asked of an answer, as no schema can say it.

    Whether a message or record is signed; that of a list each record is judged by itself; and that with a token that
    counts it does not matter which cookie was made up.
    """
    listed = case.path in ("/v1/readings", "/v1/orders")
    rejection, auth = [negative_data_rejection] if listed else [], [ignored_auth] if account else []
    return [positive_data_acceptance, *rejection, *auth]


def _token(visited: Visited, account: bytes | None) -> dict[str, str]:
    if account is None:
        return {}
    sessions = visited.app.state.entry.sessions
    token, _ = asyncio.run(visited.running.ask(sessions.begin, account, int(visited.wall), stranger=False))
    return {"Authorization": f"Bearer {token}"}


def test_the_description_is_committed() -> None:
    tool = [sys.executable, str(ROOT / "tools" / "generate_openapi.py"), "--check"]
    found = subprocess.run(tool, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr


WHO = ("nobody", "stranger", "member", "other member", "operator", "suspended")
WALK = {
    "GET /healthz": "200 200 200 200 200 200",
    "GET /v1/community": "200 200 200 200 200 200",
    "POST /v1/readings": "200 200 200 200 200 200",
    "POST /v1/orders": "200 200 200 200 200 200",
    "POST /v1/session/nonce": "200 200 200 200 200 200",
    "POST /v1/session": "422 422 422 422 422 422",
    "GET /v1/session": "401 200 200 200 200 200",
    "DELETE /v1/session": "401 204 204 204 204 204",
    "GET /v1/meters/{address}/plan": "401 401 401 401 401 401",
    "PUT /v1/meters/{address}/outlook": "401 401 401 401 401 401",
    "PUT /v1/meters/{address}/forecast": "401 401 401 401 401 401",
    "GET /v1/meters/{address}/proposal": "401 401 401 401 401 401",
    "GET /v1/slots": "200 200 200 200 200 200",
    "GET /v1/slots/{start}": "200 200 200 200 200 200",
    "POST /v1/mandates": "422 422 422 422 422 422",
    "GET /v1/me": "401 403 200 200 403 200",
    "GET /v1/me/orders": "401 403 200 200 403 200",
    "GET /v1/me/receipts": "401 403 200 200 403 200",
    "GET /v1/me/slots/{start}/excerpt": "401 403 404 404 403 404",
    "GET /v1/me/sheets/{day}": "401 403 404 404 403 404",
    "GET /v1/me/bills": "401 403 200 200 403 200",
    "GET /v1/me/bills/{month}": "401 403 404 404 403 404",
    "GET /v1/me/bills/{month}.{form}": "401 403 404 404 403 404",
    "GET /v1/me/agent": "401 403 200 200 403 200",
    "PUT /v1/me/agent": "401 403 200 200 403 403",
    "DELETE /v1/me/agent": "401 403 204 204 403 204",
    "GET /v1/me/data": "401 403 200 200 403 200",
    "DELETE /v1/me/data": "401 403 200 200 403 200",
    "GET /v1/members/{number}/readings": "401 403 200 403 403 403",
    "GET /v1/relays": "401 200 200 200 200 200",
    "PUT /v1/me/relay": "401 403 422 422 403 403",
    "POST /v1/me/demands": "401 403 422 422 403 403",
    "GET /v1/operators/roster": "401 403 403 403 200 403",
    "GET /v1/operators/meters": "401 403 403 403 200 403",
    "PUT /v1/operators/members/{account}": "401 403 403 403 422 403",
    "GET /v1/operators/silence": "401 403 403 403 200 403",
    "GET /v1/operators/quarantine": "401 403 403 403 200 403",
    "GET /v1/operators/demands": "401 403 403 403 200 403",
    "GET /v1/operators/devices": "401 403 403 403 200 403",
    "GET /v1/operators/health": "401 403 403 403 200 403",
    "POST /v1/operators/clock": "401 403 403 403 422 403",
    "GET /v1/operators/cosign": "401 403 403 403 200 403",
    "GET /v1/operators/cosign/roster": "401 403 403 403 200 403",
    "GET /v1/operators/cosign/orders": "401 403 403 403 200 403",
    "POST /v1/operators/cosign/receipts": "401 403 403 403 422 403",
    "GET /v1/operators/cosign/slots": "401 403 403 403 200 403",
    "GET /v1/operators/cosign/gates/{slot}": "401 403 403 403 422 403",
    "GET /v1/operators/cosign/posts/{slot}/{revision}": "401 403 403 403 422 403",
    "POST /v1/operators/cosign/signatures": "401 403 403 403 422 403",
}
"""What each is answered, in the order of `WHO`, to a request with an empty body or a list of an empty record, that asks
for what is of the first member."""
PLACES = {
    "address": "0x" + "22" * 20,
    "day": "2026-06-15",
    "month": "2026-06",
    "form": "pdf",
    "number": "0",
    "account": "0x" + "11" * 20,
    "slot": "0",
    "revision": "0",
}
QUESTIONS = {
    "/v1/me/receipts": {"slot": "0"},
    "/v1/operators/cosign/slots": {"start": "0", "until": "0"},
}
PUBLIC = {operation for operation, told in WALK.items() if "401" not in told}


def operations(visited: Visited) -> dict[str, dict[str, Any]]:
    paths = visited.app.openapi()["paths"].items()
    found = {f"{method.upper()} {path}": each for path, methods in paths for method, each in methods.items()}
    del found["GET /v1/events"]  # see test_events.py
    return found


def test_each_operation_lets_in_whom_it_says(visited: Visited) -> None:
    assert set(WALK) == set(operations(visited))
    visited.suspend(4)
    start = str(visited.village.exchange.rules.period.start)
    keys = [None, STRANGER, visited.members[0], visited.members[1], visited.operator, visited.members[4]]

    async def walk() -> dict[str, str]:
        found = dict[str, list[str]]()
        for key in keys:
            for operation in WALK:
                headers = {} if key is None else {"Authorization": f"Bearer {await visited.token(key)}"}
                method, path = operation.split()
                body: Any = [{}] if path in ("/v1/readings", "/v1/orders") else {}
                async with visited.client(**headers) as client:
                    answer = await client.request(
                        method, path.format(start=start, **PLACES), json=body if method != "GET" else None,
                        params=QUESTIONS.get(path),
                    )  # fmt: skip
                found.setdefault(operation, []).append(str(answer.status_code))
        return {operation: " ".join(statuses) for operation, statuses in found.items()}

    assert asyncio.run(walk()) == WALK


def test_each_operation_is_described(visited: Visited) -> None:
    for name, operation in operations(visited).items():
        assert operation["summary"].endswith("."), name
        assert len(operation["tags"]) == 1, name
        assert ("security" in operation) == (name not in PUBLIC), name
        assert "429" in operation["responses"], name
        for told in operation["responses"].values():
            assert "$ref" in told or told["description"], name


def test_whatever_goes_wrong_is_told_in_one_form(visited: Visited) -> None:
    @visited.app.get("/broken", include_in_schema=False)
    def broken() -> None:
        raise ZeroDivisionError

    async def test() -> None:
        async with visited.client() as client:
            answers = [
                await client.get("/v1/community/"),
                await client.delete("/v1/community"),
                await client.post("/v1/session", content=b"\xff", headers={"Content-Type": "application/json"}),
                await client.get("/broken"),
            ]
        assert [each.status_code for each in answers] == [404, 405, 422, 500]
        for answer in answers:
            told = answer.json()
            assert answer.headers["content-type"] == "application/problem+json"
            assert told["status"] == answer.status_code
            assert told["detail"].endswith(".")
            assert "ZeroDivision" not in answer.text

    asyncio.run(test())
