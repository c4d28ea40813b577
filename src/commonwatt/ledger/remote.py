"""Any Ethereum node by its URL, asked over JSON-RPC (the execution API, https://ethereum.github.io/execution-apis/).

A remote node goes by its own clock. A development node (anvil) whose mining is switched off lets its clock be set, as
does the operator's door of `network.solo`, so that a day can be simulated there: `confirm` then mines blocks from the
time on that it is given. Where blocks come on demand the head may be old, so code runs as in a block that came now.
A transaction that the node has lost is sent again; the same bytes take effect once, however often they are sent.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeVar

from commonwatt.errors import LedgerError, NodeError
from commonwatt.ledger import answers
from commonwatt.ledger.answers import data, perhaps, quantity
from commonwatt.ledger.asking import Asking
from commonwatt.ledger.node import ON_DEMAND, SETTABLE, ZERO_ADDRESS, Block, CallReverted, Log, Receipt, Transaction
from commonwatt.plain import plain
from commonwatt.proof.keccak import keccak
from commonwatt.proof.keys import Key
from commonwatt.records import strict_json

T = TypeVar("T")

_KNOWN = ("already known", "already imported", "known transaction")
"""What nodes say of a transaction that they hold."""
_LOG_BLOCKS = 5_000
"""Blocks that are searched for events at a time; public nodes refuse longer ranges."""
_MOST_BLOCKS = 500_000_000
"""Blocks that are searched at all; a chain of a block a second has as many after sixteen years."""
_BATCH = 100
_LONGEST = 1 << 26
"""Bytes of an answer."""
_MESSAGE = 300
"""Letters of a node's reason for a refusal that are shown."""
_MOST_TIP = 30 * 10**9
"""Wei per gas that are paid above the base fee at most, whatever a node suggests."""
_REVERTED = 3
"""The error code of a call that reverted."""
_CLOCK = "0x425f5260205ff3"
"""Code that gives back its block's time."""


