"""What one client does costs no other its service: unread answers, news without end, places, long searches."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import httpx
import pytest
from ledger_cases import ALICE, transfer
from rpc_cases import GENESIS, error, result, served, service
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import ConnectionClosed, InvalidState
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from commonwatt.ledger.network import connections
from commonwatt.ledger.rpc import patience
from commonwatt.ledger.rpc.app import Access
from commonwatt.ledger.rpc.asked import Limits
from commonwatt.ledger.rpc.service import Service
from commonwatt.ledger.wallet import created_address, sign_transaction

SLOW = 60.0
"""Seconds that a slow machine may take for an answer; a node that is deaf takes longer or for ever."""
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Made once; nothing here is encrypted, and reading all authorities' certificates takes longer than most requests."""
CALL = {"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []}
# A call of code that gives back a mebibyte: PUSH3 PUSH0 RETURN. Twelve of them are 24 MiB in hexadecimal.
PLACE = f"0x{'aa' * 20}"
MEBIBYTE = [{"to": PLACE}, "latest", {PLACE: {"code": "0x621000005ff3"}}]
LONG = [{"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": MEBIBYTE}] * 12
# Logs without data until its gas runs low: JUMPDEST PUSH0 PUSH0 LOG0 GAS PUSH2 0x2000 LT PUSH0 JUMPI STOP
LOGGER = bytes.fromhex("5b5f5fa05a612000105f57") + b"\x00"


def posted(place: str, body: Any, **headers: str) -> httpx.Response:
    return httpx.post(f"http://{place}/", json=body, headers=headers, timeout=SLOW, trust_env=False, verify=NO_TLS)


def unread(place: str) -> socket.socket:
    """A client that asks for much and reads nothing."""
    body = json.dumps(LONG).encode()
    opened = socket.create_connection(tuple(place.split(":")))  # type: ignore[arg-type]
    head = f"POST / HTTP/1.1\r\nHost: {place}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    opened.sendall(head.encode() + body)
    return opened


def eventually(what: Any, pause: float = 0.05) -> None:
    end = time.monotonic() + SLOW
    while not what():
        assert time.monotonic() < end
        time.sleep(pause)


@contextmanager
def sockets(place: str, count: int) -> Iterator[list[ClientConnection]]:
    with ExitStack() as stack:
        yield [
            stack.enter_context(connect(f"ws://{place}", proxy=None, max_size=None, close_timeout=0.1))
            for _ in range(count)
        ]


def asked(socket_: ClientConnection, method: str, *params: object) -> Any:
    socket_.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
    while True:
        answer = json.loads(socket_.recv(SLOW))
        if "id" in answer:
            return answer["result"]


# Doors


LENGTHS = ("Content-Length: 71", "Transfer-Encoding: chunked")


@pytest.mark.parametrize("order", [LENGTHS, LENGTHS[::-1]])
def test_a_request_of_two_lengths_is_refused(order: tuple[str, str]) -> None:
    body = json.dumps(CALL).encode()
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    with served(service()) as place:
        with socket.create_connection(tuple(place.split(":"))) as opened:  # type: ignore[arg-type]
            head = f"POST / HTTP/1.1\r\nHost: {place}\r\nContent-Type: application/json\r\n" + "\r\n".join(order)
            opened.sendall(head.encode() + b"\r\n\r\n" + chunked)
            assert b" 400 " in opened.recv(1000).splitlines()[0]
        assert posted(place, CALL).json()["result"] == "0x0"


@pytest.mark.parametrize("origin", ["chrome-extension://nkbihfbeogaeaoehlefnkodbefgpgknn", "moz-extension://1f3a-22"])
def test_a_wallet_in_the_browser_may_ask(origin: str) -> None:
    raw = {**CALL, "method": "eth_sendRawTransaction", "params": [f"0x{transfer(0).hex()}"]}
    with served(service()) as place:
        preflight = httpx.options(f"http://{place}/", headers={"origin": origin}, trust_env=False)
        assert preflight.headers["access-control-allow-origin"] == origin
        assert "result" in posted(place, raw, origin=origin).json()
        with connect(f"ws://{place}", origin=Origin(origin), proxy=None) as opened:
            assert asked(opened, "eth_blockNumber") == "0x1"


@pytest.mark.parametrize(
    "origin",
    ["https://chrome-extension.example", "xchrome-extension://a", "http://moz-extension://a", "file://", "null"],
)
def test_what_only_looks_like_an_extension_may_not(origin: str) -> None:
    with served(service()) as place:
        answer = posted(place, CALL, origin=origin)
        assert answer.status_code == 403
        assert f"--origin {origin}" in answer.text


def test_a_refused_name_comes_with_the_option_that_adds_it() -> None:
    with served(service(), Access()) as place:
        answer = posted(place, CALL, host="192.168.1.5:8545")
        assert (answer.status_code, "--name 192.168.1.5." in answer.text) == (403, True)


def test_health_is_told_to_whom_the_node_answers() -> None:
    rpc = service()
    result(rpc, "eth_sendRawTransaction", f"0x{transfer(0).hex()}")
    with served(rpc) as place:
        health = httpx.get(f"http://{place}/healthz", trust_env=False)
        assert health.json() == {"block": 1, "time": 2000, "peers": 0, "behind": 0, "waiting": 0}
        metrics = httpx.get(f"http://{place}/metrics", trust_env=False).text
        assert "# TYPE commonwatt_block gauge\ncommonwatt_block 1\n" in metrics
        for path in ("healthz", "metrics"):
            foreign = httpx.get(f"http://{place}/{path}", headers={"host": "evil.example"}, trust_env=False)
            assert foreign.status_code == 403


# Answers that nobody reads


def test_what_is_not_read_is_bounded_for_all_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENCE", 1e6)
    with served(service()) as place:
        with ExitStack() as stack:
            clients = [stack.enter_context(unread(place)) for _ in range(5)]
            # There is room for two of them; the others, and whoever else asks for much meanwhile, are told so.
            eventually(lambda: posted(place, LONG).status_code == 503)
            assert posted(place, CALL).json()["result"] == "0x0"
            assert sum(b" 503 " in client.recv(64) for client in clients) == 3
        eventually(lambda: posted(place, LONG).status_code == 200)


def test_who_does_not_read_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "PATIENCE", 0.1)
    with served(service()) as place, unread(place) as client:
        assert client.recv(1, socket.MSG_PEEK)  # the answer is on its way
        time.sleep(3)
        taken = 0
        with suppress(ConnectionResetError):
            while part := client.recv(1 << 20):
                taken += len(part)
        assert taken < len(LONG) << 21


