"""Who signs in proves an account; what it may do, the ledger says at each request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends
from sqlalchemy import text
from visitor_cases import DOMAIN, STRANGER, Visited, send, signed

from commonwatt.errors import NodeError
from commonwatt.proof import Key
from commonwatt.service.api.callers import Caller, member, operator, signed_in
from commonwatt.service.api.sessions import NONCE_SECONDS, SESSION_SECONDS

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def visited(tmp_path: Path) -> Iterator[Visited]:
    found = Visited(tmp_path)
    yield found
    found.close()


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def test_a_page_signs_in_with_a_cookie_that_no_script_reads(visited: Visited) -> None:
    async def test() -> None:
        async with visited.client() as page:
            key = visited.members[2]
            answer = await visited.sign_in(page, key)
            told = answer.json()
            assert (answer.status_code, told["account"]) == (200, f"0x{key.address.hex()}")
            assert (told["member"], told["operator"], told["active"], told["token"]) == (2, False, True, None)
            assert told["until"] == visited.wall + SESSION_SECONDS
            assert answer.headers["cache-control"] == "no-store"
            cookie = answer.headers["set-cookie"]
            assert cookie.startswith("commonwatt=")
            assert {"HttpOnly", "Path=/", "SameSite=strict"} <= set(cookie.split("; "))
            again = (await page.get("/v1/session")).json()
            assert again == told

    run(test)


def test_behind_tls_the_cookie_is_the_hosts_own(tmp_path: Path) -> None:
    visited = Visited(tmp_path, secure=True)

    async def test() -> None:
        async with visited.client() as page:
            answer = await visited.sign_in(page, visited.members[0])
            cookie = answer.headers["set-cookie"]
            assert cookie.startswith("__Host-commonwatt=")
            assert {"Secure", "HttpOnly", "Path=/"} <= set(cookie.split("; "))
            assert "Domain" not in cookie
            assert (await page.get("/v1/session")).status_code == 200
            plain = await visited.message(page, visited.members[0], uri=f"http://{DOMAIN}")
            assert (await send(page, plain, visited.members[0])).status_code == 422

    run(test)
    visited.close()


def test_a_program_signs_in_with_a_token(visited: Visited) -> None:
    async def test() -> None:
        token = await visited.token(visited.operator)
        async with visited.client(Authorization=f"Bearer {token}") as program:
            told = (await program.get("/v1/session")).json()
            assert (told["operator"], told["member"], told["token"]) == (True, None, None)
            assert (await program.delete("/v1/session")).status_code == 204
            gone = await program.get("/v1/session")
            assert (gone.status_code, gone.headers["www-authenticate"]) == (401, "Bearer")

    run(test)


def test_a_message_signs_in_once(visited: Visited) -> None:
    async def test() -> None:
        async with visited.client() as client:
            message = await visited.message(client, STRANGER)
            assert (await send(client, message, STRANGER)).status_code == 200
            again = await send(client, message, STRANGER)
            assert (again.status_code, "used" in again.json()["detail"]) == (422, True)

    run(test)


def test_a_nonce_is_lost_with_a_message_for_another_place_and_after_minutes(visited: Visited) -> None:
    async def test() -> None:
        async with visited.client() as client:
            message = await visited.message(client, STRANGER, domain="grid.example", uri="http://grid.example")
            assert "nowhere else" in (await send(client, message, STRANGER)).json()["detail"]
            home = await visited.message(client, STRANGER, nonce=message.nonce)
            assert (await send(client, home, STRANGER)).status_code == 422
            late = await visited.message(client, STRANGER, expiration_time=None)
            visited.ticks += NONCE_SECONDS
            assert "too old" in (await send(client, late, STRANGER)).json()["detail"]

    run(test)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"chain_id": 1}, "chain 1"),
        ({"uri": "https://grid.local"}, "sign in here for http://grid.local"),
        ({"issued_at": "2026-06-20T11:00:00Z"}, "take the times"),
        ({"expiration_time": "2026-06-20T12:00:00Z"}, "expired"),
        ({"not_before": "2026-06-20T12:00:01Z"}, "not valid before"),
        ({"nonce": "0" * 32}, "nonce is unknown"),
        ({"account": bytes(20)}, "not signed by the account"),
    ],
)
def test_a_message_that_does_not_hold_is_refused_in_a_sentence(
    visited: Visited, fields: dict[str, Any], why: str
) -> None:
    async def test() -> None:
        async with visited.client() as client:
            answer = await visited.sign_in(client, STRANGER, **fields)
            assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
            assert why in answer.json()["detail"]
            assert "set-cookie" not in answer.headers
            assert (await client.get("/v1/session")).status_code == 401

    run(test)


def test_what_is_no_proof_is_refused(visited: Visited) -> None:
    async def test() -> None:
        async with visited.client() as client:
            message = await visited.message(client, STRANGER)
            right = {"message": str(message), "signature": signed(message, STRANGER)}
            for wrong in (
                {}, {"message": str(message)}, {**right, "use": "both"}, {**right, "more": 1}, {**right, "message": 7},
                {**right, "signature": "0x"}, {**right, "message": "Let me in."}, {**right, "message": "\ud800"},
            ):  # fmt: skip
                answer = await client.post("/v1/session", content=json.dumps(wrong), headers=JSON)
                assert answer.status_code == 422
                assert answer.json()["detail"].endswith(".")
            # A form, such as any site can have a browser send, is no JSON.
            form = await client.post("/v1/session", content=json.dumps(right), headers={"Content-Type": "text/plain"})
            assert form.status_code == 422
            assert (await client.post("/v1/session", json=right)).status_code == 200

    run(test)


def test_another_site_cannot_change_anything_with_a_members_cookie(visited: Visited) -> None:
    async def test() -> None:
        async with visited.client() as page:
            told = (await visited.sign_in(page, visited.members[0])).json()
            other = await visited.token(visited.members[1])
            for said in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "0" * 64}, {"X-CSRF-Token": other}):
                answer = await page.delete("/v1/session", headers=said)
                assert (answer.status_code, "csrf" in answer.json()["detail"]) == (403, True)
            assert (await page.get("/v1/session")).status_code == 200
            ended = await page.delete("/v1/session", headers={"X-CSRF-Token": told["csrf"]})
            assert ended.status_code == 204
            assert (await page.get("/v1/session")).status_code == 401

    run(test)


def test_no_page_of_another_origin_may_ask(visited: Visited) -> None:
    async def test() -> None:
        async with visited.client(Origin="https://evil.example") as page:
            answer = await page.options("/v1/session", headers={"Access-Control-Request-Method": "DELETE"})
            assert answer.status_code == 405
            answers = answer, await page.get("/v1/community")
            assert not any(name.startswith("access-control") for each in answers for name in each.headers)

    run(test)


def test_all_sessions_of_an_account_end_at_once_and_no_others(visited: Visited) -> None:
    async def test() -> None:
        own = [await visited.token(visited.members[0]) for _ in range(3)]
        other = await visited.token(visited.members[1])
        async with visited.client(Authorization=f"Bearer {own[0]}") as program:
            assert (await program.delete("/v1/session", params={"everywhere": True})).status_code == 204
        assert [await status(visited, token) for token in (*own, other)] == [401, 401, 401, 200]

    run(test)


async def status(visited: Visited, token: str, path: str = "/v1/session") -> int:
    async with visited.client(Authorization=f"Bearer {token}") as client:
        return (await client.get(path)).status_code


def test_a_session_outlives_a_restart_and_ends_in_time(visited: Visited) -> None:
    async def test() -> None:
        token, ended = [await visited.token(visited.members[0]) for _ in range(2)]
        async with visited.client(Authorization=f"Bearer {ended}") as program:
            await program.delete("/v1/session")
        visited.restart()
        assert [await status(visited, each) for each in (token, ended)] == [200, 401]
        visited.wall += SESSION_SECONDS
        assert await status(visited, token) == 401

    run(test)


def test_the_store_keeps_hashes_of_tokens_alone(visited: Visited) -> None:
    async def test() -> None:
        token = await visited.token(visited.members[0])
        rows = visited.village.exchange.store.ask(text("SELECT * FROM sessions"))  # type: ignore[arg-type]
        assert len(rows) == 1
        assert token.encode() not in b"".join(value for value in rows[0] if isinstance(value, bytes))

    run(test)


def test_there_are_only_so_many_sessions(visited: Visited) -> None:
    async def test() -> None:
        first = await visited.token(visited.members[0])
        stranger = await visited.token(STRANGER)
        own = [await visited.token(visited.members[0]) for _ in range(16)]
        assert [await status(visited, each) for each in (first, stranger, *own)] == [401, *[200] * 17]
        rows = visited.village.exchange.store.ask(text("SELECT * FROM sessions"))  # type: ignore[arg-type]
        assert len(rows) == 17

    run(test)


def _rooms(visited: Visited) -> None:
    """An operation for each kind of caller."""

    @visited.app.get("/room/signed-in")
    async def anybody(caller: Annotated[Caller, Depends(signed_in)]) -> int | None:
        return caller.member

    @visited.app.get("/room/member")
    async def members(caller: Annotated[Caller, Depends(member)]) -> int | None:
        return caller.member

    @visited.app.get("/room/operator")
    async def operators(caller: Annotated[Caller, Depends(operator)]) -> int | None:
        return caller.member


ROOMS = ("/room/signed-in", "/room/member", "/room/operator")


async def seen(visited: Visited, token: str) -> list[int]:
    return [await status(visited, token, room) for room in ROOMS]


def test_roles_are_the_ledgers_at_each_request(visited: Visited) -> None:
    _rooms(visited)

    async def test() -> None:
        async with visited.client() as nobody:
            assert [(await nobody.get(room)).status_code for room in ROOMS] == [401] * 3
        keys = (visited.members[0], visited.operator, STRANGER)
        own, operators, stranger = [await visited.token(key) for key in keys]
        assert await seen(visited, own) == [200, 200, 403]
        assert await seen(visited, operators) == [200, 403, 200]
        assert await seen(visited, stranger) == [200, 403, 403]
        visited.suspend(0)
        assert await seen(visited, own) == [200, 403, 403]
        async with visited.client(Authorization=f"Bearer {own}") as client:
            told = (await client.get("/v1/session")).json()
            assert (told["member"], told["active"]) == (0, False)
        visited.suspend(0, active=True)
        assert await seen(visited, own) == [200, 200, 403]

    run(test)


def test_while_the_ledger_is_away_operators_are_those_that_it_named_last(
    visited: Visited, monkeypatch: pytest.MonkeyPatch
) -> None:
    _rooms(visited)

    async def test() -> None:
        known, stranger = await visited.token(visited.operator), await visited.token(STRANGER)
        monkeypatch.setattr(visited.village.exchange.client.node, "storage", _away)
        assert await seen(visited, known) == [200, 403, 200]
        assert await seen(visited, stranger) == [200, 403, 403]
        visited.open()
        _rooms(visited)
        assert await seen(visited, known) == [200, 403, 403]

    run(test)


def _away(*_: object) -> None:
    raise NodeError("http://localhost:1", "The node at http://localhost:1 does not answer.")


def test_whoever_says_both_is_whom_the_token_names(visited: Visited) -> None:
    async def test() -> None:
        token = await visited.token(visited.members[1])
        async with visited.client() as page:
            await visited.sign_in(page, visited.members[0])
            both = {"Authorization": f"Bearer {token}"}
            assert (await page.get("/v1/session", headers=both)).json()["member"] == 1
            both = {"Authorization": "Bearer unknown"}
            assert (await page.get("/v1/session", headers=both)).status_code == 401

    run(test)


def test_tokens_are_not_guessed_from_others(visited: Visited) -> None:
    async def test() -> None:
        token = await visited.token(Key.derive(b"visitors", "careful"))
        for wrong in (token[:-1], f"{token}=", token.swapcase(), "é", " "):
            async with visited.client() as client:
                headers = httpx.Headers([("Authorization", f"Bearer {wrong}")], encoding="utf-8")
                assert (await client.get("/v1/session", headers=headers)).status_code == 401

    run(test)
