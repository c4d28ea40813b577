"""Code that runs for a question lets others in between, and sees nothing of what they ask."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Generator
from typing import Any

import pytest
from ledger_cases import transfer
from rpc_cases import error, request, result, service

from commonwatt.ledger.rpc.asked import Limits
from commonwatt.ledger.rpc.service import Service
from commonwatt.ledger.rpc.slices import SLICE, in_slices

PLACE = f"0x{'aa' * 20}"
ENDLESS = "0x5b5f56"


def question(code: str, method: str = "eth_call") -> bytes:
    params = [{"to": PLACE}, "latest", {PLACE: {"code": code}}]
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()


def creation(code: str) -> bytes:
    """A question that runs code on the state that the head's questions share."""
    call = {"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [{"data": code}]}
    return json.dumps(call).encode()


def end(steps: Generator[None, None, Any]) -> tuple[Any, int]:
    """What steps come to, and how many there were before."""
    for count in range(10**9):
        try:
            next(steps)
        except StopIteration as done:
            return done.value, count
    raise AssertionError


@pytest.mark.parametrize("method", ["eth_call", "eth_estimateGas"])
def test_an_endless_loop_lets_others_in_between(method: str) -> None:
    rpc = service(Limits(seconds=0.5))
    steps = rpc.steps(question(ENDLESS, method))
    for _ in range(5):
        next(steps)
        assert result(rpc, "eth_blockNumber") == "0x0"
    answer, _ = end(steps)
    assert json.loads(answer)["error"]["code"] == -32005


def test_questions_that_take_turns_do_not_mix() -> None:
    rpc = service(Limits(seconds=20))
    # PUSH n, SSTORE at 0; PUSH 60 000, JUMPDEST, less 1, again unless it is 0; return what is at 0
    codes = [f"0x60{n:02x}5f5561ea605b60019003806007575f545f5260205ff3" for n in (7, 9)]
    works = [rpc.steps(creation(code)) for code in codes]
    answers: dict[int, Any] = {}
    rounds = 0
    while len(answers) < 2:
        rounds += 1
        for number, work in enumerate(works):
            if number not in answers:
                try:
                    next(work)
                except StopIteration as done:
                    answers[number] = json.loads(done.value)
    assert rounds > 2
    assert [int(answers[number]["result"], 16) for number in (0, 1)] == [7, 9]


def test_a_block_meanwhile_changes_no_answer() -> None:
    rpc = service(Limits(seconds=20))
    steps = rpc.steps(creation("0x61ea605b600190038060035743" + "5f5260205ff3"))
    next(steps)
    result(rpc, "eth_sendRawTransaction", f"0x{transfer(0).hex()}")
    answer, _ = end(steps)
    assert int(json.loads(answer)["result"], 16) == 0
    assert int(result(rpc, "eth_call", {"data": "0x435f5260205ff3"}), 16) == 1


def test_results_faults_and_ends() -> None:
    looked: list[int] = []

    def work(guard: Any) -> str:
        end_ = time.monotonic() + 3 * SLICE
        while time.monotonic() < end_:
            guard()
        return threading.current_thread().name

    name, steps = end(in_slices(work, lambda: looked.append(1)))
    assert name != threading.current_thread().name
    assert steps >= 1
    assert looked

    def fault(_: Any) -> str:
        raise KeyError("this")

    with pytest.raises(KeyError, match="this"):
        end(in_slices(fault, lambda: None))


def test_who_leaves_ends_the_work() -> None:
    before = threading.active_count()

    def work(guard: Any) -> None:
        while True:
            guard()

    steps = in_slices(work, lambda: None)
    next(steps)
    assert threading.active_count() == before + 1
    steps.close()
    end_ = time.monotonic() + 10
    while threading.active_count() > before:
        assert time.monotonic() < end_
        time.sleep(0.01)


def test_calls_as_deep_as_they_can_be_fit_the_thread() -> None:
    rpc: Service = service(Limits(gas=2_000_000_000, seconds=60))
    # CALL of itself with all gas; CREATE of itself with all gas
    answer = request(rpc, "eth_call", {"to": PLACE}, "latest", {PLACE: {"code": "0x5f5f5f5f5f305af100"}})
    assert answer["result"] == "0x"
    assert result(rpc, "eth_call", {"data": "0x385f5f39385f5ff000"}) == "0x"


def test_no_bytes_are_no_transaction() -> None:
    assert error(service(), "eth_sendRawTransaction", "0x")["message"].endswith("transaction: there is nothing.")


def test_null_is_no_parameters_and_null_percentiles_are_none() -> None:
    rpc = service()
    assert json.loads(rpc.handle(b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":null}') or b"")["result"]
    assert "reward" not in result(rpc, "eth_feeHistory", "0x1", "latest", None)
    assert error(rpc, "eth_feeHistory", "0x1", "latest", {})["code"] == -32602
