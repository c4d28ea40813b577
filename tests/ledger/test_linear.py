"""Code whose gas says little of what it costs Python: the node's parts compute what py-evm's do, and in due time."""

from __future__ import annotations

import time
import tracemalloc
from random import Random

import pytest
from counting import calls_of
from eth.exceptions import InsufficientStack
from eth.vm.code_stream import CodeStream
from eth.vm.forks.cancun.state import CancunState
from eth.vm.stack import Stack
from hypothesis import given
from hypothesis import strategies as st
from ledger_cases import ALICE, ETHER

from commonwatt.ledger.chain import evm
from commonwatt.ledger.chain.embedded import EmbeddedChain, Genesis
from commonwatt.ledger.chain.linear import pop_ints
from commonwatt.ledger.chain.program import Code, Program
from commonwatt.ledger.node import Receipt
from commonwatt.ledger.wallet import created_address, sign_transaction

GAS = 1_000_000
# POP of a call's result, and back to the JUMPDEST whose place follows.
_AGAIN = bytes.fromhex("50 61")


@pytest.fixture
def chain() -> EmbeddedChain:
    return EmbeddedChain(None, Genesis(2024, {ALICE.address: 1000 * ETHER}, timestamp=1000))


def sent(chain: EmbeddedChain, to: bytes, data: bytes = b"", gas: int = GAS) -> Receipt:
    raw = sign_transaction(ALICE, chain_id=2024, nonce=chain.nonce(ALICE.address), to=to, data=data, gas=gas)
    (receipt,) = chain.confirm([chain.submit(raw)], chain.head.timestamp + 1)
    return receipt


def deployed(chain: EmbeddedChain, code: bytes) -> bytes:
    size = len(code).to_bytes(3, "big")
    receipt = sent(
        chain, b"", b"\x62" + size + bytes.fromhex("600e5f39 62") + size + bytes.fromhex("5ff3") + code, 9**8
    )
    assert receipt.success
    return receipt.contract


def call(to: bytes, size: int = 0) -> bytes:
    """CALL with all gas and a part of the memory."""
    return bytes.fromhex("5f5f62") + size.to_bytes(3, "big") + bytes.fromhex("5f5f73") + to + bytes.fromhex("5af1")


def for_ever(before: bytes, repeated: bytes) -> bytes:
    return before + b"\x5b" + repeated + _AGAIN + len(before).to_bytes(2, "big") + b"\x56"


def dense(size: int) -> bytes:
    """Code that jumps over so many bytes, each of which looks like a PUSH1."""
    return b"\x61" + (size + 4).to_bytes(2, "big") + b"\x56" + b"\x60" * size + b"\x5b\x00"


def seconds(chain: EmbeddedChain, code: bytes) -> float:
    """CPU of a transaction that calls a contract until its gas is used up."""
    contract, began = deployed(chain, code), time.process_time()
    assert not sent(chain, contract).success
    return time.process_time() - began


def test_a_jump_over_code_that_looks_like_data_is_no_fault(chain: EmbeddedChain) -> None:
    assert sent(chain, b"", dense(49_100)[:49_100], 9_000_000).success is False  # its target is cut off
    assert sent(chain, b"", dense(49_000), 9_000_000).success


def test_where_code_jumps_to_is_found_once_however_often_it_is_called(chain: EmbeddedChain) -> None:
    bare = seconds(chain, for_ever(b"", call(b"\x11" * 20)))
    assert seconds(chain, for_ever(b"", call(deployed(chain, dense(24_000))))) < 5 * bare


def test_where_many_contracts_jump_to_is_found_once_however_often_they_are_called(chain: EmbeddedChain) -> None:
    """There are more of them than programs are kept."""
    others = [bytes([1, number]) + b"\x11" * 18 for number in range(40)]
    bare = seconds(chain, for_ever(b"", b"\x50".join(map(call, others))))
    contracts = [deployed(chain, dense(24_000) + bytes([number])) for number in range(40)]
    assert seconds(chain, for_ever(b"", b"\x50".join(map(call, contracts)))) < 5 * bare


def test_a_target_is_found_in_code_that_looks_like_data_everywhere_sooner_than_each_of_others() -> None:
    def search(code: bytes, places: range) -> float:
        program, began = Program(code), time.process_time()
        for place in places:
            program.is_target(place)
        return time.process_time() - began

    assert search(dense(49_000), range(49_004, 49_005)) < search(b"\x5b" * 49_000, range(49_000))


