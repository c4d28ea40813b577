"""A community is served before anybody has joined it: its slots end, and whoever comes finds a market that goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path

from lived_cases import HILL
from solo_cases import Clock, sealing

from commonwatt.exchange import rows
from commonwatt.exchange.founding import genesis_of
from commonwatt.exchange.live import Live
from commonwatt.exchange.loading import load
from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.keyfile import new_key, write_key
from commonwatt.service.opening import Founders, open_live, plan

NOW = 1_781_510_460
"""A minute after 2026-06-15 08:00 UTC."""
SLOT = 900
COMMUNITY = (
    HILL
    + """
[market.real_time]
mechanism = "sdr"
"""
)


@contextmanager
def opened(folder: Path, url: str, now: int) -> Iterator[Live]:
    community = load(folder / "hill.toml")
    planned = plan(community, folder, folder / "box", now, date(2026, 6, 15), None)
    with closing(planned.store):
        live = open_live(planned, Founders.named(community, (), folder / "box"), folder / "box", url, "", demo=False)
        with closing(live.exchange.client.node):  # type: ignore[type-var]
            yield live


def test_slots_of_a_community_without_members_end_also_after_a_restart(tmp_path: Path) -> None:
    (tmp_path / "hill.toml").write_text(COMMUNITY, "utf-8")
    (tmp_path / "box").mkdir()
    key, clock = new_key(), Clock(NOW)
    write_key(tmp_path / "box" / "operator.key", key)
    genesis = genesis_of(load(tmp_path / "hill.toml"), key.address, NOW)
    with EmbeddedChain(None, genesis) as chain, sealing(chain, clock) as url:
        for life in range(2):
            with opened(tmp_path, url, NOW + 4 * life * SLOT) as live:
                for now in range(NOW + 4 * life * SLOT, NOW + 4 * (life + 1) * SLOT, SLOT // 3):
                    clock.now = max(clock.now, now)
                    live.advance(now)
                    assert live.behind == ""
                assert rows.last_ended(live.store) >= NOW + (4 * life + 1) * SLOT
                assert live.exchange.outbox.pending == []
