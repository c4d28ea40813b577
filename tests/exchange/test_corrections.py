"""One slot in which a home was silent: what settles, what a late reading settles anew, and what a bill says of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from by_slot import contents, proven, verify_bill
from exchange_cases import START, begin, exchange_of, homes_of, short_days, written
from silence_cases import moved, text

from commonwatt.accounts.document import CORRECTED, NOT_MEASURED
from commonwatt.errors import RecordError, VerificationError
from commonwatt.exchange import rows, steps, tables
from commonwatt.exchange.events import Correction
from commonwatt.exchange.excerpt import excerpt
from commonwatt.exchange.states import Posted, Readings
from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.member.faults import Chain, Fault, faults
from commonwatt.member.verify_slot import check_slot
from commonwatt.simulation.api import simulate
from commonwatt.simulation.simulation import Simulation
from commonwatt.study.scene import with_statement
from commonwatt.units import MAX_ORDER_WH


@pytest.fixture
def day(tmp_path: Path) -> Iterator[Simulation]:
    """A day some of whose meters never say a word, after its last slot; every window is over in three hours."""
    with short_days(9, 6):
        simulation = begin(tmp_path, text(late="0 %", silent="30 %", window="2h", seed="e"))
    while simulation.exchange.next:
        simulation.advance()
    yield simulation
    simulation.close()


def gap(day: Simulation) -> tuple[int, int, int]:
    """Start and place of a slot in which one home was silent, and that home; such a reading changes what settles."""
    for row in day.store.rows(tables.accounts, measured=0):
        place = day.rules.place(row.slot)
        alone = len(day.store.rows(tables.accounts, slot=row.slot, measured=0)) == 1
        if alone and any(row.member in (t.buyer, t.seller) for t in day.store.rows(tables.trades, slot=row.slot)):
            return row.slot, place, row.member
    raise AssertionError


def everything(day: Simulation) -> list[list[object]]:
    return [list(map(tuple, day.store.rows(table))) for table in (tables.accounts, tables.posts, tables.journal)]


def read(day: Simulation, slot: int, *members: int) -> Readings:
    return homes_of(day).read_late(slot, frozenset(members))


def test_a_silent_home_settles_nothing_and_its_partners_meet_the_utility(day: Simulation) -> None:
    slot, place, silent = gap(day)
    trades = day.store.rows(tables.trades, slot=slot)
    assert {t.settled for t in trades if silent in (t.buyer, t.seller)} == {0}
    result = day.run()
    lines = [content["slots"][place] for content in contents(result.books)]
    own = lines[silent]
    assert (own["metered"], own["reading"], own["grid"]) == (NOT_MEASURED, None, {"wh": 0, "amount": 0})
    assert own["trades"]
    for member, line in enumerate(lines):
        if member == silent:
            continue
        assert "metered" not in line
        bought = sum(t["settledWh"] * (1 if t["buyer"] == member else -1) for t in line["trades"])
        assert line["grid"]["wh"] + bought == line["reading"]["whIn"] - line["reading"]["whOut"]


def test_a_reading_that_comes_settles_the_slot_anew_and_committed_trades_stay(day: Simulation) -> None:
    slot, place, silent = gap(day)
    exchange = exchange_of(day)
    before, balances = rows_of(day, slot), exchange.client.balances()
    assert exchange.correct(Correction(exchange.now + 3 * 3600, slot), read(day, slot, silent))
    exchange.outbox.finalise_due()
    after = rows_of(day, slot)
    credit = {row.member: row.credit for row in before}
    moved_by = {row.member: row.credit - credit[row.member] for row in after}
    waiting = exchange.client.balances() - balances
    assert [row.revision for row in after] == [1, 1, 1]
    assert before == day.store.rows(tables.accounts, slot=slot, revision=0)
    assert all(row.measured for row in after)
    assert any(moved_by.values())
    assert sum(moved_by.values()) == 0
    others = sum(row.credit for row in day.store.rows(tables.accounts, member=0) if row.slot > slot)
    assert waiting[0] in (moved_by[0], moved_by[0] + others)  # the last windows were open
    first, second = day.store.rows(tables.posts, slot=slot)
    assert (first.orders, first.trades) == (second.orders, second.trades)
    assert first.statements != second.statements
    agreed = [row.hash for row in day.store.rows(tables.trades, slot=slot, revision=0) if row.stage == 0]
    kept = [row.hash for row in day.store.rows(tables.trades, slot=slot, revision=1) if row.stage == 0]
    assert agreed == kept
    result = day.run()
    for member, bill in enumerate(proven(result.books, result.bills)):
        verify_bill(bill, exchange.client)
        assert bill["content"]["slots"][place]["metered"] == CORRECTED
        assert bill["content"]["slots"][place]["reading"]["sequence"] == place + 1, member


def rows_of(day: Simulation, slot: int) -> list[Any]:
    return day.store.rows(tables.accounts, slot=slot, revision=rows.revision_of(day.store, slot) or 0)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("early", "cannot be corrected before it is settled"),
        ("open", "can be corrected when it is final"),
        ("late", "could be corrected until"),
        ("repeated", "counts already; only a higher number corrects it"),
        ("nothing", "There is no reading to correct"),
        ("foreign", "is signed by"),
        ("another slot", "where slot"),
        ("not numbered", "again; the next is"),
        ("overflowing", "reports more than"),
    ],
)
def test_what_cannot_correct_a_slot_is_refused_in_one_sentence_and_changes_nothing(
    day: Simulation, tmp_path: Path, wrong: str, sentence: str
) -> None:
    slot, place, silent = gap(day)
    exchange, good = exchange_of(day), read(day, slot, silent)
    at, meter = exchange.now + 3 * 3600, homes_of(day).meters[silent]
    readings, correction = good, Correction(at, slot)
    if wrong == "early":
        with short_days():
            day = begin(tmp_path / "early", text(silent="30 %"))
        day.advance()
        exchange = exchange_of(day)
    elif wrong == "open":
        correction = Correction(exchange.now, int(day.rules.period.starts[-1]))
    elif wrong == "late":
        correction = Correction(slot + 3600 + 7 * 86_400 + 1, slot)
    elif wrong == "repeated":
        readings = read(day, slot, 0, 1, 2)
    elif wrong == "nothing":
        readings = read(day, slot)
    else:
        other = homes_of(day).meters[(silent + 1) % 3]
        forged = {
            "foreign": other.read(slot, 100, 0, place + 1),
            "another slot": meter.read(slot + 3600, 100, 0, place + 1),
            "not numbered": meter.read(slot, 100, 0, 0),
            "overflowing": meter.read(slot, MAX_ORDER_WH + 1, 0, place + 1),
        }[wrong]
        readings = replace(good, signed=tuple(forged if signed else None for signed in good.signed))
    before = everything(day)
    with pytest.raises(RecordError, match=sentence):
        exchange.correct(correction, readings)
    assert everything(day) == before
    if wrong == "early":
        day.close()
    else:
        assert exchange.correct(Correction(at, gap(day)[0]), good)


def test_nothing_is_corrected_once_the_bills_are_anchored(day: Simulation) -> None:
    slot, _, silent = gap(day)
    exchange, result = exchange_of(day), day.run()
    before = everything(day)
    with pytest.raises(RecordError, match=f"The bills with slot {slot} are anchored"):
        exchange.correct(Correction(exchange.now + 3 * 3600, slot), read(day, slot, silent))
    assert everything(day) == before
    for bill in proven(result.books, result.bills):
        verify_bill(bill, exchange.client)


def test_a_correction_waits_until_everybody_can_pay_what_it_takes_back(
    day: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot, _, silent = gap(day)
    exchange = exchange_of(day)
    correction, readings = Correction(exchange.now + 3 * 3600, slot), read(day, slot, silent)
    before = everything(day)
    exchange.before(correction)
    with monkeypatch.context() as spent:
        spent.setattr(exchange, "free", lambda: np.zeros(3, dtype=np.int64) - 10**9)
        assert not exchange.correct(correction, readings)
    assert everything(day) == before
    assert exchange.correct(correction, readings)


def test_a_run_ends_though_a_correction_is_never_paid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with short_days(9, 3):
        run = begin(tmp_path, text(late="40 %", window="2h", corrections="3650d", seed="e"))
    monkeypatch.setattr(run.exchange, "correct", lambda *_: False)
    result = run.run()
    assert not result.arrays["measured"].all()
    result.close()


def test_a_post_that_expired_is_posted_again(tmp_path: Path) -> None:
    with short_days():
        source = text(late="0 %", window="2h")
        undisturbed = simulate(written(tmp_path / "undisturbed", source), START, 1)
        day = begin(tmp_path / "down", source)
    for _ in range(4):
        day.advance()
    chain = day.node
    assert isinstance(chain, EmbeddedChain)
    chain.seal(chain.head.timestamp + 10 * 3600)
    result = day.run()
    assert moved(result) == moved(undisturbed)
    assert not exchange_of(result).outbox.pending
    for bill in proven(result.books, result.bills):
        verify_bill(bill, exchange_of(result).client)
    undisturbed.close()
    result.close()


# What a bill may not say


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda line: line.pop("metered"), "the bill says 'measured' of a line that is not measured"),
        (lambda line: line.update(metered=CORRECTED), "the bill says 'corrected' of a line that is not measured"),
        (lambda line: line["grid"].update(wh=1), "metered less local energy is not what met the utility"),
    ],
)
def test_a_line_without_a_reading_says_so_and_moves_nothing(
    day: Simulation, change: Callable[[dict[str, Any]], object], sentence: str
) -> None:
    _, place, silent = gap(day)
    result = day.run()
    bill = list(proven(result.books, result.bills))[silent]
    line = bill["content"]["slots"][place]
    change(line)
    mandate = exchange_of(result).mandates[silent]
    with pytest.raises(VerificationError, match=sentence):
        check_slot(line, bill["proofs"][str(line["slot"])], silent, mandate, exchange_of(result).client)


def test_a_reading_that_counted_cannot_be_kept_from_the_bill(day: Simulation) -> None:
    _, place, silent = gap(day)
    result, other = day.run(), (silent + 1) % 3
    bill = list(proven(result.books, result.bills))[other]
    line = bill["content"]["slots"][place]
    line.update(reading=None, metered=NOT_MEASURED)
    mandate = exchange_of(result).mandates[other]
    with pytest.raises(VerificationError, match="the statement does not lead to the posted ones"):
        check_slot(line, bill["proofs"][str(line["slot"])], other, mandate, exchange_of(result).client)


def test_an_excerpt_of_a_correction_shows_no_fault_and_a_silent_line_that_moves_is_one(day: Simulation) -> None:
    slot, _, silent = gap(day)
    exchange = exchange_of(day)
    earlier, credit = (
        rows.read_delivered(day.store, slot, exchange.meters_of(slot), 0),
        rows.read_credit(day.store, slot, 0),
    )
    correction = Correction(exchange.now + 3 * 3600, slot)
    late = exchange.believed(earlier.committed, read(day, slot, silent))
    for delivered in (earlier, steps.amend(earlier, late, credit)):
        settled = exchange._settled(delivered, slot)
        posted, _ = exchange.stated(settled)
        assert isinstance(posted, Posted)
        assert looked(day, posted, silent) == []
    silent_one, _ = exchange.stated(exchange._settled(earlier, slot))
    assert isinstance(silent_one, Posted)
    statement = silent_one.statements[silent]
    assert statement
    false = with_statement(silent_one, silent, replace(statement, money=statement.money + 5))
    assert "challengeUnread" in [fault.function for fault in looked(day, false, silent)]
    assert exchange.correct(correction, read(day, slot, silent))


def looked(day: Simulation, posted: Posted, member: int) -> list[Fault]:
    client, mandate = exchange_of(day).client, exchange_of(day).mandates[member]
    document = excerpt(posted, member, mandate, client)
    slot = posted.post.slot
    chain = Chain(client.domain, client.commitment(slot), posted.deltas)
    (line,), proof = document["content"]["slots"], document["proofs"][str(slot)]
    return faults(line, proof, member, mandate, chain, posted.post)
