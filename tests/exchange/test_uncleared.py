"""A slot that cannot be cleared stays without local trade, says why, and the other slots go on as if it were not."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from by_slot import proven, verify_bill
from exchange_cases import AFTER, HEAD, MEMBERS, START, TARIFF, short_days, written

from commonwatt.errors import MarketError, PromiseBroken
from commonwatt.exchange import tables
from commonwatt.market import Frame, Positions, find
from commonwatt.plain import many
from commonwatt.report.findings import findings
from commonwatt.simulation.api import simulate
from commonwatt.simulation.result import Result

# `fixed` and `sdr` again, but for one hour of the day, in which something goes wrong.
OWN = """
from dataclasses import replace
from commonwatt.market import find
from commonwatt.records import Trades

def breaking(mechanism):
    def rule(frame, inputs, parameters):
        outcomes = list(mechanism.rule(frame, inputs, parameters))
        for place, minutes in enumerate(frame.minutes.tolist()):
            if minutes == HOUR * 60:
                FAULT
        return tuple(outcomes)
    return replace(mechanism, name=NAME, rule=rule)

MINE = breaking(find(MECHANISM))
"""
FAULTS = {
    "an exception": ('raise KeyError("weather")', "own.py cannot be run: KeyError: 'weather' (line 11)."),
    "a broken promise": (
        "trades = outcomes[place].trades; outcomes[place] = replace(outcomes[place], "
        "trades=Trades(trades.buyer, trades.buyer, trades.wh, trades.price))",
        "mine broke its promise, by trades without energy, with oneself, or of strangers.",
    ),
    "a price of half a unit": (
        "trades = outcomes[place].trades; outcomes[place] = replace(outcomes[place], "
        "trades=Trades(trades.buyer, trades.seller, trades.wh, trades.price + 0.5))",
        "own.py gives an answer that cannot be used: the column 'price' of its trades does not hold whole numbers.",
    ),
    "prices without names": (
        'outcomes[place] = replace(outcomes[place], prices={1: "much"})',
        "own.py gives an answer that cannot be used: its prices are not whole numbers by name.",
    ),
    "no outcome": (
        "outcomes[place] = 5",
        "own.py gives an answer that cannot be used: int in the place of an Outcome.",
    ),
    "a slot without an answer": ("outcomes.pop()", "own.py answers for 0 of 1 slots."),
}
AHEAD = '\n[market.own]\nmechanism = "own.py:MINE"\ngate = "12:00"\nprice = "0.20"\n'
POOL = '\n[market.own]\nmechanism = "own.py:MINE"\n'


def day(folder: Path, stages: str, mechanism: str, hour: int, fault: str, *, ledger: str = "none") -> Result:
    folder.mkdir()
    text = OWN.replace("HOUR", str(hour)).replace("FAULT", fault).replace("NAME", '"mine"')
    (folder / "own.py").write_text(text.replace("MECHANISM", repr(mechanism)))
    return simulate(written(folder, HEAD + TARIFF + stages + MEMBERS), START, 1, ledger=ledger)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(("stages", "mechanism"), [(AHEAD, "fixed"), (POOL, "sdr")], ids=["ahead", "after"])
def test_one_slot_stays_without_trade_and_the_others_go_on(
    tmp_path: Path, stages: str, mechanism: str, fault: str
) -> None:
    code, sentence = FAULTS[fault]
    whole = day(tmp_path / "whole", stages, mechanism, -1, code)
    broken = day(tmp_path / "broken", stages, mechanism, 13, code)
    noon = broken.slots["local"].dt.hour() == 13
    (reason,) = broken.uncleared
    assert sentence in reason
    assert whole.uncleared == ()
    assert whole.slots.filter(noon)["local_wh"].sum() > 0
    assert broken.slots.filter(noon)["local_wh"].sum() == 0
    here = noon.to_numpy()
    for name, values in whole.arrays.items():
        assert np.array_equal(values[:, ~here], broken.arrays[name][:, ~here]), name
    assert np.array_equal(broken.arrays["grid"][:, here], broken.arrays["net"][:, here])
    clearings, checks, holding = broken.proofs
    assert (clearings, checks - holding) == (24, 1)
    for result in (whole, broken):
        result.close()


def test_the_same_fault_in_many_slots_is_one_finding_and_prints_nothing_to_stdout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = FAULTS["a broken promise"][0]
    result = day(tmp_path / "day", POOL, "sdr", 13, f'pass\n            print("why"); {broken}')
    assert len(result.uncleared) > 1
    found = [each for each in findings(result) if "without local trade" in each]
    first = datetime.fromtimestamp(result.not_cleared[0]["slot"], ZoneInfo(result.community.timezone))
    reason, when = result.uncleared[0].removesuffix("."), f"{first:%Y-%m-%d %H:%M} CEST"
    told = f"The market: {many(len(result.uncleared), 'slot')} without local trade: {reason}; first at {when}."
    assert found == [told]
    assert capsys.readouterr().out == ""
    result.close()


def test_a_price_beyond_a_limit_is_told_with_the_time_the_member_and_the_price(tmp_path: Path) -> None:
    dear = (
        "trades = outcomes[place].trades; outcomes[place] = replace(outcomes[place], "
        "trades=Trades(trades.buyer, trades.seller, trades.wh, trades.price + 900_000))"
    )
    result = day(tmp_path / "day", POOL, "sdr", 11, dear)
    (found,) = [each for each in findings(result) if "without local trade" in each]
    (note,) = result.not_cleared
    community = result.community
    member, price, limit = (note[name] for name in ("member", "price", "limit"))
    assert price > limit == int(result.prices.ceiling.max())
    assert f"it is at {START} 11:00 CEST, of {community.members[member].id}: {community.told(price)} per kWh" in found
    assert found.endswith(f"where its limit is {community.told(limit)}.")
    assert "by an amount per kWh beyond a member's price limit" in found
    result.close()


def test_only_the_commonest_reasons_are_told(tmp_path: Path) -> None:
    result = day(tmp_path / "day", POOL, "sdr", 13, "pass\n            raise ValueError(str(frame.starts[0]))")
    found = [each for each in findings(result) if "without local trade" in each]
    assert len(found) == 4
    assert found[-1] == "The market: 21 slots more without local trade, for other reasons; the journal has them."
    result.close()


def test_the_journal_says_it_and_every_bill_still_proves_itself(tmp_path: Path) -> None:
    with short_days(7):
        result = day(tmp_path / "day", AHEAD + AFTER, "fixed", 13, FAULTS["a broken promise"][0], ledger="embedded")
    (entry,) = [row for row in result.books.store.rows(tables.journal) if row.what == "not cleared"]
    detail = json.loads(entry.detail)
    assert (detail["mechanism"], detail["slot"]) == ("mine", int(result.period.starts[13 - 7]))
    assert detail["reason"] == result.uncleared[0]
    assert result.books.client
    # The pool shares in that slot what the gate could not.
    assert result.slots.filter(result.slots["local"].dt.hour() == 13)["local_wh"].sum() > 0
    for bill in proven(result.books, result.bills):
        verify_bill(bill, result.books.client)
    result.close()


def test_where_agents_cannot_agree_each_home_lives_with_the_utility(tmp_path: Path) -> None:
    own = (
        "from dataclasses import replace\n"
        "from commonwatt.market import find\n"
        "def rule(frame, inputs, parameters):\n"
        '    raise ValueError("no agreement")\n'
        'MINE = replace(find("bilateral"), name="mine", rule=rule)\n'
    )
    (tmp_path / "own.py").write_text(own)
    stages = '\n[market.own]\nmechanism = "own.py:MINE"\ngate = "12:00"\n'
    result = simulate(written(tmp_path, HEAD + TARIFF + stages + AFTER + MEMBERS), START, 1, ledger="none")
    plain = tmp_path / "plain"
    plain.mkdir()
    alone = simulate(written(plain, HEAD + TARIFF + AFTER + MEMBERS), START, 1, ledger="none")
    assert set(result.uncleared) == {f"{tmp_path / 'own.py'} cannot be run: ValueError: no agreement (line 4)."}
    assert not result.arrays["ahead"].any()
    assert np.array_equal(result.arrays["net"], alone.arrays["net"])
    assert np.array_equal(result.arrays["credit"], alone.arrays["credit"])
    for each in (result, alone):
        each.close()


def test_a_broken_promise_carries_mechanism_slot_and_check() -> None:
    mechanism = find("sdr")
    frame = Frame(np.array([900]), np.array([0]), 0.25, 2, np.array([300_000]), np.array([80_000]))
    greedy = Positions(np.array([500, -500]), np.array([300_000, 300_000]), np.array([0, 0]))

    def rule(*given: Any) -> Any:
        (outcome,) = mechanism.rule(*given)
        return (replace(outcome, trades=replace(outcome.trades, wh=outcome.trades.wh + 1)),)

    with pytest.raises(PromiseBroken) as caught:
        replace(mechanism, rule=rule).clear(frame, (greedy,))
    broken = caught.value
    assert (broken.mechanism, broken.slot, broken.check, broken.figure) == ("sdr", 900, "declared", 2)
    assert isinstance(broken, MarketError)
    assert "Wh traded beyond what was declared" in str(broken)
