"""What waits does so on progress, and what it says meanwhile is one line each."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest
from door_cases import Door
from network_cases import GENESIS, MEMBERS

from commonwatt.ledger.network import verbs
from commonwatt.ledger.network.consensus.pow import Pow
from commonwatt.ledger.network.driver import Driver
from commonwatt.ledger.network.machine import Machine
from commonwatt.ledger.network.running import one_line
from commonwatt.ledger.network.tree import Tree
from commonwatt.ledger.network.wire import Wire


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("peer 0x12 joined", "peer 0x12 joined"),
        ("no: 00:00:00\n12:00:00 sealed block 5", r"no: 00:00:00\n12:00:00 sealed block 5"),
        ("\x1b[2J\r\x07", r"\x1b[2J\r\x07"),
        ("caf\u00e9 \u202e\u2028\ud800", "caf\u00e9 \\u202e\\u2028\\ud800"),
    ],
)
def test_what_others_wrote_stays_in_its_line(line: str, shown: str) -> None:
    assert one_line(line) == shown


def test_a_seal_that_takes_long_is_said_to_be_searched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verbs, "_PATIENCE", 0.2)
    machine = Machine(Tree(None, GENESIS, Pow(period=10, first_target=1)), MEMBERS[0], lambda _: None)
    machine.sealing = False
    with Door(Driver(machine, Wire(MEMBERS[0], machine.tree.genesis), set(), [], lambda _: None)) as door:
        answer = door.post("/mine_block")
    assert (answer.status_code, answer.json()) == (
        202,
        {"message": "The seal of the next block is still searched for."},
    )


def test_whoever_waits_does_so_as_long_as_there_is_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks come one by one, all together in many times what is waited for one."""
    monkeypatch.setattr(verbs, "_PATIENCE", 0.05)
    blocks = count()
    asyncio.run(verbs._until(lambda: next(blocks) > 60, lambda: next(blocks)))
    assert next(blocks) > 60
    stuck = count()
    asyncio.run(verbs._until(lambda: next(stuck) < 0, lambda: "the same head"))
    assert next(stuck) > 1
