"""Blocks as nodes send them: Ethereum's own encoding, rlp([header, transactions, no uncles, withdrawals])."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import rlp
from eth.abc import BlockHeaderAPI, WithdrawalAPI
from eth.vm.forks.cancun.blocks import CancunBlockHeader
from eth.vm.forks.shanghai.withdrawals import Withdrawal
from rlp.codec import consume_length_prefix

from commonwatt.errors import LedgerError
from commonwatt.ledger.chain import untrusted
from commonwatt.ledger.chain.evm import EXTRA_DATA_BYTES, Queued, decode
from commonwatt.ledger.chain.trie import in_list, item, root_of
from commonwatt.ledger.network.consensus.interface import Header

MAX_BLOCK_BYTES = 1 << 20
"""The longest block that a node makes or takes."""
_MOST_ITEMS = MAX_BLOCK_BYTES // 8
_HEADER_ITEMS = 32


class InvalidBlock(LedgerError):
    """A block that this chain never takes.

    `lasting` : the fault is under the block's hash, so that whoever sends this hash sends the same fault
    """

    def __init__(self, reason: str, *, lasting: bool = True) -> None:
        super().__init__(reason)
        self.lasting = lasting


@dataclass(frozen=True)
class Sealed:
    """A decoded block whose body is the one that its header names; nothing else is checked yet."""

    header: CancunBlockHeader
    seen: Header
    """The header as consensus engines see it."""
    transactions: tuple[Queued, ...]
    withdrawals: tuple[Withdrawal, ...]


def decode_header(raw: bytes) -> CancunBlockHeader:
    """The header of a block's bytes, of which nothing else is looked at. Raises InvalidBlock."""
    if len(raw) > MAX_BLOCK_BYTES:
        raise InvalidBlock(f"it has {len(raw)} bytes, more than {MAX_BLOCK_BYTES}", lasting=False)
    try:
        _, _, _, start = consume_length_prefix(raw, 0)
        _, _, length, body = consume_length_prefix(raw, start)
        fields = untrusted.decode(raw[start : body + length], _HEADER_ITEMS)
        return cast("CancunBlockHeader", CancunBlockHeader.deserialize(fields))
    except Exception as error:  # rlp raises many kinds for bytes that are no block
        raise InvalidBlock(f"it is no block: {_first_line(error)}", lasting=False) from error


def decode_block(raw: bytes) -> Sealed:
    """A block from its bytes. Raises InvalidBlock."""
    header = decode_header(raw)
    return decode_body(raw, header, seen(header))


def decode_body(raw: bytes, header: CancunBlockHeader, block: Header) -> Sealed:
    """A block from its bytes and its header, which is decoded already. Raises InvalidBlock."""
    try:
        _, transactions, uncles, withdrawals = untrusted.decode(raw, _MOST_ITEMS)
        paid = tuple(Withdrawal.deserialize(each) for each in withdrawals)
    except Exception as error:  # rlp raises many kinds for bytes that are no block
        raise InvalidBlock(f"it is no block: {_first_line(error)}", lasting=False) from error
    if uncles:
        raise InvalidBlock("it has uncles", lasting=False)
    try:
        queued = tuple(decode(each if isinstance(each, bytes) else rlp.encode(each)) for each in transactions)
    except LedgerError as error:
        raise InvalidBlock(str(error).rstrip("."), lasting=False) from error
    _check_roots(header, queued, paid)
    return Sealed(header, block, queued, paid)


def encode_block(header: bytes, transactions: Sequence[bytes], withdrawals: Sequence[WithdrawalAPI]) -> bytes:
    """A block's bytes from its header's and its transactions'."""
    # A typed transaction is a text of bytes in the list, a legacy one is the list that it is itself.
    listed = [item(raw) if raw[0] < 0x80 else raw for raw in transactions]
    return in_list(header, in_list(*listed), in_list(), in_list(*[each.encode() for each in withdrawals]))


def reward_of(number: int, coinbase: bytes, gwei: int) -> tuple[Withdrawal, ...]:
    """What a block gives its sealer: one withdrawal (EIP-4895), or none."""
    return (Withdrawal(number, 0, cast("Any", coinbase), gwei),) if gwei else ()


def extra_data(claim: bytes, seal: bytes | None = None) -> bytes:
    """A header's extra data, before it is sealed or after."""
    return cast("bytes", rlp.encode([claim] if seal is None else [claim, seal]))


def seen(header: BlockHeaderAPI) -> Header:
    """The header as consensus engines see it. Raises InvalidBlock when its extra data is not rlp([claim, seal])."""
    claim, seal = b"", b""
    if header.block_number:
        claim, seal = _claim_and_seal(header.extra_data)
    return Header(
        number=header.block_number, hash=header.hash, parent=header.parent_hash, timestamp=header.timestamp,
        coinbase=header.coinbase, claim=claim, seal=seal,
        unsealed=header.copy(extra_data=extra_data(claim)).hash,
    )  # fmt: skip


def _claim_and_seal(data: bytes) -> tuple[bytes, bytes]:
    try:
        if len(data) <= EXTRA_DATA_BYTES:
            claim, seal = rlp.decode(data)
            if isinstance(claim, bytes) and isinstance(seal, bytes):
                return claim, seal
    except (rlp.DecodingError, ValueError):
        pass
    raise InvalidBlock("its extra data is not a claim and a seal")


def _check_roots(header: CancunBlockHeader, transactions: Sequence[Queued], withdrawals: Sequence[Withdrawal]) -> None:
    if root_of([queued.raw for queued in transactions]) != header.transaction_root:
        raise InvalidBlock("its transactions are not those that its header names", lasting=False)
    if root_of([withdrawal.encode() for withdrawal in withdrawals]) != header.withdrawals_root:
        raise InvalidBlock("its withdrawals are not those that its header names", lasting=False)


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
