"""What was posted is found again in the store, whole: so excerpts and answers are the same after any restart."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from exchange_cases import COMMUNITY, START, short_days, written
from plant_owners import TEXT as PLANTS

from commonwatt.errors import StoreError
from commonwatt.exchange.answers import answers
from commonwatt.exchange.checking import load
from commonwatt.exchange.excerpt import excerpt
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.outbox import Outgoing
from commonwatt.exchange.states import Posted, Settled
from commonwatt.simulation.simulation import Simulation

LATE = COMMUNITY + '\n[simulation]\nlate = "30 %"\nsilent = "10 %"\n'


class Recording(Exchange):
    """Keeps what it stated."""

    def __init__(self, *arguments: Any) -> None:
        self.stated_ = dict[tuple[int, int], Posted]()
        super().__init__(*arguments)

    def stated(self, settled: Settled) -> tuple[Settled, Outgoing | None]:
        posted, message = super().stated(settled)
        assert isinstance(posted, Posted)
        self.stated_[posted.post.slot, posted.post.revision] = posted
        return posted, message


@pytest.mark.parametrize("text", [COMMUNITY, PLANTS, LATE], ids=["plain", "plants", "late"])
def test_excerpts_and_answers_are_the_same_after_a_restart(tmp_path: Path, text: str) -> None:
    file, day = written(tmp_path, text), date.fromisoformat(START)
    with short_days():
        simulation = Simulation(load(file), tmp_path, day, 1, out=tmp_path / "out", engine=Recording)
        simulation.run()
        before = simulation.exchange
        assert isinstance(before, Recording)
        shown = {key: [_shown(posted, member, before) for member in range(before.rules.members)]
                 for key, posted in before.stated_.items()}  # fmt: skip
        simulation.close()
        simulation = Simulation(load(file), tmp_path, day, 1, out=tmp_path / "out")
    again = opened(simulation)
    assert len(shown) >= 8
    for (slot, revision), own in shown.items():
        posted = again.recalled(slot, revision)
        assert [_shown(posted, member, again) for member in range(again.rules.members)] == own
    simulation.close()


def _shown(posted: Posted, member: int, exchange: Exchange) -> tuple[object, ...]:
    mandate = exchange.mandates[member]
    return excerpt(posted, member, mandate, exchange.client), tuple(answers(posted, member, mandate))


def opened(simulation: Simulation) -> Exchange:
    assert isinstance(simulation.exchange, Exchange)
    return simulation.exchange


def test_what_was_never_posted_and_what_was_changed_since_is_told(tmp_path: Path) -> None:
    file, day = written(tmp_path, COMMUNITY), date.fromisoformat(START)
    with short_days():
        simulation = Simulation(load(file), tmp_path, day, 1, out=tmp_path / "out")
        simulation.run()
    exchange = opened(simulation)
    slot = int(exchange.rules.period.starts[3])
    with pytest.raises(StoreError, match=f"no post for slot {slot}, revision 1"):
        exchange.recalled(slot, 1)
    with exchange.store.transaction() as connection:
        connection.exec_driver_sql(f"UPDATE trades SET price = price + 1 WHERE slot = {slot} AND number = 0")  # noqa: S608
    with pytest.raises(StoreError, match=f"accounts of slot {slot}, revision 0, are not those that were posted"):
        exchange.recalled(slot, 0)
    simulation.close()
