"""The book: a log followed by hand, a reason for each refusal, an independent book, invariants after every event."""

import csv
import json
from collections.abc import Iterator
from dataclasses import fields, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from log_cases import FOREVER, Event, logs

from commonwatt.market.designs.continuous import from_log, run_book
from commonwatt.market.interface import ADD, AMEND, CANCEL
from commonwatt.market.orderbook.book import Book
from commonwatt.market.orderbook.book_fast import dense, play
from commonwatt.market.orderbook.result import BookResult, Reason
from commonwatt.records import BUY, SELL
from commonwatt.units import MAX_ORDER_WH, MAX_PRICE, micro

CASE = Path(__file__).parent / "cases" / "continuous-log"
KINDS, SIDES = {"add": ADD, "amend": AMEND, "cancel": CANCEL}, {"buy": BUY, "sell": SELL, "": BUY}


def same(one: BookResult, other: BookResult) -> bool:
    """Whether both are equal to the last bit."""
    pairs = [(one.rejections, other.rejections)]
    for mine, others in ((one.fills, other.fills), (one.orders, other.orders)):
        pairs += [(getattr(mine, column.name), getattr(others, column.name)) for column in fields(mine)]
    return all(np.array_equal(mine, others) for mine, others in pairs)


def log_of_the_case() -> Iterator[Event]:
    with (CASE / "input.csv").open() as file:
        for row in csv.DictReader(file):
            number = {key: int(row[key] or 0) for key in ("order", "member", "wh", "time", "expiry")}
            yield (
                KINDS[row["kind"]], number["order"], number["member"], SIDES[row["side"]],
                number["wh"], micro(row["limit"] or "0"), number["time"], number["expiry"],
            )  # fmt: skip


def fills(result: BookResult) -> list[tuple[int, ...]]:
    f = result.fills
    return list(zip(*(c.tolist() for c in (f.event, f.maker, f.taker, f.buyer, f.seller, f.wh, f.price)), strict=True))


def test_a_log_followed_by_hand() -> None:
    expected = json.loads((CASE / "expected.json").read_text())
    result = run_book(from_log(log_of_the_case()), 7)
    assert fills(result) == [tuple((fill | {"price": micro(fill["price"])}).values()) for fill in expected["fills"]]
    assert {str(row): reason.name for row, reason in result.refusals} == expected["refused"]
    resting, held = result.resting, result.orders
    assert [
        {"member": int(m), "side": "sell" if s else "buy", "wh": int(wh), "limit": f"{limit / 1e6:.2f}"}
        for m, s, wh, limit in zip(resting.member, resting.side, resting.wh, resting.limit, strict=True)
    ] == expected["resting"]
    left = np.flatnonzero(held.left)
    assert {str(held.order[i]): [int(held.left[i]), Reason(int(held.state[i])).name] for i in left} == expected["left"]


SELL_1 = (ADD, 1, 0, SELL, 500, 100, 10, 99)
SELF = (ADD, 2, 0, BUY, 10, 100, 11, 99)


