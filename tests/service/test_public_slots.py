"""What everybody may know of slots: how far they are, and sums over many homes only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asking_cases import HOUR, Asker, Doors
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.exchange import rows, tables
from commonwatt.exchange.public import HOMES, Sums

HOME = st.integers(0, 12)
TRADES = st.lists(st.tuples(HOME, HOME, st.integers(0, 500)), max_size=40)


@pytest.fixture(scope="module")
def passed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    found = Doors(tmp_path_factory.mktemp("passed"))
    found.whole_day(lambda slot, home: 0 if (slot // HOUR + home) % 3 else 1800 + HOUR * home)
    yield found
    found.close()


@given(TRADES, st.lists(st.integers(-500, 500), max_size=13))
def test_a_sum_is_told_when_many_are_behind_each_side_of_it(
    trades: list[tuple[int, int, int]], grid: list[int]
) -> None:
    told = Sums.of(trades, np.array(grid, dtype=np.int64)).as_json()
    buyers, sellers = ({trade[end] for trade in trades if trade[2]} for end in (0, 1))
    drawn, fed = [wh for wh in grid if wh > 0], [-wh for wh in grid if wh < 0]
    for name, homes, wh in (
        ("traded", min(len(buyers), len(sellers)), sum(trade[2] for trade in trades)),
        ("imported", len(drawn), sum(drawn)),
        ("exported", len(fed), sum(fed)),
    ):
        if homes >= HOMES:
            assert told[name] == {"wh": wh, "homes": homes, "why": None}
        else:
            assert (told[name]["wh"], told[name]["homes"]) == (None, None)
            assert told[name]["why"].endswith(".")


def test_a_slot_is_told_from_its_gate_until_it_is_final(tmp_path: Path) -> None:
    doors = Doors(tmp_path)
    first = doors.starts[0]
    seen = []

    async def look(ask: Asker) -> None:
        slot = await ask.json(f"/v1/slots/{first}")
        seen.append((slot["state"], slot["revision"], slot["roots"]["orders"] is not None, bool(slot["prices"])))

    doors.ask(look)
    doors.live.advance(doors.exchange.rules.events[0].at)
    doors.ask(look)
    doors.now = first + HOUR
    doors.ask(look)
    doors.live.advance(first + HOUR + 120)
    doors.ask(look)
    assert seen[:3] == [("open", None, False, False), ("closed", None, True, True), ("ended", None, True, True)]
    assert seen[3][:2] in (("posted", 0), ("final", 0))
    doors.close()


def test_slots_come_page_by_page_and_are_not_sent_twice(passed: Doors) -> None:
    async def test(ask: Asker) -> None:
        whole = await ask.json("/v1/slots")
        assert [each["start"] for each in whole["slots"]] == passed.starts
        found, after = list[Any](), -1
        while after is not None:
            page = await ask.json(f"/v1/slots?after={after}&limit=3")
            found, after = found + page["slots"], page["next"]
        assert found == whole["slots"]
        one = await ask(f"/v1/slots/{passed.starts[2]}")
        assert one.json() == whole["slots"][2]
        again = await ask(f"/v1/slots/{passed.starts[2]}", status=304, headers={"If-None-Match": one.headers["etag"]})
        assert not again.content
        await ask(f"/v1/slots/{passed.starts[2] + 1}", status=404)
        await ask("/v1/slots?limit=0", status=422)

    passed.ask(test)


def test_a_slot_has_the_roots_of_its_post_and_no_figure_of_few_homes(passed: Doors) -> None:
    async def test(ask: Asker) -> None:
        for slot in (await ask.json("/v1/slots"))["slots"]:
            revision = rows.revision_of(passed.exchange.store, slot["start"]) or 0
            (post,) = passed.exchange.store.rows(tables.posts, slot=slot["start"], revision=revision)
            assert (slot["state"], slot["revision"]) == ("final", revision)
            assert slot["roots"]["statements"] == f"0x{post.statements.hex()}"
            # Five homes, of whom never five bought and five sold.
            assert slot["sums"]["traded"]["wh"] is None
            for name, sign in (("imported", 1), ("exported", -1)):
                net = [sign * row.grid for row in passed.exchange.store.rows(tables.accounts, slot=slot["start"],
                                                                             revision=0)]  # fmt: skip
                homes = sum(wh > 0 for wh in net)
                assert (slot["sums"][name]["wh"] is None) == (homes < HOMES)

    passed.ask(test)


def test_what_a_correction_changed_of_a_sum_is_not_told(passed: Doors) -> None:
    """The difference would be one home's reading."""
    corrected = [slot for slot in passed.starts if rows.revision_of(passed.exchange.store, slot)]
    assert corrected

    async def test(ask: Asker) -> None:
        for slot in corrected:
            told = (await ask.json(f"/v1/slots/{slot}"))["sums"]
            first = passed.exchange.store.rows(tables.accounts, slot=slot, revision=0)
            trades = passed.exchange.store.columns(tables.trades, ("buyer", "seller", "settled"), slot=slot, revision=0)
            grid = np.array([row.grid for row in first], dtype=np.int64)
            assert told == Sums.of([(b, s, w) for b, s, w in trades], grid).as_json()

    passed.ask(test)
