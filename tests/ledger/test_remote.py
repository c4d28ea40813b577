"""A node is a stranger: whatever it answers is read as what it should be, or is refused in one sentence."""

from __future__ import annotations

import gzip
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_cases import ALICE, transfer
from liars import answering
from rpc_cases import served, service

from commonwatt.errors import LedgerError, NodeError
from commonwatt.ledger.answers import data, quantity
from commonwatt.ledger.node import Block, CallReverted, Receipt, Transaction
from commonwatt.ledger.readers import Readers
from commonwatt.ledger.remote import RemoteNode
from commonwatt.ledger.rpc.app import Access
from commonwatt.proof import Key

HASH, ACCOUNT = bytes(range(32)), bytes(range(20))
WORD, SHORT = f"0x{HASH.hex()}", "0x01"
BLOCK = {
    "number": "0x7", "hash": WORD, "parentHash": WORD, "timestamp": "0x64", "stateRoot": WORD, "gasLimit": "0x64",
    "gasUsed": "0x0", "transactions": [WORD],
}  # fmt: skip
LOG = {"address": f"0x{ACCOUNT.hex()}", "topics": [WORD], "data": "0x", "blockNumber": "0x7", "transactionHash": WORD}
RECEIPT = {
    "transactionHash": WORD, "blockNumber": "0x7", "transactionIndex": "0x0", "status": "0x1", "gasUsed": "0x5208",
    "contractAddress": None, "logs": [LOG],
}  # fmt: skip
TRANSACTION = {
    "hash": WORD, "from": f"0x{ACCOUNT.hex()}", "to": None, "nonce": "0x0", "value": "0x0", "gas": "0x0", "input": "0x",
    "blockNumber": "0x7", "transactionIndex": "0x0",
}  # fmt: skip
Question = Callable[[RemoteNode], object]


def chain_id(node: RemoteNode) -> int:
    """Asked anew."""
    node.__dict__.pop("chain_id", None)
    return node.chain_id


QUESTIONS: dict[str, tuple[Question, Any, type[object]]] = {
    "chain id": (chain_id, "0x7e8", int),
    "head": (lambda node: node.head, BLOCK, Block),
    "block": (lambda node: node.block(7), BLOCK, Block),
    "receipt": (lambda node: node.receipt(HASH), RECEIPT, Receipt),
    "transaction": (lambda node: node.transaction(HASH), TRANSACTION, Transaction),
    "call": (lambda node: node.call(ACCOUNT, b""), "0x00ff", bytes),
    "nonce": (lambda node: node.nonce(ACCOUNT), "0x5", int),
    "balance": (lambda node: node.balance(ACCOUNT), "0x5", int),
    "code": (lambda node: node.code(ACCOUNT), "0x60", bytes),
    "storage": (lambda node: node.storage(ACCOUNT, [0]), WORD, list),
    "logs": (lambda node: node.logs(1, 9), [LOG], list),
    "tip": (lambda node: node.tip, "0x5", int),
}
TEXT = st.text(max_size=40) | st.sampled_from(
    ["0x", "0x0", "0xg", SHORT, WORD, "0x" + "f" * 65, "-0x1", "0x 1", "\x1b[2J"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(TEXT | st.sampled_from(sorted(BLOCK)), inner, max_size=4)
    ),
    max_leaves=12,
)


class Stranger:
    """A node whose answers a test chooses: `answer` makes one of the request, `told` is one whole body."""

    def __init__(self) -> None:
        self.result: Any = None
        self.body: bytes | None = None

    def __call__(self, request: bytes) -> bytes:
        if self.body is not None:
            return self.body
        call = json.loads(request)
        calls = call if isinstance(call, list) else [call]
        told = [{"jsonrpc": "2.0", "id": each["id"], "result": self._result(each)} for each in calls]
        return json.dumps(told if isinstance(call, list) else told[0]).encode()

    def _result(self, call: dict[str, Any]) -> Any:
        """Storage is asked for at the head's number."""
        return BLOCK if call["method"] == "eth_getBlockByNumber" and self.result == WORD else self.result


@pytest.fixture(scope="module")
def stranger() -> Stranger:
    return Stranger()


