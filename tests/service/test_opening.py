"""A living exchange is found again in its folder, however long ago its first day was."""

from __future__ import annotations

from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import pytest
from exchange_cases import AFTER, AHEAD, HEAD, MEMBERS, TARIFF

from commonwatt.community.calendar import local_midnight
from commonwatt.errors import StoreError
from commonwatt.exchange import tables
from commonwatt.exchange.founding import claim_living
from commonwatt.exchange.loading import load
from commonwatt.exchange.store import add, set_values
from commonwatt.service.opening import OWN, Plan, plan

FIRST = date(2026, 6, 15)


def planned(folder: Path, now: date) -> Plan:
    file = folder / "community.toml"
    file.write_text(HEAD + TARIFF + AHEAD + AFTER + MEMBERS, "utf-8")
    community = load(file)
    return plan(community, folder, folder / "box", local_midnight(now, community.timezone), None, None)


@pytest.mark.parametrize("later", [date(2026, 6, 16), date(2026, 7, 30)])
def test_it_starts_again_however_long_ago_its_first_day_was(tmp_path: Path, later: date) -> None:
    first = planned(tmp_path, FIRST)
    with closing(first.store) as store:
        claim_living(store, first.rules, OWN, tmp_path, first.begin, first.start)
        with store.transaction() as connection:
            set_values(connection, {"settlement": "11" * 20})  # it has been founded, and has settled until then
            add(connection, tables.settled, [(local_midnight(later, "Europe/Berlin") - 3600, 0)])
    again = planned(tmp_path, later)
    with closing(again.store) as store:
        assert (again.start, again.begin) == (FIRST, first.begin)
        assert again.rules.start == max(FIRST, later - timedelta(days=8))
        claim_living(store, again.rules, OWN, tmp_path, again.begin, again.start)
        with pytest.raises(StoreError, match="holds another run"):
            claim_living(store, again.rules, "http://elsewhere", tmp_path, again.begin, again.start)