def test_who_does_not_read_a_websocket_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENCE", 2.0)
    with served(service()) as place, ExitStack() as stack:
        hoarders = []
        for _ in range(5):
            hoarder = stack.enter_context(
                connect(f"ws://{place}", proxy=None, max_size=None, max_queue=1, close_timeout=0.1)
            )
            for _ in range(3):
                hoarder.send(json.dumps(LONG))
            hoarders.append(hoarder)
        assert posted(place, CALL).json()["result"] == "0x0"
        eventually(lambda: posted(place, LONG).status_code == 200, pause=0.5)
        with sockets(place, 1) as (honest,):
            assert asked(honest, "eth_blockNumber") == "0x0"


def test_a_server_ends_while_a_websocket_is_closing(monkeypatch: pytest.MonkeyPatch) -> None:
    def closing(_: object) -> None:
        raise InvalidState("connection is closing")

    monkeypatch.setattr(WebSocketsSansIOProtocol, "shutdown", closing)
    with ExitStack() as stack:
        with served(service()) as place:  # what ends its thread fails the test
            opened = stack.enter_context(connect(f"ws://{place}", proxy=None, close_timeout=0.1))
            assert asked(opened, "eth_blockNumber") == "0x0"
        with pytest.raises(ConnectionClosed):
            opened.recv(SLOW)


def test_a_long_answer_arrives_whole() -> None:
    with served(service()) as place:
        for _ in range(3):  # nothing of those before is held
            answers = posted(place, LONG).json()
            assert [len(answer["result"]) for answer in answers] == [2 + 2 * 0x100000] * len(LONG)
        with sockets(place, 1) as (opened,):
            opened.send(json.dumps(LONG))
            assert json.loads(opened.recv(SLOW)) == answers


# Places


def test_for_one_websocket_more_the_quietest_gives_way() -> None:
    with served(service()) as place, sockets(place, 64) as opened:
        assert asked(opened[0], "eth_blockNumber") == "0x0"
        with sockets(place, 1) as (another,):
            assert asked(another, "eth_blockNumber") == "0x0"
            with pytest.raises(ConnectionClosed):
                opened[1].recv(SLOW)
            assert asked(opened[0], "eth_blockNumber") == "0x0"


def test_nobody_can_take_all_filters() -> None:
    rpc = service(Limits(filters=8))
    batch = [{**CALL, "method": "eth_newBlockFilter"}] * 100
    own = result(rpc, "eth_newBlockFilter")
    for _ in range(3):
        rpc.handle(json.dumps(batch[:7]).encode())
        assert result(rpc, "eth_getFilterChanges", own) == []
    rpc.handle(json.dumps(batch).encode())
    other = result(rpc, "eth_newBlockFilter")
    assert result(rpc, "eth_getFilterChanges", other) == []