@pytest.mark.parametrize(
    ("event", "reason", "before"),
    [
        ((3, 2, 0, SELL, 500, 100, 10, 99), Reason.KIND, ()),
        ((ADD, 2, 0, SELL, 500, 100, 9, 99), Reason.LATE, ()),
        ((ADD, 2, 5, SELL, 500, 100, 10, 99), Reason.STRANGER, ()),
        ((ADD, 2, -1, SELL, 500, 100, 10, 99), Reason.STRANGER, ()),
        ((ADD, 2, 0, 2, 500, 100, 10, 99), Reason.SIDE, ()),
        ((ADD, 2, 0, SELL, 0, 100, 10, 99), Reason.ENERGY, ()),
        ((AMEND, 1, 0, SELL, -5, 100, 10, 99), Reason.ENERGY, ()),
        ((ADD, 2, 0, SELL, MAX_ORDER_WH + 1, 100, 10, 99), Reason.ENERGY, ()),
        ((ADD, 2, 0, SELL, 1, MAX_PRICE + 1, 10, 99), Reason.LIMIT, ()),
        ((ADD, 2, 0, SELL, 1, 100, 10, 10), Reason.VOID, ()),
        ((ADD, 1, 0, SELL, 1, 100, 10, 99), Reason.NUMBER_USED, ()),
        ((AMEND, 2, 0, SELL, 1, 100, 10, 99), Reason.UNKNOWN, ()),
        ((CANCEL, 2, 0, 0, 0, 0, 10, 0), Reason.UNKNOWN, ()),
        ((CANCEL, 2, 0, 0, 0, 0, 11, 0), Reason.REFUSED, (SELF,)),
        ((ADD, 2, 1, BUY, 10, 90, 11, 99), Reason.NUMBER_USED, (SELF,)),
        ((CANCEL, 1, 0, 0, 0, 0, 11, 0), Reason.FILLED, ((ADD, 2, 1, BUY, 500, 100, 11, 99),)),
        ((AMEND, 1, 0, SELL, 9, 100, 11, 99), Reason.CANCELLED, ((CANCEL, 1, 0, 0, 0, 0, 10, 0),)),
        ((CANCEL, 1, 0, 0, 0, 0, 99, 0), Reason.EXPIRED, ()),
        ((AMEND, 1, 1, SELL, 9, 100, 11, 99), Reason.NOT_OWNER, ()),
        ((AMEND, 1, 0, BUY, 9, 100, 11, 99), Reason.SIDE_CHANGED, ()),
        ((AMEND, 1, 0, SELL, 200, 100, 11, 99), Reason.BELOW_FILLED, ((ADD, 2, 1, BUY, 200, 100, 11, 99),)),
        (SELF, Reason.SELF_TRADE, ()),
        ((AMEND, 2, 0, BUY, 10, 100, 11, 99), Reason.SELF_TRADE, ((ADD, 2, 0, BUY, 10, 90, 11, 99),)),
        ((ADD, 2, 0, BUY, 60, 100, 11, 99), Reason.SELF_TRADE, ((ADD, 3, 1, SELL, 50, 90, 11, 99),)),
    ],
)
def test_a_refused_event_has_a_reason_and_leaves_the_book_as_it_was(
    event: Event, reason: Reason, before: tuple[Event, ...]
) -> None:
    earlier, whole = from_log((SELL_1, *before)), from_log((SELL_1, *before, event))
    was, result = run_book(earlier, 5), run_book(whole, 5)
    assert result.refusals[-1] == (len(before) + 1, reason)
    assert fills(result) == fills(was)
    if reason is not Reason.EXPIRED:
        assert same(replace(result, rejections=was.rejections), was)
    assert same(play(whole, 5, -MAX_PRICE, MAX_PRICE, compiled=False), result)


def test_every_reason_is_a_sentence() -> None:
    assert all(reason.sentence.endswith(".") for reason in Reason)


