"""The exchange on a chain of its own in another process, whose time is set or goes by its own clock."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from commands import Commands
from exchange_cases import COMMUNITY, START, exchange_of, short_days, written
from ledger_cases import SOAK
from node_processes import free_port
from solo_cases import Clock, running, sealing

from commonwatt.errors import LedgerError, NodeError, StoreError
from commonwatt.exchange import founding, ledger_rows, tables
from commonwatt.exchange.events import GateClosure, SlotEnd
from commonwatt.exchange.founding import genesis_of
from commonwatt.exchange.loading import load
from commonwatt.exchange.states import Missed
from commonwatt.exchange.store import Store, set_values
from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.network.operator import operator_token, operator_url
from commonwatt.ledger.remote import RemoteNode
from commonwatt.member.verify import open_and_verify
from commonwatt.proof import checksum_address, keccak
from commonwatt.report.outputs import write_outputs
from commonwatt.service.children import Child, chain
from commonwatt.service.health import Patience
from commonwatt.simulation.api import simulate
from commonwatt.simulation.keys import simulated_keys
from commonwatt.simulation.result import Result
from commonwatt.simulation.simulation import Simulation, parties

BEFORE = 3600
SOAK_KILLS = 20


@pytest.fixture(scope="module", autouse=True)
def _short() -> Iterator[None]:
    with short_days():
        yield


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("day"), COMMUNITY)


def told(result: Result) -> dict[str, Any]:
    """What a day comes to, but for what names the chain that it is on."""
    exchange = exchange_of(result)
    posts = [
        (at, each.post.slot, each.post.revision, each.deltas) for at, each in ledger_rows.read_posts(exchange.store)
    ]
    bills = [[each[name] for name in ("charges", "total", "withoutMarket")] for each in result.bills.contents]
    return {"balances": exchange.client.balances().tolist(), "posts": posts, "bills": bills}


def test_a_day_on_a_chain_whose_time_is_set_ends_as_on_the_embedded_one(
    file: Path, run: Result, tmp_path: Path, commands: Commands
) -> None:
    operator = simulated_keys(run.rules.community).operator.address
    port, begun = free_port(), run.rules.events[0].at - BEFORE
    folder, out = tmp_path / "own", tmp_path / "out"
    options = ["--community", str(file), "--operator", checksum_address(operator), "--begin", str(begun)]
    with running(commands, folder, *options, "--settable", port=port) as (url, _):
        day = Simulation(
            load(file), file.parent, date.fromisoformat(START), 1, ledger=operator_url(port), out=out,
            token=operator_token(folder),
        )  # fmt: skip
        result = day.run()
        assert told(result) == told(run)
        assert result.ledger
        assert run.ledger
        assert (result.ledger.blocks, result.ledger.transactions) == (
            run.ledger.blocks,
            run.ledger.transactions,
        )
        write_outputs(result, out)
        result.close()
        # Whoever has no token reads at the wallets' door.
        for bill in sorted((out / "bills").glob("*.json")):
            assert open_and_verify(bill, [url])[0].lines > 0
        head = EmbeddedChain(folder / "ledger.sqlite", read_only=True)
        with closing(head), closing(RemoteNode(url)) as node:
            assert node.head == head.head
        with pytest.raises(LedgerError, match="goes by its own clock"):
            simulate(file, START, 1, ledger=url)


@contextmanager
def dying(folder: Path, port: int, times: int) -> Iterator[list[int]]:
    """A settable chain that is killed again and again, and kept running; the numbers of those that died."""
    died: list[int] = []
    rng, loop = random.Random(11), asyncio.new_event_loop()  # noqa: S311

    async def keep() -> None:
        child = Child(chain(folder, port, ["--settable"], Patience(first=0.05)), lambda _: None)
        running = asyncio.create_task(child.run())
        try:
            for _ in range(times):
                await child.ready()
                await asyncio.sleep(rng.uniform(0.02, 0.2))
                assert child.pid
                died.append(child.pid)
                os.kill(child.pid, signal.SIGKILL)
                starts = child.told.starts
                while child.told.starts == starts:
                    await asyncio.sleep(0.01)
            await running
        finally:
            running.cancel()
            await asyncio.wait([running])

    def work() -> None:
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    task = loop.create_task(keep())
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield died
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.close()


def test_a_day_whose_chain_is_killed_again_and_again_ends_as_any_other(file: Path, run: Result, tmp_path: Path) -> None:
    operator, port = simulated_keys(run.rules.community).operator.address, free_port()
    folder, begun = tmp_path / "own", run.rules.events[0].at - BEFORE
    folder.mkdir()
    EmbeddedChain(folder / "ledger.sqlite", genesis_of(run.rules.community, operator, begun)).close()
    with dying(folder, port, SOAK_KILLS if SOAK else 4) as died:
        day = Simulation(
            load(file),
            file.parent,
            date.fromisoformat(START),
            1,
            ledger=operator_url(port),
            token=operator_token(folder),
        )
        with closing(day):
            assert told(day.run()) == told(run)
        assert died


WINDOW = COMMUNITY + '\n[ledger]\nwindow = "2h"\n'


class Live:
    """A day on a chain that goes by a clock, to which each event comes when the clock has reached it."""

    def __init__(self, folder: Path, url: str, chain: EmbeddedChain, clock: Clock) -> None:
        self.folder, self.url, self.chain, self.clock = folder, url, chain, clock

    def begin(self) -> Simulation:
        start = date.fromisoformat(START)
        return Simulation(
            load(written(self.folder, WINDOW)), self.folder, start, 1, ledger=self.url, out=self.folder / "out"
        )

    def advance(self, day: Simulation) -> bool:
        event = exchange_of(day).next
        if event is None:
            return False
        self.clock.now = max(self.clock.now, event.at)
        day.advance()
        assert self.chain.head.timestamp <= self.clock.now
        return True

    def end(self, day: Simulation) -> list[int]:
        """The balances when the last window is over."""
        exchange = exchange_of(day)
        while self.advance(day):
            pass
        with pytest.raises(LedgerError, match="bills are anchored when all posts are final"):
            exchange.anchor(keccak(b"bills"))
        while exchange.outbox.pending:  # a post expires when nobody looks for longer than its grace
            self.clock.now += 600
            exchange.outbox.finalise_due(0)
        exchange.anchor(keccak(b"bills"))
        return [int(lanes) for lanes in exchange.client.balances()]


@pytest.fixture
def live(run: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    community = load(written(tmp_path, WINDOW))
    operator = simulated_keys(community).operator.address
    clock = Clock(run.rules.events[0].at - BEFORE)
    with EmbeddedChain(None, genesis_of(community, operator, clock.now)) as chain, sealing(chain, clock) as url:
        open_node = founding.open_node
        # The simulation does not know that this driver waits for the clock.
        monkeypatch.setattr(founding, "open_node", lambda *given, **__: open_node(*given, live=True))
        yield Live(tmp_path, url, chain, clock)


def test_a_day_on_a_chain_that_goes_by_its_own_clock_ends_with_the_same_balances(run: Result, live: Live) -> None:
    with closing(live.begin()) as day:
        assert not exchange_of(day).client.node.settable
        assert live.end(day) == exchange_of(run).client.balances().tolist()


def test_an_empty_store_founds_no_second_community_on_a_chain_with_settled_slots(live: Live) -> None:
    with closing(live.begin()) as day, closing(Store(None)) as store:
        exchange = exchange_of(day)
        keys = simulated_keys(exchange.rules.community)
        with store.transaction() as connection:
            set_values(connection, {"genesis": str(live.clock.now)})

        def found() -> None:
            operators = [keys.operator.address]
            again = founding.open_ledger(
                store, exchange.rules, live.url, None, [keys.operator], operators, parties(keys), live=True
            )
            assert again.client.domain.contract != exchange.client.domain.contract
            again.node.close()

        found()  # as where one that was killed left no word of it in the store
        while not isinstance(exchange.next, SlotEnd):
            live.advance(day)
        live.advance(day)
        blocks = live.chain.head.number
        with pytest.raises(StoreError, match="restore a backup"):
            found()
        assert live.chain.head.number == blocks


class Killed(Exception):
    """The exchange dies here."""


def test_slots_that_the_chain_was_not_told_of_come_into_one_block_when_the_exchange_is_started_anew(
    run: Result, live: Live
) -> None:
    with closing(live.begin()) as day:
        exchange = exchange_of(day)
        while not isinstance(exchange.next, SlotEnd):
            live.advance(day)
        with pytest.raises(Killed):
            _die_in_a_backlog(live, day, 3)
        before = exchange.client.node.head.number
    with closing(live.begin()) as day:
        blocks = [live.chain.block(number) for number in range(before + 1, live.chain.head.number + 1)]
        # A busy machine may take so long between two of them that the first ones are in a block already.
        assert len(blocks) <= 2
        assert sum(len(block.transactions) for block in blocks) == 3
        assert len(exchange_of(day).outbox.pending) == 3
        assert live.end(day) == exchange_of(run).client.balances().tolist()


def _die_in_a_backlog(live: Live, day: Simulation, slots: int) -> None:
    with exchange_of(day).outbox.together():
        for _ in range(slots):
            live.advance(day)
        raise Killed


# An exchange that was down for a while


def test_slots_that_began_before_the_chain_was_told_of_their_gate_are_missed(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = live.begin()
    gate = exchange_of(day).next
    assert isinstance(gate, GateClosure)
    starts = gate.slots.starts.tolist()
    live.clock.now = gate.at
    with monkeypatch.context() as patch:
        patch.setattr(exchange_of(day).outbox, "commit", _gone)
        with pytest.raises(NodeError):
            day.advance()
    day.close()
    live.clock.now = starts[2] + 60
    for _ in range(2):  # started anew once more, it finds what it left
        day = live.begin()
        exchange = exchange_of(day)
        known = [exchange.client.commitment(slot) is None for slot in starts]
        assert known == [True] * 3 + [False] * 5
        assert [isinstance(exchange.committed[slot], Missed) for slot in starts] == known
        assert [bool(exchange.store.rows(tables.trades, slot=slot)) for slot in starts[:3]] == [False] * 3
        day.close()
    day = live.begin()
    live.end(day)
    assert [row.slot for row in day.store.rows(tables.posts)] == starts[3:]
    missed = [row.detail for row in day.store.rows(tables.journal) if row.what == "not committed in time"]
    assert [json.loads(detail)["slots"] for detail in missed] == [3]
    day.close()


def _gone(*_: object) -> None:
    raise NodeError("http://gone", "does not answer")