def test_where_instructions_are_is_not_kept_for_longer_code_than_a_chain_has() -> None:
    tracemalloc.start()
    try:
        for number in range(100):  # as an eth_call may take a contract to have
            Program(bytes(500_000) + bytes([number]))
        assert tracemalloc.get_traced_memory()[0] < 5_000_000
    finally:
        tracemalloc.stop()


def test_targets_are_those_of_py_evm() -> None:
    chance = Random(5)  # noqa: S311 (to be repeatable)
    for _ in range(300):
        code = bytes(chance.choice([0x5B, 0, 0x60, 0x61, 0x7F, 0xFF, chance.randrange(256)]) for _ in range(90))
        ours, theirs = Code(code), CodeStream(code)
        assert [ours.is_valid_opcode(at) for at in range(95)] == [theirs.is_valid_opcode(at) for at in range(95)]


def test_what_is_passed_to_calls_is_not_kept(chain: EmbeddedChain) -> None:
    size = 100_000
    grow = bytes.fromhex("600162") + (size - 32).to_bytes(3, "big") + b"\x52"
    contract = deployed(chain, for_ever(grow, call(b"\x11" * 20, size)))
    tracemalloc.start()
    try:
        assert not sent(chain, contract).success  # thousands of calls
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_calls_do_not_pay_for_what_was_changed_before(chain: EmbeddedChain) -> None:
    count = bytes.fromhex("5f54 6001 01 5f55")
    changes = b"".join(call(deployed(chain, count)) + b"\x50" for _ in range(150))
    again, more = call(b"\x11" * 20), 150 * 12_000
    loop, both = deployed(chain, for_ever(b"", again)), deployed(chain, for_ever(changes, again))
    alone = deployed(chain, changes + b"\x00")
    bare = calls_of(lambda: sent(chain, loop))
    changing = calls_of(lambda: sent(chain, alone, gas=5_000_000))
    together = calls_of(lambda: sent(chain, both, gas=GAS + more))
    assert together < 1.1 * (GAS + more) / GAS * bare + changing


def hashes(genesis: Genesis, blocks: list[list[bytes]]) -> list[bytes]:
    """Of blocks with these transactions."""
    chain, found = EmbeddedChain(None, genesis), []
    for number, raws in enumerate(blocks, 1):
        for raw in raws:
            chain.submit(raw)
        found.append(chain.seal(1000 + number).hash)
    return found


@given(st.lists(st.integers(0, 2**256 - 1) | st.binary(max_size=32)), st.integers(2, 7))
def test_integers_come_off_a_stack_as_py_evm_takes_them(values: list[int | bytes], count: int) -> None:
    stack, ours = Stack(), list(values)
    stack.values[:] = values
    if count > len(values):
        with pytest.raises(InsufficientStack):
            pop_ints(ours, count)
    else:
        assert pop_ints(ours, count) == stack.pop_ints(count)
    assert ours == stack.values


@pytest.mark.filterwarnings("ignore:SELFDESTRUCT opcode:DeprecationWarning")  # of py-evm's own
def test_who_inherits_nothing_is_left_out_of_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """One transaction calls a contract twice, which each time destroys itself in favour of somebody else."""
    genesis = Genesis(2024, {ALICE.address: 1000 * ETHER}, 1000)
    inherits, own = bytes.fromhex("5f35ff"), created_address(ALICE.address, 0)

    def created(nonce: int, code: bytes) -> bytes:
        start = (
            b"\x60" + bytes([len(code)]) + bytes.fromhex("600b5f3960") + bytes([len(code)]) + bytes.fromhex("5ff300")
        )
        return sign_transaction(ALICE, chain_id=2024, nonce=nonce, to=b"", data=start + code, gas=GAS)

    def for_the_benefit_of(heir: int) -> bytes:
        given = b"\x73" + bytes([heir]) * 20 + bytes.fromhex("5f52")
        return given + bytes.fromhex("5f5f60205f5f73") + own + bytes.fromhex("5af150")

    both = for_the_benefit_of(0xB1) + for_the_benefit_of(0xB2) + b"\x00"
    call_ = sign_transaction(ALICE, chain_id=2024, nonce=2, to=created_address(ALICE.address, 1), gas=GAS)
    blocks = [[created(0, inherits)], [created(1, both)], [call_]]
    ours = hashes(genesis, blocks)
    monkeypatch.setattr(evm._VM, "_state_class", CancunState)
    assert hashes(genesis, blocks) == ours
