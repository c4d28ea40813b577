"""What the doctor finds: each thing that can be amiss with a box, alone, and what to do about it."""

from __future__ import annotations

import json
import shutil
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from exchange_cases import COMMUNITY, begin, short_days
from node_processes import free_port
from operated_cases import Box
from services import program
from shell import Shell

from commonwatt.ledger.keyfile import new_key, write_key
from commonwatt.ledger.network.listening import config, listening
from commonwatt.service import clock, packages
from commonwatt.service.certificates import ensure
from commonwatt.service.doctor import Check, State, examine

NOW = datetime(2026, 6, 15, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of an exchange that has begun and is stopped, all of it well, on a disk with room."""
    program("mosquitto")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: _usage(10**12))
    with short_days():
        begin(tmp_path).close()
    out = tmp_path / "out"
    write_key(out / "operator.key", new_key())
    ensure(out / "tls", "Five homes", ["192.168.1.20"], NOW)
    told = f'[live]\naddress = "127.0.0.1:{free_port()}"\nbroker = "127.0.0.1:{free_port()}"\n'
    told += 'certificate = "tls/server.pem"\nkey = "tls/server.key"\n'
    (out / "community.toml").write_text(COMMUNITY + told)
    return out


def _usage(free: int) -> Any:
    return shutil._ntuple_diskusage(2 * 10**12, 0, free)


def found(place: Path, now: datetime = NOW, *, synchronised: bool | None = True) -> list[Check]:
    return list(examine(place, now, lambda: synchronised))


def amiss(place: Path, now: datetime = NOW) -> list[tuple[str, State, str]]:
    return [(each.name, each.state, f"{each.said} {each.do}") for each in found(place, now) if each.state != State.GOOD]


def test_all_is_well(folder: Path) -> None:
    checks = found(folder)
    assert amiss(folder) == []
    assert [each.name for each in checks] == [
        "key", "disk", "clock", "packages", "community", "certificate", "store", "chain", "broker", "port",
        "broker port",
    ]  # fmt: skip
    assert found(folder / "community.toml") == checks
    assert all(each.said.endswith(".") for each in checks)


def _edit(key: str, value: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        file = folder / "community.toml"
        lines = [line for line in file.read_text().splitlines() if not line.startswith(f"{key} = ")]
        file.write_text("\n".join(lines).replace("[live]", f"[live]\n{key} = {value}" if value else "[live]") + "\n")

    return edit


def _add(folder: Path, text: str) -> None:
    with (folder / "community.toml").open("a") as file:
        file.write(text)


def _other_version(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "exchange.sqlite")) as store, store:
        store.execute("UPDATE run SET value = '1' WHERE key = 'version'")


@pytest.mark.parametrize(
    ("harm", "name", "says"),
    [
        (lambda folder: (folder / "operator.key").unlink(), "key", "No such file or directory. Put it in its place"),
        (lambda folder: (folder / "operator.key").write_text("hush"), "key", "it is no private key"),
        (lambda folder: (folder / "operator.key").chmod(0o640), "key", "Run: chmod 600"),
        (lambda folder: (folder / "tls" / "server.key").chmod(0o644), "key", "Others on this machine can read"),
        (lambda folder: (folder / "community.toml").write_text("[community]\n"), "community", "Mend the file"),
        (lambda folder: (folder / "community.toml").unlink(), "community", "community.toml"),
        (lambda folder: (folder / "tls" / "server.pem").unlink(), "certificate", "No such file or directory."),
        (lambda folder: (folder / "tls" / "server.pem").write_text("no"), "certificate", "cannot be used with"),
        (_other_version, "store", "was written by another version (1) of Commonwatt."),
        (lambda folder: (folder / "exchange.sqlite").write_bytes(b"no" * 2000), "store", "Restore a backup"),
        (lambda folder: (folder / "ledger.sqlite").write_bytes(b"no" * 2000), "chain", "or restore a backup"),
        (lambda folder: _add(folder, '[ledger]\nkind = "http://127.0.0.1:9"\n'), "chain", "Start the node"),
        (_edit("database", '"postgresql://cw:hush@127.0.0.1:1/cw"'), "store", "cannot be used"),
    ],
)
def test_each_thing_amiss_is_said_alone(folder: Path, harm: Callable[[Path], object], name: str, says: str) -> None:
    harm(folder)
    ((where, state, said),) = amiss(folder)
    assert (where, state) == (name, State.BAD)
    assert says in said
    assert "hush" not in said


def test_other_machines_are_answered_with_a_certificate_alone(folder: Path) -> None:
    _edit("certificate", "")(folder)
    _edit("key", "")(folder)
    assert amiss(folder) == []
    _edit("address", f'"0.0.0.0:{free_port()}"')(folder)
    ((name, state, said),) = amiss(folder)
    assert (name, state) == ("certificate", State.BAD)
    assert "Other machines are answered" in said


def test_a_certificate_is_renewed_in_time(folder: Path) -> None:
    for days, state, says in ((380, State.CARE, "is valid until 2027-07-16"), (400, State.BAD, "ended on 2027-07-16")):
        ((name, how, said),) = amiss(folder, NOW + timedelta(days=days))
        assert (name, how) == ("certificate", state)
        assert says in said


def test_a_port_that_somebody_else_has_is_named(folder: Path) -> None:
    text = (folder / "community.toml").read_text()
    place = text.split('broker = "')[1].split('"')[0]
    with socket.create_server(("127.0.0.1", int(place.split(":")[1]))):
        ((name, state, said),) = amiss(folder)
    assert (name, state) == ("broker port", State.BAD)
    assert f"{place} cannot be used: Address already in use" in said


def test_an_exchange_that_has_the_port_itself_says_how_it_is(folder: Path, tmp_path: Path) -> None:
    _edit("certificate", "")(folder)
    _edit("key", "")(folder)
    box = Box(tmp_path / "box")
    with listening("127.0.0.1", 0) as listener, Served(box, listener):
        _edit("address", f'"127.0.0.1:{listener.getsockname()[1]}"')(folder)
        assert amiss(folder) == []
        assert [each.said.startswith("It answers at") for each in found(folder) if each.name == "exchange"] == [True]
        box.live.behind = "The node does not answer."
        assert [(name, said.endswith("The node does not answer.")) for name, _, said in amiss(folder)] == [
            ("exchange", True)
        ]
    box.close()


class Served:
    """An exchange's interface in a thread, as long as it is open."""

    def __init__(self, box: Box, listener: socket.socket) -> None:
        import threading

        self._server = uvicorn.Server(config(box.app))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]})
        self._port = listener.getsockname()[1]

    def __enter__(self) -> None:
        self._thread.start()
        assert httpx.get(f"http://127.0.0.1:{self._port}/healthz", trust_env=False, timeout=60).is_success

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()


