"""Envelopes: who may send what to whom, once, and now."""

from __future__ import annotations

import pytest
import rlp
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.ledger.network.locations import Location
from commonwatt.ledger.network.messages import (
    Blocks,
    GetBlocks,
    Hello,
    Message,
    MessageError,
    NewBlock,
    Status,
    Transactions,
    decode,
    encode,
)
from commonwatt.ledger.network.wire import MAX_BODY_BYTES, WINDOW, Wire, WireError, pack, unpack
from commonwatt.proof import Key

ONE, OTHER, STRANGER = (Key.derive(b"wire tests", name) for name in ("one", "other", "stranger"))
CHAIN = b"\x33" * 32
ALLOWED = {ONE.address, OTHER.address}
NOW = 1_000_000.5


def envelope(key: Key = ONE, chain: bytes = CHAIN, to: bytes = OTHER.address, now: float = NOW) -> bytes:
    return Wire(key, chain).wrap(to, b"hello", now)


def test_an_envelope_is_opened_once() -> None:
    wire = Wire(OTHER, CHAIN)
    sealed = envelope()
    assert wire.open(sealed, ALLOWED, NOW + 1) == (ONE.address, b"hello")
    with pytest.raises(WireError, match="was opened before"):
        wire.open(sealed, ALLOWED, NOW + 2)


def test_counters_rise_within_a_microsecond_and_arrive_in_any_order() -> None:
    sender, receiver = Wire(ONE, CHAIN), Wire(OTHER, CHAIN)
    sealed = [sender.wrap(OTHER.address, bytes([number]), NOW) for number in range(20)]
    assert len(set(sealed)) == 20
    opened = [receiver.open(each, ALLOWED, NOW)[1] for each in reversed(sealed)]
    assert opened == [bytes([number]) for number in reversed(range(20))]


@pytest.mark.parametrize(
    ("sealed", "cause"),
    [
        (envelope(chain=b"\x44" * 32), "of a chain with another genesis"),
        (envelope(to=STRANGER.address), "is for another node"),
        (envelope(key=STRANGER), "is not a node of this network"),
        (envelope(now=NOW - WINDOW - 1), "the clocks differ by -61 s"),
        (envelope(now=NOW + WINDOW + 1), "the clocks differ by 61 s"),
        (envelope()[:-66] + b"\xb8\x41" + bytes(65), "no envelope|no valid signature"),
        (b"", "no envelope"),
        (b"\xc0", "no envelope"),
        (b"\xc1" * 10_000, "no envelope"),
        (rlp.encode([b""] * 5), "no envelope"),
        (rlp.encode([CHAIN, OTHER.address, b"\1", [], b""]), "no envelope"),
    ],
)
def test_other_envelopes_are_not_opened(sealed: bytes, cause: str) -> None:
    with pytest.raises(WireError, match=cause):
        Wire(OTHER, CHAIN).open(sealed, ALLOWED, NOW)


@given(st.data())
def test_a_changed_envelope_is_not_opened_as_its_senders(data: st.DataObject) -> None:
    sealed = bytearray(envelope())
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(WireError):
        Wire(OTHER, CHAIN).open(bytes(sealed), ALLOWED, NOW)


def test_old_envelopes_are_forgotten_but_never_opened_again() -> None:
    sender, receiver = Wire(ONE, CHAIN), Wire(OTHER, CHAIN)
    first = sender.wrap(OTHER.address, b"", NOW)
    receiver.open(first, ALLOWED, NOW)
    for second in range(1, 400):
        receiver.open(sender.wrap(OTHER.address, b"", NOW + second), ALLOWED, NOW + second)
    known, _ = receiver._seen[ONE.address]
    assert len(known) <= 2 * WINDOW + 1
    with pytest.raises(WireError, match="the clocks differ"):
        receiver.open(first, ALLOWED, NOW + 400)


@pytest.mark.parametrize("ahead", [3, 31, 59, 61, 3600, 86_400 * 365])
def test_a_sender_whose_clock_was_ahead_is_heard_once_it_is_right(ahead: int) -> None:
    sender, receiver = Wire(ONE, CHAIN), Wire(OTHER, CHAIN)
    for second in range(20):
        sender.wrap(OTHER.address, b"", NOW + ahead + second)
    opened = [receiver.open(sender.wrap(OTHER.address, b"", NOW + at), ALLOWED, NOW + at) for at in (20, 20, 21, 30)]
    assert opened == [(ONE.address, b"")] * 4


