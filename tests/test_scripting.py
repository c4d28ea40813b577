"""What notebooks and scripts have: results in memory whose files are free, and folders that are read alone."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exchange_cases import START, begin, short_days, written
from shell import Shell

import commonwatt
from commonwatt.community.points import Span
from commonwatt.errors import CommonwattError, ConfigError, OutputError, StoreError
from commonwatt.exchange.store import Store
from commonwatt.report.finished import PLOTS
from commonwatt.study.compare import strategies

PRICES = "time,price\n" + "".join(f"2026-06-{day:02}T00:00,0.0{day % 7 + 1}\n" for day in range(10, 20))
OWN = "from commonwatt.market import MECHANISMS\nMINE = MECHANISMS['sdr']\n"


@pytest.mark.parametrize("ledger", ["none", "embedded"])
def test_the_same_cell_runs_twice(tmp_path: Path, ledger: str) -> None:
    file, out = written(tmp_path), tmp_path / "out"
    with short_days():
        first = commonwatt.simulate(file, START, ledger=ledger, out=out)
        second = commonwatt.simulate(file, START, ledger=ledger, out=out)
        anew = commonwatt.simulate(file, START, ledger=ledger, out=out, fresh=True)
    shutil.rmtree(out)
    for name in ("homes", "slots", "flows", "trades"):
        assert getattr(first, name).equals(getattr(second, name)), name
        assert getattr(first, name).equals(getattr(anew, name)), name
    assert first.bills.tree.root == second.bills.tree.root
    assert (first.ledger is None) == (ledger == "none")
    for each in (first, second, anew):
        each.close()


def test_a_run_leaves_what_the_shell_leaves_and_is_read_again_alone(tmp_path: Path) -> None:
    file, out = written(tmp_path), tmp_path / "out"
    with short_days():
        made = commonwatt.simulate(file, START, out=out)
        assert {"bills", "tables", "report.html", "exchange.sqlite", "ledger.sqlite"} <= {p.name for p in out.iterdir()}
        file.unlink()
        with commonwatt.open(out) as found:
            assert found.homes.equals(made.homes)
            assert found.bills.tree.root == made.bills.tree.root
            assert found.ledger == made.ledger
            elsewhere = found.write(tmp_path / "elsewhere")
    for bill in (out / "bills").iterdir():
        assert (elsewhere / "bills" / bill.name).read_bytes() == bill.read_bytes()
    made.close()


def test_a_run_of_the_shell_is_read_again(tmp_path: Path, said: Shell) -> None:
    out = tmp_path / "out"
    with short_days():
        assert said("simulate", written(tmp_path), "--start", START, "--ledger", "none", "--out", out).code == 0
        found = commonwatt.open(out)
    assert (out / "tables" / "homes.csv").read_text("utf-8") == found.homes.write_csv()


def test_a_run_with_later_charters_is_read_again(tmp_path: Path) -> None:
    village = commonwatt.load(written(tmp_path))
    later = {"2026-06-16": village.with_({"tariff.retail": "0.5"})}
    with short_days():
        made = commonwatt.simulate(village, START, 2, ledger="none", then=later, out=tmp_path / "out")
        assert commonwatt.open(tmp_path / "out").homes.equals(made.homes)
    assert len(made.rules.charters) == 2


def test_a_folder_without_a_run_is_told_and_stays_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"empty holds no run; `commonwatt.simulate` makes one"):
        commonwatt.open(tmp_path / "empty")
    with short_days():
        commonwatt.simulate(written(tmp_path), START, ledger="none", out=tmp_path / "several" / "one")
    with pytest.raises(StoreError, match="several holds no run itself, but 1 folder with one, such as 'one'"):
        commonwatt.open(tmp_path / "several")
    assert not (tmp_path / "empty").exists()


def test_a_run_that_is_not_finished_says_how_to_go_on(tmp_path: Path) -> None:
    file, out = written(tmp_path), tmp_path / "out"

    def stop(done: int, _: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with short_days():
        with pytest.raises(KeyboardInterrupt):
            commonwatt.simulate(file, START, ledger="none", out=out, progress=stop)
        with pytest.raises(StoreError) as caught:
            commonwatt.open(out)
        assert f"not finished; go on with commonwatt.simulate(COMMUNITY, '{START}', 1, ledger='none'" in str(
            caught.value
        )
        made = commonwatt.simulate(file, START, ledger="none", out=out)
        assert commonwatt.open(out).homes.equals(made.homes)


def test_a_run_of_another_making_is_told(tmp_path: Path) -> None:
    with short_days():
        run = begin(tmp_path)
        run.advance()
        run.close()
    with pytest.raises(StoreError, match="does not say what its run is of"):
        commonwatt.open(tmp_path / "out")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "exchange.sqlite").write_bytes(b"no store at all, but long enough to be one" * 40)
    with pytest.raises(StoreError, match=r"an exchange's store"):
        commonwatt.open(tmp_path / "foreign")


def test_a_file_that_has_changed_since_is_told_and_one_that_moved_is_found(tmp_path: Path) -> None:
    folder, out = tmp_path / "data", tmp_path / "out"
    folder.mkdir()
    (folder / "prices.csv").write_text(PRICES)
    community = commonwatt.load(written(folder)).with_({"tariff.feed_in": {"file": "prices.csv"}})
    with short_days():
        made = commonwatt.simulate(community, START, ledger="none", out=out)
        moved = folder.rename(tmp_path / "moved")
        with pytest.raises(StoreError, match="cannot be read without the files of its community"):
            commonwatt.open(out)
        assert commonwatt.open(out, folder=moved).homes.equals(made.homes)
        (moved / "prices.csv").write_text(PRICES.replace("0.05", "0.06"))
        with pytest.raises(StoreError, match="no longer as it was in"):
            commonwatt.open(out, folder=moved)


def test_code_of_ones_own_runs_only_where_its_folder_is_named(tmp_path: Path) -> None:
    out, seen = tmp_path / "out", tmp_path / "seen"
    (tmp_path / "own.py").write_text(OWN)
    community = commonwatt.load(written(tmp_path)).with_({"market": {"pool": {"mechanism": "own.py:MINE"}}})
    with short_days():
        made = commonwatt.simulate(community, START, ledger="none", out=out)
        (tmp_path / "own.py").write_text(f"from pathlib import Path\nPath({str(seen)!r}).touch()\n{OWN}")
        with pytest.raises(StoreError, match=r"code of its own, own\.py, which runs when it is read; if you trust it"):
            commonwatt.open(out)
        assert not seen.exists()
        (tmp_path / "own.py").write_text(OWN)
        assert commonwatt.open(out, folder=tmp_path).homes.equals(made.homes)


@pytest.mark.parametrize("name", ["own.py:MINE", "own.py:", "own.pyc:MINE", "own.so:not a name", "sub/own.py:a.b"])
def test_all_that_could_be_run_counts_as_code(tmp_path: Path, name: str) -> None:
    with short_days():
        commonwatt.simulate(written(tmp_path), START, ledger="none", out=tmp_path / "out")
    with sqlite3.connect(tmp_path / "out" / "exchange.sqlite") as file:
        ((asked,),) = file.execute("SELECT value FROM run WHERE key = 'asked'").fetchall()
        (told,) = json.loads(asked)
        told["tables"]["market"] = {"pool": {"mechanism": name}}
        file.execute("UPDATE run SET value = ? WHERE key = 'asked'", (json.dumps([told]),))
    file.close()
    with pytest.raises(StoreError, match="code of its own"):
        commonwatt.open(tmp_path / "out")


def test_a_file_that_this_process_has_open_is_not_blamed_on_another(tmp_path: Path) -> None:
    with short_days():
        file, out = written(tmp_path), tmp_path / "out"
        commonwatt.simulate(file, START, ledger="none", out=out)
        store = Store(out / "exchange.sqlite")
        for fresh in (True, False):
            with pytest.raises(StoreError, match="is open in this process; close what has it open"):
                commonwatt.simulate(file, START, ledger="none", out=out, fresh=fresh)
        store.close()
        commonwatt.simulate(file, START, ledger="none", out=out, fresh=True)


def test_figures_are_read_before_a_run_is_closed(tmp_path: Path) -> None:
    with short_days():
        with commonwatt.simulate(written(tmp_path), START, ledger="none") as result:
            homes = result.homes
        assert result.homes.equals(homes)
        with pytest.raises(StoreError, match="The run is closed, and with it what was in memory"):
            result.trades  # noqa: B018


def test_a_result_shows_itself(tmp_path: Path) -> None:
    with short_days():
        result = commonwatt.simulate(written(tmp_path), START, ledger="none")
    assert repr(result).startswith(f"<Result {result.community.name}, 1 day from {START}: ")
    page = result._repr_html_()
    assert page.startswith("<pre")
    assert "<script" not in page
    assert result.community.name in page
    for kind in PLOTS:
        plot = result.plot(kind)
        assert plot._repr_svg_().startswith("<svg")
        assert plot.save(tmp_path / f"{kind}.svg").read_text("utf-8") == plot.svg
    with pytest.raises(ConfigError, match="there is no plot 'price'; did you mean 'prices'"):
        result.plot("price")


def test_a_name_of_the_community_cannot_break_the_page(tmp_path: Path) -> None:
    nasty = commonwatt.load(written(tmp_path)).with_({"community.name": "<script>alert(1)</script>"})
    with short_days():
        page = commonwatt.simulate(nasty, START, ledger="none")._repr_html_()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_a_comparison_shows_itself_and_is_written_as_by_the_shell(tmp_path: Path) -> None:
    file = written(tmp_path)
    with short_days():
        found = commonwatt.compare(commonwatt.load(file), START, mechanisms="sdr", out=tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"comparison.html", "comparison.csv"}
    assert found.table["design"].to_list() == ["utility only", "sdr"]
    assert "sdr" in found._repr_html_()
    assert "sdr" in repr(found)
    assert len(repr(found)) < 200
    assert found.plot("bills").svg.startswith("<svg")
    with pytest.raises(ConfigError, match="there is no plot 'x'"):
        found.plot("x")


def test_progress_is_told_to_who_asks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told: list[tuple[int, int]] = []
    with short_days():
        commonwatt.simulate(written(tmp_path), START, ledger="none", progress=lambda *each: told.append(each))
        assert told[-1][0] == told[-1][1] > 1
        commonwatt.simulate(tmp_path / "community.toml", START, ledger="none")
        assert capsys.readouterr() == ("", "")
        commonwatt.simulate(tmp_path / "community.toml", START, ledger="none", progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "market day 100 %" in err
    assert err.endswith("\r")


def test_everything_public_is_there() -> None:
    for name in commonwatt.__all__:
        assert getattr(commonwatt, name) is not None
    assert issubclass(StoreError, CommonwattError)
    with pytest.raises(AttributeError, match="no attribute 'simulat'"):
        commonwatt.simulat  # noqa: B018


def test_days_in_the_file_are_kept(tmp_path: Path) -> None:
    first = date(2026, 1, 1)
    with short_days():
        community = commonwatt.load(written(tmp_path)).with_({"members.sun.from": first})
        commonwatt.simulate(community, START, ledger="none", out=tmp_path / "out")
        found = commonwatt.open(tmp_path / "out")
    assert found.community.members[0].spans == (Span(first),)


def test_a_number_in_quotes_is_told_from_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="days: is a whole number from 1 to 36525, not '1'"):
        commonwatt.simulate(written(tmp_path), START, "1", ledger="none")  # type: ignore[arg-type]


def recursive() -> dict[str, object]:
    table: dict[str, object] = {}
    table["inner"] = [table]
    return table


WRONG: tuple[Any, ...] = (
    123, 1.5, True, object(), [1], [object()], (), b"x", "\0", {"a": object()}, {1: 2}, {"x"}, print, float("nan"),
    np.int64(2), np.float64(2), np.array([1, 2]), np.datetime64("2026-06-15"), date(2026, 6, 15), Path("nothere"),
    datetime(2026, 6, 15, tzinfo=UTC), "x" * 3000, -1, 10**30, recursive(), Path, np.float64,
)  # fmt: skip
"""Of everything that a script may have in hand by mistake."""
RIGHT: dict[str, tuple[Any, ...]] = {
    "days": (123, np.int64(2)),
    "folder": (Path("nothere"), "x" * 3000),
    "fresh": (True,),
    "out": (Path("nothere"),),
    "progress": (True, print, Path, np.float64),
    "start": (np.datetime64("2026-06-15"), date(2026, 6, 15)),
}
"""By argument, those of them that it may be."""


def refused(argument: str, call: Callable[[Any], object]) -> None:
    """Every wrong value is refused in a sentence of the one tree of errors, and those that mean something are not."""
    for value in WRONG:
        if any(type(value) is type(right) and repr(value) == repr(right) for right in RIGHT.get(argument, ())):
            continue
        with pytest.raises(CommonwattError) as caught:
            call(value)
        assert str(caught.value).strip()


def test_what_is_handed_over_by_mistake_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    five = commonwatt.load(written(tmp_path))
    run = partial(commonwatt.simulate, five, START, ledger="none")
    swept = partial(commonwatt.sweep, five, start=START)
    battery = {"members.*.battery.kwh": [1]}
    calls: list[tuple[str, Callable[[Any], object]]] = [
        ("community", commonwatt.load),
        ("community", lambda wrong: commonwatt.simulate(wrong, START)),
        ("community", lambda wrong: commonwatt.compare(wrong, START)),
        ("community", lambda wrong: commonwatt.sweep(wrong, battery, start=START)),
        ("community", lambda wrong: run(then={"2026-06-15": wrong})),
        ("folder", lambda wrong: commonwatt.load({}, folder=wrong)),
        ("folder", lambda wrong: commonwatt.open(tmp_path, folder=wrong)),
        ("with_", five.with_),
        ("value", lambda wrong: five.with_({"members.*.load": wrong})),
        ("value", lambda wrong: five.with_({wrong if isinstance(wrong, str) else repr(wrong): 1})),
        ("start", lambda wrong: commonwatt.simulate(five, wrong, ledger="none")),
        ("days", lambda wrong: run(days=wrong)),
        ("ledger", lambda wrong: commonwatt.simulate(five, START, ledger=wrong)),
        ("out", lambda wrong: run(out=wrong)),
        ("fresh", lambda wrong: run(fresh=wrong)),
        ("then", lambda wrong: run(then=wrong)),
        ("progress", lambda wrong: run(progress=wrong)),
        ("mechanisms", lambda wrong: commonwatt.compare(five, START, mechanisms=wrong)),
        ("out", lambda wrong: commonwatt.compare(five, START, mechanisms=["sdr"], out=wrong)),
        ("agents", lambda wrong: strategies.compare(five, START, 1, "uniform", wrong)),
        ("values", lambda wrong: swept(wrong)),
        ("tried", lambda wrong: swept({"members.*.load": wrong})),
        ("rows", lambda wrong: swept(battery, rows=wrong)),
        ("ledger", lambda wrong: swept(battery, ledger=wrong)),
        ("out", lambda wrong: swept(battery, out=wrong)),
        ("path", commonwatt.open),
    ]
    with short_days():
        for argument, call in calls:
            refused(argument, call)
        result = run()
        refused("kind", result.plot)
        refused("kind", commonwatt.compare(five, START, mechanisms="sdr").plot)
        refused("folder", result.write)


def test_numbers_of_numpy_days_and_paths_are_taken_as_what_they_are(tmp_path: Path) -> None:
    five = commonwatt.load(written(tmp_path))
    day = date.fromisoformat(START)
    one: Any = np.int64(1)
    tried: Any = {"members.sun.battery.kwh": np.array([4, 5])}
    first: Any = np.datetime64(START)
    with short_days():
        plainly = commonwatt.simulate(five, START, 1, ledger="none")
        again = commonwatt.simulate(tmp_path / "community.toml", day, one, ledger="none", out=tmp_path / "out")
        table = commonwatt.sweep(five, tried, start=first, days=one, workers=one)
        same = commonwatt.simulate(five.with_({"members.sun.battery.kwh": np.float32(5)}), START, ledger="none")
        opened = commonwatt.open(tmp_path / "out")
    assert plainly.homes.equals(again.homes)
    assert plainly.homes.equals(opened.homes)
    assert table["members.sun.battery.kwh"].to_list() == [4, 5]
    assert table["days"].to_list() == [1, 1]
    assert same.homes.equals(plainly.homes)
    with pytest.raises(ConfigError, match=r"days: is a whole number from 1 to 36525, not 2\.0"):
        commonwatt.simulate(five, START, 2.0, ledger="none")  # type: ignore[arg-type]


def test_what_cannot_be_written_is_an_error_of_the_tree(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    with short_days():
        result = commonwatt.simulate(written(tmp_path), START, ledger="none")
        found = commonwatt.compare(written(tmp_path), START, mechanisms="sdr")
        with pytest.raises(OutputError, match="file cannot be written: "):
            commonwatt.compare(written(tmp_path), START, mechanisms="sdr", out=tmp_path / "file")
    for call in (result.write, result.plot().save, found.plot().save):
        with pytest.raises(OutputError, match="cannot be written: "):
            call(tmp_path / "file" / "inner")
    assert (tmp_path / "file").read_text() == "kept"
