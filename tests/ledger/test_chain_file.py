"""The chain's file: killed writers, second writers, readers, damage, a full disk."""

from __future__ import annotations

import itertools
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from ledger_cases import ALICE, BOB, GENESIS, SOAK, transfer

from commonwatt.errors import LedgerError
from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.chain.store import Store
from commonwatt.proof import keccak

Open = Callable[..., EmbeddedChain]

_RECEIVERS = [bytes([number]) * 20 for number in range(0x20, 0x24)]


def _grow(chain: EmbeddedChain) -> None:
    nonce = chain.nonce(ALICE.address)
    for offset, receiver in enumerate(_RECEIVERS):
        chain.submit(transfer(nonce + offset, to=receiver, wei=10**15))
    chain.seal(chain.head.timestamp + 1)


def _check(chain: EmbeddedChain) -> int:
    """The head is a whole block on a whole chain, and no ether came or went but what the fees burnt."""
    burnt, parent = 0, None
    for number in range(chain.head.number + 1):
        block = chain.block(number)
        assert parent in (None, block.parent)
        assert all(chain.receipt(hash_) for hash_ in block.transactions)
        assert len(block.transactions) == (len(_RECEIVERS) if number else 0)
        burnt += block.gas_used * block.base_fee
        parent = block.hash
    held = sum(map(chain.balance, [ALICE.address, BOB.address, *_RECEIVERS]))
    assert held + burnt == sum(GENESIS.balances.values())
    assert chain.balance(_RECEIVERS[0]) == chain.head.number * 10**15
    return chain.head.number


def _killed(path: Path, live: Callable[[EmbeddedChain], None]) -> None:
    """Run `live` on the chain in a process of its own, which must die by SIGKILL."""
    child = os.fork()
    if not child:
        try:
            live(EmbeddedChain(path))
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def _die() -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 1


def test_a_chain_killed_at_any_moment_ends_with_a_whole_block(path: Path, open_chain: Open) -> None:
    open_chain().close()
    rng, heights = random.Random(7), [0]  # noqa: S311
    for _ in range(25 if SOAK else 8):
        moment = rng.uniform(0.001, 0.25)

        def live(chain: EmbeddedChain, moment: float = moment) -> None:
            timer = threading.Timer(moment, _die)
            timer.start()
            while True:
                _grow(chain)

        _killed(path, live)
        with EmbeddedChain(path) as chain:
            heights.append(_check(chain))
    assert heights == sorted(heights)
    assert heights[-1] > 0  # how many blocks fit before a kill is for the machine to say
    with EmbeddedChain(path) as chain:
        _grow(chain)
        assert _check(chain) == heights[-1] + 1


def test_a_chain_killed_at_any_statement_loses_that_block_only(path: Path, open_chain: Open) -> None:
    statements: list[str] = []
    with open_chain() as chain:
        _grow(chain)
        chain._store._file.set_trace_callback(statements.append)
        _grow(chain)
    writing = [number for number, text in enumerate(statements) if not text.startswith("SELECT")]
    assert len(writing) > 20
    for last in writing:

        def live(chain: EmbeddedChain, last: int = last) -> None:
            count = itertools.count()
            chain._store._file.set_trace_callback(lambda _: next(count) == last and _die())
            _grow(chain)
            _die()

        before = path.read_bytes()
        _killed(path, live)
        with EmbeddedChain(path) as chain:
            assert _check(chain) in (2, 3)
        path.write_bytes(before)


def test_a_killed_process_loses_nothing_that_was_sealed(path: Path, open_chain: Open) -> None:
    open_chain().close()

    def live(chain: EmbeddedChain) -> None:
        for _ in range(3):
            _grow(chain)
        _die()

    _killed(path, live)
    with EmbeddedChain(path) as chain:
        assert _check(chain) == 3


