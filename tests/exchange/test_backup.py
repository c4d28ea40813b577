"""A backup that is made at any moment of a running day goes on as the day did; damage is noticed before it matters."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import sqlite3
import stat
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from exchange_cases import COMMUNITY, Forks, all_rows, begin, short_days, until, written
from live_cases import Village

from commonwatt.cli import app
from commonwatt.errors import OutputError, StoreError
from commonwatt.exchange import backup
from commonwatt.exchange.backup import restore, save, when
from commonwatt.exchange.store import Store
from commonwatt.ledger.chain import store as chain_store
from commonwatt.records import Reading, Signed

NOW = 1_781_481_600
Delivery = tuple[int, Signed[Reading]]
"""When a reading comes [unix s], and what it is."""
TEXT = COMMUNITY + '\n[ledger]\nwindow = "2h"\n\n[simulation]\nlate = "25 %"\nsilent = "5 %"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of an exchange that nobody works with, and that has some other files."""
    with short_days():
        run = begin(tmp_path / "run")
        for _ in range(4):
            run.advance()
        run.close()
    out = tmp_path / "run" / "out"
    (out / "broker").mkdir()
    (out / "broker" / "mosquitto.db").write_text("sessions")
    (out / "tls").mkdir()
    for name in (
        "operator.key",
        "tls/server.key",
        "tls/server.pem",
        "broker.secret",
        "community.toml",
        "broker.log",
        "ports.json",
    ):
        (out / name).write_text(f"{name} of this exchange")
        (out / name).chmod(0o600)
    (out / "link.pem").symlink_to("/etc/passwd")
    return out


def told(forks: Forks, file: Path, out: Path) -> dict[str, Any]:
    """What a run says and stores at its end."""
    answer = forks({"file": str(file), "out": str(out)})
    assert (answer["killed"], answer["code"]) == (False, 0)
    said: dict[str, Any] = json.loads(out.with_suffix(".json").read_text())
    return {"said": said | {"statements": 0}, "tables": all_rows(out)}


def test_backups_at_random_instants_of_a_running_day_each_go_on_to_the_same_end(forks: Forks, tmp_path: Path) -> None:
    file, chance = written(tmp_path, TEXT), random.Random(7)  # noqa: S311
    expected, made = told(forks, file, tmp_path / "undisturbed"), list[Path]()
    out = tmp_path / "running"
    running = forks({"file": str(file), "out": str(out), "beside": True})
    until((out / "exchange.sqlite").exists)
    while not out.with_suffix(".json").exists():
        time.sleep(chance.random() * 0.2)
        with suppress(StoreError):  # until there is something
            save(out, tmp_path / f"{len(made)}.tar.gz", NOW)
            made.append(tmp_path / f"{len(made)}.tar.gz")
    assert forks(running)["code"] == 0
    assert {
        "said": json.loads(out.with_suffix(".json").read_text()) | {"statements": 0},
        "tables": all_rows(out),
    } == expected
    assert len(made) >= 3
    for one in chance.sample(made, min(len(made), 6)):
        restore(one, tmp_path / one.name.removesuffix(".tar.gz"))
        assert told(forks, file, tmp_path / one.name.removesuffix(".tar.gz")) == expected


@contextmanager
def between(look: Callable[[], None]) -> Iterator[None]:
    """Look after every transaction of the store and every block of the chain."""
    with pytest.MonkeyPatch.context() as patch:
        transaction, commit = Store.transaction, chain_store.Store.commit

        @contextmanager
        def looked_at(self: Store) -> Iterator[Any]:
            with transaction(self) as connection:
                yield connection
            look()

        def sealed(self: chain_store.Store) -> None:
            commit(self)
            look()

        patch.setattr(Store, "transaction", looked_at)
        patch.setattr(chain_store.Store, "commit", sealed)
        yield


class Remembering(Village):
    """Its meters keep what they sent, and send all of it again to whoever goes on from a backup."""

    now = 0

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder, seed=seed)
        self.arrived: list[Delivery] = []

    def _arrive(self, arrived: list[Signed[Reading]], now: int) -> None:
        self.now = now
        self.arrived += [(now, signed) for signed in arrived]
        super()._arrive(arrived, now)


