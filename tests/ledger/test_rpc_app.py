"""JSON-RPC over HTTP and WebSocket: what is let in, from where, and by whom."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from ledger_cases import ALICE, BOB, transfer
from rpc_cases import GENESIS, result, served, service
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from commonwatt.ledger.readers import HEADER, NotAReader, Readers, signed_header
from commonwatt.ledger.rpc.app import Access
from commonwatt.proof import keccak

CALL = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
ANSWER = {"jsonrpc": "2.0", "id": 1, "result": hex(GENESIS.chain_id)}
EVIL = "https://evil.example"


@contextmanager
def client(access: Access | None = None) -> Iterator[httpx.Client]:
    with served(service(), access) as place, httpx.Client(base_url=f"http://{place}", trust_env=False) as opened:
        yield opened


@pytest.fixture(scope="module")
def browser() -> Iterator[httpx.Client]:
    with client() as opened:
        yield opened


@contextmanager
def websocket(browser: httpx.Client, **headers: str) -> Iterator[ClientConnection]:
    url = str(browser.base_url).replace("http", "ws")
    origin = Origin(headers.pop("origin")) if "origin" in headers else None
    with connect(url, origin=origin, additional_headers=headers, proxy=None) as socket:
        yield socket


def told(socket: ClientConnection) -> Any:
    return json.loads(socket.recv(10))


def place(browser: httpx.Client) -> str:
    return f"{browser.base_url.host}:{browser.base_url.port}"


def test_a_request_is_answered(browser: httpx.Client) -> None:
    answer = browser.post("/", json=CALL)
    assert (answer.status_code, answer.json()) == (200, ANSWER)
    assert answer.headers["content-type"] == "application/json"
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert browser.post("/", json={"jsonrpc": "2.0", "method": "eth_chainId"}).status_code == 204


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"method": "GET"}, 405),
        ({"method": "PUT", "json": CALL}, 405),
        ({"method": "POST", "content": json.dumps(CALL), "headers": {"content-type": "text/plain"}}, 415),
        ({"method": "POST", "content": json.dumps(CALL)}, 415),
        ({"method": "POST", "json": CALL, "headers": {"host": "evil.example"}}, 403),
        ({"method": "POST", "json": CALL, "headers": {"host": "localhost.evil.example:8545"}}, 403),
        ({"method": "POST", "json": CALL, "headers": {"host": ""}}, 403),
        ({"method": "POST", "json": CALL, "headers": {"origin": EVIL}}, 403),
        ({"method": "POST", "json": CALL, "headers": {"origin": "null"}}, 403),
        ({"method": "OPTIONS", "headers": {"origin": EVIL}}, 403),
        ({"method": "POST", "json": ["x" * 1000] * 2000}, 413),
        ({"method": "POST", "json": CALL, "headers": {"host": "127.0.0.1:1"}}, 200),
        ({"method": "POST", "json": CALL, "headers": {"host": "[::1]:8545"}}, 200),
        ({"method": "POST", "json": CALL, "headers": {"host": "LOCALHOST"}}, 200),
    ],
)
def test_only_who_names_this_node_and_is_no_foreign_page_may_ask(
    browser: httpx.Client, request_: dict[str, Any], status: int
) -> None:
    assert browser.request(url="/", **request_).status_code == status


def test_a_page_of_an_allowed_origin_may_ask() -> None:
    with client(Access(origins=["https://village.example"])) as browser:
        page = {"origin": "https://village.example"}
        asked_first = browser.options("/", headers=page)
        assert asked_first.headers["access-control-allow-origin"] == page["origin"]
        answer = browser.post("/", json=CALL, headers=page)
        assert answer.json() == ANSWER
        assert answer.headers["access-control-allow-origin"] == page["origin"]
        assert browser.post("/", json=CALL, headers={"origin": EVIL}).status_code == 403


def test_a_node_behind_a_proxy_may_be_called_by_any_name() -> None:
    with client(Access(hosts=None)) as browser:
        assert browser.post("/", json=CALL, headers={"host": "chain.village.example"}).status_code == 200


# Readers


def vetted(now: float = 1000.0) -> Access:
    return Access(readers=Readers(lambda reader: reader == ALICE.address, lambda: now))


def test_only_vetted_readers_are_answered_and_each_signature_once() -> None:
    body = json.dumps(CALL).encode()
    headers = {"content-type": "application/json"}
    with client(vetted()) as browser:
        unsigned = browser.post("/", content=body, headers=headers)
        assert (unsigned.status_code, HEADER in unsigned.text) == (401, True)
        for key, status, text in ((BOB, 401, "is not a reader"), (ALICE, 200, "result"), (ALICE, 401, "used before")):
            signed = signed_header(key, place(browser), body, 1010)
            answer = browser.post("/", content=body, headers={**headers, HEADER: signed})
            assert (answer.status_code, text in answer.text) == (status, True)
        assert browser.get("/healthz").status_code == browser.get("/metrics").status_code == 401
        signed = signed_header(ALICE, place(browser), b"", 1010)
        assert browser.get("/healthz", headers={HEADER: signed}).json()["block"] == 0


def test_who_is_let_in_later_may_read_and_who_has_gone_may_not() -> None:
    allowed = {ALICE.address}
    readers = Readers(lambda reader: reader in allowed, lambda: 1000.0)
    asked = signed_header(BOB, "localhost:8545", b"", 1000)
    with pytest.raises(NotAReader, match="is not a reader"):
        readers.check(asked, "localhost:8545", b"")
    allowed.add(BOB.address)
    assert readers.check(asked, "localhost:8545", b"") == BOB.address
    allowed.remove(BOB.address)
    with pytest.raises(NotAReader, match="is not a reader"):
        readers.check(signed_header(BOB, "localhost:8545", b"", 1001), "localhost:8545", b"")


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (signed_header(ALICE, "localhost:8545", b"other", 1000), "is not a reader of this node, or"),
        (signed_header(ALICE, "elsewhere", b"body", 1000), "is not a reader of this node, or"),
        (signed_header(ALICE, "localhost:8545", b"body", 1061), "not within 60 seconds"),
        (signed_header(ALICE, "localhost:8545", b"body", 939), "not within 60 seconds"),
        ("", "answers known readers only"),
        ("now 0x12", "is not a time and a signature"),
        ("1000 0x12", "A signature is 65 bytes"),
        ("1000 12", "is not a time and a signature"),
        (f"1000 0x{'00' * 65}", "v 27 or 28"),
        ("9" * 400 + " 0x", "is not a time and a signature"),
    ],
)
def test_a_signature_is_for_this_node_body_and_minute(header: str, told: str) -> None:
    with pytest.raises(NotAReader) as caught:
        vetted().readers.check(header, "localhost:8545", b"body")  # type: ignore[union-attr]
    assert told in str(caught.value)


def test_wallets_can_sign_for_reading() -> None:
    from eth_account import Account
    from eth_account.messages import encode_defunct

    body = json.dumps(CALL).encode()
    text = f"Commonwatt reader\nlocalhost:8545\n1000\n0x{keccak(body).hex()}"
    signature = Account.sign_message(encode_defunct(text=text), ALICE.secret).signature
    readers = vetted().readers
    assert readers
    assert readers.check(f"1000 0x{signature.hex()}", "localhost:8545", body) == ALICE.address


# WebSocket


def test_a_websocket_answers_and_tells_what_is_new(browser: httpx.Client) -> None:
    with websocket(browser) as socket:
        for sent in (json.dumps(CALL), json.dumps(CALL).encode()):
            socket.send(sent)
            assert told(socket) == ANSWER
        socket.send(json.dumps({**CALL, "method": "eth_subscribe", "params": ["newHeads"]}))
        name = told(socket)["result"]
        raw = {**CALL, "method": "eth_sendRawTransaction", "params": [f"0x{transfer(0).hex()}"]}
        socket.send(json.dumps(raw))
        assert "result" in told(socket)
        news = told(socket)["params"]
        assert (news["subscription"], news["result"]["number"]) == (name, "0x1")
        socket.send("[" * 1000)
        assert told(socket)["error"]["code"] == -32700


def test_a_websocket_is_not_for_foreign_pages(browser: httpx.Client) -> None:
    with pytest.raises(InvalidStatus, match="403"), websocket(browser, origin=EVIL):
        pass
    with (
        client(Access(hosts=["village.example"])) as other,
        pytest.raises(InvalidStatus, match="403"),
        websocket(other),
    ):
        pass


def test_a_websocket_of_vetted_readers_is_signed() -> None:
    with client(vetted()) as browser:
        with pytest.raises(InvalidStatus, match="403"), websocket(browser):
            pass
        signed = {HEADER: signed_header(ALICE, place(browser), b"", 1000)}
        with websocket(browser, **signed) as socket:
            socket.send(json.dumps(CALL))
            assert told(socket) == ANSWER
        with pytest.raises(InvalidStatus, match="403"), websocket(browser, **signed):
            pass


def test_a_transaction_has_its_receipt_within_the_time_that_the_paper_measured() -> None:
    rpc = service()
    times = []
    for nonce in range(30):
        started = time.perf_counter()
        hash_ = result(rpc, "eth_sendRawTransaction", f"0x{transfer(nonce).hex()}")
        assert result(rpc, "eth_getTransactionReceipt", hash_)["status"] == "0x1"
        times.append(time.perf_counter() - started)
    # Two seconds; the benchmark has the figures of this node.
    assert sorted(times)[len(times) // 2] < 2