class Naive:
    """The rules once more, in the plainest way: lists that are sorted anew at every step."""

    def __init__(self, members: int, lowest: int, highest: int) -> None:
        self.members, self.lowest, self.highest = members, lowest, highest
        self.orders: dict[int, dict[str, int]] = {}
        self.seen: set[int] = set()
        self.fills: list[tuple[int, ...]] = []
        self.now, self.count = -(2**63), -1

    def apply(self, kind: int, number: int, member: int, side: int, wh: int, limit: int, time: int, expiry: int) -> int:
        self.count += 1
        new = kind == ADD and number not in self.seen
        if kind == ADD:
            self.seen.add(number)
        if time < self.now:
            return Reason.LATE
        self.now = time
        for held in self.orders.values():
            if held["state"] == 0 and held["expiry"] <= time:
                held["state"] = Reason.EXPIRED
        if kind not in (ADD, AMEND, CANCEL):
            return Reason.KIND
        order = self.orders.get(number)
        if kind == ADD:
            if not new:
                return Reason.NUMBER_USED
            if not 0 <= member < self.members:
                return Reason.STRANGER
            if side not in (BUY, SELL):
                return Reason.SIDE
            order = {"member": member, "side": side, "wh": 0, "left": 0, "limit": 0, "state": 0, "place": self.count}
        elif order is None:
            return Reason.REFUSED if number in self.seen else Reason.UNKNOWN
        elif order["state"]:
            return order["state"]
        elif kind == CANCEL:
            order["state"] = Reason.CANCELLED
            return 0
        elif member != order["member"]:
            return Reason.NOT_OWNER
        elif side != order["side"]:
            return Reason.SIDE_CHANGED
        if not 1 <= wh <= MAX_ORDER_WH:
            return Reason.ENERGY
        if limit < self.lowest or limit > self.highest:
            return Reason.LIMIT
        if expiry <= time:
            return Reason.VOID
        done = order["wh"] - order["left"]
        if wh <= done:
            return Reason.BELOW_FILLED
        stays = order["limit"] == limit and wh < order["wh"]
        matches = [] if stays else self.matches(side, limit, wh - done)
        if any(self.orders[maker]["member"] == member for maker, _ in matches):
            return Reason.SELF_TRADE
        self.orders[number] = order
        order.update(wh=wh, left=wh - done, limit=limit, expiry=expiry)
        if not stays:
            order["place"] = self.count
        for maker, traded in matches:
            ends = (member, self.orders[maker]["member"])
            self.fills.append(
                (self.count, maker, number, *(ends if side == BUY else ends[::-1]), traded, self.orders[maker]["limit"])
            )
            for end in (order, self.orders[maker]):
                end["left"] -= traded
                end["state"] = 0 if end["left"] else Reason.FILLED
        return 0

    def matches(self, side: int, limit: int, wanted: int) -> list[tuple[int, int]]:
        """(number, energy) of all that would trade."""
        sign = 1 if side == BUY else -1
        crossing = [
            (sign * order["limit"], order["place"], number, order["left"])
            for number, order in self.orders.items()
            if order["state"] == 0 and order["side"] != side and sign * order["limit"] <= sign * limit
        ]
        found = []
        for _, _, number, left in sorted(crossing):
            if wanted:
                found.append((number, min(left, wanted)))
                wanted -= min(left, wanted)
        return found


@given(logs(), st.sampled_from([(4, -MAX_PRICE, MAX_PRICE), (3, 96, 105)]))
def test_all_books_agree(rows: list[Event], bounds: tuple[int, int, int]) -> None:
    events = from_log(rows)
    naive = Naive(*bounds)
    codes = [int(naive.apply(*row)) for row in rows]
    result = run_book(events, *bounds, compiled=False)
    assert result.rejections.tolist() == codes
    assert fills(result) == naive.fills
    held = result.orders
    rests = {n: o for n, o in naive.orders.items() if o["state"] == 0}
    assert held.order.tolist() == sorted(naive.orders)
    assert held.left.tolist() == [naive.orders[n]["left"] for n in sorted(naive.orders)]
    assert held.order[held.state == 0].tolist() == sorted(rests)
    assert held.place[held.state == 0].tolist() == [rests[n]["place"] for n in sorted(rests)]
    assert same(play(events, *bounds, compiled=False), result)


@pytest.mark.skipif(find_spec("numba") is None, reason="the extra 'fast' is not installed")
@given(logs(), st.sampled_from([(4, -MAX_PRICE, MAX_PRICE), (3, 96, 105)]))
def test_the_compiled_book_agrees(rows: list[Event], bounds: tuple[int, int, int]) -> None:
    events = from_log(rows)
    assert same(run_book(events, *bounds, compiled=True), run_book(events, *bounds, compiled=False))


@given(logs(), st.data())
def test_the_log_gives_the_same_book_again_at_once_or_event_by_event(rows: list[Event], data: st.DataObject) -> None:
    events = from_log(rows)
    first = run_book(events)
    assert same(run_book(from_log(list(rows))), first)
    cut = data.draw(st.integers(0, len(rows)))
    book = Book()
    codes = [book.apply(*row) for row in rows[:cut]]
    assert same(book.result(np.array(codes, dtype=np.int64)), run_book(from_log(rows[:cut])))
    codes += [book.apply(*row) for row in rows[cut:]]
    assert same(book.result(np.array(codes, dtype=np.int64)), first)


def test_numbers_and_prices_far_apart_need_no_room() -> None:
    assert dense(np.array([7, 5, 7]), 3).tolist() == [2, 0, 2]
    assert dense(np.array([2**62, -(2**62), 0, 0]), 10).tolist() == [2, 0, 1, 1]


