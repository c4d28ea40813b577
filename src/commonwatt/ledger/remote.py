"""Any Ethereum node by its URL, asked over JSON-RPC (the execution API, https://ethereum.github.io/execution-apis/).

A remote node goes by its own clock. A development node (anvil) whose mining is switched off lets its clock be set, so
that a day can be simulated on it: there `confirm` mines blocks from the time on that it is given.
A transaction that the node has lost is sent again; the same bytes take effect once, however often they are sent.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from commonwatt.errors import LedgerError
from commonwatt.ledger.node import ZERO_ADDRESS, Block, CallReverted, Log, Receipt, Transaction
from commonwatt.proof.keccak import keccak

_KNOWN = ("already known", "already imported", "known transaction")
"""What nodes say of a transaction that they hold."""
_LOG_BLOCKS = 5_000
"""Blocks that are searched for events at a time; public nodes refuse longer ranges."""
_BATCH = 100
_REVERTED = 3
"""The error code of a call that reverted."""


class RemoteNode:
    """A node at `url`. Every method raises LedgerError when it cannot be reached or does not answer as it should.

    patience : how long a transaction may take to be in a block [s]
    depth : blocks on top of that block before it counts; what it held may otherwise still be reorganised away
    timeout : of one request [s]
    sleep : how the time between two looks is spent, `time.sleep` unless told otherwise
    """

    def __init__(
        self,
        url: str,
        *,
        patience: float = 60.0,
        depth: int = 0,
        timeout: float = 10.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        import httpx

        self.url, self.patience, self.depth, self._sleep = url, patience, depth, sleep
        self._http = httpx.Client(timeout=timeout)
        self._ids = itertools.count(1)
        self._sent: dict[bytes, bytes] = {}
        """By hash: transactions that were submitted and not seen in a block yet."""

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    @cached_property
    def chain_id(self) -> int:
        """The number that every transaction of this chain is signed for."""
        return _number(self._ask("eth_chainId"))

    @cached_property
    def settable(self) -> bool:
        """Whether this is a development node whose blocks are mined on command, at the time that they are given."""
        if not str(self._ask("web3_clientVersion")).startswith("anvil/"):
            return False
        return not self._ask("anvil_getAutomine") and not self._ask("anvil_getIntervalMining")

    def fund(self, account: bytes, wei: int) -> None:
        """Give an account ether, which only a development node does."""
        self._ask("anvil_setBalance", _hex(account), hex(wei))

    @property
    def head(self) -> Block:
        """The last block."""
        return self._block("latest")

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
                raise LedgerError(f"{self.url} has had transaction 0x{missing} in no block for {self.patience:.0f} s.")
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
                raise LedgerError(f"Transactions of 0x{account.hex()} wait at {self.url}, and no block takes them.")
            if self.settable:
                self._mine(0)
            if not self.settable:
                self._sleep(pause)
            waited, pause = waited + pause, min(2 * pause, 0.5)

    def _sent_by(self, account: bytes) -> int:
        """How many transactions of the account count by now."""
        deep = max(0, self.head.number - self.depth)
        return _number(self._ask("eth_getTransactionCount", _hex(account), hex(deep)))

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
        given = self._ask("eth_getTransactionReceipt", _hex(transaction))
        if given is None:
            return None
        with _Reading(self.url):
            success = _number(given["status"]) == 1
            return Receipt(
                transaction, _number(given["blockNumber"]), _number(given["transactionIndex"]), success,
                _number(given["gasUsed"]), _bytes(given.get("contractAddress") or "0x"),
                tuple(_log(log) for log in given["logs"]), b"" if success else self._why(transaction),
            )  # fmt: skip

    def transaction(self, transaction: bytes) -> Transaction | None:
        """The transaction by its hash; None while no block holds it."""
        given = self._ask("eth_getTransactionByHash", _hex(transaction))
        if given is None or given["blockNumber"] is None:
            return None
        with _Reading(self.url):
            return Transaction(
                transaction, _bytes(given["from"]), _bytes(given["to"] or "0x"), _number(given["nonce"]),
                _number(given["value"]), _number(given["gas"]), _bytes(given["input"]),
                _number(given["blockNumber"]), _number(given["transactionIndex"]),
            )  # fmt: skip

    def call(self, to: bytes, data: bytes, sender: bytes = ZERO_ADDRESS) -> bytes:
        """Run a view of a contract on the head's state. Raises CallReverted with the contract's data."""
        return _bytes(self._ask("eth_call", {"from": _hex(sender), "to": _hex(to), "data": _hex(data)}, "latest"))

    def nonce(self, address: bytes) -> int:
        """Number of the account's next transaction, queued ones counted."""
        return _number(self._ask("eth_getTransactionCount", _hex(address), "pending"))

    def balance(self, address: bytes) -> int:
        """Ether of an account [wei]."""
        return _number(self._ask("eth_getBalance", _hex(address), "latest"))

    def code(self, address: bytes) -> bytes:
        """Code of a contract; empty for any other account."""
        return _bytes(self._ask("eth_getCode", _hex(address), "latest"))

    def storage(self, address: bytes, slots: Sequence[int]) -> list[int]:
        """Words of a contract's storage, all of one block, as unsigned integers."""
        at = hex(self.head.number)
        calls = [("eth_getStorageAt", (_hex(address), f"0x{slot:064x}", at)) for slot in slots]
        parts = (calls[first : first + _BATCH] for first in range(0, len(calls), _BATCH))
        return [_number(word) for part in parts for word in self._ask_all(part)]

    def logs(self, first: int, last: int, address: bytes | None = None, topic: bytes | None = None) -> list[Log]:
        """Events of the blocks `first` to `last`, both included, oldest first."""
        found: list[Log] = []
        for begin in range(first, last + 1, _LOG_BLOCKS):
            wanted: dict[str, Any] = {"fromBlock": hex(begin), "toBlock": hex(min(last, begin + _LOG_BLOCKS - 1))}
            if address is not None:
                wanted["address"] = _hex(address)
            if topic is not None:
                wanted["topics"] = [_hex(topic)]
            given = self._ask("eth_getLogs", wanted)
            with _Reading(self.url):
                found += [_log(log) for log in given]
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
        given = self._known("eth_getTransactionByHash", _hex(transaction))
        again = {name: given[key] for name, key in (("from", "from"), ("to", "to"), ("data", "input")) if given[key]}
        try:
            self._ask("eth_call", again | {"value": given["value"]}, hex(_number(given["blockNumber"]) - 1))
        except CallReverted as reverted:
            return reverted.data
        except LedgerError:
            pass
        return b""

    def _block(self, which: str) -> Block:
        parameters = [which, False]
        given = self._known("eth_getBlockByNumber", *parameters)
        with _Reading(self.url):
            return Block(
                _number(given["number"]), _bytes(given["hash"]), _bytes(given["parentHash"]),
                _number(given["timestamp"]), _bytes(given["stateRoot"]), _number(given["gasLimit"]),
                _number(given["gasUsed"]), _number(given.get("baseFeePerGas", "0x0")),
                tuple(_bytes(hash_) for hash_ in given["transactions"]),
            )  # fmt: skip

    def _known(self, method: str, *parameters: object) -> Mapping[str, Any]:
        found: Mapping[str, Any] | None = self._ask(method, *parameters)
        if found is None:
            raise LedgerError(f"{self.url} does not hold what {method} asks for.")
        return found

    def _ask(self, method: str, *parameters: object) -> Any:
        (answer,) = self._ask_all([(method, parameters)])
        return answer

    def _ask_all(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        """One request, and the answers in the order of the calls."""
        import httpx

        asked = [
            {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(parameters)}
            for method, parameters in calls
        ]
        try:
            response = self._http.post(self.url, json=asked if len(asked) > 1 else asked[0])
            given = response.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise LedgerError(f"The node at {self.url} cannot be asked: {error or type(error).__name__}.") from None
        answers = {}
        for answer in given if isinstance(given, list) else [given]:
            if not isinstance(answer, dict) or not ("result" in answer or isinstance(answer.get("error"), dict)):
                raise LedgerError(f"{self.url} does not answer like an Ethereum node.")
            answers[answer.get("id")] = answer
        return [self._result(answers.get(call["id"], next(iter(answers.values()), {})), call) for call in asked]

    def _result(self, answer: Mapping[str, Any], call: Mapping[str, Any]) -> Any:
        if "error" not in answer:
            return answer.get("result")
        error = answer["error"]
        data = error.get("data")
        if error.get("code") == _REVERTED or "revert" in str(error.get("message", "")):
            raise CallReverted(_bytes(data) if isinstance(data, str) and data.startswith("0x") else b"")
        raise LedgerError(f"{self.url} refused {call['method']}: {error.get('message', 'no reason given')}.")


class _Reading:
    """Turns a field that is missing or malformed into one sentence."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, (KeyError, TypeError, ValueError)):
            raise LedgerError(f"{self.url} answered in a form that is not Ethereum's ({error}).") from None


def _log(given: Mapping[str, Any]) -> Log:
    topics = tuple(_bytes(topic) for topic in given["topics"])
    return Log(
        _bytes(given["address"]), topics, _bytes(given["data"]), _number(given["blockNumber"]),
        _bytes(given["transactionHash"]),
    )  # fmt: skip


def _hex(value: bytes) -> str:
    return f"0x{value.hex()}"


def _number(text: str) -> int:
    return int(text, 16)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
