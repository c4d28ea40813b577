"""Other values by dotted key: what a key means, and what is said of one that means nothing."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.community.overrides import overridden, plain
from commonwatt.community.toml import drafted

VILLAGE: dict[str, Any] = tomllib.loads((Path(__file__).parents[2] / "examples" / "village.toml").read_text("utf-8"))
WITH_BATTERY = {name for name, member in VILLAGE["members"].items() if "battery" in member}


def changed(values: Mapping[str, object], document: dict[str, Any] = VILLAGE) -> dict[str, Any]:
    found, findings = overridden(document, values)
    assert findings == ()
    return found


def told(key: object, value: object = 1) -> str:
    _, findings = overridden(VILLAGE, {key: value})  # type: ignore[dict-item]
    (finding,) = findings
    assert finding.path == str(key)
    return finding.message


def test_a_star_means_those_that_have_what_follows() -> None:
    found = changed({"members.*.battery.kwh": 3.5})
    assert {name for name, member in found["members"].items() if "battery" in member} == WITH_BATTERY
    assert {found["members"][name]["battery"]["kwh"] for name in WITH_BATTERY} == {3.5}


def test_a_star_within_a_name_means_all_that_fit() -> None:
    found = changed({"members.home-1*.annual_kwh": 1000})
    lowered = {name for name, member in found["members"].items() if member["annual_kwh"] == 1000}
    assert lowered == {name for name in found["members"] if name.startswith("home-1")}


def test_tables_with_defaults_are_there_even_when_the_file_leaves_them_out() -> None:
    found = changed({"members.home-01.mandate.max_buy": "0.25", "simulation.late": "1 %", "tariff.vat.name": "USt"})
    assert found["members"]["home-01"]["mandate"] == {"max_buy": "0.25"}
    assert found["simulation"] == {"late": "1 %"}
    assert drafted(found).findings == ()


def test_a_star_passes_over_members_that_have_no_use_for_it() -> None:
    document = deepcopy(VILLAGE)
    document["members"]["watch"] = {"role": "regulator"}
    found = changed({"members.*.mandate.max_buy": "0.25"}, document)
    assert found["members"]["watch"] == {"role": "regulator"}
    assert all("mandate" in member for name, member in found["members"].items() if name != "watch")
    assert drafted(found).findings == ()


def test_none_takes_a_key_out_and_a_mapping_is_a_whole_table() -> None:
    found = changed({"market.day_ahead": None, "members.*.battery": None, "members.new": VILLAGE["members"]["home-02"]})
    assert list(found["market"]) == ["real_time"]
    assert not any("battery" in member for member in found["members"].values())
    assert list(found["members"]) == [*VILLAGE["members"], "new"]
    assert drafted(found).findings == ()


def test_keys_are_taken_one_after_the_other() -> None:
    found = changed({"members.*.battery": {"kwh": 4, "kw": 2}, "members.home-01.battery.kwh": 9})
    assert found["members"]["home-01"]["battery"] == {"kwh": 9, "kw": 2}
    assert found["members"]["home-02"]["battery"] == {"kwh": 4, "kw": 2}


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("members.*.batery.kwh", "there is no 'members.*.batery'; did you mean 'battery'?"),
        ("members.*.battery.kwhh", "is not a key of this table; did you mean 'kwh'?"),
        ("members.ghost.load", "there is no 'members.ghost'; there is 'home-01', "),
        ("members.ghost*.load", "there is no 'members.ghost*'; there is 'home-01', "),
        ("members.home-01.battery.kwh", "there is no 'members.home-01.battery'; give the whole table"),
        ("market.real_tme.mechanism", "there is no 'market.real_tme'; did you mean 'real_time'?"),
        ("tarif.retail", "there is no 'tarif'; did you mean 'tariff'?"),
        ("tariff.retial", "is not a key of this table; did you mean 'retail'?"),
        ("tariff.retail.file", "'tariff.retail' is '0.27' and no table"),
        ("tariff.levies.oil.price", "there is no 'tariff.levies.oil'; there is 'electricity_tax'"),
        ("ledgr", "is not a key of this table; did you mean 'ledger'?"),
        ("", "is no dotted key, such as 'members.*.battery.kwh'"),
        ("members..load", "is no dotted key"),
        (7, "is no dotted key"),
    ],
)
def test_a_key_that_leads_nowhere_is_told(key: object, sentence: str) -> None:
    assert told(key).startswith(sentence)


def test_all_keys_that_lead_nowhere_are_told_at_once() -> None:
    _, findings = overridden(VILLAGE, {"a.b": 1, "tariff.feed_in": "0.05", "members.*.x": 2})
    assert [finding.path for finding in findings] == ["a.b", "members.*.x"]


@given(
    st.sampled_from(
        ["members.*.battery.kwh", "members.home-0*.annual_kwh", "tariff.retail", "ledger.kind", "plants.x"]
    ),
    st.one_of(
        st.none(), st.integers(), st.floats(allow_nan=False), st.text(), st.dictionaries(st.text(), st.integers())
    ),
)
def test_the_tables_that_were_given_stay_as_they_were(key: str, value: object) -> None:
    before = deepcopy(VILLAGE)
    found = changed({key: value})
    assert before == VILLAGE
    assert changed({key: value}, found) == found, "the same values once more change nothing"


def test_values_are_as_toml_would_give_them() -> None:
    given_ = {"a": (np.float64(1.5), np.int64(2)), "b": np.bool_(True)}  # noqa: FBT003
    found = plain(given_)
    assert found == {"a": [1.5, 2], "b": True}
    assert [type(each) for each in (*found["a"], found["b"])] == [float, int, bool]


def test_a_battery_without_capacity_is_none() -> None:
    community = drafted(changed({"members.*.battery.kwh": 0})).community
    assert community is not None
    assert not any(member.battery for member in community.members)
