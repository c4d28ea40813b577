"""What notebooks and scripts have: results in memory whose files are free, and folders that are read alone."""

from __future__ import annotations

import json
import shutil
import sqlite3
from datetime import date
from pathlib import Path

import pytest
from exchange_cases import START, begin, short_days, written
from shell import Shell

import commonwatt
from commonwatt.community.points import Span
from commonwatt.errors import CommonwattError, ConfigError, StoreError
from commonwatt.exchange.store import Store
from commonwatt.report.finished import PLOTS

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
    with pytest.raises(ConfigError, match="days: is from 1 to 36525, not '1'"):
        commonwatt.simulate(written(tmp_path), START, "1", ledger="none")  # type: ignore[arg-type]
