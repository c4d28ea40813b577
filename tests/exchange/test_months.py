"""Each local month of a living exchange is billed and anchored once, whatever changed in it and whoever is killed."""

from __future__ import annotations

import copy
import gzip
import json
import shutil
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from changing_cases import BILL_AFTER, FLAT, HEIR, MONTH, Changing
from enrolled_cases import HOUR, METER, OTHER
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.errors import LedgerError, VerificationError
from commonwatt.exchange import bill_files, tables
from commonwatt.exchange.events import Correction
from commonwatt.exchange.months import month_from
from commonwatt.exchange.outbox import Outbox
from commonwatt.exchange.window import around
from commonwatt.member.verify import open_and_verify, verify_bill
from commonwatt.records.schema import to_bytes

Bill = dict[str, Any]
ZONE = "Europe/Berlin"


@pytest.fixture(scope="module")
def changing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Changing]:
    found = Changing(tmp_path_factory.mktemp("changing"))
    found.change()
    found.run(found.end)
    found.bill(found.end + BILL_AFTER)
    yield found
    found.close()


@pytest.fixture(scope="module")
def files(changing: Changing) -> dict[str, bytes]:
    """The bills of a month that nobody disturbed, by file name."""
    assert changing.months.trouble == ""
    return written(changing)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the same two days, of which nothing is billed yet."""
    again = Changing(tmp_path_factory.mktemp("ended"))
    again.change()
    again.run(again.end)
    again.close()
    return again.folder


def written(changing: Changing) -> dict[str, bytes]:
    folder = changing.folder / "bills" / MONTH
    return {file.name: file.read_bytes() for file in folder.iterdir()} if folder.exists() else {}


def bills(files: dict[str, bytes]) -> dict[str, Bill]:
    return {name.removesuffix(".json.gz"): json.loads(gzip.decompress(packed)) for name, packed in files.items()}


def said(bill: Bill, changing: Changing) -> list[tuple[int, int | None]]:
    """From which hour on which mandate holds, by its nonce."""
    parts = [part for day in bill["days"] for part in day["sheet"].get("mandates", [])]
    return [((part["from"] - changing.start) // HOUR, part["mandate"] and part["mandate"]["nonce"]) for part in parts]


def test_every_bill_of_a_month_of_changes_verifies(changing: Changing, files: dict[str, bytes]) -> None:
    told = bills(files)
    assert sorted(told) == ["flat", "newcomer", "poor", "roof", "shop", "sun"]
    for bill in told.values():
        assert verify_bill(bill, changing.client).slots == 48
    newcomer, flat = told["newcomer"], told["flat"]
    # From its eleventh hour until the mandate held, and from the loss of the key until the next one did.
    without = {name: verify_bill(bill, changing.client).without_mandate for name, bill in told.items()}
    assert {name: count for name, count in without.items() if count} == {"newcomer": 3, "flat": 2}
    assert said(newcomer, changing) == [(0, None), (14, 1), (24, 1), (38, 2)]
    assert said(flat, changing) == [(24, 1), (41, None), (43, 1)]
    assert to_bytes(flat["content"]["member"]["account"], 20) == HEIR.address
    lines = [line for day in newcomer["days"] for line in day["sheet"]["slots"]]
    meters = [to_bytes(line["reading"]["meter"], 20) if line["reading"] else b"" for line in lines]
    # It joined in the eleventh slot; no meter serves in the slot that begins when the first one is taken out.
    assert meters == [b""] * 11 + [METER.address] * 8 + [OTHER.address] * 29
    assert [bool(line["orders"]) for line in lines].count(True) == 16
    assert told["sun"]["days"][0]["sheet"]["slots"][5]["metered"] == "corrected"
    poor = [line for day in told["poor"]["days"] for line in day["sheet"]["slots"]]
    assert not any(line["trades"] for line in poor[43:])


def test_a_billed_month_is_neither_billed_again_nor_corrected(changing: Changing, files: dict[str, bytes]) -> None:
    blocks = changing.client.node.head.number
    for now in (changing.end + BILL_AFTER, changing.end + 20 * 86_400):
        assert not changing.months.advance(now)
    assert changing.client.node.head.number == blocks
    slot = changing.start + 20 * HOUR
    assert "are anchored" in changing.exchange.obstacle(Correction(changing.end, slot))
    assert written(changing) == files


def test_the_shell_verifies_a_bill_of_changes_by_the_ledgers_file(changing: Changing, files: dict[str, bytes]) -> None:
    changing.close()
    file = changing.folder / "bills" / MONTH / "flat.json.gz"
    verified, _ = open_and_verify(file, [str(changing.folder / "out" / "ledger.sqlite")])
    changing.open()
    assert (verified.member, verified.slots) == ("flat", 48)


# Forgeries: sheets alone, which need no anchor


def _parts(day: Bill) -> list[Bill]:
    found: list[Bill] = day["sheet"]["mandates"]
    return found


def _earlier(day: Bill) -> None:
    _parts(day)[-1]["from"] -= HOUR


def _later(day: Bill) -> None:
    _parts(day)[-1]["from"] += 2 * HOUR


def _left_out(day: Bill) -> None:
    _parts(day)[-1]["mandate"] = None


def _the_first_alone(day: Bill) -> None:
    day["sheet"]["mandate"] = day["sheet"].pop("mandates")[0]["mandate"]


def _the_last_alone(day: Bill) -> None:
    day["sheet"]["mandate"] = day["sheet"].pop("mandates")[-1]["mandate"]


def _begins_later(day: Bill) -> None:
    _parts(day)[0]["from"] += HOUR


def _backwards(day: Bill) -> None:
    _parts(day).reverse()


def _both(day: Bill) -> None:
    day["sheet"]["mandate"] = None


def _more_sold(day: Bill) -> None:
    _parts(day)[-1]["mandate"]["sellWh"] = 5_000


NEWCOMERS: dict[str, tuple[Callable[[Bill], None], str]] = {
    "a mandate before it held": (_earlier, "does not lead to the posted ones"),
    "a mandate after it began": (_later, "does not lead to the posted ones"),
    "a mandate left out": (_left_out, "Slot [0-9]+: |under a mandate, and had given none"),
    "the first mandate alone": (_the_first_alone, "does not lead to the posted ones"),
    "the last mandate alone": (_the_last_alone, "does not lead to the posted ones"),
    "mandates that begin after the day": (_begins_later, "mandates do not follow each other"),
    "mandates backwards": (_backwards, "mandates do not follow each other"),
    "one mandate and several": (_both, "the sheet is not a table of"),
    "another mandate than was signed": (_more_sold, "The Mandate is signed by"),
}


@pytest.mark.parametrize("name", NEWCOMERS)
def test_a_sheet_with_false_mandates_is_refused(changing: Changing, files: dict[str, bytes], name: str) -> None:
    change, sentence = NEWCOMERS[name]
    day = copy.deepcopy(bills(files)["newcomer"]["days"][1])
    assert verify_bill(day, changing.client).slots == 24
    change(day)
    with pytest.raises(VerificationError, match=sentence):
        verify_bill(day, changing.client)


def test_the_mandate_of_another_member_is_refused(changing: Changing, files: dict[str, bytes]) -> None:
    told = bills(files)
    day, other = told["newcomer"]["days"][1], told["roof"]["days"][1]["sheet"]["mandate"]
    _parts(day)[-1]["mandate"] = other
    with pytest.raises(VerificationError, match="The mandate is another member's"):
        verify_bill(day, changing.client)


def test_an_account_that_was_replaced_long_before_agrees_to_nothing(
    changing: Changing, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    day = bills(files)["flat"]["days"][1]
    view = changing.client.view

    def asked(name: str, question: str, *values: object) -> tuple[Any, ...]:
        if question == "memberOfAccountAt" and values[0] == changing.homes.keys.members[FLAT].address:
            raise LedgerError("The account was replaced.")
        return view(name, question, *values)

    monkeypatch.setattr(changing.client, "view", asked)
    with pytest.raises(VerificationError, match="was replaced"):
        verify_bill(day, changing.client)


# Kills


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 4, 5, 6])
def test_who_is_killed_between_two_steps_comes_to_the_same_bills(
    files: dict[str, bytes], ended: Path, tmp_path: Path, steps: int
) -> None:
    again = Changing(shutil.copytree(ended, tmp_path / "again"))
    now = again.end + BILL_AFTER
    for _ in range(steps):
        assert again.months.advance(now)
    again.close()
    again.open()
    again.bill(now)
    assert written(again) == files
    assert len(again.store.rows(tables.anchors)) == 1
    again.close()


class Killed(BaseException):
    """As when the process is gone."""


@pytest.mark.parametrize("when", ["in a file", "between two files", "before the anchor", "behind the anchor"])
def test_who_is_killed_within_a_step_comes_to_the_same_bills(
    files: dict[str, bytes], ended: Path, tmp_path: Path, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = Changing(shutil.copytree(ended, tmp_path / "again"))
    now, replace, anchor, add = again.end + BILL_AFTER, Path.replace, Outbox.anchor, bill_files._add

    def killed_behind(function: Callable[..., object], most: int = 0) -> Callable[..., object]:
        calls: list[object] = []

        def called(*given: object, **named: object) -> object:
            calls.append(function(*given, **named))
            if len(calls) > most:
                raise Killed
            return calls[-1]

        return called

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        if when == "in a file":
            patch.setattr(bill_files, "_add", killed_behind(add))
        elif when == "between two files":
            patch.setattr(Path, "replace", killed_behind(replace, 2))
        elif when == "before the anchor":
            patch.setattr(Outbox, "anchor", killed)
        else:
            patch.setattr(Outbox, "anchor", killed_behind(anchor))
        with pytest.raises(Killed):
            again.bill(now)
    again.close()
    again.open()
    again.bill(now + 1)
    assert written(again) == files
    (row,) = again.store.rows(tables.anchors)
    assert again.client.anchored(row.start, row.until) == row.bills
    again.close()


# What stands in the way


def test_nothing_is_corrected_while_its_bills_are_made_and_a_post_that_is_not_final_holds_them_up(
    tmp_path: Path,
) -> None:
    village = Changing(tmp_path, window="12h")
    village.run(village.end)
    now = village.end + BILL_AFTER
    assert village.months.advance(now - 1) is False
    village.bill(now)
    assert "is not final" in village.months.trouble
    assert village.exchange.billing is None
    assert written(village) == {}
    with pytest.raises(LedgerError, match="A post can be objected to until"):
        village.exchange.anchor(bytes(range(32)), month_from(village.start, ZONE, HOUR))
    later = now + 12 * HOUR
    village.live.advance(later)
    assert village.months.advance(later)
    assert "are being made" in village.exchange.obstacle(Correction(later, village.start))
    village.bill(later)
    assert village.months.trouble == ""
    assert len(written(village)) == 5
    village.close()


def test_after_what_nobody_thought_of_it_is_tried_again_and_not_at_once(
    files: dict[str, bytes], ended: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = Changing(shutil.copytree(ended, tmp_path / "again"))
    now = again.end + BILL_AFTER

    def wrong(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(bill_files, "_add", wrong)
        with pytest.raises(ZeroDivisionError):
            again.bill(now)
    assert again.months.advance(now + HOUR - 1) is False
    assert all(name.endswith(".part") for name in written(again))
    # Under a name that a member had when its bill was made before.
    (part, *_) = (tmp_path / "again" / "bills").rglob("*.part")
    part.with_name("called-before.json.gz").write_bytes(b"")
    again.bill(now + HOUR)
    assert written(again) == files
    again.close()


def test_bills_whose_folder_cannot_be_written_are_made_when_it_can(tmp_path: Path) -> None:
    village = Changing(tmp_path)
    village.run(village.end)
    now = village.end + BILL_AFTER
    (tmp_path / "bills").write_text("")
    village.bill(now)
    assert "bills" in village.months.trouble
    assert village.store.rows(tables.anchors) == []
    (tmp_path / "bills").unlink()
    village.bill(now + HOUR - 1)
    assert written(village) == {}
    village.bill(now + HOUR)
    assert len(written(village)) == 5
    village.close()


def test_months_in_which_the_exchange_was_away_are_billed_in_their_order_when_it_is_back(tmp_path: Path) -> None:
    away = Changing(tmp_path)
    away.run(away.start + 5 * HOUR)
    until = int(datetime(2026, 8, 1, 7, tzinfo=ZoneInfo(ZONE)).timestamp())
    first = date(2026, 6, 29)
    away.live.rules_at = lambda now: around(away.rules.community, tmp_path, away.store, now, first)
    while away.exchange.next_end is None or away.exchange.next_end.slot + 2 * HOUR < until:
        away.live.advance(until)
    away.live.advance(until + 60)
    away.bill(until + 60)
    assert away.months.trouble == ""
    assert sorted(folder.name for folder in (tmp_path / "bills").iterdir()) == ["2026-06", "2026-07"]
    rows = away.store.rows(tables.anchors)
    assert [(row.until - row.start) // 86_400 for row in rows] == [2, 31]
    bill = json.loads(gzip.decompress((tmp_path / "bills" / "2026-07" / "roof.json.gz").read_bytes()))
    found = verify_bill(bill, away.client)
    assert (found.slots, found.lines, found.total) == (744, 0, 0)
    away.close()


# Which month


@given(st.dates(date(2020, 1, 1), date(2040, 1, 1)), st.sampled_from([ZONE, "America/New_York", "Asia/Tokyo"]))
def test_months_follow_each_other_without_gap_and_begin_at_a_local_midnight(at: date, timezone: str) -> None:
    start = int(datetime(at.year, at.month, at.day, tzinfo=ZoneInfo(timezone)).timestamp())
    for number in range(13):
        month = month_from(start, timezone, 900)
        first = datetime.fromtimestamp(month.start, ZoneInfo(timezone))
        then = datetime.fromtimestamp(month.end, ZoneInfo(timezone))
        assert (then.day, then.hour, then.minute) == (1, 0, 0)
        assert (then.year * 12 + then.month) - (first.year * 12 + first.month) == 1
        assert month.count * 900 == month.end - month.start
        assert first.day == (1 if number else at.day)
        start = month.end
