"""Methods that run code without a transaction, and those about fees."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import replace
from itertools import accumulate

from eth.abc import BlockHeaderAPI
from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from commonwatt.ledger.chain.question import Answer, EstimateFailed, Override, Question
from commonwatt.ledger.rpc.asked import Asked, Steps, method
from commonwatt.ledger.rpc.format import Json, effective_gas_price
from commonwatt.ledger.rpc.slices import in_slices
from commonwatt.ledger.rpc.values import (
    FAILED,
    LATEST,
    REVERTED,
    RpcError,
    Where,
    block,
    call,
    count,
    hexed,
    listed,
    overrides,
)

_MAX_HISTORY = 1024
_MAX_PERCENTILES = 100
# Wei per gas of blobs, of which there are none (EIP-4844).
_BLOB_BASE_FEE = 1
# Selectors of what Solidity reverts with: Error(string), Panic(uint256).
_ERROR, _PANIC = bytes.fromhex("08c379a0"), bytes.fromhex("4e487b71")


# Running code


@method("eth_call", required=1, transaction=call, block=block, overrides=overrides)
def _eth_call(
    asked: Asked, question: Question, where: Where = LATEST, others: Mapping[bytes, Override] | None = None
) -> Steps[str]:
    bounded, at = _bounded(asked, question, asked.limits.gas), asked.header(where).hash
    following = asked.backend.next_time if where.pending else None
    answer = yield from in_slices(lambda guard: asked.reader.ask(bounded, at, guard, others, following), asked.guard)
    if answer.error:
        raise _failure(answer)
    return hexed(answer.output)


@method("eth_estimateGas", required=1, transaction=call, block=block, overrides=overrides)
def _estimate(
    asked: Asked, question: Question, where: Where = LATEST, others: Mapping[bytes, Override] | None = None
) -> Steps[str]:
    header = asked.header(where)
    bounded = _bounded(asked, question, min(asked.limits.gas, header.gas_limit))
    # A transaction comes into a later block than the head, and where no block comes without one the head may be old.
    following = asked.backend.next_time if where.at is None else None
    try:
        gas = yield from in_slices(
            lambda guard: asked.reader.estimate(bounded, header.hash, guard, others, following), asked.guard
        )
        return hexed(gas)
    except EstimateFailed as error:
        raise _failure(error.answer) from None


def _bounded(asked: Asked, question: Question, gas: int) -> Question:
    if question.chain_id not in (None, asked.reader.chain_id):
        told = f"chainId does not match node's (have={question.chain_id}, want={asked.reader.chain_id})"
        raise RpcError(FAILED, told)
    return replace(question, gas=min(question.gas, gas))


def _failure(answer: Answer) -> RpcError:
    if answer.reverted:
        return RpcError(REVERTED, answer.error + _reason(answer.output), hexed(answer.output))
    return RpcError(FAILED, answer.error)


def _reason(output: bytes) -> str:
    """What a contract said when it reverted, for the end of a message; nothing when it is no text."""
    try:
        if output[:4] == _ERROR:
            return f": {decode(['string'], output[4:])[0]}"
        if output[:4] == _PANIC:
            return f": panic code {decode(['uint256'], output[4:])[0]:#04x}"
    except (DecodingError, UnicodeDecodeError):
        pass
    return ""


# Fees


@method("eth_gasPrice")
def _gas_price(asked: Asked) -> str:
    return hexed(asked.reader.next_base_fee)


@method("eth_baseFee")
def _base_fee(asked: Asked) -> str:
    return hexed(asked.reader.next_base_fee)


@method("eth_blobBaseFee")
def _blob_base_fee(_: Asked) -> str:
    return hexed(_BLOB_BASE_FEE)


@method("eth_maxPriorityFeePerGas")
def _tip(asked: Asked) -> str:
    return hexed(asked.reader.tip)


def _percentiles(value: object) -> list[float]:
    given = listed(value, _MAX_PERCENTILES)
    if any(isinstance(each, bool) or not isinstance(each, int | float) or not 0 <= each <= 100 for each in given):
        raise ValueError("are not numbers from 0 to 100")
    if given != sorted(given):
        raise ValueError("do not ascend")
    return [float(each) for each in given]


@method(
    "eth_feeHistory",
    required=2,
    count=count,
    newest=block,
    percentiles=lambda value: _percentiles([] if value is None else value),
)
def _fee_history(asked: Asked, blocks: int, newest: Where, percentiles: list[float] | None = None) -> Steps[Json]:
    last = asked.header(newest)
    if not blocks:
        nothing = ("baseFeePerGas", "gasUsedRatio", "baseFeePerBlobGas", "blobGasUsedRatio")
        return {"oldestBlock": hexed(0), **{name: [] for name in nothing}}
    first = max(last.block_number - min(blocks, _MAX_HISTORY) + 1, 0)
    headers = [asked.reader.header(number) for number in range(first, last.block_number + 1)]
    following = asked.reader.base_fee_after(last)
    history: Json = {
        "oldestBlock": hexed(first),
        "baseFeePerGas": [hexed(header.base_fee_per_gas or 0) for header in headers] + [hexed(following)],
        "gasUsedRatio": [header.gas_used / header.gas_limit for header in headers],
        "baseFeePerBlobGas": [hexed(_BLOB_BASE_FEE)] * (len(headers) + 1),
        "blobGasUsedRatio": [0.0] * len(headers),
    }
    if percentiles:
        history["reward"] = rewards = []
        for header in headers:
            rewards.append(_tips(asked, header, percentiles))
            yield
    return history


def _tips(asked: Asked, header: BlockHeaderAPI, percentiles: list[float]) -> list[str]:
    """Tips of a block's transactions at percentiles of its gas [wei per gas]."""
    asked.guard()
    base_fee = header.base_fee_per_gas or 0
    paid, before = [], 0
    for signed, receipt in zip(asked.reader.transactions(header), asked.reader.receipts(header), strict=True):
        paid.append((effective_gas_price(signed, header) - base_fee, receipt.gas_used - before))
        before = receipt.gas_used
    paid.sort()
    sums = list(accumulate(gas for _, gas in paid))
    wanted = [bisect_left(sums, before * percentile / 100) for percentile in percentiles]
    return [hexed(paid[min(index, len(paid) - 1)][0] if paid else 0) for index in wanted]
