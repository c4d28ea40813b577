"""`commonwatt check` looks into files and has own mechanisms clear a few slots, so that what is wrong shows at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from exchange_cases import written
from shell import Shell

from commonwatt.errors import MarketError
from commonwatt.exchange.loading import Loaded, load
from commonwatt.exchange.trial import tried

OWN = """
from dataclasses import replace
from commonwatt.market import find
from commonwatt.records import Trades

inner = find(MECHANISM)

def rule(frame, inputs, parameters):
    outcomes = inner.rule(frame, inputs, parameters)
    return tuple(CHANGED for outcome in outcomes for trades in [outcome.trades])

MINE = replace(inner, name="mine", rule=rule)
"""
AS_IT_IS = "outcome"
DEARER = "replace(outcome, trades=Trades(trades.buyer, trades.seller, trades.wh, trades.price + 900_000))"
MORE = "replace(outcome, trades=Trades(trades.buyer, trades.seller, trades.wh * 9, trades.price))"
BROKEN = "outcome.nothing"
AHEAD = {"mechanism": "own.py:MINE", "gate": "12:00"}
STAGES = {"sdr": {"mechanism": "own.py:MINE"}, "uniform": AHEAD, "continuous": AHEAD}


def community(folder: Path, mechanism: str, changed: str) -> Loaded:
    file = written(folder)
    (folder / "own.py").write_text(OWN.replace("MECHANISM", repr(mechanism)).replace("CHANGED", changed))
    return load(file).with_({"market": {"own": STAGES[mechanism]}})


@pytest.mark.parametrize("mechanism", STAGES)
def test_a_mechanism_that_keeps_its_promises_is_named(tmp_path: Path, mechanism: str) -> None:
    assert list(tried(community(tmp_path, mechanism, AS_IT_IS), tmp_path)) == ["own"]


@pytest.mark.parametrize("mechanism", STAGES)
@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (
            DEARER,
            r"market\.own, tried on made-up energy: mine broke its promise, by .* limit: .* EUR per kWh for \w+, ",
        ),
        (MORE, r"market\.own, tried on made-up energy: mine broke its promise, by \d+ Wh traded beyond"),
        (BROKEN, r"market\.own, tried on made-up energy: .*own\.py cannot be run: AttributeError"),
    ],
    ids=["dearer", "more", "broken"],
)
def test_a_broken_promise_shows(tmp_path: Path, mechanism: str, changed: str, sentence: str) -> None:
    with pytest.raises(MarketError, match=sentence):
        list(tried(community(tmp_path, mechanism, changed), tmp_path))


def test_prices_of_a_file_serve_as_well(tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_text("time,price\n2026-06-15T00:00,0.05\n2026-06-15T01:00,0.06\n")
    found = community(tmp_path, "sdr", AS_IT_IS).with_({"tariff.feed_in": {"file": "prices.csv"}})
    assert list(tried(found, tmp_path)) == ["own"]


def test_mechanisms_of_the_package_are_not_tried(tmp_path: Path) -> None:
    assert list(tried(load(written(tmp_path)), tmp_path)) == []


def own_file(folder: Path, changed: str) -> Path:
    """A community with a meter file that lacks two hours, and a mechanism of its own."""
    (folder / "own.py").write_text(OWN.replace("MECHANISM", "'sdr'").replace("CHANGED", changed))
    rows = [f"2026-06-{day:02}T{hour:02}:00,0.2" for day in range(1, 21) for hour in range(24)]
    (folder / "meters.csv").write_text("\n".join(["time,anna [kWh]", *rows[:100], *rows[102:]]))
    file = folder / "c.toml"
    file.write_text(
        '[community]\nname = "C"\ncurrency = "EUR"\ntimezone = "Europe/Vienna"\nslot = "1h"\nprofiles = "meters.csv"\n'
        '[tariff]\nretail = "0.30"\nfeed_in = "0.08"\n[market.pool]\nmechanism = "own.py:MINE"\n[members]\n'
        'anna = { load = "anna" }\nben = { load = "anna", pv = { profile = "anna", kwp = 3 } }\n'
    )
    return file


def test_check_says_what_is_in_the_files_also_where_they_have_gaps(tmp_path: Path, said: Shell) -> None:
    file = own_file(tmp_path, AS_IT_IS)
    code, out, err = said("check", file)
    gap = "2026-06-05 04:00 CEST to 2026-06-05 06:00 CEST"
    told = f"meters.csv: 1 meter, 60 min, 2026-06-01 00:00 CEST to 2026-06-21 00:00 CEST, 1 gap: {gap}."
    assert (code, out) == (3, f"{tmp_path / told}\n")
    assert "lacks values for 2 of 480 slots" in err
    code, out, err = said("check", file, "--start", "2026-06-18")
    assert (code, err) == (0, "")
    assert out.splitlines()[1] == "market.pool clears made-up energy and keeps its promises."
    about = "C, 2 members (1 with PV, 0 with a battery), market pool = own.py:MINE, ledger embedded."
    assert out.splitlines()[2] == f"{file} is fine: {about}"


@pytest.mark.parametrize(("changed", "code"), [(AS_IT_IS, 0), (MORE, 5)])
def test_check_as_json_has_the_problem_too(tmp_path: Path, said: Shell, changed: str, code: int) -> None:
    file = own_file(tmp_path, changed)
    got, out, err = said("check", file, "--start", "2026-06-18", "--json", "-")
    found = json.loads(out)
    assert got == code
    assert found["files"][0]["gaps"] == [
        {"from": "2026-06-05T04:00:00+02:00", "until": "2026-06-05T06:00:00+02:00", "columns": ["anna [kWh]"]}
    ]
    assert found["tried"] == ([] if code else ["pool"])
    assert (found["problem"] or "") == err.strip()
    assert found["members"] == 2