def test_clock_and_disk_are_a_care_before_they_are_a_fault(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    states = {known: found(folder, synchronised=known)[2].state for known in (True, False, None)}
    assert states == {True: State.GOOD, False: State.CARE, None: State.CARE}
    for free, state in ((10**12, State.GOOD), (10**9, State.CARE), (10**8, State.BAD)):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: _usage(free))
        assert found(folder)[1].state == state


def test_without_packages_the_rest_is_not_looked_at(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda name: None if name == "gmqtt" else name)
    assert amiss(folder) == [
        ("packages", State.BAD, 'Packages are missing: gmqtt. Install them: pip install "commonwatt[live]"')
    ]
    assert found(folder)[-1].name == "community"


def test_without_mosquitto_it_says_where_it_comes_from(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    ((name, state, said),) = amiss(folder)
    assert (name, state) == ("broker", State.BAD)
    assert "apt install mosquitto" in said
    _edit("broker", '"none"')(folder)
    assert amiss(folder) == []


def test_the_command_ends_as_it_found_things(folder: Path, said: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "ntp_synchronised", lambda: True)
    _edit("certificate", "")(folder)
    _edit("key", "")(folder)
    well = said("doctor", folder)
    assert (well.code, well.err) == (0, "")
    assert [line.split()[0] for line in well.out.splitlines()] == ["good"] * 11
    (folder / "operator.key").chmod(0o644)
    told = said("doctor", folder, "--json", "-")
    assert told.code == 1
    checks = json.loads(told.out)
    assert {each["state"] for each in checks} == {"good", "bad"}
    assert set(checks[0]) == {"name", "state", "said", "do"}