def test_one_process_writes(path: Path, open_chain: Open) -> None:
    first = open_chain()
    _grow(first)
    with pytest.raises(LedgerError, match="is open in another process"):
        EmbeddedChain(path)
    child = os.fork()
    if not child:
        try:
            EmbeddedChain(path)
        except LedgerError as error:
            os._exit(0 if "is open in another process" in str(error) else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    _grow(first)
    first.close()
    assert _check(open_chain()) == 2


def test_a_writer_that_was_overtaken_never_writes_again(path: Path, open_chain: Open) -> None:
    first = open_chain()
    first._store._file.execute("ROLLBACK")  # gives the lock away, as in the instant between two blocks
    with EmbeddedChain(path) as second:
        _grow(second)
    for _ in range(2):
        with pytest.raises(LedgerError, match="was changed by another process"):
            first.seal(5000)
    first.close()
    assert _check(open_chain()) == 1


def test_readers_follow_the_writer(path: Path, open_chain: Open) -> None:
    writer = open_chain()
    _grow(writer)
    reader = open_chain(read_only=True)
    assert _check(reader) == 1
    _grow(writer)
    assert _check(reader) == 2
    assert reader.nonce(ALICE.address) == 8
    with pytest.raises(LedgerError, match="open for reading only"):
        reader.seal(9999)
    writer.close()
    assert _check(reader) == 2


def test_a_chain_is_read_where_nothing_can_be_written() -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "chain.db"
        with EmbeddedChain(path, GENESIS) as chain:
            _grow(chain)
        path.chmod(0o444)
        path.parent.chmod(0o555)
        child = os.fork()
        if not child:
            if os.geteuid() == 0:  # permissions do not bind root
                os.setuid(65534)
            with EmbeddedChain(path, read_only=True) as chain:
                os._exit(0 if _check(chain) == 1 else 2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert [entry.name for entry in path.parent.iterdir()] == ["chain.db"]
        path.parent.chmod(0o755)


def test_other_files_are_no_chains(tmp_path: Path) -> None:
    text, other = tmp_path / "notes.txt", tmp_path / "other.db"
    text.write_text("Not a database, but long enough to be looked at." * 100)
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE things (name)")
    database.close()
    for path, cause in [(text, "file is not a database"), (other, "is not a chain of Commonwatt")]:
        content = path.read_bytes()
        for read_only in (False, True):
            with pytest.raises(LedgerError, match=cause):
                EmbeddedChain(path, GENESIS, read_only=read_only)
        assert path.read_bytes() == content
    with pytest.raises(LedgerError, match="There is no chain"):
        EmbeddedChain(tmp_path / "none.db", read_only=True)
    with pytest.raises(LedgerError, match="unable to open"):
        EmbeddedChain(tmp_path / "none" / "chain.db", GENESIS)


@pytest.mark.parametrize("change", ["value = zeroblob(length(value))", "key = zeroblob(32)"])
def test_damage_is_noticed_when_it_is_read(path: Path, open_chain: Open, change: str) -> None:
    with open_chain() as chain:
        _grow(chain)
        state_root = chain.head.state_root
    with sqlite3.connect(path) as database:
        database.execute(f"UPDATE entries SET {change} WHERE key = ?", (state_root,))  # noqa: S608
    database.close()
    with pytest.raises(LedgerError, match="is damaged"):
        open_chain()


def test_a_torn_file_is_refused(path: Path, open_chain: Open) -> None:
    with open_chain() as chain:
        for _ in range(20):
            _grow(chain)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(LedgerError, match=r"chain\.db"):
        EmbeddedChain(path)


def _fill(chain: EmbeddedChain) -> None:
    for _ in range(50):
        _grow(chain)


def test_a_full_disk_leaves_the_chain_at_its_head(path: Path, open_chain: Open) -> None:
    chain = open_chain()
    _grow(chain)
    (pages,) = chain._store._file.execute("PRAGMA page_count").fetchone()
    chain._store._file.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(LedgerError, match="full"):
        _fill(chain)
    head = chain.head
    assert chain.nonce(ALICE.address) == _check(chain) * len(_RECEIVERS)
    lost = transfer(chain.nonce(ALICE.address), to=_RECEIVERS[0], wei=10**15)
    assert chain.receipt(keccak(lost)) is None
    chain._store._file.execute("PRAGMA max_page_count = 1000000")
    _grow(chain)
    assert chain.head.parent == head.hash
    _check(chain)


@pytest.mark.parametrize("drop", [Store.discard, Store.take])
def test_what_was_read_before_it_was_kept_is_forgotten_with_the_rest(drop: Callable[[Store], object]) -> None:
    store, value = Store(None), b"a header, say"
    key = keccak(value)
    store.put(key, value)
    assert store.get(key) == value
    drop(store)
    assert store.get(key) is None
    store.put(key, value)
    store.commit()
    assert store.get(key) == value
    store.put(key, None)
    assert store.get(key) is None


def test_the_node_is_imported_without_py_evm() -> None:
    code = "import sys, commonwatt.ledger.node, commonwatt.ledger.client.settlement; sys.exit('eth' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
