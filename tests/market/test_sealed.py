import pytest
from auction_cases import clear, orders
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.errors import RecordError
from commonwatt.market.designs.coalition import COALITION
from commonwatt.market.sealed import Announcement, Bid, Committing, seal
from commonwatt.records import SELL

OFFER = Announcement(slot=3_600, energy=1_000, deposit=5_000_000, commit_until=100, reveal_until=200)
NONCE = b"\7" * 32
BIDS = {4: Bid(600, 200_000), 1: Bid(600, 200_000), 2: Bid(600, 250_000)}


def committed() -> Committing:
    phase = Committing(OFFER)
    for member, bid in BIDS.items():
        phase.commit(member, seal(OFFER, member, bid, NONCE), 50)
    return phase


def test_bids_open_in_order_of_commitment_and_clear_by_it() -> None:
    phase = committed().close(100)
    for member in (1, 2, 4):
        phase.reveal(member, BIDS[member], NONCE, 150)
    opened = phase.close(200)
    assert opened.bids.member.tolist() == [4, 1, 2]
    assert opened.silent == ()
    book = opened.with_offers(orders((0, SELL, 1_000, 80_000)))
    rows = list(zip(book.member.tolist(), book.side.tolist(), book.wh.tolist(), book.limit.tolist(), strict=True))
    assert clear(COALITION, rows, members=5).trades.position(5).tolist() == [-1_000, 0, 600, 0, 400]


def test_who_stays_silent_is_left_out_and_forfeits_the_deposit() -> None:
    phase = committed().close(100)
    phase.reveal(2, BIDS[2], NONCE, 150)
    opened = phase.close(200)
    assert opened.bids.member.tolist() == [2]
    assert (opened.silent, opened.deposit) == ((4, 1), 5_000_000)
    assert len(committed().close(100).close(200).bids.wh) == 0


def test_phases_keep_their_times() -> None:
    phase = committed()
    with pytest.raises(RecordError, match="still being committed"):
        phase.close(99)
    with pytest.raises(RecordError, match="after the end"):
        phase.commit(3, bytes(32), 100)
    opening = phase.close(100)
    with pytest.raises(RecordError, match="still being revealed"):
        opening.close(199)
    with pytest.raises(RecordError, match="after the end"):
        opening.reveal(1, BIDS[1], NONCE, 200)


def test_a_buyer_commits_once_and_to_a_hash() -> None:
    phase = committed()
    with pytest.raises(RecordError, match="has committed before"):
        phase.commit(1, bytes(32), 50)
    with pytest.raises(RecordError, match="not to a hash of 32"):
        phase.commit(3, b"200000", 50)


@pytest.mark.parametrize(
    ("member", "bid", "nonce", "problem"),
    [
        (1, Bid(600, 199_999), NONCE, "another bid"),
        (1, Bid(599, 200_000), NONCE, "another bid"),
        (1, BIDS[1], bytes(32), "another bid"),
        (3, BIDS[1], NONCE, "has not committed"),
        (1, Bid(0, 200_000), NONCE, "out of bounds"),
        (1, Bid(600, -1), NONCE, "out of bounds"),
        (1, BIDS[1], NONCE + b"\0", "out of bounds"),
    ],
)
def test_only_what_was_committed_to_is_taken(member: int, bid: Bid, nonce: bytes, problem: str) -> None:
    with pytest.raises(RecordError, match=problem):
        committed().close(100).reveal(member, bid, nonce, 150)


def test_a_copied_commitment_opens_for_nobody_else() -> None:
    phase = Committing(OFFER)
    original = seal(OFFER, 1, BIDS[1], NONCE)
    phase.commit(1, original, 50)
    phase.commit(2, original, 51)
    with pytest.raises(RecordError, match="another bid"):
        phase.close(100).reveal(2, BIDS[1], NONCE, 150)


@given(st.integers(1, 10**9), st.integers(0, 10**12), st.binary(min_size=32, max_size=32), st.integers(0, 255))
def test_a_seal_opens_with_its_own_bid_only(wh: int, limit: int, nonce: bytes, member: int) -> None:
    found = seal(OFFER, member, Bid(wh, limit), nonce)
    assert len(found) == 32
    assert found != seal(OFFER, member, Bid(wh + 1, limit), nonce)
    assert found != seal(OFFER, member + 1, Bid(wh, limit), nonce)