@pytest.fixture(scope="module")
def node(stranger: Stranger) -> Iterator[RemoteNode]:
    with answering(stranger) as url:
        asking = RemoteNode(url)
        yield asking
        asking.close()


def told(node: RemoteNode, question: Question) -> str:
    with pytest.raises(LedgerError) as caught:
        question(node)
    assert str(caught.value).isprintable()
    return str(caught.value)


def read_or_refused(node: RemoteNode, name: str) -> None:
    question, _, kind = QUESTIONS[name]
    try:
        found = question(node)
    except LedgerError:
        assert len(told(node, question)) < 1000
    else:
        assert found is None or type(found) is kind


@pytest.mark.parametrize("name", QUESTIONS)
def test_what_an_honest_node_answers_is_read(stranger: Stranger, node: RemoteNode, name: str) -> None:
    question, result, kind = QUESTIONS[name]
    stranger.body, stranger.result = None, result
    assert type(question(node)) is kind


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(name=st.sampled_from(sorted(QUESTIONS)), result=JSON)
def test_any_result_is_read_or_refused_in_one_sentence(
    stranger: Stranger, node: RemoteNode, name: str, result: Any
) -> None:
    stranger.body, stranger.result = None, result
    read_or_refused(node, name)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    name=st.sampled_from(sorted(QUESTIONS)),
    place=st.integers(0, 20),
    garbage=JSON | st.sampled_from([SHORT, WORD, [LOG, None], [WORD, SHORT]]),
)
def test_any_field_of_a_result_is_read_or_refused(
    stranger: Stranger, node: RemoteNode, name: str, place: int, garbage: Any
) -> None:
    result = json.loads(json.dumps(QUESTIONS[name][1]))
    holder = result[0] if isinstance(result, list) else result
    if isinstance(holder, dict):
        holder[sorted(holder)[place % len(holder)]] = garbage
    stranger.body, stranger.result = None, result
    read_or_refused(node, name)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(name=st.sampled_from(sorted(QUESTIONS)), body=JSON.map(lambda value: json.dumps(value).encode()) | st.binary())
def test_any_body_is_read_or_refused(stranger: Stranger, node: RemoteNode, name: str, body: bytes) -> None:
    stranger.body = body
    told(node, QUESTIONS[name][0])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(error=st.fixed_dictionaries({"code": JSON, "message": JSON, "data": JSON}), id_=st.none() | JSON)
def test_any_refusal_is_one_sentence(stranger: Stranger, node: RemoteNode, error: Any, id_: Any) -> None:
    stranger.body = json.dumps({"jsonrpc": "2.0", "id": id_, "error": error}).encode()
    assert len(told(node, lambda node: node.call(ACCOUNT, b""))) < 1000


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b'{"jsonrpc": "2.0", "id": 1, "result": "0x1", "result": "0x2"}', "'result' stands there twice"),
        (b'{"jsonrpc": "2.0", "id": [], "result": "0x1"}', "does not answer like an Ethereum node"),
        (b'{"jsonrpc": "2.0", "id": 2, "result": "0x1"}', "does not answer like an Ethereum node"),
        (b"[" * 100_000, "nested more than 64 deep"),
        (b'{"jsonrpc": "2.0", "id": 1, "result": ' + b"9" * 9999 + b"}", "more than 78 digits"),
        (gzip.compress(b'{"jsonrpc": "2.0", "id": 1, "result": "0x1"}'), "cannot be asked"),
        (b'"' + b" " * (1 << 26) + b'"', "does not end"),
        (
            b'{"id": null, "error": {"message": "\\u001b[2Jh1.json is proved by the chain\\n", "code": 1}}',
            r"refused eth_chainId: \\x1b\[2Jh1.json is proved by the chain\\n",
        ),
    ],
    ids=["key twice", "list as id", "another id", "nested", "digits", "compressed", "endless", "control characters"],
)
def test_a_body_that_is_none(stranger: Stranger, node: RemoteNode, body: bytes, sentence: str) -> None:
    stranger.body = body
    assert re.search(sentence, told(node, chain_id))