class RemoteNode:
    """A node at `url`. Every method raises LedgerError when it cannot be reached or does not answer as it should.

    patience : how long a transaction may take to be in a block [s]
    depth : blocks on top of that block before it counts; what it held may otherwise still be reorganised away
    timeout : of one request [s]
    reader : signs each request, for a node that answers those only whom it knows
    token : opens the operator's door of a node whose time is set
    secret : what a node of one's own proves its answers with
    restarts : how long a node that does not answer is tried again, as one's own that is started anew [s]
    sleep : how the time between two looks is spent, `time.sleep` unless told otherwise
    """

    def __init__(
        self,
        url: str,
        *,
        patience: float = 60.0,
        depth: int = 0,
        timeout: float = 10.0,
        reader: Key | None = None,
        token: str = "",
        secret: str = "",
        restarts: float = 0.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url, self.patience, self.depth, self._sleep = url, patience, depth, sleep
        self.there: Callable[[], bool] = lambda: True
        """Whether it is worth asking: who watches over a node knows that it is silent before anybody waits for it."""
        self._asking = Asking(url, timeout, reader, token, secret, restarts, sleep)
        # A signature is taken once: no two requests of a key are the same, not those of two processes either.
        self._ids = itertools.count(time.time_ns() // 1000)
        self._sent: dict[bytes, bytes] = {}
        """By hash: transactions that were submitted and not seen in a block yet."""

    def close(self) -> None:
        """Close the connection."""
        self._asking.close()

    @cached_property
    def chain_id(self) -> int:
        """The number that every transaction of this chain is signed for."""
        return self._read(quantity, "eth_chainId")

    @cached_property
    def _version(self) -> str:
        return str(self._ask("web3_clientVersion"))

    @cached_property
    def settable(self) -> bool:
        """Whether this is a node whose blocks are mined on command, at the time that they are given."""
        if not self._version.startswith("anvil/"):
            return self._version.endswith(SETTABLE)
        return not self._ask("anvil_getAutomine") and not self._ask("anvil_getIntervalMining")

    @property
    def _late(self) -> str:
        """The block at whose time code runs: that which comes next where the head may be old."""
        return "pending" if self._version.endswith((ON_DEMAND, SETTABLE)) else "latest"

    def now(self, at: int) -> int:
        """`at` where the clock can be set; else the time of the head, or of the next block on demand [unix s]."""
        if self.settable:
            return at
        head = self.head.timestamp
        if self._late == "latest":
            return head
        return max(head, self._read(lambda given: quantity(given, 64), "eth_call", {"data": _CLOCK}, "pending"))

    def fund(self, account: bytes, wei: int) -> None:
        """Give an account ether, which only a development node does."""
        self._ask("anvil_setBalance", _hex(account), hex(wei))

    @property
    def head(self) -> Block:
        """The last block."""
        return self._block("latest")

    @property
    def tip(self) -> int:
        """What the node suggests to pay above the base fee [wei per gas], within reason: it is a stranger."""
        try:
            tip = self._read(quantity, "eth_maxPriorityFeePerGas")
        except NodeError:
            raise
        except LedgerError:  # a node that suggests a whole price only
            tip = self._read(quantity, "eth_gasPrice") - self.head.base_fee
        return min(max(tip, 0), _MOST_TIP)

    def block(self, number: int) -> Block:
        """A block by its number."""
        return self._block(hex(number))

    def submit(self, raw: bytes) -> bytes:
        """Queue a signed transaction; returns its hash."""
        hash_ = keccak(raw)
        self._send(raw)
        self._sent[hash_] = raw
        return hash_

    def confirm(self, transactions: Sequence[bytes], timestamp: int) -> tuple[Receipt, ...]:
        """Receipts of submitted transactions, once they are in a block and `depth` blocks are on top of it.

        Raises LedgerError when they are not within `patience`; they may take effect later all the same.
        """
        pause, waited = 0.01, 0.0
        while True:
            if self.settable:
                self._mine(timestamp)
            found = self._settled(transactions)
            if len(found) == len(transactions):
                return tuple(found)
            if waited > self.patience:
                missing = transactions[len(found)].hex()
                raise NodeError(
                    self.url, f"{self.url} has had transaction 0x{missing} in no block for {self.patience:.0f} s."
                )
            if not self.settable:
                self._sleep(pause)
            waited, pause = waited + pause, min(2 * pause, 0.5)

    def drain(self, account: bytes) -> None:
        """Wait until all transactions of the account count, so that what a killed run had sent takes effect first.

        Raises LedgerError when that takes longer than `patience`.
        """
        pause, waited = 0.01, 0.0
        while self.nonce(account) > self._sent_by(account):
            if waited > self.patience:
                raise NodeError(
                    self.url, f"Transactions of 0x{account.hex()} wait at {self.url}, and no block takes them."
                )
            if self.settable:
                self._mine(0)
            if not self.settable:
                self._sleep(pause)
            waited, pause = waited + pause, min(2 * pause, 0.5)

    def _sent_by(self, account: bytes) -> int:
        """How many transactions of the account count by now."""
        deep = max(0, self.head.number - self.depth)
        return self._read(_nonce, "eth_getTransactionCount", _hex(account), hex(deep))

    def _settled(self, transactions: Sequence[bytes]) -> list[Receipt]:
        """Receipts as far as blocks hold the transactions deep enough; what the node has lost is sent again."""
        found = []
        for hash_ in transactions:
            receipt = self.receipt(hash_)
            if receipt is None:
                if hash_ in self._sent and self._ask("eth_getTransactionByHash", _hex(hash_)) is None:
                    self._send(self._sent[hash_])
                break
            if self.depth and self.head.number < receipt.block + self.depth:
                break
            found.append(receipt)
        if len(found) == len(transactions):
            for hash_ in transactions:
                self._sent.pop(hash_, None)
        return found

    def receipt(self, transaction: bytes) -> Receipt | None:
        """The receipt; None while no block holds the transaction. Why it failed is asked of the block before."""
        found = self._read(perhaps(answers.receipt), "eth_getTransactionReceipt", _hex(transaction))
        if found is None:
            return None
        self._require(found.transaction == transaction, "eth_getTransactionReceipt")
        return found if found.success else replace(found, output=self._why(transaction))

    def transaction(self, transaction: bytes) -> Transaction | None:
        """The transaction by its hash; None while no block holds it."""
        found = self._read(perhaps(answers.transaction), "eth_getTransactionByHash", _hex(transaction))
        self._require(found is None or found.hash == transaction, "eth_getTransactionByHash")
        return found

    def call(self, to: bytes, data: bytes, sender: bytes = ZERO_ADDRESS) -> bytes:
        """Run a view of a contract on the head's state. Raises CallReverted with the contract's data."""
        question = {"from": _hex(sender), "to": _hex(to), "data": _hex(data)}
        return self._read(answers.data, "eth_call", question, self._late)

    def nonce(self, address: bytes) -> int:
        """Number of the account's next transaction, queued ones counted."""
        return self._read(_nonce, "eth_getTransactionCount", _hex(address), "pending")

    def balance(self, address: bytes) -> int:
        """Ether of an account [wei]."""
        return self._read(quantity, "eth_getBalance", _hex(address), "latest")

    def code(self, address: bytes) -> bytes:
        """Code of a contract; empty for any other account."""
        return self._read(data, "eth_getCode", _hex(address), "latest")

    def storage(self, address: bytes, slots: Sequence[int]) -> list[int]:
        """Words of a contract's storage, all of one block, as unsigned integers."""
        at = hex(self.head.number)
        calls = [("eth_getStorageAt", (_hex(address), f"0x{slot:064x}", at)) for slot in slots]
        parts = (calls[first : first + _BATCH] for first in range(0, len(calls), _BATCH))
        return [self._as(quantity, word, "eth_getStorageAt") for part in parts for word in self._ask_all(part)]

    def logs(self, first: int, last: int, address: bytes | None = None, topic: bytes | None = None) -> list[Log]:
        """Events of the blocks `first` to `last`, both included, oldest first."""
        found: list[Log] = []
        if last - first > _MOST_BLOCKS:
            raise LedgerError(f"{self.url} says that it has {last} blocks, more than can be searched for events.")
        for begin in range(first, last + 1, _LOG_BLOCKS):
            wanted: dict[str, Any] = {"fromBlock": hex(begin), "toBlock": hex(min(last, begin + _LOG_BLOCKS - 1))}
            if address is not None:
                wanted["address"] = _hex(address)
            if topic is not None:
                wanted["topics"] = [_hex(topic)]
            part = self._read(lambda given: answers.listed(given, answers.log), "eth_getLogs", wanted)
            asked_for = all(
                first <= log.block <= last and address in (None, log.address) and topic in (None, *log.topics[:1])
                for log in part
            )
            self._require(asked_for, "eth_getLogs")
            found += part
        return found

    # Inside

    def _send(self, raw: bytes) -> None:
        try:
            self._ask("eth_sendRawTransaction", _hex(raw))
        except LedgerError as error:
            held = any(words in str(error) for words in _KNOWN)
            if not held and self._ask("eth_getTransactionByHash", _hex(keccak(raw))) is None:
                raise

    def _mine(self, timestamp: int) -> None:
        self._ask("evm_setNextBlockTimestamp", max(timestamp, self.head.timestamp + 1))
        self._ask("evm_mine")

    def _why(self, transaction: bytes) -> bytes:
        """What a failed transaction gave back, as far as the state before its block shows it."""
        given = self.transaction(transaction)
        if given is None:
            return b""
        again = {"from": _hex(given.sender), "data": _hex(given.data), "value": hex(given.value)}
        if given.to:
            again["to"] = _hex(given.to)
        try:
            self._ask("eth_call", again, hex(max(0, given.block - 1)))
        except CallReverted as reverted:
            return reverted.data
        except LedgerError:
            pass
        return b""

    def _block(self, which: str) -> Block:
        parameters = [which, False]
        found = self._read(perhaps(answers.block), "eth_getBlockByNumber", *parameters)
        if found is None:
            raise LedgerError(f"{self.url} does not hold what eth_getBlockByNumber asks for.")
        self._require(which in ("latest", hex(found.number)), "eth_getBlockByNumber")
        return found

    def _read(self, read: Callable[[Any], T], method: str, *parameters: object) -> T:
        """What the node answers, in its type."""
        return self._as(read, self._ask(method, *parameters), method)

    def _as(self, read: Callable[[Any], T], given: Any, method: str) -> T:
        try:
            return read(given)
        except ValueError as error:
            raise NodeError(
                self.url, f"{self.url} answered {method} in a form that is not Ethereum's: {error}."
            ) from None

    def _require(self, asked_for: bool, method: str) -> None:
        if not asked_for:
            raise NodeError(self.url, f"{self.url} answered {method} with what was not asked for.")

    def _ask(self, method: str, *parameters: object) -> Any:
        (answer,) = self._ask_all([(method, parameters)])
        return answer

    def _ask_all(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        """One request, and the answers in the order of the calls."""
        import httpx

        if not self.there():
            raise NodeError(self.url, f"The node at {self.url} runs and does not answer.")
        asked = [
            {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(parameters)}
            for method, parameters in calls
        ]
        try:
            answer = self._asking.post(asked if len(asked) > 1 else asked[0])
            given = strict_json.loads(answer, _LONGEST, fractions=True)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            reason = plain(error, _MESSAGE).removesuffix(".") or type(error).__name__
            raise NodeError(self.url, f"The node at {self.url} cannot be asked: {reason}.") from None
        several = given if isinstance(given, list) else [given]
        return [self._result(several, call) for call in asked]

    def _result(self, several: Sequence[Any], call: Mapping[str, Any]) -> Any:
        """The result of one call; a refusal without a number is one of the whole request."""
        answers = [answer for answer in several if isinstance(answer, dict) and ("result" in answer or _failed(answer))]
        own = [answer for answer in answers if answer.get("id") == call["id"]]
        whole = [answer for answer in answers if answer.get("id") is None and _failed(answer)]
        answer = next(iter([*own, *whole]), None)
        if answer is None:
            raise NodeError(self.url, f"{self.url} does not answer like an Ethereum node.")
        if not _failed(answer):
            return answer["result"]
        error = answer["error"]
        message = plain(error.get("message", "no reason given"), _MESSAGE)
        if error.get("code") == _REVERTED or "revert" in message:
            raise CallReverted(_output(error.get("data")))
        raise LedgerError(f"{self.url} refused {call['method']}: {message.removesuffix('.')}.")


def _failed(answer: Mapping[str, Any]) -> bool:
    return isinstance(answer.get("error"), dict)


def _output(given: Any) -> bytes:
    """What a contract gave back; nodes that do not tell have something else in its place."""
    try:
        return data(given)
    except ValueError:
        return b""


def _nonce(given: Any) -> int:
    return quantity(given, 64)


def _hex(value: bytes) -> str:
    return f"0x{value.hex()}"