# News and searches


def raw_transactions(gas: int) -> list[str]:
    """A contract's creation, and a call that fills a block with events."""
    init = bytes([0x60, len(LOGGER), 0x80, 0x60, 0x09, 0x5F, 0x39, 0x5F, 0xF3]) + LOGGER
    contract = created_address(ALICE.address, 0)
    return [
        f"0x{sign_transaction(ALICE, chain_id=GENESIS.chain_id, nonce=nonce, to=to, data=data, gas=most).hex()}"
        for nonce, to, data, most in ((0, b"", init, 500_000), (1, contract, b"", gas))
    ]


def test_subscriptions_to_everything_keep_nobody_waiting() -> None:
    rpc = service()
    quiet = {"address": [f"0x{number:040x}" for number in range(1, 900)]}
    with served(rpc) as place, sockets(place, 6) as opened:
        for each in opened:
            for number in range(24):
                asked(each, "eth_subscribe", "logs", quiet if number % 2 else {})
        for raw in raw_transactions(gas=3_000_000):
            posted(place, {**CALL, "method": "eth_sendRawTransaction", "params": [raw]})
        waits = []
        for _ in range(10):
            began = time.monotonic()
            assert posted(place, CALL).json()["result"] == "0x2"
            waits.append(time.monotonic() - began)
            time.sleep(0.1)
        # Half a million events and more wait to be sent meanwhile.
        assert max(waits) < 10
        told = json.loads(opened[0].recv(SLOW))["params"]["result"]
        assert told["blockNumber"] == "0x2"


def test_a_slow_subscriber_gets_each_event_once_and_in_order() -> None:
    rpc = service()
    connection = rpc.connection()
    subscribe = {**CALL, "method": "eth_subscribe", "params": ["logs"]}
    rpc.handle(json.dumps(subscribe).encode(), connection)
    for raw in raw_transactions(gas=200_000):
        result(rpc, "eth_sendRawTransaction", raw)
    (receipt,) = result(rpc, "eth_getBlockReceipts", "latest")
    found: list[Any] = []
    for _ in range(3):  # whoever stops in the middle of a look goes on with the next block
        found += [json.loads(message)["params"]["result"] for message in rpc.news(connection) if message]
    assert found == receipt["logs"]
    assert len(found) > 100


def test_a_search_is_bounded_by_what_it_looks_at_and_not_by_time() -> None:
    rpc = service(Limits(seconds=1000.0), cpu=iter(range(10**9)).__next__)
    for raw in raw_transactions(gas=200_000):
        result(rpc, "eth_sendRawTransaction", raw)
    logs = result(rpc, "eth_getLogs", {"fromBlock": "0x0"})
    assert len(logs) > 100
    few = Service(rpc.backend, Limits(read=len(logs)))
    told = error(few, "eth_getLogs", {"fromBlock": "0x0"})
    assert told == {"code": -32005, "message": f"More than {len(logs)} receipts and events; ask for fewer blocks."}
    enough = Service(rpc.backend, Limits(read=len(logs) + 1))
    assert result(enough, "eth_getLogs", {"fromBlock": "0x0"}) == logs


def test_a_long_search_lets_others_in_between() -> None:
    rpc = service(Limits(seconds=10.0**6), cpu=iter(range(10**6)).__next__)  # all work is long
    for nonce in range(3):
        result(rpc, "eth_sendRawTransaction", f"0x{transfer(nonce).hex()}")
    search = {**CALL, "method": "eth_getLogs", "params": [{"fromBlock": "0x0"}]}
    steps = rpc.steps(json.dumps([search, CALL, search]).encode())
    made, answers = 0, b""
    while not answers:
        try:
            next(steps)
            made += 1
        except StopIteration as done:
            answers = done.value
        assert result(rpc, "eth_blockNumber") == "0x3"
    assert [answer["result"] for answer in json.loads(answers)] == [[], "0x3", []]
    assert made >= 3


def test_a_short_batch_is_one_step() -> None:
    rpc = service(cpu=lambda: 0.0)
    search = {**CALL, "method": "eth_getLogs", "params": [{"fromBlock": "0x0"}]}
    with pytest.raises(StopIteration) as done:
        next(rpc.steps(json.dumps([search, CALL, search]).encode()))
    assert [answer["result"] for answer in json.loads(done.value.value)] == [[], "0x0", []]
