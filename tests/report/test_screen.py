"""One terminal screen: it fits, and it says what the tables say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from exchange_cases import AFTER, HEAD, LISTINGS, MEMBERS, START, TARIFF, exchange_of, written
from rich.console import Console

from commonwatt.plain import many
from commonwatt.report.findings import findings
from commonwatt.report.metrics import figures
from commonwatt.report.screen import render, summary
from commonwatt.report.trace import trace
from commonwatt.simulation.api import simulate
from commonwatt.simulation.result import Result
from commonwatt.units import decimal_text

TRACE = (("trade", "home-1 → home-2: 0.290 kWh"), ("settled", f"block 159, hash 0x{'ab' * 32}"))


def screen(result: Result, width: int, lines: Sequence[tuple[str, str]] = TRACE) -> list[str]:
    """The screen's lines as plain text."""
    console = Console(width=width, color_system=None, highlight=False)
    with console.capture() as captured:
        console.print(render(result, lines))
    return captured.get().splitlines()


@pytest.mark.parametrize("width", [80, 100, 160])
@pytest.mark.parametrize("run", ["small", "week", "large", "nasty", "silent"])
def test_the_screen_fits(run: str, width: int, request: pytest.FixtureRequest) -> None:
    lines = screen(request.getfixturevalue(run), width)
    assert max(map(len, lines)) <= min(width, 100)
    assert len(lines) <= 45


@pytest.mark.parametrize("width", [80, 100])
def test_every_home_of_a_small_community_is_on_it(small: Result, width: int) -> None:
    text = "\n".join(screen(small, width))
    assert all(home in text for home in small.homes["home"])
    assert decimal_text(figures(small).saved, 2) in text


def test_a_large_community_shows_those_who_saved_most_and_least(large: Result) -> None:
    text = "\n".join(screen(large, 100))
    order = large.homes.sort("saving", descending=True)["home"].to_list()
    assert order[0] in text
    assert order[-1] in text
    assert order[40] not in text


def test_bars_fill_the_line_and_can_be_read_without_colour(week: Result) -> None:
    bars = [line for line in screen(week, 100) if set(line) <= set("█▓▒░") and line]
    assert [len(bar) for bar in bars] == [100, 100]


def test_without_a_ledger_the_screen_says_so(small: Result) -> None:
    assert any(line.startswith("none: nothing was signed") for line in screen(small, 100, ()))


def test_prices_are_told_to_their_last_digit_and_one_is_no_plural(tmp_path: Path) -> None:
    head = HEAD.replace("EUR", "KWD")
    tariff = '\n[tariff]\nretail = "0.0295"\nfeed_in = "0.0041"\n'
    result = simulate(written(tmp_path, head + tariff + AFTER + MEMBERS), START, 1, ledger="none")
    text = " ".join(screen(result, 100))
    assert "prices: feed-in 0.0041, between neighbours up to 0.0295, utility 0.0295 KWD/kWh" in text
    roofs = sum(member.pv is not None for member in result.community.members)
    assert f"on {many(roofs, 'roof')} " in text
    result.close()


def test_a_delivery_is_traced_to_its_block(with_ledger: Result) -> None:
    text = "".join(line.strip() for line in screen(with_ledger, 100, trace(with_ledger)))
    assert "= deposits ✓" in text
    assert exchange_of(with_ledger).outbox is not None
    blocks = exchange_of(with_ledger).client.node
    assert any(f"hash 0x{blocks.block(number).hash.hex()}" in text for number in range(1, blocks.head.number + 1))


def test_the_summary_is_plain_and_exact(with_ledger: Result) -> None:
    told, found = json.loads(json.dumps(summary(with_ledger))), figures(with_ledger)
    assert told["energy_wh"]["traded"] == with_ledger.trades["settled_wh"].sum()
    assert told["money"]["saving"] == {"micro": found.saved, "text": decimal_text(found.saved)}
    assert sum(home["bill"]["micro"] for home in told["homes"]) == told["money"]["bill"]["micro"]
    assert told["ledger"]["books_close"] is True
    assert told["period"]["until"] - told["period"]["from"] == 7_200
    assert set(told["cpu_seconds"]) == set(with_ledger.seconds)


def test_the_summary_of_a_run_without_trade_or_ledger(silent: Result) -> None:
    told = summary(silent)
    assert told["ledger"] is None
    assert told["trades"] == 0
    assert told["shares"]["local_share"] is None


@pytest.mark.parametrize(
    ("stage", "sentence"),
    [
        (LISTINGS, " refused; the first of roof: it may cost "),
        (AFTER, " kWh for neighbours went to the utility instead, because the free collateral of those"),
    ],
    ids=["orders", "shares"],
)
def test_what_collateral_does_not_cover_is_told(tmp_path: Path, stage: str, sentence: str) -> None:
    poor = MEMBERS.replace('collateral = "20"', 'collateral = "0"')
    result = simulate(written(tmp_path, HEAD + TARIFF + stage + poor), START, 1, ledger="embedded")
    (found,) = findings(result)
    assert sentence in found
    result.close()


def test_what_collateral_covers_is_not_told(with_ledger: Result) -> None:
    assert not [each for each in findings(with_ledger) if "refused" in each or "collateral" in each]
