"""RLP from strangers: what rlp itself reads, and nothing that takes long."""

import time
from collections.abc import Callable
from typing import Any

import pytest
import rlp
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.errors import LedgerError
from commonwatt.ledger.chain.evm import decode as decode_transaction
from commonwatt.ledger.chain.untrusted import decode
from commonwatt.ledger.network.block import MAX_BLOCK_BYTES, InvalidBlock, decode_block
from commonwatt.ledger.network.messages import MAX_MESSAGE_BYTES, MessageError
from commonwatt.ledger.network.messages import decode as decode_message
from commonwatt.ledger.network.wire import MAX_BODY_BYTES, Wire, WireError, unpack
from commonwatt.proof import Key

ITEMS = st.recursive(st.binary(max_size=70), lambda item: st.lists(item, max_size=5), max_leaves=20)


@given(ITEMS)
def test_it_reads_what_rlp_writes(item: Any) -> None:
    assert decode(rlp.encode(item), 100) == item


@given(st.binary(max_size=200))
def test_it_refuses_what_rlp_refuses(data: bytes) -> None:
    try:
        expected = rlp.decode(data)
    except Exception:  # rlp raises many kinds
        with pytest.raises((ValueError, IndexError, rlp.DecodingError)):
            decode(data, 1000)
    else:
        assert decode(data, 1000) == expected


def test_items_and_depth_are_limited() -> None:
    assert decode(rlp.encode([b"a", b"b"]), 3) == [b"a", b"b"]
    with pytest.raises(ValueError, match="more than 3 items"):
        decode(rlp.encode([b"a", b"b", b"c"]), 3)
    nested = b"\xc0"
    for _ in range(20):
        nested = bytes([0xC0 + len(nested)]) + nested
    with pytest.raises(ValueError, match="nested more than 8 deep"):
        decode(nested, 100)


def short_items(size: int) -> bytes:
    """A list of as many items as fit into a length."""
    return b"\xfa" + (size - 4).to_bytes(3, "big") + b"\x01" * (size - 4)


@pytest.mark.parametrize(
    ("read", "refused", "data"),
    [
        (unpack, WireError, short_items(MAX_BODY_BYTES)),
        (lambda data: Wire(Key.derive(b"a", "b"), bytes(32)).open(data, set(), 0), WireError, short_items(1 << 21)),
        (decode_message, MessageError, short_items(MAX_MESSAGE_BYTES)),
        (decode_block, InvalidBlock, short_items(MAX_BLOCK_BYTES)),
        (decode_transaction, LedgerError, b"\x02" + short_items(1 << 20)),
        (decode_transaction, LedgerError, short_items(1 << 20)),
    ],
)
def test_a_million_short_items_take_no_time(read: Callable[..., Any], refused: type[Exception], data: bytes) -> None:
    begun = time.process_time()
    with pytest.raises(refused):
        read(data)
    assert time.process_time() - begun < 2