class Trading(RuleBasedStateMachine):
    """Members add, amend and cancel in a book that is looked at after every event."""

    @initialize()
    def open(self) -> None:
        self.book, self.time = Book(4), 0
        self.rows: list[Event] = []
        self.codes: list[int] = []
        self.most: dict[int, int] = {}
        self.result = self.book.result(np.array([], dtype=np.int64))

    def send(
        self, kind: int, number: int, member: int, side: int, wh: int = 0, limit: int = 0, expiry: int = 0
    ) -> None:
        row = (kind, number, member, side, wh, limit, self.time, expiry)
        self.before = self.result
        self.rows.append(row)
        self.codes.append(self.book.apply(*row))
        self.result = self.book.result(np.array(self.codes, dtype=np.int64))
        if not self.codes[-1] and kind != CANCEL:
            self.most[number] = max(wh, self.most.get(number, 0))

    @rule(
        member=st.integers(0, 3),
        side=st.sampled_from([BUY, SELL]),
        wh=st.integers(1, 20),
        limit=st.integers(98, 102),
        life=st.sampled_from([1, 5, FOREVER]),
    )
    def add(self, member: int, side: int, wh: int, limit: int, life: int) -> None:
        self.send(ADD, len(self.rows), member, side, wh, limit, self.time + life)

    @rule(pick=st.integers(0, 10**6), wh=st.integers(1, 20), limit=st.integers(98, 102))
    def amend(self, pick: int, wh: int, limit: int) -> None:
        held = self.result.orders if self.rows else None
        if held is not None and len(held.order):
            i = pick % len(held.order)
            self.send(AMEND, int(held.order[i]), int(held.member[i]), int(held.side[i]), wh, limit, self.time + 50)

    @rule(pick=st.integers(0, 10**6))
    def cancel(self, pick: int) -> None:
        if self.rows:
            self.send(CANCEL, pick % len(self.rows), 0, 0)

    @rule(step=st.integers(0, 4))
    def wait(self, step: int) -> None:
        self.time += step

    @invariant()
    def the_book_is_never_crossed(self) -> None:
        if not self.rows:
            return
        resting = self.result.resting
        bids, asks = resting.limit[resting.side == BUY], resting.limit[resting.side == SELL]
        assert not (len(bids) and len(asks)) or bids.max() < asks.min()

    @invariant()
    def nothing_is_lost_and_no_order_trades_more_than_it_wanted(self) -> None:
        if not self.rows:
            return
        held, f = self.result.orders, self.result.fills
        traded = dict.fromkeys(held.order.tolist(), 0)
        for end in (f.maker, f.taker):
            for number, wh in zip(end.tolist(), f.wh.tolist(), strict=True):
                traded[number] += wh
        columns = (held.order, held.wh, held.left, held.state)
        for number, wh, left, state in zip(*(column.tolist() for column in columns), strict=True):
            assert traded[number] + left == wh <= self.most[number]
            assert (left == 0) == (state == Reason.FILLED)
        assert (f.wh > 0).all()
        assert (f.buyer != f.seller).all()

    @invariant()
    def who_trades_was_first_among_equals(self) -> None:
        """The makers of the last event are the front of the queue, at their own limits."""
        if len(self.rows) < 2 or self.rows[-1][0] == CANCEL:
            return
        f, was = self.result.fills, self.before.resting
        last = f.event == len(self.rows) - 1
        queue = was.side != self.rows[-1][3]
        front = list(zip(was.member[queue].tolist(), was.limit[queue].tolist(), strict=True))
        makers = f.seller if self.rows[-1][3] == BUY else f.buyer
        traded = list(zip(makers[last].tolist(), f.price[last].tolist(), strict=True))
        if self.time == self.rows[-2][6]:  # else some of the queue may have expired since
            assert traded == front[: len(traded)]
        prices = [price if self.rows[-1][3] == BUY else -price for _, price in traded]
        assert prices == sorted(prices)


TestTrading = Trading.TestCase
TestTrading.settings = settings(stateful_step_count=40)
