import json
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.study.saini.case import Case, Storage, read_case, read_json, wh
from commonwatt.study.saini.findings import Inconsistency
from commonwatt.study.saini.market import clear, deals, rounded, truncated
from commonwatt.study.saini.study import SainiStudy, annuity, as_json, grid_cost, investment_cost, run, store_behind
from commonwatt.units import MICRO, micro, payment

EXPECTED = read_json("expected.json")
PRINTED, CONSISTENT, TOLERANCE = EXPECTED["printed"], EXPECTED["consistent"], EXPECTED["tolerance"]
HALF = micro(TOLERANCE["synthetic_rs"])


@pytest.fixture(scope="module")
def study() -> SainiStudy:
    return run()


@pytest.fixture(scope="module")
def case() -> Case:
    return read_case()


def finding(study: SainiStudy, word: str) -> Inconsistency:
    (found,) = [one for one in study.inconsistencies if word in one.sentence]
    assert found.confirmed
    return found


def test_all_trades_of_table_5_in_the_printed_order(study: SainiStudy) -> None:
    printed = [(hour, seller, buyer, wh(kwh)) for hour, seller, buyer, kwh, _ in PRINTED["table5"]]
    assert [(*row.ours.key, row.ours.wh) for row in study.trades] == printed


def test_prices_of_table_5_are_truncated_and_one_is_wrong(study: SainiStudy) -> None:
    assert [row.ours.money for row in study.trades] == [micro(rs) for rs in CONSISTENT["table5_price_rs"]]
    assert study.truncated == CONSISTENT["prices_as_printed"]["truncated"]
    assert study.rounded == CONSISTENT["prices_as_printed"]["rounded"]
    (wrong,) = [row for row in study.trades if row.printed.money != row.ours.money]
    assert wrong.printed.key == ("12:00", "P1", "C3")
    implied = wh(CONSISTENT["table5_1200_implied_kwh"])
    assert payment(implied, micro("2.10")) == wrong.printed.money
    assert finding(study, "12:00").figures["implied_wh"] == implied


def test_table_6_agrees_in_all_cells_but_one(study: SainiStudy) -> None:
    for pair in study.pairs:
        assert pair.ours == wh(CONSISTENT["table6_kwh"][pair.seller][pair.buyer])
    assert [(pair.seller, pair.buyer) for pair in study.pairs if pair.ours != pair.printed] == [("P1", "C1")]
    assert sum(pair.ours for pair in study.pairs) == wh(CONSISTENT["total_kwh"])


def test_table_7_from_our_clearing(study: SainiStudy) -> None:
    for row in study.bills:
        for part, rs in CONSISTENT["table7_rs"][row.user].items():
            assert abs(getattr(row.ours, part) - micro(rs)) <= HALF, (row.user, part)
        assert row.ours.net == row.ours.parts


def test_the_synthetic_day_gives_the_columns_it_was_chosen_for(study: SainiStudy, case: Case) -> None:
    synthetic = CONSISTENT["synthetic"]
    for row in study.bills:
        assert abs(row.ours.scenario1 - micro(synthetic["scenario1_rs"][row.user])) <= HALF
        assert abs(row.ours.grid - micro(synthetic["grid_rs"].get(row.user, "0"))) <= HALF
    assert study.mean_synthetic_price == micro(synthetic["mean_price_rs_per_kwh"]) == case.average
    for user, daily in synthetic["daily_demand_kwh"].items():
        assert abs(sum(case.day.demand[user]) - micro(daily)) <= HALF


def test_the_synthetic_day_holds_the_demand_of_the_traded_hours(case: Case) -> None:
    for slot in case.slots:
        if case.window[0] <= slot.hour < case.window[1]:
            for user, energy in slot.demand.items():
                assert case.day.demand[user][int(slot.hour[:2])] == energy * 1000


def test_the_budget_closes_in_ours_and_not_in_the_printed_table(study: SainiStudy) -> None:
    energies = [wh(kwh) for *_, kwh, _ in PRINTED["table5"]]
    assert study.paid == study.received == sum(energies) * micro("2.10") // 1000
    assert sum(row.exact for row in study.trades) == study.paid
    assert sum(row.ours.peers + row.ours.operating for row in study.bills) == 0
    assert finding(study, "go nowhere").figures["gap"] == micro(CONSISTENT["budget_gap_printed_rs"])
    assert finding(study, "go nowhere").figures["consistent"] == study.paid


def test_the_mechanism_proves_every_hour(study: SainiStudy) -> None:
    assert len(study.proofs) == 10
    for proof in study.proofs:
        assert proof.holds
        assert {"energy", "declared", "payments", "rational"} <= proof.figures.keys()
        assert not any(proof.figures.values())