def test_clocks_set_right_on_both_sides_lock_nobody_out_and_open_nothing_twice() -> None:
    """Both were an hour ahead; what was sent then is remembered until its time has come and gone."""
    sender, receiver = Wire(ONE, CHAIN), Wire(OTHER, CHAIN, NOW + 3590)
    future = sender.wrap(OTHER.address, b"", NOW + 3600.25)
    receiver.open(future, ALLOWED, NOW + 3600)
    for second in range(3, 4000, 3):
        receiver.open(sender.wrap(OTHER.address, b"", NOW + second), ALLOWED, NOW + second)
        if second == 3600:
            with pytest.raises(WireError, match="opened before"):
                receiver.open(future, ALLOWED, NOW + second)
    known, order = receiver._seen[ONE.address]
    assert len(known) == len(order) <= 2 * WINDOW // 3 + 2


def test_what_was_sent_before_a_node_started_is_not_opened_again() -> None:
    sender = Wire(ONE, CHAIN)
    sealed = sender.wrap(OTHER.address, b"", NOW)
    Wire(OTHER, CHAIN).open(sealed, ALLOWED, NOW)
    again = Wire(OTHER, CHAIN, NOW + 2)
    with pytest.raises(WireError, match="from before the node's start"):
        again.open(sealed, ALLOWED, NOW + 2)
    assert again.open(sender.wrap(OTHER.address, b"x", NOW + 2.5), ALLOWED, NOW + 3) == (ONE.address, b"x")


def test_bodies_hold_envelopes() -> None:
    assert unpack(pack([b"a", b"b"])) == (b"a", b"b")
    for body, cause in ((b"", "no envelopes"), (rlp.encode([[b"a"]]), "no envelopes"), (b"a", "no envelopes")):
        with pytest.raises(WireError, match=cause):
            unpack(body)
    with pytest.raises(WireError, match="more than"):
        unpack(bytes(MAX_BODY_BYTES + 1))


STATUSES = st.builds(Status, st.binary(min_size=32, max_size=32), st.integers(0, 2**64 - 1), st.integers(0, 2**300))
MESSAGES = st.one_of(
    st.builds(Hello, st.just((Location("http://10.0.0.1:8545", 7, bytes(65)),))),
    STATUSES,
    st.builds(NewBlock, st.binary(max_size=300)),
    st.builds(Transactions, st.lists(st.binary(max_size=50), max_size=5).map(tuple)),
    st.builds(GetBlocks, st.integers(0, 2**32), st.lists(st.binary(min_size=32, max_size=32), max_size=5).map(tuple)),
    st.builds(Blocks, st.integers(0, 2**32), st.lists(st.binary(max_size=50), max_size=5).map(tuple), STATUSES),
)


@given(MESSAGES)
def test_messages_come_out_as_they_went_in(message: Message) -> None:
    assert decode(encode(message)) == message


@given(
    st.one_of(st.binary(max_size=200), st.recursive(st.binary(max_size=40), st.lists, max_leaves=12).map(rlp.encode))
)
def test_other_bytes_are_refused_in_one_way(payload: bytes) -> None:
    try:
        found = decode(payload)
    except MessageError:
        return
    # What a block's bytes are worth is found by whoever takes the block.
    assert isinstance(found, NewBlock)


@pytest.mark.parametrize(
    "fields",
    [
        [b"hello", b"ftp://x"],
        [b"hello", b"http://" + b"x" * 300],
        [b"hello", b"http://\xff"],
        [b"status", bytes(31), b"", b""],
        [b"status", bytes(32), b"\0", b""],
        [b"status", bytes(32), b"\1" * 9, b""],
        [b"status", bytes(32), b"\1", b"\1" * 65],
        [b"get", b"", [bytes(32)] * 129],
        [b"get", b"", [bytes(31)]],
        [b"blocks", b"", [b""] * 257, [bytes(32), b"", b""]],
        [b"transactions", [[b""]]],
        [b"transactions", [b""] * 4097],
        [b"block", [b""]],
        [b"block"],
        [b"unknown"],
    ],
)
def test_messages_of_another_form_are_refused(fields: list[object]) -> None:
    with pytest.raises(MessageError):
        decode(rlp.encode(fields))
