"""What each strategy earns: every home plays each one once among the others, and once among its like."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from agent_cases import BAD_AGENTS
from exchange_cases import AFTER, HEAD, MEMBERS, START, TARIFF, written
from shell import Shell

from commonwatt.errors import ConfigError
from commonwatt.study.compare.comparison import compare as compare_designs
from commonwatt.study.compare.strategies import TABLE, compare

TEXT = HEAD + TARIFF + AFTER + MEMBERS


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return written(tmp_path, TEXT)


def test_who_is_alone_earns_what_the_design_saves(file: Path) -> None:
    found = compare(file, START, 1, "uniform,pay-as-bid", ["truthful"])
    rows = compare_designs(file, START, 1, "uniform,pay-as-bid").rows[1:]
    for score, row in zip(found.scores, rows, strict=True):
        assert (score.design, score.agent) == (row.design, "truthful")
        assert score.mixed == score.alike == pytest.approx(row.saved)
        # Each kWh between neighbours is bought by one and sold by another.
        assert score.mixed_kwh == pytest.approx(2 * row.local_kwh)
        assert score.mixed_per_kwh == pytest.approx(row.saved / (2 * row.local_kwh))


def test_all_homes_play_each_strategy_once_against_the_others(file: Path) -> None:
    """The runs written out by hand: home i plays strategy (i + r) mod 2 in run r."""
    names = ["truthful", "zero-intelligence"]
    found = compare(file, START, 1, ["uniform"], names)
    runs = []
    for turn in range(2):
        chosen = [names[(place + turn) % 2] for place in range(5)]
        text = TEXT
        for member, name in zip(("sun", "roof", "flat", "shop", "poor"), chosen, strict=True):
            text = text.replace(f"\n{member} = {{", f'\n{member} = {{ agent = "{name}",')
        saved = compare_designs(written(file.parent / f"{turn}", text), START, 1, ["uniform"]).rows[1].saved_by_home
        runs.append((chosen, saved))
    for score in found.scores:
        by_hand = [
            each for chosen, saved in runs for name, each in zip(chosen, saved, strict=True) if name == score.agent
        ]
        assert len(by_hand) == 5
        assert score.mixed == pytest.approx(sum(by_hand))
    alike = TEXT.replace("[defaults]", '[defaults]\nagent = "zero-intelligence"')
    row = compare_designs(written(file.parent / "alike", alike), START, 1, ["uniform"]).rows[1]
    assert found.scores[1].alike == pytest.approx(row.saved)


def test_designs_without_orders_are_left_out_and_agents_that_fail_are_told(file: Path) -> None:
    (file.parent / "bad.py").write_text(BAD_AGENTS)
    found = compare(file, START, 1, "sdr,bilateral,uniform+sdr", ["truthful", "bad.py:RAISES"])
    assert {score.design for score in found.scores} == {"uniform+sdr"}
    assert found.notes[:2] == (
        "left out: sdr takes no orders before delivery",
        "left out: bilateral asks no agent: homes agree over the whole day among themselves",
    )
    assert any(note.startswith("uniform+sdr: The agents: sun ordered nothing at the gate of ") for note in found.notes)
    # It orders nothing ahead, and still has its share of the pool.
    assert 0 < found.scores[1].mixed < found.scores[0].mixed


def test_where_no_design_asks_agents_there_is_nothing_to_compare(said: Shell, file: Path) -> None:
    told = said("compare", file, "--start", START, "--mechanisms", "sharing-key,sdr", "--agents", "truthful,zip")
    assert (told.code, told.out) == (2, "")
    assert told.err.strip().splitlines() == [
        "The request has 2 problems:",
        "  mechanisms sharing-key: takes no orders before delivery; name one such as uniform",
        "  mechanisms sdr: takes no orders before delivery; name one such as uniform",
    ]
    found = compare(file, START, 1, "fixed+bilateral,uniform", ["truthful"])
    assert {score.design for score in found.scores} == {"uniform"}
    assert found.notes == (
        "left out: fixed+bilateral cannot run here: bilateral clears the whole day at once; it must be the first stage",
    )


def test_everything_that_is_wrong_with_a_request_is_said_at_once(file: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        compare(file, "soon", 1, "uniform", ["truthful", "zipp", "no.py:X", ""])
    assert [str(each) for each in caught.value.findings] == [
        "start: is a date such as 2026-06-15, not 'soon'",
        "agents zipp: there is no agent 'zipp'; did you mean 'zip'?",
        f"agents no.py:X: there is no file {file.parent}/no.py to take the agent 'X' from",
        "agents: there is no agent ''; there is 'truthful', 'zero-intelligence', 'zip', or file.py:NAME of your own",
    ]


def test_the_shell_prints_the_table_and_writes_it(said: Shell, file: Path) -> None:
    out = file.parent / "out"
    asked = ("compare", file, "--start", START)
    told = said(*asked, "--mechanisms", "uniform,sdr", "--agents", "truthful, zip", "--out", out)
    lines = told.out.splitlines()
    assert told.code == 0
    assert lines[0].startswith(f"Five homes, 5 homes, 1 day from {START}; earned in EUR")
    assert [line.split()[:2] for line in lines[2:4]] == [["uniform", "truthful"], ["uniform", "zip"]]
    assert lines[4:] == ["left out: sdr takes no orders before delivery", f"Table: {out / TABLE}"]
    with (out / TABLE).open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    as_json = json.loads(said(*asked, "--mechanisms", "uniform", "--agents", "truthful,zip", "--json", "-").out)
    assert [row["agent"] for row in rows] == ["truthful", "zip"]
    for row, score in zip(rows, as_json["scores"], strict=True):
        assert {key: float(row[key]) for key in score if key not in ("design", "agent")} == {
            key: value for key, value in score.items() if key not in ("design", "agent")
        }
    assert np.isclose(as_json["scores"][0]["mixed_per_kwh"], float(rows[0]["mixed"]) / float(rows[0]["mixed_kwh"]))
    wrong = said("compare", file, "--agents", "truthful", "--table2")
    assert (wrong.code, "table2" in wrong.err) == (2, True)
