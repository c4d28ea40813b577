"""Files of chains are executed anew by both, and those that py-evm's own accounts wrote are continued and read back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from eth.db.chain import ChainDB
from network_cases import ALICE, BOB, GENESIS, grow, new_tree, rota, transfer
from oracle import OracleState
from replaying import replayed
from strong_blocks import GENESIS as STRONG
from strong_blocks import Blocks

from commonwatt.ledger.chain import evm
from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.chain.question import QuestionVM
from commonwatt.simulation.api import simulate

pytestmark = pytest.mark.filterwarnings("ignore:SELFDESTRUCT opcode:DeprecationWarning")  # of py-evm's own
VILLAGE = Path(__file__).parents[3] / "examples" / "village.toml"


def test_a_day_of_the_village_is_executed_by_py_evm_to_the_same_headers(tmp_path: Path) -> None:
    simulate(VILLAGE, "2026-06-15", 1, ledger="embedded", out=tmp_path).close()
    assert replayed(tmp_path / "ledger.sqlite") > 100


def test_a_file_of_a_node_is_executed_by_py_evm_to_the_same_headers(tmp_path: Path) -> None:
    """Its blocks pay their sealers, and one branch is left for another."""
    tree = new_tree(rota(paid=3), tmp_path / "node.db")
    other = new_tree(rota(paid=3))
    for number in range(5):
        other.add(grow(tree, transfer(number), transfer(number, key=BOB, to=ALICE.address)), GENESIS.timestamp + 1000)
    grow(tree, transfer(5))
    for _ in range(3):
        tree.add(grow(other, transfer(other.nonce(ALICE.address), wei=7)), GENESIS.timestamp + 1000)
    assert tree.head == other.head
    tree.close()
    assert replayed(tmp_path / "node.db") == 8


def as_py_evm(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on chains are written and read by py-evm's own interpreter, accounts and tries, until it is undone."""
    for vm in (evm._VM, QuestionVM):
        monkeypatch.setattr(vm, "_state_class", OracleState)
    monkeypatch.setattr(evm, "Names", ChainDB)


@pytest.mark.parametrize("seed", range(3))
def test_a_file_has_the_entries_that_py_evm_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    def entries(path: Path) -> dict[bytes, bytes]:
        blocks = Blocks(seed)
        with EmbeddedChain(path, STRONG) as chain:
            for raws in (blocks.first(), blocks.next(), blocks.next()):
                for raw in raws:
                    chain.submit(raw)
                chain.seal(chain.head.timestamp + 1)
        with closing(sqlite3.connect(path)) as file:
            return dict(file.execute("SELECT key, value FROM entries"))

    ours = entries(tmp_path / "ours.db")
    as_py_evm(monkeypatch)
    assert ours == entries(tmp_path / "theirs.db")


def test_a_file_that_py_evms_accounts_wrote_is_continued_and_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, blocks = tmp_path / "chain.db", Blocks(7)

    def grown(raws: list[bytes]) -> bytes:
        with EmbeddedChain(path, STRONG) as chain:
            for raw in raws:
                chain.submit(raw)
            return chain.seal(chain.head.timestamp + 1).hash

    def seen() -> list[object]:
        with EmbeddedChain(path, read_only=True) as chain:
            return [
                chain.head,
                *[
                    (chain.balance(who), chain.nonce(who), chain.code(who), chain.storage(who, range(4)))
                    for who in blocks.accounts()
                ],
                *[
                    chain.receipt(hash_)
                    for number in range(chain.head.number)
                    for hash_ in chain.block(number).transactions
                ],
            ]

    as_py_evm(monkeypatch)
    grown(blocks.first())
    grown(blocks.next())
    old = seen()
    monkeypatch.undo()
    assert seen() == old
    grown(blocks.next())
    assert replayed(path) == 3
    new = seen()
    as_py_evm(monkeypatch)
    assert seen() == new
    grown(blocks.next())
    monkeypatch.undo()
    assert replayed(path) == 4
