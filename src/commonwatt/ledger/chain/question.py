"""Calls and estimates: transactions that are run on a block's state and never come into a block.

A question is bounded in gas by who asks and in time by a guard, a function that is called again and again while the
code runs and raises when it has run for too long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from eth.abc import ComputationAPI, SignedTransactionAPI, StateAPI
from eth.exceptions import (
    ContractCreationCollision,
    FullStack,
    InsufficientStack,
    InvalidInstruction,
    InvalidJumpDestination,
    OutOfBoundsRead,
    OutOfGas,
    Revert,
    VMError,
)
from eth.vm.forks.berlin.transactions import calculate_txn_intrinsic_gas_berlin
from eth.vm.forks.cancun import CancunVM
from eth_typing import Address

from commonwatt.errors import LedgerError
from commonwatt.ledger.chain.rules import ChainState, Guard, executing, least_gas, oversized, unbounded
from commonwatt.ledger.node import ZERO_ADDRESS

_CALL_STIPEND = 2300
# An estimate may be this much above the least gas that suffices; every halving runs the code again.
_TOLERANCE = 0.015
# What geth calls the failures that end a transaction, which is what wallets and libraries look for in a message.
_WORDS: Mapping[type[VMError], str] = {
    ContractCreationCollision: "contract address collision",
    FullStack: "stack limit reached",
    InsufficientStack: "stack underflow",
    InvalidInstruction: "invalid opcode",
    InvalidJumpDestination: "invalid jump destination",
    OutOfBoundsRead: "return data out of bounds",
    OutOfGas: "out of gas",
    Revert: "execution reverted",
}
# Failures of which py-evm says more: which instruction, how many words of the stack.
_TELLING = (InsufficientStack, InvalidInstruction)


@dataclass(frozen=True)
class Question:
    """A transaction without signature. `to` empty creates a contract from `data`; `gas_price` 0 costs nothing.

    payable : whether `gas` is to be no more than what the sender can pay for
    chain_id : the chain that it is for; None: any
    """

    gas: int
    to: bytes = b""
    sender: bytes = ZERO_ADDRESS
    data: bytes = b""
    value: int = 0
    gas_price: int = 0
    access_list: Sequence[tuple[bytes, Sequence[int]]] = ()
    payable: bool = False
    chain_id: int | None = None

    # What py-evm asks of a transaction

    @property
    def intrinsic_gas(self) -> int:
        """Gas that it needs before any code runs."""
        return calculate_txn_intrinsic_gas_berlin(cast("SignedTransactionAPI", self))

    @property
    def max_fee_per_gas(self) -> int:
        """Wei per gas."""
        return self.gas_price

    @property
    def max_priority_fee_per_gas(self) -> int:
        """Wei per gas."""
        return self.gas_price

    @property
    def type_id(self) -> None:
        """That of a legacy transaction."""


@dataclass(frozen=True)
class Override:
    """What a question takes an account to be; None: as it is.

    storage : words by slot; the others are as they are, or zero when `cleared`
    """

    balance: int | None = None
    nonce: int | None = None
    code: bytes | None = None
    storage: Mapping[int, int] = field(default_factory=dict)
    cleared: bool = False


@dataclass(frozen=True)
class Answer:
    """What came of a question. `output` of a failure is what the contract gave back."""

    output: bytes
    gas_used: int
    """Gas that the transaction would pay for."""
    error: str = ""
    """Why it failed; empty when it did not."""
    reverted: bool = False


class EstimateFailed(LedgerError):
    """The transaction would fail with any gas; `answer` says how."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__(f"The transaction would fail: {answer.error}.")


class QuestionVM(CancunVM):
    """The rules of the chain, with a state that questions can be put to."""

    _state_class = ChainState


def override(state: StateAPI, overrides: Mapping[bytes, Override]) -> None:
    """Make accounts what a question takes them to be."""
    for address, account in overrides.items():
        who = Address(address)
        if account.balance is not None:
            state.set_balance(who, account.balance)
        if account.nonce is not None:
            state.set_nonce(who, account.nonce)
        if account.code is not None:
            state.set_code(who, account.code)
        if account.cleared:
            state.delete_storage(who)
        for slot, word in account.storage.items():
            state.set_storage(who, slot, word)


def ask(state: StateAPI, question: Question, guard: Guard | None = None) -> Answer:
    """Run a question; the state is as before afterwards.

    Raises LedgerError when the sender cannot pay or the gas is too little to begin, and what `guard` raises.
    """
    if question.payable:
        question = _paid(state, question)
    _check(state, question)
    cast("ChainState", state).watch(guard or unbounded)
    executor: Any = state.get_transaction_executor()
    snapshot = state.snapshot()
    try:
        with executing():
            message = executor.build_evm_message(question)
            computation = executor.build_computation(message, question)
        return _answer(question, computation)
    finally:
        state.revert(snapshot)
        state.clear_transient_storage()
        cast("ChainState", state).watch(unbounded)


def _check(state: StateAPI, question: Question) -> None:
    cost = question.value + question.gas * question.gas_price
    balance = state.get_balance(Address(question.sender))
    if cost > balance:
        raise LedgerError(f"insufficient funds: the account holds {balance} wei and this may cost {cost}.")
    least = least_gas(cast("SignedTransactionAPI", question))
    if question.gas < least:
        raise LedgerError(f"Its gas of {question.gas} is below the {least} it needs at least (intrinsic gas too low).")
    if problem := oversized(question.to, question.data):
        raise LedgerError(f"{problem}.")


def _paid(state: StateAPI, question: Question) -> Question:
    """With no more gas than its sender can pay for, as other clients do."""
    left = state.get_balance(Address(question.sender)) - question.value
    most = left // question.gas_price if question.gas_price else question.gas
    enough = most >= least_gas(cast("SignedTransactionAPI", question))
    return replace(question, gas=min(question.gas, most)) if enough else question


def _answer(question: Question, computation: ComputationAPI) -> Answer:
    used = question.gas - computation.get_gas_remaining()
    used -= CancunVM.calculate_net_gas_refund(used, computation.get_gas_refund())
    if computation.is_success:
        return Answer(computation.output, used)
    error = computation.error
    return Answer(computation.output, used, _reason(error), reverted=isinstance(error, Revert))


def _reason(error: VMError) -> str:
    """py-evm's own words, which are only a number for some, stand in brackets where they tell more."""
    words = _WORDS.get(type(error))
    if words is None:
        return f"{type(error).__name__} {error}".strip()
    return f"{words} ({error})" if isinstance(error, _TELLING) else words


def estimate(state: StateAPI, question: Question, guard: Guard | None = None) -> int:
    """Gas that suffices for a transaction, at most 1.5 % above the least, and never above `question.gas`.

    Raises EstimateFailed when even that is too little, and as `ask` does.
    """

    question = replace(_paid(state, question), payable=False)
    least = least_gas(cast("SignedTransactionAPI", question))

    def suffices(gas: int) -> bool:
        return least <= gas <= question.gas and not ask(state, replace(question, gas=gas), guard).error

    if question.to and not question.data and suffices(least):
        return least  # of a transfer
    answer = ask(state, question, guard)
    if answer.error:
        raise EstimateFailed(answer)
    low, high = answer.gas_used - 1, question.gas
    # A call passes on 63 of 64 parts of its gas at most, so what a deep call needs is more than what it uses.
    likely = (answer.gas_used + _CALL_STIPEND) * 64 // 63
    if likely < high:
        low, high = (low, likely) if suffices(likely) else (likely, high)
    while low + 1 < high and high - low > high * _TOLERANCE:
        middle = min((low + high) // 2, 2 * low)
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return high
