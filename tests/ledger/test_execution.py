"""What a block that is made here takes from its parent and from its transactions, in the shapes of py-evm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from eth.rlp.logs import Log
from eth.rlp.receipts import Receipt
from eth.vm.forks.london.receipts import LondonTypedReceipt
from hypothesis import given
from hypothesis import strategies as st
from ledger_cases import ALICE, BOB, ETHER, GENESIS, transfer

from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.chain.evm import decode, encode_receipt, header_after
from commonwatt.ledger.chain.execution import Execution
from commonwatt.ledger.chain.rules import Unexecutable

_LOGS = st.builds(
    Log,
    st.binary(min_size=20, max_size=20),
    st.lists(st.integers(0, 2**256 - 1), max_size=4).map(tuple),
    st.binary(max_size=80),
)


@given(st.sampled_from([None, 1, 2]), st.booleans(), st.integers(21_000, 2**40), st.lists(_LOGS, max_size=3).map(tuple))
def test_receipts_are_encoded_as_py_evm_encodes_them(
    kind: int | None, success: bool, gas_used: int, logs: tuple[Log, ...]
) -> None:
    inner: Any = Receipt(b"\x01" * success, gas_used, logs)
    receipt = inner if kind is None else LondonTypedReceipt(kind, inner)
    assert encode_receipt(receipt) == receipt.encode()


@pytest.mark.parametrize("used", [0, 1, GENESIS.gas_limit // 2, GENESIS.gas_limit // 2 + 1, GENESIS.gas_limit])
def test_a_header_is_the_one_that_py_evm_makes_of_its_parent(used: int) -> None:
    with EmbeddedChain(None, GENESIS) as chain:
        chain.seal(2000)
        parent = chain.header().copy(gas_used=used, base_fee_per_gas=1000)
        theirs = chain._chain.create_header_from_parent(
            parent, timestamp=3000, gas_limit=parent.gas_limit, coinbase=BOB.address, extra_data=b"claim"
        )
        assert header_after(parent, 3000, BOB.address, b"claim") == theirs


def test_a_transaction_for_which_no_gas_is_left_is_no_part_of_the_block() -> None:
    with EmbeddedChain(None, GENESIS) as chain:
        run = Execution(chain._chain, chain.header(), timestamp=2000)
        run.apply(decode(transfer(0)))
        late = decode(transfer(1, gas=GENESIS.gas_limit))
        assert not run.fits(late)
        with pytest.raises(Unexecutable, match="exceeds gas limit"):
            run.apply(late)
        assert run.close().header.gas_used == 21_000


def test_what_a_dropped_block_left_in_memory_is_written_by_the_next_one(tmp_path: Path) -> None:
    path, payee = tmp_path / "chain.db", b"\x22" * 20
    with EmbeddedChain(path, GENESIS) as chain:
        run = Execution(chain._chain, chain.header(), timestamp=2000)
        run.apply(decode(transfer(0, to=payee, wei=5)))
        dropped = run.close().header
        chain._store.discard()
        chain.submit(transfer(0, to=payee, wei=5))
        assert chain.seal(2000).state_root == dropped.state_root
    with EmbeddedChain(path) as chain:
        assert chain.balance(payee) == 5
        assert chain.balance(ALICE.address) == 1000 * ETHER - 5 - 21_000 * GENESIS.base_fee
        assert len(chain.transaction_hashes(chain.header())) == 1
        assert len(chain.receipts(chain.header())) == 1
