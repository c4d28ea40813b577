"""Envelopes: each message is signed for one receiver on one chain, and opened once.

An envelope is rlp([genesis hash, receiver, counter, payload, signature]). The counter is the sender's time in
microseconds and never the same twice, so that a receiver needs to remember only those of the last minutes. What is in
the payload is looked at after the signature. Envelopes are not encrypted: where others may not read along, nodes
speak through a tunnel or behind TLS.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from heapq import heappop, heappush
from typing import Any, cast

import rlp

from commonwatt.errors import LedgerError, SignatureError
from commonwatt.ledger.chain import untrusted
from commonwatt.ledger.network.messages import MAX_MESSAGE_BYTES
from commonwatt.proof.keccak import keccak
from commonwatt.proof.keys import Key, recover

MAX_BODY_BYTES = MAX_MESSAGE_BYTES + 4096
"""The longest body of a request: one long envelope, or many short ones."""
WINDOW = 60
"""Seconds that a sender's clock may differ from a receiver's, on its envelope's way included."""
_MICRO = 10**6
_DOMAIN = b"commonwatt gossip 1"
_REMEMBERED = 1 << 16
_FIELDS = 6
"""Items of an envelope, itself among them."""
_ENVELOPES = 4096


class WireError(LedgerError):
    """An envelope that is not opened."""


class Wire:
    """One node's envelopes, on the chain with this genesis hash.

    since : when the node started; what was sent before, it may have opened before
    """

    def __init__(self, key: Key, genesis: bytes, since: float = 0.0) -> None:
        self._key = key
        self._genesis = genesis
        self._counter = 0
        self._since = since
        self._seen: dict[bytes, tuple[set[int], list[int]]] = {}

    @property
    def address(self) -> bytes:
        """By which other nodes know this one."""
        return self._key.address

    def wrap(self, receiver: bytes, payload: bytes, now: float) -> bytes:
        """An envelope with a message for one receiver."""
        time = int(now * _MICRO)
        # A clock that was set back far would count on from where receivers' clocks are not yet.
        ahead = self._counter - time > WINDOW * _MICRO // 2
        self._counter = time if ahead else max(self._counter + 1, time)
        fields: list[Any] = [self._genesis, receiver, self._counter, payload]
        return cast("bytes", rlp.encode([*fields, self._key.sign_digest(_digest(fields))]))

    def _signed(self, envelope: bytes, now: float) -> tuple[bytes, int, bytes]:
        """Who sent an envelope, its counter and its payload."""
        try:
            genesis, receiver, counter, payload, signature = untrusted.decode(envelope, _FIELDS)
            number = int.from_bytes(counter, "big")
            whole = len(genesis) == 32 and len(receiver) == 20 and len(counter) <= 8 and isinstance(payload, bytes)
        except Exception as error:  # rlp raises many kinds for bytes that are no list
            raise WireError("These bytes are no envelope.") from error
        if not whole:
            raise WireError("These bytes are no envelope.")
        if genesis != self._genesis:
            raise WireError("The envelope is of a chain with another genesis.")
        if receiver != self.address:
            raise WireError("The envelope is for another node.")
        if abs(number - now * _MICRO) > WINDOW * _MICRO:
            raise WireError(f"The envelope is of another time: the clocks differ by {number / _MICRO - now:.0f} s.")
        # A node that started while its clock was ahead may not refuse everything once that is set right.
        if number < self._since * _MICRO and self._since <= now:
            raise WireError("The envelope is from before the node's start.")
        try:
            sender = recover(_digest([genesis, receiver, number, payload]), signature)
        except (SignatureError, TypeError) as error:
            raise WireError("The envelope has no valid signature.") from error
        return sender, number, payload

    def open(self, envelope: bytes, allowed: Container[bytes], now: float) -> tuple[bytes, bytes]:
        """Sender and payload of an envelope of one of the allowed senders. Raises WireError."""
        sender, counter, payload = self._signed(envelope, now)
        if sender not in allowed:
            raise WireError(f"0x{sender.hex()} is not a node of this network.")
        known, order = self._seen.setdefault(sender, (set(), []))
        while order and order[0] < (now - 2 * WINDOW) * _MICRO:
            known.discard(heappop(order))
        if counter in known:
            raise WireError("The envelope was opened before.")
        if len(known) >= _REMEMBERED:
            raise WireError(f"0x{sender.hex()} sends too many envelopes.")
        known.add(counter)
        heappush(order, counter)
        return sender, payload


def pack(envelopes: Sequence[bytes]) -> bytes:
    """The body of a request or an answer that holds envelopes."""
    return cast("bytes", rlp.encode(list(envelopes)))


def unpack(body: bytes) -> tuple[bytes, ...]:
    """The envelopes of a body. Raises WireError."""
    if len(body) > MAX_BODY_BYTES:
        raise WireError(f"The body has {len(body)} bytes, more than {MAX_BODY_BYTES}.")
    try:
        envelopes = untrusted.decode(body, _ENVELOPES)
    except Exception as error:  # rlp raises many kinds for bytes that are no list
        raise WireError("The body holds no envelopes.") from error
    if not isinstance(envelopes, list) or not all(isinstance(envelope, bytes) for envelope in envelopes):
        raise WireError("The body holds no envelopes.")
    return tuple(envelopes)


def _digest(fields: Sequence[Any]) -> bytes:
    return keccak(_DOMAIN + rlp.encode(list(fields)))
