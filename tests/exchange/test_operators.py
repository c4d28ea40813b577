"""Several operators run a community: all are founded with, and as many as must sign for everybody's money."""

from __future__ import annotations

from pathlib import Path

import pytest
from by_slot import proven, verify_bill
from exchange_cases import COMMUNITY, START, begin, exchange_of, homes_of, short_days, snapshot, written

from commonwatt.errors import LedgerError
from commonwatt.exchange import ledger_rows
from commonwatt.ledger.client.abi import SETTLEMENT
from commonwatt.ledger.client.governance import governance
from commonwatt.proof import Key, hash_struct, recover
from commonwatt.simulation.api import simulate

NAMED = 'operators = ["co-op", "grid", "town", "school", "bank"]\nthreshold = 3\nwindow = "2h"\nbond = "1"\n'
SEVERAL = f"{COMMUNITY}\n[ledger]\n{NAMED}"


def test_a_quorum_of_them_settles_a_day(tmp_path: Path) -> None:
    with short_days():
        result = simulate(written(tmp_path, SEVERAL), START)
    exchange, keys = exchange_of(result), homes_of(result).keys
    found = governance(exchange.client)
    assert found.operators == tuple(sorted(key.address for key in keys.operators))
    assert (len(found.operators), found.threshold) == (5, 3)
    # Each of them can send, should the first one be gone.
    assert all(exchange.client.node.balance(key.address) > 0 for key in keys.operators)
    quorum = {key.address for key in keys.operators[:3]}
    posts = [post for _, post in ledger_rows.read_posts(result.exchange.store)]
    assert len(posts) == 8
    for message in posts:
        digest = exchange.domain.digest(hash_struct(message.post))
        assert {recover(digest, signature) for signature in message.signatures} == quorum
        posting = exchange.client.posted(message.post.slot, 0)
        assert posting
        assert posting.final
    bonds = {key: exchange.client.view(SETTLEMENT, "bonds", key.address)[0] for key in keys.operators}
    assert [bonds[key] > 0 for key in keys.operators] == [True, False, False, False, False]
    for bill in proven(result.books, result.bills):
        assert verify_bill(bill, exchange.client)
    result.close()


def test_whatever_the_operators_the_market_is_the_same(tmp_path: Path) -> None:
    with short_days():
        alone = simulate(written(tmp_path / "alone"), START)
        together = simulate(written(tmp_path / "together", SEVERAL), START)
    assert exchange_of(alone).client.balances().tolist() == exchange_of(together).client.balances().tolist()
    alone.close()
    together.close()


def test_a_run_that_was_killed_goes_on_with_all_signatures(tmp_path: Path) -> None:
    with short_days():
        whole = simulate(written(tmp_path / "whole", SEVERAL), START)
        broken = begin(tmp_path / "broken", SEVERAL)
        for _ in range(5):
            broken.advance()
        broken.close()
        resumed = begin(tmp_path / "broken", SEVERAL).run()
    assert snapshot(resumed) == snapshot(whole)
    whole.close()
    resumed.close()


def test_ether_needs_no_signatures_to_be_paid_in(tmp_path: Path) -> None:
    text = SEVERAL.replace('currency = "EUR"', 'currency = "ETH"')
    with short_days():
        result = simulate(written(tmp_path, text), START)
    assert result.ledger
    assert result.ledger.balances == result.ledger.deposits > 0
    result.close()


def test_as_many_operators_as_a_threshold_can_ask_for(tmp_path: Path) -> None:
    text = SEVERAL.replace(NAMED, "operators = 255\nthreshold = 255\n")
    with short_days(slots=1):
        run = begin(tmp_path, text)
        assert len(governance(exchange_of(run).client).operators) == 255
        while run.exchange.next:
            run.advance()
    assert not exchange_of(run).outbox.pending
    run.close()


@pytest.mark.parametrize(
    ("signing", "refusal"),
    [
        (slice(0, 2), "TooFewSignatures"),
        (slice(0, 0), "TooFewSignatures"),
    ],
)
def test_fewer_signatures_than_must_be_are_refused(tmp_path: Path, signing: slice, refusal: str) -> None:
    with short_days():
        run = begin(tmp_path, SEVERAL)
        outbox = exchange_of(run).outbox
        outbox.quorum = outbox.quorum[signing]
        with pytest.raises(LedgerError, match=refusal):
            run.advance()
        run.close()


@pytest.mark.parametrize("twice", [True, False])
def test_nobody_signs_for_another(tmp_path: Path, *, twice: bool) -> None:
    with short_days():
        run = begin(tmp_path, SEVERAL)
        outbox = exchange_of(run).outbox
        outbox.quorum = (*outbox.quorum[:2], outbox.quorum[0] if twice else Key.derive(b"a", "stranger"))
        with pytest.raises(LedgerError, match="SignersNotAscending" if twice else "SignerNotAnOperator"):
            run.advance()
        run.close()