def late(slot: int, home: int) -> int:
    """How late a reading comes [s]."""
    return 0 if (slot // 3600 + home) % 3 else 1800 + 3600 * home


@pytest.mark.parametrize("seed", range(3))
def test_a_living_exchange_goes_on_from_a_backup_between_any_two_of_its_steps(tmp_path: Path, seed: int) -> None:
    village, chance = Remembering(tmp_path / "running", seed=seed), random.Random(seed)  # noqa: S311
    made: list[tuple[Path, int, list[Delivery]]] = []

    def look() -> None:
        if chance.random() < 0.2:
            file = tmp_path / f"{len(made)}.tar.gz"
            save(village.folder / "out", file, NOW)
            made.append((file, village.now, [*village.arrived, *village.on_the_way]))

    with between(look):
        village.run(late)
    expected = village.exchange.client.balances().tolist()
    village.simulation.close()
    assert len(made) > 5
    for file, since, on_the_way in chance.sample(made, 3):
        again = tmp_path / file.name.removesuffix(".tar.gz")
        restore(file, again / "out")
        other = Village(again, seed=seed)
        other.on_the_way = on_the_way
        other.run(late, since=since)
        assert other.exchange.client.balances().tolist() == expected
        other.simulation.close()


def test_keys_are_left_out_unless_they_are_asked_for(folder: Path, tmp_path: Path) -> None:
    for with_keys in (False, True):
        file, again = tmp_path / f"{with_keys}.tar.gz", tmp_path / str(with_keys)
        saved = save(folder, file, NOW, with_keys=with_keys)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert restore(file, again) == saved
        keys = {"operator.key", "tls/server.key", "broker.secret"}
        assert (set(saved.keys), set(saved.missing)) == (keys, set() if with_keys else keys)
        found = {path.relative_to(again).as_posix() for path in again.rglob("*") if path.is_file()}
        others = {"exchange.sqlite", "ledger.sqlite", "tls/server.pem", "community.toml"}
        others |= {f"cards/{name}.json" for name in ("sun", "roof", "flat", "shop", "poor")}
        assert found == others | (keys if with_keys else set())
        assert {stat.S_IMODE(path.stat().st_mode) for path in again.rglob("*") if path.is_file()} <= {0o600, 0o400}
        assert stat.S_IMODE(again.stat().st_mode) == 0o700
        assert all_rows(again) == all_rows(folder)
        assert (saved.block or 0) > 0
        assert when(saved) == "2026-06-15 00:00 UTC"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_nothing_that_is_there_is_written_over(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "backup.tar.gz"
    save(folder, file, NOW)
    before = file.read_bytes()
    with pytest.raises(OutputError, match=r"backup.tar.gz is there already; name another file"):
        save(folder, file, NOW)
    with pytest.raises(OutputError, match="is not empty; name another folder"):
        restore(file, folder)
    assert (file.read_bytes(), (folder / "operator.key").read_text()) == (before, "operator.key of this exchange")
    with pytest.raises(OutputError, match="cannot be written: No such file or directory"):
        save(folder, tmp_path / "nowhere" / "backup.tar.gz", NOW)
    with pytest.raises(StoreError, match=r"There is no exchange.sqlite in .* saved by pg_dump"):
        save(tmp_path / "nowhere", tmp_path / "other.tar.gz", NOW)


def test_whatever_is_damaged_is_noticed_and_nothing_is_left(folder: Path, tmp_path: Path) -> None:
    file, damaged, again = tmp_path / "backup.tar.gz", tmp_path / "damaged.tar.gz", tmp_path / "again"
    save(folder, file, NOW)
    whole, chance = file.read_bytes(), random.Random(3)  # noqa: S311
    cases = [b"", b"PK", whole[:-1], whole[: len(whole) // 2], whole[:20]]
    for _ in range(20):
        place = chance.randrange(10, len(whole) - 8)
        cases.append(whole[:place] + bytes([whole[place] ^ (1 << chance.randrange(8))]) + whole[place + 1 :])
    unpacked = gzip.decompress(whole)
    for _ in range(20):
        place = chance.randrange(len(unpacked) - 10_240)
        changed = unpacked[:place] + bytes([unpacked[place] ^ 1]) + unpacked[place + 1 :]
        cases.append(gzip.compress(changed, 1))
    noticed = 0
    for case in cases:
        damaged.write_bytes(case)
        try:
            restore(damaged, again)
        except StoreError as error:
            said, noticed = str(error), noticed + 1
            assert "damaged" in said or "another version" in said
            assert not again.exists()
        else:
            # What a tar's header says beside names and sizes, such as an owner, is not looked at.
            assert all_rows(again) == all_rows(folder)
            shutil.rmtree(again)
    assert noticed >= 30
    assert {path.name for path in tmp_path.iterdir()} == {"run", "backup.tar.gz", "damaged.tar.gz"}


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "./exchange.sqlite", "a//b", ".", "a/.."])
def test_a_backup_of_somebody_else_writes_nowhere_else(tmp_path: Path, name: str) -> None:
    file = tmp_path / "box" / "evil.tar.gz"
    file.parent.mkdir()
    manifest = {"format": 1, "at": NOW, "block": 1, "keys": [], "files": {name: {"sha256": "0" * 64, "mode": 0o600}}}
    with tarfile.open(file, "w:gz") as tar:
        for each, content in (("backup.json", json.dumps(manifest).encode()), (name, b"evil")):
            entry = tarfile.TarInfo(each)
            entry.size = len(content)
            tar.addfile(entry, BytesIO(content))
    with pytest.raises(StoreError, match="no backup of an exchange"):
        restore(file, tmp_path / "box" / "again")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [file]


def test_a_link_in_a_backup_is_not_followed(tmp_path: Path) -> None:
    file = tmp_path / "link.tar.gz"
    with tarfile.open(file, "w:gz") as tar:
        entry = tarfile.TarInfo("backup.json")
        entry.type, entry.linkname = tarfile.SYMTYPE, os.devnull
        tar.addfile(entry)
    with pytest.raises(StoreError, match="no backup of an exchange"):
        restore(file, tmp_path / "again")


def test_store_and_chain_are_looked_at_anew_when_the_chain_went_on_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    village, looks, held = Village(tmp_path / "running"), list[str](), backup._held
    gate = village.exchange.rules.events[0]

    def changing(stack: ExitStack, file: Path) -> sqlite3.Connection:
        found = held(stack, file)
        looks.append(file.name)
        if len(looks) == 1:
            village.live.advance(gate.at)
        return found

    monkeypatch.setattr(backup, "_held", changing)
    saved = save(village.folder / "out", tmp_path / "backup.tar.gz", NOW)
    assert looks == ["ledger.sqlite", "exchange.sqlite"] * 2
    assert saved.block == village.exchange.client.node.head.number
    village.simulation.close()


def test_a_chain_that_never_rests_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    village, versions = Village(tmp_path / "running"), count()
    monkeypatch.setattr(backup, "_version", lambda _: next(versions))
    with pytest.raises(StoreError, match="its chain goes on too fast; try again"):
        save(village.folder / "out", tmp_path / "backup.tar.gz", NOW)
    village.simulation.close()
    assert [path.name for path in tmp_path.iterdir()] == ["running"]


def test_the_commands_say_what_was_saved_and_what_is_missing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, again = tmp_path / "backup.tar.gz", tmp_path / "again"
    app(["community", "backup", str(folder), "--to", str(file)], result_action="return_value")
    said = capsys.readouterr().out
    assert "is saved in" in said
    assert "Keys are not in it: broker.secret, operator.key, tls/server.key." in said
    app(["community", "restore", str(file), "--dir", str(again), "--json", "-"], result_action="return_value")
    figures = json.loads(capsys.readouterr().out)
    assert figures["missing"] == ["broker.secret", "operator.key", "tls/server.key"]
    assert "exchange.sqlite" in figures["files"]
    assert all_rows(again) == all_rows(folder)