@pytest.mark.parametrize(
    ("body", "again"),
    [
        (b"no JSON", True),
        (b'{"jsonrpc": "2.0", "id": 777777, "result": "0x1"}', True),
        (b'{"id": null, "error": {"message": "insufficient funds", "code": -32000}}', False),
    ],
)
def test_a_lost_node_is_told_apart_from_a_refusal(
    stranger: Stranger, node: RemoteNode, body: bytes, again: bool
) -> None:
    stranger.body = body
    with pytest.raises(LedgerError) as caught:
        node.submit(b"\x02")
    assert isinstance(caught.value, NodeError) == again
    assert getattr(caught.value, "url", node.url) == node.url


def test_a_refusal_of_the_whole_request_is_one_of_every_call(stranger: Stranger, node: RemoteNode) -> None:
    stranger.body = b'{"jsonrpc": "2.0", "id": null, "error": {"code": -32005, "message": "too much"}}'
    assert "too much" in told(node, chain_id)
    stranger.body = b'{"jsonrpc": "2.0", "id": null, "error": {"code": 3, "message": "", "data": "0xabcd"}}'
    with pytest.raises(CallReverted) as caught:
        node.call(ACCOUNT, b"")
    assert caught.value.data == b"\xab\xcd"


@pytest.mark.parametrize(
    ("question", "result"),
    [
        (lambda node: node.block(8), BLOCK),
        (lambda node: node.receipt(bytes(32)), RECEIPT),
        (lambda node: node.transaction(bytes(32)), TRANSACTION),
        (lambda node: node.logs(8, 9), [LOG]),
        (lambda node: node.logs(1, 6), [LOG]),
        (lambda node: node.logs(1, 9, address=bytes(20)), [LOG]),
        (lambda node: node.logs(1, 9, topic=bytes(32)), [LOG]),
        (lambda node: node.logs(1, 9, topic=HASH), [{**LOG, "topics": []}]),
    ],
)
def test_an_answer_to_another_question_is_refused(
    stranger: Stranger, node: RemoteNode, question: Question, result: Any
) -> None:
    stranger.body, stranger.result = None, result
    assert "with what was not asked for" in told(node, question)


def test_more_blocks_than_can_be_searched_are_not_searched(stranger: Stranger, node: RemoteNode) -> None:
    stranger.body, stranger.result = None, {**BLOCK, "number": "0xffffffffffffffff"}
    assert "more than can be searched" in told(node, lambda node: node.logs(1, node.head.number))


@pytest.mark.parametrize(
    "given_", ["", "0x", "1", 1, True, None, "0x" + "f" * 65, "0x１", "0x_1", "0x1\n", " 0x1", "-0x1"]
)
def test_what_is_no_number(given_: object) -> None:
    with pytest.raises(ValueError, match="is no number"):
        quantity(given_)


@pytest.mark.parametrize("given_", ["", "0x1", "0xZZ", "00", 0, None, [], "0x00\n", "0x 00"])
def test_what_is_no_data(given_: object) -> None:
    with pytest.raises(ValueError, match="hexadecimal digits"):
        data(given_)


def test_bounds_and_sizes() -> None:
    assert (quantity("0xff", 8), quantity(WORD), data("0xFF", 1)) == (255, int.from_bytes(HASH, "big"), b"\xff")
    with pytest.raises(ValueError, match="more than 8 bits"):
        quantity("0x100", 8)
    with pytest.raises(ValueError, match="not of 2 bytes"):
        data("0xff", 2)


def test_a_node_that_answers_known_readers_is_asked_with_their_key() -> None:
    """Each request is signed anew, those of two clients within a second too; others are told why not."""
    known = Key.derive(b"remote", "reader")
    access = Access(readers=Readers(lambda reader: reader == known.address, time.time))
    with served(service(), access) as address:
        url = f"http://{address}"
        for _ in range(3):
            with closing(RemoteNode(url, reader=known)) as node:
                assert node.chain_id == 2024
                assert node.storage(ALICE.address, range(3)) == [0, 0, 0]
                node.submit(transfer(node.nonce(ALICE.address)))
        for reader, reason in (
            (None, "This node answers known readers only; sign the request in the header"),
            (Key.derive(b"remote", "stranger"), "is not a reader of this node"),
        ):
            with closing(RemoteNode(url, reader=reader)) as node, pytest.raises(NodeError) as caught:
                _ = node.head
            assert reason in str(caught.value)
            assert str(caught.value).startswith(f"The node at {url} cannot be asked: ")