def test_both_readings_of_fill_give_the_printed_trades_and_one_hour_tells_them_apart(study: SainiStudy) -> None:
    partial, full, mixed = study.readings
    assert (partial.rows_as_printed, full.rows_as_printed) == (21, 21)
    assert not partial.others
    assert not full.others
    assert mixed.fill == "partial"
    assert {deal.hour for deal in mixed.others} == {"09:00"}
    assert mixed.rows_as_printed == 19


def test_offers_outside_the_rules_are_refused_by_the_mechanism(study: SainiStudy, case: Case) -> None:
    reasons = [refusal.reason for refusal in study.refusals]
    assert (reasons.count("below 0.5 kW"), reasons.count("starts outside 09:00 to 17:00")) == (6, 2)
    sellers = {(row.ours.hour, row.ours.seller) for row in study.trades}
    assert not sellers & {(refusal.hour, refusal.seller) for refusal in study.refusals}
    offers = sum(1 for slot in case.slots for energy in slot.surplus.values() if energy)
    admitted = sum(int(clearing.diagnostics.get("sellers", 0)) for clearing in clear(case, case.slots))
    assert admitted == offers - len(study.refusals)
    assert len(study.extra_without_rules) == 3


def test_energy_is_conserved_in_every_hour(case: Case) -> None:
    for slot in case.slots:
        (clearing,) = clear(case, [slot])
        net = sum(slot.demand.values()) - sum(slot.surplus.values())
        assert int(clearing.grid.sum()) == net
        for deal in deals(case, [slot], [clearing]):
            assert deal.wh <= min(slot.surplus[deal.seller], slot.demand[deal.buyer])


def test_what_does_not_fit_together(study: SainiStudy) -> None:
    assert all(found.confirmed for found in study.inconsistencies)
    assert len(study.inconsistencies) == 9
    assert finding(study, "by parts").figures == {"P2_parts": micro(CONSISTENT["table7_rs"]["P2"]["net"])}
    peers = finding(study, "which is 3.7667 kWh").figures
    for user, kwh in CONSISTENT["peer_energy_implied_kwh"].items():
        assert peers[f"{user}_implied_kwh"] == pytest.approx(kwh, abs=5e-5)
    displaced = finding(study, "cheaper").figures
    assert displaced == pytest.approx(CONSISTENT["displaced_price_rs_per_kwh"], abs=TOLERANCE["rs_per_kwh"])
    on_chain = finding(study, "on the chain").figures.values()
    mean = CONSISTENT["chain_price_rs_per_kwh"]
    assert sum(on_chain) / len(on_chain) == pytest.approx(mean, abs=TOLERANCE["rs_per_kwh"])
    errors = finding(study, "RMSE").figures
    assert errors == {"rows": 7, "rmse_is_not_root_of_mse": 7, "mae_above_rmse": 3}


@pytest.mark.parametrize("row", CONSISTENT["annuity"], ids=lambda row: f"{row['rate']}-{row['years']}")
def test_annuity_and_the_stores_behind_the_printed_costs(row: dict[str, Any], case: Case) -> None:
    close = {"rel": TOLERANCE["annuity_relative"]}
    assert annuity(row["rate"], row["years"]) == pytest.approx(row["daily_factor"], **close)
    for hours, energies in row["energy_kwh_by_hours"].items():
        storage = Storage(case.storage.energy_cost, case.storage.power_cost, row["rate"], row["years"], float(hours))
        for user, energy in energies.items():
            printed = float(PRINTED["table7_rs"][user]["investment"])
            found = store_behind(user, printed, storage)
            assert found.capital_rs == pytest.approx(row["capital_rs"][user], abs=0.5)
            assert found.energy_kwh == pytest.approx(energy, abs=1e-4)
            assert investment_cost(found.energy_kwh, found.power_kw, storage) == pytest.approx(printed)


@given(st.integers(0, 10**9), st.integers(0, 10**7))
def test_truncation_loses_less_than_a_thousandth_and_rounding_half_of_it(energy: int, price: int) -> None:
    exact = payment(energy, price)
    assert 0 <= exact - truncated(exact) < 1000
    assert abs(rounded(exact) - exact) <= 500
    assert truncated(exact) % 1000 == rounded(exact) % 1000 == 0
    assert truncated(truncated(exact)) == truncated(exact)


@given(st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**7)), max_size=24))
def test_grid_cost_is_the_exact_sum_rounded_down_once(day: list[tuple[int, int]]) -> None:
    price, demand = [p for p, _ in day], [d for _, d in day]
    exact = sum((Fraction(p * d, MICRO) for p, d in day), Fraction(0))
    assert 0 <= exact - grid_cost(price, demand) < 1


def test_the_study_is_plain_json(study: SainiStudy) -> None:
    again = json.loads(json.dumps(as_json(study)))
    assert again["paid"] == study.paid
    assert again["forgery"]["attempts"] == 0
    assert len(again["trades"]) == len(PRINTED["table5"])
